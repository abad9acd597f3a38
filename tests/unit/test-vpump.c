/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program from outside: what goes where, and the exit status.
 */
#include "vpump-process.h"

#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/resource.h>

static void test_help_goes_to_stdout(void)
{
    static const struct {
        const char *words[3];
        const char *begin;
    } cases[] = {
        { { "-help" }, "usage: vpump" },
        { { "--help" }, "usage: vpump" },
        { { "--version" }, "vpump version " },
        { { "-device", "help" }, "Misc devices:\n" },
        { { "-device", "arm-smmuv3,help" }, "arm-smmuv3 options:\n" },
        { { "-object", "?" }, "List of user creatable objects:\n" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Outcome outcome = vpump_run(cases[i].words);

        g_assert_cmpint(outcome.status, ==, 0);
        g_assert_true(g_str_has_prefix(outcome.out, cases[i].begin));
        g_assert_cmpstr(outcome.err, ==, "");
        outcome_clear(&outcome);
    }
}

static void test_errors_go_to_stderr(void)
{
    static const struct {
        const char *words[3];
        const char *err;
    } cases[] = {
        { { "-device", "foo" },
          "vpump: -device foo: 'foo' is not a valid device model name\n"
          "accepted: arm-smmuv3, emulated-pci, intel-iommu, iommufd-mock, "
          "sva-device, vfio-pci\n" },
        { { "-duration" },
          "vpump: -duration: requires an argument: SECONDS, 0 until "
          "interrupted\n" },
        { { "-object", "iommufd,id=h,fd=2147483647" },
          "vpump: -object iommufd,id=h,fd=2147483647: iommufd 'h': fd "
          "2147483647 is no iommufd (open /dev/iommu for reading and writing, "
          "and pass that): Bad file descriptor\n" },
        { { "-report", "/dev/null/r.json" },
          "vpump: -report /dev/null/r.json: cannot be written: Not a "
          "directory\n" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Outcome outcome = vpump_run(cases[i].words);

        g_assert_cmpint(outcome.status, ==, 1);
        g_assert_cmpstr(outcome.out, ==, "");
        g_assert_cmpstr(outcome.err, ==, cases[i].err);
        outcome_clear(&outcome);
    }
}

/* 0x1ff is not 0, which is open. */
static void test_fd_may_be_hexadecimal(void)
{
    static const char *const words[] = {
        "-object", "iommufd,id=h,fd=0x1ff", NULL
    };
    Outcome outcome = vpump_run(words);

    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_nonnull(strstr(outcome.err, "iommufd 'h': fd 511 is no iommufd"));
    outcome_clear(&outcome);
}

/* Runs in the child. */
static void set_fd_limit(gpointer opaque)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = GPOINTER_TO_INT(opaque);
    setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * With ever more descriptors there comes a run whose vIOMMU gets all but its
 * vEVENTQ: the host refuses its events, and the verdict must say so.
 */
static void test_unbalanced_run_fails(void)
{
    static const char *const words[] = {
        "-object", "iommufd-emulated,id=h", "-device", "arm-smmuv3,id=smmu0",
        "-device", "emulated-pci,id=d,viommu=smmu0,iommufd=h",
        "-duration", "0.2", "-load", "1000", "-report", "-", "-quiet", NULL
    };
    bool seen = false;

    for (int limit = 4; limit < 200; limit++) {
        Outcome outcome = vpump_run_with(words, set_fd_limit,
                                         GINT_TO_POINTER(limit));
        bool done = outcome.status == 0;

        if (!done && outcome.out[0]) {
            seen = true;
            g_assert_cmpint(outcome.status, ==, 1);
            g_assert_false(report_is_balanced(outcome.out));
            g_assert_nonnull(strstr(outcome.err, "vpump: vIOMMU 'smmu"));
            g_assert_nonnull(strstr(outcome.err, "does not balance: "));
            g_assert_nonnull(strstr(outcome.err, "events refused by the host"));
        }
        outcome_clear(&outcome);
        if (done) {
            break;
        }
    }
    g_assert_true(seen);
}

/* Events on one vIOMMU, page requests on two, operations on the last. */
static void test_default_machine_balances(void)
{
    static const char *const words[] = {
        "-duration", "1", "-load", "max", "-report", "-", "-quiet", NULL
    };
    Outcome outcome = vpump_run(words);
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonArray *viommus;

    g_assert_cmpint(outcome.status, ==, 0);
    g_assert_true(report_is_balanced(outcome.out));
    json_parser_load_from_data(parser, outcome.out, -1, NULL);
    viommus = json_object_get_array_member(
        json_node_get_object(json_parser_get_root(parser)), "viommus");
    g_assert_cmpuint(json_array_get_length(viommus), ==, 3);
    for (unsigned i = 0; i < 3; i++) {
        JsonObject *viommu = json_array_get_object_element(viommus, i);
        JsonObject *events = json_object_get_object_member(viommu, "events");
        JsonObject *pages =
            json_object_get_object_member(viommu, "page_requests");
        JsonObject *device = json_array_get_object_element(
            json_object_get_array_member(viommu, "devices"), 0);

        g_assert_cmpint(json_object_get_int_member(events, "generated") > 0,
                        ==, i == 0);
        g_assert_cmpint(json_object_get_int_member(pages, "answered") > 0,
                        ==, i > 0);
        g_assert_cmpint(json_object_get_int_member(pages, "open"), ==, 0);
        g_assert_cmpint(
            json_object_get_int_member(device, "completed_operations"), >, 0);
        g_assert_cmpint(json_object_has_member(device, "verified"), ==, i == 2);
    }
    outcome_clear(&outcome);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vpump/help-goes-to-stdout", test_help_goes_to_stdout);
    g_test_add_func("/vpump/errors-go-to-stderr", test_errors_go_to_stderr);
    g_test_add_func("/vpump/default-machine-balances",
                    test_default_machine_balances);
    g_test_add_func("/vpump/fd-may-be-hexadecimal", test_fd_may_be_hexadecimal);
    g_test_add_func("/vpump/unbalanced-run-fails", test_unbalanced_run_fails);
    return g_test_run();
}
