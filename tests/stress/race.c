/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "race.h"

#include "message-log.h"
#include "own-options.h"
#include "proc-self.h"

#include "base/error.h"
#include "base/rcu.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of the sanitizers' runtimes, where there is one. */
extern void __sanitizer_set_death_callback(void (*callback)(void))
    __attribute__((weak));

static gint seconds = -1;
static gint64 cycles = -1;
static gint64 seed = -1;
static char *host_name;
static gint patience = 60;

static const Race *race;
static RaceCounts sum;
static uint64_t rounds;
static uint64_t quiet_points;

/* ---- The seed of a round that fails ---- */

/* Written while nothing runs; for a signal handler. */
static char epitaph[160];

static void write_epitaph(void)
{
    ssize_t unused G_GNUC_UNUSED =
        write(STDERR_FILENO, epitaph, strlen(epitaph));
}

/* Once: SA_RESETHAND has it end as it would have. */
static void die(int signal_number)
{
    write_epitaph();
    raise(signal_number);
}

/* Signals that a sanitizer has taken are left to it: it calls back. */
static void watch_signals(void)
{
    static const int deadly[] = { SIGABRT, SIGBUS, SIGSEGV, SIGTERM };
    const struct sigaction action = {
        .sa_handler = die, .sa_flags = SA_RESETHAND | SA_NODEFER,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(deadly); i++) {
        struct sigaction old;

        sigaction(deadly[i], NULL, &old);
        if (old.sa_handler == SIG_DFL) {
            sigaction(deadly[i], &action, NULL);
        }
    }
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(write_epitaph);
    }
}

static guint32 round_seed(void)
{
    return (guint32)seed + (guint32)rounds;
}

/* ---- Hangs ---- */

static const char *awaited;

/* Also while the main thread waits for a lock or a bottom half. */
static void lose_patience(int signal_number)
{
    char message[160];
    int len = snprintf(message, sizeof(message),
                       "# race %s: no progress for %d s, waiting for %s\n",
                       race->name, patience, awaited);
    ssize_t unused G_GNUC_UNUSED = write(STDERR_FILENO, message, len);

    abort();
}

/* It is to come before patience is at an end; then the next @what, or NULL. */
static void await(const char *what)
{
    awaited = what;
    alarm(what ? patience : 0);
}

/* ---- A round ---- */

static bool goes_on(gint64 end)
{
    if (cycles >= 0 && sum.lives < (uint64_t)cycles) {
        return true;
    }
    return seconds >= 0 && g_get_monotonic_time() < end;
}

static uint64_t progress(RaceRun *run, void *opaque)
{
    return race->progress ? race->progress(opaque)
                          : atomic_load(&run->gate.steps);
}

static void blow(RaceRun *run, void *opaque)
{
    uint64_t now = progress(run, opaque);
    uint64_t goal = now + race->stride;
    uint64_t last = goal;

    gate_open(&run->gate);
    while (now < goal) {
        if (now != last) {
            await("the threads of the race");
        }
        gate_await_steps(&run->gate, MAX(race->stride / 10, 1));
        last = now;
        now = progress(run, opaque);
    }
    gate_close(&run->gate);
    await("the threads to stand still");
    if (race->kick) {
        race->kick(opaque);
    }
    gate_await_quiet(&run->gate);
    await("the check of the books");
    race->check(opaque);
    quiet_points++;
}

void race_counts_add(RaceCounts *to, const RaceCounts *more)
{
    to->events += more->events;
    to->groups += more->groups;
    to->plugs += more->plugs;
    to->resets += more->resets;
    to->lives += more->lives;
}

static void run_round(gint64 end)
{
    RaceRun run = {
        .rand = g_rand_new_with_seed(round_seed()), .host = host_name,
    };
    void *opaque;

    snprintf(epitaph, sizeof(epitaph),
             "# race %s: ended in round %" G_GUINT64_FORMAT
             ", which is the first with --seed %u\n",
             race->name, rounds, round_seed());
    await("the setup");
    gate_init(&run.gate);
    opaque = race->setup(&run);
    blow(&run, opaque);
    /* Of rounds that take long the rest may be left out. */
    for (unsigned i = 1; i < race->quiet_points && goes_on(end); i++) {
        blow(&run, opaque);
    }
    await("the teardown");
    gate_end(&run.gate);
    race->teardown(opaque, &run);
    gate_destroy(&run.gate);
    g_rand_free(run.rand);
    rcu_defer_drain();
    await(NULL);
    race_counts_add(&sum, &run.counts);
    rounds++;
}

/* What else there is to say would be a mistake, of whose ever. */
static void check_messages(void)
{
    for (unsigned i = 0; i < message_log_count(); i++) {
        const char *message = message_log_get(i);

        if (!race->expects || !race->expects(message)) {
            g_error("%s", message);
        }
    }
}

/* ---- The run ---- */

static void summarize(void)
{
    g_test_message("race %s: rounds=%" G_GUINT64_FORMAT
                   " quiet=%" G_GUINT64_FORMAT " events=%" G_GUINT64_FORMAT
                   " groups=%" G_GUINT64_FORMAT " plugs=%" G_GUINT64_FORMAT
                   " resets=%" G_GUINT64_FORMAT " lives=%" G_GUINT64_FORMAT
                   " seed=%" G_GINT64_FORMAT,
                   race->name, rounds, quiet_points, sum.events, sum.groups,
                   sum.plugs, sum.resets, sum.lives, seed);
}

static bool is_enough(void)
{
    const RaceCounts *least = &race->least;

    return sum.events >= least->events && sum.groups >= least->groups &&
           sum.plugs >= least->plugs && sum.resets >= least->resets &&
           sum.lives >= least->lives && (!race->enough || race->enough());
}

static void test_race(void)
{
    gint64 end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
    const unsigned threads = proc_self_lasting_threads();
    unsigned fds = 0;

    do {
        message_log_start();
        run_round(end);
        check_messages();
        message_log_stop();
        if (fds == 0) {
            /* Some things are made once and stay. */
            fds = proc_self_fds();
        }
        g_assert_cmpuint(proc_self_fds(), ==, fds);
        proc_self_wait_threads(threads);
    } while (goes_on(end) || !is_enough());
    summarize();
    if (race->end) {
        race->end();
    }
}

static const GOptionEntry options[] = {
    { "seconds", 0, 0, G_OPTION_ARG_INT, &seconds,
      "At least so long (2, unless --cycles is given)", "N" },
    { "cycles", 0, 0, G_OPTION_ARG_INT64, &cycles,
      "At least so many lives of host queues", "N" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Of the first round", "S" },
    { "host", 0, 0, G_OPTION_ARG_STRING, &host_name,
      "Whose devices (emulated)", "emulated|mock|kernel" },
    { "patience", 0, 0, G_OPTION_ARG_INT, &patience,
      "Without progress it is a hang (60 s)", "N" },
    G_OPTION_ENTRY_NULL,
};

static void parse_options(int *argc, char ***argv)
{
    own_options_parse(options, argc, argv);
    if (race->options) {
        own_options_parse(race->options, argc, argv);
    }
    if (seed < 0) {
        seed = g_random_int();
    }
    if (seconds < 0 && cycles < 0) {
        seconds = 2;
    }
    if (!host_name) {
        host_name = g_strdup("emulated");
    }
}

/*
 * Once: the first error makes the quark of its domain, and a lock inside GLib.
 * ThreadSanitizer, which does not see into GLib, takes two threads that both
 * make the first one for a race.
 */
static void make_first_error(void)
{
    g_autoptr(GError) error = g_error_new_literal(VIOMMU_ERROR,
                                                  VIOMMU_ERROR_HOST, "first");

    g_assert_nonnull(error);
}

int race_main(int argc, char **argv, const Race *the_race)
{
    g_autofree char *path = g_strdup_printf("/stress/%s", the_race->name);
    int ret;

    race = the_race;
    parse_options(&argc, &argv);
    g_test_init(&argc, &argv, NULL);
    g_test_message("--host %s --seconds %d --cycles %" G_GINT64_FORMAT
                   " --seed %" G_GINT64_FORMAT, host_name, seconds, cycles,
                   seed);
    watch_signals();
    signal(SIGALRM, lose_patience);
    make_first_error();
    rcu_register_thread();
    g_test_add_func(path, test_race);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
