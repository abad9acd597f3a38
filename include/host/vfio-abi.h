/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of Linux 7.3's VFIO user API that binds a device to an iommufd,
 * under its kernel names. Which fields the kernel reads goes by the flags; the
 * structures may end before the others, as one does here (token).
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
#define VFIO_DEVICE_ATTACH_PASID (1 << 0)
struct vfio_device_attach_iommufd_pt {
    uint32_t argsz;
    uint32_t flags;             /* VFIO_DEVICE_ATTACH_PASID */
    uint32_t pt_id;             /* in: an IOAS or a HWPT; out: the HWPT */
    uint32_t pasid;             /* with VFIO_DEVICE_ATTACH_PASID */
};
ABI_SIZE(struct vfio_device_attach_iommufd_pt, 16);
ABI_OFFSET(struct vfio_device_attach_iommufd_pt, flags, 4);
ABI_OFFSET(struct vfio_device_attach_iommufd_pt, pt_id, 8);
ABI_OFFSET(struct vfio_device_attach_iommufd_pt, pasid, 12);

/* VFIO_DEVICE_DETACH_IOMMUFD_PT */
#define VFIO_DEVICE_DETACH_PASID (1 << 0)
struct vfio_device_detach_iommufd_pt {
    uint32_t argsz;
    uint32_t flags;             /* VFIO_DEVICE_DETACH_PASID */
    uint32_t pasid;             /* with VFIO_DEVICE_DETACH_PASID */
};
ABI_SIZE(struct vfio_device_detach_iommufd_pt, 12);
ABI_OFFSET(struct vfio_device_detach_iommufd_pt, flags, 4);
ABI_OFFSET(struct vfio_device_detach_iommufd_pt, pasid, 8);

#endif
