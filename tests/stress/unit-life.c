/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A unit's threads are at two gates: the guest's, with all who call into the
 * vIOMMU and so have to end before it; and the world's, with its hardware and
 * its memory, which go on.
 */
#include "unit-life.h"

#include "event-unit.h"
#include "storm.h"

#include <string.h>

#define EVENT_STEPS 200
#define STORM_STEPS 20

typedef struct LifeGates {
    Gate world;
    Gate guest;
} LifeGates;

static bool once_in(GRand *rand, gint32 n)
{
    return g_rand_int_range(rand, 0, n) == 0;
}

/* ---- Gates ---- */

static void gates_open(LifeGates *gates)
{
    gate_open(&gates->world);
    gate_open(&gates->guest);
}

static void make_quiet(Gate *gate, void (*kick)(void *unit), void *unit)
{
    gate_close(gate);
    if (kick) {
        kick(unit);
    }
    gate_await_quiet(gate);
}

static void end_world(LifeGates *gates)
{
    make_quiet(&gates->world, NULL, NULL);
    gate_end(&gates->world);
}

/* ---- Memory ---- */

static void move_step(void *opaque)
{
    UnitLife *life = opaque;

    moving_memory_step(&life->memory);
    gate_step(life->gate);
}

static void add_memory(UnitLife *life, LifeGates *gates, GuestMem *mem,
                       uint8_t **ram, unsigned may_go)
{
    moving_memory_init(&life->memory, &gates->world, life->rand, mem, ram);
    life->memory.may_go = may_go;
    gate_add_thread(&gates->world, "move", move_step, life);
}

/* ---- An SMMUv3 ---- */

static void end_events_quietly(UnitLife *life, EventUnit *unit,
                               LifeGates *gates)
{
    make_quiet(&gates->guest, event_unit_kick, unit);
    make_quiet(&gates->world, NULL, NULL);
    moving_memory_settle(&life->memory);
    event_guest_acknowledge_abort(&unit->guest);
    event_unit_check(unit);
    gate_end(&gates->guest);
}

static void stop_events(UnitLife *life, EventUnit *unit, LifeGates *gates)
{
    bool guest_first = once_in(life->rand, 2);

    if (guest_first) {
        make_quiet(&gates->guest, event_unit_kick, unit);
    }
    event_unit_unplug(unit);
    if (!guest_first) {
        make_quiet(&gates->guest, event_unit_kick, unit);
    }
    gate_end(&gates->guest);
    event_unit_stop(unit);
    life->stops++;
}

static void live_events(UnitLife *life, LifeGates *gates)
{
    AioContext *ctx = once_in(life->rand, 4) ? NULL : life->ctx;
    EventUnit *unit = event_unit_new(
        &gates->world, life->rand, life->host, ctx,
        g_rand_int_range(life->rand, 0, EVENT_MAX_LOG2 + 1));

    unit->guest.gate = &gates->guest;
    add_memory(life, gates, unit->f->mem, &unit->f->ram,
               1u << MOVING_STRETCH_OF(GUEST_EVENTQ));
    event_unit_add_load(unit);
    event_unit_add_vcpu(unit);

    gates_open(gates);
    gate_await_steps(&gates->world,
                     g_rand_int_range(life->rand, 1, EVENT_STEPS));
    if (once_in(life->rand, 2)) {
        end_events_quietly(life, unit, gates);
    } else {
        stop_events(life, unit, gates);
    }
    end_world(gates);
    moving_memory_destroy(&life->memory);
    event_unit_free(unit, &life->counts);
}

/* ---- A VT-d unit ---- */

typedef struct StormWorld {
    Gate *gate;
    StormUnit *unit;
    GRand *rand;
} StormWorld;

/* Hardware that outlives the vIOMMU. */
static void raise_step(void *opaque)
{
    StormWorld *world = opaque;

    host_port_raise(
        &world->unit->host[g_rand_int_range(world->rand, 0, STORM_HOST)],
        g_rand_int_range(world->rand, 0, STORM_PASIDS), world->rand);
    gate_step(world->gate);
}

static void end_storm(UnitLife *life, StormUnit *unit, LifeGates *gates)
{
    bool quietly = once_in(life->rand, 2);

    make_quiet(&gates->guest, storm_unit_kick, unit);
    if (quietly) {
        make_quiet(&gates->world, NULL, NULL);
        storm_unit_check(unit);
    }
    gate_end(&gates->guest);
    storm_unit_count(unit, &life->counts);
    storm_unit_stop(unit);
    life->stops += !quietly;
}

static void live_storm(UnitLife *life, LifeGates *gates)
{
    AioContext *ctx = once_in(life->rand, 4) ? NULL : life->ctx;
    StormUnit *unit = storm_unit_new_in(&gates->guest, life->rand, life->host,
                                        ctx);
    StormWorld world = {
        .gate = &gates->world,
        .unit = unit,
        .rand = g_rand_new_with_seed(g_rand_int(life->rand)),
    };

    add_memory(life, gates, unit->f->mem, &unit->f->ram, 0);
    gate_add_thread(&gates->world, "host devices", raise_step, &world);

    gates_open(gates);
    gate_await_steps(&gates->guest,
                     g_rand_int_range(life->rand, 1, STORM_STEPS));
    end_storm(life, unit, gates);
    end_world(gates);
    moving_memory_destroy(&life->memory);
    storm_unit_free(unit);
    g_rand_free(world.rand);
}

/* ---- Lives ---- */

void unit_life_step(void *opaque)
{
    UnitLife *life = opaque;
    LifeGates gates;

    gate_init(&gates.world);
    gate_init(&gates.guest);
    if (once_in(life->rand, 4)) {
        live_storm(life, &gates);
    } else {
        live_events(life, &gates);
    }
    gate_destroy(&gates.guest);
    gate_destroy(&gates.world);
    gate_step(life->gate);
}

bool unit_life_expects(const char *message)
{
    return strstr(message, "is not in memory") || storm_expects(message);
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
