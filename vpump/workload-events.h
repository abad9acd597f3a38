/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * WorkloadEvents: the devices behind one vIOMMU, which report events. A thread
 * per device; the rate is that of all together.
 *
 * Threads: started, stopped and freed by one thread that may block; the counts
 *          on any thread, exact once stopped.
 * Locks:   its own, a leaf.
 */
#ifndef VPUMP_WORKLOAD_EVENTS_H
#define VPUMP_WORKLOAD_EVENTS_H

#include "host/host-iommu.h"

#include <stddef.h>
#include <stdint.h>

typedef struct WorkloadEvents WorkloadEvents;

/* As fast as the host takes them. */
#define WORKLOAD_RATE_MAX UINT64_MAX

/**
 * struct WorkloadDevice - one that reports
 * @dev_id: iommufd object ID
 * @sid: StreamID
 * @id: the name of its thread begins with "load " and this; borrowed for the
 *      call
 */
typedef struct WorkloadDevice {
    uint32_t dev_id;
    uint32_t sid;
    const char *id;
} WorkloadDevice;

/**
 * struct WorkloadCounts - what was reported
 * @generated: events that used up a sequence number, lost ones too
 * @refused: events that did not
 */
typedef struct WorkloadCounts {
    uint64_t generated;
    uint64_t refused;
} WorkloadCounts;

/**
 * workload_events_start() - have @count devices report events
 * @host: one with HardwareOps
 * @devices: copied
 * @rate: events per second of all devices together, at most 10^9; 0 for none
 *
 * Events keep to absolute times, in bursts of about half a millisecond, and
 * what was due while a thread could not run is made up for.
 *
 * Return: to be given to workload_events_free(), or NULL and @error set.
 */
WorkloadEvents *workload_events_start(HostIommu *host,
                                      const WorkloadDevice *devices,
                                      size_t count, uint64_t rate,
                                      GError **error);

/* Nothing is reported any more when it returns; the counts stay. */
void workload_events_stop(WorkloadEvents *load);

/* Stops it first. NULL is ignored. */
void workload_events_free(WorkloadEvents *load);

WorkloadCounts workload_events_get_counts(const WorkloadEvents *load);

/* Of the device at @index in the array that it was started with. */
WorkloadCounts workload_events_get_device_counts(const WorkloadEvents *load,
                                                 size_t index);

/**
 * workload_events_due_count() - how many events one device has to report by
 * then: pure
 * @rate: of all @devices together, 1 to 10^9
 * @index: of the device, below @devices
 * @elapsed_ns: since the start
 */
uint64_t workload_events_due_count(uint64_t rate, size_t devices, size_t index,
                                   int64_t elapsed_ns);

/**
 * workload_events_due_ns() - when its event @k is due: pure
 *
 * Return: ns from the start, the first at which workload_events_due_count()
 * is @k + 1.
 */
int64_t workload_events_due_ns(uint64_t rate, size_t devices, size_t index,
                               uint64_t k);

/**
 * workload_events_sleep_ns() - how long one device alone has nothing to do that
 * is worth waking up for: until a burst is due, half a millisecond's; pure
 * @k: its next event
 * @most: no burst is larger: what the device has room for
 * @elapsed_ns: since the start
 *
 * Return: ns; 0 if all of it is due. Never negative, which is without end to
 * whoever sleeps.
 */
int64_t workload_events_sleep_ns(uint64_t rate, uint64_t k, uint64_t most,
                                 int64_t elapsed_ns);

#endif
