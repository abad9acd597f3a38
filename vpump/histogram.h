/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A log-linear histogram of latencies: every octave has 64 buckets of equal
 * width, so a bucket is at most 1/64 (1.6 %) of its values wide, from 1 ns to
 * 2^64 - 1 and without a range to be chosen.
 *
 * Threads: one thread records. Any thread takes snapshots meanwhile, which
 *          then may lack the newest values; once the writer was joined they
 *          are exact. Snapshots are plain data, their owner's alone.
 * Locks:   none.
 */
#ifndef VPUMP_HISTOGRAM_H
#define VPUMP_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/* Buckets per octave, log2. */
#define HISTOGRAM_SUB_BITS 6

/* An octave per position of the top bit above those, and one for the rest. */
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

typedef struct Histogram Histogram;

/**
 * struct HistogramSnapshot - what a histogram held at some time
 * @counts: values per bucket
 * @total: the sum of @counts
 * @max: the largest value, exact; after a subtraction the end of its bucket
 */
typedef struct HistogramSnapshot {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t max;
} HistogramSnapshot;

/* The largest value that belongs to @bucket. */
uint64_t histogram_bucket_end(unsigned bucket);

Histogram *histogram_new(void);
void histogram_free(Histogram *histogram);

/**
 * histogram_record() - count @value
 *
 * Context: The one writing thread. Wait-free, a few instructions.
 */
void histogram_record(Histogram *histogram, uint64_t value);

/* Overwrites @snapshot. */
void histogram_snapshot(const Histogram *histogram,
                        HistogramSnapshot *snapshot);

/* Add @other to @snapshot: both together. */
void histogram_snapshot_add(HistogramSnapshot *snapshot,
                            const HistogramSnapshot *other);

/* Take the @earlier snapshot of the same histogram away: what came since. */
void histogram_snapshot_subtract(HistogramSnapshot *snapshot,
                                 const HistogramSnapshot *earlier);

/**
 * histogram_snapshot_quantile() - a value that a share of all do not exceed
 * @permille: the share, 0 to 1000; 500 for the median
 *
 * Return: the end of the bucket where the share is reached, @max at most: never
 * less than the true quantile, and at most 1/64 more. 0 if empty.
 */
uint64_t histogram_snapshot_quantile(const HistogramSnapshot *snapshot,
                                     unsigned permille);

#endif
