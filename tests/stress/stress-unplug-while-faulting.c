/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unplug while faulting. Three device threads report events as fast as they
 * can, and the guest's handler reads them, while a monitor thread unplugs the
 * devices, one or all, and plugs them in again without a pause: with the last
 * one the vEVENTQ goes, with events in it, and all other host objects.
 *
 * No event is of a device that is gone; at quiet points the books of devices,
 * vIOMMU, guest and host are the same (event-unit.h). Some events did find
 * their device gone.
 */
#include "event-unit.h"

static uint64_t discarded;

static void unplug_step(void *opaque)
{
    EventUnit *unit = opaque;
    bool all = g_rand_int_range(unit->rand, 0, 4) == 0;

    for (unsigned i = 0; i < EVENT_PORTS; i++) {
        if (all ? unit->ports[i].device != NULL
                : g_rand_boolean(unit->rand)) {
            event_unit_toggle_port(unit, i);
        }
    }
    gate_await_steps(unit->gate, 1);
}

static void *unplug_setup(RaceRun *run)
{
    EventUnit *unit = event_unit_new(
        &run->gate, run->rand, run->host, NULL,
        g_rand_int_range(run->rand, 2, EVENT_MAX_LOG2 + 1));

    event_unit_add_load(unit);
    gate_add_thread(&run->gate, "monitor", unplug_step, unit);
    return unit;
}

static void unplug_teardown(void *opaque, RaceRun *run)
{
    EventUnit *unit = opaque;

    discarded += viommu_get_stats(unit->f->viommu).discarded;
    event_unit_teardown(unit, run);
}

static bool unplug_enough(void)
{
    return discarded > 0;
}

static void unplug_end(void)
{
    g_test_message("%" G_GUINT64_FORMAT " events found their device gone",
                   discarded);
}

int main(int argc, char **argv)
{
    static const Race race = {
        .name = "unplug-while-faulting",
        .quiet_points = 4,
        .stride = 500,
        .setup = unplug_setup,
        .kick = event_unit_kick,
        .check = event_unit_check,
        .teardown = unplug_teardown,
        .least = { .events = 1, .plugs = EVENT_PORTS + 1, .lives = 2 },
        .enough = unplug_enough,
        .end = unplug_end,
    };

    return race_main(argc, argv, &race);
}
