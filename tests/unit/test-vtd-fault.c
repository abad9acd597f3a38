/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Primary fault logging (D51397-018, 7.2): records, their overflow, recovery
 * as Linux's fault handler does it.
 */
#include "vtd-fixture.h"

#define NO_PASID PAGE_REQUEST_NO_PASID
#define F_BIT UINT32_C(0x80000000)

static VtdFixture *f;

static void setup(void)
{
    f = vtd_fixture_new(NULL, false);
    vtd_guest_start(f, 0);
}

static void teardown(void)
{
    vtd_fixture_free(f);
}

static void record(const VtdFault *fault)
{
    Vtd *v = vtd_fixture_vtd(f);

    lock_acquire(&v->parent.ring_lock);
    vtd_record_fault(v, fault);
    lock_release(&v->parent.ring_lock);
}

/* @count faults, told apart by their addresses, from @first on. */
static void record_some(unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        record(&(VtdFault){ .reason = VTD_FR_CONTEXT_P, .rid = 0x10,
                            .pasid = NO_PASID,
                            .addr = (uint64_t)(first + i) << 12 });
    }
}

static uint32_t frcd(unsigned index, unsigned word)
{
    return vtd_guest_read32(f, A_FRCD + 16 * index + 4 * word);
}

static uint32_t fsts(void)
{
    return vtd_guest_read32(f, A_FSTS);
}

static unsigned fri(void)
{
    return FIELD_GET(fsts(), FSTS, FRI);
}

static void clear_f(unsigned index)
{
    vtd_guest_write32(f, A_FRCD + 16 * index + 12, F_BIT);
}

/* Of all records at once: the number that software reads in FI. */
static void assert_record(unsigned index, unsigned number)
{
    g_assert_cmphex(frcd(index, 3) & F_BIT, ==, F_BIT);
    g_assert_cmphex(vtd_guest_read64(f, A_FRCD + 16 * index), ==,
                    (uint64_t)number << 12);
}

/* ---- What a record says ---- */

static const struct {
    VtdFault fault;
    uint32_t words[4];
} layouts[] = {
    /* A page request has T1,T2 = 0,1; PP and PV if it has a PASID. */
    { { VTD_FR_PRE, VTD_ACCESS_PAGE_REQUEST, 0x1234, 0xabcde,
        .addr = 0x123456789abcdfff },
      { 0x9abcd000, 0x12345678, 0x90001234, 0x8abcde47 } },
    { { VTD_FR_PRE, VTD_ACCESS_PAGE_REQUEST, 0x1234, NO_PASID,
        .addr = 0x1000 },
      { 0x1000, 0, 0x10001234, 0x80000047 } },
    { { VTD_FR_PASID_P, VTD_ACCESS_WRITE, 0xffff, 0, .addr = UINT64_MAX },
      { 0xfffff000, 0xffffffff, 0x8000ffff, 0x80000059 } },
    { { VTD_FR_DIR_RSVD, VTD_ACCESS_READ, 0, 0xfffff, .addr = 0 },
      { 0, 0, 0x80000000, 0xcfffff52 } },
    { { VTD_FR_ROOT_P, VTD_ACCESS_ATOMIC, 1, NO_PASID, .addr = 0 },
      { 0, 0, 0x10000001, 0xc0000039 } },
    { { VTD_FR_PASID_RSVD, VTD_ACCESS_READ, 1, 7, .exec = true },
      { 0, 0, 0xc0000001, 0xc000075a } },
    { { VTD_FR_PASID_RSVD, VTD_ACCESS_READ, 1, 7, .priv = true },
      { 0, 0, 0xa0000001, 0xc000075a } },
    /* EXE and PRIV go with a PASID. */
    { { VTD_FR_PASID_RSVD, VTD_ACCESS_READ, 1, NO_PASID,
        .exec = true, .priv = true },
      { 0, 0, 0x00000001, 0xc000005a } },
};

static void test_layout(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++) {
        unsigned index = i % VTD_FRCD_COUNT;

        record(&layouts[i].fault);
        for (unsigned w = 0; w < 4; w++) {
            g_assert_cmphex(frcd(index, w), ==, layouts[i].words[w]);
        }
        clear_f(index);
    }
}

static void test_qword_reads(void)
{
    record(&layouts[0].fault);
    g_assert_cmphex(vtd_guest_read64(f, A_FRCD), ==, 0x123456789abcd000);
    g_assert_cmphex(vtd_guest_read64(f, A_FRCD + 8), ==, 0x8abcde4790001234);
}

/* ---- Recording ---- */

static void test_first_fault_sets_PPF_and_FRI_and_sends_one_message(void)
{
    record_some(1, 1);
    g_assert_cmphex(fsts(), ==, FIELD_MASK(FSTS, PPF));
    g_assert_cmpuint(f->irq.messages, ==, 1);
    g_assert_cmphex(f->irq.last_data, ==, VTD_GUEST_FAULT_DATA);
    record_some(2, 3);
    g_assert_cmphex(fsts(), ==, FIELD_MASK(FSTS, PPF));
    g_assert_cmpuint(f->irq.messages, ==, 1);
    for (unsigned i = 0; i < 4; i++) {
        assert_record(i, i + 1);
    }
}

static void test_FRI_is_the_first_after_PPF_was_clear(void)
{
    record_some(1, 2);
    clear_f(0);
    /* Record 1 is pending still: FRI stays. */
    g_assert_cmphex(fsts(), ==, FIELD_MASK(FSTS, PPF));
    clear_f(1);
    g_assert_cmphex(fsts() & FIELD_MASK(FSTS, PPF), ==, 0);
    record_some(3, 2);
    g_assert_cmpuint(fri(), ==, 2);
    g_assert_cmpuint(f->irq.messages, ==, 2);
    assert_record(2, 3);
    assert_record(3, 4);
}

static void test_PPF_clears_with_the_last_F_without_a_write_to_FSTS(void)
{
    record_some(1, 3);
    clear_f(1);
    clear_f(0);
    g_assert_true(FIELD_GET(fsts(), FSTS, PPF));
    clear_f(2);
    g_assert_false(FIELD_GET(fsts(), FSTS, PPF));
}

static void test_writing_PPF_has_no_effect(void)
{
    record_some(1, 1);
    vtd_guest_write32(f, A_FSTS, UINT32_MAX);
    g_assert_cmphex(fsts(), ==, FIELD_MASK(FSTS, PPF));
    assert_record(0, 1);
}

/* Only F, only by writing 1, in either size of access. */
static void test_only_F_of_a_record_can_be_written(void)
{
    record_some(1, 2);
    for (unsigned w = 0; w < 4; w++) {
        uint32_t before = frcd(0, w);

        vtd_guest_write32(f, A_FRCD + 4 * w, ~before & ~F_BIT);
        g_assert_cmphex(frcd(0, w), ==, before);
    }
    vtd_guest_write64(f, A_FRCD, UINT64_MAX);
    assert_record(0, 1);
    vtd_guest_write64(f, A_FRCD + 8, UINT64_MAX);
    g_assert_cmphex(frcd(0, 3), ==, VTD_FR_CONTEXT_P);
    g_assert_cmphex(frcd(0, 2), ==, 0x10);
    assert_record(1, 2);
    /* What is clear already stays so. */
    clear_f(0);
    g_assert_true(FIELD_GET(fsts(), FSTS, PPF));
}

static void test_FPD_suppresses_qualified_faults_only(void)
{
    static const struct {
        VtdReason reason;
        bool qualified;
    } reasons[] = {
        { VTD_FR_RTADDR, false }, { VTD_FR_PASID_LEGACY, false },
        { VTD_FR_PAGE_REQUEST_LEGACY, false }, { VTD_FR_ABORT_DMA, false },
        { VTD_FR_ROOT_ACCESS, false }, { VTD_FR_ROOT_P, false },
        { VTD_FR_ROOT_RSVD, false }, { VTD_FR_CONTEXT_ACCESS, false },
        { VTD_FR_CONTEXT_P, true }, { VTD_FR_CONTEXT_RSVD, true },
        { VTD_FR_CONTEXT_INVALID, true }, { VTD_FR_DTE, true },
        { VTD_FR_PASIDE, true }, { VTD_FR_PASID_RANGE, true },
        { VTD_FR_PRE, true }, { VTD_FR_PASID_IS_RID_PASID, true },
        { VTD_FR_DIR_ACCESS, false }, { VTD_FR_DIR_P, true },
        { VTD_FR_DIR_RSVD, true }, { VTD_FR_PASID_ACCESS, false },
        { VTD_FR_PASID_P, true }, { VTD_FR_PASID_RSVD, true },
        { VTD_FR_PASID_INVALID, true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++) {
        VtdFault fault = { .reason = reasons[i].reason, .pasid = NO_PASID };
        bool recorded;

        viommu_reset(f->viommu);
        fault.fpd = true;
        record(&fault);
        recorded = FIELD_GET(fsts(), FSTS, PPF);
        g_assert_cmpint(recorded, ==, !reasons[i].qualified);
        fault.fpd = false;
        record(&fault);
        g_assert_true(FIELD_GET(fsts(), FSTS, PPF));
        g_assert_cmphex(frcd(0, 3), ==, F_BIT | reasons[i].reason);
    }
}

/* ---- Overflow ---- */

static void test_overflow_sets_PFO_once_and_keeps_the_records(void)
{
    record_some(1, VTD_FRCD_COUNT);
    g_assert_false(FIELD_GET(fsts(), FSTS, PFO));
    record_some(100, 5);
    g_assert_cmphex(fsts(), ==,
                    FIELD_MASK(FSTS, PPF) | FIELD_MASK(FSTS, PFO));
    g_assert_cmpuint(f->irq.messages, ==, 1);
    for (unsigned i = 0; i < VTD_FRCD_COUNT; i++) {
        assert_record(i, i + 1);
    }
}

static void test_nothing_is_recorded_until_PFO_is_cleared(void)
{
    record_some(1, VTD_FRCD_COUNT + 1);
    for (unsigned i = 0; i < VTD_FRCD_COUNT; i++) {
        clear_f(i);
    }
    g_assert_cmphex(fsts(), ==, FIELD_MASK(FSTS, PFO));
    record_some(100, 3);
    g_assert_cmphex(fsts(), ==, FIELD_MASK(FSTS, PFO));
    vtd_guest_write32(f, A_FSTS, FIELD_MASK(FSTS, PFO));
    g_assert_cmphex(fsts(), ==, 0);
    record_some(200, 1);
    assert_record(0, 200);
    g_assert_cmpuint(f->irq.messages, ==, 2);
}

/* The index goes on where it stood: a freed slot elsewhere does not help. */
static void test_index_continues_after_an_overflow(void)
{
    record_some(1, 3);
    for (unsigned i = 0; i < 3; i++) {
        clear_f(i);
    }
    record_some(4, VTD_FRCD_COUNT + 1);
    g_assert_cmpuint(fri(), ==, 3);
    g_assert_true(FIELD_GET(fsts(), FSTS, PFO));
    assert_record(3, 4);
    assert_record(2, 3 + VTD_FRCD_COUNT);
    clear_f(7);
    vtd_guest_write32(f, A_FSTS, FIELD_MASK(FSTS, PFO));
    record_some(100, 1);
    g_assert_true(FIELD_GET(fsts(), FSTS, PFO));
    clear_f(3);
    vtd_guest_write32(f, A_FSTS, FIELD_MASK(FSTS, PFO));
    record_some(200, 1);
    assert_record(3, 200);
    g_assert_false(FIELD_GET(fsts(), FSTS, PFO));
}

/* Linux's dmar_fault(): from FRI while F, then FSTS = 0x83. */
static unsigned handle_faults(unsigned *first)
{
    unsigned count = 0;
    unsigned index;

    if (!FIELD_GET(fsts(), FSTS, PPF)) {
        vtd_guest_write32(f, A_FSTS, 0x83);
        return 0;
    }
    index = fri();
    *first = vtd_guest_read64(f, A_FRCD + 16 * index) >> 12;
    while (frcd(index, 3) & F_BIT) {
        g_assert_cmphex(vtd_guest_read64(f, A_FRCD + 16 * index) >> 12, ==,
                        *first + count);
        clear_f(index);
        index = (index + 1) % VTD_FRCD_COUNT;
        count++;
    }
    vtd_guest_write32(f, A_FSTS, 0x83);
    return count;
}

static void test_linux_fault_handler_sees_all_records_in_order(void)
{
    unsigned next = 1;

    for (unsigned burst = 1; burst <= VTD_FRCD_COUNT + 3; burst++) {
        unsigned kept = MIN(burst, VTD_FRCD_COUNT);
        unsigned first = 0;

        record_some(next, burst);
        g_assert_cmpuint(handle_faults(&first), ==, kept);
        g_assert_cmpuint(first, ==, next);
        g_assert_cmphex(fsts() & ~FIELD_MASK(FSTS, FRI), ==, 0);
        g_assert_cmpuint(f->irq.messages, ==, burst);
        next += burst;
    }
}

/* ---- The index goes back to 0 ---- */

static void test_index_resets_with_TE(void)
{
    record_some(1, 3);
    for (unsigned i = 0; i < 3; i++) {
        clear_f(i);
    }
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), false);
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), true);
    record_some(10, 1);
    assert_record(0, 10);
    g_assert_cmpuint(fri(), ==, 0);
}

static void test_reset_clears_records(void)
{
    record_some(1, VTD_FRCD_COUNT + 1);
    viommu_reset(f->viommu);
    g_assert_cmphex(fsts(), ==, 0);
    for (unsigned i = 0; i < 4 * VTD_FRCD_COUNT; i++) {
        g_assert_cmphex(frcd(0, i), ==, 0);
    }
    record_some(20, 1);
    assert_record(0, 20);
}

static bool fields_first;

static void look_at_record(void *opaque)
{
    const Vtd *v = vtd_fixture_vtd(f);

    fields_first = v->reg[R_FRCD] == 0x1000 &&
                   v->reg[R_FRCD + 3] == (F_BIT | VTD_FR_CONTEXT_P) &&
                   FIELD_GET(v->reg[R_FSTS], FSTS, PPF);
}

static void test_record_is_complete_before_the_message(void)
{
    f->irq.raised = look_at_record;
    record_some(1, 1);
    g_assert_true(fields_first);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_layout, "layout" },
        { test_qword_reads, "qword-reads" },
        { test_first_fault_sets_PPF_and_FRI_and_sends_one_message,
          "first-fault-sets-PPF-and-FRI-and-sends-one-message" },
        { test_FRI_is_the_first_after_PPF_was_clear,
          "FRI-is-the-first-after-PPF-was-clear" },
        { test_PPF_clears_with_the_last_F_without_a_write_to_FSTS,
          "PPF-clears-with-the-last-F-without-a-write-to-FSTS" },
        { test_writing_PPF_has_no_effect, "writing-PPF-has-no-effect" },
        { test_only_F_of_a_record_can_be_written,
          "only-F-of-a-record-can-be-written" },
        { test_FPD_suppresses_qualified_faults_only,
          "FPD-suppresses-qualified-faults-only" },
        { test_overflow_sets_PFO_once_and_keeps_the_records,
          "overflow-sets-PFO-once-and-keeps-the-records" },
        { test_nothing_is_recorded_until_PFO_is_cleared,
          "nothing-is-recorded-until-PFO-is-cleared" },
        { test_index_continues_after_an_overflow,
          "index-continues-after-an-overflow" },
        { test_linux_fault_handler_sees_all_records_in_order,
          "linux-fault-handler-sees-all-records-in-order" },
        { test_index_resets_with_TE, "index-resets-with-TE" },
        { test_reset_clears_records, "reset-clears-records" },
        { test_record_is_complete_before_the_message,
          "record-is-complete-before-the-message" },
    };

    return fixture_main(argc, argv, "/vtd/fault", tests, G_N_ELEMENTS(tests),
                        setup, teardown);
}
