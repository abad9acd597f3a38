/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../iothread/aio-internal.h"
#include "aio-fixture.h"

enum { TIMERS = 3 };

/* Deadlines 1, 2, 3 are long past: they order without a wait. */
static const int64_t never_ns = INT64_MAX;

/* Timers that trace a, b, c; each calls @func besides, if it is set. */
typedef struct Trio {
    AioFixture *f;
    AioTimer *timer[TIMERS];
    void (*func[TIMERS])(struct Trio *trio);
    struct Member {
        struct Trio *trio;
        unsigned index;
    } member[TIMERS];
} Trio;

static void trio_run(void *opaque)
{
    struct Member *member = opaque;
    Trio *trio = member->trio;

    trace_add(trio->f, 'a' + member->index);
    if (trio->func[member->index]) {
        trio->func[member->index](trio);
    }
}

static void trio_new(Trio *trio, AioFixture *f)
{
    *trio = (Trio){ .f = f };
    for (unsigned i = 0; i < TIMERS; i++) {
        trio->member[i] = (struct Member){ .trio = trio, .index = i };
        trio->timer[i] = aio_timer_new(f->ctx, trio_run, &trio->member[i]);
    }
}

static void trio_arm(Trio *trio, int64_t a, int64_t b, int64_t c)
{
    aio_timer_mod(trio->timer[0], a);
    aio_timer_mod(trio->timer[1], b);
    aio_timer_mod(trio->timer[2], c);
}

static void trio_free(Trio *trio)
{
    for (unsigned i = 0; i < TIMERS; i++) {
        aio_timer_free(trio->timer[i]);
    }
}

static void test_order(AioFixture *f, gconstpointer form)
{
    static const struct {
        int64_t a, b, c;
        const char *expected;
    } cases[] = {
        { 1, 2, 3, "abc" },
        { 3, 2, 1, "cba" },
        { 2, 3, 1, "cab" },
        { 1, 1, 1, "abc" },         /* equal ones as they were armed */
        { 2, 1, 1, "bca" },
        { 1, never_ns, 2, "ac" },
    };
    Trio trio;

    trio_new(&trio, f);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        trio_arm(&trio, cases[i].a, cases[i].b, cases[i].c);
        aio_fixture_turn(f, true);
        aio_fixture_turn(f, false);
        trace_expect(f, cases[i].expected);
    }
    trio_free(&trio);
}

static void test_rearm_moves(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio_arm(&trio, 1, 2, 3);
    aio_timer_mod(trio.timer[0], 4);
    aio_timer_mod(trio.timer[1], never_ns);
    aio_fixture_turn(f, true);
    aio_fixture_turn(f, false);
    trace_expect(f, "ca");
    trio_free(&trio);
}

static void test_del(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio_arm(&trio, 1, 2, 3);
    aio_timer_del(trio.timer[1]);
    aio_timer_del(trio.timer[1]);
    aio_fixture_turn(f, true);
    trace_expect(f, "ac");
    trio_free(&trio);
}

static void del_b(Trio *trio)
{
    aio_timer_del(trio->timer[1]);
}

/* b has expired in the same turn already. */
static void test_del_an_expired_one(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio.func[0] = del_b;
    trio_arm(&trio, 1, 2, 3);
    aio_fixture_turn(f, true);
    aio_fixture_turn(f, false);
    trace_expect(f, "ac");
    trio_free(&trio);
}

static void free_a(Trio *trio)
{
    aio_timer_free(trio->timer[0]);
    trio->timer[0] = NULL;
}

static void test_free_in_own_callback(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio.func[0] = free_a;
    trio_arm(&trio, 1, 2, 3);
    aio_fixture_turn(f, true);
    trace_expect(f, "abc");
    trio_free(&trio);
}

static void rearm_a(Trio *trio)
{
    aio_timer_mod(trio->timer[0], 1);
}

/* It does not keep the turn from ending. */
static void test_rearmed_for_the_past_runs_next_turn(AioFixture *f,
                                                     gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio.func[0] = rearm_a;
    trio_arm(&trio, 1, 2, never_ns);
    aio_fixture_turn(f, true);
    trace_expect(f, "ab");
    aio_fixture_turn(f, true);
    trace_expect(f, "a");
    trio_free(&trio);
}

static void nested_turn(Trio *trio)
{
    aio_fixture_turn(trio->f, true);
    trace_add(trio->f, ')');
}

static void test_nested_runs_the_expired_ones(AioFixture *f,
                                              gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio.func[0] = nested_turn;
    trio_arm(&trio, 1, 2, never_ns);
    aio_fixture_turn(f, true);
    trace_expect(f, "ab)");
    trio_free(&trio);
}

/* One blocking turn waits for a timer and runs it, and not early. */
static void check_wakes_in_time(AioFixture *f)
{
    static const int64_t delays_ns[] = { 1, 100000, 1000000, 2500000 };
    Trio trio;

    trio_new(&trio, f);
    for (size_t i = 0; i < G_N_ELEMENTS(delays_ns); i++) {
        int64_t deadline = aio_clock_ns() + delays_ns[i];

        aio_timer_mod(trio.timer[0], deadline);
        aio_fixture_turn(f, true);
        g_assert_cmpint(aio_clock_ns(), >=, deadline);
        trace_expect(f, "a");
    }
    trio_free(&trio);
}

static void test_wakes_in_time(AioFixture *f, gconstpointer form)
{
    check_wakes_in_time(f);
}

static void test_wakes_in_time_without_pwait2(AioFixture *f,
                                              gconstpointer form)
{
    f->ctx->fd.no_pwait2 = true;
    check_wakes_in_time(f);
}

/* A deadline beyond what clocks can count is a wait like any other. */
static void test_far_away(AioFixture *f, gconstpointer form)
{
    AioTimer *timer = aio_timer_new(f->ctx, trace_mark, TRACE_MARK(f, 't'));

    aio_timer_mod(timer, never_ns);
    aio_fixture_start(f);
    aio_wait_asleep(f->ctx);
    aio_fixture_stop(f);
    trace_expect(f, "");
    aio_timer_free(timer);
}

static void test_free_null(void)
{
    aio_timer_free(NULL);
}

static void test_timeout_ms(void)
{
    static const struct {
        int64_t ns;
        int ms;
    } cases[] = {
        { -1, -1 }, { 0, 0 }, { 1, 1 }, { 999999, 1 }, { 1000000, 1 },
        { 1000001, 2 }, { INT64_MAX, INT_MAX },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(aio_timeout_ms(cases[i].ns), ==, cases[i].ms);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        AioTest *func;
    } tests[] = {
        { "timer/order", test_order },
        { "timer/rearm-moves", test_rearm_moves },
        { "timer/del", test_del },
        { "timer/del-an-expired-one", test_del_an_expired_one },
        { "timer/free-in-own-callback", test_free_in_own_callback },
        { "timer/rearmed-for-the-past-runs-next-turn",
          test_rearmed_for_the_past_runs_next_turn },
        { "timer/nested-runs-the-expired-ones",
          test_nested_runs_the_expired_ones },
        { "timer/wakes-in-time", test_wakes_in_time },
        { "timer/far-away", test_far_away },
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        aio_test_add(tests[i].path, tests[i].func);
    }
    aio_test_add_poll("timer/wakes-in-time-without-pwait2",
                      test_wakes_in_time_without_pwait2);
    g_test_add_func("/aio/timer/free-null", test_free_null);
    g_test_add_func("/aio/timer/timeout-ms", test_timeout_ms);
    return g_test_run();
}
