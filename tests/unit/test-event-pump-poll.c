/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event pump while the loop busy polls: what a hit has read waits for its
 * handler.
 */
#include "test-event-pump.h"

#include "../../iothread/aio-internal.h"

/* A busy-polling hit that waits for its handler is delivered before the end. */
static void test_busy_polling_loses_nothing(Fixture *f, gconstpointer data)
{
    aio_set_poll_params(f->ctx, 1000 * 1000, 0, 0);
    event_pump_run(f->pump);
    for (unsigned i = 1; i <= 200; i++) {
        push_events(&f->host, 1);
        set_ready(&f->host, true);
        while (f->sink.count < i) {
            aio_poll(f->ctx, true);
        }
        set_ready(&f->host, false);
    }
    assert_payloads(f, 200);
    g_assert_cmpuint(f->sink.failures, ==, 0);
}

static void rearm(void *opaque)
{
    AioTimer **timer = opaque;

    aio_timer_mod(*timer, aio_clock_ns() + 1000 * 1000);
}

/* Its fd never says so: only busy polling finds them, and the timer ends it. */
static void test_busy_polling_lets_events_gather(Fixture *f, gconstpointer data)
{
    const unsigned events = 100;
    AioTimer *timer;
    int64_t start;

    aio_set_poll_params(f->ctx, INT64_C(10000000000), 0, 0);
    event_pump_run(f->pump);
    push_events(&f->host, 1);
    set_ready(&f->host, true);
    g_assert_true(aio_poll(f->ctx, true));      /* takes part from now on */
    set_ready(&f->host, false);
    timer = aio_timer_new(f->ctx, rearm, &timer);
    rearm(&timer);
    start = aio_clock_ns();
    for (unsigned i = 1; i <= events; i++) {
        push_events(&f->host, 1);
        while (f->sink.count <= i) {
            aio_poll(f->ctx, true);
        }
    }
    g_assert_cmpint(aio_clock_ns() - start, >=,
                    (events - 1) * QUEUE_POLL_GAP_NS);
    g_assert_cmpuint(f->sink.batches, ==, events + 1);
    aio_timer_free(timer);
}

/* A pump with a host and a sink of its own, in the context of @f. */
static void second_setup(Fixture *second, const Fixture *f)
{
    HostQueue queue = {
        .host = &second->host.parent,
        .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .id = QUEUE_ID, .depth = DEPTH, .record_size = RECORD,
    };

    second->ctx = aio_context_ref(f->ctx);
    second->host.parent.ops = &host_ops;
    second->host.pending = g_byte_array_new();
    second->host.fd = queue.fd;
    second->sink.room = EVENT_ROOM_UNLIMITED;
    second->sink.payloads = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    second->pump = event_pump_new(f->ctx, &queue, &sink_ops, &second->sink);
}

#define POLL_NS INT64_C(10000000000)

static void allow_polling(Fixture *f)
{
    aio_set_poll_params(f->ctx, POLL_NS, 0, 0);
    aio_poll(f->ctx, true);     /* the kick */
}

/* From now on it is polled, for long, and its fd says nothing any more. */
static void start_polling(Fixture *f)
{
    event_pump_run(f->pump);
    push_events(&f->host, 1);
    set_ready(&f->host, true);
    aio_poll(f->ctx, false);
    g_assert_cmpuint(f->sink.count, ==, 1);
    set_ready(&f->host, false);
    aio_fd_find(f->ctx, f->host.fd)->poll_ns = POLL_NS;
}

static void mark(void *opaque)
{
    *(bool *)opaque = true;
}

/* Busy polling, until there is nothing for a while. Return: turns. */
static unsigned poll_until_idle(Fixture *f)
{
    bool over = false;
    unsigned turns = 0;
    AioTimer *timer = aio_timer_new(f->ctx, mark, &over);

    aio_timer_mod(timer, aio_clock_ns() + 1000 * 1000);
    while (!over) {
        aio_poll(f->ctx, true);
        turns++;
    }
    aio_timer_free(timer);
    return turns;
}

/* The test reads as much as it can keep; the rest comes in one turn. */
static void test_busy_polling_lags_behind(Fixture *f, gconstpointer data)
{
    allow_polling(f);
    start_polling(f);
    push_events(&f->host, 500);
    f->host.reads = 0;
    g_assert_true(aio_poll(f->ctx, true));
    g_assert_cmpuint(f->host.reads, ==, 2);
    g_assert_cmpuint(f->sink.largest, >, 250);
    assert_payloads(f, 501);

    /* Not behind any more: it looks, and finds nothing. */
    poll_until_idle(f);
    g_assert_cmpuint(f->sink.batches, ==, 3);
    g_assert_cmpuint(f->sink.failures, ==, 0);
}

/* It was behind, but nothing has come since: a read for nothing, once. */
static void test_behind_of_nothing_is_no_spin(Fixture *f, gconstpointer data)
{
    allow_polling(f);
    start_polling(f);
    push_events(&f->host, 20);
    f->host.reads = 0;
    g_assert_true(aio_poll(f->ctx, true));
    g_assert_cmpuint(f->host.reads, ==, 2);
    assert_payloads(f, 21);
    g_assert_cmpuint(poll_until_idle(f), <, 5);
    g_assert_cmpuint(f->sink.batches, ==, 2);
    g_assert_cmpuint(f->sink.failures, ==, 0);
}

#define MORE_THAN_A_TURN (EVENT_PUMP_READS * EVENT_PUMP_BATCH)

/* What one has read waits while another reads into the context's buffer. */
static void test_hits_of_two_pumps_at_once(Fixture *f, gconstpointer data)
{
    Fixture second = { 0 };

    allow_polling(f);
    second_setup(&second, f);
    start_polling(f);
    start_polling(&second);
    for (unsigned round = 0; round < 10; round++) {
        /* One is behind after its turn, the other not, and then vice versa. */
        Fixture *one = round % 2 ? f : &second;
        Fixture *other = round % 2 ? &second : f;

        poll_until_idle(f);
        push_events(&one->host, MORE_THAN_A_TURN);
        g_assert_true(aio_poll(f->ctx, true));
        g_assert_cmpuint(one->host.pending->len, >, 0);
        push_events(&other->host, 5);
        g_assert_true(aio_poll(f->ctx, true));
    }
    poll_until_idle(f);
    assert_payloads(f, 1 + 5 * (MORE_THAN_A_TURN + 5));
    assert_payloads(&second, 1 + 5 * (MORE_THAN_A_TURN + 5));
    teardown(&second, NULL);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    ADD("poll/loses-nothing", test_busy_polling_loses_nothing);
    ADD("poll/lags-behind", test_busy_polling_lags_behind);
    ADD("poll/behind-of-nothing-is-no-spin",
        test_behind_of_nothing_is_no_spin);
    ADD("poll/hits-of-two-pumps-at-once", test_hits_of_two_pumps_at_once);
    ADD("poll/lets-events-gather", test_busy_polling_lets_events_gather);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
