/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's event queue follows the guest's: when it exists, how deep it is,
 * what becomes of its events, and what a host that fails does to it.
 */
#include "fixture.h"
#include "message-log.h"
#include "proc-self.h"

#include "base/rcu.h"
#include "host/iommufd-abi.h"
#include "hw/arm/smmuv3-internal.h"

#include <errno.h>
#include <limits.h>

/* One record as read() gives it. */
#define RECORD_BYTES 40

#define OVFLG UINT32_C(0x80000000)

static Fixture *f;
static VfioDevice *device;      /* plugged, StreamID 1 */
static uint64_t skipped;        /* see fixture_assert_balanced() */
static unsigned fds;

static void setup(void)
{
    rcu_defer_drain();
    fds = proc_self_fds();
    skipped = 0;
    f = fixture_new(NULL, false);
    device = fixture_plug(f, 1);
}

static void teardown(void)
{
    emul_set_failure(f->host, &(EmulFailure){ 0 });
    fixture_unplug_all(f);
    fixture_assert_balanced(f, skipped);
    fixture_free(f);
    g_assert_cmpuint(proc_self_fds(), ==, fds);
}

static ViommuStats stats(void)
{
    return viommu_get_stats(f->viommu);
}

/* Report until the host's queue is full. Return: how many it took. */
static unsigned fill_host_queue(void)
{
    unsigned queued = 0;

    while (fixture_report(f, device, queued) == EMUL_REPORT_QUEUED) {
        queued++;
    }
    return queued;
}

static void report(unsigned count, EmulReport expected)
{
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmpint(fixture_report(f, device, i), ==, expected);
    }
}

static unsigned consume_all(void)
{
    uint64_t event[4];
    unsigned count = 0;

    while (guest_consume(f, event)) {
        count++;
    }
    return count;
}

/* The guest has seen that events were lost. */
static void acknowledge_overflow(void)
{
    uint32_t prod = guest_read(f, A_EVENTQ_PROD);
    uint32_t cons = guest_read(f, A_EVENTQ_CONS);

    guest_write(f, A_EVENTQ_CONS, (cons & ~OVFLG) | (prod & OVFLG));
}

static bool overflow_is_shown(void)
{
    return (guest_read(f, A_EVENTQ_PROD) ^ guest_read(f, A_EVENTQ_CONS)) &
           OVFLG;
}

/* ---- When it exists ---- */

static void test_exists_while_enabled(void)
{
    report(1, EMUL_REPORT_REFUSED);
    guest_enable_eventq(f, 3);
    report(1, EMUL_REPORT_QUEUED);
    guest_disable_eventq(f);
    report(1, EMUL_REPORT_REFUSED);
    guest_enable_eventq(f, 3);
    report(1, EMUL_REPORT_QUEUED);
    viommu_reset(f->viommu);
    report(1, EMUL_REPORT_REFUSED);
}

static void test_exists_while_plugged(void)
{
    fixture_unplug(f, device, 1);
    guest_enable_eventq(f, 3);
    g_assert_cmpuint(emul_get_stats(f->host).objects, ==, 0);
    device = fixture_plug(f, 1);
    report(1, EMUL_REPORT_QUEUED);
    fixture_pump(f);
    g_assert_cmpuint(stats().delivered, ==, 1);
}

/* Other bits of CR0 come and go without it. */
static void test_other_bits_leave_it_alone(void)
{
    static const char *const names[] = { "SMMUEN", "CMDQEN", "ATSCHK" };
    static const uint64_t bits[] = {
        FIELD_MASK(CR0, SMMUEN), FIELD_MASK(CR0, CMDQEN),
        FIELD_MASK(CR0, ATSCHK),
    };

    guest_enable_eventq(f, 6);
    report(1, EMUL_REPORT_QUEUED);
    for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
        g_test_message("%s", names[i]);
        guest_write(f, A_CR0, FIELD_MASK(CR0, EVENTQEN) | bits[i]);
        guest_write(f, A_CR0, FIELD_MASK(CR0, EVENTQEN));
    }
    fixture_pump(f);
    g_assert_cmpuint(stats().delivered, ==, 1);
    g_assert_cmpuint(stats().discarded, ==, 0);
}

/* ---- How deep it is ---- */

static void test_depth_is_the_guest_queues_size(void)
{
    for (unsigned log2 = 0; log2 <= 12; log2++) {
        guest_enable_eventq(f, log2);
        g_assert_cmpuint(fill_host_queue(), ==, 1u << log2);
        guest_disable_eventq(f);
    }
}

/* As much again as the guest's queue holds, when that has no room. */
static void test_depth_behind_a_full_guest_queue(void)
{
    guest_enable_eventq(f, 4);
    report(16, EMUL_REPORT_QUEUED);
    fixture_pump(f);
    g_assert_cmpuint(stats().queue_used, ==, 16);
    g_assert_cmpuint(fill_host_queue(), ==, 16);
    fixture_pump(f);
    g_assert_cmpuint(consume_all(), ==, 16);
    fixture_pump(f);
    g_assert_cmpuint(consume_all(), ==, 16);
    g_assert_cmpuint(stats().lost, ==, 1);
    g_assert_true(overflow_is_shown());
}

static void test_depth_after_reset(void)
{
    guest_start(f, 7, 4);
    g_assert_cmpuint(fill_host_queue(), ==, 128);
    viommu_reset(f->viommu);
    guest_start(f, 2, 4);
    g_assert_cmpuint(fill_host_queue(), ==, 4);
    viommu_reset(f->viommu);
    guest_start(f, 5, 4);
    g_assert_cmpuint(fill_host_queue(), ==, 32);
}

/* The guest may write any LOG2SIZE; what IDR1 says is the limit. */
static void test_depth_is_capped(void)
{
    Smmuv3Properties props = SMMUV3_PROPERTIES_DEFAULT;

    teardown();
    props.log2_eventq = 3;
    fds = proc_self_fds();
    f = fixture_new(&props, false);
    device = fixture_plug(f, 1);
    guest_enable_eventq(f, 31);
    g_assert_cmpuint(fill_host_queue(), ==, 8);
}

/* ---- What is in it when it goes ---- */

static void disable_by_cr0(void)
{
    guest_disable_eventq(f);
}

static void disable_by_reset(void)
{
    viommu_reset(f->viommu);
}

/*
 * Whatever the host still had is discarded: neither written nor shown as a
 * loss, not even what was lost already.
 */
static void test_discards_when_switched_off(void)
{
    static void (*const disable[])(void) = { disable_by_cr0,
                                             disable_by_reset };

    for (size_t i = 0; i < G_N_ELEMENTS(disable); i++) {
        uint64_t before = stats().discarded;
        uint64_t slot;

        *guest_words(f, GUEST_EVENTQ) = 0;
        guest_enable_eventq(f, 3);
        g_assert_cmpuint(fill_host_queue(), ==, 8);
        report(4, EMUL_REPORT_LOST);
        disable[i]();
        g_assert_cmpuint(stats().discarded, ==, before + 8 + 5);
        g_assert_cmpuint(stats().delivered, ==, 0);
        g_assert_cmpuint(stats().lost, ==, 0);
        g_assert_cmpuint(stats().interrupts, ==, 0);
        g_assert_cmphex(guest_read(f, A_EVENTQ_PROD), ==, 0);
        /* No record is written once CR0ACK has changed. */
        slot = *guest_words(f, GUEST_EVENTQ);
        fixture_pump(f);
        g_assert_cmphex(*guest_words(f, GUEST_EVENTQ), ==, slot);
    }
}

/* The guest's queue was full: the pump waited, and is torn down as well. */
static void test_discards_behind_a_full_guest_queue(void)
{
    guest_enable_eventq(f, 2);
    report(4, EMUL_REPORT_QUEUED);
    fixture_pump(f);
    report(4, EMUL_REPORT_QUEUED);
    fixture_pump(f);
    guest_disable_eventq(f);
    g_assert_cmpuint(stats().delivered, ==, 4);
    g_assert_cmpuint(stats().discarded, ==, 4);
    /* What was delivered before stays readable. */
    g_assert_cmpuint(consume_all(), ==, 4);
    /* Nobody waits for room any more. */
    guest_enable_eventq(f, 2);
    report(1, EMUL_REPORT_QUEUED);
    fixture_pump(f);
    g_assert_cmpuint(consume_all(), ==, 1);
}

/* ---- What the host lost ---- */

/* One turn that reads one record, so that what follows it is still there. */
static void pump_one_record(void)
{
    uint64_t reads = stats().reads;

    emul_set_read_limit(f->host, RECORD_BYTES);
    while (stats().reads == reads) {
        g_assert_true(aio_poll(f->ctx, false));
    }
    emul_set_read_limit(f->host, 0);
}

typedef struct LossCase {
    const char *path;
    uint32_t first_sequence;
    unsigned gap;               /* lost, with records after them */
    unsigned tail;              /* lost, with nothing after them */
} LossCase;

static const LossCase losses[] = {
    { "gap", 0, 5, 0 },
    { "gap-of-one", 0, 1, 0 },
    { "tail", 0, 0, 7 },
    { "tail-of-one", 0, 0, 1 },
    { "both", 0, 3, 9 },
    { "none-across-the-wrap", INT_MAX - 2, 0, 0 },
    { "gap-across-the-wrap", INT_MAX - 5, 6, 0 },
    { "gap-up-to-the-wrap", INT_MAX - 7, 4, 0 },
    { "gap-from-the-wrap", INT_MAX - 3, 4, 0 },
    { "tail-across-the-wrap", INT_MAX - 5, 0, 8 },
    { "both-across-the-wrap", INT_MAX - 6, 2, 12 },
};

/*
 * A queue of 4 that is filled, loses, is read by one, gets one more record,
 * loses again, and is read empty. Exactly what was lost is counted, and the
 * guest is told once, since it has not acknowledged in between.
 */
static void test_loss(const LossCase *loss)
{
    uint64_t lost = loss->gap + loss->tail;

    setup();
    emul_set_first_sequence(f->host, loss->first_sequence);
    skipped = loss->first_sequence;
    guest_enable_eventq(f, 2);
    report(4, EMUL_REPORT_QUEUED);
    report(loss->gap, EMUL_REPORT_LOST);
    pump_one_record();
    /* The kernel begins at 0: numbers before the first record are a loss. */
    g_assert_cmpuint(stats().lost, ==, skipped);
    g_assert_cmpuint(stats().overflows, ==, skipped > 0);
    acknowledge_overflow();
    report(1, EMUL_REPORT_QUEUED);
    report(loss->tail, EMUL_REPORT_LOST);
    fixture_pump(f);
    g_assert_cmpuint(consume_all(), ==, 4);
    fixture_pump(f);
    g_assert_cmpuint(consume_all(), ==, 1);
    g_assert_cmpuint(stats().delivered, ==, 5);
    g_assert_cmpuint(stats().discarded, ==, 0);
    g_assert_cmpuint(stats().lost, ==, skipped + lost);
    g_assert_cmpuint(stats().overflows, ==, (skipped > 0) + (lost > 0));
    g_assert_cmpint(overflow_is_shown(), ==, lost > 0);
    teardown();
}

/* 7.4: once per acknowledgement, and both ways round. */
static void test_overflow_toggles_once_per_acknowledgement(void)
{
    guest_enable_eventq(f, 1);
    for (unsigned i = 1; i <= 4; i++) {
        for (unsigned again = 0; again < 3; again++) {
            report(2, EMUL_REPORT_QUEUED);
            report(i, EMUL_REPORT_LOST);
            fixture_pump(f);
            g_assert_cmpuint(consume_all(), ==, 2);
            g_assert_cmpuint(stats().overflows, ==, i);
            g_assert_true(overflow_is_shown());
        }
        acknowledge_overflow();
    }
    g_assert_cmpuint(stats().lost, ==, 3 * (1 + 2 + 3 + 4));
}

/* A new queue starts to count at 0 again: no loss is seen between the two. */
static void test_no_loss_across_queues(void)
{
    for (unsigned i = 1; i <= 3; i++) {
        guest_enable_eventq(f, 3);
        report(i, EMUL_REPORT_QUEUED);
        fixture_pump(f);
        guest_disable_eventq(f);
        g_assert_cmpuint(consume_all(), ==, i);
    }
    g_assert_cmpuint(stats().lost, ==, 0);
}

/* ---- Reads that give nothing ---- */

static void test_empty_read_is_no_error(void)
{
    message_log_start();
    guest_enable_eventq(f, 3);
    for (unsigned i = 0; i < 100; i++) {
        viommu_resume_events(f->viommu);
        fixture_pump(f);
    }
    report(1, EMUL_REPORT_QUEUED);
    fixture_pump(f);
    g_assert_cmpuint(consume_all(), ==, 1);
    g_assert_cmpuint(message_log_count(), ==, 0);
    message_log_stop();
}

/* From now on every read fails, and there is something to read. */
static void break_reads(void)
{
    emul_set_failure(f->host, &(EmulFailure){ .call = EMUL_CALL_READ,
                                              .nth = 1, .err = EIO });
    report(1, EMUL_REPORT_QUEUED);
}

/* Return: turns until there is nothing to do, at most 100. */
static unsigned turns(void)
{
    unsigned count = 0;

    while (count < 100 && aio_poll(f->ctx, false)) {
        count++;
    }
    return count;
}

static void test_lasting_read_error_closes_with_one_message(void)
{
    unsigned objects;

    guest_enable_eventq(f, 3);
    fixture_pump(f);
    objects = emul_get_stats(f->host).objects;
    message_log_start();
    break_reads();
    g_assert_cmpuint(turns(), <=, 20);
    g_assert_cmpuint(message_log_count(), ==, 1);
    g_assert_true(g_pattern_match_simple(
        "vIOMMU 'smmu0': vEVENTQ *: read() fails: Input/output error; closed "
        "until the guest enables its event queue again", message_log_get(0)));
    g_assert_cmpuint(emul_get_stats(f->host).objects, ==, objects - 1);
    report(1, EMUL_REPORT_REFUSED);
    /* The guest's own accesses do not bring the message back. */
    g_assert_cmpuint(consume_all(), ==, 0);
    guest_write(f, A_EVENTQ_CONS, 0);
    g_assert_cmpuint(turns(), <=, 1);
    g_assert_cmpuint(message_log_count(), ==, 1);
    message_log_stop();
}

static void reenable(void)
{
    guest_disable_eventq(f);
    guest_enable_eventq(f, 3);
}

static void reset_and_enable(void)
{
    viommu_reset(f->viommu);
    guest_enable_eventq(f, 3);
}

static void replug(void)
{
    fixture_unplug(f, device, 1);
    device = fixture_plug(f, 1);
}

static void test_what_brings_a_broken_queue_back(void)
{
    static void (*const cures[])(void) = { reenable, reset_and_enable, replug };

    guest_enable_eventq(f, 3);
    for (size_t i = 0; i < G_N_ELEMENTS(cures); i++) {
        message_log_start();
        break_reads();
        fixture_pump(f);
        report(1, EMUL_REPORT_REFUSED);
        emul_set_failure(f->host, &(EmulFailure){ 0 });
        cures[i]();
        g_assert_cmpuint(message_log_count(), ==, 1);
        message_log_stop();
        report(2, EMUL_REPORT_QUEUED);
        fixture_pump(f);
        g_assert_cmpuint(consume_all(), ==, 2);
    }
}

/* ---- A host that refuses ---- */

static void refuse_queues(uint64_t times)
{
    emul_set_failure(f->host, &(EmulFailure){ .call = EMUL_CALL_IOCTL,
                                              .request = IOMMU_VEVENTQ_ALLOC,
                                              .nth = 1, .times = times,
                                              .err = ENOMEM });
}

/* The guest goes on without: CR0 is acknowledged (guest_enable_eventq()). */
static void enable_without_a_queue(void)
{
    message_log_start();
    refuse_queues(1);
    guest_enable_eventq(f, 4);
    g_assert_cmpuint(message_log_count(), ==, 1);
    g_assert_true(g_pattern_match_simple(
        "vIOMMU 'smmu0': no host event queue: cannot allocate a vEVENTQ "
        "(type 1, depth 16) on vIOMMU *: Cannot allocate memory",
        message_log_get(0)));
    message_log_stop();
    report(1, EMUL_REPORT_REFUSED);
    g_assert_cmpuint(stats().queue_size, ==, 16);
}

static void plug_another(void)
{
    fixture_plug(f, 2);
}

static void test_refused_queue_is_tried_again(void)
{
    static void (*const retries[])(void) = { reenable, reset_and_enable, replug,
                                             plug_another };

    for (size_t i = 0; i < G_N_ELEMENTS(retries); i++) {
        enable_without_a_queue();
        retries[i]();
        report(1, EMUL_REPORT_QUEUED);
        fixture_pump(f);
        g_assert_cmpuint(consume_all(), ==, 1);
        guest_disable_eventq(f);
    }
}

static void test_refused_again_is_told_again(void)
{
    message_log_start();
    refuse_queues(3);
    for (unsigned i = 1; i <= 3; i++) {
        guest_enable_eventq(f, 4);
        guest_disable_eventq(f);
        g_assert_cmpuint(message_log_count(), ==, i);
    }
    guest_enable_eventq(f, 4);
    g_assert_cmpuint(message_log_count(), ==, 3);
    message_log_stop();
    report(1, EMUL_REPORT_QUEUED);
}

typedef void TestFunc(void);

static void run(gconstpointer data)
{
    setup();
    (*(TestFunc *const *)data)();
    teardown();
}

static void run_loss(gconstpointer data)
{
    test_loss(data);
}

static const struct {
    TestFunc *func;
    const char *path;
} tests[] = {
    { test_exists_while_enabled, "exists-while-enabled" },
    { test_exists_while_plugged, "exists-while-plugged" },
    { test_other_bits_leave_it_alone, "other-bits-leave-it-alone" },
    { test_depth_is_the_guest_queues_size, "depth-is-the-guest-queues-size" },
    { test_depth_behind_a_full_guest_queue,
      "depth-behind-a-full-guest-queue" },
    { test_depth_after_reset, "depth-after-reset" },
    { test_depth_is_capped, "depth-is-capped" },
    { test_discards_when_switched_off, "discards-when-switched-off" },
    { test_discards_behind_a_full_guest_queue,
      "discards-behind-a-full-guest-queue" },
    { test_overflow_toggles_once_per_acknowledgement,
      "overflow-toggles-once-per-acknowledgement" },
    { test_no_loss_across_queues, "no-loss-across-queues" },
    { test_empty_read_is_no_error, "empty-read-is-no-error" },
    { test_lasting_read_error_closes_with_one_message,
      "lasting-read-error-closes-with-one-message" },
    { test_what_brings_a_broken_queue_back,
      "what-brings-a-broken-queue-back" },
    { test_refused_queue_is_tried_again, "refused-queue-is-tried-again" },
    { test_refused_again_is_told_again, "refused-again-is-told-again" },
};

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/viommu/%s", tests[i].path);

        g_test_add_data_func(path, &tests[i].func, run);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(losses); i++) {
        g_autofree char *path = g_strdup_printf("/viommu/loss/%s",
                                                losses[i].path);

        g_test_add_data_func(path, &losses[i], run_loss);
    }
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
