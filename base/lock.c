/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ranks that a thread holds are one bit each in a thread-local word: since
 * no two locks of one rank nest, a bit is enough.
 */
#include "base/lock.h"

#include <glib.h>

static _Thread_local unsigned ranks_held;

static void rank_push(LockRank rank)
{
#ifdef LOCK_DEBUG
    /* Any bit at or above rank is a lock taken out of order. */
    g_assert(ranks_held >> rank == 0);
#endif
    ranks_held |= 1u << rank;
}

static void rank_pop(LockRank rank)
{
    ranks_held &= ~(1u << rank);
}

/*
 * Who holds a ring_lock or a leaf is done in less time than it takes to go to
 * sleep: look again for a moment first. The others may be held for long.
 */
static int mutex_type(LockRank rank)
{
    return rank == LOCK_RANK_RING || rank == LOCK_RANK_LEAF
               ? PTHREAD_MUTEX_ADAPTIVE_NP : PTHREAD_MUTEX_DEFAULT;
}

static void mutex_init(pthread_mutex_t *mutex, int type)
{
    pthread_mutexattr_t attr;
    int ret;

    pthread_mutexattr_init(&attr);
    ret = pthread_mutexattr_settype(&attr, type);
    g_assert(ret == 0);
    ret = pthread_mutex_init(mutex, &attr);
    g_assert(ret == 0);
    pthread_mutexattr_destroy(&attr);
}

void lock_init(Lock *lock, LockRank rank)
{
    mutex_init(&lock->mutex, mutex_type(rank));
    mutex_init(&lock->turnstile, PTHREAD_MUTEX_DEFAULT);
    lock->rank = rank;
}

void lock_destroy(Lock *lock)
{
    int ret = pthread_mutex_destroy(&lock->mutex);

    g_assert(ret == 0);
    ret = pthread_mutex_destroy(&lock->turnstile);
    g_assert(ret == 0);
}

void lock_acquire(Lock *lock) NO_THREAD_SAFETY_ANALYSIS
{
    rank_push(lock->rank);
    if (lock->rank != LOCK_RANK_CONFIG) {
        pthread_mutex_lock(&lock->mutex);
        return;
    }
    /* Whoever sleeps for the mutex keeps others from it. */
    pthread_mutex_lock(&lock->turnstile);
    pthread_mutex_lock(&lock->mutex);
    pthread_mutex_unlock(&lock->turnstile);
}

void lock_release(Lock *lock) NO_THREAD_SAFETY_ANALYSIS
{
    /* First: once it is unlocked, its memory may be somebody else's. */
    rank_pop(lock->rank);
    pthread_mutex_unlock(&lock->mutex);
}

void lock_wait(Lock *lock, pthread_cond_t *cond)
{
    pthread_cond_wait(cond, &lock->mutex);
}

void lock_assert_held(const Lock *lock)
{
#ifdef LOCK_DEBUG
    g_assert(ranks_held & 1u << lock->rank);
#endif
}

void lock_assert_may_wait(void)
{
#ifdef LOCK_DEBUG
    g_assert(ranks_held >> LOCK_RANK_RING == 0);
#endif
}

void lock_assert_may_call_host(void)
{
#ifdef LOCK_DEBUG
    g_assert((ranks_held & (1u << LOCK_RANK_RING | 1u << LOCK_RANK_LEAF)) ==
             0);
#endif
}
