/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an event costs: CPU time of the peer's thread, saturated and at some
 * rates, and, counted by a program of its own (calls.c), system calls and
 * allocations. Who polls uses all of a CPU at any rate, and says so here.
 */
#include "bench.h"
#include "calls.h"
#include "drain.h"
#include "load.h"

#include <string.h>

#define DRAINS 15
#define DRAINS_QUICK 5

/* Drains until caches, and what adapts itself, are warm. */
#define WARM_UP 3

/**
 * struct Rate - events a second
 * @seconds: of each repetition
 */
typedef struct Rate {
    uint64_t rate;
    double seconds;
    double quick_seconds;
} Rate;

static const Rate rates[] = {
    { 10000, 0.2, 0.06 },
    { 100000, 0.1, 0.03 },
};

/* @rate: 0 for saturated. */
static void add(Bench *bench, const char *what, SourceKind kind, uint64_t rate,
                const char *unit, const char *competitor, double value)
{
    g_autoptr(GString) name = g_string_new("cost/");

    g_string_append(name, what);
    if (kind == SOURCE_KERNEL) {
        g_string_append(name, "-kernel");
    }
    if (rate > 0) {
        g_string_append_printf(name, "-at/%" G_GUINT64_FORMAT, rate);
    }
    figures_add(bench->figures,
                &(FigureKind){ .name = name->str, .unit = unit,
                               .better = FIGURE_LOWER },
                competitor, value);
}

/* ---- CPU time ---- */

/* The median of drains: who spins goes on while this thread is kept away. */
static void measure_saturated(Bench *bench, SourceKind kind, Peer *peer)
{
    unsigned drains = bench->quick ? DRAINS_QUICK : DRAINS;
    double cpu_ns[DRAINS];
    Drain drain;

    drain_init(&drain, peer, false);
    for (unsigned i = 0; i < WARM_UP; i++) {
        drain_once(&drain);
    }
    for (unsigned i = 0; i < drains; i++) {
        drain_once(&drain);
        cpu_ns[i] = drain.cpu_ns;
    }
    add(bench, "cpu", kind, 0, "ns/event", peer->ops->name,
        figures_median(cpu_ns, drains) / DRAIN_EVENTS);
}

static void measure_at(Bench *bench, SourceKind kind, Peer *peer,
                       const Rate *rate)
{
    g_autofree LoadResult *result = g_new(LoadResult, 1);

    load_run(peer, rate->rate, bench->quick ? rate->quick_seconds
                                            : rate->seconds, result);
    add(bench, "cpu", kind, rate->rate, "ns/event", peer->ops->name,
        (double)result->cpu_ns / (result->offered - result->lost));
}

static void measure(Bench *bench, size_t competitor, void *opaque)
{
    SourceKind kind = *(SourceKind *)opaque;
    const PeerOps *ops = peers[competitor];
    GError *error = NULL;
    EventSource *source;
    Peer *peer;

    if (!bench_wants(bench, ops->name)) {
        return;
    }
    source = event_source_new(kind, &error);
    bench_must(source, &error);
    peer = ops->open(ops, &(PeerConfig){ .source = source,
                                         .log2_ring = DRAIN_LOG2_RING });
    event_source_set_handicap(source, bench_handicap(bench, ops->name));
    measure_saturated(bench, kind, peer);
    for (size_t i = 0; i < G_N_ELEMENTS(rates); i++) {
        /* The mock driver takes a system call an event, and not a short one. */
        if (kind != SOURCE_KERNEL || rates[i].rate <= 10000) {
            measure_at(bench, kind, peer, &rates[i]);
        }
    }
    ops->close(peer);
    event_source_free(source);
}

/* ---- Calls ---- */

/* Once: what is counted hangs little on the machine's speed. */
static void count_calls(Bench *bench, SourceKind kind, uint64_t rate)
{
    for (size_t i = 0; i < peers_count; i++) {
        const char *name = peers[i]->name;
        GError *error = NULL;
        Calls calls;

        if (!bench_wants(bench, name)) {
            continue;
        }
        if (!calls_count(kind, name, rate, &calls, &error)) {
            g_printerr("cost: no calls counted: %s\n", error->message);
            g_error_free(error);
            return;
        }
        add(bench, "allocations", kind, rate, "/event", name,
            (double)calls.allocations / calls.events);
        /* At a rate who spins makes as many as the tracer lets it. */
        if (calls.traced && (rate == 0 || strcmp(name, FIGURES_LIMIT))) {
            add(bench, "syscalls", kind, rate, "/event", name,
                (double)calls.syscalls / calls.events);
        }
    }
}

static void run(Bench *bench)
{
    SourceKind kind = bench->kernel ? SOURCE_KERNEL : SOURCE_EMULATED;
    /* Where a read is a system call. */
    SourceKind calls_kind = bench->kernel ? SOURCE_KERNEL : SOURCE_PIPE;

    bench_alternate(bench, peers_count, measure, &kind);
    count_calls(bench, calls_kind, 0);
    if (!bench->quick) {
        count_calls(bench, calls_kind, rates[0].rate);
    }
}

const BenchSuite suite_cost = {
    .name = "cost",
    .what = "CPU time, system calls and allocations per event",
    .on_kernel = true,
    .run = run,
};
