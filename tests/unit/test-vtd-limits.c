/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a hostile guest of a VT-d unit cannot get: more than one message for
 * each of its mistakes, more PASIDs on the host than there may be.
 */
#include "pasid-fixture.h"

#include "host/iommufd-abi.h"

#include <errno.h>

#define RID PASID_RID
#define DID 7
#define ROUNDS 2

static VfioDevice *device;

static void setup(void)
{
    pasid_setup();
    device = vtd_fixture_plug(pf.f, RID);
    pasid_start();
}

static void teardown(void)
{
    pasid_teardown();
}

static uint64_t untold(void)
{
    return viommu_get_stats(pf.f->viommu).untold;
}

static void make_bad_descriptor(void)
{
    vtd_guest_put(pf.f, 0xf, 0);
    vtd_guest_kick(pf.f);
}

static void make_lost_queue(void)
{
    vtd_guest_command(pf.f, FIELD_MASK(GCMD, QIE), false);
    vtd_guest_write64(pf.f, A_IQA, FIELD_SET(GUEST_NOWHERE, IQA, DW, 1));
    vtd_guest_write32(pf.f, A_IQT, 0x20);
    vtd_guest_command(pf.f, FIELD_MASK(GCMD, QIE), true);
}

static void make_lost_status(void)
{
    vtd_guest_put(pf.f, VTD_GUEST_WAIT0, GUEST_NOWHERE);
    vtd_guest_kick(pf.f);
}

/* One group of @count pages, of a PASID that may ask. */
static void request_pages(size_t count)
{
    static Pgfault pages[512];
    PageGroup group = {
        .request.key = { .virt_id = RID, .pasid = 1 },
        .pages = pages, .count = count,
    };

    for (size_t i = 0; i < count; i++) {
        pages[i] = (Pgfault){ 4096 * i, PGFAULT_PERM_READ };
    }
    pasid_set_first_stage(RID, 1, DID, PASID_SPACE);
    vtd_prq_deliver(pf.f->viommu, &group, 1);
}

static void make_prq_abort(void)
{
    vtd_guest_write64(pf.f, A_PQA, GUEST_NOWHERE);
    request_pages(1);
}

static void make_prq_overflow(void)
{
    request_pages(512);
}

static void make_failed_invalidation(void)
{
    pasid_set_first_stage(RID, 1, DID, PASID_SPACE);
    pasid_fail(IOMMU_HWPT_INVALIDATE, 1, 1, EIO);
    vtd_guest_submit(pf.f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
}

static void make_illegal_entry(void)
{
    uint64_t gpa = vtd_tables_pasid_gpa(&pf.t, RID, 1) + 16;

    pasid_set_first_stage(RID, 1, DID, PASID_SPACE);
    vtd_tables_store(&pf.t, gpa, PASID_SPACE | FIELD_MASK(PASID2, SRE));
    pasid_invalidate(DID, 1);
}

static void make_refused_pasid(void)
{
    vtd_tables_clear_pasid(&pf.t, RID, 1);
    pasid_invalidate(DID, 1);
    pasid_fail(IOMMU_HWPT_ALLOC, 1, 1, EINVAL);
    pasid_set_first_stage(RID, 1, DID, PASID_SPACE);
}

/* One page of 64 entries, which the directory names over and over. */
static void make_too_many_pasids(void)
{
    uint64_t entry;

    for (uint32_t pasid = 64; pasid < 128; pasid++) {
        vtd_tables_set_first_stage(&pf.t, RID, pasid, DID, PASID_SPACE);
    }
    entry = vtd_tables_load(&pf.t, vtd_tables_dir_gpa(&pf.t, RID, 64));
    for (uint32_t pasid = 128; pasid < 64 + VTD_PASIDS_MAX + 64; pasid += 64) {
        vtd_tables_store(&pf.t, vtd_tables_dir_gpa(&pf.t, RID, pasid), entry);
    }
    vtd_guest_submit(pf.f, vtd_desc_pasid_cache(PASID_CACHE_G_GLOBAL, 0, 0),
                     0);
}

static void make_lost_interrupt(void)
{
    vtd_guest_write32(pf.f, A_FEADDR, 0);
    make_bad_descriptor();
}

static void make_early_disable(void)
{
    make_bad_descriptor();
    vtd_guest_write32(pf.f, A_GCMD, FIELD_MASK(GCMD, TE));
}

/* Each on a unit that is as new, but for what was told already. */
static void test_each_mistake_is_told_once(void)
{
    static const struct {
        unsigned kind;
        void (*make)(void);
    } mistakes[] = {
        { VTD_WARN_DESCRIPTOR, make_bad_descriptor },
        { VTD_WARN_IQ_FETCH, make_lost_queue },
        { VTD_WARN_STATUS_WRITE, make_lost_status },
        { VTD_WARN_PRQ_ABORT, make_prq_abort },
        { VTD_WARN_PRQ_OVERFLOW, make_prq_overflow },
        { VTD_WARN_HOST_INVALIDATE, make_failed_invalidation },
        { VTD_WARN_PASID_ENTRY, make_illegal_entry },
        { VTD_WARN_PASID_REFUSED, make_refused_pasid },
        { VTD_WARN_PASIDS_MAX, make_too_many_pasids },
        { VTD_WARN_INTERRUPT, make_lost_interrupt },
        { VTD_WARN_QI_DISABLE, make_early_disable },
    };

    G_STATIC_ASSERT(G_N_ELEMENTS(mistakes) == VTD_WARN_KINDS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t all = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(mistakes); i++) {
            uint64_t before;

            viommu_reset(pf.f->viommu);
            pasid_start();
            before = untold() + message_log_count();
            mistakes[i].make();
            pasid_fail(0, 0, 0, 0);
            g_assert_cmpuint(untold() + message_log_count(), >, before);
            all |= UINT32_C(1) << mistakes[i].kind;
        }
        g_assert_cmphex(pf.f->viommu->warned, ==, all);
    }
    g_assert_cmpuint(message_log_count(), ==, VTD_WARN_KINDS);
    g_assert_cmpuint(message_log_matching("(not reported again)"), ==,
                     VTD_WARN_KINDS);
    g_assert_cmpuint(untold(), >=, (ROUNDS - 1) * VTD_WARN_KINDS);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_each_mistake_is_told_once, "each-mistake-is-told-once" },
    };

    return fixture_main(argc, argv, "/vtd/limits", tests, G_N_ELEMENTS(tests),
                        setup, teardown);
}
