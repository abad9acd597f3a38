/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Race: the frame of a stress program. A round makes what is raced for, lets
 * the threads of a gate at it, has them stand still some times to look at the
 * books, and frees it all: then no object, descriptor, thread or message is
 * left. Rounds come one after the other until the time is up.
 *
 * Each round has a seed of its own, one more than the round before. It is
 * printed first, and again when the program fails or is told to end: SIGTERM,
 * as whoever gives up a hang sends it. A seed gives the same choices, not the
 * same schedule. A program that makes no progress for a minute ends too, and
 * says what it has waited for.
 *
 * Threads: race_main() is the program's main thread, and calls back there.
 * Locks:   none.
 */
#ifndef TESTS_STRESS_RACE_H
#define TESTS_STRESS_RACE_H

#include "gate.h"

/**
 * struct RaceCounts - what there was to race, of a round or of all
 * @events: that used up a sequence number of a vEVENTQ
 * @groups: page request groups, of devices of either kind
 * @plugs: of devices
 * @resets: of vIOMMUs by their guests
 * @lives: of the host's queues of either kind
 */
typedef struct RaceCounts {
    uint64_t events;
    uint64_t groups;
    uint64_t plugs;
    uint64_t resets;
    uint64_t lives;
} RaceCounts;

void race_counts_add(RaceCounts *to, const RaceCounts *more);

/**
 * struct RaceRun - a round
 * @gate: where setup() adds the threads; they begin when it is back
 * @rand: the main thread's; from it come the seeds of all others
 * @host: a name for test_host_open()
 * @counts: for teardown() to add to
 */
typedef struct RaceRun {
    Gate gate;
    GRand *rand;
    const char *host;
    RaceCounts counts;
} RaceRun;

/**
 * struct Race - a program
 * @name: without "stress-"
 * @quiet_points: of a round
 * @stride: progress from one to the next
 * @progress: what this is of; NULL: of Gate::steps
 * @setup: make what is raced for. Return: @opaque of all others
 * @kick: wake up whoever sleeps in a step; may be NULL
 * @check: all is quiet: assert that the books balance
 * @teardown: the threads have ended: count, free, assert that nothing is left
 * @expects: NULL, or whether a message to the operator is one that may come
 * @least, @enough: rounds go on until there was so much of each, and until
 *                  this says so, too, if it is not NULL: only then has it been
 *                  what it is said to be, however slow the machine is
 * @end: all rounds are over; may be NULL
 * @options: of its own, beside those of race_main(); or NULL
 */
typedef struct Race {
    const char *name;
    unsigned quiet_points;
    uint64_t stride;
    uint64_t (*progress)(void *opaque);
    void *(*setup)(RaceRun *run);
    void (*kick)(void *opaque);
    void (*check)(void *opaque);
    void (*teardown)(void *opaque, RaceRun *run);
    bool (*expects)(const char *message);
    RaceCounts least;
    bool (*enough)(void);
    void (*end)(void);
    const GOptionEntry *options;
} Race;

/**
 * race_main() - main() of a race program
 *
 * Takes --seconds N (at least so long: 2), --cycles N (at least so many lives
 * of queues, and no time unless it is given, too), --seed S (of the first
 * round), --host NAME, and --patience N, which is that minute. The last line of
 * its output that begins with "# race" is for scripts/stress.
 */
int race_main(int argc, char **argv, const Race *race);

#endif
