/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lock: a pthread mutex that knows its place in the lock order.
 *
 * Threads: any.
 * Locks:   a thread takes ranks strictly upwards; debug builds assert it, and
 *          Clang's thread-safety analysis checks who holds what. The order and
 *          what each lock protects: docs/threads-and-locks.md.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#if defined(__clang__)
#define LOCK_ATTRIBUTE(x) __attribute__((x))
#else
#define LOCK_ATTRIBUTE(x)
#endif

/* On a function: the caller holds the lock / must not hold it. */
#define REQUIRES(...) LOCK_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) LOCK_ATTRIBUTE(locks_excluded(__VA_ARGS__))
/* On a function: it returns with the lock taken / released. */
#define ACQUIRES(...) LOCK_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define RELEASES(...) LOCK_ATTRIBUTE(release_capability(__VA_ARGS__))
/*
 * On a file-scope object, or on a field behind its Lock: GUARDED_BY(&lock).
 * Only Clang 19 and later resolve the latter.
 */
#if defined(__clang_major__) && __clang_major__ >= 19
#define GUARDED_BY(x) LOCK_ATTRIBUTE(guarded_by(x))
#else
#define GUARDED_BY(x)
#endif
/*
 * On a field of a structure whose first member, parent, has the lock. Clang
 * finds such a lock by its last name only, and has a warning for that; so these
 * are checked in a pass of their own (scripts/check-code).
 */
#ifdef CHECK_PARENTS_LOCKS
#define GUARDED_BY_PARENTS(lock) GUARDED_BY(&parent.lock)
#else
#define GUARDED_BY_PARENTS(lock)
#endif
#define NO_THREAD_SAFETY_ANALYSIS LOCK_ATTRIBUTE(no_thread_safety_analysis)

/**
 * enum LockRank - the one order in which locks may nest
 * @LOCK_RANK_GUEST: a lock of the built-in guest's, to which all the rest is
 *                   hardware (program and tests only)
 * @LOCK_RANK_BIG: stand-in for a monitor's big lock (program and tests only)
 * @LOCK_RANK_DEVICE: stand-in for a device's own lock (program and tests only)
 * @LOCK_RANK_CONFIG: Viommu::config_lock; each gets it in turn, see
 *                    lock_acquire()
 * @LOCK_RANK_MEMORY: GuestMem::lock
 * @LOCK_RANK_RING: Viommu::ring_lock
 * @LOCK_RANK_MOCK_DEVICE: a device of the kernel's mock driver: held across
 *                         host ioctls, as the kernel's own
 * @LOCK_RANK_MOCK_EVENTS: the events of a vIOMMU of it: likewise
 * @LOCK_RANK_FILES: the preloaded library's table of descriptors
 * @LOCK_RANK_LEAF: nothing is taken under these
 */
typedef enum LockRank {
    LOCK_RANK_GUEST,
    LOCK_RANK_BIG,
    LOCK_RANK_DEVICE,
    LOCK_RANK_CONFIG,
    LOCK_RANK_MEMORY,
    LOCK_RANK_RING,
    LOCK_RANK_MOCK_DEVICE,
    LOCK_RANK_MOCK_EVENTS,
    LOCK_RANK_FILES,
    LOCK_RANK_LEAF,
} LockRank;

typedef struct LOCK_ATTRIBUTE(capability("mutex")) Lock {
    pthread_mutex_t mutex;
    pthread_mutex_t turnstile;  /* of LOCK_RANK_CONFIG: held while waiting */
    LockRank rank;              /* [const] */
} Lock;

#define LOCK_INITIALIZER(r)                                                   \
    { .mutex = PTHREAD_MUTEX_INITIALIZER,                                     \
      .turnstile = PTHREAD_MUTEX_INITIALIZER, .rank = (r) }

/*
 * Whoever makes or unmakes a lock is alone with what it guards: from the call
 * to the end of the calling function the thread-safety analysis takes it as
 * held.
 */
void lock_init(Lock *lock, LockRank rank)
    LOCK_ATTRIBUTE(assert_capability(lock));
void lock_destroy(Lock *lock) LOCK_ATTRIBUTE(assert_capability(lock));

/*
 * lock_assume_alone() - the same where there is no such call: nobody else knows
 * the object yet, or a test's other threads stand still. Nothing checks it.
 */
static inline void lock_assume_alone(const Lock *lock)
    LOCK_ATTRIBUTE(assert_capability(lock));
static inline void lock_assume_alone(const Lock *lock)
{
    (void)lock;
}

/**
 * lock_acquire() - take @lock
 *
 * LOCK_RANK_CONFIG: who releases it and takes it again comes behind a thread
 * that sleeps for it. (A mutex would be his again before the other is awake.)
 *
 * Context: May block. Debug builds assert that the thread holds no lock of
 * @lock's rank or above.
 */
void lock_acquire(Lock *lock) ACQUIRES(lock);
void lock_release(Lock *lock) RELEASES(lock);

/**
 * lock_wait() - pthread_cond_wait() on @lock
 *
 * Context: The caller holds @lock, and holds it again on return.
 */
void lock_wait(Lock *lock, pthread_cond_t *cond) REQUIRES(lock);

/**
 * lock_assert_held() - the caller's caller holds @lock: where an ops table
 * or a cast hides that from the thread-safety analysis
 *
 * Debug builds assert that the thread holds a lock of that rank.
 */
void lock_assert_held(const Lock *lock)
    LOCK_ATTRIBUTE(assert_capability(lock));

/**
 * lock_assert_may_wait() - assert that this thread holds no lock that an
 * iothread takes (LOCK_RANK_RING and above), so it may wait for one
 */
void lock_assert_may_wait(void);

/**
 * lock_assert_may_call_host() - assert that this thread holds no lock that may
 * not be held across a host's ioctl: ring_lock and leaves
 */
void lock_assert_may_call_host(void);

#endif
