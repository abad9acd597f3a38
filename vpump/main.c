/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vpump: run a machine for a while and say whether its accounting balances.
 */
#include "end-signal.h"
#include "machine.h"
#include "options.h"
#include "output.h"
#include "run-loop.h"
#include "run-view.h"
#include "sandbox.h"

#include "base/error.h"
#include "base/rcu.h"
#include "base/report.h"
#include "base/thread.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

/* Longest wait for events that are under way when the load has stopped. */
#define DRAIN_NS (10 * INT64_C(1000000000))

/* After which it is said that there is such a wait. */
#define PATIENCE_NS INT64_C(1000000000)

/**
 * struct Run - what main() hands on
 * @seconds: how long the load ran
 * @drain_ns: since when the last events are waited for
 * @said_so: that they are
 */
typedef struct Run {
    const Config *config;
    Output output;
    RunLoop *loop;
    Machine *machine;
    RunView *view;
    double seconds;
    int64_t drain_ns;
    bool said_so;
} Run;

static void on_tick(void *opaque)
{
    Run *run = opaque;

    if (run->view) {
        run_view_update(run->view);
    }
}

static bool is_played(void *opaque)
{
    const Run *run = opaque;

    return machine_is_played(run->machine);
}

/* If it takes long, say once what is missing. */
static bool is_settled(void *opaque)
{
    Run *run = opaque;
    uint64_t pending = machine_count_pending(run->machine);

    if (pending > 0 && !run->said_so &&
        aio_clock_ns() - run->drain_ns > PATIENCE_NS) {
        run->said_so = true;
        info_report("waiting for %" PRIu64 " events, page requests or "
                    "operations to be accounted for", pending);
    }
    return pending == 0;
}

/* From the first event until the last one is accounted for. */
static bool run_load(Run *run, GError **error)
{
    int64_t start_ns;

    if (!run->config->quiet) {
        run->view = run_view_new(run->machine, run->output.text);
    }
    start_ns = aio_clock_ns();
    if (!machine_start_load(run->machine, error)) {
        return false;
    }
    run_loop_end_when(run->loop, is_played, run);
    run_loop_run(run->loop, run->config->duration_ns, on_tick, run);
    machine_stop_load(run->machine);
    run->drain_ns = aio_clock_ns();
    run->seconds = (run->drain_ns - start_ns) / 1e9;
    run_loop_drain(run->loop, DRAIN_NS, is_settled, run);
    machine_rest(run->machine);
    return true;
}

/* What does not balance, as strings. Counts are exact, and all parts there. */
static void find_problems(const Run *run, const RunResult *results,
                          size_t count, GPtrArray *problems)
{
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < count; i++) {
        g_autofree char *explanation = run_sample_explain(&results[i].sample);

        if (explanation) {
            g_ptr_array_add(problems,
                            g_strdup_printf("vIOMMU '%s' does not balance: %s",
                                            results[i].id, explanation));
        }
    }
    if (!machine_check_hosts(run->machine, &error)) {
        g_ptr_array_add(problems, g_strdup(error->message));
    }
}

static bool print_results(Run *run, const RunResult *results, size_t count,
                          const GPtrArray *problems, GError **error)
{
    for (size_t i = 0; i < count; i++) {
        if (results[i].sample.pump.untold > 0) {
            info_report("vIOMMU '%s': %" PRIu64 " more messages were not "
                        "printed", results[i].id,
                        results[i].sample.pump.untold);
        }
    }
    for (unsigned i = 0; i < problems->len; i++) {
        error_report("%s", (const char *)problems->pdata[i]);
    }
    if (!run->config->quiet) {
        g_autoptr(GString) text = g_string_new(NULL);

        run_report_table(text, run->config->name, run->seconds, results,
                         count);
        fputs(text->str, run->output.text);
    }
    if (output_wants_report(&run->output)) {
        g_autofree char *json = run_report_json(
            VPUMP_VERSION, run->config->sandbox, run->seconds, problems,
            results, count);

        return output_write_report(&run->output, json, error);
    }
    return true;
}

/*
 * Counts before the machine is taken apart, as what that discards is no event
 * of the run; the verdict after it. Return: whether the run balances and its
 * report was written; only if the latter fails is @error set.
 */
static bool finish(Run *run, GError **error)
{
    size_t count = machine_get_viommu_count(run->machine);
    g_autofree RunLatencies *latencies = g_new(RunLatencies, count);
    g_autoptr(GPtrArray) devices =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autofree RunResult *results = g_new(RunResult, count);

    for (size_t i = 0; i < count; i++) {
        GArray *own = machine_get_devices(run->machine, i);

        g_ptr_array_add(devices, own);
        results[i] = machine_get_result(run->machine, i, &latencies[i]);
        results[i].devices = (RunDevice *)own->data;
        results[i].device_count = own->len;
    }
    find_problems(run, results, count, problems);
    machine_take_apart(run->machine, problems);
    return print_results(run, results, count, problems, error) &&
           problems->len == 0;
}

static void rcu_nothing(RcuDeferred *deferred)
{
    g_free(deferred);
}

/*
 * liburcu's thread would inherit the signal mask of whoever is the first to
 * need it: need it here, with signals blocked.
 */
static void start_rcu_thread(void)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rcu_defer(g_new0(RcuDeferred, 1), rcu_nothing);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* The last moment at which all is open and no guest has said anything. */
static bool confine(const Run *run, GError **error)
{
    g_autoptr(GPtrArray) contexts = NULL;

    if (!run->config->sandbox) {
        return true;
    }
    contexts = machine_get_contexts(run->machine);
    return sandbox_enter((AioContext *const *)contexts->pdata, contexts->len,
                         error);
}

static bool run_machine(Run *run, GError **error)
{
    bool good = false;

    run->loop = run_loop_new(end_signal_get_fd(), error);
    if (!run->loop) {
        return false;
    }
    run->machine = machine_new(run->config, error);
    if (run->machine && confine(run, error) &&
        machine_start(run->machine, error) && run_load(run, error)) {
        good = finish(run, error);
    }
    run_view_free(run->view);
    machine_free(run->machine);
    run_loop_free(run->loop);
    return good;
}

/* Several things may fail, and each is worth a message. */
static bool report_if(GError **error)
{
    if (*error) {
        error_report_err(*error);
        *error = NULL;
        return false;
    }
    return true;
}

static int run(const Config *config)
{
    Run state = { .config = config };
    GError *error = NULL;
    bool good = false;

    if (output_open(&state.output, config->report, &error)) {
        rcu_register_thread();
        start_rcu_thread();
        good = run_machine(&state, &error);
        rcu_unregister_thread();
        good &= report_if(&error);
        output_close(&state.output, &error);
    }
    good &= report_if(&error);
    output_flush_stdout(&error);
    good &= report_if(&error);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int print(const char *text)
{
    GError *error = NULL;

    fputs(text, stdout);
    output_flush_stdout(&error);
    return report_if(&error) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    g_autoptr(Config) config = NULL;
    g_autofree char *text = NULL;
    GError *error = NULL;

    output_reserve_standard_fds();
    g_set_prgname("vpump");
    if (!end_signal_init(&error)) {
        error_report_err(error);
        return EXIT_FAILURE;
    }
    config = config_new();
    switch (options_parse(argc, argv, config, &text, &error)) {
    case OPTIONS_PRINT:
        return print(text);
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
