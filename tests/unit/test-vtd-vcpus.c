/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VT-d's registers and invalidation queue from several vCPU threads, with an
 * emulated device that asks for pages and an IOThread that brings them. A guest
 * that writes whatever comes to its mind: test-vtd-random.c.
 */
#include "vtd-fixture.h"

#include "base/rcu.h"

#include <pthread.h>
#include <stdatomic.h>

#define RID 0x10
#define DID 5
#define PASID 7
#define GROUPS 16
#define CONTEXT_BITS                                              \
    (FIELD_MASK(CONTEXT0, P) | FIELD_MASK(CONTEXT0, DTE) |        \
     FIELD_MASK(CONTEXT0, PASIDE) | FIELD_MASK(CONTEXT0, PRE))

/* The guest's address space is all not present: every page is asked for. */
static const Pgfault page = { .addr = 0x1000, .perm = PGFAULT_PERM_READ };

static VtdFixture *f;
static VfioDevice *device;
static SvaDevice *sva;
static SvaGroup groups[GROUPS];
static atomic_bool busy[GROUPS];
static atomic_bool stop;
static atomic_uint pending_events;
static pthread_mutex_t iq_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- The emulated device ---- */

static void responded(void *opaque, SvaGroup *group)
{
    /* Release: pairs with the acquire load of who asks again. */
    atomic_store_explicit(&busy[group - groups], false, memory_order_release);
}

static void *device_thread(void *opaque)
{
    rcu_register_thread();
    for (unsigned i = 0; !atomic_load(&stop); i = (i + 1) % GROUPS) {
        if (atomic_load_explicit(&busy[i], memory_order_acquire)) {
            continue;
        }
        atomic_store_explicit(&busy[i], true, memory_order_relaxed);
        groups[i] = (SvaGroup){ .pasid = PASID, .index = i, .count = 1,
                                .pages = &page };
        if (!viommu_page_request(sva, &groups[i])) {
            atomic_store_explicit(&busy[i], false, memory_order_relaxed);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

static void note_event(void *opaque)
{
    atomic_fetch_add(&pending_events, 1);
}

static void setup(void)
{
    GError *error = NULL;

    message_log_start();
    f = vtd_fixture_new(NULL, true);
    f->irq.raised = note_event;
    vtd_guest_start(f, 0);
    vtd_guest_set_context(f, RID, CONTEXT_BITS);
    vtd_guest_set_context(f, RID + 1, CONTEXT_BITS);
    vtd_guest_set_pasid(f, PASID, DID, VTD_GUEST_FREE);
    device = vtd_fixture_plug(f, RID + 1);
    sva = viommu_add_sva_device(f->viommu, &(SvaDeviceConfig){
        .name = "sva0", .virt_id = RID, .ctx = f->ctx, .credits = GROUPS,
        .responded = responded,
    }, &error);
    g_assert_no_error(error);
    atomic_store(&stop, false);
    atomic_store(&pending_events, 0);
}

static void teardown(void)
{
    ViommuPageStats stats;

    viommu_remove_sva_device(sva);
    vtd_fixture_unplug(f, device, RID + 1);
    for (unsigned i = 0; i < GROUPS; i++) {
        g_assert_false(atomic_load(&busy[i]));
    }
    stats = viommu_get_page_stats(f->viommu);
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpuint(stats.raised, ==,
                     stats.answered + stats.invalid + stats.retried);
    vtd_fixture_free(f);
}

/* ---- A guest that behaves ---- */

#define ROUNDS 300

static void submit(uint64_t word0, uint64_t word1)
{
    pthread_mutex_lock(&iq_lock);
    vtd_guest_submit(f, word0, word1);
    pthread_mutex_unlock(&iq_lock);
}

/* Unmaps, and changes of the tables that come to nothing. */
static void *unmapping_vcpu(void *opaque)
{
    rcu_register_thread();
    for (unsigned i = 0; i < ROUNDS; i++) {
        submit(vtd_desc_pasid_iotlb(PASID_IOTLB_G_PAGE, DID, PASID),
               (uint64_t)i << 12);
        if (i % 16 == 0) {
            submit(vtd_desc_pasid_cache(PASID_CACHE_G_PASID, DID, PASID), 0);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

/* Moves interrupts about, as an affinity change does, and reads registers. */
static void *interrupt_vcpu(void *opaque)
{
    static const uint64_t controls[] = { A_FECTL, A_IECTL, A_PECTL };

    rcu_register_thread();
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        uint64_t control = controls[i % G_N_ELEMENTS(controls)];

        vtd_guest_write32(f, control, FIELD_MASK(ECTL, IM));
        vtd_guest_write32(f, control + 8, GUEST_DOORBELL);
        vtd_guest_write32(f, control, 0);
        vtd_guest_read32(f, A_FSTS);
        vtd_guest_write32(f, A_FSTS, 0x83);
        vtd_guest_read64(f, A_PQT);
    }
    rcu_unregister_thread();
    return NULL;
}

/* Linux's page request thread, for so many requests. */
static void answer_requests(unsigned count)
{
    while (count > 0) {
        uint64_t entry[4];

        vtd_guest_write32(f, A_PRS, FIELD_MASK(PRS, PPR));
        while (count > 0 && vtd_guest_consume(f, entry)) {
            pthread_mutex_lock(&iq_lock);
            vtd_guest_respond(f, entry[0] >> 16, entry[0] >> 32 & 0xfffff,
                              entry[1] >> 3 & 0x1ff, 0);
            pthread_mutex_unlock(&iq_lock);
            count--;
        }
    }
}

static void test_well_behaved_guest(void)
{
    pthread_t threads[3];
    ViommuPageStats stats;

    pthread_create(&threads[0], NULL, device_thread, NULL);
    pthread_create(&threads[1], NULL, unmapping_vcpu, NULL);
    pthread_create(&threads[2], NULL, interrupt_vcpu, NULL);
    answer_requests(ROUNDS);
    pthread_join(threads[1], NULL);
    atomic_store(&stop, true);
    pthread_join(threads[0], NULL);
    pthread_join(threads[2], NULL);
    stats = viommu_get_page_stats(f->viommu);
    g_assert_cmpuint(stats.answered, >=, ROUNDS - GROUPS);
    g_assert_cmpuint(stats.stray, ==, 0);
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, 0);
    /* No other event had a message: each one is counted. */
    g_assert_cmpuint(stats.interrupts, ==, atomic_load(&pending_events));
}

/* ---- Reset ---- */

/* However many requests are on their way: none arrives behind a reset. */
static void test_reset_leaves_nothing_in_the_queue(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, device_thread, NULL);
    for (unsigned i = 0; i < ROUNDS; i++) {
        while (vtd_guest_read64(f, A_PQT) == 0) {
            continue;
        }
        viommu_reset(f->viommu);
        g_assert_cmphex(vtd_guest_read32(f, A_PRS), ==, 0);
        g_assert_cmphex(vtd_guest_read64(f, A_PQT), ==, 0);
        vtd_guest_enable_iq(f, 1, true);
        vtd_guest_enable_prq(f, 0);
        vtd_guest_set_root(f, TTM_SCALABLE);
        vtd_guest_command(f, FIELD_MASK(GCMD, TE), true);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_well_behaved_guest, "well-behaved-guest" },
        { test_reset_leaves_nothing_in_the_queue,
          "reset-leaves-nothing-in-the-queue" },
    };

    return fixture_main(argc, argv, "/vtd/vcpus", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
