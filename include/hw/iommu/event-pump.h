/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EventPump: empties one vEVENTQ into one sink (a model's event queue).
 *
 * It asks the sink for room, reads no more than fits, and hands the read over
 * as a stream: one read, one publication, at most one interrupt. Without room
 * the fd is not watched; event_pump_run() goes on when the sink says so. Other
 * fds of the context get theirs after EVENT_PUMP_READS reads at the latest.
 *
 * Threads: the home thread of the AioContext only, event_pump_new() excepted.
 * Locks:   none of its own. Never allocates after event_pump_new().
 */
#ifndef HW_IOMMU_EVENT_PUMP_H
#define HW_IOMMU_EVENT_PUMP_H

#include "hw/iommu/queue-reader.h"
#include "hw/iommu/vevent-stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct EventPump EventPump;

/* The most records in a read, and of reads in a turn, which are a budget. */
#define EVENT_PUMP_BATCH 1024
#define EVENT_PUMP_READS 4

/* From EventSinkOps: read as many as you like, they will be discarded. */
#define EVENT_ROOM_UNLIMITED UINT32_MAX

/**
 * struct EventSinkOps - where records go. All are called on the home thread.
 * None may run an event loop: records lie in aio_get_scratch().
 * @room: records that @deliver can take now. 0: the sink has noted that the
 *        pump waits, and has event_pump_run() called when there is room.
 * @deliver: take all that one read gave, until vevent_stream_next() says that
 *           there is no more: at most as many events as there was room for.
 *           Once for each read. Return: the room left, as @room gives it.
 * @failed: the queue cannot be read any more, or not be destroyed, and was
 *          closed; @message says why. Once for each at most.
 */
typedef struct EventSinkOps {
    uint32_t (*room)(void *opaque);
    uint32_t (*deliver)(void *opaque, VeventStream *stream);
    void (*failed)(void *opaque, const char *message);
} EventSinkOps;

/**
 * event_pump_new() - a pump for an open vEVENTQ; not started
 * @queue: copied; the fd and the object are given to event_pump_free()
 *
 * Context: Any thread. Return: NULL if there is no memory.
 */
EventPump *event_pump_new(AioContext *ctx, const HostQueue *queue,
                          const EventSinkOps *ops, void *opaque);

/* Watch the fd, and run. Return: 0, or -errno if it cannot be watched. */
int event_pump_start(EventPump *pump);

/**
 * event_pump_run() - one read, and watch the fd as the sink's room demands
 *
 * Resumes a pump that waited for room. Harmless at any time.
 */
void event_pump_run(EventPump *pump);

/**
 * event_pump_free() - unwatch, drain into the sink, close, IOMMU_DESTROY, free
 *
 * The sink is off by now, so what is left in the queue is discarded, and
 * counted. At most a full queue is drained, however fast it fills.
 *
 * Context: Home thread, never inside a turn of @pump.
 */
void event_pump_free(EventPump *pump);

#endif
