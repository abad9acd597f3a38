/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PageWorld: the devices and the guest around a PagePeer, on one thread that
 * spins, as a vCPU that runs. It raises groups, has the guest's interrupt
 * handler run when there was an interrupt, and takes answers; it verifies that
 * every entry is one that was asked for, and every answer one that was due.
 *
 * Threads: the main thread.
 * Locks:   the peer's.
 */
#ifndef BENCH_PAGE_WORLD_H
#define BENCH_PAGE_WORLD_H

#include "page-peer.h"

#include "histogram.h"

typedef struct PageWorld PageWorld;

/**
 * struct PageChurn - calls of page_peer_churn()
 * @count: of calls
 * @mean_ns: of a call
 * @share: of all the time that a measurement took
 */
typedef struct PageChurn {
    uint64_t count;
    double mean_ns;
    double share;
} PageChurn;

/* @peer: borrowed; all of its slots are free. */
PageWorld *page_world_new(PagePeer *peer);

/* Waits until all groups are answered. */
void page_world_free(PageWorld *world);

/* Round trips of the next measurement go there; NULL: nowhere. */
void page_world_record(PageWorld *world, Histogram *histogram);

/**
 * page_world_trips() - one group after the other
 * @pause_ns: from an answer to when the next one is due
 */
void page_world_trips(PageWorld *world, uint64_t count, int64_t pause_ns);

/**
 * page_world_capacity() - the pump alone, by its own time
 * @count: groups are raised while it is held; then it is let go, and timed
 *         until the guest sees all. So are their answers: from when the guest
 *         has given all of them
 *
 * Return: groups per second of that time, in the median round.
 */
double page_world_capacity(PageWorld *world, unsigned count,
                           int64_t duration_ns);

/**
 * page_world_closed_loop() - so many groups open all the time
 * @count: each that is answered is due again at once
 *         and open groups count for nothing in the end
 * @churn_every: after so many answers page_peer_churn(); 0: never
 *
 * Return: groups per second.
 */
double page_world_closed_loop(PageWorld *world, unsigned count,
                              int64_t duration_ns, uint64_t churn_every);

/**
 * page_world_open_loop() - groups at a fixed rate
 * @rate: per second. Round trips count from when a group was due, even if it
 *        was raised late, because all slots were open or this thread was busy
 *
 * Return: answers per second.
 */
double page_world_open_loop(PageWorld *world, double rate,
                            int64_t duration_ns);

/* Of the last closed loop: PASIDs that came and went, and the time it took. */
PageChurn page_world_get_churn(const PageWorld *world);

#endif
