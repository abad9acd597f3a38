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
    unsigned what;
    FailKind kind;
    int err;
} Sweep;

/* Each is a test of its own on mock devices. */
static const struct {
    const char *name;
    unsigned of;                /* steps that have to do with this; 0: of all */
    FailKind kind;
    int err;
} kinds[] = {
    { "ENOMEM", FAIL_HOST_CALLS, FAIL_CALL, ENOMEM },
    { "EIO", FAIL_HOST_CALLS, FAIL_CALL, EIO },
    { "ENODEV", FAIL_HOST_CALLS, FAIL_CALL_OVER, ENODEV },
    { "EBUSY", FAIL_HOST_CALLS, FAIL_CALL_OVER, EBUSY },
    { "EINTR", FAIL_HOST_CALLS, FAIL_CALL_OVER, EINTR },
    { "EAGAIN", FAIL_HOST_CALLS, FAIL_CALL_OVER, EAGAIN },
    { "no-bytes", FAIL_TRANSFERS, FAIL_NO_BYTES, 0 },
    { "cut-bytes", FAIL_TRANSFERS, FAIL_CUT_BYTES, 0 },
    { "function", 0, FAIL_FUNCTION, 0 },
    { "sleep", 0, FAIL_SLEEP, 0 },
};

static char *host_name;
static char *sites_file;
static int stride = 1;

void fail_try_begin(const FailTry *fail)
{
    switch (fail->kind) {
    case FAIL_ALLOCATION:
        failing_host_fail_allocation(fail->nth);
        break;
    case FAIL_CALL:
        failing_host_fail_call(fail->nth, fail->err);
        break;
    case FAIL_CALL_OVER:
        failing_host_fail_call_over(fail->nth, fail->err);
        break;
    case FAIL_NO_BYTES:
        failing_host_fail_short(fail->nth, FAILING_SHORT_NONE);
        break;
    case FAIL_CUT_BYTES:
        failing_host_fail_short(fail->nth, FAILING_SHORT_CUT);
        break;
    case FAIL_FUNCTION:
        failing_host_fail_function(fail->nth);
        break;
    case FAIL_SLEEP:
        failing_host_interrupt_sleeps();
        break;
    }
}

/* Return: whether there was something left to fail. */
static bool try_nth(const Sweep *sweep, uint64_t nth, unsigned *refused)
{
    const FailTry fail = { sweep->step, sweep->kind, sweep->err, nth };
    bool was_refused;
    bool failed = sweep->func(&fail, &was_refused);

    *refused += was_refused;
    return failed;
}

/* Some things are made once and stay. */
static void try_without_failure(const Sweep *sweep)
{
    const Sweep none = { sweep->func, sweep->step, 0, FAIL_FUNCTION, 0 };
    unsigned refused = 0;

    g_assert_false(try_nth(&none, UINT32_MAX, &refused));
    g_assert_cmpuint(refused, ==, 0);
    rcu_defer_drain();
}

/* To be interrupted is no error, and leaving nothing is a matter of course. */
static void check_tries(const Sweep *sweep, unsigned tries, unsigned refused)
{
    if (sweep->kind == FAIL_SLEEP) {
        g_assert_cmpuint(refused, ==, 0);
    } else if (sweep->kind == FAIL_FUNCTION &&
               !(sweep->what & FAIL_FUNCTIONS)) {
        g_assert_cmpuint(tries, ==, 0);
    } else {
        g_assert_cmpuint(tries, >, 0);
    }
    g_test_message("%u failures: %u refused the step", tries, refused);
}

static void test_sweep(gconstpointer opaque)
{
    const Sweep *sweep = opaque;
    bool failed = true;
    unsigned refused = 0;
    unsigned tries = 0;
    unsigned fds;

    if (sweep->kind == FAIL_ALLOCATION) {
        g_assert_true(failing_host_can_fail_allocations());
    }
    try_without_failure(sweep);
    fds = proc_self_fds();
    for (uint64_t nth = 1; failed; nth += stride) {
        failed = try_nth(sweep, nth, &refused);
        rcu_defer_drain();
        g_assert_cmpuint(proc_self_fds(), ==, fds);
        proc_self_wait_threads(proc_self_lasting_threads());
        tries += failed;
        g_assert_cmpuint(tries, <, MOST_TRIES);
        if (sweep->kind == FAIL_SLEEP) {
            break;
        }
    }
    check_tries(sweep, tries, refused);
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

void fail_sweep_add(const char *path, unsigned what, FailTryFunc *func,
                    const void *step)
{
    Sweep sweep = { func, step, what, FAIL_ALLOCATION, 0 };

    if (g_str_equal(host_name, "kernel")) {
        if (what & FAIL_HOST_CALLS && !(what & FAIL_NOT_IN_KERNEL)) {
            add_sweep(&sweep, "allocation", path);
        }
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (kinds[i].of && !(what & kinds[i].of)) {
            continue;
        }
        sweep.kind = kinds[i].kind;
        sweep.err = kinds[i].err;
        add_sweep(&sweep, kinds[i].name, path);
    }
}

/* ---- The command line ---- */

static const GOptionEntry options[] = {
    { "host", 0, 0, G_OPTION_ARG_STRING, &host_name, "Whose devices (mock)",
      "mock|kernel" },
    { "every", 0, 0, G_OPTION_ARG_INT, &stride,
      "Not each failure, but the first of every COUNT (1)", "COUNT" },
    { "sites", 0, 0, G_OPTION_ARG_FILENAME, &sites_file,
      "Add to FILE where calls have failed", "FILE" },
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

static void deferred(RcuDeferred *unused)
{
}

/* liburcu's, which stays: so that each step finds and leaves it. */
static void start_rcu_thread(void)
{
    static RcuDeferred defer;

    rcu_defer(&defer, deferred);
    rcu_defer_drain();
}

int fail_sweep_main(int argc, char **argv, void (*add)(void))
{
    int ret;

    parse_options(&argc, &argv);
    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    start_rcu_thread();
    add();
    ret = g_test_run();
    if (sites_file) {
        failing_host_write_sites(sites_file);
    }
    rcu_unregister_thread();
    return ret;
}
