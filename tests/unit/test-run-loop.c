/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run-loop.h"

#include "iothread/aio-context.h"

#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define S (1000 * MS)

typedef struct Fixture {
    int end_fd;
    RunLoop *loop;
    int ticks;
    int asked;
} Fixture;

static void setup(Fixture *f, gconstpointer unused)
{
    GError *error = NULL;

    f->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->loop = run_loop_new(f->end_fd, &error);
    g_assert_no_error(error);
}

static void teardown(Fixture *f, gconstpointer unused)
{
    run_loop_free(f->loop);
    close(f->end_fd);
}

static void end(Fixture *f)
{
    const uint64_t one = 1;

    g_assert_cmpint(write(f->end_fd, &one, sizeof(one)), ==, sizeof(one));
}

static void count_tick(void *opaque)
{
    Fixture *f = opaque;

    f->ticks++;
}

static void end_at_second_tick(void *opaque)
{
    Fixture *f = opaque;

    if (++f->ticks == 2) {
        end(f);
    }
}

static void test_next_tick(void)
{
    static const struct {
        int64_t due_ns, now_ns, next_ns;
    } cases[] = {
        { 10 * S, 10 * S, 11 * S },             /* on time */
        { 10 * S, 10 * S + 1, 11 * S },         /* late: no drift */
        { 10 * S, 10 * S - 1, 11 * S },         /* early: not twice */
        { 10 * S, 11 * S - 1, 11 * S },
        { 10 * S, 11 * S, 12 * S },             /* missed: left out */
        { 10 * S + 7, 25 * S, 25 * S + 7 },     /* the phase stays */
        { 10 * S + 7, 25 * S + 7, 26 * S + 7 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(run_loop_next_tick(cases[i].due_ns, cases[i].now_ns),
                        ==, cases[i].next_ns);
    }
}

static void test_duration_ends(Fixture *f, gconstpointer unused)
{
    int64_t start_ns = aio_clock_ns();

    run_loop_run(f->loop, 20 * MS, count_tick, f);
    g_assert_cmpint(aio_clock_ns() - start_ns, >=, 20 * MS);
}

static void test_descriptor_ends(Fixture *f, gconstpointer unused)
{
    end(f);
    run_loop_run(f->loop, 0, count_tick, f);
    g_assert_cmpint(f->ticks, ==, 0);
}

static void test_ticks_come_once_a_second(Fixture *f, gconstpointer unused)
{
    int64_t start_ns = aio_clock_ns();

    run_loop_run(f->loop, 0, end_at_second_tick, f);
    g_assert_cmpint(f->ticks, ==, 2);
    g_assert_cmpint(aio_clock_ns() - start_ns, >=, 2 * S);
}

static bool never(void *opaque)
{
    Fixture *f = opaque;

    f->asked++;
    return false;
}

static bool at_third_time(void *opaque)
{
    Fixture *f = opaque;

    return ++f->asked == 3;
}

static void test_done_ends(Fixture *f, gconstpointer unused)
{
    run_loop_end_when(f->loop, at_third_time, f);
    run_loop_run(f->loop, 0, count_tick, f);
    g_assert_cmpint(f->asked, ==, 3);
}

static void test_drain_asks_until_done(Fixture *f, gconstpointer unused)
{
    int64_t start_ns = aio_clock_ns();

    g_assert_true(run_loop_drain(f->loop, 3600 * S, at_third_time, f));
    g_assert_cmpint(f->asked, ==, 3);
    g_assert_cmpint(aio_clock_ns() - start_ns, >=, 2 * MS);
}

static void test_drain_gives_up(Fixture *f, gconstpointer unused)
{
    int64_t start_ns = aio_clock_ns();

    g_assert_false(run_loop_drain(f->loop, 20 * MS, never, f));
    g_assert_cmpint(aio_clock_ns() - start_ns, >=, 20 * MS);
    /* At the start, maybe later, and never more often than it may. */
    g_assert_cmpint(f->asked, >=, 1);
    g_assert_cmpint(f->asked, <=, 22);
}

/* The descriptor stays readable, which must not make the wait a busy one. */
static void test_drain_sleeps_after_a_signal(Fixture *f, gconstpointer unused)
{
    end(f);
    run_loop_run(f->loop, 0, count_tick, f);
    test_drain_gives_up(f, NULL);
}

#define ADD(path, test) \
    g_test_add("/run-loop/" path, Fixture, NULL, setup, test, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/run-loop/next-tick", test_next_tick);
    ADD("duration-ends", test_duration_ends);
    ADD("descriptor-ends", test_descriptor_ends);
    ADD("end-when-done-ends", test_done_ends);
    ADD("ticks-come-once-a-second", test_ticks_come_once_a_second);
    ADD("drain-asks-until-done", test_drain_asks_until_done);
    ADD("drain-gives-up", test_drain_gives_up);
    ADD("drain-sleeps-after-a-signal", test_drain_sleeps_after_a_signal);
    return g_test_run();
}
