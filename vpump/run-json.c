/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report for programs: each vIOMMU has the same members, 0 where they do
 * not apply to it.
 */
#include "run-report.h"

#include <inttypes.h>
#include <json-glib/json-glib.h>
#include <string.h>

/* Before it, and so for strstr(), there is only the version. */
#define SECONDS_MEMBER "seconds"

static void add_int(JsonBuilder *builder, const char *name, uint64_t value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, value);
}

/* null: nobody has counted. */
static void add_known_int(JsonBuilder *builder, const char *name, bool known,
                          uint64_t value)
{
    json_builder_set_member_name(builder, name);
    if (known) {
        json_builder_add_int_value(builder, value);
    } else {
        json_builder_add_null_value(builder);
    }
}

static void add_string(JsonBuilder *builder, const char *name,
                       const char *value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, value);
}

/* As text: a JSON number may not have 64 bits to whoever reads it. */
static void add_digest(JsonBuilder *builder, const char *name, uint64_t digest)
{
    g_autofree char *text = g_strdup_printf("%016" PRIx64, digest);

    add_string(builder, name, text);
}

static void add_latency(JsonBuilder *builder, const char *name,
                        const HistogramSnapshot *latency)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_object(builder);
    add_int(builder, "p50", histogram_snapshot_quantile(latency, 500));
    add_int(builder, "p99", histogram_snapshot_quantile(latency, 990));
    add_int(builder, "p999", histogram_snapshot_quantile(latency, 999));
    add_int(builder, "max", latency->max);
    json_builder_end_object(builder);
}

static void add_events(JsonBuilder *builder, const RunSample *sample)
{
    json_builder_set_member_name(builder, "events");
    json_builder_begin_object(builder);
    add_known_int(builder, "generated", !sample->uncounted,
                  sample->generated);
    add_int(builder, "delivered", sample->pump.delivered);
    add_int(builder, "discarded", sample->pump.discarded);
    add_int(builder, "lost", sample->pump.lost);
    add_int(builder, "refused", sample->refused);
    add_int(builder, "guest_read", sample->seen);
    add_int(builder, "guest_damaged", sample->corrupt);
    add_int(builder, "guest_overflows", sample->guest_overflows);
    add_digest(builder, "guest_digest", sample->guest_digest);
    json_builder_end_object(builder);
    add_int(builder, "guest_errors", sample->gerrors);
    add_int(builder, "untold", sample->pump.untold);
    add_int(builder, "reads", sample->pump.reads);
    add_int(builder, "interrupts", sample->pump.interrupts);
    add_int(builder, "overflows", sample->pump.overflows);
}

/* Raised is answered + invalid + retried + open. */
static void add_pages(JsonBuilder *builder, const RunSample *sample,
                      const HistogramSnapshot *roundtrip)
{
    const RunPages *pages = &sample->pages;

    json_builder_set_member_name(builder, "page_requests");
    json_builder_begin_object(builder);
    add_known_int(builder, "raised", !sample->uncounted, pages->raised);
    add_int(builder, "answered", pages->pump.answered);
    add_int(builder, "invalid", pages->pump.invalid);
    add_int(builder, "retried", pages->pump.retried);
    add_int(builder, "open", pages->pump.open);
    add_int(builder, "stray", pages->pump.stray);
    add_known_int(builder, "responded", !sample->uncounted,
                  pages->responded);
    add_int(builder, "failed", pages->failed);
    add_int(builder, "unexpected", pages->unexpected);
    add_int(builder, "refused", pages->refused);
    add_int(builder, "unlike", pages->unlike);
    add_int(builder, "guest_answered", pages->guest_answered);
    add_int(builder, "guest_damaged", pages->guest_bad);
    add_int(builder, "guest_overflows", pages->guest_overflows);
    add_digest(builder, "guest_digest", pages->guest_digest);
    add_int(builder, "no_credit", pages->no_credit);
    add_int(builder, "interrupts", pages->pump.interrupts);
    add_int(builder, "overflows", pages->pump.overflows);
    add_latency(builder, "roundtrip_ns", roundtrip);
    json_builder_end_object(builder);
}

static void add_operations(JsonBuilder *builder,
                           const RunOperations *operations)
{
    json_builder_set_member_name(builder, "operations");
    json_builder_begin_object(builder);
    add_int(builder, "begun", operations->begun);
    add_int(builder, "completed", operations->completed);
    add_int(builder, "verified", operations->verified);
    add_int(builder, "corrupt", operations->corrupt);
    add_int(builder, "failed", operations->failed);
    add_int(builder, "changed", operations->changed);
    add_int(builder, "damaged", operations->damaged);
    json_builder_end_object(builder);
}

static void add_devices(JsonBuilder *builder, const RunResult *result)
{
    json_builder_set_member_name(builder, "devices");
    json_builder_begin_array(builder);
    for (size_t i = 0; i < result->device_count; i++) {
        const RunDevice *device = &result->devices[i];

        json_builder_begin_object(builder);
        add_string(builder, "id", device->id);
        add_string(builder, "kind", device->kind);
        add_int(builder, "completed_operations", device->completed_operations);
        if (device->in_memory) {
            add_int(builder, "verified", device->verified);
        }
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

/* Members are documented in docs/report.md. */
static void add_result(JsonBuilder *builder, const RunResult *result)
{
    json_builder_begin_object(builder);
    add_string(builder, "id", result->id);
    add_string(builder, "model", result->model);
    add_string(builder, "iothread", result->iothread);
    add_events(builder, &result->sample);
    add_latency(builder, "latency_ns", &result->latencies->event);
    add_pages(builder, &result->sample, &result->latencies->roundtrip);
    add_operations(builder, &result->sample.operations);
    add_devices(builder, result);
    json_builder_end_object(builder);
}

static void add_problems(JsonBuilder *builder, const GPtrArray *problems)
{
    json_builder_set_member_name(builder, "balanced");
    json_builder_add_boolean_value(builder, problems->len == 0);
    json_builder_set_member_name(builder, "problems");
    json_builder_begin_array(builder);
    for (unsigned i = 0; i < problems->len; i++) {
        json_builder_add_string_value(builder, problems->pdata[i]);
    }
    json_builder_end_array(builder);
}

/*
 * With the seconds, to three digits, and a newline: JSON-GLib prints all digits
 * that a double has, 2.0139999999999998 for 2.014.
 */
static char *finish_text(const char *text, double seconds)
{
    static const char place[] = "\"" SECONDS_MEMBER "\" : ";
    const char *zero = strstr(text, place) + strlen(place);
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    g_ascii_formatd(number, sizeof(number), "%.3f", seconds);
    return g_strdup_printf("%.*s%s%s\n", (int)(zero - text), text, number,
                           zero + 1);
}

char *run_report_json(const char *version, bool sandbox, double seconds,
                      const GPtrArray *problems, const RunResult *results,
                      size_t count)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;

    json_builder_begin_object(builder);
    add_string(builder, "version", version);
    json_builder_set_member_name(builder, "sandbox");
    json_builder_add_boolean_value(builder, sandbox);
    add_int(builder, SECONDS_MEMBER, 0);
    add_problems(builder, problems);
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
    return finish_text(text, seconds);
}
