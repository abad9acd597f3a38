/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Object IDs, who uses whom, and the page tables that the host itself fills.
 *
 * "users" counts those that must go first; it is 0 when IOMMU_DESTROY may
 * succeed. Who is a user of whom:
 *
 *   VFIO (an open fd), or its stdev  -> device
 *   a device's attachment            -> HWPT, paging or nested
 *   nested HWPT, vDEVICE, vEVENTQ    -> vIOMMU
 *   vIOMMU                           -> nest parent, a paging HWPT
 *   paging HWPT                      -> IOAS
 *   nested HWPT without a vIOMMU     -> nest parent
 *   HWPT, either kind                -> the fault queue that it names
 *
 * A vDEVICE is no user of its device: it goes with it. An open file of a
 * vEVENTQ or fault queue is not counted either: emul_queue_stop() and
 * emul_fault_queue_stop() look for it.
 */
#include "emul-driver.h"

#include <errno.h>
#include <string.h>

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

void emul_pt_put_fault(EmulPt *pt)
{
    if (pt->fault) {
        pt->fault->obj.users--;
    }
}

int emul_copy_struct(void *dst, size_t dst_len, const void *src,
                     size_t src_len)
{
    const char *bytes = src;

    memset(dst, 0, dst_len);
    memcpy(dst, src, MIN(dst_len, src_len));
    for (size_t i = dst_len; i < src_len; i++) {
        if (bytes[i]) {
            return -E2BIG;
        }
    }
    return 0;
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

static EmulHwpt *hwpt_new(EmulIoas *ioas, const EmulDevice *device)
{
    EmulHwpt *hwpt = g_new0(EmulHwpt, 1);

    hwpt->ioas = ioas;
    hwpt->geometry = device->driver->geometry;
    hwpt->mock = device->driver == &emul_mock_driver;
    return hwpt;
}

/* The last step of making one: 0, or -errno, and it is freed. */
static int hwpt_add_locked(EmulHost *host, EmulHwpt *hwpt)
    REQUIRES(&host->lock)
{
    int ret = emul_ioas_add_domain_locked(host, hwpt->ioas, hwpt);

    if (ret < 0) {
        g_free(hwpt);
        return ret;
    }
    emul_object_add_locked(host, &hwpt->pt.obj, EMUL_HWPT);
    hwpt->ioas->obj.users++;
    return 0;
}

int emul_ioas_get_auto_locked(EmulHost *host, EmulIoas *ioas,
                              const EmulDevice *device, EmulHwpt **hwpt)
{
    int ret;

    if (!ioas->auto_hwpt) {
        *hwpt = hwpt_new(ioas, device);
        ret = hwpt_add_locked(host, *hwpt);
        if (ret < 0) {
            return ret;
        }
        (*hwpt)->auto_domain = true;
        ioas->auto_hwpt = *hwpt;
    }
    *hwpt = ioas->auto_hwpt;
    return 0;
}

static void hwpt_destroy_locked(EmulHost *host, EmulHwpt *hwpt)
    REQUIRES(&host->lock)
{
    if (hwpt->auto_domain) {
        hwpt->ioas->auto_hwpt = NULL;
    }
    hwpt->ioas->obj.users--;
    emul_ioas_remove_domain_locked(host, hwpt->ioas, hwpt);
    emul_pt_put_fault(&hwpt->pt);
    emul_object_remove_locked(host, &hwpt->pt.obj, false);
    g_free(hwpt);
}

/* The counterpart of a users++ in emul-device.c. */
void emul_pt_put_locked(EmulHost *host, EmulPt *pt)
{
    pt->obj.users--;
    if (pt->obj.type == EMUL_HWPT && ((EmulHwpt *)pt)->auto_domain &&
        pt->obj.users == 0) {
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
        emul_ioas_free_locked(host, (EmulIoas *)obj);
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
    case EMUL_FAULT:
        emul_fault_destroy_locked(host, (EmulFault *)obj);
        break;
    default:
        g_assert_not_reached();     /* a device has a user: VFIO */
    }
}

/*
 * End the life of @obj's queue, which needs the queue's own lock. Meanwhile
 * @obj can only be destroyed by somebody for whom this succeeds, and a fault
 * queue that is being destroyed gets no new users.
 */
static int queue_stop_relocked(EmulHost *host, EmulObject *obj)
    REQUIRES(&host->lock)
{
    int ret;

    if (obj->type == EMUL_VEVENTQ) {
        EmulQueue *queue = ((EmulVeventq *)obj)->queue;
        uint64_t generation = ((EmulVeventq *)obj)->generation;

        lock_release(&host->lock);
        ret = emul_queue_stop(queue, generation);
        lock_acquire(&host->lock);
    } else {
        EmulFault *fault = (EmulFault *)obj;
        EmulFaultQueue *queue = fault->queue;
        uint64_t generation = fault->generation;

        fault->destroyers++;
        lock_release(&host->lock);
        ret = emul_fault_queue_stop(queue, generation);
        lock_acquire(&host->lock);
    }
    return ret;
}

static int destroy_locked(EmulHost *host, EmulObject *obj)
    REQUIRES(&host->lock)
{
    EmulFault *fault = obj->type == EMUL_FAULT ? (EmulFault *)obj : NULL;
    int ret = 0;

    if (fault || obj->type == EMUL_VEVENTQ) {
        ret = queue_stop_relocked(host, obj);
        host->stats.busy += ret == -EBUSY;
    }
    if (ret == 0) {
        object_destroy_locked(host, obj);
    }
    if (fault) {
        emul_fault_put_destroyer_locked(host, fault);
    }
    return ret;
}

int emul_destroy(EmulHost *host, void *arg)
{
    g_autoptr(GArray) ended = g_array_new(FALSE, FALSE, sizeof(EmulEnded));
    const struct iommu_destroy *cmd = arg;
    EmulObject *obj;
    int ret = 0;

    lock_acquire(&host->lock);
    obj = emul_object_find_locked(host, cmd->id, EMUL_ANY);
    if (!obj) {
        ret = -ENOENT;
    } else if (obj->users > 0) {
        host->stats.busy++;
        ret = -EBUSY;
    } else if (obj->type == EMUL_SELFTEST) {
        emul_stdev_destroy_locked(host, obj, ended);
    } else {
        ret = destroy_locked(host, obj);
    }
    lock_release(&host->lock);
    emul_faults_end(ended);
    return ret;
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
static int paging_alloc_locked(EmulHost *host, const EmulDevice *device,
                               EmulIoas *ioas, struct iommu_hwpt_alloc *cmd)
    REQUIRES(&host->lock)
{
    const EmulDriver *driver = device->driver;
    const uint32_t flags = driver->paging_flags | IOMMU_HWPT_FAULT_ID_VALID;
    const EmulUserData data = {
        .type = cmd->data_type, .len = cmd->data_len, .uptr = cmd->data_uptr,
    };
    EmulHwpt *hwpt;
    int ret;

    /* A nest parent has no faults. */
    if ((cmd->flags & ~flags) || (cmd->data_len && !driver->paging_init) ||
        ((cmd->flags & IOMMU_HWPT_ALLOC_NEST_PARENT) &&
         (cmd->flags & IOMMU_HWPT_FAULT_ID_VALID))) {
        return -EOPNOTSUPP;
    }
    hwpt = hwpt_new(ioas, device);
    hwpt->nest_parent = cmd->flags & IOMMU_HWPT_ALLOC_NEST_PARENT;
    hwpt->dirty = cmd->flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
    ret = driver->paging_init
          ? driver->paging_init(device, hwpt, data.len ? &data : NULL) : 0;
    if (ret < 0) {
        g_free(hwpt);
        return ret;
    }
    ret = hwpt_add_locked(host, hwpt);
    if (ret < 0) {
        return ret;
    }
    cmd->out_hwpt_id = hwpt->pt.obj.id;
    return 0;
}

/* What @pt_id is decides which kind of HWPT is meant. */
static int hwpt_make_locked(EmulHost *host, struct iommu_hwpt_alloc *cmd)
    REQUIRES(&host->lock)
{
    const EmulDevice *device = (EmulDevice *)
        emul_object_find_locked(host, cmd->dev_id, EMUL_DEVICE);
    EmulObject *pt;

    if (!device) {
        return -ENOENT;
    }
    pt = emul_object_find_locked(host, cmd->pt_id, EMUL_ANY);
    if (!pt) {
        return -EINVAL;     /* not ENOENT: as the kernel */
    }
    switch (pt->type) {
    case EMUL_IOAS:
        return paging_alloc_locked(host, device, (EmulIoas *)pt, cmd);
    case EMUL_VIOMMU:
    case EMUL_HWPT:
        return emul_nested_alloc_locked(host, device, pt, cmd);
    default:
        return -EINVAL;
    }
}

/* As in the kernel, the fault queue is looked for when all else is done. */
static int hwpt_alloc_locked(EmulHost *host, struct iommu_hwpt_alloc *cmd)
    REQUIRES(&host->lock)
{
    int ret = hwpt_make_locked(host, cmd);
    EmulFault *fault;
    EmulPt *pt;

    if (ret < 0) {
        return ret;
    }
    pt = (EmulPt *)emul_object_find_locked(host, cmd->out_hwpt_id, EMUL_ANY);
    g_assert(pt);
    pt->pasid_compat = cmd->flags & IOMMU_HWPT_ALLOC_PASID;
    if (cmd->flags & IOMMU_HWPT_FAULT_ID_VALID) {
        fault = (EmulFault *)emul_object_find_locked(host, cmd->fault_id,
                                                     EMUL_FAULT);
        if (!fault || fault->destroyers > 0) {
            object_destroy_locked(host, &pt->obj);
            return -ENOENT;
        }
        pt->fault = fault;
        fault->obj.users++;
    }
    return 0;
}

int emul_hwpt_alloc(EmulHost *host, void *arg)
{
    struct iommu_hwpt_alloc *cmd = arg;
    bool has_type = cmd->data_type != IOMMU_HWPT_DATA_NONE;
    int ret;

    if (cmd->__reserved) {
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
static void object_free_locked(EmulHost *host, EmulObject *obj)
    REQUIRES(&host->lock)
{
    switch (obj->type) {
    case EMUL_DEVICE:
        break;              /* EmulHost::devices has it */
    case EMUL_IOAS:
        emul_ioas_free_locked(host, (EmulIoas *)obj);
        break;
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
            object_free_locked(host, obj);
        }
    }
    g_ptr_array_unref(host->objects);
}
