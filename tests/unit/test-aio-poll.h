/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of busy polling share: a device that busy polling may test,
 * and turns of a loop that may busy poll.
 */
#ifndef TEST_AIO_POLL_H
#define TEST_AIO_POLL_H

#include <sys/eventfd.h>
#include <unistd.h>

#include "../../iothread/aio-internal.h"
#include "aio-fixture.h"

#define SECOND_NS INT64_C(1000000000)

/* Longer than any turn of these tests takes. */
#define LONG_NS (100 * SECOND_NS)

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

static inline bool device_poll(void *opaque)
{
    Device *device = opaque;
    int64_t start = aio_clock_ns();

    device->tests++;
    while (aio_clock_ns() - start < device->test_ns) {
    }
    return device->work;
}

static inline void device_poll_ready(void *opaque)
{
    Device *device = opaque;

    trace_add(device->f, 'p');
    if (device->ready) {
        device->ready(device);
    }
}

static inline void device_read(void *opaque)
{
    Device *device = opaque;
    eventfd_t value;

    g_assert_cmpint(eventfd_read(device->fd, &value), ==, 0);
    trace_add(device->f, 'r');
}

static inline void device_watch(Device *device)
{
    g_assert_cmpint(
        aio_set_fd_handler(device->f->ctx, device->fd, device_read, NULL,
                           device_poll, device_poll_ready, device), ==, 0);
}

static inline void device_unwatch(Device *device)
{
    aio_set_fd_handler(device->f->ctx, device->fd, NULL, NULL, NULL, NULL,
                       NULL);
}

static inline void device_new(Device *device, AioFixture *f)
{
    *device = (Device){ .f = f, .fd = eventfd(0, EFD_CLOEXEC) };
    device_watch(device);
}

static inline void device_free(Device *device)
{
    device_unwatch(device);
    close(device->fd);
}

static inline AioHandler *device_handler(Device *device)
{
    return aio_fd_find(device->f->ctx, device->fd);
}

static inline void device_kick(Device *device)
{
    g_assert_cmpint(eventfd_write(device->fd, 1), ==, 0);
}

/* Dispatched once through epoll, so in the poll set; has learned @ns. */
static inline void device_new_polled(Device *device, AioFixture *f, int64_t ns)
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
static inline void turn_with_timer(AioFixture *f)
{
    AioTimer *timer = aio_timer_new(f->ctx, trace_mark, TRACE_MARK(f, 't'));

    aio_timer_mod(timer, aio_clock_ns() + SECOND_NS / 1000);
    while (f->trace->len == 0) {
        aio_poll(f->ctx, true);
    }
    aio_timer_free(timer);
}

/* Until @device was tested: of one turn a stall may take all the time. */
static inline void turn_until_tested(AioFixture *f, const Device *device)
{
    do {
        turn_with_timer(f);
        trace_expect(f, "t");
    } while (device->tests == 0);
}

static inline void set_params(AioFixture *f, int64_t max_ns, int64_t grow,
                              int64_t shrink)
{
    aio_set_poll_params(f->ctx, max_ns, grow, shrink);
    aio_poll(f->ctx, true);     /* the kick */
}

#endif
