/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vIOMMUs of type ARM_SMMUV3, their nested HWPTs, vDEVICEs and invalidations.
 * The rules are emul-smmuv3.c's; here is who refers to whom.
 */
#include "emul-internal.h"
#include "emul-smmuv3.h"

#include <errno.h>
#include <string.h>

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
    EmulViommu *viommu;
    EmulHwpt *parent;

    if (!device) {
        return -ENOENT;
    }
    if (cmd->type != IOMMU_VIOMMU_TYPE_ARM_SMMUV3 ||
        device->iommu != EMUL_IOMMU_SMMUV3) {
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
    viommu->parent = parent;
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

    if (cmd->flags || cmd->__reserved ||
        cmd->type == IOMMU_VIOMMU_TYPE_DEFAULT) {
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

/*
 * The driver's own argument checks, then the entry's. EIO is kept for a bad
 * entry: that is what a guest can cause, all else is its monitor's mistake.
 */
int emul_nested_alloc_locked(EmulHost *host, EmulViommu *viommu,
                             struct iommu_hwpt_alloc *cmd)
{
    struct iommu_hwpt_arm_smmuv3 data;
    EmulNested *nested;
    int ret;

    if ((cmd->flags & ~IOMMU_HWPT_FAULT_ID_VALID) ||
        cmd->data_type == IOMMU_HWPT_DATA_NONE) {
        return -EOPNOTSUPP;
    }
    if (cmd->data_type != IOMMU_HWPT_DATA_ARM_SMMUV3 ||
        cmd->data_len < sizeof(data)) {
        return -EINVAL;
    }
    if (!cmd->data_uptr) {
        return -EFAULT;
    }
    ret = emul_copy_struct(&data, sizeof(data),
                           (const void *)(uintptr_t)cmd->data_uptr,
                           cmd->data_len);
    if (ret < 0) {
        return ret;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(data.ste); i++) {
        data.ste[i] = GUINT64_FROM_LE(data.ste[i]);
    }
    ret = emul_smmuv3_check_ste(data.ste);
    if (ret < 0) {
        return ret;
    }
    nested = g_new0(EmulNested, 1);
    nested->viommu = viommu;
    memcpy(nested->ste, data.ste, sizeof(nested->ste));
    emul_object_add_locked(host, &nested->pt.obj, EMUL_NESTED);
    viommu->obj.users++;
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
    if (device->iommu != EMUL_IOMMU_SMMUV3) {
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

/* Check the array and copy it. Return: 0 or -errno; @cmds is the caller's. */
static int copy_commands(const struct iommu_hwpt_invalidate *cmd,
                         struct iommu_viommu_arm_smmuv3_invalidate **cmds)
{
    const char *entries = (const char *)(uintptr_t)cmd->data_uptr;
    struct iommu_viommu_arm_smmuv3_invalidate *copy;

    if (cmd->data_type != IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 ||
        cmd->entry_num == 0) {
        return -EINVAL;
    }
    copy = g_try_new(struct iommu_viommu_arm_smmuv3_invalidate,
                     cmd->entry_num);
    if (!copy) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < cmd->entry_num; i++) {
        int ret = emul_copy_struct(&copy[i], sizeof(copy[i]),
                                   entries + i * cmd->entry_len,
                                   cmd->entry_len);

        if (ret < 0) {
            g_free(copy);
            return ret;
        }
    }
    *cmds = copy;
    return 0;
}

/* A stream that is named must be a vDEVICE's; nothing else can be wrong. */
static int command_run_locked(EmulHost *host, EmulViommu *viommu,
                              const struct iommu_viommu_arm_smmuv3_invalidate
                              *entry) REQUIRES(&host->lock)
{
    const uint64_t cmd[2] = {
        GUINT64_FROM_LE(entry->cmd[0]), GUINT64_FROM_LE(entry->cmd[1]),
    };
    bool has_sid = false;
    uint32_t sid = 0;
    int ret = emul_smmuv3_check_command(cmd, &has_sid, &sid);
    uint64_t virt_id = sid;

    if (ret == 0 && has_sid &&
        !g_hash_table_contains(viommu->vdevices, &virt_id)) {
        ret = -EIO;
    }
    return ret;
}

/*
 * Copies the whole array before it looks at the first command, as the driver
 * does, so an array that cannot be copied has no effect. Stops at the first
 * command that fails; *@done says how many did not.
 */
static int invalidate_locked(EmulHost *host,
                             const struct iommu_hwpt_invalidate *cmd,
                             uint32_t *done) REQUIRES(&host->lock)
{
    EmulObject *obj = emul_object_find_locked(host, cmd->hwpt_id, EMUL_ANY);
    struct iommu_viommu_arm_smmuv3_invalidate *cmds;
    int ret;

    if (!obj) {
        return -ENOENT;
    }
    if (obj->type == EMUL_NESTED && !((EmulNested *)obj)->viommu) {
        return emul_vtd_invalidate(cmd, done);
    }
    if (obj->type != EMUL_VIOMMU) {
        /* The SMMUv3 driver invalidates through the vIOMMU only. */
        return obj->type == EMUL_NESTED ? -EOPNOTSUPP : -EINVAL;
    }
    ret = copy_commands(cmd, &cmds);
    if (ret < 0) {
        return ret;
    }
    while (*done < cmd->entry_num && ret == 0) {
        ret = command_run_locked(host, (EmulViommu *)obj, &cmds[*done]);
        *done += ret == 0;
    }
    g_free(cmds);
    return ret;
}

int emul_invalidate(EmulHost *host, void *arg)
{
    struct iommu_hwpt_invalidate *cmd = arg;
    uint32_t done = 0;
    int ret;

    if (cmd->__reserved) {
        return -EOPNOTSUPP;
    }
    if (cmd->entry_num && (!cmd->data_uptr || !cmd->entry_len)) {
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
