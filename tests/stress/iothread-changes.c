/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iothread-changes.h"

#define CHANGE_STEPS 6

static IOThreadProperties random_properties(GRand *rand)
{
    return (IOThreadProperties){
        .poll_max_ns = g_rand_boolean(rand)
                           ? 0
                           : g_rand_int_range(rand, 1, 200000),
        .poll_grow = g_rand_int_range(rand, 0, 5),
        .poll_shrink = g_rand_int_range(rand, 0, 5),
    };
}

static void assert_same(const IOThreadProperties *a,
                        const IOThreadProperties *b)
{
    g_assert_cmpint(a->poll_max_ns, ==, b->poll_max_ns);
    g_assert_cmpint(a->poll_grow, ==, b->poll_grow);
    g_assert_cmpint(a->poll_shrink, ==, b->poll_shrink);
}

static void change(IOThreadChanges *changes)
{
    IOThreadProperties wanted = random_properties(changes->rand);
    IOThreadProperties shown;
    GError *error = NULL;

    iothread_set_properties(changes->iothread, &wanted, &error);
    g_assert_no_error(error);
    shown = iothread_get_properties(changes->iothread);
    assert_same(&shown, &wanted);
}

static void refuse(IOThreadChanges *changes)
{
    IOThreadProperties before = iothread_get_properties(changes->iothread);
    IOThreadProperties wrong = random_properties(changes->rand);
    IOThreadProperties after;
    GError *error = NULL;

    wrong.poll_shrink = -1;
    g_assert_false(iothread_set_properties(changes->iothread, &wrong, &error));
    g_assert_nonnull(error);
    g_error_free(error);
    after = iothread_get_properties(changes->iothread);
    assert_same(&after, &before);
}

void iothread_changes_step(void *opaque)
{
    IOThreadChanges *changes = opaque;
    IOThreadProperties other = random_properties(changes->rand);

    switch (g_rand_int_range(changes->rand, 0, 8)) {
    case 0:
        refuse(changes);
        break;
    case 1:
    case 2:
        aio_set_poll_params(iothread_get_aio_context(changes->iothread),
                            other.poll_max_ns, other.poll_grow,
                            other.poll_shrink);
        break;
    default:
        change(changes);
        break;
    }
    changes->count++;
    gate_await_steps(changes->gate,
                     g_rand_int_range(changes->rand, 1, CHANGE_STEPS));
}

void iothread_changes_init(IOThreadChanges *changes, Gate *gate,
                           IOThread *iothread, GRand *seeds)
{
    *changes = (IOThreadChanges){
        .gate = gate,
        .iothread = iothread,
        .rand = g_rand_new_with_seed(g_rand_int(seeds)),
    };
}

void iothread_changes_destroy(IOThreadChanges *changes)
{
    g_rand_free(changes->rand);
}
