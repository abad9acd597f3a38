/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit-life.h"

#include "event-unit.h"
#include "storm.h"

#define EVENT_STEPS 200
#define STORM_STEPS 20

/* Let them at it for @steps, then have them stand still. */
static void blow(Gate *gate, unsigned steps, void (*kick)(void *unit),
                 void *unit)
{
    gate_open(gate);
    gate_await_steps(gate, steps);
    gate_close(gate);
    kick(unit);
    gate_await_quiet(gate);
}

static void live_events(UnitLife *life, Gate *gate)
{
    EventUnit *unit = event_unit_new(
        gate, life->rand, life->host, life->ctx,
        g_rand_int_range(life->rand, 0, EVENT_MAX_LOG2 + 1));

    event_unit_add_load(unit);
    event_unit_add_vcpu(unit);
    event_unit_add_monitor(unit);
    blow(gate, g_rand_int_range(life->rand, 1, EVENT_STEPS), event_unit_kick,
         unit);
    event_unit_check(unit);
    gate_end(gate);
    event_unit_free(unit, &life->counts);
}

static void live_storm(UnitLife *life, Gate *gate)
{
    StormUnit *unit = storm_unit_new_in(gate, life->rand, life->host,
                                        life->ctx);

    blow(gate, g_rand_int_range(life->rand, 1, STORM_STEPS), storm_unit_kick,
         unit);
    storm_unit_check(unit);
    gate_end(gate);
    storm_unit_count(unit, &life->counts);
    storm_unit_free(unit);
}

void unit_life_step(void *opaque)
{
    UnitLife *life = opaque;
    Gate gate;

    gate_init(&gate);
    if (g_rand_int_range(life->rand, 0, 4) == 0) {
        live_storm(life, &gate);
    } else {
        live_events(life, &gate);
    }
    gate_destroy(&gate);
    gate_step(life->gate);
}

void unit_life_init(UnitLife *life, RaceRun *run, AioContext *ctx)
{
    *life = (UnitLife){
        .gate = &run->gate,
        .host = run->host,
        .ctx = ctx,
        .rand = g_rand_new_with_seed(g_rand_int(run->rand)),
    };
}

void unit_life_destroy(UnitLife *life, RaceRun *run)
{
    race_counts_add(&run->counts, &life->counts);
    g_rand_free(life->rand);
}
