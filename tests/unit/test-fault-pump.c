/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a fault queue: whole groups, as there is room, however large.
 */
#include "test-fault-pump.h"

#include "failing-host.h"

static void test_whole_groups_in_order(Fixture *f, gconstpointer data)
{
    push_group(f, 1, 1);
    push_group(f, 2, 3);
    push_group(f, 3, 2);
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 1, 3, 2);
    g_assert_cmpuint(f->sink.deliveries, ==, 1);
    g_assert_cmpuint(f->sink.seen, ==, 1);
    g_assert_true(f->sink.seen_last);
    g_assert_false(fault_pump_run(f->pump));
    g_assert_cmpuint(f->sink.seen, ==, 1);
    g_assert_false(fault_pump_waits(f->pump));
}

static void test_watched_from_the_first_run_on(Fixture *f, gconstpointer data)
{
    set_ready(f, true);
    g_assert_false(aio_poll(f->ctx, false));
    g_assert_false(fault_pump_run(f->pump));
    push_group(f, 1, 2);
    turns(f, 1);
    assert_counts(f, 2);
}

static void test_no_more_pages_than_room(Fixture *f, gconstpointer data)
{
    f->sink.room = 6;
    for (unsigned i = 1; i <= 4; i++) {
        push_group(f, i, 2);
    }
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 2, 2, 2);
    f->sink.room = 0;
    set_ready(f, true);
    turns(f, 1);
    g_assert_true(fault_pump_waits(f->pump));
    /* Ready, but not watched. */
    g_assert_false(aio_poll(f->ctx, false));
    f->sink.room = 2;
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 2, 2, 2, 2);
    g_assert_false(fault_pump_waits(f->pump));
}

/* It stays in the kernel until it fits, and not a page longer. */
static void test_large_group_waits_for_exactly_so_much_room(Fixture *f,
                                                            gconstpointer data)
{
    f->sink.room = 3;
    push_group(f, 1, 20);
    push_group(f, 2, 1);
    set_ready(f, true);
    g_assert_false(fault_pump_run(f->pump));
    for (uint32_t room = 3; room < 20; room++) {
        f->sink.room = room;
        g_assert_false(fault_pump_run(f->pump));
        g_assert_true(fault_pump_waits(f->pump));
        g_assert_cmpuint(f->sink.wanted, ==, room + 1);
        g_assert_false(aio_poll(f->ctx, false));
    }
    f->sink.room = 20;
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 20);
    f->sink.room = 1;
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 20, 1);
}

/* What was learnt of the first group is not asked again. */
static void test_waiting_does_not_read(Fixture *f, gconstpointer data)
{
    unsigned reads;

    f->sink.room = 3;
    push_group(f, 1, 20);
    fault_pump_run(f->pump);
    reads = f->host.reads;
    for (unsigned i = 0; i < 10; i++) {
        g_assert_false(fault_pump_run(f->pump));
    }
    g_assert_cmpuint(f->host.reads, ==, reads);
}

/* Larger than a batch, smaller than the room: found in a few reads. */
static void test_einval_grows_by_batches(Fixture *f, gconstpointer data)
{
    f->sink.room = f->sink.capacity = 16383;
    push_group(f, 1, 5000);
    for (unsigned i = 2; i <= 600; i++) {
        push_group(f, i, 1);
    }
    g_assert_true(fault_pump_run(f->pump));
    g_assert_cmpuint(g_array_index(f->sink.counts, uint32_t, 0), ==, 5000);
    g_assert_cmpuint(f->host.reads, <=, 5000 / PAGE_GROUP_BATCH + 1);
    /* However large the first one was, a read has a batch of groups at most. */
    g_assert_cmpuint(f->sink.deliveries, ==, 1);
    g_assert_cmpuint(f->sink.largest, <=, PAGE_GROUP_BATCH);
    /* And the next is of the usual size again. */
    fault_pump_run(f->pump);
    g_assert_cmpuint(f->host.last_count, ==,
                     PAGE_GROUP_BATCH * PGFAULT_RECORD_SIZE);
}

static void test_larger_than_the_queue_is_read(Fixture *f, gconstpointer data)
{
    push_group(f, 1, 1024);
    push_group(f, 2, 1);
    g_assert_true(fault_pump_run(f->pump));
    g_assert_cmpuint(g_array_index(f->sink.counts, uint32_t, 0), ==, 1024);
}

static void test_the_largest_group_is_read(Fixture *f, gconstpointer data)
{
    push_group(f, 1, FAULT_PUMP_GROUP_MAX);
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, FAULT_PUMP_GROUP_MAX);
}

static void test_larger_than_everything_closes(Fixture *f, gconstpointer data)
{
    push_group(f, 1, FAULT_PUMP_GROUP_MAX + 1);
    set_ready(f, true);
    g_assert_false(fault_pump_run(f->pump));
    while (aio_poll(f->ctx, false)) {
        g_assert_cmpuint(f->host.reads, <, 1000);
    }
    g_assert_nonnull(strstr(f->sink.failure, "fault queue 42: read() fails"));
    g_assert_nonnull(strstr(f->sink.failure,
                            "until the guest sets up its first PASID"));
    g_assert_cmpuint(f->host.closed, ==, 1);
    g_assert_cmpuint(f->sink.counts->len, ==, 0);
    g_assert_false(fault_pump_waits(f->pump));
    g_assert_false(fault_pump_run(f->pump));
}

/* There is memory for the larger buffer at the second try, or never. */
static void test_no_memory_passes(Fixture *f, gconstpointer data)
{
    f->sink.room = 2 * PAGE_GROUP_BATCH;
    push_group(f, 1, PAGE_GROUP_BATCH + 1);
    failing_host_fail_function(1);
    g_assert_false(fault_pump_run(f->pump));
    g_assert_true(failing_host_stop());
    g_assert_null(f->sink.failure);
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, PAGE_GROUP_BATCH + 1);
}

static void test_lasting_want_of_memory_closes(Fixture *f, gconstpointer data)
{
    f->sink.room = 4 * PAGE_GROUP_BATCH;
    push_group(f, 1, PAGE_GROUP_BATCH + 1);
    set_ready(f, true);
    g_assert_cmpint(fault_pump_start(f->pump), ==, 0);
    g_assert_cmpuint(f->sink.deliveries, ==, 1);
    push_group(f, 2, 2 * PAGE_GROUP_BATCH + 1);
    do {
        g_assert_cmpuint(f->host.reads, <, 100);
        failing_host_fail_function(1);
    } while (aio_poll(f->ctx, false));
    failing_host_stop();
    g_assert_nonnull(strstr(f->sink.failure, g_strerror(ENOMEM)));
    g_assert_cmpuint(f->host.closed, ==, 1);
    assert_counts(f, PAGE_GROUP_BATCH + 1);
}

/* The large group has ended on the host, and the one behind it is small. */
static void test_look_anew_forgets_the_large_group(Fixture *f,
                                                   gconstpointer data)
{
    f->sink.room = 3;
    push_group(f, 1, 20);
    g_assert_false(fault_pump_run(f->pump));
    g_byte_array_set_size(f->host.pending, 0);
    push_group(f, 2, 2);
    fault_pump_look_anew(f->pump);
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 2);
}

/* A detach can come each time between the readiness and the read. */
static void test_look_anew_forgives_empty_reads(Fixture *f, gconstpointer data)
{
    g_assert_false(fault_pump_run(f->pump));
    set_ready(f, true);
    for (unsigned i = 0; i < 100; i++) {
        aio_poll(f->ctx, false);
        fault_pump_look_anew(f->pump);
    }
    g_assert_cmpuint(f->host.closed, ==, 0);
    push_group(f, 1, 2);
    turns(f, 1);
    assert_counts(f, 2);
}

static void test_at_most_a_batch_per_turn(Fixture *f, gconstpointer data)
{
    f->sink.room = f->sink.capacity = 16383;
    for (unsigned i = 1; i <= 3 * PAGE_GROUP_BATCH; i++) {
        push_group(f, i, 1);
    }
    set_ready(f, true);
    g_assert_true(fault_pump_run(f->pump));
    g_assert_cmpuint(f->sink.counts->len, ==, PAGE_GROUP_BATCH);
    turns(f, 1);
    g_assert_cmpuint(f->sink.counts->len, ==, 2 * PAGE_GROUP_BATCH);
}

/* More groups than were asked for, which no kernel gives: batch by batch. */
static void test_more_than_a_batch_is_cut(Fixture *f, gconstpointer data)
{
    f->sink.room = f->sink.capacity = 16383;
    for (unsigned i = 1; i <= 2000; i++) {
        push_group(f, i, 1);
    }
    /* It says that the first is larger than it is. */
    f->host.read_err = EINVAL;
    f->host.read_errs = 3;
    g_assert_true(fault_pump_run(f->pump));
    g_assert_cmpuint(f->sink.counts->len, ==, 2000);
    g_assert_cmpuint(f->sink.deliveries, ==, 4);
    g_assert_cmpuint(f->sink.largest, ==, PAGE_GROUP_BATCH);
    g_assert_cmpuint(f->sink.seen, ==, 1);
}

/* ---- What no kernel writes ---- */

static void test_malformed_group_is_named(Fixture *f, gconstpointer data)
{
    push_record(f, 5, 0);
    push_record(f, 6, IOMMU_PGFAULT_FLAGS_LAST_PAGE);
    push_group(f, 7, 2);
    g_assert_true(fault_pump_run(f->pump));
    g_assert_cmpuint(f->sink.malformed, ==, 2);
    g_assert_cmpuint(f->sink.nameless, ==, 0);
    assert_counts(f, 2);
    g_assert_true(f->sink.seen_last);
}

static void test_malformed_alone_is_handed_over(Fixture *f, gconstpointer data)
{
    push_record(f, 5, 0x80000000 | IOMMU_PGFAULT_FLAGS_LAST_PAGE);
    g_assert_true(fault_pump_run(f->pump));
    g_assert_cmpuint(f->sink.malformed, ==, 1);
    g_assert_cmpuint(f->sink.deliveries, ==, 0);
    g_assert_cmpuint(f->sink.seen, ==, 1);
    g_assert_true(f->sink.seen_last);
}

static void test_truncated_read_names_nothing(Fixture *f, gconstpointer data)
{
    push_group(f, 1, 1);
    push_group(f, 2, 1);
    f->host.garbage = 2 * PGFAULT_RECORD_SIZE - 1;
    g_assert_true(fault_pump_run(f->pump));
    assert_counts(f, 1);
    g_assert_cmpuint(f->sink.malformed, ==, 1);
    g_assert_cmpuint(f->sink.nameless, ==, 1);
}

static void test_failing_reads_close(Fixture *f, gconstpointer data)
{
    fault_pump_run(f->pump);
    set_ready(f, true);
    f->host.read_err = EIO;
    f->host.read_errs = UINT32_MAX;
    while (aio_poll(f->ctx, false)) {
        g_assert_cmpuint(f->host.reads, <=, 17);
    }
    g_assert_nonnull(strstr(f->sink.failure, g_strerror(EIO)));
    g_assert_cmpuint(f->host.closed, ==, 1);
}

static void test_passing_errors_do_not(Fixture *f, gconstpointer data)
{
    static const int errors[] = { EIO, EINTR, EAGAIN, ENOMEM, EFAULT };

    fault_pump_run(f->pump);
    set_ready(f, true);
    for (unsigned i = 0; i < G_N_ELEMENTS(errors); i++) {
        push_group(f, i + 1, 1);
        f->host.read_err = errors[i];
        f->host.read_errs = 10;
        turns(f, 11);
        g_assert_cmpuint(f->sink.counts->len, ==, i + 1);
    }
    g_assert_null(f->sink.failure);
}

/* ---- Busy polling ---- */

static void settle_bh(void *opaque)
{
    Fixture *f = opaque;

    g_assert_cmpuint(f->sink.counts->len, ==, 0);
    fault_pump_settle(f->pump);
    assert_counts(f, 2);
    f->sink.room = 0;
}

/* What it has read is delivered before the room goes to others. */
static void test_settle_delivers_what_polling_read(Fixture *f,
                                                   gconstpointer data)
{
    /* So long that no stall makes it stop polling. */
    aio_set_poll_params(f->ctx, G_MAXINT64 / 2, 0, 0);
    fault_pump_run(f->pump);
    set_ready(f, true);
    /* Dispatched twice: it polls from now on. */
    aio_poll(f->ctx, true);
    aio_poll(f->ctx, true);
    set_ready(f, false);
    aio_poll(f->ctx, false);
    push_group(f, 1, 2);
    aio_bh_schedule_oneshot(f->ctx, settle_bh, f);
    aio_poll(f->ctx, true);
    assert_counts(f, 2);
    g_assert_null(f->sink.failure);
}

static void add_tests(void)
{
    ADD("whole-groups-in-order", test_whole_groups_in_order);
    ADD("watched-from-the-first-run-on", test_watched_from_the_first_run_on);
    ADD("no-more-pages-than-room", test_no_more_pages_than_room);
    ADD("large-group-waits-for-exactly-so-much-room",
        test_large_group_waits_for_exactly_so_much_room);
    ADD("waiting-does-not-read", test_waiting_does_not_read);
    ADD("EINVAL-grows-by-batches", test_einval_grows_by_batches);
    ADD("larger-than-the-queue-is-read", test_larger_than_the_queue_is_read);
    ADD("the-largest-group-is-read", test_the_largest_group_is_read);
    ADD("larger-than-everything-closes", test_larger_than_everything_closes);
    ADD("no-memory-passes", test_no_memory_passes);
    ADD("lasting-want-of-memory-closes", test_lasting_want_of_memory_closes);
    ADD("look-anew-forgets-the-large-group",
        test_look_anew_forgets_the_large_group);
    ADD("look-anew-forgives-empty-reads",
        test_look_anew_forgives_empty_reads);
    ADD("at-most-a-batch-per-turn", test_at_most_a_batch_per_turn);
    ADD("more-than-a-batch-is-cut", test_more_than_a_batch_is_cut);
    ADD("malformed-group-is-named", test_malformed_group_is_named);
    ADD("malformed-alone-is-handed-over",
        test_malformed_alone_is_handed_over);
    ADD("truncated-read-names-nothing", test_truncated_read_names_nothing);
    ADD("failing-reads-close", test_failing_reads_close);
    ADD("passing-errors-do-not", test_passing_errors_do_not);
    ADD("settle-delivers-what-polling-read",
        test_settle_delivers_what_polling_read);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    add_tests();
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
