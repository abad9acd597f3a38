/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Command queue errors: where CMDQ_CONS stands, what has been done and what
 * has not, and how software goes on (IHI 0070 G.b, 4.1.2, 7.1).
 */
#include "cmdq-fixture.h"

#include "host/iommufd-abi.h"
#include "host/vfio-abi.h"
#include "hw/arm/smmuv3-internal.h"

#include <errno.h>
#include <inttypes.h>

#define SID 0x10
#define ABSENT 0x11             /* no device has this StreamID */
#define LOG2 9                  /* of the command queue */

#define PREFETCH OP(0x01, SID)
#define CFGI_STE OP(0x03, SID)
#define TLBI OP(0x10, 0)
#define SYNC_IRQ (SYNC | 1 << 12)
#define HOST_REFUSES (TLBI | BIT(11))   /* a reserved bit: EIO */


enum { ERR_ILL = 1, ERR_ABT = 2 };

static Fixture *f;

static void setup(void)
{
    f = fixture_new(NULL, false);
    message_log_start();
    fixture_plug(f, SID);
    guest_start(f, 4, LOG2);
}

static void teardown(void)
{
    fixture_free(f);
}

static void setup_again(void)
{
    teardown();
    setup();
}

/* The position of an error in a run, whatever stands before it. */
static const struct {
    const char *name;
    uint64_t before;
    unsigned count;
    bool invalidates;
} runs[] = {
    { "nothing", 0, 0, false },
    { "a hint", PREFETCH, 1, false },
    { "a SYNC", SYNC, 3, false },
    { "one invalidation", TLBI, 1, true },
    { "invalidations", TLBI, 17, true },
    { "a full batch", TLBI, 128, true },
    { "a full batch and more", TLBI, 131, true },
    { "a CFGI_STE", CFGI_STE, 2, false },
};

static void test_error_stays_at_the_bad_command(void)
{
    static const uint64_t bad[] = {
        ILLEGAL, HOST_REFUSES, SYNC | 3 << 12, SYNC | BIT(10),
        OP(0x40, ABSENT),
    };

    for (size_t b = 0; b < G_N_ELEMENTS(bad); b++) {
        for (size_t i = 0; i < G_N_ELEMENTS(runs); i++) {
            unsigned done = runs[i].invalidates ? runs[i].count : 0;

            g_test_message("0x%" PRIx64 " after %s", bad[b], runs[i].name);
            setup_again();
            cmdq_put(f, runs[i].before, runs[i].count);
            cmdq_put(f, bad[b], 1);
            cmdq_put(f, TLBI, 3);
            cmdq_put(f, SYNC, 1);
            guest_kick(f);
            cmdq_assert_error(f, runs[i].count, ERR_ILL);
            g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, 1);
            /* What stands before it is done, what follows is not. */
            g_assert_cmpuint(cmdq_invalidations(f), ==, done);
            cmdq_overwrite(f, runs[i].count, SYNC);
            cmdq_acknowledge(f);
            cmdq_assert_done(f);
            g_assert_cmpuint(cmdq_invalidations(f), ==, done + 3);
        }
    }
}

static void test_nothing_is_consumed_while_in_error(void)
{
    cmdq_run(f, ILLEGAL);
    for (unsigned i = 0; i < 5; i++) {
        cmdq_run(f, TLBI);
        cmdq_assert_error(f, 0, ERR_ILL);
    }
    /* Nor by switching off and on, which acknowledges nothing. */
    guest_write(f, A_CR0, 0x5);
    guest_write(f, A_CR0, 0xd);
    cmdq_assert_error(f, 0, ERR_ILL);
    g_assert_cmpuint(cmdq_invalidations(f), ==, 0);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, 1);
}

static void test_acknowledgement_alone_restarts(void)
{
    cmdq_run(f, ILLEGAL);
    cmdq_put(f, TLBI, 2);
    guest_kick(f);
    /* Legal now, and waiting. */
    cmdq_overwrite(f, 0, SYNC);
    guest_kick(f);
    cmdq_assert_error(f, 0, ERR_ILL);
    g_assert_cmpuint(cmdq_invalidations(f), ==, 0);
    cmdq_acknowledge(f);
    cmdq_assert_done(f);
    g_assert_cmpuint(cmdq_invalidations(f), ==, 2);
}

static void test_command_that_stays_bad_is_an_error_again(void)
{
    cmdq_run(f, ILLEGAL);
    for (unsigned i = 1; i < 5; i++) {
        cmdq_assert_error(f, 0, ERR_ILL);
        g_assert_cmphex(guest_read(f, A_GERROR), ==, i % 2 ? CMDQ_ERR : 0);
        g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, i);
        cmdq_acknowledge(f);
    }
    g_assert_cmpuint(message_log_matching("illegal command at index 0"),
                     ==, 1);
}

static void start_at(uint64_t base, unsigned log2)
{
    guest_write(f, A_CR0, 0);
    guest_write64(f, A_CMDQ_BASE, base | log2);
    guest_write(f, A_CMDQ_PROD, 0);
    guest_write(f, A_CMDQ_CONS, 0);
    f->cmdq_prod = 0;
    f->log2_cmdq = log2;
    guest_write(f, A_CR0, 0xd);
}

static void test_bad_base_is_an_abort(void)
{
    start_at(GUEST_NOWHERE, 4);
    g_assert_false(cmdq_error_is_active(f));
    cmdq_run(f, TLBI);
    cmdq_assert_error(f, 0, ERR_ABT);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, 1);
    cmdq_acknowledge(f);
    cmdq_assert_error(f, 0, ERR_ABT);
    g_assert_cmpuint(cmdq_invalidations(f), ==, 0);
    g_assert_cmpuint(message_log_matching("cannot be fetched"), ==, 1);
}

/* 512 entries, the first 256 of which are in memory. */
static void test_queue_that_leaves_memory(void)
{
    GuestMemRegion region = { .gpa = GUEST_CMDQ, .size = 0x1000,
                              .hva = f->ram + (GUEST_CMDQ - GUEST_RAM) };
    g_autoptr(GError) error = NULL;

    guest_mem_set_regions(f->mem, &region, 1, &error);
    g_assert_no_error(error);
    cmdq_put(f, TLBI, 260);
    guest_kick(f);
    cmdq_assert_error(f, 256, ERR_ABT);
    g_assert_cmpuint(cmdq_invalidations(f), ==, 256);
}

static void test_host_errors(void)
{
    static const struct {
        int err;
        unsigned code;
    } cases[] = {
        { EIO, ERR_ILL }, { ENOMEM, ERR_ABT }, { EINVAL, ERR_ABT },
        { ENODEV, ERR_ABT },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        EmulFailure failure = {
            .call = EMUL_CALL_IOCTL, .request = IOMMU_HWPT_INVALIDATE,
            .nth = 2, .times = 1, .err = cases[i].err,
        };

        setup_again();
        emul_set_failure(f->host, &failure);
        cmdq_put(f, TLBI, 2);
        cmdq_put(f, SYNC_IRQ, 1);
        cmdq_put(f, TLBI, 4);      /* the second batch */
        cmdq_put(f, SYNC_IRQ, 1);
        guest_kick(f);
        cmdq_assert_error(f, 3, cases[i].code);
        g_assert_cmpuint(cmdq_invalidations(f), ==, 2);
        g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_CMD_SYNC], ==, 1);
        g_assert_cmpuint(message_log_matching(g_strerror(cases[i].err)),
                         ==, cases[i].code == ERR_ABT);
        cmdq_acknowledge(f);
        cmdq_assert_done(f);
        g_assert_cmpuint(cmdq_invalidations(f), ==, 6);
        g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_CMD_SYNC], ==, 2);
    }
}

/* The host stops in the middle of a batch: at each place in turn. */
static void test_host_refuses_one_of_a_batch(void)
{
    static const unsigned places[] = { 0, 1, 2, 9, 127, 128, 129, 200, 299 };

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        setup_again();
        cmdq_put(f, TLBI, places[i]);
        cmdq_put(f, HOST_REFUSES, 1);
        cmdq_put(f, TLBI, 299 - places[i]);
        cmdq_put(f, SYNC_IRQ, 1);
        guest_kick(f);
        cmdq_assert_error(f, places[i], ERR_ILL);
        g_assert_cmpuint(cmdq_invalidations(f), ==, places[i]);
        g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_CMD_SYNC], ==, 0);
        cmdq_overwrite(f, places[i], SYNC);
        cmdq_acknowledge(f);
        cmdq_assert_done(f);
        g_assert_cmpuint(cmdq_invalidations(f), ==, 299);
        g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_CMD_SYNC], ==, 1);
    }
}

/* The table must be left as it is if invalidations before it fail. */
static void test_failed_invalidation_stops_cfgi_ste(void)
{
    const EmulFailure count_attaches = {
        .call = EMUL_CALL_IOCTL, .request = VFIO_DEVICE_ATTACH_IOMMUFD_PT,
        .nth = UINT64_MAX,
    };

    emul_set_failure(f->host, &count_attaches);
    cmdq_put(f, HOST_REFUSES, 1);
    cmdq_put(f, CFGI_STE, 1);
    guest_kick(f);
    cmdq_assert_error(f, 0, ERR_ILL);
    g_assert_cmpuint(emul_get_calls_counted(f->host), ==, 0);
    cmdq_overwrite(f, 0, SYNC);
    cmdq_acknowledge(f);
    cmdq_assert_done(f);
    g_assert_cmpuint(emul_get_calls_counted(f->host), ==, 1);
}

static uint32_t cons_at_interrupt;

static void note_cons(void *opaque)
{
    cons_at_interrupt = smmuv3_from(f->viommu)->reg[R_CMDQ_CONS];
}

static void test_error_code_is_there_before_the_interrupt(void)
{
    f->irq.raised = note_cons;
    cmdq_put(f, TLBI, 4);
    cmdq_put(f, ILLEGAL, 1);
    guest_kick(f);
    g_assert_cmphex(cons_at_interrupt, ==, ERR_ILL << 24 | 4);
}

/* Neither hides the other. */
static void test_two_failures_of_one_cr0_write(void)
{
    const EmulFailure failure = {
        .call = EMUL_CALL_IOCTL, .request = IOMMU_VEVENTQ_ALLOC,
        .nth = 1, .err = ENOMEM,
    };

    guest_write(f, A_CR0, 0);
    guest_write64(f, A_CMDQ_BASE, GUEST_NOWHERE | 4);
    guest_write(f, A_CMDQ_CONS, 0);
    guest_write(f, A_CMDQ_PROD, 1);
    emul_set_failure(f->host, &failure);
    guest_write(f, A_CR0, 0xd);
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, 0xd);
    cmdq_assert_error(f, 0, ERR_ABT);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, 1);
    g_assert_cmpuint(message_log_matching("no host event queue"), ==, 1);
    g_assert_cmpuint(message_log_matching("cannot be fetched"), ==, 1);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_error_stays_at_the_bad_command,
          "error-stays-at-the-bad-command" },
        { test_nothing_is_consumed_while_in_error,
          "nothing-is-consumed-while-in-error" },
        { test_acknowledgement_alone_restarts,
          "acknowledgement-alone-restarts" },
        { test_command_that_stays_bad_is_an_error_again,
          "command-that-stays-bad-is-an-error-again" },
        { test_bad_base_is_an_abort, "bad-base-is-an-abort" },
        { test_queue_that_leaves_memory, "queue-that-leaves-memory" },
        { test_host_errors, "host-errors" },
        { test_host_refuses_one_of_a_batch, "host-refuses-one-of-a-batch" },
        { test_failed_invalidation_stops_cfgi_ste,
          "failed-invalidation-stops-cfgi-ste" },
        { test_error_code_is_there_before_the_interrupt,
          "error-code-is-there-before-the-interrupt" },
        { test_two_failures_of_one_cr0_write,
          "two-failures-of-one-cr0-write" },
    };

    return fixture_main(argc, argv, "/smmuv3/cmdq-error", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
