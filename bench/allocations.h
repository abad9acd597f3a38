/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocations of other threads: in the C library's place, malloc() and its kin.
 *
 * Threads: the main thread.
 * Locks:   none.
 */
#ifndef BENCH_ALLOCATIONS_H
#define BENCH_ALLOCATIONS_H

#include <stdint.h>

/* From now on, of all threads but the caller. */
void allocations_start(void);

/* Since then. */
uint64_t allocations_stop(void);

#endif
