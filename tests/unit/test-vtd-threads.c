/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests with all their threads: hardware that asks, an iothread that
 * pumps, a guest that answers, and another that takes PASIDs away, brings them
 * back, flushes and unplugs. Every group is answered once.
 */
#include "pasid-fixture.h"

#include "base/rcu.h"

#include <pthread.h>
#include <sched.h>

#define PASIDS 4
#define DID 7
#define SPACE PASID_SPACE
#define ROUNDS 150
#define OUTSTANDING_MAX 64

static VtdFixture *f;
static VtdTables t;
static VfioDevice *device;
static atomic_bool stop;
static atomic_uint answered;
static atomic_uint raised;

/* Software's own, for its invalidation queue. */
static Lock iq_lock = LOCK_INITIALIZER(LOCK_RANK_BIG);

static void note_answer(const EmulPageAnswer *answer, void *opaque)
{
    atomic_fetch_add(&answered, 1);
}

static void *hardware(void *opaque)
{
    EmulPageRequest request = {
        .dev_id = vfio_device_get_dev_id(device),
        .perm = IOMMU_PGFAULT_PERM_READ,
        .last = true,
    };

    rcu_register_thread();
    while (!atomic_load(&stop)) {
        if (atomic_load(&raised) - atomic_load(&answered) >= OUTSTANDING_MAX) {
            sched_yield();
            continue;
        }
        request.grpid = (request.grpid + 1) % 512;
        request.pasid = 1 + request.grpid % PASIDS;
        request.addr += 4096;
        atomic_fetch_add(&raised, 1);
        if (emul_request_page(f->host, &request) == EMUL_REPORT_REFUSED) {
            atomic_fetch_sub(&raised, 1);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

static void answer_one(const uint64_t *entry)
{
    lock_acquire(&iq_lock);
    vtd_guest_respond(f, entry[0] >> 16, entry[0] >> 32 & 0xfffff,
                      entry[1] >> 3 & 0x1ff, 0);
    lock_release(&iq_lock);
}

static void *guest(void *opaque)
{
    uint64_t entry[4];

    rcu_register_thread();
    while (!atomic_load(&stop)) {
        vtd_guest_write32(f, A_PRS, FIELD_MASK(PRS, PPR));
        while (vtd_guest_consume(f, entry)) {
            answer_one(entry);
        }
        sched_yield();
    }
    rcu_unregister_thread();
    return NULL;
}

static void submit(uint64_t word0)
{
    lock_acquire(&iq_lock);
    vtd_guest_submit(f, word0, 0);
    lock_release(&iq_lock);
}

static void set_pasid(uint32_t pasid, uint64_t space)
{
    if (space) {
        vtd_tables_set_first_stage(&t, PASID_RID, pasid, DID, space);
    } else {
        vtd_tables_clear_pasid(&t, PASID_RID, pasid);
    }
    submit(vtd_desc_pasid_cache(PASID_CACHE_G_PASID, DID, pasid));
}

static void plug(void)
{
    GError *error = NULL;

    viommu_add_device(f->viommu, device, PASID_RID, &error);
    g_assert_no_error(error);
}

/* The guest has answered one more. */
static void wait_for_an_answer(void)
{
    uint64_t before = emul_get_page_stats(f->host).answered;

    while (emul_get_page_stats(f->host).answered == before) {
        sched_yield();
    }
}

/* All PASIDs go now and then, and the fault queue with them. */
static void churn(unsigned round)
{
    uint32_t pasid = 1 + round % PASIDS;

    set_pasid(pasid, 0);
    submit(vtd_desc_iotlb(IOTLB_G_DOMAIN, DID));
    set_pasid(pasid, SPACE + 4096 * round);
    submit(vtd_desc_pasid_iotlb(PASID_IOTLB_G_PASID, DID, pasid));
    if (round % 16 == 7) {
        g_assert_true(viommu_remove_device(f->viommu, PASID_RID));
        plug();
    }
    if (round % 32 == 3) {
        vtd_guest_command(f, FIELD_MASK(GCMD, TE), false);
        vtd_guest_command(f, FIELD_MASK(GCMD, TE), true);
    }
}

static void start(void)
{
    f = vtd_fixture_new(NULL, true);
    emul_set_answer_func(f->host, note_answer, NULL);
    vtd_tables_init(&t, f->ram, GUEST_RAM, VTD_GUEST_FREE,
                    GUEST_RAM + GUEST_RAM_SIZE);
    vtd_tables_set_context(&t, PASID_RID, VTD_CONTEXT_SVA, 0);
    for (uint32_t pasid = 1; pasid <= PASIDS; pasid++) {
        vtd_tables_set_first_stage(&t, PASID_RID, pasid, DID, SPACE);
    }
    vtd_guest_enable_iq(f, 1, true);
    vtd_guest_write64(f, A_RTADDR, FIELD_SET(t.root, RTADDR, TTM,
                                             TTM_SCALABLE));
    vtd_guest_command(f, FIELD_MASK(GCMD, SRTP), true);
    vtd_guest_enable_prq(f, 0);
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), true);
    device = vtd_fixture_open_device(f);
    plug();
}

static void test_churn(void)
{
    EmulPageStats host;
    pthread_t threads[2];

    start();
    pthread_create(&threads[0], NULL, hardware, NULL);
    pthread_create(&threads[1], NULL, guest, NULL);
    for (unsigned round = 0; round < ROUNDS; round++) {
        churn(round);
        if (round % 4 == 0) {
            wait_for_an_answer();
        }
    }
    atomic_store(&stop, true);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    g_assert_true(viommu_remove_device(f->viommu, PASID_RID));

    host = emul_get_page_stats(f->host);
    g_assert_cmpuint(host.open, ==, 0);
    g_assert_cmpuint(host.raised, ==, atomic_load(&raised));
    g_assert_cmpuint(host.raised, ==, atomic_load(&answered));
    g_assert_cmpuint(host.answered, >=, ROUNDS / 4);
    g_assert_cmpuint(viommu_get_page_stats(f->viommu).open, ==, 0);
    g_assert_cmpuint(emul_get_stats(f->host).busy, ==, 0);
    vtd_fixture_free(f);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/vtd/threads/every-group-answered-once", test_churn);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
