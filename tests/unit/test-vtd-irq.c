/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one IM and IP state machine of VT-d's three events (D51397-018, 7.3 to
 * 7.5): each test runs with each.
 */
#include "vtd-fixture.h"

#define IM FIELD_MASK(ECTL, IM)
#define IP FIELD_MASK(ECTL, IP)
#define DATA 0x4abc

static VtdFixture *f;

/* What software knows of an event; @bits are two of its status bits. */
typedef struct EventInfo {
    VtdEvent event;
    uint64_t control;
    uint64_t status;
    uint32_t bits[2];
} EventInfo;

static const EventInfo events[] = {
    { VTD_EVENT_FAULT, A_FECTL, A_FSTS,
      { FIELD_MASK(FSTS, PFO), FIELD_MASK(FSTS, IQE) } },
    { VTD_EVENT_INVALIDATION, A_IECTL, A_ICS,
      { FIELD_MASK(ICS, IWC), FIELD_MASK(ICS, IWC) } },
    { VTD_EVENT_PAGE_REQUEST, A_PECTL, A_PRS,
      { FIELD_MASK(PRS, PPR), FIELD_MASK(PRS, PRO) } },
};

static void setup(void)
{
    f = vtd_fixture_new(NULL, false);
}

static void teardown(void)
{
    vtd_fixture_free(f);
}

static unsigned messages(void)
{
    return atomic_load(&f->irq.messages);
}

static uint32_t control(const EventInfo *e)
{
    return vtd_guest_read32(f, e->control);
}

static void set(const EventInfo *e, uint32_t bits)
{
    Vtd *v = vtd_fixture_vtd(f);

    lock_acquire(&v->parent.ring_lock);
    vtd_event_set(v, e->event, bits);
    lock_release(&v->parent.ring_lock);
}

static void clear(const EventInfo *e, uint32_t bits)
{
    vtd_guest_write32(f, e->status, bits);
}

static void program(const EventInfo *e, uint64_t address)
{
    vtd_guest_write32(f, e->control + 4, 0xffff0000 | DATA);
    vtd_guest_write32(f, e->control + 8, address | 3);
    vtd_guest_write32(f, e->control + 12, address >> 32);
}

static void mask(const EventInfo *e, bool masked)
{
    vtd_guest_write32(f, e->control, masked ? IM : 0);
}

/* Run @test for each event, on a fresh unit, unmasked. */
static void for_each(void (*test)(const EventInfo *e))
{
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        g_test_message("event %zu", i);
        teardown();
        setup();
        program(&events[i], GUEST_DOORBELL);
        mask(&events[i], false);
        test(&events[i]);
    }
}

/* ---- Rows of the state machine ---- */

static void one_per_burst(const EventInfo *e)
{
    set(e, e->bits[0]);
    g_assert_cmpuint(messages(), ==, 1);
    g_assert_cmphex(f->irq.last_data, ==, DATA);
    for (unsigned i = 0; i < 5; i++) {
        set(e, e->bits[i % 2]);
    }
    g_assert_cmpuint(messages(), ==, 1);
    g_assert_cmphex(control(e), ==, 0);
    g_assert_cmphex(vtd_guest_read32(f, e->status), ==,
                    e->bits[0] | e->bits[1]);
}

static void test_one_message_for_a_burst(void)
{
    for_each(one_per_burst);
}

static void again_after_clear(const EventInfo *e)
{
    for (unsigned i = 1; i < 5; i++) {
        set(e, e->bits[0]);
        g_assert_cmpuint(messages(), ==, i);
        clear(e, e->bits[0]);
        g_assert_cmphex(vtd_guest_read32(f, e->status), ==, 0);
    }
}

static void test_clear_then_set_gives_a_new_message(void)
{
    for_each(again_after_clear);
}

/* With another bit still set there is no new interrupt condition. */
static void other_bit_still_set(const EventInfo *e)
{
    if (e->bits[0] == e->bits[1]) {
        return;
    }
    set(e, e->bits[0]);
    set(e, e->bits[1]);
    clear(e, e->bits[0]);
    set(e, e->bits[0]);
    g_assert_cmpuint(messages(), ==, 1);
    clear(e, e->bits[1]);
    set(e, e->bits[1]);
    g_assert_cmpuint(messages(), ==, 1);
    clear(e, e->bits[0] | e->bits[1]);
    set(e, e->bits[1]);
    g_assert_cmpuint(messages(), ==, 2);
}

static void test_no_message_while_another_bit_is_set(void)
{
    for_each(other_bit_still_set);
}

static void masked_holds_it_in_ip(const EventInfo *e)
{
    mask(e, true);
    set(e, e->bits[0]);
    set(e, e->bits[1]);
    g_assert_cmphex(control(e), ==, IM | IP);
    g_assert_cmpuint(messages(), ==, 0);
    mask(e, true);
    g_assert_cmpuint(messages(), ==, 0);
    mask(e, false);
    g_assert_cmphex(control(e), ==, 0);
    g_assert_cmpuint(messages(), ==, 1);
    mask(e, false);
    g_assert_cmpuint(messages(), ==, 1);
}

static void test_masked_is_held_in_ip_until_unmasked(void)
{
    for_each(masked_holds_it_in_ip);
}

static void cleared_while_masked(const EventInfo *e)
{
    mask(e, true);
    set(e, e->bits[0]);
    set(e, e->bits[1]);
    clear(e, e->bits[0]);
    if (e->bits[0] != e->bits[1]) {
        g_assert_cmphex(control(e), ==, IM | IP);   /* both, not one */
        clear(e, e->bits[1]);
    }
    g_assert_cmphex(control(e), ==, IM);
    mask(e, false);
    g_assert_cmpuint(messages(), ==, 0);
}

static void test_cleared_while_masked_is_dropped(void)
{
    for_each(cleared_while_masked);
}

/* As when Linux moves an interrupt to another CPU. */
static void moved_while_masked(const EventInfo *e)
{
    mask(e, true);
    set(e, e->bits[0]);
    f->irq.doorbell = GUEST_DOORBELL + 0x1000;
    program(e, f->irq.doorbell);
    vtd_guest_write32(f, e->control + 4, 0x77);
    mask(e, false);
    g_assert_cmpuint(messages(), ==, 1);
    g_assert_cmpuint(f->irq.aborts, ==, 0);
    g_assert_cmphex(f->irq.last_data, ==, 0x77);
}

static void test_pending_goes_where_it_is_sent_when_unmasked(void)
{
    for_each(moved_while_masked);
}

static void ip_is_read_only(const EventInfo *e)
{
    vtd_guest_write32(f, e->control, IP | 0x3fffffff);
    g_assert_cmphex(control(e), ==, 0);
    g_assert_cmpuint(messages(), ==, 0);
    mask(e, true);
    set(e, e->bits[0]);
    vtd_guest_write32(f, e->control, IM);
    g_assert_cmphex(control(e), ==, IM | IP);
    vtd_guest_write32(f, e->control, UINT32_MAX);
    g_assert_cmphex(control(e), ==, IM | IP);
}

static void test_ip_is_read_only(void)
{
    for_each(ip_is_read_only);
}

static void masked_after_message(const EventInfo *e)
{
    set(e, e->bits[0]);
    mask(e, true);
    mask(e, false);
    /* It was sent: the status bit alone is not a condition. */
    g_assert_cmpuint(messages(), ==, 1);
}

static void test_what_was_sent_is_not_sent_by_unmasking(void)
{
    for_each(masked_after_message);
}

static void upper_address(const EventInfo *e)
{
    f->irq.doorbell = UINT64_C(0x1234567800000000) | GUEST_DOORBELL;
    program(e, f->irq.doorbell);
    set(e, e->bits[0]);
    g_assert_cmpuint(messages(), ==, 1);
    g_assert_cmpuint(f->irq.aborts, ==, 0);
}

static void test_the_upper_address_is_used(void)
{
    for_each(upper_address);
}

/* A message is never a write to memory, and one that goes nowhere is warned
 * of once. */
static void nowhere(const EventInfo *e)
{
    static const uint64_t addresses[] = { 0, GUEST_NOWHERE, GUEST_RAM };

    message_log_start();
    for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
        program(e, addresses[i]);
        set(e, e->bits[0]);
        clear(e, e->bits[0]);
        g_assert_cmpuint(f->irq.aborts, ==, i + 1);
        g_assert_cmphex(control(e), ==, 0);
    }
    g_assert_cmpuint(*vtd_guest_words(f, GUEST_RAM), ==, 0);
    g_assert_cmpuint(message_log_count(), ==, 1);
    g_assert_cmpuint(message_log_matching("interrupt message to 0x0 finds "
                                          "nothing"), ==, 1);
}

static void test_a_message_to_nowhere_is_lost(void)
{
    for_each(nowhere);
}

static void reset_unit(const EventInfo *e)
{
    mask(e, true);
    set(e, e->bits[0]);
    viommu_reset(f->viommu);
    g_assert_cmphex(control(e), ==, IM);
    g_assert_cmphex(vtd_guest_read32(f, e->status), ==, 0);
    program(e, GUEST_DOORBELL);
    mask(e, false);
    g_assert_cmpuint(messages(), ==, 0);
}

static void test_reset_drops_what_is_pending(void)
{
    for_each(reset_unit);
}

static const EventInfo *seen_event;
static uint32_t seen_status;

static void note_status(void *opaque)
{
    seen_status = vtd_fixture_vtd(f)->reg[seen_event->status / 4];
}

static void status_first(const EventInfo *e)
{
    seen_event = e;
    seen_status = 0;
    f->irq.raised = note_status;
    set(e, e->bits[0]);
    g_assert_cmphex(seen_status, ==, e->bits[0]);
}

static void test_status_is_set_before_the_message(void)
{
    for_each(status_first);
}

/* ---- Between events ---- */

static void test_events_do_not_mix(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        program(&events[i], GUEST_DOORBELL);
        vtd_guest_write32(f, events[i].control + 4, i);
    }
    mask(&events[2], false);
    set(&events[0], events[0].bits[0]);
    set(&events[1], events[1].bits[0]);
    set(&events[2], events[2].bits[0]);
    g_assert_cmpuint(messages(), ==, 1);
    g_assert_cmphex(f->irq.last_data, ==, 2);
    mask(&events[0], false);
    g_assert_cmpuint(messages(), ==, 2);
    g_assert_cmphex(f->irq.last_data, ==, 0);
    g_assert_cmphex(control(&events[1]), ==, IM | IP);
    mask(&events[1], false);
    g_assert_cmphex(f->irq.last_data, ==, 1);
}

static void test_page_request_interrupts_are_counted_when_sent(void)
{
    const EventInfo *e = &events[2];

    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        program(&events[i], GUEST_DOORBELL);
        mask(&events[i], i == 2);
        set(&events[i], events[i].bits[0]);
    }
    g_assert_cmpuint(viommu_get_page_stats(f->viommu).interrupts, ==, 0);
    mask(e, false);
    g_assert_cmpuint(viommu_get_page_stats(f->viommu).interrupts, ==, 1);
    clear(e, e->bits[0]);
    set(e, e->bits[1]);
    g_assert_cmpuint(viommu_get_page_stats(f->viommu).interrupts, ==, 2);
    g_assert_cmpuint(viommu_get_stats(f->viommu).interrupts, ==, 0);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_one_message_for_a_burst, "one-message-for-a-burst" },
        { test_clear_then_set_gives_a_new_message,
          "clear-then-set-gives-a-new-message" },
        { test_no_message_while_another_bit_is_set,
          "no-message-while-another-bit-is-set" },
        { test_masked_is_held_in_ip_until_unmasked,
          "masked-is-held-in-IP-until-unmasked" },
        { test_cleared_while_masked_is_dropped,
          "cleared-while-masked-is-dropped" },
        { test_pending_goes_where_it_is_sent_when_unmasked,
          "pending-goes-where-it-is-sent-when-unmasked" },
        { test_ip_is_read_only, "IP-is-read-only" },
        { test_what_was_sent_is_not_sent_by_unmasking,
          "what-was-sent-is-not-sent-by-unmasking" },
        { test_the_upper_address_is_used, "the-upper-address-is-used" },
        { test_a_message_to_nowhere_is_lost, "a-message-to-nowhere-is-lost" },
        { test_reset_drops_what_is_pending, "reset-drops-what-is-pending" },
        { test_status_is_set_before_the_message,
          "status-is-set-before-the-message" },
        { test_events_do_not_mix, "events-do-not-mix" },
        { test_page_request_interrupts_are_counted_when_sent,
          "page-request-interrupts-are-counted-when-sent" },
    };

    return fixture_main(argc, argv, "/vtd/irq", tests, G_N_ELEMENTS(tests),
                        setup, teardown);
}
