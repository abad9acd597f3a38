/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run-report.h"

#include <string.h>

enum { ID_WIDTH = 6 };

static RunSample good_sample(void)
{
    return (RunSample){
        .kinds = RUN_EVENTS,
        .generated = 1000,
        .seen = 900,
        .guest_overflows = 3,
        .pump = {
            .delivered = 900, .discarded = 10, .lost = 90, .reads = 50,
            .interrupts = 40, .overflows = 3, .queue_used = 64,
            .queue_size = 256,
        },
    };
}

static HistogramSnapshot *latencies(void)
{
    Histogram *histogram = histogram_new();
    HistogramSnapshot *snapshot = g_new(HistogramSnapshot, 1);

    for (int i = 1; i <= 1000; i++) {
        histogram_record(histogram, i <= 900 ? 50 : 5000);
    }
    histogram_snapshot(histogram, snapshot);
    histogram_free(histogram);
    return snapshot;
}

static void test_line_text(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree HistogramSnapshot *latency = latencies();
    RunSample before = { 0 };
    RunSample now = good_sample();

    run_report_heading(text, ID_WIDTH);
    run_report_line(text, ID_WIDTH, "smmu0", &before, &now, 500000000, latency);
    g_assert_cmpstr(
        text->str, ==,
        "vIOMMU events/s reads/s  lost/s requests/s   ops/s  irqs/s queue"
        "     p50     p99\n"
        "smmu0     1.80k     100     180          -       -      80   25%"
        "    50ns  5.00us\n");
}

/* Only what came between the two samples, over the time between them. */
static void test_line_shows_differences(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree HistogramSnapshot *latency = latencies();
    RunSample before = good_sample();
    RunSample now = good_sample();

    now.pump.delivered += 300;
    now.pump.reads += 6;
    now.pump.interrupts += 2;
    now.pump.lost += 1;
    run_report_line(text, ID_WIDTH, "smmu0", &before, &now, 2000000000,
                    latency);
    g_assert_cmpstr(
        text->str, ==,
        "smmu0       150       3    0.50          -       -       1   25%"
        "    50ns  5.00us\n");
}

/* What a vIOMMU does not do is left out; its page requests' queue is shown. */
static void test_line_of_page_requests(void)
{
    static const struct {
        unsigned kinds;
        const char *line;
    } cases[] = {
        { RUN_PAGES,
          "vtd0          -      25       -        480       -      60   50%"
          "    50ns  5.00us\n" },
        { RUN_PAGES | RUN_OPERATIONS,
          "vtd0          -      25       -        480   1.20k      60   50%"
          "    50ns  5.00us\n" },
        { 0,
          "vtd0          -       -       -          -       -      60    0%"
          "    50ns  5.00us\n" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree HistogramSnapshot *latency = latencies();
        RunSample before = { 0 };
        RunSample now = {
            .kinds = cases[i].kinds,
            .pages.pump = {
                .raised = 500, .answered = 480, .interrupts = 60,
                .queue_used = 128, .queue_size = 256,
            },
            .pump.reads = 25,
            .operations.completed = 1200,
        };

        run_report_line(text, ID_WIDTH, "vtd0", &before, &now, 1000000000,
                        latency);
        g_assert_cmpstr(text->str, ==, cases[i].line);
    }
}

static void test_latency_is_that_of_what_it_does(void)
{
    g_autofree RunLatencies *both = g_new0(RunLatencies, 1);

    g_assert_true(run_report_latency(RUN_EVENTS, both) == &both->event);
    g_assert_true(run_report_latency(RUN_PAGES, both) == &both->roundtrip);
    g_assert_true(run_report_latency(RUN_PAGES | RUN_OPERATIONS, both) ==
                  &both->roundtrip);
    g_assert_true(run_report_latency(0, both) == &both->event);
}

/* Columns stay where they are, from nothing to the largest numbers. */
static void test_line_width_is_constant(void)
{
    g_autofree HistogramSnapshot *latency = g_new0(HistogramSnapshot, 1);
    static const char *const ids[] = { "s", "smmu0", "longer-than-its-column" };

    for (int bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t value = (UINT64_C(1) << bit) + delta;
            RunSample before = { 0 };
            RunSample now = {
                .kinds = RUN_EVENTS | RUN_PAGES | RUN_OPERATIONS,
                .pump = {
                    .delivered = value, .reads = value / 3,
                    .interrupts = value, .lost = value,
                },
                .pages.pump = {
                    .answered = value, .queue_used = 512, .queue_size = 512,
                },
                .operations.completed = value,
            };
            g_autoptr(GString) text = g_string_new(NULL);
            Histogram *histogram = histogram_new();

            histogram_record(histogram, value);
            histogram_snapshot(histogram, latency);
            histogram_free(histogram);
            run_report_line(text, ID_WIDTH, ids[bit % 3], &before, &now,
                            1000000000, latency);
            g_assert_cmpuint(text->len, ==,
                             ID_WIDTH + RUN_REPORT_LINE_WIDTH + 1);
            g_assert_true(strchr(text->str, '\n') == text->str + text->len - 1);
        }
    }
}

static void test_no_latency_without_records(void)
{
    g_autofree HistogramSnapshot *latency = g_new0(HistogramSnapshot, 1);
    RunSample none = { .kinds = RUN_EVENTS };
    g_autoptr(GString) text = g_string_new(NULL);

    run_report_line(text, ID_WIDTH, "s", &none, &none, 1000000000, latency);
    g_assert_cmpstr(
        text->str, ==,
        "s             0       0       0          -       -       0    0%"
        "       -       -\n");
}

static void test_heading_is_as_wide(void)
{
    g_autoptr(GString) text = g_string_new(NULL);

    run_report_heading(text, 12);
    g_assert_cmpuint(text->len, ==, 12 + RUN_REPORT_LINE_WIDTH + 1);
}

static void test_numbers_round_without_a_fourth_digit(void)
{
    static const struct {
        uint64_t delivered;
        const char *rate;
    } cases[] = {
        { 0, " 0 " }, { 999, " 999 " }, { 1000, " 1.00k " },
        { 1004, " 1.00k " }, { 9994, " 9.99k " }, { 9996, " 10.0k " },
        { 99940, " 99.9k " }, { 99960, " 100k " }, { 999400, " 999k " },
        { 999600, " 1.00M " }, { 1234567, " 1.23M " },
    };
    g_autofree HistogramSnapshot *latency = g_new0(HistogramSnapshot, 1);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        RunSample before = { 0 };
        RunSample now = {
            .kinds = RUN_EVENTS,
            .pump.delivered = cases[i].delivered,
        };
        g_autoptr(GString) text = g_string_new(NULL);

        run_report_line(text, ID_WIDTH, "s", &before, &now, 1000000000,
                        latency);
        g_assert_nonnull(strstr(text->str, cases[i].rate));
    }
}

/* Each column but the first ends where its heading ends. */
static void assert_lined_up(const char *heading, const char *row)
{
    g_assert_cmpuint(strlen(row), ==, strlen(heading));
    for (const char *end = heading + strlen("vIOMMU"); *end; end++) {
        if (*end != ' ' && (end[1] == ' ' || !end[1])) {
            g_assert_cmpint(row[end - heading], !=, ' ');
            g_assert_true(end[1] == '\0' || row[end - heading + 1] == ' ');
        }
    }
}

static RunSample pages_sample(void)
{
    return (RunSample){
        .kinds = RUN_PAGES,
        .pages = {
            .raised = 123456789012, .responded = 123456789012,
            .pump = { .answered = 123456789012, .interrupts = 5 },
        },
    };
}

/* One heading for all that report events, then one for page requests. */
static void test_table_columns_line_up(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree RunLatencies *both = g_new0(RunLatencies, 1);
    RunResult results[] = {
        { "v", "intel-iommu", "io0", pages_sample(), both, NULL, 0 },
        { "a", "arm-smmuv3", "io0", good_sample(), both, NULL, 0 },
        { "longer-than-the-heading", "arm-smmuv3", "io0", good_sample(), both,
          NULL, 0 },
    };
    g_auto(GStrv) lines = NULL;

    run_report_table(text, "box", 2.5, results, 3);
    lines = g_strsplit(text->str, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 8);
    g_assert_cmpstr(lines[0], ==, "");
    g_assert_cmpstr(lines[1], ==, "box: 2.5 s");
    g_assert_nonnull(strstr(lines[2], " generated "));
    assert_lined_up(lines[2], lines[3]);
    assert_lined_up(lines[2], lines[4]);
    g_assert_true(g_str_has_prefix(lines[3], "a "));
    g_assert_nonnull(strstr(lines[5], " requests "));
    g_assert_true(g_str_has_prefix(lines[6], "v "));
    g_assert_cmpstr(lines[7], ==, "");
}

static void test_table_of_page_requests(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree RunLatencies *both = g_new0(RunLatencies, 1);
    RunSample sample = {
        .kinds = RUN_PAGES | RUN_OPERATIONS,
        .pump.reads = 25,
        .pages = {
            .raised = 500,
            .pump = {
                .answered = 480, .invalid = 15, .retried = 5,
                .interrupts = 60, .overflows = 2,
            },
        },
        .operations = { .completed = 70, .verified = 69 },
    };
    RunResult result = {
        "v0", "intel-iommu", "io0", sample, both, NULL, 0
    };

    run_report_table(text, NULL, 10, &result, 1);
    g_assert_cmpstr(
        text->str, ==,
        "\n10.0 s\n"
        "vIOMMU     requests     answered    invalid    retried   verified "
        "     reads interrupts overflows    p50    p99   p999    max\n"
        "v0              500          480         15          5         69 "
        "        25         60         2      -      -      -      -\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/run-report/line-text", test_line_text);
    g_test_add_func("/run-report/line-shows-differences",
                    test_line_shows_differences);
    g_test_add_func("/run-report/line-of-page-requests",
                    test_line_of_page_requests);
    g_test_add_func("/run-report/latency-is-that-of-what-it-does",
                    test_latency_is_that_of_what_it_does);
    g_test_add_func("/run-report/line-width-is-constant",
                    test_line_width_is_constant);
    g_test_add_func("/run-report/no-latency-without-records",
                    test_no_latency_without_records);
    g_test_add_func("/run-report/heading-is-as-wide", test_heading_is_as_wide);
    g_test_add_func("/run-report/numbers-round-without-a-fourth-digit",
                    test_numbers_round_without_a_fourth_digit);
    g_test_add_func("/run-report/table-columns-line-up",
                    test_table_columns_line_up);
    g_test_add_func("/run-report/table-of-page-requests",
                    test_table_of_page_requests);
    return g_test_run();
}
