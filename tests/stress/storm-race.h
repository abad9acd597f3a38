/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A race of what storm.h has: some units of one mixture, and one more thread
 * that reads their statistics. At quiet points every group has been answered
 * exactly once, by all of the books there are, and no cookie was ever written
 * that no group had (cookie-watch.h). After a round the units are freed: no
 * IOMMU_DESTROY was ever told EBUSY.
 *
 * Threads: storm_race_main() is main().
 * Locks:   none.
 */
#ifndef TESTS_STRESS_STORM_RACE_H
#define TESTS_STRESS_STORM_RACE_H

#include "race.h"
#include "storm.h"

/**
 * struct StormRace - a race program
 * @name, @least: as Race has them
 * @mix: what happens
 * @stride: from one quiet point to the next
 * @by_lives: @stride is of fault queues' lives; else of steps
 * @enough: do the books of all units say that it was what it is said to be?
 *          Rounds go on until they do.
 * @end: assert of these books what has to be in the end; may be NULL
 */
typedef struct StormRace {
    const char *name;
    const StormMix *mix;
    uint64_t stride;
    bool by_lives;
    RaceCounts least;
    bool (*enough)(const StormBooks *books);
    void (*end)(const StormBooks *books);
} StormRace;

/* Takes --units N beside the options of race_main(). */
int storm_race_main(int argc, char **argv, const StormRace *race);

#endif
