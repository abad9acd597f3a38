/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * UnitLife: units that come and go while others stay, on an IOThread that they
 * share or on one of their own. A step makes an SMMUv3 or a VT-d unit with all
 * its threads, lets them at it, and ends it: in quiet, with a look at the
 * books; or in the midst of everything. Then the devices go while vCPUs are at
 * work, or after them; and the vIOMMU is freed while its devices' hardware
 * faults, its memory moves, and its IOThread changes.
 *
 * Threads: unit_life_step() on one.
 * Locks:   none of its own.
 */
#ifndef TESTS_STRESS_UNIT_LIFE_H
#define TESTS_STRESS_UNIT_LIFE_H

#include "moving-memory.h"
#include "race.h"

#include "iothread/aio-context.h"

/**
 * struct UnitLife - one after the other
 * @gate: that of the step; each move of memory is one there
 * @ctx: borrowed
 * @memory: of the unit that there is
 * @stops: how many were ended in the midst of everything
 * @counts: what they came to
 */
typedef struct UnitLife {
    Gate *gate;
    const char *host;
    AioContext *ctx;
    GRand *rand;
    MovingMemory memory;
    uint64_t stops;
    RaceCounts counts;
} UnitLife;

void unit_life_init(UnitLife *life, RaceRun *run, AioContext *ctx);

/* Adds to the counts of @run. */
void unit_life_destroy(UnitLife *life, RaceRun *run);

/* A GateThread's: one unit. */
void unit_life_step(void *opaque);

/* Messages that such a unit may cause. */
bool unit_life_expects(const char *message);

#endif
