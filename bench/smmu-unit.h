/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SmmuUnit: an SMMUv3 of ours in somebody's AioContext, as one of many or with
 * many devices, and the guest that drives it by MMIO. Of guest memory, which may
 * be one for many units, it has a slice: the event queue, a linear stream table,
 * the command queue.
 *
 * Threads: the main thread; smmu_unit_invalidate() on one other at a time.
 * Locks:   none.
 */
#ifndef BENCH_SMMU_UNIT_H
#define BENCH_SMMU_UNIT_H

#include "event-source.h"
#include "peer-irq.h"

#include "host/vfio-device.h"
#include "hw/iommu/viommu.h"
#include "iothread/iothread.h"

/* StreamIDs are below that; all bypass. */
#define SMMU_UNIT_STREAMS 1024

/* The StreamID of its own device. */
#define SMMU_UNIT_VIRT_ID 0

/**
 * struct SmmuMemory - guest memory for some units, all of it touched
 */
typedef struct SmmuMemory {
    GuestMem *map;
    uint8_t *bytes;
    size_t size;
    unsigned log2_ring;
} SmmuMemory;

/* For @count units whose event queues have 2^@log2_ring entries each. */
void smmu_memory_init(SmmuMemory *mem, size_t count, unsigned log2_ring);
void smmu_memory_destroy(SmmuMemory *mem);

/* The event queue of one of them. */
uint64_t *smmu_memory_entries(const SmmuMemory *mem, size_t place);

/**
 * struct SmmuUnit - zeroed before smmu_unit_open()
 * @vfio, @device: its own device, while it is plugged in
 * @entries: of the event queue, 4 words each
 */
typedef struct SmmuUnit {
    Viommu *viommu;
    VfioDevice *vfio;
    SourceDevice device;
    PeerIrq irq;
    SmmuMemory *mem;
    size_t place;
    uint64_t *entries;
    uint32_t cmdq_prod;
} SmmuUnit;

/**
 * smmu_unit_open() - without devices; its queues and its translation are on
 * @place: its slice of @mem, from 0 on
 */
void smmu_unit_open(SmmuUnit *unit, AioContext *ctx, SmmuMemory *mem,
                    size_t place);

/* Context: all devices were removed. */
void smmu_unit_close(SmmuUnit *unit);

/* Its own device; a host that refuses ends the program. */
void smmu_unit_plug(SmmuUnit *unit, HostIommu *host);
void smmu_unit_unplug(SmmuUnit *unit);

/* An open device of the host's, not plugged in. */
VfioDevice *smmu_device_open(HostIommu *host);

/* Indices with wrap bit, as SMMU_EVENTQ_PROD and _CONS. */
uint32_t smmu_unit_prod(SmmuUnit *unit);
void smmu_unit_set_cons(SmmuUnit *unit, uint32_t cons);

/* Invalidations that smmu_unit_invalidate() asks for: as Linux batches them. */
#define SMMU_UNIT_BATCH 63

/* A batch of CMD_TLBI_NH_VA and a CMD_SYNC, consumed when it returns. */
void smmu_unit_invalidate(SmmuUnit *unit);

/* An IOThread that stays on BENCH_CPU_PUMP. */
IOThread *smmu_iothread_new(void);

#endif
