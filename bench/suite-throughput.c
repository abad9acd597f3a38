/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saturated throughput of events, by what they come from. There are many short
 * repetitions rather than a few long ones: two values that are compared are of
 * nearly the same time.
 */
#include "bench.h"
#include "drain.h"

/* Drains per value, of which the median counts; values per repetition. */
#define DRAINS 15
#define ROUNDS 4
#define ROUNDS_QUICK 2

/* The mock driver is asked for each event, in emulation: that is slow. */
#define DRAINS_KERNEL 5
#define ROUNDS_KERNEL 1

typedef struct Setting {
    SourceKind kind;
    bool warm;
    const char *figure;
} Setting;

static const Setting here[] = {
    { SOURCE_EMULATED, false, "events/saturated/emulated" },
    { SOURCE_EMULATED, true, "events/saturated-warm/emulated" },
    { SOURCE_PIPE, false, "events/saturated/pipe" },
    { SOURCE_PIPE, true, "events/saturated-warm/pipe" },
};

static const Setting on_kernel[] = {
    { SOURCE_KERNEL, false, "events/saturated/kernel" },
    { SOURCE_KERNEL, true, "events/saturated-warm/kernel" },
};

static void measure(Bench *bench, size_t competitor, void *opaque)
{
    const Setting *setting = opaque;
    const PeerOps *ops = peers[competitor];
    GError *error = NULL;
    EventSource *source;
    unsigned drains = bench->kernel ? DRAINS_KERNEL : DRAINS;
    Drain drain;
    Peer *peer;

    if (!bench_wants(bench, ops->name)) {
        return;
    }
    source = event_source_new(setting->kind, &error);
    bench_must(source, &error);
    peer = ops->open(ops, &(PeerConfig){ .source = source,
                                         .log2_ring = DRAIN_LOG2_RING });
    event_source_set_handicap(source, bench_handicap(bench, ops->name));
    drain_init(&drain, peer, setting->warm);
    figures_add(bench->figures,
                &(FigureKind){ .name = setting->figure, .unit = "events/s",
                               .better = FIGURE_HIGHER },
                ops->name, DRAIN_EVENTS * 1e9 / drain_median(&drain, drains));
    ops->close(peer);
    event_source_free(source);
}

static void run(Bench *bench)
{
    const Setting *settings = bench->kernel ? on_kernel : here;
    size_t count = bench->kernel ? G_N_ELEMENTS(on_kernel)
                                 : G_N_ELEMENTS(here);
    int rounds = bench->kernel ? ROUNDS_KERNEL :
                 bench->quick  ? ROUNDS_QUICK : ROUNDS;

    for (int i = 0; i < rounds; i++) {
        for (size_t k = 0; k < count; k++) {
            Setting setting = settings[k];

            bench_alternate(bench, peers_count, measure, &setting);
        }
    }
}

const BenchSuite suite_throughput = {
    .name = "throughput",
    .what = "events per second, saturated",
    .on_kernel = true,
    .run = run,
};
