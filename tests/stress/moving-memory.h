/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * MovingMemory: guest memory whose map is replaced under load. It is a file, of
 * which this process has any number of views: the guest's, which stays; and one
 * per stretch that the map names, until another takes its place, with the same
 * bytes. A view that was in the map is out of bounds once the call that
 * replaced it is back, so that a late access is a crash.
 *
 * Threads: one at a time.
 * Locks:   none of its own.
 */
#ifndef TESTS_STRESS_MOVING_MEMORY_H
#define TESTS_STRESS_MOVING_MEMORY_H

#include "fixture-parts.h"
#include "gate.h"

#define MOVING_STRETCHES 4
#define MOVING_STRETCH_SIZE (GUEST_RAM_SIZE / MOVING_STRETCHES)
#define MOVING_GRAVES 64

/* Which stretch an address is in. */
#define MOVING_STRETCH_OF(gpa) (((gpa) - GUEST_RAM) / MOVING_STRETCH_SIZE)

/**
 * struct MovingMemory - the file and its views
 * @may_go: a bit for each stretch that may be no memory for a while
 * @ram: the guest's view of all
 * @views: of a stretch, in the map; NULL: this stretch is no memory now
 * @graves: views that were; the oldest is unmapped when there are too many
 * @moves: times that the map was replaced
 */
typedef struct MovingMemory {
    Gate *gate;
    GRand *rand;
    unsigned may_go;
    GuestMem *mem;
    int fd;
    uint8_t *ram;
    void *views[MOVING_STRETCHES];
    void *graves[MOVING_GRAVES];
    uint64_t buried;
    uint64_t moves;
} MovingMemory;

/**
 * moving_memory_init() - take the place of a guest's memory
 * @ram: in and out: GUEST_RAM of guest_ram_new()
 *
 * No stretch may go.
 *
 * Context: nobody else uses @mem or @ram now.
 */
void moving_memory_init(MovingMemory *m, Gate *gate, GRand *seeds,
                        GuestMem *mem, uint8_t **ram);

/* @ram is the only view again. Context: nobody else uses the map now. */
void moving_memory_destroy(MovingMemory *m);

/* A GateThread's: replace the map, some stretches are elsewhere. */
void moving_memory_step(void *opaque);

/* All is memory. */
void moving_memory_settle(MovingMemory *m);

#endif
