/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Latency of events from when they are due to the ring's entry and to the
 * interrupt, at some rates. A repetition is short, and its 99.9th percentile its
 * maximum, or nearly so; the curve, which is of all of them, says more.
 */
#include "bench.h"
#include "drain.h"
#include "load.h"

/**
 * struct Point - a load
 * @rounds, @seconds: see bench_rounds(), and of each repetition
 * @quick_seconds: 0: not then
 */
typedef struct Point {
    SourceKind kind;
    uint64_t rate;
    unsigned rounds;
    double seconds;
    double quick_seconds;
} Point;

static const Point points[] = {
    { SOURCE_EMULATED, 1000, 1, 0.6, 0 },
    { SOURCE_EMULATED, 10000, 5, 0.12, 0.12 },
    { SOURCE_EMULATED, 100000, 4, 0.05, 0.05 },
    { SOURCE_EMULATED, 1000000, 4, 0.03, 0.03 },
    { SOURCE_PIPE, 10000, 3, 0.12, 0 },
    { SOURCE_PIPE, 100000, 3, 0.05, 0 },
    { SOURCE_KERNEL, 1000, 1, 0.6, 0 },
    { SOURCE_KERNEL, 10000, 1, 0.4, 0.12 },
};

/* Return: "events/WHAT/RATE", with the kind if it is not the emulated host. */
static char *figure_name(const Point *point, const char *what)
{
    static const char *const suffixes[] = {
        [SOURCE_EMULATED] = "",
        [SOURCE_PIPE] = "-pipe",
        [SOURCE_KERNEL] = "-kernel",
    };

    return g_strdup_printf("events/%s%s/%" G_GUINT64_FORMAT, what,
                           suffixes[point->kind], point->rate);
}

static void add(Bench *bench, const char *base, const char *which,
                const char *unit, const char *competitor, double value)
{
    g_autofree char *name = g_strdup_printf("%s/%s", base, which);

    figures_add(bench->figures,
                &(FigureKind){ .name = name, .unit = unit,
                               .better = FIGURE_LOWER },
                competitor, value);
}

static void add_result(Bench *bench, const Point *point, const char *competitor,
                       const LoadResult *result)
{
    g_autofree char *entries = figure_name(point, "latency");
    g_autofree char *interrupts = figure_name(point, "interrupt-latency");

    figures_add_latencies(bench->figures, entries, competitor,
                          &result->entries);
    /* Of a peer with one per record, none may have come alone. */
    if (result->interrupts.total > 0) {
        figures_add_latencies(bench->figures, interrupts, competitor,
                              &result->interrupts);
    }
    add(bench, entries, "late", "ns", competitor,
        histogram_snapshot_quantile(&result->late, 990));
    add(bench, entries, "lost", "%", competitor,
        100.0 * result->lost / result->offered);
}

static void measure(Bench *bench, size_t competitor, void *opaque)
{
    const Point *point = opaque;
    const PeerOps *ops = peers[competitor];
    g_autofree LoadResult *result = NULL;
    GError *error = NULL;
    EventSource *source;
    Peer *peer;

    if (!bench_wants(bench, ops->name)) {
        return;
    }
    source = event_source_new(point->kind, &error);
    bench_must(source, &error);
    peer = ops->open(ops, &(PeerConfig){ .source = source,
                                         .log2_ring = DRAIN_LOG2_RING });
    result = g_new(LoadResult, 1);
    load_run(peer, point->rate,
             bench->quick ? point->quick_seconds : point->seconds, result);
    ops->close(peer);
    event_source_free(source);
    add_result(bench, point, ops->name, result);
}

static void run(Bench *bench)
{
    for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
        Point point = points[i];

        if ((point.kind == SOURCE_KERNEL) == bench->kernel &&
            (!bench->quick || point.quick_seconds > 0)) {
            bench_rounds(bench, point.rounds, peers_count, measure, &point);
        }
    }
}

const BenchSuite suite_latency = {
    .name = "latency",
    .what = "from event to ring entry and interrupt, at some rates",
    .on_kernel = true,
    .run = run,
};
