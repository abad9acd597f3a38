/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "figures.h"

#include <json-glib/json-glib.h>

static const FigureKind throughput = { "events", "events/s", FIGURE_HIGHER };
static const FigureKind latency = { "wait/p99", "ns", FIGURE_LOWER };

static void add(Figures *figures, const FigureKind *kind,
                const char *competitor, double a, double b, double c)
{
    figures_add(figures, kind, competitor, a);
    figures_add(figures, kind, competitor, b);
    figures_add(figures, kind, competitor, c);
}

/* What figures_write() has written. */
static JsonParser *written(Figures *figures)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    JsonParser *parser = json_parser_new();
    size_t size;
    FILE *file = tmpfile();

    g_assert_nonnull(file);
    g_assert_true(figures_write(figures, true, file));
    size = ftell(file);
    text = g_malloc(size);
    rewind(file);
    g_assert_cmpuint(fread(text, 1, size, file), ==, size);
    fclose(file);
    json_parser_load_from_data(parser, text, size, &error);
    g_assert_no_error(error);
    return parser;
}

static JsonObject *find(JsonParser *parser, const char *list,
                        const char *name, const char *competitor)
{
    JsonObject *root = json_node_get_object(json_parser_get_root(parser));
    JsonArray *array = json_object_get_array_member(root, list);
    JsonObject *found = NULL;

    for (unsigned i = 0; i < json_array_get_length(array); i++) {
        JsonObject *item = json_array_get_object_element(array, i);

        if (!g_strcmp0(json_object_get_string_member(item, "name"), name) &&
            !g_strcmp0(json_object_get_string_member(item, "competitor"),
                       competitor)) {
            g_assert_null(found);
            found = item;
        }
    }
    g_assert_nonnull(found);
    return found;
}

static void assert_number(JsonObject *object, const char *member, double value)
{
    g_assert_false(json_object_get_null_member(object, member));
    g_assert_cmpfloat_with_epsilon(
        json_object_get_double_member(object, member), value, 1e-9);
}

static void assert_null(JsonObject *object, const char *member)
{
    g_assert_true(json_object_get_null_member(object, member));
}

static void test_value_is_the_median(void)
{
    Figures *figures = figures_new();
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *figure;
    JsonArray *samples;

    add(figures, &throughput, "vpump", 300, 100, 200);
    figures_add(figures, &latency, "vpump", 1);
    figures_add(figures, &latency, "vpump", 4);
    parser = written(figures);

    figure = find(parser, "figures", "events", "vpump");
    assert_number(figure, "value", 200);
    assert_number(figure, "spread", 1);
    g_assert_cmpstr(json_object_get_string_member(figure, "unit"), ==,
                    "events/s");
    g_assert_cmpstr(json_object_get_string_member(figure, "better"), ==,
                    "higher");
    samples = json_object_get_array_member(figure, "samples");
    g_assert_cmpuint(json_array_get_length(samples), ==, 3);
    g_assert_cmpfloat(json_array_get_double_element(samples, 0), ==, 300);

    figure = find(parser, "figures", "wait/p99", "vpump");
    assert_number(figure, "value", 2.5);
    assert_number(figure, "spread", 1.2);
    g_assert_cmpstr(json_object_get_string_member(figure, "better"), ==,
                    "lower");
    figures_free(figures);
}

/* A machine that becomes ten times as slow: the medians would say 1. */
static void test_ratios_are_of_pairs(void)
{
    Figures *figures = figures_new();
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *figure;

    add(figures, &throughput, "limit", 1000, 500, 100);
    add(figures, &throughput, "vpump", 500, 500, 50);
    parser = written(figures);
    figure = find(parser, "figures", "events", "vpump");
    assert_number(figure, "value", 500);
    assert_number(figure, "ratio_to_limit", 0.5);
    assert_null(figure, "ratio_to_best_peer");
    assert_number(find(parser, "figures", "events", "limit"),
                  "ratio_to_limit", 1);
    figures_free(figures);
}

static void test_best_peer_depends_on_what_is_better(void)
{
    Figures *figures = figures_new();
    g_autoptr(JsonParser) parser = NULL;
    const FigureKind *const kinds[] = { &throughput, &latency };

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        add(figures, kinds[i], "limit", 1, 1, 1);
        add(figures, kinds[i], "limit-poll", 9, 9, 9);
        add(figures, kinds[i], "small", 2, 2, 2);
        add(figures, kinds[i], "vpumpkin", 4, 4, 4);
        add(figures, kinds[i], "vpump-busy", 9, 9, 9);
        add(figures, kinds[i], "vpump", 8, 8, 8);
    }
    parser = written(figures);
    assert_number(find(parser, "figures", "events", "vpump"),
                  "ratio_to_best_peer", 2);
    assert_number(find(parser, "figures", "wait/p99", "vpump"),
                  "ratio_to_best_peer", 4);
    /* A peer is compared with the others. */
    assert_number(find(parser, "figures", "events", "vpumpkin"),
                  "ratio_to_best_peer", 2);
    assert_number(find(parser, "figures", "events", "small"),
                  "ratio_to_best_peer", 0.5);
    figures_free(figures);
}

static void test_no_ratio_to_nothing(void)
{
    Figures *figures = figures_new();
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *figure;

    add(figures, &throughput, "vpump", 0, 0, 0);
    add(figures, &throughput, "limit", 1, 0, 1);
    add(figures, &throughput, "peer", 1, 1, 1);
    figures_add(figures, &throughput, "peer", 1);
    parser = written(figures);
    figure = find(parser, "figures", "events", "vpump");
    assert_number(figure, "value", 0);
    assert_null(figure, "spread");
    assert_null(figure, "ratio_to_limit");
    assert_null(figure, "ratio_to_best_peer");
    figures_free(figures);
}

static void test_curve_of_same_name_is_replaced(void)
{
    Figures *figures = figures_new();
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *curve;
    JsonArray *y;

    figures_add_curve(figures, "c", "vpump", (double[]){ 1, 2 },
                      (double[]){ 3, 4 }, 2);
    figures_add_curve(figures, "c", "limit", (double[]){ 1 },
                      (double[]){ 9 }, 1);
    figures_add_curve(figures, "c", "vpump", (double[]){ 1, 2, 3 },
                      (double[]){ 5, 6, 7 }, 3);
    parser = written(figures);
    curve = find(parser, "curves", "c", "vpump");
    y = json_object_get_array_member(curve, "y");
    g_assert_cmpuint(json_array_get_length(y), ==, 3);
    g_assert_cmpfloat(json_array_get_double_element(y, 2), ==, 7);
    find(parser, "curves", "c", "limit");
    figures_free(figures);
}

/* 1,000 of 1 to 1000 us, and a straggler in the second repetition. */
static void test_latencies_become_quantiles_and_a_curve(void)
{
    Figures *figures = figures_new();
    g_autoptr(JsonParser) parser = NULL;
    Histogram *histogram = histogram_new();
    HistogramSnapshot snapshot;
    JsonObject *curve;
    JsonArray *x, *y;
    unsigned last;

    for (unsigned i = 1; i <= 1000; i++) {
        histogram_record(histogram, i * 1000);
    }
    histogram_snapshot(histogram, &snapshot);
    figures_add_latencies(figures, "wait", "vpump", &snapshot);
    histogram_record(histogram, 5000000);
    histogram_snapshot(histogram, &snapshot);
    figures_add_latencies(figures, "wait", "vpump", &snapshot);
    histogram_free(histogram);
    parser = written(figures);

    curve = find(parser, "figures", "wait/p50", "vpump");
    g_assert_cmpfloat(json_object_get_double_member(curve, "value"), >=,
                      500000);
    g_assert_cmpfloat(json_object_get_double_member(curve, "value"), <=,
                      510000);
    assert_number(find(parser, "figures", "wait/max", "vpump"), "value",
                  3000000);
    curve = find(parser, "curves", "wait", "vpump");
    x = json_object_get_array_member(curve, "x");
    y = json_object_get_array_member(curve, "y");
    last = json_array_get_length(x) - 1;
    g_assert_cmpuint(json_array_get_length(y), ==, last + 1);
    g_assert_cmpfloat(json_array_get_double_element(x, last), ==, 2001);
    g_assert_cmpfloat(json_array_get_double_element(y, last), ==, 5000000);
    for (unsigned i = 0; i < last; i++) {
        double share = 1 - 1 / json_array_get_double_element(x, i);
        double value = json_array_get_double_element(y, i);

        /* A bucket's end is up to 1/64 more; ranks are whole. */
        g_assert_cmpfloat(value, >=, share * 1000000 - 1000);
        g_assert_cmpfloat(value, <=, share * 1020000 + 1000);
    }
    figures_free(figures);
}

static void test_head_says_what_was_measured_on(void)
{
    Figures *figures = figures_new();
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *root, *machine;

    add(figures, &throughput, "vpump", 1, 2, 3);
    parser = written(figures);
    root = json_node_get_object(json_parser_get_root(parser));
    machine = json_object_get_object_member(root, "machine");
    g_assert_true(json_object_get_boolean_member(root, "quick"));
    g_assert_cmpint(json_object_get_int_member(root, "repetitions"), ==, 3);
    g_assert_cmpint(json_object_get_int_member(machine, "cpus"), >, 0);
    g_assert_cmpfloat(json_object_get_double_member(machine, "clock_ns"), >,
                      0);
    g_assert_cmpint(json_object_get_int_member(machine, "clock_step_ns"), >,
                    0);
    figures_free(figures);
}

static void test_full_disk_is_an_error(void)
{
    Figures *figures = figures_new();
    FILE *full = fopen("/dev/full", "w");

    g_assert_nonnull(full);
    g_assert_false(figures_write(figures, false, full));
    fclose(full);
    figures_free(figures);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/figures/value-is-the-median", test_value_is_the_median);
    g_test_add_func("/figures/ratios-are-of-pairs", test_ratios_are_of_pairs);
    g_test_add_func("/figures/best-peer-depends-on-what-is-better",
                    test_best_peer_depends_on_what_is_better);
    g_test_add_func("/figures/no-ratio-to-nothing", test_no_ratio_to_nothing);
    g_test_add_func("/figures/curve-of-same-name-is-replaced",
                    test_curve_of_same_name_is_replaced);
    g_test_add_func("/figures/latencies-become-quantiles-and-a-curve",
                    test_latencies_become_quantiles_and_a_curve);
    g_test_add_func("/figures/head-says-what-was-measured-on",
                    test_head_says_what_was_measured_on);
    g_test_add_func("/figures/full-disk-is-an-error",
                    test_full_disk_is_an_error);
    return g_test_run();
}
