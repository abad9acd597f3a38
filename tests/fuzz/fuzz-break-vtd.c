/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules that the driver of a VT-d unit breaks, one per input, and what the
 * specification says of it (Intel D51397-018). All was read and answered before
 * but for groups that wait for the guest's answer. A reset follows.
 */
#include "fuzz-driver-vtd.h"

#define SCALABLE_DESC(type, g) FIELD_SET((uint64_t)(type), DESC0, G, (g))

/* A device of the wanted kind in some slot. */
static FuzzSlot *slot_with(Driver *d, bool sva)
{
    FuzzSlot *slot = driver_slot(d);

    if (slot->plugged && (slot->sva != NULL) != sva) {
        driver_unplug(d, slot);
        driver_ended(d, slot, DRIVER_ALL_PASIDS, PAGE_RESPONSE_INVALID);
    }
    if (!slot->plugged) {
        driver_plug(d, slot, sva);
    }
    return slot;
}

static void assert_queue_error(Driver *d, VtdIqei iqei, uint32_t at)
{
    g_assert_cmphex(vtd_read(d, A_FSTS) & FIELD_MASK(FSTS, IQE), !=, 0);
    g_assert_cmpuint(vtd_read(d, A_IQERCD), ==, iqei);
    g_assert_cmphex(vtd_read(d, A_IQH), ==, at);
}

static void clear_queue_error(Driver *d)
{
    vtd_write(d, A_FSTS, FIELD_MASK(FSTS, IQE));
    g_assert_cmphex(vtd_read(d, A_FSTS) & FIELD_MASK(FSTS, IQE), ==, 0);
}

/* A group of a PASID that is ready for it. */
static DriverGroup *ask(Driver *d, FuzzSlot *slot, uint32_t pasid)
{
    vtd_set_pasid(d, slot, pasid, PGTT_FIRST);
    return driver_request(d, slot, vtd_request_pasid(pasid), 2);
}

/* The unit's own answer, and the fault record. */
static void assert_fault(Driver *d, DriverGroup *group, VtdReason reason)
{
    uint32_t high;

    fuzz_turn(d->u);
    if (!group) {
        return;                 /* it had no index left */
    }
    g_assert_cmphex(vtd_read(d, A_FSTS) & FIELD_MASK(FSTS, PPF), !=, 0);
    high = vtd_read(d, A_FRCD + 12);
    g_assert_cmphex(high >> 31, ==, 1);
    g_assert_cmphex(high & 0xff, ==, reason);
    g_assert_cmphex(vtd_read(d, A_FRCD + 8) & 0xffff, ==, group->slot->id);
    driver_answered(d, group, PAGE_RESPONSE_INVALID);
    vtd_write(d, A_FRCD + 12, BIT(31));
    g_assert_cmphex(vtd_read(d, A_FSTS), ==, 0);
}

/* ---- 6.5.2: the invalidation queue ---- */

/* An error stops the queue where it is; its cure has it go on. */
static void break_descriptor(Driver *d)
{
    static const struct {
        uint64_t word0, word1;
        VtdIqei iqei;
    } bad[] = {
        { 0, 0, VTD_IQEI_TYPE }, { 0xa, 0, VTD_IQEI_TYPE },
        { 0xe0f, 0, VTD_IQEI_TYPE },
        { 0x1, 0, VTD_IQEI_RESERVED }, { 0x2, 0, VTD_IQEI_RESERVED },
        { 0x27, 0, VTD_IQEI_RESERVED }, { 0x16, 0, VTD_IQEI_RESERVED },
        { 0x5 | BIT(8), 0, VTD_IQEI_RESERVED },
        { 0x9, 1, VTD_IQEI_RESERVED }, { 0x11, 1, VTD_IQEI_RESERVED },
    };
    unsigned which = driver_below(d, G_N_ELEMENTS(bad));
    const uint64_t good[4] = { VTD_DESC_IEC };
    uint32_t at;

    vtd_put(d, VTD_DESC_IEC, 0);
    at = d->iq_tail;
    vtd_put(d, bad[which].word0, bad[which].word1);
    vtd_put_wait(d, 0);
    vtd_hand_over(d);
    assert_queue_error(d, bad[which].iqei, at);
    g_assert_false(vtd_waited(d));
    vtd_hand_over(d);
    g_assert_false(vtd_waited(d));
    fuzz_store(d->u, DRIVER_IQ + at, good, 4);
    clear_queue_error(d);
    g_assert_true(vtd_waited(d));
    g_assert_cmphex(vtd_read(d, A_IQH), ==, d->iq_tail);
}

static void break_tail_range(Driver *d)
{
    uint32_t head = vtd_read(d, A_IQH);

    vtd_write(d, A_IQT, d->iq_bytes);
    assert_queue_error(d, VTD_IQEI_TAIL_RANGE, head);
    vtd_write(d, A_IQT, d->iq_tail);
    clear_queue_error(d);
    vtd_wait(d, 0);
}

static void break_tail_alignment(Driver *d)
{
    uint32_t head = vtd_read(d, A_IQH);

    vtd_write(d, A_IQT, d->iq_tail ^ 16);
    assert_queue_error(d, VTD_IQEI_TAIL_ALIGNMENT, head);
}

static void break_iq_base(Driver *d)
{
    vtd_command(d, FIELD_MASK(GCMD, QIE), false);
    vtd_enable_iq(d, GUEST_NOWHERE);
    vtd_write(d, A_IQT, VTD_ENTRY_BYTES);
    assert_queue_error(d, VTD_IQEI_FETCH, 0);
}

/* Scalable mode wants descriptors of 256 bits. */
static void break_width(Driver *d)
{
    vtd_command(d, FIELD_MASK(GCMD, QIE), false);
    vtd_write(d, A_IQT, 0);
    fuzz_write(d->u, A_IQA, 8, DRIVER_IQ);
    vtd_command(d, FIELD_MASK(GCMD, QIE), true);
    vtd_write(d, A_IQT, 16);
    assert_queue_error(d, VTD_IQEI_WIDTH, 0);
}

/* Off: nothing is run, until it is on. */
static void break_queue_off(Driver *d)
{
    vtd_command(d, FIELD_MASK(GCMD, QIE), false);
    g_assert_cmphex(vtd_read(d, A_IQH), ==, 0);
    d->iq_tail = 0;
    vtd_put_wait(d, 0);
    vtd_hand_over(d);
    g_assert_false(vtd_waited(d));
    g_assert_cmphex(vtd_read(d, A_IQH), ==, 0);
    vtd_command(d, FIELD_MASK(GCMD, QIE), true);
    g_assert_true(vtd_waited(d));
}

/* To be switched off, and not drained: the guest waits for ever. */
static void break_disable(Driver *d)
{
    vtd_put(d, 0, 0);
    vtd_hand_over(d);
    vtd_write(d, A_GCMD, FIELD_MASK(GCMD, TE));
    g_assert_cmphex(vtd_read(d, A_GSTS) & FIELD_MASK(GSTS, QIES), !=, 0);
}

static void break_status(Driver *d)
{
    vtd_put(d, VTD_DESC_WAIT | FIELD_MASK(WAIT_DESC0, SW), GUEST_NOWHERE);
    vtd_wait(d, 0);
}

static void put_response(Driver *d, uint32_t rid, uint32_t pasid,
                         uint32_t index)
{
    uint64_t word0 = FIELD_SET(VTD_DESC_PAGE_RESPONSE, PAGE_RESPONSE_DESC0, PP,
                               1);

    word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, RID, rid);
    vtd_put(d, FIELD_SET(word0, DESC0, PASID, pasid),
            FIELD_SET(0, PAGE_RESPONSE_DESC1, PRGI, index));
}

static void assert_stray(Driver *d, uint64_t count)
{
    fuzz_turn(d->u);
    g_assert_cmpuint(viommu_get_page_stats(d->u->viommu).stray, ==,
                     d->u->pages.stray + count);
}

static void break_response(Driver *d)
{
    put_response(d, driver_slot(d)->id, 9, driver_below(d, DRIVER_INDICES));
    put_response(d, 0xfff8, 1, 0);
    vtd_wait(d, 0);
    assert_stray(d, 2);
}

static void break_response_twice(Driver *d)
{
    DriverGroup *group = ask(d, slot_with(d, driver_below(d, 2)), 1);

    if (group) {
        d->ops->drain(d);
        put_response(d, group->slot->id, 1, group->index);
        put_response(d, group->slot->id, 1, group->index);
        vtd_wait(d, 0);
        assert_stray(d, 1);
        driver_answered(d, group, PAGE_RESPONSE_SUCCESS);
    }
}

/* ---- 11.4: registers ---- */

static void break_read_only(Driver *d)
{
    static const struct {
        uint32_t offset;
        unsigned size;
    } registers[] = {
        { A_VER, 4 }, { A_CAP, 8 }, { A_ECAP, 8 }, { A_GSTS, 4 }, { A_IQH, 8 },
        { A_IQERCD, 8 }, { A_FRCD, 8 }, { A_FRCD + 8, 4 }, { A_PRS, 4 },
        { A_ICS, 4 }, { 0x030, 4 }, { 0x100, 4 },
    };
    unsigned which = driver_below(d, G_N_ELEMENTS(registers));
    uint32_t offset = registers[which].offset;
    unsigned size = registers[which].size;
    uint64_t old;

    vtd_write(d, A_PRS, 3);
    old = fuzz_read(d->u, offset, size);
    fuzz_write(d->u, offset, size, fuzz_value(d->u, old));
    g_assert_cmphex(fuzz_read(d->u, offset, size), ==, old);
}

/* Of a size or an alignment that there is not: as if it had not been. */
static void break_access(Driver *d)
{
    static const uint32_t plain[] = { A_FECTL, A_FEDATA, A_PEADDR, A_GCMD };
    static const uint8_t sizes[] = { 1, 2, 3, 5, 6, 7, 8, 8 };
    uint32_t offset = plain[driver_below(d, G_N_ELEMENTS(plain))];
    unsigned size = sizes[driver_below(d, sizeof(sizes))];
    uint32_t old = vtd_read(d, offset);
    uint32_t status = vtd_read(d, A_GSTS);

    fuzz_write(d->u, offset, size, ~(uint64_t)old);
    fuzz_write(d->u, offset + 2, 4, ~(uint64_t)old);
    g_assert_cmphex(vtd_read(d, offset), ==, old);
    g_assert_cmphex(vtd_read(d, A_GSTS), ==, status);
    g_assert_cmphex(fuzz_read(d->u, offset, size), ==, 0);
}

/* By registers, in scalable mode: done at once, and nothing was. */
static void break_register_invalidation(Driver *d)
{
    fuzz_write(d->u, A_CCMD, 8, FIELD_MASK(CCMD, ICC) |
                                    FIELD_SET(0, CCMD, CIRG, 1));
    g_assert_cmphex(fuzz_read(d->u, A_CCMD, 8) &
                        (FIELD_MASK(CCMD, ICC) | FIELD_MASK(CCMD, CAIG)), ==,
                    0);
    fuzz_write(d->u, A_IOTLB, 8, FIELD_MASK(IOTLB, IVT) |
                                     FIELD_SET(0, IOTLB, IIRG, 1));
    g_assert_cmphex(fuzz_read(d->u, A_IOTLB, 8) &
                        (FIELD_MASK(IOTLB, IVT) | FIELD_MASK(IOTLB, IAIG)), ==,
                    0);
}

/* ---- 9: tables ---- */

/* An illegal entry is none: the host has nothing, a request finds a fault. */
static void break_entry(Driver *d)
{
    static const struct {
        unsigned word;
        uint64_t bits;
        VtdReason reason;
    } bad[] = {
        { 0, BIT(5), VTD_FR_PASID_RSVD }, { 0, BIT(10), VTD_FR_PASID_RSVD },
        { 1, BIT(16), VTD_FR_PASID_RSVD }, { 2, BIT(1), VTD_FR_PASID_RSVD },
        { 2, BIT(0), VTD_FR_PASID_RSVD }, { 5, BIT(0), VTD_FR_PASID_RSVD },
        { 0, BIT(7), VTD_FR_PASID_INVALID },    /* PGTT 3 */
        { 2, BIT(2), VTD_FR_PASID_INVALID },    /* five levels */
        { 0, BIT(0), VTD_FR_PASID_P },          /* taken away */
    };
    unsigned which = driver_below(d, G_N_ELEMENTS(bad));
    FuzzSlot *slot = slot_with(d, driver_below(d, 2));
    uint64_t gpa = vtd_pasid_gpa(d, slot, 1) + UINT64_C(8) * bad[which].word;
    uint64_t word;
    DriverGroup *group;

    vtd_set_pasid(d, slot, 1, PGTT_FIRST);
    word = fuzz_load(d->u, gpa) ^ bad[which].bits;
    fuzz_store(d->u, gpa, &word, 1);
    vtd_invalidate_pasids(d);
    fuzz_turn(d->u);
    if (slot->vfio) {
        driver_ended(d, slot, 1, PAGE_RESPONSE_INVALID);
    }
    group = driver_request(d, slot, 1, 2);
    if (slot->vfio) {
        g_assert_null(group);
    }
    assert_fault(d, group, bad[which].reason);
}

/* Not invalidated: the host goes on by the old entry, the unit sees the new. */
static void break_stale_entry(Driver *d)
{
    const uint64_t none[8] = { 0 };
    FuzzSlot *slot = slot_with(d, false);
    DriverGroup *group;

    vtd_set_pasid(d, slot, 1, PGTT_FIRST);
    fuzz_store(d->u, vtd_pasid_gpa(d, slot, 1), none, 8);
    group = driver_request(d, slot, 1, 2);
    assert_fault(d, group, VTD_FR_PASID_P);
    vtd_invalidate_pasids(d);
    g_assert_null(driver_request(d, slot, 1, 2));
}

static void break_context(Driver *d)
{
    static const struct {
        uint64_t bits;
        VtdReason reason;
    } bad[] = {
        { 0x01, VTD_FR_CONTEXT_P }, { 0x10, VTD_FR_PRE },
        { 0x08, VTD_FR_PASIDE }, { 0x04, VTD_FR_CONTEXT_INVALID },
        { 0x20, VTD_FR_CONTEXT_RSVD }, { 0x40, VTD_FR_CONTEXT_RSVD },
    };
    unsigned which = driver_below(d, G_N_ELEMENTS(bad));
    FuzzSlot *slot = slot_with(d, true);
    uint64_t gpa = vtd_context_gpa(slot);
    uint64_t word;

    vtd_set_pasid(d, slot, 1, PGTT_FIRST);
    word = fuzz_load(d->u, gpa) ^ bad[which].bits;
    fuzz_store(d->u, gpa, &word, 1);
    vtd_put(d, SCALABLE_DESC(VTD_DESC_CONTEXT_CACHE, CONTEXT_G_DEVICE) |
                   (uint64_t)slot->id << 32, 0);
    vtd_wait(d, 0);
    assert_fault(d, driver_request(d, slot, 1, 2), bad[which].reason);
}

/* ---- 7.4: the page request queue ---- */

static void break_prq_base(Driver *d)
{
    DriverGroup *group;

    vtd_enable_prq(d, GUEST_NOWHERE);
    group = ask(d, slot_with(d, driver_below(d, 2)), 1);
    fuzz_turn(d->u);
    if (group) {
        driver_answered(d, group, PAGE_RESPONSE_INVALID);
        g_assert_cmphex(vtd_read(d, A_PQT), ==, 0);
    }
}

/* A head behind the tail: full until it is right again, and nothing is lost. */
static void break_prq_head(Driver *d)
{
    FuzzSlot *slot = slot_with(d, driver_below(d, 2));
    uint32_t tail;
    DriverGroup *group;

    vtd_set_pasid(d, slot, 1, PGTT_FIRST);
    tail = vtd_read(d, A_PQT);
    fuzz_write(d->u, A_PQH, 8, tail + VTD_ENTRY_BYTES);
    group = driver_request(d, slot, 1, 2);
    fuzz_turn(d->u);
    g_assert_cmphex(vtd_read(d, A_PQT), ==, tail);
    fuzz_write(d->u, A_PQH, 8, tail);
    d->ops->drain(d);
    driver_all_shown(d);
    g_assert_true(!group || group->state == GROUP_SHOWN);
}

void (*const vtd_breaks[VTD_BREAKS])(Driver *) = {
    break_descriptor, break_tail_range, break_tail_alignment, break_iq_base,
    break_width, break_queue_off, break_disable, break_status, break_response,
    break_response_twice, break_read_only, break_access,
    break_register_invalidation, break_entry, break_stale_entry, break_context,
    break_prq_base, break_prq_head,
};
