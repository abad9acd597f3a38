/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RawPeer: what all peers but vpump stand on: a vEVENTQ, a ring in guest memory
 * with bare indices, a buffer, a thread. The ring is written as vpump's is: four
 * stores an entry, then PROD (release), then an interrupt.
 *
 * Threads: raw_peer_*() on the main thread; raw_*() on the peer's own. PROD is
 *          the peer's, CONS the guest's, in cache lines of their own.
 * Locks:   none.
 */
#ifndef BENCH_RAW_PEER_H
#define BENCH_RAW_PEER_H

#include "bench.h"
#include "peer.h"
#include "queue-rig.h"

#include "host/iommufd-abi.h"
#include "hw/iommu/guest-mem.h"

#include <semaphore.h>
#include <string.h>
#include <urcu/arch.h>
#include <urcu/compiler.h>

/* Bytes of an event in a read. */
#define RAW_RECORD_BYTES \
    (sizeof(struct iommufd_vevent_header) + PEER_ENTRY_BYTES)

/**
 * struct RawPeer - first in the peers' own structures
 * @stop: the thread shall end; whoever sleeps is woken by @stop_fd
 * @next: PROD with its wrap bit, before it is published
 */
typedef struct RawPeer {
    Peer peer;
    QueueRig rig;
    uint8_t *buf;               /* [const] @batch records and a header */
    void *(*run)(void *raw);    /* [const] */
    pthread_t thread;
    sem_t ready;
    int stop_fd;                /* [const] an eventfd */
    atomic_bool stop;
    uint32_t next;              /* the thread's */
    _Atomic uint32_t prod __attribute__((aligned(CAA_CACHE_LINE_SIZE)));
    _Atomic uint32_t cons __attribute__((aligned(CAA_CACHE_LINE_SIZE)));
} RawPeer;

/**
 * raw_peer_open() - allocate @size bytes, the first of which are a RawPeer;
 * open its queue, start its thread
 * @run: the thread, pinned already; its argument is the RawPeer; it calls
 *       raw_ready() when events are carried from then on, and returns soon
 *       after @stop
 */
Peer *raw_peer_open(const PeerOps *ops, const PeerConfig *config, size_t size,
                    void *(*run)(void *raw));
void raw_peer_close(Peer *peer);
uint32_t raw_peer_prod(Peer *peer);
void raw_peer_set_cons(Peer *peer, uint32_t cons);

#define RAW_PEER_GUEST \
    .close = raw_peer_close, \
    .prod = raw_peer_prod, \
    .set_cons = raw_peer_set_cons

void raw_ready(RawPeer *raw);

static inline bool raw_stopped(RawPeer *raw)
{
    return atomic_load_explicit(&raw->stop, memory_order_acquire);
}

/* A read of up to so many records. Return: bytes. */
static inline size_t raw_read(RawPeer *raw, unsigned records)
{
    HostIommu *host = raw->rig.host;
    ssize_t ret = host->ops->read(host, raw->rig.fd, raw->buf,
                                  records * RAW_RECORD_BYTES +
                                      sizeof(struct iommufd_vevent_header));

    g_assert(ret >= 0);
    return ret;
}

static inline uint32_t raw_room(RawPeer *raw)
{
    const uint32_t size = UINT32_C(1) << raw->peer.config.log2_ring;
    /* Acquire: pairs with raw_peer_set_cons(): those entries are free. */
    uint32_t cons = atomic_load_explicit(&raw->cons, memory_order_acquire);

    return size - ((raw->next - cons) & ((size << 1) - 1));
}

/* Write @count events of a read behind the last entry, where there is room. */
static inline void raw_put(RawPeer *raw, const uint8_t *event, uint32_t count)
{
    const uint32_t mask = (UINT32_C(1) << raw->peer.config.log2_ring) - 1;
    uint64_t *entries = raw->peer.entries;
    uint32_t next = raw->next;

    event += sizeof(struct iommufd_vevent_header);
    for (uint32_t i = 0; i < count; i++) {
        guest_words_copy(&entries[(next++ & mask) * 4],
                         event + i * RAW_RECORD_BYTES, 4);
    }
    raw->next = next & (mask << 1 | 1);
}

/*
 * What was put is the guest's. Return: whether it had read all before, so that
 * it needs an interrupt. Sequentially consistent: either the guest's CONS is
 * seen here, or the new PROD by the guest, which looks at it after CONS.
 */
static inline bool raw_publish(RawPeer *raw)
{
    uint32_t before = atomic_load_explicit(&raw->prod, memory_order_relaxed);

    atomic_store(&raw->prod, raw->next);
    return atomic_load(&raw->cons) == before;
}

/* All events of a read into the ring, as far as there is room. */
static inline void raw_take(RawPeer *raw, size_t bytes)
{
    uint32_t count = MIN(bytes / RAW_RECORD_BYTES, raw_room(raw));

    raw_put(raw, raw->buf, count);
    if (count > 0 && raw_publish(raw)) {
        peer_irq_raise(&raw->peer.irq);
    }
}

#endif
