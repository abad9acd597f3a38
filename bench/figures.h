/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Figures: what was measured, repetition by repetition; medians, spread, and
 * ratios to the limit and to the best peer; as JSON.
 *
 * A ratio is the median of those of the repetitions, value by value, so a
 * machine whose speed drifts from one repetition to the next does not show in
 * it. All competitors of a figure are measured equally often: to one that was
 * not there is no ratio. It is the value by the other's, whichever is better:
 * the best throughput has the largest ratio, the best latency the smallest.
 *
 * Threads: the main thread.
 * Locks:   none.
 */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include "vpump/histogram.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * The competitors that are not peers: what cannot be beaten; and ourselves. So
 * are those whose names begin like that and go on with a dash: variants.
 */
#define FIGURES_LIMIT "limit"
#define FIGURES_OURS "vpump"

typedef struct Figures Figures;

typedef enum FigureBetter {
    FIGURE_LOWER,
    FIGURE_HIGHER,
} FigureBetter;

/**
 * struct FigureKind - what a value is; equal for all of one name
 * @name: path-like: "events/saturated/pipe", "events/latency/10000/p99"
 * @unit: "events/s", "ns", "bytes", ...
 */
typedef struct FigureKind {
    const char *name;
    const char *unit;
    FigureBetter better;
} FigureKind;

Figures *figures_new(void);
void figures_free(Figures *figures);

/* Of an even number the mean of the two in the middle. Sorts @values. */
double figures_median(double *values, size_t count);

/**
 * figures_add() - a repetition's value
 * @competitor: FIGURES_LIMIT, FIGURES_OURS, a variant of these, or a peer.
 *              Copied, as @kind
 * @value: finite
 */
void figures_add(Figures *figures, const FigureKind *kind,
                 const char *competitor, double value);

/**
 * figures_add_curve() - points for a plot: of a histogram, or of a scaling
 * @name: as of a figure; @competitor: likewise
 *
 * A curve of the same name and competitor is replaced.
 */
void figures_add_curve(Figures *figures, const char *name,
                       const char *competitor, const double *x,
                       const double *y, size_t count);

/**
 * figures_add_latencies() - those of a repetition, in ns
 * @name: "events/latency/10000": figures NAME/p50, NAME/p99, NAME/p99.9 and
 *        NAME/max, and a curve NAME of all repetitions together. Its x is
 *        1/(1 - q) of quantile q, 100 for p99; its last is @latencies' max
 * @latencies: of one value at least
 */
void figures_add_latencies(Figures *figures, const char *name,
                           const char *competitor,
                           const HistogramSnapshot *latencies);

/**
 * figures_write() - all as JSON
 *
 * {"machine": {...}, "quick": ..., "repetitions": ...,
 *  "figures": [{"name", "competitor", "value" (the median), "unit",
 *    "better" ("higher", "lower"),
 *    "ratio_to_limit", "ratio_to_best_peer" (the other with the best median):
 *    null where there is none, or it is 0;
 *    "spread" (largest less smallest, by the median; null if that is 0),
 *    "samples": [the values, by repetition]}],
 *  "curves": [{"name", "competitor", "x", "y"}]}
 *
 * Return: false with errno set if @file could not be written.
 */
bool figures_write(Figures *figures, bool quick, FILE *file);

#endif
