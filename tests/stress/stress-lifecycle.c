/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Enable, disable, resize, reset, mask, move, unplug and plug under load. One
 * vIOMMU on an IOThread of its own has
 *
 *   three device threads  that report events as fast as they can,
 *   a handler thread      the guest's: reads the event queue,
 *   a vCPU thread         that disables, enables, resizes, resets, masks the
 *                         interrupt, and has devices attached elsewhere,
 *   a monitor thread      that unplugs and plugs.
 *
 * Whenever the queue is off, and at quiet points, every event delivered was
 * either consumed or left in the ring, in the order of its reporter, and the
 * books of devices, vIOMMU, guest and host are the same: event-unit.h.
 */
#include "event-unit.h"

static void *lifecycle_setup(RaceRun *run)
{
    EventUnit *unit = event_unit_new(
        &run->gate, run->rand, run->host, NULL,
        g_rand_int_range(run->rand, 0, EVENT_MAX_LOG2 + 1));

    if (g_rand_boolean(run->rand)) {
        aio_set_poll_params(unit->f->ctx, 0, 0, 0);
    }
    event_unit_add_load(unit);
    event_unit_add_vcpu(unit);
    event_unit_add_monitor(unit);
    return unit;
}

int main(int argc, char **argv)
{
    static const Race race = {
        .name = "lifecycle",
        .quiet_points = 4,
        .stride = 500,
        .setup = lifecycle_setup,
        .kick = event_unit_kick,
        .check = event_unit_check,
        .teardown = event_unit_teardown,
        .least = { .events = 1, .plugs = 1, .resets = 1, .lives = 1 },
    };

    return race_main(argc, argv, &race);
}
