/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saturated drains: readers are held while a queue is filled, then let go and
 * timed until they have emptied it, by their own clock. The guest reads its
 * ring between drains, and finds each event there, in order.
 *
 * Events come from the other CPU, and the guest reads them there, as in life;
 * much of the time is that of moving them from cache to cache. Or, "warm", the
 * reader's own CPU does both while it is held: then the time is what the
 * software takes.
 *
 * Threads: the main thread.
 * Locks:   none.
 */
#ifndef BENCH_DRAIN_H
#define BENCH_DRAIN_H

#include "peer.h"

/* The event queue that Linux's driver asks for, log2: 1 MiB. */
#define DRAIN_LOG2_RING 15

/* Events that are timed, and those behind them so that there is one more read. */
#define DRAIN_EVENTS 8192
#define DRAIN_BEHIND 4096

/**
 * struct Drain - of a peer whose ring has DRAIN_LOG2_RING
 * @warm: see above
 * @tag: of the next event
 * @expected: of the next that the guest reads
 * @cpu_ns: what the peer's thread used in the last drain while it was timed
 */
typedef struct Drain {
    Peer *peer;
    bool warm;
    uint64_t tag;
    uint64_t expected;
    int64_t cpu_ns;
} Drain;

void drain_init(Drain *drain, Peer *peer, bool warm);

/* Fill, time, read. Return: ns for DRAIN_EVENTS. */
int64_t drain_once(Drain *drain);

/* The median of @count drains, after a few that do not count. Return: ns. */
double drain_median(Drain *drain, unsigned count);

#endif
