/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When events are due is a matter of arithmetic; that they come then, of what
 * is counted: never more than are due, and in the end all that were.
 */
#include "workload-events.h"

#include "base/rcu.h"
#include "host/emul.h"
#include "host/vfio-device.h"
#include "iothread/aio-context.h"

#include <sched.h>

#define NS_PER_S INT64_C(1000000000)
#define DEADLINE_NS (40 * NS_PER_S)

enum { DEVICES = 3 };

static void test_due_count(void)
{
    static const struct {
        uint64_t rate;
        size_t devices, index;
        int64_t elapsed_ns;
        uint64_t count;
    } cases[] = {
        { 1, 1, 0, -1, 0 },
        { 1, 1, 0, 0, 1 },
        { 1, 1, 0, NS_PER_S - 1, 1 },
        { 1, 1, 0, NS_PER_S, 2 },
        { 1000, 1, 0, 999999, 1 },
        { 1000, 1, 0, 1000000, 2 },
        /* in turn */
        { 10, 4, 0, 0, 1 },
        { 10, 4, 3, 299999999, 0 },
        { 10, 4, 3, 300000000, 1 },
        { 10, 4, 0, 400000000, 2 },
        /* a day at the highest rate */
        { 1000000000, 1, 0, 86400 * NS_PER_S, 86400 * NS_PER_S + 1 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpuint(
            workload_events_due_count(cases[i].rate, cases[i].devices,
                                      cases[i].index, cases[i].elapsed_ns),
            ==, cases[i].count);
    }
}

/* The k-th is due at the first moment at which k + 1 are. */
static void test_due_time_agrees_with_count(void)
{
    static const uint64_t rates[] = { 1, 3, 7, 1000, 99999, 1000000000 };
    static const uint64_t numbers[] = { 0, 1, 2, 999, 123456789 };

    for (size_t i = 0; i < G_N_ELEMENTS(rates); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(numbers); j++) {
            for (size_t index = 0; index < DEVICES; index++) {
                int64_t due = workload_events_due_ns(rates[i], DEVICES, index,
                                                     numbers[j]);

                g_assert_cmpuint(workload_events_due_count(rates[i], DEVICES,
                                                           index, due),
                                 >=, numbers[j] + 1);
                g_assert_cmpuint(workload_events_due_count(rates[i], DEVICES,
                                                           index, due - 1),
                                 <=, numbers[j]);
            }
        }
    }
}

/* To the burst's last event; not at all, and never for ever, if that is late. */
static void test_sleeps_until_a_burst_is_due(void)
{
    static const struct {
        uint64_t rate, k, most;
        int64_t elapsed_ns, sleep_ns;
    } cases[] = {
        /* rarer than a burst: until the next one */
        { 1000, 0, 16, 0, 0 },
        { 1000, 1, 16, 0, 1000000 },
        { 1000, 1, 16, 999999, 1 },
        { 1000, 1, 16, 1000000, 0 },
        { 1000, 1, 16, 1000001, 0 },
        { 1000, 1, 16, 3600 * NS_PER_S, 0 },
        /* five of them, or as many as there is room for */
        { 10000, 10, 16, 1000000, 400000 },
        { 10000, 10, 3, 1000000, 200000 },
        { 10000, 10, 16, 1400001, 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(
            workload_events_sleep_ns(cases[i].rate, cases[i].k, cases[i].most,
                                     cases[i].elapsed_ns),
            ==, cases[i].sleep_ns);
    }
}

/* All devices together keep the rate, whatever the time. */
static void test_devices_share_the_rate(void)
{
    for (int64_t ms = 0; ms < 3000; ms += 7) {
        uint64_t sum = 0;

        for (size_t index = 0; index < DEVICES; index++) {
            sum += workload_events_due_count(1000, DEVICES, index,
                                             ms * 1000000);
        }
        g_assert_cmpuint(sum, ==, ms + 1);
    }
}

typedef struct Fixture {
    HostIommu *host;
    VfioDevice *vfio[DEVICES];
    WorkloadDevice devices[DEVICES];
} Fixture;

/* Devices without a vIOMMU: the host refuses what they report, and counts. */
static void setup(Fixture *f, gconstpointer unused)
{
    GError *error = NULL;

    f->host = emul_new(&error);
    g_assert_no_error(error);
    for (int i = 0; i < DEVICES; i++) {
        f->vfio[i] = vfio_device_bind(f->host, emul_device_open(f->host), "d",
                                      &error);
        g_assert_no_error(error);
        f->devices[i].dev_id = vfio_device_get_dev_id(f->vfio[i]);
        f->devices[i].id = "d";
    }
}

static void teardown(Fixture *f, gconstpointer unused)
{
    for (int i = 0; i < DEVICES; i++) {
        vfio_device_free(f->vfio[i]);
    }
    host_iommu_free(f->host);
}

static WorkloadEvents *start(Fixture *f, uint64_t rate)
{
    GError *error = NULL;
    WorkloadEvents *load = workload_events_start(f->host, f->devices, DEVICES,
                                                 rate, &error);

    g_assert_no_error(error);
    return load;
}

static uint64_t all_due(uint64_t rate, int64_t elapsed_ns)
{
    return workload_events_due_count(rate, 1, 0, elapsed_ns);
}

/* As many as are due: at no time more, and, however late, no fewer. */
static void test_rate_is_kept(Fixture *f, gconstpointer unused)
{
    static const uint64_t rates[] = { 200, 20000 };

    for (size_t i = 0; i < G_N_ELEMENTS(rates); i++) {
        int64_t start_ns = aio_clock_ns();
        WorkloadEvents *load = start(f, rates[i]);
        int64_t started_ns = aio_clock_ns();
        uint64_t wanted = all_due(rates[i], NS_PER_S / 5);
        uint64_t refused;

        do {
            refused = workload_events_get_counts(load).refused;
            g_assert_cmpuint(refused, <=,
                             all_due(rates[i], aio_clock_ns() - start_ns));
            g_assert_cmpint(aio_clock_ns(), <, started_ns + DEADLINE_NS);
            sched_yield();
        } while (refused < wanted);
        workload_events_free(load);
    }
}

static void test_nothing_comes_after_stop(Fixture *f, gconstpointer unused)
{
    static const uint64_t rates[] = { 1000, WORKLOAD_RATE_MAX };

    for (size_t i = 0; i < G_N_ELEMENTS(rates); i++) {
        WorkloadEvents *load = start(f, rates[i]);
        uint64_t refused;

        while (workload_events_get_counts(load).refused < 10) {
            sched_yield();
        }
        workload_events_stop(load);
        refused = workload_events_get_counts(load).refused;
        g_assert_cmpuint(workload_events_get_counts(load).generated, ==, 0);
        for (int n = 0; n < 1000; n++) {
            sched_yield();
        }
        g_assert_cmpuint(workload_events_get_counts(load).refused, ==, refused);
        workload_events_free(load);
    }
}

static void test_no_rate_no_events(Fixture *f, gconstpointer unused)
{
    WorkloadEvents *load = start(f, 0);

    workload_events_stop(load);
    g_assert_cmpuint(workload_events_get_counts(load).refused, ==, 0);
    workload_events_free(load);
}

#define ADD(path, test) \
    g_test_add("/workload-events/" path, Fixture, NULL, setup, test, teardown)

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/workload-events/due-count", test_due_count);
    g_test_add_func("/workload-events/due-time-agrees-with-count",
                    test_due_time_agrees_with_count);
    g_test_add_func("/workload-events/sleeps-until-a-burst-is-due",
                    test_sleeps_until_a_burst_is_due);
    g_test_add_func("/workload-events/devices-share-the-rate",
                    test_devices_share_the_rate);
    ADD("rate-is-kept", test_rate_is_kept);
    ADD("nothing-comes-after-stop", test_nothing_comes_after_stop);
    ADD("no-rate-no-events", test_no_rate_no_events);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
