/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a hostile guest of an SMMUv3 cannot get: more than one message for each
 * of its mistakes, the config_lock for as long as it likes.
 */
#include "priq-fixture.h"

#include "host/iommufd-abi.h"
#include "host/vfio-abi.h"

#include <errno.h>

#define SID 0x10
#define ROUNDS 20
#define LOG2_CMDQ 12

/* 5.2: valid, stage 1; valid, a configuration that there is not. */
#define STE_S1 UINT64_C(0xb)
#define STE_ILLEGAL UINT64_C(0xf)

#define CFGI_STE OP(0x03, SID)
#define CFGI_STE_RANGE OP(0x04, 0)
#define TLBI OP(0x10, 0)
#define ATC_INV OP(0x40, SID)

static Fixture *f;
static VfioDevice *device;

static void setup(void)
{
    f = fixture_new(&PRIQ_PROPERTIES, false);
    message_log_start();
    device = fixture_plug(f, SID);
    guest_start_priq(f, 4, LOG2_CMDQ, 4);
}

static void teardown(void)
{
    fixture_free(f);
}

static uint64_t untold(void)
{
    return viommu_get_stats(f->viommu).untold;
}

/* ---- One message per mistake ---- */

static void fail_ioctl(unsigned long request, unsigned times, int err)
{
    emul_set_failure(f->host, &(EmulFailure){ .call = EMUL_CALL_IOCTL,
                                              .request = request, .nth = 1,
                                              .times = times, .err = err });
}

static void make_illegal_command(void)
{
    cmdq_run(f, ILLEGAL);
}

static void make_cmdq_abort(void)
{
    guest_write(f, A_CR0, 0);
    guest_write64(f, A_CMDQ_BASE, GUEST_NOWHERE | 4);
    guest_write(f, A_CMDQ_CONS, 0);
    guest_write(f, A_CMDQ_PROD, 1);
    guest_write(f, A_CR0, FIELD_MASK(CR0, CMDQEN));
}

static void make_eventq_abort(void)
{
    guest_disable_eventq(f);
    guest_write64(f, A_EVENTQ_BASE, GUEST_NOWHERE | 4);
    guest_write(f, A_CR0, guest_read(f, A_CR0) | FIELD_MASK(CR0, EVENTQEN));
    fixture_report(f, device, 0);
    fixture_pump(f);
}

static void make_lost_stream_table(void)
{
    guest_write(f, A_CR0, 0);
    guest_write64(f, A_STRTAB_BASE, GUEST_NOWHERE);
    guest_write(f, A_CR0, FIELD_MASK(CR0, SMMUEN));
}

static void make_illegal_ste(void)
{
    cmdq_set_ste(f, SID, STE_ILLEGAL, 0);
}

static void make_refused_ste(void)
{
    fail_ioctl(IOMMU_HWPT_ALLOC, 1, EINVAL);
    cmdq_set_ste(f, SID, STE_S1, 0);
}

/* The host lets the device go nowhere, not even to the abort HWPT. */
static void make_detached(void)
{
    fail_ioctl(VFIO_DEVICE_ATTACH_IOMMUFD_PT, 2, EIO);
    cmdq_set_ste(f, SID, STE_S1, 0);
}

static void make_failed_invalidation(void)
{
    fail_ioctl(IOMMU_HWPT_INVALIDATE, 1, ENOMEM);
    cmdq_run(f, TLBI);
}

static void make_priq_abort(void)
{
    guest_disable_priq(f);
    guest_write64(f, A_PRIQ_BASE, GUEST_NOWHERE | 4);
    guest_write(f, A_CR0, guest_read(f, A_CR0) | FIELD_MASK(CR0, PRIQEN));
    priq_deliver_one(f, SID, 1);
}

/* Each in a machine that is as new, but for what was told already. */
static void test_each_mistake_is_told_once(void)
{
    static const struct {
        unsigned kind;
        void (*make)(void);
    } mistakes[] = {
        { SMMUV3_WARN_COMMAND, make_illegal_command },
        { SMMUV3_WARN_CMDQ_ABORT, make_cmdq_abort },
        { SMMUV3_WARN_EVENTQ_ABORT, make_eventq_abort },
        { SMMUV3_WARN_STREAM_TABLE, make_lost_stream_table },
        { SMMUV3_WARN_STE, make_illegal_ste },
        { SMMUV3_WARN_STE_REFUSED, make_refused_ste },
        { SMMUV3_WARN_DETACHED, make_detached },
        { SMMUV3_WARN_HOST_INVALIDATE, make_failed_invalidation },
        { SMMUV3_WARN_PRIQ_ABORT, make_priq_abort },
    };

    G_STATIC_ASSERT(G_N_ELEMENTS(mistakes) == SMMUV3_WARN_KINDS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t all = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(mistakes); i++) {
            uint64_t before = untold() + message_log_count();

            viommu_reset(f->viommu);
            guest_start_priq(f, 4, LOG2_CMDQ, 4);
            mistakes[i].make();
            emul_set_failure(f->host, &(EmulFailure){ .nth = 0 });
            g_assert_cmpuint(untold() + message_log_count(), >, before);
            all |= UINT32_C(1) << mistakes[i].kind;
        }
        g_assert_cmphex(f->viommu->warned, ==, all);
    }
    g_assert_cmpuint(message_log_count(), ==, SMMUV3_WARN_KINDS);
    g_assert_cmpuint(message_log_matching("(not reported again)"), ==,
                     SMMUV3_WARN_KINDS);
    g_assert_cmpuint(untold(), >=, (ROUNDS - 1) * SMMUV3_WARN_KINDS);
}

/* Another vIOMMU is another operator's business. */
static void test_each_viommu_tells_its_own(void)
{
    make_illegal_command();
    teardown();
    setup();
    make_illegal_command();
    g_assert_cmpuint(message_log_matching("illegal command"), ==, 1);
    g_assert_cmpuint(untold(), ==, 0);
}

/* The guest asks a host that refuses, again and again. */
static void test_host_errors_are_told_some_times(void)
{
    enum { TRIES = 50 };

    fail_ioctl(IOMMU_VEVENTQ_ALLOC, TRIES, ENOMEM);
    for (unsigned i = 0; i < TRIES; i++) {
        guest_disable_eventq(f);
        guest_enable_eventq(f, 4);
    }
    g_assert_cmpuint(message_log_count(), ==, VIOMMU_HOST_ERRORS_TOLD);
    g_assert_cmpuint(message_log_matching("no host event queue"), ==,
                     VIOMMU_HOST_ERRORS_TOLD);
    g_assert_cmpuint(message_log_matching("not reported again"), ==, 1);
    g_assert_cmpuint(untold(), ==, TRIES - VIOMMU_HOST_ERRORS_TOLD);
}

/* ---- The config_lock ---- */

/* Return: commands that one hold of the lock has run, of what was put. */
static uint32_t run_once(bool *more)
{
    Smmuv3 *s = smmuv3_from(f->viommu);
    uint32_t before = s->reg[R_CMDQ_CONS];

    lock_acquire(&s->parent.config_lock);
    s->reg[R_CMDQ_PROD] = f->cmdq_prod;
    *more = smmuv3_cmdq_consume(s);
    lock_release(&s->parent.config_lock);
    return s->reg[R_CMDQ_CONS] - before;
}

/* @count commands were put, of which @piece are to be run at a time. */
static void check_pieces(unsigned count, unsigned piece)
{
    unsigned left = count;
    bool more = true;

    while (left > 0) {
        g_assert_true(more);
        g_assert_cmpuint(run_once(&more), ==, MIN(left, piece));
        left -= MIN(left, piece);
    }
    g_assert_false(more);
    g_assert_false(cmdq_error_is_active(f));
}

static void test_lock_is_let_go_of(void)
{
    cmdq_put(f, SYNC, 1500);
    check_pieces(1500, 1024);
    cmdq_put(f, CFGI_STE, 40);
    cmdq_put(f, SYNC, 1);
    check_pieces(41, 16);
    cmdq_put(f, CFGI_STE_RANGE, 5);
    check_pieces(5, 1);
    /* The first SYNC is that of the range; then each has to wait. */
    cmdq_run(f, SYNC);
    for (unsigned i = 0; i < 40; i++) {
        cmdq_put(f, ATC_INV, 1);
        cmdq_put(f, SYNC, 1);
    }
    check_pieces(80, 32);
}

/* A write of PROD comes back with all of it done none the less. */
static void test_all_is_done_in_the_end(void)
{
    cmdq_put(f, SYNC, 3000);
    cmdq_put(f, CFGI_STE_RANGE, 10);
    cmdq_put(f, TLBI, 1000);
    guest_kick(f);
    cmdq_assert_done(f);
    g_assert_cmpuint(cmdq_invalidations(f), ==, 1000);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_each_mistake_is_told_once, "each-mistake-is-told-once" },
        { test_each_viommu_tells_its_own, "each-viommu-tells-its-own" },
        { test_host_errors_are_told_some_times,
          "host-errors-are-told-some-times" },
        { test_lock_is_let_go_of, "lock-is-let-go-of" },
        { test_all_is_done_in_the_end, "all-is-done-in-the-end" },
    };

    return fixture_main(argc, argv, "/smmuv3/limits", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
