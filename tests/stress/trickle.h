/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trickle: an SMMUv3 that gets one event at a time, on an IOThread that it
 * shares with noisy ones. While its event waits to be delivered, none of these
 * gets more than a few turns' budgets. Both ends of the wait are seen where it
 * ends: the noisy ones' counters are read on the IOThread, as the event's
 * interrupt is raised there. So no machine is too slow for this.
 *
 * Threads: trickle_step() on one; the interrupt on the IOThread.
 * Locks:   none of its own.
 */
#ifndef TESTS_STRESS_TRICKLE_H
#define TESTS_STRESS_TRICKLE_H

#include "event-unit.h"

#include "hw/iommu/event-pump.h"

#define TRICKLE_NOISY 3

/*
 * What a unit may get in the turn under way and the one after, each: what busy
 * polling has read, a batch as it resumes, and those of its fd's turn.
 */
#define TRICKLE_MOST (2 * (EVENT_PUMP_READS + 2) * EVENT_PUMP_BATCH)

/**
 * struct Trickle - the unit and those it is measured by
 * @noisy: borrowed
 * @then: of each, delivered when the interrupt was raised
 * @told: the interrupt
 * @count: events
 * @worst: the most that a noisy one got while an event waited
 */
typedef struct Trickle {
    EventUnit *unit;
    EventUnit *noisy[TRICKLE_NOISY];
    _Atomic uint64_t then[TRICKLE_NOISY];
    sem_t told;
    Counter count;
    uint64_t worst;
} Trickle;

/* @ctx: that of the noisy ones */
void trickle_init(Trickle *t, RaceRun *run, AioContext *ctx,
                  EventUnit *const noisy[TRICKLE_NOISY]);
void trickle_destroy(Trickle *t, RaceRun *run);

/* A GateThread's: one event, there and back. */
void trickle_step(void *opaque);

#endif
