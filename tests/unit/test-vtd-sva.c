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

static void setup(void)
{
    SvaDeviceConfig config = {
        .name = "sva0", .virt_id = RID_A, .credits = 256,
        .responded = note_response,
    };
    GError *error = NULL;

    pasid_setup();
    pasid_start();
    space = vtd_tables_alloc(&pf.t, 1);
    pasid_set_first_stage(RID_A, 1, DID, space);
    responses = 0;
    config.ctx = pf.f->ctx;
    sva = viommu_add_sva_device(pf.f->viommu, &config, &error);
    g_assert_no_error(error);
}

static void teardown(void)
{
    viommu_remove_sva_device(sva);
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

static const FixtureTest tests[] = {
    { test_page_is_mapped_on_request, "page-is-mapped-on-request" },
    { test_invalidation_is_seen, "invalidation-is-seen" },
    { test_implicit_invalidation, "implicit-invalidation" },
    { test_stop_marker_comes_back, "stop-marker-comes-back" },
    { test_tables_refuse, "tables-refuse" },
    { test_overflow_is_success, "overflow-is-Success" },
    { test_without_pasid, "without-PASID" },
};

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, "/vtd/sva", tests, G_N_ELEMENTS(tests),
                        setup, teardown);
}
