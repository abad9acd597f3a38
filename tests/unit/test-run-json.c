/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run-report.h"

#include <json-glib/json-glib.h>
#include <string.h>

/* A report of two vIOMMUs, and where things are in it. */
typedef struct Fixture {
    RunLatencies latencies;
    JsonParser *parser;
    JsonObject *root;
    JsonObject *smmu;
    JsonObject *vtd;
} Fixture;

static void fill(HistogramSnapshot *snapshot, uint64_t most, uint64_t few)
{
    Histogram *histogram = histogram_new();

    for (int i = 1; i <= 1000; i++) {
        histogram_record(histogram, i <= 900 ? most : few);
    }
    histogram_snapshot(histogram, snapshot);
    histogram_free(histogram);
}

static const RunSample events = {
    .kinds = RUN_EVENTS,
    .generated = 1000,
    .refused = 11,
    .seen = 900,
    .corrupt = 12,
    .guest_overflows = 3,
    .guest_digest = UINT64_C(0x0123456789abcdef),
    .gerrors = 13,
    .pump = {
        .delivered = 900, .discarded = 10, .lost = 90, .reads = 50,
        .interrupts = 40, .overflows = 3,
    },
};

static const RunSample pages = {
    .kinds = RUN_PAGES | RUN_OPERATIONS,
    .pages = {
        .raised = 500, .responded = 499, .failed = 22, .unexpected = 23,
        .refused = 24, .no_credit = 7, .guest_overflows = 28, .guest_bad = 27,
        .guest_answered = 26, .unlike = 25, .guest_digest = UINT64_MAX,
        .pump = {
            .raised = 500, .answered = 479, .invalid = 15, .retried = 5,
            .open = 1, .stray = 21, .interrupts = 60, .overflows = 2,
        },
    },
    .operations = {
        .begun = 31, .completed = 32, .verified = 33, .corrupt = 34,
        .failed = 35, .changed = 36, .damaged = 37,
    },
};

static void setup(Fixture *f, gconstpointer unused)
{
    static const RunDevice smmu_devices[] = {
        { .id = "d0", .kind = "emulated-pci", .completed_operations = 1000 },
    };
    static const RunDevice vtd_devices[] = {
        { "a0", "sva-device", 70, true, 69 },
        { "d1", "emulated-pci", 30, false, 0 },
    };
    RunResult results[] = {
        { "s0", "arm-smmuv3", "io0", events, &f->latencies, smmu_devices, 1 },
        { "v0", "intel-iommu", "io\"1", pages, &f->latencies, vtd_devices, 2 },
    };
    g_autoptr(GPtrArray) problems = g_ptr_array_new();
    g_autofree char *text = NULL;
    JsonArray *viommus;

    fill(&f->latencies.event, 50, 5000);
    fill(&f->latencies.roundtrip, 60, 6000);
    g_ptr_array_add(problems, (char *)"host \"h\" has lost its way");
    text = run_report_json("1.2.3", true, 2.0139999, problems, results, 2);
    g_assert_cmpint(text[strlen(text) - 1], ==, '\n');
    g_assert_nonnull(strstr(text, "\"sandbox\" : true,"));
    g_assert_nonnull(strstr(text, "\"seconds\" : 2.014,"));
    f->parser = json_parser_new();
    g_assert_true(json_parser_load_from_data(f->parser, text, -1, NULL));
    f->root = json_node_get_object(json_parser_get_root(f->parser));
    viommus = json_object_get_array_member(f->root, "viommus");
    g_assert_cmpuint(json_array_get_length(viommus), ==, 2);
    f->smmu = json_array_get_object_element(viommus, 0);
    f->vtd = json_array_get_object_element(viommus, 1);
}

static void teardown(Fixture *f, gconstpointer unused)
{
    g_object_unref(f->parser);
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

#define assert_int(object, member, value) \
    g_assert_cmpint(json_object_get_int_member(object, member), ==, value)
#define assert_string(object, member, value) \
    g_assert_cmpstr(json_object_get_string_member(object, member), ==, value)

static void test_root(Fixture *f, gconstpointer unused)
{
    JsonArray *problems;

    assert_members(f->root, "version sandbox seconds balanced problems "
                            "viommus");
    assert_string(f->root, "version", "1.2.3");
    g_assert_true(json_object_get_double_member(f->root, "seconds") == 2.014);
    g_assert_false(json_object_get_boolean_member(f->root, "balanced"));
    problems = json_object_get_array_member(f->root, "problems");
    g_assert_cmpuint(json_array_get_length(problems), ==, 1);
    g_assert_cmpstr(json_array_get_string_element(problems, 0), ==,
                    "host \"h\" has lost its way");
}

/* Whatever it does. */
static void test_viommus_have_the_same_members(Fixture *f, gconstpointer unused)
{
    const char *names = "id model iothread events guest_errors untold reads "
                        "interrupts overflows latency_ns page_requests "
                        "operations devices";

    assert_members(f->smmu, names);
    assert_members(f->vtd, names);
    assert_string(f->vtd, "id", "v0");
    assert_string(f->vtd, "model", "intel-iommu");
    assert_string(f->vtd, "iothread", "io\"1");
    assert_int(json_object_get_object_member(f->smmu, "page_requests"),
               "raised", 0);
}

static void test_events(Fixture *f, gconstpointer unused)
{
    JsonObject *object = json_object_get_object_member(f->smmu, "events");
    JsonObject *ns = json_object_get_object_member(f->smmu, "latency_ns");

    assert_int(f->smmu, "reads", 50);
    assert_int(f->smmu, "interrupts", 40);
    assert_int(f->smmu, "overflows", 3);
    assert_members(object, "generated delivered discarded lost refused "
                           "guest_read guest_damaged guest_overflows "
                           "guest_digest");
    assert_int(object, "generated", 1000);
    assert_int(object, "delivered", 900);
    assert_int(object, "discarded", 10);
    assert_int(object, "lost", 90);
    assert_int(object, "refused", 11);
    assert_int(object, "guest_read", 900);
    assert_int(object, "guest_damaged", 12);
    assert_int(object, "guest_overflows", 3);
    g_assert_cmpstr(json_object_get_string_member(object, "guest_digest"), ==,
                    "0123456789abcdef");
    assert_int(f->smmu, "guest_errors", 13);
    assert_members(ns, "p50 p99 p999 max");
    assert_int(ns, "p50", 50);
    assert_int(ns, "max", 5000);
}

static void test_page_requests(Fixture *f, gconstpointer unused)
{
    JsonObject *object =
        json_object_get_object_member(f->vtd, "page_requests");
    JsonObject *ns = json_object_get_object_member(object, "roundtrip_ns");

    assert_members(object, "raised answered invalid retried open stray "
                           "responded failed unexpected refused unlike "
                           "guest_answered guest_damaged guest_overflows "
                           "guest_digest no_credit interrupts overflows "
                           "roundtrip_ns");
    assert_int(object, "raised", 500);
    assert_int(object, "answered", 479);
    assert_int(object, "invalid", 15);
    assert_int(object, "retried", 5);
    assert_int(object, "open", 1);
    assert_int(object, "stray", 21);
    assert_int(object, "responded", 499);
    assert_int(object, "failed", 22);
    assert_int(object, "unexpected", 23);
    assert_int(object, "refused", 24);
    assert_int(object, "unlike", 25);
    assert_int(object, "guest_answered", 26);
    assert_int(object, "guest_damaged", 27);
    assert_int(object, "guest_overflows", 28);
    g_assert_cmpstr(json_object_get_string_member(object, "guest_digest"), ==,
                    "ffffffffffffffff");
    assert_int(object, "no_credit", 7);
    assert_int(object, "interrupts", 60);
    assert_int(object, "overflows", 2);
    assert_members(ns, "p50 p99 p999 max");
    assert_int(ns, "p50", 60);
    assert_int(ns, "max", 6000);
}

static void test_operations(Fixture *f, gconstpointer unused)
{
    static const char *const names[] = {
        "begun", "completed", "verified", "corrupt", "failed", "changed",
        "damaged",
    };
    JsonObject *object = json_object_get_object_member(f->vtd, "operations");

    assert_members(object, "begun completed verified corrupt failed changed "
                           "damaged");
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        assert_int(object, names[i], 31 + (int)i);
    }
}

/* Verified is what has touched memory. */
static void test_devices(Fixture *f, gconstpointer unused)
{
    JsonArray *devices = json_object_get_array_member(f->vtd, "devices");
    JsonObject *device;

    g_assert_cmpuint(json_array_get_length(devices), ==, 2);
    device = json_array_get_object_element(devices, 0);
    assert_members(device, "id kind completed_operations verified");
    assert_string(device, "id", "a0");
    assert_string(device, "kind", "sva-device");
    assert_int(device, "completed_operations", 70);
    assert_int(device, "verified", 69);
    device = json_array_get_object_element(devices, 1);
    assert_members(device, "id kind completed_operations");
    assert_int(device, "completed_operations", 30);
    devices = json_object_get_array_member(f->smmu, "devices");
    g_assert_cmpuint(json_array_get_length(devices), ==, 1);
}

/* Of real devices nobody knows what they have done. */
static void test_uncounted(void)
{
    g_autofree RunLatencies *latencies = g_new0(RunLatencies, 1);
    const RunResult result = {
        "s0", "arm-smmuv3", "io0",
        { .kinds = RUN_EVENTS, .uncounted = true, .pump.delivered = 900 },
        latencies, NULL, 0,
    };
    g_autoptr(GPtrArray) problems = g_ptr_array_new();
    g_autofree char *text = run_report_json("1", false, 1, problems, &result, 1);

    g_assert_nonnull(strstr(text, "\"sandbox\" : false,"));
    g_assert_nonnull(strstr(text, "\"generated\" : null,"));
    g_assert_nonnull(strstr(text, "\"delivered\" : 900,"));
    g_assert_nonnull(strstr(text, "\"raised\" : null,"));
    g_assert_nonnull(strstr(text, "\"responded\" : null,"));
}

#define ADD(path, test) \
    g_test_add("/run-json/" path, Fixture, NULL, setup, test, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("root", test_root);
    g_test_add_func("/run-json/uncounted-is-null", test_uncounted);
    ADD("viommus-have-the-same-members", test_viommus_have_the_same_members);
    ADD("events", test_events);
    ADD("page-requests", test_page_requests);
    ADD("operations", test_operations);
    ADD("devices", test_devices);
    return g_test_run();
}
