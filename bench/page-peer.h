/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PagePeer: a way of carrying page requests from devices into a guest's queue,
 * and its responses back: the limit, QEMU's, or vpump itself. Each has a thread
 * of its own on BENCH_CPU_PUMP. The main thread is what is around it: devices,
 * which raise groups of one page and hear of answers, and a guest, which has
 * nothing but the queue, its registers and the interrupt.
 *
 * Of vpump it is the whole: a VT-d unit on an IOThread, with its guest's
 * tables, which are walked for each request, its table of open groups,
 * accounting, an invalidation queue. The others carry records over the same
 * iommufd objects, and write the same entries. They look nothing up: the host's
 * cookie is in an unused word of the entry, and the guest gives it back.
 *
 * Threads: the main thread; page_peer_answered() on any, one at a time.
 * Locks:   the peers'.
 */
#ifndef BENCH_PAGE_PEER_H
#define BENCH_PAGE_PEER_H

#include "base/lock.h"
#include "host/hardware.h"
#include "peer-irq.h"

#include <glib.h>
#include <urcu/arch.h>
#include <urcu/compiler.h>

/* Entries of the guest's queue: as many as Linux gives it. */
#define PAGE_PEER_ENTRIES 2048
#define PAGE_PEER_ENTRY_WORDS 4

/* The most responses that a guest hands over at once. */
#define PAGE_PEER_BATCH 64

/* The most groups that are open at a time. */
#define PAGE_PEER_SLOTS 1024

typedef struct PagePeer PagePeer;

/**
 * struct PagePeerConfig - what a peer is made of; copied
 * @devices: up to 32
 * @pasids: of each of them, up to 64
 * @kernel: on the kernel's mock driver, not the emulated host
 * @poll_max_ns: of vpump's IOThread
 * @big: the monitor's big lock, of LOCK_RANK_BIG; used by whose original does
 */
typedef struct PagePeerConfig {
    unsigned devices;
    unsigned pasids;
    bool kernel;
    int64_t poll_max_ns;
    Lock *big;
} PagePeerConfig;

/**
 * struct PageKey - how host and guest name the group of a slot
 * @device: 0 on; the host's ID of it is PagePeer::dev_ids[]
 * @addr: of its page; the tag of this request
 */
typedef struct PageKey {
    unsigned device;
    uint16_t rid;
    uint32_t pasid;
    uint32_t index;
    uint64_t addr;
} PageKey;

/**
 * struct PagePeerOps - a competitor
 * @name: as in the figures
 * @close: Context: all groups are answered. Aborts if its books say otherwise.
 * @raise: a device asks for a page; the group is answered once
 * @acknowledge: the guest's interrupt handler begins: PRS.PPR is cleared
 * @tail: PQT, as an index
 * @set_head: PQH, likewise
 * @respond: Success to the groups of @count entries, in the peer's own form
 * @poll: what the devices' own event loop has to do; may be NULL
 * @hold, @release: from the one's return to the other's call the thread does
 *                  nothing; may be NULL
 */
typedef struct PagePeerOps {
    const char *name;
    PagePeer *(*open)(const struct PagePeerOps *ops,
                      const PagePeerConfig *config);
    void (*close)(PagePeer *peer);
    void (*raise)(PagePeer *peer, unsigned slot, const PageKey *key);
    void (*acknowledge)(PagePeer *peer);
    uint32_t (*tail)(PagePeer *peer);
    void (*set_head)(PagePeer *peer, uint32_t head);
    void (*respond)(PagePeer *peer, const uint64_t (*entries)[4],
                    size_t count);
    void (*poll)(PagePeer *peer);
    void (*hold)(PagePeer *peer);
    void (*release)(PagePeer *peer);
} PagePeerOps;

/* An answer at the device: to which slot, and when. */
typedef struct PageAnswer {
    unsigned slot;
    int64_t ns;
} PageAnswer;

/**
 * struct PagePeer - base of the peers' own structures, zeroed
 * @entries: the queue
 * @answers: from @answers_head on, as far as @answers_tail: not yet looked at
 */
struct PagePeer {
    const PagePeerOps *ops;     /* [const] */
    PagePeerConfig config;      /* [const] */
    HostIommu *host;            /* [const] */
    uint32_t *dev_ids;          /* [const] */
    uint64_t *entries;          /* [const] */
    PeerIrq irq;
    uint32_t answers_head;      /* the main thread's */
    uint32_t answers_tail __attribute__((aligned(CAA_CACHE_LINE_SIZE)));
    _Atomic uint32_t answers_published;
    PageAnswer answers[PAGE_PEER_SLOTS];
};

extern const PagePeerOps page_peer_limit;
extern const PagePeerOps page_peer_qemu;
extern const PagePeerOps page_peer_vpump;

/* vpump's with an emulated device instead of the host's. */
extern const PagePeerOps page_peer_sva;

/* For vpump's: change PASIDs that nobody uses: one comes, and goes again. */
void page_peer_churn(PagePeer *peer);

/* With a host, the peer's, whose answers page_peer_answered() has. */
void page_peer_init(PagePeer *peer, const PagePeerOps *ops,
                    const PagePeerConfig *config);
void page_peer_destroy(PagePeer *peer);

/* Abort unless what the host has taken in was answered by the guest, once. */
void page_peer_check(PagePeer *peer);

/* The name of the @slot's group; its page is @addr. */
PageKey page_peer_key(const PagePeer *peer, unsigned slot, uint64_t addr);

/* The slot that an entry of the guest's queue is about. */
unsigned page_peer_entry_slot(const PagePeer *peer, const uint64_t entry[4]);

/* PagePeerOps::raise of a host's device. */
void page_peer_raise(PagePeer *peer, unsigned slot, const PageKey *key);

/* The group of @slot is answered, at the device, now. */
void page_peer_answered(PagePeer *peer, unsigned slot);

/* How many can be taken. */
unsigned page_peer_answers(PagePeer *peer);

/* Return: false if there is none. */
bool page_peer_take_answer(PagePeer *peer, PageAnswer *answer);

/* VT-d's page_req_dsc of one page, the only one of its group. */
static inline void page_peer_make_entry(const PageKey *key, uint64_t words[4])
{
    enum { TYPE = 0x01, PP = 1 << 8, READ = 1 << 0, LAST = 1 << 2 };

    words[0] = TYPE | PP | (uint64_t)key->rid << 16 |
               (uint64_t)key->pasid << 32;
    words[1] = key->addr | READ | LAST | key->index << 3;
    words[2] = 0;
    words[3] = 0;
}

#endif
