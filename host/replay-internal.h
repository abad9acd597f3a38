/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A replayed host, between its own files.
 *
 * Threads: any.
 * Locks:   ReplayHost::lock and ReplayQueue::lock, leaves: never one under the
 *          other.
 */
#ifndef HOST_REPLAY_INTERNAL_H
#define HOST_REPLAY_INTERNAL_H

#include "emul-internal.h"
#include "replay-queue.h"

/* Numbers of devices of the recording, plus one, as NULL is none. */
typedef struct ReplayBooks {
    GHashTable *fds;            /* by device fd */
    GHashTable *dev_ids;        /* by object ID, while bound */
    GHashTable *viommus;        /* by object ID: what it was allocated for */
    GHashTable *faults;         /* ReplayQueue by object ID */
} ReplayBooks;

typedef struct ReplayHost {
    HostIommu base;
    HostIommu *emul;            /* [const] owned */
    Recording *recording;       /* [const] owned */
    uint32_t number;            /* [const] of the host in the recording */
    ReplayClock clock;
    EmulSlots queues_by_fd;     /* ReplayQueue pointers */
    EmulSlots emul_fds;         /* by a queue's fd, plus one */
    Lock lock;                  /* a leaf */
    GPtrArray *queues GUARDED_BY(&lock);    /* ReplayQueue; they stay */
    ReplayBooks books GUARDED_BY(&lock);
    bool *device_taken GUARDED_BY(&lock);   /* by number: it was opened */
    bool *queue_taken GUARDED_BY(&lock); /* by number: it has its ReplayQueue */
} ReplayHost;

extern const HostIommuOps replay_ops;

static inline ReplayHost *replay_host(HostIommu *base)
{
    g_assert(base->ops == &replay_ops);
    return (ReplayHost *)base;
}

static inline const RecordingHost *
replay_recorded_host(const Recording *recording, uint32_t number)
{
    return &g_array_index(recording->hosts, RecordingHost, number);
}

static inline const RecordingDevice *
replay_recorded_device(const ReplayHost *self, uint32_t number)
{
    return &g_array_index(self->recording->devices, RecordingDevice, number);
}

static inline const RecordingQueue *
replay_recorded_queue(const ReplayHost *self, uint32_t number)
{
    return self->recording->queues->pdata[number];
}

/* Those there are now, to be visited without the lock: none is freed. */
GPtrArray *replay_list_queues(ReplayHost *self);

#endif
