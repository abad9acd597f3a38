/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counts what a thread allocates and which locks it takes, from one point to
 * another.
 *
 * A plain build interposes the C library's functions: malloc() and its kin,
 * pthread's mutexes, read-write locks and spin locks, and g_mutex_lock(). A
 * GMutex that GLib takes inside itself is a futex of its own, and is not seen.
 * A sanitizer build sees allocations only, through the sanitizer's own hooks.
 *
 * Threads: any; each counts for itself.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_CALL_COUNT_H
#define TESTS_SUPPORT_CALL_COUNT_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct CallCount - what this thread did while it counted
 * @allocations: memory taken
 * @frees: memory given back
 * @own_locks: times that the mutex given to call_count_start() was taken
 * @other_locks: times that any other lock was taken
 */
typedef struct CallCount {
    uint64_t allocations;
    uint64_t frees;
    uint64_t own_locks;
    uint64_t other_locks;
} CallCount;

/* Once, at the start of main(). */
void call_count_init(void);

/* Whether this build sees locks. */
bool call_count_sees_locks(void);

/**
 * call_count_start() - count this thread's calls from now on
 * @own: a pthread_mutex_t, or NULL
 */
void call_count_start(const void *own);
CallCount call_count_stop(void);

/* Leave out what is not ours, a system call's inside. These nest. */
void call_count_pause(void);
void call_count_resume(void);

#endif
