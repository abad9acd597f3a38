/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of Linux 7.3's VFIO user API that binds a device to an iommufd,
 * under its kernel names. The structures end before the optional fields that
 * are not used here (token, PASID): the kernel goes by argsz.
 *
 * Threads: any; declarations only.
 */
#ifndef HOST_VFIO_ABI_H
#define HOST_VFIO_ABI_H

#include "host/iommufd-abi.h"

#define VFIO_TYPE ';'

#define VFIO_DEVICE_BIND_IOMMUFD      _IO(VFIO_TYPE, 118)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT _IO(VFIO_TYPE, 119)
#define VFIO_DEVICE_DETACH_IOMMUFD_PT _IO(VFIO_TYPE, 120)

/* VFIO_DEVICE_BIND_IOMMUFD */
struct vfio_device_bind_iommufd {
    uint32_t argsz;
    uint32_t flags;             /* 0 */
    int32_t iommufd;
    uint32_t out_devid;
};
ABI_SIZE(struct vfio_device_bind_iommufd, 16);
ABI_OFFSET(struct vfio_device_bind_iommufd, flags, 4);
ABI_OFFSET(struct vfio_device_bind_iommufd, iommufd, 8);
ABI_OFFSET(struct vfio_device_bind_iommufd, out_devid, 12);

/* VFIO_DEVICE_ATTACH_IOMMUFD_PT */
struct vfio_device_attach_iommufd_pt {
    uint32_t argsz;
    uint32_t flags;             /* 0 */
    uint32_t pt_id;             /* in: an IOAS or a HWPT; out: the HWPT */
};
ABI_SIZE(struct vfio_device_attach_iommufd_pt, 12);
ABI_OFFSET(struct vfio_device_attach_iommufd_pt, flags, 4);
ABI_OFFSET(struct vfio_device_attach_iommufd_pt, pt_id, 8);

/* VFIO_DEVICE_DETACH_IOMMUFD_PT */
struct vfio_device_detach_iommufd_pt {
    uint32_t argsz;
    uint32_t flags;             /* 0 */
};
ABI_SIZE(struct vfio_device_detach_iommufd_pt, 8);
ABI_OFFSET(struct vfio_device_detach_iommufd_pt, flags, 4);

#endif
