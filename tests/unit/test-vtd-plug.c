/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices that come and go while the guest's tables say something of them, and
 * a host that refuses: what it had to do is done as a whole or not at all, and
 * the operator hears which device, which PASID and why.
 */
#include "pasid-fixture.h"

#include "base/rcu.h"
#include "host/vfio-abi.h"

#include <errno.h>
#include <string.h>

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

static void fill_tables(uint16_t rid)
{
    vtd_tables_set_first_stage(&pf.t, rid, 0, 7, SPACE);
    vtd_tables_set_first_stage(&pf.t, rid, 1, 7, SPACE);
    vtd_tables_set_pass_through(&pf.t, rid, 200, 8);
    vtd_tables_set_first_stage(&pf.t, rid, 8191, 9, SPACE2);
}

static void assert_as_filled(VfioDevice *d)
{
    pasid_assert_on(d, NO_PASID, SPACE);
    pasid_assert_on(d, 1, SPACE);
    pasid_assert_parent(d, 200);
    pasid_assert_on(d, 8191, SPACE2);
}

/* ---- Hot plug ---- */

static void test_plug_finds_tables(void)
{
    VfioDevice *other;
    uint64_t before = pasid_objects();

    fill_tables(RID2);
    other = vtd_fixture_plug(pf.f, RID2);
    assert_as_filled(other);
    /* The device, three HWPTs, the fault queue. */
    g_assert_cmpuint(pasid_objects(), ==, before + 5);
    pasid_assert_none(device, NO_PASID);
}

static void test_plug_while_translation_is_off(void)
{
    VfioDevice *other;

    fill_tables(RID2);
    vtd_guest_command(pf.f, FIELD_MASK(GCMD, TE), false);
    other = vtd_fixture_plug(pf.f, RID2);
    pasid_assert_parent(other, NO_PASID);
    pasid_assert_none(other, 1);
    vtd_guest_command(pf.f, FIELD_MASK(GCMD, TE), true);
    assert_as_filled(other);
}

static void test_plug_without_tables(void)
{
    VfioDevice *other = vtd_fixture_plug(pf.f, 0x9900);

    pasid_assert_none(other, NO_PASID);
    g_assert_cmpuint(message_log_count(), ==, 0);
}

static void test_unplug_destroys_all(void)
{
    uint64_t before = pasid_objects();

    for (unsigned i = 0; i < 3; i++) {
        fill_tables(RID2);
        vtd_fixture_unplug(pf.f, vtd_fixture_plug(pf.f, RID2), RID2);
        g_assert_cmpuint(pasid_objects(), ==, before);
    }
    fill_tables(RID);
    vtd_fixture_unplug(pf.f, device, RID);
    g_assert_cmpuint(pasid_objects(), ==, 0);
    device = vtd_fixture_plug(pf.f, RID);
    assert_as_filled(device);
    g_assert_cmpuint(emul_get_stats(pf.f->host).busy, ==, 0);
}

/* Each host call of a plug fails in turn: all or nothing. */
static void test_plug_that_fails_leaves_nothing(void)
{
    VfioDevice *other = vtd_fixture_open_device(pf.f);
    uint64_t before = pasid_objects();
    unsigned nth = 0;
    bool added;

    fill_tables(RID2);
    do {
        g_autoptr(GError) error = NULL;

        pasid_fail(0, ++nth, 1, ENOMEM);
        added = viommu_add_device(pf.f->viommu, other, RID2, &error);
        g_assert_cmpint(added, ==, error == NULL);
        pasid_fail(0, 0, 0, 0);
        g_assert_cmpuint(pasid_objects(), ==, before + (added ? 4 : 0));
    } while (!added);
    /* Hardware info, queue, three HWPTs, four attachments. */
    g_assert_cmpuint(nth, ==, 10);
    assert_as_filled(other);
    g_assert_cmpuint(emul_get_stats(pf.f->host).busy, ==, 0);
}

static void test_first_plug_that_fails_leaves_nothing(void)
{
    unsigned nth = 0;
    bool added;

    vtd_fixture_unplug(pf.f, device, RID);
    fill_tables(RID);
    device = vtd_fixture_open_device(pf.f);
    do {
        g_autoptr(GError) error = NULL;

        pasid_fail(0, ++nth, 1, EMFILE);
        added = viommu_add_device(pf.f->viommu, device, RID, &error);
        pasid_fail(0, 0, 0, 0);
        if (!added) {
            g_assert_nonnull(error);
            g_assert_cmpuint(pasid_objects(), ==, 1);   /* the device */
        }
    } while (!added);
    assert_as_filled(device);
}

/* ---- A host that refuses what the guest wants ---- */

static void test_refused_hwpt_detaches(void)
{
    uint64_t before = pasid_objects();

    pasid_set_first_stage(RID, 1, 7, SPACE);
    pasid_fail(IOMMU_HWPT_ALLOC, 1, 1, ENOSPC);
    pasid_set_first_stage(RID, 1, 7, SPACE2);
    /* Never left on tables that the guest has taken back. */
    pasid_assert_none(device, 1);
    g_assert_cmpuint(pasid_objects(), ==, before);
    g_assert_cmpuint(message_log_count(), ==, 1);
    g_assert_cmpuint(message_log_matching("vIOMMU 'vtd0': RID 0x1234, PASID "
                                          "1: "), ==, 1);
    g_assert_cmpuint(message_log_matching(g_strerror(ENOSPC)), ==, 1);
    /* The next invalidation tries again. */
    pasid_invalidate(7, 1);
    pasid_assert_on(device, 1, SPACE2);
}

/* A guest that goes on and on about it does not fill the log. */
static void test_refused_is_told_once(void)
{
    pasid_fail(IOMMU_HWPT_ALLOC, 1, 0, ENOSPC);
    for (unsigned i = 0; i < 5; i++) {
        pasid_set_first_stage(RID, 1, 7, SPACE);
        pasid_set_first_stage(RID, 2, 7, SPACE);
        pasid_set_first_stage(RID, 0, 7, SPACE);
    }
    pasid_fail(0, 0, 0, 0);
    g_assert_cmpuint(message_log_count(), ==, 1);
    g_assert_cmpuint(message_log_matching("(not reported again)"), ==, 1);
}

static void test_refused_attach_detaches(void)
{
    uint64_t before = pasid_objects();

    pasid_set_first_stage(RID, 1, 7, SPACE);
    pasid_fail(VFIO_DEVICE_ATTACH_IOMMUFD_PT, 1, 1, EBUSY);
    pasid_set_first_stage(RID, 1, 7, SPACE2);
    pasid_assert_none(device, 1);
    g_assert_cmpuint(pasid_objects(), ==, before);
    g_assert_cmpuint(message_log_matching(g_strerror(EBUSY)), ==, 1);
    pasid_invalidate(7, 1);
    pasid_assert_on(device, 1, SPACE2);
}

static void test_refused_fault_queue(void)
{
    uint64_t before = pasid_objects();

    pasid_fail(IOMMU_FAULT_QUEUE_ALLOC, 1, 1, EMFILE);
    pasid_set_first_stage(RID, 1, 7, SPACE);
    pasid_assert_none(device, 1);
    g_assert_cmpuint(pasid_objects(), ==, before);
    g_assert_cmpuint(message_log_matching("no fault queue"), ==, 1);
    pasid_invalidate(7, 1);
    pasid_assert_on(device, 1, SPACE);
}

static void test_refused_device_itself(void)
{
    vtd_tables_set_first_stage(&pf.t, RID, 0, 7, SPACE);
    pasid_fail(VFIO_DEVICE_ATTACH_IOMMUFD_PT, 1, 1, EBUSY);
    pasid_invalidate(7, 0);
    pasid_assert_none(device, NO_PASID);
    g_assert_cmpuint(message_log_matching("RID 0x1234: "), ==, 1);
    g_assert_cmpuint(message_log_matching("it is detached"), ==, 1);
    pasid_invalidate(7, 0);
    pasid_assert_on(device, NO_PASID, SPACE);
}

static void test_one_failure_does_not_stop_the_others(void)
{
    unsigned on = 0;

    for (uint32_t pasid = 1; pasid <= 5; pasid++) {
        vtd_tables_set_first_stage(&pf.t, RID, pasid, 7, SPACE);
    }
    pasid_fail(IOMMU_HWPT_ALLOC, 3, 1, ENOMEM);
    vtd_guest_submit(pf.f, vtd_desc_pasid_cache(PASID_CACHE_G_GLOBAL, 0, 0),
                     0);
    for (uint32_t pasid = 1; pasid <= 5; pasid++) {
        on += pasid_place(device, pasid).kind == PLACE_FIRST_STAGE;
    }
    g_assert_cmpuint(on, ==, 4);
    g_assert_cmpuint(message_log_count(), ==, 1);
}

/* Directory entries that all lead to one page of @present entries. */
static void repeat_page(unsigned present)
{
    uint64_t page;

    for (unsigned i = 0; i < present; i++) {
        vtd_tables_set_first_stage(&pf.t, RID, 64 + i, 7, SPACE);
    }
    page = vtd_tables_load(&pf.t, vtd_tables_dir_gpa(&pf.t, RID, 64));
    for (uint32_t pasid = 128; pasid < 8192; pasid += 64) {
        vtd_tables_store(&pf.t, vtd_tables_dir_gpa(&pf.t, RID, pasid), page);
    }
}

static void invalidate_all(void)
{
    vtd_guest_submit(pf.f, vtd_desc_pasid_cache(PASID_CACHE_G_GLOBAL, 0, 0),
                     0);
}

/* 127 pages of 64 PASIDs, each of which would be an object of the host's. */
static void test_pasids_are_limited(void)
{
    uint64_t before = pasid_objects();

    repeat_page(64);
    for (unsigned i = 0; i < 3; i++) {
        invalidate_all();
        /* The fault queue is one more. */
        g_assert_cmpuint(pasid_objects(), ==, before + VTD_PASIDS_MAX + 1);
        g_assert_cmpuint(message_log_count(), ==, 1);
    }
    g_assert_cmpuint(message_log_matching("RID 0x1234 has more than 4096 "
                                          "PASIDs"), ==, 1);
    pasid_assert_on(device, 64 + VTD_PASIDS_MAX - 1, SPACE);
    pasid_assert_none(device, 64 + VTD_PASIDS_MAX);
    pasid_invalidate(7, 8191);
    pasid_assert_none(device, 8191);
    /* The device itself is not one of them. */
    pasid_set_first_stage(RID, 0, 7, SPACE2);
    pasid_assert_on(device, NO_PASID, SPACE2);
    /* What goes makes room. */
    vtd_tables_store(&pf.t, vtd_tables_dir_gpa(&pf.t, RID, 64), 0);
    invalidate_all();
    pasid_assert_none(device, 64);
    pasid_assert_on(device, 128 + VTD_PASIDS_MAX - 1, SPACE);
    pasid_assert_none(device, 128 + VTD_PASIDS_MAX);
}

/* As many as there may be are no matter to speak of. */
static void test_pasids_up_to_the_limit(void)
{
    uint64_t before = pasid_objects();

    repeat_page(64);
    for (uint32_t pasid = 64 * (1 + VTD_PASIDS_MAX / 64); pasid < 8192;
         pasid += 64) {
        vtd_tables_store(&pf.t, vtd_tables_dir_gpa(&pf.t, RID, pasid), 0);
    }
    invalidate_all();
    g_assert_cmpuint(pasid_objects(), ==, before + VTD_PASIDS_MAX + 1);
    g_assert_cmpuint(message_log_count(), ==, 0);
}

static unsigned longest_chain(const VtdDevice *d)
{
    unsigned longest = 0;

    for (unsigned i = 0; i < VTD_PASID_BUCKETS; i++) {
        const struct cds_hlist_node *node;
        unsigned length = 0;

        for (node = d->pasids[i].next; node; node = node->next) {
            length++;
        }
        longest = MAX(longest, length);
    }
    return longest;
}

/* 127 that are alike, in as many chains as there are for half of them. */
static void test_chosen_pasids_stand_apart(void)
{
    DeviceEntry *entry;

    repeat_page(1);
    invalidate_all();
    pasid_assert_on(device, 64, SPACE);
    pasid_assert_on(device, 127 * 64, SPACE);
    rcu_section_enter();
    entry = device_map_find_virt(pf.v->parent.devices, RID);
    /* With some seed there are more: with one of 100 million. */
    g_assert_cmpuint(longest_chain(caa_container_of(entry, VtdDevice,
                                                    parent.entry)), <, 18);
    rcu_section_leave();
}

static void test_limit_is_no_obstacle_to_a_plug(void)
{
    vtd_fixture_unplug(pf.f, device, RID);
    repeat_page(64);
    device = vtd_fixture_plug(pf.f, RID);
    g_assert_cmpuint(message_log_count(), ==, 1);
    pasid_assert_on(device, 64 + VTD_PASIDS_MAX - 1, SPACE);
    pasid_assert_none(device, 64 + VTD_PASIDS_MAX);
}

/* What an entry becomes, and the host calls that this can fail at. */
typedef struct Change {
    void (*from)(void);
    unsigned calls;
} Change;

static void from_nothing(void)
{
    pasid_clear(RID, 1, 7);
}

static void from_pass_through(void)
{
    pasid_set_pass_through(RID, 1, 7);
}

static void from_first_stage(void)
{
    pasid_set_first_stage(RID, 1, 7, SPACE);
}

/*
 * Each call of a change to another first-stage table fails in turn (but for
 * IOMMU_DESTROY, which comes last): nothing is left half-made.
 */
static void test_change_that_fails_leaves_nothing(void)
{
    static const Change changes[] = {
        /* Fault queue, HWPT, attach. */
        { from_nothing, 3 },
        { from_pass_through, 3 },
        { from_first_stage, 2 },
    };
    uint64_t before = pasid_objects();

    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        for (unsigned nth = 1; nth <= changes[i].calls; nth++) {
            changes[i].from();
            vtd_tables_set_first_stage(&pf.t, RID, 1, 7, SPACE2);
            pasid_fail(0, nth, 1, ENOMEM);
            pasid_invalidate(7, 1);
            g_assert_cmpuint(pasid_calls(), >=, nth);
            pasid_fail(0, 0, 0, 0);
            pasid_assert_none(device, 1);
            g_assert_cmpuint(pasid_objects(), ==, before);
        }
        changes[i].from();
        pasid_count_calls(0);
        pasid_set_first_stage(RID, 1, 7, SPACE2);
        g_assert_cmpuint(pasid_calls(), <=, changes[i].calls + 1);
        pasid_assert_on(device, 1, SPACE2);
        from_nothing();
    }
    g_assert_cmpuint(emul_get_stats(pf.f->host).busy, ==, 0);
}

/* ---- What the host must be able to do ---- */

static uint64_t missing_cap, missing_ecap;

static int host_without(unsigned long request, void *arg, int ret)
{
    if (request == IOMMU_GET_HW_INFO && ret == 0) {
        struct iommu_hw_info *cmd = arg;
        struct iommu_hw_info_vtd *info = (void *)(uintptr_t)cmd->data_uptr;

        info->cap_reg &= ~missing_cap;
        info->ecap_reg &= ~missing_ecap;
    }
    return ret;
}

/* @part: of the message; NULL: the device is welcome. */
static void check_host(uint64_t cap, uint64_t ecap, const char *part)
{
    VfioDevice *other = vtd_fixture_open_device(pf.f);
    uint64_t before = pasid_objects();
    g_autoptr(GError) error = NULL;

    missing_cap = cap;
    missing_ecap = ecap;
    pf.ioctl_done = host_without;
    if (!part) {
        viommu_add_device(pf.f->viommu, other, RID2, &error);
        g_assert_no_error(error);
        vtd_fixture_unplug(pf.f, other, RID2);
    } else {
        g_assert_false(viommu_add_device(pf.f->viommu, other, RID2, &error));
        g_assert_nonnull(strstr(error->message, part));
        g_assert_nonnull(strstr(error->message, vfio_device_get_name(other)));
        g_assert_cmpuint(pasid_objects(), ==, before);
    }
    pf.ioctl_done = NULL;
}

static void test_host_needs_what_the_guest_sees(void)
{
    check_host(0, BIT(26), "ECAP.NEST of the host's VT-d unit is 0, "
                           "the guest's needs 1");
    check_host(0, BIT(48), "ECAP.SMPWCS of the host's VT-d unit is 0");
    check_host(BIT(56), 0, "CAP.FS1GP of the host's VT-d unit is 0");
    check_host(0, BIT(40), "ECAP.PASID of the host's VT-d unit is 0");
    check_host(0, UINT64_C(3) << 35, "ECAP.PSS of the host's VT-d unit is 16, "
                                     "the guest's needs 19 or more");
    check_host(0, BIT(29), "ECAP.PRS of the host's VT-d unit is 0");
}

static void test_host_needs_no_more(void)
{
    VtdProperties props = {
        .svm = false, .pt = true, .fs1gp = false, .pasid_bits = 20,
    };

    pasid_teardown();
    pasid_setup_with(&props);
    check_host(BIT(56), BIT(40) | BIT_RANGE(35, 5) | BIT(29), NULL);
    props.svm = true;
    props.pasid_bits = 17;
    pasid_teardown();
    pasid_setup_with(&props);
    check_host(0, UINT64_C(3) << 35, NULL);
    check_host(0, UINT64_C(0x13) << 35, "ECAP.PSS of the host's VT-d unit is "
                                        "0, the guest's needs 16");
}

static void test_device_behind_another_iommu(void)
{
    VfioDevice *other =
        test_device_open(pf.f->host, EMUL_IOMMU_SMMUV3, pf.f->devices);
    g_autoptr(GError) error = NULL;
    uint64_t before = pasid_objects();

    g_assert_false(viommu_add_device(pf.f->viommu, other, RID2, &error));
    g_assert_nonnull(strstr(error->message,
                            "needs Intel VT-d (type 1)"));
    g_assert_cmpuint(pasid_objects(), ==, before);
}

static const FixtureTest tests[] = {
    { test_plug_finds_tables, "finds-tables" },
    { test_plug_while_translation_is_off, "while-TES-0" },
    { test_plug_without_tables, "without-tables" },
    { test_unplug_destroys_all, "unplug-destroys-all" },
    { test_plug_that_fails_leaves_nothing, "that-fails-leaves-nothing" },
    { test_first_plug_that_fails_leaves_nothing,
      "first-that-fails-leaves-nothing" },
    { test_refused_hwpt_detaches, "refused/HWPT" },
    { test_refused_is_told_once, "refused/is-told-once" },
    { test_refused_attach_detaches, "refused/attach" },
    { test_refused_fault_queue, "refused/fault-queue" },
    { test_refused_device_itself, "refused/device-itself" },
    { test_one_failure_does_not_stop_the_others,
      "refused/does-not-stop-the-others" },
    { test_pasids_are_limited, "limit/detached-beyond" },
    { test_pasids_up_to_the_limit, "limit/reached" },
    { test_limit_is_no_obstacle_to_a_plug, "limit/plug" },
    { test_chosen_pasids_stand_apart, "limit/chosen-pasids-stand-apart" },
    { test_change_that_fails_leaves_nothing, "refused/leaves-nothing" },
    { test_host_needs_what_the_guest_sees, "host/needs-what-the-guest-sees" },
    { test_host_needs_no_more, "host/needs-no-more" },
    { test_device_behind_another_iommu, "host/another-IOMMU" },
};

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, "/vtd/plug", tests, G_N_ELEMENTS(tests),
                        setup, pasid_teardown);
}
