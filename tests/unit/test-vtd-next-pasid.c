/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The search for PASIDs whose entries are present: vtd_next_pasid().
 */
#include "vtd-fixture.h"
#include "vtd-tables.h"

#define RID 0x1285              /* the upper half of bus 0x12 */
#define PASID 0x155             /* the sixth table */
#define NO_PASID PAGE_REQUEST_NO_PASID
#define SPACE UINT64_C(0x7f000) /* of no matter here */

static VtdFixture *f;
static Vtd *v;
static VtdTables t;

static void setup_with(const VtdProperties *props)
{
    f = vtd_fixture_new(props, false);
    v = vtd_fixture_vtd(f);
    vtd_tables_init(&t, f->ram, GUEST_RAM, VTD_GUEST_FREE,
                    GUEST_RAM + GUEST_RAM_SIZE);
    vtd_tables_set_context(&t, RID, VTD_CONTEXT_SVA, 0);
    vtd_tables_set_first_stage(&t, RID, PASID, 7, SPACE);
    vtd_tables_set_first_stage(&t, RID, 0, 8, 2 * SPACE);
    vtd_guest_write64(f, A_RTADDR, FIELD_SET(t.root, RTADDR, TTM,
                                             TTM_SCALABLE));
    vtd_guest_command(f, FIELD_MASK(GCMD, SRTP), true);
}

static void setup(void)
{
    setup_with(NULL);
}

static void teardown(void)
{
    vtd_fixture_free(f);
}

static void assert_next(uint32_t from, uint32_t expected)
{
    uint32_t pasid = from;

    if (expected == NO_PASID) {
        g_assert_false(vtd_next_pasid(v, RID, &pasid));
    } else {
        g_assert_true(vtd_next_pasid(v, RID, &pasid));
        g_assert_cmpuint(pasid, ==, expected);
    }
}

static void test_meets_all_present(void)
{
    vtd_tables_set_first_stage(&t, RID, 63, 1, SPACE);
    vtd_tables_set_first_stage(&t, RID, 64, 1, SPACE);
    vtd_tables_set_first_stage(&t, RID, 8191, 1, SPACE);
    assert_next(0, 0);
    assert_next(1, 63);
    assert_next(64, 64);
    assert_next(65, PASID);
    assert_next(PASID + 1, 8191);
    assert_next(8192, NO_PASID);
    assert_next(UINT32_MAX - 1, NO_PASID);
}

static void test_skips_what_is_unusable(void)
{
    vtd_tables_set_first_stage(&t, RID, 8191, 1, SPACE);
    vtd_tables_store(&t, vtd_tables_dir_gpa(&t, RID, PASID),
                     GUEST_NOWHERE | 1);
    assert_next(1, 8191);
    vtd_tables_store(&t, vtd_tables_dir_gpa(&t, RID, PASID), 0x5);
    assert_next(1, 8191);
    vtd_tables_set_context(&t, RID, 0, 0);
    assert_next(0, NO_PASID);
}

static void test_stops_at_width(void)
{
    VtdProperties props = VTD_PROPERTIES_DEFAULT;

    teardown();
    props.pasid_bits = 8;
    setup_with(&props);
    vtd_tables_set_first_stage(&t, RID, 255, 1, SPACE);
    vtd_tables_set_first_stage(&t, RID, 256, 1, SPACE);
    assert_next(1, 255);
    assert_next(256, NO_PASID);
    vtd_tables_clear_pasid(&t, RID, 255);
    assert_next(1, NO_PASID);

    /* In the middle of a table. */
    teardown();
    props.pasid_bits = 3;
    setup_with(&props);
    vtd_tables_set_first_stage(&t, RID, 8, 1, SPACE);
    assert_next(1, NO_PASID);
    vtd_tables_set_first_stage(&t, RID, 7, 1, SPACE);
    assert_next(1, 7);
}

/* The largest directory, all of whose entries lead to one table. */
static void test_of_largest_directory(void)
{
    const uint16_t rid = 1;
    uint64_t table = vtd_tables_alloc(&t, 1);
    uint32_t found = 0;

    t.pdts = 7;
    vtd_tables_set_context(&t, rid, VTD_CONTEXT_SVA, 0);
    for (uint32_t pasid = 0; pasid < 1u << 20; pasid += 64) {
        vtd_tables_store(&t, vtd_tables_dir_gpa(&t, rid, pasid), table | 1);
    }
    vtd_tables_store(&t, table + 64 * 63, 1);
    for (uint32_t pasid = 0; vtd_next_pasid(v, rid, &pasid); pasid++) {
        g_assert_cmpuint(pasid % 64, ==, 63);
        found++;
    }
    g_assert_cmpuint(found, ==, 1 << 14);
}

static const FixtureTest tests[] = {
    { test_meets_all_present, "meets-all-present" },
    { test_skips_what_is_unusable, "skips-unusable" },
    { test_stops_at_width, "stops-at-width" },
    { test_of_largest_directory, "largest-directory" },
};

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, "/vtd/next-pasid", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
