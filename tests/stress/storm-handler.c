/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * In the order of Linux's prq.c: PPR is cleared, the queue read up to PQT, the
 * groups answered, PRO cleared.
 */
#include "storm-handler.h"

#include "storm-guest.h"
#include "storm.h"

#include <errno.h>

FIELD(PRQ_ENTRY0, PP, 8, 1)
FIELD(PRQ_ENTRY0, RID, 16, 16)
FIELD(PRQ_ENTRY0, PASID, 32, 20)
FIELD(PRQ_ENTRY1, ACCESS, 0, 2)
FIELD(PRQ_ENTRY1, LPIG, 2, 1)
FIELD(PRQ_ENTRY1, PRGI, 3, 9)

#define MAX_BATCH 200           /* the invalidation queue has 255 */
#define MAX_LATE 24
#define MAX_SETTLING 1000
#define RESET_STEPS 300
#define LAZY_STEPS 8
#define LAZY_READ 32

/* PCI: Response Failure, which the IOMMU itself never says here. */
#define CODE_FAILURE 15

typedef struct StormAnswer {
    uint16_t rid;
    uint32_t pasid;
    uint32_t index;
} StormAnswer;

/* The guest's answer says which group it is meant for. */
static unsigned code_for(uint32_t index)
{
    return index & 1 ? CODE_FAILURE : PAGE_RESPONSE_SUCCESS;
}

void storm_note_code(StormUnit *unit, uint32_t index, uint32_t code)
{
    if (code == code_for(index)) {
        return;
    }
    g_assert_cmpuint(code, !=, CODE_FAILURE);
    if (code == PAGE_RESPONSE_SUCCESS) {
        storm_count(&unit->books.odd_success, 1);
    } else if (index % 2 == 0) {
        storm_count(&unit->books.even_invalid, 1);
    }
}

/* ---- Answers ---- */

static void put_answer(StormUnit *unit, const StormAnswer *answer)
{
    uint64_t word0 = VTD_DESC_PAGE_RESPONSE;

    word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, RID, answer->rid);
    word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, RC, code_for(answer->index));
    if (answer->pasid != PAGE_REQUEST_NO_PASID) {
        word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, PP, 1);
        word0 = FIELD_SET(word0, DESC0, PASID, answer->pasid);
    }
    vtd_guest_put(unit->f, word0,
                  FIELD_SET(0, PAGE_RESPONSE_DESC1, PRGI, answer->index));
    storm_count(&unit->books.responses, 1);
}

static void submit_answers(StormUnit *unit, GArray *answers)
{
    StormHandler *handler = &unit->handler;
    guint next = 0;

    while (next < answers->len) {
        guint end = MIN(next + MAX_BATCH, answers->len);

        storm_guest_lock(unit);
        while (next < end) {
            put_answer(unit, &g_array_index(answers, StormAnswer, next++));
        }
        storm_guest_submit(unit, handler->rand);
        storm_guest_unlock(unit);
    }
    g_array_set_size(answers, 0);
}

/* Another device, PASID or index than @answer has; or all of them. */
static void add_stranger(StormHandler *handler, const StormAnswer *answer)
{
    GRand *rand = handler->rand;
    int what = g_rand_int_range(rand, 0, 4);
    StormAnswer stranger = *answer;

    if (what == 0 || what == 3) {
        stranger.rid = storm_once_in(rand, 2) ? STORM_HOST_RID : STORM_SVA_RID;
        stranger.rid += g_rand_int_range(rand, 0, 3);
    }
    if (what == 1 || what == 3) {
        stranger.pasid = g_rand_int_range(rand, 0, 5);
    }
    if (what == 2 || what == 3) {
        stranger.index = g_rand_int_range(rand, 0, 512);
    }
    g_array_append_val(handler->batch, stranger);
}

static void add_answer(StormUnit *unit, const StormAnswer *answer)
{
    StormHandler *handler = &unit->handler;
    const StormMix *mix = unit->mix;
    GRand *rand = handler->rand;

    if (!handler->settling && storm_once_in(rand, mix->never)) {
        return;
    }
    if (storm_once_in(rand, mix->late) && handler->late->len < MAX_LATE) {
        g_array_append_val(handler->late, *answer);
        if (!storm_once_in(rand, 4)) {
            return;             /* else both now and late */
        }
    }
    g_array_append_val(handler->batch, *answer);
    if (storm_once_in(rand, mix->twice)) {
        g_array_append_val(handler->batch, *answer);
    }
    if (storm_once_in(rand, mix->strangers)) {
        add_stranger(handler, answer);
    }
}

/* ---- The queue ---- */

static bool read_entry(const uint64_t *entry, StormAnswer *answer)
{
    *answer = (StormAnswer){
        .rid = FIELD_GET(entry[0], PRQ_ENTRY0, RID),
        .pasid = FIELD_GET(entry[0], PRQ_ENTRY0, PP)
                     ? FIELD_GET(entry[0], PRQ_ENTRY0, PASID)
                     : PAGE_REQUEST_NO_PASID,
        .index = FIELD_GET(entry[1], PRQ_ENTRY1, PRGI),
    };
    /* Stop Markers want no access, and no answer. */
    return FIELD_GET(entry[1], PRQ_ENTRY1, LPIG) &&
           FIELD_GET(entry[1], PRQ_ENTRY1, ACCESS);
}

/* Of at most @most entries. Return: whether there was anything. */
static bool read_queue(StormUnit *unit, unsigned most)
{
    VtdFixture *f = unit->f;
    GuestByteRing ring = {
        .pqs = STORM_PRQ_PQS,
        .tail = vtd_guest_read64(f, A_PQT),
        .head = vtd_guest_read64(f, A_PQH),
    };
    bool any = !guest_byte_ring_empty(&ring);

    for (; most > 0 && !guest_byte_ring_empty(&ring); most--) {
        uint32_t offset = guest_byte_ring_offset(&ring, ring.head);
        uint64_t entry[4];
        StormAnswer answer;

        guest_words_load(entry, vtd_guest_words(f, VTD_GUEST_PRQ + offset), 4);
        if (read_entry(entry, &answer)) {
            add_answer(unit, &answer);
        }
        ring.head = guest_byte_ring_advance(&ring, ring.head, 1);
    }
    if (any) {
        vtd_guest_write64(f, A_PQH, ring.head);
    }
    return any;
}

/* Non-recoverable faults are forgotten, so that others can be recorded. */
static void clear_faults(StormUnit *unit)
{
    VtdFixture *f = unit->f;

    for (unsigned i = 0; i < VTD_FRCD_COUNT; i++) {
        vtd_guest_write32(f, A_FRCD + 16 * i + 12, UINT32_C(1) << 31);
    }
    vtd_guest_write32(f, A_FSTS, FIELD_MASK(FSTS, PFO));
}

/* At most @most entries. Return: whether there was anything. */
static bool serve(StormUnit *unit, unsigned most)
{
    VtdFixture *f = unit->f;
    bool any;

    vtd_guest_write32(f, A_PRS, FIELD_MASK(PRS, PPR));
    any = read_queue(unit, most);
    submit_answers(unit, unit->handler.batch);
    if (FIELD_GET(vtd_guest_read32(f, A_PRS), PRS, PRO)) {
        vtd_guest_write32(f, A_PRS, FIELD_MASK(PRS, PRO));
    }
    return any;
}

/* ---- The thread ---- */

static void ring(void *opaque)
{
    StormHandler *handler = opaque;

    sem_post(&handler->bell);
}

void storm_handler_kick(StormUnit *unit)
{
    ring(&unit->handler);
}

static void maybe_reset(StormUnit *unit)
{
    StormHandler *handler = &unit->handler;
    uint64_t steps = atomic_load_explicit(&unit->gate->steps,
                                          memory_order_relaxed);

    if (unit->mix->resets && steps >= handler->resets_at) {
        handler->resets_at = steps +
                             g_rand_int_range(handler->rand, 1, RESET_STEPS);
        storm_guest_reset(unit, handler->rand);
    }
}

static void await_bell(sem_t *bell)
{
    while (sem_wait(bell) < 0) {
        g_assert_cmpint(errno, ==, EINTR);
    }
    while (sem_trywait(bell) == 0) {
        continue;
    }
}

/* Until the queue is full, or others have gone on for a while without that. */
static void laze(StormUnit *unit)
{
    unsigned steps = g_rand_int_range(unit->handler.rand, 1, LAZY_STEPS);

    while (steps-- > 0 && !storm_unit_is_full(unit)) {
        gate_await_steps(unit->gate, 1);
    }
    storm_count(&unit->books.full, storm_unit_is_full(unit));
}

void storm_handler_step(void *opaque)
{
    StormUnit *unit = opaque;

    await_bell(&unit->handler.bell);
    if (unit->mix->lazy) {
        laze(unit);
        if (serve(unit, g_rand_int_range(unit->handler.rand, 1, LAZY_READ))) {
            storm_handler_kick(unit);   /* there may be more */
        }
    }
    while (!unit->mix->lazy && serve(unit, UINT_MAX)) {
        continue;
    }
    if (storm_once_in(unit->handler.rand, 8)) {
        clear_faults(unit);
    }
    maybe_reset(unit);
    /* Nothing else to do: those that were put off. */
    submit_answers(unit, unit->handler.late);
}

static bool is_settled(StormUnit *unit)
{
    for (unsigned i = 0; i < STORM_SVA; i++) {
        if (sva_port_out(unit->sva[i]) > 0) {
            return false;
        }
    }
    return viommu_get_page_stats(unit->f->viommu).open == 0 &&
           storm_page_stats(unit).open == 0;
}

static void nothing_bh(void *opaque)
{
}

void storm_handler_finish(StormUnit *unit)
{
    unsigned rounds = 0;

    unit->handler.settling = true;
    if (unit->mix->never) {
        /* What is never answered ends with the queue. */
        storm_guest_reset(unit, unit->handler.rand);
    }
    do {
        g_assert_cmpuint(rounds++, <, MAX_SETTLING);
        /* What was requested is in the queue, as far as there is room. */
        storm_guest_lock(unit);
        vtd_guest_submit_put(unit->f, FIELD_MASK(WAIT_DESC0, PD));
        storm_guest_unlock(unit);
        serve(unit, UINT_MAX);
        submit_answers(unit, unit->handler.late);
        /* What was answered has reached the devices, or was strange. */
        aio_wait_bh_oneshot(unit->f->ctx, nothing_bh, NULL);
        for (unsigned i = 0; i < STORM_SVA; i++) {
            sva_port_settle(unit->sva[i]);
        }
    } while (!is_settled(unit));
    unit->handler.settling = false;
}

void storm_handler_init(StormUnit *unit, guint32 seed)
{
    StormHandler *handler = &unit->handler;

    sem_init(&handler->bell, 0, 0);
    handler->batch = g_array_new(FALSE, FALSE, sizeof(StormAnswer));
    handler->late = g_array_new(FALSE, FALSE, sizeof(StormAnswer));
    handler->rand = g_rand_new_with_seed(seed);
    handler->resets_at = g_rand_int_range(handler->rand, 1, RESET_STEPS);
    unit->f->irq.raised = ring;
    unit->f->irq.opaque = handler;
}

void storm_handler_destroy(StormUnit *unit)
{
    StormHandler *handler = &unit->handler;

    unit->f->irq.raised = NULL;
    sem_destroy(&handler->bell);
    g_array_unref(handler->batch);
    g_array_unref(handler->late);
    g_rand_free(handler->rand);
}
