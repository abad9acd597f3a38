/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run-report.h"

#include <json-glib/json-glib.h>
#include <string.h>

enum { ID_WIDTH = 6 };

static RunSample good_sample(void)
{
    return (RunSample){
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

static void test_balance(void)
{
    static const struct {
        size_t field;
        int64_t change;
        bool settled;
        const char *explanation;
    } cases[] = {
        { offsetof(RunSample, seen), 0, true, NULL },
        { offsetof(RunSample, generated), 1, false,
          "1001 events generated, but 1000 delivered, discarded or lost "
          "(difference +1)" },
        { offsetof(RunSample, pump.lost), 2, false,
          "1000 events generated, but 1002 delivered, discarded or lost "
          "(difference -2)" },
        { offsetof(RunSample, pump.discarded), -1, false,
          "1000 events generated, but 999 delivered, discarded or lost "
          "(difference +1)" },
        { offsetof(RunSample, seen), -3, false,
          "900 records delivered, but 897 read by the guest (difference +3)" },
        { offsetof(RunSample, corrupt), 1, false,
          "900 records delivered, but 901 read by the guest (difference -1); "
          "1 records damaged, out of order or twice" },
        { offsetof(RunSample, refused), 5, true,
          "5 events refused by the host" },
        { offsetof(RunSample, guest_overflows), -1, true,
          "3 overflows shown to the guest, but 2 seen by it" },
        { offsetof(RunSample, pump.overflows), -3, true,
          "90 events lost, but no overflow shown to the guest; "
          "0 overflows shown to the guest, but 3 seen by it" },
        { offsetof(RunSample, gerrors), 2, true, "2 global errors" },
        { offsetof(RunSample, pump.delivered), 1, false,
          "1000 events generated, but 1001 delivered, discarded or lost "
          "(difference -1); 901 records delivered, but 900 read by the guest "
          "(difference +1)" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        RunSample sample = good_sample();
        g_autofree char *explanation = NULL;

        G_STRUCT_MEMBER(uint64_t, &sample, cases[i].field) += cases[i].change;
        g_assert_cmpint(run_sample_pending(&sample) == 0, ==,
                        cases[i].settled);
        explanation = run_sample_explain(&sample);
        g_assert_cmpstr(explanation, ==, cases[i].explanation);
    }
}

/* Every record was read, but not every one is good: settled, yet no balance. */
static void test_corrupt_record_settles_unbalanced(void)
{
    RunSample sample = good_sample();
    g_autofree char *explanation = NULL;

    sample.seen--;
    sample.corrupt++;
    g_assert_cmpuint(run_sample_pending(&sample), ==, 0);
    explanation = run_sample_explain(&sample);
    g_assert_cmpstr(explanation, ==,
                    "1 records damaged, out of order or twice");
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
        "vIOMMU events/s  reads/s  ev/read  irqs/s  lost/s  queue"
        "     p50     p99\n"
        "smmu0     1.80k      100       18      80     180    25%"
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
        "smmu0       150        3       50       1    0.50    25%"
        "    50ns  5.00us\n");
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
            RunSample now = { .pump = {
                .delivered = value, .reads = value / 3, .interrupts = value,
                .lost = value, .queue_used = 512, .queue_size = 512,
            } };
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
    RunSample none = { 0 };
    g_autoptr(GString) text = g_string_new(NULL);

    run_report_line(text, ID_WIDTH, "s", &none, &none, 1000000000, latency);
    g_assert_cmpstr(
        text->str, ==,
        "s             0        0        0       0       0     0%"
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
        RunSample now = { .pump.delivered = cases[i].delivered };
        g_autoptr(GString) text = g_string_new(NULL);

        run_report_line(text, ID_WIDTH, "s", &before, &now, 1000000000,
                        latency);
        g_assert_nonnull(strstr(text->str, cases[i].rate));
    }
}

static void test_table_columns_line_up(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree HistogramSnapshot *latency = latencies();
    RunResult results[] = {
        { "a", "arm-smmuv3", "io0", good_sample(), latency },
        { "longer-than-the-heading", "arm-smmuv3", "io0", good_sample(),
          latency },
    };
    g_auto(GStrv) lines = NULL;

    run_report_table(text, "box", 2.5, results, 2);
    lines = g_strsplit(text->str, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 6);
    g_assert_cmpstr(lines[0], ==, "");
    g_assert_cmpstr(lines[1], ==, "box: 2.5 s");
    g_assert_cmpuint(strlen(lines[3]), ==, strlen(lines[2]));
    g_assert_cmpuint(strlen(lines[4]), ==, strlen(lines[2]));
    g_assert_cmpstr(lines[5], ==, "");
    for (const char *end = lines[2]; *end; end++) {
        if (*end != ' ' && (end[1] == ' ' || !end[1]) && end > lines[2] + 6) {
            g_assert_cmpint(lines[3][end - lines[2]], !=, ' ');
        }
    }
}

static void assert_members(JsonObject *object, const char *names)
{
    g_autoptr(GList) members = json_object_get_members(object);
    g_autoptr(GString) text = g_string_new(NULL);

    for (GList *member = members; member; member = member->next) {
        g_string_append_printf(text, "%s%s", text->len ? " " : "",
                               (const char *)member->data);
    }
    g_assert_cmpstr(text->str, ==, names);
}

static void test_json_has_the_documented_members(void)
{
    g_autofree HistogramSnapshot *latency = latencies();
    RunResult results[] = {
        { "s0", "arm-smmuv3", "io0", good_sample(), latency },
        { "s1", "arm-smmuv3", "io\"1", good_sample(), latency },
    };
    g_autofree char *text = run_report_json("1.2.3", 10.25, false, results, 2);
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *root, *viommu, *events, *latency_ns;

    g_assert_true(json_parser_load_from_data(parser, text, -1, NULL));
    g_assert_cmpint(text[strlen(text) - 1], ==, '\n');
    root = json_node_get_object(json_parser_get_root(parser));
    assert_members(root, "version seconds balanced viommus");
    g_assert_cmpstr(json_object_get_string_member(root, "version"), ==,
                    "1.2.3");
    g_assert_true(json_object_get_double_member(root, "seconds") == 10.25);
    g_assert_false(json_object_get_boolean_member(root, "balanced"));
    JsonArray *viommus = json_object_get_array_member(root, "viommus");

    g_assert_cmpuint(json_array_get_length(viommus), ==, 2);
    viommu = json_array_get_object_element(viommus, 1);
    assert_members(viommu, "id model iothread events reads interrupts "
                           "overflows latency_ns");
    g_assert_cmpstr(json_object_get_string_member(viommu, "id"), ==, "s1");
    g_assert_cmpstr(json_object_get_string_member(viommu, "model"), ==,
                    "arm-smmuv3");
    g_assert_cmpstr(json_object_get_string_member(viommu, "iothread"), ==,
                    "io\"1");
    g_assert_cmpint(json_object_get_int_member(viommu, "reads"), ==, 50);
    g_assert_cmpint(json_object_get_int_member(viommu, "interrupts"), ==, 40);
    g_assert_cmpint(json_object_get_int_member(viommu, "overflows"), ==, 3);
    events = json_object_get_object_member(viommu, "events");
    assert_members(events, "generated delivered discarded lost");
    g_assert_cmpint(json_object_get_int_member(events, "generated"), ==, 1000);
    g_assert_cmpint(json_object_get_int_member(events, "delivered"), ==, 900);
    g_assert_cmpint(json_object_get_int_member(events, "discarded"), ==, 10);
    g_assert_cmpint(json_object_get_int_member(events, "lost"), ==, 90);
    latency_ns = json_object_get_object_member(viommu, "latency_ns");
    assert_members(latency_ns, "p50 p99 p999 max");
    g_assert_cmpint(json_object_get_int_member(latency_ns, "p50"), ==, 50);
    g_assert_cmpint(json_object_get_int_member(latency_ns, "max"), ==, 5000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/run-report/balance", test_balance);
    g_test_add_func("/run-report/corrupt-record-settles-unbalanced",
                    test_corrupt_record_settles_unbalanced);
    g_test_add_func("/run-report/line-text", test_line_text);
    g_test_add_func("/run-report/line-shows-differences",
                    test_line_shows_differences);
    g_test_add_func("/run-report/line-width-is-constant",
                    test_line_width_is_constant);
    g_test_add_func("/run-report/no-latency-without-records",
                    test_no_latency_without_records);
    g_test_add_func("/run-report/heading-is-as-wide", test_heading_is_as_wide);
    g_test_add_func("/run-report/numbers-round-without-a-fourth-digit",
                    test_numbers_round_without_a_fourth_digit);
    g_test_add_func("/run-report/table-columns-line-up",
                    test_table_columns_line_up);
    g_test_add_func("/run-report/json-has-the-documented-members",
                    test_json_has_the_documented_members);
    return g_test_run();
}
