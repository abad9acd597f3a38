/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../iothread/aio-internal.h"
#include "aio-fixture.h"

#define SECOND_NS INT64_C(1000000000)

/* Longer than any turn of these tests takes. */
#define LONG_NS (100 * SECOND_NS)

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

/* An eventfd whose handler has a test that hits while @work is set. */
typedef struct Device {
    AioFixture *f;
    int fd;
    bool work;
    int64_t test_ns;            /* how long a test takes */
    unsigned tests;
    struct Device *other;
    IOHandler *ready;           /* runs in io_poll_ready */
} Device;

static bool device_poll(void *opaque)
{
    Device *device = opaque;
    int64_t start = aio_clock_ns();

    device->tests++;
    while (aio_clock_ns() - start < device->test_ns) {
    }
    return device->work;
}

static void device_poll_ready(void *opaque)
{
    Device *device = opaque;

    trace_add(device->f, 'p');
    if (device->ready) {
        device->ready(device);
    }
}

static void device_read(void *opaque)
{
    Device *device = opaque;
    eventfd_t value;

    g_assert_cmpint(eventfd_read(device->fd, &value), ==, 0);
    trace_add(device->f, 'r');
}

static void device_watch(Device *device)
{
    g_assert_cmpint(
        aio_set_fd_handler(device->f->ctx, device->fd, device_read, NULL,
                           device_poll, device_poll_ready, device), ==, 0);
}

static void device_unwatch(Device *device)
{
    aio_set_fd_handler(device->f->ctx, device->fd, NULL, NULL, NULL, NULL,
                       NULL);
}

static void device_new(Device *device, AioFixture *f)
{
    *device = (Device){ .f = f, .fd = eventfd(0, EFD_CLOEXEC) };
    device_watch(device);
}

static void device_free(Device *device)
{
    device_unwatch(device);
    close(device->fd);
}

static AioHandler *device_handler(Device *device)
{
    return aio_fd_find(device->f->ctx, device->fd);
}

static void device_kick(Device *device)
{
    g_assert_cmpint(eventfd_write(device->fd, 1), ==, 0);
}

/* Dispatched once through epoll, so in the poll set; has learned @ns. */
static void device_new_polled(Device *device, AioFixture *f, int64_t ns)
{
    device_new(device, f);
    device_kick(device);
    g_assert_true(aio_poll(f->ctx, true));
    trace_expect(f, "r");
    aio_poll(f->ctx, false);    /* accepts the parameters */
    device_handler(device)->poll_ns = ns;
    device->tests = 0;
}

/* What the loop does when it may busy poll but has nothing to wait for. */
static void turn_with_timer(AioFixture *f)
{
    AioTimer *timer = aio_timer_new(f->ctx, trace_mark, TRACE_MARK(f, 't'));

    aio_timer_mod(timer, aio_clock_ns() + SECOND_NS / 1000);
    while (f->trace->len == 0) {
        aio_poll(f->ctx, true);
    }
    aio_timer_free(timer);
}

static void set_params(AioFixture *f, int64_t max_ns, int64_t grow,
                       int64_t shrink)
{
    aio_set_poll_params(f->ctx, max_ns, grow, shrink);
    aio_poll(f->ctx, true);     /* the kick */
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
    turn_with_timer(f);
    trace_expect(f, "t");
    g_assert_cmpuint(device.tests, >, 0);
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

/* A handler without a test: only the kernel can tell, so ask it at once. */
static void test_must_wait(AioFixture *f, gconstpointer form)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    aio_set_fd_handler(f->ctx, fd, trace_mark, NULL, NULL, NULL,
                       TRACE_MARK(f, 'x'));
    turn_with_timer(f);
    trace_expect(f, "t");
    g_assert_cmpuint(device.tests, ==, 0);

    aio_set_fd_handler(f->ctx, fd, NULL, NULL, NULL, NULL, NULL);
    turn_with_timer(f);
    trace_expect(f, "t");
    g_assert_cmpuint(device.tests, >, 0);
    close(fd);
    device_free(&device);
}

static void test_without_poll_ready_is_no_test(AioFixture *f,
                                               gconstpointer form)
{
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    g_assert_cmpint(aio_set_fd_handler(f->ctx, device.fd, device_read, NULL,
                                       device_poll, NULL, &device), ==, 0);
    device_kick(&device);
    aio_poll(f->ctx, true);
    trace_expect(f, "r");
    turn_with_timer(f);
    trace_expect(f, "t");
    g_assert_cmpuint(device.tests, ==, 0);
    device_free(&device);
}

/* It would poll for 100 s, and returns for the timer after 1 ms. */
static void test_budget_is_cut_by_a_timer(AioFixture *f, gconstpointer form)
{
    int64_t start = aio_clock_ns();
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    turn_with_timer(f);
    trace_expect(f, "t");
    g_assert_cmpint(aio_clock_ns() - start, <, LONG_NS / 2);
    g_assert_cmpuint(device.tests, >, 0);
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

static void unwatch_other(void *opaque)
{
    Device *device = opaque;

    device_unwatch(device->other);
}

/* Both tests hit in one round: whichever comes first keeps the other out. */
static void test_ready_removes_another(AioFixture *f, gconstpointer form)
{
    Device a, b;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&a, f, 0);
    device_new_polled(&b, f, LONG_NS);
    a.other = &b;
    b.other = &a;
    a.work = b.work = true;
    a.ready = b.ready = unwatch_other;
    a.tests = 0;
    g_assert_true(aio_poll(f->ctx, true));
    trace_expect(f, "p");
    g_assert_cmpuint(a.tests, ==, 1);
    g_assert_cmpuint(b.tests, ==, 1);
    device_free(&a);
    device_free(&b);
}

static void unwatch_self(void *opaque)
{
    device_unwatch(opaque);
}

static void test_ready_removes_itself(AioFixture *f, gconstpointer form)
{
    Device device;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    device.work = true;
    device.ready = unwatch_self;
    device_kick(&device);       /* readable, too */
    g_assert_true(aio_poll(f->ctx, true));
    g_assert_false(aio_poll(f->ctx, false));
    trace_expect(f, "p");
    device_free(&device);
}

static void poll_nested(void *opaque)
{
    Device *device = opaque;

    aio_bh_schedule_oneshot(device->f->ctx, trace_mark,
                            TRACE_MARK(device->f, 'b'));
    aio_poll(device->f->ctx, true);
}

/* It has work still, and does not call itself over and over. */
static void test_ready_is_not_tested_inside(AioFixture *f, gconstpointer form)
{
    Device device, idle;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, 0);
    device_new_polled(&idle, f, LONG_NS);
    device.work = true;
    device.ready = poll_nested;
    device.tests = 0;
    g_assert_true(aio_poll(f->ctx, true));
    trace_expect(f, "pb");
    g_assert_cmpuint(device.tests, ==, 1);
    g_assert_cmpuint(idle.tests, ==, 2);
    device_free(&device);
    device_free(&idle);
}

/* One that never ran is not in the poll set, and must not wait for ever. */
static void test_newcomer_is_not_starved(AioFixture *f, gconstpointer form)
{
    Device gone, busy, newcomer;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&gone, f, 0);
    device_free(&gone);
    device_new_polled(&busy, f, LONG_NS);
    busy.work = true;
    device_new(&newcomer, f);
    g_assert_true(aio_poll(f->ctx, true));
    trace_expect(f, "p");
    device_kick(&newcomer);
    g_assert_true(aio_poll(f->ctx, true));
    trace_expect(f, "pr");
    device_free(&busy);
    device_free(&newcomer);
}

/* Told by test and kernel at once: the kernel's word goes, and once. */
static void test_hit_and_readable(AioFixture *f, gconstpointer form)
{
    Device device, newcomer;

    set_params(f, LONG_NS, 0, 0);
    device_new_polled(&device, f, LONG_NS);
    device_new(&newcomer, f);   /* so that the kernel is asked, too */
    device.work = true;
    device_kick(&device);
    g_assert_true(aio_poll(f->ctx, true));
    trace_expect(f, "r");
    device_free(&device);
    device_free(&newcomer);
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

/* One more than are tested one by one. */
#define CROWD (AIO_POLL_TESTS + 1)

static void crowd_new(Device crowd[CROWD], AioFixture *f)
{
    for (unsigned i = 0; i < CROWD; i++) {
        device_new_polled(&crowd[i], f, 0);
    }
    for (unsigned i = 0; i < CROWD; i++) {
        device_handler(&crowd[i])->poll_ns = LONG_NS;
        crowd[i].tests = 0;
    }
}

static void crowd_free(Device crowd[CROWD])
{
    for (unsigned i = 0; i < CROWD; i++) {
        g_assert_cmpuint(crowd[i].tests, ==, 0);
        device_free(&crowd[i]);
    }
}

/* A turn costs by who is ready, not by who might be. */
static void test_many_are_not_tested(AioFixture *f, gconstpointer form)
{
    Device crowd[CROWD];

    set_params(f, LONG_NS, 0, 0);
    crowd_new(crowd, f);
    crowd[0].work = true;       /* which the kernel does not know of */
    device_kick(&crowd[1]);
    device_kick(&crowd[CROWD - 1]);
    g_assert_true(aio_poll(f->ctx, true));
    trace_expect(f, "rr");
    crowd_free(crowd);
}

/* They spin as long as the last one to run has learned. */
static void test_many_spin(AioFixture *f, gconstpointer form)
{
    Device crowd[CROWD];
    int64_t start;

    set_params(f, LONG_NS, 0, 0);
    crowd_new(crowd, f);
    g_assert_cmpint(f->ctx->poll.latest_ns, >, 0);
    f->ctx->poll.latest_ns = SECOND_NS / 1000;
    start = aio_clock_ns();
    g_assert_false(aio_poll_busy(f->ctx, start, -1));
    g_assert_cmpint(aio_clock_ns() - start, >=, SECOND_NS / 1000);

    f->ctx->poll.latest_ns = LONG_NS;
    device_kick(&crowd[0]);
    g_assert_true(aio_poll_busy(f->ctx, aio_clock_ns(), -1));
    g_assert_true(aio_poll(f->ctx, false));
    trace_expect(f, "r");
    crowd_free(crowd);
}

/* Also if that one had learned it long before, and then another something. */
static void test_many_spin_for_the_last_to_run(AioFixture *f,
                                               gconstpointer form)
{
    Device crowd[CROWD];

    set_params(f, LONG_NS, 0, 0);
    crowd_new(crowd, f);
    f->ctx->poll.latest_ns = 0;     /* it has come too seldom */
    device_kick(&crowd[1]);
    g_assert_true(aio_poll(f->ctx, true));
    trace_expect(f, "r");
    g_assert_cmpint(f->ctx->poll.latest_ns, ==, LONG_NS);
    crowd_free(crowd);
}

/* When some have gone, the others are tested again. */
static void test_few_of_many_are_tested(AioFixture *f, gconstpointer form)
{
    Device crowd[CROWD];

    set_params(f, LONG_NS, 0, 0);
    crowd_new(crowd, f);
    device_free(&crowd[0]);
    crowd[1].work = true;
    g_assert_true(aio_poll(f->ctx, true));
    trace_expect(f, "p");
    for (unsigned i = 1; i < CROWD; i++) {
        g_assert_cmpuint(crowd[i].tests, ==, 1);
        device_free(&crowd[i]);
    }
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
        { "poll/must-wait", test_must_wait },
        { "poll/without-poll-ready-is-no-test",
          test_without_poll_ready_is_no_test },
        { "poll/budget-is-cut-by-a-timer", test_budget_is_cut_by_a_timer },
        { "poll/notify-ends-polling", test_notify_ends_polling },
        { "poll/bh-of-another-thread-ends-polling",
          test_bh_of_another_thread_ends_polling },
        { "poll/non-blocking-does-not-poll", test_non_blocking_does_not_poll },
        { "poll/change-forgets", test_change_forgets },
        { "poll/zero-switches-off", test_zero_switches_off },
        { "poll/replaced-starts-anew", test_replaced_starts_anew },
        { "poll/ready-removes-another", test_ready_removes_another },
        { "poll/ready-removes-itself", test_ready_removes_itself },
        { "poll/ready-is-not-tested-inside", test_ready_is_not_tested_inside },
        { "poll/newcomer-is-not-starved", test_newcomer_is_not_starved },
        { "poll/hit-and-readable", test_hit_and_readable },
        { "poll/many-are-not-tested", test_many_are_not_tested },
        { "poll/many-spin", test_many_spin },
        { "poll/many-spin-for-the-last-to-run",
          test_many_spin_for_the_last_to_run },
        { "poll/few-of-many-are-tested", test_few_of_many_are_tested },
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
