/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interrupts, by wire and by message, and global errors (IHI 0070 G.b, 3.18,
 * 7.5). CMD_SYNC's interrupt: test-smmuv3-cmdq.c.
 */
#include "fixture.h"

#include "hw/arm/smmuv3-internal.h"

#define SID 0x10
#define MESSAGE_WORD (GUEST_RAM + 0x3000)
#define EVENTQ_IRQEN FIELD_MASK(IRQ_CTRL, EVENTQ_IRQEN)
#define GERROR_IRQEN FIELD_MASK(IRQ_CTRL, GERROR_IRQEN)

#define EVENTQ_ABT FIELD_MASK(GERROR, EVENTQ_ABT_ERR)
#define MSI_EVENTQ_ABT FIELD_MASK(GERROR, MSI_EVENTQ_ABT_ERR)
#define MSI_GERROR_ABT FIELD_MASK(GERROR, MSI_GERROR_ABT_ERR)

static Fixture *f;
static VfioDevice *device;

static void setup(void)
{
    f = fixture_new(NULL, false);
    device = fixture_plug(f, SID);
    guest_start(f, 3, 4);
}

static void teardown(void)
{
    fixture_free(f);
}

static void setup_without_msi(void)
{
    Smmuv3Properties props = SMMUV3_PROPERTIES_DEFAULT;

    teardown();
    props.msi = false;
    f = fixture_new(&props, false);
    device = fixture_plug(f, SID);
    guest_start(f, 3, 4);
}

static void report(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmpint(fixture_report(f, device, i), ==,
                        EMUL_REPORT_QUEUED);
    }
    fixture_pump(f);
}

static void consume(unsigned count)
{
    uint64_t event[4];

    while (count-- > 0) {
        g_assert_true(guest_consume(f, event));
    }
}

static unsigned pulses(unsigned line)
{
    return atomic_load(&f->irq.pulses[line]);
}

static uint32_t active(void)
{
    return guest_read(f, A_GERROR) ^ guest_read(f, A_GERRORN);
}

/* Message registers of both sources, with interrupts enabled after that. */
static void set_messages(uint64_t eventq, uint64_t gerror)
{
    guest_write(f, A_IRQ_CTRL, 0);
    guest_write64(f, A_EVENTQ_IRQ_CFG0, eventq);
    guest_write(f, A_EVENTQ_IRQ_CFG1, 0x11110001);
    guest_write(f, A_EVENTQ_IRQ_CFG2, 1);
    guest_write64(f, A_GERROR_IRQ_CFG0, gerror);
    guest_write(f, A_GERROR_IRQ_CFG1, 0x22220002);
    guest_write(f, A_GERROR_IRQ_CFG2, 1);
    guest_write(f, A_IRQ_CTRL, EVENTQ_IRQEN | GERROR_IRQEN);
}

static void raise_error(uint32_t error)
{
    Smmuv3 *s = smmuv3_from(f->viommu);

    lock_acquire(&s->parent.ring_lock);
    smmuv3_gerror_raise(s, error);
    lock_release(&s->parent.ring_lock);
}

static void test_one_per_burst(void)
{
    report(5);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, 1);
    report(3);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, 1);
    g_assert_cmpuint(viommu_get_stats(f->viommu).interrupts, ==, 1);
}

static void test_next_only_after_the_queue_was_empty(void)
{
    report(2);
    consume(1);
    report(1);
    consume(1);
    report(1);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, 1);
    consume(2);
    report(1);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, 2);
}

static void test_every_record_of_an_idle_guest(void)
{
    for (unsigned i = 1; i <= 40; i++) {
        report(1);
        g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, i);
        consume(1);
    }
}

static void test_disabled_is_not_delivered_later(void)
{
    guest_write(f, A_IRQ_CTRL, GERROR_IRQEN);
    report(2);
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 2);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, 0);
    guest_write(f, A_IRQ_CTRL, EVENTQ_IRQEN);
    fixture_pump(f);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, 0);
    g_assert_cmpuint(viommu_get_stats(f->viommu).interrupts, ==, 0);
    /* Not from empty: still none. */
    report(1);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, 0);
    consume(3);
    report(1);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, 1);
}

static void test_disabled_error_is_not_delivered_later(void)
{
    guest_write(f, A_IRQ_CTRL, EVENTQ_IRQEN);
    raise_error(EVENTQ_ABT);
    guest_write(f, A_IRQ_CTRL, GERROR_IRQEN);
    g_assert_cmphex(active(), ==, EVENTQ_ABT);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_GERROR), ==, 0);
}

/* Where an interrupt ends up, by the address that the guest gave. */
static const struct {
    uint64_t address;
    unsigned wire, message, word, abort;
} targets[] = {
    { 0, .wire = 1 },
    { 3, .wire = 1 },           /* bits 1:0 are RES0 */
    { GUEST_DOORBELL, .message = 1 },
    { MESSAGE_WORD, .word = 1 },
    { MESSAGE_WORD + 4, .word = 1 },
    { GUEST_NOWHERE, .abort = 1 },
    { GUEST_RAM + GUEST_RAM_SIZE, .abort = 1 },
};

static void assert_word(uint64_t address, uint32_t data, bool written)
{
    const uint32_t *words = (uint32_t *)(f->ram + 0x3000 - 4);
    unsigned at = written ? (address - MESSAGE_WORD) / 4 + 1 : 4;

    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmphex(GUINT32_FROM_LE(words[i]), ==, i == at ? data : 0);
    }
}

static void test_event_queue_messages(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        teardown();
        setup();
        set_messages(targets[i].address, 0);
        report(1);
        g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, targets[i].wire);
        g_assert_cmpuint(f->irq.messages, ==, targets[i].message);
        if (targets[i].message) {
            g_assert_cmphex(f->irq.last_data, ==, 0x11110001);
        }
        assert_word(targets[i].address, 0x11110001, targets[i].word);
        g_assert_cmphex(active(), ==, targets[i].abort ? MSI_EVENTQ_ABT : 0);
        g_assert_cmpuint(pulses(SMMUV3_IRQ_GERROR), ==, targets[i].abort);
        /* The record is there in any case. */
        consume(1);
    }
}

static void test_error_messages(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        teardown();
        setup();
        set_messages(0, targets[i].address);
        raise_error(EVENTQ_ABT);
        g_assert_cmpuint(pulses(SMMUV3_IRQ_GERROR), ==, targets[i].wire);
        g_assert_cmpuint(f->irq.messages, ==, targets[i].message);
        if (targets[i].message) {
            g_assert_cmphex(f->irq.last_data, ==, 0x22220002);
        }
        assert_word(targets[i].address, 0x22220002, targets[i].word);
        /* The abort of an error's own message has no interrupt: no retry. */
        g_assert_cmpuint(f->irq.aborts, ==, targets[i].abort);
        g_assert_cmphex(active(), ==, EVENTQ_ABT |
                        (targets[i].abort ? MSI_GERROR_ABT : 0));
    }
}

static void test_both_messages_abort(void)
{
    set_messages(GUEST_NOWHERE, GUEST_NOWHERE);
    report(1);
    g_assert_cmphex(active(), ==, MSI_EVENTQ_ABT | MSI_GERROR_ABT);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_GERROR), ==, 0);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, 0);
    g_assert_cmpuint(f->irq.messages, ==, 0);
    g_assert_cmpuint(f->irq.aborts, ==, 2);
}

static void test_without_msi_all_is_wired(void)
{
    setup_without_msi();
    set_messages(GUEST_NOWHERE, GUEST_DOORBELL);
    report(1);
    raise_error(EVENTQ_ABT);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, 1);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_GERROR), ==, 1);
    g_assert_cmphex(active(), ==, EVENTQ_ABT);
}

static void test_active_error_is_raised_once(void)
{
    set_messages(GUEST_NOWHERE, 0);
    for (unsigned i = 0; i < 3; i++) {
        report(1);
        consume(1);
        g_assert_cmphex(active(), ==, MSI_EVENTQ_ABT);
    }
    g_assert_cmpuint(pulses(SMMUV3_IRQ_GERROR), ==, 1);
}

static void test_acknowledged_error_is_raised_again(void)
{
    set_messages(GUEST_NOWHERE, 0);
    for (unsigned i = 1; i < 4; i++) {
        report(1);
        consume(1);
        g_assert_cmphex(guest_read(f, A_GERROR), ==,
                        i % 2 ? MSI_EVENTQ_ABT : 0);
        g_assert_cmphex(active(), ==, MSI_EVENTQ_ABT);
        g_assert_cmpuint(pulses(SMMUV3_IRQ_GERROR), ==, i);
        guest_write(f, A_GERRORN, guest_read(f, A_GERROR));
        g_assert_cmphex(active(), ==, 0);
    }
}

static void test_errors_are_acknowledged_one_by_one(void)
{
    raise_error(EVENTQ_ABT);
    raise_error(MSI_EVENTQ_ABT);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_GERROR), ==, 2);
    guest_write(f, A_GERRORN, MSI_EVENTQ_ABT);
    g_assert_cmphex(active(), ==, EVENTQ_ABT);
    /* An inactive bit that is toggled with an active one does not become so. */
    guest_write(f, A_GERRORN, EVENTQ_ABT);
    g_assert_cmphex(active(), ==, 0);
    g_assert_cmphex(guest_read(f, A_GERRORN), ==, EVENTQ_ABT | MSI_EVENTQ_ABT);
}

static uint32_t prod_seen;
static uint32_t gerror_seen;

static void note_registers(void *opaque)
{
    prod_seen = smmuv3_from(f->viommu)->reg[R_EVENTQ_PROD];
    gerror_seen = smmuv3_from(f->viommu)->reg[R_GERROR];
}

/* Never before the register change that it announces. */
static void test_registers_come_first(void)
{
    static const uint64_t addresses[] = { 0, GUEST_DOORBELL };

    for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
        teardown();
        setup();
        set_messages(addresses[i], addresses[i]);
        f->irq.raised = note_registers;
        report(3);
        g_assert_cmphex(prod_seen, ==, 3);
        g_assert_cmphex(gerror_seen, ==, 0);
        raise_error(EVENTQ_ABT);
        g_assert_cmphex(gerror_seen, ==, EVENTQ_ABT);
    }
}

static void test_disable_then_enable_keeps_the_configuration(void)
{
    set_messages(GUEST_DOORBELL, 0);
    guest_write(f, A_IRQ_CTRL, 0);
    guest_write(f, A_IRQ_CTRL, EVENTQ_IRQEN);
    report(1);
    g_assert_cmpuint(f->irq.messages, ==, 1);
    g_assert_cmpuint(pulses(SMMUV3_IRQ_EVENTQ), ==, 0);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_one_per_burst, "one-per-burst" },
        { test_next_only_after_the_queue_was_empty,
          "next-only-after-the-queue-was-empty" },
        { test_every_record_of_an_idle_guest, "every-record-of-an-idle-guest" },
        { test_disabled_is_not_delivered_later,
          "disabled-is-not-delivered-later" },
        { test_disabled_error_is_not_delivered_later,
          "disabled-error-is-not-delivered-later" },
        { test_event_queue_messages, "event-queue-messages" },
        { test_error_messages, "error-messages" },
        { test_both_messages_abort, "both-messages-abort" },
        { test_without_msi_all_is_wired, "without-msi-all-is-wired" },
        { test_active_error_is_raised_once, "active-error-is-raised-once" },
        { test_acknowledged_error_is_raised_again,
          "acknowledged-error-is-raised-again" },
        { test_errors_are_acknowledged_one_by_one,
          "errors-are-acknowledged-one-by-one" },
        { test_registers_come_first, "registers-come-first" },
        { test_disable_then_enable_keeps_the_configuration,
          "disable-then-enable-keeps-the-configuration" },
    };

    return fixture_main(argc, argv, "/smmuv3/irq", tests, G_N_ELEMENTS(tests),
                        setup, teardown);
}
