/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Viommu: what every virtual IOMMU has, whatever its model: registers behind
 * MMIO, devices, host queues, an AioContext that owns the queues' fds.
 *
 * Threads: viommu_mmio_*() on vCPU threads; devices, reset and free on the
 *          monitor's threads; all registered with RCU. The home thread of the
 *          AioContext pumps.
 * Locks:   Viommu::config_lock (devices, HWPTs, host queues, commands; held
 *          across host ioctls), then Viommu::ring_lock (guest-visible
 *          registers and rings; short). Callers hold neither.
 */
#ifndef HW_IOMMU_VIOMMU_H
#define HW_IOMMU_VIOMMU_H

#include "host/vfio-device.h"
#include "hw/iommu/guest-mem.h"
#include "hw/iommu/irq-sink.h"
#include "iothread/aio-context.h"

typedef struct Viommu Viommu;

/**
 * struct ViommuConfig - what every model is made of
 * @id: for messages; copied
 * @ctx: whose home thread owns the host queues; a reference is taken
 * @mem: guest memory; borrowed until viommu_free(). From the first device of a
 *       host to the last it is mapped for them, region by region, and follows
 *       guest_mem_set_regions(): a monitor calls that, and nothing else, when
 *       its guest's memory changes, from any thread that holds no lock of ours
 * @irq: interrupts; borrowed until viommu_free()
 */
typedef struct ViommuConfig {
    const char *id;
    AioContext *ctx;
    GuestMem *mem;
    IrqSink *irq;
} ViommuConfig;

/**
 * struct ViommuPageStats - page request groups since creation
 *
 * raised = answered + invalid + retried + open
 *
 * @raised: taken in, from the host's fault queue and from emulated devices
 * @answered: by the guest
 * @invalid: answered INVALID (SMMUv3 with its PRI queue off: Response Failure)
 *           by the vIOMMU or the host: not translatable, no such device (any
 *           more), PASID or attachment gone, reset
 * @retried: answered Success by the vIOMMU because the guest's queue
 *           overflowed: the device will ask again
 * @open: shown to the guest and not answered, or held until it has room
 * @markers: Stop Markers, which nobody answers
 * @stray: responses of the guest's to groups that were not open
 * @overflows: times that PRS.PRO was set or PRIQ_PROD.OVFLG toggled
 * @interrupts: page request interrupts raised
 * @queue_used: entries in the guest's page request queue now
 * @queue_size: what it has room for, 0 while it is off
 */
typedef struct ViommuPageStats {
    uint64_t raised;
    uint64_t answered;
    uint64_t invalid;
    uint64_t retried;
    uint64_t open;
    uint64_t markers;
    uint64_t stray;
    uint64_t overflows;
    uint64_t interrupts;
    uint32_t queue_used;
    uint32_t queue_size;
} ViommuPageStats;

/**
 * struct ViommuStats - counters since creation; each record counts once
 * @delivered: written to the guest's event queue
 * @discarded: seen while the guest's queue was off or aborted, or for a device
 *             that is gone
 * @lost: by the host (gap or LOST_EVENTS), or because the guest's queue was
 *        full; shown to the guest as an overflow
 * @malformed: reads whose bytes no kernel writes (their records count as lost)
 * @reads: read() calls on the host queue
 * @interrupts: event queue interrupts raised
 * @overflows: times the overflow flag was toggled
 * @untold: messages to the operator that were not printed, since those of their
 *          kind before were
 * @queue_used: entries in the guest's event queue now
 * @queue_size: its size, 0 while it is off
 */
typedef struct ViommuStats {
    uint64_t delivered;
    uint64_t discarded;
    uint64_t lost;
    uint64_t malformed;
    uint64_t reads;
    uint64_t interrupts;
    uint64_t overflows;
    uint64_t untold;
    uint32_t queue_used;
    uint32_t queue_size;
} ViommuStats;

/**
 * viommu_free() - stop pumping, destroy the host queues, free
 *
 * Context: May block (waits for the iothread). Every device was removed and no
 * vCPU uses it. NULL is ignored.
 */
void viommu_free(Viommu *viommu);

const char *viommu_get_id(const Viommu *viommu);

/**
 * viommu_mmio_read(), viommu_mmio_write() - a guest's access to a register
 * @offset: from the start of the model's region
 * @size: bytes, 1 to 8; what the specification does not allow reads as zero
 *        and is ignored when written
 *
 * Context: A vCPU thread. A write may block: commands make host ioctls, and
 * switching a queue off waits for the iothread.
 */
uint64_t viommu_mmio_read(Viommu *viommu, uint64_t offset, unsigned size);
void viommu_mmio_write(Viommu *viommu, uint64_t offset, unsigned size,
                       uint64_t value);

/**
 * viommu_reset() - all registers to their reset values, the host queue gone
 *
 * Devices stay, and go where the model's reset state sends them.
 *
 * Context: May block.
 */
void viommu_reset(Viommu *viommu);

/**
 * viommu_add_device() - plug a device in, at any time
 * @device: borrowed until viommu_remove_device(). All devices of a vIOMMU are
 *          bound to one iommufd.
 * @virt_id: the StreamID or requester ID that the guest will know it by
 *
 * Context: May block.
 * Return: false and @error set: ID taken or out of range, or the host refused;
 * nothing is left half-made.
 */
bool viommu_add_device(Viommu *viommu, VfioDevice *device, uint32_t virt_id,
                       GError **error);

/**
 * viommu_remove_device() - unplug: when it returns nobody uses the device
 *
 * Context: May block (a grace period, host ioctls).
 * Return: false if there is no such device.
 */
bool viommu_remove_device(Viommu *viommu, uint32_t virt_id);

/* Context: any thread. Counters are exact when the queue is at rest. */
ViommuStats viommu_get_stats(Viommu *viommu);
ViommuPageStats viommu_get_page_stats(Viommu *viommu);

#endif
