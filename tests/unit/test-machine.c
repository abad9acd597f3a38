/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command-line.h"
#include "event-record.h"
#include "machine-internal.h"
#include "proc-self.h"

#include "base/rcu.h"
#include "base/report.h"
#include "host/emul.h"
#include "host/iommufd.h"
#include "host/iommufd-abi.h"
#include "iothread/aio-context.h"

#include <sched.h>
#include <sys/resource.h>

#define DEADLINE_NS (40 * INT64_C(1000000000))

/*
 * What the slowest vIOMMU that has devices has done, and what the host has
 * refused to any.
 */
static uint64_t count_work(const Machine *machine, uint64_t *refused)
{
    g_autofree RunLatencies *latencies = g_new(RunLatencies, 1);
    uint64_t least = UINT64_MAX;

    *refused = 0;
    for (size_t i = 0; i < machine_get_viommu_count(machine); i++) {
        const MachineViommu *part = machine->viommus->pdata[i];
        RunResult result = machine_get_result(machine, i, latencies);

        *refused += result.sample.refused + result.sample.pages.refused;
        if (part->devices->len > 0) {
            least = MIN(least, result.sample.seen +
                               result.sample.pages.responded);
        }
    }
    return least;
}

/* With its guests running; NULL and @error set if any of it failed. */
static Machine *start_machine(const Config *config, GError **error)
{
    Machine *machine = machine_new(config, error);

    if (machine && !machine_start(machine, error)) {
        machine_free(machine);
        return NULL;
    }
    return machine;
}

/* Run until the guests have seen @enough, or none, then stop and settle. */
static void run(Machine *machine, uint64_t enough)
{
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;
    uint64_t refused;
    GError *error = NULL;

    machine_start_load(machine, &error);
    g_assert_no_error(error);
    do {
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    } while (count_work(machine, &refused) < enough && refused == 0);
    machine_stop_load(machine);
    while (machine_count_pending(machine) > 0) {
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    }
    machine_rest(machine);
}

/* What each device has done makes up what their vIOMMU says of all. */
static void assert_devices_add_up(const Machine *machine, size_t index,
                                  const RunSample *sample)
{
    g_autoptr(GArray) devices = machine_get_devices(machine, index);
    uint64_t in_memory = 0, others = 0;

    for (unsigned i = 0; i < devices->len; i++) {
        const RunDevice *device = &g_array_index(devices, RunDevice, i);

        if (device->in_memory) {
            in_memory += device->completed_operations;
            g_assert_cmpuint(device->verified, ==,
                             device->completed_operations);
        } else {
            others += device->completed_operations;
        }
    }
    g_assert_cmpuint(in_memory, ==, sample->operations.completed);
    if (!(sample->kinds & RUN_OPERATIONS)) {
        g_assert_cmpuint(others, ==,
                         sample->generated + sample->pages.responded);
    }
}

static void assert_balanced(const Machine *machine)
{
    g_autofree RunLatencies *latencies = g_new(RunLatencies, 1);
    GError *error = NULL;

    for (size_t i = 0; i < machine_get_viommu_count(machine); i++) {
        RunResult result = machine_get_result(machine, i, latencies);
        g_autofree char *explanation = run_sample_explain(&result.sample);

        g_assert_cmpstr(explanation, ==, NULL);
        g_assert_cmpuint(latencies->event.total, ==, result.sample.seen);
        g_assert_cmpuint(latencies->roundtrip.total, ==,
                         result.sample.pages.responded);
        assert_devices_add_up(machine, i, &result.sample);
    }
    machine_check_hosts(machine, &error);
    g_assert_no_error(error);
}

#define TWO_BEHIND_ONE                                             \
    "-object", "iommufd-emulated,id=h",                            \
    "-device", "emulated-pci,id=d0,viommu=s,iommufd=h,sid=0",      \
    "-device", "emulated-pci,id=d1,viommu=s,iommufd=h,sid=65535"

#define VTD "-device", "intel-iommu,id=v"
#define PCI(id) "-device", "emulated-pci,viommu=v,iommufd=h,id=" id
#define SVA(options) "-device", "sva-device,viommu=v," options

/* The emulated host's mock driver: as the kernel's. */
#define MOCK(id, viommu) \
    "-device", "iommufd-mock,iommufd=h,id=" id ",viommu=" viommu
#define MOCK_EVENTS                                             \
    "-object", "iommufd-emulated,id=h", "-device", "arm-smmuv3,id=s", \
    MOCK("m0", "s"), MOCK("m1", "s")

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
        /* The smallest SVA device; pages of one PASID's. */
        { { VTD, SVA("id=a,credits=1,queue-depth=1,pasids=1"), "-load",
            "max" } },
        { { VTD, SVA("id=a,credits=1"), SVA("id=b,credits=3"), "-load",
            "max" } },
        { { "-device", "intel-iommu,id=v,pasid-bits=1,caching-mode=off",
            SVA("id=a,pasids=1,credits=2048,queue-depth=512"), "-load",
            "max" } },
        { { "-object", "iommufd-emulated,id=h", VTD ",pasid-bits=1", PCI("d"),
            "-load", "max" } },
        { { "-object", "iommufd-emulated,id=h", VTD, PCI("d0"), PCI("d1"),
            SVA("id=a"), PCI("d2"), "-load", "20000" } },
        { { MOCK_EVENTS, VTD, MOCK("m2", "v"), MOCK("m3", "v"), "-load",
            "max" } },
        { { MOCK_EVENTS, VTD, SVA("id=a"), MOCK("m2", "v"), "-load",
            "20000" } },
        /* Both models on one iothread and one host. */
        { { TWO_BEHIND_ONE, "-object", "iothread,id=io",
            "-device", "arm-smmuv3,id=s,iothread=io",
            VTD ",iothread=io", PCI("d2"), SVA("id=a"), "-load", "10000" } },
        { { VTD ",svm=off,pasid-bits=0", "-load", "max" } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Config) config = words_parse_good(&cases[i]);
        g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
        GError *error = NULL;
        unsigned fds = proc_self_fds();
        Machine *machine = start_machine(config, &error);

        g_assert_no_error(error);
        run(machine, 2000);
        assert_balanced(machine);
        machine_take_apart(machine, problems);
        g_assert_cmpuint(problems->len, ==, 0);
        machine_free(machine);
        g_assert_cmpuint(proc_self_fds(), ==, fds);
    }
}

static void test_no_load_generates_nothing(void)
{
    Words words = { { "-load", "0" } };
    g_autoptr(Config) config = words_parse_good(&words);
    g_autofree RunLatencies *latencies = g_new(RunLatencies, 1);
    GError *error = NULL;
    Machine *machine = start_machine(config, &error);

    g_assert_no_error(error);
    run(machine, 0);
    assert_balanced(machine);
    for (size_t i = 0; i < machine_get_viommu_count(machine); i++) {
        RunSample sample = machine_get_result(machine, i, latencies).sample;

        g_assert_cmpuint(sample.generated, ==, 0);
        g_assert_cmpuint(sample.pages.raised, ==, 0);
        g_assert_cmpuint(sample.operations.begun, ==, 0);
    }
    machine_free(machine);
}

/* The host's books against those of its devices, once without load. */
static void check_hosts(const Machine *machine, const char *difference)
{
    GError *error = NULL;

    if (!difference) {
        g_assert_true(machine_check_hosts(machine, &error));
        g_assert_no_error(error);
        return;
    }
    g_assert_false(machine_check_hosts(machine, &error));
    g_assert_cmpstr(error->message, ==, difference);
    g_error_free(error);
}

static Machine *machine_after_empty_load(const Config *config)
{
    GError *error = NULL;
    Machine *machine = start_machine(config, &error);

    g_assert_no_error(error);
    g_assert_true(machine_start_load(machine, &error));
    machine_stop_load(machine);
    return machine;
}

/* An event behind the workload's back is in the host's books only. */
static void test_host_is_checked_for_events(void)
{
    Words words = { { TWO_BEHIND_ONE, "-device", "arm-smmuv3,id=s", "-load",
                      "0" } };
    g_autoptr(Config) config = words_parse_good(&words);
    Machine *machine = machine_after_empty_load(config);
    const uint64_t event[EVENT_RECORD_WORDS] = { 0x10 };  /* F_TRANSLATION */
    const MachinePci *device = machine->devices->pdata[0];

    check_hosts(machine, NULL);
    emul_report_event(vfio_device_get_host(device->vfio),
                      vfio_device_get_dev_id(device->vfio), event);
    check_hosts(machine,
                "'h' counts 1 events, its devices have reported 0");
    machine_free(machine);
}

/* So is a group of page requests, though the guest answers it. */
static void test_host_is_checked_for_page_requests(void)
{
    Words words = { { "-object", "iommufd-emulated,id=h", VTD, PCI("d"),
                      "-load", "0" } };
    g_autoptr(Config) config = words_parse_good(&words);
    Machine *machine = machine_after_empty_load(config);
    const MachinePci *device = machine->devices->pdata[0];
    uint32_t pasids;
    g_autofree GuestAddressSpace **spaces =
        machine_vtd_get_spaces(&device->base, &pasids);
    EmulPageRequest request = {
        .dev_id = vfio_device_get_dev_id(device->vfio),
        .pasid = 1,
        .perm = IOMMU_PGFAULT_PERM_READ,
        .addr = guest_address_space_get_base(spaces[0]),
        .last = true,
        .tag = 1,               /* no group of the load's */
    };

    check_hosts(machine, NULL);
    g_assert_cmpint(emul_request_page(vfio_device_get_host(device->vfio),
                                      &request), ==, EMUL_REPORT_QUEUED);
    check_hosts(machine, "'h' counts 1 groups of page requests, its devices "
                         "have raised 0");
    machine_free(machine);
}

/* A device that nobody knows of holds objects of the host's. */
static void test_what_is_left_is_found(void)
{
    Words words = { { "-object", "iommufd-emulated,id=h", VTD, PCI("d"),
                      "-load", "0" } };
    g_autoptr(Config) config = words_parse_good(&words);
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    Machine *machine = machine_after_empty_load(config);
    HostIommu *host = ((MachineHost *)machine->hosts->pdata[0])->host;
    int fd = emul_device_open_behind(host, EMUL_IOMMU_VTD);
    GError *error = NULL;
    VfioDevice *device;

    g_assert_cmpint(fd, >=, 0);
    device = vfio_device_bind(host, fd, "other", &error);
    g_assert_no_error(error);
    machine_rest(machine);
    machine_take_apart(machine, problems);
    g_assert_cmpuint(problems->len, ==, 1);
    g_assert_cmpstr(problems->pdata[0], ==,
                    "'h' has 1 objects left when all devices are gone");
    vfio_device_free(device);
    machine_free(machine);
}

/* On a kernel, objects are found by destroying them. */
static void test_what_a_mock_host_has_left_is_found(void)
{
    Words words = { { MOCK_EVENTS, "-load", "0" } };
    g_autoptr(Config) config = words_parse_good(&words);
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    Machine *machine = machine_after_empty_load(config);
    HostIommu *host = ((MachineHost *)machine->hosts->pdata[0])->host;
    uint32_t id;

    g_assert_true(iommufd_ioas_alloc(host, &id, NULL));
    machine_rest(machine);
    machine_take_apart(machine, problems);
    g_assert_cmpuint(problems->len, ==, 1);
    g_assert_cmpstr(problems->pdata[0], ==,
                    "'h' has 1 objects left when all devices are gone");
    machine_free(machine);
}

/* Would a run with at most @limit descriptors be a good one? */
static bool try_with_limit(const Config *config, rlim_t limit)
{
    struct rlimit old, low;
    g_autoptr(GError) error = NULL;
    uint64_t refused;
    Machine *machine;

    getrlimit(RLIMIT_NOFILE, &old);
    low = (struct rlimit){ limit, old.rlim_max };
    setrlimit(RLIMIT_NOFILE, &low);
    machine = start_machine(config, &error);
    setrlimit(RLIMIT_NOFILE, &old);
    if (!machine) {
        g_assert_nonnull(error);
        return false;
    }
    run(machine, 100);
    count_work(machine, &refused);
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
    static const Words cases[] = {
        { { TWO_BEHIND_ONE, "-device", "arm-smmuv3,id=s" } },
        { { "-object", "iommufd-emulated,id=h", VTD, PCI("d"), SVA("id=a") } },
        { { MOCK_EVENTS } },
        { { "-object", "iommufd-emulated,id=h", VTD, MOCK("m", "v") } },
    };

    report_set_handler(ignore_report, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Config) config = words_parse_good(&cases[i]);
        unsigned fds = proc_self_fds();
        rlim_t limit = 4;

        while (!try_with_limit(config, limit)) {
            g_assert_cmpuint(proc_self_fds(), ==, fds);
            limit++;
            g_assert_cmpuint(limit, <, 200);
        }
        g_assert_cmpuint(proc_self_fds(), ==, fds);
        g_assert_cmpuint(limit, >, 10);
    }
    report_set_handler(NULL, NULL);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/machine/runs-balance", test_runs_balance);
    g_test_add_func("/machine/no-load-generates-nothing",
                    test_no_load_generates_nothing);
    g_test_add_func("/machine/host-is-checked-for-events",
                    test_host_is_checked_for_events);
    g_test_add_func("/machine/host-is-checked-for-page-requests",
                    test_host_is_checked_for_page_requests);
    g_test_add_func("/machine/what-is-left-is-found",
                    test_what_is_left_is_found);
    g_test_add_func("/machine/what-a-mock-host-has-left-is-found",
                    test_what_a_mock_host_has_left_is_found);
    g_test_add_func("/machine/failure-leaves-nothing",
                    test_failure_leaves_nothing);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
