/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests from all sides at once, for as long as it is told to: storm.h
 * says what happens. At quiet points every group has been answered exactly
 * once, by all of the books there are. After a round the units are freed: no
 * IOMMU_DESTROY was ever told EBUSY, and no object, descriptor or thread is
 * left.
 *
 * The life of a fault queue is the measure of time: it begins with the first
 * HWPT that has page requests and ends with the last.
 */
#include "storm.h"

#include "message-log.h"
#include "own-options.h"
#include "proc-self.h"

#include "base/rcu.h"

#include <string.h>

#define QUIET_POINTS 4          /* of a round */
#define QUIET_LIVES 250         /* from one to the next, of all units */

#define MAX_UNITS 8

typedef struct Storm {
    Gate gate;
    StormUnit *units[MAX_UNITS];
    GRand *seeds;
} Storm;

typedef struct Totals {
    uint64_t rounds;
    uint64_t lives;
    uint64_t busy;
    StormBooks books;
} Totals;

static gint seconds = -1;
static gint64 cycles = -1;
static gint unit_count = 2;
static char *host_name;
static gint64 seed = -1;

static Totals totals;

/* ---- Statistics of units at work ---- */

static void read_stats(StormUnit *unit)
{
    ViommuPageStats pages = viommu_get_page_stats(unit->f->viommu);
    HardwarePageStats host = storm_page_stats(unit);

    /* Nothing ends before it has begun. */
    g_assert_cmpuint(pages.open, <=, pages.raised);
    g_assert_cmpuint(host.open, <=, host.raised);
#ifndef NAIVE_ORDER
    /* (A detector that reports forks, and the child holds the fds a while.) */
    g_assert_cmpuint(storm_host_busy(unit), ==, 0);
#endif
}

static void stats_step(void *opaque)
{
    Storm *storm = opaque;

    for (gint i = 0; i < unit_count; i++) {
        read_stats(storm->units[i]);
    }
    gate_await_steps(&storm->gate, 1);
}

/* ---- A round ---- */

static uint64_t count_lives(Storm *storm)
{
    uint64_t lives = 0;

    for (gint i = 0; i < unit_count; i++) {
        lives += storm_unit_lives(storm->units[i]);
    }
    return lives;
}

static void blow(Storm *storm, uint64_t lives)
{
    gate_open(&storm->gate);
    while (count_lives(storm) < lives) {
        gate_await_steps(&storm->gate, QUIET_LIVES / 10);
    }
    gate_close(&storm->gate);
    for (gint i = 0; i < unit_count; i++) {
        storm_unit_kick(storm->units[i]);
    }
    gate_await_quiet(&storm->gate);
    for (gint i = 0; i < unit_count; i++) {
        storm_unit_check(storm->units[i]);
    }
}

static void add_books(StormBooks *sum, const StormBooks *books)
{
    StormCount *to = (StormCount *)sum;
    const StormCount *from = (const StormCount *)books;

    for (size_t i = 0; i < sizeof(*books) / sizeof(StormCount); i++) {
        storm_count(&to[i], storm_counted(&from[i]));
    }
}

static void run_round(GRand *seeds)
{
    Storm storm = { .seeds = seeds };

    gate_init(&storm.gate);
    for (gint i = 0; i < unit_count; i++) {
        storm.units[i] = storm_unit_new(&storm.gate, seeds, host_name);
    }
    gate_add_thread(&storm.gate, "stats", stats_step, &storm);
    for (unsigned i = 1; i <= QUIET_POINTS; i++) {
        blow(&storm, i * QUIET_LIVES);
    }
    gate_end(&storm.gate);
    totals.lives += count_lives(&storm);
    totals.rounds++;
    for (gint i = 0; i < unit_count; i++) {
        add_books(&totals.books, &storm.units[i]->books);
        totals.busy += storm_host_busy(storm.units[i]);
        storm_unit_free(storm.units[i]);
    }
    gate_destroy(&storm.gate);
    rcu_defer_drain();
}

/* ---- The run ---- */

static uint64_t total(const StormCount *count)
{
    return storm_counted(count);
}

static void summarize(void)
{
    const StormBooks *books = &totals.books;

    g_test_message("%" G_GUINT64_FORMAT " fault queue life cycles, %"
                   G_GUINT64_FORMAT " groups of SVA devices, %"
                   G_GUINT64_FORMAT " of host devices (%" G_GUINT64_FORMAT
                   " ended by the host), %" G_GUINT64_FORMAT " responses, %"
                   G_GUINT64_FORMAT " plugs, %" G_GUINT64_FORMAT " resets, %"
                   G_GUINT64_FORMAT " flushes, %" G_GUINT64_FORMAT
                   " rounds, %" G_GUINT64_FORMAT " EBUSY",
                   totals.lives, total(&books->sva_raised),
                   total(&books->host_raised), total(&books->automatic),
                   total(&books->responses), total(&books->plugs),
                   total(&books->resets), total(&books->flushes),
                   totals.rounds, totals.busy);
}

static bool goes_on(gint64 end)
{
    if (cycles >= 0 && totals.lives < (uint64_t)cycles) {
        return true;
    }
    return seconds >= 0 && g_get_monotonic_time() < end;
}

/* What else there is to say would be a mistake, of whose ever. */
static void check_messages(void)
{
    static const char groups_too_large[] = "does not fit in the page request";

    for (unsigned i = 0; i < message_log_count(); i++) {
        if (!strstr(message_log_get(i), groups_too_large)) {
            g_error("%s", message_log_get(i));
        }
    }
}

static void test_all_at_once(void)
{
    gint64 end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
    g_autoptr(GRand) seeds = g_rand_new_with_seed(seed);
    const unsigned threads = proc_self_lasting_threads();
    unsigned fds = 0;

    do {
        message_log_start();
        run_round(seeds);
        check_messages();
        message_log_stop();
        if (fds == 0) {
            /* Some things are made once and stay. */
            fds = proc_self_fds();
        }
        g_assert_cmpuint(proc_self_fds(), ==, fds);
        proc_self_wait_threads(threads);
        if (totals.rounds % 10 == 0) {
            summarize();
        }
    } while (goes_on(end));
    summarize();
    g_assert_cmpuint(totals.busy, ==, 0);
    /* It has been what it is said to be. */
    g_assert_cmpuint(total(&totals.books.sva_raised), >, 0);
    g_assert_cmpuint(total(&totals.books.host_raised), >, 0);
    g_assert_cmpuint(total(&totals.books.translations), >, 0);
    g_assert_cmpuint(total(&totals.books.plugs), >, 0);
    g_assert_cmpuint(total(&totals.books.resets), >, 0);
}

static const GOptionEntry options[] = {
    { "seconds", 0, 0, G_OPTION_ARG_INT, &seconds,
      "At least so long (2, unless --cycles is given)", "N" },
    { "cycles", 0, 0, G_OPTION_ARG_INT64, &cycles,
      "At least so many fault queue life cycles", "N" },
    { "host", 0, 0, G_OPTION_ARG_STRING, &host_name,
      "Whose devices (emulated)", "emulated|mock|kernel" },
    { "units", 0, 0, G_OPTION_ARG_INT, &unit_count, "VT-d units (2)", "N" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Of all that is random", "S" },
    G_OPTION_ENTRY_NULL,
};

static void parse_options(int *argc, char ***argv)
{
    own_options_parse(options, argc, argv);
    if (seed < 0) {
        seed = g_random_int();
    }
    if (seconds < 0 && cycles < 0) {
        seconds = 2;
    }
    unit_count = CLAMP(unit_count, 1, MAX_UNITS);
    if (!host_name) {
        host_name = g_strdup("emulated");
    }
}

int main(int argc, char **argv)
{
    int ret;

    parse_options(&argc, &argv);
    g_test_init(&argc, &argv, NULL);
    g_test_message("--host %s --seconds %d --cycles %" G_GINT64_FORMAT
                   " --units %d --seed %" G_GINT64_FORMAT, host_name, seconds,
                   cycles, unit_count, seed);
    rcu_register_thread();
    g_test_add_func("/stress/page-requests/all-at-once", test_all_at_once);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
