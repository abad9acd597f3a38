/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Failures, one after the other, in the start-up and the teardown of vpump's
 * own machine: an SMMUv3 and a VT-d unit with their guests, iothreads and mock
 * devices, as the command line asks for them:
 *
 *   host-fail-machine --host mock|kernel [--every COUNT] [--tap]
 *
 * The machine opens its host itself, so the linker (--wrap) puts a failing one
 * over it: the program has no hook for tests.
 */
#include "fail-sweep.h"
#include "machine.h"
#include "options.h"

#include "failing-host.h"
#include "host/emul.h"
#include "message-log.h"

#include <sched.h>
#include <string.h>

#define WAIT_SECONDS 60

/* What the load does before it ends. */
#define ENOUGH 20

/* What a message may name: each is in one of these. */
static const char *const names[] = {
    "host0", "smmu0", "dev0", "vtd0", "dev1", "/dev/iommu",
};

static Config *config;

/* ---- The host that the machine opens ---- */

HostIommu *__real_emul_new(GError **error);
HostIommu *__wrap_emul_new(GError **error);
HostIommu *__real_host_syscalls_new(const char *path, GError **error);
HostIommu *__wrap_host_syscalls_new(const char *path, GError **error);

HostIommu *__wrap_emul_new(GError **error)
{
    HostIommu *host = __real_emul_new(error);

    return host ? failing_host_new(host, 0) : NULL;
}

HostIommu *__wrap_host_syscalls_new(const char *path, GError **error)
{
    return failing_host_open(__real_host_syscalls_new, path, error);
}

/* ---- A machine ---- */

/* Of the vIOMMU that has the least. */
static uint64_t count_work(const Machine *machine)
{
    g_autofree RunLatencies *latencies = g_new(RunLatencies, 1);
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < machine_get_viommu_count(machine); i++) {
        RunSample sample = machine_get_result(machine, i, latencies).sample;

        least = MIN(least, sample.seen + sample.pages.responded);
    }
    return least;
}

static void wait_for_work(const Machine *machine, uint64_t enough)
{
    gint64 end = g_get_monotonic_time() + WAIT_SECONDS * G_USEC_PER_SEC;

    while (count_work(machine) < enough) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        sched_yield();
    }
}

static void wait_until_settled(const Machine *machine)
{
    gint64 end = g_get_monotonic_time() + WAIT_SECONDS * G_USEC_PER_SEC;

    while (machine_count_pending(machine) > 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        sched_yield();
    }
}

/* The load starts, the slowest vIOMMU gets @enough through, the load stops. */
static void run_load(Machine *machine, uint64_t enough)
{
    g_autoptr(GError) error = NULL;

    machine_start_load(machine, &error);
    g_assert_no_error(error);
    wait_for_work(machine, enough);
    machine_stop_load(machine);
    wait_until_settled(machine);
    machine_rest(machine);
    machine_check_hosts(machine, &error);
    g_assert_no_error(error);
}

/* The same, and nothing was refused or lost on the way. */
static void check_works(Machine *machine)
{
    g_autofree RunLatencies *latencies = g_new(RunLatencies, 1);

    run_load(machine, ENOUGH);
    for (size_t i = 0; i < machine_get_viommu_count(machine); i++) {
        RunResult result = machine_get_result(machine, i, latencies);
        g_autofree char *problem = run_sample_explain(&result.sample);

        g_assert_cmpstr(problem, ==, NULL);
    }
}

/* ---- Tries ---- */

static void check_names_something(const char *message)
{
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strstr(message, names[i])) {
            return;
        }
    }
    g_error("it names nothing: %s", message);
}

/*
 * What the failing host sees when it is freed is that no object is left. What
 * is told may be that something failed, never that something is left.
 * Return: whether anything was told.
 */
static bool free_machine(Machine *machine)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);

    machine_take_apart(machine, problems);
    machine_free(machine);
    for (unsigned i = 0; i < problems->len; i++) {
        const char *problem = problems->pdata[i];

        check_names_something(problem);
        if (strstr(problem, "when all devices are gone")) {
            g_error("%s", problem);
        }
    }
    return problems->len > 0;
}

/* Return: whether the operator was told something, which is said once. */
static bool check_messages(void)
{
    unsigned count = message_log_count();

    if (count > 1) {
        g_error("%u messages: %s; %s", count, message_log_get(0),
                message_log_get(1));
    }
    if (count > 0) {
        check_names_something(message_log_get(0));
    }
    message_log_start();
    return count > 0;
}

/* With its guests running; NULL and @error set if any of it failed. */
static Machine *start_machine(GError **error)
{
    Machine *machine = machine_new(config, error);

    if (machine && !machine_start(machine, error)) {
        machine_free(machine);
        return NULL;
    }
    return machine;
}

/* Without failures there is one that works, and goes without a word. */
static void check_retry(void)
{
    g_autoptr(GError) error = NULL;
    Machine *machine = start_machine(&error);

    g_assert_no_error(error);
    check_works(machine);
    g_assert_false(free_machine(machine));
    g_assert_false(check_messages());
}

/*
 * A machine that is there none the less has all, or a guest met the failure:
 * then its vIOMMU has told, and the rest of the machine goes on.
 */
static bool try_start_up(const FailTry *fail, bool *refused)
{
    g_autoptr(GError) error = NULL;
    Machine *machine;
    bool failed;
    bool told;

    message_log_start();
    fail_try_begin(fail);
    machine = start_machine(&error);
    failed = failing_host_stop();
    told = check_messages();
    *refused = !machine || told;
    g_assert_true(failed || !*refused);
    if (machine) {
        told ? run_load(machine, 0) : check_works(machine);
        g_assert_true(!free_machine(machine) || told);
        g_assert_true(!check_messages() || told);
    } else {
        g_assert_nonnull(error);
        check_names_something(error->message);
    }
    if (*refused) {
        check_retry();
    }
    message_log_stop();
    return failed;
}

static bool try_teardown(const FailTry *fail, bool *refused)
{
    g_autoptr(GError) error = NULL;
    Machine *machine = start_machine(&error);
    bool failed;

    g_assert_no_error(error);
    message_log_start();
    check_works(machine);
    fail_try_begin(fail);
    *refused = free_machine(machine);
    failed = failing_host_stop();
    *refused |= check_messages();
    g_assert_true(failed || !*refused);
    if (*refused) {
        check_retry();
    }
    message_log_stop();
    return failed;
}

/* ---- The command line ---- */

static Config *make_config(const char *object)
{
    const char *argv[] = {
        "vpump", "-load", "1000", "-object", object,
        "-device", "arm-smmuv3,id=smmu0",
        "-device", "iommufd-mock,id=dev0,viommu=smmu0,iommufd=host0",
        "-device", "intel-iommu,id=vtd0",
        "-device", "iommufd-mock,id=dev1,viommu=vtd0,iommufd=host0",
        NULL,
    };
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    Config *made = config_new();
    OptionsResult result = options_parse(G_N_ELEMENTS(argv) - 1,
                                         (char **)argv, made, &text, &error);

    g_assert_no_error(error);
    g_assert_cmpint(result, ==, OPTIONS_RUN);
    return made;
}

static void add_steps(void)
{
    config = make_config(g_str_equal(fail_sweep_host(), "kernel")
                         ? "iommufd,id=host0" : "iommufd-emulated,id=host0");
    fail_sweep_add("machine/start-up", FAIL_HOST_CALLS | FAIL_FUNCTIONS,
                   try_start_up, NULL);
    /* Functions: the guests' last steps attach their devices elsewhere. */
    fail_sweep_add("machine/teardown", FAIL_HOST_CALLS | FAIL_FUNCTIONS,
                   try_teardown, NULL);
}

int main(int argc, char **argv)
{
    int ret = fail_sweep_main(argc, argv, add_steps);

    config_free(config);
    return ret;
}
