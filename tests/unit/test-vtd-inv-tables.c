/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which PASID entries context and PASID cache invalidations (D51397-018,
 * 6.5.2.1, 6.5.2.2) have looked at anew, when, and how often.
 */
#include "vtd-fixture.h"

#include "base/rcu.h"

#define RID 0x10
#define OTHER_RID 0x13
#define DID 5
#define PASID 7
#define TABLE VTD_GUEST_FREE

#define CONTEXT_BITS                                              \
    (FIELD_MASK(CONTEXT0, P) | FIELD_MASK(CONTEXT0, DTE) |        \
     FIELD_MASK(CONTEXT0, PASIDE) | FIELD_MASK(CONTEXT0, PRE))

static VtdFixture *f;
static Vtd *v;

/* A device whose PASID, and a second one of another domain, are attached. */
static void setup(void)
{
    f = vtd_fixture_new(NULL, false);
    v = vtd_fixture_vtd(f);
    vtd_guest_start(f, 0);
    vtd_guest_set_context(f, RID, CONTEXT_BITS);
    vtd_guest_set_pasid(f, PASID, DID, TABLE);
    vtd_guest_set_pasid(f, PASID + 1, DID + 1, TABLE + 4096);
    vtd_fixture_plug(f, RID);
}

static void teardown(void)
{
    vtd_fixture_free(f);
}

static uint64_t invalidations(void)
{
    return emul_get_stats(f->host).invalidations;
}

/* PASIDs that the device is attached by, and itself. */
static unsigned attached(void)
{
    DeviceEntry *entry;
    unsigned count;

    rcu_section_enter();
    entry = device_map_find_virt(f->viommu->devices, RID);
    count = caa_container_of(entry, VtdDevice, parent.entry)->pasid_count;
    rcu_section_leave();
    return count;
}

/* Which of PASID (domain DID) and PASID + 1 (DID + 1) are looked at anew. */
static const struct {
    uint64_t word0;
    bool first;
    bool second;
} changes[] = {
    { 0x11, true, true },
    { 0x21 | DID << 16, true, true },       /* as global, in scalable mode */
    { 0x31 | (uint64_t)RID << 32, true, true },
    { 0x31 | (uint64_t)OTHER_RID << 32, false, false },
    { 0x31 | (uint64_t)OTHER_RID << 32 | UINT64_C(1) << 48, false, false },
    { 0x31 | (uint64_t)OTHER_RID << 32 | UINT64_C(2) << 48, false, false },
    { 0x31 | (uint64_t)OTHER_RID << 32 | UINT64_C(3) << 48, true, true },
    { 0x31 | (uint64_t)(RID | 4) << 32 | UINT64_C(1) << 48, true, true },
    { 0x31 | (uint64_t)(RID | 6) << 32 | UINT64_C(1) << 48, false, false },
    { 0x31 | (uint64_t)(RID | 6) << 32 | UINT64_C(2) << 48, true, true },
    { 0x31 | (uint64_t)(RID | 8) << 32 | UINT64_C(3) << 48, false, false },
    { 0x37, true, true },
    { 0x07 | DID << 16, true, false },
    { 0x07 | (DID + 1) << 16, false, true },
    { 0x07 | (DID + 2) << 16, false, false },
    { 0x17 | DID << 16 | (uint64_t)PASID << 32, true, false },
    { 0x17 | DID << 16 | (uint64_t)(PASID + 1) << 32, false, false },
    { 0x17 | (DID + 1) << 16 | (uint64_t)(PASID + 1) << 32, false, true },
    /* No table change. */
    { 0x12, false, false },
    { 0x26 | DID << 16 | (uint64_t)PASID << 32, false, false },
};

static void test_which_entries_are_looked_at(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        unsigned before;

        teardown();
        setup();
        before = attached();
        vtd_guest_set_pasid(f, PASID, 0, 0);
        vtd_guest_set_pasid(f, PASID + 1, 0, 0);
        vtd_guest_submit(f, changes[i].word0, 0);
        g_assert_cmphex(i << 4 | (before - attached()), ==,
                        i << 4 | (changes[i].first + changes[i].second));
    }
}

/* A burst of them, however wide, costs one look at the tables. */
static void test_burst_is_one_look(void)
{
    unsigned before = v->pending.scans;

    for (unsigned i = 0; i < 100; i++) {
        vtd_guest_put(f, i % 2 ? 0x37 : 0x11, 0);
    }
    vtd_guest_submit_put(f, 0);
    g_assert_cmpuint(v->pending.scans, ==, before + 1);
    /* Without a wait it is at the end. */
    vtd_guest_set_pasid(f, PASID, 0, 0);
    vtd_guest_put(f, 0x37, 0);
    vtd_guest_put(f, 0x37, 0);
    vtd_guest_kick(f);
    g_assert_cmpuint(v->pending.scans, ==, before + 2);
    g_assert_cmpuint(attached(), ==, 1);
}

/* Two changes that have nothing in common; each pair is both of them. */
static void test_merged_changes_are_both_seen(void)
{
    static const uint64_t pairs[][2] = {
        { 0x17 | DID << 16 | (uint64_t)PASID << 32,
          0x17 | (DID + 1) << 16 | (uint64_t)(PASID + 1) << 32 },
        { 0x07 | DID << 16, 0x07 | (DID + 1) << 16 },
        { 0x31 | (uint64_t)OTHER_RID << 32, 0x31 | (uint64_t)RID << 32 },
        { 0x31 | (uint64_t)OTHER_RID << 32, 0x37 },
    };

    for (size_t i = 0; i < 2 * G_N_ELEMENTS(pairs); i++) {
        unsigned before;

        teardown();
        setup();
        before = attached();
        vtd_guest_set_pasid(f, PASID, 0, 0);
        vtd_guest_set_pasid(f, PASID + 1, 0, 0);
        vtd_guest_put(f, pairs[i / 2][i % 2], 0);
        vtd_guest_put(f, pairs[i / 2][1 - i % 2], 0);
        vtd_guest_submit_put(f, 0);
        g_assert_cmphex(i << 4 | (before - attached()), ==, i << 4 | 2);
    }
}

/* An IOTLB invalidation behind a change goes by the entries of after it. */
static void test_invalidations_come_after_earlier_table_changes(void)
{
    uint64_t before = invalidations();

    vtd_guest_set_pasid(f, PASID, DID + 2, TABLE);
    vtd_guest_put(f, 0x37, 0);
    vtd_guest_put(f, vtd_desc_iotlb(IOTLB_G_DOMAIN, DID + 2), 0);
    vtd_guest_submit_put(f, 0);
    g_assert_cmpuint(invalidations(), ==, before + 1);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_which_entries_are_looked_at, "which-entries-are-looked-at" },
        { test_burst_is_one_look, "burst-is-one-look" },
        { test_merged_changes_are_both_seen, "merged-changes-are-both-seen" },
        { test_invalidations_come_after_earlier_table_changes,
          "IOTLB-invalidations-come-after-earlier-changes" },
    };

    return fixture_main(argc, argv, "/vtd/inv-tables", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
