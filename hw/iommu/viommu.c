/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/iommu/viommu-internal.h"

#include "base/error.h"
#include "base/report.h"

#include <errno.h>

static void resume_bh(void *opaque)
{
    Viommu *viommu = opaque;

    if (viommu->queue.pump) {
        event_pump_run(viommu->queue.pump);
    }
}

static void nothing_bh(void *opaque)
{
}

const char *viommu_get_id(const Viommu *viommu)
{
    return viommu->config.id;
}

/* The architecture's accesses: aligned, of 4 or 8 bytes. */
static bool access_valid(uint64_t offset, unsigned size)
{
    return (size == 4 || size == 8) && offset % size == 0;
}

uint64_t viommu_mmio_read(Viommu *viommu, uint64_t offset, unsigned size)
{
    return access_valid(offset, size)
               ? viommu->ops->mmio_read(viommu, offset, size)
               : 0;
}

void viommu_mmio_write(Viommu *viommu, uint64_t offset, unsigned size,
                       uint64_t value)
{
    if (access_valid(offset, size)) {
        viommu->ops->mmio_write(viommu, offset, size, value);
    }
}

void viommu_reset(Viommu *viommu)
{
    lock_acquire(&viommu->config_lock);
    viommu->ops->reset(viommu);
    lock_release(&viommu->config_lock);
}

ViommuStats viommu_get_stats(Viommu *viommu)
{
    ViommuCounters *counters = &viommu->counters;
    ViommuStats stats = {
        .delivered = counter_get(&counters->delivered),
        .discarded = counter_get(&counters->discarded),
        .lost = counter_get(&counters->lost),
        .malformed = counter_get(&counters->malformed),
        .reads = counter_get(&counters->reads),
        .interrupts = counter_get(&counters->interrupts),
        .overflows = counter_get(&counters->overflows),
        .untold = atomic_load_explicit(&viommu->untold, memory_order_relaxed),
    };

    viommu->ops->get_queue(viommu, &stats.queue_used, &stats.queue_size);
    return stats;
}

void viommu_warn_once(Viommu *viommu, unsigned kind, const char *format, ...)
{
    uint32_t bit = UINT32_C(1) << kind;
    g_autofree char *message = NULL;
    va_list ap;

    if (atomic_load_explicit(&viommu->warned, memory_order_relaxed) & bit ||
        atomic_fetch_or_explicit(&viommu->warned, bit, memory_order_relaxed) &
            bit) {
        atomic_fetch_add_explicit(&viommu->untold, 1, memory_order_relaxed);
        return;
    }
    va_start(ap, format);
    message = g_strdup_vprintf(format, ap);
    va_end(ap);
    warn_report("vIOMMU '%s': %s (not reported again)",
                viommu->config.id, message);
}

void viommu_host_error(Viommu *viommu, ViommuHostError kind,
                       const char *message)
{
    atomic_uint *told = &viommu->host_errors[kind];
    unsigned count = atomic_load_explicit(told, memory_order_relaxed);

    do {
        if (count == VIOMMU_HOST_ERRORS_TOLD) {
            atomic_fetch_add_explicit(&viommu->untold, 1,
                                      memory_order_relaxed);
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(
                 told, &count, count + 1, memory_order_relaxed,
                 memory_order_relaxed));
    error_report("vIOMMU '%s': %s%s", viommu->config.id, message,
                 count + 1 < VIOMMU_HOST_ERRORS_TOLD
                     ? "" : " (the like is not reported again)");
}

/*
 * Context: nobody knows of @viommu, or not any more. What viommu_init() did not
 * come to is NULL.
 */
static void cleanup(Viommu *viommu)
{
    AioContext *ctx = viommu->config.ctx;

    if (viommu->queue.resume) {
        aio_bh_delete(viommu->queue.resume);
    }
    if (viommu->pages.work) {
        aio_bh_delete(viommu->pages.work);
    }
    /* Once this has run, neither bottom half is running any more. */
    aio_wait_bh_oneshot(ctx, nothing_bh, NULL);
    viommu_pages_cleanup(viommu);
    aio_context_unref(ctx);
    device_map_free(viommu->devices);
    pthread_cond_destroy(&viommu->refs.gone);
    lock_destroy(&viommu->refs.lock);
    lock_destroy(&viommu->ring_lock);
    lock_destroy(&viommu->config_lock);
    g_free((char *)viommu->config.id);
}

bool viommu_init(Viommu *viommu, const ViommuOps *ops,
                 const ViommuConfig *config, GError **error)
{
    viommu->ops = ops;
    viommu->config = *config;
    viommu->config.id = g_strdup(config->id);
    viommu->config.ctx = aio_context_ref(config->ctx);
    lock_init(&viommu->config_lock, LOCK_RANK_CONFIG);
    lock_init(&viommu->ring_lock, LOCK_RANK_RING);
    lock_init(&viommu->refs.lock, LOCK_RANK_LEAF);
    pthread_cond_init(&viommu->refs.gone, NULL);
    viommu->devices = device_map_new();
    viommu->queue.resume = aio_bh_new(config->ctx, resume_bh, viommu);
    if (!viommu_pages_init(viommu) || !viommu->devices ||
        !viommu->queue.resume) {
        cleanup(viommu);
        error_set_errno(error, ENOMEM, "vIOMMU '%s'", config->id);
        return false;
    }
    return true;
}

void viommu_free(Viommu *viommu)
{
    if (!viommu) {
        return;
    }
    g_assert(device_map_count(viommu->devices) == 0);
    g_assert(!viommu->queue.open);
    cleanup(viommu);
    viommu->ops->free(viommu);
}
