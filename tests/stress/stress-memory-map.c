/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The map of guest memory is replaced under load. Of an SMMUv3 whose event
 * queue is written as fast as devices report, and of a VT-d unit with all that
 * happens to page requests (storm.h), a thread each moves queues and tables to
 * other addresses of this process; the SMMUv3's event queue is also no memory
 * at all now and then, which a vCPU thread acknowledges, as it resizes it.
 *
 * What was in the map is out of bounds when the call is back, so a late access
 * crashes (moving-memory.h). What a queue that is no memory was to take counts
 * as discarded: at quiet points the books balance as ever.
 */
#include "event-unit.h"
#include "moving-memory.h"
#include "storm.h"

#include <string.h>

#define VCPU_STEPS 4

typedef struct MapRace {
    Gate *gate;
    EventUnit *unit;
    StormUnit *storm;
    MovingMemory event_memory;
    MovingMemory storm_memory;
} MapRace;

static uint64_t moves;
static uint64_t aborts;

static void vcpu_step(void *opaque)
{
    MapRace *r = opaque;
    EventGuest *g = &r->unit->guest;

    event_guest_acknowledge_abort(g);
    if (g_rand_int_range(g->rand, 0, 8) == 0) {
        event_guest_vcpu_step(g);
    }
    gate_await_steps(r->gate, g_rand_int_range(g->rand, 1, VCPU_STEPS));
}

static void *map_setup(RaceRun *run)
{
    MapRace *r = g_new0(MapRace, 1);

    r->gate = &run->gate;
    r->unit = event_unit_new(&run->gate, run->rand, run->host, NULL,
                             g_rand_int_range(run->rand, 0,
                                              EVENT_MAX_LOG2 + 1));
    r->storm = storm_unit_new(&run->gate, run->rand, run->host);
    moving_memory_init(&r->event_memory, &run->gate, run->rand,
                       r->unit->f->mem, &r->unit->f->ram);
    r->event_memory.may_go = 1u << MOVING_STRETCH_OF(GUEST_EVENTQ);
    moving_memory_init(&r->storm_memory, &run->gate, run->rand,
                       r->storm->f->mem, &r->storm->f->ram);
    event_unit_add_load(r->unit);
    gate_add_thread(&run->gate, "vcpu", vcpu_step, r);
    gate_add_thread(&run->gate, "move", moving_memory_step,
                    &r->event_memory);
    gate_add_thread(&run->gate, "move", moving_memory_step,
                    &r->storm_memory);
    return r;
}

static void map_kick(void *opaque)
{
    MapRace *r = opaque;

    event_unit_kick(r->unit);
    storm_unit_kick(r->storm);
}

static void map_check(void *opaque)
{
    MapRace *r = opaque;

    moving_memory_settle(&r->event_memory);
    event_guest_acknowledge_abort(&r->unit->guest);
    event_unit_check(r->unit);
    storm_unit_check(r->storm);
}

static void map_teardown(void *opaque, RaceRun *run)
{
    MapRace *r = opaque;

    moves += r->event_memory.moves + r->storm_memory.moves;
    aborts += counter_get(&r->unit->guest.aborts);
    moving_memory_destroy(&r->event_memory);
    moving_memory_destroy(&r->storm_memory);
    event_unit_free(r->unit, &run->counts);
    storm_unit_count(r->storm, &run->counts);
    storm_unit_free(r->storm);
    g_free(r);
}

static bool map_expects(const char *message)
{
    return strstr(message, "is not in memory") || storm_expects(message);
}

static bool map_enough(void)
{
    return moves > 0 && aborts > 0;
}

static void map_end(void)
{
    g_test_message("%" G_GUINT64_FORMAT " maps, %" G_GUINT64_FORMAT
                   " times the event queue was no memory", moves, aborts);
}

int main(int argc, char **argv)
{
    static const Race race = {
        .name = "memory-map",
        .quiet_points = 4,
        .stride = 500,
        .setup = map_setup,
        .kick = map_kick,
        .check = map_check,
        .teardown = map_teardown,
        .expects = map_expects,
        .least = { .events = 1, .groups = 1 },
        .enough = map_enough,
        .end = map_end,
    };

    return race_main(argc, argv, &race);
}
