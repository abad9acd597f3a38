/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * BarePagePeer: what all peers but vpump stand on: a fault queue, the guest's
 * queue in bare memory, a thread.
 *
 * Threads: bare_page_*() on the main thread; the inline functions on the peer's
 *          own. The tail is the peer's, the head the guest's.
 * Locks:   none.
 */
#ifndef BENCH_PAGE_PEER_BARE_H
#define BENCH_PAGE_PEER_BARE_H

#include "page-peer.h"
#include "page-rig.h"

#include "host/iommufd-abi.h"
#include "hw/iommu/guest-mem.h"

#include <semaphore.h>
#include <string.h>
#include <unistd.h>

/* Records and answers of one call: as vpump's. */
#define BARE_PAGE_BATCH 512

/* Host IDs are below this: one look into an array gives a device's RID. */
#define BARE_PAGE_IDS 4096

#define BARE_PAGE_RECORD_BYTES sizeof(struct iommu_hwpt_pgfault)

/**
 * struct BarePagePeer - first in the peers' own structures
 * @stop: the thread shall end; whoever sleeps is woken by @stop_fd
 * @next: the tail before it is published
 * @pending: PRS.PPR: the guest was interrupted and has not looked yet
 */
typedef struct BarePagePeer {
    PagePeer peer;
    PageRig rig;
    void *(*run)(void *bare);   /* [const] */
    pthread_t thread;
    sem_t ready;
    int stop_fd;                /* [const] an eventfd */
    atomic_bool stop;
    uint16_t rids[BARE_PAGE_IDS];       /* [const] */
    struct iommu_hwpt_pgfault records[BARE_PAGE_BATCH];
    uint32_t next;
    _Atomic uint32_t tail __attribute__((aligned(CAA_CACHE_LINE_SIZE)));
    atomic_bool pending;
    _Atomic uint32_t head __attribute__((aligned(CAA_CACHE_LINE_SIZE)));
} BarePagePeer;

/**
 * bare_page_open() - allocate @size bytes, the first of which are a
 * BarePagePeer; open its queue, start its thread
 * @run: the thread, pinned already. It calls bare_page_ready() first, and
 *       returns soon after @stop
 */
PagePeer *bare_page_open(const PagePeerOps *ops, const PagePeerConfig *config,
                         size_t size, void *(*run)(void *bare));
void bare_page_close(PagePeer *peer);
void bare_page_acknowledge(PagePeer *peer);
uint32_t bare_page_tail(PagePeer *peer);
void bare_page_set_head(PagePeer *peer, uint32_t head);

void bare_page_ready(BarePagePeer *bare);

/* The host's cookie: in the entry, and in the guest's response. */
static inline uint32_t bare_page_cookie(const uint64_t entry[4])
{
    return entry[2];
}

static inline bool bare_page_stopped(BarePagePeer *bare)
{
    return atomic_load_explicit(&bare->stop, memory_order_acquire);
}

/* Return: records. */
static inline size_t bare_page_read(BarePagePeer *bare, size_t records)
{
    HostIommu *host = bare->peer.host;
    ssize_t ret = host->ops->read(host, bare->rig.fd, bare->records,
                                  records * BARE_PAGE_RECORD_BYTES);

    g_assert(ret >= 0);
    return ret / BARE_PAGE_RECORD_BYTES;
}

static inline void bare_page_write(BarePagePeer *bare,
                                   const struct iommu_hwpt_page_response *out,
                                   size_t count)
{
    HostIommu *host = bare->peer.host;
    ssize_t ret = host->ops->write(host, bare->rig.fd, out,
                                   count * sizeof(*out));

    g_assert(ret == (ssize_t)(count * sizeof(*out)));
}

/* Write an entry behind the last. */
static inline void bare_page_put(BarePagePeer *bare,
                                 const struct iommu_hwpt_pgfault *record)
{
    const PageKey key = {
        .rid = bare->rids[record->dev_id],
        .pasid = record->pasid, .index = record->grpid, .addr = record->addr,
    };
    uint64_t words[4];

    page_peer_make_entry(&key, words);
    words[2] = record->cookie;
    guest_words_store(
        &bare->peer.entries[bare->next % PAGE_PEER_ENTRIES * 4], words, 4);
    bare->next++;
}

/* What was put is the guest's; an interrupt, unless one is pending. */
static inline void bare_page_publish(BarePagePeer *bare)
{
    /* Release: pairs with bare_page_tail(). */
    atomic_store_explicit(&bare->tail, bare->next, memory_order_release);
    if (!atomic_exchange(&bare->pending, true)) {
        peer_irq_raise(&bare->peer.irq);
    }
}

#endif
