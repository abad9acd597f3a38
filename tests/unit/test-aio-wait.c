/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both ways of aio_wait_bh_oneshot(): the thread is awake when the bottom half
 * is done, or it sleeps. Which of them, is not left to time: the clock of a
 * waiting thread is the test's, and the linker puts the functions below over
 * those by which a thread sleeps and is woken.
 */
#include "aio-fixture.h"

#include <stdatomic.h>

#include "base/lock.h"

enum { ROUNDS = 1000, THREADS = 4, MILLISECOND_NS = 1000000 };

/* Each reading is so much later than the one before it; -1: it is the time. */
static _Thread_local int64_t clock_step = -1;
static _Thread_local int64_t clock_ns;

static atomic_uint sleeps;
static atomic_uint wakes;

int64_t __real_aio_clock_ns(void);
int64_t __wrap_aio_clock_ns(void);
void __real_lock_wait(Lock *lock, pthread_cond_t *cond) REQUIRES(lock);
void __wrap_lock_wait(Lock *lock, pthread_cond_t *cond) REQUIRES(lock);
int __real_pthread_cond_broadcast(pthread_cond_t *cond);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);

int64_t __wrap_aio_clock_ns(void)
{
    if (clock_step < 0) {
        return __real_aio_clock_ns();
    }
    clock_ns += clock_step;
    return clock_ns;
}

void __wrap_lock_wait(Lock *lock, pthread_cond_t *cond)
{
    /* Relaxed: a count; the waker takes @lock before it can wake. */
    atomic_fetch_add_explicit(&sleeps, 1, memory_order_relaxed);
    __real_lock_wait(lock, cond);
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
    atomic_fetch_add_explicit(&wakes, 1, memory_order_relaxed);
    return __real_pthread_cond_broadcast(cond);
}

static unsigned count_get(atomic_uint *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

/* What a bottom half does; not atomic, as the wait is to publish it. */
typedef struct Work {
    unsigned runs;
    unsigned sleeps;            /* of before the wait */
} Work;

static void work_run(void *opaque)
{
    Work *work = opaque;

    work->runs++;
}

/* Until the waiting thread has the lock under which it falls asleep. */
static void work_run_once_asleep(void *opaque)
{
    Work *work = opaque;

    while (count_get(&sleeps) == work->sleeps) {
        sched_yield();
    }
    work->runs++;
}

/* The clock stands still: it would look for ever. */
static void test_awake(AioFixture *f, gconstpointer form)
{
    Work work = { 0 };

    aio_fixture_start(f);
    sleeps = wakes = 0;
    clock_step = 0;
    for (unsigned i = 1; i <= ROUNDS; i++) {
        aio_wait_bh_oneshot(f->ctx, work_run, &work);
        g_assert_cmpuint(work.runs, ==, i);
    }
    clock_step = -1;
    g_assert_cmpuint(sleeps, ==, 0);
    g_assert_cmpuint(wakes, ==, 0);
    aio_fixture_stop(f);
}

/* The bottom half is done only once the thread sleeps. */
static void test_asleep(AioFixture *f, gconstpointer form)
{
    Work work = { 0 };

    aio_fixture_start(f);
    wakes = 0;
    for (unsigned i = 1; i <= ROUNDS; i++) {
        work.sleeps = count_get(&sleeps);
        aio_wait_bh_oneshot(f->ctx, work_run_once_asleep, &work);
        g_assert_cmpuint(work.runs, ==, i);
        g_assert_cmpuint(wakes, ==, i);
    }
    aio_fixture_stop(f);
}

typedef struct Waiter {
    AioContext *ctx;
    int64_t clock_step;
    Work work;
    pthread_t thread;
} Waiter;

/* A thread that gives up early is often amid that when its wait is over. */
static void *wait_often(void *opaque)
{
    Waiter *waiter = opaque;

    clock_step = waiter->clock_step;
    for (unsigned i = 1; i <= 5 * ROUNDS; i++) {
        aio_wait_bh_oneshot(waiter->ctx, work_run, &waiter->work);
        g_assert_cmpuint(waiter->work.runs, ==, i);
    }
    return NULL;
}

/* Some wait with time to spare and some with none, on the same condition. */
static void test_mixed(AioFixture *f, gconstpointer form)
{
    Waiter waiters[THREADS];

    aio_fixture_start(f);
    for (unsigned i = 0; i < THREADS; i++) {
        waiters[i] = (Waiter){
            .ctx = f->ctx, .clock_step = i % 2 ? -1 : MILLISECOND_NS
        };
        pthread_create(&waiters[i].thread, NULL, wait_often, &waiters[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(waiters[i].thread, NULL);
    }
    aio_fixture_stop(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    aio_test_add("wait/wakes-nobody-who-is-awake", test_awake);
    aio_test_add("wait/wakes-who-sleeps", test_asleep);
    aio_test_add("wait/done-while-falling-asleep", test_mixed);
    return g_test_run();
}
