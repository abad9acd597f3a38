/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reset while full. The guest's queue has one to eight entries, and so has the
 * host's, device threads report as fast as they can, and the guest's handler
 * takes its time: both queues are full, and the pump waits for room. A vCPU
 * thread waits for that moment, and then resets the SMMU, has the queue off
 * and on, or makes it larger or smaller, while the handler writes CONS.
 *
 * At quiet points the books of devices, vIOMMU, guest and host are the same,
 * losses included, and no event waits in the ring untold (event-unit.h).
 */
#include "event-unit.h"

#define MOST_LOG2 3
#define WAIT_STEPS 4
#define MAX_WAITS 50

static uint64_t full;
static uint64_t lost;

static uint64_t host_lost(EventUnit *unit)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < EVENT_PORTS; i++) {
        sum += counter_get(&unit->ports[i].lost);
    }
    return sum;
}

/* Return: whether both queues are full; not for ever, and not if it is late. */
static bool await_full(EventUnit *unit)
{
    uint64_t before = host_lost(unit);

    for (unsigned i = 0; i < MAX_WAITS && !gate_is_closed(unit->gate); i++) {
        ViommuStats stats = viommu_get_stats(unit->f->viommu);

        if (stats.queue_used == stats.queue_size && host_lost(unit) > before) {
            return true;
        }
        gate_await_steps(unit->gate, WAIT_STEPS);
    }
    return false;
}

static void vcpu_step(void *opaque)
{
    EventUnit *unit = opaque;
    EventGuest *g = &unit->guest;
    unsigned log2 = g_rand_int_range(g->rand, 0, MOST_LOG2 + 1);

    full += await_full(unit);
    if (gate_is_closed(unit->gate)) {
        return;                 /* else a reset would mend what has stuck */
    }
    if (g_rand_boolean(g->rand)) {
        event_guest_reset(g, log2);
    } else {
        event_guest_resize(g, log2);
    }
}

static void *full_setup(RaceRun *run)
{
    EventUnit *unit = event_unit_new(
        &run->gate, run->rand, run->host, NULL,
        g_rand_int_range(run->rand, 0, MOST_LOG2 + 1));

    unit->guest.lazy = true;
    event_unit_add_load(unit);
    gate_add_thread(&run->gate, "vcpu", vcpu_step, unit);
    return unit;
}

static void full_teardown(void *opaque, RaceRun *run)
{
    EventUnit *unit = opaque;

    lost += viommu_get_stats(unit->f->viommu).lost;
    event_unit_teardown(unit, run);
}

static bool full_enough(void)
{
    return full > 0 && lost > 0;
}

static void full_end(void)
{
    g_test_message("%" G_GUINT64_FORMAT " times both queues were full, %"
                   G_GUINT64_FORMAT " events lost", full, lost);
}

int main(int argc, char **argv)
{
    static const Race race = {
        .name = "reset-while-full",
        .quiet_points = 4,
        .stride = 500,
        .setup = full_setup,
        .kick = event_unit_kick,
        .check = event_unit_check,
        .teardown = full_teardown,
        .least = { .events = 1, .resets = 1, .lives = 2 },
        .enough = full_enough,
        .end = full_end,
    };

    return race_main(argc, argv, &race);
}
