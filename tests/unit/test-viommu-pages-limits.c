/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests where something ends: places in the table, drain, reset, host
 * calls that fail, and a host that gives what no kernel gives.
 */
#include "test-viommu-pages.h"

#include "host/iommufd-abi.h"

#include <errno.h>

/* Groups in the table from which on no more are taken in. */
#define TABLE_FULL (8192 - 2 * PAGE_GROUP_BATCH + 1)

/* ---- A full table ---- */

/* So many groups of the device's are open, and shown to the guest. */
static void fill_table(void)
{
    for (uint32_t i = 0; i < TABLE_FULL; i++) {
        fake_ask(sva, 1 + i / 512, i % 512, 1);
    }
    fake_pump(m);
    g_assert_cmpuint(fake_take_all(m), ==, TABLE_FULL);
}

static void answer_table(void)
{
    for (uint32_t i = 0; i < TABLE_FULL; i++) {
        fake_respond(m, SVA_RID, 1 + i / 512, i % 512, 0);
    }
    fake_pump(m);
}

static void test_full_table_holds_back(void)
{
    setup(FAKE_QUEUE_MAX);
    fill_table();
    raise_host(1, 1);
    fake_ask(sva, 99, 1, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 0);
    fake_respond(m, SVA_RID, 1, 0, 0);
    fake_respond(m, SVA_RID, 1, 1, 0);
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 2);
    answer_table();
    fake_serve_all(m, 0);
    fake_pump(m);
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, 2);
    teardown();
}

/* What frees the table has those go on that wait, the guest's answer or not. */
static void test_reset_frees_the_table(void)
{
    setup(FAKE_QUEUE_MAX);
    fill_table();
    raise_host(1, 1);
    fake_pump(m);
    fake_drop_all(m);
    fake_pump(m);
    g_assert_cmpuint(sva->returned->len, ==, TABLE_FULL);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 1);
    teardown();
}

static void test_removal_frees_the_table(void)
{
    setup(FAKE_QUEUE_MAX);
    fill_table();
    raise_host(1, 1);
    fake_pump(m);
    fake_remove_sva(sva);
    fake_pump(m);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 1);
    sva = fake_add_sva(m, SVA_RID, 1);
    teardown();
}

static void test_detach_frees_the_table(void)
{
    setup(FAKE_QUEUE_MAX);
    for (uint32_t i = 0; i < TABLE_FULL; i++) {
        uint32_t pasid = 2 + i / 512;

        if (i % 512 == 0) {
            fake_attach_ok(m, device, pasid);
        }
        g_assert_cmpint(fake_raise(m, device, pasid, i % 512, 1), ==,
                        EMUL_REPORT_QUEUED);
        /* One group index at a time: the next PASID uses it again. */
        if (i % 512 == 511) {
            fake_pump(m);
        }
    }
    fake_pump(m);
    g_assert_cmpuint(fake_take_all(m), ==, TABLE_FULL);
    raise_host(1, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 0);
    fake_detach(m, device, 2);
    fake_pump(m);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 1);
    fake_pump(m);
    teardown();
}

/* ---- Drain and reset ---- */

static void test_drain_brings_what_was_asked_before(void)
{
    setup(FAKE_QUEUE_MAX);
    for (uint32_t i = 0; i < 400; i++) {
        raise_host(i, 1);
        fake_ask(sva, 1, i, 30);
    }
    viommu_drain_page_requests(m->viommu);
    g_assert_cmpuint(fake_queue_used(m), ==, 400 * 31);
    fake_serve_all(m, 0);
    fake_pump(m);
    teardown();
}

/* The largest queue in the least favourable pieces. */
static void test_drain_fills_the_largest_queue(void)
{
    uint32_t pages = 0;

    setup(FAKE_QUEUE_MAX);
    for (uint32_t i = 0; pages + 257 <= FAKE_QUEUE_MAX; i++) {
        uint32_t count = i % 2 ? 256 : 257;

        fake_ask(sva, 1, i, count);
        pages += count;
    }
    viommu_drain_page_requests(m->viommu);
    g_assert_cmpuint(fake_queue_used(m), ==, pages);
    fake_serve_all(m, 0);
    fake_pump(m);
    teardown();
}

static void test_reset_ends_all(void)
{
    setup(8);
    for (uint32_t i = 0; i < 3; i++) {
        raise_host(i, 2);
        fake_ask(sva, 1, i, 2);
    }
    fake_pump(m);
    /* Answered already: that stands. */
    fake_respond(m, RID, 1, 0, 0);
    fake_respond(m, SVA_RID, 1, 0, 0);
    fake_set_queue(m, 0);
    fake_drop_all(m);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 3);
    g_assert_cmpuint(sva->returned->len, ==, 3);
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 2);
    g_assert_cmpuint(fake_assert_balanced(m).invalid, ==, 4);
    g_assert_cmpuint(fake_assert_balanced(m).open, ==, 0);
    /* And goes on. */
    fake_set_queue(m, 8);
    raise_host(5, 1);
    fake_ask(sva, 1, 5, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 2);
    fake_pump(m);
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 4);
    teardown();
}

/* ---- Host calls that fail ---- */

static void fail_writes(uint64_t times, int err)
{
    emul_set_failure(m->host, &(EmulFailure){ .call = EMUL_CALL_WRITE,
                                              .nth = 1, .times = times,
                                              .err = err });
}

static void fail_no_writes(void)
{
    emul_set_failure(m->host, &(EmulFailure){ .nth = 0 });
}

static void test_interrupted_writes_are_made_up_for(void)
{
    setup(8);
    raise_host(1, 1);
    fake_pump(m);
    fail_writes(100, EINTR);
    fake_serve_all(m, 0);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 1);
    /* The vIOMMU's own answers, too: they come by the fd alone. */
    fake_set_queue(m, 0);
    fail_writes(100, EINTR);
    raise_host(1, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 2);
    teardown();
}

/* The host ends what we cannot answer; our books say that we did. */
static void test_broken_fd_leaves_answers_to_the_host(void)
{
    setup(8);
    message_log_start();
    raise_host(1, 1);
    raise_host(2, 1);
    fake_pump(m);
    fail_writes(0, EIO);
    fake_serve_all(m, 0);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 0);
    g_assert_cmpuint(message_log_matching("write() fails"), ==, 1);
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 2);
    /* Nobody reads any more. */
    raise_host(3, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_assert_balanced(m).raised, ==, 2);
    fail_no_writes();
    /* Emulated devices have nothing to do with it. */
    fake_ask(sva, 1, 1, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 1);
    fake_pump(m);
    g_assert_cmpuint(sva->returned->len, ==, 1);
    fake_detach(m, device, 1);
    g_assert_cmpuint(fake_host_answers(m), ==, 3);
    /* A new queue is a new beginning. */
    fake_attach_ok(m, device, 1);
    raise_host(4, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_host_answers(m), ==, 4);
    g_assert_false(fake_host_answer(m, 3).automatic);
    message_log_stop();
    teardown();
}

/* ---- What no kernel gives ---- */

static const HostIommuOps *emul_ops;
static unsigned bad_groups;     /* in the next read */
static unsigned bad_refusals;   /* reads to refuse before, with EINVAL */
static unsigned bad_every;      /* which records are malformed; 0: none */

/* Single-page groups, as many as fit, of a cookie that is not out. */
static ssize_t bad_read(HostIommu *host, int fd, void *buf, size_t count)
{
    struct iommu_hwpt_pgfault *records = buf;
    size_t fits = count / sizeof(*records);

    if (bad_refusals > 0) {
        bad_refusals--;
        errno = EINVAL;
        return -1;
    }
    if (bad_groups == 0) {
        return emul_ops->read(host, fd, buf, count);
    }
    fits = MIN(fits, bad_groups);
    bad_groups = 0;
    for (size_t i = 0; i < fits; i++) {
        records[i] = (struct iommu_hwpt_pgfault){
            .flags = IOMMU_PGFAULT_FLAGS_LAST_PAGE |
                     IOMMU_PGFAULT_FLAGS_PASID_VALID |
                     (bad_every && i % bad_every == 0 ? 0x80000000 : 0),
            .dev_id = device->dev_id,
            .pasid = 1000 + i / 512,
            .grpid = i,
            .perm = IOMMU_PGFAULT_PERM_READ,
            .cookie = 1000000 + i,
        };
    }
    return (ssize_t)(fits * sizeof(*records));
}

/* More groups in a read than the table has places for. */
static void test_flood(unsigned malformed)
{
    static HostIommuOps bad_ops;
    ViommuPageStats stats;

    setup(FAKE_QUEUE_MAX);
    message_log_start();
    emul_ops = m->host->ops;
    bad_ops = *emul_ops;
    bad_ops.read = bad_read;
    m->host->ops = &bad_ops;
    bad_groups = 30000;
    bad_refusals = 60;          /* each: twice as much, or a batch more */
    bad_every = malformed;
    raise_host(1, 1);
    fake_pump(m);
    stats = fake_assert_balanced(m);
    g_assert_cmpuint(stats.raised, >=, 10000);
    g_assert_cmpuint(stats.open, <=, 8192);
    if (malformed == 1) {
        g_assert_cmpuint(viommu_get_stats(m->viommu).malformed, ==,
                         stats.raised - 1);
        g_assert_cmpuint(stats.invalid, ==, stats.raised - 1);
    }
    fake_take_all(m);
    fake_drop_all(m);
    fake_pump(m);
    m->host->ops = emul_ops;
    message_log_stop();
    teardown();
}

static void test_flood_of_groups(void)
{
    test_flood(0);
}

static void test_flood_of_malformed_records(void)
{
    test_flood(1);
}

static void test_flood_of_both(void)
{
    test_flood(600);
}

/* The entry would have 20 bits of it: those of another group's PASID. */
static void test_pasid_of_more_than_20_bits(void)
{
    SvaGroup *good;
    SvaGroup *bad;

    setup(8);
    good = fake_group_new(1, 4, 1);
    bad = fake_group_new(1 | (PAGE_GROUP_PASID_MAX + 1), 4, 1);
    g_assert_true(viommu_page_request(sva->device, good));
    g_assert_true(viommu_page_request(sva->device, bad));
    fake_pump(m);
    g_assert_true(returned(0) == bad);
    g_assert_cmpuint(bad->code, ==, PAGE_RESPONSE_INVALID);
    g_assert_cmpuint(fake_queue_used(m), ==, 1);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 1);
    fake_pump(m);
    g_assert_true(returned(1) == good);
    g_assert_cmpuint(good->code, ==, PAGE_RESPONSE_SUCCESS);
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, 0);
    teardown();
}

static const Test tests[] = {
    { "full-table/holds-back", test_full_table_holds_back },
    { "full-table/reset-frees-it", test_reset_frees_the_table },
    { "full-table/removal-frees-it", test_removal_frees_the_table },
    { "full-table/detach-frees-it", test_detach_frees_the_table },
    { "drain/brings-what-was-asked-before",
      test_drain_brings_what_was_asked_before },
    { "drain/fills-the-largest-queue", test_drain_fills_the_largest_queue },
    { "PASID-of-more-than-20-bits-is-none", test_pasid_of_more_than_20_bits },
    { "reset-ends-all", test_reset_ends_all },
    { "host/interrupted-writes-are-made-up-for",
      test_interrupted_writes_are_made_up_for },
    { "host/broken-fd-leaves-answers-to-the-host",
      test_broken_fd_leaves_answers_to_the_host },
    { "host/flood-of-groups", test_flood_of_groups },
    { "host/flood-of-malformed-records", test_flood_of_malformed_records },
    { "host/flood-of-both", test_flood_of_both },
};

int main(int argc, char **argv)
{
    return run_tests(argc, argv, "/viommu-pages", tests, G_N_ELEMENTS(tests));
}
