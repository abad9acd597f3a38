/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the conformance suite on one host:
 *
 *   host-conformance --host kernel|emulated [--results FILE] [--tap] [PREFIX]
 *
 * Each case has a host of its own, and leaves nothing on it: what is left is
 * swept, and fails the case. Results are a line per case: its name, "pass",
 * "fail" or "skip", and what its checks saw, between tabs.
 */
#include "conformance.h"
#include "proc-self.h"

#include "host/emul.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A case that needs more objects at a time than this leaks unseen. */
#define SWEPT_IDS 1024

typedef HostIommu *OpenFunc(GError **error);

static OpenFunc *open_host;
static const char *no_host;     /* why there is none */
static FILE *results;

static const ConformanceCase *const tables[] = {
    conformance_alloc,
    conformance_ioas,
    conformance_objects,
    conformance_device,
    conformance_invalidate,
    conformance_destroy,
    conformance_races,
    conformance_veventq,
    conformance_loss,
    conformance_ready,
    conformance_fault,
    conformance_fault_route,
    conformance_respond,
};

static HostIommu *open_kernel(GError **error)
{
    return host_syscalls_new(NULL, error);
}

static HostIommu *open_emulated(GError **error)
{
    return emul_new(error);
}

/* Return: how many went. What is still there is in @left. */
static unsigned sweep_once(Conformance *c, GArray *left)
{
    unsigned gone = 0;

    g_array_set_size(left, 0);
    for (uint32_t id = 1; id <= SWEPT_IDS; id++) {
        if (destroy(c, id) == 0) {
            gone++;
        } else if (errno != ENOENT) {
            g_array_append_val(left, id);
            continue;
        } else {
            continue;
        }
        c->failed = true;
        g_string_append_printf(c->result, "; leaked ID %u", id);
    }
    return gone;
}

/* Users go before what they use, so that it takes a few rounds. */
static void sweep(Conformance *c)
{
    GArray *left = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    while (sweep_once(c, left) && left->len) {
        continue;
    }
    for (unsigned i = 0; i < left->len; i++) {
        c->failed = true;
        g_string_append_printf(c->result, "; leaked ID %u, in use",
                               g_array_index(left, uint32_t, i));
    }
    g_array_unref(left);
}

static void sweep_fds(Conformance *c, unsigned fds)
{
    unsigned now = proc_self_fds();

    if (now != fds) {
        c->failed = true;
        g_string_append_printf(c->result, "; %u fds, not %u", now, fds);
    }
}

static void put_result(const char *name, const Conformance *c)
{
    const char *verdict = c->failed ? "fail" : c->skipped ? "skip" : "pass";

    if (results) {
        fprintf(results, "%s\t%s\t%s\n", name, verdict,
                !c->failed && c->skipped ? c->skipped : c->result->str);
    }
    if (c->failed) {
        g_test_fail_printf("%s", c->result->str);
    } else if (c->skipped) {
        g_test_skip(c->skipped);
    } else {
        g_test_message("%s", c->result->str);
    }
}

static void run_case(gconstpointer data)
{
    const ConformanceCase *entry = data;
    g_autoptr(GError) error = NULL;
    Conformance c = { .skipped = no_host };
    unsigned fds = proc_self_fds();

    c.result = g_string_new(NULL);
    if (!c.skipped) {
        c.host = open_host(&error);
        if (!c.host) {
            g_error("%s", error->message);
        }
        entry->run(&c);
        sweep(&c);
        host_iommu_free(c.host);
        sweep_fds(&c, fds);
    }
    put_result(entry->name, &c);
    g_string_free(c.result, TRUE);
}

/* A mock driver refuses operation 0 by its own errno, not as unknown. */
static bool has_mock_driver(HostIommu *host)
{
    struct iommu_test_cmd cmd = { .size = sizeof(cmd) };

    return host->ops->ioctl(host, host->fd, IOMMU_TEST_CMD, &cmd) == 0 ||
           errno != ENOTTY;
}

/* Return: why no case can be run, NULL if they can. */
static const char *find_host(void)
{
    g_autoptr(GError) error = NULL;
    HostIommu *host = open_host(&error);
    bool mock;

    if (!host) {
        return g_intern_string(error->message);
    }
    mock = has_mock_driver(host);
    host_iommu_free(host);
    return mock ? NULL
                : "this iommufd has no mock driver (CONFIG_IOMMUFD_TEST)";
}

static bool add_cases(const char *prefix)
{
    bool any = false;

    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        for (const ConformanceCase *entry = tables[i]; entry->name; entry++) {
            g_autofree char *path = NULL;

            if (prefix && !g_str_has_prefix(entry->name, prefix)) {
                continue;
            }
            path = g_strconcat("/host/", entry->name, NULL);
            g_test_add_data_func(path, entry, run_case);
            any = true;
        }
    }
    return any;
}

static char *host_name;
static char *results_file;

static const GOptionEntry options[] = {
    { "host", 0, 0, G_OPTION_ARG_STRING, &host_name, "Which one",
      "kernel|emulated" },
    { "results", 0, 0, G_OPTION_ARG_FILENAME, &results_file,
      "A line per case", "FILE" },
    G_OPTION_ENTRY_NULL,
};

static G_NORETURN void give_up(const char *message)
{
    g_printerr("host-conformance: %s\n", message);
    exit(2);
}

/* Before GLib's own options. */
static void parse_options(int *argc, char ***argv)
{
    GOptionContext *context = g_option_context_new("[PREFIX]");
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_set_ignore_unknown_options(context, TRUE);
    g_option_context_set_help_enabled(context, FALSE);
    if (!g_option_context_parse(context, argc, argv, &error)) {
        give_up(error->message);
    }
    g_option_context_free(context);
    if (!g_strcmp0(host_name, "kernel")) {
        open_host = open_kernel;
    } else if (!g_strcmp0(host_name, "emulated")) {
        open_host = open_emulated;
    } else {
        give_up("--host is kernel or emulated");
    }
}

int main(int argc, char **argv)
{
    int ret;

    parse_options(&argc, &argv);
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();   /* a failed case is not the end */
    if (results_file) {
        results = fopen(results_file, "we");
        if (!results) {
            g_error("cannot open %s: %s", results_file, strerror(errno));
        }
    }
    no_host = find_host();
    if (no_host && open_host == open_emulated) {
        give_up(no_host);       /* needs nothing that could be missing */
    }
    if (!add_cases(argc > 1 ? argv[1] : NULL)) {
        give_up("no case has that prefix");
    }
    ret = g_test_run();
    if (results && fclose(results)) {
        g_error("cannot write %s: %s", results_file, strerror(errno));
    }
    return ret;
}
