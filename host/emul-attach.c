/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What devices and their PASIDs are attached to, and the route of their events.
 *
 * A route is changed under the host's lock and read by reporters under their
 * queue's. A reporter that saw the old one comes before the change: whoever
 * looks at the queue after it waits for that reporter's lock. Of page faults,
 * what came the old way is ended after the lock is released: emul-fault.c.
 */
#include "emul-driver.h"

#include <errno.h>

EmulViommu *emul_device_viommu(const EmulDevice *device)
{
    EmulPt *pt = device->rid.pt;

    return pt && pt->obj.type == EMUL_NESTED ? ((EmulNested *)pt)->viommu
                                             : NULL;
}

/* Work out the route anew from the attachment, the virt_id and the queue. */
static void device_reroute_locked(EmulHost *host, EmulDevice *device)
    REQUIRES(&host->lock)
{
    EmulViommu *viommu = emul_device_viommu(device);
    EmulVeventq *veventq = viommu && device->has_vsid
        ? emul_viommu_find_veventq(viommu, viommu->driver->veventq_type)
        : NULL;

    emul_slots_store(&host->routes, device->obj.id,
                     veventq ? EMUL_ROUTE(veventq->queue->index, device->vsid)
                             : 0);
}

void emul_devices_reroute_locked(EmulHost *host, EmulViommu *viommu)
{
    for (guint i = 0; i < host->devices->len; i++) {
        EmulDevice *device = g_ptr_array_index(host->devices, i);

        if (device && emul_device_viommu(device) == viommu) {
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
    const EmulViommu *old = emul_device_viommu(device);

    attachment_set_locked(host, device, 0, &device->rid, pt, ended);
    if (device->driver->attached) {
        device->driver->attached(device, old);
    }
    device_reroute_locked(host, device);
}

static EmulAttachment *pasid_find(const EmulDevice *device, uint32_t pasid)
{
    return device->pasids
           ? g_hash_table_lookup(device->pasids, GUINT_TO_POINTER(pasid))
           : NULL;
}

EmulPt *emul_attached_pt(const EmulDevice *device, uint32_t pasid)
{
    const EmulAttachment *attachment = pasid == 0 ? &device->rid
                                                  : pasid_find(device, pasid);

    return attachment ? attachment->pt : NULL;
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

static void set_pt_locked(EmulHost *host, EmulDevice *device, uint32_t pasid,
                          EmulPt *pt, GArray *ended) REQUIRES(&host->lock)
{
    if (pasid == 0) {
        device_set_pt_locked(host, device, pt, ended);
    } else {
        pasid_set_pt_locked(host, device, pasid, pt, ended);
    }
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

/*
 * In the kernel's order: what is attached already, PASIDs and what they share,
 * the right IOMMU, and last its driver, who may count how often he is asked.
 */
static int attach_check(EmulDevice *device, uint32_t pasid,
                        EmulAttachMode mode, const EmulPt *pt)
{
    const EmulPt *old = emul_attached_pt(device, pasid);
    int ret;

    if (old && mode == EMUL_ATTACH) {
        return -EBUSY;
    }
    if (!old && mode == EMUL_REPLACE) {
        return -EINVAL;
    }
    if (pt == old) {
        return 0;
    }
    ret = pasid_check(device, pasid, pt);
    if (ret < 0) {
        return ret;
    }
    if (pasid >> device->pasid_bits ||
        (pt->obj.type == EMUL_NESTED &&
         ((const EmulNested *)pt)->driver != device->driver)) {
        return -EINVAL;
    }
    return device->driver->attach
           ? device->driver->attach(device, pasid, pt) : 0;
}

/* An IOAS stands for its automatic HWPT, which may have to be made. */
static int attach_check_ioas_locked(EmulHost *host, EmulDevice *device,
                                    uint32_t pasid, EmulAttachMode mode,
                                    EmulIoas *ioas, EmulPt **pt)
    REQUIRES(&host->lock)
{
    const EmulHwpt new = { .pt.obj.type = EMUL_HWPT };
    EmulHwpt *hwpt;
    int ret = attach_check(device, pasid, mode,
                           ioas->auto_hwpt ? &ioas->auto_hwpt->pt : &new.pt);

    if (ret < 0) {
        return ret;
    }
    ret = emul_ioas_get_auto_locked(host, ioas, device, &hwpt);
    if (ret == 0) {
        *pt = &hwpt->pt;
    }
    return ret;
}

int emul_attach_locked(EmulHost *host, EmulDevice *device, uint32_t pasid,
                       EmulAttachMode mode, uint32_t *pt_id, GArray *ended)
{
    EmulObject *obj = emul_object_find_locked(host, *pt_id, EMUL_ANY);
    EmulPt *pt = (EmulPt *)obj;
    int ret;

    if (!obj) {
        return -ENOENT;
    }
    if (obj->type == EMUL_IOAS) {
        ret = attach_check_ioas_locked(host, device, pasid, mode,
                                       (EmulIoas *)obj, &pt);
    } else if (obj->type == EMUL_HWPT || obj->type == EMUL_NESTED) {
        ret = attach_check(device, pasid, mode, pt);
    } else {
        ret = -EINVAL;
    }
    if (ret < 0) {
        return ret;
    }
    /* Attaching again to the same has no effect, not even on the virt_id. */
    if (pt != emul_attached_pt(device, pasid)) {
        set_pt_locked(host, device, pasid, pt, ended);
    }
    *pt_id = pt->obj.id;
    return 0;
}

void emul_detach_locked(EmulHost *host, EmulDevice *device, uint32_t pasid,
                        GArray *ended)
{
    if (!emul_attached_pt(device, pasid)) {
        return;
    }
    if (device->driver->attach) {
        device->driver->attach(device, pasid, NULL);
    }
    set_pt_locked(host, device, pasid, NULL, ended);
}
