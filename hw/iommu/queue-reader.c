/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Invariant between callbacks: the fd is listened to exactly while the reader
 * was started, its owner has room and the queue can be read. A fill (bytes read
 * and not yet taken) exists only between a busy-polling hit and its handler;
 * whatever runs in between takes it first, so order is kept.
 */
#include "hw/iommu/queue-reader.h"

#include "host/iommufd.h"

#include <errno.h>

/*
 * Consecutive failed or empty reads of a fd that says it is ready, after which
 * the queue is given up: anything else would be a spin.
 */
#define MAX_FAILURES 16

/* The same for "try again": no kernel says that here, but a host may. */
#define MAX_RETRIES 4096

/* From reader_fill_room(): no read was made. No errno is that. */
#define NO_ROOM (-4096)

ssize_t queue_reader_fill(QueueReader *reader, size_t bytes)
{
    HostQueue *queue = &reader->queue;
    ssize_t ret = queue->host->ops->read(queue->host, queue->fd, reader->buf,
                                         bytes);

    if (ret < 0) {
        return -errno;
    }
    if ((size_t)ret > bytes) {
        return -EIO;            /* no kernel: there are not so many */
    }
    if (ret > 0) {
        reader->failures = 0;
        reader->retries = 0;
    }
    return ret;
}

/*
 * Read what there is room for.
 * Return: bytes, 0 for none, -errno or NO_ROOM
 */
static ssize_t reader_fill_room(QueueReader *reader)
{
    size_t bytes;
    ssize_t ret;

    do {
        bytes = reader->ops->room(reader->opaque);
        if (bytes == 0) {
            return NO_ROOM;
        }
        ret = queue_reader_fill(reader, bytes);
        reader->behind = ret > 0 && (size_t)ret > bytes / 2;
        if (ret >= 0 || !reader->ops->refused) {
            return ret;
        }
        ret = -reader->ops->refused(reader->opaque, -ret);
    } while (ret == 0);
    return ret;
}

static bool reader_take(QueueReader *reader)
{
    size_t len = reader->filled;

    reader->filled = 0;
    return reader->ops->take(reader->opaque, len);
}

void queue_reader_unwatch(QueueReader *reader)
{
    if (reader->watch != QUEUE_UNWATCHED) {
        aio_set_fd_handler(reader->ctx, reader->queue.fd, NULL, NULL, NULL,
                           NULL, NULL);
        reader->watch = QUEUE_UNWATCHED;
    }
}

/* No room, or nothing to read any more. Trouble with a paused fd unwatches. */
static void reader_pause(QueueReader *reader)
{
    if (reader->watch == QUEUE_WATCHED) {
        aio_pause_fd_handler(reader->ctx, reader->queue.fd, true);
        reader->watch = QUEUE_PAUSED;
    } else {
        queue_reader_unwatch(reader);
    }
}

void queue_reader_close(QueueReader *reader)
{
    HostQueue *queue = &reader->queue;

    if (queue->fd >= 0) {
        queue_reader_unwatch(reader);
        queue->host->ops->close(queue->host, queue->fd);
        queue->fd = -1;
        reader->filled = 0;
    }
}

bool host_queue_destroy(HostQueue *queue, GError **error)
{
    uint32_t id = queue->id;

    if (queue->fd >= 0) {
        queue->host->ops->close(queue->host, queue->fd);
        queue->fd = -1;
    }
    queue->id = 0;
    return id == 0 || iommufd_destroy(queue->host, id, error);
}

void queue_reader_destroy(QueueReader *reader)
{
    g_autoptr(GError) error = NULL;

    queue_reader_close(reader);
    if (!host_queue_destroy(&reader->queue, &error)) {
        reader->ops->failed(reader->opaque, error->message);
    }
}

static void reader_fail(QueueReader *reader, const char *what, int err)
{
    g_autofree char *message = NULL;

    message = g_strdup_printf("%s %u: %s%s%s; closed until %s",
                              reader->ops->name, reader->queue.id, what,
                              err ? ": " : "", err ? g_strerror(err) : "",
                              reader->ops->revival);
    queue_reader_close(reader);
    reader->ops->failed(reader->opaque, message);
}

/* A read that gave @ret although the fd was ready. */
static void reader_count_failure(QueueReader *reader, ssize_t ret)
{
    if (ret == -EINTR || ret == -EAGAIN) {
        if (++reader->retries < MAX_RETRIES) {
            return;
        }
    } else if (++reader->failures < MAX_FAILURES) {
        return;
    }
    if (ret < 0) {
        reader_fail(reader, "read() fails", -ret);
    } else {
        reader_fail(reader, "is always ready, but read() gives nothing", 0);
    }
}

/*
 * One read, and take it.
 * @ready: the fd said that there is something to read.
 * @taken: set to true if something was
 * Return: whether the fd is to be watched.
 */
static bool reader_step(QueueReader *reader, bool ready, bool *taken)
{
    ssize_t ret;

    if (reader->filled == 0) {
        ret = reader_fill_room(reader);
        if (ret == NO_ROOM) {
            return false;
        }
        if (ret <= 0) {
            if (ready) {
                reader_count_failure(reader, ret);
            }
            return queue_reader_is_open(reader);
        }
        reader->filled = ret;
    }
    *taken = true;
    return reader_take(reader) && queue_reader_is_open(reader);
}

/* Reads until one comes back less than half full: that was all, mostly. */
static void reader_turn(QueueReader *reader, bool ready)
{
    for (unsigned reads = 0; reads < reader->ops->turn_reads; reads++) {
        bool taken = false;

        if (!reader_step(reader, ready && reads == 0, &taken)) {
            reader_pause(reader);
            break;
        }
        if (!reader->behind) {
            break;
        }
    }
}

static void reader_ready(void *opaque)
{
    reader_turn(opaque, true);
}

/*
 * Busy polling: a read of an empty queue returns 0 at once, so it is its own
 * test. As long as it lags behind there is no need for one; once it has caught
 * up with the events it lets some gather. Errors are left to reader_ready(),
 * which the fd's readiness calls.
 */
static bool reader_poll(void *opaque)
{
    QueueReader *reader = opaque;
    ssize_t ret;

    if (reader->filled > 0 || reader->behind) {
        return true;
    }
    if (reader->next_poll_ns && aio_clock_ns() < reader->next_poll_ns) {
        return false;
    }
    reader->next_poll_ns = 0;
    reader->polling = true;
    ret = reader_fill_room(reader);
    reader->polling = false;
    if (ret == NO_ROOM) {
        return true;            /* reader_poll_ready() pauses */
    }
    reader->filled = MAX(ret, 0);
    if (ret > 0 && !reader->behind) {
        reader->next_poll_ns = aio_clock_ns() + QUEUE_POLL_GAP_NS;
    }
    return ret > 0;
}

static void reader_poll_ready(void *opaque)
{
    reader_turn(opaque, false);
}

/* Return: 0 or -errno. */
static int reader_watch(QueueReader *reader)
{
    int ret = 0;

    if (reader->watch == QUEUE_PAUSED) {
        aio_pause_fd_handler(reader->ctx, reader->queue.fd, false);
    } else if (reader->watch == QUEUE_UNWATCHED) {
        ret = aio_set_fd_handler(reader->ctx, reader->queue.fd, reader_ready,
                                 NULL, reader_poll, reader_poll_ready, reader);
    }
    if (ret == 0) {
        reader->watch = QUEUE_WATCHED;
    }
    return ret;
}

bool queue_reader_run(QueueReader *reader)
{
    bool taken = false;
    int ret;

    g_assert(aio_in_home_thread(reader->ctx));
    if (!queue_reader_is_open(reader)) {
        return false;
    }
    if (reader_step(reader, false, &taken)) {
        ret = reader_watch(reader);
        if (ret < 0) {
            reader_fail(reader, "its fd cannot be watched", -ret);
        }
    } else if (reader->watch == QUEUE_WATCHED) {
        reader_pause(reader);
    }
    return taken;
}

int queue_reader_start(QueueReader *reader)
{
    int ret;

    g_assert(aio_in_home_thread(reader->ctx));
    ret = reader_watch(reader);
    if (ret == 0) {
        queue_reader_run(reader);
    }
    return ret;
}

void queue_reader_settle(QueueReader *reader)
{
    g_assert(aio_in_home_thread(reader->ctx));
    if (reader->filled > 0) {
        reader_take(reader);
    }
}

void queue_reader_init(QueueReader *reader, AioContext *ctx,
                       const HostQueue *queue, void *buf,
                       const QueueReaderOps *ops, void *opaque)
{
    g_assert(ops->turn_reads > 0);
    *reader = (QueueReader){
        .ops = ops, .opaque = opaque, .ctx = ctx, .buf = buf, .queue = *queue,
    };
}
