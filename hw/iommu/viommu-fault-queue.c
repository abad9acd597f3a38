/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nested HWPTs, the fault queue that they share and what comes out of it, and
 * what devices are attached to. Objects are made by the thread that needs them,
 * a vCPU's as a rule, under the config_lock. What ends page request groups on
 * the host (attach elsewhere, detach) and what takes the queue down is done on
 * the home thread, which alone reads and answers: no cookie can be read or
 * written meanwhile, and IOMMU_DESTROY never finds the fd in use.
 */
#include "hw/iommu/viommu-internal.h"

#include "base/error.h"
#include "base/rcu.h"

#include <errno.h>

/* ---- What comes out of the queue ---- */

/*
 * Not out of turn while devices wait: the room may be theirs, and the sink has
 * noted how much they want. run_host() asks again.
 */
static uint32_t host_room(void *opaque, uint32_t want)
{
    Viommu *viommu = opaque;
    ViommuPages *pages = &viommu->pages;

    if (pages->backlog.first && !pages->host_turn) {
        return 0;
    }
    return viommu_pages_room(viommu, want);
}

/* [RCU] Return: false if the device is not there (any more). */
static bool host_group(Viommu *viommu, const PgfaultGroup *host,
                       PageGroup *group)
{
    const DeviceEntry *entry =
        device_map_find_dev(viommu->devices, host->dev_id);

    *group = (PageGroup){
        .request = {
            .key = {
                .virt_id = entry ? entry->virt_id : 0,
                .pasid = host->pasid_valid ? host->pasid
                                           : PAGE_REQUEST_NO_PASID,
                .index = host->grpid & PAGE_GROUP_INDEX_MASK,
            },
            .dev_id = host->dev_id,
            .cookie = host->cookie,
        },
        .count = host->count,
        .host = host,
    };
    return entry != NULL;
}

/* All that wait, if that makes a reserve. Ends: the pump gives up sometime. */
static void make_reserve(Viommu *viommu, uint32_t reserve)
{
    ViommuPages *pages = &viommu->pages;

    while (page_request_room(pages->table) < reserve &&
           !fault_pump_flush(pages->pump, pages->table)) {
        continue;
    }
}

/*
 * No kernel gives more groups in a read than were asked for. To a host that
 * does, those that find no place are answered: ask again.
 */
static bool have_places(Viommu *viommu)
{
    make_reserve(viommu, 2 * PAGE_TABLE_RESERVE);
    return page_request_room(viommu->pages.table) >= 2 * PAGE_TABLE_RESERVE;
}

static void host_deliver(void *opaque, const PgfaultGroup *groups, size_t count)
{
    Viommu *viommu = opaque;
    PageGroup *batch = viommu->pages.batch;
    const bool places = have_places(viommu);
    PageGroup group;
    size_t good = 0;

    counter_add(&viommu->page_counters.raised, count);
    rcu_section_enter();
    for (size_t i = 0; i < count; i++) {
        if (!host_group(viommu, &groups[i], &group)) {
            viommu_pages_answer(viommu, &group.request,
                                PAGE_RESPONSE_INVALID);
        } else if (!places) {
            viommu_pages_answer(viommu, &group.request,
                                PAGE_RESPONSE_SUCCESS);
        } else {
            batch[good++] = group;
        }
    }
    rcu_section_leave();
    viommu_pages_deliver(viommu, batch, good);
    make_reserve(viommu, PAGE_TABLE_RESERVE);
}

static void host_malformed(void *opaque, const PgfaultGroup *group)
{
    Viommu *viommu = opaque;
    PageGroup malformed;

    counter_add(&viommu->counters.malformed, 1);
    if (group->count > 0) {
        rcu_section_enter();
        host_group(viommu, group, &malformed);
        rcu_section_leave();
        counter_add(&viommu->page_counters.raised, 1);
        viommu_pages_answer(viommu, &malformed.request, PAGE_RESPONSE_INVALID);
        make_reserve(viommu, PAGE_TABLE_RESERVE);
    }
}

/* What was answered here, and not by the guest, waits for nobody. */
static void host_seen(void *opaque)
{
    Viommu *viommu = opaque;

    counter_add(&viommu->counters.reads, 1);
    viommu_pages_flush(viommu);
}

static void host_failed(void *opaque, const char *message)
{
    Viommu *viommu = opaque;

    viommu_host_error(viommu, VIOMMU_HOST_QUEUE_FAILED, message);
    aio_bh_schedule(viommu->pages.work);    /* others may have its turn */
}

static const FaultPumpOps fault_pump_ops = {
    .room = host_room,
    .deliver = host_deliver,
    .malformed = host_malformed,
    .seen = host_seen,
    .failed = host_failed,
};

/* ---- Its life ---- */

typedef struct QueueStart {
    Viommu *viommu;
    FaultPump *pump;
    int ret;
} QueueStart;

static void queue_start_bh(void *opaque)
{
    QueueStart *start = opaque;

    start->viommu->pages.pump = start->pump;
    start->ret = fault_pump_start(start->pump);
    if (start->ret < 0) {
        fault_pump_free(g_steal_pointer(&start->viommu->pages.pump));
    }
}

static void queue_stop_bh(void *opaque)
{
    Viommu *viommu = opaque;

    /* No HWPT, no groups: answers that are not written are void. */
    page_request_forget_answers(viommu->pages.table);
    fault_pump_free(g_steal_pointer(&viommu->pages.pump));
}

static bool queue_open(Viommu *viommu, GError **error)
    REQUIRES(&viommu->config_lock)
{
    QueueStart start = { .viommu = viommu };
    HostQueue queue = {
        .host = viommu->host.iommu, .record_size = PGFAULT_RECORD_SIZE,
    };

    if (!iommufd_fault_queue_alloc(queue.host, &queue.id, &queue.fd, error)) {
        g_prefix_error(error, "no fault queue: ");
        return false;
    }
    start.pump = fault_pump_new(viommu->config.ctx, &queue, &fault_pump_ops,
                                viommu);
    if (!start.pump) {
        viommu_undo_queue(viommu, &queue);
        error_set_errno(error, ENOMEM, "no fault queue");
        return false;
    }
    aio_wait_bh_oneshot(viommu->config.ctx, queue_start_bh, &start);
    if (start.ret < 0) {
        error_set_errno(error, -start.ret,
                        "no fault queue: its fd cannot be watched");
        return false;
    }
    viommu->host.fault_id = queue.id;
    return true;
}

static bool queue_get(Viommu *viommu, GError **error)
    REQUIRES(&viommu->config_lock)
{
    if (viommu->host.fault_hwpts == 0 && !queue_open(viommu, error)) {
        return false;
    }
    viommu->host.fault_hwpts++;
    return true;
}

static void queue_put(Viommu *viommu) REQUIRES(&viommu->config_lock)
{
    if (--viommu->host.fault_hwpts == 0) {
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
        wanted.fault_id = viommu->host.fault_id;
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
        viommu_host_error(viommu, VIOMMU_HOST_DESTROY_FAILED, error->message);
        g_error_free(error);
    }
    if (hwpt->faults) {
        queue_put(viommu);
    }
    *hwpt = (ViommuHwpt){ 0 };
}

/* ---- Attach and detach ---- */

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
