/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Registers of VT-d that act (D51397-018, 11.4): GCMD and GSTS, RTADDR, the
 * register-based invalidations; reset.
 */
#include "vtd-fixture.h"

#define TE FIELD_MASK(GCMD, TE)
#define SRTP FIELD_MASK(GCMD, SRTP)
#define QIE FIELD_MASK(GCMD, QIE)
#define IRE FIELD_MASK(GCMD, IRE)
#define SIRTP FIELD_MASK(GCMD, SIRTP)
#define CFI FIELD_MASK(GCMD, CFI)
#define WBF FIELD_MASK(GCMD, WBF)

static VtdFixture *f;

static void setup(void)
{
    f = vtd_fixture_new(NULL, false);
}

static void teardown(void)
{
    vtd_fixture_free(f);
}

static uint32_t gsts(void)
{
    return vtd_guest_read32(f, A_GSTS);
}

static uint64_t root(void)
{
    return atomic_load(&vtd_fixture_vtd(f)->root);
}

/* ---- The order in which Linux programs the unit ---- */

static void test_init_sequence(void)
{
    vtd_guest_make_tables(f);
    vtd_guest_enable_iq(f, 1, true);
    g_assert_cmphex(gsts(), ==, QIE);
    vtd_guest_set_root(f, TTM_SCALABLE);
    g_assert_cmphex(gsts(), ==, QIE | SRTP);
    vtd_guest_enable_prq(f, 4);
    vtd_guest_enable_faults(f);
    vtd_guest_command(f, TE, true);
    g_assert_cmphex(gsts(), ==, TE | SRTP | QIE);
    g_assert_cmphex(root(), ==, VTD_GUEST_ROOT | TTM_SCALABLE << 10 | 1);
    /* The unmasked events have nothing to tell. */
    g_assert_cmpuint(f->irq.messages, ==, 0);
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, 0);
    g_assert_cmpuint(viommu_get_page_stats(f->viommu).queue_size, ==, 2047);
    /* Software may write PQT. */
    vtd_guest_write64(f, A_PQT, 0x20);
    g_assert_cmphex(vtd_guest_read64(f, A_PQT), ==, 0x20);
}

/* Hot-added units: queue, page requests, interrupt, root, TE. */
static void test_hot_add_sequence(void)
{
    vtd_guest_make_tables(f);
    vtd_guest_enable_iq(f, 1, true);
    vtd_guest_enable_prq(f, 4);
    vtd_guest_enable_faults(f);
    vtd_guest_set_root(f, TTM_SCALABLE);
    vtd_guest_command(f, TE, true);
    g_assert_cmphex(gsts(), ==, TE | SRTP | QIE);
}

/* Linux takes a queue that firmware left on: it waits, and switches it off. */
static void test_queue_that_firmware_left_on(void)
{
    vtd_guest_enable_iq(f, 0, false);
    for (unsigned i = 0; i < 3; i++) {
        vtd_guest_submit(f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    }
    g_assert_cmphex(vtd_guest_read32(f, A_IQH), ==,
                    vtd_guest_read32(f, A_IQT));
    vtd_guest_command(f, QIE, false);
    vtd_guest_start(f, 4);
    g_assert_cmphex(gsts(), ==, TE | SRTP | QIE);
}

/* ---- GCMD ---- */

static void test_root_table_is_latched_by_SRTP(void)
{
    vtd_guest_write64(f, A_RTADDR, VTD_GUEST_ROOT | TTM_SCALABLE << 10);
    g_assert_cmphex(root(), ==, 0);
    vtd_guest_command(f, SRTP, true);
    g_assert_cmphex(root(), ==, VTD_GUEST_ROOT | TTM_SCALABLE << 10);
    vtd_guest_write64(f, A_RTADDR, GUEST_RAM | TTM_ABORT << 10);
    g_assert_cmphex(root(), ==, VTD_GUEST_ROOT | TTM_SCALABLE << 10);
    vtd_guest_command(f, SRTP, true);
    g_assert_cmphex(root(), ==, GUEST_RAM | TTM_ABORT << 10);
    /* Bits of RTADDR that are reserved do not become TES. */
    vtd_guest_write64(f, A_RTADDR, UINT64_MAX);
    vtd_guest_command(f, SRTP, true);
    g_assert_cmphex(root(), ==, 0xfffffffffffffc00);
}

static void test_TE_and_root_table_are_independent(void)
{
    vtd_guest_command(f, TE, true);
    g_assert_cmphex(root(), ==, 1);
    vtd_guest_write64(f, A_RTADDR, VTD_GUEST_ROOT);
    vtd_guest_command(f, SRTP, true);
    g_assert_cmphex(root(), ==, VTD_GUEST_ROOT | 1);
    g_assert_cmphex(gsts(), ==, TE | SRTP);
    vtd_guest_command(f, TE, false);
    g_assert_cmphex(root(), ==, VTD_GUEST_ROOT);
    g_assert_cmphex(gsts(), ==, SRTP);
}

/* Without interrupt remapping, write buffer flushing and advanced logging. */
static void test_commands_of_absent_features_do_nothing(void)
{
    static const uint32_t bits[] = { IRE, CFI, WBF, BIT(28), BIT(29), BIT(0) };

    vtd_guest_start(f, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
        vtd_guest_write32(f, A_GCMD, TE | QIE | bits[i]);
        g_assert_cmphex(gsts(), ==, TE | SRTP | QIE);
    }
}

static void test_SIRTP_completes(void)
{
    vtd_guest_write64(f, A_IRTA, GUEST_RAM | 0xf);
    vtd_guest_command(f, SIRTP, true);
    g_assert_cmphex(gsts(), ==, SIRTP);
    vtd_guest_command(f, SIRTP, true);
    g_assert_cmphex(gsts(), ==, SIRTP);
}

/* One-shots leave the level bits as they are written, which is as they were. */
static void test_one_shots_keep_level_bits(void)
{
    vtd_guest_start(f, 0);
    vtd_guest_write32(f, A_GCMD, SRTP | TE | QIE);
    g_assert_cmphex(gsts(), ==, TE | SRTP | QIE);
    g_assert_cmphex(root() & 1, ==, 1);
}

/* Undefined, but not harmful: all bits at once, and none. */
static void test_several_changes_at_once(void)
{
    vtd_guest_write32(f, A_GCMD, UINT32_MAX);
    g_assert_cmphex(gsts(), ==, TE | SRTP | QIE | SIRTP);
    vtd_guest_write32(f, A_GCMD, 0);
    g_assert_cmphex(gsts(), ==, SRTP | SIRTP);
}

/* ---- QIE ---- */

static void test_QIE_off_when_drained_clears_IQH(void)
{
    vtd_guest_start(f, 0);
    vtd_guest_submit(f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, 0x40);
    vtd_guest_command(f, QIE, false);
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, 0);
    g_assert_cmphex(vtd_guest_read64(f, A_IQT), ==, 0x40);
    vtd_guest_enable_iq(f, 1, true);
    vtd_guest_submit(f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, 0x40);
}

static void test_QIE_off_is_refused_while_not_drained(void)
{
    message_log_start();
    vtd_guest_start(f, 0);
    vtd_guest_put(f, 0xf, 0);   /* no such type */
    vtd_guest_kick(f);
    vtd_guest_write32(f, A_GCMD, TE);
    g_assert_cmphex(gsts(), ==, TE | SRTP | QIE);
    vtd_guest_write32(f, A_GCMD, TE);
    g_assert_cmpuint(message_log_matching("is not drained: refused"), ==, 1);
    g_assert_cmphex(vtd_guest_read64(f, A_IQT), ==, 0x20);
    /* Drained: the bad one made good, and the error cleared. */
    vtd_guest_store(f, VTD_GUEST_IQ, VTD_DESC_WAIT);
    vtd_guest_write32(f, A_FSTS, FIELD_MASK(FSTS, IQE));
    vtd_guest_command(f, QIE, false);
}

/* Some guests do so: fetching begins when QIES becomes 1. */
static void test_IQT_before_QIE(void)
{
    f->iq_wide = true;
    f->iq_qs = 1;
    vtd_guest_put(f, VTD_DESC_WAIT, 0);
    vtd_guest_put_wait(f, 0);
    vtd_guest_write64(f, A_IQA, VTD_GUEST_IQ | 0x801);
    vtd_guest_kick(f);
    g_assert_cmphex(vtd_guest_read64(f, A_IQT), ==, 0x40);
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, 0);
    g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_IN_USE);
    vtd_guest_command(f, QIE, true);
    g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_DONE);
    g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, 0x40);
}

static void test_IQT_without_QIE_starts_nothing(void)
{
    vtd_guest_start(f, 0);
    vtd_guest_command(f, QIE, false);
    vtd_guest_put_wait(f, 0);
    vtd_guest_kick(f);
    g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_IN_USE);
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, 0);
}

/* ---- Register-based invalidation ---- */

static const struct {
    uint64_t offset;
    unsigned request;           /* shift of CIRG or IIRG */
    unsigned done;              /* shift of CAIG or IAIG */
} by_register[] = {
    { A_CCMD, 61, 59 },
    { A_IOTLB, 60, 57 },
};

static void assert_invalidation(unsigned ttm, bool done)
{
    vtd_guest_set_root(f, ttm);
    for (size_t i = 0; i < G_N_ELEMENTS(by_register); i++) {
        for (uint64_t g = 1; g <= 3; g++) {
            uint64_t offset = by_register[i].offset;
            uint64_t request = g << by_register[i].request;

            vtd_guest_write64(f, offset, BIT(63) | request);
            g_assert_cmphex(vtd_guest_read64(f, offset), ==,
                            request |
                                (done ? g << by_register[i].done : 0));
        }
    }
}

static void test_register_invalidation_is_ignored_in_scalable_mode(void)
{
    assert_invalidation(TTM_SCALABLE, false);
    assert_invalidation(TTM_RESERVED, false);
    assert_invalidation(TTM_ABORT, false);
}

static void test_register_invalidation_completes_in_legacy_mode(void)
{
    assert_invalidation(TTM_LEGACY, true);
}

static void test_register_invalidation_needs_its_command_bit(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(by_register); i++) {
        uint64_t offset = by_register[i].offset;

        vtd_guest_write64(f, offset, UINT64_C(1) << by_register[i].request);
        g_assert_cmphex(vtd_guest_read64(f, offset), ==,
                        UINT64_C(1) << by_register[i].request);
    }
}

/* ---- Reset ---- */

static void test_reset_restores_everything(void)
{
    uint32_t words[VTD_REG_WORDS];

    for (unsigned i = 0; i < VTD_REG_WORDS; i++) {
        words[i] = vtd_guest_read32(f, 4 * i);
    }
    vtd_guest_start(f, 3);
    vtd_guest_submit(f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    vtd_guest_write64(f, A_PQT, 0x40);
    vtd_guest_write64(f, A_IRTA, UINT64_MAX);
    vtd_guest_write64(f, A_IOTLB, UINT64_MAX);
    vtd_guest_write64(f, A_CCMD, UINT64_MAX);
    viommu_reset(f->viommu);
    for (unsigned i = 0; i < VTD_REG_WORDS; i++) {
        g_assert_cmphex(vtd_guest_read32(f, 4 * i), ==, words[i]);
    }
    g_assert_cmphex(root(), ==, 0);
}

/* In error, in overflow, with events pending and masked: all of it goes. */
static void test_reset_in_the_middle(void)
{
    Vtd *v = vtd_fixture_vtd(f);

    message_log_start();
    vtd_guest_start(f, 0);
    for (unsigned round = 0; round < 3; round++) {
        vtd_guest_write32(f, A_FECTL, FIELD_MASK(ECTL, IM));
        vtd_guest_write32(f, A_PECTL, FIELD_MASK(ECTL, IM));
        vtd_guest_put(f, VTD_DESC_WAIT | FIELD_MASK(WAIT_DESC0, IF), 0);
        vtd_guest_put(f, 0xf, 0);
        vtd_guest_put_wait(f, 0);
        vtd_guest_kick(f);
        lock_acquire(&v->parent.ring_lock);
        for (unsigned i = 0; i <= VTD_FRCD_COUNT; i++) {
            vtd_record_fault(v, &(VtdFault){ .reason = VTD_FR_ROOT_P });
        }
        vtd_event_set(v, VTD_EVENT_PAGE_REQUEST, 3);
        lock_release(&v->parent.ring_lock);
        g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, 0x13);

        viommu_reset(f->viommu);
        g_assert_cmphex(gsts(), ==, 0);
        g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, 0);
        g_assert_cmphex(vtd_guest_read32(f, A_ICS), ==, 0);
        g_assert_cmphex(vtd_guest_read32(f, A_PRS), ==, 0);
        g_assert_cmphex(vtd_guest_read64(f, A_IQH), ==, 0);
        g_assert_cmpuint(vtd_guest_status(f), ==, VTD_GUEST_IN_USE);
        vtd_guest_start(f, 0);
        vtd_guest_submit(f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    }
    g_assert_cmpuint(f->irq.messages, ==, 0);
}

static void test_reset_twice_and_before_use(void)
{
    viommu_reset(f->viommu);
    viommu_reset(f->viommu);
    vtd_guest_start(f, 0);
    g_assert_cmphex(gsts(), ==, TE | SRTP | QIE);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_init_sequence, "init-sequence" },
        { test_hot_add_sequence, "hot-add-sequence" },
        { test_queue_that_firmware_left_on, "queue-that-firmware-left-on" },
        { test_root_table_is_latched_by_SRTP, "root-table-is-latched-by-SRTP" },
        { test_TE_and_root_table_are_independent,
          "TE-and-root-table-are-independent" },
        { test_commands_of_absent_features_do_nothing,
          "commands-of-absent-features-do-nothing" },
        { test_SIRTP_completes, "SIRTP-completes" },
        { test_one_shots_keep_level_bits, "one-shots-keep-level-bits" },
        { test_several_changes_at_once, "several-changes-at-once" },
        { test_QIE_off_when_drained_clears_IQH,
          "QIE-off-when-drained-clears-IQH" },
        { test_QIE_off_is_refused_while_not_drained,
          "QIE-off-is-refused-while-not-drained" },
        { test_IQT_before_QIE, "IQT-before-QIE" },
        { test_IQT_without_QIE_starts_nothing,
          "IQT-without-QIE-starts-nothing" },
        { test_register_invalidation_is_ignored_in_scalable_mode,
          "register-invalidation-is-ignored-in-scalable-mode" },
        { test_register_invalidation_completes_in_legacy_mode,
          "register-invalidation-completes-in-legacy-mode" },
        { test_register_invalidation_needs_its_command_bit,
          "register-invalidation-needs-its-command-bit" },
        { test_reset_restores_everything, "reset-restores-everything" },
        { test_reset_in_the_middle, "reset-in-the-middle" },
        { test_reset_twice_and_before_use, "reset-twice-and-before-use" },
    };

    return fixture_main(argc, argv, "/vtd/control", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
