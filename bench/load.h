/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An open-loop load: events that are due at times of their own, whatever became
 * of those before. The main thread reports them, and meanwhile is the guest,
 * which reads its ring when an interrupt comes, until it is empty.
 *
 * A latency counts from when the event was due, also if this thread came round
 * to it later: then what is late is not what is measured alone, but it is never
 * left out (coordinated omission). How late reports are is measured too.
 *
 * An event that is lost, as its queue was full, has no latency; a peer that
 * loses, doubles or reorders any other ends the program.
 *
 * Threads: the main thread.
 * Locks:   none.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "histogram.h"
#include "peer.h"

/**
 * struct LoadResult - of the events after the warm-up; times in ns
 * @entries: from due until the guest has read the entry
 * @interrupts: from due until the peer raised the interrupt for it; of events
 *              for which one came alone
 * @late: from due until reported
 * @offered: how many were due
 * @lost: how many of these were lost
 * @cpu_ns: what the peer's thread used until the guest had read all
 * @wall_ns: as long as that was
 */
typedef struct LoadResult {
    HistogramSnapshot entries;
    HistogramSnapshot interrupts;
    HistogramSnapshot late;
    uint64_t offered;
    uint64_t lost;
    int64_t cpu_ns;
    int64_t wall_ns;
} LoadResult;

/**
 * load_run() - report @rate events a second for @seconds, 1/10 of it warm-up
 *
 * They are spaced evenly but for a random part of their interval, the same in
 * each run: so no timer keeps in step with them.
 *
 * @result is overwritten.
 */
void load_run(Peer *peer, uint64_t rate, double seconds, LoadResult *result);

#endif
