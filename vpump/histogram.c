/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values below 2^(SUB_BITS + 1) have a bucket each. A larger one is shifted
 * right until it fits into SUB_BITS + 1 bits; the shift chooses the octave and
 * what is left the bucket in it.
 */
#include "histogram.h"

#include "base/counter.h"

#include <glib.h>

struct Histogram {
    Counter counts[HISTOGRAM_BUCKETS];
    Counter max;
};

static unsigned bucket_of(uint64_t value)
{
    unsigned top = 63 - __builtin_clzll(value | 1);
    unsigned shift = top > HISTOGRAM_SUB_BITS ? top - HISTOGRAM_SUB_BITS : 0;

    return (shift << HISTOGRAM_SUB_BITS) + (value >> shift);
}

uint64_t histogram_bucket_end(unsigned bucket)
{
    unsigned octave = bucket >> HISTOGRAM_SUB_BITS;
    unsigned shift = octave > 1 ? octave - 1 : 0;
    uint64_t first = (uint64_t)(bucket - (shift << HISTOGRAM_SUB_BITS))
                     << shift;

    return first + ((UINT64_C(1) << shift) - 1);
}

Histogram *histogram_new(void)
{
    return g_new0(Histogram, 1);
}

void histogram_free(Histogram *histogram)
{
    g_free(histogram);
}

void histogram_record(Histogram *histogram, uint64_t value)
{
    counter_add(&histogram->counts[bucket_of(value)], 1);
    counter_raise(&histogram->max, value);
}

void histogram_snapshot(const Histogram *histogram,
                        HistogramSnapshot *snapshot)
{
    snapshot->total = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        snapshot->counts[i] = counter_get(&histogram->counts[i]);
        snapshot->total += snapshot->counts[i];
    }
    snapshot->max = counter_get(&histogram->max);
}

void histogram_snapshot_add(HistogramSnapshot *snapshot,
                            const HistogramSnapshot *other)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        snapshot->counts[i] += other->counts[i];
    }
    snapshot->total += other->total;
    snapshot->max = MAX(snapshot->max, other->max);
}

void histogram_snapshot_subtract(HistogramSnapshot *snapshot,
                                 const HistogramSnapshot *earlier)
{
    uint64_t max = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        snapshot->counts[i] -= earlier->counts[i];
        if (snapshot->counts[i]) {
            max = histogram_bucket_end(i);
        }
    }
    snapshot->total -= earlier->total;
    snapshot->max = MIN(snapshot->max, max);
}

uint64_t histogram_snapshot_quantile(const HistogramSnapshot *snapshot,
                                     unsigned permille)
{
    /* The rank, rounded up; in two steps, as the product might not fit. */
    uint64_t rank = snapshot->total / 1000 * permille +
                    (snapshot->total % 1000 * permille + 999) / 1000;
    uint64_t seen = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += snapshot->counts[i];
        if (seen > 0 && seen >= rank) {
            return MIN(histogram_bucket_end(i), snapshot->max);
        }
    }
    return 0;
}
