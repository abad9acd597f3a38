/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests that are written: entries, whole groups, PROD, room
 * (IHI 0070 G.b, 3.5, 8.1, 8.2). Those that are not: test-smmuv3-priq-answer.c.
 */
#include "priq-fixture.h"

#define SID 0x10
#define LOG2 3

static Fixture *f;

static void setup_with(const Smmuv3Properties *props, unsigned log2_priq)
{
    f = fixture_new(props, false);
    guest_start_priq(f, 4, 4, log2_priq);
}

static void setup(void)
{
    setup_with(&PRIQ_PROPERTIES, LOG2);
}

static void teardown(void)
{
    fixture_free(f);
}

static uint32_t prod(void)
{
    return guest_read(f, A_PRIQ_PROD);
}

/* What a page becomes: first word without the StreamID, and second word. */
static const struct {
    uint32_t pasid, index;
    Pgfault page;
    uint64_t word0, word1;
} entries[] = {
    { NO_PASID, 0, { 0, PGFAULT_PERM_READ }, PPR_R, 0 },
    { NO_PASID, 1, { 0x1000, PGFAULT_PERM_WRITE }, PPR_W, 0x1001 },
    { NO_PASID, 511, { UINT64_MAX, PGFAULT_PERM_READ | PGFAULT_PERM_WRITE },
      PPR_R | PPR_W, 0xfffffffffffff1ff },
    /* Without a PASID there is neither Priv nor X, nor a Stop Marker. */
    { NO_PASID, 2, { 0, PGFAULT_PERM_READ | PGFAULT_PERM_EXEC |
                            PGFAULT_PERM_PRIV }, PPR_R, 2 },
    { NO_PASID, 3, { 0x7000, 0 }, 0, 0x7003 },
    { 0, 0, { 0, PGFAULT_PERM_READ }, PPR_SSV | PPR_R, 0 },
    { 1, 0, { 0, PGFAULT_PERM_READ | PGFAULT_PERM_EXEC },
      PPR_SSV | PPR_R | PPR_X | UINT64_C(1) << 32, 0 },
    { 0xfffff, 0x155, { 0xabcdef, PGFAULT_PERM_WRITE | PGFAULT_PERM_PRIV },
      PPR_SSV | PPR_W | PPR_PRIV | UINT64_C(0xfffff) << 32, 0xabc155 },
    { 5, 0, { 0, UINT32_MAX }, PPR_SSV | PPR_R | PPR_W | PPR_X | PPR_PRIV |
      UINT64_C(5) << 32, 0 },
};

static void test_entry_has_the_fields_of_the_specification(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(entries); i++) {
        PageGroup group = priq_group(0xabc0 + i, entries[i].pasid,
                                     entries[i].index, 1);
        uint64_t ppr[2];

        group.pages = &entries[i].page;
        priq_deliver(f, &group, 1);
        priq_assert_written(&group);
        g_assert_true(guest_consume_ppr(f, ppr));
        g_assert_cmphex(ppr[0], ==,
                        entries[i].word0 | PPR_LAST | (0xabc0 + i));
        g_assert_cmphex(ppr[1], ==, entries[i].word1);
    }
}

/* The host's records, unaligned, as the fault queue gives them. */
static void test_entry_of_a_host_group(void)
{
    uint8_t buffer[2 * PGFAULT_RECORD_SIZE + 1] = { 0 };
    PgfaultGroup host = { .first = buffer + 1, .count = 2 };
    PageGroup group = priq_group(SID, 7, 9, 2);
    uint64_t ppr[2];

    /* perm and addr of struct iommu_hwpt_pgfault, little-endian */
    buffer[1 + 16] = PGFAULT_PERM_READ;
    buffer[1 + 24 + 2] = 0x12;
    buffer[1 + PGFAULT_RECORD_SIZE + 16] = PGFAULT_PERM_WRITE;
    buffer[1 + PGFAULT_RECORD_SIZE + 24 + 2] = 0x34;
    group.pages = NULL;
    group.host = &host;
    priq_deliver(f, &group, 1);
    g_assert_true(guest_consume_ppr(f, ppr));
    g_assert_cmphex(ppr[0], ==,
                    PPR_SSV | PPR_R | UINT64_C(7) << 32 | SID);
    g_assert_cmphex(ppr[1], ==, 0x120009);
    g_assert_true(guest_consume_ppr(f, ppr));
    g_assert_cmphex(ppr[0], ==,
                    PPR_SSV | PPR_W | PPR_LAST | UINT64_C(7) << 32 | SID);
    g_assert_cmphex(ppr[1], ==, 0x340009);
}

static void test_last_is_set_in_the_last_entry_only(void)
{
    PageGroup group = priq_group(SID, 5, 3, 5);
    uint64_t ppr[2];

    priq_deliver(f, &group, 1);
    for (unsigned i = 0; i < 5; i++) {
        g_assert_true(guest_consume_ppr(f, ppr));
        g_assert_cmpint(!!(ppr[0] & PPR_LAST), ==, i == 4);
        g_assert_cmphex(ppr[1], ==, i << 12 | 3);
    }
    g_assert_false(guest_consume_ppr(f, ppr));
}

static void test_stop_marker_is_recorded_and_silent(void)
{
    const Pgfault all = { 0x5000, UINT32_MAX };
    PageGroup group = priq_stop_marker(SID, 5);
    uint64_t ppr[2];

    group.pages = &all;         /* no permission, whatever the page says */
    priq_deliver(f, &group, 1);
    g_assert_cmpint(group.outcome, ==, PAGE_SILENT);
    g_assert_true(guest_consume_ppr(f, ppr));
    g_assert_cmphex(ppr[0], ==,
                    PPR_SSV | PPR_LAST | UINT64_C(5) << 32 | SID);
}

static void test_all_entries_are_usable(void)
{
    for (unsigned log2 = 0; log2 < 10; log2++) {
        unsigned size = 1u << log2;
        uint32_t queue_used, queue_size;

        teardown();
        setup_with(&PRIQ_PROPERTIES, log2);
        for (unsigned i = 0; i < size; i++) {
            PageGroup group = priq_deliver_one(f, SID, 1);

            priq_assert_written(&group);
        }
        g_assert_cmphex(prod(), ==, size);      /* index 0, wrap 1 */
        g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, 0);
        f->viommu->ops->get_page_queue(f->viommu, &queue_used, &queue_size);
        g_assert_cmpuint(queue_used, ==, size);
        g_assert_cmpuint(queue_size, ==, size);
        g_assert_cmpuint(priq_consume_all(f), ==, size);
    }
}

static void test_log2size_0_holds_one(void)
{
    teardown();
    setup_with(&PRIQ_PROPERTIES, 0);
    for (unsigned i = 0; i < 5; i++) {
        PageGroup group = priq_group(SID, 5, i, 1);
        uint64_t ppr[2];

        g_assert_cmpuint(priq_deliver(f, &group, 1), ==, 1);
        priq_assert_written(&group);
        g_assert_cmphex(prod(), ==, (i + 1) % 2);
        g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, 0);
        g_assert_true(guest_consume_ppr(f, ppr));
        g_assert_cmphex(ppr[1], ==, i);
    }
}

/* Groups of 3 through 8 entries, many times round. */
static void test_groups_wrap(void)
{
    for (unsigned i = 0; i < 50; i++) {
        PageGroup group = priq_group(SID, 5, i, 3);
        uint64_t ppr[2];

        g_assert_cmpuint(priq_deliver(f, &group, 1), ==, 8);
        priq_assert_written(&group);
        g_assert_cmphex(prod(), ==, 3 * (i + 1) % 16);
        for (unsigned k = 0; k < 3; k++) {
            g_assert_true(guest_consume_ppr(f, ppr));
            g_assert_cmphex(ppr[1], ==, k << 12 | i);
        }
    }
}

/* The queue crosses from one region to another, out of order in memory. */
static void test_queue_in_two_regions(void)
{
    const GuestMemRegion regions[] = {
        { .gpa = GUEST_PRIQ, .size = 0x1000, .hva = f->ram + 0x3000 },
        { .gpa = GUEST_PRIQ + 0x1000, .size = 0x1000, .hva = f->ram },
    };
    PageGroup group = priq_group(SID, 5, 0, 512);
    g_autoptr(GError) error = NULL;

    guest_disable_priq(f);
    guest_enable_priq(f, 9);
    guest_mem_set_regions(f->mem, regions, 2, &error);
    g_assert_no_error(error);
    priq_deliver(f, &group, 1);
    priq_assert_written(&group);
    for (unsigned i = 0; i < 512; i++) {
        uint64_t words[2];

        guest_words_load(words, f->ram + (i < 256 ? 0x3000 : 0) + i % 256 * 16,
                         2);
        g_assert_cmphex(words[1], ==, i << 12);
    }
}

static uint32_t prods[8];
static unsigned prods_count;
static uint64_t last_word;

static void note_prod(void *opaque)
{
    prods[prods_count++] = smmuv3_from(f->viommu)->reg[R_PRIQ_PROD];
    last_word = guest_words(f, GUEST_PRIQ + 5 * SMMUV3_PPR_BYTES)[1];
}

/* Entries, then PROD, once for all groups, then the interrupt. */
static void test_prod_is_published_once_per_batch(void)
{
    PageGroup groups[3];

    for (unsigned i = 0; i < 3; i++) {
        groups[i] = priq_group(SID, 5, i, i + 1);
    }
    prods_count = 0;
    f->irq.raised = note_prod;
    priq_deliver(f, groups, 3);
    g_assert_cmpuint(prods_count, ==, 1);
    g_assert_cmphex(prods[0], ==, 6);
    g_assert_cmphex(GUINT64_FROM_LE(last_word), ==, 0x2002);
    g_assert_cmpuint(priq_consume_all(f), ==, 6);
}

static void test_room_is_what_is_free(void)
{
    uint64_t ppr[2];

    for (unsigned used = 0; used < 8; used++) {
        g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, 8 - used);
        priq_deliver_one(f, SID, 1);
    }
    for (unsigned room = 0; room < 8; room++) {
        g_assert_cmpuint(smmuv3_priq_room(f->viommu, 8), ==, room);
        g_assert_true(guest_consume_ppr(f, ppr));
    }
    /* As much as it ever has is no overflow, one more is. */
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 8), ==, 8);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 9), ==, PAGE_ROOM_UNLIMITED);
}

static void test_room_is_unlimited_where_nothing_is_written(void)
{
    for (unsigned i = 0; i < 8; i++) {
        priq_deliver_one(f, SID, 1);
    }
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, 0);
    guest_write(f, A_PRIQ_CONS, PRIQ_OVFLG);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, PAGE_ROOM_UNLIMITED);
    guest_write(f, A_PRIQ_CONS, 0);
    guest_disable_priq(f);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, PAGE_ROOM_UNLIMITED);
    guest_write(f, A_CR0, 0x1e);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, PAGE_ROOM_UNLIMITED);
    guest_write(f, A_CR0, 0x1f);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, 0);
    viommu_reset(f->viommu);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, PAGE_ROOM_UNLIMITED);
}

/* PROD above CONS by more than the queue: full, until software mends it. */
static void test_inconsistent_indices_are_a_full_queue(void)
{
    priq_deliver_one(f, SID, 1);
    guest_write(f, A_PRIQ_CONS, 3);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, 0);
    g_assert_cmphex(prod(), ==, 1);
    guest_write(f, A_PRIQ_CONS, 1);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, 8);
}

static void test_log2size_is_capped_in_use(void)
{
    Smmuv3Properties props = PRIQ_PROPERTIES;

    teardown();
    props.log2_priq = 2;
    setup_with(&props, 31);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, 4);
    g_assert_cmphex(guest_read64(f, A_PRIQ_BASE), ==, GUEST_PRIQ | 31);
}

static void test_base_is_aligned_to_the_queue(void)
{
    uint64_t ppr[2];

    guest_disable_priq(f);
    guest_write64(f, A_PRIQ_BASE, (GUEST_PRIQ + 0x2fe0) | 8);
    guest_write(f, A_PRIQ_PROD, 0);
    guest_write(f, A_CR0, 0x1f);
    priq_deliver_one(f, 0x42, 1);
    guest_words_load(ppr, guest_words(f, GUEST_PRIQ + 0x2000), 2);
    g_assert_cmphex(ppr[0] & UINT32_MAX, ==, 0x42);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_entry_has_the_fields_of_the_specification,
          "entry-has-the-fields-of-the-specification" },
        { test_entry_of_a_host_group, "entry-of-a-host-group" },
        { test_last_is_set_in_the_last_entry_only,
          "last-is-set-in-the-last-entry-only" },
        { test_stop_marker_is_recorded_and_silent,
          "stop-marker-is-recorded-and-silent" },
        { test_all_entries_are_usable, "all-entries-are-usable" },
        { test_log2size_0_holds_one, "log2size-0-holds-one" },
        { test_groups_wrap, "groups-wrap" },
        { test_queue_in_two_regions, "queue-in-two-regions" },
        { test_prod_is_published_once_per_batch,
          "prod-is-published-once-per-batch" },
        { test_room_is_what_is_free, "room-is-what-is-free" },
        { test_room_is_unlimited_where_nothing_is_written,
          "room-is-unlimited-where-nothing-is-written" },
        { test_inconsistent_indices_are_a_full_queue,
          "inconsistent-indices-are-a-full-queue" },
        { test_log2size_is_capped_in_use, "log2size-is-capped-in-use" },
        { test_base_is_aligned_to_the_queue, "base-is-aligned-to-the-queue" },
    };

    return fixture_main(argc, argv, "/smmuv3/priq", tests, G_N_ELEMENTS(tests),
                        setup, teardown);
}
