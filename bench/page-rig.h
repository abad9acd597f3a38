/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PageRig: a fault queue, and devices whose PASIDs are on nested HWPTs that use
 * it, for who carries page requests without a vIOMMU of ours: the iommufd
 * objects alone, made as ours are.
 *
 * Threads: the main thread.
 * Locks:   none.
 */
#ifndef BENCH_PAGE_RIG_H
#define BENCH_PAGE_RIG_H

#include "host/vfio-device.h"

/**
 * struct PageRig - what it has made
 * @fd: the queue's
 * @devices: VfioDevice
 * @hwpts: IDs of the nested ones
 */
typedef struct PageRig {
    HostIommu *host;
    GPtrArray *devices;
    GArray *hwpts;
    uint32_t pasids;
    uint32_t ioas_id;
    uint32_t parent_id;
    uint32_t fault_id;
    int fd;
} PageRig;

/* PASIDs 1 to @pasids of each device. A host that refuses ends the program. */
void page_rig_open(PageRig *rig, HostIommu *host, uint32_t devices,
                   uint32_t pasids);

/* Context: nobody watches, reads or writes the queue. */
void page_rig_close(PageRig *rig);

#endif
