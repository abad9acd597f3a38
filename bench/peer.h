/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Peer: a way of carrying the events of one vEVENTQ into a guest's ring: that
 * of other monitors and event libraries, the limit, or vpump itself. Each has a
 * thread of its own on BENCH_CPU_PUMP, and is looked at by its guest alone: the
 * ring, its indices, the interrupt.
 *
 * Of vpump it is the whole: IOThread, vIOMMU, device map, accounting. Of the
 * others only what carries records, over the same iommufd objects and with the
 * same writes to the ring: they look no device up, and account for nothing.
 *
 * Threads: the main thread. What peers do on their own is in their files.
 * Locks:   theirs.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "base/lock.h"
#include "event-source.h"
#include "peer-irq.h"

#include <time.h>

typedef struct Peer Peer;

/* Bytes of an entry of the ring: an SMMUv3 event record. */
#define PEER_ENTRY_BYTES 32

/* The StreamID of a peer's device. */
#define PEER_VIRT_ID 1

/**
 * struct PeerConfig - what a peer is made of; copied
 * @source: borrowed
 * @log2_ring: entries of the guest's ring, log2
 * @big: the monitor's big lock, of LOCK_RANK_BIG, which others take too; used
 *       by the peers whose originals do
 */
typedef struct PeerConfig {
    EventSource *source;
    unsigned log2_ring;
    Lock *big;
} PeerConfig;

/**
 * struct PeerOps - a competitor
 * @name: as in the figures: "limit", "vpump", "libuv-64", ...
 * @batch: records per read
 * @open: Return: a peer that carries events from now on
 * @close: Context: nobody reports
 * @prod, @set_cons: the guest's accesses: of indices with wrap bit, as in
 *                   SMMU_EVENTQ_PROD and _CONS
 */
typedef struct PeerOps {
    const char *name;
    unsigned batch;
    Peer *(*open)(const struct PeerOps *ops, const PeerConfig *config);
    void (*close)(Peer *peer);
    uint32_t (*prod)(Peer *peer);
    void (*set_cons)(Peer *peer, uint32_t cons);
} PeerOps;

/**
 * struct Peer - base of the peers' own structures
 * @device: whose events it carries
 * @entries: the ring, 4 words each
 * @irq: what it interrupts the guest by
 * @cpu_clock: of its thread
 */
struct Peer {
    const PeerOps *ops;         /* [const] */
    PeerConfig config;          /* [const] */
    SourceDevice device;        /* [const] */
    uint64_t *entries;          /* [const] */
    PeerIrq irq;
    clockid_t cpu_clock;        /* [const] */
    uint32_t cons;              /* the guest's: next entry to read */
};

/*
 * All, in the order in which they are measured: those that are compared most
 * are next to each other, so that the machine is the same for both.
 */
extern const PeerOps *const peers[];
extern const size_t peers_count;

/* NULL if there is none of that name. */
const PeerOps *peer_find(const char *name);

/* CPU time of its thread, ns. */
int64_t peer_cpu_ns(const Peer *peer);

typedef void PeerEntryFunc(void *opaque, const uint64_t entry[4]);

/**
 * peer_consume() - the guest reads its ring until it is empty, as a driver's
 * interrupt handler: PROD, the entries up to it, CONS, PROD again
 * @func: called for each entry; may be NULL
 *
 * Return: entries.
 */
uint64_t peer_consume(Peer *peer, PeerEntryFunc *func, void *opaque);

#endif
