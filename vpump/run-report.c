/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers are cut to three digits and a unit, so that columns hold whatever
 * comes; the JSON report has them in full. What a vIOMMU does not do,
 * or nobody has counted, is "-".
 */
#include "run-report.h"

#include <inttypes.h>
#include <string.h>

/* A number as text, returned by value. */
typedef struct NumberText {
    char text[24];
} NumberText;

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

/* A rate of what this vIOMMU does: @applies. */
static NumberText format_column(bool applies, uint64_t count, double seconds)
{
    return applies ? format_rate(count / seconds) : (NumberText){ "-" };
}

const HistogramSnapshot *run_report_latency(unsigned kinds,
                                            const RunLatencies *latencies)
{
    return kinds & RUN_PAGES ? &latencies->roundtrip : &latencies->event;
}

/* The guest's queue that what it does goes through, in percent. */
static unsigned queue_fill(const RunSample *sample)
{
    bool pages = sample->kinds & RUN_PAGES;
    uint64_t used = pages ? sample->pages.pump.queue_used
                          : sample->pump.queue_used;
    uint32_t size = pages ? sample->pages.pump.queue_size
                          : sample->pump.queue_size;

    return size ? used * 100 / size : 0;
}

void run_report_heading(GString *text, int id_width)
{
    g_string_append_printf(text, "%-*s %8s %7s %7s %10s %7s %7s %5s %7s %7s\n",
                           id_width, "vIOMMU", "events/s", "reads/s", "lost/s",
                           "requests/s", "ops/s", "irqs/s", "queue", "p50",
                           "p99");
}

void run_report_line(GString *text, int id_width, const char *id,
                     const RunSample *before, const RunSample *now,
                     int64_t interval_ns, const HistogramSnapshot *latency)
{
    double seconds = interval_ns / 1e9;
    bool events = now->kinds & RUN_EVENTS;
    uint64_t irqs = now->pump.interrupts - before->pump.interrupts +
                    now->pages.pump.interrupts -
                    before->pages.pump.interrupts;

    g_string_append_printf(
        text, "%-*.*s %8s %7s %7s %10s %7s %7s %4u%% %7s %7s\n",
        id_width, id_width, id,
        format_column(events, now->pump.delivered - before->pump.delivered,
                      seconds).text,
        format_column(now->kinds & (RUN_EVENTS | RUN_PAGES),
                      now->pump.reads - before->pump.reads, seconds).text,
        format_column(events, now->pump.lost - before->pump.lost,
                      seconds).text,
        format_column(now->kinds & RUN_PAGES,
                      now->pages.pump.answered - before->pages.pump.answered,
                      seconds).text,
        format_column(now->kinds & RUN_OPERATIONS,
                      now->operations.completed - before->operations.completed,
                      seconds).text,
        format_rate(irqs / seconds).text,
        queue_fill(now),
        format_quantile(latency, 500).text,
        format_quantile(latency, 990).text);
}

static void append_quantiles(GString *text, const HistogramSnapshot *latency)
{
    g_string_append_printf(text, " %6s %6s %6s %6s\n",
                           format_quantile(latency, 500).text,
                           format_quantile(latency, 990).text,
                           format_quantile(latency, 999).text,
                           format_quantile(latency, 1000).text);
}

/* As a count in full, or "-" of what this vIOMMU does not do. */
static NumberText format_count(bool applies, uint64_t count)
{
    NumberText number = { "-" };

    if (applies) {
        g_snprintf(number.text, sizeof(number.text), "%" PRIu64, count);
    }
    return number;
}

/* Counts in full, as the sums are to be checked by eye. */
static void append_events_row(GString *text, int id_width,
                              const RunResult *result)
{
    const RunSample *sample = &result->sample;

    g_string_append_printf(
        text, "%-*s %12s %12" PRIu64 " %10" PRIu64 " %10" PRIu64
        " %10" PRIu64 " %10" PRIu64 " %9" PRIu64,
        id_width, result->id,
        format_count(!sample->uncounted, sample->generated).text,
        sample->pump.delivered,
        sample->pump.discarded, sample->pump.lost, sample->pump.reads,
        sample->pump.interrupts, sample->pump.overflows);
    append_quantiles(text, &result->latencies->event);
}

static void append_events_heading(GString *text, int id_width)
{
    g_string_append_printf(text,
                           "%-*s %12s %12s %10s %10s %10s %10s %9s %6s %6s "
                           "%6s %6s\n",
                           id_width, "vIOMMU", "generated", "delivered",
                           "discarded", "lost", "reads", "interrupts",
                           "overflows", "p50", "p99", "p999", "max");
}

static void append_pages_row(GString *text, int id_width,
                             const RunResult *result)
{
    const RunSample *sample = &result->sample;
    const RunPages *pages = &sample->pages;

    g_string_append_printf(
        text, "%-*s %12s %12" PRIu64 " %10" PRIu64 " %10" PRIu64
        " %10s %10" PRIu64 " %10" PRIu64 " %9" PRIu64,
        id_width, result->id,
        format_count(!sample->uncounted, pages->raised).text,
        pages->pump.answered,
        pages->pump.invalid, pages->pump.retried,
        format_count(sample->kinds & RUN_OPERATIONS,
                     sample->operations.verified).text,
        sample->pump.reads, pages->pump.interrupts, pages->pump.overflows);
    append_quantiles(text, &result->latencies->roundtrip);
}

static void append_pages_heading(GString *text, int id_width)
{
    g_string_append_printf(text,
                           "%-*s %12s %12s %10s %10s %10s %10s %10s %9s %6s "
                           "%6s %6s %6s\n",
                           id_width, "vIOMMU", "requests", "answered",
                           "invalid", "retried", "verified", "reads",
                           "interrupts",
                           "overflows", "p50", "p99", "p999", "max");
}

/* One heading for all that do @kind, and nothing if none does. */
static void append_section(GString *text, int id_width, RunKind kind,
                           void (*heading)(GString *text, int id_width),
                           void (*row)(GString *text, int id_width,
                                       const RunResult *result),
                           const RunResult *results, size_t count)
{
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        if (!(results[i].sample.kinds & kind)) {
            continue;
        }
        if (!any) {
            heading(text, id_width);
            any = true;
        }
        row(text, id_width, &results[i]);
    }
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
    append_section(text, id_width, RUN_EVENTS, append_events_heading,
                   append_events_row, results, count);
    append_section(text, id_width, RUN_PAGES, append_pages_heading,
                   append_pages_row, results, count);
}
