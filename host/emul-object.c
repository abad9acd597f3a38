/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Object IDs, who uses whom, and the page tables that the host itself fills.
 *
 * "users" counts those that must go first; it is 0 when IOMMU_DESTROY may
 * succeed. Who is a user of whom:
 *
 *   VFIO (an open fd)                -> device
 *   a device's attachment            -> HWPT, paging or nested
 *   nested HWPT, vDEVICE, vEVENTQ    -> vIOMMU
 *   vIOMMU                           -> nest parent, a paging HWPT
 *   paging HWPT                      -> IOAS
 *
 * A vDEVICE is no user of its device: it goes with it. An open vEVENTQ file is
 * not counted either: emul_queue_stop() looks for it.
 */
#include "emul-internal.h"

#include <errno.h>

/* In the table in place of an object whose ID may never be used again. */
static EmulObject tombstone;

/* Lowest index that holds NULL; one past the end if none does. */
static uint32_t free_id_locked(EmulHost *host) REQUIRES(&host->lock)
{
    uint32_t id = 1;

    while (id < host->objects->len && g_ptr_array_index(host->objects, id)) {
        id++;
    }
    return id;
}

EmulObject *emul_object_find_locked(EmulHost *host, uint32_t id, EmulType type)
{
    EmulObject *obj;

    if (id >= host->objects->len) {
        return NULL;
    }
    obj = g_ptr_array_index(host->objects, id);
    if (!obj || obj == &tombstone || (type != EMUL_ANY && obj->type != type)) {
        return NULL;
    }
    return obj;
}

/* An object that is added can be found: it must be complete but for its ID. */
void emul_object_add_locked(EmulHost *host, EmulObject *obj, EmulType type)
{
    obj->type = type;
    obj->id = free_id_locked(host);
    if (obj->id >= host->objects->len) {
        g_ptr_array_set_size(host->objects, (int)obj->id + 1);
    }
    g_ptr_array_index(host->objects, obj->id) = obj;
    host->stats.objects++;
}

void emul_object_remove_locked(EmulHost *host, EmulObject *obj, bool bury)
{
    g_ptr_array_index(host->objects, obj->id) = bury ? &tombstone : NULL;
    obj->id = 0;
    host->stats.objects--;
}

EmulHwpt *emul_ioas_get_auto_locked(EmulHost *host, EmulIoas *ioas)
{
    if (!ioas->auto_hwpt) {
        EmulHwpt *hwpt = g_new0(EmulHwpt, 1);

        hwpt->ioas = ioas;
        hwpt->auto_domain = true;
        emul_object_add_locked(host, &hwpt->obj, EMUL_HWPT);
        ioas->obj.users++;
        ioas->auto_hwpt = hwpt;
    }
    return ioas->auto_hwpt;
}

static void hwpt_destroy_locked(EmulHost *host, EmulHwpt *hwpt)
    REQUIRES(&host->lock)
{
    if (hwpt->auto_domain) {
        hwpt->ioas->auto_hwpt = NULL;
    }
    hwpt->ioas->obj.users--;
    emul_object_remove_locked(host, &hwpt->obj, false);
    g_free(hwpt);
}

/* The counterpart of a users++ in emul-device.c. */
void emul_pt_put_locked(EmulHost *host, EmulObject *pt)
{
    pt->users--;
    if (pt->type == EMUL_HWPT && ((EmulHwpt *)pt)->auto_domain &&
        pt->users == 0) {
        hwpt_destroy_locked(host, (EmulHwpt *)pt);
    }
}

/* @obj has no users left. */
static void object_destroy_locked(EmulHost *host, EmulObject *obj)
    REQUIRES(&host->lock)
{
    switch (obj->type) {
    case EMUL_IOAS:
        emul_object_remove_locked(host, obj, false);
        g_free(obj);
        break;
    case EMUL_HWPT:
        hwpt_destroy_locked(host, (EmulHwpt *)obj);
        break;
    case EMUL_NESTED:
        emul_nested_destroy_locked(host, (EmulNested *)obj);
        break;
    case EMUL_VIOMMU:
        emul_viommu_destroy_locked(host, (EmulViommu *)obj);
        break;
    case EMUL_VDEVICE:
        emul_vdevice_destroy_locked(host, (EmulVdevice *)obj, false);
        break;
    case EMUL_VEVENTQ:
        emul_veventq_destroy_locked(host, (EmulVeventq *)obj);
        break;
    default:
        g_assert_not_reached();     /* a device has a user: VFIO */
    }
}

/*
 * The queue's life is ended under its own lock, and only the caller for whom
 * that succeeded goes on to destroy the object: it cannot be gone by then.
 */
static int destroy_unlock(EmulHost *host, EmulObject *obj) RELEASES(&host->lock)
{
    if (obj->type == EMUL_VEVENTQ) {
        EmulQueue *queue = ((EmulVeventq *)obj)->queue;
        uint64_t generation = ((EmulVeventq *)obj)->generation;
        int ret;

        lock_release(&host->lock);
        ret = emul_queue_stop(queue, generation);
        lock_acquire(&host->lock);
        if (ret < 0) {
            host->stats.busy += ret == -EBUSY;
            lock_release(&host->lock);
            return ret;
        }
    }
    object_destroy_locked(host, obj);
    lock_release(&host->lock);
    return 0;
}

int emul_destroy(EmulHost *host, void *arg)
{
    const struct iommu_destroy *cmd = arg;
    EmulObject *obj;

    lock_acquire(&host->lock);
    obj = emul_object_find_locked(host, cmd->id, EMUL_ANY);
    if (!obj) {
        lock_release(&host->lock);
        return -ENOENT;
    }
    if (obj->users > 0) {
        host->stats.busy++;
        lock_release(&host->lock);
        return -EBUSY;
    }
    return destroy_unlock(host, obj);
}

int emul_ioas_alloc(EmulHost *host, void *arg)
{
    struct iommu_ioas_alloc *cmd = arg;
    EmulIoas *ioas;

    if (cmd->flags) {
        return -EOPNOTSUPP;
    }
    ioas = g_new0(EmulIoas, 1);
    lock_acquire(&host->lock);
    emul_object_add_locked(host, &ioas->obj, EMUL_IOAS);
    cmd->out_ioas_id = ioas->obj.id;
    lock_release(&host->lock);
    return 0;
}

/* A page table that the host fills from an IOAS, nest parent or not. */
static int paging_alloc_locked(EmulHost *host, EmulIoas *ioas,
                               struct iommu_hwpt_alloc *cmd)
    REQUIRES(&host->lock)
{
    EmulHwpt *hwpt;

    /* No dirty tracking, no PASID, no fault queue; no driver data. */
    if ((cmd->flags & ~IOMMU_HWPT_ALLOC_NEST_PARENT) || cmd->data_len) {
        return -EOPNOTSUPP;
    }
    hwpt = g_new0(EmulHwpt, 1);
    hwpt->ioas = ioas;
    hwpt->nest_parent = cmd->flags & IOMMU_HWPT_ALLOC_NEST_PARENT;
    emul_object_add_locked(host, &hwpt->obj, EMUL_HWPT);
    ioas->obj.users++;
    cmd->out_hwpt_id = hwpt->obj.id;
    return 0;
}

/* What @pt_id is decides which kind of HWPT is meant. */
static int hwpt_alloc_locked(EmulHost *host, struct iommu_hwpt_alloc *cmd)
    REQUIRES(&host->lock)
{
    EmulObject *pt;

    if (!emul_object_find_locked(host, cmd->dev_id, EMUL_DEVICE)) {
        return -ENOENT;
    }
    pt = emul_object_find_locked(host, cmd->pt_id, EMUL_ANY);
    if (!pt) {
        return -EINVAL;     /* not ENOENT: as the kernel */
    }
    switch (pt->type) {
    case EMUL_IOAS:
        return paging_alloc_locked(host, (EmulIoas *)pt, cmd);
    case EMUL_VIOMMU:
        return emul_nested_alloc_locked(host, (EmulViommu *)pt, cmd);
    case EMUL_HWPT:
        return -EOPNOTSUPP;     /* the SMMUv3 driver nests in vIOMMUs only */
    default:
        return -EINVAL;
    }
}

int emul_hwpt_alloc(EmulHost *host, void *arg)
{
    struct iommu_hwpt_alloc *cmd = arg;
    bool has_type = cmd->data_type != IOMMU_HWPT_DATA_NONE;
    int ret;

    if (cmd->__reserved || cmd->__reserved2) {
        return -EOPNOTSUPP;
    }
    if (has_type != (cmd->data_len != 0)) {
        return -EINVAL;
    }
    lock_acquire(&host->lock);
    ret = hwpt_alloc_locked(host, cmd);
    lock_release(&host->lock);
    return ret;
}

/* No user counts any more: whatever else refers to @obj is freed as well. */
static void object_free(EmulObject *obj)
{
    switch (obj->type) {
    case EMUL_DEVICE:
        break;              /* EmulHost::devices has it */
    case EMUL_VIOMMU:
        g_hash_table_unref(((EmulViommu *)obj)->vdevices);
        g_slist_free(((EmulViommu *)obj)->veventqs);
        g_free(obj);
        break;
    default:
        g_free(obj);
        break;
    }
}

void emul_objects_free(EmulHost *host)
{
    for (guint i = 0; i < host->objects->len; i++) {
        EmulObject *obj = g_ptr_array_index(host->objects, i);

        if (obj && obj != &tombstone) {
            object_free(obj);
        }
    }
    g_ptr_array_unref(host->objects);
}
