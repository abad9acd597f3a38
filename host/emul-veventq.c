/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vEVENTQ objects: one of a type per vIOMMU, each leading one life of a queue
 * (emul-queue.c) from a pool that never shrinks.
 */
#include "emul-driver.h"

#include <errno.h>

EmulVeventq *emul_viommu_find_veventq(EmulViommu *viommu, uint32_t type)
{
    for (GSList *node = viommu->veventqs; node; node = node->next) {
        EmulVeventq *veventq = node->data;

        if (veventq->type == type) {
            return veventq;
        }
    }
    return NULL;
}

/*
 * A queue of the pool that leads no life. The pool only grows: its size is the
 * largest number of queues that were ever alive at once.
 */
static EmulQueue *queue_get(EmulHost *host)
{
    EmulQueue *queue;

    lock_acquire(&host->lock);
    queue = host->free_queues;
    if (queue) {
        host->free_queues = queue->next_free;
    } else {
        queue = emul_queue_new(host->queue_count + 1);
        if (emul_slots_store(&host->queues, queue->index,
                             (uintptr_t)queue)) {
            host->queue_count++;
        } else {
            emul_queue_free(queue);
            queue = NULL;
        }
    }
    lock_release(&host->lock);
    return queue;
}

static void queue_put_locked(EmulHost *host, EmulQueue *queue)
    REQUIRES(&host->lock)
{
    queue->next_free = host->free_queues;
    host->free_queues = queue;
}

/*
 * Make the object of a queue that has been started, and route to it the events
 * of the devices that are attached already. Reporters may come in before the
 * ioctl returns; the user finds their events when it first reads.
 */
static int veventq_link_locked(EmulHost *host, struct iommu_veventq_alloc *cmd,
                               EmulQueue *queue, uint64_t generation)
    REQUIRES(&host->lock)
{
    EmulViommu *viommu = (EmulViommu *)
        emul_object_find_locked(host, cmd->viommu_id, EMUL_VIOMMU);
    EmulVeventq *veventq;

    if (!viommu) {
        return -ENOENT;
    }
    if (emul_viommu_find_veventq(viommu, cmd->type)) {
        return -EEXIST;
    }
    if (!emul_slots_store(&host->fds, cmd->out_veventq_fd,
                          EMUL_FD(EMUL_FD_QUEUE, queue->index))) {
        return -EMFILE;
    }
    veventq = g_new0(EmulVeventq, 1);
    veventq->viommu = viommu;
    veventq->type = cmd->type;
    veventq->queue = queue;
    veventq->generation = generation;
    emul_object_add_locked(host, &veventq->obj, EMUL_VEVENTQ);
    viommu->veventqs = g_slist_prepend(viommu->veventqs, veventq);
    viommu->obj.users++;
    cmd->out_veventq_id = veventq->obj.id;
    emul_devices_reroute_locked(host, viommu);
    return 0;
}

/*
 * The queue is started first and linked after, since both need a lock and no
 * two are held at once. Until it is linked nobody can find it, so undoing is
 * closing; the user never sees the fd of a call that failed.
 */
int emul_veventq_alloc(EmulHost *host, void *arg)
{
    struct iommu_veventq_alloc *cmd = arg;
    const EmulQueueSpec spec = {
        .depth = cmd->veventq_depth,
        .event_size = emul_event_size(cmd->type),
        /* Relaxed: a number on its own, from emul_set_first_sequence(). */
        .first_sequence = atomic_load_explicit(&host->controls.first_sequence,
                                               memory_order_relaxed),
    };
    EmulQueue *queue;
    uint64_t generation;
    int fd;
    int ret;

    if (cmd->flags || cmd->__reserved ||
        cmd->type == IOMMU_VEVENTQ_TYPE_DEFAULT) {
        return -EOPNOTSUPP;
    }
    if (cmd->veventq_depth == 0 ||
        cmd->veventq_depth > IOMMU_VEVENTQ_DEPTH_MAX) {
        return -EINVAL;
    }
    queue = queue_get(host);
    if (!queue) {
        return -ENOMEM;
    }
    ret = emul_queue_start(queue, &spec, &fd, &generation);
    if (ret < 0) {
        goto out_put_queue;
    }
    cmd->out_veventq_fd = (uint32_t)fd;
    lock_acquire(&host->lock);
    ret = veventq_link_locked(host, cmd, queue, generation);
    lock_release(&host->lock);
    if (ret < 0) {
        goto out_abandon_queue;
    }
    return 0;

out_abandon_queue:
    emul_queue_abandon(queue);
out_put_queue:
    lock_acquire(&host->lock);
    queue_put_locked(host, queue);
    lock_release(&host->lock);
    return ret;
}

/*
 * The routes go before the queue is back in the pool: a reporter that still has
 * an old one finds, under the queue's lock, that it has changed.
 */
void emul_veventq_destroy_locked(EmulHost *host, EmulVeventq *veventq)
{
    EmulViommu *viommu = veventq->viommu;

    viommu->veventqs = g_slist_remove(viommu->veventqs, veventq);
    viommu->obj.users--;
    emul_devices_reroute_locked(host, viommu);
    queue_put_locked(host, veventq->queue);
    emul_object_remove_locked(host, &veventq->obj, false);
    g_free(veventq);
}
