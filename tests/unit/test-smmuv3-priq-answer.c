/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests that are not written: the queue is off, has overflowed or was
 * aborted, and the SMMU answers (IHI 0070 G.b, 8.1).
 */
#include "priq-fixture.h"

#define SID 0x10
#define LOG2 3

#define STE_V UINT64_C(1)
#define CONFIG(n) ((uint64_t)(n) << 1)
#define PPAR BIT(18)

static Fixture *f;

static void setup_with(bool pps)
{
    Smmuv3Properties props = PRIQ_PROPERTIES;

    props.pps = pps;
    f = fixture_new(&props, false);
    message_log_start();
    guest_start_priq(f, 4, 4, LOG2);
}

static void setup(void)
{
    setup_with(false);
}

static void teardown(void)
{
    fixture_free(f);
}

static uint32_t prod(void)
{
    return guest_read(f, A_PRIQ_PROD);
}

static uint32_t active(void)
{
    return guest_read(f, A_GERROR) ^ guest_read(f, A_GERRORN);
}

static uint64_t overflows(void)
{
    return counter_get(&f->viommu->page_counters.overflows);
}

/* A group that never fits. */
static void overflow(void)
{
    PageGroup group = priq_deliver_one(f, SID, 9);

    priq_assert_answered(&group, PAGE_RESPONSE_SUCCESS);
    g_assert_true(priq_overflow_is_active(f));
}

static void fill(unsigned count)
{
    while (count-- > 0) {
        PageGroup group = priq_deliver_one(f, SID, 1);

        priq_assert_written(&group);
    }
}

/* With and without PASID, of one page and more; and a Stop Marker. */
static void assert_all_answered(uint32_t code)
{
    uint32_t before = prod();
    PageGroup groups[] = {
        priq_group(SID, 5, 0, 1),
        priq_group(SID, NO_PASID, 0, 1),
        priq_group(SID, 5, 1, 4),
        priq_stop_marker(SID, 5),
        priq_group(SID, NO_PASID, 1, 4),
    };

    g_assert_cmpuint(priq_deliver(f, groups, G_N_ELEMENTS(groups)), ==,
                     PAGE_ROOM_UNLIMITED);
    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++) {
        if (groups[i].stop_marker) {
            g_assert_cmpint(groups[i].outcome, ==, PAGE_SILENT);
        } else {
            priq_assert_answered(&groups[i], code);
        }
    }
    g_assert_cmphex(prod(), ==, before);
}

static void test_PRIQEN_0_is_answered_0xF(void)
{
    fill(2);
    guest_disable_priq(f);
    assert_all_answered(0xf);
    g_assert_cmpuint(overflows(), ==, 0);
    /* What is in the queue stays there. */
    guest_write(f, A_CR0, 0x1f);
    g_assert_cmpuint(priq_consume_all(f), ==, 2);
    fill(1);
}

static void test_SMMUEN_0_is_answered_0xF(void)
{
    guest_write(f, A_CR0, 0x1e);
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, 0x1e);
    assert_all_answered(0xf);
    guest_write(f, A_CR0, 0x1f);
    fill(1);
}

static void test_reset_is_answered_0xF(void)
{
    fill(1);
    viommu_reset(f->viommu);
    assert_all_answered(0xf);
    g_assert_cmphex(guest_read(f, A_PRIQ_PROD), ==, 0);
}

/* Off counts for more than an overflow that nobody has acknowledged. */
static void test_off_with_an_overflow_is_answered_0xF(void)
{
    overflow();
    guest_disable_priq(f);
    assert_all_answered(0xf);
    guest_write(f, A_CR0, 0x1f);
    assert_all_answered(0);
}

static void test_ATSCHK_and_EATS_do_not_matter(void)
{
    guest_write(f, A_CR0, 0xf);
    guest_set_ste(f, SID, STE_V | CONFIG(5), 0);
    fill(1);
    guest_set_ste(f, SID, 0, 0);
    fill(1);
}

static void test_overflow_is_answered_Success(void)
{
    overflow();
    assert_all_answered(0);
}

static void test_overflow_blocks_even_with_free_space(void)
{
    fill(3);
    overflow();
    g_assert_cmpuint(priq_consume_all(f), ==, 3);
    for (unsigned i = 0; i < 5; i++) {
        assert_all_answered(0);
    }
    g_assert_cmphex(prod(), ==, PRIQ_OVFLG | 3);
    priq_acknowledge(f);
    fill(8);
    g_assert_cmphex(prod(), ==, PRIQ_OVFLG | 11);
}

static void test_overflow_toggles_once(void)
{
    for (unsigned i = 0; i < 4; i++) {
        overflow();
        g_assert_cmphex(prod(), ==, PRIQ_OVFLG);
    }
    g_assert_cmpuint(overflows(), ==, 1);
}

static void test_overflow_toggles_back_after_the_acknowledgement(void)
{
    for (unsigned i = 1; i < 6; i++) {
        overflow();
        g_assert_cmphex(prod() & PRIQ_OVFLG, ==, i % 2 ? PRIQ_OVFLG : 0);
        priq_acknowledge(f);
        g_assert_cmpuint(overflows(), ==, i);
    }
}

/* One write of CONS moves the index and acknowledges. */
static void test_acknowledgement_with_the_index(void)
{
    fill(8);
    overflow();
    guest_write(f, A_PRIQ_CONS, PRIQ_OVFLG | 8);
    g_assert_false(priq_overflow_is_active(f));
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, 8);
}

static void test_acknowledgement_alone_makes_no_room(void)
{
    fill(8);
    overflow();
    guest_write(f, A_PRIQ_CONS, PRIQ_OVFLG);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, 0);
}

/* Software that acknowledges what never was has an overflow, by 8.1. */
static void test_acknowledgement_of_nothing_is_an_overflow(void)
{
    guest_write(f, A_PRIQ_CONS, PRIQ_OVFLG);
    assert_all_answered(0);
    g_assert_cmpuint(overflows(), ==, 0);
    guest_write(f, A_PRIQ_CONS, 0);
    fill(1);
}

/* None of it is written, of those before it all, and none after it. */
static void test_group_that_never_fits(void)
{
    PageGroup groups[] = {
        priq_group(SID, 5, 0, 2),
        priq_group(SID, 5, 1, 1),
        priq_group(SID, 5, 2, 9),
        priq_group(SID, 5, 3, 1),
        priq_stop_marker(SID, 5),
        priq_group(SID, NO_PASID, 4, 512),
    };

    priq_deliver(f, groups, G_N_ELEMENTS(groups));
    priq_assert_written(&groups[0]);
    priq_assert_written(&groups[1]);
    priq_assert_answered(&groups[2], 0);
    priq_assert_answered(&groups[3], 0);
    g_assert_cmpint(groups[4].outcome, ==, PAGE_SILENT);
    priq_assert_answered(&groups[5], 0);
    g_assert_cmphex(prod(), ==, PRIQ_OVFLG | 3);
    g_assert_cmpuint(overflows(), ==, 1);
    g_assert_cmpuint(priq_consume_all(f), ==, 3);
}

/* What the first of them leaves is not enough for the second. */
static void test_groups_beyond_the_room(void)
{
    PageGroup groups[] = {
        priq_group(SID, 5, 0, 5), priq_group(SID, 5, 1, 5),
        priq_group(SID, 5, 2, 1),
    };

    priq_deliver(f, groups, 3);
    priq_assert_written(&groups[0]);
    priq_assert_answered(&groups[1], 0);
    priq_assert_answered(&groups[2], 0);
    g_assert_cmphex(prod(), ==, PRIQ_OVFLG | 5);
}

/* Software moves CONS back once there was said to be room. */
static void test_room_that_is_gone_is_an_overflow(void)
{
    PageGroup group = priq_group(SID, 5, 0, 4);

    fill(4);
    g_assert_cmpuint(priq_consume_all(f), ==, 4);
    fill(4);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 4), ==, 4);
    guest_write(f, A_PRIQ_CONS, 2);
    smmuv3_priq_deliver(f->viommu, &group, 1);
    priq_assert_answered(&group, 0);
    g_assert_cmphex(prod(), ==, PRIQ_OVFLG | 8);
}

/* Whose PASID is to be kept, the SMMU has to know: with PPS always. */
static const struct {
    const char *what;
    uint32_t sid;
    uint64_t ste[2];
    uint32_t code;
} stes[] = {
    { "bypass", SID, { STE_V | CONFIG(4) }, 0 },
    { "abort", SID, { STE_V | CONFIG(0) }, 0 },
    { "stage 1", SID, { STE_V | CONFIG(5) }, 0 },
    { "stage 1, PPAR", SID, { STE_V | CONFIG(5), PPAR }, 0 },
    { "not valid", SID, { CONFIG(5) }, 0xf },
    { "stage 2, which there is not", SID, { STE_V | CONFIG(6) }, 0xf },
    { "S1STALLD, illegal here", SID, { STE_V | CONFIG(5), BIT(27) }, 0xf },
    { "the last of the table", 255, { STE_V | CONFIG(4) }, 0 },
    { "beyond the table", 256, { STE_V | CONFIG(4) }, 0xf },
    { "beyond 16 bits", 0x10010, { STE_V | CONFIG(4) }, 0xf },
};

static void test_overflow_with_PASID_needs_an_STE(void)
{
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(stes); i++) {
        unsigned n = i / 2;
        bool pps = i % 2;
        PageGroup with = priq_group(stes[n].sid, 5, 0, 9);
        PageGroup without = priq_group(stes[n].sid, NO_PASID, 0, 9);

        g_test_message("%s", stes[n].what);
        teardown();
        setup_with(pps);
        guest_set_ste(f, stes[n].sid & 0xff, stes[n].ste[0], stes[n].ste[1]);
        priq_deliver(f, &with, 1);
        priq_assert_answered(&with, pps ? 0 : stes[n].code);
        priq_deliver(f, &without, 1);
        priq_assert_answered(&without, 0);
    }
}

static void test_overflow_with_a_table_outside_memory(void)
{
    PageGroup group = priq_group(SID, 5, 0, 9);

    guest_write(f, A_CR0, 0x1e);
    guest_write64(f, A_STRTAB_BASE, GUEST_NOWHERE);
    guest_write(f, A_CR0, 0x1f);
    priq_deliver(f, &group, 1);
    priq_assert_answered(&group, 0xf);
    g_assert_cmpuint(message_log_matching("is not in memory"), ==, 1);
}

static void enable_at(uint64_t base, unsigned log2)
{
    guest_disable_priq(f);
    guest_write64(f, A_PRIQ_BASE, base | log2);
    guest_write(f, A_PRIQ_PROD, 3);
    guest_write(f, A_PRIQ_CONS, 3);
    guest_write(f, A_CR0, 0x1f);
}

static void test_abort_is_answered_0xF(void)
{
    PageGroup group;

    enable_at(GUEST_NOWHERE, LOG2);
    g_assert_cmphex(active(), ==, 0);
    group = priq_deliver_one(f, SID, 2);
    priq_assert_answered(&group, 0xf);
    g_assert_cmphex(active(), ==, PRIQ_ABT);
    g_assert_cmphex(prod(), ==, 3);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, 1);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_PRIQ], ==, 0);
    g_assert_cmpuint(overflows(), ==, 0);
    g_assert_cmpuint(message_log_matching("the PRI queue at 0x"), ==, 1);
}

/* Whatever the memory then is: until software acknowledges. */
static void test_abort_stops_all_until_acknowledged(void)
{
    enable_at(GUEST_NOWHERE, LOG2);
    priq_deliver_one(f, SID, 1);
    enable_at(GUEST_PRIQ, LOG2);
    assert_all_answered(0xf);
    assert_all_answered(0xf);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, 1);
    guest_write(f, A_GERRORN, guest_read(f, A_GERROR));
    g_assert_cmphex(active(), ==, 0);
    fill(2);
    g_assert_cmphex(prod(), ==, 5);
}

static void test_abort_of_a_Stop_Marker_is_silent(void)
{
    PageGroup marker = priq_stop_marker(SID, 5);

    enable_at(GUEST_NOWHERE, LOG2);
    priq_deliver(f, &marker, 1);
    g_assert_cmpint(marker.outcome, ==, PAGE_SILENT);
    g_assert_cmphex(active(), ==, PRIQ_ABT);
}

/* 512 entries, the first 256 of which are in memory. */
static void test_abort_in_a_batch_leaves_the_groups_before_it(void)
{
    const GuestMemRegion region = {
        .gpa = GUEST_PRIQ, .size = 0x1000,
        .hva = f->ram + (GUEST_PRIQ - GUEST_RAM),
    };
    g_autoptr(GError) error = NULL;
    PageGroup groups[] = {
        priq_group(SID, 5, 0, 250),
        priq_group(SID, 5, 1, 3),
        priq_group(SID, 5, 2, 4),       /* 3, 253 and these: one too many */
        priq_group(SID, 5, 3, 1),
    };

    guest_mem_set_regions(f->mem, &region, 1, &error);
    g_assert_no_error(error);
    enable_at(GUEST_PRIQ, 9);
    priq_deliver(f, groups, G_N_ELEMENTS(groups));
    priq_assert_written(&groups[0]);
    priq_assert_written(&groups[1]);
    priq_assert_answered(&groups[2], 0xf);
    priq_assert_answered(&groups[3], 0xf);
    g_assert_cmphex(prod(), ==, 256);
    g_assert_cmphex(active(), ==, PRIQ_ABT);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_PRIQ], ==, 1);
    g_assert_cmpuint(priq_consume_all(f), ==, 253);
}

/* What came while the queue was off is not for the one that is switched on. */
static void test_what_came_before_stays_answered(void)
{
    PageGroup groups[] = {
        priq_group(SID, 5, 0, 6), priq_group(SID, 5, 1, 6),
    };

    guest_disable_priq(f);
    smmuv3_priq_room(f->viommu, 6);
    guest_write(f, A_CR0, 0x1f);
    smmuv3_priq_deliver(f->viommu, groups, 2);
    priq_assert_answered(&groups[0], 0xf);
    priq_assert_answered(&groups[1], 0xf);
    overflow();
    smmuv3_priq_room(f->viommu, 6);
    priq_acknowledge(f);
    smmuv3_priq_deliver(f->viommu, groups, 2);
    priq_assert_answered(&groups[0], 0);
    priq_assert_answered(&groups[1], 0);
    g_assert_false(priq_overflow_is_active(f));
    fill(1);
}

static void test_switched_off_after_there_was_room(void)
{
    PageGroup group = priq_group(SID, 5, 0, 6);

    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 6), ==, 8);
    guest_disable_priq(f);
    smmuv3_priq_deliver(f->viommu, &group, 1);
    priq_assert_answered(&group, 0xf);
    g_assert_cmphex(prod(), ==, 0);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_PRIQEN_0_is_answered_0xF, "PRIQEN-0-is-answered-0xF" },
        { test_SMMUEN_0_is_answered_0xF, "SMMUEN-0-is-answered-0xF" },
        { test_reset_is_answered_0xF, "reset-is-answered-0xF" },
        { test_off_with_an_overflow_is_answered_0xF,
          "off-with-an-overflow-is-answered-0xF" },
        { test_ATSCHK_and_EATS_do_not_matter, "ATSCHK-and-EATS-do-not-matter" },
        { test_overflow_is_answered_Success, "overflow-is-answered-Success" },
        { test_overflow_blocks_even_with_free_space,
          "overflow-blocks-even-with-free-space" },
        { test_overflow_toggles_once, "overflow-toggles-once" },
        { test_overflow_toggles_back_after_the_acknowledgement,
          "overflow-toggles-back-after-the-acknowledgement" },
        { test_acknowledgement_with_the_index,
          "acknowledgement-with-the-index" },
        { test_acknowledgement_alone_makes_no_room,
          "acknowledgement-alone-makes-no-room" },
        { test_acknowledgement_of_nothing_is_an_overflow,
          "acknowledgement-of-nothing-is-an-overflow" },
        { test_group_that_never_fits, "group-that-never-fits" },
        { test_groups_beyond_the_room, "groups-beyond-the-room" },
        { test_room_that_is_gone_is_an_overflow,
          "room-that-is-gone-is-an-overflow" },
        { test_overflow_with_PASID_needs_an_STE,
          "overflow-with-PASID-needs-an-STE" },
        { test_overflow_with_a_table_outside_memory,
          "overflow-with-a-table-outside-memory" },
        { test_abort_is_answered_0xF, "abort-is-answered-0xF" },
        { test_abort_stops_all_until_acknowledged,
          "abort-stops-all-until-acknowledged" },
        { test_abort_of_a_Stop_Marker_is_silent,
          "abort-of-a-Stop-Marker-is-silent" },
        { test_abort_in_a_batch_leaves_the_groups_before_it,
          "abort-in-a-batch-leaves-the-groups-before-it" },
        { test_what_came_before_stays_answered,
          "what-came-before-stays-answered" },
        { test_switched_off_after_there_was_room,
          "switched-off-after-there-was-room" },
    };

    return fixture_main(argc, argv, "/smmuv3/priq-answer", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
