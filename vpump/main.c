/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vpump: run a machine for a while and say whether its accounting balances.
 */
#include "machine.h"
#include "options.h"
#include "run-loop.h"
#include "run-view.h"

#include "base/error.h"
#include "base/rcu.h"
#include "base/report.h"
#include "base/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Longest wait for events that are under way when the load has stopped. */
#define DRAIN_NS (10 * INT64_C(1000000000))

/**
 * struct Run - what main() hands on
 * @report: where the JSON report goes, or NULL
 * @out: where lines and table go
 * @seconds: how long the load ran
 */
typedef struct Run {
    const Config *config;
    FILE *report;
    FILE *out;
    RunLoop *loop;
    Machine *machine;
    RunView *view;
    double seconds;
} Run;

/* The report's file must be there before the run: afterwards it is too late. */
static bool open_output(Run *run, GError **error)
{
    const char *name = run->config->report;

    run->out = stdout;
    if (!name) {
        return true;
    }
    if (strcmp(name, "-") == 0) {
        run->report = stdout;
        run->out = stderr;
        return true;
    }
    run->report = fopen(name, "we");
    if (!run->report) {
        error_set_errno(error, errno, "-report %s: cannot be written", name);
        return false;
    }
    return true;
}

/* Flush and close; a full disk shows here at the latest. */
static bool close_report(Run *run, GError **error)
{
    bool failed;

    if (!run->report) {
        return true;
    }
    errno = EIO;                /* if an earlier write failed */
    failed = ferror(run->report);
    failed |= run->report == stdout ? fflush(stdout) : fclose(run->report);
    run->report = NULL;
    if (failed) {
        error_set_errno(error, errno, "-report %s: cannot be written",
                        run->config->report);
    }
    return !failed;
}

static void on_tick(void *opaque)
{
    Run *run = opaque;

    if (run->view) {
        run_view_update(run->view);
    }
}

static bool is_settled(void *opaque)
{
    const Run *run = opaque;

    return machine_count_pending(run->machine) == 0;
}

/* From the first event until the last one is accounted for. */
static bool run_load(Run *run, GError **error)
{
    int64_t start_ns;

    if (!run->config->quiet) {
        run->view = run_view_new(run->machine, run->out);
    }
    start_ns = aio_clock_ns();
    if (!machine_start_load(run->machine, error)) {
        return false;
    }
    run_loop_run(run->loop, run->config->duration_ns, on_tick, run);
    machine_stop_load(run->machine);
    run->seconds = (aio_clock_ns() - start_ns) / 1e9;
    run_loop_drain(run->loop, DRAIN_NS, is_settled, run);
    machine_rest(run->machine);
    return true;
}

/* Say what does not balance. Return: whether everything does. */
static bool judge(const Run *run, const RunResult *results, size_t count)
{
    bool balanced = true;
    GError *error = NULL;

    for (size_t i = 0; i < count; i++) {
        g_autofree char *explanation = run_sample_explain(&results[i].sample);

        if (explanation) {
            error_report("vIOMMU '%s' does not balance: %s", results[i].id,
                         explanation);
            balanced = false;
        }
    }
    if (!machine_check_hosts(run->machine, &error)) {
        error_report_err(error);
        balanced = false;
    }
    return balanced;
}

/*
 * Before the machine is taken apart: what tearing down discards is no event of
 * the run. Return: whether the run balances.
 */
static bool print_results(const Run *run)
{
    size_t count = machine_get_viommu_count(run->machine);
    g_autofree HistogramSnapshot *latencies = g_new(HistogramSnapshot, count);
    g_autofree RunResult *results = g_new(RunResult, count);
    bool balanced;

    for (size_t i = 0; i < count; i++) {
        results[i] = machine_get_result(run->machine, i, &latencies[i]);
    }
    balanced = judge(run, results, count);
    if (!run->config->quiet) {
        g_autoptr(GString) text = g_string_new(NULL);

        run_report_table(text, run->config->name, run->seconds, results,
                         count);
        fputs(text->str, run->out);
    }
    if (run->report) {
        g_autofree char *json = run_report_json(
            VPUMP_VERSION, run->seconds, balanced, results, count);

        fputs(json, run->report);
    }
    return balanced;
}

/* The loop is made first: threads inherit the signal mask that it sets. */
static bool run_machine(Run *run, GError **error)
{
    bool balanced = false;

    run->loop = run_loop_new(error);
    if (!run->loop) {
        return false;
    }
    run->machine = machine_new(run->config, error);
    if (run->machine && run_load(run, error)) {
        balanced = print_results(run);
    }
    run_view_free(run->view);
    machine_free(run->machine);
    run_loop_free(run->loop);
    return balanced;
}

static int run(const Config *config)
{
    Run state = { .config = config };
    GError *error = NULL;
    bool balanced = false;

    if (open_output(&state, &error)) {
        rcu_register_thread();
        balanced = run_machine(&state, &error);
        rcu_unregister_thread();
    }
    if (!close_report(&state, error ? NULL : &error)) {
        balanced = false;
    }
    if (error) {
        error_report_err(error);
        return EXIT_FAILURE;
    }
    return balanced ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    g_autoptr(Config) config = config_new();
    g_autofree char *text = NULL;
    GError *error = NULL;

    g_set_prgname("vpump");
    switch (options_parse(argc, argv, config, &text, &error)) {
    case OPTIONS_PRINT:
        fputs(text, stdout);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    case OPTIONS_ERROR:
        error_report_err(error);
        return EXIT_FAILURE;
    case OPTIONS_RUN:
        break;
    }
    for (unsigned i = 0; i < config->warnings->len; i++) {
        warn_report("%s", (const char *)config->warnings->pdata[i]);
    }
    if (config->process) {
        thread_set_name(config->process);
    }
    return run(config);
}
