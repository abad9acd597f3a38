/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Busy polling: what a handler's time becomes, and what ends a turn that busy
 * polls.
 */
#include "test-aio-poll.h"

static void test_adjust(void)
{
    static const struct {
        int64_t ns, block_ns, max_ns, grow, shrink, expected;
    } cases[] = {
        /* found while polling, or could have been: no change */
        { 4000, 3999, 32768, 0, 0, 4000 },
        { 4000, 4000, 32768, 0, 0, 4000 },
        { 0, 0, 32768, 0, 0, 0 },
        /* longer than polling may take: shrink */
        { 8000, 32769, 32768, 0, 0, 0 },
        { 8000, 32769, 32768, 0, 2, 4000 },
        { 8000, 32769, 32768, 0, 1, 8000 },
        { 8000, 32769, 32768, 0, INT64_MAX, 0 },
        { 32768, INT64_MAX, 32768, 0, 4, 8192 },
        /* in between: grow */
        { 0, 1, 32768, 0, 0, 4000 },
        { 0, 1, 32768, 7, 0, 4000 },
        { 4000, 4001, 32768, 0, 0, 8000 },
        { 8000, 20000, 32768, 0, 0, 16000 },
        { 16000, 20000, 32768, 0, 0, 32000 },
        { 4000, 20000, 32768, 3, 0, 12000 },
        { 4000, 20000, 32768, 1, 0, 4000 },
        /* never beyond the maximum */
        { 32000, 32700, 32768, 0, 0, 32768 },
        { 0, 1, 1000, 0, 0, 1000 },
        { 4000, 5000, INT64_MAX, INT64_MAX, 0, INT64_MAX },
        /* exactly the maximum: no change */
        { 8000, 32768, 32768, 0, 0, 8000 },
        { 32768, 32768, 32768, 0, 0, 32768 },
        { 0, 32768, 32768, 0, 0, 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(
            aio_poll_adjust(cases[i].ns, cases[i].block_ns, cases[i].max_ns,
                            cases[i].grow, cases[i].shrink), ==,
            cases[i].expected);
    }
}

/* What holds of every result, at each combination of the values at limits. */
static void check_adjusted(int64_t ns, int64_t block_ns, int64_t max_ns,
                           int64_t grow, int64_t shrink)
{
    int64_t result = aio_poll_adjust(ns, block_ns, max_ns, grow, shrink);

    g_assert_true(result >= 0);
    g_assert_true(result <= MAX(ns, max_ns));
    if (block_ns <= ns) {
        g_assert_true(result == ns);
    } else if (block_ns > max_ns) {
        g_assert_true(result <= ns);
        g_assert_true(shrink > 0 || result == 0);
        g_assert_true(shrink <= 1 || ns == 0 || result < ns);
    } else {
        g_assert_true(result >= ns);
        g_assert_true(grow == 1 || block_ns == max_ns || ns == max_ns ||
                      result > ns);
    }
}

static void test_adjust_limits(void)
{
    static const int64_t times[] = {
        0, 1, 2, AIO_POLL_FIRST_NS - 1, AIO_POLL_FIRST_NS,
        AIO_POLL_FIRST_NS + 1, 16384, 32767, 32768, 32769, INT64_MAX / 2,
        INT64_MAX / 2 + 1, INT64_MAX - 1, INT64_MAX,
    };
    static const int64_t factors[] = { 0, 1, 2, 3, INT64_MAX };
    enum { TIMES = G_N_ELEMENTS(times), FACTORS = G_N_ELEMENTS(factors) };

    for (unsigned i = 0; i < TIMES * TIMES * TIMES; i++) {
        for (unsigned j = 0; j < FACTORS * FACTORS; j++) {
            check_adjusted(times[i % TIMES], times[i / TIMES % TIMES],
                           times[i / TIMES / TIMES], factors[j % FACTORS],
                           factors[j / FACTORS]);
        }
    }
}

static void test_joins_when_first_dispatched(AioFixture *f,
                                             gconstpointer form)
{
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new(&device, f);
    turn_with_timer(f);
    trace_expect(f, "t");
    g_assert_cmpuint(device.tests, ==, 0);

    device_kick(&device);
    aio_poll(f->ctx, true);
    trace_expect(f, "r");
    g_assert_cmpint(device_handler(&device)->poll_ns, ==, 4000);
    turn_until_tested(f, &device);
    device_free(&device);
}

/* The fd is not readable: only the test can have told. */
static void test_hit_calls_poll_ready(AioFixture *f, gconstpointer form)
{
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    device.work = true;
    g_assert_true(aio_poll(f->ctx, true));
    trace_expect(f, "p");
    g_assert_cmpuint(device.tests, ==, 1);
    device_free(&device);
}

/* 1 ms of a test is more than each time learned, so it doubles. */
static void test_grows(AioFixture *f, gconstpointer form)
{
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, 4000);
    device.work = true;
    device.test_ns = SECOND_NS / 1000;
    for (int64_t ns = 8000; ns <= 256000; ns *= 2) {
        aio_poll(f->ctx, true);
        g_assert_cmpint(device_handler(&device)->poll_ns, ==, ns);
    }
    device_free(&device);
}

static void test_grows_to_the_maximum(AioFixture *f, gconstpointer form)
{
    Device device;

    set_params(f, LONG_NS, INT64_MAX, 0);
    device_new_polled(&device, f, 4000);
    device.work = true;
    device.test_ns = SECOND_NS / 1000;
    aio_poll(f->ctx, true);
    g_assert_cmpint(device_handler(&device)->poll_ns, ==, LONG_NS);
    device_free(&device);
}

static void test_shrinks(AioFixture *f, gconstpointer form)
{
    static const struct {
        int64_t shrink, expected;
    } cases[] = { { 0, 0 }, { 1, 800 }, { 2, 400 }, { 801, 0 } };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Device device;

        set_params(f, 1000, 0, cases[i].shrink);
        device_new_polled(&device, f, 800);
        device.work = true;
        device.test_ns = SECOND_NS / 1000;
        aio_poll(f->ctx, true);
        trace_expect(f, "p");
        g_assert_cmpint(device_handler(&device)->poll_ns, ==,
                        cases[i].expected);
        device_free(&device);
    }
}

/* It would poll for 100 s, and returns for the timer after 1 ms. */
static void test_budget_is_cut_by_a_timer(AioFixture *f, gconstpointer form)
{
    int64_t start = aio_clock_ns();
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    turn_until_tested(f, &device);
    g_assert_cmpint(aio_clock_ns() - start, <, LONG_NS / 2);
    device_free(&device);
}

static void test_notify_ends_polling(AioFixture *f, gconstpointer form)
{
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    aio_notify(f->ctx);
    g_assert_false(aio_poll(f->ctx, true));
    g_assert_cmpuint(device.tests, ==, 1);
    device_free(&device);
}

static void *schedule_mark(void *opaque)
{
    TraceMark *mark = opaque;

    aio_bh_schedule_oneshot(mark->f->ctx, trace_mark, mark);
    return NULL;
}

static void test_bh_of_another_thread_ends_polling(AioFixture *f,
                                                   gconstpointer form)
{
    pthread_t thread;
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    pthread_create(&thread, NULL, schedule_mark, TRACE_MARK(f, 'b'));
    while (f->trace->len == 0) {
        aio_poll(f->ctx, true);
    }
    pthread_join(thread, NULL);
    trace_expect(f, "b");
    device_free(&device);
}

static void test_non_blocking_does_not_poll(AioFixture *f, gconstpointer form)
{
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    device.work = true;
    g_assert_false(aio_poll(f->ctx, false));
    g_assert_cmpuint(device.tests, ==, 0);
    device_free(&device);
}

static void test_change_forgets(AioFixture *f, gconstpointer form)
{
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    aio_set_poll_params(f->ctx, LONG_NS, 0, 0);
    g_assert_false(aio_poll(f->ctx, true));
    g_assert_cmpuint(device.tests, ==, 0);
    g_assert_cmpint(device_handler(&device)->poll_ns, ==, 0);
    device_free(&device);
}

static void test_zero_switches_off(AioFixture *f, gconstpointer form)
{
    Device device;

    set_params(f, 0, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    turn_with_timer(f);
    device_kick(&device);
    aio_poll(f->ctx, true);
    trace_expect(f, "tr");
    g_assert_cmpuint(device.tests, ==, 0);
    g_assert_cmpint(device_handler(&device)->poll_ns, ==, LONG_NS);
    device_free(&device);
}

static void test_replaced_starts_anew(AioFixture *f, gconstpointer form)
{
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    device_watch(&device);
    turn_with_timer(f);
    trace_expect(f, "t");
    g_assert_cmpuint(device.tests, ==, 0);
    g_assert_cmpint(device_handler(&device)->poll_ns, ==, 0);
    device_free(&device);
}

/* Also when a callback calls aio_poll(). */
static void test_off_in_gsource(AioFixture *f, gconstpointer form)
{
    Device device;

    aio_set_poll_params(f->ctx, LONG_NS, 0, 0);
    aio_fixture_turn(f, true);
    device_new_polled(&device, f, LONG_NS);
    device_kick(&device);
    aio_fixture_turn(f, true);
    trace_expect(f, "r");
    turn_with_timer(f);
    trace_expect(f, "t");
    g_assert_cmpuint(device.tests, ==, 0);
    g_assert_cmpint(device_handler(&device)->poll_ns, ==, LONG_NS);
    device_free(&device);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        AioTest *func;
    } tests[] = {
        { "poll/joins-when-first-dispatched",
          test_joins_when_first_dispatched },
        { "poll/hit-calls-poll-ready", test_hit_calls_poll_ready },
        { "poll/grows", test_grows },
        { "poll/grows-to-the-maximum", test_grows_to_the_maximum },
        { "poll/shrinks", test_shrinks },
        { "poll/budget-is-cut-by-a-timer", test_budget_is_cut_by_a_timer },
        { "poll/notify-ends-polling", test_notify_ends_polling },
        { "poll/bh-of-another-thread-ends-polling",
          test_bh_of_another_thread_ends_polling },
        { "poll/non-blocking-does-not-poll", test_non_blocking_does_not_poll },
        { "poll/change-forgets", test_change_forgets },
        { "poll/zero-switches-off", test_zero_switches_off },
        { "poll/replaced-starts-anew", test_replaced_starts_anew },
    };

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/aio/poll/adjust", test_adjust);
    g_test_add_func("/aio/poll/adjust-limits", test_adjust_limits);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        aio_test_add_poll(tests[i].path, tests[i].func);
    }
    g_test_add("/aio-gsource/poll/off", AioFixture,
               GINT_TO_POINTER(AIO_FORM_GSOURCE), aio_fixture_setup,
               test_off_in_gsource, aio_fixture_teardown);
    return g_test_run();
}
