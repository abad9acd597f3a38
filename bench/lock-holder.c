/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock-holder.h"

#include "bench.h"

#include "base/thread.h"

/* A gap of less is spun. */
#define SLEEP_MIN_NS 50000

/**
 * struct LockHolder - one slice after the other
 * @late_ns: by how much wake-ups are late, of late
 * @held: how long it has held the lock, all in all; while it does: less the
 *        time at which it took it, which is more. So one word tells both
 */
struct LockHolder {
    Lock *lock;                 /* [const] */
    int64_t held_ns;            /* [const] */
    int64_t gap_ns;             /* [const] */
    int64_t late_ns;            /* the thread's */
    pthread_t thread;
    atomic_bool stop;
    _Atomic int64_t held;
};

static void sleep_for(LockHolder *holder, int64_t ns)
{
    int64_t at = bench_now_ns() + ns - MIN(holder->late_ns, ns / 2);
    struct timespec until = {
        .tv_sec = at / 1000000000,
        .tv_nsec = at % 1000000000,
    };

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    holder->late_ns += (bench_now_ns() - at - holder->late_ns) / 16;
}

static void spin_for(int64_t ns)
{
    int64_t end = bench_now_ns() + ns;

    while (bench_now_ns() < end) {
        bench_relax();
    }
}

/* Relaxed: a number that nothing else hangs on. */
static void count_held(LockHolder *holder, int64_t ns)
{
    int64_t held = atomic_load_explicit(&holder->held, memory_order_relaxed);

    atomic_store_explicit(&holder->held, held + ns, memory_order_relaxed);
}

static void *holder_run(void *opaque)
{
    LockHolder *holder = opaque;

    bench_pin(BENCH_CPU_WORLD);
    while (!atomic_load_explicit(&holder->stop, memory_order_relaxed)) {
        lock_acquire(holder->lock);
        count_held(holder, -bench_now_ns());
        sleep_for(holder, holder->held_ns);
        count_held(holder, bench_now_ns());
        lock_release(holder->lock);
        if (holder->gap_ns < SLEEP_MIN_NS) {
            spin_for(holder->gap_ns);
        } else {
            sleep_for(holder, holder->gap_ns);
        }
    }
    return NULL;
}

LockHolder *lock_holder_start(Lock *lock, int64_t held_ns, int64_t gap_ns)
{
    LockHolder *holder = g_new0(LockHolder, 1);
    int ret;

    holder->lock = lock;
    holder->held_ns = held_ns;
    holder->gap_ns = gap_ns;
    ret = thread_create(&holder->thread, holder_run, holder);
    g_assert(ret == 0);
    return holder;
}

int64_t lock_holder_held_ns(const LockHolder *holder)
{
    int64_t held = atomic_load_explicit(&holder->held, memory_order_relaxed);

    return held < 0 ? held + bench_now_ns() : held;
}

void lock_holder_stop(LockHolder *holder)
{
    atomic_store_explicit(&holder->stop, true, memory_order_relaxed);
    pthread_join(holder->thread, NULL);
    g_free(holder);
}
