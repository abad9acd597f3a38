/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fail-sweep.h"

#include "failing-host.h"
#include "own-options.h"
#include "proc-self.h"

#include "base/rcu.h"

#include <errno.h>

/* More than any step needs: one that never ends is a mistake. */
#define MOST_TRIES 2000

typedef struct Sweep {
    FailTryFunc *func;
    const void *step;
    int err;
} Sweep;

static char *host_name;
static int stride = 1;

void fail_try_begin(const FailTry *fail)
{
    if (fail->err) {
        failing_host_fail_call(fail->nth, fail->err);
    } else {
        failing_host_fail_allocation(fail->nth);
    }
}

/* Return: whether there was something left to fail. */
static bool try_nth(const Sweep *sweep, uint64_t nth, unsigned *refused)
{
    const FailTry fail = { sweep->step, sweep->err, nth };
    bool was_refused;
    bool failed = sweep->func(&fail, &was_refused);

    *refused += was_refused;
    return failed;
}

static void test_sweep(gconstpointer opaque)
{
    const Sweep *sweep = opaque;
    unsigned refused = 0;
    unsigned tries = 0;
    unsigned fds;
    uint64_t nth;

    if (sweep->err == 0) {
        g_assert_true(failing_host_can_fail_allocations());
    }
    /* Some things are made once and stay: liburcu's thread, for one. */
    g_assert_false(try_nth(sweep, UINT32_MAX, &refused));
    rcu_defer_drain();
    fds = proc_self_fds();
    for (nth = 1; try_nth(sweep, nth, &refused); nth += stride) {
        rcu_defer_drain();
        g_assert_cmpuint(proc_self_fds(), ==, fds);
        proc_self_wait_threads(proc_self_lasting_threads());
        g_assert_cmpuint(++tries, <, MOST_TRIES);
    }
    g_assert_cmpuint(tries, >, 0);
    g_test_message("%u failures: %u refused the step", tries, refused);
}

const char *fail_sweep_host(void)
{
    return host_name;
}

static void add_sweep(const Sweep *sweep, const char *what, const char *path)
{
    g_autofree char *full = g_strdup_printf("/fail-nth/%s/%s", what, path);

    g_test_add_data_func_full(full, g_memdup2(sweep, sizeof(*sweep)),
                              test_sweep, g_free);
}

void fail_sweep_add(const char *path, FailTryFunc *func, const void *step)
{
    Sweep sweep = { func, step, 0 };

    if (g_str_equal(host_name, "kernel")) {
        add_sweep(&sweep, "allocation", path);
        return;
    }
    sweep.err = ENOMEM;
    add_sweep(&sweep, "ENOMEM", path);
    sweep.err = EIO;
    add_sweep(&sweep, "EIO", path);
}

/* ---- The command line ---- */

static const GOptionEntry options[] = {
    { "host", 0, 0, G_OPTION_ARG_STRING, &host_name, "Whose devices (mock)",
      "mock|kernel" },
    { "every", 0, 0, G_OPTION_ARG_INT, &stride,
      "Not each failure, but the first of every COUNT (1)", "COUNT" },
    G_OPTION_ENTRY_NULL,
};

static void parse_options(int *argc, char ***argv)
{
    own_options_parse(options, argc, argv);
    if (!host_name) {
        host_name = g_strdup("mock");
    }
    stride = MAX(stride, 1);
}

int fail_sweep_main(int argc, char **argv, void (*add)(void))
{
    int ret;

    parse_options(&argc, &argv);
    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    add();
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
