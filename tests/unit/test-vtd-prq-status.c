/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page request queue (D51397, 7.4 to 7.6): the overflow rules, page request
 * events, and faults, with the answers that the unit gives itself.
 */
#include "prq-fixture.h"

#define NO_PASID PAGE_REQUEST_NO_PASID

#define READ PGFAULT_PERM_READ
#define EXEC PGFAULT_PERM_EXEC
#define PRIV PGFAULT_PERM_PRIV

/* ---- Overflow ---- */

static void test_too_large_sets_pro(void)
{
    PageGroup groups[] = {
        prq_group(PRQ_PASID, 1, PRQ_ENTRIES), prq_group(PRQ_PASID, 2, 1),
        prq_group(PRQ_PASID, 3, 2),
    };

    vtd_prq_deliver(prq.f->viommu, groups, G_N_ELEMENTS(groups));
    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++) {
        prq_assert_answered(&groups[i], PAGE_RESPONSE_SUCCESS);
    }
    g_assert_cmphex(prq_tail(), ==, 0);
    g_assert_cmphex(prq_status(), ==, PRS_PRO);
    g_assert_cmpuint(prq_messages(), ==, 1);
    g_assert_cmpuint(atomic_load(&prq.f->irq.last_data), ==,
                     VTD_GUEST_PAGE_DATA);
    g_assert_cmpuint(viommu_get_page_stats(prq.f->viommu).overflows, ==, 1);
    g_assert_cmpuint(message_log_matching("does not fit in the page request "
                                          "queue"), ==, 1);
}

/* Groups before the one that overflows are the guest's. */
static void test_full_in_the_middle_of_a_batch(void)
{
    PageGroup groups[] = {
        prq_group(PRQ_PASID, 1, PRQ_CAPACITY - 1), prq_group(PRQ_PASID, 2, 2),
        prq_group(PRQ_PASID, 3, 1),
    };

    vtd_prq_deliver(prq.f->viommu, groups, G_N_ELEMENTS(groups));
    g_assert_cmpint(groups[0].outcome, ==, PAGE_WRITTEN);
    prq_assert_answered(&groups[1], PAGE_RESPONSE_SUCCESS);
    prq_assert_answered(&groups[2], PAGE_RESPONSE_SUCCESS);
    g_assert_cmphex(prq_tail(), ==, 32 * (PRQ_CAPACITY - 1));
    g_assert_cmphex(prq_status(), ==, PRS_PPR | PRS_PRO);
    g_assert_cmpuint(prq_messages(), ==, 1);
}

static void test_pro_answers_success(void)
{
    prq_deliver_pages(PRQ_CAPACITY);
    prq_deliver_pages(1);
    prq_consume_all();
    g_assert_cmphex(prq_status(), ==, PRS_PRO);
    for (unsigned i = 0; i < 3; i++) {
        PageGroup group = prq_group(PRQ_PASID, i, 1);

        prq_deliver(&group);
        prq_assert_answered(&group, PAGE_RESPONSE_SUCCESS);
    }
    g_assert_cmphex(prq_tail(), ==, 32 * PRQ_CAPACITY);
    g_assert_cmphex(prq_status(), ==, PRS_PRO);
    g_assert_cmpuint(prq_messages(), ==, 1);
    g_assert_cmpuint(viommu_get_page_stats(prq.f->viommu).overflows, ==, 1);
}

static void test_records_again_after_pro_cleared(void)
{
    prq_deliver_pages(PRQ_CAPACITY);
    prq_deliver_pages(1);
    prq_consume_all();
    vtd_guest_write32(prq.f, A_PRS, PRS_PRO);
    g_assert_cmpint(prq_deliver_pages(1), ==, PAGE_WRITTEN);
    g_assert_cmphex(prq_status(), ==, PRS_PPR);
    g_assert_cmphex(prq_tail(), ==, 0);
    g_assert_cmpuint(prq_messages(), ==, 2);
}

static void test_full_queue_sets_pro_once(void)
{
    prq_deliver_pages(PRQ_CAPACITY);
    for (unsigned i = 0; i < 5; i++) {
        g_assert_cmpint(prq_deliver_pages(1), ==, PAGE_ANSWERED);
    }
    g_assert_cmpuint(viommu_get_page_stats(prq.f->viommu).overflows, ==, 1);
}

/* The tables are looked at first. */
static void test_tables_come_before_pro(void)
{
    PageGroup group = prq_group(PRQ_PASID + 1, 0, 1);

    prq_deliver_pages(PRQ_ENTRIES);
    prq_deliver(&group);
    prq_assert_answered(&group, PAGE_RESPONSE_INVALID);
}

/* ---- Events ---- */

static void test_one_message_for_a_burst(void)
{
    PageGroup groups[] = {
        prq_group(PRQ_PASID, 1, 3), prq_group(PRQ_PASID, 2, 3),
        prq_group(PRQ_PASID, 3, 3),
    };

    vtd_prq_deliver(prq.f->viommu, groups, G_N_ELEMENTS(groups));
    g_assert_cmpuint(prq_messages(), ==, 1);
    prq_deliver_pages(1);
    g_assert_cmpuint(prq_messages(), ==, 1);
    g_assert_cmpuint(viommu_get_page_stats(prq.f->viommu).interrupts, ==, 1);
}

/* The entry that comes after software cleared PPR but before it reads PQT. */
static void test_entry_after_ppr_cleared(void)
{
    prq_deliver_pages(1);
    vtd_guest_write32(prq.f, A_PRS, PRS_PPR);
    prq_deliver_pages(1);
    g_assert_cmpuint(prq_messages(), ==, 2);
    vtd_guest_write64(prq.f, A_PQH, prq_tail());
    g_assert_cmphex(prq_status(), ==, PRS_PPR);
}

static void test_masked_is_held_in_ip(void)
{
    vtd_guest_write32(prq.f, A_PECTL, ECTL_IM);
    prq_deliver_pages(1);
    g_assert_cmphex(vtd_guest_read32(prq.f, A_PECTL), ==, ECTL_IM | ECTL_IP);
    g_assert_cmpuint(prq_messages(), ==, 0);
    vtd_guest_write32(prq.f, A_PECTL, 0);
    g_assert_cmphex(vtd_guest_read32(prq.f, A_PECTL), ==, 0);
    g_assert_cmpuint(prq_messages(), ==, 1);
}

static void test_clearing_while_masked_drops_ip(void)
{
    vtd_guest_write32(prq.f, A_PECTL, ECTL_IM);
    prq_deliver_pages(PRQ_CAPACITY);
    prq_deliver_pages(1);
    vtd_guest_write32(prq.f, A_PRS, PRS_PPR);
    g_assert_cmphex(vtd_guest_read32(prq.f, A_PECTL), ==, ECTL_IM | ECTL_IP);
    vtd_guest_write32(prq.f, A_PRS, PRS_PRO);
    g_assert_cmphex(vtd_guest_read32(prq.f, A_PECTL), ==, ECTL_IM);
    vtd_guest_write32(prq.f, A_PECTL, 0);
    g_assert_cmpuint(prq_messages(), ==, 0);
}

static void test_pro_while_ppr_gives_no_message(void)
{
    prq_deliver_pages(PRQ_CAPACITY);
    g_assert_cmpuint(prq_messages(), ==, 1);
    prq_deliver_pages(1);
    g_assert_cmphex(prq_status(), ==, PRS_PPR | PRS_PRO);
    g_assert_cmpuint(prq_messages(), ==, 1);
}

static void test_pro_without_ppr_gives_one(void)
{
    prq_deliver_pages(PRQ_CAPACITY);
    vtd_guest_write32(prq.f, A_PRS, PRS_PPR);
    prq_deliver_pages(1);
    g_assert_cmphex(prq_status(), ==, PRS_PRO);
    g_assert_cmpuint(prq_messages(), ==, 2);
}

static void test_answers_alone_give_no_event(void)
{
    PageGroup group = prq_group(PRQ_PASID + 1, 0, 1);

    vtd_guest_write32(prq.f, A_FECTL, ECTL_IM);
    prq_deliver(&group);
    g_assert_cmphex(prq_status(), ==, 0);
    g_assert_cmpuint(prq_messages(), ==, 0);
}

/* What the interrupt handler of software sees. */
static void note_tail(void *opaque)
{
    /* The register as it is. */
    lock_assert_held(&prq.v->parent.ring_lock);
    *(uint64_t *)opaque = vtd_reg64(prq.v, R_PQT);
}

static void test_message_comes_after_tail(void)
{
    uint64_t seen = 0;

    prq.f->irq.raised = note_tail;
    prq.f->irq.opaque = &seen;
    prq_deliver_pages(3);
    g_assert_cmphex(seen, ==, 96);
    prq.f->irq.raised = NULL;
}

/* ---- Faults ---- */

static uint32_t frcd(unsigned dword)
{
    return vtd_guest_read32(prq.f, A_FRCD + 4 * dword);
}

static void test_pre_0_is_recorded_and_answered_invalid(void)
{
    const Pgfault page = {
        .addr = PRQ_ADDR + 0xabc, .perm = READ | EXEC | PRIV,
    };
    PageGroup group = prq_group(PRQ_PASID, 0, 1);

    vtd_tables_set_context(&prq.t, PRQ_RID,
                           VTD_CONTEXT_SVA & ~FIELD_MASK(CONTEXT0, PRE), 0);
    group.pages = &page;
    prq_deliver(&group);
    prq_assert_answered(&group, PAGE_RESPONSE_INVALID);
    g_assert_cmphex(prq_tail(), ==, 0);
    g_assert_cmphex(prq_status(), ==, 0);
    g_assert_cmphex(frcd(0), ==, 0x40203000);
    g_assert_cmphex(frcd(1), ==, 0x00007f81);
    /* PP, EXE, PRIV, T2; RID. F, PV, FR; T1 is 0. */
    g_assert_cmphex(frcd(2), ==, 0xf0001234);
    g_assert_cmphex(frcd(3), ==, 0x80000000 | PRQ_PASID << 8 | 0x47);
    g_assert_cmpuint(atomic_load(&prq.f->irq.last_data), ==,
                     VTD_GUEST_FAULT_DATA);
}

static void test_fault_without_pasid(void)
{
    PageGroup group = prq_group(NO_PASID, 0, 1);

    vtd_tables_clear_pasid(&prq.t, PRQ_RID, 0);
    prq_deliver(&group);
    prq_assert_answered(&group, PAGE_RESPONSE_INVALID);
    g_assert_cmphex(frcd(2), ==, 0x10001234);
    g_assert_cmphex(frcd(3), ==, 0x80000059);
}

static void test_fpd_suppresses_record_not_answer(void)
{
    PageGroup group = prq_group(PRQ_PASID, 0, 1);

    vtd_tables_set_context(&prq.t, PRQ_RID,
                           (VTD_CONTEXT_SVA & ~FIELD_MASK(CONTEXT0, PRE)) |
                               FIELD_MASK(CONTEXT0, FPD), 0);
    prq_deliver(&group);
    prq_assert_answered(&group, PAGE_RESPONSE_INVALID);
    g_assert_cmphex(vtd_guest_read32(prq.f, A_FSTS), ==, 0);
    g_assert_cmphex(frcd(3), ==, 0);
    g_assert_cmpuint(prq_messages(), ==, 0);
}

/* 7.1.3: an access error is not qualified. */
static void test_fpd_does_not_hide_access_errors(void)
{
    PageGroup group = prq_group(PRQ_PASID, 0, 1);

    vtd_tables_store(&prq.t, vtd_tables_context_gpa(&prq.t, PRQ_RID),
                     GUEST_NOWHERE | VTD_CONTEXT_SVA |
                         FIELD_MASK(CONTEXT0, FPD));
    prq_deliver(&group);
    prq_assert_answered(&group, PAGE_RESPONSE_INVALID);
    g_assert_cmphex(frcd(3) & 0xff, ==, VTD_FR_DIR_ACCESS);
}

static void assert_fault(VtdReason reason)
{
    PageGroup group = prq_group(PRQ_PASID, 0, 1);

    prq_deliver(&group);
    prq_assert_answered(&group, PAGE_RESPONSE_INVALID);
    g_assert_cmphex(frcd(3) & 0xff, ==, reason);
}

static void test_legacy_mode_is_32h(void)
{
    vtd_guest_write64(prq.f, A_RTADDR, prq.t.root);
    vtd_guest_command(prq.f, FIELD_MASK(GCMD, SRTP), true);
    assert_fault(VTD_FR_PAGE_REQUEST_LEGACY);
}

static void test_no_context_entry_is_41h(void)
{
    vtd_tables_set_context(&prq.t, PRQ_RID, 0, 0);
    assert_fault(VTD_FR_CONTEXT_P);
}

/* One for each group, as far as there are records. */
static void test_faults_of_a_batch(void)
{
    PageGroup groups[VTD_FRCD_COUNT + 1];

    for (unsigned i = 0; i < G_N_ELEMENTS(groups); i++) {
        groups[i] = prq_group(PRQ_PASID + 1, i, 1);
    }
    vtd_prq_deliver(prq.f->viommu, groups, G_N_ELEMENTS(groups));
    g_assert_cmphex(vtd_guest_read32(prq.f, A_FSTS), ==,
                    FIELD_MASK(FSTS, PPF) | FIELD_MASK(FSTS, PFO));
    g_assert_cmpuint(prq_messages(), ==, 1);
}

static void test_good_and_bad_in_one_batch(void)
{
    PageGroup groups[] = {
        prq_group(PRQ_PASID, 1, 2), prq_group(PRQ_PASID + 1, 2, 2),
        prq_group(PRQ_PASID, 3, 2),
    };
    uint64_t entry[4];

    vtd_prq_deliver(prq.f->viommu, groups, G_N_ELEMENTS(groups));
    g_assert_cmpint(groups[0].outcome, ==, PAGE_WRITTEN);
    prq_assert_answered(&groups[1], PAGE_RESPONSE_INVALID);
    g_assert_cmpint(groups[2].outcome, ==, PAGE_WRITTEN);
    g_assert_cmphex(prq_tail(), ==, 32 * 4);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_true(vtd_guest_consume(prq.f, entry));
        g_assert_cmpuint(entry[1] >> 3 & 0x1ff, ==, i < 2 ? 1 : 3);
    }
}

static const FixtureTest tests[] = {
    { test_too_large_sets_pro, "overflow/group-larger-than-queue" },
    { test_full_in_the_middle_of_a_batch, "overflow/in-the-middle-of-a-batch" },
    { test_full_queue_sets_pro_once, "full-queue-sets-PRO-once" },
    { test_pro_answers_success, "overflow/PRO-answers-Success-without-event" },
    { test_records_again_after_pro_cleared,
      "overflow/records-again-after-PRO-cleared" },
    { test_tables_come_before_pro, "overflow/tables-come-first" },
    { test_one_message_for_a_burst, "event/one-message-for-a-burst" },
    { test_entry_after_ppr_cleared, "event/entry-after-PPR-cleared" },
    { test_masked_is_held_in_ip, "event/IM-holds-it-in-IP" },
    { test_clearing_while_masked_drops_ip, "event/clearing-masked-drops-IP" },
    { test_pro_while_ppr_gives_no_message, "event/PRO-while-PPR-no-message" },
    { test_pro_without_ppr_gives_one, "event/PRO-without-PPR-one-message" },
    { test_answers_alone_give_no_event, "event/answers-alone-give-none" },
    { test_message_comes_after_tail, "event/message-after-PQT" },
    { test_pre_0_is_recorded_and_answered_invalid,
      "fault/PRE-0-is-47h-and-Invalid-Request" },
    { test_fault_without_pasid, "fault/without-PASID" },
    { test_fpd_suppresses_record_not_answer,
      "fault/FPD-suppresses-record-not-answer" },
    { test_fpd_does_not_hide_access_errors,
      "fault/FPD-does-not-hide-access-errors" },
    { test_legacy_mode_is_32h, "fault/legacy-mode-is-32h" },
    { test_no_context_entry_is_41h, "fault/no-context-entry-is-41h" },
    { test_faults_of_a_batch, "fault/one-for-each-group" },
    { test_good_and_bad_in_one_batch, "fault/good-and-bad-in-one-batch" },
};

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, "/vtd/prq", tests, G_N_ELEMENTS(tests),
                        prq_setup, prq_teardown);
}
