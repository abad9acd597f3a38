/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "figures.h"
#include "machine-facts.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

/**
 * struct Figure - of one name and competitor
 * @values: double, by repetition
 */
typedef struct Figure {
    char *name;
    char *competitor;
    char *unit;
    FigureBetter better;
    GArray *values;
} Figure;

/**
 * struct Curve - of one name and competitor
 * @latencies: NULL, or what @x and @y are made of
 */
typedef struct Curve {
    char *name;
    char *competitor;
    double *x;
    double *y;
    size_t count;
    HistogramSnapshot *latencies;
} Curve;

/* Both in the order in which they came. */
struct Figures {
    GPtrArray *figures;
    GPtrArray *curves;
};

static void figure_free(void *opaque)
{
    Figure *figure = opaque;

    g_free(figure->name);
    g_free(figure->competitor);
    g_free(figure->unit);
    g_array_unref(figure->values);
    g_free(figure);
}

static void curve_free(void *opaque)
{
    Curve *curve = opaque;

    g_free(curve->name);
    g_free(curve->competitor);
    g_free(curve->x);
    g_free(curve->y);
    g_free(curve->latencies);
    g_free(curve);
}

static bool is_variant_of(const char *competitor, const char *base)
{
    return g_str_has_prefix(competitor, base) &&
           strchr("-", competitor[strlen(base)]);
}

static bool is_peer(const Figure *figure)
{
    return !is_variant_of(figure->competitor, FIGURES_LIMIT) &&
           !is_variant_of(figure->competitor, FIGURES_OURS);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double figures_median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare_doubles);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static double figure_median(const Figure *figure)
{
    g_autofree double *values =
        g_memdup2(figure->values->data,
                  figure->values->len * sizeof(double));

    return figures_median(values, figure->values->len);
}

/* NAN: there is none. */
static double figure_spread(const Figure *figure)
{
    const double *values = (const double *)figure->values->data;
    double least = values[0], most = values[0], middle = figure_median(figure);

    for (unsigned i = 1; i < figure->values->len; i++) {
        least = MIN(least, values[i]);
        most = MAX(most, values[i]);
    }
    return middle != 0 ? (most - least) / middle : NAN;
}

/* NAN: there is none. @other may be NULL. */
static double figure_ratio(const Figure *figure, const Figure *other)
{
    g_autofree double *ratios = g_new(double, figure->values->len);

    if (!other || other->values->len != figure->values->len) {
        return NAN;
    }
    for (unsigned i = 0; i < figure->values->len; i++) {
        double divisor = g_array_index(other->values, double, i);

        if (divisor == 0) {
            return NAN;
        }
        ratios[i] = g_array_index(figure->values, double, i) / divisor;
    }
    return figures_median(ratios, figure->values->len);
}

static Figure *find_figure(const Figures *figures, const char *name,
                           const char *competitor)
{
    for (unsigned i = 0; i < figures->figures->len; i++) {
        Figure *figure = figures->figures->pdata[i];

        if (!strcmp(figure->name, name) &&
            !strcmp(figure->competitor, competitor)) {
            return figure;
        }
    }
    return NULL;
}

static bool is_better(const Figure *figure, const Figure *than)
{
    double value = figure_median(figure), other = figure_median(than);

    return figure->better == FIGURE_HIGHER ? value > other : value < other;
}

/* Other than @figure itself: what a peer is compared with is another. */
static const Figure *find_best_peer(const Figures *figures,
                                    const Figure *figure)
{
    const Figure *best = NULL;

    for (unsigned i = 0; i < figures->figures->len; i++) {
        const Figure *other = figures->figures->pdata[i];

        if (other != figure && !strcmp(other->name, figure->name) &&
            is_peer(other) && (!best || is_better(other, best))) {
            best = other;
        }
    }
    return best;
}

static Figure *make_figure(Figures *figures, const FigureKind *kind,
                           const char *competitor)
{
    Figure *figure = g_new0(Figure, 1);

    figure->name = g_strdup(kind->name);
    figure->competitor = g_strdup(competitor);
    figure->unit = g_strdup(kind->unit);
    figure->better = kind->better;
    figure->values = g_array_new(false, false, sizeof(double));
    g_ptr_array_add(figures->figures, figure);
    return figure;
}

/* Found, or made. */
static Curve *get_curve(Figures *figures, const char *name,
                        const char *competitor)
{
    Curve *curve;

    for (unsigned i = 0; i < figures->curves->len; i++) {
        curve = figures->curves->pdata[i];
        if (!strcmp(curve->name, name) &&
            !strcmp(curve->competitor, competitor)) {
            return curve;
        }
    }
    curve = g_new0(Curve, 1);
    curve->name = g_strdup(name);
    curve->competitor = g_strdup(competitor);
    g_ptr_array_add(figures->curves, curve);
    return curve;
}

static void set_points(Curve *curve, const double *x, const double *y,
                       size_t count)
{
    g_free(curve->x);
    g_free(curve->y);
    curve->x = g_memdup2(x, count * sizeof(*x));
    curve->y = g_memdup2(y, count * sizeof(*y));
    curve->count = count;
}

/* Of @curve->latencies. Points closer than 2 % are left out, but the last. */
static void set_latency_points(Curve *curve)
{
    const HistogramSnapshot *latencies = curve->latencies;
    double x[HISTOGRAM_BUCKETS], y[HISTOGRAM_BUCKETS], last = 0;
    uint64_t seen = 0;
    size_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += latencies->counts[i];
        if (seen == latencies->total) {
            break;
        }
        x[count] = (double)latencies->total / (latencies->total - seen);
        if (seen > 0 && x[count] > last * 1.02) {
            last = x[count];
            y[count++] = histogram_bucket_end(i);
        }
    }
    x[count] = latencies->total;
    y[count++] = latencies->max;
    set_points(curve, x, y, count);
}

/* JSON has no NAN. */
static void add_number(JsonBuilder *json, const char *name, double value)
{
    json_builder_set_member_name(json, name);
    if (isnan(value)) {
        json_builder_add_null_value(json);
    } else {
        json_builder_add_double_value(json, value);
    }
}

static void add_string(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static void add_numbers(JsonBuilder *json, const char *name,
                        const double *values, size_t count)
{
    json_builder_set_member_name(json, name);
    json_builder_begin_array(json);
    for (size_t i = 0; i < count; i++) {
        json_builder_add_double_value(json, values[i]);
    }
    json_builder_end_array(json);
}

static void add_figure(JsonBuilder *json, const Figures *figures,
                       const Figure *figure)
{
    const Figure *limit = find_figure(figures, figure->name, FIGURES_LIMIT);
    const Figure *peer = find_best_peer(figures, figure);

    json_builder_begin_object(json);
    add_string(json, "name", figure->name);
    add_string(json, "competitor", figure->competitor);
    add_number(json, "value", figure_median(figure));
    add_string(json, "unit", figure->unit);
    add_string(json, "better",
               figure->better == FIGURE_HIGHER ? "higher" : "lower");
    add_number(json, "ratio_to_limit", figure_ratio(figure, limit));
    add_number(json, "ratio_to_best_peer", figure_ratio(figure, peer));
    add_number(json, "spread", figure_spread(figure));
    add_numbers(json, "samples", (const double *)figure->values->data,
                figure->values->len);
    json_builder_end_object(json);
}

static void add_figures(JsonBuilder *json, const Figures *figures)
{
    json_builder_set_member_name(json, "figures");
    json_builder_begin_array(json);
    for (unsigned i = 0; i < figures->figures->len; i++) {
        add_figure(json, figures, figures->figures->pdata[i]);
    }
    json_builder_end_array(json);
}

static void add_curves(JsonBuilder *json, const Figures *figures)
{
    json_builder_set_member_name(json, "curves");
    json_builder_begin_array(json);
    for (unsigned i = 0; i < figures->curves->len; i++) {
        const Curve *curve = figures->curves->pdata[i];

        json_builder_begin_object(json);
        add_string(json, "name", curve->name);
        add_string(json, "competitor", curve->competitor);
        add_numbers(json, "x", curve->x, curve->count);
        add_numbers(json, "y", curve->y, curve->count);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

static void add_head(JsonBuilder *json, const Figures *figures, bool quick)
{
    unsigned repetitions = 0;

    for (unsigned i = 0; i < figures->figures->len; i++) {
        const Figure *figure = figures->figures->pdata[i];

        repetitions = MAX(repetitions, figure->values->len);
    }
    json_builder_set_member_name(json, "machine");
    machine_facts_add(json);
    json_builder_set_member_name(json, "quick");
    json_builder_add_boolean_value(json, quick);
    json_builder_set_member_name(json, "repetitions");
    json_builder_add_int_value(json, repetitions);
}

Figures *figures_new(void)
{
    Figures *figures = g_new0(Figures, 1);

    figures->figures = g_ptr_array_new_with_free_func(figure_free);
    figures->curves = g_ptr_array_new_with_free_func(curve_free);
    return figures;
}

void figures_free(Figures *figures)
{
    g_ptr_array_unref(figures->figures);
    g_ptr_array_unref(figures->curves);
    g_free(figures);
}

void figures_add(Figures *figures, const FigureKind *kind,
                 const char *competitor, double value)
{
    Figure *figure = find_figure(figures, kind->name, competitor);

    if (!figure) {
        figure = make_figure(figures, kind, competitor);
    }
    g_assert_cmpstr(figure->unit, ==, kind->unit);
    g_assert_cmpint(figure->better, ==, kind->better);
    g_assert_true(isfinite(value));
    g_array_append_val(figure->values, value);
}

void figures_add_curve(Figures *figures, const char *name,
                       const char *competitor, const double *x,
                       const double *y, size_t count)
{
    set_points(get_curve(figures, name, competitor), x, y, count);
}

void figures_add_latencies(Figures *figures, const char *name,
                           const char *competitor,
                           const HistogramSnapshot *latencies)
{
    static const struct {
        const char *name;
        unsigned permille;
    } quantiles[] = {
        { "p50", 500 }, { "p99", 990 }, { "p99.9", 999 }, { "max", 1000 },
    };
    Curve *curve = get_curve(figures, name, competitor);

    g_assert_cmpuint(latencies->total, >, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(quantiles); i++) {
        g_autofree char *path = g_strdup_printf("%s/%s", name,
                                                quantiles[i].name);
        FigureKind kind = { path, "ns", FIGURE_LOWER };

        figures_add(figures, &kind, competitor,
                    histogram_snapshot_quantile(latencies,
                                                quantiles[i].permille));
    }
    if (curve->latencies) {
        histogram_snapshot_add(curve->latencies, latencies);
    } else {
        curve->latencies = g_memdup2(latencies, sizeof(*latencies));
    }
    set_latency_points(curve);
}

bool figures_write(Figures *figures, bool quick, FILE *file)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;

    json_builder_begin_object(json);
    add_head(json, figures, quick);
    add_figures(json, figures);
    add_curves(json, figures);
    json_builder_end_object(json);
    root = json_builder_get_root(json);
    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, true);
    text = json_generator_to_data(generator, NULL);
    return fprintf(file, "%s\n", text) >= 0 && fflush(file) == 0;
}
