/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a read of more records gains: the limit, with batches of different
 * sizes. vpump's own (EVENT_PUMP_BATCH) was chosen by it.
 */
#include "bench.h"
#include "drain.h"

#define DRAINS 21
#define DRAINS_QUICK 5

static const unsigned batches[] = { 1, 8, 64, 128, 256, 512, 1024, 4096 };

static const SourceKind kinds[] = { SOURCE_EMULATED, SOURCE_PIPE };

/* Values of a curve: of each kind, the sum over all repetitions. */
typedef struct BatchSums {
    SourceKind kind;
    double rate[G_N_ELEMENTS(batches)];
} BatchSums;

static void measure(Bench *bench, size_t competitor, void *opaque)
{
    BatchSums *sums = opaque;
    PeerOps ops = *peer_find("limit");
    GError *error = NULL;
    EventSource *source = event_source_new(sums->kind, &error);
    g_autofree char *name = NULL;
    Drain drain;
    Peer *peer;
    double rate;

    bench_must(source, &error);
    ops.batch = batches[competitor];
    peer = ops.open(&ops, &(PeerConfig){ .source = source,
                                         .log2_ring = DRAIN_LOG2_RING });
    drain_init(&drain, peer, true);
    rate = DRAIN_EVENTS * 1e9 /
           drain_median(&drain, bench->quick ? DRAINS_QUICK : DRAINS);
    name = g_strdup_printf("events/batch/%u/%s", ops.batch,
                           source_kind_name(sums->kind));
    figures_add(bench->figures,
                &(FigureKind){ .name = name, .unit = "events/s",
                               .better = FIGURE_HIGHER },
                FIGURES_LIMIT, rate);
    sums->rate[competitor] += rate;
    ops.close(peer);
    event_source_free(source);
}

static void run(Bench *bench)
{
    double x[G_N_ELEMENTS(batches)];
    double y[G_N_ELEMENTS(batches)];

    for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
        BatchSums sums = { .kind = kinds[k] };

        bench_alternate(bench, G_N_ELEMENTS(batches), measure, &sums);
        for (size_t i = 0; i < G_N_ELEMENTS(batches); i++) {
            x[i] = batches[i];
            y[i] = sums.rate[i] / bench->repetitions;
        }
        figures_add_curve(bench->figures, "events/batch",
                          source_kind_name(sums.kind), x, y,
                          G_N_ELEMENTS(batches));
    }
}

const BenchSuite suite_batch = {
    .name = "batch",
    .what = "events per second, by records per read",
    .run = run,
};
