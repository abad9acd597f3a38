/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An emulated device that shares the guest's address spaces through VT-d: it
 * translates by first-stage tables in guest memory, asks for pages that are not
 * there, and forgets what it is told to forget.
 */
#include "pasid-fixture.h"

#include "base/rcu.h"
#include "hw/iommu/sva-device.h"

#define RID_A PASID_RID
#define NO_PASID PAGE_REQUEST_NO_PASID
#define DID 7
#define IOVA UINT64_C(0x00007f8140203000)
#define GPA UINT64_C(0x50000000)
#define PAGE (FS_P | FS_RW | FS_US)

#define READ PGFAULT_PERM_READ
#define WRITE PGFAULT_PERM_WRITE

static SvaDevice *sva;
static uint64_t space;

/* What came back. */
static SvaGroup *responded;
static unsigned responses;

static void note_response(void *opaque, SvaGroup *group)
{
    responded = group;
    responses++;
}

static void setup_with(const VtdProperties *props)
{
    SvaDeviceConfig config = {
        .name = "sva0", .virt_id = RID_A, .credits = 256,
        .responded = note_response,
    };
    GError *error = NULL;

    pasid_setup_with(props);
    pasid_start();
    space = vtd_tables_alloc(&pf.t, 1);
    pasid_set_first_stage(RID_A, 1, DID, space);
    responses = 0;
    config.ctx = pf.f->ctx;
    sva = viommu_add_sva_device(pf.f->viommu, &config, &error);
    g_assert_no_error(error);
}

static void setup(void)
{
    setup_with(NULL);
}

static void unplug(void)
{
    if (sva) {
        viommu_remove_sva_device(sva);
        sva = NULL;
    }
}

static void teardown(void)
{
    unplug();
    g_assert_cmpuint(viommu_get_page_stats(pf.f->viommu).open, ==, 0);
    pasid_teardown();
}

static bool translate(uint32_t perm, uint64_t *gpa)
{
    bool done;

    rcu_section_enter();
    done = viommu_translate(sva, 1, IOVA, perm, gpa);
    rcu_section_leave();
    return done;
}

static void assert_translates(uint32_t perm)
{
    uint64_t gpa = 0;

    g_assert_true(translate(perm, &gpa));
    g_assert_cmphex(gpa, ==, GPA);
}

static void assert_does_not(uint32_t perm)
{
    uint64_t gpa;

    g_assert_false(translate(perm, &gpa));
}

static const Pgfault page = { .addr = IOVA, .perm = READ | WRITE };

static void request(SvaGroup *group)
{
    g_assert_true(viommu_page_request(sva, group));
    vtd_fixture_pump(pf.f);
}

static void assert_response(const SvaGroup *group, uint32_t code)
{
    vtd_fixture_pump(pf.f);
    g_assert_cmpuint(responses, ==, 1);
    g_assert_true(responded == group);
    g_assert_cmpuint(group->code, ==, code);
}

static void test_page_is_mapped_on_request(void)
{
    SvaGroup group = { .pasid = 1, .index = 5, .count = 1, .pages = &page };
    uint64_t entry[4];

    assert_does_not(READ);
    request(&group);
    g_assert_true(vtd_guest_consume(pf.f, entry));
    g_assert_cmphex(entry[0], ==, 0x0000000112340101);
    g_assert_cmphex(entry[1], ==, IOVA | 5 << 3 | 7);
    vtd_tables_map(&pf.t, space, IOVA, GPA, PAGE);
    g_assert_cmpuint(responses, ==, 0);
    vtd_guest_respond(pf.f, RID_A, 1, 5, 0);
    assert_response(&group, PAGE_RESPONSE_SUCCESS);
    assert_translates(READ | WRITE);
}

static void test_invalidation_is_seen(void)
{
    vtd_tables_map(&pf.t, space, IOVA, GPA, PAGE);
    assert_translates(WRITE);
    vtd_tables_map(&pf.t, space, IOVA, 0, 0);
    vtd_guest_submit(pf.f, vtd_desc_pasid_iotlb(PASID_IOTLB_G_PAGE, DID, 1),
                     IOVA);
    assert_does_not(WRITE);
}

/*
 * 6.5.3.1: what the device has cached of the page is gone before its request is
 * in the queue, though the guest has not invalidated it.
 */
static void test_implicit_invalidation(void)
{
    SvaGroup group = { .pasid = 1, .index = 5, .count = 1, .pages = &page };

    vtd_tables_map(&pf.t, space, IOVA, GPA, PAGE);
    assert_translates(WRITE);
    vtd_tables_map(&pf.t, space, IOVA, 0, 0);
    assert_translates(WRITE);           /* cached */
    request(&group);
    g_assert_cmphex(vtd_guest_read64(pf.f, A_PQT), ==, 32);
    assert_does_not(WRITE);
    vtd_guest_respond(pf.f, RID_A, 1, 5, 1);
    assert_response(&group, PAGE_RESPONSE_INVALID);
}

static void test_stop_marker_comes_back(void)
{
    static const Pgfault none = { .addr = 0, .perm = 0 };
    SvaGroup group = {
        .pasid = 1, .count = 1, .pages = &none, .stop_marker = true,
    };
    uint64_t entry[4];

    request(&group);
    g_assert_true(vtd_guest_consume(pf.f, entry));
    g_assert_cmphex(entry[0], ==, 0x0000000112340101);
    g_assert_cmphex(entry[1], ==, 4);
    g_assert_cmpuint(responses, ==, 1);
    g_assert_cmpuint(viommu_get_page_stats(pf.f->viommu).markers, ==, 1);
}

static void test_tables_refuse(void)
{
    SvaGroup group = { .pasid = 2, .index = 5, .count = 1, .pages = &page };

    request(&group);
    assert_response(&group, PAGE_RESPONSE_INVALID);
    g_assert_cmphex(vtd_guest_read32(pf.f, A_FRCD + 12), ==,
                    0x80000000 | 2 << 8 | VTD_FR_PASID_P);
}

/* The device is told to ask again. */
static void test_overflow_is_success(void)
{
    static Pgfault pages[128];
    SvaGroup group = { .pasid = 1, .count = 128, .pages = pages };

    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        pages[i] = (Pgfault){ .addr = 4096 * i, .perm = READ };
    }
    request(&group);
    assert_response(&group, PAGE_RESPONSE_SUCCESS);
    g_assert_cmphex(vtd_guest_read32(pf.f, A_PRS), ==, FIELD_MASK(PRS, PRO));
    g_assert_cmphex(vtd_guest_read64(pf.f, A_PQT), ==, 0);
}

/* Without PASID, by RID_PASID: PP is 0 in request and response. */
static void test_without_pasid(void)
{
    SvaGroup group = {
        .pasid = NO_PASID, .index = 5, .count = 1, .pages = &page,
    };
    uint64_t entry[4];

    pasid_set_first_stage(RID_A, 0, DID, space);
    request(&group);
    g_assert_true(vtd_guest_consume(pf.f, entry));
    g_assert_cmphex(entry[0], ==, 0x12340001);
    vtd_guest_respond(pf.f, RID_A, NO_PASID, 5, 0);
    assert_response(&group, PAGE_RESPONSE_SUCCESS);
}

/* ---- Groups that are open while the world changes ---- */

static ViommuPageStats stats(void)
{
    return viommu_get_page_stats(pf.f->viommu);
}

/* In the queue, taken out by the guest, and not answered. */
static void open_group(SvaGroup *group)
{
    uint64_t entry[4];

    request(group);
    g_assert_true(vtd_guest_consume(pf.f, entry));
    g_assert_cmpuint(stats().open, ==, 1);
}

/*
 * As on hardware: the unit knows of no groups, and a table entry that goes does
 * not answer any. The guest does, as late as it likes.
 */
static void test_pasid_removed_keeps_groups_open(void)
{
    SvaGroup group = { .pasid = 1, .index = 5, .count = 1, .pages = &page };

    open_group(&group);
    pasid_clear(RID_A, 1, DID);
    vtd_guest_submit(pf.f, vtd_desc_context_cache(CONTEXT_G_GLOBAL, 0, 0), 0);
    vtd_fixture_pump(pf.f);
    g_assert_cmpuint(responses, ==, 0);
    g_assert_cmpuint(stats().open, ==, 1);
    vtd_guest_respond(pf.f, RID_A, 1, 5, PAGE_RESPONSE_INVALID);
    assert_response(&group, PAGE_RESPONSE_INVALID);
    g_assert_cmpuint(stats().open, ==, 0);
    g_assert_cmpuint(stats().stray, ==, 0);
}

/* Removal and answer in one go, in the order in which Linux has them. */
static void test_pasid_removed_and_answered(void)
{
    SvaGroup group = { .pasid = 1, .index = 5, .count = 1, .pages = &page };

    open_group(&group);
    vtd_tables_clear_pasid(&pf.t, RID_A, 1);
    vtd_guest_put(pf.f, vtd_desc_pasid_cache(PASID_CACHE_G_PASID, DID, 1), 0);
    vtd_guest_respond(pf.f, RID_A, 1, 5, PAGE_RESPONSE_SUCCESS);
    assert_response(&group, PAGE_RESPONSE_SUCCESS);
}

static void test_pasid_removed_then_unplug(void)
{
    SvaGroup group = { .pasid = 1, .index = 5, .count = 1, .pages = &page };

    open_group(&group);
    pasid_clear(RID_A, 1, DID);
    unplug();
    assert_response(&group, PAGE_RESPONSE_INVALID);
}

static void test_pasid_removed_then_reset(void)
{
    SvaGroup group = { .pasid = 1, .index = 5, .count = 1, .pages = &page };

    open_group(&group);
    pasid_clear(RID_A, 1, DID);
    viommu_reset(pf.f->viommu);
    assert_response(&group, PAGE_RESPONSE_INVALID);
    g_assert_cmpuint(stats().open, ==, 0);
}

/* One that the guest has seen, one in the queue; its answers come too late. */
static void test_unplug_with_groups_open(void)
{
    SvaGroup groups[2];

    for (unsigned i = 0; i < 2; i++) {
        groups[i] = (SvaGroup){ .pasid = 1, .index = i, .count = 1,
                                .pages = &page };
    }
    open_group(&groups[0]);
    request(&groups[1]);
    unplug();
    vtd_fixture_pump(pf.f);
    g_assert_cmpuint(responses, ==, 2);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpuint(groups[i].code, ==, PAGE_RESPONSE_INVALID);
        vtd_guest_respond(pf.f, RID_A, 1, i, PAGE_RESPONSE_SUCCESS);
    }
    vtd_fixture_pump(pf.f);
    g_assert_cmpuint(responses, ==, 2);
    g_assert_cmpuint(stats().stray, ==, 2);
    g_assert_cmpuint(stats().open, ==, 0);
    g_assert_cmpuint(stats().raised, ==, 2);
    g_assert_cmpuint(stats().invalid, ==, 2);
}

static void test_second_answer_is_a_stray(void)
{
    SvaGroup group = { .pasid = 1, .index = 5, .count = 1, .pages = &page };

    open_group(&group);
    vtd_guest_respond(pf.f, RID_A, 1, 5, PAGE_RESPONSE_SUCCESS);
    assert_response(&group, PAGE_RESPONSE_SUCCESS);
    vtd_guest_respond(pf.f, RID_A, 1, 5, PAGE_RESPONSE_INVALID);
    assert_response(&group, PAGE_RESPONSE_SUCCESS);
    g_assert_cmpuint(stats().stray, ==, 1);
    g_assert_cmpuint(stats().answered, ==, 1);
}

/* 46h: ECAP.PSS says less than the directory has room for. */
static void test_pasid_beyond_width(void)
{
    SvaGroup group = { .pasid = 8, .index = 5, .count = 1, .pages = &page };
    VtdProperties props = VTD_PROPERTIES_DEFAULT;

    teardown();
    props.pasid_bits = 3;
    setup_with(&props);
    pasid_set_first_stage(RID_A, 8, DID, space);
    request(&group);
    assert_response(&group, PAGE_RESPONSE_INVALID);
    g_assert_cmphex(vtd_guest_read32(pf.f, A_FRCD + 12), ==,
                    0x80000000 | 8 << 8 | VTD_FR_PASID_RANGE);
    g_assert_cmphex(vtd_guest_read64(pf.f, A_PQT), ==, 0);
}

static const FixtureTest tests[] = {
    { test_page_is_mapped_on_request, "page-is-mapped-on-request" },
    { test_invalidation_is_seen, "invalidation-is-seen" },
    { test_implicit_invalidation, "implicit-invalidation" },
    { test_stop_marker_comes_back, "stop-marker-comes-back" },
    { test_tables_refuse, "tables-refuse" },
    { test_overflow_is_success, "overflow-is-Success" },
    { test_without_pasid, "without-PASID" },
    { test_pasid_removed_keeps_groups_open, "PASID-removed/groups-stay-open" },
    { test_pasid_removed_and_answered, "PASID-removed/and-answered" },
    { test_pasid_removed_then_unplug, "PASID-removed/then-unplug" },
    { test_pasid_removed_then_reset, "PASID-removed/then-reset" },
    { test_unplug_with_groups_open, "unplug-with-groups-open" },
    { test_second_answer_is_a_stray, "second-answer-is-a-stray" },
    { test_pasid_beyond_width, "PASID-beyond-width" },
};

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, "/vtd/sva", tests, G_N_ELEMENTS(tests),
                        setup, teardown);
}
