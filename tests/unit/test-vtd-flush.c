/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IOTLB and PASID IOTLB invalidations to the host (D51397, 6.5.2.3, 6.5.2.4):
 * which HWPTs they concern, one ioctl for each, and a host that refuses.
 */
#include "pasid-fixture.h"

#include <errno.h>
#include <string.h>

#define RID PASID_RID
#define RID2 PASID_RID2
#define SPACE PASID_SPACE
#define ADDR UINT64_C(0x00007f8140200000)

static VfioDevice *device;

/* What the host was told in IOMMU_HWPT_INVALIDATE. */
static struct {
    unsigned ioctls;
    unsigned entries;
    uint32_t hwpt_id;           /* of the last */
    struct iommu_hwpt_vtd_s1_invalidate entry[VTD_FLUSH_BATCH + 1];
} told;

static int note_invalidation(unsigned long request, void *arg, int ret)
{
    const struct iommu_hwpt_invalidate *cmd = arg;

    if (request == IOMMU_HWPT_INVALIDATE && ret == 0) {
        const struct iommu_hwpt_vtd_s1_invalidate *entries =
            (void *)(uintptr_t)cmd->data_uptr;

        g_assert_cmpuint(cmd->entry_len, ==, sizeof(entries[0]));
        told.ioctls++;
        told.hwpt_id = cmd->hwpt_id;
        for (uint32_t i = 0; i < cmd->entry_num; i++) {
            told.entry[MIN(told.entries, VTD_FLUSH_BATCH)] = entries[i];
            told.entries++;
        }
    }
    return ret;
}

static void listen(void)
{
    memset(&told, 0, sizeof(told));
    pf.ioctl_done = note_invalidation;
}

static void setup(void)
{
    pasid_setup();
    device = vtd_fixture_plug(pf.f, RID);
    pasid_start();
    pasid_set_first_stage(RID, 1, 7, SPACE);
    listen();
}

static void assert_told(unsigned ioctls, unsigned entries)
{
    EmulStats stats = emul_get_stats(pf.f->host);

    g_assert_cmpuint(told.ioctls, ==, ioctls);
    g_assert_cmpuint(told.entries, ==, entries);
    g_assert_cmpuint(stats.invalidate_ioctls, >=, ioctls);
    g_assert_cmpuint(stats.invalidations, >=, entries);
    listen();
}

/* ADDR, AM and IH of word 1. */
static uint64_t page_words(uint64_t addr, unsigned am, bool leaf)
{
    return FIELD_SET(addr, IOTLB_DESC1, AM, am) |
           FIELD_SET(0, IOTLB_DESC1, IH, leaf);
}

static void flush_page(uint16_t did, uint32_t pasid, uint64_t addr)
{
    vtd_guest_submit(pf.f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PAGE, did,
                                                pasid),
                     page_words(addr, 0, false));
}

static void assert_entry(unsigned i, uint64_t addr, uint64_t npages,
                         uint32_t flags)
{
    g_assert_cmphex(told.entry[i].addr, ==, addr);
    g_assert_cmpuint(told.entry[i].npages, ==, npages);
    g_assert_cmphex(told.entry[i].flags, ==, flags);
    g_assert_cmphex(told.entry[i].__reserved, ==, 0);
}

/* ---- What the host is told ---- */

static void test_page(void)
{
    flush_page(7, 1, ADDR);
    assert_entry(0, ADDR, 1, 0);
    g_assert_cmpuint(told.hwpt_id, ==, pasid_assert_on(device, 1, SPACE));
    assert_told(1, 1);
}

static void test_pages_and_leaf(void)
{
    vtd_guest_submit(pf.f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PAGE, 7, 1),
                     page_words(ADDR, 9, true));
    assert_entry(0, ADDR, 512, IOMMU_VTD_INV_FLAGS_LEAF);
    assert_told(1, 1);
}

static void test_whole_pasid(void)
{
    vtd_guest_submit(pf.f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PASID, 7, 1), 0);
    assert_entry(0, 0, UINT64_MAX, 0);
    assert_told(1, 1);
}

static void test_page_in_domain(void)
{
    vtd_guest_submit(pf.f, vtd_desc_iotlb(IOTLB_G_PAGE, 7),
                     page_words(ADDR, 0, false));
    assert_entry(0, ADDR, 1, 0);
    assert_told(1, 1);
}

static void test_several_in_one_ioctl(void)
{
    for (unsigned i = 0; i < 10; i++) {
        vtd_guest_put(pf.f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PAGE, 7, 1),
                      page_words(ADDR + 4096 * i, 0, false));
    }
    vtd_guest_submit_put(pf.f, 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_entry(i, ADDR + 4096 * i, 1, 0);
    }
    assert_told(1, 10);
}

static void test_full_batch_is_sent(void)
{
    for (unsigned i = 0; i < VTD_FLUSH_BATCH + 5; i++) {
        vtd_guest_put(pf.f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PAGE, 7, 1),
                      page_words(ADDR, 0, false));
    }
    vtd_guest_kick(pf.f);
    assert_told(1, VTD_FLUSH_BATCH);
    vtd_guest_submit_put(pf.f, 0);
    assert_told(1, 5);
}

/* Nothing is due before the guest waits. */
static void test_not_before_the_wait(void)
{
    vtd_guest_put(pf.f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PAGE, 7, 1),
                  page_words(ADDR, 0, false));
    vtd_guest_kick(pf.f);
    assert_told(0, 0);
    vtd_guest_submit_put(pf.f, 0);
    assert_told(1, 1);
    vtd_guest_submit_put(pf.f, 0);
    assert_told(0, 0);
}

/* ---- Which HWPTs ---- */

static void test_other_domain_and_pasid(void)
{
    flush_page(8, 1, ADDR);
    flush_page(7, 2, ADDR);
    vtd_guest_submit(pf.f, vtd_desc_iotlb(IOTLB_G_DOMAIN, 8), 0);
    assert_told(0, 0);
}

static void test_each_hwpt_its_own(void)
{
    pasid_set_first_stage(RID, 2, 7, SPACE);
    pasid_set_first_stage(RID, 3, 8, SPACE);
    pasid_set_first_stage(RID, 0, 8, SPACE);
    listen();
    vtd_guest_put(pf.f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PAGE, 7, 1),
                  page_words(ADDR, 0, false));
    vtd_guest_put(pf.f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PAGE, 7, 2),
                  page_words(ADDR, 0, false));
    vtd_guest_put(pf.f, vtd_desc_iotlb(IOTLB_G_DOMAIN, 7), 0);
    vtd_guest_submit_put(pf.f, 0);
    /* PASID 1 and 2 with two entries each. */
    assert_told(2, 4);
    vtd_guest_submit(pf.f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    assert_told(4, 4);
}

static void test_all_devices(void)
{
    vtd_fixture_plug(pf.f, RID2);
    pasid_set_first_stage(RID2, 1, 7, SPACE);
    listen();
    flush_page(7, 1, ADDR);
    assert_told(2, 2);
}

/* The device itself goes by its RID_PASID. */
static void test_rid_pasid(void)
{
    pasid_set_first_stage(RID, 0, 9, SPACE);
    listen();
    flush_page(9, 0, ADDR);
    assert_told(1, 1);
    pasid_set_first_stage(RID, 5, 9, SPACE);
    pasid_set_context(RID, VTD_CONTEXT_SVA, 5);
    listen();
    flush_page(9, 0, ADDR);
    assert_told(0, 0);
    flush_page(9, 5, ADDR);
    assert_told(1, 1);
}

static void test_new_did_counts(void)
{
    pasid_set_first_stage(RID, 1, 8, SPACE);
    listen();
    flush_page(7, 1, ADDR);
    assert_told(0, 0);
    flush_page(8, 1, ADDR);
    assert_told(1, 1);
}

static void test_pass_through_and_nobody(void)
{
    pasid_set_pass_through(RID, 1, 7);
    pasid_set_pass_through(RID, 0, 7);
    listen();
    vtd_guest_submit(pf.f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    assert_told(0, 0);
    vtd_fixture_unplug(pf.f, device, RID);
    vtd_guest_submit(pf.f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    assert_told(0, 0);
}

/* Before the HWPT goes: by the entries that it was noted under. */
static void test_sent_before_tables_change(void)
{
    uint32_t id = pasid_assert_on(device, 1, SPACE);

    vtd_tables_clear_pasid(&pf.t, RID, 1);
    vtd_guest_put(pf.f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PAGE, 7, 1),
                  page_words(ADDR, 0, false));
    vtd_guest_put(pf.f, vtd_desc_pasid_cache(PASID_CACHE_G_PASID, 7, 1), 0);
    vtd_guest_submit_put(pf.f, 0);
    g_assert_cmpuint(told.hwpt_id, ==, id);
    assert_told(1, 1);
    pasid_assert_none(device, 1);
}

/* ---- A host that refuses ---- */

/* vtd_guest_submit() asserts that the wait completes. */
static void test_refused_is_made_good_by_all(void)
{
    pasid_fail(IOMMU_HWPT_INVALIDATE, 1, 1, EIO);
    flush_page(7, 1, ADDR);
    assert_entry(0, 0, UINT64_MAX, 0);
    assert_told(1, 1);
    g_assert_cmpuint(message_log_matching(g_strerror(EIO)), ==, 1);
    pasid_fail(IOMMU_HWPT_INVALIDATE, 1, 1, EIO);
    flush_page(7, 1, ADDR);
    g_assert_cmpuint(message_log_count(), ==, 1);
}

static void test_refused_for_good_still_completes(void)
{
    pasid_fail(IOMMU_HWPT_INVALIDATE, 1, 0, EIO);
    flush_page(7, 1, ADDR);
    flush_page(7, 1, ADDR);
    assert_told(0, 0);
    g_assert_cmpuint(message_log_count(), ==, 1);
    pasid_fail(0, 0, 0, 0);
    flush_page(7, 1, ADDR);
    assert_told(1, 1);
}

static void test_refusal_does_not_stop_the_others(void)
{
    pasid_set_first_stage(RID, 2, 7, SPACE);
    pasid_set_first_stage(RID, 3, 7, SPACE);
    listen();
    pasid_fail(IOMMU_HWPT_INVALIDATE, 1, 2, EIO);
    vtd_guest_submit(pf.f, vtd_desc_iotlb(IOTLB_G_DOMAIN, 7), 0);
    assert_told(2, 2);
}

static const FixtureTest tests[] = {
    { test_page, "page" },
    { test_pages_and_leaf, "pages-and-leaf" },
    { test_whole_pasid, "whole-PASID" },
    { test_page_in_domain, "page-in-domain" },
    { test_several_in_one_ioctl, "several-in-one-ioctl" },
    { test_full_batch_is_sent, "full-batch-is-sent" },
    { test_not_before_the_wait, "not-before-the-wait" },
    { test_other_domain_and_pasid, "hwpt/other-domain-and-PASID" },
    { test_each_hwpt_its_own, "hwpt/one-ioctl-for-each" },
    { test_all_devices, "hwpt/all-devices" },
    { test_rid_pasid, "hwpt/RID_PASID" },
    { test_new_did_counts, "hwpt/new-DID" },
    { test_pass_through_and_nobody, "hwpt/pass-through-has-none" },
    { test_sent_before_tables_change, "hwpt/before-tables-change" },
    { test_refused_is_made_good_by_all, "refused/everything-instead" },
    { test_refused_for_good_still_completes, "refused/wait-completes" },
    { test_refusal_does_not_stop_the_others,
      "refused/does-not-stop-the-others" },
};

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, "/vtd/flush", tests, G_N_ELEMENTS(tests),
                        setup, pasid_teardown);
}
