/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trickle.h"

#include "hw/iommu/viommu-internal.h"

#include <errno.h>

/* Without a lock: note() is called under one. */
static uint64_t delivered(EventUnit *unit)
{
    return counter_get(&unit->f->viommu->counters.delivered);
}

static void note(void *opaque)
{
    Trickle *t = opaque;

    for (unsigned i = 0; i < TRICKLE_NOISY; i++) {
        atomic_store(&t->then[i], delivered(t->noisy[i]));
    }
    sem_post(&t->told);
}

/* That it was read late, after the event had come, is no matter. */
static void judge(Trickle *t, const uint64_t before[TRICKLE_NOISY])
{
    for (unsigned i = 0; i < TRICKLE_NOISY; i++) {
        uint64_t then = atomic_load(&t->then[i]);
        uint64_t most = then > before[i] ? then - before[i] : 0;

        g_assert_cmpuint(most, <=, TRICKLE_MOST);
        t->worst = MAX(t->worst, most);
    }
}

void trickle_step(void *opaque)
{
    Trickle *t = opaque;
    uint64_t before[TRICKLE_NOISY];

    event_port_report(&t->unit->ports[0]);
    for (unsigned i = 0; i < TRICKLE_NOISY; i++) {
        before[i] = delivered(t->noisy[i]);
    }
    while (sem_wait(&t->told) < 0) {
        g_assert_cmpint(errno, ==, EINTR);
    }
    judge(t, before);
    g_assert_cmpuint(event_guest_consume_all(&t->unit->guest), ==, 1);
    counter_add(&t->count, 1);
    gate_step(t->unit->gate);
}

void trickle_init(Trickle *t, RaceRun *run, AioContext *ctx,
                  EventUnit *const noisy[TRICKLE_NOISY])
{
    *t = (Trickle){ 0 };
    for (unsigned i = 0; i < TRICKLE_NOISY; i++) {
        t->noisy[i] = noisy[i];
    }
    sem_init(&t->told, 0, 0);
    t->unit = event_unit_new(&run->gate, run->rand, run->host, ctx, 2);
    t->unit->f->irq.raised = note;
    t->unit->f->irq.opaque = t;
}

void trickle_destroy(Trickle *t, RaceRun *run)
{
    event_unit_free(t->unit, &run->counts);
    sem_destroy(&t->told);
}
