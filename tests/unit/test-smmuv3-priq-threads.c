/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests on three threads: a device asks and translates, the iothread
 * carries, the guest responds, and switches the SMMU about while they do.
 */
#include "priq-fixture.h"

#define SID 0x10
#define PASID 5
#define LOG2 2                  /* 4 entries */
#define IN_FLIGHT 16
#define GROUP_PAGES_MAX 3

enum { RESP_INVALID = 1, RESP_SUCCESS };

static Fixture *f;
static SvaDevice *device;
static PriqRequest requests[IN_FLIGHT];
static atomic_uint idle[IN_FLIGHT];     /* the device may use the request */
static atomic_uint asked;
static atomic_uint done;
static atomic_uint failures;            /* codes other than 0 and 1 */
static atomic_uint limit;               /* of what is asked */

static void responded(void *opaque, SvaGroup *group)
{
    if (group->code > 1) {
        g_assert_cmphex(group->code, ==, PAGE_RESPONSE_FAILURE);
        atomic_fetch_add(&failures, 1);
    }
    atomic_fetch_add(&done, 1);
    /* Release: pairs with ask_all(), which changes the request. */
    atomic_store_explicit(&idle[group->index], 1, memory_order_release);
}

static void setup(void)
{
    SvaDeviceConfig config = {
        .name = "sva0", .virt_id = SID,
        .credits = GROUP_PAGES_MAX * IN_FLIGHT, .responded = responded,
    };
    GError *error = NULL;

    f = fixture_new(&PRIQ_PROPERTIES, true);
    message_log_start();
    guest_start_priq(f, 4, 6, LOG2);
    config.ctx = f->ctx;
    device = viommu_add_sva_device(f->viommu, &config, &error);
    g_assert_no_error(error);
    priq_group(SID, PASID, 0, GROUP_PAGES_MAX);     /* the pages are there */
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        atomic_store(&idle[i], 1);
    }
    atomic_store(&asked, 0);
    atomic_store(&done, 0);
    atomic_store(&failures, 0);
}

static void teardown(void)
{
    ViommuPageStats stats;

    if (device) {
        viommu_remove_sva_device(device);
        device = NULL;
    }
    stats = viommu_get_page_stats(f->viommu);
    g_assert_cmpuint(stats.raised, ==,
                     stats.answered + stats.invalid + stats.retried);
    g_assert_cmpuint(stats.raised, ==, atomic_load(&asked));
    g_assert_cmpuint(stats.interrupts, ==, f->irq.pulses[SMMUV3_IRQ_PRIQ]);
    fixture_free(f);
}

/* Where there is a translation it is the address itself. */
static void translate(uint64_t iova)
{
    uint64_t gpa = iova;

    rcu_section_enter();
    viommu_translate(device, NO_PASID, iova, PGFAULT_PERM_READ, &gpa);
    g_assert_false(viommu_translate(device, PASID, iova, PGFAULT_PERM_READ,
                                    &gpa));
    rcu_section_leave();
    g_assert_cmphex(gpa, ==, iova);
}

static void ask_all(void)
{
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        if (atomic_load(&asked) < atomic_load(&limit) &&
            atomic_exchange_explicit(&idle[i], 0, memory_order_acquire)) {
            atomic_fetch_add(&asked, 1);
            priq_request(device, &requests[i], PASID, i,
                         1 + i % GROUP_PAGES_MAX);
        }
        translate((uint64_t)i << 12);
    }
}

static void *device_thread(void *opaque)
{
    rcu_register_thread();
    while (atomic_load(&asked) < atomic_load(&limit)) {
        ask_all();
        g_thread_yield();
    }
    rcu_unregister_thread();
    return NULL;
}

static GThread *start_device(unsigned groups)
{
    atomic_store(&limit, groups);
    return g_thread_new("device", device_thread, NULL);
}

/* Take an entry, respond if it is the last of its group. */
static bool run_guest(unsigned *seen)
{
    uint64_t ppr[2];

    if (!guest_consume_ppr(f, ppr)) {
        g_thread_yield();
        return false;
    }
    if (ppr[0] & PPR_LAST) {
        priq_respond(f, SID, PASID, ppr[1] & 0x1ff,
                     (*seen)++ % 2 ? RESP_SUCCESS : RESP_INVALID);
    }
    return true;
}

static void test_every_group_is_answered_once(void)
{
    GThread *thread = start_device(3000);
    ViommuPageStats stats;
    unsigned seen = 0;

    while (atomic_load(&done) < 3000) {
        run_guest(&seen);
    }
    g_thread_join(thread);
    stats = viommu_get_page_stats(f->viommu);
    g_assert_cmpuint(seen, ==, 3000);
    g_assert_cmpuint(atomic_load(&failures), ==, 0);
    g_assert_cmpuint(stats.answered, ==, 3000);
    g_assert_cmpuint(stats.overflows, ==, 0);
    g_assert_cmpuint(stats.stray, ==, 0);
    g_assert_cmpuint(viommu_get_no_credit(device), ==, 0);
}

/* The next overflow may begin before this returns. */
static void acknowledge(void)
{
    guest_write(f, A_PRIQ_CONS,
                (guest_read(f, A_PRIQ_CONS) & ~PRIQ_OVFLG) |
                    (guest_read(f, A_PRIQ_PROD) & PRIQ_OVFLG));
}

/* Whatever the guest does meanwhile, each comes back once. */
static void upset(unsigned i)
{
    switch (i % 5) {
    case 0:
        guest_disable_priq(f);
        guest_enable_priq(f, LOG2 - i % 2);
        break;
    case 1:
        guest_write(f, A_CR0, 0x1e);
        guest_write(f, A_CR0, 0x1f);
        break;
    case 2:
        viommu_reset(f->viommu);
        guest_start_priq(f, 4, 6, LOG2);
        break;
    case 3:
        guest_set_ste(f, SID, i % 2 ? 1 | 4 << 1 : 0, 0);
        cmdq_put(f, OP(0x03, SID), 1);
        cmdq_run(f, SYNC);
        break;
    case 4:
        /* An overflow that never was, then the end of any. */
        guest_write(f, A_PRIQ_CONS,
                    guest_read(f, A_PRIQ_CONS) ^ PRIQ_OVFLG);
        acknowledge();
        break;
    }
}

static void test_switching_about_loses_none(void)
{
    GThread *thread = start_device(UINT_MAX);
    unsigned failed;
    unsigned seen = 0;

    for (unsigned i = 0; i < 200; i++) {
        unsigned before = atomic_load(&done);

        upset(i);
        /* Something is asked and comes back in between. */
        while (atomic_load(&done) == before) {
            if (!run_guest(&seen) && priq_overflow_is_active(f)) {
                acknowledge();
            }
        }
    }
    /* The guest has lost track of a queue's worth at most: others are asked. */
    guest_disable_priq(f);
    failed = atomic_load(&failures);
    while (atomic_load(&failures) == failed) {
        g_thread_yield();
    }
    atomic_store(&limit, 0);
    g_thread_join(thread);
    /* Those that the guest has been shown, and forgot, end with the device. */
    viommu_remove_sva_device(device);
    device = NULL;
    g_assert_cmpuint(atomic_load(&done), ==, atomic_load(&asked));
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_every_group_is_answered_once, "every-group-is-answered-once" },
        { test_switching_about_loses_none, "switching-about-loses-none" },
    };

    return fixture_main(argc, argv, "/smmuv3/priq-threads", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
