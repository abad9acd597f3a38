/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The built-in driver against the real model and an emulated host: what a
 * device reports by hand must be judged right by the guest.
 */
#include "guest-smmuv3.h"

#include "event-record.h"

#include "base/rcu.h"
#include "host/emul.h"
#include "iothread/iothread.h"

#include <sched.h>

enum { SID = 0x1208, OTHER_SID = 0x77 };

#define DEADLINE_NS (20 * INT64_C(1000000000))

typedef struct Fixture {
    IOThread *iothread;
    HostIommu *host;
    GuestRam *ram;
    IrqSink *irq;
    Viommu *viommu;
    VfioDevice *vfio;
    GuestSmmuv3 *guest;
} Fixture;

static void fixture_set_up(Fixture *fixture, const Smmuv3Properties *properties)
{
    static const uint32_t sids[] = { SID };
    ViommuConfig config = { .id = "v0" };
    GuestSmmuv3Config guest = { .sids = sids, .sid_count = 1 };
    GError *error = NULL;

    fixture->iothread = iothread_new("io0", NULL, &error);
    fixture->host = emul_new(&error);
    fixture->ram = guest_ram_new(GUEST_SMMUV3_RAM_BYTES, &error);
    fixture->irq = irq_sink_eventfd_new(SMMUV3_IRQ_COUNT,
                                        GUEST_SMMUV3_DOORBELL, &error);
    g_assert_no_error(error);
    config.ctx = iothread_get_aio_context(fixture->iothread);
    config.mem = guest_ram_get_mem(fixture->ram);
    config.irq = fixture->irq;
    fixture->viommu = smmuv3_new(&config, properties, &error);
    fixture->vfio = vfio_device_bind(
        fixture->host, emul_device_open(fixture->host), "d0", &error);
    g_assert_no_error(error);
    g_assert_true(viommu_add_device(fixture->viommu, fixture->vfio, SID,
                                    &error));
    guest.viommu = fixture->viommu;
    guest.ram = fixture->ram;
    guest.irq = fixture->irq;
    fixture->guest = guest_smmuv3_new(&guest, &error);
    g_assert_no_error(error);
}

static void fixture_tear_down(Fixture *fixture)
{
    guest_smmuv3_stop(fixture->guest);
    g_assert_true(viommu_remove_device(fixture->viommu, SID));
    vfio_device_free(fixture->vfio);
    viommu_free(fixture->viommu);
    guest_smmuv3_free(fixture->guest);
    irq_sink_eventfd_free(fixture->irq);
    guest_ram_free(fixture->ram);
    g_assert_cmpuint(emul_get_stats(fixture->host).objects, ==, 0);
    host_iommu_free(fixture->host);
    iothread_stop(fixture->iothread);
}

static void report_words(Fixture *fixture, const uint64_t *words)
{
    g_assert_cmpint(emul_report_event(fixture->host,
                                      vfio_device_get_dev_id(fixture->vfio),
                                      words), ==, EMUL_REPORT_QUEUED);
}

static void report(Fixture *fixture, uint32_t sid, uint64_t counter,
                   uint64_t time_ns)
{
    EventRecord record = { .sid = sid, .counter = counter, .time_ns = time_ns };
    uint64_t words[EVENT_RECORD_WORDS];

    event_record_encode(&record, words);
    report_words(fixture, words);
}

/* Wait until the guest has read @count records, good or bad. */
static GuestSmmuv3Counts wait_for(Fixture *fixture, uint64_t count)
{
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;
    GuestSmmuv3Counts counts;

    do {
        counts = guest_smmuv3_get_counts(fixture->guest);
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    } while (counts.seen + counts.corrupt < count);
    return counts;
}

static void test_good_records_are_seen(void)
{
    static const Smmuv3Properties variants[] = {
        { .ril = true, .msi = true, .oas_bits = 44, .log2_eventq = 19,
          .log2_cmdq = 19 },
        { .msi = false, .oas_bits = 48, .log2_eventq = 4, .log2_cmdq = 1 },
        { .msi = false, .ats = true, .ssid_bits = 20, .oas_bits = 44,
          .log2_eventq = 0, .log2_cmdq = 8 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        Fixture fixture;
        GuestSmmuv3Counts counts = { 0 };
        g_autofree HistogramSnapshot *latency = g_new(HistogramSnapshot, 1);

        fixture_set_up(&fixture, &variants[i]);
        for (int n = 0; n < 100; n++) {
            report(&fixture, SID, n, aio_clock_ns());
            counts = wait_for(&fixture, n + 1);
        }
        g_assert_cmpuint(counts.seen, ==, 100);
        g_assert_cmpuint(counts.corrupt, ==, 0);
        g_assert_cmpuint(counts.gerrors, ==, 0);
        g_assert_cmpuint(counts.overflows, ==, 0);
        guest_smmuv3_get_latency(fixture.guest, latency);
        g_assert_cmpuint(latency->total, ==, 100);
        g_assert_cmpuint(latency->max, >, 0);
        g_assert_cmpuint(latency->max, <, DEADLINE_NS);
        g_assert_cmpuint(viommu_get_stats(fixture.viommu).interrupts, >, 0);
        fixture_tear_down(&fixture);
    }
}

static void test_bad_records_are_found(void)
{
    /* Times are relative to the start; @flip is a bit of InputAddr. */
    static const struct {
        uint32_t sid;
        uint64_t counter;
        int64_t time_ns;
        uint64_t flip;
        bool good;
    } cases[] = {
        { SID, 5, 0, 0, true },             /* a gap is a loss: fine */
        { SID, 5, 0, 0, false },            /* twice */
        { SID, 4, 0, 0, false },            /* out of order */
        { SID, 6, -1, 0, false },           /* back in time */
        { SID, 6, DEADLINE_NS, 0, false },  /* not yet */
        { OTHER_SID, 6, 0, 0, false },      /* another device's pattern */
        { SID, 6, 0, 1, false },            /* damaged */
        { SID, 6, 0, 0, true },
    };
    uint64_t start_ns;
    uint64_t good = 0;
    Fixture fixture;

    fixture_set_up(&fixture, NULL);
    start_ns = aio_clock_ns();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        EventRecord record = {
            .sid = cases[i].sid, .counter = cases[i].counter,
            .time_ns = start_ns + cases[i].time_ns,
        };
        uint64_t words[EVENT_RECORD_WORDS];
        GuestSmmuv3Counts counts;

        event_record_encode(&record, words);
        words[2] ^= cases[i].flip;
        report_words(&fixture, words);
        good += cases[i].good;
        counts = wait_for(&fixture, i + 1);
        g_assert_cmpuint(counts.seen, ==, good);
        g_assert_cmpuint(counts.corrupt, ==, i + 1 - good);
    }
    fixture_tear_down(&fixture);
}

/* What is in the queue when the driver stops is consumed, not left. */
static void test_stop_consumes_what_is_there(void)
{
    Fixture fixture;
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;

    fixture_set_up(&fixture, NULL);
    for (int n = 0; n < 1000; n++) {
        report(&fixture, SID, n, aio_clock_ns());
    }
    while (viommu_get_stats(fixture.viommu).delivered < 1000) {
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    }
    guest_smmuv3_stop(fixture.guest);
    g_assert_cmpuint(guest_smmuv3_get_counts(fixture.guest).seen, ==, 1000);
    g_assert_cmpuint(viommu_mmio_read(fixture.viommu, 0x24, 4), ==, 0);

    g_assert_true(viommu_remove_device(fixture.viommu, SID));
    vfio_device_free(fixture.vfio);
    viommu_free(fixture.viommu);
    guest_smmuv3_free(fixture.guest);
    irq_sink_eventfd_free(fixture.irq);
    guest_ram_free(fixture.ram);
    host_iommu_free(fixture.host);
    iothread_stop(fixture.iothread);
}

static void test_ram_runs_out(void)
{
    g_autoptr(GError) error = NULL;
    GuestRam *ram = guest_ram_new(16384, &error);
    uint64_t first;

    g_assert_no_error(error);
    first = guest_ram_alloc(ram, 10, 64, &error);
    g_assert_cmphex(first % 64, ==, 0);
    g_assert_cmphex(guest_ram_alloc(ram, 4096, 4096, &error), ==, first + 4096);
    g_assert_cmphex(guest_ram_alloc(ram, 8192, 4096, &error), ==, first + 8192);
    g_assert_no_error(error);
    g_assert_cmphex(guest_ram_alloc(ram, 1, 1, &error), ==, 0);
    g_assert_cmpstr(error->message, ==,
                    "guest memory of 16384 bytes is used up");
    guest_ram_free(ram);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/guest-smmuv3/good-records-are-seen",
                    test_good_records_are_seen);
    g_test_add_func("/guest-smmuv3/bad-records-are-found",
                    test_bad_records_are_found);
    g_test_add_func("/guest-smmuv3/stop-consumes-what-is-there",
                    test_stop_consumes_what_is_there);
    g_test_add_func("/guest-ram/runs-out", test_ram_runs_out);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
