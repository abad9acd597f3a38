/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices behind one vIOMMU, found in constant time by the ID that the guest
 * gives them and by the one that the host gives them.
 *
 * Threads: device_map_find_*() inside an RCU read-side section, on any
 *          registered thread. The rest on any thread that may block.
 * Locks:   DeviceMap::lock, writers only. A leaf.
 */
#ifndef HW_IOMMU_DEVICE_MAP_H
#define HW_IOMMU_DEVICE_MAP_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct DeviceMap DeviceMap;

/**
 * struct DeviceEntry - embedded in what the owner keeps per device
 * @virt_id: StreamID (SMMUv3) or requester ID (VT-d), the guest's numbering
 * @dev_id: iommufd device object ID, the host's numbering
 *
 * Both are constant from device_map_add() on.
 */
typedef struct DeviceEntry {
    uint32_t virt_id;
    uint32_t dev_id;
} DeviceEntry;

DeviceMap *device_map_new(void);

/* Context: it is empty and has no readers. NULL is ignored. */
void device_map_free(DeviceMap *map);

/**
 * device_map_add() - publish @entry
 * @entry: stays the caller's, who keeps it until a grace period after removal
 *
 * Context: A reader may find the device before this returns.
 * Return: false, and @error set to %VIOMMU_ERROR_EXISTS, if either ID is taken.
 */
bool device_map_add(DeviceMap *map, DeviceEntry *entry, GError **error);

/**
 * device_map_remove() - unpublish @entry, which is in @map
 *
 * Readers may go on using it until the caller's rcu_synchronize() returns.
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
 * @cursor: 0 to begin
 *
 * Context: RCU read-side section for the whole walk, or while nobody adds or
 * removes (Viommu::config_lock).
 * Return: the next entry in no particular order, or NULL at the end.
 */
DeviceEntry *device_map_next(const DeviceMap *map, size_t *cursor);

size_t device_map_count(const DeviceMap *map);

#endif
