/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order is that of Linux's prq_event_thread(). What there goes to a work
 * queue is done at once: the page is mapped, and the answer noted, to go out
 * with many others.
 */
#include "guest-vtd-internal.h"

#include <string.h>

/* 7.5.1: page_req_dsc */
FIELD(PRQ0, PP, 8, 1)
FIELD(PRQ0, RID, 16, 16)
FIELD(PRQ0, PASID, 32, 20)
FIELD(PRQ0, EXR, 52, 1)
FIELD(PRQ0, PMR, 53, 1)
FIELD(PRQ1, RDR, 0, 1)
FIELD(PRQ1, WRR, 1, 1)
FIELD(PRQ1, LPIG, 2, 1)
FIELD(PRQ1, PRGI, 3, 9)
FIELD(PRQ1, ADDR, 12, 52)

/* PQA: 2^(4 + 7) entries */
#define PQA_FLAGS 4

enum {
    PRQ_WORDS = PRQ_ENTRY_BYTES / 8,
    PRQ_BYTES = PRQ_ENTRIES * PRQ_ENTRY_BYTES,
    POINTER_MASK = PRQ_BYTES - PRQ_ENTRY_BYTES,
};

/* 7.7.1: response codes */
enum { RC_SUCCESS = 0, RC_INVALID = 1 };

/* With 48 bits of virtual address, those above repeat the top one. */
static bool is_canonical(uint64_t addr)
{
    return addr >> 47 == 0 || addr >> 47 == UINT64_MAX >> 47;
}

/* What Linux does not even look up. */
static bool is_bad(const uint64_t *words)
{
    bool read = FIELD_GET(words[1], PRQ1, RDR);
    bool write = FIELD_GET(words[1], PRQ1, WRR);

    return !is_canonical(words[1] & FIELD_MASK(PRQ1, ADDR)) ||
           (FIELD_GET(words[0], PRQ0, PMR) && (read || write)) ||
           (FIELD_GET(words[0], PRQ0, EXR) && read);
}

static bool is_marker(const uint64_t *words)
{
    return FIELD_GET(words[1], PRQ1, LPIG) &&
           !FIELD_GET(words[1], PRQ1, RDR) && !FIELD_GET(words[1], PRQ1, WRR);
}

static GuestVtdFunction *find_function(GuestVtd *guest, const uint64_t *words)
{
    uint32_t rid = FIELD_GET(words[0], PRQ0, RID);

    return g_hash_table_lookup(guest->by_rid, GUINT_TO_POINTER(rid));
}

/* The address space that a request is for, or NULL. */
static GuestAddressSpace *find_space(const GuestVtdFunction *function,
                                     const uint64_t *words)
{
    uint32_t pasid = FIELD_GET(words[0], PRQ0, PASID);

    if (!function || !FIELD_GET(words[0], PRQ0, PP) || pasid == 0 ||
        pasid > function->pasid_count ||
        function->pasids[pasid - 1].removed) {
        return NULL;
    }
    return function->pasids[pasid - 1].space;
}

/* Return: false if the group that it belongs to is to be refused. */
static bool serve_entry(GuestVtd *guest, const GuestVtdFunction *function,
                        const uint64_t *words)
{
    GuestAddressSpace *space = find_space(function, words);
    bool good = !is_bad(words) && space &&
                guest_address_space_map(space,
                                        words[1] & FIELD_MASK(PRQ1, ADDR),
                                        FIELD_GET(words[1], PRQ1, WRR));

    if (!good) {
        counter_add(&guest->counters.bad, 1);
    }
    return good;
}

static void submit_responses(GuestVtd *guest)
{
    if (guest->prq.count > 0) {
        guest_qi_submit(guest, guest->prq.responses, guest->prq.count, false);
        guest->prq.count = 0;
    }
}

/* To the group that this entry is the last of. */
static void respond(GuestVtd *guest, const uint64_t *words, bool good)
{
    GuestVtdPrq *prq = &guest->prq;

    prq->responses[prq->count++] = guest_qi_page_response(
        FIELD_GET(words[0], PRQ0, RID), FIELD_GET(words[0], PRQ0, PP),
        FIELD_GET(words[0], PRQ0, PASID), FIELD_GET(words[1], PRQ1, PRGI),
        good ? RC_SUCCESS : RC_INVALID);
    counter_add(good ? &guest->counters.answered : &guest->counters.refused,
                1);
    if (prq->count == QI_BATCH_MAX) {
        submit_responses(guest);
    }
}

/* One bit per group index: was a member of it not to be served? */
static void note_failed(GuestVtdFunction *function, uint32_t index)
{
    function->failed[index / 64] |= BIT(index % 64);
}

static bool take_failed(GuestVtdFunction *function, uint32_t index)
{
    bool failed = function->failed[index / 64] & BIT(index % 64);

    function->failed[index / 64] &= ~BIT(index % 64);
    return failed;
}

static void note_contents(GuestVtdFunction *function, const uint64_t *words)
{
    uint32_t perm = 0;

    perm |= FIELD_GET(words[1], PRQ1, RDR) ? PAGE_DIGEST_READ : 0;
    perm |= FIELD_GET(words[1], PRQ1, WRR) ? PAGE_DIGEST_WRITE : 0;
    perm |= FIELD_GET(words[0], PRQ0, EXR) ? PAGE_DIGEST_EXEC : 0;
    perm |= FIELD_GET(words[0], PRQ0, PMR) ? PAGE_DIGEST_PRIVILEGED : 0;
    counter_add(&function->pages, 1);
    counter_add(&function->digest,
                page_digest(FIELD_GET(words[0], PRQ0, PASID),
                            FIELD_GET(words[1], PRQ1, PRGI), perm,
                            FIELD_GET(words[1], PRQ1, LPIG),
                            words[1] & FIELD_MASK(PRQ1, ADDR)));
}

static void handle_entry(GuestVtd *guest, const uint64_t *words)
{
    uint32_t index = FIELD_GET(words[1], PRQ1, PRGI);
    GuestVtdFunction *function;
    bool good;

    counter_add(&guest->counters.requests, 1);
    if (is_marker(words)) {
        counter_add(&guest->counters.markers, 1);
        return;
    }
    function = find_function(guest, words);
    if (function) {
        note_contents(function, words);
    }
    good = serve_entry(guest, function, words);
    if (!FIELD_GET(words[1], PRQ1, LPIG)) {
        if (function && !good) {
            note_failed(function, index);
        }
        return;
    }
    if (function && take_failed(function, index)) {
        good = false;
    }
    respond(guest, words, good);
}

/* Groups whose last member was refused for lack of room will come again. */
static void forget_partial_groups(GuestVtd *guest)
{
    for (unsigned i = 0; i < guest->functions->len; i++) {
        GuestVtdFunction *function = guest->functions->pdata[i];

        memset(function->failed, 0, sizeof(function->failed));
    }
}

/* Only if nothing is left to be read; else the next interrupt is for it. */
static void handle_overflow(GuestVtd *guest)
{
    uint32_t head, tail;

    if (!FIELD_GET(guest_vtd_read32(guest, DMAR_PRS), DMAR_PRS, PRO)) {
        return;
    }
    head = guest_vtd_read64(guest, DMAR_PQH) & POINTER_MASK;
    tail = guest_vtd_read64(guest, DMAR_PQT) & POINTER_MASK;
    if (head == tail) {
        counter_add(&guest->counters.overflows, 1);
        forget_partial_groups(guest);
        guest_vtd_write32(guest, DMAR_PRS, FIELD_MASK(DMAR_PRS, PRO));
    }
}

/*
 * PPR before the pointers: what comes later raises another interrupt. PQH once,
 * and before the last responses, as there is room from then on.
 */
void guest_prq_serve(GuestVtd *guest)
{
    uint32_t head, tail;

    guest_vtd_write32(guest, DMAR_PRS, FIELD_MASK(DMAR_PRS, PPR));
    tail = guest_vtd_read64(guest, DMAR_PQT) & POINTER_MASK;
    head = guest_vtd_read64(guest, DMAR_PQH) & POINTER_MASK;
    while (head != tail) {
        uint64_t words[PRQ_WORDS];

        guest_words_load(words, guest->prq.entries + head, PRQ_WORDS);
        ring_digest_add(&guest->prq.digest, words, PRQ_WORDS);
        handle_entry(guest, words);
        head = (head + PRQ_ENTRY_BYTES) & POINTER_MASK;
    }
    guest_vtd_write64(guest, DMAR_PQH, tail);
    submit_responses(guest);
    handle_overflow(guest);
}

bool guest_prq_set_up(GuestVtd *guest, GError **error)
{
    GuestVtdPrq *prq = &guest->prq;

    prq->gpa = guest_ram_alloc(guest->ram, PRQ_BYTES, PRQ_BYTES, error);
    if (!prq->gpa) {
        return false;
    }
    prq->entries = guest_ram_ptr(guest->ram, prq->gpa);
    guest_vtd_set_up_event(guest, DMAR_PECTL, GUEST_VTD_IRQ_PAGE_REQUEST);
    guest_vtd_write64(guest, DMAR_PQH, 0);
    guest_vtd_write64(guest, DMAR_PQT, 0);
    guest_vtd_write64(guest, DMAR_PQA, prq->gpa | PQA_FLAGS);
    return true;
}

void guest_prq_disable(GuestVtd *guest)
{
    guest_vtd_write64(guest, DMAR_PQH, 0);
    guest_vtd_write64(guest, DMAR_PQT, 0);
    guest_vtd_write64(guest, DMAR_PQA, 0);
    guest_vtd_write32(guest, DMAR_PECTL, FIELD_MASK(DMAR_ECTL, IM));
}
