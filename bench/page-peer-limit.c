/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The limit: a bare thread that never sleeps. It reads what there is, writes
 * entries, then writes the answers that the guest has put into a ring
 * meanwhile, in one call. No loop, no table, no account.
 */
#include "page-peer-bare.h"

#include "bench.h"

/*
 * After a look that has found nothing. Were it more eager it would find each
 * group alone, with a change of the queue's readiness for each, and be in the
 * devices' way: so a closed loop has its highest throughput, or nearly so.
 */
#define PAUSES 256

/**
 * struct LimitPagePeer - with the guest's answers on their way
 * @answers: from @taken on, as far as @given
 * @hold: the thread is to stand still; @held: it does
 */
typedef struct LimitPagePeer {
    BarePagePeer bare;
    struct iommu_hwpt_page_response answers[PAGE_PEER_SLOTS];
    atomic_bool hold;
    atomic_bool held;
    uint32_t taken;             /* the thread's */
    _Atomic uint32_t given __attribute__((aligned(CAA_CACHE_LINE_SIZE)));
} LimitPagePeer;

static LimitPagePeer *limit_from(PagePeer *peer)
{
    return caa_container_of(peer, LimitPagePeer, bare.peer);
}

static size_t run_requests(BarePagePeer *bare)
{
    size_t count = bare_page_read(bare, BARE_PAGE_BATCH);

    for (size_t i = 0; i < count; i++) {
        bare_page_put(bare, &bare->records[i]);
    }
    if (count > 0) {
        bare_page_publish(bare);
    }
    return count;
}

/* Up to the end of the ring, the rest the next time. */
static size_t run_answers(LimitPagePeer *limit)
{
    /* Acquire: pairs with limit_respond(). */
    uint32_t given = atomic_load_explicit(&limit->given,
                                          memory_order_acquire);
    uint32_t first = limit->taken % PAGE_PEER_SLOTS;
    size_t count = MIN(given - limit->taken, PAGE_PEER_SLOTS - first);

    if (count > 0) {
        bare_page_write(&limit->bare, &limit->answers[first], count);
        limit->taken += count;
    }
    return count;
}

static void stand_still(LimitPagePeer *limit)
{
    atomic_store(&limit->held, true);
    while (atomic_load(&limit->hold)) {
        bench_relax();
    }
    atomic_store(&limit->held, false);
}

static void *limit_run(void *opaque)
{
    LimitPagePeer *limit = opaque;

    bare_page_ready(&limit->bare);
    while (!bare_page_stopped(&limit->bare)) {
        /* Relaxed: the one who sets it waits. */
        if (atomic_load_explicit(&limit->hold, memory_order_relaxed)) {
            stand_still(limit);
        }
        if (run_answers(limit) + run_requests(&limit->bare) == 0) {
            for (unsigned i = 0; i < PAUSES; i++) {
                bench_relax();
            }
        }
    }
    return NULL;
}

static PagePeer *limit_open(const PagePeerOps *ops,
                            const PagePeerConfig *config)
{
    return bare_page_open(ops, config, sizeof(LimitPagePeer), limit_run);
}

/* No more groups are open than there are places. */
static void limit_respond(PagePeer *peer, const uint64_t (*entries)[4],
                          size_t count)
{
    LimitPagePeer *limit = limit_from(peer);
    uint32_t given = atomic_load_explicit(&limit->given,
                                          memory_order_relaxed);

    for (size_t i = 0; i < count; i++) {
        limit->answers[given++ % PAGE_PEER_SLOTS] =
            (struct iommu_hwpt_page_response){
                .cookie = bare_page_cookie(entries[i]),
                .code = IOMMUFD_PAGE_RESP_SUCCESS,
            };
    }
    /* Release: pairs with run_answers(). */
    atomic_store_explicit(&limit->given, given, memory_order_release);
}

static void limit_hold(PagePeer *peer)
{
    LimitPagePeer *limit = limit_from(peer);

    atomic_store(&limit->hold, true);
    while (!atomic_load(&limit->held)) {
        bench_relax();
    }
}

static void limit_release(PagePeer *peer)
{
    atomic_store(&limit_from(peer)->hold, false);
}

const PagePeerOps page_peer_limit = {
    .name = "limit",
    .open = limit_open,
    .close = bare_page_close,
    .raise = page_peer_raise,
    .acknowledge = bare_page_acknowledge,
    .tail = bare_page_tail,
    .set_head = bare_page_set_head,
    .respond = limit_respond,
    .hold = limit_hold,
    .release = limit_release,
};
