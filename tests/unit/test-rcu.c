/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/rcu.h"

#include <glib.h>
#include <stdatomic.h>

typedef struct Box {
    RcuDeferred deferred;
    int value;
} Box;

static _Atomic(Box *) shared;
static atomic_int freed;
static atomic_bool stop;

static void box_free(RcuDeferred *deferred)
{
    Box *box = caa_container_of(deferred, Box, deferred);

    box->value = -1;
    g_free(box);
    atomic_fetch_add(&freed, 1);
}

static Box *box_new(int value)
{
    Box *box = g_new0(Box, 1);

    box->value = value;
    return box;
}

static void *reader(void *opaque)
{
    uintptr_t sum = 0;

    rcu_register_thread();
    while (!atomic_load(&stop)) {
        rcu_section_enter();
        Box *box = atomic_load_explicit(&shared, memory_order_acquire);

        g_assert_cmpint(box->value, >=, 0);
        sum += box->value;
        rcu_section_leave();
    }
    rcu_unregister_thread();
    return (void *)sum;
}

/* Readers never see a box that was freed, and none is left in the end. */
static void test_replace_under_readers(void)
{
    enum { ROUNDS = 2000 };
    pthread_t threads[2];

    atomic_store(&stop, false);
    atomic_store(&freed, 0);
    atomic_store_explicit(&shared, box_new(0), memory_order_release);
    for (int i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, reader, NULL);
    }
    for (int i = 1; i <= ROUNDS; i++) {
        Box *old = atomic_load_explicit(&shared, memory_order_relaxed);

        atomic_store_explicit(&shared, box_new(i), memory_order_release);
        if (i % 64) {
            rcu_defer(&old->deferred, box_free);
        } else {
            rcu_synchronize();
            box_free(&old->deferred);
        }
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    rcu_defer_drain();
    g_assert_cmpint(atomic_load(&freed), ==, ROUNDS);
    g_free(atomic_load(&shared));
}

static void test_drain_without_callbacks_returns(void)
{
    rcu_defer_drain();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/rcu/replace-under-readers", test_replace_under_readers);
    g_test_add_func("/rcu/drain-without-callbacks-returns",
                    test_drain_without_callbacks_returns);
    int ret = g_test_run();

    rcu_unregister_thread();
    return ret;
}
