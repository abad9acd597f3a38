/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/lock.h"

#include "base/thread.h"
#include "proc-self.h"

#include <glib.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

static Lock config_lock = LOCK_INITIALIZER(LOCK_RANK_CONFIG);
static Lock ring_lock = LOCK_INITIALIZER(LOCK_RANK_RING);
static Lock mock_lock = LOCK_INITIALIZER(LOCK_RANK_MOCK_DEVICE);

static void test_upwards_is_allowed(void)
{
    for (int i = 0; i < 2; i++) {
        lock_acquire(&config_lock);
        lock_assert_may_wait();
        lock_acquire(&ring_lock);
        lock_release(&ring_lock);
        lock_assert_may_wait();
        lock_release(&config_lock);
    }
}

/* A dressed mock driver's ioctl on the emulated host. */
static void test_host_may_be_called(void)
{
    lock_acquire(&config_lock);
    lock_acquire(&mock_lock);
    lock_assert_may_call_host();
    lock_release(&mock_lock);
    lock_release(&config_lock);
}

static atomic_int waiter_tid;
static bool waiter_was_there GUARDED_BY(&config_lock);

static void *take_a_turn(void *opaque)
{
    atomic_store(&waiter_tid, gettid());
    lock_acquire(&config_lock);
    waiter_was_there = true;
    lock_release(&config_lock);
    return NULL;
}

/* Holds config_lock until a thread sleeps for it. */
static pthread_t start_waiter(void) REQUIRES(&config_lock)
{
    pthread_t thread;

    waiter_was_there = false;
    atomic_store(&waiter_tid, 0);
    g_assert_cmpint(thread_create(&thread, take_a_turn, NULL), ==, 0);
    while (!atomic_load(&waiter_tid) ||
           !proc_self_is_asleep(atomic_load(&waiter_tid))) {
        sched_yield();
    }
    return thread;
}

/* As a vCPU with a long command queue does. */
static void test_who_lets_go_is_not_the_next(void)
{
    for (unsigned i = 0; i < 100; i++) {
        pthread_t waiter;

        lock_acquire(&config_lock);
        waiter = start_waiter();
        lock_release(&config_lock);
        lock_acquire(&config_lock);
        g_assert_true(waiter_was_there);
        lock_release(&config_lock);
        pthread_join(waiter, NULL);
    }
}

#ifdef LOCK_DEBUG
static Lock other_config_lock = LOCK_INITIALIZER(LOCK_RANK_CONFIG);
static Lock leaf_lock = LOCK_INITIALIZER(LOCK_RANK_LEAF);

static void ring_then_config(void)
{
    lock_acquire(&ring_lock);
    lock_acquire(&config_lock);
    lock_release(&config_lock);
    lock_release(&ring_lock);
}

static void two_of_one_rank(void)
{
    lock_acquire(&config_lock);
    lock_acquire(&other_config_lock);
    lock_release(&other_config_lock);
    lock_release(&config_lock);
}

static void wait_under_ring(void)
{
    lock_acquire(&ring_lock);
    lock_assert_may_wait();
    lock_release(&ring_lock);
}

static void call_host_under_ring(void)
{
    lock_acquire(&ring_lock);
    lock_assert_may_call_host();
    lock_release(&ring_lock);
}

static void call_host_under_leaf(void)
{
    lock_acquire(&leaf_lock);
    lock_assert_may_call_host();
    lock_release(&leaf_lock);
}

static void wait_under_mock_device(void)
{
    lock_acquire(&mock_lock);
    lock_assert_may_wait();
    lock_release(&mock_lock);
}

/* Each runs in a child process of its own and must die of the assertion. */
static void test_must_abort(gconstpointer data)
{
    void (*func)(void) = (void (*)(void))(uintptr_t)data;

    if (g_test_subprocess()) {
        func();
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*ERROR*assertion failed*ranks_held*");
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lock/upwards-is-allowed", test_upwards_is_allowed);
    g_test_add_func("/lock/host-may-be-called-under-mock-device",
                    test_host_may_be_called);
    g_test_add_func("/lock/who-lets-go-is-not-the-next",
                    test_who_lets_go_is_not_the_next);
#ifdef LOCK_DEBUG
    g_test_add_data_func("/lock/ring-then-config-aborts",
                         (gconstpointer)(uintptr_t)ring_then_config,
                         test_must_abort);
    g_test_add_data_func("/lock/two-of-one-rank-aborts",
                         (gconstpointer)(uintptr_t)two_of_one_rank,
                         test_must_abort);
    g_test_add_data_func("/lock/wait-under-ring-lock-aborts",
                         (gconstpointer)(uintptr_t)wait_under_ring,
                         test_must_abort);
    g_test_add_data_func("/lock/wait-under-mock-device-aborts",
                         (gconstpointer)(uintptr_t)wait_under_mock_device,
                         test_must_abort);
    g_test_add_data_func("/lock/call-host-under-ring-lock-aborts",
                         (gconstpointer)(uintptr_t)call_host_under_ring,
                         test_must_abort);
    g_test_add_data_func("/lock/call-host-under-leaf-aborts",
                         (gconstpointer)(uintptr_t)call_host_under_leaf,
                         test_must_abort);
#endif
    return g_test_run();
}
