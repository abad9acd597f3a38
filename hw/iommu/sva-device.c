/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An emulated device: a ViommuDevice without host objects, a count of credits,
 * and a wait-free queue of responses with a bottom half in the device's own
 * context, which is the only one that takes from it.
 *
 * Groups go: device thread -> inbox of the vIOMMU (viommu-pages.c) -> guest's
 * queue -> guest's answer -> responses -> device thread.
 */
#include "hw/iommu/viommu-internal.h"

#include "base/error.h"
#include "hw/iommu/sva-tlb.h"

struct SvaDevice {
    Viommu *viommu;             /* [const] */
    ViommuDevice *device;       /* [const] */
    char *name;                 /* [const] */
    AioContext *ctx;            /* [const] */
    void (*responded)(void *opaque, SvaGroup *group);   /* [const] */
    void *opaque;               /* [const] */
    AioBH *respond;             /* [const] */
    atomic_int credits;         /* pages that may still be asked for */
    _Atomic uint64_t no_credit;
    struct __cds_wfcq_head responses_head;  /* home thread enqueues, */
    struct cds_wfcq_tail responses_tail;    /* respond_bh() dequeues */
    SvaTlb tlb;
};

/*
 * Wait-free, so it may refuse where a compare-and-exchange loop would not: for
 * the moment in which another thread finds that it has asked for too much.
 */
static bool take_credits(SvaDevice *device, uint32_t count)
{
    if (count > SVA_CREDITS_MAX) {
        return false;           /* not even to be subtracted */
    }
    /* Relaxed: a number; groups are handed over by the queues. */
    if (atomic_fetch_sub_explicit(&device->credits, (int)count,
                                  memory_order_relaxed) >= (int)count) {
        return true;
    }
    atomic_fetch_add_explicit(&device->credits, (int)count,
                              memory_order_relaxed);
    return false;
}

bool viommu_page_request(SvaDevice *device, SvaGroup *group)
{
    g_assert(group->count > 0);
    if (!take_credits(device, group->count)) {
        atomic_fetch_add_explicit(&device->no_credit, 1, memory_order_relaxed);
        return false;
    }
    group->device = device;
    viommu_pages_enqueue(device->viommu, group);
    return true;
}

uint64_t viommu_get_no_credit(const SvaDevice *device)
{
    return atomic_load_explicit(&device->no_credit, memory_order_relaxed);
}

bool viommu_translate(SvaDevice *device, uint32_t pasid, uint64_t iova,
                      uint32_t perm, uint64_t *gpa)
{
    Viommu *viommu = device->viommu;
    /* Acquire: pairs with viommu_invalidate_sva(); before the walk begins. */
    uint64_t generation = atomic_load_explicit(&viommu->pages.generation,
                                               memory_order_acquire);

    g_assert(rcu_read_ongoing());
    if (sva_tlb_find(&device->tlb, generation, pasid, iova, perm, gpa)) {
        return true;
    }
    if (!viommu->ops->translate(viommu, device->device->entry.virt_id, pasid,
                                iova, perm, gpa)) {
        return false;
    }
    sva_tlb_insert(&device->tlb, generation, pasid, iova, perm, *gpa);
    return true;
}

PageRequestKey sva_group_key(const SvaGroup *group)
{
    return (PageRequestKey){
        .virt_id = group->device->device->entry.virt_id,
        .pasid = group->pasid,
        .index = group->index & PAGE_GROUP_INDEX_MASK,
    };
}

void sva_device_respond(SvaGroup *group, uint32_t code)
{
    SvaDevice *device = group->device;

    group->code = code;
    cds_wfcq_node_init(&group->node);
    RCU_TSAN_RELEASE(&group->node);     /* to respond_bh() */
    cds_wfcq_enqueue(&device->responses_head, &device->responses_tail,
                     &group->node);
    aio_bh_schedule(device->respond);
}

void viommu_implicit_invalidate(Viommu *viommu, const PageGroup *group,
                                uint64_t addr)
{
    SvaGroup *emulated = group->request.emulated;

    if (emulated) {
        sva_tlb_drop_page(&emulated->device->tlb, group->request.key.pasid,
                          addr);
    }
}

void viommu_invalidate_sva(Viommu *viommu)
{
    if (viommu->pages.sva_devices > 0) {
        /*
         * Release: pairs with the acquire load in viommu_translate(). Who loads
         * the old number does so in a read section that is waited for.
         */
        atomic_fetch_add_explicit(&viommu->pages.generation, 1,
                                  memory_order_release);
        rcu_synchronize();
    }
}

static void respond_bh(void *opaque)
{
    SvaDevice *device = opaque;
    struct cds_wfcq_node *node;

    /* At an enqueue under way it ends: that has it run again. */
    while ((node = __cds_wfcq_dequeue_nonblocking(&device->responses_head,
                                                  &device->responses_tail)) &&
           node != CDS_WFCQ_WOULDBLOCK) {
        SvaGroup *group = caa_container_of(node, SvaGroup, node);

        RCU_TSAN_ACQUIRE(node);         /* from sva_device_respond() */
        /* Relaxed: see take_credits(). */
        atomic_fetch_add_explicit(&device->credits, (int)group->count,
                                  memory_order_relaxed);
        device->responded(device->opaque, group);
    }
}

static void nothing_bh(void *opaque)
{
}

static bool check_config(Viommu *viommu, const SvaDeviceConfig *config,
                         GError **error)
{
    if (!viommu->ops->has_pages || !viommu->ops->has_pages(viommu)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "vIOMMU '%s' takes no page requests",
                    viommu_get_id(viommu));
        return false;
    }
    if (config->credits == 0 || config->credits > SVA_CREDITS_MAX) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%u credits are out of range, 1 to %u are accepted",
                    config->credits, SVA_CREDITS_MAX);
        return false;
    }
    return true;
}

/* Context: nobody knows of it, or not any more. */
static void sva_device_free(SvaDevice *device)
{
    if (device->respond) {
        aio_bh_delete(device->respond);
    }
    /* Once this has run, the bottom half is gone. */
    aio_wait_bh_oneshot(device->ctx, nothing_bh, NULL);
    aio_context_unref(device->ctx);
    g_free(device->name);
    g_free(device);
}

SvaDevice *viommu_add_sva_device(Viommu *viommu, const SvaDeviceConfig *config,
                                 GError **error)
{
    SvaDevice *device;

    if (!check_config(viommu, config, error)) {
        g_prefix_error(error, "device '%s': ", config->name);
        return NULL;
    }
    device = g_try_new0(SvaDevice, 1);
    if (!device) {
        error_set_errno(error, ENOMEM, "device '%s'", config->name);
        return NULL;
    }
    device->viommu = viommu;
    device->name = g_strdup(config->name);
    device->ctx = aio_context_ref(config->ctx);
    device->responded = config->responded;
    device->opaque = config->opaque;
    device->respond = aio_bh_new(config->ctx, respond_bh, device);
    atomic_init(&device->credits, (int)config->credits);
    __cds_wfcq_init(&device->responses_head, &device->responses_tail);
    if (!device->respond) {
        error_set_errno(error, ENOMEM, "device '%s'", config->name);
        sva_device_free(device);
        return NULL;
    }
    device->device = viommu_publish_sva(viommu, device, config->virt_id, error);
    if (!device->device) {
        g_prefix_error(error, "device '%s': ", config->name);
        sva_device_free(device);
        return NULL;
    }
    return device;
}

void viommu_remove_sva_device(SvaDevice *device)
{
    /* Relaxed: see take_credits(). Whatever comes back, none is left. */
    atomic_fetch_sub_explicit(&device->credits, 2 * SVA_CREDITS_MAX,
                              memory_order_relaxed);
    /* Once this has run, no callback is about to ask. */
    aio_wait_bh_oneshot(device->ctx, nothing_bh, NULL);
    viommu_unpublish_sva(device->viommu, device->device);
    /* And once this has, all groups have come back. */
    aio_wait_bh_oneshot(device->ctx, nothing_bh, NULL);
    sva_device_free(device);
}
