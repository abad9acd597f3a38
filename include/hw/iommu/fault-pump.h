/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FaultPump: empties one fault queue, in whole groups, and writes the answers.
 *
 * A group stays in the kernel until there is room for all of it. A read that is
 * too small for the first group fails, which says nothing of the group's size:
 * the pump tries a larger one, as far as there is room, and then waits for room
 * for one page more. Once more is wanted than the guest's queue ever holds, the
 * group is read to be answered in place of the guest.
 *
 * Threads: the home thread of the AioContext only, fault_pump_new() excepted.
 * Locks:   none of its own. Allocates only for a group of more than
 *          PAGE_GROUP_BATCH pages; without memory for that the queue is closed.
 */
#ifndef HW_IOMMU_FAULT_PUMP_H
#define HW_IOMMU_FAULT_PUMP_H

#include "hw/iommu/page-group.h"
#include "hw/iommu/queue-reader.h"

typedef struct FaultPump FaultPump;

/* The largest group that is read, in pages: the queue is given up at more. */
#define FAULT_PUMP_GROUP_MAX (UINT32_C(1) << 16)

/**
 * struct FaultPumpOps - where groups go. All are called on the home thread.
 * @room: as PageSinkOps::room()
 * @deliver: @count groups of one read, at most %PAGE_GROUP_BATCH, borrowed for
 *           the call
 * @malformed: what no kernel writes; @group names a cookie to be answered, or
 *             has a count of 0 and names nothing
 * @seen: a read() had bytes, and all of them were handed over
 * @failed: the queue cannot be read or written any more, or not be destroyed,
 *          and was closed; @message says why. Once for each at most.
 */
typedef struct FaultPumpOps {
    uint32_t (*room)(void *opaque, uint32_t want);
    void (*deliver)(void *opaque, const PgfaultGroup *groups, size_t count);
    void (*malformed)(void *opaque, const PgfaultGroup *group);
    void (*seen)(void *opaque);
    void (*failed)(void *opaque, const char *message);
} FaultPumpOps;

/**
 * fault_pump_new() - a pump for an open fault queue; not started
 * @queue: copied; the fd and the object are given to fault_pump_free()
 * @ops, @opaque: borrowed for its life
 *
 * Context: Any thread. Return: NULL if there is no memory.
 */
FaultPump *fault_pump_new(AioContext *ctx, const HostQueue *queue,
                          const FaultPumpOps *ops, void *opaque);

/* Watch the fd, and run. Return: 0, or -errno if it cannot be watched. */
int fault_pump_start(FaultPump *pump);

/**
 * fault_pump_run() - one turn, and watch the fd as there is room
 *
 * Return: whether something was read.
 */
bool fault_pump_run(FaultPump *pump);

/**
 * fault_pump_waits() - did the last turn end for lack of room?
 *
 * There may be a group then; or none, if there was no room at all.
 */
bool fault_pump_waits(const FaultPump *pump);

/**
 * fault_pump_settle() - what busy polling has read is delivered now
 *
 * Before others get the room that was found for it, and before its groups end
 * on the host. Never inside a turn of @pump.
 */
void fault_pump_settle(FaultPump *pump);

/*
 * Groups have ended on the host: the first may be another one, and smaller; or
 * there is none, though the fd was ready.
 */
void fault_pump_look_anew(FaultPump *pump);

/**
 * fault_pump_flush() - write the answers of @table
 *
 * If the host takes none any more they are forgotten: it ends the groups when
 * the devices are detached.
 *
 * Return: false if some wait still, and this is to be called again.
 */
bool fault_pump_flush(FaultPump *pump, PageRequestTable *table);

/**
 * fault_pump_free() - unwatch, close, IOMMU_DESTROY, free
 *
 * Context: No HWPT names the queue any more, so it is empty. Never inside a
 * turn of @pump.
 */
void fault_pump_free(FaultPump *pump);

#endif
