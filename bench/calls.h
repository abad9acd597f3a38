/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls of a peer's thread, counted by a program of its own, vpump-bench-calls:
 * a tracer stops the thread at each system call, also of libraries, and its
 * malloc() counts; neither would leave a time alone.
 *
 * Threads: the main thread.
 * Locks:   none.
 */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

#include "event-source.h"

/**
 * struct Calls - what was counted
 * @events: carried meanwhile
 * @allocations: of all threads but the one that plays hardware and guest
 * @traced: @syscalls were counted; it may be forbidden
 */
typedef struct Calls {
    uint64_t events;
    uint64_t allocations;
    bool traced;
    uint64_t syscalls;
} Calls;

/**
 * calls_count() - run vpump-bench-calls, which is where this program is
 * @rate: events a second; 0 for drains
 *
 * Return: false and @error set if it is not there or failed.
 */
bool calls_count(SourceKind kind, const char *peer, uint64_t rate,
                 Calls *calls, GError **error);

#endif
