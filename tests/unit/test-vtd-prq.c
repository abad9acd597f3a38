/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page request queue (D51397, 7.4 to 7.6): entries, the ring, room. What
 * PRS and FSTS say: test-vtd-prq-status.c; the way from the host and back:
 * test-vtd-page-requests.c.
 */
#include "call-count.h"
#include "prq-fixture.h"

#include <string.h>

#define NO_PASID PAGE_REQUEST_NO_PASID

#define READ PGFAULT_PERM_READ
#define WRITE PGFAULT_PERM_WRITE
#define EXEC PGFAULT_PERM_EXEC
#define PRIV PGFAULT_PERM_PRIV

/* ---- Entries ---- */

typedef struct EntryCase {
    uint32_t pasid, index, perm;
    uint64_t addr;
    uint64_t word0, word1;
} EntryCase;

static void test_entry_layout(void)
{
    static const EntryCase cases[] = {
        { PRQ_PASID, 0, READ, PRQ_ADDR, 0x0000015512340101,
          0x00007f8140203005 },
        { PRQ_PASID, 0x1ff, WRITE, 0, 0x0000015512340101, 0xffe },
        { PRQ_PASID, 1, READ | WRITE, PRQ_ADDR + 0xfff, 0x0000015512340101,
          0x00007f814020300f },
        /* PRGI has 9 bits. */
        { PRQ_PASID, 0x201, READ, UINT64_MAX, 0x0000015512340101,
          0xfffffffffffff00d },
        { PRQ_PASID, 0, READ | EXEC, 0, 0x0010015512340101, 5 },
        { PRQ_PASID, 0, READ | WRITE | EXEC | PRIV, 0, 0x0030015512340101, 7 },
        { PRQ_PASID, 0, WRITE | PRIV, 0, 0x0020015512340101, 6 },
        /* EXR is of requests that read, and have a PASID. */
        { PRQ_PASID, 0, WRITE | EXEC, 0, 0x0000015512340101, 6 },
        { NO_PASID, 3, READ | EXEC, PRQ_ADDR, 0x0000000012340001,
          0x00007f814020301d },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const EntryCase *c = &cases[i];
        const Pgfault page = { .addr = c->addr, .perm = c->perm };
        PageGroup group = prq_group(c->pasid, c->index, 1);
        uint64_t entry[4] = { 0 };

        group.pages = &page;
        memset(vtd_guest_words(prq.f, VTD_GUEST_PRQ), 0xff, 4096);
        prq_deliver(&group);
        g_assert_cmpint(group.outcome, ==, PAGE_WRITTEN);
        g_assert_true(vtd_guest_consume(prq.f, entry));
        g_assert_cmphex(entry[0], ==, c->word0);
        g_assert_cmphex(entry[1], ==, c->word1);
        g_assert_cmphex(entry[2], ==, 0);
        g_assert_cmphex(entry[3], ==, 0);
        g_assert_false(vtd_guest_consume(prq.f, entry));
    }
}

/* A group of the host's, as its fault queue has it. */
static void test_entries_of_a_host_group(void)
{
    const struct iommu_hwpt_pgfault records[] = {
        { .perm = IOMMU_PGFAULT_PERM_READ, .addr = PRQ_ADDR, .cookie = 1 },
        { .flags = IOMMU_PGFAULT_FLAGS_LAST_PAGE, .cookie = 1,
          .perm = IOMMU_PGFAULT_PERM_WRITE, .addr = PRQ_ADDR + 4096 },
    };
    const PgfaultGroup host = { .first = (const uint8_t *)records, .count = 2 };
    PageGroup group = prq_group(PRQ_PASID, 9, 2);
    uint64_t entry[4];

    group.pages = NULL;
    group.host = &host;
    prq_deliver(&group);
    g_assert_cmpint(group.outcome, ==, PAGE_WRITTEN);
    g_assert_true(vtd_guest_consume(prq.f, entry));
    g_assert_cmphex(entry[1], ==, PRQ_ADDR | 9 << 3 | 1);
    g_assert_true(vtd_guest_consume(prq.f, entry));
    g_assert_cmphex(entry[1], ==, (PRQ_ADDR + 4096) | 9 << 3 | 4 | 2);
}

static void test_last_page_has_lpig(void)
{
    uint64_t entry[4];

    g_assert_cmpint(prq_deliver_pages(5), ==, PAGE_WRITTEN);
    for (unsigned i = 0; i < 5; i++) {
        g_assert_true(vtd_guest_consume(prq.f, entry));
        g_assert_cmphex(entry[1], ==,
                        (PRQ_ADDR + 4096 * i) | (i == 4 ? 4 : 0) | 1);
    }
}

static void test_stop_marker_is_queued(void)
{
    PageGroup group = prq_stop_marker();
    uint64_t entry[4];

    prq_deliver(&group);
    g_assert_cmpint(group.outcome, ==, PAGE_SILENT);
    g_assert_true(vtd_guest_consume(prq.f, entry));
    g_assert_cmphex(entry[0], ==, 0x0000015512340101);
    g_assert_cmphex(entry[1], ==, 4);
    g_assert_cmphex(prq_status(), ==, PRS_PPR);
}

static void test_stop_marker_is_dropped_when_full(void)
{
    PageGroup group = prq_stop_marker();

    prq_deliver_pages(PRQ_CAPACITY);
    prq_deliver(&group);
    g_assert_cmpint(group.outcome, ==, PAGE_SILENT);
    g_assert_cmphex(prq_status(), ==, PRS_PPR | PRS_PRO);
    group = prq_stop_marker();
    prq_deliver(&group);
    g_assert_cmpint(group.outcome, ==, PAGE_SILENT);
    g_assert_cmphex(prq_tail(), ==, 32 * PRQ_CAPACITY);
}

static void test_stop_marker_of_bad_tables(void)
{
    PageGroup group = prq_stop_marker();

    vtd_tables_clear_pasid(&prq.t, PRQ_RID, PRQ_PASID);
    prq_deliver(&group);
    g_assert_cmpint(group.outcome, ==, PAGE_SILENT);
    g_assert_cmphex(prq_tail(), ==, 0);
    g_assert_true(FIELD_GET(vtd_guest_read32(prq.f, A_FSTS), FSTS, PPF));
}

/* ---- The ring ---- */

static void test_wraps(void)
{
    uint64_t entry[4];

    vtd_guest_write64(prq.f, A_PQH, 32 * 126);
    vtd_guest_write64(prq.f, A_PQT, 32 * 126);
    g_assert_cmpuint(prq_room(1), ==, PRQ_CAPACITY);
    g_assert_cmpint(prq_deliver_pages(4), ==, PAGE_WRITTEN);
    g_assert_cmphex(prq_tail(), ==, 32 * 2);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_true(vtd_guest_consume(prq.f, entry));
        g_assert_cmphex(entry[1] & ~UINT64_C(0xfff), ==, PRQ_ADDR + 4096 * i);
    }
    g_assert_false(vtd_guest_consume(prq.f, entry));
    g_assert_cmphex(vtd_guest_read64(prq.f, A_PQH), ==, 64);
}

static void test_holds_one_less(void)
{
    g_assert_cmpuint(prq_room(1), ==, PRQ_CAPACITY);
    g_assert_cmpint(prq_deliver_pages(PRQ_CAPACITY), ==, PAGE_WRITTEN);
    g_assert_cmphex(prq_tail(), ==, 32 * PRQ_CAPACITY);
    g_assert_cmpuint(prq_room(1), ==, 0);
    g_assert_cmphex(prq_status(), ==, PRS_PPR);
}

static void test_sizes(void)
{
    for (unsigned pqs = 0; pqs < 8; pqs++) {
        uint32_t capacity = (UINT32_C(128) << pqs) - 1;

        vtd_guest_write64(prq.f, A_PQA, VTD_GUEST_PRQ | pqs);
        g_assert_cmpuint(prq_room(1), ==, capacity);
        g_assert_cmpuint(prq_room(capacity), ==, capacity);
        g_assert_cmpuint(prq_room(capacity + 1), ==, PAGE_ROOM_UNLIMITED);
    }
}

/* Initialisation: pointers that software leaves anywhere. */
static void test_software_writes_tail(void)
{
    uint64_t entry[4];

    prq_deliver_pages(3);
    vtd_guest_write64(prq.f, A_PQH, 0);
    vtd_guest_write64(prq.f, A_PQT, 0);
    vtd_guest_write64(prq.f, A_PQA, VTD_GUEST_PRQ + 0x2000);
    g_assert_cmpint(prq_deliver_pages(1), ==, PAGE_WRITTEN);
    g_assert_cmphex(prq_tail(), ==, 32);
    guest_words_load(entry, vtd_guest_words(prq.f, VTD_GUEST_PRQ + 0x2000), 4);
    g_assert_cmphex(entry[0], ==, 0x0000015512340101);
}

/* Bits beyond the queue's size do not count. */
static void test_tail_out_of_range(void)
{
    vtd_guest_write64(prq.f, A_PQH, 0x7ffe0);
    vtd_guest_write64(prq.f, A_PQT, 0x7ffe0);
    g_assert_cmpuint(prq_room(1), ==, PRQ_CAPACITY);
    g_assert_cmpint(prq_deliver_pages(1), ==, PAGE_WRITTEN);
    g_assert_cmphex(prq_tail(), ==, 0);
}

/* ---- Room ---- */

static bool has_room_now(void)
{
    bool has;

    lock_acquire(&prq.v->parent.ring_lock);
    has = vtd_prq_has_room_now(prq.v);
    lock_release(&prq.v->parent.ring_lock);
    return has;
}

static void set_head(uint32_t entries)
{
    /* Not by MMIO, which would ask has_room_now() itself. */
    lock_acquire(&prq.v->parent.ring_lock);
    vtd_set_reg64(prq.v, R_PQH, 32 * entries);
    lock_release(&prq.v->parent.ring_lock);
}

static void test_room_wakes_who_waits_for_it(void)
{
    prq_deliver_pages(PRQ_CAPACITY - 1);
    g_assert_cmpuint(prq_room(1), ==, 1);
    g_assert_false(has_room_now());     /* nobody waits */
    g_assert_cmpuint(prq_room(3), ==, 1);
    g_assert_false(has_room_now());
    set_head(1);
    g_assert_false(has_room_now());
    set_head(2);
    g_assert_true(has_room_now());
    g_assert_false(has_room_now());     /* told once */
}

static void test_room_is_asked_for_anew(void)
{
    prq_deliver_pages(PRQ_CAPACITY);
    g_assert_cmpuint(prq_room(1), ==, 0);
    set_head(1);
    /* The pump came first: it does not wait any more. */
    g_assert_cmpuint(prq_room(1), ==, 1);
    g_assert_false(has_room_now());
}

/* A smaller queue can never take it: that is an overflow, not a wait. */
static void test_smaller_queue_wakes(void)
{
    vtd_guest_write64(prq.f, A_PQA, VTD_GUEST_PRQ | 1);
    prq_deliver_pages(200);
    g_assert_cmpuint(prq_room(150), ==, 55);
    prq.v->reg[R_PQA] = VTD_GUEST_PRQ;
    g_assert_true(has_room_now());
    g_assert_cmpuint(prq_room(150), ==, PAGE_ROOM_UNLIMITED);
}

static void test_overflow_makes_room_unlimited(void)
{
    prq_deliver_pages(PRQ_CAPACITY);
    g_assert_cmpuint(prq_room(1), ==, 0);
    prq_deliver_pages(1);
    g_assert_cmpuint(prq_room(1), ==, PAGE_ROOM_UNLIMITED);
    g_assert_false(has_room_now());
}

/* PQH by MMIO runs the home thread's work. */
static void test_head_write_resumes(void)
{
    prq_deliver_pages(PRQ_CAPACITY);
    g_assert_cmpuint(prq_room(2), ==, 0);
    vtd_fixture_pump(prq.f);
    vtd_guest_write64(prq.f, A_PQH, 32);
    g_assert_cmpuint(prq.v->prq.wanted, ==, 2);
    g_assert_false(aio_poll(prq.f->ctx, false));
    vtd_guest_write64(prq.f, A_PQH, 64);
    g_assert_cmpuint(prq.v->prq.wanted, ==, 0);
    g_assert_true(aio_poll(prq.f->ctx, false));
}

/* ---- Memory ---- */

static void test_queue_not_in_memory(void)
{
    PageGroup groups[] = {
        prq_group(PRQ_PASID, 1, 1), prq_group(PRQ_PASID, 2, 3),
    };

    vtd_guest_write64(prq.f, A_PQA, GUEST_NOWHERE);
    vtd_prq_deliver(prq.f->viommu, groups, G_N_ELEMENTS(groups));
    prq_assert_answered(&groups[0], PAGE_RESPONSE_INVALID);
    prq_assert_answered(&groups[1], PAGE_RESPONSE_INVALID);
    prq_deliver_pages(1);
    g_assert_cmphex(prq_tail(), ==, 0);
    g_assert_cmphex(prq_status(), ==, 0);
    g_assert_cmpuint(prq_messages(), ==, 0);
    g_assert_cmpuint(message_log_matching("is not in memory"), ==, 1);
}

/* The queue is half in memory: a group that leaves it is dropped as a whole. */
static void test_queue_leaves_memory(void)
{
    PageGroup groups[] = {
        prq_group(PRQ_PASID, 1, PRQ_CAPACITY), prq_group(PRQ_PASID, 2, 4),
        prq_group(PRQ_PASID, 3, 1),
    };
    const uint32_t end = 32 * PRQ_ENTRIES;  /* of what is memory */

    vtd_guest_write64(prq.f, A_PQA, (GUEST_RAM + GUEST_RAM_SIZE - 4096) | 1);
    vtd_prq_deliver(prq.f->viommu, groups, G_N_ELEMENTS(groups));
    g_assert_cmpint(groups[0].outcome, ==, PAGE_WRITTEN);
    prq_assert_answered(&groups[1], PAGE_RESPONSE_INVALID);
    g_assert_cmpint(groups[2].outcome, ==, PAGE_WRITTEN);
    g_assert_cmphex(prq_tail(), ==, end);
}

/* ---- The data path ---- */

static void test_data_path(void)
{
    PageGroup groups[] = {
        prq_group(PRQ_PASID, 1, 100), prq_group(PRQ_PASID + 1, 2, 4),
        prq_group(PRQ_PASID, 3, 20),
    };
    CallCount count;

    prq_deliver_pages(1);
    prq_consume_all();
    call_count_start(&prq.v->parent.ring_lock.mutex);
    vtd_prq_deliver(prq.f->viommu, groups, G_N_ELEMENTS(groups));
    count = call_count_stop();
    g_assert_cmpint(groups[0].outcome, ==, PAGE_WRITTEN);
    prq_assert_answered(&groups[1], PAGE_RESPONSE_INVALID);
    g_assert_cmpint(groups[2].outcome, ==, PAGE_WRITTEN);
    g_assert_cmpuint(prq_messages(), ==, 3);
    g_assert_cmpuint(count.allocations, ==, 0);
    if (call_count_sees_locks()) {
        g_assert_cmpuint(count.own_locks, ==, 1);
        g_assert_cmpuint(count.other_locks, ==, 0);
    }
}

static const FixtureTest tests[] = {
    { test_entry_layout, "entry/layout" },
    { test_entries_of_a_host_group, "entry/host-group" },
    { test_last_page_has_lpig, "entry/LPIG-on-last-page-only" },
    { test_stop_marker_is_queued, "stop-marker/queued-never-answered" },
    { test_stop_marker_is_dropped_when_full, "stop-marker/dropped-when-full" },
    { test_stop_marker_of_bad_tables, "stop-marker/tables-refuse" },
    { test_wraps, "ring/wraps" },
    { test_holds_one_less, "ring/N-1-entries-fit" },
    { test_sizes, "ring/sizes" },
    { test_software_writes_tail, "ring/software-writes-PQT" },
    { test_tail_out_of_range, "ring/PQT-out-of-range" },
    { test_room_wakes_who_waits_for_it, "room/wakes-who-waits" },
    { test_room_is_asked_for_anew, "room/asked-for-anew" },
    { test_smaller_queue_wakes, "room/smaller-queue-wakes" },
    { test_overflow_makes_room_unlimited, "room/unlimited-while-PRO" },
    { test_head_write_resumes, "room/PQH-write-resumes" },
    { test_queue_not_in_memory, "memory/queue-not-in-memory" },
    { test_queue_leaves_memory, "memory/group-leaves-memory" },
    { test_data_path, "data-path-allocates-nothing-and-locks-once" },
};

int main(int argc, char **argv)
{
    call_count_init();
    return fixture_main(argc, argv, "/vtd/prq", tests, G_N_ELEMENTS(tests),
                        prq_setup, prq_teardown);
}
