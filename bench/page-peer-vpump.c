/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vpump as it is: a VT-d unit, its guest's tables with a directory per device,
 * an IOThread. The guest's responses go by the invalidation queue, those of one
 * round by one write of IQT with a wait descriptor behind them, as ours and
 * Linux's hand over what they have.
 */
#include "page-peer.h"

#include "bench.h"
#include "hw/iommu/sva-device.h"
#include "vtd-fixture.h"
#include "vtd-tables.h"

#define LOG2_ENTRIES 11
#define PQS (LOG2_ENTRIES - 7)
G_STATIC_ASSERT(PAGE_PEER_ENTRIES == 1 << LOG2_ENTRIES);

/* The PASIDs that come and go, of the first device; its table is there. */
#define CHURN_FIRST 65
#define CHURN_COUNT 60
#define CHURN_DID 2

typedef struct VpumpPeer {
    PagePeer peer;
    IOThread *iothread;
    VtdFixture *f;
    VtdTables tables;
    uint64_t space;             /* every PASID's first-stage table */
    uint64_t raised;
    unsigned churn;
    atomic_bool hold;           /* the iothread is to stand still */
    atomic_bool held;           /* and does */
    AioContext *device_ctx;     /* of an emulated device, on this thread */
    SvaDevice *sva;
    SvaGroup groups[PAGE_PEER_SLOTS];
    Pgfault pages[PAGE_PEER_SLOTS];
} VpumpPeer;

static VpumpPeer *vpump_from(PagePeer *peer)
{
    return caa_container_of(peer, VpumpPeer, peer);
}

static void irq_raised(void *opaque)
{
    peer_irq_raise(opaque);
}

static void pin_bh(void *opaque)
{
    bench_pin(BENCH_CPU_PUMP);
}

static void start_iothread(VpumpPeer *v)
{
    IOThreadProperties properties = IOTHREAD_PROPERTIES_DEFAULT;
    GError *error = NULL;

    properties.poll_max_ns = v->peer.config.poll_max_ns;
    v->iothread = iothread_new("bench", &properties, &error);
    g_assert_no_error(error);
    aio_wait_bh_oneshot(iothread_get_aio_context(v->iothread), pin_bh,
                        NULL);
}

/* As Linux's driver has it before devices are looked at. */
static void start_guest(VpumpPeer *v)
{
    vtd_tables_init(&v->tables, v->f->ram, GUEST_RAM, VTD_GUEST_FREE,
                    GUEST_RAM + GUEST_RAM_SIZE);
    v->space = vtd_tables_alloc(&v->tables, 1);
    vtd_guest_enable_iq(v->f, 1, true);
    vtd_guest_write64(v->f, A_RTADDR, FIELD_SET(v->tables.root, RTADDR, TTM,
                                                TTM_SCALABLE));
    vtd_guest_command(v->f, FIELD_MASK(GCMD, SRTP), true);
    vtd_guest_enable_prq(v->f, PQS);
    vtd_guest_enable_faults(v->f);
    vtd_guest_command(v->f, FIELD_MASK(GCMD, TE), true);
}

/* Its entries, of which nothing is cached: no device is there yet. */
static void make_tables(VpumpPeer *v, uint16_t rid)
{
    vtd_tables_set_context(&v->tables, rid, VTD_CONTEXT_SVA, 0);
    vtd_tables_set_pass_through(&v->tables, rid, 0, 1);
    for (unsigned i = 0; i < v->peer.config.pasids; i++) {
        vtd_tables_set_first_stage(&v->tables, rid, 1 + i, 1, v->space);
    }
}

/* The unit, its guest, and tables for devices that are not there yet. */
static VpumpPeer *vpump_new(const PagePeerOps *ops,
                            const PagePeerConfig *config)
{
    VpumpPeer *v = g_aligned_alloc0(1, sizeof(*v), CAA_CACHE_LINE_SIZE);

    page_peer_init(&v->peer, ops, config);
    start_iothread(v);
    v->f = vtd_fixture_new_in(v->peer.host, NULL,
                              iothread_get_aio_context(v->iothread));
    v->f->irq.opaque = &v->peer.irq;
    v->f->irq.raised = irq_raised;
    v->peer.entries = vtd_guest_words(v->f, VTD_GUEST_PRQ);
    start_guest(v);
    for (unsigned i = 0; i < config->devices; i++) {
        make_tables(v, page_peer_key(&v->peer, i, 0).rid);
    }
    return v;
}

static void check_books(VpumpPeer *v)
{
    ViommuPageStats stats = viommu_get_page_stats(v->f->viommu);

    g_assert_cmpuint(stats.raised, ==, v->raised);
    g_assert_cmpuint(stats.answered, ==, v->raised);
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpuint(stats.stray, ==, 0);
    g_assert_cmpuint(stats.overflows, ==, 0);
}

static void vpump_close(PagePeer *peer)
{
    VpumpPeer *v = vpump_from(peer);

    check_books(v);
    page_peer_check(peer);
    if (v->sva) {
        viommu_remove_sva_device(v->sva);
        aio_context_unref(v->device_ctx);
    }
    vtd_fixture_free(v->f);     /* and the host */
    iothread_stop(v->iothread);
    page_peer_destroy(peer);
    g_aligned_free(v);
}

static void vpump_raise(PagePeer *peer, unsigned slot, const PageKey *key)
{
    vpump_from(peer)->raised++;
    page_peer_raise(peer, slot, key);
}

static void vpump_acknowledge(PagePeer *peer)
{
    vtd_guest_write32(vpump_from(peer)->f, A_PRS, FIELD_MASK(PRS, PPR));
}

static uint32_t vpump_tail(PagePeer *peer)
{
    return vtd_guest_read64(vpump_from(peer)->f, A_PQT) /
           GUEST_BYTE_RING_ENTRY;
}

static void vpump_set_head(PagePeer *peer, uint32_t head)
{
    vtd_guest_write64(vpump_from(peer)->f, A_PQH,
                      head * GUEST_BYTE_RING_ENTRY);
}

static void vpump_respond(PagePeer *peer, const uint64_t (*entries)[4],
                          size_t count)
{
    VtdFixture *f = vpump_from(peer)->f;

    for (size_t i = 0; i < count; i++) {
        uint64_t word0 = VTD_DESC_PAGE_RESPONSE;

        word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, RID,
                          entries[i][0] >> 16 & 0xffff);
        word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, PP, 1);
        word0 = FIELD_SET(word0, DESC0, PASID, entries[i][0] >> 32 & 0xfffff);
        vtd_guest_put(f, word0, FIELD_SET(0, PAGE_RESPONSE_DESC1, PRGI,
                                          entries[i][1] >> 3 & 0x1ff));
    }
    vtd_guest_submit_put(f, 0);
}

/* A bottom half that lasts. */
static void hold_bh(void *opaque)
{
    VpumpPeer *v = opaque;

    atomic_store(&v->held, true);
    while (atomic_load(&v->hold)) {
        bench_relax();
    }
    atomic_store(&v->held, false);
}

static void vpump_hold(PagePeer *peer)
{
    VpumpPeer *v = vpump_from(peer);
    bool scheduled;

    atomic_store(&v->hold, true);
    scheduled = aio_bh_schedule_oneshot(iothread_get_aio_context(v->iothread),
                                        hold_bh, v);
    g_assert(scheduled);
    while (!atomic_load(&v->held)) {
        bench_relax();
    }
}

static void vpump_release(PagePeer *peer)
{
    atomic_store(&vpump_from(peer)->hold, false);
}

static PagePeer *host_open(const PagePeerOps *ops,
                           const PagePeerConfig *config)
{
    VpumpPeer *v = vpump_new(ops, config);

    for (unsigned i = 0; i < config->devices; i++) {
        uint16_t rid = page_peer_key(&v->peer, i, 0).rid;

        v->peer.dev_ids[i] =
            vfio_device_get_dev_id(vtd_fixture_plug(v->f, rid));
    }
    return &v->peer;
}

const PagePeerOps page_peer_vpump = {
    .name = "vpump",
    .open = host_open,
    .close = vpump_close,
    .raise = vpump_raise,
    .acknowledge = vpump_acknowledge,
    .tail = vpump_tail,
    .set_head = vpump_set_head,
    .respond = vpump_respond,
    .hold = vpump_hold,
    .release = vpump_release,
};

/* ---- An emulated device ---- */

static void sva_responded(void *opaque, SvaGroup *group)
{
    VpumpPeer *v = opaque;

    g_assert(group->code == PAGE_RESPONSE_SUCCESS);
    page_peer_answered(&v->peer, group - v->groups);
}

static PagePeer *sva_open(const PagePeerOps *ops, const PagePeerConfig *config)
{
    VpumpPeer *v = vpump_new(ops, config);
    SvaDeviceConfig device = {
        .name = "bench", .credits = PAGE_PEER_SLOTS,
        .responded = sva_responded, .opaque = v,
    };
    GError *error = NULL;

    g_assert(config->devices == 1);
    v->device_ctx = aio_context_new(&error);
    g_assert_no_error(error);
    aio_context_bind(v->device_ctx);
    device.ctx = v->device_ctx;
    device.virt_id = page_peer_key(&v->peer, 0, 0).rid;
    v->sva = viommu_add_sva_device(v->f->viommu, &device, &error);
    g_assert_no_error(error);
    return &v->peer;
}

static void sva_raise(PagePeer *peer, unsigned slot, const PageKey *key)
{
    VpumpPeer *v = vpump_from(peer);
    bool raised;

    v->raised++;
    v->pages[slot] = (Pgfault){
        .addr = key->addr, .perm = PGFAULT_PERM_READ,
    };
    v->groups[slot] = (SvaGroup){
        .pasid = key->pasid, .index = key->index, .count = 1,
        .pages = &v->pages[slot],
    };
    raised = viommu_page_request(v->sva, &v->groups[slot]);
    g_assert(raised);
}

static void sva_poll(PagePeer *peer)
{
    aio_poll(vpump_from(peer)->device_ctx, false);
}

const PagePeerOps page_peer_sva = {
    .name = "vpump",
    .open = sva_open,
    .close = vpump_close,
    .raise = sva_raise,
    .acknowledge = vpump_acknowledge,
    .tail = vpump_tail,
    .set_head = vpump_set_head,
    .respond = vpump_respond,
    .poll = sva_poll,
};

/* ---- PASIDs that come and go ---- */

/* Not present any more: what Linux invalidates then, and has drained. */
static void remove_pasid(VpumpPeer *v, uint16_t rid, uint32_t pasid)
{
    VtdFixture *f = v->f;

    vtd_tables_clear_pasid(&v->tables, rid, pasid);
    vtd_guest_submit(f, vtd_desc_pasid_cache(PASID_CACHE_G_PASID, CHURN_DID,
                                             pasid), 0);
    vtd_guest_submit(f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PASID, CHURN_DID,
                                             pasid), 0);
    vtd_guest_submit_put(f, FIELD_MASK(WAIT_DESC0, PD));
}

void page_peer_churn(PagePeer *peer)
{
    VpumpPeer *v = vpump_from(peer);
    uint16_t rid = page_peer_key(peer, 0, 0).rid;
    uint32_t pasid = CHURN_FIRST + v->churn++ % CHURN_COUNT;

    vtd_tables_set_first_stage(&v->tables, rid, pasid, CHURN_DID, v->space);
    vtd_guest_submit(v->f, vtd_desc_pasid_cache(PASID_CACHE_G_PASID,
                                                CHURN_DID, pasid), 0);
    remove_pasid(v, rid, pasid);
}
