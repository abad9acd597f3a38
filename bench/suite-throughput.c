/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saturated throughput of events, by what they come from.
 */
#include "bench.h"
#include "drain.h"

/* Drains per repetition, of which the median counts. */
#define DRAINS 41
#define DRAINS_QUICK 11

static void measure(Bench *bench, size_t competitor, void *opaque)
{
    SourceKind kind = *(SourceKind *)opaque;
    const PeerOps *ops = peers[competitor];
    GError *error = NULL;
    EventSource *source;
    Drain drain;
    Peer *peer;
    int64_t ns;

    if (!bench_wants(bench, ops->name)) {
        return;
    }
    source = event_source_new(kind, &error);
    if (!source) {
        g_error("%s", error->message);
    }
    peer = ops->open(ops, &(PeerConfig){ .source = source,
                                         .log2_ring = DRAIN_LOG2_RING });
    drain_init(&drain, peer);
    ns = drain_median(&drain, bench->quick ? DRAINS_QUICK : DRAINS);
    figures_add(bench->figures,
                &(FigureKind){
                    .name = kind == SOURCE_EMULATED ?
                            "events/saturated/emulated" :
                            kind == SOURCE_PIPE ? "events/saturated/pipe" :
                            "events/saturated/kernel",
                    .unit = "events/s",
                    .better = FIGURE_HIGHER },
                ops->name, DRAIN_EVENTS * 1e9 / ns);
    ops->close(peer);
    event_source_free(source);
}

static void run(Bench *bench)
{
    static const SourceKind here[] = { SOURCE_EMULATED, SOURCE_PIPE };
    SourceKind kernel = SOURCE_KERNEL;

    if (bench->kernel) {
        bench_alternate(bench, peers_count, measure, &kernel);
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(here); i++) {
        SourceKind kind = here[i];

        bench_alternate(bench, peers_count, measure, &kind);
    }
}

const BenchSuite suite_throughput = {
    .name = "throughput",
    .what = "events per second, saturated",
    .run = run,
};
