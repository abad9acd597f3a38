/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VFIO device that is none: its fd is a name, its binding makes a mock
 * device, its attachments are the mock device's. Whatever ends an attachment
 * makes the call under the device's lock, so that no page request can come by
 * it unnoticed, and tells of the answers without.
 */
#include "mock-internal.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The driver fails every second change of this one's attachment. */
#define FAKE_ERROR_PASID IOMMU_TEST_PASID_RESERVED

/*
 * A detach cannot fail, but the ioctl that plays it may, without memory: with
 * ENOMEM, and with others that the driver makes of it.
 */
enum { DETACH_TRIES = 8 };

MockDevice *mock_device_find(MockHost *host, uint32_t dev_id)
{
    return (MockDevice *)(uintptr_t)emul_slots_load(&host->devices, dev_id);
}

bool mock_device_iommu(MockHost *host, uint32_t dev_id, HardwareIommu *iommu)
{
    MockDevice *device = mock_device_find(host, dev_id);
    bool found = false;

    if (device) {
        lock_acquire(&device->lock);
        found = device->dev_id == dev_id;
        *iommu = device->iommu;
        lock_release(&device->lock);
    }
    return found;
}

/* ---- The driver's operations ---- */

/* Return: 0 or -errno; *@pt_id becomes the HWPT. */
static int replace(MockHost *host, uint32_t stdev_id, uint32_t *pt_id)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd), .op = IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
        .id = stdev_id, .mock_domain_replace.pt_id = *pt_id,
    };
    int ret = mock_ioctl(host, IOMMU_TEST_CMD, &cmd);

    *pt_id = cmd.mock_domain_replace.pt_id;
    return ret;
}

/* @op: attach or replace. */
static int pasid_op(MockHost *host, uint32_t op, uint32_t stdev_id,
                    uint32_t pasid, uint32_t *pt_id)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd), .op = op, .id = stdev_id,
        .pasid_attach = { .pasid = pasid, .pt_id = *pt_id },
    };
    int ret = mock_ioctl(host, IOMMU_TEST_CMD, &cmd);

    *pt_id = cmd.pasid_attach.pt_id;
    return ret;
}

static int make_device(MockHost *host, uint32_t pt_id, uint32_t *stdev_id,
                       uint32_t *dev_id)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd), .op = IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
        .id = pt_id, .mock_domain_flags.dev_flags = MOCK_FLAGS_DEVICE_PASID,
    };
    int ret = mock_ioctl(host, IOMMU_TEST_CMD, &cmd);

    if (ret == 0) {
        *stdev_id = cmd.mock_domain_flags.out_stdev_id;
        *dev_id = cmd.mock_domain_flags.out_idev_id;
        mock_note_id(host, *stdev_id);
        mock_note_id(host, *dev_id);
    }
    return ret;
}

/* ---- The parking ---- */

/* A HWPT takes a device to be made for: the first one makes its own. */
static int parking_alloc_locked(MockHost *host, uint32_t stdev_id,
                                uint32_t dev_id)
    REQUIRES(&host->parking.lock)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd), .flags = IOMMU_HWPT_ALLOC_PASID,
        .dev_id = dev_id, .pt_id = host->parking.ioas_id,
    };
    uint32_t hwpt_id;
    int ret = mock_ioctl(host, IOMMU_HWPT_ALLOC, &cmd);

    if (ret < 0) {
        return ret;
    }
    hwpt_id = cmd.out_hwpt_id;
    mock_note_id(host, hwpt_id);
    ret = replace(host, stdev_id, &hwpt_id);
    if (ret < 0) {
        mock_destroy(host, cmd.out_hwpt_id);
        return ret;
    }
    host->parking.hwpt_id = cmd.out_hwpt_id;
    return 0;
}

static int first_device_locked(MockHost *host, uint32_t *stdev_id,
                               uint32_t *dev_id) REQUIRES(&host->parking.lock)
{
    struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
    int ret = mock_ioas_alloc(host, &cmd);

    if (ret < 0) {
        return ret;
    }
    host->parking.ioas_id = cmd.out_ioas_id;
    ret = make_device(host, cmd.out_ioas_id, stdev_id, dev_id);
    if (ret == 0) {
        ret = parking_alloc_locked(host, *stdev_id, *dev_id);
        if (ret < 0) {
            mock_destroy(host, *stdev_id);
        }
    }
    if (ret < 0) {
        mock_destroy(host, cmd.out_ioas_id);
    }
    return ret;
}

static int parking_enter(MockHost *host, uint32_t *stdev_id, uint32_t *dev_id,
                         uint32_t *hwpt_id)
{
    int ret;

    lock_acquire(&host->parking.lock);
    ret = host->parking.devices == 0
              ? first_device_locked(host, stdev_id, dev_id)
              : make_device(host, host->parking.hwpt_id, stdev_id, dev_id);
    if (ret == 0) {
        host->parking.devices++;
        *hwpt_id = host->parking.hwpt_id;
    }
    lock_release(&host->parking.lock);
    return ret;
}

/* The device is gone. */
static void parking_leave(MockHost *host)
{
    MockParking *parking = &host->parking;

    lock_acquire(&host->parking.lock);
    if (--parking->devices == 0) {
        mock_destroy(host, parking->hwpt_id);
        mock_destroy(host, parking->ioas_id);
    }
    lock_release(&host->parking.lock);
}

/* ---- Bind ---- */

/* 0: not bound. */
static uint32_t bound_id(MockDevice *device)
{
    uint32_t id;

    lock_acquire(&device->lock);
    id = device->dev_id;
    lock_release(&device->lock);
    return id;
}

static int bind(MockHost *host, MockDevice *device,
                struct vfio_device_bind_iommufd *cmd)
{
    uint32_t stdev_id = 0, dev_id = 0, parking_id = 0;
    int ret;

    if (cmd->flags || bound_id(device) != 0) {
        return -EINVAL;
    }
    if (cmd->iommufd != host->base.fd) {
        return -EBADF;
    }
    ret = parking_enter(host, &stdev_id, &dev_id, &parking_id);
    if (ret < 0) {
        return ret;
    }
    lock_acquire(&device->lock);
    device->stdev_id = stdev_id;
    device->dev_id = dev_id;
    device->parking_id = parking_id;
    lock_release(&device->lock);
    if (!emul_slots_store(&host->devices, dev_id, (uintptr_t)device)) {
        lock_acquire(&device->lock);
        device->stdev_id = device->dev_id = 0;
        lock_release(&device->lock);
        mock_destroy(host, stdev_id);
        parking_leave(host);
        return -ENOMEM;
    }
    cmd->out_devid = dev_id;
    return 0;
}

/* ---- Attach and detach ---- */

static MockAttachment *pasid_find_locked(MockDevice *device, uint32_t pasid)
    REQUIRES(&device->lock)
{
    return g_hash_table_lookup(device->pasids, GUINT_TO_POINTER(pasid));
}

static void pasid_detach_locked(MockHost *host, MockDevice *device,
                                uint32_t pasid, MockEnded *ended)
    REQUIRES(&device->lock)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd), .op = IOMMU_TEST_OP_PASID_DETACH,
        .id = device->stdev_id, .pasid_detach.pasid = pasid,
    };

    if (pasid_find_locked(device, pasid)) {
        for (int i = 0; i < DETACH_TRIES; i++) {
            if (mock_ioctl(host, IOMMU_TEST_CMD, &cmd) == 0) {
                break;
            }
        }
        mock_groups_end_locked(host, device, pasid, ended);
        g_hash_table_remove(device->pasids, GUINT_TO_POINTER(pasid));
    }
}

static int pasid_attach_locked(MockHost *host, MockDevice *device,
                               uint32_t pasid, uint32_t *pt_id,
                               const MockAttachment *new, MockEnded *ended)
    REQUIRES(&device->lock)
{
    MockAttachment *old = pasid_find_locked(device, pasid);
    int ret;

    if (old && pasid == FAKE_ERROR_PASID && old->hwpt_id != *pt_id) {
        /* Not where it was, if this fails: no better is to be had. */
        pasid_detach_locked(host, device, pasid, ended);
        old = NULL;
    }
    ret = pasid_op(host,
                   old ? IOMMU_TEST_OP_PASID_REPLACE
                       : IOMMU_TEST_OP_PASID_ATTACH,
                   device->stdev_id, pasid, pt_id);
    if (ret < 0) {
        return ret;
    }
    if (!old) {
        old = g_new0(MockAttachment, 1);
        g_hash_table_insert(device->pasids, GUINT_TO_POINTER(pasid), old);
    } else if (old->hwpt_id != *pt_id) {
        mock_groups_end_locked(host, device, pasid, ended);
    }
    *old = *new;
    old->hwpt_id = *pt_id;
    return 0;
}

static int rid_attach_locked(MockHost *host, MockDevice *device,
                             uint32_t *pt_id, const MockAttachment *new,
                             MockEnded *ended) REQUIRES(&device->lock)
{
    int ret = replace(host, device->stdev_id, pt_id);

    if (ret < 0) {
        return ret;
    }
    if (device->rid.hwpt_id != *pt_id) {
        mock_groups_end_locked(host, device, 0, ended);
    }
    device->rid = *new;
    device->rid.hwpt_id = *pt_id;
    return 0;
}

static void rid_detach_locked(MockHost *host, MockDevice *device,
                              MockEnded *ended) REQUIRES(&device->lock)
{
    int ret = -1;

    if (device->rid.hwpt_id == 0) {
        return;
    }
    for (int i = 0; i < DETACH_TRIES && ret < 0; i++) {
        uint32_t pt_id = device->parking_id;

        ret = replace(host, device->stdev_id, &pt_id);
    }
    if (ret == 0) {
        mock_groups_end_locked(host, device, 0, ended);
        device->rid = (MockAttachment){ 0 };
    }
}

static int attach(MockHost *host, MockDevice *device, uint32_t pasid,
                  uint32_t *pt_id)
{
    MockAttachment new = { 0 };
    MockObject hwpt;
    MockEnded ended;
    int ret;

    if (mock_object_find(host, *pt_id, MOCK_OBJECT_HWPT, &hwpt)) {
        if (hwpt.attach_err < 0) {
            return hwpt.attach_err;
        }
        new.nested = hwpt.nested;
        new.events = hwpt.events;
        new.faults = hwpt.faults;
    }
    ended.count = 0;
    lock_acquire(&device->lock);
    ret = pasid == 0
              ? rid_attach_locked(host, device, pt_id, &new, &ended)
              : pasid_attach_locked(host, device, pasid, pt_id, &new, &ended);
    lock_release(&device->lock);
    mock_groups_tell(host, &ended);
    return ret;
}

static void detach(MockHost *host, MockDevice *device, uint32_t pasid)
{
    MockEnded ended;

    ended.count = 0;
    lock_acquire(&device->lock);
    if (pasid == 0) {
        rid_detach_locked(host, device, &ended);
    } else {
        pasid_detach_locked(host, device, pasid, &ended);
    }
    lock_release(&device->lock);
    mock_groups_tell(host, &ended);
}

/* The fields that a flag announces; *@pasid is 0 without it. */
static int get_pasid(const MockDevice *device, uint32_t flags, uint32_t argsz,
                     uint32_t needed, const uint32_t *field, uint32_t *pasid)
{
    _Static_assert(VFIO_DEVICE_ATTACH_PASID == VFIO_DEVICE_DETACH_PASID, "");

    *pasid = 0;
    if (flags == 0) {
        return 0;
    }
    if ((flags & ~VFIO_DEVICE_ATTACH_PASID) || argsz < needed) {
        return -EINVAL;
    }
    if (device->iommu != HARDWARE_VTD) {
        return -EOPNOTSUPP;
    }
    *pasid = *field;
    return *pasid == 0 || *pasid >> MOCK_PASID_WIDTH ? -EINVAL : 0;
}

/* ---- The fd ---- */

static int ioctl_attach(MockHost *host, MockDevice *device,
                        struct vfio_device_attach_iommufd_pt *cmd)
{
    uint32_t pasid;
    int ret = get_pasid(device, cmd->flags, cmd->argsz, sizeof(*cmd),
                        &cmd->pasid, &pasid);

    return ret < 0 ? ret : attach(host, device, pasid, &cmd->pt_id);
}

static int ioctl_detach(MockHost *host, MockDevice *device,
                        const struct vfio_device_detach_iommufd_pt *cmd)
{
    uint32_t pasid;
    int ret = get_pasid(device, cmd->flags, cmd->argsz, sizeof(*cmd),
                        &cmd->pasid, &pasid);

    if (ret == 0) {
        detach(host, device, pasid);
    }
    return ret;
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

int mock_device_ioctl(MockHost *host, MockDevice *device,
                      unsigned long request, void *arg)
{
    uint32_t argsz;

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
    if (request == VFIO_DEVICE_BIND_IOMMUFD) {
        return bind(host, device, arg);
    }
    if (bound_id(device) == 0) {
        return -EINVAL;
    }
    return request == VFIO_DEVICE_ATTACH_IOMMUFD_PT
               ? ioctl_attach(host, device, arg)
               : ioctl_detach(host, device, arg);
}

int mock_device_open(HostIommu *base, HardwareIommu iommu)
{
    MockHost *host = mock_host(base);
    int fd = eventfd(0, EFD_CLOEXEC);
    MockDevice *device;

    if (fd < 0) {
        return -1;
    }
    device = (MockDevice *)mock_file_get(host, MOCK_FILE_DEVICE);
    /* Whoever had it before may still be found by an old ID. */
    lock_acquire(&device->lock);
    device->iommu = iommu;
    lock_release(&device->lock);
    if (!emul_slots_store(&host->fds, fd, (uintptr_t)device)) {
        mock_file_put(host, &device->file);
        close(fd);
        errno = EMFILE;
        return -1;
    }
    return fd;
}

/* The driver wants PASIDs to be detached before the device goes. */
static void unbind_locked(MockHost *host, MockDevice *device, MockEnded *ended)
    REQUIRES(&device->lock)
{
    g_autoptr(GList) pasids = g_hash_table_get_keys(device->pasids);

    for (GList *pasid = pasids; pasid; pasid = pasid->next) {
        pasid_detach_locked(host, device, GPOINTER_TO_UINT(pasid->data),
                            ended);
    }
    mock_object_forget_vdevices(host, device->dev_id);
    mock_forget_id(host, device->dev_id);
    mock_destroy(host, device->stdev_id);
    mock_groups_end_locked(host, device, MOCK_VIA_ALL, ended);
    device->stdev_id = device->dev_id = 0;
    device->rid = (MockAttachment){ 0 };
}

void mock_device_close(MockHost *host, MockDevice *device)
{
    uint32_t dev_id = bound_id(device);
    MockEnded ended;

    if (dev_id != 0) {
        ended.count = 0;
        emul_slots_take(&host->devices, dev_id);
        lock_acquire(&device->lock);
        unbind_locked(host, device, &ended);
        lock_release(&device->lock);
        mock_groups_tell(host, &ended);
        parking_leave(host);
    }
    mock_file_put(host, &device->file);
}
