/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Invariant between callbacks: the fd is listened to exactly while the pump was
 * started, the sink has room and the queue can be read. A fill (bytes read and
 * not yet delivered) exists only between a busy-polling hit and its handler;
 * whatever runs in between delivers it first, so order is kept.
 */
#include "hw/iommu/event-pump.h"

#include "base/report.h"
#include "host/iommufd.h"
#include "hw/iommu/vevent-stream.h"

#include <errno.h>

/*
 * Consecutive failed or empty reads of a fd that says it is ready, after which
 * the queue is given up: anything else would be a spin.
 */
#define MAX_FAILURES 16

/* The same for "try again": no kernel says that here, but a host may. */
#define MAX_RETRIES 4096

typedef enum Watch {
    UNWATCHED,                  /* no handler is set for the fd */
    WATCHED,
    PAUSED,                     /* set, but hears of trouble only */
} Watch;

struct EventPump {
    const EventSinkOps *ops;    /* [const] */
    void *opaque;               /* [const] */
    AioContext *ctx;            /* [const] */
    HostQueue queue;            /* [const] but fd: [iothread], -1 once closed */
    Watch watch;                /* [iothread] */
    unsigned failures;          /* [iothread] consecutive */
    uint32_t room;              /* [iothread] at least this; 0 not known */
    ssize_t filled;             /* [iothread] bytes in buf, not yet delivered */
    VeventStream stream;        /* [iothread] */
    uint8_t buf[];              /* [iothread] */
};

static size_t slot_size(const HostQueue *queue)
{
    return sizeof(struct iommufd_vevent_header) + queue->record_size;
}

/*
 * Bytes for @records: also a LOST_EVENTS header after the last of them, so
 * that it needs no read of its own.
 */
static size_t buf_size(const HostQueue *queue, uint32_t records)
{
    return records * slot_size(queue) + sizeof(struct iommufd_vevent_header);
}

/* Read what fits. Return: bytes, 0 for none, or -errno. */
static ssize_t pump_fill(EventPump *pump, uint32_t room)
{
    HostQueue *queue = &pump->queue;
    uint32_t records = MIN(room, EVENT_PUMP_BATCH);
    ssize_t ret = queue->host->ops->read(queue->host, queue->fd, pump->buf,
                                         buf_size(queue, records));

    if (ret > 0) {
        pump->failures = 0;
    }
    return ret < 0 ? -errno : ret;
}

/*
 * The consumer only ever makes more room, so what the sink last said is good
 * for as long as it is a number. "Unlimited" ends when the guest acknowledges
 * an abort, so it is asked for anew.
 */
static void pump_learn_room(EventPump *pump, uint32_t room)
{
    pump->room = room == EVENT_ROOM_UNLIMITED ? 0 : room;
}

static uint32_t pump_room(EventPump *pump)
{
    uint32_t room = pump->room;

    if (room < EVENT_PUMP_BATCH) {
        room = pump->ops->room(pump->opaque);
        pump_learn_room(pump, room);
    }
    return room;
}

/* Return: the room left. */
static uint32_t pump_deliver(EventPump *pump)
{
    EventBatch batch;
    bool malformed = false;
    Vevent event;
    VeventKind kind;
    uint32_t room;

    batch.count = 0;
    batch.lost = 0;
    vevent_stream_feed(&pump->stream, pump->buf, pump->filled);
    pump->filled = 0;
    while ((kind = vevent_stream_next(&pump->stream, &event)) != VEVENT_END) {
        batch.lost += event.lost;
        if (kind == VEVENT_EVENT) {
            batch.records[batch.count++] = event.data;
        } else if (kind == VEVENT_MALFORMED) {
            malformed = true;
        }
    }
    pump->ops->seen(pump->opaque, malformed);
    room = pump->ops->deliver(pump->opaque, &batch);
    pump_learn_room(pump, room);
    return room;
}

static void pump_unwatch(EventPump *pump)
{
    if (pump->watch != UNWATCHED) {
        aio_set_fd_handler(pump->ctx, pump->queue.fd, NULL, NULL, NULL, NULL,
                           NULL);
        pump->watch = UNWATCHED;
    }
}

/* No room, or nothing to read any more. Trouble with a paused fd unwatches. */
static void pump_pause(EventPump *pump)
{
    if (pump->watch == WATCHED) {
        aio_pause_fd_handler(pump->ctx, pump->queue.fd, true);
        pump->watch = PAUSED;
    } else {
        pump_unwatch(pump);
    }
}

static void pump_close(EventPump *pump)
{
    HostQueue *queue = &pump->queue;
    g_autoptr(GError) error = NULL;

    pump_unwatch(pump);
    queue->host->ops->close(queue->host, queue->fd);
    queue->fd = -1;
    if (!iommufd_destroy(queue->host, queue->id, &error)) {
        error_report("%s", error->message);
    }
}

static void pump_fail(EventPump *pump, const char *what, int err)
{
    g_autofree char *message = NULL;

    message = g_strdup_printf("vEVENTQ %u: %s%s%s; closed until the guest "
                              "enables its event queue again",
                              pump->queue.id, what, err ? ": " : "",
                              err ? g_strerror(err) : "");
    pump_close(pump);
    pump->ops->failed(pump->opaque, message);
}

/* A read that gave @ret although the fd was ready. */
static void pump_count_failure(EventPump *pump, ssize_t ret)
{
    bool again = ret == -EINTR || ret == -EAGAIN;

    if (++pump->failures < (again ? MAX_RETRIES : MAX_FAILURES)) {
        return;
    }
    if (ret < 0) {
        pump_fail(pump, "read() fails", -ret);
    } else {
        pump_fail(pump, "is always ready, but read() gives nothing", 0);
    }
}

/*
 * @ready: the fd said that there is something to read.
 * Return: whether the fd is to be watched.
 */
static bool pump_turn(EventPump *pump, bool ready)
{
    uint32_t room;
    ssize_t ret;

    if (pump->filled > 0) {
        return pump_deliver(pump) > 0;
    }
    room = pump_room(pump);
    if (room == 0) {
        return false;
    }
    ret = pump_fill(pump, room);
    if (ret > 0) {
        pump->filled = ret;
        return pump_deliver(pump) > 0;
    }
    if (ready) {
        pump_count_failure(pump, ret);
    }
    return pump->queue.fd >= 0;
}

static void pump_ready(void *opaque)
{
    EventPump *pump = opaque;

    if (!pump_turn(pump, true)) {
        pump_pause(pump);
    }
}

/*
 * Busy polling: a read of an empty vEVENTQ returns 0 at once, so it is its own
 * test. Errors are left to pump_ready(), which the fd's readiness calls.
 */
static bool pump_poll(void *opaque)
{
    EventPump *pump = opaque;
    uint32_t room;
    ssize_t ret;

    if (pump->filled > 0) {
        return true;
    }
    room = pump_room(pump);
    if (room == 0) {
        return true;            /* pump_poll_ready() pauses */
    }
    ret = pump_fill(pump, room);
    pump->filled = MAX(ret, 0);
    return ret > 0;
}

static void pump_poll_ready(void *opaque)
{
    EventPump *pump = opaque;

    if (!pump_turn(pump, false)) {
        pump_pause(pump);
    }
}

static void pump_watch(EventPump *pump)
{
    int ret;

    if (pump->watch == WATCHED) {
        return;
    }
    if (pump->watch == PAUSED) {
        aio_pause_fd_handler(pump->ctx, pump->queue.fd, false);
        pump->watch = WATCHED;
        return;
    }
    ret = aio_set_fd_handler(pump->ctx, pump->queue.fd, pump_ready, NULL,
                             pump_poll, pump_poll_ready, pump);
    if (ret < 0) {
        pump_fail(pump, "its fd cannot be watched", -ret);
        return;
    }
    pump->watch = WATCHED;
}

void event_pump_run(EventPump *pump)
{
    g_assert(aio_in_home_thread(pump->ctx));
    if (pump->queue.fd < 0) {
        return;
    }
    if (pump_turn(pump, false)) {
        pump_watch(pump);
    } else if (pump->watch == WATCHED) {
        pump_pause(pump);
    }
}

EventPump *event_pump_new(AioContext *ctx, const HostQueue *queue,
                          const EventSinkOps *ops, void *opaque)
{
    EventPump *pump =
        g_malloc0(sizeof(*pump) + buf_size(queue, EVENT_PUMP_BATCH));

    pump->ops = ops;
    pump->opaque = opaque;
    pump->ctx = ctx;
    pump->queue = *queue;
    vevent_stream_init(&pump->stream, queue->record_size);
    return pump;
}

/*
 * What is left, however fast it fills at most a full queue of it, with a turn
 * for the LOST_EVENTS header.
 */
static void pump_drain(EventPump *pump)
{
    uint64_t budget = pump->queue.depth + UINT64_C(2);
    uint64_t taken;
    ssize_t ret;

    if (pump->filled > 0) {
        pump_deliver(pump);
    }
    while (budget > 0) {
        ret = pump_fill(pump, EVENT_PUMP_BATCH);
        if (ret <= 0 && ret != -EINTR) {
            break;
        }
        taken = MAX(ret, 0) / slot_size(&pump->queue);
        taken = MAX(taken, 1);
        budget -= MIN(budget, taken);
        if (ret > 0) {
            pump->filled = ret;
            pump_deliver(pump);
        }
    }
}

void event_pump_free(EventPump *pump)
{
    g_assert(aio_in_home_thread(pump->ctx));
    if (pump->queue.fd >= 0) {
        pump_unwatch(pump);
        pump_drain(pump);
        pump_close(pump);
    }
    g_free(pump);
}
