/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices: bind, attach, detach and close, and the route of their events.
 *
 * As the SMMUv3 driver does, an attach to a nested HWPT takes a copy of the
 * vDEVICE's virt_id: events carry that number until the next attach or detach,
 * whatever becomes of the vDEVICE.
 *
 * A route is changed under the host's lock and read by reporters under their
 * queue's. A reporter that saw the old one comes before the change: whoever
 * looks at the queue after it waits for that reporter's lock.
 */
#include "emul-internal.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Under the lock, so that the device cannot be closed meanwhile. */
static EmulDevice *device_from_fd_locked(EmulHost *host, int fd)
    REQUIRES(&host->lock)
{
    uint64_t word = emul_slots_load(&host->fds, (uint32_t)fd);

    return EMUL_FD_KIND(word) == EMUL_FD_DEVICE
           ? g_ptr_array_index(host->devices, EMUL_FD_INDEX(word)) : NULL;
}

/* The vIOMMU whose guest programs the device's stage 1, or NULL. */
static EmulViommu *device_viommu(const EmulDevice *device)
{
    return device->pt && device->pt->type == EMUL_NESTED
           ? ((EmulNested *)device->pt)->viommu : NULL;
}

/* Work out the route anew from the attachment, the virt_id and the queue. */
static void device_reroute_locked(EmulHost *host, EmulDevice *device)
    REQUIRES(&host->lock)
{
    EmulViommu *viommu = device_viommu(device);
    EmulVeventq *veventq = viommu && device->has_vsid
        ? emul_viommu_find_veventq(viommu, IOMMU_VEVENTQ_TYPE_ARM_SMMUV3)
        : NULL;

    emul_slots_store(&host->routes, device->obj.id,
                     veventq ? EMUL_ROUTE(veventq->queue->index, device->vsid)
                             : 0);
}

void emul_devices_reroute_locked(EmulHost *host, EmulViommu *viommu)
{
    for (guint i = 0; i < host->devices->len; i++) {
        EmulDevice *device = g_ptr_array_index(host->devices, i);

        if (device && device_viommu(device) == viommu) {
            device_reroute_locked(host, device);
        }
    }
}

/*
 * Put the device on @pt (NULL: on none): take the new before letting go of the
 * old, which may be an automatic HWPT's end.
 */
static void device_set_pt_locked(EmulHost *host, EmulDevice *device,
                                 EmulObject *pt) REQUIRES(&host->lock)
{
    EmulObject *old = device->pt;
    EmulViommu *viommu;

    if (pt) {
        pt->users++;
    }
    device->pt = pt;
    viommu = device_viommu(device);
    device->has_vsid = viommu && device->vdevice &&
                       device->vdevice->viommu == viommu;
    if (device->has_vsid) {
        device->vsid = (uint32_t)device->vdevice->virt_id;
    }
    device_reroute_locked(host, device);
    if (old) {
        emul_pt_put_locked(host, old);
    }
}

/* A stage 1 needs a StreamID for its events and invalidations. */
static int nested_check(const EmulDevice *device, const EmulNested *nested)
{
    bool has_vdevice = device->vdevice &&
                       device->vdevice->viommu == nested->viommu;

    return emul_smmuv3_ste_translates(nested->ste) && !has_vdevice ? -ENOENT
                                                                   : 0;
}

/*
 * The kernel's two cases, attach and replace, come to the same here. *@pt_id
 * becomes the HWPT's ID, which differs from what was asked for if that was an
 * IOAS.
 */
static int attach_locked(EmulHost *host, EmulDevice *device, uint32_t *pt_id)
    REQUIRES(&host->lock)
{
    EmulObject *pt = emul_object_find_locked(host, *pt_id, EMUL_ANY);
    int ret = 0;

    if (!pt) {
        return -ENOENT;
    }
    switch (pt->type) {
    case EMUL_IOAS:
        pt = &emul_ioas_get_auto_locked(host, (EmulIoas *)pt)->obj;
        break;
    case EMUL_HWPT:
        break;
    case EMUL_NESTED:
        ret = nested_check(device, (EmulNested *)pt);
        break;
    default:
        ret = -EINVAL;
        break;
    }
    if (ret < 0) {
        return ret;
    }
    /* Attaching again to the same has no effect, not even on the virt_id. */
    if (pt != device->pt) {
        device_set_pt_locked(host, device, pt);
    }
    *pt_id = pt->id;
    return 0;
}

/* A device gets its object ID, and with it a slot for its route. */
static int bind_locked(EmulHost *host, EmulDevice *device,
                       struct vfio_device_bind_iommufd *cmd)
    REQUIRES(&host->lock)
{
    if (cmd->flags || device->obj.id != 0) {
        return -EINVAL;
    }
    if (cmd->iommufd != host->base.fd) {
        return -EBADF;
    }
    emul_object_add_locked(host, &device->obj, EMUL_DEVICE);
    if (!emul_slots_store(&host->routes, device->obj.id, 0)) {
        emul_object_remove_locked(host, &device->obj, false);
        return -ENOMEM;
    }
    device->obj.users = 1;      /* VFIO's, until the fd is closed */
    cmd->out_devid = device->obj.id;
    return 0;
}

/* The sizes have been checked; detach and attach need a bound device. */
static int ioctl_locked(EmulHost *host, EmulDevice *device,
                        unsigned long request, void *arg)
    REQUIRES(&host->lock)
{
    struct vfio_device_attach_iommufd_pt *attach = arg;
    struct vfio_device_detach_iommufd_pt *detach = arg;

    if (request == VFIO_DEVICE_BIND_IOMMUFD) {
        return bind_locked(host, device, arg);
    }
    if (device->obj.id == 0) {
        return -EINVAL;
    }
    if (request == VFIO_DEVICE_ATTACH_IOMMUFD_PT) {
        return attach->flags ? -EINVAL
            : attach_locked(host, device, &attach->pt_id);
    }
    if (detach->flags) {
        return -EINVAL;
    }
    if (device->pt) {
        device_set_pt_locked(host, device, NULL);
    }
    return 0;
}

/* The smallest argsz that @request takes, or 0 if it is not one of ours. */
static uint32_t request_size(unsigned long request)
{
    switch (request) {
    case VFIO_DEVICE_BIND_IOMMUFD:
        return sizeof(struct vfio_device_bind_iommufd);
    case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
        return sizeof(struct vfio_device_attach_iommufd_pt);
    case VFIO_DEVICE_DETACH_IOMMUFD_PT:
        return sizeof(struct vfio_device_detach_iommufd_pt);
    default:
        return 0;
    }
}

int emul_device_ioctl(EmulHost *host, int fd, unsigned long request, void *arg)
{
    EmulDevice *device;
    uint32_t argsz;
    int ret;

    if (request_size(request) == 0) {
        return -ENOTTY;
    }
    if (!arg) {
        return -EFAULT;
    }
    memcpy(&argsz, arg, sizeof(argsz));
    if (argsz < request_size(request)) {
        return -EINVAL;
    }
    lock_acquire(&host->lock);
    device = device_from_fd_locked(host, fd);
    ret = device ? ioctl_locked(host, device, request, arg) : -EBADF;
    lock_release(&host->lock);
    return ret;
}

/* As much as the user has room for, the rest of the room zeroed. */
static void hw_info_fill(struct iommu_hw_info *cmd)
{
    char *buf = (char *)(uintptr_t)cmd->data_uptr;
    uint32_t len = sizeof(emul_smmuv3_hw_info);
    uint32_t copied = MIN(cmd->data_len, len);

    if (cmd->data_len > 0) {
        memcpy(buf, &emul_smmuv3_hw_info, copied);
        memset(buf + copied, 0, cmd->data_len - copied);
    }
    cmd->data_len = len;
    cmd->out_data_type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
    cmd->out_max_pasid_log2 = 0;
    cmd->out_capabilities = 0;
}

int emul_get_hw_info(EmulHost *host, void *arg)
{
    struct iommu_hw_info *cmd = arg;
    bool found;

    if ((cmd->flags & ~IOMMU_HW_INFO_FLAG_INPUT_TYPE) || cmd->__reserved[0] ||
        cmd->__reserved[1] || cmd->__reserved[2]) {
        return -EOPNOTSUPP;
    }
    lock_acquire(&host->lock);
    found = emul_object_find_locked(host, cmd->dev_id, EMUL_DEVICE);
    lock_release(&host->lock);
    if (!found) {
        return -ENOENT;
    }
    if ((cmd->flags & IOMMU_HW_INFO_FLAG_INPUT_TYPE) &&
        cmd->in_data_type != IOMMU_HW_INFO_TYPE_DEFAULT &&
        cmd->in_data_type != IOMMU_HW_INFO_TYPE_ARM_SMMUV3) {
        return -EOPNOTSUPP;
    }
    if (cmd->data_len > 0 && !cmd->data_uptr) {
        return -EFAULT;
    }
    hw_info_fill(cmd);
    return 0;
}

/* Unbind: the vDEVICE goes too, and its ID is lost for good. */
static void device_unbind_locked(EmulHost *host, EmulDevice *device)
    REQUIRES(&host->lock)
{
    if (device->pt) {
        device_set_pt_locked(host, device, NULL);
    }
    if (device->vdevice) {
        emul_vdevice_destroy_locked(host, device->vdevice, true);
    }
    if (device->obj.id != 0) {
        emul_object_remove_locked(host, &device->obj, false);
    }
}

void emul_device_close(EmulHost *host, uint32_t index)
{
    EmulDevice *device;

    lock_acquire(&host->lock);
    device = g_ptr_array_index(host->devices, index);
    device_unbind_locked(host, device);
    g_ptr_array_index(host->devices, index) = NULL;
    lock_release(&host->lock);
    g_free(device);
}

/* Into the lowest hole, and findable by @fd. */
static bool device_add_locked(EmulHost *host, EmulDevice *device, int fd)
    REQUIRES(&host->lock)
{
    uint32_t index = 0;

    while (index < host->devices->len &&
           g_ptr_array_index(host->devices, index)) {
        index++;
    }
    if (!emul_slots_store(&host->fds, (uint32_t)fd,
                          EMUL_FD(EMUL_FD_DEVICE, index))) {
        return false;
    }
    if (index == host->devices->len) {
        g_ptr_array_add(host->devices, device);
    } else {
        g_ptr_array_index(host->devices, index) = device;
    }
    return true;
}

int emul_device_open(HostIommu *base)
{
    EmulHost *host = emul_host(base);
    int fd = eventfd(0, EFD_CLOEXEC);
    EmulDevice *device;
    bool added;

    if (fd < 0) {
        return -1;
    }
    device = g_new0(EmulDevice, 1);
    lock_acquire(&host->lock);
    added = device_add_locked(host, device, fd);
    lock_release(&host->lock);
    if (!added) {
        g_free(device);
        close(fd);
        errno = EMFILE;
        return -1;
    }
    return fd;
}
