/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QueueReader: the fd of a host queue, vEVENTQ or fault queue: watched, read
 * into a buffer no faster than its owner has room, paused, given up when it
 * fails, closed and destroyed.
 *
 * Each read is handed over before the next. A turn is one read, or a few as
 * long as more than half of what was asked comes back: that is the budget, so
 * other fds of the context get theirs in between. Without room the fd is not
 * watched; queue_reader_run() goes on when there is some.
 *
 * Threads: the home thread of the AioContext only, queue_reader_init()
 *          excepted.
 * Locks:   none of its own. Never allocates.
 */
#ifndef HW_IOMMU_QUEUE_READER_H
#define HW_IOMMU_QUEUE_READER_H

#include "host/host-iommu.h"
#include "iothread/aio-context.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Busy polling that has caught up looks no sooner again, ns. Events that come
 * faster are read together, then, and cost the guest one interrupt; one by one
 * they would cost guest and host more than there is time for.
 */
#define QUEUE_POLL_GAP_NS 2000

/**
 * struct HostQueue - an open queue of the host's
 * @host: borrowed
 * @fd: the queue's
 * @id: its iommufd object
 * @depth: events that it holds; 0: a fault queue, which has no limit
 * @record_size: bytes of data per event, or per page request
 */
typedef struct HostQueue {
    HostIommu *host;
    int fd;
    uint32_t id;
    uint32_t depth;
    uint32_t record_size;
} HostQueue;

/**
 * host_queue_destroy() - close, and IOMMU_DESTROY, what is not done yet
 *
 * Context: nobody watches the fd. A fault queue: no HWPT names it.
 * Return: false and @error set: the object is there still, and not tried again.
 */
bool host_queue_destroy(HostQueue *queue, GError **error);

/**
 * struct QueueReaderOps - the owner. All are called on the home thread.
 * @name: of the kind of queue, for messages
 * @revival: for messages: what makes a new one, after "closed until"
 * @turn_reads: the most reads in a turn
 * @room: bytes to ask for, at most the buffer's. 0: there is no room; the owner
 *        has noted it and will call queue_reader_run() when there is.
 * @take: @len bytes are in the buffer. Return: whether there may be room left.
 * @refused: a read failed with @err. Return: 0 if it is to be tried again with
 *           the room there is then; else the errno by which it counts as a
 *           failure. NULL: @err always.
 * @failed: the queue cannot be read any more, or not be destroyed; its fd was
 *          closed, the object is there still; @message says why
 */
typedef struct QueueReaderOps {
    const char *name;
    const char *revival;
    unsigned turn_reads;
    size_t (*room)(void *opaque);
    bool (*take)(void *opaque, size_t len);
    int (*refused)(void *opaque, int err);
    void (*failed)(void *opaque, const char *message);
} QueueReaderOps;

/* Private: how the fd stands with the context. */
typedef enum QueueWatch {
    QUEUE_UNWATCHED,            /* no handler is set for the fd */
    QUEUE_WATCHED,
    QUEUE_PAUSED,               /* set, but hears of trouble only */
} QueueWatch;

/**
 * struct QueueReader - embedded in the owner; only @queue is for others to read
 * @queue: its fd is -1 once closed
 */
typedef struct QueueReader {
    const QueueReaderOps *ops;  /* [const] */
    void *opaque;               /* [const] */
    AioContext *ctx;            /* [const] */
    void *buf;                  /* [iothread] room may replace it */
    bool polling;               /* [iothread] for room: it is asked by busy
                                   polling, whose read has to be kept until
                                   its handler comes to take it */
    HostQueue queue;            /* [const] but fd: [iothread] */
    QueueWatch watch;           /* [iothread] */
    unsigned failures;          /* [iothread] consecutive, of either kind: */
    unsigned retries;           /* [iothread] "try again" */
    bool behind;                /* [iothread] the last read came to more than
                                   half of what was asked: there is more */
    ssize_t filled;             /* [iothread] bytes in buf, not yet taken */
    int64_t next_poll_ns;       /* [iothread] no busy polling before */
} QueueReader;

/**
 * queue_reader_init() - for an open queue; not started
 * @queue: copied; the fd and the object are given to queue_reader_destroy()
 * @ops, @opaque, @buf: borrowed for the reader's life
 */
void queue_reader_init(QueueReader *reader, AioContext *ctx,
                       const HostQueue *queue, void *buf,
                       const QueueReaderOps *ops, void *opaque);

/**
 * queue_reader_start() - watch the fd, and queue_reader_run()
 *
 * Return: 0, or -errno if it cannot be watched: nothing was done, and nobody
 * told.
 */
int queue_reader_start(QueueReader *reader);

/**
 * queue_reader_run() - one read, and watch the fd as the owner's room demands
 *
 * Resumes a reader that waited for room. Harmless at any time.
 *
 * Return: whether something was taken.
 */
bool queue_reader_run(QueueReader *reader);

/**
 * queue_reader_settle() - what busy polling has read is taken now
 *
 * There was room for it when it was read: for an owner that is about to give
 * room to somebody else, or to change what the bytes stand for.
 *
 * Context: never inside a turn of @reader.
 */
void queue_reader_settle(QueueReader *reader);

/**
 * queue_reader_unwatch() - no callback begins any more
 *
 * What was read and not yet taken is in the buffer: filled bytes.
 */
void queue_reader_unwatch(QueueReader *reader);

/**
 * queue_reader_fill() - read @bytes into the buffer, without room and taking
 *
 * Context: unwatched, nothing filled. Return: bytes, at most
 * @bytes, 0 for none, or -errno; -EIO for a host that says it gave more.
 */
ssize_t queue_reader_fill(QueueReader *reader, size_t bytes);

/**
 * queue_reader_close() - unwatch and close the fd; again: no effect
 *
 * What was read and not yet taken is forgotten: queue_reader_settle() first,
 * if it matters still.
 *
 * Context: never inside a turn of @reader, but for its owner's @take.
 */
void queue_reader_close(QueueReader *reader);

/**
 * queue_reader_destroy() - close, and IOMMU_DESTROY; again: no effect
 *
 * Context: as queue_reader_close(); a fault queue: no HWPT names it any more.
 */
void queue_reader_destroy(QueueReader *reader);

static inline bool queue_reader_is_open(const QueueReader *reader)
{
    return reader->queue.fd >= 0;
}

#endif
