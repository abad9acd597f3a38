/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The built-in driver against the real model and an emulated host: what a
 * device reports by hand must be judged right by the guest.
 */
#include "guest-smmuv3.h"

#include "event-record.h"

#include "base/rcu.h"
#include "host/emul.h"
#include "hw/iommu/viommu-internal.h"
#include "iothread/iothread.h"

#include <sched.h>

enum { SID = 0x1208, OTHER_SID = 0x77 };

#define DEADLINE_NS (20 * INT64_C(1000000000))

/* One access, as Trace records it. */
typedef struct Access {
    char kind;                  /* 'r', 'w' */
    unsigned size;
    uint64_t offset;
    uint64_t value;             /* of a write */
} Access;

/* In a table of them: an address, which may be any. */
#define ANY UINT64_MAX

typedef struct Fixture {
    uint32_t first_sequence;    /* of the host's queue */
    bool traced;                /* record what the driver does at the start */
    GuestRecords records;       /* what the guest is told of them */
    IOThread *iothread;
    HostIommu *host;
    GuestRam *ram;
    IrqSink *irq;
    Viommu *viommu;
    VfioDevice *vfio;
    GuestSmmuv3 *guest;
} Fixture;

/* The accesses of the driver under test, and the model that they go on to. */
static GArray *trace;
static const ViommuOps *real_ops;

/* A register that is polled counts once. */
static uint64_t trace_read(Viommu *viommu, uint64_t offset, unsigned size)
{
    const Access access = { 'r', size, offset, 0 };
    const Access *last = trace->len
        ? &g_array_index(trace, Access, trace->len - 1) : NULL;

    if (!last || last->kind != 'r' || last->offset != offset) {
        g_array_append_val(trace, access);
    }
    return real_ops->mmio_read(viommu, offset, size);
}

static void trace_write(Viommu *viommu, uint64_t offset, unsigned size,
                        uint64_t value)
{
    const Access access = { 'w', size, offset, value };

    g_array_append_val(trace, access);
    real_ops->mmio_write(viommu, offset, size, value);
}

/* The ops table is the seam: the driver is not told that it is watched. */
static void drive(Fixture *fixture, const GuestSmmuv3Config *guest)
{
    ViommuOps ops = *fixture->viommu->ops;
    GError *error = NULL;

    real_ops = fixture->viommu->ops;
    if (fixture->traced) {
        ops.mmio_read = trace_read;
        ops.mmio_write = trace_write;
        fixture->viommu->ops = &ops;
    }
    fixture->guest = guest_smmuv3_new(guest, &error);
    fixture->viommu->ops = real_ops;
    g_assert_no_error(error);
}

static void fixture_set_up(Fixture *fixture, const Smmuv3Properties *properties)
{
    static const uint32_t sids[] = { SID };
    ViommuConfig config = { .id = "v0" };
    GuestSmmuv3Config guest = {
        .sids = sids, .sid_count = 1, .records = fixture->records,
    };
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
    emul_set_first_sequence(fixture->host, fixture->first_sequence);
    g_assert_true(viommu_add_device(fixture->viommu, fixture->vfio, SID,
                                    &error));
    guest.viommu = fixture->viommu;
    guest.ram = fixture->ram;
    guest.irq = fixture->irq;
    drive(fixture, &guest);
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
        Fixture fixture = { 0 };
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
    Fixture fixture = { 0 };

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

/* A recording's clock has nothing to do with ours; its end is what counts. */
static void test_recorded_records(void)
{
    const uint64_t end_ns = UINT64_MAX / 2;
    Fixture fixture = { .records.recorded_until_ns = end_ns };
    g_autofree HistogramSnapshot *latency = g_new(HistogramSnapshot, 1);
    GuestSmmuv3Counts counts;

    fixture_set_up(&fixture, NULL);
    report(&fixture, SID, 0, end_ns - 1);
    report(&fixture, SID, 1, end_ns);
    report(&fixture, SID, 2, end_ns + 1);
    report(&fixture, SID, 3, end_ns - 1);
    counts = wait_for(&fixture, 4);
    g_assert_cmpuint(counts.seen, ==, 2);
    g_assert_cmpuint(counts.corrupt, ==, 2);
    guest_smmuv3_get_latency(fixture.guest, latency);
    g_assert_cmpuint(latency->total, ==, 0);
    fixture_tear_down(&fixture);
}

/* Of real hardware's only the StreamID is known. */
static void test_foreign_records(void)
{
    Fixture fixture = { .records.foreign = true };
    uint64_t words[EVENT_RECORD_WORDS] = { 0x10, 1, 2, 3 };
    GuestSmmuv3Counts counts;

    fixture_set_up(&fixture, NULL);
    report_words(&fixture, words);
    report_words(&fixture, words);
    counts = wait_for(&fixture, 2);
    g_assert_cmpuint(counts.seen, ==, 2);
    g_assert_cmpuint(counts.corrupt, ==, 0);
    fixture_tear_down(&fixture);
}

/* The same records, the same digest; another order, another one. */
static void test_digest(void)
{
    const uint64_t end_ns = UINT64_MAX / 2;
    uint64_t digests[3];

    for (int i = 0; i < 3; i++) {
        Fixture fixture = { .records.recorded_until_ns = end_ns };

        fixture_set_up(&fixture, NULL);
        g_assert_cmphex(guest_smmuv3_get_counts(fixture.guest).digest, ==, 0);
        report(&fixture, SID, i == 2, 1);
        wait_for(&fixture, 1);
        report(&fixture, SID, i != 2, 1);
        wait_for(&fixture, 2);
        digests[i] = guest_smmuv3_get_counts(fixture.guest).digest;
        fixture_tear_down(&fixture);
    }
    g_assert_cmphex(digests[0], ==, digests[1]);
    g_assert_cmphex(digests[0], !=, digests[2]);
}

/* What is in the queue when the driver stops is consumed, not left. */
static void test_stop_consumes_what_is_there(void)
{
    Fixture fixture = { 0 };
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

/*
 * From probe to the last enable, message-signalled interrupts and no ATS: the
 * accesses of Linux 7.3's driver, in their order.
 */
static void test_set_up_is_in_the_order_of_linux(void)
{
    static const Access expected[] = {
        { 'r', 4, 0x00, 0 }, { 'r', 4, 0x04, 0 },       /* IDR0, IDR1 */
        { 'r', 4, 0x0c, 0 },
        { 'r', 4, 0x14, 0 }, { 'r', 4, 0x18, 0 },                     /* IIDR */
        { 'r', 4, 0x20, 0 },                                       /* CR0 */
        { 'w', 4, 0x20, 0 }, { 'r', 4, 0x24, 0 },
        { 'w', 4, 0x28, 0xd75 }, { 'w', 4, 0x2c, 0x6 },         /* CR1, CR2 */
        { 'w', 8, 0x80, ANY },                      /* STRTAB_BASE */
        { 'w', 4, 0x88, 0x10210 },                      /* 2-level, 8, 16 */
        { 'w', 8, 0x90, ANY },                      /* CMDQ_BASE */
        { 'w', 4, 0x98, 0 }, { 'w', 4, 0x9c, 0 },
        { 'w', 4, 0x20, 0x8 }, { 'r', 4, 0x24, 0 },        /* CMDQEN */
        { 'w', 4, 0x98, 1 }, { 'w', 4, 0x98, 2 },       /* CFGI_ALL, SYNC */
        { 'w', 4, 0x98, 3 }, { 'w', 4, 0x98, 4 },       /* TLBI, SYNC */
        { 'w', 8, 0xa0, ANY },                      /* EVENTQ_BASE */
        { 'w', 4, 0x100a8, 0 }, { 'w', 4, 0x100ac, 0 },
        { 'w', 4, 0x20, 0xc }, { 'r', 4, 0x24, 0 },        /* EVENTQEN */
        { 'w', 4, 0x50, 0 }, { 'r', 4, 0x54, 0 },          /* IRQ_CTRL */
        { 'w', 8, 0x68, 0 }, { 'w', 8, 0xb0, 0 },
        { 'w', 8, 0xb0, ANY }, { 'w', 4, 0xb8, ANY },
        { 'w', 4, 0xbc, 0x1 },
        { 'w', 8, 0x68, ANY }, { 'w', 4, 0x70, ANY },
        { 'w', 4, 0x74, 0x1 },
        { 'w', 4, 0x50, 0x5 }, { 'r', 4, 0x54, 0 },
        { 'w', 4, 0x20, 0xd }, { 'r', 4, 0x24, 0 },        /* SMMUEN */
        { 'w', 4, 0x98, 5 }, { 'w', 4, 0x98, 6 },       /* CFGI_STE, SYNC */
    };
    Fixture fixture = { .traced = true };

    trace = g_array_new(FALSE, FALSE, sizeof(Access));
    fixture_set_up(&fixture, NULL);
    for (size_t i = 0; i < MIN(trace->len, G_N_ELEMENTS(expected)); i++) {
        const Access *access = &g_array_index(trace, Access, i);

        g_assert_cmphex(access->offset, ==, expected[i].offset);
        g_assert_cmpint(access->kind, ==, expected[i].kind);
        g_assert_cmpuint(access->size, ==, expected[i].size);
        if (expected[i].value != ANY) {
            g_assert_cmphex(access->value, ==, expected[i].value);
        }
    }
    g_assert_cmpuint(trace->len, ==, G_N_ELEMENTS(expected));
    g_array_unref(trace);
    fixture_tear_down(&fixture);
}

/* Numbers that the host skipped are a loss: the flag toggles, and is echoed. */
static void test_overflow_is_acknowledged(void)
{
    enum { PROD = 0x100a8, CONS = 0x100ac, SKIPPED = 5 };
    const uint32_t flag = UINT32_C(1) << 31;
    Fixture fixture = { .first_sequence = SKIPPED };
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;

    fixture_set_up(&fixture, NULL);
    report(&fixture, SID, 0, aio_clock_ns());
    wait_for(&fixture, 1);
    /* Counted after the flag was toggled, so the guest may be the first. */
    while (!(viommu_mmio_read(fixture.viommu, CONS, 4) & flag) ||
           viommu_get_stats(fixture.viommu).overflows == 0 ||
           viommu_get_stats(fixture.viommu).lost == 0) {
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    }
    g_assert_true(viommu_mmio_read(fixture.viommu, PROD, 4) & flag);
    g_assert_cmpuint(viommu_get_stats(fixture.viommu).lost, ==, SKIPPED);
    g_assert_cmpuint(viommu_get_stats(fixture.viommu).overflows, ==, 1);

    /* The flag is kept by what comes after. */
    report(&fixture, SID, 1, aio_clock_ns());
    g_assert_cmpuint(wait_for(&fixture, 2).overflows, ==, 1);
    guest_smmuv3_rest(fixture.guest);
    g_assert_true(viommu_mmio_read(fixture.viommu, CONS, 4) & flag);
    fixture_tear_down(&fixture);
}

/* Times in the record count, however fast or slow the machine is. */
static void test_latency_is_that_of_the_record(void)
{
    g_autofree HistogramSnapshot *latency = g_new(HistogramSnapshot, 1);
    int64_t now_ns = aio_clock_ns();
    Fixture fixture = { 0 };

    fixture_set_up(&fixture, NULL);
    report(&fixture, SID, 0, now_ns / 4);
    wait_for(&fixture, 1);
    guest_smmuv3_get_latency(fixture.guest, latency);
    g_assert_cmpuint(latency->max, >=, now_ns - now_ns / 4);
    report(&fixture, SID, 1, now_ns / 2);
    report(&fixture, SID, 2, aio_clock_ns());
    wait_for(&fixture, 3);
    guest_smmuv3_get_latency(fixture.guest, latency);
    g_assert_cmpuint(histogram_snapshot_quantile(latency, 1000), >,
                     histogram_snapshot_quantile(latency, 666));
    g_assert_cmpuint(histogram_snapshot_quantile(latency, 666), >,
                     histogram_snapshot_quantile(latency, 333));
    fixture_tear_down(&fixture);
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
    g_test_add_func("/guest-smmuv3/recorded-records-are-before-its-end",
                    test_recorded_records);
    g_test_add_func("/guest-smmuv3/foreign-records-need-a-known-StreamID",
                    test_foreign_records);
    g_test_add_func("/guest-smmuv3/digest-is-of-all-bytes-in-order",
                    test_digest);
    g_test_add_func("/guest-smmuv3/stop-consumes-what-is-there",
                    test_stop_consumes_what_is_there);
    g_test_add_func("/guest-smmuv3/set-up-is-in-the-order-of-linux",
                    test_set_up_is_in_the_order_of_linux);
    g_test_add_func("/guest-smmuv3/overflow-is-acknowledged",
                    test_overflow_is_acknowledged);
    g_test_add_func("/guest-smmuv3/latency-is-that-of-the-record",
                    test_latency_is_that_of_the_record);
    g_test_add_func("/guest-ram/runs-out", test_ram_runs_out);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
