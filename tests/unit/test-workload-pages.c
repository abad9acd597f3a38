/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Passed-through devices on the real model with the built-in guest: what the
 * load counts, and that it finds what is wrong.
 */
#include "workload-pages.h"

#include "guest-vtd-fixture.h"
#include "workload-events.h"

#include "base/rcu.h"

#include <sched.h>

#define DEADLINE_NS (60 * INT64_C(1000000000))

static WorkloadPages *start_load(GuestVtdFixture *f, uint32_t outstanding,
                                 uint64_t rate)
{
    WorkloadPages *load = workload_pages_new(f->host);
    GError *error = NULL;

    for (unsigned i = 0; i < f->host_devices; i++) {
        g_autofree GuestAddressSpace **spaces =
            guest_vtd_fixture_get_spaces(f, GUEST_VTD_FIXTURE_RID(i));
        const WorkloadPagesDevice device = {
            .id = "d", .dev_id = vfio_device_get_dev_id(f->vfio[i]),
            .spaces = spaces, .pasids = f->pasids, .outstanding = outstanding,
            .rate = rate, .seed = i,
        };

        g_assert_cmpuint(workload_pages_add(load, &device), ==, i);
    }
    workload_pages_start(load, &error);
    g_assert_no_error(error);
    return load;
}

static void wait_raised(WorkloadPages *load, size_t index, uint64_t count)
{
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;

    while (workload_pages_get_counts(load, index).raised < count) {
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    }
}

static void wait_closed(WorkloadPages *load, size_t index)
{
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;

    while (workload_pages_get_counts(load, index).open > 0) {
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    }
}

static void check_device(WorkloadPages *load, size_t index)
{
    WorkloadPagesCounts counts = workload_pages_get_counts(load, index);
    g_autofree HistogramSnapshot *roundtrip = g_new(HistogramSnapshot, 1);

    g_assert_cmpuint(counts.success, ==, counts.raised);
    g_assert_cmpuint(counts.invalid, ==, 0);
    g_assert_cmpuint(counts.refused, ==, 0);
    g_assert_cmpuint(counts.stray, ==, 0);
    g_assert_cmpuint(counts.pages.pages, >=, counts.raised);
    workload_pages_get_roundtrip(load, index, roundtrip);
    g_assert_cmpuint(roundtrip->total, ==, counts.raised);
    g_assert_cmpuint(roundtrip->max, <, DEADLINE_NS);
}

/* What is raised, what the library has seen and what the guest answered. */
static void check_balance(GuestVtdFixture *f, WorkloadPages *load)
{
    GuestVtdCounts guest = guest_vtd_get_counts(f->guest);
    ViommuPageStats stats = viommu_get_page_stats(f->viommu);
    uint64_t raised = 0, pages = 0;

    for (unsigned i = 0; i < f->host_devices; i++) {
        WorkloadPagesCounts counts = workload_pages_get_counts(load, i);
        PageDigestSum read =
            guest_vtd_get_pages(f->guest, GUEST_VTD_FIXTURE_RID(i));

        raised += counts.raised;
        pages += counts.pages.pages;
        g_assert_cmpuint(read.pages, ==, counts.pages.pages);
        g_assert_cmpuint(read.digest, ==, counts.pages.digest);
        check_device(load, i);
    }
    g_assert_cmpuint(guest.answered, ==, raised);
    g_assert_cmpuint(guest.requests, ==, pages);
    g_assert_cmpuint(guest.overflows, ==, 0);
    g_assert_cmpuint(stats.raised, ==, raised);
    g_assert_cmpuint(stats.answered, ==, raised);
    g_assert_cmpuint(stats.open, ==, 0);
    guest_vtd_fixture_assert_good(f);
}

static void run_load(GuestVtdFixture *f, uint32_t outstanding, uint64_t rate,
                     uint64_t groups)
{
    WorkloadPages *load;
    int64_t start_ns;

    guest_vtd_fixture_set_up(f);
    start_ns = aio_clock_ns();
    load = start_load(f, outstanding, rate);
    for (unsigned i = 0; i < f->host_devices; i++) {
        wait_raised(load, i, groups);
    }
    if (g_test_verbose()) {
        g_test_message("%.0f groups/s", 1e9 * groups * f->host_devices /
                                            (aio_clock_ns() - start_ns));
    }
    workload_pages_stop(load);
    for (unsigned i = 0; i < f->host_devices; i++) {
        wait_closed(load, i);
    }
    workload_pages_rest(load);
    guest_vtd_rest(f->guest);
    check_balance(f, load);
    guest_vtd_stop(f->guest);
    guest_vtd_fixture_assert_good(f);
    guest_vtd_fixture_tear_down(f);
    workload_pages_free(load);
}

static void test_every_group_is_answered_once(void)
{
    GuestVtdFixture f = { .host_devices = 2, .pasids = 3, .pages = 200 };

    run_load(&f, 64, WORKLOAD_PAGES_RATE_MAX, 20000);
}

static void test_any_number_outstanding(void)
{
    static const uint32_t outstanding[] = {
        1, 2, 65, WORKLOAD_PAGES_OUTSTANDING_MAX,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(outstanding); i++) {
        GuestVtdFixture f = { .host_devices = 1, .pasids = 2, .pages = 20 };

        run_load(&f, outstanding[i], WORKLOAD_PAGES_RATE_MAX, 2000);
    }
}

/* An address space may have fewer pages than a group. */
static void test_a_page_in_all(void)
{
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 1 };

    run_load(&f, 8, WORKLOAD_PAGES_RATE_MAX, 500);
}

/* Never more than are due by then; and they do get on. */
static void test_rate_is_kept(void)
{
    enum { RATE = 5000, COUNT = 500 };
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 40 };
    WorkloadPages *load;
    int64_t start_ns;
    uint64_t raised;

    guest_vtd_fixture_set_up(&f);
    start_ns = aio_clock_ns();
    load = start_load(&f, 64, RATE);
    wait_raised(load, 0, COUNT);
    raised = workload_pages_get_counts(load, 0).raised;
    g_assert_cmpuint(raised, <=,
                     workload_events_due_count(RATE, 1, 0,
                                               aio_clock_ns() - start_ns));
    workload_pages_rest(load);
    wait_closed(load, 0);
    guest_vtd_fixture_tear_down(&f);
    workload_pages_free(load);
}

static void test_without_rate_nothing_is_raised(void)
{
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 40 };
    WorkloadPages *load;

    guest_vtd_fixture_set_up(&f);
    load = start_load(&f, 64, 0);
    workload_pages_stop(load);
    workload_pages_rest(load);
    g_assert_cmpuint(workload_pages_get_counts(load, 0).raised, ==, 0);
    guest_vtd_fixture_tear_down(&f);
    workload_pages_free(load);
}

/* Nobody answers: no more than that many are open, and stop and rest return. */
static void test_what_stays_open_is_answered_at_teardown(void)
{
    enum { OUTSTANDING = 10 };
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 40 };
    WorkloadPagesCounts counts;
    WorkloadPages *load;

    guest_vtd_fixture_set_up(&f);
    guest_vtd_rest(f.guest);
    load = start_load(&f, OUTSTANDING, WORKLOAD_PAGES_RATE_MAX);
    wait_raised(load, 0, OUTSTANDING);
    workload_pages_stop(load);
    workload_pages_rest(load);
    counts = workload_pages_get_counts(load, 0);
    g_assert_cmpuint(counts.raised, ==, OUTSTANDING);
    g_assert_cmpuint(counts.open, ==, OUTSTANDING);
    guest_vtd_stop(f.guest);
    counts = workload_pages_get_counts(load, 0);
    g_assert_cmpuint(counts.invalid, ==, OUTSTANDING);
    g_assert_cmpuint(counts.open, ==, 0);
    guest_vtd_fixture_tear_down(&f);
    workload_pages_free(load);
}

/* PASIDs that are gone: the host refuses, which is counted, once each. */
static void test_what_the_host_refuses_is_counted(void)
{
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 40 };
    WorkloadPagesCounts counts;
    WorkloadPages *load;
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;

    guest_vtd_fixture_set_up(&f);
    guest_vtd_stop(f.guest);
    load = start_load(&f, 16, 20000);
    do {
        counts = workload_pages_get_counts(load, 0);
        g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
        sched_yield();
    } while (counts.refused < 100);
    workload_pages_rest(load);
    counts = workload_pages_get_counts(load, 0);
    g_assert_cmpuint(counts.raised, ==, 0);
    g_assert_cmpuint(counts.open, ==, 0);
    guest_vtd_fixture_tear_down(&f);
    workload_pages_free(load);
}

/*
 * Answers that are not for a group that is open: those of requests made here
 * with the tag of the first group, which is answered already.
 */
static void test_second_answer_is_found(void)
{
    GuestVtdFixture f = { .host_devices = 1, .pasids = 1, .pages = 40 };
    EmulPageRequest request = { .pasid = 1, .perm = 1, .last = true };
    int64_t deadline_ns = aio_clock_ns() + DEADLINE_NS;
    WorkloadPagesCounts before;
    WorkloadPages *load;

    guest_vtd_fixture_set_up(&f);
    load = start_load(&f, 1, WORKLOAD_PAGES_RATE_MAX);
    wait_raised(load, 0, 10);
    workload_pages_stop(load);
    wait_closed(load, 0);
    before = workload_pages_get_counts(load, 0);
    request.dev_id = vfio_device_get_dev_id(f.vfio[0]);
    request.addr = guest_address_space_get_base(
        guest_vtd_get_space(f.guest, GUEST_VTD_FIXTURE_RID(0), 1));
    request.tag = 1;            /* device 0, index 0, the first group */
    for (uint64_t i = 1; i <= 3; i++) {
        g_assert_cmpint(emul_request_page(f.host, &request), ==,
                        EMUL_REPORT_QUEUED);
        while (workload_pages_get_counts(load, 0).stray < i) {
            g_assert_cmpint(aio_clock_ns(), <, deadline_ns);
            sched_yield();
        }
    }
    workload_pages_rest(load);
    g_assert_cmpuint(workload_pages_get_counts(load, 0).success, ==,
                     before.success);
    guest_vtd_fixture_tear_down(&f);
    workload_pages_free(load);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/workload-pages/every-group-is-answered-once",
                    test_every_group_is_answered_once);
    g_test_add_func("/workload-pages/any-number-outstanding",
                    test_any_number_outstanding);
    g_test_add_func("/workload-pages/a-page-in-all", test_a_page_in_all);
    g_test_add_func("/workload-pages/rate-is-kept", test_rate_is_kept);
    g_test_add_func("/workload-pages/without-rate-nothing-is-raised",
                    test_without_rate_nothing_is_raised);
    g_test_add_func("/workload-pages/what-stays-open-is-answered-at-teardown",
                    test_what_stays_open_is_answered_at_teardown);
    g_test_add_func("/workload-pages/what-the-host-refuses-is-counted",
                    test_what_the_host_refuses_is_counted);
    g_test_add_func("/workload-pages/second-answer-is-found",
                    test_second_answer_is_found);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
