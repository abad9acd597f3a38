/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command-line.h"
#include "event-record.h"
#include "machine-internal.h"
#include "proc-self.h"

#include "base/rcu.h"
#include "base/report.h"
#include "host/emul.h"
#include "iothread/aio-context.h"

#include <sched.h>
#include <sys/resource.h>

#define DEADLINE_NS (40 * INT64_C(1000000000))

/* Of all vIOMMUs. */
static void count_events(const Machine *machine, uint64_t *seen,
                         uint64_t *refused)
{
    g_autofree HistogramSnapshot *latency = g_new(HistogramSnapshot, 1);

    *seen = 0;
    *refused = 0;
    for (size_t i = 0; i < machine_get_viommu_count(machine); i++) {
        RunResult result = machine_get_result(machine, i, latency);

        *seen += result.sample.seen;
        *refused += result.sample.refused;
    }
}

/* Run until the guests have seen @enough, or none, then stop and settle. */
static void run(Machine *machine, uint64_t enough)
{
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;
    uint64_t seen, refused;
    GError *error = NULL;

    machine_start_load(machine, &error);
    g_assert_no_error(error);
    do {
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
        count_events(machine, &seen, &refused);
    } while (seen < enough && refused == 0);
    machine_stop_load(machine);
    while (machine_count_pending(machine) > 0) {
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    }
    machine_rest(machine);
}

static void assert_balanced(const Machine *machine)
{
    g_autofree HistogramSnapshot *latency = g_new(HistogramSnapshot, 1);
    GError *error = NULL;

    for (size_t i = 0; i < machine_get_viommu_count(machine); i++) {
        RunResult result = machine_get_result(machine, i, latency);
        g_autofree char *explanation = run_sample_explain(&result.sample);

        g_assert_cmpstr(explanation, ==, NULL);
        g_assert_cmpuint(latency->total, ==, result.sample.seen);
    }
    machine_check_hosts(machine, &error);
    g_assert_no_error(error);
}

#define TWO_BEHIND_ONE                                             \
    "-object", "iommufd-emulated,id=h",                            \
    "-device", "emulated-pci,id=d0,viommu=s,iommufd=h,sid=0",      \
    "-device", "emulated-pci,id=d1,viommu=s,iommufd=h,sid=65535"

static void test_runs_balance(void)
{
    static const Words cases[] = {
        { { "-load", "20000" } },
        { { "-load", "max" } },
        { { TWO_BEHIND_ONE, "-device", "arm-smmuv3,id=s,eventq-log2size=0",
            "-load", "max" } },
        { { TWO_BEHIND_ONE, "-device", "arm-smmuv3,id=s,msi=off,ats=on,"
            "ssidsize=20,oas=48,eventq-log2size=3", "-load", "max" } },
        /* Two vIOMMUs, one iothread, one host each; one without devices. */
        { { TWO_BEHIND_ONE, "-object", "iothread,id=io,poll-max-ns=0",
            "-device", "arm-smmuv3,id=s,iothread=io",
            "-device", "arm-smmuv3,id=t,iothread=io",
            "-object", "iommufd-emulated,id=h2", "-load", "5000" } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Config) config = words_parse_good(&cases[i]);
        GError *error = NULL;
        unsigned fds = proc_self_fds();
        Machine *machine = machine_new(config, &error);

        g_assert_no_error(error);
        run(machine, 2000);
        assert_balanced(machine);
        machine_free(machine);
        g_assert_cmpuint(proc_self_fds(), ==, fds);
    }
}

static void test_no_load_generates_nothing(void)
{
    Words words = { { "-load", "0" } };
    g_autoptr(Config) config = words_parse_good(&words);
    g_autofree HistogramSnapshot *latency = g_new(HistogramSnapshot, 1);
    GError *error = NULL;
    Machine *machine = machine_new(config, &error);

    g_assert_no_error(error);
    run(machine, 0);
    assert_balanced(machine);
    g_assert_cmpuint(
        machine_get_result(machine, 0, latency).sample.generated, ==, 0);
    machine_free(machine);
}

/* An event behind the workload's back is in the host's books only. */
static void test_host_is_checked(void)
{
    Words words = { { TWO_BEHIND_ONE, "-device", "arm-smmuv3,id=s" } };
    g_autoptr(Config) config = words_parse_good(&words);
    GError *error = NULL;
    Machine *machine = machine_new(config, &error);
    const uint64_t event[EVENT_RECORD_WORDS] = { 0x10 };  /* F_TRANSLATION */
    const MachineDevice *device;

    g_assert_no_error(error);
    g_assert_true(machine_start_load(machine, &error));
    machine_stop_load(machine);
    g_assert_true(machine_check_hosts(machine, &error));
    g_assert_no_error(error);

    device = machine->devices->pdata[0];
    emul_report_event(vfio_device_get_host(device->vfio),
                      vfio_device_get_dev_id(device->vfio), event);
    g_assert_false(machine_check_hosts(machine, &error));
    g_assert_true(g_str_has_prefix(error->message, "'h' counts "));
    g_error_free(error);
    machine_free(machine);
}

/* Would a run with at most @limit descriptors be a good one? */
static bool try_with_limit(const Config *config, rlim_t limit)
{
    struct rlimit old, low;
    g_autoptr(GError) error = NULL;
    uint64_t seen, refused;
    Machine *machine;

    getrlimit(RLIMIT_NOFILE, &old);
    low = (struct rlimit){ limit, old.rlim_max };
    setrlimit(RLIMIT_NOFILE, &low);
    machine = machine_new(config, &error);
    setrlimit(RLIMIT_NOFILE, &old);
    if (!machine) {
        g_assert_nonnull(error);
        return false;
    }
    run(machine, 100);
    count_events(machine, &seen, &refused);
    if (refused == 0) {
        assert_balanced(machine);
    }
    machine_free(machine);
    return refused == 0;
}

static void ignore_report(ReportLevel level, const char *message, void *opaque)
{
}

/*
 * With ever more descriptors to be had, every step fails in turn. (The guest
 * cannot be told that its queue has none at the host: then events are refused.)
 */
static void test_failure_leaves_nothing(void)
{
    Words words = { { TWO_BEHIND_ONE, "-device", "arm-smmuv3,id=s" } };
    g_autoptr(Config) config = words_parse_good(&words);
    unsigned fds = proc_self_fds();
    rlim_t limit = 4;

    report_set_handler(ignore_report, NULL);
    while (!try_with_limit(config, limit)) {
        g_assert_cmpuint(proc_self_fds(), ==, fds);
        limit++;
        g_assert_cmpuint(limit, <, 200);
    }
    report_set_handler(NULL, NULL);
    g_assert_cmpuint(proc_self_fds(), ==, fds);
    g_assert_cmpuint(limit, >, 10);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/machine/runs-balance", test_runs_balance);
    g_test_add_func("/machine/no-load-generates-nothing",
                    test_no_load_generates_nothing);
    g_test_add_func("/machine/host-is-checked", test_host_is_checked);
    g_test_add_func("/machine/failure-leaves-nothing",
                    test_failure_leaves_nothing);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
