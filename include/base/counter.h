/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counter: written by one thread, read by any. With one writer a load and a
 * store do for an increment, and cost no locked instruction.
 *
 * Threads: counter_add() and counter_raise() on one thread; counter_get() on
 *          any, exact once the writer was joined.
 * Locks:   none. Relaxed on both sides: readers want each number whole, but no
 *          order among them.
 */
#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t Counter;

static inline uint64_t counter_get(const Counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void counter_add(Counter *counter, uint64_t n)
{
    atomic_store_explicit(counter, counter_get(counter) + n,
                          memory_order_relaxed);
}

/* To @value, unless it is there already. */
static inline void counter_raise(Counter *counter, uint64_t value)
{
    if (value > counter_get(counter)) {
        atomic_store_explicit(counter, value, memory_order_relaxed);
    }
}

#endif
