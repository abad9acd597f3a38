/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pump between a host that reads from a script and a sink that takes notes.
 */
#include "hw/iommu/event-pump.h"

#include "base/rcu.h"
#include "host/iommufd-abi.h"
#include "../../iothread/aio-internal.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
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

static ScriptedHost *scripted(HostIommu *host)
{
    return caa_container_of(host, ScriptedHost, parent);
}

static ssize_t host_read(HostIommu *host, int fd, void *buf, size_t count)
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

static int host_ioctl(HostIommu *host, int fd, unsigned long request,
                      void *arg)
{
    const struct iommu_destroy *cmd = arg;

    g_assert_cmpuint(request, ==, IOMMU_DESTROY);
    g_assert_cmpuint(cmd->id, ==, QUEUE_ID);
    g_assert_cmpuint(scripted(host)->closed, ==, 1);
    scripted(host)->destroyed++;
    return 0;
}

static int host_close(HostIommu *host, int fd)
{
    scripted(host)->closed++;
    return close(fd);
}

static const HostIommuOps host_ops = {
    .ioctl = host_ioctl,
    .read = host_read,
    .close = host_close,
};

static uint32_t sink_room(void *opaque)
{
    return ((NotingSink *)opaque)->room;
}

static uint32_t sink_deliver(void *opaque, VeventStream *stream)
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

static void sink_failed(void *opaque, const char *message)
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

static void set_ready(ScriptedHost *s, bool ready)
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

static void push_header(ScriptedHost *s, uint32_t flags, uint32_t sequence)
{
    struct iommufd_vevent_header header = { flags, sequence };

    g_byte_array_append(s->pending, (void *)&header, sizeof(header));
}

/* Events whose payload is their number. */
static void push_events(ScriptedHost *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t payload = s->sequence;

        push_header(s, 0, s->sequence++);
        g_byte_array_append(s->pending, (void *)&payload, sizeof(payload));
    }
}

static void setup_fd(Fixture *f, int fd)
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

static void setup(Fixture *f, gconstpointer data)
{
    setup_fd(f, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static void teardown(Fixture *f, gconstpointer data)
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
static unsigned turns(Fixture *f)
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

static void assert_payloads(Fixture *f, unsigned count)
{
    g_assert_cmpuint(f->sink.payloads->len, ==, count);
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmpuint(g_array_index(f->sink.payloads, uint64_t, i), ==, i);
    }
}

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
    push_events(&f->host, 4 * EVENT_PUMP_BATCH);
    set_ready(&f->host, true);
    event_pump_run(f->pump);
    g_assert_cmpuint(f->sink.count, ==, EVENT_PUMP_BATCH);
    g_assert_cmpuint(turns(f), ==, 3);
    g_assert_cmpuint(f->sink.largest, ==, EVENT_PUMP_BATCH);
    assert_payloads(f, 4 * EVENT_PUMP_BATCH);
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
    g_assert_cmpuint(f->host.reads, ==, 1);
    g_assert_cmpuint(f->sink.batches, ==, 2);
    g_assert_cmpuint(f->sink.count, >, 1);
    g_assert_cmpuint(f->sink.count, <, 500);
    g_assert_true(aio_poll(f->ctx, true));
    g_assert_cmpuint(f->host.reads, ==, 2);
    assert_payloads(f, 501);

    /* Not behind any more: it looks, and finds nothing. */
    poll_until_idle(f);
    g_assert_cmpuint(f->sink.batches, ==, 3);
    g_assert_cmpuint(f->sink.failures, ==, 0);
}

/* It was behind, but nothing came since: a hit for nothing, once. */
static void test_behind_of_nothing_is_no_spin(Fixture *f, gconstpointer data)
{
    allow_polling(f);
    start_polling(f);
    push_events(&f->host, 20);
    g_assert_true(aio_poll(f->ctx, true));
    assert_payloads(f, 21);
    f->host.reads = 0;
    g_assert_true(aio_poll(f->ctx, true));
    g_assert_cmpuint(f->host.reads, ==, 1);
    g_assert_cmpuint(poll_until_idle(f), <, 5);
    g_assert_cmpuint(f->sink.batches, ==, 2);
    g_assert_cmpuint(f->sink.failures, ==, 0);
}

/* What one has read waits while another reads into the context's buffer. */
static void test_hits_of_two_pumps_at_once(Fixture *f, gconstpointer data)
{
    Fixture second = { 0 };

    allow_polling(f);
    second_setup(&second, f);
    start_polling(f);
    start_polling(&second);
    for (unsigned round = 0; round < 10; round++) {
        /* Each is behind in every other turn, and then not the other. */
        Fixture *one = round % 2 ? f : &second;
        Fixture *other = round % 2 ? &second : f;

        poll_until_idle(f);
        push_events(&one->host, 500);
        g_assert_true(aio_poll(f->ctx, true));
        push_events(&other->host, 5);
        g_assert_true(aio_poll(f->ctx, true));
    }
    poll_until_idle(f);
    assert_payloads(f, 1 + 5 * 505);
    assert_payloads(&second, 1 + 5 * 505);
    teardown(&second, NULL);
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

#define ADD(path, func) \
    g_test_add("/event-pump/" path, Fixture, NULL, setup, func, teardown)

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
    ADD("busy-polling-loses-nothing", test_busy_polling_loses_nothing);
    ADD("busy-polling-lags-behind", test_busy_polling_lags_behind);
    ADD("behind-of-nothing-is-no-spin", test_behind_of_nothing_is_no_spin);
    ADD("hits-of-two-pumps-at-once", test_hits_of_two_pumps_at_once);
    ADD("busy-polling-lets-events-gather",
        test_busy_polling_lets_events_gather);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
