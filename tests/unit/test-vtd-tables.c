/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From requester ID and PASID to the PASID entry: each fault reason of scalable
 * mode that this model finds (D51397, 7.1.3). The search for PASIDs:
 * test-vtd-next-pasid.c.
 */
#include "vtd-fixture.h"
#include "vtd-tables.h"

#define RID 0x1285              /* the upper half of bus 0x12 */
#define PASID 0x155             /* the sixth table */
#define RID_PASID 0
#define NO_PASID PAGE_REQUEST_NO_PASID
#define SPACE UINT64_C(0x7f000) /* of no matter here */

static VtdFixture *f;
static Vtd *v;
static VtdTables t;

static void set_root(uint64_t root, unsigned ttm)
{
    vtd_guest_write64(f, A_RTADDR, FIELD_SET(root, RTADDR, TTM, ttm));
    vtd_guest_command(f, FIELD_MASK(GCMD, SRTP), true);
}

static void setup_with(const VtdProperties *props)
{
    f = vtd_fixture_new(props, false);
    v = vtd_fixture_vtd(f);
    message_log_start();
    vtd_tables_init(&t, f->ram, GUEST_RAM, VTD_GUEST_FREE,
                    GUEST_RAM + GUEST_RAM_SIZE);
    vtd_tables_set_context(&t, RID, VTD_CONTEXT_SVA, RID_PASID);
    vtd_tables_set_first_stage(&t, RID, PASID, 7, SPACE);
    vtd_tables_set_first_stage(&t, RID, RID_PASID, 8, 2 * SPACE);
    set_root(t.root, TTM_SCALABLE);
}

static void setup(void)
{
    setup_with(NULL);
}

static void teardown(void)
{
    vtd_fixture_free(f);
}

static VtdReason walk(uint32_t pasid, VtdRequest request)
{
    VtdWalk out;

    return vtd_walk(v, RID, pasid, request, &out);
}

/* All kinds of requests that reach that far have the same outcome. */
static void assert_reason(VtdReason reason)
{
    for (VtdRequest request = VTD_REQUEST_UNTRANSLATED;
         request <= VTD_REQUEST_PAGE; request++) {
        g_assert_cmphex(walk(PASID, request), ==, reason);
    }
}

static void test_finds_entry(void)
{
    VtdWalk out;

    g_assert_cmphex(vtd_walk(v, RID, PASID, VTD_REQUEST_PAGE, &out), ==,
                    VTD_OK);
    g_assert_cmpuint(out.pasid, ==, PASID);
    g_assert_cmphex(out.entry[0], ==, 0x41);
    g_assert_cmphex(out.entry[1], ==, 7);
    g_assert_cmphex(out.entry[2], ==, SPACE);
    g_assert_true(FIELD_GET(out.context[0], CONTEXT0, PRE));
    g_assert_false(out.fpd);
}

static void test_without_pasid_goes_by_rid_pasid(void)
{
    VtdWalk out;

    g_assert_cmphex(vtd_walk(v, RID, NO_PASID, VTD_REQUEST_PAGE, &out), ==,
                    VTD_OK);
    g_assert_cmpuint(out.pasid, ==, RID_PASID);
    g_assert_cmphex(out.entry[1], ==, 8);

    vtd_tables_set_context(&t, RID, VTD_CONTEXT_SVA, PASID);
    g_assert_cmphex(vtd_walk(v, RID, NO_PASID, VTD_REQUEST_PAGE, &out), ==,
                    VTD_OK);
    g_assert_cmpuint(out.pasid, ==, PASID);
    g_assert_cmphex(out.entry[1], ==, 7);
}

/* For this test alone: it is constant otherwise. */
static void set_ecap(uint64_t ecap)
{
    lock_assume_alone(&v->parent.ring_lock);
    vtd_set_reg64(v, R_ECAP, ecap);
}

/* Without ECAP.RPS the field does not count. */
static void test_no_rps_means_pasid_0(void)
{
    uint32_t pasid;

    vtd_tables_set_context(&t, RID, VTD_CONTEXT_SVA, PASID);
    set_ecap(FIELD_SET(vtd_id_reg64(v, R_ECAP), ECAP, RPS, 0));
    g_assert_true(vtd_rid_pasid(v, RID, &pasid));
    g_assert_cmpuint(pasid, ==, 0);
    g_assert_cmphex(walk(PASID, VTD_REQUEST_PAGE), ==, VTD_OK);
    g_assert_cmphex(walk(0, VTD_REQUEST_PAGE), ==, VTD_FR_PASID_IS_RID_PASID);
}

static void test_30_mode_not_supported(void)
{
    set_root(t.root, TTM_RESERVED);
    assert_reason(VTD_FR_RTADDR);
    set_root(t.root, TTM_ABORT);
    assert_reason(VTD_FR_RTADDR);
}

static void test_31_pasid_in_legacy_mode(void)
{
    set_root(t.root, TTM_LEGACY);
    g_assert_cmphex(walk(PASID, VTD_REQUEST_UNTRANSLATED), ==,
                    VTD_FR_PASID_LEGACY);
    g_assert_cmphex(walk(PASID, VTD_REQUEST_TRANSLATION), ==,
                    VTD_FR_PASID_LEGACY);
    g_assert_cmphex(walk(NO_PASID, VTD_REQUEST_UNTRANSLATED), ==,
                    VTD_FR_RTADDR);
}

static void test_32_page_request_in_legacy_mode(void)
{
    set_root(t.root, TTM_LEGACY);
    g_assert_cmphex(walk(PASID, VTD_REQUEST_PAGE), ==,
                    VTD_FR_PAGE_REQUEST_LEGACY);
    g_assert_cmphex(walk(NO_PASID, VTD_REQUEST_PAGE), ==,
                    VTD_FR_PAGE_REQUEST_LEGACY);
}

static void test_33_abort_mode(void)
{
    set_ecap(FIELD_SET(vtd_id_reg64(v, R_ECAP), ECAP, ADMS, 1));
    set_root(t.root, TTM_ABORT);
    assert_reason(VTD_FR_ABORT_DMA);
}

static void test_38_root_table_nowhere(void)
{
    set_root(GUEST_NOWHERE, TTM_SCALABLE);
    assert_reason(VTD_FR_ROOT_ACCESS);
    set_root(~UINT64_C(0xfff), TTM_SCALABLE);
    assert_reason(VTD_FR_ROOT_ACCESS);
}

static void test_39_root_entry_not_present(void)
{
    uint64_t gpa = vtd_tables_root_gpa(&t, RID);

    vtd_tables_store(&t, gpa, vtd_tables_load(&t, gpa) & ~UINT64_C(1));
    assert_reason(VTD_FR_ROOT_P);
    /* The other half is that of other devices. */
    vtd_tables_store(&t, gpa ^ 8, vtd_tables_load(&t, gpa) | 1);
    assert_reason(VTD_FR_ROOT_P);
}

/* One bit of the word at @gpa after the other, of @mask, gives @reason. */
static void check_bits(uint64_t gpa, uint64_t mask, VtdReason reason)
{
    uint64_t word = vtd_tables_load(&t, gpa);

    g_assert_cmphex(word & mask, ==, 0);
    for (unsigned bit = 0; bit < 64; bit++) {
        if (mask & BIT(bit)) {
            vtd_tables_store(&t, gpa, word | BIT(bit));
            assert_reason(reason);
        }
    }
    vtd_tables_store(&t, gpa, word);
    assert_reason(VTD_OK);
}

#define ABOVE_HAW BIT_RANGE(52, 12)

static void test_3a_root_entry_reserved(void)
{
    check_bits(vtd_tables_root_gpa(&t, RID), BIT_RANGE(1, 11) | ABOVE_HAW,
               VTD_FR_ROOT_RSVD);
    /* The other half does not count. */
    vtd_tables_store(&t, vtd_tables_root_gpa(&t, RID) ^ 8, UINT64_MAX);
    assert_reason(VTD_OK);
}

static void test_40_context_table_nowhere(void)
{
    vtd_tables_store(&t, vtd_tables_root_gpa(&t, RID), GUEST_NOWHERE | 1);
    assert_reason(VTD_FR_CONTEXT_ACCESS);
}

static void test_41_context_not_present(void)
{
    uint64_t gpa = vtd_tables_context_gpa(&t, RID);

    vtd_tables_store(&t, gpa, vtd_tables_load(&t, gpa) & ~UINT64_C(1));
    assert_reason(VTD_FR_CONTEXT_P);
    vtd_tables_store(&t, gpa, 0);
    vtd_tables_store(&t, gpa + 24, 1);
    assert_reason(VTD_FR_CONTEXT_P);
}

static void test_42_context_reserved(void)
{
    uint64_t gpa = vtd_tables_context_gpa(&t, RID);

    check_bits(gpa, BIT_RANGE(5, 4) | ABOVE_HAW, VTD_FR_CONTEXT_RSVD);
    check_bits(gpa + 8, BIT_RANGE(21, 43), VTD_FR_CONTEXT_RSVD);
    check_bits(gpa + 16, UINT64_MAX, VTD_FR_CONTEXT_RSVD);
    check_bits(gpa + 24, UINT64_MAX, VTD_FR_CONTEXT_RSVD);
}

/* What ECAP does not show is reserved. */
static void test_42_without_svm(void)
{
    VtdProperties props = VTD_PROPERTIES_DEFAULT;

    teardown();
    props.svm = false;
    setup_with(&props);
    assert_reason(VTD_FR_CONTEXT_RSVD);
    vtd_tables_set_context(&t, RID, FIELD_MASK(CONTEXT0, P) |
                                        FIELD_MASK(CONTEXT0, PASIDE),
                           RID_PASID);
    assert_reason(VTD_FR_CONTEXT_RSVD);
    vtd_tables_set_context(&t, RID, FIELD_MASK(CONTEXT0, P) |
                                        FIELD_MASK(CONTEXT0, DTE),
                           RID_PASID);
    g_assert_cmphex(walk(NO_PASID, VTD_REQUEST_TRANSLATION), ==, VTD_OK);
}

static void test_43_page_requests_without_device_tlb(void)
{
    vtd_tables_set_context(&t, RID,
                           VTD_CONTEXT_SVA & ~FIELD_MASK(CONTEXT0, DTE),
                           RID_PASID);
    assert_reason(VTD_FR_CONTEXT_INVALID);
}

static void test_43_rid_pasid_too_large(void)
{
    /* A directory of 128 entries: PASIDs below 8192. */
    vtd_tables_set_context(&t, RID, VTD_CONTEXT_SVA, 8191);
    assert_reason(VTD_OK);
    vtd_tables_set_context(&t, RID, VTD_CONTEXT_SVA, 8192);
    assert_reason(VTD_FR_CONTEXT_INVALID);
}

static void test_44_translation_without_device_tlb(void)
{
    vtd_tables_set_context(&t, RID, FIELD_MASK(CONTEXT0, P) |
                                        FIELD_MASK(CONTEXT0, PASIDE),
                           RID_PASID);
    g_assert_cmphex(walk(PASID, VTD_REQUEST_TRANSLATION), ==, VTD_FR_DTE);
    g_assert_cmphex(walk(PASID, VTD_REQUEST_UNTRANSLATED), ==, VTD_OK);
    g_assert_cmphex(walk(PASID, VTD_REQUEST_PAGE), ==, VTD_FR_PRE);
}

static void test_45_pasids_off(void)
{
    vtd_tables_set_context(&t, RID,
                           VTD_CONTEXT_SVA & ~FIELD_MASK(CONTEXT0, PASIDE),
                           RID_PASID);
    assert_reason(VTD_FR_PASIDE);
    g_assert_cmphex(walk(NO_PASID, VTD_REQUEST_PAGE), ==, VTD_OK);
}

static void test_46_pasid_beyond_directory(void)
{
    g_assert_cmphex(walk(8191, VTD_REQUEST_PAGE), ==, VTD_FR_DIR_P);
    g_assert_cmphex(walk(8192, VTD_REQUEST_PAGE), ==, VTD_FR_PASID_RANGE);
    g_assert_cmphex(walk(0xfffff, VTD_REQUEST_PAGE), ==, VTD_FR_PASID_RANGE);
}

/* ECAP.PSS, however large the directory is. */
static void test_46_pasid_beyond_width(void)
{
    VtdProperties props = VTD_PROPERTIES_DEFAULT;

    teardown();
    props.pasid_bits = 8;
    setup_with(&props);
    for (uint32_t pasid = 255; pasid <= 256; pasid++) {
        vtd_tables_set_first_stage(&t, RID, pasid, 7, SPACE);
        for (VtdRequest request = VTD_REQUEST_UNTRANSLATED;
             request <= VTD_REQUEST_PAGE; request++) {
            g_assert_cmphex(walk(pasid, request), ==,
                            pasid == 255 ? VTD_OK : VTD_FR_PASID_RANGE);
        }
    }
}

static void test_47_page_requests_off(void)
{
    vtd_tables_set_context(&t, RID,
                           VTD_CONTEXT_SVA & ~FIELD_MASK(CONTEXT0, PRE),
                           RID_PASID);
    g_assert_cmphex(walk(PASID, VTD_REQUEST_PAGE), ==, VTD_FR_PRE);
    g_assert_cmphex(walk(NO_PASID, VTD_REQUEST_PAGE), ==, VTD_FR_PRE);
    g_assert_cmphex(walk(PASID, VTD_REQUEST_TRANSLATION), ==, VTD_OK);
}

static void test_48_pasid_is_rid_pasid(void)
{
    vtd_tables_set_context(&t, RID, VTD_CONTEXT_SVA, PASID);
    assert_reason(VTD_FR_PASID_IS_RID_PASID);
    g_assert_cmphex(walk(RID_PASID, VTD_REQUEST_PAGE), ==, VTD_OK);
}

static void test_50_directory_nowhere(void)
{
    uint64_t gpa = vtd_tables_context_gpa(&t, RID);

    vtd_tables_store(&t, gpa, GUEST_NOWHERE | VTD_CONTEXT_SVA);
    assert_reason(VTD_FR_DIR_ACCESS);
}

static void test_51_directory_entry_not_present(void)
{
    uint64_t gpa = vtd_tables_dir_gpa(&t, RID, PASID);

    vtd_tables_store(&t, gpa, vtd_tables_load(&t, gpa) & ~UINT64_C(1));
    assert_reason(VTD_FR_DIR_P);
    /* The table of RID_PASID is another one. */
    g_assert_cmphex(walk(NO_PASID, VTD_REQUEST_PAGE), ==, VTD_OK);
}

static void test_52_directory_entry_reserved(void)
{
    check_bits(vtd_tables_dir_gpa(&t, RID, PASID),
               BIT_RANGE(2, 10) | ABOVE_HAW, VTD_FR_DIR_RSVD);
}

static void test_58_pasid_table_nowhere(void)
{
    vtd_tables_store(&t, vtd_tables_dir_gpa(&t, RID, PASID),
                     GUEST_NOWHERE | 1);
    assert_reason(VTD_FR_PASID_ACCESS);
}

static void test_59_pasid_entry_not_present(void)
{
    uint64_t gpa = vtd_tables_pasid_gpa(&t, RID, PASID);

    vtd_tables_store(&t, gpa, UINT64_MAX & ~UINT64_C(3));
    assert_reason(VTD_FR_PASID_P);
}

static void test_5a_pasid_entry_reserved(void)
{
    uint64_t gpa = vtd_tables_pasid_gpa(&t, RID, PASID);

    check_bits(gpa, BIT(5) | BIT_RANGE(10, 2), VTD_FR_PASID_RSVD);
    check_bits(gpa + 8, BIT_RANGE(16, 7), VTD_FR_PASID_RSVD);
    check_bits(gpa + 16, BIT(1) | BIT_RANGE(8, 4), VTD_FR_PASID_RSVD);
    for (unsigned word = 3; word < 8; word++) {
        check_bits(gpa + 8 * word, UINT64_MAX, VTD_FR_PASID_RSVD);
    }
}

/* What ECAP does not show is reserved; @bit of ECAP: SRS, EAFS, SSADS. */
static void test_5a_features_not_shown(void)
{
    static const struct {
        unsigned bit;
        unsigned word;
        uint64_t field;
    } cases[] = {
        { 31, 2, FIELD_MASK(PASID2, SRE) },
        { 31, 2, FIELD_MASK(PASID2, WPE) },
        { 34, 2, FIELD_MASK(PASID2, EAFE) },
        { 45, 0, FIELD_MASK(PASID0, SSADE) },
    };
    uint64_t ecap = vtd_id_reg64(v, R_ECAP);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t gpa = vtd_tables_pasid_gpa(&t, RID, PASID) +
                       8 * cases[i].word;

        check_bits(gpa, cases[i].field, VTD_FR_PASID_RSVD);
        set_ecap(ecap | BIT(cases[i].bit));
        check_bits(gpa, cases[i].field, VTD_OK);
        set_ecap(ecap);
    }
}

/* AW and SSPTPTR are the second stage's: Linux sets AW always. */
static void test_first_stage_ignores_second(void)
{
    uint64_t gpa = vtd_tables_pasid_gpa(&t, RID, PASID);
    uint64_t word = vtd_tables_load(&t, gpa);

    vtd_tables_store(&t, gpa, word | FIELD_MASK(PASID0, AW) |
                                  FIELD_MASK(PASID0, SSPTPTR));
    assert_reason(VTD_OK);
}

static void test_5b_translation_type(void)
{
    uint64_t gpa = vtd_tables_pasid_gpa(&t, RID, PASID);
    uint64_t word = FIELD_SET(vtd_tables_load(&t, gpa), PASID0, AW, 2);

    for (unsigned pgtt = 0; pgtt < 8; pgtt++) {
        bool known = pgtt == PGTT_FIRST || pgtt == PGTT_PASS_THROUGH;

        vtd_tables_store(&t, gpa, FIELD_SET(word, PASID0, PGTT, pgtt));
        assert_reason(known ? VTD_OK : VTD_FR_PASID_INVALID);
    }
}

static void test_5b_pass_through_not_supported(void)
{
    VtdProperties props = VTD_PROPERTIES_DEFAULT;

    teardown();
    props.pt = false;
    setup_with(&props);
    vtd_tables_set_pass_through(&t, RID, PASID, 7);
    assert_reason(VTD_FR_PASID_INVALID);
}

static void test_5b_pass_through_width(void)
{
    uint64_t gpa = vtd_tables_pasid_gpa(&t, RID, PASID);

    vtd_tables_set_pass_through(&t, RID, PASID, 7);
    for (unsigned aw = 0; aw < 8; aw++) {
        vtd_tables_store(&t, gpa, FIELD_SET(vtd_tables_load(&t, gpa), PASID0,
                                            AW, aw));
        assert_reason(aw == 2 ? VTD_OK : VTD_FR_PASID_INVALID);
    }
}

static void test_5b_five_levels(void)
{
    uint64_t gpa = vtd_tables_pasid_gpa(&t, RID, PASID) + 16;

    for (unsigned fspm = 1; fspm < 4; fspm++) {
        vtd_tables_store(&t, gpa, FIELD_SET(SPACE, PASID2, FSPM, fspm));
        assert_reason(VTD_FR_PASID_INVALID);
    }
}

static void test_5b_table_beyond_width(void)
{
    check_bits(vtd_tables_pasid_gpa(&t, RID, PASID) + 16, ABOVE_HAW,
               VTD_FR_PASID_INVALID);
}

/* Whichever entry on the way has it, and whether or not there is a fault. */
static void test_fpd_of_any_entry(void)
{
    const uint64_t fpd = 2;
    const uint64_t gpas[] = {
        vtd_tables_context_gpa(&t, RID), vtd_tables_dir_gpa(&t, RID, PASID),
        vtd_tables_pasid_gpa(&t, RID, PASID),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(gpas); i++) {
        uint64_t word = vtd_tables_load(&t, gpas[i]);
        VtdWalk out;

        vtd_tables_store(&t, gpas[i], word | fpd);
        vtd_walk(v, RID, PASID, VTD_REQUEST_PAGE, &out);
        g_assert_true(out.fpd);
        /* Also of an entry that is not present otherwise. */
        vtd_tables_store(&t, gpas[i], fpd);
        g_assert_cmphex(vtd_walk(v, RID, PASID, VTD_REQUEST_PAGE, &out), !=,
                        VTD_OK);
        g_assert_true(out.fpd);
        vtd_tables_store(&t, gpas[i], word);
    }
}

static void test_new_root_needs_srtp(void)
{
    vtd_guest_write64(f, A_RTADDR, FIELD_SET(GUEST_NOWHERE, RTADDR, TTM,
                                             TTM_SCALABLE));
    assert_reason(VTD_OK);
    vtd_guest_command(f, FIELD_MASK(GCMD, SRTP), true);
    assert_reason(VTD_FR_ROOT_ACCESS);
}

static const FixtureTest tests[] = {
    { test_finds_entry, "finds-entry" },
    { test_without_pasid_goes_by_rid_pasid, "without-PASID-by-RID_PASID" },
    { test_no_rps_means_pasid_0, "without-RPS-RID_PASID-is-0" },
    { test_30_mode_not_supported, "30h/TTM-not-supported" },
    { test_31_pasid_in_legacy_mode, "31h/PASID-in-legacy-mode" },
    { test_32_page_request_in_legacy_mode, "32h/page-request-in-legacy-mode" },
    { test_33_abort_mode, "33h/abort-mode" },
    { test_38_root_table_nowhere, "38h/root-table-not-in-memory" },
    { test_39_root_entry_not_present, "39h/root-entry-not-present" },
    { test_3a_root_entry_reserved, "3Ah/root-entry-reserved" },
    { test_40_context_table_nowhere, "40h/context-table-not-in-memory" },
    { test_41_context_not_present, "41h/context-entry-not-present" },
    { test_42_context_reserved, "42h/context-entry-reserved" },
    { test_42_without_svm, "42h/PASIDE-and-PRE-reserved-without-svm" },
    { test_43_page_requests_without_device_tlb, "43h/PRE-without-DTE" },
    { test_43_rid_pasid_too_large, "43h/RID_PASID-beyond-directory" },
    { test_44_translation_without_device_tlb, "44h/translation-without-DTE" },
    { test_45_pasids_off, "45h/PASIDE-0" },
    { test_46_pasid_beyond_directory, "46h/PASID-beyond-directory" },
    { test_46_pasid_beyond_width, "46h/PASID-beyond-width" },
    { test_47_page_requests_off, "47h/PRE-0" },
    { test_48_pasid_is_rid_pasid, "48h/PASID-is-RID_PASID" },
    { test_50_directory_nowhere, "50h/directory-not-in-memory" },
    { test_51_directory_entry_not_present, "51h/directory-entry-not-present" },
    { test_52_directory_entry_reserved, "52h/directory-entry-reserved" },
    { test_58_pasid_table_nowhere, "58h/PASID-table-not-in-memory" },
    { test_59_pasid_entry_not_present, "59h/PASID-entry-not-present" },
    { test_5a_pasid_entry_reserved, "5Ah/PASID-entry-reserved" },
    { test_5a_features_not_shown, "5Ah/features-that-ECAP-does-not-show" },
    { test_first_stage_ignores_second, "first-stage-ignores-second" },
    { test_5b_translation_type, "5Bh/PGTT" },
    { test_5b_pass_through_not_supported, "5Bh/pass-through-not-supported" },
    { test_5b_pass_through_width, "5Bh/pass-through-AW" },
    { test_5b_five_levels, "5Bh/FSPM" },
    { test_5b_table_beyond_width, "5Bh/FSPTPTR-beyond-width" },
    { test_fpd_of_any_entry, "FPD-of-any-entry" },
    { test_new_root_needs_srtp, "new-root-needs-SRTP" },
};

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, "/vtd/tables", tests, G_N_ELEMENTS(tests),
                        setup, teardown);
}
