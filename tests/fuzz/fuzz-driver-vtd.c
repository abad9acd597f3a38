/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver of a VT-d unit: what it does right. What it does wrong, once, is
 * in fuzz-break-vtd.c.
 */
#include "fuzz-driver-vtd.h"

#include "base/rcu.h"

#define IN_USE 1
#define DONE 2

/* Pages that the first-stage tables can map. */
#define FIRST_STAGE_PAGES 8

static const uint32_t offsets[] = {
    A_CAP, A_ECAP, A_GSTS, A_RTADDR, A_FSTS, A_FECTL, A_IQH, A_IQT, A_IQA,
    A_ICS, A_IECTL, A_IQERCD, A_PQH, A_PQT, A_PQA, A_PRS, A_PECTL, A_FRCD + 12,
};

static Viommu *create(const ViommuConfig *config, unsigned variant)
{
    VtdProperties properties = VTD_PROPERTIES_DEFAULT;
    GError *error = NULL;
    Viommu *viommu;

    properties.pasid_bits = 8;
    viommu = vtd_new(config, &properties, &error);
    g_assert_no_error(error);
    return viommu;
}

uint32_t vtd_read(Driver *d, uint64_t offset)
{
    return fuzz_read(d->u, offset, 4);
}

void vtd_write(Driver *d, uint64_t offset, uint32_t value)
{
    fuzz_write(d->u, offset, 4, value);
}

void vtd_command(Driver *d, uint32_t bit, bool on)
{
    uint32_t level = vtd_read(d, A_GSTS) &
                     (FIELD_MASK(GSTS, TES) | FIELD_MASK(GSTS, QIES));

    vtd_write(d, A_GCMD, on ? level | bit : level & ~bit);
    g_assert_cmphex(vtd_read(d, A_GSTS) & bit, ==, on ? bit : 0);
}

static void store(Driver *d, uint64_t gpa, uint64_t word)
{
    fuzz_store(d->u, gpa, &word, 1);
}

/* ---- The invalidation queue ---- */

/* If the queue is full, all before it is run. */
void vtd_put(Driver *d, uint64_t word0, uint64_t word1)
{
    const uint64_t words[4] = { word0, word1 };
    uint32_t next = (d->iq_tail + VTD_ENTRY_BYTES) & (d->iq_bytes - 1);

    if (next == vtd_read(d, A_IQH)) {
        vtd_hand_over(d);
        g_assert_cmphex(vtd_read(d, A_IQH), ==, d->iq_tail);
    }
    fuzz_store(d->u, DRIVER_IQ + d->iq_tail, words, 4);
    d->iq_tail = next;
}

void vtd_hand_over(Driver *d)
{
    vtd_write(d, A_IQT, d->iq_tail);
}

void vtd_put_wait(Driver *d, uint64_t flags)
{
    store(d, DRIVER_STATUS, IN_USE);
    vtd_put(d, VTD_DESC_WAIT | FIELD_MASK(WAIT_DESC0, SW) | flags |
                   (uint64_t)DONE << WAIT_DESC0_STATUS_DATA_SHIFT,
            DRIVER_STATUS);
}

bool vtd_waited(Driver *d)
{
    return fuzz_load(d->u, DRIVER_STATUS) == DONE;
}

void vtd_wait(Driver *d, uint64_t flags)
{
    vtd_put_wait(d, flags);
    vtd_hand_over(d);
    g_assert_true(vtd_waited(d));
    g_assert_cmphex(vtd_read(d, A_IQH), ==, d->iq_tail);
    g_assert_cmphex(vtd_read(d, A_FSTS) & FIELD_MASK(FSTS, IQE), ==, 0);
}

void vtd_enable_iq(Driver *d, uint64_t base)
{
    unsigned qs = driver_below(d, 2);

    d->iq_bytes = 4096 << qs;
    d->iq_tail = 0;
    vtd_write(d, A_IQT, 0);
    fuzz_write(d->u, A_IQA, 8, base | FIELD_MASK(IQA, DW) | qs);
    vtd_command(d, FIELD_MASK(GCMD, QIE), true);
}

/* ---- Tables ---- */

/* Bus 0 has two halves, 0x12 a lower one. */
uint64_t vtd_context_gpa(const FuzzSlot *slot)
{
    unsigned table = slot->id >> 8 ? 2 : slot->id >> 7 & 1;

    return DRIVER_CONTEXT + table * FUZZ_PAGE_BYTES +
           UINT64_C(32) * (slot->id & 0x7f);
}

static uint64_t pasid_dir(Driver *d, const FuzzSlot *slot)
{
    return DRIVER_PASIDS + 2 * (slot - d->u->slots) * FUZZ_PAGE_BYTES;
}

uint64_t vtd_pasid_gpa(Driver *d, const FuzzSlot *slot, uint32_t pasid)
{
    return pasid_dir(d, slot) + FUZZ_PAGE_BYTES + UINT64_C(64) * pasid;
}

uint32_t vtd_request_pasid(uint32_t pasid)
{
    return pasid == 0 ? PAGE_REQUEST_NO_PASID : pasid;
}

static void store_entry(Driver *d, FuzzSlot *slot, uint32_t pasid,
                        unsigned pgtt)
{
    uint64_t words[8] = { 0 };

    if (pgtt != 0) {
        words[0] = FIELD_SET(FIELD_SET(1, PASID0, PGTT, pgtt), PASID0, AW,
                             pgtt == PGTT_PASS_THROUGH ? 2 : 0);
        words[1] = 1 + driver_below(d, 3);
        words[2] = pgtt == PGTT_FIRST ? DRIVER_FIRST_STAGE : 0;
    }
    fuzz_store(d->u, vtd_pasid_gpa(d, slot, pasid), words, 8);
    d->pgtt[slot - d->u->slots][pasid] = pgtt;
}

void vtd_invalidate_pasids(Driver *d)
{
    vtd_put(d, FIELD_SET(VTD_DESC_PASID_CACHE, DESC0, G, PASID_CACHE_G_GLOBAL),
            0);
    vtd_wait(d, 0);
}

static void invalidate_one(Driver *d, uint32_t pasid, uint16_t did)
{
    uint64_t word0 = FIELD_SET(VTD_DESC_PASID_CACHE, DESC0, G,
                               PASID_CACHE_G_PASID);

    vtd_put(d, FIELD_SET(FIELD_SET(word0, DESC0, DID, did), DESC0, PASID,
                         pasid), 0);
    vtd_wait(d, 0);
}

/* Cleared first, so that each domain hears of its own. */
void vtd_set_pasid(Driver *d, FuzzSlot *slot, uint32_t pasid, unsigned pgtt)
{
    uint64_t gpa = vtd_pasid_gpa(d, slot, pasid);
    uint16_t old = fuzz_load(d->u, gpa + 8);

    d->ops->drain(d);
    store_entry(d, slot, pasid, 0);
    invalidate_one(d, pasid, old);
    fuzz_turn(d->u);
    if (slot->vfio) {
        driver_ended(d, slot, vtd_request_pasid(pasid), PAGE_RESPONSE_INVALID);
    }
    store_entry(d, slot, pasid, pgtt);
    invalidate_one(d, pasid, fuzz_load(d->u, gpa + 8));
}

static void start_tables(Driver *d)
{
    for (unsigned i = 0; i < 3; i++) {
        store(d, DRIVER_FIRST_STAGE + i * FUZZ_PAGE_BYTES,
              (DRIVER_FIRST_STAGE + (i + 1) * FUZZ_PAGE_BYTES) | 7);
    }
    for (unsigned i = 0; i < 3; i++) {
        store(d, DRIVER_ROOT + (i < 2 ? 8 * i : 16 * 0x12),
              (DRIVER_CONTEXT + i * FUZZ_PAGE_BYTES) | 1);
    }
    for (unsigned i = 0; i < FUZZ_SLOTS; i++) {
        FuzzSlot *slot = &d->u->slots[i];
        /* P, DTE, PASIDE, PRE */
        const uint64_t context[4] = { pasid_dir(d, slot) | 0x1d };

        fuzz_store(d->u, vtd_context_gpa(slot), context, 4);
        store(d, pasid_dir(d, slot), vtd_pasid_gpa(d, slot, 0) | 1);
        for (uint32_t pasid = 0; pasid < DRIVER_PASIDS_MAX; pasid++) {
            store_entry(d, slot, pasid, pasid ? 0 : PGTT_PASS_THROUGH);
        }
    }
}

void vtd_enable_prq(Driver *d, uint64_t base)
{
    unsigned pqs = driver_below(d, 2);

    d->prq_bytes = 4096 << pqs;
    fuzz_write(d->u, A_PQH, 8, 0);
    fuzz_write(d->u, A_PQT, 8, 0);
    fuzz_write(d->u, A_PQA, 8, base | pqs);
}

static void enable_message(Driver *d, uint64_t control)
{
    vtd_write(d, control + 4, 0x31);
    vtd_write(d, control + 8, GUEST_DOORBELL);
    vtd_write(d, control + 12, 0);
    vtd_write(d, control, 0);
    g_assert_cmphex(vtd_read(d, control), ==, 0);
}

/* In the order of Linux's driver. */
static void vtd_start(Driver *d)
{
    start_tables(d);
    vtd_enable_iq(d, DRIVER_IQ);
    fuzz_write(d->u, A_RTADDR, 8, FIELD_SET(DRIVER_ROOT, RTADDR, TTM,
                                            TTM_SCALABLE));
    vtd_command(d, FIELD_MASK(GCMD, SRTP), true);
    vtd_put(d, FIELD_SET(VTD_DESC_CONTEXT_CACHE, DESC0, G, CONTEXT_G_GLOBAL),
            0);
    vtd_invalidate_pasids(d);
    enable_message(d, A_FECTL);
    enable_message(d, A_IECTL);
    enable_message(d, A_PECTL);
    vtd_enable_prq(d, DRIVER_PRQ);
    vtd_command(d, FIELD_MASK(GCMD, TE), true);
}

/* ---- Page requests ---- */

/* A turn; the first request that is there has an interrupt. */
static void turn_and_check(Driver *d)
{
    unsigned messages = atomic_load(&d->u->irq->messages);
    uint32_t prs = vtd_read(d, A_PRS);

    fuzz_turn(d->u);
    g_assert_cmphex(vtd_read(d, A_PRS) & FIELD_MASK(PRS, PRO), ==, 0);
    if (prs == 0 && vtd_read(d, A_PRS) != 0) {
        g_assert_cmpuint(atomic_load(&d->u->irq->messages), ==, messages + 1);
    }
}

static bool request_consume(Driver *d)
{
    uint32_t head = vtd_read(d, A_PQH);
    uint64_t word0 = fuzz_load(d->u, DRIVER_PRQ + head);
    uint64_t word1 = fuzz_load(d->u, DRIVER_PRQ + head + 8);

    if (head == vtd_read(d, A_PQT)) {
        return false;
    }
    g_assert_cmphex(word0 & 0xff, ==, 1);
    driver_entry(d, &(DriverEntry){
        .id = word0 >> 16 & 0xffff,
        .pasid = word0 & BIT(8) ? word0 >> 32 & 0xfffff
                                : PAGE_REQUEST_NO_PASID,
        .index = word1 >> 3 & 511,
        .addr = word1 & BIT_RANGE(12, 52),
        .read = word1 & 1,
        .write = word1 >> 1 & 1,
        .last = word1 >> 2 & 1,
    });
    fuzz_write(d->u, A_PQH, 8, (head + VTD_ENTRY_BYTES) & (d->prq_bytes - 1));
    return true;
}

static void vtd_drain(Driver *d)
{
    for (bool more = true; more;) {
        more = false;
        turn_and_check(d);
        vtd_write(d, A_PRS, FIELD_MASK(PRS, PPR));
        while (request_consume(d)) {
            more = true;
        }
    }
}

static void vtd_answer(Driver *d, DriverGroup *group, uint32_t code)
{
    uint64_t word0 = FIELD_SET(VTD_DESC_PAGE_RESPONSE, PAGE_RESPONSE_DESC0,
                               RID, group->slot->id);

    word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, RC, code);
    if (group->pasid != PAGE_REQUEST_NO_PASID) {
        word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, PP, 1);
        word0 = FIELD_SET(word0, DESC0, PASID, group->pasid);
    }
    vtd_put(d, word0, FIELD_SET(0, PAGE_RESPONSE_DESC1, PRGI, group->index));
    vtd_wait(d, 0);
    fuzz_turn(d->u);
    driver_answered(d, group, code);
}

/* ---- Steps ---- */

static void step_plug(Driver *d)
{
    FuzzSlot *slot = driver_slot(d);
    bool sva = driver_below(d, 2);

    if (slot->plugged) {
        vtd_drain(d);
        driver_unplug(d, slot);
        driver_ended(d, slot, DRIVER_ALL_PASIDS, PAGE_RESPONSE_INVALID);
    } else {
        driver_plug(d, slot, sva);
    }
}

static void step_pasid(Driver *d)
{
    static const uint8_t kinds[] = { 0, PGTT_FIRST, PGTT_FIRST,
                                     PGTT_PASS_THROUGH };
    FuzzSlot *slot = driver_slot(d);
    uint32_t pasid = driver_below(d, DRIVER_PASIDS_MAX);

    vtd_set_pasid(d, slot, pasid, kinds[driver_below(d, sizeof(kinds))]);
}

static void step_turn(Driver *d)
{
    turn_and_check(d);
}

static void step_consume(Driver *d)
{
    unsigned count = driver_below(d, 32);

    vtd_write(d, A_PRS, FIELD_MASK(PRS, PPR));
    while (count-- > 0 && request_consume(d)) {
        continue;
    }
}

/* Of a host's device only where there is a first stage that takes faults. */
static void step_request(Driver *d)
{
    FuzzSlot *slot = driver_slot(d);
    uint32_t pasid = driver_below(d, DRIVER_PASIDS_MAX);
    unsigned count = 1 + driver_below(d, FUZZ_GROUP_PAGES);
    unsigned pgtt = d->pgtt[slot - d->u->slots][pasid];
    unsigned tags = d->u->tag_count;
    DriverGroup *group;

    if (!slot->plugged || (slot->sva && pgtt == 0)) {
        return;
    }
    group = driver_request(d, slot, vtd_request_pasid(pasid), count);
    if (slot->vfio && d->u->tag_count != tags) {
        g_assert_cmpint(group != NULL, ==, pgtt == PGTT_FIRST);
    }
}

static void step_answer(Driver *d)
{
    static const uint8_t codes[] = { 0, 1, 15 };
    DriverGroup *group = driver_shown(d);

    if (group) {
        vtd_answer(d, group, codes[driver_below(d, sizeof(codes))]);
    }
}

static void step_invalidate(Driver *d)
{
    static const uint64_t words[] = {
        0x11, 0x31, 0x12, 0x22, 0x32, 0x30007, 0x10007, 0x37, 0x26, 0x36, 0x3,
        0x8, 0x4,
    };
    unsigned count = driver_below(d, 200);
    uint64_t word0 = words[driver_below(d, G_N_ELEMENTS(words))];

    while (count-- > 0) {
        vtd_put(d, word0, 0);
    }
    vtd_wait(d, FIELD_MASK(WAIT_DESC0, IF) |
                    (driver_below(d, 2) ? FIELD_MASK(WAIT_DESC0, FN) : 0));
    g_assert_cmphex(vtd_read(d, A_ICS), ==, 1);
    vtd_write(d, A_ICS, 1);
    g_assert_cmphex(vtd_read(d, A_ICS), ==, 0);
}

/* Read empty, and then of another size. */
static void step_prq(Driver *d)
{
    vtd_drain(d);
    vtd_enable_prq(d, DRIVER_PRQ);
}

/* Off: no device has a first stage, and what such had asked ends. */
static void step_translation(Driver *d)
{
    vtd_drain(d);
    vtd_command(d, FIELD_MASK(GCMD, TE), false);
    fuzz_turn(d->u);
    for (unsigned i = 0; i < FUZZ_SLOTS; i++) {
        if (d->u->slots[i].vfio) {
            driver_ended(d, &d->u->slots[i], DRIVER_ALL_PASIDS,
                         PAGE_RESPONSE_INVALID);
        }
    }
    vtd_command(d, FIELD_MASK(GCMD, TE), true);
}

static bool translate(FuzzSlot *slot, uint32_t pasid, uint64_t iova,
                      uint64_t *gpa)
{
    bool found;

    rcu_section_enter();
    found = viommu_translate(slot->sva, vtd_request_pasid(pasid), iova,
                             PGFAULT_PERM_READ | PGFAULT_PERM_WRITE, gpa);
    rcu_section_leave();
    return found;
}

/* Page @page goes to @at, or nowhere; an emulated device sees that. */
static void map_page(Driver *d, FuzzSlot *slot, uint32_t pasid, unsigned page,
                     uint64_t at)
{
    uint64_t iova = (uint64_t)page << 12 | 0x123;
    unsigned pgtt = d->pgtt[slot - d->u->slots][pasid];
    uint64_t gpa;

    store(d, DRIVER_FIRST_STAGE + 3 * FUZZ_PAGE_BYTES + UINT64_C(8) * page,
          at ? at | 7 : 0);
    vtd_put(d, 0x12, 0);        /* IOTLB, global */
    vtd_wait(d, 0);
    if (!slot->sva) {
        return;
    }
    if (translate(slot, pasid, iova, &gpa)) {
        g_assert_cmpuint(pgtt, !=, 0);
        g_assert_cmphex(gpa, ==, pgtt == PGTT_FIRST ? at | 0x123 : iova);
    } else {
        g_assert_true(pgtt == 0 || (pgtt == PGTT_FIRST && at == 0));
    }
}

static void step_map(Driver *d)
{
    FuzzSlot *slot = driver_slot(d);
    uint32_t pasid = driver_below(d, DRIVER_PASIDS_MAX);
    unsigned page = driver_below(d, FIRST_STAGE_PAGES);

    map_page(d, slot, pasid, page, FUZZ_PAGE(50 + page));
    map_page(d, slot, pasid, page,
             driver_below(d, 2) ? FUZZ_PAGE(58) : 0);
}

static void (*const steps[])(Driver *) = {
    step_plug, step_plug, step_pasid, step_pasid, step_pasid, step_turn,
    step_turn, step_consume, step_request, step_request, step_request,
    step_request, step_answer, step_answer, step_invalidate, step_prq,
    step_translation, step_map, step_map,
};

static FuzzModel model = {
    .iommu = HARDWARE_VTD,
    .mmio_size = VTD_MMIO_SIZE,
    .ids = { 0x0008, 0x0010, 0x1234, 0x0090 },
    .offsets = offsets,
    .offset_count = G_N_ELEMENTS(offsets),
    .create = create,
};

const DriverOps driver_vtd = {
    .model = &model,
    .start = vtd_start,
    .steps = steps,
    .step_count = G_N_ELEMENTS(steps),
    .drain = vtd_drain,
    .answer = vtd_answer,
    .breaks = vtd_breaks,
    .break_count = VTD_BREAKS,
};
