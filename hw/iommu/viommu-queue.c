/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of the host's event queue. It is made by the thread that makes it
 * due (it holds the config_lock), and from then on touched by the home thread
 * alone: nobody else watches, reads, closes or destroys it, so IOMMU_DESTROY
 * never finds the fd in use.
 */
#include "base/error.h"
#include "host/iommufd.h"
#include "hw/iommu/viommu-internal.h"

#include <errno.h>

typedef struct QueueStart {
    Viommu *viommu;
    EventPump *pump;
    int ret;
} QueueStart;

static void queue_start_bh(void *opaque)
{
    QueueStart *start = opaque;

    start->viommu->queue.pump = start->pump;
    start->ret = event_pump_start(start->pump);
    if (start->ret < 0) {
        event_pump_free(g_steal_pointer(&start->viommu->queue.pump));
    }
}

static void queue_stop_bh(void *opaque)
{
    Viommu *viommu = opaque;

    event_pump_free(g_steal_pointer(&viommu->queue.pump));
}

void viommu_undo_queue(Viommu *viommu, HostQueue *queue)
{
    g_autoptr(GError) error = NULL;

    if (!host_queue_destroy(queue, &error)) {
        viommu_host_error(viommu, VIOMMU_HOST_DESTROY_FAILED, error->message);
    }
}

bool viommu_open_event_queue(Viommu *viommu, GError **error)
{
    ViommuQueue *queue = &viommu->queue;
    const ViommuHost *host = &viommu->host;
    QueueStart start = { .viommu = viommu };
    HostQueue veventq;

    if (queue->open || queue->depth == 0 || !host->iommu) {
        return true;
    }
    veventq = (HostQueue){
        .host = host->iommu,
        .depth = queue->depth,
        .record_size = viommu->ops->record_size,
    };
    if (!iommufd_veventq_alloc(host->iommu, host->viommu_id,
                               viommu->ops->veventq_type, queue->depth,
                               &veventq.id, &veventq.fd, error)) {
        g_prefix_error(error, "no host event queue: ");
        return false;
    }
    start.pump = event_pump_new(viommu->config.ctx, &veventq,
                                &viommu->ops->sink, viommu);
    if (!start.pump) {
        viommu_undo_queue(viommu, &veventq);
        error_set_errno(error, ENOMEM, "no host event queue");
        return false;
    }
    aio_wait_bh_oneshot(viommu->config.ctx, queue_start_bh, &start);
    if (start.ret < 0) {
        error_set_errno(error, -start.ret,
                        "no host event queue: its fd cannot be watched");
        return false;
    }
    queue->open = true;
    return true;
}

void viommu_close_event_queue(Viommu *viommu)
{
    if (viommu->queue.open) {
        viommu->queue.open = false;
        aio_wait_bh_oneshot(viommu->config.ctx, queue_stop_bh, viommu);
    }
}

bool viommu_set_event_queue(Viommu *viommu, uint32_t depth, GError **error)
{
    if (depth != viommu->queue.depth) {
        viommu_close_event_queue(viommu);
        viommu->queue.depth = depth;
    }
    return viommu_open_event_queue(viommu, error);
}

void viommu_resume_events(Viommu *viommu)
{
    aio_bh_schedule(viommu->queue.resume);
}
