/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Command queue: what each command does, and in which order (IHI 0070 G.b,
 * 3.5, 4). Errors: test-smmuv3-cmdq-error.c; what CFGI_STE finds in the
 * tables: test-smmuv3-ste.c.
 */
#include "cmdq-fixture.h"

#include "host/iommufd-abi.h"
#include "host/vfio-abi.h"
#include "hw/arm/smmuv3-internal.h"

#define SID 0x10
#define ABSENT 0x11             /* no device has this StreamID */
#define LOG2 9                  /* of the command queue, unless a test says */

#define PREFETCH OP(0x01, SID)
#define CFGI_STE OP(0x03, SID)
#define TLBI OP(0x10, 0)
#define TLBI_VA OP(0x12, 0)
#define SYNC_IRQ (SYNC | 1 << 12 | UINT64_C(0x33330003) << 32)

#define MSI_CMDQ_ABT FIELD_MASK(GERROR, MSI_CMDQ_ABT_ERR)

enum { ERR_ILL = 1 };

static Fixture *f;

/* What the host was asked to do since trace_begin(), as words. */
static GString *trace;
static uint32_t cons_at_ioctl;
static struct iommu_viommu_arm_smmuv3_invalidate last_entry;
static const HostIommuOps *real_ops;

static int tracing_ioctl(HostIommu *host, int fd, unsigned long request,
                         void *arg)
{
    const struct iommu_hwpt_invalidate *cmd = arg;

    cons_at_ioctl = guest_read(f, A_CMDQ_CONS);
    switch (request) {
    case IOMMU_HWPT_INVALIDATE:
        g_string_append_printf(trace, "invalidate:%u ", cmd->entry_num);
        last_entry =
            *(struct iommu_viommu_arm_smmuv3_invalidate *)(uintptr_t)
                cmd->data_uptr;
        break;
    case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
        g_string_append(trace, "attach ");
        break;
    default:
        g_string_append(trace, "other ");
        break;
    }
    return real_ops->ioctl(host, fd, request, arg);
}

static void trace_begin(void)
{
    static HostIommuOps tracing_ops;

    g_string_truncate(trace, 0);
    if (f->host->ops != &tracing_ops) {
        real_ops = f->host->ops;
        tracing_ops = *real_ops;
        tracing_ops.ioctl = tracing_ioctl;
        f->host->ops = &tracing_ops;
    }
}

static void setup_with(bool ats, unsigned log2)
{
    Smmuv3Properties props = SMMUV3_PROPERTIES_DEFAULT;

    props.ats = ats;
    f = fixture_new(&props, false);
    message_log_start();
    fixture_plug(f, SID);
    guest_start(f, 4, log2);
}

static void setup(void)
{
    trace = g_string_new(NULL);
    setup_with(false, LOG2);
}

static void teardown(void)
{
    fixture_free(f);
    g_string_free(trace, TRUE);
}

static void setup_again(bool ats, unsigned log2)
{
    fixture_free(f);
    setup_with(ats, log2);
}

typedef enum Verdict {
    ILL,                        /* the default */
    LEGAL,                      /* the host gets no invalidation */
    FORWARDED,
    NEEDS_ATS,                  /* forwarded then, else illegal */
} Verdict;

static const Verdict verdicts[256] = {
    [0x01] = LEGAL, [0x02] = LEGAL,                 /* PREFETCH_* */
    [0x03] = LEGAL, [0x04] = LEGAL,                 /* CFGI_STE, _RANGE */
    [0x05] = FORWARDED, [0x06] = FORWARDED,         /* CFGI_CD, CFGI_CD_ALL */
    [0x10] = FORWARDED, [0x11] = FORWARDED,         /* TLBI_NH_ALL, _ASID */
    [0x12] = FORWARDED, [0x13] = FORWARDED,         /* TLBI_NH_VA, _VAA */
    [0x30] = FORWARDED,                             /* TLBI_NSNH_ALL */
    [0x40] = NEEDS_ATS,                             /* ATC_INV */
    [0x46] = LEGAL,                                 /* SYNC */
};

/* A stream's StreamID where the command has one; NH_* have a VMID there. */
static uint64_t command_of(unsigned op)
{
    return op == 0x30 ? op : OP(op, SID);
}

static void check_opcode(unsigned op, Verdict verdict)
{
    uint64_t before = cmdq_invalidations(f);
    uint32_t rd = f->cmdq_prod;

    cmdq_run(f, command_of(op));
    g_assert_cmpuint(cmdq_invalidations(f) - before, ==, verdict == FORWARDED);
    if (verdict == ILL) {
        cmdq_assert_error(f, rd, ERR_ILL);
        cmdq_overwrite(f, rd, SYNC);
        cmdq_acknowledge(f);
    }
    cmdq_assert_done(f);
}

static void check_opcodes(bool ats)
{
    setup_again(ats, LOG2);
    for (unsigned op = 0; op < 256; op++) {
        Verdict verdict = verdicts[op];

        if (verdict == NEEDS_ATS) {
            verdict = ats ? FORWARDED : ILL;
        }
        check_opcode(op, verdict);
    }
}

static void test_every_opcode(void)
{
    check_opcodes(false);
}

static void test_every_opcode_with_ats(void)
{
    check_opcodes(true);
}

static void test_secure_commands_are_illegal(void)
{
    setup_again(true, LOG2);
    for (unsigned op = 0; op < 256; op++) {
        uint32_t rd = f->cmdq_prod;

        cmdq_run(f, command_of(op) | BIT(10));
        cmdq_assert_error(f, rd, ERR_ILL);
        cmdq_overwrite(f, rd, SYNC);
        cmdq_acknowledge(f);
    }
    g_assert_cmpuint(cmdq_invalidations(f), ==, 0);
}

static void test_commands_are_forwarded_unchanged(void)
{
    static const uint64_t cmds[][2] = {
        { OP(0x05, SID) | 0xabcde000, 1 },
        { OP(0x11, 0xbeef0000), 0 },
        { OP(0x12, 0xbeef1234) | 0x03f1f000, 0xfffffffffffff301 },
        { OP(0x13, 0x00001234), 0x0123456789abc000 },
        { OP(0x40, SID) | 0xabcde800 | BIT(9), 0x0123456789abc034 },
    };

    setup_again(true, LOG2);
    trace_begin();
    for (size_t i = 0; i < G_N_ELEMENTS(cmds); i++) {
        guest_command(f, cmds[i][0], cmds[i][1]);
        guest_kick(f);
        cmdq_assert_done(f);
        g_assert_cmphex(GUINT64_FROM_LE(last_entry.cmd[0]), ==, cmds[i][0]);
        g_assert_cmphex(GUINT64_FROM_LE(last_entry.cmd[1]), ==, cmds[i][1]);
    }
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

static void test_invalidations_are_batched(void)
{
    static const struct {
        unsigned count;
        const char *calls;
    } cases[] = {
        { 1, "invalidate:1 " },
        { 100, "invalidate:100 " },
        { 128, "invalidate:128 " },
        { 300, "invalidate:128 invalidate:128 invalidate:44 " },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        setup_again(false, LOG2);
        trace_begin();
        cmdq_put(f, TLBI_VA, cases[i].count);
        cmdq_put(f, SYNC, 1);
        guest_kick(f);
        cmdq_assert_done(f);
        g_assert_cmpstr(trace->str, ==, cases[i].calls);
        g_assert_cmpuint(cmdq_invalidations(f), ==, cases[i].count);
    }
}

/* Commands, a letter each, and what the host is asked to do. */
static void test_order_of_host_calls(void)
{
    static const struct {
        const char *commands;
        const char *calls;
    } cases[] = {
        { "tt", "invalidate:2 " },
        { "tts", "invalidate:2 " },
        { "tstts", "invalidate:1 invalidate:2 " },
        { "ssss", "" },
        { "ptp", "invalidate:1 " },
        { "ttc", "invalidate:2 attach " },
        { "ctct", "attach invalidate:1 attach invalidate:1 " },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        trace_begin();
        for (const char *c = cases[i].commands; *c; c++) {
            guest_command(f, *c == 't' ? TLBI : *c == 's' ? SYNC :
                             *c == 'c' ? CFGI_STE : PREFETCH, 0);
        }
        guest_kick(f);
        cmdq_assert_done(f);
        g_assert_cmpstr(trace->str, ==, cases[i].calls);
    }
}

static void test_cons_does_not_pass_what_is_not_done(void)
{
    trace_begin();
    cmdq_put(f, SYNC_IRQ, 2);
    cmdq_put(f, TLBI, 5);
    guest_kick(f);
    /* Past the SYNCs at most when the host is asked. */
    g_assert_cmpstr(trace->str, ==, "invalidate:5 ");
    g_assert_cmphex(cons_at_ioctl, ==, 2);
    cmdq_assert_done(f);
}

static void test_absent_devices_are_no_ops(void)
{
    static const uint64_t cmds[] = {
        OP(0x03, ABSENT), OP(0x05, ABSENT), OP(0x06, ABSENT),
        OP(0x40, ABSENT), OP(0x05, UINT32_MAX), OP(0x40, SID | 0x10000),
    };

    setup_again(true, LOG2);
    trace_begin();
    for (size_t i = 0; i < G_N_ELEMENTS(cmds); i++) {
        cmdq_run(f, cmds[i]);
        cmdq_assert_done(f);
    }
    g_assert_cmpstr(trace->str, ==, "");
}

/* Illegal without ATS all the same; other invalidations go through. */
static void test_atc_inv_without_smmuen_is_ignored(void)
{
    setup_again(true, LOG2);
    guest_write(f, A_CR0, 0xc);
    cmdq_put(f, OP(0x40, SID), 3);
    guest_kick(f);
    cmdq_assert_done(f);
    g_assert_cmpuint(cmdq_invalidations(f), ==, 0);
    cmdq_run(f, TLBI);
    g_assert_cmpuint(cmdq_invalidations(f), ==, 1);
    setup_again(false, LOG2);
    guest_write(f, A_CR0, 0xc);
    cmdq_run(f, OP(0x40, SID));
    cmdq_assert_error(f, 0, ERR_ILL);
}

static void test_without_devices(void)
{
    fixture_free(f);
    f = fixture_new(NULL, false);
    message_log_start();
    guest_start(f, 4, LOG2);
    trace_begin();
    for (unsigned op = 0; op < 256; op++) {
        if (verdicts[op] == FORWARDED || verdicts[op] == LEGAL) {
            cmdq_put(f, command_of(op), 1);
        }
    }
    cmdq_put(f, SYNC_IRQ, 1);
    guest_kick(f);
    cmdq_assert_done(f);
    g_assert_cmpstr(trace->str, ==, "");
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_CMD_SYNC], ==, 1);
}

static void test_sync_signals(void)
{
    static const struct {
        unsigned cs;
        uint64_t address;
        unsigned wire, message, abort;
    } cases[] = {
        { 0, 0, 0, 0, 0 },
        { 0, GUEST_DOORBELL, 0, 0, 0 },
        { 1, 0, 1, 0, 0 },
        { 1, GUEST_DOORBELL, 0, 1, 0 },
        { 1, GUEST_NOWHERE, 0, 0, 1 },
        { 2, 0, 0, 0, 0 },
        { 2, GUEST_DOORBELL, 0, 0, 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        setup_again(false, LOG2);
        guest_command(f, (SYNC_IRQ & ~UINT64_C(0x3000)) | cases[i].cs << 12,
                      cases[i].address | 3);
        guest_kick(f);
        /* An aborted message is no command error. */
        cmdq_assert_done(f);
        g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_CMD_SYNC], ==,
                         cases[i].wire);
        g_assert_cmpuint(f->irq.messages, ==, cases[i].message);
        if (cases[i].message) {
            g_assert_cmphex(f->irq.last_data, ==, 0x33330003);
        }
        g_assert_cmphex(guest_read(f, A_GERROR), ==,
                        cases[i].abort ? MSI_CMDQ_ABT : 0);
        g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_GERROR], ==, cases[i].abort);
    }
}

static void test_sync_without_msi_is_wired(void)
{
    Smmuv3Properties props = SMMUV3_PROPERTIES_DEFAULT;

    fixture_free(f);
    props.msi = false;
    f = fixture_new(&props, false);
    message_log_start();
    guest_start(f, 4, LOG2);
    guest_command(f, SYNC_IRQ, GUEST_DOORBELL);
    guest_kick(f);
    cmdq_assert_done(f);
    g_assert_cmpuint(f->irq.messages, ==, 0);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_CMD_SYNC], ==, 1);
}

/* Linux has the SYNC zero the first word of its own slot, and polls that. */
static void test_sync_message_to_its_own_slot(void)
{
    for (unsigned i = 0; i < 2u << LOG2; i++) {
        uint64_t gpa = GUEST_CMDQ + 16 * (i % (1u << LOG2));

        guest_command(f, SYNC | 1 << 12, gpa);
        guest_kick(f);
        cmdq_assert_done(f);
        g_assert_cmphex(*(uint32_t *)guest_words(f, gpa), ==, 0);
        g_assert_cmphex(GUINT64_FROM_LE(guest_words(f, gpa)[1]), ==, gpa);
    }
    g_assert_cmpuint(f->irq.messages, ==, 0);
    g_assert_cmpuint(f->irq.pulses[SMMUV3_IRQ_CMD_SYNC], ==, 0);
}

static uint32_t cons_at_interrupt;
static uint64_t invalidations_at_interrupt;

static void note_cons(void *opaque)
{
    cons_at_interrupt = smmuv3_from(f->viommu)->reg[R_CMDQ_CONS];
    invalidations_at_interrupt = emul_get_stats(f->host).invalidations;
}

/* Invalidations, then CONS, then the interrupt. */
static void test_sync_is_consumed_before_its_interrupt(void)
{
    f->irq.raised = note_cons;
    cmdq_put(f, TLBI, 4);
    cmdq_put(f, SYNC_IRQ, 1);
    guest_kick(f);
    g_assert_cmphex(cons_at_interrupt, ==, 5);
    g_assert_cmpuint(invalidations_at_interrupt, ==, 4);
    cmdq_assert_done(f);
}

static void test_queue_that_is_off(void)
{
    guest_write(f, A_CR0, 0x5);
    cmdq_run(f, TLBI);
    cmdq_put(f, ILLEGAL, 1);
    guest_kick(f);
    g_assert_cmphex(guest_read(f, A_CMDQ_CONS), ==, 0);
    g_assert_cmphex(guest_read(f, A_GERROR), ==, 0);
    cmdq_overwrite(f, 1, TLBI);
    guest_write(f, A_CR0, 0xd);
    cmdq_assert_done(f);
    g_assert_cmpuint(cmdq_invalidations(f), ==, 2);
}

static void test_cons_may_be_set_while_off(void)
{
    cmdq_put(f, ILLEGAL, 3);
    cmdq_put(f, TLBI, 2);
    guest_write(f, A_CR0, 0x5);
    guest_kick(f);
    guest_write(f, A_CMDQ_CONS, 3);
    guest_write(f, A_CR0, 0xd);
    cmdq_assert_done(f);
    g_assert_cmpuint(cmdq_invalidations(f), ==, 2);
}

static void test_wrap(void)
{
    static const unsigned sizes[] = { 0, 1, 3, 8 };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        unsigned size = 1u << sizes[i];
        unsigned sent = 0;

        setup_again(false, sizes[i]);
        for (unsigned round = 0; round < 5 * size; round++) {
            unsigned count = round % size + 1;

            cmdq_put(f, TLBI, count);
            sent += count;
            guest_kick(f);
            cmdq_assert_done(f);
            g_assert_cmpuint(cmdq_invalidations(f), ==, sent);
        }
    }
}

static void test_inconsistent_prod_consumes_nothing(void)
{
    for (uint32_t prod = 0; prod < 16; prod++) {
        setup_again(false, 3);
        cmdq_put(f, TLBI, 8);
        guest_write(f, A_CMDQ_PROD, prod);
        g_assert_cmpuint(cmdq_invalidations(f), ==, prod <= 8 ? prod : 0);
        g_assert_cmphex(guest_read(f, A_CMDQ_CONS), ==, prod <= 8 ? prod : 0);
        g_assert_false(cmdq_error_is_active(f));
    }
}

static void test_size_is_capped_by_idr1(void)
{
    Smmuv3Properties props = SMMUV3_PROPERTIES_DEFAULT;

    fixture_free(f);
    props.log2_cmdq = 2;
    f = fixture_new(&props, false);
    message_log_start();
    fixture_plug(f, SID);
    guest_start(f, 4, 2);
    start_at(GUEST_CMDQ, 31);
    f->log2_cmdq = 2;
    for (unsigned i = 0; i < 20; i++) {
        cmdq_run(f, TLBI);
        cmdq_assert_done(f);
    }
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_every_opcode, "every-opcode" },
        { test_every_opcode_with_ats, "every-opcode-with-ats" },
        { test_secure_commands_are_illegal, "secure-commands-are-illegal" },
        { test_commands_are_forwarded_unchanged,
          "commands-are-forwarded-unchanged" },
        { test_invalidations_are_batched, "invalidations-are-batched" },
        { test_order_of_host_calls, "order-of-host-calls" },
        { test_cons_does_not_pass_what_is_not_done,
          "cons-does-not-pass-what-is-not-done" },
        { test_absent_devices_are_no_ops, "absent-devices-are-no-ops" },
        { test_atc_inv_without_smmuen_is_ignored,
          "atc-inv-without-smmuen-is-ignored" },
        { test_without_devices, "without-devices" },
        { test_sync_signals, "sync-signals" },
        { test_sync_without_msi_is_wired, "sync-without-msi-is-wired" },
        { test_sync_message_to_its_own_slot, "sync-message-to-its-own-slot" },
        { test_sync_is_consumed_before_its_interrupt,
          "sync-is-consumed-before-its-interrupt" },
        { test_queue_that_is_off, "queue-that-is-off" },
        { test_cons_may_be_set_while_off, "cons-may-be-set-while-off" },
        { test_wrap, "wrap" },
        { test_inconsistent_prod_consumes_nothing,
          "inconsistent-prod-consumes-nothing" },
        { test_size_is_capped_by_idr1, "size-is-capped-by-idr1" },
    };

    return fixture_main(argc, argv, "/smmuv3/cmdq", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
