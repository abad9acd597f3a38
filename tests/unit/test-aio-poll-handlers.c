/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Busy polling among handlers: who is tested and who is left to the kernel,
 * and what a hit's handler may do.
 */
#include "test-aio-poll.h"

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
    turn_until_tested(f, &device);
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
        { "poll/must-wait", test_must_wait },
        { "poll/without-poll-ready-is-no-test",
          test_without_poll_ready_is_no_test },
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
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        aio_test_add_poll(tests[i].path, tests[i].func);
    }
    return g_test_run();
}
