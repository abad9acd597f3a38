/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IOThreadChanges: the properties of an IOThread are changed while it runs, by
 * its own call and by that of its context; what it takes is what it shows, and
 * what it refuses changes nothing.
 *
 * Threads: iothread_changes_step() on one.
 * Locks:   none.
 */
#ifndef TESTS_STRESS_IOTHREAD_CHANGES_H
#define TESTS_STRESS_IOTHREAD_CHANGES_H

#include "gate.h"

#include "iothread/iothread.h"

typedef struct IOThreadChanges {
    Gate *gate;
    IOThread *iothread;
    GRand *rand;
    uint64_t count;
} IOThreadChanges;

/* @iothread: borrowed */
void iothread_changes_init(IOThreadChanges *changes, Gate *gate,
                           IOThread *iothread, GRand *seeds);
void iothread_changes_destroy(IOThreadChanges *changes);

/* A GateThread's: one change. */
void iothread_changes_step(void *opaque);

#endif
