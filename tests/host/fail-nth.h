/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is swept with failures: steps of a virtual machine's life on mock
 * devices. A step fails as a whole, with one error, or succeeds; it can be
 * tried again, and nothing of it is left after all is gone.
 *
 * Threads: the test's. The units have IOThreads of their own.
 * Locks:   none.
 */
#ifndef TESTS_HOST_FAIL_NTH_H
#define TESTS_HOST_FAIL_NTH_H

#include "fail-sweep.h"
#include "fixture-parts.h"

#define WORLD_DEVICES 2

/* What the guest calls device @i. The mock driver takes 0 for no name. */
#define WORLD_ID(i) (1 + (i))

/**
 * struct World - one unit and what is around it, for one try
 * @iommu: what its devices are behind
 * @unit: its fixture, which has @viommu and @open
 * @open: devices
 * @free_unit: asserts that nothing is left on the host, and closes that
 * @expected: events, or the group index of the last page request
 */
typedef struct World {
    HostIommu *host;
    HardwareIommu iommu;
    void *unit;
    Viommu *viommu;
    GPtrArray *open;
    void (*free_unit)(void *unit);
    VfioDevice *devices[WORLD_DEVICES];
    uint64_t expected;
} World;

/**
 * struct FailStep - what is tried
 * @what: FAIL_HOST_CALLS and others: what it has to do with
 * @set_up: what is there before, made without failures
 * @step: what fails. Return: false and @error set; or it went well
 * @works: asserts that the unit and its devices do what they should
 */
typedef struct FailStep {
    const char *path;
    unsigned what;
    void (*set_up)(World *w);
    bool (*step)(World *w, GError **error);
    void (*works)(World *w);
} FailStep;

/* The tables; a NULL path ends one. */
extern const FailStep fail_steps_create[];
extern const FailStep fail_steps_smmuv3[];
extern const FailStep fail_steps_vtd[];

/* Without busy polling a try makes the same calls as the one before. */
void world_set_calm(IOThread *iothread);

/* What the operator was told since the log was started, as an error. */
bool world_check_messages(GError **error);

/* Open, bind and plug in device @i, which is as if it had never been there
   if that fails. */
bool world_plug(World *w, unsigned i, GError **error);
void world_plug_all(World *w);

/* Unplug and close what is plugged in. */
void world_unplug_all(World *w);

/* Wait for @done, which becomes true by what other threads do. */
void world_wait(World *w, bool (*done)(World *w));

#endif
