/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Emulated SVA devices on the real model with the built-in guest: what the load
 * counts, and that it finds what is wrong.
 */
#include "workload-sva.h"

#include "guest-vtd-fixture.h"
#include "workload-events.h"

#include "base/rcu.h"
#include "hw/iommu/viommu-internal.h"

#include <sched.h>

#define DEADLINE_NS (60 * INT64_C(1000000000))

/* The shortest operation: of bytes that far apart it has one. */
enum { LENGTH_MIN = 64 };

static void set_up(GuestVtdFixture *f)
{
    f->pages = workload_sva_pages(f->depth);
    guest_vtd_fixture_set_up(f);
}

static WorkloadSva *start_load(GuestVtdFixture *f, unsigned i, uint64_t rate)
{
    uint32_t rid = GUEST_VTD_FIXTURE_SVA_RID(i);
    g_autofree GuestAddressSpace **spaces =
        guest_vtd_fixture_get_spaces(f, rid);
    const WorkloadSvaConfig config = {
        .id = "a", .accel = f->accel[i], .depth = f->depth, .ram = f->ram,
        .spaces = spaces, .pasids = f->pasids, .big_lock = &f->big_lock,
        .rate = rate, .seed = 1 + i,
    };
    GError *error = NULL;
    WorkloadSva *load = workload_sva_start(&config, &error);

    g_assert_no_error(error);
    return load;
}

static void wait_ended(WorkloadSva *load, uint64_t count)
{
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;
    WorkloadSvaCounts counts;

    do {
        counts = workload_sva_get_counts(load);
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    } while (counts.started - counts.open < count);
}

static void wait_closed(WorkloadSva *load)
{
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;

    while (workload_sva_get_counts(load).open > 0) {
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    }
}

static void check_device(GuestVtdFixture *f, WorkloadSva *load, unsigned i)
{
    WorkloadSvaCounts counts = workload_sva_get_counts(load);
    SvaAccelCounts device = sva_accel_get_counts(f->accel[i]);
    g_autofree HistogramSnapshot *roundtrip = g_new(HistogramSnapshot, 1);

    g_assert_cmpuint(counts.verified, ==, counts.started);
    g_assert_cmpuint(counts.failed, ==, 0);
    g_assert_cmpuint(counts.corrupt, ==, 0);
    g_assert_cmpuint(counts.changed, ==, 0);
    g_assert_cmpuint(device.completed, ==, counts.started);
    g_assert_cmpuint(device.failed, ==, 0);
    g_assert_cmpuint(device.invalid, ==, 0);
    g_assert_cmpuint(device.stray, ==, 0);
    g_assert_cmpuint(device.success, ==, device.raised);
    sva_accel_get_roundtrip(f->accel[i], roundtrip);
    g_assert_cmpuint(roundtrip->total, ==, device.raised);
    g_assert_cmpuint(roundtrip->max, <, DEADLINE_NS);
}

static void check_balance(GuestVtdFixture *f, WorkloadSva **loads,
                          uint64_t min_taken)
{
    GuestVtdCounts guest = guest_vtd_get_counts(f->guest);
    ViommuPageStats stats = viommu_get_page_stats(f->viommu);
    uint64_t raised = 0;

    for (unsigned i = 0; i < f->sva_devices; i++) {
        check_device(f, loads[i], i);
        raised += sva_accel_get_counts(f->accel[i]).raised;
    }
    g_assert_cmpuint(guest.answered, ==, raised);
    g_assert_cmpuint(guest.overflows, ==, 0);
    /* Every page that came in was asked for, and most went out again. */
    g_assert_cmpuint(guest.mapped, >, 0);
    g_assert_cmpuint(guest.taken, >=, min_taken);
    g_assert_cmpuint(stats.raised, ==, raised);
    g_assert_cmpuint(stats.answered, ==, raised);
    g_assert_cmpuint(stats.open, ==, 0);
    guest_vtd_fixture_assert_good(f);
}

static void run_load(GuestVtdFixture *f, uint64_t rate, uint64_t operations,
                     uint64_t min_taken)
{
    WorkloadSva *loads[GUEST_VTD_FIXTURE_DEVICES];
    int64_t start_ns;

    set_up(f);
    start_ns = aio_clock_ns();
    for (unsigned i = 0; i < f->sva_devices; i++) {
        loads[i] = start_load(f, i, rate);
    }
    for (unsigned i = 0; i < f->sva_devices; i++) {
        wait_ended(loads[i], operations);
    }
    if (g_test_verbose()) {
        double s = (aio_clock_ns() - start_ns) / 1e9;
        GuestVtdCounts guest = guest_vtd_get_counts(f->guest);
        SvaAccelCounts accel = sva_accel_get_counts(f->accel[0]);

        g_test_message("%.0f operations/s, %.0f groups/s, %.0f taken/s; no "
                       "credit %.0f/s", operations * f->sva_devices / s,
                       guest.answered / s, guest.taken / s,
                       accel.no_credit / s);
    }
    for (unsigned i = 0; i < f->sva_devices; i++) {
        workload_sva_stop(loads[i]);
        wait_closed(loads[i]);
        workload_sva_rest(loads[i]);
    }
    guest_vtd_rest(f->guest);
    check_balance(f, loads, min_taken);
    for (unsigned i = 0; i < f->sva_devices; i++) {
        workload_sva_free(loads[i]);
    }
    guest_vtd_stop(f->guest);
    guest_vtd_fixture_assert_good(f);
    guest_vtd_fixture_tear_down(f);
}

static void test_every_operation_is_verified(void)
{
    GuestVtdFixture f = {
        .sva_devices = 2, .pasids = 3, .credits = 64, .depth = 32,
    };

    run_load(&f, WORKLOAD_SVA_RATE_MAX, 5000, 1000);
}

/* One operation and one page request at a time; and many. */
static void test_any_depth_and_credits(void)
{
    static const struct {
        uint32_t depth, credits, pasids;
    } cases[] = {
        { 1, 4, 1 }, { 3, 4, 2 }, { SVA_ACCEL_DEPTH_MAX, 4, 1 },
        { SVA_ACCEL_DEPTH_MAX, 512, 5 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GuestVtdFixture f = {
            .sva_devices = 1, .pasids = cases[i].pasids,
            .credits = cases[i].credits, .depth = cases[i].depth,
        };

        run_load(&f, WORKLOAD_SVA_RATE_MAX, 500, 0);
    }
}

/* Never more than are due by then; and they do get on. */
static void test_rate_is_kept(void)
{
    enum { RATE = 2000, COUNT = 300 };
    GuestVtdFixture f = {
        .sva_devices = 1, .pasids = 1, .credits = 64, .depth = 32,
    };
    WorkloadSva *load;
    int64_t start_ns;
    uint64_t started;

    set_up(&f);
    start_ns = aio_clock_ns();
    load = start_load(&f, 0, RATE);
    wait_ended(load, COUNT);
    started = workload_sva_get_counts(load).started;
    g_assert_cmpuint(started, <=,
                     workload_events_due_count(RATE, 1, 0,
                                               aio_clock_ns() - start_ns));
    workload_sva_rest(load);
    workload_sva_free(load);
    guest_vtd_fixture_tear_down(&f);
}

static void test_without_rate_nothing_is_done(void)
{
    GuestVtdFixture f = {
        .sva_devices = 1, .pasids = 1, .credits = 64, .depth = 4,
    };
    WorkloadSva *load;

    set_up(&f);
    load = start_load(&f, 0, 0);
    workload_sva_stop(load);
    workload_sva_rest(load);
    g_assert_cmpuint(workload_sva_get_counts(load).started, ==, 0);
    workload_sva_free(load);
    guest_vtd_fixture_tear_down(&f);
}

/* ---- What is wrong is found ---- */

static const ViommuOps *real_ops;
static unsigned translations;   /* by the device's thread */

/* Now and then, other bytes of the same page. */
static bool wrong_translate(Viommu *viommu, uint32_t virt_id, uint32_t pasid,
                            uint64_t iova, uint32_t perm, uint64_t *gpa)
{
    if (!real_ops->translate(viommu, virt_id, pasid, iova, perm, gpa)) {
        return false;
    }
    if (++translations % 8 == 0) {
        *gpa ^= 2048;
    }
    return true;
}

/* One at a time, so that nobody else uses those bytes meanwhile. */
static void test_wrong_translation_is_found(void)
{
    GuestVtdFixture f = {
        .sva_devices = 1, .pasids = 1, .credits = 64, .depth = 1,
    };
    WorkloadSvaCounts counts;
    WorkloadSva *load;
    ViommuOps ops;

    f.pages = workload_sva_pages(f.depth);
    guest_vtd_fixture_make(&f);
    real_ops = f.viommu->ops;
    ops = *real_ops;
    ops.translate = wrong_translate;
    guest_vtd_fixture_set_ops(&f, &ops);
    guest_vtd_fixture_start(&f);
    load = start_load(&f, 0, WORKLOAD_SVA_RATE_MAX);
    wait_ended(load, 500);
    workload_sva_stop(load);
    wait_closed(load);
    workload_sva_rest(load);
    counts = workload_sva_get_counts(load);
    g_assert_cmpuint(counts.corrupt, >, 0);
    g_assert_cmpuint(counts.verified + counts.corrupt, ==, counts.started);
    workload_sva_free(load);
    guest_vtd_fixture_tear_down(&f);
}

/* Somebody writes to what was verified already. */
static void test_later_change_is_found(void)
{
    GuestVtdFixture f = {
        .sva_devices = 1, .pasids = 1, .credits = 64, .depth = 4,
    };
    GuestAddressSpace *space;
    WorkloadSva *load;
    size_t len;

    set_up(&f);
    load = start_load(&f, 0, WORKLOAD_SVA_RATE_MAX);
    wait_ended(load, 100);
    workload_sva_stop(load);
    wait_closed(load);
    space = guest_vtd_get_space(f.guest, GUEST_VTD_FIXTURE_SVA_RID(0), 1);
    len = guest_address_space_get_pages(space) * GUEST_FRAME_BYTES;
    for (size_t offset = 0; offset < len; offset += LENGTH_MIN) {
        uint64_t addr = guest_address_space_get_base(space) + offset;
        uint8_t byte;

        guest_address_space_read(space, addr, &byte, 1);
        byte ^= 1;
        guest_address_space_write(space, addr, &byte, 1);
    }
    g_assert_cmpuint(workload_sva_get_counts(load).changed, ==, 0);
    workload_sva_rest(load);
    g_assert_cmpuint(workload_sva_get_counts(load).changed, ==, 4);
    g_assert_cmpuint(workload_sva_get_counts(load).corrupt, ==, 0);
    workload_sva_free(load);
    guest_vtd_fixture_tear_down(&f);
}

/* Nobody serves page requests, and then the PASIDs go. */
static void test_failed_operations_are_counted(void)
{
    enum { DEPTH = 4 };
    GuestVtdFixture f = {
        .sva_devices = 1, .pasids = 1, .credits = 64, .depth = DEPTH,
    };
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;
    WorkloadSvaCounts counts;
    WorkloadSva *load;

    set_up(&f);
    guest_vtd_rest(f.guest);
    load = start_load(&f, 0, WORKLOAD_SVA_RATE_MAX);
    while (viommu_get_page_stats(f.viommu).open < DEPTH) {
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    }
    workload_sva_stop(load);
    g_assert_cmpuint(workload_sva_get_counts(load).open, ==, DEPTH);
    guest_vtd_stop(f.guest);
    wait_closed(load);
    workload_sva_rest(load);
    counts = workload_sva_get_counts(load);
    g_assert_cmpuint(counts.failed, ==, DEPTH);
    g_assert_cmpuint(counts.started, ==, DEPTH);
    g_assert_cmpuint(sva_accel_get_counts(f.accel[0]).invalid, ==, DEPTH);
    workload_sva_free(load);
    guest_vtd_fixture_tear_down(&f);
}

/* A device that does not get on: rest comes back all the same. */
static void test_rest_with_operations_open(void)
{
    GuestVtdFixture f = {
        .sva_devices = 1, .pasids = 1, .credits = 64, .depth = 4,
    };
    WorkloadSva *load;

    set_up(&f);
    guest_vtd_rest(f.guest);
    load = start_load(&f, 0, WORKLOAD_SVA_RATE_MAX);
    workload_sva_rest(load);
    g_assert_cmpuint(workload_sva_get_counts(load).open, ==,
                     workload_sva_get_counts(load).started);
    guest_vtd_stop(f.guest);
    workload_sva_free(load);
    guest_vtd_fixture_tear_down(&f);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/workload-sva/every-operation-is-verified",
                    test_every_operation_is_verified);
    g_test_add_func("/workload-sva/any-depth-and-credits",
                    test_any_depth_and_credits);
    g_test_add_func("/workload-sva/rate-is-kept", test_rate_is_kept);
    g_test_add_func("/workload-sva/without-rate-nothing-is-done",
                    test_without_rate_nothing_is_done);
    g_test_add_func("/workload-sva/wrong-translation-is-found",
                    test_wrong_translation_is_found);
    g_test_add_func("/workload-sva/later-change-is-found",
                    test_later_change_is_found);
    g_test_add_func("/workload-sva/failed-operations-are-counted",
                    test_failed_operations_are_counted);
    g_test_add_func("/workload-sva/rest-with-operations-open",
                    test_rest_with_operations_open);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
