/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One queue of a replayed host: a cursor over what was recorded of one, behind
 * a fd that is readable when something of it is due.
 *
 * Threads: any.
 * Locks:   ReplayQueue::lock, a leaf.
 */
#ifndef HOST_REPLAY_QUEUE_H
#define HOST_REPLAY_QUEUE_H

#include "base/lock.h"
#include "host/replay.h"
#include "recording.h"
#include "replay-groups.h"

#include <stdatomic.h>

/**
 * struct ReplayClock - when what is due
 * @first_ns: time of the recording's first read
 * @start_ns: CLOCK_MONOTONIC when it was started; 0 before
 * @stopped: nothing is due any more
 * @live: by number of a device: its ID now; 0 while it is not bound
 * @devices: how many numbers there are
 */
typedef struct ReplayClock {
    ReplaySpeed speed;          /* [const] */
    uint64_t first_ns;          /* [const] */
    _Atomic uint64_t start_ns;
    _Atomic bool stopped;
    _Atomic uint32_t *live;     /* [const] pointer */
    uint32_t devices;           /* [const] */
} ReplayClock;

typedef struct ReplayQueue ReplayQueue;

/**
 * replay_queue_new() - a queue that has nothing to deliver yet
 * @kind: what its user takes it for
 *
 * Return: the queue, or NULL and errno set.
 */
ReplayQueue *replay_queue_new(RecordQueueKind kind, const ReplayClock *clock);
void replay_queue_free(ReplayQueue *queue);

/* The user's fd; -1 once closed. */
int replay_queue_get_fd(ReplayQueue *queue);

RecordQueueKind replay_queue_get_kind(const ReplayQueue *queue);

/**
 * replay_queue_set_source() - what it is to deliver
 * @source: of @recording, of the same kind
 */
void replay_queue_set_source(ReplayQueue *queue, const Recording *recording,
                             const RecordingQueue *source);

bool replay_queue_has_source(ReplayQueue *queue);

/* As the kernel's: bytes, 0 for none, or -errno. */
ssize_t replay_queue_read(ReplayQueue *queue, int fd, void *buf, size_t count);
ssize_t replay_queue_write(ReplayQueue *queue, int fd, const void *buf,
                           size_t count);

/* The clock was started or stopped: is something due, or when? */
void replay_queue_wake(ReplayQueue *queue);

/* Open groups of device @number end, as the host answers them. */
void replay_queue_end_groups(ReplayQueue *queue, uint32_t number,
                             uint32_t pasid);

/* The user closes it: whatever is left stays so. */
void replay_queue_close(ReplayQueue *queue);

/* All is delivered, or it is closed. */
bool replay_queue_is_done(ReplayQueue *queue);

/* Add what it counts to @stats: of a device's number, or of all of it. */
void replay_queue_add_device_stats(ReplayQueue *queue, uint32_t number,
                                   ReplayStats *stats);
void replay_queue_add_stats(ReplayQueue *queue, ReplayStats *stats);

#endif
