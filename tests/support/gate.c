/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gate.h"

#include "base/rcu.h"
#include "base/thread.h"

typedef enum GateState {
    GATE_OPEN,
    GATE_CLOSED,
    GATE_ENDED,
} GateState;

typedef struct GateThread {
    Gate *gate;
    char *name;
    void (*step)(void *opaque);
    void *opaque;
    pthread_t thread;
} GateThread;

static int state_get(const Gate *gate)
{
    /* Relaxed: a closed gate is looked at again under the lock. */
    return atomic_load_explicit(&gate->state, memory_order_relaxed);
}

static void state_set(Gate *gate, GateState state)
{
    lock_acquire(&gate->lock);
    atomic_store_explicit(&gate->state, state, memory_order_relaxed);
    pthread_cond_broadcast(&gate->changed);
    lock_release(&gate->lock);
}

/* Return: false once the gate has ended. */
static bool pass(Gate *gate)
{
    bool open;

    if (state_get(gate) == GATE_OPEN) {
        return true;
    }
    lock_acquire(&gate->lock);
    gate->parked++;
    pthread_cond_broadcast(&gate->changed);
    while (state_get(gate) == GATE_CLOSED) {
        lock_wait(&gate->lock, &gate->changed);
    }
    gate->parked--;
    open = state_get(gate) == GATE_OPEN;
    lock_release(&gate->lock);
    return open;
}

static void *thread_run(void *opaque)
{
    GateThread *thread = opaque;

    thread_set_name(thread->name);
    rcu_register_thread();
    while (pass(thread->gate)) {
        thread->step(thread->opaque);
    }
    rcu_unregister_thread();
    return NULL;
}

void gate_init(Gate *gate)
{
    lock_init(&gate->lock, LOCK_RANK_LEAF);
    pthread_cond_init(&gate->changed, NULL);
    atomic_init(&gate->state, GATE_CLOSED);
    gate->parked = 0;
    atomic_init(&gate->steps, 0);
    atomic_init(&gate->wake_at, UINT64_MAX);
    gate->threads = g_ptr_array_new();
}

void gate_destroy(Gate *gate)
{
    g_assert_cmpuint(gate->threads->len, ==, 0);
    g_ptr_array_unref(gate->threads);
    pthread_cond_destroy(&gate->changed);
    lock_destroy(&gate->lock);
}

void gate_add_thread(Gate *gate, const char *name, void (*step)(void *opaque),
                     void *opaque)
{
    GateThread *thread = g_new(GateThread, 1);

    *thread = (GateThread){
        .gate = gate, .name = g_strdup(name), .step = step, .opaque = opaque,
    };
    g_assert_cmpint(thread_create(&thread->thread, thread_run, thread), ==, 0);
    g_ptr_array_add(gate->threads, thread);
}

void gate_open(Gate *gate)
{
    state_set(gate, GATE_OPEN);
}

void gate_close(Gate *gate)
{
    state_set(gate, GATE_CLOSED);
}

void gate_await_quiet(Gate *gate)
{
    lock_acquire(&gate->lock);
    while (gate->parked < gate->threads->len) {
        lock_wait(&gate->lock, &gate->changed);
    }
    lock_release(&gate->lock);
}

void gate_end(Gate *gate)
{
    state_set(gate, GATE_ENDED);
    for (guint i = 0; i < gate->threads->len; i++) {
        GateThread *thread = gate->threads->pdata[i];

        pthread_join(thread->thread, NULL);
        g_free(thread->name);
        g_free(thread);
    }
    g_ptr_array_set_size(gate->threads, 0);
}

bool gate_is_closed(const Gate *gate)
{
    return state_get(gate) != GATE_OPEN;
}

/*
 * Sequentially consistent on both sides: either the step sees who wants it, or
 * who wants it sees the step.
 */
void gate_step(Gate *gate)
{
    if (atomic_fetch_add(&gate->steps, 1) + 1 >= atomic_load(&gate->wake_at)) {
        lock_acquire(&gate->lock);
        atomic_store(&gate->wake_at, UINT64_MAX);
        pthread_cond_broadcast(&gate->changed);
        lock_release(&gate->lock);
    }
}

void gate_await_steps(Gate *gate, unsigned count)
{
    uint64_t goal = atomic_load_explicit(&gate->steps, memory_order_relaxed) +
                    count;

    lock_acquire(&gate->lock);
    while (!gate_is_closed(gate)) {
        atomic_store(&gate->wake_at, MIN(goal, atomic_load(&gate->wake_at)));
        if (atomic_load(&gate->steps) >= goal) {
            break;
        }
        lock_wait(&gate->lock, &gate->changed);
    }
    lock_release(&gate->lock);
}
