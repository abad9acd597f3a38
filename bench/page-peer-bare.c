/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "page-peer-bare.h"

#include "base/rcu.h"
#include "base/thread.h"
#include "bench.h"

#include <sys/eventfd.h>

static BarePagePeer *bare_from(PagePeer *peer)
{
    return caa_container_of(peer, BarePagePeer, peer);
}

static void *bare_thread(void *opaque)
{
    BarePagePeer *bare = opaque;

    bench_pin(BENCH_CPU_PUMP);
    rcu_register_thread();
    bare->run(bare);
    rcu_unregister_thread();
    return NULL;
}

static void open_queue(BarePagePeer *bare)
{
    PagePeer *peer = &bare->peer;

    page_rig_open(&bare->rig, peer->host, peer->config.devices,
                  peer->config.pasids);
    for (unsigned i = 0; i < peer->config.devices; i++) {
        uint32_t id = vfio_device_get_dev_id(bare->rig.devices->pdata[i]);

        g_assert(id < BARE_PAGE_IDS);
        bare->rids[id] = page_peer_key(peer, i, 0).rid;
        peer->dev_ids[i] = id;
    }
}

static void start_thread(BarePagePeer *bare)
{
    int ret;

    bare->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_assert(bare->stop_fd >= 0);
    sem_init(&bare->ready, 0, 0);
    ret = thread_create(&bare->thread, bare_thread, bare);
    g_assert(ret == 0);
    while (sem_wait(&bare->ready) < 0) {
        continue;
    }
}

PagePeer *bare_page_open(const PagePeerOps *ops, const PagePeerConfig *config,
                         size_t size, void *(*run)(void *bare))
{
    BarePagePeer *bare = g_aligned_alloc0(1, size, CAA_CACHE_LINE_SIZE);

    page_peer_init(&bare->peer, ops, config);
    bare->run = run;
    bare->peer.entries = g_new0(uint64_t, PAGE_PEER_ENTRIES *
                                              PAGE_PEER_ENTRY_WORDS);
    open_queue(bare);
    start_thread(bare);
    return &bare->peer;
}

void bare_page_close(PagePeer *peer)
{
    BarePagePeer *bare = bare_from(peer);
    const uint64_t one = 1;
    ssize_t ret;

    page_peer_check(peer);
    atomic_store(&bare->stop, true);
    ret = write(bare->stop_fd, &one, sizeof(one));
    g_assert(ret == sizeof(one));
    pthread_join(bare->thread, NULL);
    close(bare->stop_fd);
    sem_destroy(&bare->ready);
    page_rig_close(&bare->rig);
    g_assert_cmpuint(peer->host->hardware->count_left(peer->host), ==, 0);
    host_iommu_free(peer->host);
    page_peer_destroy(peer);
    g_free(peer->entries);
    g_aligned_free(bare);
}

void bare_page_ready(BarePagePeer *bare)
{
    sem_post(&bare->ready);
}

void bare_page_acknowledge(PagePeer *peer)
{
    atomic_store(&bare_from(peer)->pending, false);
}

uint32_t bare_page_tail(PagePeer *peer)
{
    /* Acquire: pairs with bare_page_publish(). */
    return atomic_load_explicit(&bare_from(peer)->tail,
                                memory_order_acquire) % PAGE_PEER_ENTRIES;
}

void bare_page_set_head(PagePeer *peer, uint32_t head)
{
    /* Release: those entries are free. There are more than open groups. */
    atomic_store_explicit(&bare_from(peer)->head, head, memory_order_release);
}
