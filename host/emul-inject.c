/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the hardware, or a fault in the kernel, would do: the controls.
 */
#include "emul-internal.h"
#include "emul-smmuv3.h"

/* Off, the usual case, costs one load. */
int emul_controls_fail(EmulControls *controls, EmulCall call,
                       unsigned long request)
{
    const EmulFailure *failure = &controls->failure;
    int err = 0;

    /* Relaxed: whether to look, from emul_set_failure(); the lock orders. */
    if (!atomic_load_explicit(&controls->failing, memory_order_relaxed)) {
        return 0;
    }
    lock_acquire(&controls->lock);
    if (failure->nth > 0 &&
        (failure->call == EMUL_CALL_ANY || failure->call == call) &&
        (call != EMUL_CALL_IOCTL || failure->request == 0 ||
         failure->request == request)) {
        controls->counted++;
        if (controls->counted >= failure->nth &&
            (failure->times == 0 ||
             controls->counted - failure->nth < failure->times)) {
            err = failure->err;
        }
    }
    lock_release(&controls->lock);
    return err;
}

void emul_set_failure(HostIommu *base, const EmulFailure *failure)
{
    EmulControls *controls = &emul_host(base)->controls;

    lock_acquire(&controls->lock);
    controls->failure = *failure;
    controls->counted = 0;
    /* Relaxed: pairs with the look in emul_controls_fail(). */
    atomic_store_explicit(&controls->failing, failure->nth > 0,
                          memory_order_relaxed);
    lock_release(&controls->lock);
}

uint64_t emul_get_calls_counted(HostIommu *base)
{
    EmulControls *controls = &emul_host(base)->controls;
    uint64_t counted;

    lock_acquire(&controls->lock);
    counted = controls->counted;
    lock_release(&controls->lock);
    return counted;
}

void emul_set_first_sequence(HostIommu *base, uint32_t sequence)
{
    g_assert(sequence <= INT_MAX);
    /* Relaxed: read alone, by emul_veventq_alloc(). */
    atomic_store_explicit(&emul_host(base)->controls.first_sequence, sequence,
                          memory_order_relaxed);
}

void emul_set_read_limit(HostIommu *base, size_t count)
{
    /* Relaxed: read alone, by emul_read(). */
    atomic_store_explicit(&emul_host(base)->controls.read_limit, count,
                          memory_order_relaxed);
}

/*
 * The route is read without a lock and believed under the queue's: until it is
 * released, no one else can tell that the route has changed since.
 */
EmulReport emul_report_routed(EmulHost *host, uint32_t dev_id, void *event,
                              size_t size, EmulSetSidFunc *set_sid)
{
    EmulReport report;
    EmulQueue *queue;
    uint64_t route;

    for (;;) {
        route = emul_slots_load(&host->routes, dev_id);
        if (route == 0) {
            return EMUL_REPORT_REFUSED;
        }
        set_sid(event, EMUL_ROUTE_VSID(route));
        queue = emul_host_queue(host, EMUL_ROUTE_QUEUE(route));
        lock_acquire(&queue->lock);
        if (emul_slots_load(&host->routes, dev_id) == route) {
            report = emul_queue_report_locked(queue, event, size);
            lock_release(&queue->lock);
            return report;
        }
        /* Moved on meanwhile: look again. */
        lock_release(&queue->lock);
    }
}

EmulReport emul_report_event(HostIommu *base, uint32_t dev_id,
                             const uint64_t event[4])
{
    struct iommu_vevent_arm_smmuv3 own;

    if (!emul_smmuv3_forwards(event)) {
        return EMUL_REPORT_REFUSED;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(own.evt); i++) {
        own.evt[i] = GUINT64_TO_LE(event[i]);
    }
    return emul_report_routed(emul_host(base), dev_id, &own, sizeof(own),
                              emul_smmuv3_set_sid);
}

EmulStats emul_get_stats(HostIommu *base)
{
    EmulHost *host = emul_host(base);
    EmulStats stats;
    uint32_t count;

    lock_acquire(&host->lock);
    stats = host->stats;
    count = host->queue_count;
    lock_release(&host->lock);
    /* Queues are never freed, and keep their counts when they are reused. */
    for (uint32_t i = 1; i <= count; i++) {
        EmulQueue *queue = emul_host_queue(host, i);

        lock_acquire(&queue->lock);
        stats.generated += queue->counts.generated;
        stats.dropped += queue->counts.dropped;
        lock_release(&queue->lock);
    }
    return stats;
}

static uint64_t emul_count_left(HostIommu *host)
{
    return emul_get_stats(host).objects;
}

const HardwareOps emul_hardware_ops = {
    .group_pages_max = UINT32_MAX,
    .device_open = emul_device_open_behind,
    .report_event = emul_report_event,
    .request_page = emul_request_page,
    .set_answer_func = emul_set_answer_func,
    .get_page_stats = emul_get_page_stats,
    .get_stats = emul_get_stats,
    .count_left = emul_count_left,
};
