/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a model (hw/arm, hw/i386) sees of a Viommu, and what it provides.
 *
 * Threads, Locks: hw/iommu/viommu.h. REQUIRES() says which lock a call needs;
 * calls tagged [iothread] run on the home thread without a lock.
 */
#ifndef HW_IOMMU_VIOMMU_INTERNAL_H
#define HW_IOMMU_VIOMMU_INTERNAL_H

#include "base/counter.h"
#include "base/lock.h"
#include "hw/iommu/device-map.h"
#include "hw/iommu/event-pump.h"
#include "hw/iommu/viommu.h"

#include <stdatomic.h>

/**
 * struct ViommuDevice - one device behind a vIOMMU
 * @entry: its place in the device map; first, so that a find gives it
 * @vfio: borrowed from the embedder
 * @vdevice_id: its vDEVICE object
 * @hwpt_id: the HWPT made for it alone, or 0. [config_lock]
 */
typedef struct ViommuDevice {
    DeviceEntry entry;
    VfioDevice *vfio;
    uint32_t vdevice_id;
    uint32_t hwpt_id;
} ViommuDevice;

/**
 * struct ViommuOps - what makes a model
 * @viommu_type: IOMMU_VIOMMU_TYPE_* of the host object
 * @veventq_type: IOMMU_VEVENTQ_TYPE_* of its events
 * @record_size: bytes per event
 * @virt_id_bits: of a device's ID
 * @sink: takes the events; opaque is the Viommu. [iothread]
 * @mmio_read, @mmio_write: see viommu.h; @size is 4 or 8, @offset a multiple
 * @reset: all registers to reset values; the host queue is gone
 * @host_up: the vIOMMU object was made, with @vfio as the first device: make
 *           what all devices share. On failure leave nothing behind.
 * @host_down: undo it
 * @attach: attach @device to the HWPT that the guest's tables say, or move it
 *          there. On failure it is where it was, or nowhere if it was new.
 * @get_queue: the guest's event queue: entries in it and its size, 0 when off
 * @detached: @device was detached for good: destroy what was made for it
 * @free: free the model's structure, which begins with the Viommu
 *
 * @reset to @detached are called under the config_lock.
 */
typedef struct ViommuOps {
    uint32_t viommu_type;
    uint32_t veventq_type;
    uint32_t record_size;
    unsigned virt_id_bits;
    EventSinkOps sink;
    uint64_t (*mmio_read)(Viommu *viommu, uint64_t offset, unsigned size);
    void (*mmio_write)(Viommu *viommu, uint64_t offset, unsigned size,
                       uint64_t value);
    void (*reset)(Viommu *viommu);
    bool (*host_up)(Viommu *viommu, VfioDevice *vfio, GError **error);
    void (*host_down)(Viommu *viommu);
    bool (*attach)(Viommu *viommu, ViommuDevice *device, GError **error);
    void (*detached)(Viommu *viommu, ViommuDevice *device);
    void (*get_queue)(Viommu *viommu, uint32_t *used, uint32_t *size);
    void (*free)(Viommu *viommu);
} ViommuOps;

/**
 * struct ViommuHost - the host objects that all devices share. [config_lock]
 * @iommu: the iommufd of the devices; NULL while there is no device, and then
 *         none of the objects exists
 */
typedef struct ViommuHost {
    HostIommu *iommu;
    uint32_t ioas_id;
    uint32_t parent_hwpt_id;
    uint32_t viommu_id;
} ViommuHost;

/**
 * struct ViommuQueue - the event queue's host side
 * @depth: what the guest's queue asks for; 0 while that is off. [config_lock]
 * @open: a host queue exists: @depth is not 0, a vIOMMU object exists, and the
 *        host did not refuse. [config_lock]
 * @pump: empties it; NULL while it is not open. [iothread]
 * @resume: runs @pump again; lives as long as the Viommu. [const]
 */
typedef struct ViommuQueue {
    uint32_t depth;
    bool open;
    EventPump *pump;
    AioBH *resume;
} ViommuQueue;

/* [iothread] writes, anybody reads. */
typedef struct ViommuCounters {
    Counter delivered;
    Counter discarded;
    Counter lost;
    Counter malformed;
    Counter reads;
    Counter interrupts;
    Counter overflows;
} ViommuCounters;

/* Base of the models' own structures. */
struct Viommu {
    const ViommuOps *ops;       /* [const] */
    ViommuConfig config;        /* [const] id and ctx are ours */
    Lock config_lock;
    Lock ring_lock;
    DeviceMap *devices;         /* [config_lock] to change, [RCU] to find */
    ViommuHost host;            /* [config_lock] */
    ViommuQueue queue;
    ViommuCounters counters;
    _Atomic uint32_t warned;    /* a bit per kind of guest mistake */
};

/* viommu_init() - set up the base of a model's structure */
void viommu_init(Viommu *viommu, const ViommuOps *ops,
                 const ViommuConfig *config);

/**
 * viommu_set_event_queue() - the guest's event queue was switched on, off or
 * to another size: make the host's follow
 * @depth: its size in events; 0 is off, and then the sink discards already
 *
 * Context: May block: waits until the old host queue is gone.
 * Return: false and @error set if the host refused a new one; it is tried
 * again with the next device or when the guest next switches its queue on.
 */
bool viommu_set_event_queue(Viommu *viommu, uint32_t depth, GError **error)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);

/**
 * viommu_open_event_queue() - make the host queue if it is due and not there
 * viommu_close_event_queue() - drain and destroy it, if it is there
 *
 * Context: May block: both wait for the home thread.
 */
bool viommu_open_event_queue(Viommu *viommu, GError **error)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);
void viommu_close_event_queue(Viommu *viommu)
    REQUIRES(&viommu->config_lock) EXCLUDES(&viommu->ring_lock);

/**
 * viommu_resume_events() - the sink that said "no room" has some
 *
 * Context: Any thread, any locks; wait-free.
 */
void viommu_resume_events(Viommu *viommu);

/**
 * viommu_warn_once() - tell the operator of what a guest may provoke at will,
 * once per kind
 * @kind: 0 to 31, the model's numbering
 *
 * Context: Any thread. Formats only the first time.
 */
void viommu_warn_once(Viommu *viommu, unsigned kind, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

#endif
