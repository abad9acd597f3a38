/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The invalidation queue (6.5.2). Descriptors are run one after the other, so
 * all of 6.5.2's order holds. What they invalidate is collected; a wait
 * descriptor has it done before it completes.
 *
 * Changes of the tables are collected into one, so that a burst of global
 * descriptors costs one look at them. The host is to hear of IOTLB
 * invalidations in the order in which they stand to such changes: by the
 * entries of before, or of after. So those noted go out before the tables are
 * looked at, and the tables are looked at before another one is noted.
 *
 * IQH passes a descriptor that is valid before it is run, and stays at one that
 * is not. It is published when software can tell: before a wait completes, and
 * at the end.
 */
#include "hw/i386/vtd-internal.h"
#include "hw/i386/vtd-inv-desc.h"

#include <inttypes.h>

/* Descriptors read from guest memory at a time. */
#define INV_CHUNK 128

/*
 * What is done before the config_lock is let go of, counted in descriptors. To
 * complete invalidations is to call the host for each PASID that they concern,
 * and to wait for a grace period; to drain is to wait for the home thread.
 */
#define INV_RUN 256
#define INV_WAIT_COST 16

/**
 * struct InvRun - descriptors being run
 * @mode: of the queue
 * @base, @size: of it, in bytes
 * @stride: bytes of a descriptor
 * @head, @tail: offsets; @head is what IQH will say
 * @cost: of what was run, as INV_RUN counts it
 * @scans: of the Vtd, when this began
 * @chunk, @chunk_count, @chunk_next: read and not yet run
 */
typedef struct InvRun {
    VtdQueueMode mode;
    uint64_t base;
    uint32_t size;
    uint32_t stride;
    uint32_t head;
    uint32_t tail;
    unsigned cost;
    unsigned scans;
    uint64_t chunk[INV_CHUNK * 4];
    uint32_t chunk_count;
    uint32_t chunk_next;
} InvRun;

/* What is for the host goes there first: it is named by the old entries. */
static void look_at_tables(Vtd *v) REQUIRES(&v->parent.config_lock)
{
    if (!v->pending.has_change) {
        return;
    }
    v->pending.has_change = false;
    v->pending.scans++;
    vtd_flush_send(v);
    vtd_pasid_changed(v, &v->pending.change);
}

void vtd_inv_complete(Vtd *v)
{
    look_at_tables(v);
    vtd_flush_send(v);
    v->pending.device_tlb = false;
    if (v->pending.sva_stale) {
        v->pending.sva_stale = false;
        viommu_invalidate_sva(&v->parent);
    }
}

/* The same for a descriptor that has to come after those before it. */
static void complete_for(Vtd *v, InvRun *run) REQUIRES(&v->parent.config_lock)
{
    const VtdPending *pending = &v->pending;

    if (pending->has_change || pending->flush_count > 0 ||
        pending->sva_stale) {
        run->cost += INV_WAIT_COST;
    }
    vtd_inv_complete(v);
}

/* What has both; perhaps more. */
static VtdChange merge(const VtdChange *a, const VtdChange *b)
{
    return (VtdChange){
        .rid = a->rid,
        .rid_ignored = a->rid_ignored | b->rid_ignored | (a->rid ^ b->rid),
        .did = a->did == b->did ? a->did : VTD_ALL_DIDS,
        .pasid = a->pasid == b->pasid ? a->pasid : VTD_ALL_PASIDS,
    };
}

static void tables_changed(Vtd *v, const VtdChange *change)
    REQUIRES(&v->parent.config_lock)
{
    VtdPending *pending = &v->pending;

    pending->change = pending->has_change ? merge(&pending->change, change)
                                          : *change;
    pending->has_change = true;
    pending->sva_stale = true;
}

static void flush_noted(Vtd *v, const VtdFlush *flush)
    REQUIRES(&v->parent.config_lock)
{
    look_at_tables(v);
    vtd_flush_add(v, flush);
    v->pending.sva_stale = true;
}

/* FM: bits of the function number that do not count. */
static void run_context_cache(Vtd *v, const VtdDescriptor *desc)
    REQUIRES(&v->parent.config_lock)
{
    static const uint8_t ignored[] = { 0, 4, 6, 7 };
    VtdChange change = VTD_CHANGE_ALL;

    /* In scalable mode a context entry has no domain. */
    if (FIELD_GET(desc->word[0], DESC0, G) == CONTEXT_G_DEVICE) {
        change.rid = FIELD_GET(desc->word[0], CONTEXT_DESC0, SID);
        change.rid_ignored =
            ignored[FIELD_GET(desc->word[0], CONTEXT_DESC0, FM)];
    }
    tables_changed(v, &change);
}

static void run_pasid_cache(Vtd *v, const VtdDescriptor *desc)
    REQUIRES(&v->parent.config_lock)
{
    unsigned g = FIELD_GET(desc->word[0], DESC0, G);
    VtdChange change = VTD_CHANGE_ALL;

    if (g == PASID_CACHE_G_DOMAIN || g == PASID_CACHE_G_PASID) {
        change.did = FIELD_GET(desc->word[0], DESC0, DID);
    }
    if (g == PASID_CACHE_G_PASID) {
        change.pasid = FIELD_GET(desc->word[0], DESC0, PASID);
    }
    tables_changed(v, &change);
}

/* ADDR, AM and IH: 2^AM pages, aligned to that. */
static void flush_pages(VtdFlush *flush, const VtdDescriptor *desc)
{
    unsigned am = FIELD_GET(desc->word[1], IOTLB_DESC1, AM);

    flush->leaf = FIELD_GET(desc->word[1], IOTLB_DESC1, IH);
    if (am < IOTLB_DESC1_ADDR_LENGTH) {
        flush->addr = desc->word[1] & FIELD_MASK(IOTLB_DESC1, ADDR) &
                      ~(BIT(12 + am) - 1);
        flush->npages = BIT(am);
    }
}

static void run_iotlb(Vtd *v, const VtdDescriptor *desc)
    REQUIRES(&v->parent.config_lock)
{
    unsigned g = FIELD_GET(desc->word[0], DESC0, G);
    VtdFlush flush = {
        .did = g == IOTLB_G_GLOBAL ? VTD_ALL_DIDS
                                   : FIELD_GET(desc->word[0], DESC0, DID),
        .pasid = PAGE_REQUEST_NO_PASID,
        .npages = UINT64_MAX,
    };

    if (g == IOTLB_G_PAGE) {
        flush_pages(&flush, desc);
    }
    flush_noted(v, &flush);
}

static void run_pasid_iotlb(Vtd *v, const VtdDescriptor *desc)
    REQUIRES(&v->parent.config_lock)
{
    VtdFlush flush = {
        .did = FIELD_GET(desc->word[0], DESC0, DID),
        .pasid = FIELD_GET(desc->word[0], DESC0, PASID),
        .npages = UINT64_MAX,
    };

    if (FIELD_GET(desc->word[0], DESC0, G) == PASID_IOTLB_G_PAGE) {
        flush_pages(&flush, desc);
    }
    flush_noted(v, &flush);
}

static void run_page_response(Vtd *v, InvRun *run, const VtdDescriptor *desc)
    REQUIRES(&v->parent.config_lock)
{
    uint64_t word0 = desc->word[0];
    bool pp = FIELD_GET(word0, PAGE_RESPONSE_DESC0, PP);
    PageRequestKey key = {
        .virt_id = FIELD_GET(word0, PAGE_RESPONSE_DESC0, RID),
        .pasid = pp ? FIELD_GET(word0, DESC0, PASID) : PAGE_REQUEST_NO_PASID,
        .index = FIELD_GET(desc->word[1], PAGE_RESPONSE_DESC1, PRGI),
    };

    if (v->pending.device_tlb) {
        complete_for(v, run);   /* the device must not see those later */
    } else {
        look_at_tables(v);      /* which end groups */
    }
    viommu_respond_page_group(&v->parent, &key,
                              FIELD_GET(word0, PAGE_RESPONSE_DESC0, RC));
}

static void publish(Vtd *v, const InvRun *run) EXCLUDES(&v->parent.ring_lock)
{
    lock_acquire(&v->parent.ring_lock);
    v->reg[R_IQH] = run->head;
    lock_release(&v->parent.ring_lock);
}

/* FN asks for nothing more: what follows is not run before this is done. */
static void run_wait(Vtd *v, InvRun *run, const VtdDescriptor *desc)
    REQUIRES(&v->parent.config_lock)
{
    uint64_t address = desc->word[1] & FIELD_MASK(WAIT_DESC1, STATUS_ADDR);
    uint64_t word0 = desc->word[0];

    complete_for(v, run);
    if (FIELD_GET(word0, WAIT_DESC0, PD)) {
        run->cost += INV_WAIT_COST;
        viommu_drain_page_requests(&v->parent);
    }
    publish(v, run);
    if (FIELD_GET(word0, WAIT_DESC0, SW) &&
        !guest_mem_write_u32(v->parent.config.mem, address,
                             FIELD_GET(word0, WAIT_DESC0, STATUS_DATA))) {
        viommu_warn_once(&v->parent, VTD_WARN_STATUS_WRITE,
                         "status of a wait descriptor at 0x%" PRIx64
                         " is not in memory", address);
    }
    if (FIELD_GET(word0, WAIT_DESC0, IF)) {
        lock_acquire(&v->parent.ring_lock);
        vtd_event_set(v, VTD_EVENT_INVALIDATION, FIELD_MASK(ICS, IWC));
        lock_release(&v->parent.ring_lock);
    }
}

static void run_descriptor(Vtd *v, InvRun *run, const VtdDescriptor *desc)
    REQUIRES(&v->parent.config_lock)
{
    switch (vtd_desc_type(desc)) {
    case VTD_DESC_CONTEXT_CACHE:
        run_context_cache(v, desc);
        break;
    case VTD_DESC_IOTLB:
        run_iotlb(v, desc);
        break;
    case VTD_DESC_PASID_IOTLB:
        run_pasid_iotlb(v, desc);
        break;
    case VTD_DESC_PASID_CACHE:
        run_pasid_cache(v, desc);
        break;
    case VTD_DESC_DEVICE_TLB:
    case VTD_DESC_PASID_DEVICE_TLB:
        /* The host flushes its device TLBs along with IOTLBs. */
        v->pending.sva_stale = true;
        v->pending.device_tlb = true;
        break;
    case VTD_DESC_IEC:
        break;                  /* no interrupt remapping: none is cached */
    case VTD_DESC_WAIT:
        run_wait(v, run, desc);
        break;
    case VTD_DESC_PAGE_RESPONSE:
        run_page_response(v, run, desc);
        break;
    }
}

/* Read on, as far as is contiguous. Return: false for an abort on the bus. */
static bool chunk_fetch(Vtd *v, InvRun *run)
{
    uint32_t end = run->tail > run->head ? run->tail : run->size;
    uint32_t count = MIN((end - run->head) / run->stride, INV_CHUNK);
    uint64_t gpa = run->base + run->head;
    size_t words = run->stride / 8;

    if (!guest_mem_read_words(v->parent.config.mem, gpa, run->chunk,
                              count * words)) {
        count = 1;              /* the first may be in memory none the less */
        if (!guest_mem_read_words(v->parent.config.mem, gpa, run->chunk,
                                  words)) {
            return false;
        }
    }
    run->chunk_count = count;
    run->chunk_next = 0;
    return true;
}

static VtdDescriptor chunk_next(InvRun *run)
{
    const uint64_t *word = &run->chunk[run->chunk_next * run->stride / 8];
    VtdDescriptor desc = { { word[0], word[1] } };

    if (run->mode.wide) {
        desc.word[2] = word[2];
        desc.word[3] = word[3];
    }
    run->chunk_next++;
    return desc;
}

static bool may_go_on(const Vtd *v, const InvRun *run)
    REQUIRES(&v->parent.config_lock)
{
    return run->head != run->tail && run->cost < INV_RUN &&
           run->scans == v->pending.scans;
}

static VtdIqei run_some(Vtd *v, InvRun *run) REQUIRES(&v->parent.config_lock)
{
    while (may_go_on(v, run)) {
        VtdDescriptor desc;
        VtdIqei iqei;

        if (run->chunk_next == run->chunk_count && !chunk_fetch(v, run)) {
            return VTD_IQEI_FETCH;
        }
        desc = chunk_next(run);
        iqei = vtd_desc_check(&run->mode, &desc);
        if (iqei != VTD_IQEI_NONE) {
            return iqei;
        }
        run->head = (run->head + run->stride) & (run->size - 1);
        run_descriptor(v, run, &desc);
        run->cost++;
    }
    return VTD_IQEI_NONE;
}

/* 6.5.2: whether there is anything to run, and from where. */
static bool run_begin(Vtd *v, InvRun *run)
    REQUIRES(&v->parent.config_lock, &v->parent.ring_lock)
{
    uint64_t iqa = vtd_reg64(v, R_IQA);
    /* Relaxed: the config_lock keeps it as it is. */
    uint64_t root = atomic_load_explicit(&v->root, memory_order_relaxed);

    if (!FIELD_GET(v->reg[R_GSTS], GSTS, QIES) ||
        FIELD_GET(v->reg[R_FSTS], FSTS, IQE)) {
        return false;
    }
    run->mode = (VtdQueueMode){
        .ttm = FIELD_GET(root, RTADDR, TTM),
        .wide = FIELD_GET(iqa, IQA, DW),
        .page_requests = v->props.svm,
    };
    run->base = iqa & FIELD_MASK(IQA, IQA);
    run->size = UINT32_C(4096) << FIELD_GET(iqa, IQA, QS);
    run->stride = run->mode.wide ? 32 : 16;
    /* IQA may have been written since, which it must not. */
    run->head = v->reg[R_IQH] & (run->size - run->stride);
    run->tail = v->reg[R_IQT];
    run->cost = 0;
    run->scans = v->pending.scans;
    run->chunk_count = 0;
    run->chunk_next = 0;
    return run->head != run->tail;
}

/* What is wrong before a descriptor is looked at. */
static VtdIqei run_check(const InvRun *run)
{
    VtdIqei iqei = vtd_queue_mode_check(&run->mode);

    if (iqei != VTD_IQEI_NONE) {
        return iqei;
    }
    if (run->tail % run->stride) {
        return VTD_IQEI_TAIL_ALIGNMENT;
    }
    return run->tail < run->size ? VTD_IQEI_NONE : VTD_IQEI_TAIL_RANGE;
}

static void warn(Vtd *v, const InvRun *run, VtdIqei iqei)
{
    if (iqei == VTD_IQEI_FETCH) {
        viommu_warn_once(&v->parent, VTD_WARN_IQ_FETCH,
                         "the invalidation queue at 0x%" PRIx64
                         " is not in memory", run->base);
    } else {
        viommu_warn_once(&v->parent, VTD_WARN_DESCRIPTOR,
                         "error %u at offset 0x%x of the invalidation queue",
                         iqei, run->head);
    }
}

bool vtd_inv_consume(Vtd *v)
{
    InvRun run;
    VtdIqei iqei;
    bool any;

    lock_acquire(&v->parent.ring_lock);
    any = run_begin(v, &run);
    lock_release(&v->parent.ring_lock);
    if (!any) {
        return false;
    }
    iqei = run_check(&run);
    if (iqei == VTD_IQEI_NONE) {
        iqei = run_some(v, &run);
    }
    look_at_tables(v);          /* what no wait descriptor waited for */
    lock_acquire(&v->parent.ring_lock);
    v->reg[R_IQH] = run.head;
    if (iqei != VTD_IQEI_NONE) {
        v->reg[R_IQERCD] = FIELD_SET(0, IQERCD, IQEI, iqei);
        vtd_event_set(v, VTD_EVENT_FAULT, FIELD_MASK(FSTS, IQE));
    }
    lock_release(&v->parent.ring_lock);
    if (iqei != VTD_IQEI_NONE) {
        warn(v, &run, iqei);
    }
    return iqei == VTD_IQEI_NONE && run.head != run.tail;
}
