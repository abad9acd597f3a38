/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "histogram.h"

#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static HistogramSnapshot *snapshot_of(const Histogram *histogram)
{
    HistogramSnapshot *snapshot = g_new(HistogramSnapshot, 1);

    histogram_snapshot(histogram, snapshot);
    return snapshot;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Any magnitude with equal chance, so that every octave is met. */
static uint64_t random_value(GRand *rand)
{
    uint64_t value = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);

    return value >> g_rand_int_range(rand, 0, 64);
}

static void test_quantiles_match_a_sorted_array(void)
{
    enum { COUNT = 20001 };
    static const unsigned permilles[] = { 0, 1, 10, 250, 500, 900, 990, 999,
                                          1000 };
    g_autofree uint64_t *values = g_new(uint64_t, COUNT);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    for (int count = 1; count <= COUNT; count += 4000) {
        Histogram *histogram = histogram_new();
        g_autofree HistogramSnapshot *snapshot = NULL;

        for (int i = 0; i < count; i++) {
            values[i] = random_value(rand);
            histogram_record(histogram, values[i]);
        }
        qsort(values, count, sizeof(values[0]), compare_u64);
        snapshot = snapshot_of(histogram);
        g_assert_cmpuint(snapshot->total, ==, count);
        g_assert_cmpuint(snapshot->max, ==, values[count - 1]);
        for (size_t i = 0; i < G_N_ELEMENTS(permilles); i++) {
            int rank = ((int64_t)count * permilles[i] + 999) / 1000;
            uint64_t exact = values[MAX(rank, 1) - 1];
            uint64_t got = histogram_snapshot_quantile(snapshot, permilles[i]);

            g_assert_cmpuint(got, >=, exact);
            g_assert_cmpuint(got - exact, <=, exact / 64);
        }
        histogram_free(histogram);
    }
}

/* Both ends of each bucket, and its neighbours. */
static void test_every_power_of_two(void)
{
    for (int bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            Histogram *histogram = histogram_new();
            uint64_t value = (UINT64_C(1) << bit) + delta;
            g_autofree HistogramSnapshot *snapshot = NULL;

            histogram_record(histogram, value);
            /* A larger one, so that the quantile is not cut to the maximum. */
            histogram_record(histogram, UINT64_MAX);
            snapshot = snapshot_of(histogram);
            g_assert_cmpuint(histogram_snapshot_quantile(snapshot, 500), >=,
                             value);
            g_assert_cmpuint(histogram_snapshot_quantile(snapshot, 500) - value,
                             <=, value / 64);
            histogram_free(histogram);
        }
    }
}

static void test_empty_is_zero(void)
{
    Histogram *histogram = histogram_new();
    g_autofree HistogramSnapshot *snapshot = snapshot_of(histogram);

    g_assert_cmpuint(histogram_snapshot_quantile(snapshot, 0), ==, 0);
    g_assert_cmpuint(histogram_snapshot_quantile(snapshot, 999), ==, 0);
    g_assert_cmpuint(snapshot->max, ==, 0);
    histogram_free(histogram);
}

static void test_difference_is_what_came_since(void)
{
    Histogram *histogram = histogram_new();
    g_autofree HistogramSnapshot *earlier = NULL;
    g_autofree HistogramSnapshot *later = NULL;

    for (int i = 0; i < 100; i++) {
        histogram_record(histogram, 1000000);
    }
    earlier = snapshot_of(histogram);
    for (int i = 0; i < 10; i++) {
        histogram_record(histogram, 20);
    }
    later = snapshot_of(histogram);
    histogram_snapshot_subtract(later, earlier);
    g_assert_cmpuint(later->total, ==, 10);
    g_assert_cmpuint(later->max, ==, 20);
    g_assert_cmpuint(histogram_snapshot_quantile(later, 990), ==, 20);
    histogram_snapshot_subtract(earlier, earlier);
    g_assert_cmpuint(earlier->total, ==, 0);
    g_assert_cmpuint(earlier->max, ==, 0);
    histogram_free(histogram);
}

static void test_sum_is_both(void)
{
    Histogram *a = histogram_new();
    Histogram *b = histogram_new();
    g_autofree HistogramSnapshot *sum = NULL;
    g_autofree HistogramSnapshot *other = NULL;

    for (int i = 0; i < 3; i++) {
        histogram_record(a, 5);
    }
    histogram_record(b, 77);
    sum = snapshot_of(a);
    other = snapshot_of(b);
    histogram_snapshot_add(sum, other);
    g_assert_cmpuint(sum->total, ==, 4);
    g_assert_cmpuint(sum->max, ==, 77);
    g_assert_cmpuint(histogram_snapshot_quantile(sum, 750), ==, 5);
    g_assert_cmpuint(histogram_snapshot_quantile(sum, 760), ==, 77);
    histogram_free(a);
    histogram_free(b);
}

enum { WRITES = 200000 };

static void *writer(void *opaque)
{
    for (int i = 0; i < WRITES; i++) {
        histogram_record(opaque, i);
    }
    return NULL;
}

/* Snapshots beside a writer never lose what an earlier one had. */
static void test_reader_beside_the_writer(void)
{
    Histogram *histogram = histogram_new();
    g_autofree HistogramSnapshot *snapshot = g_new0(HistogramSnapshot, 1);
    uint64_t before = 0;
    pthread_t thread;

    pthread_create(&thread, NULL, writer, histogram);
    for (int i = 0; i < 200; i++) {
        histogram_snapshot(histogram, snapshot);
        g_assert_cmpuint(snapshot->total, >=, before);
        before = snapshot->total;
    }
    pthread_join(thread, NULL);
    histogram_snapshot(histogram, snapshot);
    g_assert_cmpuint(snapshot->total, ==, WRITES);
    g_assert_cmpuint(snapshot->max, ==, WRITES - 1);
    histogram_free(histogram);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/histogram/quantiles-match-a-sorted-array",
                    test_quantiles_match_a_sorted_array);
    g_test_add_func("/histogram/every-power-of-two", test_every_power_of_two);
    g_test_add_func("/histogram/empty-is-zero", test_empty_is_zero);
    g_test_add_func("/histogram/difference-is-what-came-since",
                    test_difference_is_what_came_since);
    g_test_add_func("/histogram/sum-is-both", test_sum_is_both);
    g_test_add_func("/histogram/reader-beside-the-writer",
                    test_reader_beside_the_writer);
    return g_test_run();
}
