/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The PRI queue's interrupt (IHI 0070 G.b, 3.18.2): from empty to non-empty, or
 * with PRIQ_IRQ_CFG2.LO at the last request of a group.
 */
#include "priq-fixture.h"

#define SID 0x10
#define LOG2 3
#define MESSAGE_WORD (GUEST_RAM + 0x3000)

static Fixture *f;

static void setup_with(const Smmuv3Properties *props)
{
    f = fixture_new(props, false);
    guest_start_priq(f, 4, 4, LOG2);
}

static void setup(void)
{
    setup_with(&PRIQ_PROPERTIES);
}

static void teardown(void)
{
    fixture_free(f);
}

static unsigned pulses(void)
{
    return atomic_load(&f->irq.pulses[SMMUV3_IRQ_PRIQ]);
}

static uint32_t active(void)
{
    return guest_read(f, A_GERROR) ^ guest_read(f, A_GERRORN);
}

static void set_message(uint64_t address, uint32_t lo)
{
    guest_write(f, A_IRQ_CTRL, 0);
    guest_write64(f, A_PRIQ_IRQ_CFG0, address);
    guest_write(f, A_PRIQ_IRQ_CFG1, 0x33330003);
    guest_write(f, A_PRIQ_IRQ_CFG2, lo | 1);
    guest_write(f, A_IRQ_CTRL, 0x7);
}

static void deliver(unsigned count)
{
    while (count-- > 0) {
        priq_deliver_one(f, SID, 1);
    }
}

static void consume(unsigned count)
{
    uint64_t ppr[2];

    while (count-- > 0) {
        g_assert_true(guest_consume_ppr(f, ppr));
    }
}

/* Have an overflow that is active, in a queue with an entry. */
static void overflow(void)
{
    deliver(1);
    priq_deliver_one(f, SID, 9);
    g_assert_true(priq_overflow_is_active(f));
}

static void test_from_empty_only(void)
{
    deliver(3);
    g_assert_cmpuint(pulses(), ==, 1);
    consume(2);
    deliver(1);
    g_assert_cmpuint(pulses(), ==, 1);
    consume(2);
    deliver(2);
    g_assert_cmpuint(pulses(), ==, 2);
    g_assert_cmpuint(counter_get(&f->viommu->page_counters.interrupts), ==, 2);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_EVENTQ], ==, 0);
}

static void test_one_per_batch(void)
{
    PageGroup groups[4];

    for (unsigned i = 0; i < 4; i++) {
        groups[i] = priq_group(SID, 5, i, 2);
    }
    priq_deliver(f, groups, 4);
    g_assert_cmpuint(pulses(), ==, 1);
    consume(8);
    set_message(0, PRIQ_LO);
    priq_deliver(f, groups, 4);
    g_assert_cmpuint(pulses(), ==, 2);
}

static void test_disabled_is_not_delivered_later(void)
{
    guest_write(f, A_IRQ_CTRL, 0x5);
    deliver(1);
    g_assert_cmphex(guest_read(f, A_PRIQ_PROD), ==, 1);
    guest_write(f, A_IRQ_CTRL, 0x7);
    deliver(1);
    g_assert_cmpuint(pulses(), ==, 0);
    g_assert_cmpuint(counter_get(&f->viommu->page_counters.interrupts), ==, 0);
    consume(2);
    deliver(1);
    g_assert_cmpuint(pulses(), ==, 1);
}

/* Where it ends up, by the address that the guest gave. */
static void test_messages(void)
{
    static const struct {
        uint64_t address;
        unsigned wire, message, word, abort;
    } targets[] = {
        { 0, .wire = 1 },
        { 3, .wire = 1 },
        { GUEST_DOORBELL, .message = 1 },
        { MESSAGE_WORD, .word = 1 },
        { GUEST_NOWHERE, .abort = 1 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        PageGroup group;

        teardown();
        setup();
        set_message(targets[i].address, 0);
        group = priq_deliver_one(f, SID, 1);
        g_assert_cmpuint(pulses(), ==, targets[i].wire);
        g_assert_cmpuint(f->irq.messages, ==, targets[i].message);
        if (targets[i].message) {
            g_assert_cmphex(f->irq.last_data, ==, 0x33330003);
        }
        g_assert_cmphex(GUINT64_FROM_LE(guest_words(f, MESSAGE_WORD)[0]), ==,
                        targets[i].word ? 0x33330003 : 0);
        g_assert_cmphex(active(), ==, targets[i].abort ? MSI_PRIQ_ABT : 0);
        g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==,
                         targets[i].abort);
        /* The request is there in any case. */
        priq_assert_written(&group);
        consume(1);
    }
}

/* An aborted message has no effect on the queue. */
static void test_aborted_message_stops_nothing(void)
{
    set_message(GUEST_NOWHERE, 0);
    for (unsigned i = 0; i < 3; i++) {
        PageGroup group = priq_deliver_one(f, SID, 1);

        priq_assert_written(&group);
        consume(1);
        g_assert_cmphex(active(), ==, MSI_PRIQ_ABT);
    }
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, 1);
    guest_write(f, A_GERRORN, guest_read(f, A_GERROR));
    deliver(1);
    g_assert_cmphex(active(), ==, MSI_PRIQ_ABT);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, 2);
}

static void test_LO_is_per_last_request(void)
{
    PageGroup marker = priq_stop_marker(SID, 5);

    set_message(0, PRIQ_LO);
    for (unsigned i = 1; i <= 5; i++) {
        deliver(1);             /* not from empty */
        g_assert_cmpuint(pulses(), ==, i);
    }
    priq_deliver(f, &marker, 1);
    g_assert_cmpuint(pulses(), ==, 6);
}

static void test_LO_is_for_messages_too(void)
{
    set_message(GUEST_DOORBELL, PRIQ_LO);
    deliver(4);
    g_assert_cmpuint(f->irq.messages, ==, 4);
    g_assert_cmpuint(pulses(), ==, 0);
}

static void test_LO_works_without_MSI(void)
{
    Smmuv3Properties props = PRIQ_PROPERTIES;

    teardown();
    props.msi = false;
    setup_with(&props);
    set_message(GUEST_DOORBELL, PRIQ_LO);
    g_assert_cmphex(guest_read(f, A_PRIQ_IRQ_CFG2), ==, PRIQ_LO);
    deliver(3);
    g_assert_cmpuint(pulses(), ==, 3);
    g_assert_cmpuint(f->irq.messages, ==, 0);
}

static void test_LO_for_a_last_that_an_overflow_discards(void)
{
    PageGroup marker = priq_stop_marker(SID, 5);

    set_message(0, PRIQ_LO);
    overflow();
    g_assert_cmpuint(pulses(), ==, 2);
    /* And for those that come while it is active. */
    deliver(3);
    g_assert_cmpuint(pulses(), ==, 5);
    priq_deliver(f, &marker, 1);
    g_assert_cmpuint(pulses(), ==, 6);
    g_assert_cmphex(guest_read(f, A_PRIQ_PROD), ==, PRIQ_OVFLG | 1);
}

static void test_LO_not_for_other_discards(void)
{
    message_log_start();
    set_message(0, PRIQ_LO);
    guest_disable_priq(f);
    deliver(2);
    guest_write64(f, A_PRIQ_BASE, GUEST_NOWHERE | LOG2);
    guest_write(f, A_CR0, 0x1f);
    deliver(1);
    g_assert_cmphex(active(), ==, PRIQ_ABT);
    deliver(2);
    g_assert_cmpuint(pulses(), ==, 0);
}

static void test_discards_raise_none_without_LO(void)
{
    overflow();
    g_assert_cmpuint(pulses(), ==, 1);  /* of the request before it */
    deliver(3);
    g_assert_cmpuint(pulses(), ==, 1);
    guest_disable_priq(f);
    deliver(3);
    g_assert_cmpuint(pulses(), ==, 1);
}

/* Software would not look otherwise, and nothing would come any more. */
static void test_overflow_of_an_empty_queue_has_software_look(void)
{
    priq_deliver_one(f, SID, 9);
    g_assert_true(priq_overflow_is_active(f));
    g_assert_cmpuint(pulses(), ==, 1);
    priq_acknowledge(f);
    deliver(1);
    g_assert_cmpuint(pulses(), ==, 2);
    g_assert_cmpuint(priq_consume_all(f), ==, 1);
}

static uint32_t prod_seen;
static uint32_t gerror_seen;

static void note_registers(void *opaque)
{
    prod_seen = smmuv3_from(f->viommu)->reg[R_PRIQ_PROD];
    gerror_seen = smmuv3_from(f->viommu)->reg[R_GERROR];
}

/* Never before the register change that it announces. */
static void test_registers_come_first(void)
{
    message_log_start();
    f->irq.raised = note_registers;
    deliver(2);
    g_assert_cmphex(prod_seen, ==, 1);
    set_message(0, PRIQ_LO);
    priq_deliver_one(f, SID, 9);
    g_assert_cmphex(prod_seen, ==, PRIQ_OVFLG | 2);
    guest_disable_priq(f);
    guest_write64(f, A_PRIQ_BASE, GUEST_NOWHERE | LOG2);
    guest_write(f, A_PRIQ_PROD, 5);
    guest_write(f, A_PRIQ_CONS, 5);
    guest_write(f, A_CR0, 0x1f);
    deliver(1);
    g_assert_cmphex(prod_seen, ==, 5);
    g_assert_cmphex(gerror_seen, ==, PRIQ_ABT);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_from_empty_only, "from-empty-only" },
        { test_one_per_batch, "one-per-batch" },
        { test_disabled_is_not_delivered_later,
          "disabled-is-not-delivered-later" },
        { test_messages, "messages" },
        { test_aborted_message_stops_nothing,
          "aborted-message-stops-nothing" },
        { test_LO_is_per_last_request, "LO-is-per-last-request" },
        { test_LO_is_for_messages_too, "LO-is-for-messages-too" },
        { test_LO_works_without_MSI, "LO-works-without-MSI" },
        { test_LO_for_a_last_that_an_overflow_discards,
          "LO-for-a-last-that-an-overflow-discards" },
        { test_LO_not_for_other_discards, "LO-not-for-other-discards" },
        { test_discards_raise_none_without_LO,
          "discards-raise-none-without-LO" },
        { test_overflow_of_an_empty_queue_has_software_look,
          "overflow-of-an-empty-queue-has-software-look" },
        { test_registers_come_first, "registers-come-first" },
    };

    return fixture_main(argc, argv, "/smmuv3/priq-irq", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
