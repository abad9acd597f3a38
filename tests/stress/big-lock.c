/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "big-lock.h"

Lock big_lock = LOCK_INITIALIZER(LOCK_RANK_BIG);

static _Thread_local bool is_mine;

void big_lock_acquire(void) NO_THREAD_SAFETY_ANALYSIS
{
    lock_acquire(&big_lock);
    is_mine = true;
}

void big_lock_release(void) NO_THREAD_SAFETY_ANALYSIS
{
    is_mine = false;
    lock_release(&big_lock);
}

void big_lock_acquire_if(bool wanted) NO_THREAD_SAFETY_ANALYSIS
{
    if (wanted) {
        big_lock_acquire();
    }
}

void big_lock_release_if(bool taken) NO_THREAD_SAFETY_ANALYSIS
{
    if (taken) {
        big_lock_release();
    }
}

bool big_lock_acquire_naively(void) NO_THREAD_SAFETY_ANALYSIS
{
    if (is_mine) {
        return false;
    }
#ifdef WITH_TSAN
    /* Behind the back of base/lock.c: what ThreadSanitizer is to find. */
    pthread_mutex_lock(&big_lock.mutex);
#else
    lock_acquire(&big_lock);
#endif
    is_mine = true;
    return true;
}
