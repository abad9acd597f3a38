/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fault queue objects, and the way of a page fault to its queue.
 *
 * An attachment has a handle, which is part of the route and of each group that
 * comes through it. To end an attachment is to change the route under the
 * host's lock and then, under the queue's, to answer what has its handle. A
 * device that saw the old route has the queue's lock: it comes before that.
 */
#include "emul-driver.h"

#include <errno.h>

/* ---- The way of a fault ---- */

/* The route of @pasid's faults, or 0. */
static uint64_t route_load(EmulHost *host, uint32_t dev_id, uint32_t pasid)
{
    EmulSlots *port = (EmulSlots *)(uintptr_t)
        emul_slots_load(&host->faults.ports, dev_id);
    uint64_t word;

    if (!port) {
        return 0;
    }
    word = emul_slots_load(port, pasid);
    if (word == 0 && pasid != 0) {
        word = emul_slots_load(port, 0);
        if (!EMUL_FAULT_ROUTE_ANY(word)) {
            word = 0;
        }
    }
    return word != EMUL_FAULT_ROUTE_NOWHERE ? word : 0;
}

EmulReport emul_request_page(HostIommu *base, const EmulPageRequest *request)
{
    EmulHost *host = emul_host(base);

    for (;;) {
        uint64_t word = route_load(host, request->dev_id, request->pasid);
        EmulFaultQueue *queue;
        bool moved;
        bool taken;

        if (word == 0) {
            return EMUL_REPORT_REFUSED;
        }
        queue = emul_host_fault_queue(host, EMUL_FAULT_ROUTE_QUEUE(word));
        lock_acquire(&queue->lock);
        moved = route_load(host, request->dev_id, request->pasid) != word;
        taken = !moved && emul_fault_queue_raise_locked(
            queue, EMUL_FAULT_ROUTE_HANDLE(word), request);
        lock_release(&queue->lock);
        if (!moved) {
            return taken ? EMUL_REPORT_QUEUED : EMUL_REPORT_REFUSED;
        }
    }
}

/* The device's table of routes; it belongs to the ID and is never freed. */
static EmulSlots *port_get_locked(EmulHost *host, uint32_t dev_id)
    REQUIRES(&host->lock)
{
    EmulSlots *port = (EmulSlots *)(uintptr_t)
        emul_slots_load(&host->faults.ports, dev_id);

    if (!port) {
        port = g_new0(EmulSlots, 1);
        /* In range: EmulHost::routes took the ID when it was bound. */
        emul_slots_store(&host->faults.ports, dev_id, (uintptr_t)port);
    }
    return port;
}

void emul_fault_attach_locked(EmulHost *host, const EmulDevice *device,
                              uint32_t pasid,
                              const EmulAttachment *attachment)
{
    const EmulPt *pt = attachment ? attachment->pt : NULL;
    uint64_t word = 0;

    if (pt && pt->fault) {
        bool any = pasid == 0 && pt->obj.type == EMUL_NESTED &&
                   device->driver->user_pasid_table;

        word = EMUL_FAULT_ROUTE(pt->fault->queue->index, attachment->handle,
                                any);
    } else if (pt && pasid != 0) {
        word = EMUL_FAULT_ROUTE_NOWHERE;
    } else if (!emul_slots_load(&host->faults.ports, device->obj.id)) {
        return;                 /* never had one: costs no table */
    }
    emul_slots_store(port_get_locked(host, device->obj.id), pasid, word);
}

void emul_fault_note_end(GArray *ended, const EmulAttachment *attachment)
{
    if (attachment->pt && attachment->pt->fault) {
        EmulEnded end = {
            .queue = attachment->pt->fault->queue,
            .handle = attachment->handle,
        };

        g_array_append_val(ended, end);
    }
}

/*
 * The HWPT and even the queue may have gone meanwhile, and the queue be in
 * another life: no group there has this handle.
 */
void emul_faults_end(const GArray *ended)
{
    for (guint i = 0; i < ended->len; i++) {
        const EmulEnded *end = &g_array_index(ended, EmulEnded, i);

        emul_fault_queue_end_handle(end->queue, end->handle);
    }
}

/* ---- Objects ---- */

static EmulFaultQueue *queue_get(EmulHost *host)
{
    EmulFaultQueue *queue;

    lock_acquire(&host->lock);
    queue = host->faults.free_queues;
    if (queue) {
        host->faults.free_queues = queue->next_free;
    } else {
        queue = emul_fault_queue_new(host->faults.queue_count + 1,
                                     &host->faults.handler);
        if (emul_slots_store(&host->faults.queues, queue->index,
                             (uintptr_t)queue)) {
            host->faults.queue_count++;
        } else {
            emul_fault_queue_free(queue);
            queue = NULL;
        }
    }
    lock_release(&host->lock);
    return queue;
}

static void queue_put_locked(EmulHost *host, EmulFaultQueue *queue)
    REQUIRES(&host->lock)
{
    queue->next_free = host->faults.free_queues;
    host->faults.free_queues = queue;
}

static int fault_link_locked(EmulHost *host, struct iommu_fault_alloc *cmd,
                             EmulFaultQueue *queue, uint64_t generation)
    REQUIRES(&host->lock)
{
    EmulFault *fault;

    if (!emul_slots_store(&host->fds, cmd->out_fault_fd,
                          EMUL_FD(EMUL_FD_FAULT, queue->index))) {
        return -EMFILE;
    }
    fault = g_new0(EmulFault, 1);
    fault->queue = queue;
    fault->generation = generation;
    emul_object_add_locked(host, &fault->obj, EMUL_FAULT);
    cmd->out_fault_id = fault->obj.id;
    return 0;
}

/* Started first and linked after, as emul_veventq_alloc(). */
int emul_fault_alloc(EmulHost *host, void *arg)
{
    struct iommu_fault_alloc *cmd = arg;
    EmulFaultQueue *queue;
    uint64_t generation;
    int fd;
    int ret;

    if (cmd->flags) {
        return -EOPNOTSUPP;
    }
    queue = queue_get(host);
    if (!queue) {
        return -ENOMEM;
    }
    ret = emul_fault_queue_start(queue, &fd, &generation);
    if (ret < 0) {
        goto out_put_queue;
    }
    cmd->out_fault_fd = (uint32_t)fd;
    lock_acquire(&host->lock);
    ret = fault_link_locked(host, cmd, queue, generation);
    lock_release(&host->lock);
    if (ret < 0) {
        goto out_abandon_queue;
    }
    return 0;

out_abandon_queue:
    emul_fault_queue_abandon(queue);
out_put_queue:
    lock_acquire(&host->lock);
    queue_put_locked(host, queue);
    lock_release(&host->lock);
    return ret;
}

/* No HWPT names it, so no route leads to it. A destroyer frees it. */
void emul_fault_destroy_locked(EmulHost *host, EmulFault *fault)
{
    queue_put_locked(host, fault->queue);
    emul_object_remove_locked(host, &fault->obj, false);
}

void emul_fault_put_destroyer_locked(EmulHost *host, EmulFault *fault)
{
    if (--fault->destroyers == 0 && fault->obj.id == 0) {
        g_free(fault);
    }
}

/* ---- Controls ---- */

void emul_set_answer_func(HostIommu *base, EmulAnswerFunc *func, void *opaque)
{
    emul_host(base)->faults.handler = (EmulAnswerHandler) {
        .func = func, .opaque = opaque,
    };
}

EmulPageStats emul_get_page_stats(HostIommu *base)
{
    EmulHost *host = emul_host(base);
    EmulPageStats stats = { 0 };
    uint32_t count;

    lock_acquire(&host->lock);
    count = host->faults.queue_count;
    lock_release(&host->lock);
    for (uint32_t i = 1; i <= count; i++) {
        EmulFaultCounts counts =
            emul_fault_queue_get_counts(emul_host_fault_queue(host, i));

        stats.pages += counts.pages;
        stats.raised += counts.raised;
        stats.answered += counts.answered;
        stats.automatic += counts.automatic;
    }
    stats.open = stats.raised - stats.answered - stats.automatic;
    return stats;
}

/* After the last user. Device IDs are below the length of the object table. */
void emul_faults_free(EmulHost *host)
{
    for (uint32_t i = 1; i <= host->faults.queue_count; i++) {
        emul_fault_queue_free(emul_host_fault_queue(host, i));
    }
    for (guint i = 0; i < host->objects->len; i++) {
        EmulSlots *port = (EmulSlots *)(uintptr_t)
            emul_slots_load(&host->faults.ports, i);

        if (port) {
            emul_slots_free(port);
            g_free(port);
        }
    }
    emul_slots_free(&host->faults.queues);
    emul_slots_free(&host->faults.ports);
}
