/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stand-in for a monitor's big lock (QEMU's BQL): of the whole process, and
 * every thread knows whether it has it.
 *
 * Threads: any.
 * Locks:   LOCK_RANK_BIG.
 */
#ifndef TESTS_STRESS_BIG_LOCK_H
#define TESTS_STRESS_BIG_LOCK_H

#include "base/lock.h"

#include <stdbool.h>

extern Lock big_lock;

void big_lock_acquire(void) ACQUIRES(&big_lock);
void big_lock_release(void) RELEASES(&big_lock);

/* On an MMIO exit that a monitor serves under its big lock, or without. */
void big_lock_acquire_if(bool wanted);
void big_lock_release_if(bool taken);

/**
 * big_lock_acquire_naively() - take it unless this thread has it, whatever else
 * it has: for builds with NAIVE_ORDER, which are to be found out
 *
 * Return: for big_lock_release_if().
 */
bool big_lock_acquire_naively(void);

#endif
