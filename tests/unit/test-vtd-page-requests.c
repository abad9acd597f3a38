/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests on their whole way: from the emulated host's hardware into the
 * guest's queue, and the guest's response back to the hardware, exactly once
 * whatever happens in between.
 */
#include "pasid-fixture.h"

#include <errno.h>

#define RID_A PASID_RID
#define RID_B PASID_RID2
#define NO_PASID PAGE_REQUEST_NO_PASID
#define SPACE PASID_SPACE
#define DID 7
#define ADDR UINT64_C(0x00007f8140203000)

#define READ IOMMU_PGFAULT_PERM_READ
#define WRITE IOMMU_PGFAULT_PERM_WRITE

static VfioDevice *device;

/* What the hardware was answered, in order. */
static EmulPageAnswer answers[512];
static unsigned answered;

static void note_answer(const EmulPageAnswer *answer, void *opaque)
{
    g_assert_cmpuint(answered, <, G_N_ELEMENTS(answers));
    answers[answered++] = *answer;
}

static void setup(void)
{
    pasid_setup();
    emul_set_answer_func(pf.f->host, note_answer, NULL);
    answered = 0;
    device = vtd_fixture_plug(pf.f, RID_A);
    pasid_start();
    pasid_set_first_stage(RID_A, 1, DID, SPACE);
}

/* Nothing is open, and every group was answered once. */
static void teardown(void)
{
    EmulPageStats host = emul_get_page_stats(pf.f->host);
    ViommuPageStats guest;

    vtd_fixture_pump(pf.f);
    guest = viommu_get_page_stats(pf.f->viommu);
    g_assert_cmpuint(host.open, ==, 0);
    g_assert_cmpuint(host.raised, ==, answered);
    g_assert_cmpuint(guest.open, ==, 0);
    pasid_teardown();
}

/* A group of @count pages; its tag is its index. */
static void raise_from(VfioDevice *from, uint32_t pasid, uint32_t grpid,
                       unsigned count)
{
    EmulPageRequest request = {
        .dev_id = vfio_device_get_dev_id(from),
        .pasid = pasid,
        .grpid = grpid,
        .perm = READ,
        .tag = grpid,
    };

    for (unsigned i = 0; i < count; i++) {
        request.addr = ADDR + 4096 * i;
        request.last = i == count - 1;
        g_assert_cmpint(emul_request_page(pf.f->host, &request), ==,
                        EMUL_REPORT_QUEUED);
    }
}

static void raise_group(uint32_t grpid, unsigned count)
{
    raise_from(device, 1, grpid, count);
}

/* Bring it to the guest's queue, and read it there: one page. */
static void consume(uint16_t rid, uint32_t pasid, uint32_t prgi)
{
    uint64_t entry[4];

    vtd_fixture_pump(pf.f);
    g_assert_true(vtd_guest_consume(pf.f, entry));
    g_assert_cmphex(entry[0], ==,
                    (uint64_t)pasid << 32 | (uint32_t)rid << 16 | 0x101);
    g_assert_cmphex(entry[1], ==, ADDR | prgi << 3 | 4 | 1);
}

static void assert_queue_empty(void)
{
    uint64_t entry[4];

    vtd_fixture_pump(pf.f);
    g_assert_false(vtd_guest_consume(pf.f, entry));
}

static void respond(uint16_t rid, uint32_t pasid, unsigned prgi, unsigned code)
{
    vtd_guest_respond(pf.f, rid, pasid, prgi, code);
    vtd_fixture_pump(pf.f);
}

/* A Success for PASID 1 of @device, but for its PRGI. */
static uint64_t response_word0(void)
{
    uint64_t word0 = VTD_DESC_PAGE_RESPONSE;

    word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, PP, 1);
    word0 = FIELD_SET(word0, PAGE_RESPONSE_DESC0, RID, RID_A);
    return FIELD_SET(word0, DESC0, PASID, 1);
}

/* The last answer was for @tag. */
static void assert_last(uint64_t tag, uint32_t code, bool automatic)
{
    const EmulPageAnswer *last = &answers[answered - 1];

    g_assert_cmpuint(answered, >, 0);
    g_assert_cmpuint(last->tag, ==, tag);
    g_assert_cmpuint(last->code, ==, code);
    g_assert_cmpint(last->automatic, ==, automatic);
}

static ViommuPageStats stats(void)
{
    return viommu_get_page_stats(pf.f->viommu);
}

/* ---- There and back ---- */

static void test_answered_once(void)
{
    raise_group(3, 1);
    consume(RID_A, 1, 3);
    g_assert_cmpuint(answered, ==, 0);
    g_assert_cmpuint(stats().open, ==, 1);
    respond(RID_A, 1, 3, 0);
    g_assert_cmpuint(answered, ==, 1);
    assert_last(3, IOMMUFD_PAGE_RESP_SUCCESS, false);
    respond(RID_A, 1, 3, 1);
    g_assert_cmpuint(answered, ==, 1);
    g_assert_cmpuint(stats().answered, ==, 1);
    g_assert_cmpuint(stats().stray, ==, 1);
    g_assert_cmpuint(stats().interrupts, ==, 1);
}

/* A Linux guest sends RC=2; the kernel takes 0 and 1 only. */
static void test_response_codes(void)
{
    for (unsigned code = 0; code < 16; code++) {
        raise_group(code, 1);
        consume(RID_A, 1, code);
        respond(RID_A, 1, code, code);
        g_assert_cmpuint(answered, ==, code + 1);
        assert_last(code, code == 0 ? IOMMUFD_PAGE_RESP_SUCCESS
                                    : IOMMUFD_PAGE_RESP_INVALID, false);
    }
    g_assert_cmpuint(message_log_count(), ==, 0);
}

/* PP=0 in the request, and in the response. */
static void test_without_pasid(void)
{
    uint64_t entry[4];

    pasid_set_first_stage(RID_A, 0, DID, SPACE);
    raise_from(device, 0, 5, 1);
    vtd_fixture_pump(pf.f);
    g_assert_true(vtd_guest_consume(pf.f, entry));
    g_assert_cmphex(entry[0], ==, 0x12340001);
    respond(RID_A, NO_PASID, 5, 0);
    assert_last(5, IOMMUFD_PAGE_RESP_SUCCESS, false);
}

static void test_group_of_several(void)
{
    uint64_t entry[4];

    raise_group(7, 4);
    vtd_fixture_pump(pf.f);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_true(vtd_guest_consume(pf.f, entry));
        g_assert_cmphex(entry[1], ==, (ADDR + 4096 * i) | 7 << 3 |
                                          (i == 3 ? 4 : 0) | 1);
    }
    respond(RID_A, 1, 7, 0);
    g_assert_cmpuint(answered, ==, 1);
    assert_last(7, IOMMUFD_PAGE_RESP_SUCCESS, false);
}

/* Bit 2 of word 1 was LPIG, and is ignored. */
static void test_response_lpig_is_ignored(void)
{
    raise_group(2, 1);
    consume(RID_A, 1, 2);
    vtd_guest_submit(pf.f, response_word0(), 2 << 3 | 4);
    vtd_fixture_pump(pf.f);
    assert_last(2, IOMMUFD_PAGE_RESP_SUCCESS, false);
}

static void test_unknown_prgi_is_ignored(void)
{
    raise_group(2, 1);
    consume(RID_A, 1, 2);
    respond(RID_A, 1, 3, 0);
    respond(RID_A, 2, 2, 0);
    respond(RID_A, NO_PASID, 2, 0);
    respond(RID_B, 1, 2, 0);
    respond(0xffff, 1, 2, 0);
    g_assert_cmpuint(answered, ==, 0);
    g_assert_cmpuint(stats().stray, ==, 5);
    respond(RID_A, 1, 2, 0);
    assert_last(2, IOMMUFD_PAGE_RESP_SUCCESS, false);
}

static void test_devices_do_not_mix(void)
{
    VfioDevice *other = vtd_fixture_plug(pf.f, RID_B);

    pasid_set_first_stage(RID_B, 1, DID, SPACE);
    raise_from(device, 1, 4, 1);
    raise_from(other, 1, 4, 1);
    consume(RID_A, 1, 4);
    consume(RID_B, 1, 4);
    respond(RID_B, 1, 4, 0);
    g_assert_cmpuint(answers[0].dev_id, ==, vfio_device_get_dev_id(other));
    respond(RID_A, 1, 4, 1);
    g_assert_cmpuint(answers[1].dev_id, ==, vfio_device_get_dev_id(device));
    g_assert_cmpuint(answered, ==, 2);
}

/* PD=1: what was requested before is in the queue when the status is. */
static void test_wait_with_pd_drains(void)
{
    uint64_t entry[4];

    raise_group(1, 1);
    raise_group(2, 3);
    vtd_guest_submit_put(pf.f, FIELD_MASK(WAIT_DESC0, PD));
    for (unsigned i = 0; i < 4; i++) {
        g_assert_true(vtd_guest_consume(pf.f, entry));
    }
    respond(RID_A, 1, 1, 0);
    respond(RID_A, 1, 2, 0);
    g_assert_cmpuint(answered, ==, 2);
}

/* A device asks once more, while the host invalidates. */
static int raise_at_invalidation(unsigned long request, void *arg, int ret)
{
    if (request == IOMMU_HWPT_INVALIDATE) {
        pf.ioctl_done = NULL;
        raise_group(1, 1);
    }
    return ret;
}

/* It may have used what is invalidated, so that comes first. */
static void test_wait_with_pd_drains_last(void)
{
    uint64_t entry[4];

    pf.ioctl_done = raise_at_invalidation;
    vtd_guest_put(pf.f, 0x26 | DID << 16 | UINT64_C(1) << 32, 0);
    vtd_guest_submit_put(pf.f, FIELD_MASK(WAIT_DESC0, PD));
    g_assert_null(pf.ioctl_done);
    g_assert_true(vtd_guest_consume(pf.f, entry));
    respond(RID_A, 1, 1, 0);
    g_assert_cmpuint(answered, ==, 1);
}

/* ---- What the unit answers itself ---- */

static void test_tables_refuse(void)
{
    vtd_tables_set_context(&pf.t, RID_A,
                           VTD_CONTEXT_SVA & ~FIELD_MASK(CONTEXT0, PRE), 0);
    raise_group(1, 2);
    assert_queue_empty();
    assert_last(1, IOMMUFD_PAGE_RESP_INVALID, false);
    g_assert_cmphex(vtd_guest_read32(pf.f, A_FRCD + 12) & 0xff, ==,
                    VTD_FR_PRE);
    g_assert_cmpuint(stats().invalid, ==, 1);
}

static void test_group_larger_than_the_queue(void)
{
    raise_group(1, 128);
    raise_group(2, 1);
    assert_queue_empty();
    g_assert_cmphex(vtd_guest_read32(pf.f, A_PRS), ==, FIELD_MASK(PRS, PRO));
    g_assert_cmpuint(answered, ==, 2);
    assert_last(2, IOMMUFD_PAGE_RESP_SUCCESS, false);
    g_assert_cmpuint(answers[0].code, ==, IOMMUFD_PAGE_RESP_SUCCESS);
    g_assert_cmpuint(stats().retried, ==, 2);
    g_assert_cmpuint(stats().overflows, ==, 1);
    /* The device asks again once software has seen to it. */
    vtd_guest_write32(pf.f, A_PRS, FIELD_MASK(PRS, PRO));
    raise_group(2, 1);
    consume(RID_A, 1, 2);
    respond(RID_A, 1, 2, 0);
}

/* Back pressure: they wait in the kernel, and none is lost. */
static void test_full_queue_waits(void)
{
    unsigned seen = 0;

    for (uint32_t i = 0; i < 300; i++) {
        raise_group(i, 1);
    }
    while (seen < 300) {
        uint64_t entry[4];

        vtd_fixture_pump(pf.f);
        g_assert_cmpuint(stats().queue_used, ==, MIN(127, 300 - seen));
        g_assert_cmpuint(stats().queue_size, ==, 127);
        /* Software takes ten, then looks again. */
        for (unsigned i = 0; i < 10; i++, seen++) {
            g_assert_true(vtd_guest_consume(pf.f, entry));
            g_assert_cmpuint(entry[1] >> 3 & 0x1ff, ==, seen);
        }
    }
    g_assert_cmphex(vtd_guest_read32(pf.f, A_PRS), ==, FIELD_MASK(PRS, PPR));
    for (uint32_t i = 0; i < 300; i++) {
        respond(RID_A, 1, i, 0);
        assert_last(i, IOMMUFD_PAGE_RESP_SUCCESS, false);
    }
    g_assert_cmpuint(stats().overflows, ==, 0);
}

/* A group waits for room for all of it. */
static void test_group_waits_for_room(void)
{
    uint64_t entry[4];

    raise_group(1, 100);
    raise_group(2, 60);
    vtd_fixture_pump(pf.f);
    g_assert_cmpuint(stats().queue_used, ==, 100);
    for (unsigned i = 0; i < 100; i++) {
        g_assert_true(vtd_guest_consume(pf.f, entry));
        vtd_fixture_pump(pf.f);
        /* Room for 60 comes with the 33rd. */
        g_assert_cmpuint(stats().queue_used, ==, (i < 32 ? 99 : 159) - i);
    }
    vtd_guest_write64(pf.f, A_PQH, vtd_guest_read64(pf.f, A_PQT));
    respond(RID_A, 1, 1, 0);
    respond(RID_A, 1, 2, 0);
    g_assert_cmpuint(answered, ==, 2);
}

/* ---- Groups that are open when something goes ---- */

/* Open one, end it by @end: INVALID by the host; the guest's answer is late. */
static void check_end(void (*end)(void), bool automatic)
{
    raise_group(6, 1);
    consume(RID_A, 1, 6);
    end();
    vtd_fixture_pump(pf.f);
    g_assert_cmpuint(answered, ==, 1);
    assert_last(6, IOMMUFD_PAGE_RESP_INVALID, automatic);
    g_assert_cmpuint(stats().open, ==, 0);
    g_assert_cmpuint(stats().invalid, ==, 1);
}

static void late_answer(void)
{
    respond(RID_A, 1, 6, 0);
    g_assert_cmpuint(answered, ==, 1);
    g_assert_cmpuint(stats().stray, ==, 1);
}

static void remove_pasid(void)
{
    pasid_clear(RID_A, 1, DID);
}

static void test_pasid_removed(void)
{
    check_end(remove_pasid, true);
    late_answer();
}

static void replace_pasid(void)
{
    pasid_set_first_stage(RID_A, 1, DID, 2 * SPACE);
}

static void test_pasid_replaced(void)
{
    check_end(replace_pasid, true);
    late_answer();
}

static void translation_off(void)
{
    vtd_guest_command(pf.f, FIELD_MASK(GCMD, TE), false);
}

static void test_translation_off(void)
{
    check_end(translation_off, true);
    late_answer();
}

static void unplug(void)
{
    vtd_fixture_unplug(pf.f, device, RID_A);
}

static void test_unplugged(void)
{
    check_end(unplug, true);
    late_answer();
}

static void reset(void)
{
    viommu_reset(pf.f->viommu);
}

static void test_reset(void)
{
    check_end(reset, false);
}

/* Not yet in the guest's queue: the kernel's to answer. */
static void test_unread_group_of_a_removed_pasid(void)
{
    vtd_fixture_pump(pf.f);     /* nothing else has it read */
    raise_group(6, 1);
    remove_pasid();
    assert_queue_empty();
    g_assert_cmpuint(answered, ==, 1);
    assert_last(6, IOMMUFD_PAGE_RESP_INVALID, true);
}

/* In the guest's order: what it has answered stays answered. */
static void test_answer_before_removal_counts(void)
{
    raise_group(6, 1);
    consume(RID_A, 1, 6);
    vtd_tables_clear_pasid(&pf.t, RID_A, 1);
    vtd_guest_put(pf.f, response_word0(), 6 << 3);
    vtd_guest_put(pf.f, vtd_desc_pasid_cache(PASID_CACHE_G_PASID, DID, 1), 0);
    vtd_guest_submit_put(pf.f, 0);
    vtd_fixture_pump(pf.f);
    g_assert_cmpuint(answered, ==, 1);
    assert_last(6, IOMMUFD_PAGE_RESP_SUCCESS, false);
    pasid_assert_none(device, 1);
}

static void test_other_pasids_stay_open(void)
{
    pasid_set_first_stage(RID_A, 2, DID, SPACE);
    raise_from(device, 1, 1, 1);
    raise_from(device, 2, 2, 1);
    consume(RID_A, 1, 1);
    consume(RID_A, 2, 2);
    remove_pasid();
    g_assert_cmpuint(answered, ==, 1);
    respond(RID_A, 2, 2, 0);
    g_assert_cmpuint(answered, ==, 2);
    assert_last(2, IOMMUFD_PAGE_RESP_SUCCESS, false);
}

static void test_new_queue_after_the_last(void)
{
    remove_pasid();
    for (unsigned i = 1; i < 4; i++) {
        pasid_set_first_stage(RID_A, 1, DID, i * SPACE);
        raise_group(i, 1);
        consume(RID_A, 1, i);
        respond(RID_A, 1, i, 0);
        assert_last(i, IOMMUFD_PAGE_RESP_SUCCESS, false);
        remove_pasid();
    }
    g_assert_cmpuint(answered, ==, 3);
    g_assert_cmpuint(emul_get_stats(pf.f->host).busy, ==, 0);
}

/* ---- Cookies that are used again ---- */

/* A group of @device is in the guest's hands; so is a stranger's, after @end
 * has ended the first and the kernel given its cookie to the second. */
static VfioDevice *collide(void (*end)(void))
{
    VfioDevice *stranger = vtd_fixture_plug(pf.f, RID_B);

    pasid_set_first_stage(RID_B, 1, DID, SPACE);
    raise_group(1, 1);
    consume(RID_A, 1, 1);
    end();
    assert_last(1, IOMMUFD_PAGE_RESP_INVALID, true);
    g_assert_cmpuint(answered, ==, 1);
    raise_from(stranger, 1, 2, 1);
    consume(RID_B, 1, 2);
    return stranger;
}

static void test_late_answer_spares_the_stranger(void)
{
    VfioDevice *stranger = collide(remove_pasid);

    respond(RID_A, 1, 1, 1);
    g_assert_cmpuint(answered, ==, 1);
    g_assert_cmpuint(stats().stray, ==, 1);
    respond(RID_B, 1, 2, 0);
    g_assert_cmpuint(answered, ==, 2);
    assert_last(2, IOMMUFD_PAGE_RESP_SUCCESS, false);
    g_assert_cmpuint(answers[1].dev_id, ==, vfio_device_get_dev_id(stranger));
    g_assert_cmpuint(message_log_count(), ==, 0);
}

/* Detach first, forget later: not what viommu_attach() does. */
static void naive_detach(void)
{
    vfio_device_detach_pasid(device, 1);
}

/* Shows that the collision is real, and what it is about. */
static void test_naive_order_answers_the_stranger(void)
{
    VfioDevice *stranger = collide(naive_detach);

    /* The guest answers the device that asked first, and with INVALID. */
    respond(RID_A, 1, 1, 1);
    g_assert_cmpuint(answered, ==, 2);
    assert_last(2, IOMMUFD_PAGE_RESP_INVALID, false);
    g_assert_cmpuint(answers[1].dev_id, ==, vfio_device_get_dev_id(stranger));
    /* Its own answer finds nothing. */
    respond(RID_B, 1, 2, 0);
    g_assert_cmpuint(answered, ==, 2);
    g_assert_cmpuint(message_log_matching("does not know cookie 1"), ==, 1);
}

/* Answers that wait to be written are as dangerous: late by a write(). */
static void test_answer_waiting_for_a_write(void)
{
    const EmulFailure failure = {
        .call = EMUL_CALL_WRITE, .nth = 1, .times = 1, .err = EINTR,
    };

    raise_group(1, 1);
    consume(RID_A, 1, 1);
    emul_set_failure(pf.f->host, &failure);
    vtd_guest_respond(pf.f, RID_A, 1, 1, 0);
    remove_pasid();
    vtd_fixture_pump(pf.f);
    g_assert_cmpuint(answered, ==, 1);
    pasid_set_first_stage(RID_A, 1, DID, SPACE);
    raise_group(2, 1);
    consume(RID_A, 1, 2);
    g_assert_cmpuint(answered, ==, 1);
    respond(RID_A, 1, 2, 0);
    g_assert_cmpuint(answered, ==, 2);
    assert_last(2, IOMMUFD_PAGE_RESP_SUCCESS, false);
}

static const FixtureTest tests[] = {
    { test_answered_once, "answered-once" },
    { test_response_codes, "response/codes" },
    { test_without_pasid, "response/PP-0" },
    { test_group_of_several, "group-of-several" },
    { test_response_lpig_is_ignored, "response/LPIG-is-ignored" },
    { test_unknown_prgi_is_ignored, "response/unknown-PRGI-is-ignored" },
    { test_devices_do_not_mix, "devices-do-not-mix" },
    { test_wait_with_pd_drains, "wait-with-PD-drains" },
    { test_wait_with_pd_drains_last, "wait-with-PD-drains-last" },
    { test_tables_refuse, "tables-refuse" },
    { test_group_larger_than_the_queue, "group-larger-than-the-queue" },
    { test_full_queue_waits, "room/full-queue-waits" },
    { test_group_waits_for_room, "room/group-waits-for-all-of-it" },
    { test_pasid_removed, "open/PASID-removed" },
    { test_pasid_replaced, "open/PASID-replaced" },
    { test_translation_off, "open/translation-off" },
    { test_unplugged, "open/unplugged" },
    { test_reset, "open/reset" },
    { test_unread_group_of_a_removed_pasid, "open/unread" },
    { test_answer_before_removal_counts, "open/answer-before-removal-counts" },
    { test_other_pasids_stay_open, "open/other-PASIDs-stay-open" },
    { test_new_queue_after_the_last, "new-queue-after-the-last" },
    { test_late_answer_spares_the_stranger,
      "cookie/late-answer-spares-the-stranger" },
    { test_naive_order_answers_the_stranger,
      "cookie/naive-order-answers-the-stranger" },
    { test_answer_waiting_for_a_write, "cookie/answer-waiting-for-a-write" },
};

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, "/vtd/page-requests", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
