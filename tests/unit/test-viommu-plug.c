/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hot plug and unplug: which host objects exist when, what is said of a device
 * that cannot be plugged, and that a failure leaves nothing behind.
 */
#include "fixture.h"
#include "message-log.h"
#include "proc-self.h"

#include "base/error.h"
#include "base/rcu.h"
#include "host/iommufd.h"
#include "hw/arm/smmuv3-internal.h"

#include <errno.h>

/* IOAS, nest parent, vIOMMU, abort HWPT, bypass HWPT */
#define SHARED_OBJECTS 5

static Fixture *f;
static uint64_t skipped;        /* see fixture_assert_balanced() */
static unsigned fds;

static void setup(void)
{
    rcu_defer_drain();
    fds = proc_self_fds();
    skipped = 0;
    f = fixture_new(NULL, false);
}

static void teardown(void)
{
    fixture_unplug_all(f);
    fixture_assert_balanced(f, skipped);
    fixture_free(f);
    g_assert_cmpuint(proc_self_fds(), ==, fds);
}

static unsigned objects(void)
{
    return emul_get_stats(f->host).objects;
}

/* What is to be seen of devices that stay open, plugged or not. */
#define DEVICES 3

typedef struct Plugged {
    VfioDevice *device[DEVICES];
    bool plugged[DEVICES];
    bool enabled;
} Plugged;

static uint32_t sid_of(unsigned i)
{
    return 3 + i;
}

static void toggle_device(Plugged *p, unsigned i)
{
    g_autoptr(GError) error = NULL;

    if (p->plugged[i]) {
        g_assert_true(viommu_remove_device(f->viommu, sid_of(i)));
    } else {
        viommu_add_device(f->viommu, p->device[i], sid_of(i), &error);
        g_assert_no_error(error);
    }
    p->plugged[i] = !p->plugged[i];
}

/* One of DEVICES + 2 things that may happen at any time. */
static void step(Plugged *p, unsigned op)
{
    if (op < DEVICES) {
        toggle_device(p, op);
    } else if (op == DEVICES) {
        if (p->enabled) {
            guest_disable_eventq(f);
        } else {
            guest_enable_eventq(f, 5);
        }
        p->enabled = !p->enabled;
    } else {
        viommu_reset(f->viommu);
        p->enabled = false;
    }
}

static void check(const Plugged *p)
{
    unsigned count = 0;
    unsigned expected = DEVICES;

    for (unsigned i = 0; i < DEVICES; i++) {
        count += p->plugged[i];
    }
    if (count > 0) {
        expected += SHARED_OBJECTS + count + p->enabled;
    }
    g_assert_cmpuint(objects(), ==, expected);
    for (unsigned i = 0; i < DEVICES; i++) {
        g_assert_cmpint(fixture_report(f, p->device[i], i), ==,
                        p->plugged[i] && p->enabled ? EMUL_REPORT_QUEUED
                                                    : EMUL_REPORT_REFUSED);
    }
}

/*
 * Every sequence of so many steps. After each, the objects are those of the
 * state reached, whatever the way there, and a device's events find a queue
 * exactly while it is plugged and the guest's queue is on.
 */
static void test_every_order(void)
{
    enum { STEPS = 4, OPS = DEVICES + 2 };
    Plugged p = { 0 };

    for (unsigned i = 0; i < DEVICES; i++) {
        p.device[i] = fixture_open_device(f);
    }
    for (unsigned code = 0; code < OPS * OPS * OPS * OPS; code++) {
        unsigned rest = code;

        for (unsigned i = 0; i < STEPS; i++, rest /= OPS) {
            step(&p, rest % OPS);
            check(&p);
        }
        step(&p, DEVICES + 1);
        for (unsigned i = 0; i < DEVICES; i++) {
            if (p.plugged[i]) {
                toggle_device(&p, i);
            }
        }
        check(&p);
        fixture_assert_balanced(f, 0);
    }
}

static void test_last_device_takes_the_host_objects_away(void)
{
    VfioDevice *first = fixture_plug(f, 1);
    VfioDevice *second = fixture_plug(f, 2);

    guest_enable_eventq(f, 4);
    /* The one that the shared objects were made for goes first. */
    fixture_unplug(f, first, 1);
    g_assert_cmpuint(objects(), ==, SHARED_OBJECTS + 1 + 2);
    fixture_unplug(f, second, 2);
    g_assert_cmpuint(objects(), ==, 0);
}

static void assert_refused(VfioDevice *device, uint32_t sid, ViommuError code,
                           const char *message)
{
    g_autoptr(GError) error = NULL;
    unsigned before = objects();

    g_assert_false(viommu_add_device(f->viommu, device, sid, &error));
    g_assert_error(error, VIOMMU_ERROR, (int)code);
    g_assert_cmpstr(error->message, ==, message);
    g_assert_cmpuint(objects(), ==, before);
}

static void test_duplicate_stream_id(void)
{
    VfioDevice *device = fixture_plug(f, 7);

    assert_refused(fixture_open_device(f), 7, VIOMMU_ERROR_EXISTS,
                   "device 'dev1': virtual ID 0x7 is taken");
    guest_enable_eventq(f, 2);
    g_assert_cmpint(fixture_report(f, device, 0), ==, EMUL_REPORT_QUEUED);
}

static void test_same_device_twice(void)
{
    g_autofree char *message = NULL;
    VfioDevice *device = fixture_plug(f, 7);

    message = g_strdup_printf("device 'dev0': host device ID %u is taken",
                              vfio_device_get_dev_id(device));
    assert_refused(device, 8, VIOMMU_ERROR_EXISTS, message);
    g_assert_false(viommu_remove_device(f->viommu, 8));
}

static void test_stream_id_out_of_range(void)
{
    static const uint32_t bad[] = { 0x10000, 0x12345678, UINT32_MAX };
    VfioDevice *device = fixture_open_device(f);

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *message = g_strdup_printf(
            "device 'dev0': ID 0x%x is out of range for vIOMMU 'smmu0', "
            "which takes 0 to 0xffff", bad[i]);

        assert_refused(device, bad[i], VIOMMU_ERROR_INVALID, message);
        g_assert_false(viommu_remove_device(f->viommu, bad[i]));
    }
}

static void test_first_and_last_stream_id(void)
{
    static const uint32_t good[] = { 0, 0xffff };

    guest_enable_eventq(f, 2);
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        VfioDevice *device = fixture_plug(f, good[i]);
        uint64_t event[4];

        g_assert_cmpint(fixture_report(f, device, 0), ==, EMUL_REPORT_QUEUED);
        fixture_pump(f);
        g_assert_true(guest_consume(f, event));
        g_assert_cmphex(event[0] >> 32, ==, good[i]);
        fixture_unplug(f, device, good[i]);
    }
}

static void test_second_iommufd(void)
{
    HostIommu *other = emul_new(NULL);
    VfioDevice *stranger = vfio_device_bind(other, emul_device_open(other),
                                            "stranger", NULL);
    VfioDevice *device = fixture_plug(f, 1);
    g_autoptr(GError) error = NULL;

    assert_refused(stranger, 2, VIOMMU_ERROR_INVALID,
                   "device 'stranger': all devices of vIOMMU 'smmu0' must "
                   "use one iommufd");
    /* Once it has none, a vIOMMU is free to choose. */
    fixture_unplug(f, device, 1);
    viommu_add_device(f->viommu, stranger, 2, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(emul_get_stats(other).objects, ==, SHARED_OBJECTS + 2);
    g_assert_true(viommu_remove_device(f->viommu, 2));
    vfio_device_free(stranger);
    g_assert_cmpuint(emul_get_stats(other).objects, ==, 0);
    host_iommu_free(other);
}

static void test_remove_unknown(void)
{
    VfioDevice *device;

    g_assert_false(viommu_remove_device(f->viommu, 0));
    device = fixture_plug(f, 1);
    g_assert_false(viommu_remove_device(f->viommu, 0));
    g_assert_false(viommu_remove_device(f->viommu, UINT32_MAX));
    g_assert_cmpuint(objects(), ==, SHARED_OBJECTS + 2);
    fixture_unplug(f, device, 1);
    g_assert_false(viommu_remove_device(f->viommu, 1));
}

/* An event that is read after its device is gone is discarded, and counted. */
static void test_events_of_an_unplugged_device(void)
{
    VfioDevice *going = fixture_plug(f, 1);
    VfioDevice *staying = fixture_plug(f, 2);
    uint64_t event[4];

    guest_enable_eventq(f, 4);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(fixture_report(f, going, i), ==, EMUL_REPORT_QUEUED);
        g_assert_cmpint(fixture_report(f, staying, i), ==,
                        EMUL_REPORT_QUEUED);
    }
    fixture_unplug(f, going, 1);
    fixture_pump(f);
    g_assert_cmpuint(viommu_get_stats(f->viommu).delivered, ==, 3);
    g_assert_cmpuint(viommu_get_stats(f->viommu).discarded, ==, 3);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(guest_consume(f, event));
        g_assert_cmphex(event[0] >> 32, ==, 2);
        g_assert_cmphex(event[2], ==, i);
    }
    g_assert_false(guest_consume(f, event));
}

/* With the last device the queue goes, and what is in it, though it is on. */
static void test_events_of_the_last_device(void)
{
    VfioDevice *device = fixture_plug(f, 1);

    guest_enable_eventq(f, 1);
    for (unsigned i = 0; i < 5; i++) {
        g_assert_cmpint(fixture_report(f, device, i), ==,
                        i < 2 ? EMUL_REPORT_QUEUED : EMUL_REPORT_LOST);
    }
    fixture_unplug(f, device, 1);
    /* Strangers' events are not shown, a loss is: the queue is on. */
    g_assert_cmpuint(viommu_get_stats(f->viommu).discarded, ==, 2);
    g_assert_cmpuint(viommu_get_stats(f->viommu).lost, ==, 3);
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 0x80000000);
}

typedef struct SweepCase {
    const char *path;
    bool second;                /* another device is plugged already */
    bool enabled;               /* EVENTQEN */
    bool stage1;                /* the device's STE makes it its own HWPT */
    int err;
    unsigned calls;             /* host calls that a success makes */
} SweepCase;

static const SweepCase sweeps[] = {
    { "first", false, false, false, ENOMEM, 9 },
    { "first-enabled", false, true, false, ENOSPC, 10 },
    { "first-stage1", false, true, true, EIO, 11 },
    { "second", true, false, false, ENOMEM, 3 },
    { "second-enabled", true, true, false, EMFILE, 3 },
    { "second-stage1", true, true, true, EIO, 4 },
};

static void sweep_prepare(const SweepCase *sweep)
{
    if (sweep->enabled) {
        guest_start(f, 4, 4);
    }
    if (sweep->stage1) {
        guest_set_ste(f, 2, 1 | 5 << 1, 0);
    }
    if (sweep->second) {
        fixture_plug(f, 1);
    }
}

/* Nothing is left of a plug whose host call @nth fails. Return: it failed. */
static bool sweep_fails(const SweepCase *sweep, VfioDevice *device,
                        unsigned nth)
{
    g_autoptr(GError) error = NULL;
    unsigned objects_before = objects();
    unsigned fds_before = proc_self_fds();
    bool added;

    emul_set_failure(f->host, &(EmulFailure){ .call = EMUL_CALL_IOCTL,
                                              .nth = nth, .times = 1,
                                              .err = sweep->err });
    added = viommu_add_device(f->viommu, device, 2, &error);
    emul_set_failure(f->host, &(EmulFailure){ 0 });
    if (added) {
        return false;
    }
    g_assert_true(g_str_has_prefix(error->message, "device 'dev"));
    g_assert_true(g_str_has_suffix(error->message, g_strerror(sweep->err)));
    g_assert_cmpuint(objects(), ==, objects_before);
    g_assert_cmpuint(proc_self_fds(), ==, fds_before);
    g_assert_cmpint(fixture_report(f, device, 0), ==, EMUL_REPORT_REFUSED);
    g_assert_false(viommu_remove_device(f->viommu, 2));
    return true;
}

static void test_failure_sweep(const SweepCase *sweep)
{
    VfioDevice *device;
    unsigned nth = 1;

    setup();
    message_log_start();
    sweep_prepare(sweep);
    device = fixture_open_device(f);
    while (sweep_fails(sweep, device, nth)) {
        nth++;
    }
    g_assert_cmpuint(nth, ==, sweep->calls + 1);
    /* Cleaning up met no trouble of its own. */
    g_assert_cmpuint(message_log_count(), ==, 0);
    message_log_stop();
    if (sweep->enabled) {
        g_assert_cmpint(fixture_report(f, device, 0), ==, EMUL_REPORT_QUEUED);
        fixture_pump(f);
        g_assert_cmpuint(viommu_get_stats(f->viommu).delivered, ==, 1);
    }
    teardown();
}

/* A failed plug of a second device does not disturb the first. */
static void test_failure_leaves_others_running(void)
{
    VfioDevice *first = fixture_plug(f, 1);
    VfioDevice *second = fixture_open_device(f);
    const SweepCase sweep = { .second = true, .enabled = true, .err = EIO };

    guest_start(f, 4, 4);
    for (unsigned nth = 1; sweep_fails(&sweep, second, nth); nth++) {
        g_assert_cmpint(fixture_report(f, first, nth), ==,
                        EMUL_REPORT_QUEUED);
        fixture_pump(f);
        g_assert_cmpuint(viommu_get_stats(f->viommu).delivered, ==, nth);
    }
}

/* The objects that the host would not destroy, whatever uses what. */
static void destroy_leaked(void)
{
    for (unsigned pass = 0; pass < 8; pass++) {
        for (uint32_t id = 1; id < 32; id++) {
            iommufd_destroy(f->host, id, NULL);
        }
    }
}

static void test_destroy_failures_are_reported_not_fatal(void)
{
    VfioDevice *device = fixture_plug(f, 1);
    const char *part = "cannot destroy host object ";
    g_autofree char *suffix = g_strdup_printf(": %s", g_strerror(EIO));

    guest_enable_eventq(f, 4);
    message_log_start();
    emul_set_failure(f->host, &(EmulFailure){ .call = EMUL_CALL_IOCTL,
                                              .request = IOMMU_DESTROY,
                                              .nth = 1, .err = EIO });
    fixture_unplug(f, device, 1);
    emul_set_failure(f->host, &(EmulFailure){ 0 });
    /* The vEVENTQ, the vDEVICE and the shared ones, each told of once. */
    g_assert_cmpuint(message_log_count(), ==, SHARED_OBJECTS + 2);
    for (unsigned i = 0; i < message_log_count(); i++) {
        g_assert_nonnull(strstr(message_log_get(i), part));
        g_assert_true(g_str_has_suffix(message_log_get(i), suffix));
    }
    message_log_stop();

    /* And it goes on, with new objects. */
    device = fixture_plug(f, 1);
    g_assert_cmpint(fixture_report(f, device, 0), ==, EMUL_REPORT_QUEUED);
    fixture_pump(f);
    fixture_unplug(f, device, 1);
    destroy_leaked();
}

typedef void TestFunc(void);

static void run(gconstpointer data)
{
    setup();
    (*(TestFunc *const *)data)();
    teardown();
}

static void run_sweep(gconstpointer data)
{
    test_failure_sweep(data);
}

static const struct {
    TestFunc *func;
    const char *path;
} tests[] = {
    { test_every_order, "every-order" },
    { test_last_device_takes_the_host_objects_away,
      "last-device-takes-the-host-objects-away" },
    { test_duplicate_stream_id, "duplicate-stream-id" },
    { test_same_device_twice, "same-device-twice" },
    { test_stream_id_out_of_range, "stream-id-out-of-range" },
    { test_first_and_last_stream_id, "first-and-last-stream-id" },
    { test_second_iommufd, "second-iommufd" },
    { test_remove_unknown, "remove-unknown" },
    { test_events_of_an_unplugged_device, "events-of-an-unplugged-device" },
    { test_events_of_the_last_device, "events-of-the-last-device" },
    { test_failure_leaves_others_running, "failure-leaves-others-running" },
    { test_destroy_failures_are_reported_not_fatal,
      "destroy-failures-are-reported-not-fatal" },
};

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/viommu/plug/%s",
                                                tests[i].path);

        g_test_add_data_func(path, &tests[i].func, run);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sweeps); i++) {
        g_autofree char *path = g_strdup_printf("/viommu/plug/failure-sweep/%s",
                                                sweeps[i].path);

        g_test_add_data_func(path, &sweeps[i], run_sweep);
    }
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
