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
 * looks at the queue after it waits for that reporter's lock. Of page faults,
 * what came the old way is ended after the lock is released: emul-fault.c.
 */
#include "emul-internal.h"
#include "emul-smmuv3.h"

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
    EmulPt *pt = device->rid.pt;

    return pt && pt->obj.type == EMUL_NESTED ? ((EmulNested *)pt)->viommu
                                             : NULL;
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
 * Put @pasid (0: the device itself) on @pt, NULL: on none. Takes the new before
 * it lets go of the old, which may be an automatic HWPT's end.
 */
static void attachment_set_locked(EmulHost *host, const EmulDevice *device,
                                  uint32_t pasid, EmulAttachment *attachment,
                                  EmulPt *pt, GArray *ended)
    REQUIRES(&host->lock)
{
    EmulPt *old = attachment->pt;

    if (pt) {
        pt->obj.users++;
    }
    emul_fault_note_end(ended, attachment);
    attachment->pt = pt;
    /* 31 bits, of which 0 is not used: the groups of the last 2^31 differ. */
    host->faults.last_handle = host->faults.last_handle % INT_MAX + 1;
    attachment->handle = host->faults.last_handle;
    emul_fault_attach_locked(host, device, pasid, attachment);
    if (old) {
        emul_pt_put_locked(host, old);
    }
}

static void device_set_pt_locked(EmulHost *host, EmulDevice *device,
                                 EmulPt *pt, GArray *ended)
    REQUIRES(&host->lock)
{
    EmulViommu *viommu;

    attachment_set_locked(host, device, 0, &device->rid, pt, ended);
    viommu = device_viommu(device);
    device->has_vsid = viommu && device->vdevice &&
                       device->vdevice->viommu == viommu;
    if (device->has_vsid) {
        device->vsid = (uint32_t)device->vdevice->virt_id;
    }
    device_reroute_locked(host, device);
}

static EmulAttachment *pasid_find(const EmulDevice *device, uint32_t pasid)
{
    return device->pasids
           ? g_hash_table_lookup(device->pasids, GUINT_TO_POINTER(pasid))
           : NULL;
}

/* The entry comes and goes with the attachment. */
static void pasid_set_pt_locked(EmulHost *host, EmulDevice *device,
                                uint32_t pasid, EmulPt *pt, GArray *ended)
    REQUIRES(&host->lock)
{
    EmulAttachment *attachment = pasid_find(device, pasid);

    if (!attachment) {
        if (!device->pasids) {
            device->pasids = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        }
        attachment = g_new0(EmulAttachment, 1);
        g_hash_table_insert(device->pasids, GUINT_TO_POINTER(pasid),
                            attachment);
    }
    attachment_set_locked(host, device, pasid, attachment, pt, ended);
    if (!pt) {
        g_hash_table_remove(device->pasids, GUINT_TO_POINTER(pasid));
    }
}

/*
 * VT-d: whether the hardware can use the guest's table. SMMUv3: a stage 1 needs
 * a StreamID for its events and invalidations.
 */
static int nested_check(const EmulDevice *device, const EmulNested *nested)
{
    bool has_vdevice = device->vdevice &&
                       device->vdevice->viommu == nested->viommu;
    EmulIommu iommu = nested->viommu ? EMUL_IOMMU_SMMUV3 : EMUL_IOMMU_VTD;

    if (device->iommu != iommu) {
        return -EINVAL;
    }
    if (iommu == EMUL_IOMMU_VTD) {
        return emul_vtd_check_s1(&nested->s1);
    }
    return emul_smmuv3_ste_translates(nested->ste) && !has_vdevice ? -ENOENT
                                                                   : 0;
}

/* A device and its PASIDs share hardware only if all their HWPTs allow it. */
static int pasid_check(const EmulDevice *device, uint32_t pasid,
                       const EmulPt *pt)
{
    if (pasid == 0) {
        bool has_pasids = device->pasids &&
                          g_hash_table_size(device->pasids) > 0;

        return has_pasids && !pt->pasid_compat ? -EINVAL : 0;
    }
    if (!pt->pasid_compat ||
        (device->rid.pt && !device->rid.pt->pasid_compat)) {
        return -EINVAL;
    }
    return 0;
}

/* What *@obj is decides how; an IOAS becomes its automatic HWPT. */
static int attach_resolve_locked(EmulHost *host, const EmulDevice *device,
                                 uint32_t pasid, EmulObject **obj)
    REQUIRES(&host->lock)
{
    int ret;

    switch ((*obj)->type) {
    case EMUL_IOAS:
        if (pasid_check(device, pasid, &(const EmulPt) { 0 }) < 0) {
            return -EINVAL;     /* before there is an automatic one */
        }
        *obj = &emul_ioas_get_auto_locked(host, (EmulIoas *)*obj)->pt.obj;
        return 0;
    case EMUL_HWPT:
        break;
    case EMUL_NESTED:
        ret = nested_check(device, (EmulNested *)*obj);
        if (ret < 0) {
            return ret;
        }
        break;
    default:
        return -EINVAL;
    }
    return pasid_check(device, pasid, (EmulPt *)*obj);
}

/*
 * The kernel's two cases, attach and replace, come to the same here. *@pt_id
 * becomes the HWPT's ID, which differs from what was asked for if that was an
 * IOAS.
 */
static int attach_locked(EmulHost *host, EmulDevice *device, uint32_t pasid,
                         uint32_t *pt_id, GArray *ended) REQUIRES(&host->lock)
{
    EmulObject *obj = emul_object_find_locked(host, *pt_id, EMUL_ANY);
    const EmulAttachment *old = pasid == 0 ? &device->rid
                                           : pasid_find(device, pasid);
    int ret;

    if (!obj) {
        return -ENOENT;
    }
    ret = attach_resolve_locked(host, device, pasid, &obj);
    if (ret < 0) {
        return ret;
    }
    /* Attaching again to the same has no effect, not even on the virt_id. */
    if (!old || obj != (EmulObject *)old->pt) {
        if (pasid == 0) {
            device_set_pt_locked(host, device, (EmulPt *)obj, ended);
        } else {
            pasid_set_pt_locked(host, device, pasid, (EmulPt *)obj, ended);
        }
    }
    *pt_id = obj->id;
    return 0;
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
    if (device->iommu != EMUL_IOMMU_VTD) {
        return -EOPNOTSUPP;
    }
    *pasid = *field;
    return *pasid == 0 || *pasid >> EMUL_VTD_PASID_BITS ? -EINVAL : 0;
}

static int ioctl_attach_locked(EmulHost *host, EmulDevice *device,
                               struct vfio_device_attach_iommufd_pt *cmd,
                               GArray *ended) REQUIRES(&host->lock)
{
    uint32_t pasid;
    int ret = get_pasid(device, cmd->flags, cmd->argsz, sizeof(*cmd),
                        &cmd->pasid, &pasid);

    return ret < 0 ? ret
                   : attach_locked(host, device, pasid, &cmd->pt_id, ended);
}

static int ioctl_detach_locked(EmulHost *host, EmulDevice *device,
                               const struct vfio_device_detach_iommufd_pt *cmd,
                               GArray *ended) REQUIRES(&host->lock)
{
    uint32_t pasid;
    int ret = get_pasid(device, cmd->flags, cmd->argsz, sizeof(*cmd),
                        &cmd->pasid, &pasid);

    if (ret < 0) {
        return ret;
    }
    if (pasid == 0 && device->rid.pt) {
        device_set_pt_locked(host, device, NULL, ended);
    } else if (pasid != 0 && pasid_find(device, pasid)) {
        pasid_set_pt_locked(host, device, pasid, NULL, ended);
    }
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
static void hw_info_fill(struct iommu_hw_info *cmd, EmulIommu iommu)
{
    bool vtd = iommu == EMUL_IOMMU_VTD;
    char *buf = (char *)(uintptr_t)cmd->data_uptr;
    const void *info = vtd ? (const void *)&emul_vtd_hw_info
                           : &emul_smmuv3_hw_info;
    uint32_t len = vtd ? sizeof(emul_vtd_hw_info)
                       : sizeof(emul_smmuv3_hw_info);
    uint32_t copied = MIN(cmd->data_len, len);

    if (cmd->data_len > 0) {
        memcpy(buf, info, copied);
        memset(buf + copied, 0, cmd->data_len - copied);
    }
    cmd->data_len = len;
    cmd->out_data_type = vtd ? IOMMU_HW_INFO_TYPE_INTEL_VTD
                             : IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
    cmd->out_max_pasid_log2 = vtd ? EMUL_VTD_PASID_BITS : 0;
    cmd->out_capabilities = 0;
}

int emul_get_hw_info(EmulHost *host, void *arg)
{
    struct iommu_hw_info *cmd = arg;
    EmulIommu iommu = EMUL_IOMMU_SMMUV3;
    EmulDevice *device;

    if ((cmd->flags & ~IOMMU_HW_INFO_FLAG_INPUT_TYPE) || cmd->__reserved[0] ||
        cmd->__reserved[1] || cmd->__reserved[2]) {
        return -EOPNOTSUPP;
    }
    lock_acquire(&host->lock);
    device = (EmulDevice *)emul_object_find_locked(host, cmd->dev_id,
                                                   EMUL_DEVICE);
    if (device) {
        iommu = device->iommu;
    }
    lock_release(&host->lock);
    if (!device) {
        return -ENOENT;
    }
    if ((cmd->flags & IOMMU_HW_INFO_FLAG_INPUT_TYPE) &&
        cmd->in_data_type != IOMMU_HW_INFO_TYPE_DEFAULT &&
        cmd->in_data_type != (iommu == EMUL_IOMMU_VTD
                              ? IOMMU_HW_INFO_TYPE_INTEL_VTD
                              : IOMMU_HW_INFO_TYPE_ARM_SMMUV3)) {
        return -EOPNOTSUPP;
    }
    if (cmd->data_len > 0 && !cmd->data_uptr) {
        return -EFAULT;
    }
    hw_info_fill(cmd, iommu);
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

/* Unbind: the vDEVICE goes too, and its ID is lost for good. */
static void device_unbind_locked(EmulHost *host, EmulDevice *device,
                                 GArray *ended) REQUIRES(&host->lock)
{
    GHashTableIter iter;
    gpointer pasid;
    gpointer attachment;

    if (device->pasids) {
        g_hash_table_iter_init(&iter, device->pasids);
        while (g_hash_table_iter_next(&iter, &pasid, &attachment)) {
            attachment_set_locked(host, device, GPOINTER_TO_UINT(pasid),
                                  attachment, NULL, ended);
        }
        g_hash_table_remove_all(device->pasids);
    }
    if (device->rid.pt) {
        device_set_pt_locked(host, device, NULL, ended);
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
    g_autoptr(GArray) ended = g_array_new(FALSE, FALSE, sizeof(EmulEnded));
    EmulDevice *device;

    lock_acquire(&host->lock);
    device = g_ptr_array_index(host->devices, index);
    device_unbind_locked(host, device, ended);
    g_ptr_array_index(host->devices, index) = NULL;
    lock_release(&host->lock);
    emul_faults_end(ended);
    emul_device_free(device);
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
    return emul_device_open_behind(base, EMUL_IOMMU_SMMUV3);
}

int emul_device_open_behind(HostIommu *base, EmulIommu iommu)
{
    EmulHost *host = emul_host(base);
    int fd = eventfd(0, EFD_CLOEXEC);
    EmulDevice *device;
    bool added;

    if (fd < 0) {
        return -1;
    }
    device = g_new0(EmulDevice, 1);
    device->iommu = iommu;
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
