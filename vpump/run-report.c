/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers are cut to three digits and a unit, so that columns hold whatever
 * comes; the JSON report has them in full.
 */
#include "run-report.h"

#include <inttypes.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

/* A number as text, returned by value. */
typedef struct NumberText {
    char text[16];
} NumberText;

/* Every event comes to one of these ends. */
static uint64_t accounted(const RunSample *sample)
{
    return sample->pump.delivered + sample->pump.discarded + sample->pump.lost;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

uint64_t run_sample_pending(const RunSample *sample)
{
    return distance(sample->generated, accounted(sample)) +
           distance(sample->pump.delivered, sample->seen + sample->corrupt);
}

/* What is lost must be shown to the guest, and noticed by it. */
static void explain_loss(GString *text, const RunSample *sample)
{
    if (sample->pump.lost > 0 && sample->pump.overflows == 0) {
        g_string_append_printf(text, "%" PRIu64 " events lost, but no overflow "
                               "shown to the guest; ", sample->pump.lost);
    }
    if (sample->guest_overflows != sample->pump.overflows) {
        g_string_append_printf(text, "%" PRIu64 " overflows shown to the guest,"
                               " but %" PRIu64 " seen by it; ",
                               sample->pump.overflows, sample->guest_overflows);
    }
}

char *run_sample_explain(const RunSample *sample)
{
    /* Each part ends in "; ", which the last one loses. */
    g_autoptr(GString) text = g_string_new(NULL);
    int64_t missing = sample->generated - accounted(sample);
    uint64_t read = sample->seen + sample->corrupt;
    int64_t unread = sample->pump.delivered - read;

    if (missing) {
        g_string_append_printf(text, "%" PRIu64 " events generated, but "
                               "%" PRIu64 " delivered, discarded or lost "
                               "(difference %+" PRId64 "); ",
                               sample->generated, accounted(sample), missing);
    }
    if (unread) {
        g_string_append_printf(text, "%" PRIu64 " records delivered, but "
                               "%" PRIu64 " read by the guest "
                               "(difference %+" PRId64 "); ",
                               sample->pump.delivered, read, unread);
    }
    if (sample->corrupt) {
        g_string_append_printf(text, "%" PRIu64 " records damaged, out of "
                               "order or twice; ", sample->corrupt);
    }
    if (sample->refused) {
        g_string_append_printf(text, "%" PRIu64 " events refused by the host; ",
                               sample->refused);
    }
    explain_loss(text, sample);
    if (sample->gerrors) {
        g_string_append_printf(text, "%" PRIu64 " global errors; ",
                               sample->gerrors);
    }
    if (text->len == 0) {
        return NULL;
    }
    g_string_truncate(text, text->len - 2);
    return g_strdup(text->str);
}

/* Three digits and a unit: "999", "1.23k", "45.6M", at most six columns. */
static NumberText format_scaled(double value, const char *const *units)
{
    NumberText number;
    bool whole = value == (uint64_t)value;
    int digits;

    if (whole && value < 999.5) {
        g_snprintf(number.text, sizeof(number.text), "%.0f%s", value, *units);
        return number;
    }
    while (value >= 999.5 && units[1]) {
        value /= 1000;
        units++;
    }
    /* None behind the point for what rounds to three before it. */
    digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    g_snprintf(number.text, sizeof(number.text), "%.*f%s", digits, value,
               *units);
    return number;
}

static NumberText format_rate(double value)
{
    static const char *const units[] = {
        "", "k", "M", "G", "T", "P", "E", "Z", NULL
    };

    return format_scaled(value, units);
}

static NumberText format_ns(uint64_t ns)
{
    static const char *const units[] = {
        "ns", "us", "ms", "s", "ks", "Ms", "Gs", NULL
    };

    return format_scaled(ns, units);
}

/* Without values there is no quantile. */
static NumberText format_quantile(const HistogramSnapshot *latency,
                                  unsigned permille)
{
    return latency->total > 0
        ? format_ns(histogram_snapshot_quantile(latency, permille))
        : (NumberText){ "-" };
}

void run_report_heading(GString *text, int id_width)
{
    g_string_append_printf(text, "%-*s %8s %8s %8s %7s %7s %6s %7s %7s\n",
                           id_width, "vIOMMU", "events/s", "reads/s",
                           "ev/read", "irqs/s", "lost/s", "queue", "p50",
                           "p99");
}

void run_report_line(GString *text, int id_width, const char *id,
                     const RunSample *before, const RunSample *now,
                     int64_t interval_ns, const HistogramSnapshot *latency)
{
    double seconds = interval_ns / 1e9;
    uint64_t events = now->pump.delivered - before->pump.delivered;
    uint64_t reads = now->pump.reads - before->pump.reads;
    uint64_t irqs = now->pump.interrupts - before->pump.interrupts;
    uint64_t lost = now->pump.lost - before->pump.lost;
    unsigned fill = now->pump.queue_size
        ? (uint64_t)now->pump.queue_used * 100 / now->pump.queue_size
        : 0;

    g_string_append_printf(
        text, "%-*.*s %8s %8s %8s %7s %7s %5u%% %7s %7s\n",
        id_width, id_width, id,
        format_rate(events / seconds).text,
        format_rate(reads / seconds).text,
        format_rate(reads ? (double)events / reads : 0).text,
        format_rate(irqs / seconds).text,
        format_rate(lost / seconds).text,
        fill,
        format_quantile(latency, 500).text,
        format_quantile(latency, 990).text);
}

/* Counts in full, as the sums are to be checked by eye. */
static void append_table_row(GString *text, int id_width,
                             const RunResult *result)
{
    const RunSample *sample = &result->sample;
    const HistogramSnapshot *latency = result->latency;

    g_string_append_printf(
        text, "%-*s %12" PRIu64 " %12" PRIu64 " %10" PRIu64 " %10" PRIu64
        " %10" PRIu64 " %10" PRIu64 " %9" PRIu64 " %6s %6s %6s %6s\n",
        id_width, result->id, sample->generated, sample->pump.delivered,
        sample->pump.discarded, sample->pump.lost, sample->pump.reads,
        sample->pump.interrupts, sample->pump.overflows,
        format_quantile(latency, 500).text,
        format_quantile(latency, 990).text,
        format_quantile(latency, 999).text,
        format_quantile(latency, 1000).text);
}

void run_report_table(GString *text, const char *name, double seconds,
                      const RunResult *results, size_t count)
{
    int id_width = sizeof("vIOMMU") - 1;

    for (size_t i = 0; i < count; i++) {
        id_width = MAX(id_width, (int)strlen(results[i].id));
    }
    g_string_append_printf(text, "\n%s%s%.1f s\n", name ? name : "",
                           name ? ": " : "", seconds);
    g_string_append_printf(text,
                           "%-*s %12s %12s %10s %10s %10s %10s %9s %6s %6s "
                           "%6s %6s\n",
                           id_width, "vIOMMU", "generated", "delivered",
                           "discarded", "lost", "reads", "interrupts",
                           "overflows", "p50", "p99", "p999", "max");
    for (size_t i = 0; i < count; i++) {
        append_table_row(text, id_width, &results[i]);
    }
}

static void add_int(JsonBuilder *builder, const char *name, uint64_t value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, value);
}

static void add_string(JsonBuilder *builder, const char *name,
                       const char *value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, value);
}

/* Members and their order are documented; others would be a new version. */
static void add_result(JsonBuilder *builder, const RunResult *result)
{
    const RunSample *sample = &result->sample;
    const HistogramSnapshot *latency = result->latency;

    json_builder_begin_object(builder);
    add_string(builder, "id", result->id);
    add_string(builder, "model", result->model);
    add_string(builder, "iothread", result->iothread);
    json_builder_set_member_name(builder, "events");
    json_builder_begin_object(builder);
    add_int(builder, "generated", sample->generated);
    add_int(builder, "delivered", sample->pump.delivered);
    add_int(builder, "discarded", sample->pump.discarded);
    add_int(builder, "lost", sample->pump.lost);
    json_builder_end_object(builder);
    add_int(builder, "reads", sample->pump.reads);
    add_int(builder, "interrupts", sample->pump.interrupts);
    add_int(builder, "overflows", sample->pump.overflows);
    json_builder_set_member_name(builder, "latency_ns");
    json_builder_begin_object(builder);
    add_int(builder, "p50", histogram_snapshot_quantile(latency, 500));
    add_int(builder, "p99", histogram_snapshot_quantile(latency, 990));
    add_int(builder, "p999", histogram_snapshot_quantile(latency, 999));
    add_int(builder, "max", latency->max);
    json_builder_end_object(builder);
    json_builder_end_object(builder);
}

char *run_report_json(const char *version, double seconds, bool balanced,
                      const RunResult *results, size_t count)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;

    json_builder_begin_object(builder);
    add_string(builder, "version", version);
    json_builder_set_member_name(builder, "seconds");
    json_builder_add_double_value(builder, round(seconds * 1000) / 1000);
    json_builder_set_member_name(builder, "balanced");
    json_builder_add_boolean_value(builder, balanced);
    json_builder_set_member_name(builder, "viommus");
    json_builder_begin_array(builder);
    for (size_t i = 0; i < count; i++) {
        add_result(builder, &results[i]);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);

    root = json_builder_get_root(builder);
    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, TRUE);
    text = json_generator_to_data(generator, NULL);
    return g_strconcat(text, "\n", NULL);
}
