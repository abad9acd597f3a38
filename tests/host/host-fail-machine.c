/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Failures, one after the other, in the start-up, load and teardown of vpump's
 * own machine: an SMMUv3 and a VT-d unit with their guests, iothreads and mock
 * devices, as the command line asks for them:
 *
 *   host-fail-machine --host mock|kernel [--every COUNT] [--tap]
 *
 * The machine opens its host itself, so the linker (--wrap) puts a failing one
 * over it: the program has no hook for tests. On other hosts, which other parts
 * of the program are for, functions fail, and no host calls.
 */
#include "fail-sweep.h"
#include "machine.h"
#include "options.h"

#include "failing-host.h"
#include "host/emul.h"
#include "host/record.h"
#include "message-log.h"

#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>

#define WAIT_SECONDS 60

/* What the load does before it ends. */
#define ENOUGH 20

/* What a message may name: each is in one of these. */
static const char *const names[] = {
    "host0", "smmu0", "dev0", "vtd0", "dev1", "dev2", "/dev/iommu", ".rec",
};

/* One of the command lines, as the steps are given it. */
typedef struct Variant {
    const char *name;
    Config *config;
    bool host_fails;
    bool replays;
} Variant;

static const Variant *variant;  /* that is tried */

/* ---- The host that the machine opens ---- */

HostIommu *__real_emul_new(GError **error);
HostIommu *__wrap_emul_new(GError **error);
HostIommu *__real_mock_host_new(HostIommu *inner, GError **error);
HostIommu *__wrap_mock_host_new(HostIommu *inner, GError **error);
HostIommu *__real_host_syscalls_new(const char *path, GError **error);
HostIommu *__wrap_host_syscalls_new(const char *path, GError **error);

HostIommu *__wrap_emul_new(GError **error)
{
    HostIommu *host = __real_emul_new(error);

    return host && variant->host_fails ? failing_host_new(host, 0) : host;
}

HostIommu *__wrap_mock_host_new(HostIommu *inner, GError **error)
{
    HostIommu *host = __real_mock_host_new(inner, error);

    if (host) {
        failing_host_lay_over(host);
    }
    return host;
}

HostIommu *__wrap_host_syscalls_new(const char *path, GError **error)
{
    return failing_host_open(__real_host_syscalls_new, path, error);
}

/* The program's buffer is large, and filled each time that one is made. */
#define BUFFER_BYTES (1 << 20)

Recorder *__real_recorder_new(const char *path, size_t bytes, GError **error);
Recorder *__wrap_recorder_new(const char *path, size_t bytes, GError **error);

Recorder *__wrap_recorder_new(const char *path, size_t bytes, GError **error)
{
    return __real_recorder_new(path, BUFFER_BYTES, error);
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

/* Of a replay, all of it. */
static bool has_worked(const Machine *machine, uint64_t enough)
{
    return variant->replays && enough > 0 ? machine_is_played(machine)
                                          : count_work(machine) >= enough;
}

static void wait_for_work(const Machine *machine, uint64_t enough)
{
    gint64 end = g_get_monotonic_time() + WAIT_SECONDS * G_USEC_PER_SEC;

    while (!has_worked(machine, enough)) {
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

/* The slowest vIOMMU gets @enough through, the load stops. */
static void finish_load(Machine *machine, uint64_t enough)
{
    g_autoptr(GError) error = NULL;

    wait_for_work(machine, enough);
    machine_stop_load(machine);
    wait_until_settled(machine);
    machine_rest(machine);
    /* Of a replay, a guest that met a failure has left something. */
    if (enough > 0 || !variant->replays) {
        machine_check_hosts(machine, &error);
        g_assert_no_error(error);
    }
}

static void run_load(Machine *machine, uint64_t enough)
{
    g_autoptr(GError) error = NULL;

    machine_start_load(machine, &error);
    g_assert_no_error(error);
    finish_load(machine, enough);
}

/* Nothing was refused or lost on the way. */
static void check_complete(const Machine *machine)
{
    g_autofree RunLatencies *latencies = g_new(RunLatencies, 1);

    for (size_t i = 0; i < machine_get_viommu_count(machine); i++) {
        RunResult result = machine_get_result(machine, i, latencies);
        g_autofree char *problem = run_sample_explain(&result.sample);

        g_assert_cmpstr(problem, ==, NULL);
    }
}

static void check_works(Machine *machine)
{
    run_load(machine, ENOUGH);
    check_complete(machine);
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
    Machine *machine = machine_new(variant->config, error);

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

    variant = fail->step;
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

/* Either all of the load runs, or none of it does. */
static bool try_load(const FailTry *fail, bool *refused)
{
    g_autoptr(GError) error = NULL;
    Machine *machine;
    bool failed;

    variant = fail->step;
    message_log_start();
    machine = start_machine(&error);
    g_assert_no_error(error);
    fail_try_begin(fail);
    *refused = !machine_start_load(machine, &error);
    if (!*refused) {
        finish_load(machine, ENOUGH);
    }
    failed = failing_host_stop();
    g_assert_true(failed || !*refused);
    if (*refused) {
        check_names_something(error->message);
        machine_stop_load(machine);
    } else {
        check_complete(machine);
    }
    g_assert_false(free_machine(machine));
    g_assert_false(check_messages());
    if (*refused) {
        check_retry();
    }
    message_log_stop();
    return failed;
}

static bool try_teardown(const FailTry *fail, bool *refused)
{
    g_autoptr(GError) error = NULL;
    Machine *machine;
    bool failed;

    variant = fail->step;
    machine = start_machine(&error);
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

/* ---- The command lines ---- */

static char *folder;            /* of recordings; NULL: there are none */

static Config *make_config(const char *const *args)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    Config *made = config_new();
    OptionsResult result = options_parse((int)g_strv_length((char **)args),
                                         (char **)args, made, &text, &error);

    g_assert_no_error(error);
    g_assert_cmpint(result, ==, OPTIONS_RUN);
    return made;
}

/* Mock devices of the kernel or of the emulated host. */
static Config *mock_config(void)
{
    const char *object = g_str_equal(fail_sweep_host(), "kernel")
                             ? "iommufd,id=host0"
                             : "iommufd-emulated,id=host0";
    const char *const args[] = {
        "vpump", "-load", "1000", "-object", object,
        "-device", "arm-smmuv3,id=smmu0",
        "-device", "iommufd-mock,id=dev0,viommu=smmu0,iommufd=host0",
        "-device", "intel-iommu,id=vtd0",
        "-device", "iommufd-mock,id=dev1,viommu=vtd0,iommufd=host0",
        NULL,
    };

    return make_config(args);
}

static char *file_path(const char *name)
{
    return g_strdup_printf("%s/%s.rec", folder, name);
}

/* Emulated devices of a host, one of ours, and what the host does recorded. */
static Config *recorded_config(const char *name)
{
    g_autofree char *path = file_path(name);
    const char *const args[] = {
        "vpump", "-load", "20000", "-record", path,
        "-object", "iommufd-emulated,id=host0",
        "-device", "arm-smmuv3,id=smmu0",
        "-device", "emulated-pci,id=dev0,viommu=smmu0,iommufd=host0",
        "-device", "intel-iommu,id=vtd0,scalable-mode=on,fsts=on,svm=on,"
                   "device-iotlb=on",
        "-device", "emulated-pci,id=dev1,viommu=vtd0,iommufd=host0",
        "-device", "sva-device,id=dev2,viommu=vtd0,pasids=2,credits=8,"
                   "queue-depth=4",
        NULL,
    };

    return make_config(args);
}

/* The default machine, and what its host does played again. */
static Config *default_config(const char *name)
{
    g_autofree char *path = file_path(name);
    const char *const args[] = {
        "vpump", "-load", "20000", "-record", path, NULL,
    };

    return make_config(args);
}

static Config *replayed_config(const char *name)
{
    g_autofree char *path = file_path(name);
    g_autofree char *object =
        g_strdup_printf("iommufd-replay,id=host0,speed=max,file=%s", path);
    const char *const args[] = { "vpump", "-object", object, NULL };

    return make_config(args);
}

/* What is replayed. */
static void record(const char *name)
{
    Variant once = { "once", default_config(name), false, false };
    g_autoptr(GError) error = NULL;
    Machine *machine;

    variant = &once;
    machine = start_machine(&error);
    g_assert_no_error(error);
    check_works(machine);
    g_assert_false(free_machine(machine));
    config_free(once.config);
}

static void add_variant(const Variant *added)
{
    /* Host calls under load: host-fail-nth, whose guests begin anew. */
    static const struct {
        const char *name;
        FailTryFunc *func;
        unsigned what;
    } steps[] = {
        { "start-up", try_start_up, FAIL_HOST_CALLS | FAIL_FUNCTIONS },
        { "load", try_load, FAIL_FUNCTIONS },
        /* Functions: a guest's last steps attach its devices elsewhere. */
        { "teardown", try_teardown, FAIL_HOST_CALLS | FAIL_FUNCTIONS },
    };
    unsigned mask = added->host_fails ? ~0u : ~(unsigned)FAIL_HOST_CALLS;

    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autofree char *path = g_strdup_printf("%s/%s", added->name,
                                                steps[i].name);

        /* To play is to open a gate: nothing that fails. */
        if (!added->replays || steps[i].func != try_load) {
            fail_sweep_add(path, steps[i].what & mask, steps[i].func, added);
        }
    }
}

static Variant variants[] = {
    { "machine", NULL, true, false },
    { "recorded", NULL, false, false },
    { "replayed", NULL, false, true },
};

static void add_steps(void)
{
    variants[0].config = mock_config();
    add_variant(&variants[0]);
    if (g_str_equal(fail_sweep_host(), "kernel")) {
        return;
    }
    folder = g_dir_make_tmp("fail-machine-XXXXXX", NULL);
    g_assert_nonnull(folder);
    record("played");
    variants[1].config = recorded_config("recorded");
    variants[2].config = replayed_config("played");
    add_variant(&variants[1]);
    add_variant(&variants[2]);
}

static void remove_files(void)
{
    g_autofree char *played = file_path("played");
    g_autofree char *recorded = file_path("recorded");

    g_remove(played);
    g_remove(recorded);
    g_rmdir(folder);
    g_free(folder);
}

int main(int argc, char **argv)
{
    int ret;

    ret = fail_sweep_main(argc, argv, add_steps);
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        if (variants[i].config) {
            config_free(variants[i].config);
        }
    }
    if (folder) {
        remove_files();
    }
    return ret;
}
