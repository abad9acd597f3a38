/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices behind one vIOMMU, found in constant time by the ID that the guest
 * gives them and by the one that the host gives them.
 *
 * Lookups take no lock and look at DEVICE_MAP_PROBES slots at most, whatever
 * the IDs. Adding copies the map, so it costs time by its size; removing does
 * not, and a walk passes the places of those removed since.
 *
 * Threads: any, registered with RCU; device_map_find_*() inside a read-side
 *          section.
 * Locks:   DeviceMap::lock, writers only. A leaf.
 */
#ifndef HW_IOMMU_DEVICE_MAP_H
#define HW_IOMMU_DEVICE_MAP_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most slots that a lookup looks at: 256 bytes of memory. */
#define DEVICE_MAP_PROBES 32

/* DeviceEntry::dev_id of a device that the host does not know: many may. */
#define DEVICE_MAP_NO_DEV_ID 0

typedef struct DeviceMap DeviceMap;

/**
 * struct DeviceEntry - embedded in what the owner keeps per device
 * @virt_id: StreamID (SMMUv3) or requester ID (VT-d), the guest's numbering
 * @dev_id: iommufd device object ID, the host's numbering, which begins at 1;
 *          or %DEVICE_MAP_NO_DEV_ID
 *
 * Both are constant from device_map_add() on.
 */
typedef struct DeviceEntry {
    uint32_t virt_id;
    uint32_t dev_id;
} DeviceEntry;

/* Return: NULL if there is no memory. */
DeviceMap *device_map_new(void);

/* Context: it is empty (asserted) and has no readers. NULL is ignored. */
void device_map_free(DeviceMap *map);

/**
 * device_map_add() - publish @entry
 * @entry: stays the caller's, who keeps it until a grace period after removal
 *
 * Context: Does not wait. Not under a leaf lock. A reader may find the device
 * before this returns.
 * Return: false, and @error set, if either ID is taken (%VIOMMU_ERROR_EXISTS)
 * or there is no memory (%VIOMMU_ERROR_RESOURCE).
 */
bool device_map_add(DeviceMap *map, DeviceEntry *entry, GError **error);

/**
 * device_map_remove() - unpublish @entry, which is in @map; cannot fail
 *
 * Readers may go on using it until the caller's rcu_synchronize() returns.
 *
 * Context: Does not wait. Not under a leaf lock. Allocates nothing.
 */
void device_map_remove(DeviceMap *map, DeviceEntry *entry);

/**
 * device_map_find_virt(), device_map_find_dev() - look up on the data path
 *
 * Context: RCU read-side section. Never blocks, never allocates.
 * Return: the entry, borrowed until the section ends, or NULL.
 */
DeviceEntry *device_map_find_virt(const DeviceMap *map, uint32_t virt_id);
DeviceEntry *device_map_find_dev(const DeviceMap *map, uint32_t dev_id);

/**
 * device_map_next() - walk the map
 * @cursor: 0 to begin; then for device_map_next() only
 *
 * A walk meets the devices of one moment, that of its first step, each once,
 * but for those that are removed before it comes to them.
 *
 * Context: RCU read-side section for the whole walk, or while nobody adds or
 * removes (Viommu::config_lock).
 * Return: the next entry in no particular order, or NULL at the end.
 */
DeviceEntry *device_map_next(const DeviceMap *map, size_t *cursor);

/* Devices in the map now; others may add and remove at any time. */
size_t device_map_count(const DeviceMap *map);

/* Slots that the longest lookup looks at now: for tests and reports. */
unsigned device_map_longest_probe(const DeviceMap *map);

#endif
