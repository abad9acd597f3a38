/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests of emulated devices behind an SMMUv3, all the way: device, PRI
 * queue, guest, CMD_PRI_RESP, device. Each group comes back once, and is
 * counted once. On threads: test-smmuv3-priq-threads.c.
 */
#include "priq-fixture.h"

#include "call-count.h"

#define SID 0x10
#define PASID 5
#define LOG2 2                  /* 4 entries */

enum { RESP_FAILURE, RESP_INVALID, RESP_SUCCESS };

static Fixture *f;
static SvaDevice *device;
static PriqRequest requests[16];

static void setup(void)
{
    f = fixture_new(&PRIQ_PROPERTIES, false);
    message_log_start();
    guest_start_priq(f, 4, 6, LOG2);
    device = priq_add_device(f, SID, 1000);
}

static void assert_balanced(void)
{
    ViommuPageStats stats = viommu_get_page_stats(f->viommu);

    g_assert_cmpuint(stats.raised, ==,
                     stats.answered + stats.invalid + stats.retried);
    g_assert_cmpuint(stats.open, ==, 0);
}

static void remove_device(void)
{
    if (device) {
        viommu_remove_sva_device(device);
        device = NULL;
    }
}

static void teardown(void)
{
    remove_device();
    assert_balanced();
    fixture_free(f);
}

static ViommuPageStats stats(void)
{
    return viommu_get_page_stats(f->viommu);
}

/* Requests first to first + count - 1, of a page each, with their own index. */
static void ask(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        priq_request(device, &requests[i], PASID, i, 1);
    }
    fixture_pump(f);
}

static void assert_waiting(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        g_assert_cmpuint(requests[i].responses, ==, 0);
    }
}

static void assert_responses(unsigned first, unsigned count, uint32_t code)
{
    for (unsigned i = first; i < first + count; i++) {
        priq_assert_response(&requests[i], code);
    }
}

/* The guest takes one entry out of the queue, which must be of @index. */
static void consume(uint32_t index)
{
    uint64_t ppr[2];

    g_assert_true(guest_consume_ppr(f, ppr));
    g_assert_cmpuint(ppr[1] & 0x1ff, ==, index);
    fixture_pump(f);
}

static void respond(uint32_t index)
{
    priq_respond(f, SID, PASID, index, RESP_SUCCESS);
    fixture_pump(f);
}

static void test_request_entry_response_once(void)
{
    uint64_t ppr[2];

    priq_request(device, &requests[0], PASID, 7, 1);
    fixture_pump(f);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_PRIQ], ==, 1);
    g_assert_true(guest_consume_ppr(f, ppr));
    g_assert_cmphex(ppr[0], ==, PPR_SSV | PPR_LAST | PPR_R | PPR_W |
                                    (uint64_t)PASID << 32 | SID);
    g_assert_cmphex(ppr[1], ==, 7);
    g_assert_cmpuint(stats().open, ==, 1);
    assert_waiting(0, 1);
    respond(7);
    assert_responses(0, 1, 0);
    respond(7);
    assert_responses(0, 1, 0);
    g_assert_cmpuint(stats().answered, ==, 1);
    g_assert_cmpuint(stats().stray, ==, 1);
}

static void test_full_queue_holds_groups_until_there_is_room(void)
{
    ask(0, 10);
    g_assert_cmphex(guest_read(f, A_PRIQ_PROD), ==, 4);
    g_assert_cmpuint(stats().queue_used, ==, 4);
    for (unsigned i = 0; i < 10; i++) {
        consume(i);
        respond(i);
    }
    assert_responses(0, 10, 0);
    g_assert_cmpuint(stats().overflows, ==, 0);
    g_assert_cmpuint(stats().answered, ==, 10);
}

/* Less room than the next group has pages is none. */
static void test_held_group_wants_room_for_all_of_it(void)
{
    ask(0, 3);
    priq_request(device, &requests[3], PASID, 3, 3);
    fixture_pump(f);
    consume(0);
    g_assert_cmphex(guest_read(f, A_PRIQ_PROD), ==, 3);
    consume(1);
    g_assert_cmphex(guest_read(f, A_PRIQ_PROD), ==, 6);
    consume(2);
    for (unsigned i = 0; i < 3; i++) {
        consume(3);
    }
    for (unsigned i = 0; i < 4; i++) {
        respond(i);
    }
    assert_responses(0, 4, 0);
}

/* Others may want more, or less and get it: who waits hears of his room. */
static void test_room_for_others_does_not_end_the_wait(void)
{
    ask(0, 3);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 4), ==, 1);
    priq_request(device, &requests[3], PASID, 3, 2);
    fixture_pump(f);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 4), ==, 1);
    g_assert_cmpuint(smmuv3_priq_room(f->viommu, 1), ==, 1);
    consume(0);
    g_assert_cmphex(guest_read(f, A_PRIQ_PROD), ==, 5);
    for (unsigned i = 0; i < 4; i++) {
        respond(i);
    }
    assert_responses(0, 4, 0);
}

static void test_queue_never_enabled_is_answered_0xF(void)
{
    remove_device();
    fixture_free(f);
    f = fixture_new(&PRIQ_PROPERTIES, false);
    device = priq_add_device(f, SID, 4);
    ask(0, 4);
    assert_responses(0, 4, 0xf);
    g_assert_cmpuint(stats().invalid, ==, 4);
}

/* What waits for room when the queue goes off is answered at once. */
static void test_switching_off_answers_what_waits(void)
{
    static const uint32_t off[] = { 0x1d, 0x1e, 0x1c };

    for (size_t i = 0; i < G_N_ELEMENTS(off); i++) {
        teardown();
        setup();
        ask(0, 9);
        guest_write(f, A_CR0, off[i]);
        g_assert_cmphex(guest_read(f, A_CR0ACK), ==, off[i]);
        fixture_pump(f);
        assert_responses(4, 5, 0xf);
        /* The guest has seen the others, and may still respond. */
        assert_waiting(0, 4);
        guest_write(f, A_CR0, 0x1f);
        for (unsigned k = 0; k < 4; k++) {
            respond(k);
        }
        assert_responses(0, 4, 0);
    }
}

static void test_reset_answers_all(void)
{
    ask(0, 9);
    viommu_reset(f->viommu);
    fixture_pump(f);
    assert_responses(0, 4, PAGE_RESPONSE_INVALID);
    assert_responses(4, 5, 0xf);
    g_assert_cmpuint(stats().invalid, ==, 9);
}

/* An OVACKFLG that acknowledges nothing: what waits has overflowed. */
static void test_overflow_answers_what_waits(void)
{
    ask(0, 6);
    guest_write(f, A_PRIQ_CONS, PRIQ_OVFLG);
    fixture_pump(f);
    assert_responses(4, 2, 0);
    assert_waiting(0, 4);
    g_assert_cmpuint(stats().retried, ==, 2);
}

static void test_group_that_never_fits_is_told_to_retry(void)
{
    priq_request(device, &requests[0], PASID, 0, 5);
    fixture_pump(f);
    assert_responses(0, 1, 0);
    g_assert_cmpuint(stats().retried, ==, 1);
    g_assert_cmpuint(stats().overflows, ==, 1);
    ask(1, 2);
    assert_responses(1, 2, 0);
    g_assert_cmpuint(stats().retried, ==, 3);
    priq_acknowledge(f);
    fixture_pump(f);
    ask(3, 1);
    consume(3);
    respond(3);
    assert_responses(3, 1, 0);
    g_assert_cmpuint(stats().answered, ==, 1);
}

/* The one behind it waits for room, the overflow comes when it is its turn. */
static void test_group_that_never_fits_keeps_its_place(void)
{
    ask(0, 4);
    priq_request(device, &requests[4], PASID, 4, 2);
    priq_request(device, &requests[5], PASID, 5, 5);
    fixture_pump(f);
    assert_waiting(0, 6);
    g_assert_false(priq_overflow_is_active(f));
    for (unsigned i = 0; i < 2; i++) {
        consume(i);
    }
    assert_responses(5, 1, 0);
    g_assert_true(priq_overflow_is_active(f));
    assert_waiting(0, 5);
}

static void test_stop_marker_comes_back(void)
{
    static const Pgfault none = { 0x1000, 0 };
    uint64_t ppr[2];

    requests[0] = (PriqRequest){
        .group = { .pasid = PASID, .count = 1, .pages = &none,
                   .stop_marker = true },
    };
    g_assert_true(viommu_page_request(device, &requests[0].group));
    fixture_pump(f);
    g_assert_cmpuint(requests[0].responses, ==, 1);
    g_assert_true(guest_consume_ppr(f, ppr));
    g_assert_cmphex(ppr[0], ==, PPR_SSV | PPR_LAST | (uint64_t)PASID << 32 |
                                    SID);
    g_assert_cmpuint(stats().markers, ==, 1);
    g_assert_cmpuint(stats().raised, ==, 0);
}

static void test_removal_with_groups_open_and_waiting(void)
{
    ask(0, 9);
    remove_device();
    assert_responses(0, 9, PAGE_RESPONSE_INVALID);
    g_assert_cmpuint(stats().open, ==, 0);
    /* The guest does not know yet. */
    for (unsigned i = 0; i < 4; i++) {
        consume(i);
        respond(i);
    }
    assert_responses(0, 9, PAGE_RESPONSE_INVALID);
    g_assert_cmpuint(stats().stray, ==, 4);
    g_assert_cmpuint(stats().invalid, ==, 9);
}

static void test_removal_leaves_others_alone(void)
{
    SvaDevice *other = priq_add_device(f, SID + 1, 4);

    priq_request(other, &requests[10], PASID, 0, 1);
    ask(0, 3);
    priq_request(other, &requests[11], PASID, 1, 1);
    fixture_pump(f);
    remove_device();
    assert_responses(0, 3, PAGE_RESPONSE_INVALID);
    assert_waiting(10, 2);
    g_assert_cmpuint(priq_consume_all(f), ==, 4);
    fixture_pump(f);
    g_assert_cmpuint(priq_consume_all(f), ==, 1);
    priq_respond(f, SID + 1, PASID, 0, RESP_SUCCESS);
    priq_respond(f, SID + 1, PASID, 1, RESP_INVALID);
    fixture_pump(f);
    priq_assert_response(&requests[10], 0);
    priq_assert_response(&requests[11], PAGE_RESPONSE_INVALID);
    viommu_remove_sva_device(other);
}

/* 8.1: what the STE says, or that there is none, is the driver's to judge. */
static void test_stream_without_an_STE(void)
{
    guest_set_ste(f, SID, 0, 0);
    cmdq_cfgi_ste(f, SID);
    ask(0, 1);
    assert_waiting(0, 1);
    g_assert_cmpuint(guest_read(f, A_PRIQ_PROD), ==, 1);
    consume(0);
    priq_respond(f, SID, PASID, 0, RESP_INVALID);
    fixture_pump(f);
    assert_responses(0, 1, PAGE_RESPONSE_INVALID);
    g_assert_cmpuint(stats().stray, ==, 0);
}

static void test_index_used_again_ends_the_older_group(void)
{
    ask(0, 1);
    priq_request(device, &requests[1], PASID, 0, 1);
    fixture_pump(f);
    assert_responses(0, 1, PAGE_RESPONSE_INVALID);
    respond(0);
    assert_responses(1, 1, 0);
}

static void test_no_device_without_PRI(void)
{
    const SvaDeviceConfig config = { .name = "sva0", .virt_id = SID,
                                     .credits = 1 };
    g_autoptr(GError) error = NULL;

    teardown();
    f = fixture_new(NULL, false);
    g_assert_null(viommu_add_sva_device(f->viommu, &config, &error));
    g_assert_cmpstr(error->message, ==,
                    "device 'sva0': vIOMMU 'smmu0' takes no page requests");
}

/* The host would refuse a StreamID that it does not know. */
static void test_commands_for_the_stream_stay_here(void)
{
    fixture_plug(f, SID + 1);
    cmdq_put(f, OP(0x40, SID), 1);      /* ATC_INV */
    cmdq_put(f, OP(0x05, SID), 1);      /* CFGI_CD */
    cmdq_put(f, OP(0x06, SID), 1);
    cmdq_put(f, OP(0x03, SID), 1);      /* CFGI_STE */
    cmdq_put(f, OP(0x04, 0), 1);
    cmdq_run(f, SYNC);
    cmdq_assert_done(f);
    g_assert_cmpuint(cmdq_invalidations(f), ==, 0);
    cmdq_put(f, OP(0x40, SID + 1), 1);
    cmdq_run(f, SYNC);
    g_assert_cmpuint(cmdq_invalidations(f), ==, 1);
}

static bool translates(uint32_t pasid)
{
    uint64_t gpa = 0;
    bool found;

    rcu_section_enter();
    found = viommu_translate(device, pasid, 0x12345678, PGFAULT_PERM_READ,
                             &gpa);
    rcu_section_leave();
    g_assert_cmphex(gpa, ==, found ? 0x12345678 : 0);
    return found;
}

/* The address itself where nothing is translated, and none otherwise. */
static void test_translation_off_or_bypass(void)
{
    static const struct {
        uint64_t ste[2];
        bool found;
    } stes[] = {
        { { 1 | 4 << 1 }, true },       /* bypass */
        { { 1 | 0 << 1 }, false },      /* abort */
        { { 1 | 4 << 1 }, true },
        { { 1 | 5 << 1 }, false },      /* stage 1 */
        { { 1 | 4 << 1 }, true },
        { { 0 }, false },
        { { 1 | 6 << 1 }, false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(stes); i++) {
        guest_set_ste(f, SID, stes[i].ste[0], stes[i].ste[1]);
        cmdq_put(f, OP(0x03, SID), 1);
        cmdq_run(f, SYNC);
        g_assert_cmpint(translates(NO_PASID), ==, stes[i].found);
        g_assert_false(translates(PASID));
    }
    guest_write(f, A_CR0, 0x1e);
    g_assert_true(translates(NO_PASID));
    g_assert_false(translates(PASID));
    guest_write(f, A_GBPA, FIELD_MASK(GBPA, ABORT) | FIELD_MASK(GBPA, UPDATE));
    g_assert_false(translates(NO_PASID));
    guest_write(f, A_GBPA, FIELD_MASK(GBPA, UPDATE));
    g_assert_true(translates(NO_PASID));
    guest_write(f, A_CR0, 0x1f);
    g_assert_false(translates(NO_PASID));
}

/* Reset leaves GBPA at bypass. */
static void test_translation_after_reset(void)
{
    guest_set_ste(f, SID, 0, 0);
    g_assert_false(translates(NO_PASID));
    viommu_reset(f->viommu);
    g_assert_true(translates(NO_PASID));
}

/* ATC_INV is in effect when the SYNC behind it is done. */
static void test_ATC_INV_empties_the_cache(void)
{
    g_assert_true(translates(NO_PASID));
    guest_set_ste(f, SID, 0, 0);
    cmdq_put(f, OP(0x40, SID), 1);
    cmdq_run(f, SYNC);
    g_assert_false(translates(NO_PASID));
}

/* Not lost if the SYNC comes with a write of CMDQ_PROD of its own. */
static void test_SYNC_completes_what_was_before_it(void)
{
    static const uint64_t ops[] = { 0x03, 0x04, 0x40 };

    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        guest_set_ste(f, SID, 1 | 4 << 1, 0);
        cmdq_run(f, OP(0x03, SID));
        cmdq_run(f, SYNC);
        g_assert_true(translates(NO_PASID));
        guest_set_ste(f, SID, 0, 0);
        cmdq_run(f, OP(ops[i], SID));
        cmdq_run(f, SYNC);
        g_assert_false(translates(NO_PASID));
    }
}

static void test_translation_takes_no_lock(void)
{
    CallCount count;

    call_count_start(NULL);
    g_assert_true(translates(NO_PASID));
    g_assert_false(translates(PASID));
    count = call_count_stop();
    g_assert_cmpuint(count.allocations, ==, 0);
    g_assert_cmpuint(count.other_locks, ==, 0);
}

/* The ring's lock twice a batch, for room and for delivery, and no other. */
static void test_delivery_allocates_nothing(void)
{
    PageGroup groups[] = {
        priq_group(SID, PASID, 0, 1), priq_group(SID, NO_PASID, 1, 2),
        priq_group(SID, PASID, 2, 5), priq_stop_marker(SID, PASID),
    };
    CallCount count;

    call_count_start(&f->viommu->ring_lock.mutex);
    priq_deliver(f, groups, 4);
    count = call_count_stop();
    priq_assert_written(&groups[1]);
    priq_assert_answered(&groups[2], 0);
    g_assert_cmpuint(count.allocations, ==, 0);
    g_assert_cmpuint(count.other_locks, ==, 0);
    if (call_count_sees_locks()) {
        g_assert_cmpuint(count.own_locks, ==, 2);
    }
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_request_entry_response_once, "request-entry-response-once" },
        { test_full_queue_holds_groups_until_there_is_room,
          "full-queue-holds-groups-until-there-is-room" },
        { test_held_group_wants_room_for_all_of_it,
          "held-group-wants-room-for-all-of-it" },
        { test_room_for_others_does_not_end_the_wait,
          "room-for-others-does-not-end-the-wait" },
        { test_queue_never_enabled_is_answered_0xF,
          "queue-never-enabled-is-answered-0xF" },
        { test_switching_off_answers_what_waits,
          "switching-off-answers-what-waits" },
        { test_reset_answers_all, "reset-answers-all" },
        { test_overflow_answers_what_waits, "overflow-answers-what-waits" },
        { test_group_that_never_fits_is_told_to_retry,
          "group-that-never-fits-is-told-to-retry" },
        { test_group_that_never_fits_keeps_its_place,
          "group-that-never-fits-keeps-its-place" },
        { test_stop_marker_comes_back, "stop-marker-comes-back" },
        { test_removal_with_groups_open_and_waiting,
          "removal-with-groups-open-and-waiting" },
        { test_removal_leaves_others_alone, "removal-leaves-others-alone" },
        { test_stream_without_an_STE, "stream-without-an-STE-is-written" },
        { test_index_used_again_ends_the_older_group,
          "index-used-again-ends-the-older-group" },
        { test_no_device_without_PRI, "no-device-without-PRI" },
        { test_commands_for_the_stream_stay_here,
          "commands-for-the-stream-stay-here" },
        { test_translation_off_or_bypass, "translation-off-or-bypass" },
        { test_translation_after_reset, "translation-after-reset" },
        { test_ATC_INV_empties_the_cache, "ATC_INV-empties-the-cache" },
        { test_SYNC_completes_what_was_before_it,
          "SYNC-completes-what-was-before-it" },
        { test_translation_takes_no_lock, "translation-takes-no-lock" },
        { test_delivery_allocates_nothing, "delivery-allocates-nothing" },
    };

    call_count_init();
    return fixture_main(argc, argv, "/smmuv3/page-request", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
