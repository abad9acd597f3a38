/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many vIOMMUs on one IOThread. Three SMMUv3s are as noisy as can be; a VT-d
 * unit has all that happens to page requests (storm.h); one more SMMUv3 gets an
 * event at a time; and in two places units of either model come, have all of
 * their threads at them, and go.
 *
 * Fairness, without a clock: while an event of the quiet one waits, no noisy
 * one gets more than a few turns' budgets (trickle.h); and there is no quiet
 * point before every unit has moved something. All books balance.
 */
#include "event-unit.h"
#include "storm.h"
#include "trickle.h"
#include "unit-life.h"

#define NOISY_LOG2 13           /* of the queue: many budgets */
#define UNITS (TRICKLE_NOISY + 2)
#define LIVES 2

typedef struct Many {
    IOThread *iothread;
    EventUnit *noisy[TRICKLE_NOISY];
    StormUnit *storm;
    Trickle trickle;
    UnitLife lives[LIVES];
    uint64_t moved[UNITS];      /* until the last quiet point */
} Many;

static uint64_t worst;

static void *many_setup(RaceRun *run)
{
    Many *many = g_new0(Many, 1);
    GError *error = NULL;
    AioContext *ctx;

    many->iothread = iothread_new("shared", NULL, &error);
    g_assert_no_error(error);
    ctx = iothread_get_aio_context(many->iothread);
    for (unsigned i = 0; i < TRICKLE_NOISY; i++) {
        many->noisy[i] = event_unit_new(&run->gate, run->rand, run->host, ctx,
                                        NOISY_LOG2);
        event_unit_add_load(many->noisy[i]);
    }
    many->storm = storm_unit_new_in(&run->gate, run->rand, run->host, ctx);
    trickle_init(&many->trickle, run, ctx, many->noisy);
    gate_add_thread(&run->gate, "trickle", trickle_step, &many->trickle);
    for (unsigned i = 0; i < LIVES; i++) {
        unit_life_init(&many->lives[i], run, ctx);
        gate_add_thread(&run->gate, "lives", unit_life_step, &many->lives[i]);
    }
    return many;
}

/* What each unit has moved since it began. */
static void count_moved(Many *many, uint64_t moved[UNITS])
{
    for (unsigned i = 0; i < TRICKLE_NOISY; i++) {
        moved[i] = viommu_get_stats(many->noisy[i]->f->viommu).delivered;
    }
    moved[TRICKLE_NOISY] =
        viommu_get_page_stats(many->storm->f->viommu).raised;
    moved[TRICKLE_NOISY + 1] = counter_get(&many->trickle.count);
}

/* Of the one that has moved least since the last quiet point. */
static uint64_t many_progress(void *opaque)
{
    Many *many = opaque;
    uint64_t moved[UNITS];
    uint64_t least = UINT64_MAX;

    count_moved(many, moved);
    for (unsigned i = 0; i < UNITS; i++) {
        least = MIN(least, moved[i] - many->moved[i]);
    }
    return least;
}

static void many_kick(void *opaque)
{
    Many *many = opaque;

    for (unsigned i = 0; i < TRICKLE_NOISY; i++) {
        event_unit_kick(many->noisy[i]);
    }
    storm_unit_kick(many->storm);
}

static void many_check(void *opaque)
{
    Many *many = opaque;

    for (unsigned i = 0; i < TRICKLE_NOISY; i++) {
        event_unit_check(many->noisy[i]);
    }
    storm_unit_check(many->storm);
    event_unit_check(many->trickle.unit);
    count_moved(many, many->moved);
}

static void many_teardown(void *opaque, RaceRun *run)
{
    Many *many = opaque;

    worst = MAX(worst, many->trickle.worst);
    trickle_destroy(&many->trickle, run);
    for (unsigned i = 0; i < TRICKLE_NOISY; i++) {
        event_unit_free(many->noisy[i], &run->counts);
    }
    storm_unit_count(many->storm, &run->counts);
    storm_unit_free(many->storm);
    for (unsigned i = 0; i < LIVES; i++) {
        unit_life_destroy(&many->lives[i], run);
    }
    iothread_stop(many->iothread);
    g_free(many);
}

static void many_end(void)
{
    g_test_message("while an event waited, another unit got %" G_GUINT64_FORMAT
                   " at most, of %u allowed", worst, TRICKLE_MOST);
}

int main(int argc, char **argv)
{
    static const Race race = {
        .name = "many-units",
        .quiet_points = 4,
        .stride = 20,           /* of each unit */
        .progress = many_progress,
        .setup = many_setup,
        .kick = many_kick,
        .check = many_check,
        .teardown = many_teardown,
        .expects = unit_life_expects,
        .least = { .events = 1, .groups = 1, .plugs = 1, .lives = 1 },
        .end = many_end,
    };

    return race_main(argc, argv, &race);
}
