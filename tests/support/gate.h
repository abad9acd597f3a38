/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gate: threads of a stress test that repeat a step each, and that all stop
 * between two steps when the test wants quiet; and a count of steps by which
 * some of them are paced, so that the mixture is the same on any machine.
 *
 * An open gate costs a relaxed load, so that it orders nothing among those who
 * pass: a race stays one.
 *
 * Threads: gate_step() and gate_await_steps() on the threads of the gate; all
 *          else on the thread that made it.
 * Locks:   Gate::lock, a leaf.
 */
#ifndef TESTS_SUPPORT_GATE_H
#define TESTS_SUPPORT_GATE_H

#include "base/lock.h"

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Gate {
    Lock lock;
    pthread_cond_t changed;
    atomic_int state;           /* GateState; [lock] to change */
    unsigned parked GUARDED_BY(&lock);
    _Atomic uint64_t steps;
    _Atomic uint64_t wake_at;   /* the first number that somebody awaits */
    GPtrArray *threads;         /* GateThread */
} Gate;

/* Closed. */
void gate_init(Gate *gate);

/* Its threads have ended. */
void gate_destroy(Gate *gate);

/**
 * gate_add_thread() - start a thread that repeats @step while the gate is open
 * @name: for debuggers, copied
 *
 * It is registered with RCU, and takes no signals.
 */
void gate_add_thread(Gate *gate, const char *name, void (*step)(void *opaque),
                     void *opaque);

void gate_open(Gate *gate);

/* Steps under way go on: see gate_await_quiet(). */
void gate_close(Gate *gate);

/**
 * gate_await_quiet() - wait until every thread stands at the closed gate
 *
 * Whoever sleeps in a step is to be woken up by the caller before.
 */
void gate_await_quiet(Gate *gate);

/* Close it for good and join the threads, which are quiet. */
void gate_end(Gate *gate);

/* For steps that sleep: is it time to end the step? */
bool gate_is_closed(const Gate *gate);

/* Count a step. */
void gate_step(Gate *gate);

/* Wait for @count more steps, or until the gate is closed. */
void gate_await_steps(Gate *gate, unsigned count);

#endif
