/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QueueRig: a vEVENTQ of a vIOMMU with one device, for who carries its events
 * without a vIOMMU of ours: the iommufd objects alone, made as ours are.
 *
 * Threads: the main thread.
 * Locks:   none.
 */
#ifndef BENCH_QUEUE_RIG_H
#define BENCH_QUEUE_RIG_H

#include "event-source.h"
#include "host/vfio-device.h"

/**
 * struct QueueRig - what it has made
 * @fd: the queue's
 */
typedef struct QueueRig {
    HostIommu *host;
    VfioDevice *vfio;
    uint32_t ioas_id;
    uint32_t parent_id;
    uint32_t viommu_id;
    uint32_t vdevice_id;
    uint32_t bypass_id;
    uint32_t veventq_id;
    int fd;
    SourceDevice device;
} QueueRig;

/* @depth in events. A host that refuses ends the program. */
void queue_rig_open(QueueRig *rig, HostIommu *host, uint32_t depth,
                    uint32_t virt_id);

/* Context: nobody watches or reads the queue. */
void queue_rig_close(QueueRig *rig);

#endif
