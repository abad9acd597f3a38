/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * UnitLife: units that come and go while others stay, on an IOThread that they
 * share. A step makes an SMMUv3 or a VT-d unit with all its threads, which have
 * a gate of their own, lets them at it, looks at the books, and frees it.
 *
 * Threads: unit_life_step() on one.
 * Locks:   none of its own.
 */
#ifndef TESTS_STRESS_UNIT_LIFE_H
#define TESTS_STRESS_UNIT_LIFE_H

#include "race.h"

#include "iothread/aio-context.h"

/**
 * struct UnitLife - one after the other
 * @gate: that of the step
 * @ctx: borrowed
 * @counts: what they came to
 */
typedef struct UnitLife {
    Gate *gate;
    const char *host;
    AioContext *ctx;
    GRand *rand;
    RaceCounts counts;
} UnitLife;

void unit_life_init(UnitLife *life, RaceRun *run, AioContext *ctx);

/* Adds to the counts of @run. */
void unit_life_destroy(UnitLife *life, RaceRun *run);

/* A GateThread's: one unit. */
void unit_life_step(void *opaque);

#endif
