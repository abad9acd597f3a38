/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the guest's PASID entries to HWPTs of the host (D51397, 3.4, 6.5.2.2):
 * what an invalidation makes, replaces and removes, and what it leaves alone.
 * Hot plug and a host that refuses: test-vtd-plug.c.
 */
#include "pasid-fixture.h"

#include "hw/iommu/sva-device.h"

#define RID PASID_RID
#define RID2 PASID_RID2
#define NO_PASID PAGE_REQUEST_NO_PASID
#define SPACE PASID_SPACE
#define SPACE2 (2 * PASID_SPACE)

static VfioDevice *device;

static void setup(void)
{
    pasid_setup();
    device = vtd_fixture_plug(pf.f, RID);
    pasid_start();
}

static void setup_with(const VtdProperties *props)
{
    pasid_teardown();
    pasid_setup_with(props);
    device = vtd_fixture_plug(pf.f, RID);
}

/* ---- Make, replace, remove ---- */

static void test_translation_off_is_the_parent(void)
{
    setup_with(NULL);
    pasid_assert_parent(device, NO_PASID);
    pasid_assert_none(device, 1);
}

static void test_made(void)
{
    uint64_t before = pasid_objects();
    PasidPlace place;

    pasid_assert_none(device, 1);
    pasid_set_first_stage(RID, 1, 7, SPACE);
    place = pasid_place(device, 1);
    pasid_assert_on(device, 1, SPACE);
    g_assert_cmphex(place.s1.flags, ==, 0);
    g_assert_true(place.faults);
    /* The HWPT and the fault queue. */
    g_assert_cmpuint(pasid_objects(), ==, before + 2);
    g_assert_cmpuint(message_log_count(), ==, 0);
}

/* What ECAP does not show is not asked of the host, which may have it. */
static void test_features_not_shown(void)
{
    static const uint64_t bits[] = {
        FIELD_MASK(PASID2, SRE), FIELD_MASK(PASID2, WPE),
        FIELD_MASK(PASID2, EAFE),
    };
    uint64_t gpa = vtd_tables_pasid_gpa(&pf.t, RID, 1) + 16;

    for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
        pasid_set_first_stage(RID, 1, 7, SPACE);
        pasid_assert_on(device, 1, SPACE);
        vtd_tables_store(&pf.t, gpa, SPACE | bits[i]);
        pasid_invalidate(7, 1);
        pasid_assert_none(device, 1);
    }
    g_assert_cmpuint(message_log_count(), ==, 1);
    g_assert_cmpuint(message_log_matching("fault reason 0x5a"), ==, 1);
}

static void test_replaced(void)
{
    uint64_t before;
    uint32_t id;

    pasid_set_first_stage(RID, 1, 7, SPACE);
    id = pasid_assert_on(device, 1, SPACE);
    before = pasid_objects();
    pasid_set_first_stage(RID, 1, 7, SPACE2);
    g_assert_cmpuint(pasid_assert_on(device, 1, SPACE2), !=, id);
    g_assert_cmpuint(pasid_objects(), ==, before);
}

static void test_removed(void)
{
    uint64_t before = pasid_objects();

    pasid_set_first_stage(RID, 1, 7, SPACE);
    pasid_clear(RID, 1, 7);
    pasid_assert_none(device, 1);
    g_assert_cmpuint(pasid_objects(), ==, before);
}

static void test_pass_through_is_the_parent(void)
{
    uint64_t before = pasid_objects();

    pasid_set_pass_through(RID, 1, 7);
    pasid_assert_parent(device, 1);
    g_assert_cmpuint(pasid_objects(), ==, before);
    pasid_set_first_stage(RID, 1, 7, SPACE);
    pasid_assert_on(device, 1, SPACE);
    pasid_set_pass_through(RID, 1, 7);
    pasid_assert_parent(device, 1);
    g_assert_cmpuint(pasid_objects(), ==, before);
    pasid_clear(RID, 1, 7);
    pasid_assert_none(device, 1);
}

static void test_not_before_the_invalidation(void)
{
    vtd_tables_set_first_stage(&pf.t, RID, 1, 7, SPACE);
    pasid_assert_none(device, 1);
    pasid_invalidate(7, 1);
    vtd_tables_clear_pasid(&pf.t, RID, 1);
    pasid_assert_on(device, 1, SPACE);
}

static void test_unchanged_is_untouched(void)
{
    uint32_t id;

    pasid_set_first_stage(RID, 1, 7, SPACE);
    pasid_set_first_stage(RID, 0, 7, SPACE);
    id = pasid_assert_on(device, 1, SPACE);
    pasid_count_calls(0);
    pasid_invalidate(7, 1);
    pasid_invalidate(7, 0);
    vtd_guest_submit(pf.f, vtd_desc_pasid_cache(PASID_CACHE_G_GLOBAL, 0, 0),
                     0);
    vtd_guest_submit(pf.f, vtd_desc_context_cache(CONTEXT_G_GLOBAL, 0, 0), 0);
    g_assert_cmpuint(pasid_calls(), ==, 0);
    g_assert_cmpuint(pasid_assert_on(device, 1, SPACE), ==, id);
}

/* What the host need not know of does not touch it: DID, AW, PAT. */
static void test_new_did_keeps_the_hwpt(void)
{
    uint32_t id;

    pasid_set_first_stage(RID, 1, 7, SPACE);
    id = pasid_assert_on(device, 1, SPACE);
    pasid_count_calls(0);
    pasid_set_first_stage(RID, 1, 8, SPACE);
    g_assert_cmpuint(pasid_calls(), ==, 0);
    g_assert_cmpuint(pasid_assert_on(device, 1, SPACE), ==, id);
    /* It is in domain 8 now. */
    vtd_tables_clear_pasid(&pf.t, RID, 1);
    pasid_invalidate(7, 1);
    pasid_assert_on(device, 1, SPACE);
    pasid_invalidate(8, 1);
    pasid_assert_none(device, 1);
}

/* ---- Which invalidation concerns whom ---- */

static void test_other_pasid(void)
{
    vtd_tables_set_first_stage(&pf.t, RID, 1, 7, SPACE);
    vtd_tables_set_first_stage(&pf.t, RID, 2, 7, SPACE);
    pasid_invalidate(7, 2);
    pasid_assert_none(device, 1);
    pasid_assert_on(device, 2, SPACE);
}

static void test_other_domain(void)
{
    vtd_tables_set_first_stage(&pf.t, RID, 1, 7, SPACE);
    pasid_invalidate(8, 1);
    pasid_assert_none(device, 1);
    pasid_invalidate(7, 1);
    pasid_assert_on(device, 1, SPACE);
}

static void test_domain_selective(void)
{
    for (uint32_t pasid = 1; pasid < 300; pasid += 50) {
        vtd_tables_set_first_stage(&pf.t, RID, pasid, pasid % 100, SPACE);
    }
    vtd_guest_submit(pf.f, vtd_desc_pasid_cache(PASID_CACHE_G_DOMAIN, 1, 0),
                     0);
    for (uint32_t pasid = 1; pasid < 300; pasid += 50) {
        if (pasid % 100 == 1) {
            pasid_assert_on(device, pasid, SPACE);
        } else {
            pasid_assert_none(device, pasid);
        }
    }
}

static void test_global(void)
{
    vtd_tables_set_first_stage(&pf.t, RID, 0, 1, SPACE);
    vtd_tables_set_first_stage(&pf.t, RID, 1, 2, SPACE);
    vtd_tables_set_first_stage(&pf.t, RID, 8191, 3, SPACE2);
    vtd_guest_submit(pf.f, vtd_desc_pasid_cache(PASID_CACHE_G_GLOBAL, 0, 0),
                     0);
    pasid_assert_on(device, NO_PASID, SPACE);
    pasid_assert_on(device, 1, SPACE);
    pasid_assert_on(device, 8191, SPACE2);
    vtd_tables_clear_pasid(&pf.t, RID, 1);
    vtd_tables_clear_pasid(&pf.t, RID, 8191);
    vtd_guest_submit(pf.f, vtd_desc_pasid_cache(PASID_CACHE_G_GLOBAL, 0, 0),
                     0);
    pasid_assert_on(device, NO_PASID, SPACE);
    pasid_assert_none(device, 1);
    pasid_assert_none(device, 8191);
}

static void test_device_selective(void)
{
    VfioDevice *other = vtd_fixture_plug(pf.f, RID2);

    vtd_tables_set_first_stage(&pf.t, RID, 1, 1, SPACE);
    vtd_tables_set_first_stage(&pf.t, RID2, 1, 1, SPACE2);
    vtd_guest_submit(pf.f, vtd_desc_context_cache(CONTEXT_G_DEVICE, 0, RID2),
                     0);
    pasid_assert_none(device, 1);
    pasid_assert_on(other, 1, SPACE2);
}

/* A PASID-selective invalidation is of all devices that have it. */
static void test_devices_have_hwpts_of_their_own(void)
{
    VfioDevice *other = vtd_fixture_plug(pf.f, RID2);

    vtd_tables_set_first_stage(&pf.t, RID, 1, 1, SPACE);
    vtd_tables_set_first_stage(&pf.t, RID2, 1, 1, SPACE);
    pasid_invalidate(1, 1);
    g_assert_cmpuint(pasid_assert_on(device, 1, SPACE), !=,
                     pasid_assert_on(other, 1, SPACE));
}

/* ---- The device itself ---- */

static void test_rid_pasid_moves_the_device(void)
{
    pasid_assert_none(device, NO_PASID);
    pasid_set_first_stage(RID, 0, 7, SPACE);
    pasid_assert_on(device, NO_PASID, SPACE);
    pasid_set_pass_through(RID, 0, 7);
    pasid_assert_parent(device, NO_PASID);
    pasid_clear(RID, 0, 7);
    pasid_assert_none(device, NO_PASID);
    /* PASID 0 is never attached as such. */
    pasid_assert_none(device, 0);
}

static void test_rid_pasid_changes(void)
{
    pasid_set_first_stage(RID, 0, 7, SPACE);
    pasid_set_first_stage(RID, 5, 8, SPACE2);
    pasid_assert_on(device, 5, SPACE2);
    /* The device is PASID 5 now, and PASID 5 nobody. */
    pasid_set_context(RID, VTD_CONTEXT_SVA, 5);
    pasid_assert_on(device, NO_PASID, SPACE2);
    pasid_assert_none(device, 5);
    vtd_tables_set_first_stage(&pf.t, RID, 5, 8, SPACE);
    pasid_invalidate(8, 5);
    pasid_assert_on(device, NO_PASID, SPACE);
    pasid_assert_none(device, 5);
    vtd_tables_clear_pasid(&pf.t, RID, 5);
    pasid_invalidate(8, 5);
    pasid_assert_none(device, NO_PASID);
}

/* Two entries of the same words: what is flushed by PASID has to know. */
static void test_rid_pasid_changes_to_the_same(void)
{
    pasid_set_first_stage(RID, 0, 7, SPACE);
    vtd_tables_set_first_stage(&pf.t, RID, 5, 7, SPACE);
    pasid_set_context(RID, VTD_CONTEXT_SVA, 5);
    vtd_tables_clear_pasid(&pf.t, RID, 5);
    pasid_invalidate(7, 5);
    pasid_assert_none(device, NO_PASID);
}

/* The context entry does not say any more which PASID the device had. */
static void test_rid_pasid_of_an_unusable_context(void)
{
    pasid_set_context(RID, VTD_CONTEXT_SVA, 5);
    pasid_set_first_stage(RID, 5, 7, SPACE);
    vtd_tables_set_context(&pf.t, RID, 0, 0);
    pasid_invalidate(7, 4);
    pasid_assert_on(device, NO_PASID, SPACE);
    pasid_invalidate(7, 5);
    pasid_assert_none(device, NO_PASID);
}

static void test_untranslated_needs_no_device_tlb(void)
{
    pasid_set_first_stage(RID, 0, 7, SPACE);
    pasid_set_context(RID, FIELD_MASK(CONTEXT0, P), 0);
    pasid_assert_on(device, NO_PASID, SPACE);
    g_assert_false(pasid_place(device, NO_PASID).faults);
}

static void test_pasids_off(void)
{
    pasid_set_first_stage(RID, 0, 7, SPACE);
    pasid_set_first_stage(RID, 1, 7, SPACE);
    pasid_set_context(RID, FIELD_MASK(CONTEXT0, P), 0);
    pasid_assert_none(device, 1);
    pasid_assert_on(device, NO_PASID, SPACE);
}

/* ---- Page requests ---- */

static void test_pre_makes_it_again_with_faults(void)
{
    const uint64_t no_pre = VTD_CONTEXT_SVA & ~FIELD_MASK(CONTEXT0, PRE);
    uint64_t before;
    uint32_t id;

    pasid_set_context(RID, no_pre, 0);
    before = pasid_objects();
    pasid_set_first_stage(RID, 1, 7, SPACE);
    id = pasid_assert_on(device, 1, SPACE);
    g_assert_false(pasid_place(device, 1).faults);
    g_assert_cmpuint(pasid_objects(), ==, before + 1);

    pasid_set_context(RID, VTD_CONTEXT_SVA, 0);
    g_assert_true(pasid_place(device, 1).faults);
    g_assert_cmpuint(pasid_assert_on(device, 1, SPACE), !=, id);
    g_assert_cmpuint(pasid_objects(), ==, before + 2);

    pasid_set_context(RID, no_pre, 0);
    g_assert_false(pasid_place(device, 1).faults);
    g_assert_cmpuint(pasid_objects(), ==, before + 1);
}

static void test_one_fault_queue_for_all(void)
{
    VfioDevice *other = vtd_fixture_plug(pf.f, RID2);
    uint64_t before = pasid_objects();

    pasid_count_calls(IOMMU_FAULT_QUEUE_ALLOC);
    for (uint32_t pasid = 1; pasid <= 10; pasid++) {
        vtd_tables_set_first_stage(&pf.t, RID2, pasid, 7, SPACE);
        pasid_set_first_stage(RID, pasid, 7, SPACE);
        g_assert_cmpuint(pasid_objects(), ==, before + 2 * pasid + 1);
    }
    g_assert_cmpuint(pasid_calls(), ==, 1);
    for (uint32_t pasid = 1; pasid <= 10; pasid++) {
        pasid_clear(RID, pasid, 7);
        g_assert_cmpuint(pasid_objects(), ==, before + 20 - pasid + 1);
    }
    vtd_fixture_unplug(pf.f, other, RID2);
    g_assert_cmpuint(pasid_objects(), ==, before - 1);
    g_assert_cmpuint(emul_get_stats(pf.f->host).busy, ==, 0);
    /* And again from the start. */
    pasid_set_first_stage(RID, 1, 7, SPACE);
    g_assert_cmpuint(pasid_calls(), ==, 2);
}

static void test_replacing_the_only_one_keeps_the_queue(void)
{
    pasid_set_first_stage(RID, 1, 7, SPACE);
    pasid_count_calls(IOMMU_FAULT_QUEUE_ALLOC);
    pasid_set_first_stage(RID, 1, 7, SPACE2);
    g_assert_cmpuint(pasid_calls(), ==, 0);
}

/* ---- Modes ---- */

static void test_te_switches_all(void)
{
    uint64_t before = pasid_objects();

    pasid_set_first_stage(RID, 0, 7, SPACE);
    pasid_set_first_stage(RID, 1, 7, SPACE);
    pasid_set_first_stage(RID, 500, 7, SPACE2);
    for (unsigned i = 0; i < 3; i++) {
        vtd_guest_command(pf.f, FIELD_MASK(GCMD, TE), false);
        pasid_assert_parent(device, NO_PASID);
        pasid_assert_none(device, 1);
        pasid_assert_none(device, 500);
        g_assert_cmpuint(pasid_objects(), ==, before);
        vtd_guest_command(pf.f, FIELD_MASK(GCMD, TE), true);
        pasid_assert_on(device, NO_PASID, SPACE);
        pasid_assert_on(device, 1, SPACE);
        pasid_assert_on(device, 500, SPACE2);
    }
}

static void test_other_modes_detach(void)
{
    static const unsigned modes[] = { TTM_LEGACY, TTM_RESERVED, TTM_ABORT };

    pasid_set_first_stage(RID, 0, 7, SPACE);
    pasid_set_first_stage(RID, 1, 7, SPACE);
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        vtd_guest_write64(pf.f, A_RTADDR, FIELD_SET(pf.t.root, RTADDR, TTM,
                                                    modes[i]));
        vtd_guest_command(pf.f, FIELD_MASK(GCMD, SRTP), true);
        pasid_assert_none(device, NO_PASID);
        pasid_assert_none(device, 1);
        vtd_guest_write64(pf.f, A_RTADDR, FIELD_SET(pf.t.root, RTADDR, TTM,
                                                    TTM_SCALABLE));
        vtd_guest_command(pf.f, FIELD_MASK(GCMD, SRTP), true);
        pasid_assert_on(device, NO_PASID, SPACE);
        pasid_assert_on(device, 1, SPACE);
    }
    g_assert_cmpuint(message_log_count(), ==, 0);
}

static void test_reset_is_translation_off(void)
{
    uint64_t before = pasid_objects();

    pasid_set_first_stage(RID, 0, 7, SPACE);
    pasid_set_first_stage(RID, 1, 7, SPACE);
    viommu_reset(pf.f->viommu);
    pasid_assert_parent(device, NO_PASID);
    pasid_assert_none(device, 1);
    g_assert_cmpuint(pasid_objects(), ==, before);
}

/* ---- Mistakes of the guest's ---- */

static void test_invalid_entry_detaches(void)
{
    uint64_t gpa = vtd_tables_pasid_gpa(&pf.t, RID, 1);

    pasid_set_first_stage(RID, 1, 7, SPACE);
    vtd_tables_store(&pf.t, gpa, FIELD_SET(1, PASID0, PGTT, PGTT_NESTED));
    pasid_invalidate(7, 1);
    pasid_assert_none(device, 1);
    g_assert_cmpuint(message_log_matching("RID 0x1234"), ==, 1);
    g_assert_cmpuint(message_log_matching("fault reason 0x5b"), ==, 1);
    pasid_invalidate(7, 1);
    g_assert_cmpuint(message_log_count(), ==, 1);
    pasid_set_first_stage(RID, 1, 7, SPACE);
    pasid_assert_on(device, 1, SPACE);
}

static void test_pasid_beyond_width(void)
{
    VtdProperties props = VTD_PROPERTIES_DEFAULT;

    props.pasid_bits = 8;
    setup_with(&props);
    pasid_start();
    pasid_set_first_stage(RID, 255, 7, SPACE);
    pasid_set_first_stage(RID, 256, 7, SPACE);
    vtd_guest_submit(pf.f, vtd_desc_pasid_cache(PASID_CACHE_G_GLOBAL, 0, 0),
                     0);
    pasid_assert_on(device, 255, SPACE);
    pasid_assert_none(device, 256);
}

/* ---- Other devices, other models ---- */

static void test_without_svm(void)
{
    VtdProperties props = VTD_PROPERTIES_DEFAULT;
    uint64_t before;

    props.svm = false;
    setup_with(&props);
    pasid_start();
    before = pasid_objects();
    pasid_set_context(RID, FIELD_MASK(CONTEXT0, P) | FIELD_MASK(CONTEXT0, DTE),
                      0);
    pasid_set_first_stage(RID, 0, 7, SPACE);
    pasid_assert_on(device, NO_PASID, SPACE);
    g_assert_cmpuint(pasid_objects(), ==, before + 1);
}

static void sva_responded(void *opaque, SvaGroup *group)
{
}

static void test_emulated_device_has_nothing_on_the_host(void)
{
    const SvaDeviceConfig config = {
        .name = "sva", .virt_id = RID2, .ctx = pf.f->ctx, .credits = 1,
        .responded = sva_responded,
    };
    GError *error = NULL;
    SvaDevice *sva = viommu_add_sva_device(pf.f->viommu, &config, &error);

    g_assert_no_error(error);
    pasid_count_calls(0);
    pasid_set_first_stage(RID2, 1, 7, SPACE);
    vtd_guest_submit(pf.f, vtd_desc_context_cache(CONTEXT_G_GLOBAL, 0, 0), 0);
    vtd_guest_submit(pf.f, vtd_desc_iotlb(IOTLB_G_GLOBAL, 0), 0);
    g_assert_cmpuint(pasid_calls(), ==, 0);
    viommu_remove_sva_device(sva);
}

static const FixtureTest tests[] = {
    { test_translation_off_is_the_parent, "TES-0-is-the-parent" },
    { test_made, "invalidation-makes" },
    { test_features_not_shown, "features-that-ECAP-does-not-show" },
    { test_replaced, "invalidation-replaces" },
    { test_removed, "invalidation-removes" },
    { test_pass_through_is_the_parent, "pass-through-is-the-parent" },
    { test_not_before_the_invalidation, "not-before-the-invalidation" },
    { test_unchanged_is_untouched, "unchanged-is-untouched" },
    { test_new_did_keeps_the_hwpt, "new-DID-keeps-the-HWPT" },
    { test_other_pasid, "scope/other-PASID" },
    { test_other_domain, "scope/other-domain" },
    { test_domain_selective, "scope/domain" },
    { test_global, "scope/global" },
    { test_device_selective, "scope/device" },
    { test_devices_have_hwpts_of_their_own, "scope/all-devices" },
    { test_rid_pasid_moves_the_device, "RID_PASID/moves-the-device" },
    { test_rid_pasid_changes, "RID_PASID/changes" },
    { test_rid_pasid_changes_to_the_same, "RID_PASID/changes-to-the-same" },
    { test_rid_pasid_of_an_unusable_context, "RID_PASID/unusable-context" },
    { test_untranslated_needs_no_device_tlb, "RID_PASID/without-DTE" },
    { test_pasids_off, "PASIDE-0-detaches-PASIDs" },
    { test_pre_makes_it_again_with_faults, "faults/PRE-makes-it-again" },
    { test_one_fault_queue_for_all, "faults/one-queue-for-all" },
    { test_replacing_the_only_one_keeps_the_queue,
      "faults/replacing-the-only-one-keeps-the-queue" },
    { test_te_switches_all, "mode/TE-switches-all" },
    { test_other_modes_detach, "mode/others-detach" },
    { test_reset_is_translation_off, "mode/reset" },
    { test_invalid_entry_detaches, "invalid-entry-detaches" },
    { test_pasid_beyond_width, "PASID-beyond-width" },
    { test_without_svm, "without-svm" },
    { test_emulated_device_has_nothing_on_the_host, "emulated-device" },
};

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, "/vtd/pasid", tests, G_N_ELEMENTS(tests),
                        setup, pasid_teardown);
}
