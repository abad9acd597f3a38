/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Latency of events from when they are due to the ring's entry and to the
 * interrupt, at some rates. A median and a 99th percentile are those of each
 * repetition; what is rarer is taken from all repetitions' events together, and
 * so is one value: at 1,000 a second few events are behind a 99.9th.
 */
#include "bench.h"
#include "drain.h"
#include "load.h"

#include <math.h>

/* Points of a curve per factor of 10 in the share of later events. */
#define CURVE_STEPS 10
#define CURVE_POINTS (12 * CURVE_STEPS)

/**
 * struct Point - a load
 * @seconds, @quick_seconds: of each repetition; 0: not then
 */
typedef struct Point {
    SourceKind kind;
    uint64_t rate;
    double seconds;
    double quick_seconds;
} Point;

static const Point points[] = {
    { SOURCE_EMULATED, 1000, 0.7, 0 },
    { SOURCE_EMULATED, 10000, 0.4, 0.12 },
    { SOURCE_EMULATED, 100000, 0.12, 0.05 },
    { SOURCE_EMULATED, 1000000, 0.05, 0.03 },
    { SOURCE_PIPE, 10000, 0.2, 0 },
    { SOURCE_PIPE, 100000, 0.1, 0 },
    { SOURCE_KERNEL, 1000, 0.7, 0 },
    { SOURCE_KERNEL, 10000, 0.4, 0.12 },
};

/* What all repetitions of a point gave; by competitor, NULL: not wanted. */
typedef struct Measurement {
    const Point *point;
    LoadResult **totals;
} Measurement;

static void add(Bench *bench, const Point *point, const char *what,
                const char *which, const char *unit, const char *competitor,
                double value)
{
    static const char *const suffixes[] = {
        [SOURCE_EMULATED] = "",
        [SOURCE_PIPE] = "-pipe",
        [SOURCE_KERNEL] = "-kernel",
    };
    g_autofree char *name = g_strdup_printf(
        "events/%s%s/%" G_GUINT64_FORMAT "/%s", what, suffixes[point->kind],
        point->rate, which);

    figures_add(bench->figures,
                &(FigureKind){ .name = name, .unit = unit,
                               .better = FIGURE_LOWER },
                competitor, value);
}

static void add_often(Bench *bench, const Point *point, const char *what,
                      const char *competitor, const HistogramSnapshot *latency)
{
    add(bench, point, what, "p50", "ns", competitor,
        histogram_snapshot_quantile(latency, 500));
    add(bench, point, what, "p99", "ns", competitor,
        histogram_snapshot_quantile(latency, 990));
}

static void add_rare(Bench *bench, const Point *point, const char *what,
                     const char *competitor, const HistogramSnapshot *latency)
{
    add(bench, point, what, "p99.9", "ns", competitor,
        histogram_snapshot_quantile(latency, 999));
    add(bench, point, what, "max", "ns", competitor, latency->max);
}

/* Interrupts of the pipe say nothing that its entries do not. */
static bool with_interrupts(const Point *point)
{
    return point->kind != SOURCE_PIPE;
}

static void measure(Bench *bench, size_t competitor, void *opaque)
{
    Measurement *m = opaque;
    const PeerOps *ops = peers[competitor];
    LoadResult **total = &m->totals[competitor];
    g_autofree LoadResult *result = NULL;
    GError *error = NULL;
    EventSource *source;
    Peer *peer;

    if (!bench_wants(bench, ops->name)) {
        return;
    }
    source = event_source_new(m->point->kind, &error);
    if (!source) {
        g_error("%s", error->message);
    }
    peer = ops->open(ops, &(PeerConfig){ .source = source,
                                         .log2_ring = DRAIN_LOG2_RING });
    result = g_new(LoadResult, 1);
    load_run(peer, m->point->rate,
             bench->quick ? m->point->quick_seconds : m->point->seconds,
             result);
    ops->close(peer);
    event_source_free(source);

    add_often(bench, m->point, "latency", ops->name, &result->entries);
    if (with_interrupts(m->point)) {
        add_often(bench, m->point, "interrupt-latency", ops->name,
                  &result->interrupts);
    }
    if (*total) {
        load_result_add(*total, result);
    } else {
        *total = g_steal_pointer(&result);
    }
}

/* Latency (y) that all but one of x events stay below. */
static void add_curve(Bench *bench, const Point *point, const char *competitor,
                      const HistogramSnapshot *latency)
{
    g_autofree char *name = g_strdup_printf(
        "events/latency-%s/%" G_GUINT64_FORMAT, source_kind_name(point->kind),
        point->rate);
    double x[CURVE_POINTS], y[CURVE_POINTS];
    size_t count = 0;

    while (count < CURVE_POINTS) {
        double one_of = pow(10, (double)count / CURVE_STEPS);

        if (one_of > latency->total) {
            break;
        }
        x[count] = one_of;
        y[count] = histogram_snapshot_ranked(
            latency, ceil(latency->total * (1 - 1 / one_of)));
        count++;
    }
    figures_add_curve(bench->figures, name, competitor, x, y, count);
}

/* The share that was lost stands there if anybody lost an event. */
static void add_totals(Bench *bench, const Measurement *m)
{
    bool any_lost = false;

    for (size_t i = 0; i < peers_count; i++) {
        any_lost = any_lost || (m->totals[i] && m->totals[i]->lost > 0);
    }
    for (size_t i = 0; i < peers_count; i++) {
        const LoadResult *total = m->totals[i];
        const char *name = peers[i]->name;

        if (!total) {
            continue;
        }
        add_rare(bench, m->point, "latency", name, &total->entries);
        if (with_interrupts(m->point)) {
            add_rare(bench, m->point, "interrupt-latency", name,
                     &total->interrupts);
        }
        add(bench, m->point, "latency", "late", "ns", name,
            histogram_snapshot_quantile(&total->late, 990));
        if (any_lost) {
            add(bench, m->point, "latency", "lost", "%", name,
                100.0 * total->lost / total->offered);
        }
        add_curve(bench, m->point, name, &total->entries);
    }
}

static void run_point(Bench *bench, const Point *point)
{
    Measurement m = {
        .point = point,
        .totals = g_new0(LoadResult *, peers_count),
    };

    bench_alternate(bench, peers_count, measure, &m);
    add_totals(bench, &m);
    for (size_t i = 0; i < peers_count; i++) {
        g_free(m.totals[i]);
    }
    g_free(m.totals);
}

static void run(Bench *bench)
{
    for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
        const Point *point = &points[i];

        if ((point->kind == SOURCE_KERNEL) == bench->kernel &&
            (!bench->quick || point->quick_seconds > 0)) {
            run_point(bench, point);
        }
    }
}

const BenchSuite suite_latency = {
    .name = "latency",
    .what = "from event to ring entry and interrupt, at some rates",
    .run = run,
};
