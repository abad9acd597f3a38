/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program records a run and plays it: its guests read the same, and all
 * counts are the same, at any speed.
 */
#include "vpump-process.h"

#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

static char *path;

/*
 * Two vIOMMUs of each model, on two hosts; an event queue of one entry, so that
 * events are lost, and one with room.
 */
static const char *const devices[] = {
    "-device", "arm-smmuv3,id=smmu0,eventq-log2size=0",
    "-device", "arm-smmuv3,id=smmu1",
    "-device", "intel-iommu,id=vtd0",
    "-device", "intel-iommu,id=vtd1",
    "-device", "emulated-pci,id=e0,viommu=smmu0,iommufd=h0,sid=16",
    "-device", "emulated-pci,id=e1,viommu=smmu0,iommufd=h0,sid=8",
    "-device", "emulated-pci,id=e2,viommu=smmu1,iommufd=h1,sid=16",
    "-device", "emulated-pci,id=p0,viommu=vtd0,iommufd=h1,sid=16",
    "-device", "emulated-pci,id=p1,viommu=vtd1,iommufd=h1,sid=32",
    "-report", "-", "-quiet", NULL
};

/* The devices above after @first, whose strings are borrowed. */
static Outcome run(const char *const *first)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();

    for (size_t i = 0; first[i]; i++) {
        g_ptr_array_add(words, (void *)first[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
        g_ptr_array_add(words, (void *)devices[i]);
    }
    return vpump_run((const char *const *)words->pdata);
}

static Outcome record(const char *load)
{
    const char *const words[] = {
        "-object", "iommufd-emulated,id=h0",
        "-object", "iommufd-emulated,id=h1",
        "-duration", "0.5", "-load", load, "-record", path, NULL
    };

    return run(words);
}

static Outcome replay(const char *speed, const char *duration)
{
    g_autofree char *h0 = g_strdup_printf(
        "iommufd-replay,id=h0,file=%s,host=h0,speed=%s", path, speed);
    g_autofree char *h1 = g_strdup_printf(
        "iommufd-replay,id=h1,file=%s,host=h1,speed=%s", path, speed);
    const char *const words[] = {
        "-object", h0, "-object", h1, duration ? "-duration" : NULL, duration,
        NULL
    };

    return run(words);
}

static JsonArray *get_viommus(JsonParser *parser, const Outcome *outcome)
{
    g_assert_true(json_parser_load_from_data(parser, outcome->out, -1, NULL));
    return json_object_get_array_member(
        json_node_get_object(json_parser_get_root(parser)), "viommus");
}

static void assert_same_member(JsonObject *a, JsonObject *b,
                               const char *object, const char *member)
{
    a = json_object_get_object_member(a, object);
    b = json_object_get_object_member(b, object);
    g_assert_true(json_node_equal(json_object_get_member(a, member),
                                  json_object_get_member(b, member)));
}

/* Return: events lost, to be sure that there were some. */
static int64_t assert_same(const Outcome *recorded, const Outcome *replayed)
{
    g_autoptr(JsonParser) a = json_parser_new();
    g_autoptr(JsonParser) b = json_parser_new();
    JsonArray *before = get_viommus(a, recorded);
    JsonArray *after = get_viommus(b, replayed);
    int64_t lost = 0;

    g_assert_cmpuint(json_array_get_length(before), ==, 4);
    for (unsigned i = 0; i < 4; i++) {
        JsonObject *x = json_array_get_object_element(before, i);
        JsonObject *y = json_array_get_object_element(after, i);

        assert_same_member(x, y, "events", "guest_digest");
        assert_same_member(x, y, "events", "generated");
        assert_same_member(x, y, "events", "delivered");
        assert_same_member(x, y, "events", "lost");
        assert_same_member(x, y, "page_requests", "guest_digest");
        assert_same_member(x, y, "page_requests", "raised");
        assert_same_member(x, y, "page_requests", "answered");
        lost += json_object_get_int_member(
            json_object_get_object_member(x, "events"), "lost");
    }
    return lost;
}

static void check(const char *load, bool losses)
{
    static const char *const speeds[] = { "max", "recorded" };
    Outcome recorded = record(load);

    g_assert_cmpstr(recorded.err, ==, "");
    g_assert_cmpint(recorded.status, ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(speeds); i++) {
        Outcome replayed = replay(speeds[i], NULL);
        int64_t lost;

        g_assert_cmpstr(replayed.err, ==, "");
        g_assert_cmpint(replayed.status, ==, 0);
        lost = assert_same(&recorded, &replayed);
        if (losses) {
            g_assert_cmpint(lost, >, 0);
        }
        outcome_clear(&replayed);
    }
    outcome_clear(&recorded);
}

static void test_some_load(void)
{
    check("2000", false);
}

/* What it delivers fits into the recorder's buffer, however slow the disk. */
static void test_high_load(void)
{
    check("30000", true);
}

/* Ended by -duration it is not all played, which is said and no failure. */
static void test_ended_early(void)
{
    Outcome recorded = record("2000");
    Outcome replayed = replay("recorded", "0.1");

    g_assert_cmpint(recorded.status, ==, 0);
    g_assert_cmpint(replayed.status, ==, 0);
    g_assert_nonnull(strstr(replayed.err,
                            "'h0' has played its recording in part: "));
    g_assert_true(report_is_balanced(replayed.out));
    outcome_clear(&recorded);
    outcome_clear(&replayed);
}

static void test_cut_short(void)
{
    Outcome recorded = record("2000");
    Outcome replayed;

    g_assert_cmpint(truncate(path, 20001), ==, 0);
    replayed = replay("max", NULL);
    g_assert_cmpint(recorded.status, ==, 0);
    g_assert_cmpint(replayed.status, ==, 0);
    g_assert_nonnull(strstr(replayed.err, "ends in the middle of record "));
    g_assert_nonnull(strstr(replayed.err, "it was cut short: played up to "
                                          "there\n"));
    outcome_clear(&recorded);
    outcome_clear(&replayed);
}

static void test_other_devices(void)
{
    Outcome recorded = record("2000");
    g_autofree char *object = g_strdup_printf(
        "iommufd-replay,id=h0,file=%s,host=h0", path);
    const char *const words[] = {
        "-object", object, "-device", "arm-smmuv3,id=smmu0",
        "-device", "emulated-pci,id=e0,viommu=smmu0,iommufd=h0,sid=8", NULL
    };
    Outcome replayed = vpump_run(words);

    g_assert_cmpint(recorded.status, ==, 0);
    g_assert_cmpint(replayed.status, ==, 1);
    g_assert_cmpstr(replayed.out, ==, "");
    g_assert_nonnull(strstr(replayed.err, "iommufd-replay 'h0': the recording "
                                          "of 'h0' has devices with sid 16, 8; "
                                          "here are 8\n"));
    outcome_clear(&recorded);
    outcome_clear(&replayed);
}

/* Their sids are right, but nobody there has an event queue. */
static void test_other_viommus(void)
{
    Outcome recorded = record("2000");
    g_autofree char *object = g_strdup_printf(
        "iommufd-replay,id=h0,file=%s,host=h0,speed=max", path);
    const char *const words[] = {
        "-object", object, "-device", "intel-iommu,id=vtd0", "-quiet",
        "-device", "emulated-pci,id=e0,viommu=vtd0,iommufd=h0,sid=8",
        "-device", "emulated-pci,id=e1,viommu=vtd0,iommufd=h0,sid=16", NULL
    };
    Outcome replayed = vpump_run(words);

    g_assert_cmpint(recorded.status, ==, 0);
    g_assert_cmpint(replayed.status, ==, 1);
    g_assert_nonnull(strstr(replayed.err, " reads of its recording are left: "
                                          "the recorded guest had other "
                                          "vIOMMUs"));
    outcome_clear(&recorded);
    outcome_clear(&replayed);
}

/* Whatever the host of the next run refuses. */
static void test_refused_run_keeps_it(void)
{
    Outcome recorded = record("2000");
    const char *const words[] = {
        "-record", path, "-object", "iommufd,id=h,path=/nonexistent/iommu",
        NULL
    };
    Outcome refused = vpump_run(words);
    Outcome replayed = replay("max", NULL);

    g_assert_cmpint(recorded.status, ==, 0);
    g_assert_cmpint(refused.status, ==, 1);
    g_assert_cmpint(replayed.status, ==, 0);
    g_assert_cmpstr(replayed.err, ==, "");
    outcome_clear(&recorded);
    outcome_clear(&refused);
    outcome_clear(&replayed);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    path = g_strdup_printf("%s/vpump-replay-%d", g_get_tmp_dir(), getpid());
    g_test_add_func("/vpump/replay/some-load-reads-the-same", test_some_load);
    g_test_add_func("/vpump/replay/high-load-reads-the-same", test_high_load);
    g_test_add_func("/vpump/replay/ended-early-says-so", test_ended_early);
    g_test_add_func("/vpump/replay/cut-short-is-played-up-to-there",
                    test_cut_short);
    g_test_add_func("/vpump/replay/other-devices-are-refused",
                    test_other_devices);
    g_test_add_func("/vpump/replay/other-vIOMMUs-fail-the-run",
                    test_other_viommus);
    g_test_add_func("/vpump/replay/refused-run-keeps-the-recording",
                    test_refused_run_keeps_it);
    ret = g_test_run();
    unlink(path);
    g_free(path);
    return ret;
}
