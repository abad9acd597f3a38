/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Failures, one after the other, in every step that a virtual machine's life
 * has on the host:
 *
 *   host-fail-nth --host mock|kernel [--tap]
 *
 * What fails is told in fail-sweep.h. After each try nothing may be left: no
 * object, no descriptor, no thread, no message beyond the one that says what
 * failed.
 */
#include "fail-nth.h"
#include "fail-sweep.h"

#include "failing-host.h"
#include "message-log.h"

#include "base/error.h"

#include <errno.h>
#include <sched.h>

#define WAIT_SECONDS 60

/* ---- The world ---- */

void world_set_calm(IOThread *iothread)
{
    IOThreadProperties properties = iothread_get_properties(iothread);

    properties.poll_max_ns = 0;
    g_assert_true(iothread_set_properties(iothread, &properties, NULL));
}

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
    w->host = test_host_open(fail_sweep_host(), 0, NULL, &error);
    g_assert_no_error(error);
    failing_host_lay_over(w->host);
    step->set_up(w);
}

/* A step that makes parts of a unit, or none, leaves the host to us. */
static void world_tear_down(World *w)
{
    if (w->open) {
        world_unplug_all(w);
    }
    w->free_unit(w->unit);
    if (!w->open) {
        host_iommu_free(w->host);
    }
}

/* ---- A try ---- */

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

static bool try_step(const FailTry *fail, bool *refused)
{
    const FailStep *step = fail->step;
    g_autoptr(GError) error = NULL;
    World w;
    bool failed;

    message_log_start();
    world_set_up(&w, step);
    fail_try_begin(fail);
    *refused = !step->step(&w, &error);
    failed = failing_host_stop();
    if (*refused) {
        g_assert_true(failed);
        check_failure(&w, step, error);
    }
    step->works(&w);
    world_tear_down(&w);
    g_assert_cmpuint(message_log_count(), ==, 0);
    message_log_stop();
    return failed;
}

static void add_table(const FailStep *table)
{
    for (const FailStep *step = table; step->path; step++) {
        fail_sweep_add(step->path, step->what, try_step, step);
    }
}

static void add_steps(void)
{
    add_table(fail_steps_create);
    add_table(fail_steps_smmuv3);
    add_table(fail_steps_vtd);
}

int main(int argc, char **argv)
{
    return fail_sweep_main(argc, argv, add_steps);
}
