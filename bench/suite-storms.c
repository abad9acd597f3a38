/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Throughput and latency of events while a monitor plugs and unplugs other
 * devices of the same vIOMMU without a pause, or a vCPU invalidates without
 * one; beside the same without any of that.
 *
 * The storm has the main thread's CPU as long as that sleeps, which it does
 * while what is measured goes on: the storm's thread is of SCHED_IDLE, so the
 * main thread is not late for it. Throughput is by the reader's clock; latency
 * runs from an event's report, not from when it was due: the main thread's own
 * delay is no work of the pump's, and when the pump is late, reports are not.
 */
#include "bench.h"
#include "histogram.h"
#include "peer.h"
#include "smmu-unit.h"

#include "base/counter.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "hw/iommu/guest-mem.h"

#include <sched.h>

/* Drains: events that are timed, and those behind them for one more read. */
#define LOG2_RING 17
#define DRAIN_EVENTS 65536
#define DRAIN_BEHIND 4096
#define DRAINS 7

/* Latency: 10,000 a second. */
#define PERIOD_NS 100000
#define REPORTS 2500

/* See bench_rounds(). */
#define ROUNDS 4

/* Of the monitor that does not plug as fast as it can. */
#define PLUG_PERIOD_NS 100000

/* How long the main thread sleeps between two looks at a drain. */
#define LOOK_NS 50000

/* What did not come in a minute does not come. */
#define TIME_OUT_NS INT64_C(60000000000)

/* Devices that come and go, beside the one that has events. */
#define OTHERS 4

typedef enum StormKind {
    STORM_QUIET,
    STORM_HOT_PLUG,
    STORM_HOT_PLUG_10K,
    STORM_PIOTLB,
    STORMS,
} StormKind;

/**
 * struct Rig - a vIOMMU, and the storm around it
 * @cons: what the guest has read, with wrap bit
 * @tag: of the next event; @expected: of the next that the guest reads
 * @steps: what the storm has done: plugs, or batches of invalidations
 */
typedef struct Rig {
    EventSource *source;
    IOThread *iothread;
    SmmuMemory mem;
    SmmuUnit unit;
    VfioDevice *others[OTHERS];
    uint32_t cons;
    uint64_t tag;
    uint64_t expected;
    StormKind kind;
    pthread_t thread;
    atomic_bool stop;
    Counter steps;
} Rig;

/**
 * struct Result - of one storm, once
 * @events: per second
 * @p99_ns: from report to interrupt
 * @steps: of the storm, per second
 */
typedef struct Result {
    double events;
    double p99_ns;
    double steps;
} Result;

static const char *const storm_names[] = {
    [STORM_QUIET] = "quiet",
    [STORM_HOT_PLUG] = "hot-plug",
    [STORM_HOT_PLUG_10K] = "hot-plug-10k",
    [STORM_PIOTLB] = "piotlb",
};

/* ---- The storm ---- */

static void sleep_until(int64_t ns)
{
    struct timespec until = {
        .tv_sec = ns / 1000000000,
        .tv_nsec = ns % 1000000000,
    };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)) {
        continue;
    }
}

static void plug_step(Rig *rig, unsigned i)
{
    uint32_t virt_id = SMMU_UNIT_VIRT_ID + 1 + i;
    GError *error = NULL;
    bool removed;

    bench_must(viommu_add_device(rig->unit.viommu, rig->others[i], virt_id,
                                 &error), &error);
    removed = viommu_remove_device(rig->unit.viommu, virt_id);
    g_assert(removed);
}

static void *storm_run(void *opaque)
{
    static const struct sched_param none;
    int64_t due = bench_now_ns();
    Rig *rig = opaque;
    int ret;

    ret = sched_setscheduler(0, SCHED_IDLE, &none);
    g_assert(ret == 0);
    rcu_register_thread();
    for (unsigned i = 0;
         !atomic_load_explicit(&rig->stop, memory_order_relaxed); i++) {
        if (rig->kind == STORM_PIOTLB) {
            smmu_unit_invalidate(&rig->unit);
        } else {
            plug_step(rig, i % OTHERS);
        }
        if (rig->kind == STORM_HOT_PLUG_10K) {
            due += PLUG_PERIOD_NS;
            sleep_until(due);
        }
        counter_add(&rig->steps, 1);
    }
    rcu_unregister_thread();
    return NULL;
}

static HardwareStats host_stats(Rig *rig)
{
    HostIommu *host = event_source_host(rig->source);

    return host->hardware->get_stats(host);
}

static void storm_start(Rig *rig, StormKind kind)
{
    int ret;

    rig->kind = kind;
    atomic_store(&rig->stop, false);
    if (kind != STORM_QUIET) {
        ret = thread_create(&rig->thread, storm_run, rig);
        g_assert(ret == 0);
    }
}

static void storm_stop(Rig *rig)
{
    if (rig->kind != STORM_QUIET) {
        atomic_store(&rig->stop, true);
        pthread_join(rig->thread, NULL);
    }
}

/* ---- The guest ---- */

static uint32_t entry_mask(void)
{
    return (UINT32_C(1) << LOG2_RING) - 1;
}

/* Return: how many entries there are beyond those that were read. */
static uint32_t published(Rig *rig)
{
    return (smmu_unit_prod(&rig->unit) - rig->cons) & (entry_mask() << 1 | 1);
}

/* Each event, once and in order. */
static void consume(Rig *rig, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t words[4];

        guest_words_load(words, &rig->unit.entries[((rig->cons + i) &
                                                    entry_mask()) * 4], 4);
        g_assert_cmpuint(words[2], ==, rig->expected);
        rig->expected++;
    }
    rig->cons = (rig->cons + count) & (entry_mask() << 1 | 1);
    smmu_unit_set_cons(&rig->unit, rig->cons);
}

static void consume_all(Rig *rig)
{
    int64_t end = bench_now_ns() + TIME_OUT_NS;

    while (rig->expected < rig->tag) {
        consume(rig, published(rig));
        g_assert_cmpint(bench_now_ns(), <, end);
    }
}

/* ---- Throughput ---- */

/* Return: ns for DRAIN_EVENTS. */
static int64_t drain(Rig *rig)
{
    const uint64_t fill = DRAIN_EVENTS + DRAIN_BEHIND;
    uint64_t queued;
    int64_t ns;

    event_source_hold(rig->source);
    queued = event_source_fill(rig->source, &rig->unit.device, 1, fill,
                               rig->tag);
    g_assert_cmpuint(queued, ==, fill);
    rig->tag += fill;
    event_source_release(rig->source, DRAIN_EVENTS);
    while ((ns = event_source_took(rig->source)) < 0) {
        sleep_until(bench_now_ns() + LOOK_NS);
    }
    consume_all(rig);
    return ns;
}

/* Return: events per second; 0: there was no storm. */
static double measure_throughput(Rig *rig, unsigned drains)
{
    g_autofree double *ns = g_new(double, drains);
    uint64_t steps = counter_get(&rig->steps);

    drain(rig);                 /* warm-up */
    for (unsigned i = 0; i < drains; i++) {
        ns[i] = drain(rig);
    }
    if (rig->kind != STORM_QUIET && counter_get(&rig->steps) == steps) {
        return 0;
    }
    return DRAIN_EVENTS * 1e9 / figures_median(ns, drains);
}

/* ---- Latency ---- */

/**
 * struct Latencies - of events that are reported one at a time
 * @sent_ns: when, by order; @sent: how many; @seen: by the guest
 * @warm_up: how many of the first do not count
 * @interrupts: that the guest has seen
 */
typedef struct Latencies {
    int64_t *sent_ns;
    unsigned sent;
    unsigned seen;
    unsigned warm_up;
    unsigned interrupts;
    Histogram *histogram;
} Latencies;

static void record(Latencies *l, int64_t ns)
{
    if (l->seen >= l->warm_up) {
        histogram_record(l->histogram, ns - l->sent_ns[l->seen]);
    }
    l->seen++;
}

/*
 * The first event in an empty ring has an interrupt, and that says when. Of one
 * that comes behind it, which is when the pump is late, it is known only that
 * it was there by now.
 */
static void look(Rig *rig, Latencies *l)
{
    PeerIrq *irq = &rig->unit.irq;
    uint32_t count;

    while ((count = published(rig)) > 0) {
        int64_t now = bench_now_ns();
        /* Acquire: pairs with peer_irq_raise(). */
        unsigned interrupts = atomic_load_explicit(&irq->count,
                                                   memory_order_acquire);

        for (uint32_t i = 0; i < count; i++) {
            bool told = i == 0 && interrupts != l->interrupts;

            record(l, told ? atomic_load_explicit(&irq->raised_ns,
                                                  memory_order_relaxed)
                           : now);
        }
        l->interrupts = interrupts;
        consume(rig, count);
    }
}

static void report_all(Rig *rig, Latencies *l, unsigned reports)
{
    int64_t due = bench_now_ns() + PERIOD_NS;
    int64_t end;

    while (l->sent < reports) {
        bool queued;

        sleep_until(due);
        look(rig, l);
        l->sent_ns[l->sent++] = bench_now_ns();
        queued = event_source_report(rig->source, &rig->unit.device,
                                     rig->tag++);
        g_assert(queued);
        due = MAX(due + PERIOD_NS, bench_now_ns());
    }
    end = bench_now_ns() + TIME_OUT_NS;
    while (l->seen < l->sent) {
        sleep_until(bench_now_ns() + PERIOD_NS);
        look(rig, l);
        g_assert_cmpint(bench_now_ns(), <, end);
    }
}

static void measure_latency(Rig *rig, unsigned reports, Result *result)
{
    Latencies l = {
        .sent_ns = g_new(int64_t, reports),
        .warm_up = reports / 10,
        .interrupts = atomic_load(&rig->unit.irq.count),
        .histogram = histogram_new(),
    };
    g_autofree HistogramSnapshot *snapshot = g_new(HistogramSnapshot, 1);
    uint64_t steps = counter_get(&rig->steps);
    int64_t start = bench_now_ns();

    report_all(rig, &l, reports);
    result->steps = (counter_get(&rig->steps) - steps) * 1e9 /
                    (bench_now_ns() - start);
    histogram_snapshot(l.histogram, snapshot);
    result->p99_ns = histogram_snapshot_quantile(snapshot, 990);
    histogram_free(l.histogram);
    g_free(l.sent_ns);
}

/* ---- The suite ---- */

typedef struct Storms {
    Rig *rig;
    bool missed;                /* a storm never ran */
    GArray *results[STORMS];    /* Result, by repetition */
} Storms;

static void measure(Bench *bench, size_t kind, void *opaque)
{
    Storms *storms = opaque;
    Rig *rig = storms->rig;
    uint64_t steps = counter_get(&rig->steps);
    uint64_t invalidations = host_stats(rig).invalidations;
    Result result;

    storm_start(rig, kind);
    result.events = measure_throughput(rig, DRAINS);
    measure_latency(rig, REPORTS, &result);
    storm_stop(rig);
    storms->missed |= result.events == 0;
    if (kind == STORM_PIOTLB) {
        steps = counter_get(&rig->steps) - steps;
        invalidations = host_stats(rig).invalidations - invalidations;
        g_assert_cmpuint(invalidations, ==, steps * SMMU_UNIT_BATCH);
    }
    g_array_append_val(storms->results[kind], result);
}

static void add_figure(Bench *bench, StormKind kind, const char *what,
                       const char *unit, FigureBetter better, double value)
{
    g_autofree char *name = g_strdup_printf("storms/%s/%s", storm_names[kind],
                                            what);

    figures_add(bench->figures,
                &(FigureKind){ .name = name, .unit = unit, .better = better },
                FIGURES_OURS, value);
}

static void add_result(Bench *bench, StormKind kind, const Result *result,
                       const Result *quiet)
{
    add_figure(bench, kind, "throughput", "events/s", FIGURE_HIGHER,
               result->events);
    add_figure(bench, kind, "p99", "ns", FIGURE_LOWER, result->p99_ns);
    if (kind != STORM_QUIET) {
        add_figure(bench, kind, "throughput-kept", "of quiet", FIGURE_HIGHER,
                   result->events / quiet->events);
    }
    if (kind == STORM_HOT_PLUG || kind == STORM_HOT_PLUG_10K) {
        add_figure(bench, kind, "plugs", "plugs/s", FIGURE_HIGHER,
                   result->steps);
    } else if (kind == STORM_PIOTLB) {
        add_figure(bench, kind, "invalidations", "invalidations/s",
                   FIGURE_HIGHER, result->steps * SMMU_UNIT_BATCH);
    }
}

static void add_results(Bench *bench, const Storms *storms)
{
    for (StormKind kind = 0; kind < STORMS; kind++) {
        for (unsigned i = 0; i < storms->results[kind]->len; i++) {
            add_result(bench, kind,
                       &g_array_index(storms->results[kind], Result, i),
                       &g_array_index(storms->results[STORM_QUIET], Result,
                                      i));
        }
    }
}

static Rig *rig_new(void)
{
    Rig *rig = g_new0(Rig, 1);
    GError *error = NULL;
    HostIommu *host;

    rig->source = event_source_new(SOURCE_EMULATED, &error);
    bench_must(rig->source, &error);
    host = event_source_host(rig->source);
    rig->iothread = smmu_iothread_new();
    smmu_memory_init(&rig->mem, 1, LOG2_RING);
    smmu_unit_open(&rig->unit, iothread_get_aio_context(rig->iothread),
                   &rig->mem, 0);
    smmu_unit_plug(&rig->unit, host);
    for (unsigned i = 0; i < OTHERS; i++) {
        rig->others[i] = smmu_device_open(host);
    }
    return rig;
}

static void rig_free(Rig *rig)
{
    ViommuStats stats = viommu_get_stats(rig->unit.viommu);

    g_assert_cmpuint(stats.delivered, ==, rig->tag);
    g_assert_cmpuint(stats.discarded + stats.lost + stats.malformed, ==, 0);
    g_assert_cmpuint(host_stats(rig).generated, ==, rig->tag);
    for (unsigned i = 0; i < OTHERS; i++) {
        vfio_device_free(rig->others[i]);
    }
    smmu_unit_unplug(&rig->unit);
    smmu_unit_close(&rig->unit);
    iothread_stop(rig->iothread);
    event_source_free(rig->source);
    smmu_memory_destroy(&rig->mem);
    g_free(rig);
}

static void run(Bench *bench)
{
    Storms storms = { 0 };

    if (bench->kernel || !bench_wants(bench, FIGURES_OURS)) {
        return;
    }
    storms.rig = rig_new();
    for (StormKind kind = 0; kind < STORMS; kind++) {
        storms.results[kind] = g_array_new(FALSE, FALSE, sizeof(Result));
    }
    bench_rounds(bench, ROUNDS, STORMS, measure, &storms);
    if (storms.missed) {
        g_printerr("storms: left out: their CPU has too much other work\n");
    } else {
        add_results(bench, &storms);
    }
    for (StormKind kind = 0; kind < STORMS; kind++) {
        g_array_unref(storms.results[kind]);
    }
    rig_free(storms.rig);
}

const BenchSuite suite_storms = {
    .name = "storms",
    .what = "events during storms of hot plugs and of invalidations",
    .run = run,
};
