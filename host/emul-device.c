/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VFIO devices: bind, attach, detach and close; and what is common to all
 * devices: that they come and go, and what they tell of themselves.
 */
#include "emul-driver.h"

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

uint32_t emul_device_add_locked(EmulHost *host, EmulDevice *device)
{
    uint32_t index = 0;

    while (index < host->devices->len &&
           g_ptr_array_index(host->devices, index)) {
        index++;
    }
    if (index == host->devices->len) {
        g_ptr_array_add(host->devices, device);
    } else {
        g_ptr_array_index(host->devices, index) = device;
    }
    return index;
}

void emul_device_remove_locked(EmulHost *host, EmulDevice *device)
{
    guint index;

    if (g_ptr_array_find(host->devices, device, &index)) {
        g_ptr_array_index(host->devices, index) = NULL;
    }
}

int emul_device_bind_locked(EmulHost *host, EmulDevice *device)
{
    emul_object_add_locked(host, &device->obj, EMUL_DEVICE);
    if (!emul_slots_store(&host->routes, device->obj.id, 0)) {
        emul_object_remove_locked(host, &device->obj, false);
        return -ENOMEM;
    }
    device->obj.users = 1;      /* the binding itself */
    return 0;
}

/* The vDEVICE goes too, and its ID is lost for good. */
void emul_device_unbind_locked(EmulHost *host, EmulDevice *device,
                               GArray *ended)
{
    g_autofree gpointer *pasids = NULL;
    guint num = 0;

    if (device->pasids) {
        pasids = g_hash_table_get_keys_as_array(device->pasids, &num);
    }
    for (guint i = 0; i < num; i++) {
        emul_detach_locked(host, device, GPOINTER_TO_UINT(pasids[i]), ended);
    }
    emul_detach_locked(host, device, 0, ended);
    if (device->vdevice) {
        emul_vdevice_destroy_locked(host, device->vdevice, true);
    }
    if (device->obj.id != 0) {
        emul_object_remove_locked(host, &device->obj, false);
    }
}

/* The fields that a flag announces; *@pasid is 0 without it. */
static int get_pasid(const EmulDevice *device, uint32_t flags,
                     uint32_t argsz, uint32_t needed, const uint32_t *field,
                     uint32_t *pasid)
{
    _Static_assert(VFIO_DEVICE_ATTACH_PASID == VFIO_DEVICE_DETACH_PASID, "");

    *pasid = 0;
    if (flags == 0) {
        return 0;
    }
    if ((flags & ~VFIO_DEVICE_ATTACH_PASID) || argsz < needed) {
        return -EINVAL;
    }
    if (device->pasid_bits == 0) {
        return -EOPNOTSUPP;
    }
    *pasid = *field;
    return *pasid == 0 ? -EINVAL : 0;
}

static int ioctl_attach_locked(EmulHost *host, EmulDevice *device,
                               struct vfio_device_attach_iommufd_pt *cmd,
                               GArray *ended) REQUIRES(&host->lock)
{
    uint32_t pasid;
    int ret = get_pasid(device, cmd->flags, cmd->argsz, sizeof(*cmd),
                        &cmd->pasid, &pasid);

    return ret < 0 ? ret
                   : emul_attach_locked(host, device, pasid,
                                        EMUL_ATTACH_OR_REPLACE, &cmd->pt_id,
                                        ended);
}

static int ioctl_detach_locked(EmulHost *host, EmulDevice *device,
                               const struct vfio_device_detach_iommufd_pt *cmd,
                               GArray *ended) REQUIRES(&host->lock)
{
    uint32_t pasid;
    int ret = get_pasid(device, cmd->flags, cmd->argsz, sizeof(*cmd),
                        &cmd->pasid, &pasid);

    if (ret == 0) {
        emul_detach_locked(host, device, pasid, ended);
    }
    return ret;
}

static int bind_locked(EmulHost *host, EmulDevice *device,
                       struct vfio_device_bind_iommufd *cmd)
    REQUIRES(&host->lock)
{
    int ret;

    if (cmd->flags || device->obj.id != 0) {
        return -EINVAL;
    }
    if (cmd->iommufd != host->base.fd) {
        return -EBADF;
    }
    ret = emul_device_bind_locked(host, device);
    cmd->out_devid = device->obj.id;
    return ret;
}

/* The sizes have been checked; detach and attach need a bound device. */
static int ioctl_locked(EmulHost *host, EmulDevice *device,
                        unsigned long request, void *arg, GArray *ended)
    REQUIRES(&host->lock)
{
    if (request == VFIO_DEVICE_BIND_IOMMUFD) {
        return bind_locked(host, device, arg);
    }
    if (device->obj.id == 0) {
        return -EINVAL;
    }
    if (request == VFIO_DEVICE_ATTACH_IOMMUFD_PT) {
        return ioctl_attach_locked(host, device, arg, ended);
    }
    return ioctl_detach_locked(host, device, arg, ended);
}

/* The smallest argsz that @request takes, or 0 if it is not one of ours. */
static uint32_t request_size(unsigned long request)
{
    switch (request) {
    case VFIO_DEVICE_BIND_IOMMUFD:
        return sizeof(struct vfio_device_bind_iommufd);
    case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
        return offsetof(struct vfio_device_attach_iommufd_pt, pasid);
    case VFIO_DEVICE_DETACH_IOMMUFD_PT:
        return offsetof(struct vfio_device_detach_iommufd_pt, pasid);
    default:
        return 0;
    }
}

int emul_device_ioctl(EmulHost *host, int fd, unsigned long request, void *arg)
{
    g_autoptr(GArray) ended = NULL;
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
    ended = g_array_new(FALSE, FALSE, sizeof(EmulEnded));
    lock_acquire(&host->lock);
    device = device_from_fd_locked(host, fd);
    ret = device ? ioctl_locked(host, device, request, arg, ended) : -EBADF;
    lock_release(&host->lock);
    emul_faults_end(ended);
    return ret;
}

/* As much as the user has room for, the rest of the room zeroed. */
void emul_hw_info_fill(struct iommu_hw_info *cmd, const EmulDriver *driver)
{
    char *buf = (char *)(uintptr_t)cmd->data_uptr;
    uint32_t copied = MIN(cmd->data_len, driver->hw_info_len);

    if (cmd->data_len > 0) {
        memcpy(buf, driver->hw_info, copied);
        memset(buf + copied, 0, cmd->data_len - copied);
    }
    cmd->data_len = driver->hw_info_len;
    cmd->out_data_type = driver->hw_info_type;
}

int emul_get_hw_info(EmulHost *host, void *arg)
{
    struct iommu_hw_info *cmd = arg;
    bool any_type = !(cmd->flags & IOMMU_HW_INFO_FLAG_INPUT_TYPE) ||
                    cmd->in_data_type == IOMMU_HW_INFO_TYPE_DEFAULT;
    const EmulDriver *driver = NULL;
    EmulDevice *device;

    if ((cmd->flags & ~IOMMU_HW_INFO_FLAG_INPUT_TYPE) || cmd->__reserved[0] ||
        cmd->__reserved[1] || cmd->__reserved[2]) {
        return -EOPNOTSUPP;
    }
    lock_acquire(&host->lock);
    device = (EmulDevice *)emul_object_find_locked(host, cmd->dev_id,
                                                   EMUL_DEVICE);
    if (device) {
        driver = device->driver;
        cmd->out_max_pasid_log2 = device->pasid_bits;
        cmd->out_capabilities = device->capabilities;
    }
    lock_release(&host->lock);
    if (!driver) {
        return -ENOENT;
    }
    if (!any_type && cmd->in_data_type != driver->hw_info_type) {
        return -EOPNOTSUPP;
    }
    if (cmd->data_len > 0 && !cmd->data_uptr) {
        return -EFAULT;
    }
    emul_hw_info_fill(cmd, driver);
    return 0;
}

void emul_device_free(gpointer opaque)
{
    EmulDevice *device = opaque;

    if (device) {
        if (device->pasids) {
            g_hash_table_unref(device->pasids);
        }
        g_free(device);
    }
}

void emul_device_close(EmulHost *host, uint32_t index)
{
    g_autoptr(GArray) ended = g_array_new(FALSE, FALSE, sizeof(EmulEnded));
    EmulDevice *device;

    lock_acquire(&host->lock);
    device = g_ptr_array_index(host->devices, index);
    emul_device_unbind_locked(host, device, ended);
    g_ptr_array_index(host->devices, index) = NULL;
    lock_release(&host->lock);
    emul_faults_end(ended);
    emul_device_free(device);
}

int emul_device_open(HostIommu *base)
{
    return emul_device_open_behind(base, EMUL_IOMMU_SMMUV3);
}

int emul_device_open_behind(HostIommu *base, EmulIommu iommu)
{
    EmulHost *host = emul_host(base);
    int fd = eventfd(0, EFD_CLOEXEC);
    EmulDevice *device;
    uint32_t index;
    bool added;

    if (fd < 0) {
        return -1;
    }
    device = g_new0(EmulDevice, 1);
    if (iommu == EMUL_IOMMU_VTD) {
        device->driver = &emul_vtd_driver;
        device->pasid_bits = EMUL_VTD_PASID_BITS;
    } else {
        device->driver = &emul_smmuv3_driver;
    }
    lock_acquire(&host->lock);
    index = emul_device_add_locked(host, device);
    added = emul_slots_store(&host->fds, (uint32_t)fd,
                             EMUL_FD(EMUL_FD_DEVICE, index));
    if (!added) {
        emul_device_remove_locked(host, device);
    }
    lock_release(&host->lock);
    if (!added) {
        g_free(device);
        close(fd);
        errno = EMFILE;
        return -1;
    }
    return fd;
}
