/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event pump when its fd says that there is something, and when it goes:
 * room, order, losses, errors, what is left in the queue.
 */
#include "test-event-pump.h"

#include <sys/mman.h>

static void test_delivers_in_order(Fixture *f, gconstpointer data)
{
    event_pump_run(f->pump);
    push_events(&f->host, 100);
    set_ready(&f->host, true);
    turns(f);
    assert_payloads(f, 100);
    g_assert_cmpuint(f->sink.batches, ==, 1);
}

static void test_reads_what_is_there_at_the_start(Fixture *f,
                                                  gconstpointer data)
{
    push_events(&f->host, 3);
    event_pump_run(f->pump);
    assert_payloads(f, 3);
}

static void test_no_more_than_room_then_unwatched(Fixture *f,
                                                  gconstpointer data)
{
    f->sink.room = 3;
    push_events(&f->host, 10);
    set_ready(&f->host, true);
    event_pump_run(f->pump);
    assert_payloads(f, 3);
    /* Ready, but not watched: no turn, so no spin. */
    g_assert_false(aio_poll(f->ctx, false));
    g_assert_cmpuint(f->host.reads, ==, 1);
    f->sink.room = 2;
    event_pump_run(f->pump);
    assert_payloads(f, 5);
    f->sink.room = EVENT_ROOM_UNLIMITED;
    event_pump_run(f->pump);
    assert_payloads(f, 10);
    /* Watched again. */
    push_events(&f->host, 1);
    turns(f);
    assert_payloads(f, 11);
}

static void test_lost_header_rides_with_the_last_room(Fixture *f,
                                                      gconstpointer data)
{
    f->sink.room = 2;
    push_events(&f->host, 2);
    push_header(&f->host, IOMMU_VEVENTQ_FLAG_LOST_EVENTS, 6);
    event_pump_run(f->pump);
    assert_payloads(f, 2);
    g_assert_cmpuint(f->sink.lost, ==, 5);
    g_assert_cmpuint(f->host.reads, ==, 1);
}

/* Under load the kernel puts an event behind such a header. */
static void test_lost_header_between_events(Fixture *f, gconstpointer data)
{
    f->sink.room = 8;
    push_events(&f->host, 3);
    push_header(&f->host, IOMMU_VEVENTQ_FLAG_LOST_EVENTS, 5);
    f->host.sequence = 6;
    push_events(&f->host, 2);
    f->host.sequence = 9;                       /* and a plain gap */
    push_events(&f->host, 2);
    push_header(&f->host, IOMMU_VEVENTQ_FLAG_LOST_EVENTS, 11);
    event_pump_run(f->pump);
    g_assert_cmpuint(f->host.reads, ==, 1);
    g_assert_cmpuint(f->sink.batches, ==, 1);
    g_assert_cmpuint(f->sink.count, ==, 7);
    g_assert_cmpuint(f->sink.lost, ==, 5);
    g_assert_cmpuint(g_array_index(f->sink.payloads, uint64_t, 2), ==, 2);
    g_assert_cmpuint(g_array_index(f->sink.payloads, uint64_t, 3), ==, 6);
    g_assert_cmpuint(g_array_index(f->sink.payloads, uint64_t, 6), ==, 10);
    g_assert_cmpuint(f->sink.malformed, ==, 0);
}

static void test_gap_counts_as_lost(Fixture *f, gconstpointer data)
{
    push_events(&f->host, 1);
    f->host.sequence = 5;
    push_events(&f->host, 1);
    event_pump_run(f->pump);
    g_assert_cmpuint(f->sink.lost, ==, 4);
    g_assert_cmpuint(f->sink.count, ==, 2);
}

static void test_budget_lets_others_run(Fixture *f, gconstpointer data)
{
    const unsigned budget = EVENT_PUMP_READS * EVENT_PUMP_BATCH;

    push_events(&f->host, EVENT_PUMP_BATCH + 2 * budget + EVENT_PUMP_BATCH);
    set_ready(&f->host, true);
    event_pump_run(f->pump);
    g_assert_cmpuint(f->sink.count, ==, EVENT_PUMP_BATCH);
    g_assert_cmpuint(turns(f), ==, 3);
    g_assert_cmpuint(f->sink.largest, ==, EVENT_PUMP_BATCH);
    assert_payloads(f, 2 * EVENT_PUMP_BATCH + 2 * budget);
}

static void test_empty_read_is_no_error(Fixture *f, gconstpointer data)
{
    event_pump_run(f->pump);
    set_ready(&f->host, true);
    g_assert_true(aio_poll(f->ctx, false));
    set_ready(&f->host, false);
    g_assert_cmpuint(f->sink.failures, ==, 0);
    push_events(&f->host, 1);
    set_ready(&f->host, true);
    turns(f);
    assert_payloads(f, 1);
}

/* An error that passes is survived; what counts is how many in a row. */
static void test_passing_errors(Fixture *f, gconstpointer data)
{
    static const int errors[] = { EIO, EINTR, EAGAIN, ENOMEM };

    event_pump_run(f->pump);
    set_ready(&f->host, true);
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        push_events(&f->host, 1);
        f->host.err = errors[i];
        f->host.err_times = 10;
        turns(f);
        assert_payloads(f, i + 1);
    }
    g_assert_cmpuint(f->sink.failures, ==, 0);
}

static void test_eintr_is_tried_again(Fixture *f, gconstpointer data)
{
    event_pump_run(f->pump);
    set_ready(&f->host, true);
    push_events(&f->host, 1);
    f->host.err = EINTR;
    f->host.err_times = 1000;
    turns(f);
    assert_payloads(f, 1);
}

static void test_lasting_error_closes(Fixture *f, gconstpointer data)
{
    event_pump_run(f->pump);
    set_ready(&f->host, true);
    f->host.err = EIO;
    f->host.err_times = UINT32_MAX;
    g_assert_cmpuint(turns(f), <=, 16);
    g_assert_cmpuint(f->sink.failures, ==, 1);
    g_assert_cmpuint(f->host.closed, ==, 1);
    g_assert_cmpuint(f->host.destroyed, ==, 1);
    g_assert_nonnull(strstr(f->sink.failure, "vEVENTQ 42: read() fails"));
    g_assert_nonnull(strstr(f->sink.failure, g_strerror(EIO)));
    /* Harmless from now on. */
    event_pump_run(f->pump);
    g_assert_false(aio_poll(f->ctx, false));
}

/* Not for ever: that were a spin. */
static void test_lasting_eintr_closes(Fixture *f, gconstpointer data)
{
    event_pump_run(f->pump);
    set_ready(&f->host, true);
    f->host.err = EINTR;
    f->host.err_times = UINT32_MAX;
    turns(f);
    g_assert_cmpuint(f->sink.failures, ==, 1);
    g_assert_nonnull(strstr(f->sink.failure, g_strerror(EINTR)));
}

/* To the last of it, and the loss behind it. */
static void test_free_drains_a_full_queue(Fixture *f, gconstpointer data)
{
    push_events(&f->host, DEPTH);
    push_header(&f->host, IOMMU_VEVENTQ_FLAG_LOST_EVENTS, DEPTH + 9);
    event_pump_free(g_steal_pointer(&f->pump));
    assert_payloads(f, DEPTH);
    g_assert_cmpuint(f->sink.lost, ==, 10);
}

static void test_ready_but_empty_closes(Fixture *f, gconstpointer data)
{
    unsigned n = 0;

    event_pump_run(f->pump);
    set_ready(&f->host, true);
    while (aio_poll(f->ctx, false)) {
        g_assert_cmpuint(++n, <=, 16);
    }
    g_assert_cmpuint(f->sink.failures, ==, 1);
    g_assert_nonnull(strstr(f->sink.failure, "read() gives nothing"));
}

static void test_malformed_read_is_skipped(Fixture *f, gconstpointer data)
{
    push_events(&f->host, 1);
    push_header(&f->host, 0x80, 1);
    event_pump_run(f->pump);
    g_assert_cmpuint(f->sink.malformed, ==, 1);
    f->host.sequence = 2;
    push_events(&f->host, 1);
    set_ready(&f->host, true);
    turns(f);
    /* The number that was skipped is a loss. */
    g_assert_cmpuint(f->sink.count, ==, 2);
    g_assert_cmpuint(f->sink.lost, ==, 1);
}

static void test_free_drains(Fixture *f, gconstpointer data)
{
    f->sink.room = 1;
    push_events(&f->host, 3 * EVENT_PUMP_BATCH);
    event_pump_run(f->pump);
    f->sink.room = EVENT_ROOM_UNLIMITED;    /* off: it discards */
    event_pump_free(g_steal_pointer(&f->pump));
    assert_payloads(f, 3 * EVENT_PUMP_BATCH);
}

/* An interrupted read says nothing of what there is. */
static void test_free_drains_though_interrupted(Fixture *f,
                                                gconstpointer data)
{
    push_events(&f->host, 3);
    f->host.err = EINTR;
    f->host.err_times = 2;
    event_pump_free(g_steal_pointer(&f->pump));
    assert_payloads(f, 3);
}

static void test_free_ends_however_fast_it_fills(Fixture *f,
                                                 gconstpointer data)
{
    f->host.endless = true;
    event_pump_free(g_steal_pointer(&f->pump));
    g_assert_cmpuint(f->sink.count, >=, DEPTH);
    g_assert_cmpuint(f->sink.count, <=, DEPTH + EVENT_PUMP_BATCH);
}

/* However large the queue is: nobody waits for half a million reads. */
static void test_free_gives_up_on_eintr(Fixture *f, gconstpointer data)
{
    push_events(&f->host, 1);
    f->host.err = EINTR;
    f->host.err_times = UINT32_MAX;
    event_pump_free(g_steal_pointer(&f->pump));
    g_assert_cmpuint(UINT32_MAX - f->host.err_times, <=, 16);
    assert_payloads(f, 0);
}

static void test_fd_that_cannot_be_watched(Fixture *f, gconstpointer data)
{
    /* epoll refuses a memfd: EPERM. */
    setup_fd(f, memfd_create("queue", MFD_CLOEXEC));
    event_pump_run(f->pump);
    g_assert_cmpuint(f->sink.failures, ==, 1);
    g_assert_nonnull(strstr(f->sink.failure, "cannot be watched"));
}

/* A hang-up cannot be switched off: the paused pump lets go of the fd. */
static void test_hang_up_while_full_is_no_spin(Fixture *f, gconstpointer data)
{
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    setup_fd(f, fds[0]);
    event_pump_run(f->pump);
    f->sink.room = 3;
    push_events(&f->host, 5);
    g_assert_cmpint(write(fds[1], "", 1), ==, 1);
    g_assert_true(aio_poll(f->ctx, false));
    assert_payloads(f, 3);
    g_assert_false(aio_poll(f->ctx, false));
    close(fds[1]);
    g_assert_true(aio_poll(f->ctx, false));
    g_assert_false(aio_poll(f->ctx, false));
    f->sink.room = 2;
    event_pump_run(f->pump);
    assert_payloads(f, 5);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    ADD("delivers-in-order", test_delivers_in_order);
    ADD("reads-what-is-there-at-the-start",
        test_reads_what_is_there_at_the_start);
    ADD("no-more-than-room-then-unwatched",
        test_no_more_than_room_then_unwatched);
    ADD("lost-header-rides-with-the-last-room",
        test_lost_header_rides_with_the_last_room);
    ADD("lost-header-between-events", test_lost_header_between_events);
    ADD("gap-counts-as-lost", test_gap_counts_as_lost);
    ADD("budget-lets-others-run", test_budget_lets_others_run);
    ADD("empty-read-is-no-error", test_empty_read_is_no_error);
    ADD("passing-errors", test_passing_errors);
    ADD("eintr-is-tried-again", test_eintr_is_tried_again);
    ADD("lasting-error-closes", test_lasting_error_closes);
    ADD("lasting-eintr-closes", test_lasting_eintr_closes);
    ADD("free-drains-a-full-queue", test_free_drains_a_full_queue);
    ADD("ready-but-empty-closes", test_ready_but_empty_closes);
    ADD("malformed-read-is-skipped", test_malformed_read_is_skipped);
    ADD("free-drains", test_free_drains);
    ADD("free-gives-up-on-eintr", test_free_gives_up_on_eintr);
    ADD("free-drains-though-interrupted", test_free_drains_though_interrupted);
    ADD("free-ends-however-fast-it-fills",
        test_free_ends_however_fast_it_fills);
    g_test_add("/event-pump/fd-that-cannot-be-watched", Fixture, NULL, NULL,
               test_fd_that_cannot_be_watched, teardown);
    g_test_add("/event-pump/hang-up-while-full-is-no-spin", Fixture, NULL,
               NULL, test_hang_up_while_full_is_no_spin, teardown);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
