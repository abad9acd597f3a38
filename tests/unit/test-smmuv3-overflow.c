/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loss: every sequence number of the host is delivered, discarded or lost,
 * once, and the guest sees losses as OVFLG (IHI 0070 G.b, 7.4).
 */
#include "event-read.h"
#include "fixture.h"

#include "host/iommufd-abi.h"
#include "hw/arm/smmuv3-internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define SID 0x10
#define LOG2 2                  /* 4 in the ring, 4 more in the host's queue */
#define OVFLG FIELD_MASK(EVENTQ_PROD, OVFLG)

static Fixture *f;
static VfioDevice *device;

static void setup(void)
{
    f = fixture_new(NULL, false);
    device = fixture_plug(f, SID);
}

static void teardown(void)
{
    fixture_free(f);
}

static bool overflow_flag(void)
{
    return guest_read(f, A_EVENTQ_PROD) & OVFLG;
}

static bool overflow_is_active(void)
{
    return (guest_read(f, A_EVENTQ_PROD) ^ guest_read(f, A_EVENTQ_CONS)) &
           OVFLG;
}

/* As Linux does once its queue is empty: CONS with OVACKFLG = OVFLG. */
static void acknowledge(void)
{
    uint32_t flag = guest_read(f, A_EVENTQ_PROD) & OVFLG;

    guest_write(f, A_EVENTQ_CONS,
                (guest_read(f, A_EVENTQ_CONS) & ~OVFLG) | flag);
    g_assert_false(overflow_is_active());
}

/* One by one, so that the ring fills first and then the host's queue. */
static void report(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmpint(fixture_report(f, device, i), !=, EMUL_REPORT_REFUSED);
        fixture_pump(f);
    }
}

static void consume(unsigned count)
{
    uint64_t event[4];

    while (count-- > 0) {
        g_assert_true(guest_consume(f, event));
        fixture_pump(f);
    }
}

static unsigned consume_all(void)
{
    uint64_t event[4];
    unsigned count = 0;

    while (guest_consume(f, event)) {
        fixture_pump(f);
        count++;
    }
    return count;
}

/* Lose @count records: fill the ring and the host's queue first. */
static void lose(unsigned count)
{
    report(8 + count);
    g_assert_cmpuint(consume_all(), ==, 8);
}

/*
 * Steps, a letter and a number each: r(eport), c(onsume), a(cknowledge).
 * Lost and toggles are what they add up to once all is consumed.
 */
typedef struct LossCase {
    const char *steps;
    unsigned lost;
    unsigned toggles;
} LossCase;

static const LossCase loss_cases[] = {
    { "r1 c1", 0, 0 },
    { "r8 c8", 0, 0 },
    { "r9", 1, 1 },                             /* at the tail */
    { "r8 r1 c1", 1, 1 },
    { "r100", 92, 1 },
    { "r10 c1 r1", 2, 1 },                      /* a gap */
    { "r10 c2 r2", 2, 1 },
    { "r10 c1 r1 c8 r1", 2, 1 },
    { "r10 c1 r1 r3", 5, 1 },                   /* a gap and a tail */
    { "r10 c1 r1 r3 c1 r1 r2", 7, 1 },          /* two gaps and a tail */
    { "r11 c8 r1", 3, 1 },                      /* a tail, then an event */
    { "r11 c8 r8 c8", 3, 1 },
    { "r11 c8 r11 c8", 6, 1 },                  /* two tails, not acked */
    { "r11 c8 a1 r11 c8", 6, 2 },               /* two tails, acked */
    { "r11 c8 a1 r11 c8 a1 r9 c8", 7, 3 },
    { "r11 c3 r7 c5 r9 c8", 11, 1 },
};

static void run_steps(const char *steps)
{
    g_auto(GStrv) step = g_strsplit(steps, " ", 0);

    for (unsigned i = 0; step[i]; i++) {
        unsigned count = atoi(step[i] + 1);

        switch (step[i][0]) {
        case 'r':
            report(count);
            break;
        case 'c':
            consume(count);
            break;
        case 'a':
            acknowledge();
            break;
        default:
            g_assert_not_reached();
        }
    }
}

/* A queue whose first number is @first, of which the guest has seen one. */
static ViommuStats start_at(uint32_t first)
{
    ViommuStats stats;

    emul_set_first_sequence(f->host, first);
    guest_start(f, LOG2, 4);
    report(1);
    consume(1);
    /* The pump expects 0 of a new queue: whatever is before @first is lost. */
    stats = viommu_get_stats(f->viommu);
    g_assert_cmpuint(stats.lost, ==, first);
    g_assert_cmpint(overflow_flag(), ==, first > 0);
    acknowledge();
    return stats;
}

static void check_loss_case(const LossCase *c, uint32_t first)
{
    uint64_t generated = emul_get_stats(f->host).generated;
    ViommuStats before = start_at(first);
    ViommuStats after;

    run_steps(c->steps);
    consume_all();
    after = viommu_get_stats(f->viommu);
    g_assert_cmpuint(after.lost - before.lost, ==, c->lost);
    g_assert_cmpuint(after.overflows - before.overflows, ==, c->toggles);
    g_assert_cmpint(overflow_flag(), ==, (c->toggles + (first > 0)) % 2);
    g_assert_cmpuint(after.discarded, ==, 0);
    g_assert_cmpuint(after.malformed, ==, 0);
    g_assert_cmpuint(emul_get_stats(f->host).generated - generated, ==,
                     after.delivered + after.lost - first);
    g_assert_cmpuint(emul_get_stats(f->host).dropped, ==, 0);
}

static void test_every_loss_is_counted(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(loss_cases); i++) {
        teardown();
        setup();
        check_loss_case(&loss_cases[i], 0);
    }
}

/* The same with the wrap of the sequence at each place in turn. */
static void test_every_loss_is_counted_across_the_wrap(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(loss_cases); i++) {
        for (uint32_t before = 0; before < 24; before++) {
            teardown();
            setup();
            check_loss_case(&loss_cases[i], INT_MAX - before);
        }
    }
}

static void test_toggles_once(void)
{
    guest_start(f, LOG2, 4);
    lose(1);
    g_assert_true(overflow_flag());
    for (unsigned i = 1; i < 4; i++) {
        lose(i);
        g_assert_true(overflow_flag());
    }
    g_assert_cmpuint(viommu_get_stats(f->viommu).overflows, ==, 1);
    g_assert_cmpuint(viommu_get_stats(f->viommu).lost, ==, 7);
}

static void test_toggles_back_after_the_acknowledgement(void)
{
    guest_start(f, LOG2, 4);
    for (unsigned i = 1; i < 6; i++) {
        lose(1);
        g_assert_true(overflow_is_active());
        g_assert_cmpint(overflow_flag(), ==, i % 2);
        acknowledge();
    }
    g_assert_cmpuint(viommu_get_stats(f->viommu).overflows, ==, 5);
}

static void test_acknowledgement_alone_changes_nothing(void)
{
    guest_start(f, LOG2, 4);
    lose(1);
    acknowledge();
    g_assert_true(overflow_flag());
    report(4);
    g_assert_cmpuint(consume_all(), ==, 4);
    g_assert_true(overflow_flag());
    g_assert_false(overflow_is_active());
}

static void test_unacknowledged_overflow_does_not_stop_records(void)
{
    guest_start(f, LOG2, 4);
    lose(1);
    g_assert_true(overflow_is_active());
    for (unsigned i = 0; i < 10; i++) {
        report(3);
        g_assert_cmpuint(consume_all(), ==, 3);
    }
    g_assert_true(overflow_is_active());
}

/* Not while records that precede the loss wait for room. */
static void test_flag_is_not_ahead_of_the_records(void)
{
    guest_start(f, LOG2, 4);
    report(9);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_false(overflow_flag());
        /* Full, with more behind it. */
        g_assert_cmpuint(viommu_get_stats(f->viommu).queue_used, ==, 4);
        consume(1);
    }
    /* The eighth record and the loss after it came with one read. */
    g_assert_true(overflow_flag());
    g_assert_cmpuint(viommu_get_stats(f->viommu).queue_used, ==, 4);
}

static void test_overflow_raises_no_interrupt(void)
{
    guest_start(f, LOG2, 4);
    report(8);
    consume(4);
    report(1);
    /* One for the burst: the ring has not been empty since. */
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_EVENTQ], ==, 1);
    report(8);
    consume(4);
    g_assert_true(overflow_flag());
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_EVENTQ], ==, 1);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, 0);
}

/* What the sink does with @count records, and @lost that the host lost. */
static void deliver(unsigned count, unsigned lost)
{
    EventRead read;

    event_read_init(&read);
    event_read_lose(&read, lost);
    for (unsigned i = 0; i < count; i++) {
        event_read_add(&read, SID, 0);
    }
    smmuv3_eventq_room(f->viommu);
    smmuv3_eventq_deliver(f->viommu, event_read_stream(&read));
}

static void test_batch_beyond_the_room(void)
{
    static const struct {
        unsigned used, count, delivered;
    } cases[] = {
        { 0, 4, 4 }, { 0, 5, 4 }, { 0, 500, 4 }, { 3, 1, 1 }, { 3, 2, 1 },
        { 4, 1, 0 }, { 4, 7, 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        unsigned lost = cases[i].count - cases[i].delivered;
        ViommuStats stats;

        teardown();
        setup();
        guest_start(f, LOG2, 4);
        report(cases[i].used);
        deliver(cases[i].count, 0);
        stats = viommu_get_stats(f->viommu);
        g_assert_cmpuint(stats.delivered, ==,
                         cases[i].used + cases[i].delivered);
        g_assert_cmpuint(stats.lost, ==, lost);
        g_assert_cmpint(overflow_flag(), ==, lost > 0);
        g_assert_cmpuint(stats.discarded, ==, 0);
        g_assert_cmphex(guest_read(f, A_GERROR), ==, 0);
    }
}

static uint32_t prod_at_interrupt;

static void note_prod(void *opaque)
{
    prod_at_interrupt = smmuv3_from(f->viommu)->reg[R_EVENTQ_PROD];
}

/* PROD that says full, then its interrupt, then the flag. */
static void test_flag_follows_prod(void)
{
    guest_start(f, LOG2, 4);
    f->irq.raised = note_prod;
    deliver(5, 0);
    g_assert_cmphex(prod_at_interrupt, ==, 4);
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, OVFLG | 4);
}

static void test_queue_that_is_off_shows_no_loss(void)
{
    guest_start(f, LOG2, 4);
    guest_disable_eventq(f);
    deliver(3, 5);
    g_assert_false(overflow_flag());
    g_assert_cmpuint(viommu_get_stats(f->viommu).lost, ==, 0);
    g_assert_cmpuint(viommu_get_stats(f->viommu).discarded, ==, 8);
}

static void test_switching_off_shows_no_loss(void)
{
    guest_start(f, LOG2, 4);
    report(20);
    guest_disable_eventq(f);
    g_assert_false(overflow_flag());
    g_assert_cmpuint(viommu_get_stats(f->viommu).delivered, ==, 4);
    g_assert_cmpuint(viommu_get_stats(f->viommu).discarded, ==, 16);
    g_assert_cmpuint(emul_get_stats(f->host).dropped, ==, 0);
}

static void test_aborted_queue_shows_no_loss(void)
{
    message_log_start();
    guest_start(f, LOG2, 4);
    guest_disable_eventq(f);
    guest_write64(f, A_EVENTQ_BASE, GUEST_NOWHERE | LOG2);
    guest_write(f, A_CR0, 0xd);
    report(1);
    g_assert_cmphex(guest_read(f, A_GERROR), ==,
                    FIELD_MASK(GERROR, EVENTQ_ABT_ERR));
    for (unsigned i = 0; i < 9; i++) {
        fixture_report(f, device, i);
    }
    fixture_pump(f);
    g_assert_false(overflow_flag());
    g_assert_cmpuint(viommu_get_stats(f->viommu).lost, ==, 0);
    g_assert_cmpuint(viommu_get_stats(f->viommu).discarded, ==, 10);
}

/* ---- A LOST_EVENTS header with events behind it ---- */

static const HostIommuOps *emul_ops;
static HostIommuOps ops_under_load;

/*
 * Of a read of six events the third and fourth are lost instead: that is how
 * the kernel puts it, if more come while it copies them.
 */
static ssize_t read_under_load(HostIommu *host, int fd, void *buf, size_t count)
{
    const struct iommufd_vevent_header lost = {
        .flags = IOMMU_VEVENTQ_FLAG_LOST_EVENTS, .sequence = 3,
    };
    const size_t slot = sizeof(lost) + SMMUV3_EVENT_BYTES;
    ssize_t len = emul_ops->read(host, fd, buf, count);
    uint8_t *bytes = buf;

    if (len <= 0) {
        return len;
    }
    g_assert_cmpint(len, ==, 6 * slot);
    memcpy(bytes + 2 * slot, &lost, sizeof(lost));
    memmove(bytes + 2 * slot + sizeof(lost), bytes + 4 * slot, 2 * slot);
    return 4 * slot + sizeof(lost);
}

/* A queue of 8 at @base, six events, and one read of them. */
static void report_under_load(uint64_t base)
{
    guest_start(f, 3, 4);
    guest_disable_eventq(f);
    guest_write64(f, A_EVENTQ_BASE, base | 3);
    guest_write(f, A_CR0, 0xd);
    for (unsigned i = 0; i < 6; i++) {
        g_assert_cmpint(fixture_report(f, device, i), ==, EMUL_REPORT_QUEUED);
    }
    emul_ops = f->host->ops;
    ops_under_load = *emul_ops;
    ops_under_load.read = read_under_load;
    f->host->ops = &ops_under_load;
    fixture_pump(f);
    f->host->ops = emul_ops;
    g_assert_cmpuint(viommu_get_stats(f->viommu).reads, ==, 1);
}

static void assert_counts(unsigned delivered, unsigned discarded,
                          unsigned lost)
{
    ViommuStats stats = viommu_get_stats(f->viommu);

    g_assert_cmpuint(stats.delivered, ==, delivered);
    g_assert_cmpuint(stats.discarded, ==, discarded);
    g_assert_cmpuint(stats.lost, ==, lost);
    g_assert_cmpuint(stats.malformed, ==, 0);
}

static void test_loss_between_events(void)
{
    static const uint64_t addresses[] = { 0, 1, 4, 5 };
    uint64_t event[4];

    report_under_load(GUEST_EVENTQ);
    g_assert_true(overflow_flag());
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_EVENTQ], ==, 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(addresses); i++) {
        g_assert_true(guest_consume(f, event));
        g_assert_cmphex(event[2], ==, addresses[i]);
    }
    g_assert_false(guest_consume(f, event));
    assert_counts(4, 0, 2);
}

/* All events are discarded for the abort, on either side of the header. */
static void test_abort_before_loss_between_events(void)
{
    message_log_start();
    report_under_load(GUEST_NOWHERE);
    g_assert_cmphex(guest_read(f, A_GERROR), ==,
                    FIELD_MASK(GERROR, EVENTQ_ABT_ERR));
    g_assert_cmphex(guest_read(f, A_EVENTQ_PROD) & ~OVFLG, ==, 0);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_EVENTQ], ==, 0);
    assert_counts(0, 4, 2);
}

#define MANY 20000

static void *report_many(void *opaque)
{
    for (uint64_t i = 0; i < MANY; i++) {
        g_assert_cmpint(fixture_report(f, device, i), !=,
                        EMUL_REPORT_REFUSED);
    }
    return NULL;
}

/* Hardware, iothread and guest on three threads: in order, and it adds up. */
static void test_threads_account_for_every_record(void)
{
    uint64_t next = 0;
    uint64_t seen = 0;
    uint64_t event[4];
    GThread *reporter;
    ViommuStats stats;

    teardown();
    f = fixture_new(NULL, true);
    device = fixture_plug(f, SID);
    guest_start(f, 6, 4);
    reporter = g_thread_new("reporter", report_many, NULL);
    do {
        stats = viommu_get_stats(f->viommu);
        while (guest_consume(f, event)) {
            g_assert_cmpuint(event[2], >=, next);
            next = event[2] + 1;
            seen++;
        }
        g_thread_yield();
    } while (stats.delivered + stats.lost < MANY || seen < stats.delivered);
    g_thread_join(reporter);
    g_assert_cmpuint(stats.delivered + stats.lost, ==, MANY);
    g_assert_cmpuint(stats.delivered, ==, seen);
    g_assert_cmpuint(stats.discarded, ==, 0);
    g_assert_cmpuint(stats.interrupts, ==, f->irq.pulses[SMMUV3_IRQ_EVENTQ]);
    /* Nobody acknowledges: one loss or many. */
    g_assert_cmpint(overflow_flag(), ==, stats.lost > 0);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_every_loss_is_counted, "every-loss-is-counted" },
        { test_every_loss_is_counted_across_the_wrap,
          "every-loss-is-counted-across-the-wrap" },
        { test_toggles_once, "toggles-once" },
        { test_toggles_back_after_the_acknowledgement,
          "toggles-back-after-the-acknowledgement" },
        { test_acknowledgement_alone_changes_nothing,
          "acknowledgement-alone-changes-nothing" },
        { test_unacknowledged_overflow_does_not_stop_records,
          "unacknowledged-overflow-does-not-stop-records" },
        { test_flag_is_not_ahead_of_the_records,
          "flag-is-not-ahead-of-the-records" },
        { test_overflow_raises_no_interrupt, "overflow-raises-no-interrupt" },
        { test_batch_beyond_the_room, "batch-beyond-the-room" },
        { test_flag_follows_prod, "flag-follows-prod" },
        { test_queue_that_is_off_shows_no_loss,
          "queue-that-is-off-shows-no-loss" },
        { test_switching_off_shows_no_loss, "switching-off-shows-no-loss" },
        { test_aborted_queue_shows_no_loss, "aborted-queue-shows-no-loss" },
        { test_loss_between_events, "loss-between-events" },
        { test_abort_before_loss_between_events,
          "abort-before-loss-between-events" },
        { test_threads_account_for_every_record,
          "threads-account-for-every-record" },
    };

    return fixture_main(argc, argv, "/smmuv3/overflow", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
