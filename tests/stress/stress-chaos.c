/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chaos: all races at once, drawn from a seed, for as long as it is told to. A
 * round has one or two IOThreads, whose properties change or not; SMMUv3s and
 * VT-d units that stay, on these or on IOThreads of their own; and places where
 * others come and go, in quiet or stopped in the midst of everything. Of each
 * unit it is drawn whether its memory moves; of an SMMUv3 also whether it is
 * plugged and unplugged, reset, resized, masked, and how fast its hardware and
 * its guest are. With VT-d units comes all of the storm: page requests,
 * responses late, twice and of strangers, PASIDs that come and go, floods of
 * invalidations, resets (storm.h).
 *
 * At every quiet point all books balance: event-unit.h, storm.h.
 */
#include "event-unit.h"
#include "iothread-changes.h"
#include "storm.h"
#include "unit-life.h"

#define MAX_IOTHREADS 2
#define MAX_EVENTS 3
#define MAX_STORMS 2
#define MAX_LIVES 2

/* A unit that stays: of one model or the other. */
typedef struct Resident {
    EventUnit *events;
    StormUnit *storm;
    bool moves;
    MovingMemory memory;
} Resident;

typedef struct Chaos {
    IOThread *iothreads[MAX_IOTHREADS];
    bool changes[MAX_IOTHREADS];
    IOThreadChanges changers[MAX_IOTHREADS];
    Resident residents[MAX_EVENTS + MAX_STORMS];
    UnitLife lives[MAX_LIVES];
    unsigned iothread_count;
    unsigned resident_count;
    unsigned life_count;
} Chaos;

static bool once_in(GRand *rand, gint32 n)
{
    return g_rand_int_range(rand, 0, n) == 0;
}

/* ---- Who takes part ---- */

static void add_iothread(Chaos *c, RaceRun *run)
{
    unsigned i = c->iothread_count++;
    GError *error = NULL;

    c->iothreads[i] = iothread_new("shared", NULL, &error);
    g_assert_no_error(error);
    c->changes[i] = once_in(run->rand, 2);
    if (c->changes[i]) {
        iothread_changes_init(&c->changers[i], &run->gate, c->iothreads[i],
                              run->rand);
        gate_add_thread(&run->gate, "properties", iothread_changes_step,
                        &c->changers[i]);
    }
}

static AioContext *draw_shared(Chaos *c, GRand *rand)
{
    unsigned i = g_rand_int_range(rand, 0, c->iothread_count);

    return iothread_get_aio_context(c->iothreads[i]);
}

/* NULL: an IOThread of its own */
static AioContext *draw_context(Chaos *c, GRand *rand)
{
    return once_in(rand, 3) ? NULL : draw_shared(c, rand);
}

static void draw_memory(Resident *resident, RaceRun *run, GuestMem *mem,
                        uint8_t **ram, unsigned may_go)
{
    resident->moves = once_in(run->rand, 2);
    if (resident->moves) {
        moving_memory_init(&resident->memory, &run->gate, run->rand, mem, ram);
        resident->memory.may_go = may_go;
        gate_add_thread(&run->gate, "move", moving_memory_step,
                        &resident->memory);
    }
}

static void add_events(Chaos *c, RaceRun *run)
{
    Resident *resident = &c->residents[c->resident_count++];
    GRand *rand = run->rand;
    EventUnit *unit = event_unit_new(
        &run->gate, rand, run->host, draw_context(c, rand),
        g_rand_int_range(rand, 0, EVENT_MAX_LOG2 + 1));
    bool vcpu = once_in(rand, 2);

    resident->events = unit;
    unit->guest.lazy = once_in(rand, 3);
    unit->bursty = once_in(rand, 3);
    event_unit_add_load(unit);
    if (vcpu) {
        event_unit_add_vcpu(unit);
    }
    if (once_in(rand, 2)) {
        event_unit_add_monitor(unit);
    }
    /* That its queue is no memory, a vCPU has to acknowledge. */
    draw_memory(resident, run, unit->f->mem, &unit->f->ram,
                vcpu ? 1u << MOVING_STRETCH_OF(GUEST_EVENTQ) : 0);
}

static void add_storm(Chaos *c, RaceRun *run)
{
    Resident *resident = &c->residents[c->resident_count++];
    StormUnit *unit = storm_unit_new_in(&run->gate, run->rand, run->host,
                                        draw_context(c, run->rand));

    resident->storm = unit;
    draw_memory(resident, run, unit->f->mem, &unit->f->ram, 0);
}

static void add_life(Chaos *c, RaceRun *run)
{
    UnitLife *life = &c->lives[c->life_count++];

    unit_life_init(life, run, draw_shared(c, run->rand));
    gate_add_thread(&run->gate, "lives", unit_life_step, life);
}

static void add_some(Chaos *c, RaceRun *run, gint32 least, gint32 most,
                     void (*add)(Chaos *c, RaceRun *run))
{
    for (gint32 n = g_rand_int_range(run->rand, least, most + 1); n > 0; n--) {
        add(c, run);
    }
}

static void *chaos_setup(RaceRun *run)
{
    Chaos *c = g_new0(Chaos, 1);

    add_some(c, run, 1, MAX_IOTHREADS, add_iothread);
    add_some(c, run, 1, MAX_EVENTS, add_events);
    add_some(c, run, 0, MAX_STORMS, add_storm);
    add_some(c, run, 0, MAX_LIVES, add_life);
    return c;
}

/* ---- Quiet, and the end ---- */

static void chaos_kick(void *opaque)
{
    Chaos *c = opaque;

    for (unsigned i = 0; i < c->resident_count; i++) {
        if (c->residents[i].events) {
            event_unit_kick(c->residents[i].events);
        } else {
            storm_unit_kick(c->residents[i].storm);
        }
    }
}

static void chaos_check(void *opaque)
{
    Chaos *c = opaque;

    for (unsigned i = 0; i < c->resident_count; i++) {
        Resident *resident = &c->residents[i];

        if (resident->moves) {
            moving_memory_settle(&resident->memory);
        }
        if (resident->events) {
            event_guest_acknowledge_abort(&resident->events->guest);
            event_unit_check(resident->events);
        } else {
            storm_unit_check(resident->storm);
        }
    }
}

static void free_resident(Resident *resident, RaceRun *run)
{
    if (resident->moves) {
        moving_memory_destroy(&resident->memory);
    }
    if (resident->events) {
        event_unit_free(resident->events, &run->counts);
    } else {
        storm_unit_count(resident->storm, &run->counts);
        storm_unit_free(resident->storm);
    }
}

static void chaos_teardown(void *opaque, RaceRun *run)
{
    Chaos *c = opaque;

    for (unsigned i = 0; i < c->resident_count; i++) {
        free_resident(&c->residents[i], run);
    }
    for (unsigned i = 0; i < c->life_count; i++) {
        unit_life_destroy(&c->lives[i], run);
    }
    for (unsigned i = 0; i < c->iothread_count; i++) {
        if (c->changes[i]) {
            iothread_changes_destroy(&c->changers[i]);
        }
        iothread_stop(c->iothreads[i]);
    }
    g_free(c);
}

int main(int argc, char **argv)
{
    static const Race race = {
        .name = "chaos",
        .quiet_points = 4,
        .stride = 300,
        .setup = chaos_setup,
        .kick = chaos_kick,
        .check = chaos_check,
        .teardown = chaos_teardown,
        .expects = unit_life_expects,
        .least = { .events = 1, .plugs = 1, .lives = 1 },
    };

    return race_main(argc, argv, &race);
}
