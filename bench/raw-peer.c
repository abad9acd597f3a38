/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "raw-peer.h"

#include "base/rcu.h"
#include "base/thread.h"

#include <sys/eventfd.h>
#include <unistd.h>

static RawPeer *to_raw(Peer *peer)
{
    return caa_container_of(peer, RawPeer, peer);
}

void raw_ready(RawPeer *raw)
{
    sem_post(&raw->ready);
}

/* Registered with RCU: hosts may have readers. */
static void *raw_thread(void *opaque)
{
    RawPeer *raw = opaque;

    bench_pin(BENCH_CPU_PUMP);
    rcu_register_thread();
    raw->run(raw);
    rcu_unregister_thread();
    return NULL;
}

uint32_t raw_peer_prod(Peer *peer)
{
    return atomic_load(&to_raw(peer)->prod);
}

void raw_peer_set_cons(Peer *peer, uint32_t cons)
{
    atomic_store(&to_raw(peer)->cons, cons);
}

Peer *raw_peer_open(const PeerOps *ops, const PeerConfig *config, size_t size,
                    void *(*run)(void *raw))
{
    RawPeer *raw = g_aligned_alloc0(1, size, CAA_CACHE_LINE_SIZE);
    size_t ring_bytes = (size_t)PEER_ENTRY_BYTES << config->log2_ring;
    int ret;

    raw->peer.ops = ops;
    raw->peer.config = *config;
    queue_rig_open(&raw->rig, event_source_host(config->source),
                   1u << config->log2_ring, PEER_VIRT_ID);
    raw->peer.device = raw->rig.device;
    raw->peer.entries = g_aligned_alloc0(1, ring_bytes, 4096);
    peer_irq_init(&raw->peer.irq);
    raw->buf = g_malloc(ops->batch * RAW_RECORD_BYTES +
                        sizeof(struct iommufd_vevent_header));
    raw->run = run;
    raw->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_assert(raw->stop_fd >= 0);
    sem_init(&raw->ready, 0, 0);
    ret = thread_create(&raw->thread, raw_thread, raw);
    g_assert(ret == 0);
    sem_wait(&raw->ready);
    ret = pthread_getcpuclockid(raw->thread, &raw->peer.cpu_clock);
    g_assert(ret == 0);
    return &raw->peer;
}

void raw_peer_close(Peer *peer)
{
    RawPeer *raw = to_raw(peer);
    ssize_t ret;

    atomic_store_explicit(&raw->stop, true, memory_order_release);
    ret = write(raw->stop_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
    g_assert(ret == sizeof(uint64_t));
    pthread_join(raw->thread, NULL);
    queue_rig_close(&raw->rig);
    peer_irq_destroy(&peer->irq);
    sem_destroy(&raw->ready);
    close(raw->stop_fd);
    g_free(raw->buf);
    g_aligned_free(peer->entries);
    g_aligned_free(raw);
}
