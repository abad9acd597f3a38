/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stop during everything. On one IOThread, whose properties change, units of
 * either model come, have all of their threads at them, and are stopped in the
 * midst of it, in each order that the API allows: unit-life.h. Three at a time,
 * so that the IOThread is never out of work.
 *
 * What a unit has moved until then balances, every page request group has had
 * its answer, and neither host objects nor descriptors nor threads are left.
 */
#include "event-unit.h"
#include "iothread-changes.h"
#include "unit-life.h"

#define LIVES 3

typedef struct Stop {
    IOThread *iothread;
    IOThreadChanges changes;
    UnitLife lives[LIVES];
} Stop;

static uint64_t stops;

static void *stop_setup(RaceRun *run)
{
    Stop *stop = g_new0(Stop, 1);
    GError *error = NULL;
    AioContext *ctx;

    stop->iothread = iothread_new("shared", NULL, &error);
    g_assert_no_error(error);
    ctx = iothread_get_aio_context(stop->iothread);
    iothread_changes_init(&stop->changes, &run->gate, stop->iothread,
                          run->rand);
    gate_add_thread(&run->gate, "properties", iothread_changes_step,
                    &stop->changes);
    for (unsigned i = 0; i < LIVES; i++) {
        unit_life_init(&stop->lives[i], run, ctx);
        gate_add_thread(&run->gate, "lives", unit_life_step, &stop->lives[i]);
    }
    return stop;
}

/* Each life has checked its own. */
static void stop_check(void *opaque)
{
}

static void stop_teardown(void *opaque, RaceRun *run)
{
    Stop *stop = opaque;

    for (unsigned i = 0; i < LIVES; i++) {
        stops += stop->lives[i].stops;
        unit_life_destroy(&stop->lives[i], run);
    }
    iothread_changes_destroy(&stop->changes);
    iothread_stop(stop->iothread);
    g_free(stop);
}

static bool stop_enough(void)
{
    return stops > 0;
}

static void stop_end(void)
{
    g_test_message("%" G_GUINT64_FORMAT " units stopped in the midst of it",
                   stops);
}

int main(int argc, char **argv)
{
    static const Race race = {
        .name = "stop",
        .quiet_points = 1,
        .stride = 500,
        .setup = stop_setup,
        .check = stop_check,
        .teardown = stop_teardown,
        .expects = unit_life_expects,
        .least = { .events = 1, .plugs = 1, .lives = 1 },
        .enough = stop_enough,
        .end = stop_end,
    };

    return race_main(argc, argv, &race);
}
