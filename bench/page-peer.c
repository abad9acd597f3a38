/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "page-peer.h"

#include "bench.h"
#include "host/iommufd-abi.h"

#define FIRST_RID 0x0100
#define RID_STRIDE 8

/* Group indices have 9 bits, and one device has one group of each. */
#define INDICES 512

static void host_answer(const HardwarePageAnswer *answer, void *opaque)
{
    g_assert(answer->code == IOMMUFD_PAGE_RESP_SUCCESS && !answer->automatic);
    page_peer_answered(opaque, answer->tag);
}

void page_peer_init(PagePeer *peer, const PagePeerOps *ops,
                    const PagePeerConfig *config)
{
    GError *error = NULL;

    peer->ops = ops;
    peer->config = *config;
    peer->host = bench_host_new(config->kernel, &error);
    g_assert_no_error(error);
    peer->host->hardware->set_answer_func(peer->host, host_answer, peer);
    peer->dev_ids = g_new0(uint32_t, config->devices);
    peer_irq_init(&peer->irq);
}

void page_peer_check(PagePeer *peer)
{
    HardwarePageStats stats = peer->host->hardware->get_page_stats(peer->host);
    PageAnswer answer;

    g_assert_cmpuint(stats.answered, ==, stats.raised);
    g_assert_cmpuint(stats.pages, ==, stats.raised);
    g_assert_cmpuint(stats.automatic, ==, 0);
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_false(page_peer_take_answer(peer, &answer));
}

void page_peer_destroy(PagePeer *peer)
{
    peer_irq_destroy(&peer->irq);
    g_free(peer->dev_ids);
}

PageKey page_peer_key(const PagePeer *peer, unsigned slot, uint64_t addr)
{
    unsigned device = slot % peer->config.devices;
    unsigned index = slot / peer->config.devices;

    g_assert(index < INDICES);
    return (PageKey){
        .device = device,
        .rid = FIRST_RID + RID_STRIDE * device,
        .pasid = 1 + index % peer->config.pasids,
        .index = index,
        .addr = addr,
    };
}

unsigned page_peer_entry_slot(const PagePeer *peer, const uint64_t entry[4])
{
    unsigned rid = entry[0] >> 16 & UINT16_MAX;
    unsigned index = entry[1] >> 3 & (INDICES - 1);

    return (rid - FIRST_RID) / RID_STRIDE + index * peer->config.devices;
}

void page_peer_raise(PagePeer *peer, unsigned slot, const PageKey *key)
{
    const HardwarePageRequest request = {
        .dev_id = peer->dev_ids[key->device],
        .pasid = key->pasid,
        .grpid = key->index,
        .perm = IOMMU_PGFAULT_PERM_READ,
        .addr = key->addr,
        .last = true,
        .tag = slot,
    };
    HardwareReport report = peer->host->hardware->request_page(peer->host,
                                                               &request);

    g_assert(report == HARDWARE_QUEUED);
}

void page_peer_answered(PagePeer *peer, unsigned slot)
{
    uint32_t tail = peer->answers_tail++;

    /* There are no more groups than places. */
    peer->answers[tail % PAGE_PEER_SLOTS] = (PageAnswer){
        .slot = slot, .ns = bench_now_ns(),
    };
    /* Release: pairs with page_peer_take_answer(). */
    atomic_store_explicit(&peer->answers_published, tail + 1,
                          memory_order_release);
}

unsigned page_peer_answers(PagePeer *peer)
{
    /* Acquire: pairs with page_peer_answered(). */
    return atomic_load_explicit(&peer->answers_published,
                                memory_order_acquire) - peer->answers_head;
}

bool page_peer_take_answer(PagePeer *peer, PageAnswer *answer)
{
    if (page_peer_answers(peer) == 0) {
        return false;
    }
    *answer = peer->answers[peer->answers_head++ % PAGE_PEER_SLOTS];
    return true;
}
