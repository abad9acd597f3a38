/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vpump-bench: vpump, its peers and the limit, measured in one process.
 */
#include "bench.h"
#include "event-source.h"

#include "base/rcu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const BenchSuite *const suites[] = {
    &suite_throughput, &suite_batch, &suite_latency, &suite_big_lock,
    &suite_pages, &suite_cost, &suite_scale, &suite_storms, &suite_aio,
    &suite_startup,
};

static char **names;
static char **only;
static char *json_path;
static int repetitions = -1;
static int handicap;
static gboolean quick;
static gboolean kernel;
static gboolean list;

static const GOptionEntry options[] = {
    { "suite", 0, 0, G_OPTION_ARG_STRING_ARRAY, &names,
      "Measure this; may be repeated (all)", "NAME" },
    { "only", 0, 0, G_OPTION_ARG_STRING_ARRAY, &only,
      "Of this competitor; may be repeated (all). There are ratios only to "
      "those that were measured", "COMPETITOR" },
    { "quick", 0, 0, G_OPTION_ARG_NONE, &quick,
      "Shorter, and with fewer points", NULL },
    { "repetitions", 0, 0, G_OPTION_ARG_INT, &repetitions,
      "Of each measurement (5; 3 if quick)", "N" },
    { "kernel", 0, 0, G_OPTION_ARG_NONE, &kernel,
      "On the kernel's mock driver; only what can be measured there", NULL },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &json_path,
      "Where figures go (standard output)", "FILE" },
    { "handicap", 0, 0, G_OPTION_ARG_INT, &handicap,
      "Slow vpump down: 100 halves its speed. For the test of the guard",
      "PERCENT" },
    { "list", 0, 0, G_OPTION_ARG_NONE, &list,
      "Only print what --suite may name", NULL },
    G_OPTION_ENTRY_NULL,
};

static void parse_options(int *argc, char ***argv)
{
    g_autoptr(GOptionContext) context =
        g_option_context_new("- measure vpump, its peers and the limit");
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, argc, argv, &error)) {
        bench_fail("%s; see --help", error->message);
    }
    if (*argc > 1) {
        bench_fail("%s: no arguments are taken but options; see --help",
                   (*argv)[1]);
    }
    if (repetitions != -1 && (repetitions < 1 || repetitions > 1000)) {
        bench_fail("--repetitions %d: it is 1 to 1000", repetitions);
    }
    if (handicap < 0 || handicap > 10000) {
        bench_fail("--handicap %d: it is 0 to 10000 percent", handicap);
    }
}

static void check_suite(const char *name)
{
    g_autoptr(GString) known = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(suites); i++) {
        if (!strcmp(suites[i]->name, name)) {
            return;
        }
        g_string_append_printf(known, " %s", suites[i]->name);
    }
    bench_fail("--suite %s: there is none of that name; it is one of%s", name,
               known->str);
}

static void list_suites(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(suites); i++) {
        printf("%-12s %s\n", suites[i]->name, suites[i]->what);
    }
}

/* Opened before anything is measured: it would be lost. */
static FILE *open_json(void)
{
    FILE *file = json_path ? fopen(json_path, "we") : stdout;

    if (!file) {
        bench_fail("--json %s: %s", json_path, g_strerror(errno));
    }
    return file;
}

/* Else it is a pipe, say, which takes all once. */
static bool is_file(FILE *file)
{
    struct stat st;

    return json_path && fstat(fileno(file), &st) == 0 && S_ISREG(st.st_mode);
}

/* All so far: a suite that fails ends the program, but not what is known. */
static void write_json(const Bench *bench, FILE *file)
{
    rewind(file);
    if (!figures_write(bench->figures, bench->quick, file) ||
        ftruncate(fileno(file), ftell(file)) < 0) {
        bench_fail("--json %s: %s", json_path, g_strerror(errno));
    }
}

/* What is not there would be missed only by the first suite that needs it. */
static void check_kernel(void)
{
    GError *error = NULL;
    EventSource *source = event_source_new(SOURCE_KERNEL, &error);

    bench_must(source, &error);
    event_source_free(source);
}

static void run_suite(Bench *bench, const BenchSuite *suite)
{
    int64_t start_ns = bench_now_ns();

    if (bench->kernel && !suite->on_kernel) {
        fprintf(stderr, "%s: not measured on a kernel, left out\n",
                suite->name);
        return;
    }
    fprintf(stderr, "%s: %s ...\n", suite->name, suite->what);
    suite->run(bench);
    fprintf(stderr, "%s: %.1f s\n", suite->name,
            (bench_now_ns() - start_ns) / 1e9);
}

static void run_suites(Bench *bench, FILE *json)
{
    for (size_t i = 0; i < G_N_ELEMENTS(suites); i++) {
        if (!names || g_strv_contains((const char *const *)names,
                                      suites[i]->name)) {
            run_suite(bench, suites[i]);
            if (is_file(json)) {
                write_json(bench, json);
            }
        }
    }
}

/* What competitors a suite has is known only when it has run. */
static void check_only(const Bench *bench)
{
    g_autofree char **known =
        (char **)g_hash_table_get_keys_as_array(bench->known, NULL);
    g_autofree char *text = g_strjoinv(" ", known);

    for (size_t i = 0; only && only[i]; i++) {
        if (!g_hash_table_contains(bench->known, only[i])) {
            bench_fail("--only %s: the suites have no such competitor; they "
                       "have %s", only[i], text);
        }
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Bench bench = { 0 };
    FILE *json;

    g_set_prgname("vpump-bench");
    parse_options(&argc, &argv);
    if (list) {
        list_suites();
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; names && names[i]; i++) {
        check_suite(names[i]);
    }
    json = open_json();
    if (!bench_find_cpus(&error)) {
        bench_fail("%s", error->message);
    }
    bench_pin(BENCH_CPU_WORLD);
    /* Inherited by all threads: what sleeps for a time is not late for this. */
    prctl(PR_SET_TIMERSLACK, 1UL);
    rcu_register_thread();
    if (kernel) {
        check_kernel();
    }

    bench.figures = figures_new();
    bench.repetitions = repetitions > 0 ? repetitions : quick ? 3 : 5;
    bench.quick = quick;
    bench.kernel = kernel;
    bench.only = only;
    bench.handicap = handicap;
    bench.known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    run_suites(&bench, json);
    check_only(&bench);
    if (!is_file(json) && !figures_write(bench.figures, quick, json)) {
        bench_fail("--json %s: %s", json_path ? json_path : "(standard output)",
                   g_strerror(errno));
    }
    g_hash_table_unref(bench.known);
    figures_free(bench.figures);
    rcu_unregister_thread();
    return EXIT_SUCCESS;
}
