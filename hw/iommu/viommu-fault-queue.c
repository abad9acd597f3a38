/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nested HWPTs, the fault queue that they share, and what devices are attached
 * to. Objects are made by the thread that needs them, a vCPU's as a rule, under
 * the config_lock. What ends page request groups on the host (attach elsewhere,
 * detach) and what takes the queue down is done on the home thread, which alone
 * reads and answers: no cookie can be read or written meanwhile, and
 * IOMMU_DESTROY never finds the fd in use.
 */
#include "hw/iommu/viommu-internal.h"

#include "base/report.h"

typedef struct QueueStart {
    Viommu *viommu;
    FaultPump *pump;
} QueueStart;

static void queue_start_bh(void *opaque)
{
    QueueStart *start = opaque;

    start->viommu->pages.pump = start->pump;
    fault_pump_run(start->pump);
}

static void queue_stop_bh(void *opaque)
{
    Viommu *viommu = opaque;

    /* No HWPT, no groups: answers that are not written are void. */
    page_request_forget_answers(viommu->pages.table);
    fault_pump_free(g_steal_pointer(&viommu->pages.pump));
    aio_bh_schedule(viommu->pages.work);    /* others may have its turn */
}

static bool queue_get(Viommu *viommu, GError **error)
    REQUIRES(&viommu->config_lock)
{
    ViommuPages *pages = &viommu->pages;
    QueueStart start = { .viommu = viommu };
    HostQueue queue = {
        .host = viommu->host.iommu, .record_size = PGFAULT_RECORD_SIZE,
    };

    if (pages->hwpts == 0) {
        if (!iommufd_fault_queue_alloc(queue.host, &queue.id, &queue.fd,
                                       error)) {
            g_prefix_error(error, "no fault queue: ");
            return false;
        }
        pages->fault_id = queue.id;
        start.pump = fault_pump_new(viommu->config.ctx, &queue,
                                    &viommu_fault_pump_ops, viommu);
        aio_wait_bh_oneshot(viommu->config.ctx, queue_start_bh, &start);
    }
    pages->hwpts++;
    return true;
}

static void queue_put(Viommu *viommu) REQUIRES(&viommu->config_lock)
{
    if (--viommu->pages.hwpts == 0) {
        aio_wait_bh_oneshot(viommu->config.ctx, queue_stop_bh, viommu);
    }
}

bool viommu_hwpt_alloc(Viommu *viommu, const IommufdHwpt *hwpt, bool faults,
                       ViommuHwpt *out, GError **error)
{
    IommufdHwpt wanted = *hwpt;
    uint32_t id;

    if (faults) {
        if (!queue_get(viommu, error)) {
            return false;
        }
        wanted.flags |= IOMMU_HWPT_FAULT_ID_VALID;
        wanted.fault_id = viommu->pages.fault_id;
    }
    if (!iommufd_hwpt_alloc(viommu->host.iommu, &wanted, &id, error)) {
        if (faults) {
            queue_put(viommu);
        }
        return false;
    }
    *out = (ViommuHwpt){ .id = id, .faults = faults };
    return true;
}

void viommu_hwpt_destroy(Viommu *viommu, ViommuHwpt *hwpt)
{
    GError *error = NULL;

    if (hwpt->id == 0) {
        return;
    }
    if (!iommufd_destroy(viommu->host.iommu, hwpt->id, &error)) {
        error_report_err(error);
    }
    if (hwpt->faults) {
        queue_put(viommu);
    }
    *hwpt = (ViommuHwpt){ 0 };
}

typedef struct Attach {
    Viommu *viommu;
    ViommuDevice *device;
    uint32_t pasid;
    uint32_t pt_id;
    bool done;
    GError **error;
} Attach;

static void detach(const Attach *attach)
{
    if (attach->pasid == PAGE_REQUEST_NO_PASID) {
        vfio_device_detach(attach->device->vfio);
    } else {
        vfio_device_detach_pasid(attach->device->vfio, attach->pasid);
    }
}

static bool attach(const Attach *attach)
{
    VfioDevice *vfio = attach->device->vfio;

    return attach->pasid == PAGE_REQUEST_NO_PASID
               ? vfio_device_attach(vfio, attach->pt_id, attach->error)
               : vfio_device_attach_pasid(vfio, attach->pasid, attach->pt_id,
                                          attach->error);
}

/*
 * Before the ioctl: once it is made, the host gives the cookies of the groups
 * that it ended to others. What busy polling has read is such a group too.
 */
static void end_groups(const Attach *self)
{
    viommu_pages_settle(self->viommu);
    viommu_pages_take_responses(self->viommu);
    viommu_pages_flush(self->viommu);
    page_request_drop_pasid(self->viommu->pages.table, &self->device->entry,
                            self->pasid, PAGE_REQUEST_FORGET);
}

static void attach_bh(void *opaque)
{
    Attach *self = opaque;
    ViommuPages *pages = &self->viommu->pages;

    if (pages->table) {
        end_groups(self);
    }
    self->done = self->pt_id != 0 && attach(self);
    if (!self->done) {
        detach(self);
    }
    if (pages->pump) {
        fault_pump_look_anew(pages->pump);
        /* There may be places in the table, or a smaller group is first. */
        aio_bh_schedule(pages->work);
    }
}

bool viommu_attach(Viommu *viommu, ViommuDevice *device, uint32_t pasid,
                   uint32_t pt_id, GError **error)
{
    Attach self = {
        .viommu = viommu, .device = device, .pasid = pasid, .pt_id = pt_id,
        .error = error,
    };

    aio_wait_bh_oneshot(viommu->config.ctx, attach_bh, &self);
    return self.done || pt_id == 0;
}
