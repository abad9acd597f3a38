/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vIOMMUs, nested HWPTs, vDEVICEs and invalidations: who refers to whom. What a
 * driver makes of its data is in the driver's file.
 */
#include "emul-driver.h"

#include <errno.h>

/* Of one IOMMU_HWPT_INVALIDATE. */
enum {
    ENTRY_LEN_MAX = 4096,
    ENTRY_NUM_MAX = 1 << 19,
};

static EmulViommu *viommu_find_locked(EmulHost *host, uint32_t id)
    REQUIRES(&host->lock)
{
    return (EmulViommu *)emul_object_find_locked(host, id, EMUL_VIOMMU);
}

/* The checks come in the kernel's order: each test has one errno. */
static int viommu_alloc_locked(EmulHost *host, struct iommu_viommu_alloc *cmd)
    REQUIRES(&host->lock)
{
    EmulDevice *device = (EmulDevice *)
        emul_object_find_locked(host, cmd->dev_id, EMUL_DEVICE);
    const EmulUserData data = {
        .type = cmd->type, .len = cmd->data_len, .uptr = cmd->data_uptr,
    };
    EmulViommu *viommu;
    EmulHwpt *parent;
    int ret;

    if (!device) {
        return -ENOENT;
    }
    if (cmd->type != device->driver->viommu_type) {
        return -EOPNOTSUPP;
    }
    parent = (EmulHwpt *)emul_object_find_locked(host, cmd->hwpt_id,
                                                 EMUL_HWPT);
    if (!parent) {
        return -ENOENT;
    }
    if (!parent->nest_parent) {
        return -EINVAL;
    }
    viommu = g_new0(EmulViommu, 1);
    viommu->driver = device->driver;
    viommu->parent = parent;
    if (viommu->driver->viommu_init) {
        ret = viommu->driver->viommu_init(host, viommu,
                                          data.len ? &data : NULL);
        if (ret < 0) {
            g_free(viommu);
            return ret;
        }
    }
    viommu->vdevices = g_hash_table_new(g_int64_hash, g_int64_equal);
    emul_object_add_locked(host, &viommu->obj, EMUL_VIOMMU);
    parent->pt.obj.users++;
    cmd->out_viommu_id = viommu->obj.id;
    return 0;
}

int emul_viommu_alloc(EmulHost *host, void *arg)
{
    struct iommu_viommu_alloc *cmd = arg;
    int ret;

    if (cmd->flags || cmd->type == IOMMU_VIOMMU_TYPE_DEFAULT) {
        return -EOPNOTSUPP;
    }
    lock_acquire(&host->lock);
    ret = viommu_alloc_locked(host, cmd);
    lock_release(&host->lock);
    return ret;
}

void emul_viommu_destroy_locked(EmulHost *host, EmulViommu *viommu)
{
    viommu->parent->pt.obj.users--;
    emul_object_remove_locked(host, &viommu->obj, false);
    g_hash_table_unref(viommu->vdevices);
    g_free(viommu);
}

/* The device must be behind the vIOMMU's IOMMU. */
static int viommu_check(const EmulDevice *device, const EmulViommu *viommu,
                        const struct iommu_hwpt_alloc *cmd, uint32_t flags)
{
    if (viommu->driver != device->driver) {
        return -EINVAL;
    }
    return (cmd->flags & ~flags) || cmd->data_len == 0 ? -EOPNOTSUPP : 0;
}

static int parent_check(const EmulDevice *device, const EmulHwpt *parent,
                        const struct iommu_hwpt_alloc *cmd, uint32_t flags)
{
    if ((cmd->flags & ~flags) || cmd->data_len == 0 ||
        !device->driver->nested_init) {
        return -EOPNOTSUPP;
    }
    return parent->auto_domain || !parent->nest_parent ? -EINVAL : 0;
}

int emul_nested_alloc_locked(EmulHost *host, const EmulDevice *device,
                             EmulObject *pt, struct iommu_hwpt_alloc *cmd)
{
    const EmulDriver *driver = device->driver;
    const uint32_t flags = IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID;
    uint32_t driver_flags = cmd->flags & ~(uint32_t)IOMMU_HWPT_FAULT_ID_VALID;
    bool on_viommu = pt->type == EMUL_VIOMMU;
    const EmulUserData data = {
        .type = cmd->data_type, .len = cmd->data_len, .uptr = cmd->data_uptr,
    };
    EmulNested *nested;
    int ret = on_viommu
              ? viommu_check(device, (EmulViommu *)pt, cmd, flags)
              : parent_check(device, (EmulHwpt *)pt, cmd, flags);

    if (ret < 0) {
        return ret;
    }
    nested = g_new0(EmulNested, 1);
    nested->driver = driver;
    nested->viommu = on_viommu ? (EmulViommu *)pt : NULL;
    nested->parent = on_viommu ? NULL : (EmulHwpt *)pt;
    ret = (on_viommu ? driver->viommu_nested_init
                     : driver->nested_init)(nested, driver_flags, &data);
    if (ret < 0) {
        g_free(nested);
        return ret;
    }
    emul_object_add_locked(host, &nested->pt.obj, EMUL_NESTED);
    pt->users++;
    cmd->out_hwpt_id = nested->pt.obj.id;
    return 0;
}

void emul_nested_destroy_locked(EmulHost *host, EmulNested *nested)
{
    if (nested->viommu) {
        nested->viommu->obj.users--;
    } else {
        nested->parent->pt.obj.users--;
    }
    emul_pt_put_fault(&nested->pt);
    emul_object_remove_locked(host, &nested->pt.obj, false);
    g_free(nested);
}

/* One vDEVICE per device, whatever the vIOMMU, and one per virt_id there. */
static int vdevice_alloc_locked(EmulHost *host,
                                struct iommu_vdevice_alloc *cmd)
    REQUIRES(&host->lock)
{
    EmulViommu *viommu = viommu_find_locked(host, cmd->viommu_id);
    EmulDevice *device = (EmulDevice *)
        emul_object_find_locked(host, cmd->dev_id, EMUL_DEVICE);
    EmulVdevice *vdevice;

    if (!viommu || !device) {
        return -ENOENT;
    }
    if (device->driver != viommu->driver) {
        return -EINVAL;         /* behind another IOMMU than the vIOMMU's */
    }
    if (device->vdevice ||
        g_hash_table_contains(viommu->vdevices, &cmd->virt_id)) {
        return -EEXIST;
    }
    vdevice = g_new0(EmulVdevice, 1);
    vdevice->viommu = viommu;
    vdevice->device = device;
    vdevice->virt_id = cmd->virt_id;
    emul_object_add_locked(host, &vdevice->obj, EMUL_VDEVICE);
    g_hash_table_insert(viommu->vdevices, &vdevice->virt_id, vdevice);
    viommu->obj.users++;
    device->vdevice = vdevice;
    cmd->out_vdevice_id = vdevice->obj.id;
    return 0;
}

int emul_vdevice_alloc(EmulHost *host, void *arg)
{
    int ret;

    lock_acquire(&host->lock);
    ret = vdevice_alloc_locked(host, arg);
    lock_release(&host->lock);
    return ret;
}

/* Events of a device that stays attached go on under the old virt_id. */
void emul_vdevice_destroy_locked(EmulHost *host, EmulVdevice *vdevice,
                                 bool bury)
{
    vdevice->viommu->obj.users--;
    g_hash_table_remove(vdevice->viommu->vdevices, &vdevice->virt_id);
    vdevice->device->vdevice = NULL;
    emul_object_remove_locked(host, &vdevice->obj, bury);
    g_free(vdevice);
}

static int invalidate_locked(EmulHost *host,
                             const struct iommu_hwpt_invalidate *cmd,
                             uint32_t *done) REQUIRES(&host->lock)
{
    EmulObject *obj = emul_object_find_locked(host, cmd->hwpt_id, EMUL_ANY);
    const EmulDriver *driver;

    if (!obj) {
        return -ENOENT;
    }
    switch (obj->type) {
    case EMUL_NESTED:
        driver = ((EmulNested *)obj)->driver;
        return driver->invalidate
               ? driver->invalidate((EmulNested *)obj, cmd, done)
               : -EOPNOTSUPP;
    case EMUL_VIOMMU:
        driver = ((EmulViommu *)obj)->driver;
        return driver->viommu_invalidate((EmulViommu *)obj, cmd, done);
    default:
        return -EINVAL;
    }
}

int emul_invalidate(EmulHost *host, void *arg)
{
    struct iommu_hwpt_invalidate *cmd = arg;
    uint32_t done = 0;
    int ret;

    if (cmd->__reserved) {
        ret = -EOPNOTSUPP;
    } else if (cmd->entry_num &&
               (!cmd->data_uptr || !cmd->entry_len ||
                cmd->entry_len > ENTRY_LEN_MAX ||
                cmd->entry_num > ENTRY_NUM_MAX)) {
        ret = -EINVAL;
    } else {
        lock_acquire(&host->lock);
        ret = invalidate_locked(host, cmd, &done);
        /* See struct EmulStats. */
        host->stats.invalidations += ret == 0 ? done : 0;
        host->stats.invalidate_ioctls += ret == 0;
        lock_release(&host->lock);
    }
    cmd->entry_num = done;
    return ret;
}
