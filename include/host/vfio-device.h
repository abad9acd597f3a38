/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VfioDevice: a VFIO character device bound to an iommufd. Source: Linux 7.3,
 * include/uapi/linux/vfio.h (VFIO_DEVICE_BIND_IOMMUFD and its neighbours).
 *
 * Threads: any, one at a time per device.
 * Locks:   none of ours; may block.
 */
#ifndef HOST_VFIO_DEVICE_H
#define HOST_VFIO_DEVICE_H

#include "host/host-iommu.h"

#include <stdbool.h>

typedef struct VfioDevice VfioDevice;

/**
 * vfio_device_bind() - bind an open device to @host's iommufd
 * @fd: the device's, from @host's world; given on success
 * @name: for messages, copied
 *
 * Return: the device, or NULL and @error set.
 */
VfioDevice *vfio_device_bind(HostIommu *host, int fd, const char *name,
                             GError **error);

/**
 * vfio_device_free() - close the fd: detaches the device and unbinds it
 *
 * The kernel destroys the device's object ID with it. NULL is ignored.
 */
void vfio_device_free(VfioDevice *device);

HostIommu *vfio_device_get_host(const VfioDevice *device);
const char *vfio_device_get_name(const VfioDevice *device);

/* The iommufd object ID of the device. */
uint32_t vfio_device_get_dev_id(const VfioDevice *device);

/**
 * vfio_device_attach() - attach to a HWPT, or move from the one before
 *
 * Return: false and @error set; the device then is where it was.
 */
bool vfio_device_attach(VfioDevice *device, uint32_t pt_id, GError **error);

/**
 * vfio_device_detach() - undo the attachment; without one, no effect
 */
void vfio_device_detach(VfioDevice *device);

/* As vfio_device_attach(), for one PASID of the device (not 0). */
bool vfio_device_attach_pasid(VfioDevice *device, uint32_t pasid,
                              uint32_t pt_id, GError **error);
void vfio_device_detach_pasid(VfioDevice *device, uint32_t pasid);

#endif
