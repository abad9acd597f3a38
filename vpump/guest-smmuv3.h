/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GuestSmmuv3: a guest's driver of an SMMUv3 without a guest. It touches the
 * vIOMMU through registers, interrupts and guest memory only, in the order in
 * which Linux's driver does, and consumes its event queue on a thread that
 * waits for interrupts as a vCPU would.
 *
 * Threads: created, stopped and freed by one thread registered with RCU that
 *          may block; the counts on any thread, exact once stopped.
 * Locks:   none.
 */
#ifndef VPUMP_GUEST_SMMUV3_H
#define VPUMP_GUEST_SMMUV3_H

#include "guest-ram.h"
#include "histogram.h"

#include "hw/arm/smmuv3.h"

typedef struct GuestSmmuv3 GuestSmmuv3;

/* Where a message pulses the wired line that is its data. */
#define GUEST_SMMUV3_DOORBELL UINT64_C(0x08020040)

/* Enough for the largest queues and every StreamID's tables. */
#define GUEST_SMMUV3_RAM_BYTES (UINT64_C(64) << 20)

/**
 * struct GuestRecords - what a guest may expect of the records that it reads
 * @foreign: they are not EventRecords: nothing but the StreamID can be checked
 * @recorded_until_ns: 0: they are new, so none is later than the present. Else
 *                     they are from a recording, perhaps of another machine,
 *                     that ended then by the clock that they are from: none is
 *                     later than that, and there is no latency
 */
typedef struct GuestRecords {
    bool foreign;
    uint64_t recorded_until_ns;
} GuestRecords;

/**
 * struct GuestSmmuv3Config - what a driver finds
 * @viommu: an SMMUv3, in its reset state; borrowed until guest_smmuv3_free()
 * @ram: its memory; borrowed likewise
 * @irq: a sink of eventfds with lines as SMMUV3_IRQ_* and the doorbell above,
 *       which the vIOMMU raises; borrowed likewise
 * @sids: @sid_count StreamIDs of devices, borrowed for the call
 * @records: what they report
 */
typedef struct GuestSmmuv3Config {
    Viommu *viommu;
    GuestRam *ram;
    IrqSink *irq;
    const uint32_t *sids;
    size_t sid_count;
    GuestRecords records;
} GuestSmmuv3Config;

/**
 * struct GuestSmmuv3Counts - what the event thread has found
 * @seen: intact records, each the next of its device or a later one
 * @corrupt: all other records
 * @overflows: times that the overflow flag was found toggled
 * @gerrors: times that a global error was found active; and 1 if it could not
 *           be disabled
 * @digest: of all records, as they stood in the ring (ring-digest.h)
 */
typedef struct GuestSmmuv3Counts {
    uint64_t seen;
    uint64_t corrupt;
    uint64_t overflows;
    uint64_t gerrors;
    uint64_t digest;
} GuestSmmuv3Counts;

/**
 * guest_smmuv3_new() - probe, set up, enable, and start the event thread
 *
 * When it returns, events of the devices go to the event queue.
 *
 * Return: the driver, or NULL and @error set: an ID register that the driver
 * cannot do with, or a register that does not answer. The vIOMMU then is in no
 * particular state.
 */
GuestSmmuv3 *guest_smmuv3_new(const GuestSmmuv3Config *config, GError **error);

/**
 * guest_smmuv3_rest() - consume what is there and join the thread
 *
 * The SMMU stays enabled; nobody looks at its queue any more.
 */
void guest_smmuv3_rest(GuestSmmuv3 *guest);

/**
 * guest_smmuv3_stop() - come to rest, if it has not yet, and disable
 *
 * The counts stay.
 */
void guest_smmuv3_stop(GuestSmmuv3 *guest);

/* Context: stopped. NULL is ignored. */
void guest_smmuv3_free(GuestSmmuv3 *guest);

GuestSmmuv3Counts guest_smmuv3_get_counts(const GuestSmmuv3 *guest);

/**
 * guest_smmuv3_get_latency() - from the report of each event that was seen to
 * the reading of the producer index that showed it, ns
 */
void guest_smmuv3_get_latency(const GuestSmmuv3 *guest,
                              HistogramSnapshot *latency);

#endif
