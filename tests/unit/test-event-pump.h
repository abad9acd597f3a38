/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the event pump share: it stands between a host that reads
 * from a script and a sink that takes notes.
 */
#ifndef TEST_EVENT_PUMP_H
#define TEST_EVENT_PUMP_H

#include "hw/iommu/event-pump.h"

#include "base/rcu.h"
#include "host/iommufd-abi.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RECORD 8
#define QUEUE_ID 42
#define DEPTH 4096

typedef struct ScriptedHost {
    HostIommu parent;
    GByteArray *pending;        /* what reads will give */
    int fd;                     /* an eventfd, readable while told so */
    int err;                    /* errno of reads, ... */
    unsigned err_times;         /* ... this often */
    bool endless;               /* reads always fill the buffer */
    unsigned reads;
    unsigned closed;
    unsigned destroyed;
    uint32_t sequence;
} ScriptedHost;

typedef struct NotingSink {
    uint32_t room;
    GArray *payloads;           /* uint64_t */
    uint64_t lost;
    uint64_t count;
    unsigned batches;
    unsigned largest;
    unsigned malformed;
    char *failure;
    unsigned failures;
} NotingSink;

typedef struct Fixture {
    AioContext *ctx;
    ScriptedHost host;
    NotingSink sink;
    EventPump *pump;
} Fixture;

/* ---- The host ---- */

static inline ScriptedHost *scripted(HostIommu *host)
{
    return caa_container_of(host, ScriptedHost, parent);
}

static inline ssize_t host_read(HostIommu *host, int fd, void *buf,
                                size_t count)
{
    const size_t slot = sizeof(struct iommufd_vevent_header) + RECORD;
    ScriptedHost *s = scripted(host);
    size_t len;

    s->reads++;
    if (s->err_times > 0) {
        s->err_times--;
        errno = s->err;
        return -1;
    }
    if (s->endless) {
        len = count / slot * slot;
        memset(buf, 0, len);
        for (size_t at = 0; at < len; at += slot) {
            struct iommufd_vevent_header header = { 0, s->sequence++ };

            memcpy((char *)buf + at, &header, sizeof(header));
        }
        return len;
    }
    len = MIN(count, s->pending->len);
    len = len == s->pending->len ? len : len / slot * slot;
    if (len == 0) {
        return 0;
    }
    memcpy(buf, s->pending->data, len);
    g_byte_array_remove_range(s->pending, 0, len);
    return len;
}

static inline int host_ioctl(HostIommu *host, int fd, unsigned long request,
                             void *arg)
{
    const struct iommu_destroy *cmd = arg;

    g_assert_cmpuint(request, ==, IOMMU_DESTROY);
    g_assert_cmpuint(cmd->id, ==, QUEUE_ID);
    g_assert_cmpuint(scripted(host)->closed, ==, 1);
    scripted(host)->destroyed++;
    return 0;
}

static inline int host_close(HostIommu *host, int fd)
{
    scripted(host)->closed++;
    return close(fd);
}

static const HostIommuOps host_ops = {
    .ioctl = host_ioctl,
    .read = host_read,
    .close = host_close,
};

/* ---- The sink ---- */

static inline uint32_t sink_room(void *opaque)
{
    return ((NotingSink *)opaque)->room;
}

static inline uint32_t sink_deliver(void *opaque, VeventStream *stream)
{
    NotingSink *sink = opaque;
    size_t count = 0;
    VeventKind kind;
    Vevent event;

    while ((kind = vevent_stream_next(stream, &event)) != VEVENT_END) {
        uint64_t payload;

        sink->lost += event.lost;
        sink->malformed += kind == VEVENT_MALFORMED;
        if (kind == VEVENT_EVENT) {
            memcpy(&payload, event.data, sizeof(payload));
            g_array_append_val(sink->payloads, payload);
            count++;
        }
    }
    sink->batches++;
    sink->largest = MAX(sink->largest, count);
    sink->count += count;
    if (sink->room != EVENT_ROOM_UNLIMITED) {
        g_assert_cmpuint(count, <=, sink->room);
        sink->room -= count;
    }
    return sink->room;
}

static inline void sink_failed(void *opaque, const char *message)
{
    NotingSink *sink = opaque;

    sink->failures++;
    g_free(sink->failure);
    sink->failure = g_strdup(message);
}

static const EventSinkOps sink_ops = {
    .room = sink_room,
    .deliver = sink_deliver,
    .failed = sink_failed,
};

/* ---- Set-up ---- */

static inline void set_ready(ScriptedHost *s, bool ready)
{
    uint64_t value = 1;

    if (ready) {
        g_assert_cmpint(write(s->fd, &value, sizeof(value)), ==,
                        sizeof(value));
    } else {
        g_assert_cmpint(read(s->fd, &value, sizeof(value)), ==,
                        sizeof(value));
    }
}

static inline void push_header(ScriptedHost *s, uint32_t flags,
                               uint32_t sequence)
{
    struct iommufd_vevent_header header = { flags, sequence };

    g_byte_array_append(s->pending, (void *)&header, sizeof(header));
}

/* Events whose payload is their number. */
static inline void push_events(ScriptedHost *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t payload = s->sequence;

        push_header(s, 0, s->sequence++);
        g_byte_array_append(s->pending, (void *)&payload, sizeof(payload));
    }
}

static inline void setup_fd(Fixture *f, int fd)
{
    g_autoptr(GError) error = NULL;
    HostQueue queue = { .fd = fd, .id = QUEUE_ID, .depth = DEPTH,
                        .record_size = RECORD };

    f->ctx = aio_context_new(&error);
    g_assert_no_error(error);
    aio_context_bind(f->ctx);
    f->host.parent.ops = &host_ops;
    f->host.pending = g_byte_array_new();
    f->host.fd = fd;
    f->sink.room = EVENT_ROOM_UNLIMITED;
    f->sink.payloads = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    queue.host = &f->host.parent;
    f->pump = event_pump_new(f->ctx, &queue, &sink_ops, &f->sink);
}

static inline void setup(Fixture *f, gconstpointer data)
{
    setup_fd(f, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static inline void teardown(Fixture *f, gconstpointer data)
{
    if (f->pump) {
        event_pump_free(f->pump);
    }
    g_assert_cmpuint(f->host.closed, ==, 1);
    g_assert_cmpuint(f->host.destroyed, ==, 1);
    aio_context_unref(f->ctx);
    g_byte_array_unref(f->host.pending);
    g_array_unref(f->sink.payloads);
    g_free(f->sink.failure);
}

/* All turns that are due. Return: how many. */
static inline unsigned turns(Fixture *f)
{
    unsigned n = 0;

    while (aio_poll(f->ctx, false)) {
        n++;
        if (f->host.pending->len == 0 && f->host.err_times == 0 &&
            f->host.closed == 0) {
            break;
        }
        g_assert_cmpuint(n, <, 10000);
    }
    return n;
}

static inline void assert_payloads(Fixture *f, unsigned count)
{
    g_assert_cmpuint(f->sink.payloads->len, ==, count);
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmpuint(g_array_index(f->sink.payloads, uint64_t, i), ==, i);
    }
}

#define ADD(path, func) \
    g_test_add("/event-pump/" path, Fixture, NULL, setup, func, teardown)

#endif
