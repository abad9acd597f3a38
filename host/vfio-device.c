/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device fd and what VFIO_DEVICE_BIND_IOMMUFD said of it. Whether and where
 * it is attached only the kernel knows; nothing here can disagree with it.
 */
#include "host/vfio-device.h"

#include "base/error.h"
#include "host/vfio-abi.h"

#include <errno.h>

struct VfioDevice {
    HostIommu *host;            /* [const] borrowed */
    int fd;                     /* [const] owned */
    uint32_t dev_id;            /* [const] iommufd's */
    char *name;                 /* [const] */
};

HostIommu *vfio_device_get_host(const VfioDevice *device)
{
    return device->host;
}

const char *vfio_device_get_name(const VfioDevice *device)
{
    return device->name;
}

uint32_t vfio_device_get_dev_id(const VfioDevice *device)
{
    return device->dev_id;
}

/* What the operator can do about a failed bind. */
static const char *bind_hint(int err)
{
    switch (err) {
    case EBUSY:
        return " (another process has one of its group, or /dev/vfio/GROUP "
               "open: end that first)";
    case EINVAL:
        return " (another process has it bound: end that first; or its IOMMU "
               "cannot keep DMA coherent with the caches)";
    case EPERM:
        return " (interrupts of the device are not isolated: enable interrupt "
               "remapping, or load iommufd with allow_unsafe_interrupts=1)";
    case ENODEV:
        return " (it is behind no IOMMU: enable that in the firmware and on "
               "the kernel's command line, or the device is going away)";
    case ENOTTY:
        return " (it is no VFIO device, or this kernel cannot bind one to an "
               "iommufd: that takes Linux 6.6 with CONFIG_VFIO_DEVICE_CDEV)";
    default:
        return "";
    }
}

bool vfio_device_attach(VfioDevice *device, uint32_t pt_id, GError **error)
{
    struct vfio_device_attach_iommufd_pt cmd = {
        .argsz = sizeof(cmd),
        .pt_id = pt_id,
    };

    if (device->host->ops->ioctl(device->host, device->fd,
                                 VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd) < 0) {
        error_set_errno(error, errno,
                        "%s: cannot attach device %u to page table %u",
                        device->name, device->dev_id, pt_id);
        return false;
    }
    return true;
}

void vfio_device_detach(VfioDevice *device)
{
    struct vfio_device_detach_iommufd_pt cmd = { .argsz = sizeof(cmd) };

    /* Fails only on an fd that is not a bound device: then there is nothing. */
    device->host->ops->ioctl(device->host, device->fd,
                             VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

bool vfio_device_attach_pasid(VfioDevice *device, uint32_t pasid,
                              uint32_t pt_id, GError **error)
{
    struct vfio_device_attach_iommufd_pt cmd = {
        .argsz = sizeof(cmd),
        .flags = VFIO_DEVICE_ATTACH_PASID,
        .pt_id = pt_id,
        .pasid = pasid,
    };

    if (device->host->ops->ioctl(device->host, device->fd,
                                 VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd) < 0) {
        error_set_errno(error, errno,
                        "%s: cannot attach PASID %u of device %u to page "
                        "table %u", device->name, pasid, device->dev_id,
                        pt_id);
        return false;
    }
    return true;
}

void vfio_device_detach_pasid(VfioDevice *device, uint32_t pasid)
{
    struct vfio_device_detach_iommufd_pt cmd = {
        .argsz = sizeof(cmd),
        .flags = VFIO_DEVICE_DETACH_PASID,
        .pasid = pasid,
    };

    device->host->ops->ioctl(device->host, device->fd,
                             VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

VfioDevice *vfio_device_bind(HostIommu *host, int fd, const char *name,
                             GError **error)
{
    struct vfio_device_bind_iommufd cmd = {
        .argsz = sizeof(cmd),
        .iommufd = host->fd,
    };
    VfioDevice *device = g_try_new0(VfioDevice, 1);

    if (!device) {
        error_set_errno(error, ENOMEM, "%s", name);
        return NULL;
    }
    if (host->ops->ioctl(host, fd, VFIO_DEVICE_BIND_IOMMUFD, &cmd) < 0) {
        int err = errno;

        g_free(device);
        error_set_errno(error, err, "%s: cannot bind fd %d to iommufd %d%s",
                        name, fd, host->fd, bind_hint(err));
        return NULL;
    }
    device->host = host;
    device->fd = fd;
    device->dev_id = cmd.out_devid;
    device->name = g_strdup(name);
    return device;
}

void vfio_device_free(VfioDevice *device)
{
    if (device) {
        device->host->ops->close(device->host, device->fd);
        g_free(device->name);
        g_free(device);
    }
}
