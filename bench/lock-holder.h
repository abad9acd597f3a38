/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * LockHolder: a thread that holds a lock for a share of the time, in slices,
 * and sleeps meanwhile, as who waits for a disk or another process does: it
 * takes the lock, and next to no CPU.
 *
 * A gap that is shorter than the delay of a wake-up is waited for on the CPU.
 * Slices are measured: a wake-up's usual delay is taken off the next one, and
 * what share came of it is known.
 *
 * It stays on BENCH_CPU_WORLD, where its wake-ups make the hardware late now
 * and then, but never disturb who is measured other than by the lock.
 *
 * Threads: the main thread; its own.
 * Locks:   the one that it is given.
 */
#ifndef BENCH_LOCK_HOLDER_H
#define BENCH_LOCK_HOLDER_H

#include "base/lock.h"

#include <stdint.h>

typedef struct LockHolder LockHolder;

/**
 * lock_holder_start() - hold @lock, of LOCK_RANK_BIG, from now on
 * @held_ns: for so long, each time
 * @gap_ns: and then not for so long
 */
LockHolder *lock_holder_start(Lock *lock, int64_t held_ns, int64_t gap_ns);

/* For how long it has held the lock until now. */
int64_t lock_holder_held_ns(const LockHolder *holder);

/* Context: waits for the end of a slice. */
void lock_holder_stop(LockHolder *holder);

#endif
