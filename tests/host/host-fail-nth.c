/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Failures, one after the other, in every step that a virtual machine's life
 * has on the host:
 *
 *   host-fail-nth --host mock|kernel [--tap]
 *
 * On the kernel its own fault injection has the Nth allocation fail that the
 * host calls of a step make, on whatever thread; on the emulated host's mock
 * devices the Nth call fails by an errno. N goes up until a step has nothing
 * left to fail. After each try nothing may be left: no object, no descriptor,
 * no thread, no message beyond the one that says what failed.
 */
#include "fail-nth.h"

#include "failing-host.h"
#include "message-log.h"
#include "own-options.h"
#include "proc-self.h"

#include "base/error.h"
#include "base/rcu.h"
#include "host/iommufd-abi.h"

#include <errno.h>
#include <sched.h>

/* More than any step needs: one that never ends is a mistake. */
#define MOST_TRIES 2000
#define WAIT_SECONDS 60

/* IDs are the lowest free ones. */
#define SWEPT_IDS 256

typedef struct Sweep {
    const FailStep *step;
    int err;                    /* 0: allocations of the kernel */
} Sweep;

static char *host_name;

/* ---- The world ---- */

bool world_check_messages(GError **error)
{
    if (message_log_count() == 0) {
        return true;
    }
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "%s",
                message_log_get(0));
    return false;
}

static VfioDevice *open_device(World *w, unsigned i, GError **error)
{
    g_autofree char *name = g_strdup_printf("dev%u", i);
    int fd = w->host->hardware->device_open(w->host, w->iommu);
    VfioDevice *device;

    if (fd < 0) {
        error_set_errno(error, errno, "%s: cannot be opened", name);
        return NULL;
    }
    device = vfio_device_bind(w->host, fd, name, error);
    if (!device) {
        w->host->ops->close(w->host, fd);
    }
    return device;
}

bool world_plug(World *w, unsigned i, GError **error)
{
    VfioDevice *device = open_device(w, i, error);

    if (!device) {
        return false;
    }
    if (!viommu_add_device(w->viommu, device, WORLD_ID(i), error)) {
        vfio_device_free(device);
        return false;
    }
    g_ptr_array_add(w->open, device);
    w->devices[i] = device;
    return true;
}

void world_plug_all(World *w)
{
    for (unsigned i = 0; i < WORLD_DEVICES; i++) {
        g_autoptr(GError) error = NULL;

        world_plug(w, i, &error);
        g_assert_no_error(error);
    }
}

void world_unplug_all(World *w)
{
    test_devices_close(w->viommu, w->open);
    for (unsigned i = 0; i < WORLD_DEVICES; i++) {
        w->devices[i] = NULL;
    }
}

void world_wait(World *w, bool (*done)(World *w))
{
    gint64 end = g_get_monotonic_time() + WAIT_SECONDS * G_USEC_PER_SEC;

    while (!done(w)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        sched_yield();
    }
}

static void world_set_up(World *w, const FailStep *step)
{
    g_autoptr(GError) error = NULL;

    *w = (World){ 0 };
    w->host = test_host_open(host_name, 0, &w->failing, &error);
    g_assert_no_error(error);
    step->set_up(w);
}

/* No object is left, whoever may know of it. */
static void check_no_object(World *w)
{
    for (uint32_t id = 1; id <= SWEPT_IDS; id++) {
        struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };
        int ret = w->failing->ops->ioctl(w->failing, w->failing->fd,
                                         IOMMU_DESTROY, &cmd);

        if (ret == 0 || errno != ENOENT) {
            g_error("object %u is left (%s)", id,
                    ret == 0 ? "unused" : g_strerror(errno));
        }
    }
}

static void world_tear_down(World *w)
{
    world_unplug_all(w);
    check_no_object(w);
    w->free_unit(w->unit);
}

/* ---- A try ---- */

static void fail_nth(World *w, const Sweep *sweep, uint64_t nth)
{
    if (sweep->err) {
        failing_host_fail_call(w->failing, nth, sweep->err);
    } else {
        failing_host_fail_allocation(w->failing, nth);
    }
}

/* Said once, in words; then it works as if nothing had been. */
static void check_failure(World *w, const FailStep *step, const GError *failure)
{
    g_autoptr(GError) error = NULL;

    g_assert_nonnull(failure);
    g_assert_cmpstr(failure->message, !=, "");
    if (message_log_count() > 1) {
        g_error("%u messages: %s; %s", message_log_count(),
                message_log_get(0), message_log_get(1));
    }
    message_log_start();
    step->step(w, &error);
    g_assert_no_error(error);
}

/* Return: whether there was something left to fail. */
static bool try_nth(const Sweep *sweep, uint64_t nth, unsigned *refused)
{
    g_autoptr(GError) error = NULL;
    World w;
    bool done;
    bool failed;

    message_log_start();
    world_set_up(&w, sweep->step);
    fail_nth(&w, sweep, nth);
    done = sweep->step->step(&w, &error);
    failed = failing_host_stop(w.failing);
    if (!done) {
        g_assert_true(failed);
        check_failure(&w, sweep->step, error);
        ++*refused;
    }
    sweep->step->works(&w);
    world_tear_down(&w);
    g_assert_cmpuint(message_log_count(), ==, 0);
    message_log_stop();
    return failed;
}

static void test_sweep(gconstpointer opaque)
{
    const Sweep *sweep = opaque;
    unsigned refused = 0;
    unsigned fds;
    uint64_t nth;

    if (sweep->err == 0) {
        g_assert_true(failing_host_can_fail_allocations());
    }
    /* Some things are made once and stay: liburcu's thread, for one. */
    g_assert_false(try_nth(sweep, UINT32_MAX, &refused));
    rcu_defer_drain();
    fds = proc_self_fds();
    for (nth = 1; try_nth(sweep, nth, &refused); nth++) {
        rcu_defer_drain();
        g_assert_cmpuint(proc_self_fds(), ==, fds);
        proc_self_wait_threads(proc_self_lasting_threads());
        g_assert_cmpuint(nth, <, MOST_TRIES);
    }
    g_assert_cmpuint(nth, >, 1);
    g_test_message("%" G_GUINT64_FORMAT " failures: %u refused the step",
                   nth - 1, refused);
}

/* ---- The command line ---- */

static const GOptionEntry options[] = {
    { "host", 0, 0, G_OPTION_ARG_STRING, &host_name, "Whose devices (mock)",
      "mock|kernel" },
    G_OPTION_ENTRY_NULL,
};

static void parse_options(int *argc, char ***argv)
{
    own_options_parse(options, argc, argv);
    if (!host_name) {
        host_name = g_strdup("mock");
    }
}

static void add_sweep(const FailStep *step, const char *what, int err)
{
    g_autofree char *path = g_strdup_printf("/fail-nth/%s/%s", what,
                                            step->path);
    Sweep *sweep = g_new0(Sweep, 1);

    sweep->step = step;
    sweep->err = err;
    g_test_add_data_func_full(path, sweep, test_sweep, g_free);
}

static void add_sweeps(const FailStep *steps)
{
    for (; steps->path; steps++) {
        if (g_str_equal(host_name, "kernel")) {
            add_sweep(steps, "allocation", 0);
        } else {
            add_sweep(steps, "ENOMEM", ENOMEM);
            add_sweep(steps, "EIO", EIO);
        }
    }
}

int main(int argc, char **argv)
{
    int ret;

    parse_options(&argc, &argv);
    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    add_sweeps(fail_steps_smmuv3);
    add_sweeps(fail_steps_vtd);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
