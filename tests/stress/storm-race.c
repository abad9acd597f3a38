/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storm-race.h"

#define MAX_UNITS 8

typedef struct Storm {
    Gate *gate;
    StormUnit *units[MAX_UNITS];
} Storm;

static gint unit_count = 2;
static const StormRace *storm_race;

/* Of all rounds. */
static uint64_t busy;
static StormBooks books;

/* ---- Statistics of units at work ---- */

static void read_stats(StormUnit *unit)
{
    ViommuPageStats pages = viommu_get_page_stats(unit->f->viommu);
    HardwarePageStats host = storm_page_stats(unit);

    /* Nothing ends before it has begun. */
    g_assert_cmpuint(pages.open, <=, pages.raised);
    g_assert_cmpuint(host.open, <=, host.raised);
    g_assert_cmpuint(storm_host_busy(unit), ==, 0);
}

static void stats_step(void *opaque)
{
    Storm *storm = opaque;

    for (gint i = 0; i < unit_count; i++) {
        read_stats(storm->units[i]);
    }
    gate_await_steps(storm->gate, 1);
}

/* ---- A round ---- */

static void *storm_setup(RaceRun *run)
{
    Storm *storm = g_new0(Storm, 1);

    unit_count = CLAMP(unit_count, 1, MAX_UNITS);
    storm->gate = &run->gate;
    for (gint i = 0; i < unit_count; i++) {
        storm->units[i] = storm_unit_new_of(&run->gate, run->rand,
                                            run->host, storm_race->mix, NULL);
    }
    gate_add_thread(&run->gate, "stats", stats_step, storm);
    return storm;
}

static uint64_t storm_lives(void *opaque)
{
    Storm *storm = opaque;
    uint64_t lives = 0;

    for (gint i = 0; i < unit_count; i++) {
        lives += storm_unit_lives(storm->units[i]);
    }
    return lives;
}

static void storm_kick(void *opaque)
{
    Storm *storm = opaque;

    for (gint i = 0; i < unit_count; i++) {
        storm_unit_kick(storm->units[i]);
    }
}

static void storm_check(void *opaque)
{
    Storm *storm = opaque;

    for (gint i = 0; i < unit_count; i++) {
        storm_unit_check(storm->units[i]);
    }
}

static uint64_t total(const StormCount *count)
{
    return storm_counted(count);
}

static void add_books(StormBooks *sum, const StormBooks *more)
{
    StormCount *to = (StormCount *)sum;
    const StormCount *from = (const StormCount *)more;

    for (size_t i = 0; i < sizeof(*more) / sizeof(StormCount); i++) {
        storm_count(&to[i], total(&from[i]));
    }
}

static void add_page_stats(ViommuPageStats stats)
{
    storm_count(&books.overflows, stats.overflows + stats.retried);
    storm_count(&books.stray, stats.stray);
}

static void storm_teardown(void *opaque, RaceRun *run)
{
    Storm *storm = opaque;

    for (gint i = 0; i < unit_count; i++) {
        storm_unit_count(storm->units[i], &run->counts);
        add_books(&books, &storm->units[i]->books);
        add_page_stats(viommu_get_page_stats(storm->units[i]->f->viommu));
        busy += storm_host_busy(storm->units[i]);
        storm_unit_free(storm->units[i]);
    }
    g_free(storm);
}

/* ---- The run ---- */

static bool storm_enough(void)
{
    return total(&books.sva_raised) > 0 && storm_race->enough(&books);
}

static void storm_end(void)
{
    g_test_message("%" G_GUINT64_FORMAT " groups of SVA devices, %"
                   G_GUINT64_FORMAT " of host devices (%" G_GUINT64_FORMAT
                   " ended by the host), %" G_GUINT64_FORMAT " responses, %"
                   G_GUINT64_FORMAT " flushes, %" G_GUINT64_FORMAT
                   " translations, %" G_GUINT64_FORMAT " EBUSY",
                   total(&books.sva_raised), total(&books.host_raised),
                   total(&books.automatic), total(&books.responses),
                   total(&books.flushes), total(&books.translations), busy);
    g_assert_cmpuint(busy, ==, 0);
    if (storm_race->end) {
        storm_race->end(&books);
    }
}

static const GOptionEntry options[] = {
    { "units", 0, 0, G_OPTION_ARG_INT, &unit_count, "VT-d units (2)", "N" },
    G_OPTION_ENTRY_NULL,
};

int storm_race_main(int argc, char **argv, const StormRace *the_race)
{
    Race race = {
        .name = the_race->name,
        .quiet_points = 4,
        .stride = the_race->stride,
        .progress = the_race->by_lives ? storm_lives : NULL,
        .setup = storm_setup,
        .kick = storm_kick,
        .check = storm_check,
        .teardown = storm_teardown,
        .expects = storm_expects,
        .least = the_race->least,
        .enough = storm_enough,
        .end = storm_end,
        .options = options,
    };

    storm_race = the_race;
    return race_main(argc, argv, &race);
}
