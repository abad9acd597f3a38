/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Storm: all that happens to page requests, at once. Some VT-d units, each on
 * a host and an IOThread of its own, and per unit these threads:
 *
 *   SVA devices     two, each a thread that raises groups while it holds its
 *                   dev_lock, and an IOThread where the responses arrive, whose
 *                   handler takes the dev_lock too
 *   host devices    two, whose groups one more thread raises
 *   vCPU            MMIO of the SVA devices: big lock, then dev_lock
 *   vCPU            PASID entries come, change and go
 *   vCPU            floods of invalidations
 *   vCPU            the page request handler: answers, sometimes late, twice,
 *                   or strangers; resets
 *   monitor         plugs and unplugs either kind
 *
 * and one thread that reads statistics of all of them. A race of some of these
 * has its own StormMix.
 *
 * Locks: the guest's own StormUnit::guest, then the ranks of base/lock.h: the
 *        big lock, SvaPort::lock (a dev_lock), the library's. With NAIVE_ORDER
 *        page requests take the big lock, under the dev_lock: as monitors do
 *        whose lists of devices are the big lock's.
 */
#ifndef TESTS_STRESS_STORM_H
#define TESTS_STRESS_STORM_H

#include "gate.h"
#include "host-port.h"
#include "race.h"
#include "storm-handler.h"
#include "sva-port.h"
#include "vtd-fixture.h"

#define STORM_SVA 2             /* devices of either kind per unit */
#define STORM_HOST 2
#define STORM_SVA_RID 0x20
#define STORM_HOST_RID 0x10

/* One page more than the guest's whole queue of 4 KiB takes. */
#define STORM_PRQ_PQS 0
#define STORM_HUGE_PAGES 128

#define STORM_PASIDS 3          /* of host devices: 0 (without one) to 2 */
#define STORM_SVA_PASIDS 4      /* 0 to 3, the last of which comes and goes */

/* What is counted by many: relaxed, exact once they are quiet. */
typedef _Atomic uint64_t StormCount;

static inline void storm_count(StormCount *count, uint64_t n)
{
    atomic_fetch_add_explicit(count, n, memory_order_relaxed);
}

static inline uint64_t storm_counted(const StormCount *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

/**
 * struct StormBooks - what a unit's devices and guest have counted themselves
 * @sva_raised, @sva_back: groups of SVA devices, without Stop Markers
 * @markers: that have come back
 * @no_credit: requests refused
 * @host_raised, @host_back: groups of host devices
 * @automatic: of those, answered by the host itself
 * @left_behind: groups that were begun and refused
 * @odd_success, @even_invalid: groups with an index of that kind that the guest
 *                              has not answered so: see storm_note_code()
 * @responses: descriptors, submitted by the guest
 * @flushes: invalidation descriptors that it submitted
 * @changes: of PASID and context entries
 * @plugs, @unplugs, @resets
 * @translations: that a device got
 * @full: times that the guest has looked at a full queue
 * @kept: groups that were left in the host's queue at quiet points
 * @overflows: PRO, and groups answered because of it
 * @stray: responses to nobody
 * @mmio: accesses to SVA devices, under the big lock
 */
typedef struct StormBooks {
    StormCount sva_raised;
    StormCount sva_back;
    StormCount markers;
    StormCount no_credit;
    StormCount host_raised;
    StormCount host_back;
    StormCount automatic;
    StormCount left_behind;
    StormCount odd_success;
    StormCount even_invalid;
    StormCount responses;
    StormCount flushes;
    StormCount changes;
    StormCount plugs;
    StormCount unplugs;
    StormCount resets;
    StormCount translations;
    StormCount full;
    StormCount kept;
    StormCount overflows;
    StormCount stray;
    StormCount mmio;
} StormBooks;

/**
 * struct StormMix - what happens, and what does not
 * @churners: vCPUs that change tables, up to STORM_PASIDS: each has PASIDs of
 *            its own
 * @mmio: vCPUs that do MMIO of SVA devices
 * @flood, @hosts, @plugs, @resets: whether there are floods, groups of host
 *                                  devices, plugs and unplugs, resets
 * @late, @twice, @never, @strangers: of so many answers one is
 * @huge: of so many groups of SVA devices one is larger than the queue
 * @lazy: the guest lets its queue become full, and makes little room
 */
typedef struct StormMix {
    unsigned churners;
    unsigned mmio;
    bool flood;
    bool hosts;
    bool plugs;
    bool resets;
    unsigned late;
    unsigned twice;
    unsigned never;
    unsigned strangers;
    unsigned huge;
    bool lazy;
} StormMix;

/* All of it; no answer stays away for good. */
extern const StormMix storm_mix_all;

/* Those who do something at random, besides StormVcpu: each has its own. */
typedef enum StormActor {
    STORM_FLOOD,
    STORM_MONITOR,
    STORM_RAISER,
    STORM_ACTORS,
} StormActor;

/**
 * struct StormVcpu - one of those that change tables or do MMIO
 * @number: among its like
 */
typedef struct StormVcpu {
    struct StormUnit *unit;
    unsigned number;
    GRand *rand;
} StormVcpu;

#define STORM_MAX_VCPUS 8

/**
 * struct StormUnit - one VT-d unit, and all around it
 * @counted: counts fault queues; NULL on the emulated host, which does so
 * @guest: the guest's own: its invalidation queue and its tables
 * @tables: per PASID of the host devices: what its entry has. [guest]
 * @sva_tables: a bit for each tree that the churned PASID of the SVA devices
 *              may lead to: until its invalidation has completed
 */
typedef struct StormUnit {
    Gate *gate;
    const StormMix *mix;
    VtdFixture *f;
    HostIommu *counted;
    StormBooks books;
    pthread_mutex_t guest;
    uint64_t tables[STORM_PASIDS];
    atomic_uint sva_tables;
    SvaPort *sva[STORM_SVA];
    HostPort host[STORM_HOST];
    StormHandler handler;
    StormVcpu vcpus[STORM_MAX_VCPUS];
    GRand *rand[STORM_ACTORS];
} StormUnit;

/* True once in @n times; 0: never. */
static inline bool storm_once_in(GRand *rand, gint32 n)
{
    return n > 0 && g_rand_int_range(rand, 0, n) == 0;
}

static inline HardwarePageStats storm_page_stats(StormUnit *unit)
{
    return unit->f->host->hardware->get_page_stats(unit->f->host);
}

/* IOMMU_DESTROY that failed with EBUSY. */
static inline uint64_t storm_host_busy(StormUnit *unit)
{
    return unit->f->host->hardware->get_stats(unit->f->host).busy;
}

/**
 * storm_unit_new() - a unit whose guest has started
 * @host_name: as of test_host_open()
 *
 * All is plugged in, nothing runs yet.
 */
StormUnit *storm_unit_new(Gate *gate, GRand *seeds, const char *host_name);

/* The same in @ctx, whose home is somebody else's. */
StormUnit *storm_unit_new_in(Gate *gate, GRand *seeds, const char *host_name,
                             AioContext *ctx);

/* The same of a mixture; borrowed. @ctx: NULL for one of its own */
StormUnit *storm_unit_new_of(Gate *gate, GRand *seeds, const char *host_name,
                             const StormMix *mix, AioContext *ctx);

/**
 * storm_unit_stop() - unplug all and free the vIOMMU
 *
 * Context: the gate has ended. Whoever else raises groups of host devices may
 * go on.
 */
void storm_unit_stop(StormUnit *unit);

/* All gates have ended. Stops, if need be; asserts that nothing is left. */
void storm_unit_free(StormUnit *unit);

/* Wake up whoever sleeps in a step of the gate. */
void storm_unit_kick(void *unit);

/**
 * storm_unit_check() - all is quiet: answer what is open, then the books of the
 * devices, the unit, the guest and the host are the same
 */
void storm_unit_check(StormUnit *unit);

/* Fault queues that the host has made for this unit. */
uint64_t storm_unit_lives(StormUnit *unit);

/* Add what there was, before the unit is freed. */
void storm_unit_count(StormUnit *unit, RaceCounts *counts);

/* The one message that a storm may cause. */
bool storm_expects(const char *message);

/* Whether the guest's page request queue has no room for most groups. */
bool storm_unit_is_full(StormUnit *unit);

/*
 * storm-vcpu.c: steps of vCPU threads, GateThreads'; opaque is a StormVcpu, of
 * floods the unit. They are paced by those who change tables; if nobody does,
 * by those who do MMIO.
 */
void storm_churn_step(void *opaque);
void storm_flood_step(void *opaque);
void storm_mmio_step(void *opaque);

#endif
