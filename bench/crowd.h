/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Crowd: many vIOMMUs on one thread, which stays on BENCH_CPU_PUMP: SMMUv3s of
 * ours on an IOThread, or what cannot be beaten: their vEVENTQs alone, one
 * epoll instance, one buffer, and rings that are written as raw-peer.h has it.
 *
 * Threads: the main thread.
 * Locks:   none.
 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include "smmu-unit.h"

typedef struct Crowd Crowd;

/**
 * struct CrowdOps - a competitor
 * @name: as in the figures
 * @open: @count units on @source's host, each with a device and a slice of @mem
 * @prod, @set_cons: a guest's accesses: of indices with wrap bit
 */
typedef struct CrowdOps {
    const char *name;
    Crowd *(*open)(EventSource *source, SmmuMemory *mem, size_t count);
    void (*close)(Crowd *crowd);
    uint32_t (*prod)(Crowd *crowd, size_t unit);
    void (*set_cons)(Crowd *crowd, size_t unit, uint32_t cons);
} CrowdOps;

/* A unit, as its guest and its device see it. */
typedef struct CrowdUnit {
    SourceDevice device;
    uint64_t *entries;
    uint32_t cons;
} CrowdUnit;

/* Base of the competitors' own structures. */
struct Crowd {
    const CrowdOps *ops;
    EventSource *source;
    unsigned log2_ring;
    size_t count;
    CrowdUnit *units;
    uint64_t tag;               /* of the next event */
};

extern const CrowdOps crowd_limit;
extern const CrowdOps crowd_vpump;

/**
 * crowd_drain() - hold readers, give units events, let readers go, and wait
 * until the last event is in its ring; then have the guests read them
 * @first, @count: of the units that get events
 * @events: for each of them
 *
 * Every event has arrived in order, or the program ends.
 *
 * Return: ns, by the main thread's clock.
 */
int64_t crowd_drain(Crowd *crowd, size_t first, size_t count, uint32_t events);

#endif
