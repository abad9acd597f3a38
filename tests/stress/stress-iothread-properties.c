/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The properties of an IOThread are changed under load: busy polling comes and
 * goes, under a loop that polls, sleeps, or is about to. One vIOMMU's events
 * come in bursts, so that the loop does all of these; the guest's queue is
 * small, so that it also waits for room.
 *
 * A wake-up that is lost leaves events where they are: at quiet points none
 * waits in the ring untold, and what the host has is read in a few turns, so
 * that the books balance (event-unit.h). The properties are those that were
 * set last (iothread-changes.h).
 */
#include "event-unit.h"
#include "iothread-changes.h"

typedef struct PropertiesRace {
    EventUnit *unit;
    IOThreadChanges changes;
    IOThreadChanges more;       /* the context's call, at the same time */
} PropertiesRace;

static uint64_t changed;

static void context_step(void *opaque)
{
    IOThreadChanges *more = opaque;

    aio_set_poll_params(iothread_get_aio_context(more->iothread),
                        g_rand_int_range(more->rand, 0, 100000), 0, 0);
    more->count++;
    gate_await_steps(more->gate, 1);
}

static void *properties_setup(RaceRun *run)
{
    PropertiesRace *r = g_new0(PropertiesRace, 1);

    r->unit = event_unit_new(&run->gate, run->rand, run->host, NULL,
                             g_rand_int_range(run->rand, 0, 6));
    r->unit->bursty = true;
    event_unit_add_load(r->unit);
    iothread_changes_init(&r->changes, &run->gate, r->unit->f->iothread,
                          run->rand);
    iothread_changes_init(&r->more, &run->gate, r->unit->f->iothread,
                          run->rand);
    gate_add_thread(&run->gate, "properties", iothread_changes_step,
                    &r->changes);
    gate_add_thread(&run->gate, "poll params", context_step, &r->more);
    return r;
}

static void properties_kick(void *opaque)
{
    PropertiesRace *r = opaque;

    event_unit_kick(r->unit);
}

static void properties_check(void *opaque)
{
    PropertiesRace *r = opaque;

    event_unit_check(r->unit);
}

static void properties_teardown(void *opaque, RaceRun *run)
{
    PropertiesRace *r = opaque;

    changed += r->changes.count + r->more.count;
    event_unit_free(r->unit, &run->counts);
    iothread_changes_destroy(&r->changes);
    iothread_changes_destroy(&r->more);
    g_free(r);
}

static bool properties_enough(void)
{
    return changed > 0;
}

static void properties_end(void)
{
    g_test_message("%" G_GUINT64_FORMAT " changes", changed);
}

int main(int argc, char **argv)
{
    static const Race race = {
        .name = "iothread-properties",
        .quiet_points = 8,
        .stride = 300,
        .setup = properties_setup,
        .kick = properties_kick,
        .check = properties_check,
        .teardown = properties_teardown,
        .least = { .events = 1 },
        .enough = properties_enough,
        .end = properties_end,
    };

    return race_main(argc, argv, &race);
}
