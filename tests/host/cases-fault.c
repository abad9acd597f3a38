/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conformance: what a fault queue's read() gives, and the cookies in it. The
 * mock driver makes groups of one page only.
 */
#include "queue-checks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* ---- Sizes ---- */

static void read_empty(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    check_faults(c, rig.fault_fd, 0, "0");
    check_faults(c, rig.fault_fd, 40, "0");
    check_faults(c, rig.fault_fd, 4000, "0");
    rig_down(c, &rig);
}

static void read_empty_modes(Conformance *c)
{
    int flags;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    flags = fcntl(rig.fault_fd, F_GETFL);
    need(c, "F_SETFL", fcntl(rig.fault_fd, F_SETFL, flags | O_NONBLOCK));
    check_faults(c, rig.fault_fd, 40, "0");
    need(c, "F_SETFL", fcntl(rig.fault_fd, F_SETFL, flags & ~O_NONBLOCK));
    check_faults(c, rig.fault_fd, 40, "0");
    rig_down(c, &rig);
}

/* A queue that no HWPT names. */
static void read_unused(Conformance *c)
{
    Queue queue;

    if (!fault_queue_up(c, &queue)) {
        return;
    }
    check_faults(c, queue.fd, 40, "0");
    check_faults(c, queue.fd, 41, "ESPIPE");
    check_answers(c, queue.fd, "EINVAL", ANSWERS(GOOD(1)));
    queue_down(c, &queue);
}

static void read_odd_sizes(Conformance *c, Rig *rig)
{
    static const size_t counts[] = { 1, 8, 39, 41, 79, 4096 };

    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        check_faults(c, rig->fault_fd, counts[i], "ESPIPE");
    }
}

static void read_odd_empty(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    read_odd_sizes(c, &rig);
    rig_down(c, &rig);
}

static void read_odd(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 1, 2);
    read_odd_sizes(c, &rig);
    check_faults(c, rig.fault_fd, 400, "80 [c1/g1 c2/g2]");
    rig_down(c, &rig);
}

static void read_0(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 1, 1);
    check_faults(c, rig.fault_fd, 0, "EINVAL");
    check_faults(c, rig.fault_fd, 40, "40 [c1/g1]");
    check_faults(c, rig.fault_fd, 0, "0");
    rig_down(c, &rig);
}

static void read_null(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    check_errno(c, "empty", host_read(c, rig.fault_fd, NULL, 40), 0);
    trigger_faults(c, rig.dev_id, 0, 1, 2);
    check_errno(c, "NULL of 0", host_read(c, rig.fault_fd, NULL, 0), EINVAL);
    check_errno(c, "NULL of 80", host_read(c, rig.fault_fd, NULL, 80),
                EFAULT);
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(1)));
    check_faults(c, rig.fault_fd, 400, "80 [c1/g1 c2/g2]");
    rig_down(c, &rig);
}

static void read_in_order(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 20, 5);
    check_faults(c, rig.fault_fd, 80, "80 [c1/g20 c2/g21]");
    check_faults(c, rig.fault_fd, 4000, "120 [c3/g22 c4/g23 c5/g24]");
    check_faults(c, rig.fault_fd, 4000, "0");
    rig_down(c, &rig);
}

/* Order is that of the triggers, not of group indices. */
static void read_unordered_groups(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 9, 1);
    trigger_faults(c, rig.dev_id, 0, 3, 1);
    trigger_faults(c, rig.dev_id, 0, 9, 1);
    check_faults(c, rig.fault_fd, 400, "120 [c1/g9 c2/g3 c3/g9]");
    rig_down(c, &rig);
}

static void read_many(Conformance *c)
{
    enum { NUM = 3000 };
    g_autofree struct iommu_hwpt_pgfault *records =
        g_new0(struct iommu_hwpt_pgfault, NUM + 100);
    unsigned wrong = 0;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 100, NUM);
    check_value(c, "bytes", (uint64_t)host_read(c, rig.fault_fd, records,
                                                (NUM + 100) * PGFAULT_SIZE),
                NUM * PGFAULT_SIZE);
    for (unsigned i = 0; i < NUM; i++) {
        wrong += records[i].grpid != 100 + i || records[i].cookie != 1 + i;
    }
    check_value(c, "wrong records", wrong, 0);
    rig_down(c, &rig);
}

/* ---- Records ---- */

/* The only fault, read. Return: false, and the case failed. */
static bool take_fault(Conformance *c, const Rig *rig, uint32_t pasid,
                       uint32_t grpid, uint32_t perm, uint64_t addr,
                       struct iommu_hwpt_pgfault *record)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_TRIGGER_IOPF,
        .trigger_iopf = {
            .dev_id = rig->dev_id,
            .pasid = pasid,
            .grpid = grpid,
            .perm = perm,
            .addr = addr,
        },
    };

    return need(c, "trigger", host_ioctl(c, IOMMU_TEST_CMD, &cmd)) &&
           check_fault(c, rig->fault_fd, record);
}

static void record_fields(Conformance *c)
{
    struct iommu_hwpt_pgfault record;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    if (take_fault(c, &rig, 1, 7, 3, 0x1000, &record)) {
        check_value(c, "flags", record.flags,
                    IOMMU_PGFAULT_FLAGS_PASID_VALID |
                    IOMMU_PGFAULT_FLAGS_LAST_PAGE);
        check_value(c, "dev_id", record.dev_id, rig.dev_id);
        check_value(c, "pasid", record.pasid, 1);
        check_value(c, "grpid", record.grpid, 7);
        check_value(c, "perm", record.perm, 3);
        check_value(c, "__reserved", record.__reserved, 0);
        check_value(c, "addr", record.addr, 0x1000);
        check_value(c, "length", record.length, 0);
        check_value(c, "cookie", record.cookie, 1);
    }
    rig_down(c, &rig);
}

static void record_without_pasid(Conformance *c)
{
    struct iommu_hwpt_pgfault record;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    if (take_fault(c, &rig, 0, 7, 3, 0x1000, &record)) {
        check_value(c, "flags", record.flags, IOMMU_PGFAULT_FLAGS_LAST_PAGE);
        check_value(c, "pasid", record.pasid, 0);
    }
    rig_down(c, &rig);
}

static void record_perm(Conformance *c)
{
    static const uint32_t perms[] = {
        IOMMU_PGFAULT_PERM_READ, IOMMU_PGFAULT_PERM_WRITE,
        IOMMU_PGFAULT_PERM_EXEC, IOMMU_PGFAULT_PERM_PRIV, 0xf, 0,
    };
    struct iommu_hwpt_pgfault record;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(perms); i++) {
        if (take_fault(c, &rig, 0, 7, perms[i], 0x1000, &record)) {
            check_value(c, "perm", record.perm, perms[i]);
        }
    }
    rig_down(c, &rig);
}

static void record_addr(Conformance *c)
{
    static const uint64_t addrs[] = {
        0, 0x1234567, UINT64_C(0xffffffff00000fff), UINT64_MAX,
    };
    struct iommu_hwpt_pgfault record;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(addrs); i++) {
        if (take_fault(c, &rig, 0, 7, 1, addrs[i], &record)) {
            check_value(c, "addr", record.addr, addrs[i]);
        }
    }
    rig_down(c, &rig);
}

static void record_widest(Conformance *c)
{
    struct iommu_hwpt_pgfault record;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    if (take_fault(c, &rig, 0xfffff, UINT32_MAX, 1, 0x1000, &record)) {
        check_value(c, "pasid", record.pasid, 0xfffff);
        check_value(c, "grpid", record.grpid, UINT32_MAX);
    }
    rig_down(c, &rig);
}

/* ---- Cookies ---- */

static void cookie_lowest(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 1, 5);
    check_faults(c, rig.fault_fd, 400,
                 "200 [c1/g1 c2/g2 c3/g3 c4/g4 c5/g5]");
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(3)));
    trigger_faults(c, rig.dev_id, 0, 6, 1);
    check_faults(c, rig.fault_fd, 400, "40 [c3/g6]");
    check_answers(c, rig.fault_fd, "16", ANSWERS(GOOD(5), GOOD(1)));
    trigger_faults(c, rig.dev_id, 0, 7, 3);
    check_faults(c, rig.fault_fd, 400, "120 [c1/g7 c5/g8 c6/g9]");
    rig_down(c, &rig);
}

static void cookie_used_again(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    for (unsigned i = 0; i < 3; i++) {
        trigger_faults(c, rig.dev_id, 0, i, 1);
        check_faults(c, rig.fault_fd, 400, i == 0 ? "40 [c1/g0]" :
                                           i == 1 ? "40 [c1/g1]" :
                                                    "40 [c1/g2]");
        check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
    }
    rig_down(c, &rig);
}

/* Not when the fault comes. */
static void cookie_at_read_time(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 1, 3);
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(1)));
    check_faults(c, rig.fault_fd, 40, "40 [c1/g1]");
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
    check_faults(c, rig.fault_fd, 40, "40 [c1/g2]");
    check_faults(c, rig.fault_fd, 40, "40 [c2/g3]");
    rig_down(c, &rig);
}

static void cookie_after_refused_read(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 1, 1);
    check_faults(c, rig.fault_fd, 0, "EINVAL");
    check_faults(c, rig.fault_fd, 39, "ESPIPE");
    check_faults(c, rig.fault_fd, 40, "40 [c1/g1]");
    rig_down(c, &rig);
}

/* Two requests with one index are two groups. */
static void cookie_of_same_group(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 7, 1);
    trigger_faults(c, rig.dev_id, 0, 7, 1);
    check_faults(c, rig.fault_fd, 400, "80 [c1/g7 c2/g7]");
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(2)));
    rig_down(c, &rig);
}

static void cookie_per_queue(Conformance *c)
{
    Rig a;
    Rig b;

    if (!rig_up(c, &a, true)) {
        return;
    }
    if (rig_up(c, &b, true)) {
        trigger_faults(c, a.dev_id, 0, 1, 2);
        trigger_faults(c, b.dev_id, 0, 11, 1);
        check_faults(c, a.fault_fd, 400, "80 [c1/g1 c2/g2]");
        check_faults(c, b.fault_fd, 400, "40 [c1/g11]");
        check_answers(c, b.fault_fd, "EINVAL", ANSWERS(GOOD(2)));
        check_answers(c, a.fault_fd, "16", ANSWERS(GOOD(1), GOOD(2)));
        check_answers(c, b.fault_fd, "8", ANSWERS(GOOD(1)));
        rig_down(c, &b);
    }
    rig_down(c, &a);
}

/* Thousands unanswered: the lowest free number is still found. */
static void cookie_of_many(Conformance *c)
{
    enum { NUM = 5000 };
    g_autofree struct iommu_hwpt_pgfault *records =
        g_new0(struct iommu_hwpt_pgfault, NUM);
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 0, NUM);
    check_value(c, "bytes", (uint64_t)host_read(c, rig.fault_fd, records,
                                                NUM * PGFAULT_SIZE),
                NUM * PGFAULT_SIZE);
    check_value(c, "last cookie", records[NUM - 1].cookie, NUM);
    check_answers(c, rig.fault_fd, "24",
                  ANSWERS(GOOD(4097), GOOD(64), GOOD(2500)));
    trigger_faults(c, rig.dev_id, 0, 1, 4);
    check_faults(c, rig.fault_fd, 400,
                 "160 [c64/g1 c2500/g2 c4097/g3 c5001/g4]");
    rig_down(c, &rig);
}

/* ---- The descriptor ---- */

static void fd_closed(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 1, 1);
    check_errno(c, "close", close_fd(c, rig.fault_fd), 0);
    rig.fault_fd = -1;
    check_errno(c, "destroy", destroy(c, rig.fault_id), EBUSY);
    trigger_faults(c, rig.dev_id, 0, 2, 1);
    check_errno(c, "detach", mock_replace(c, rig.stdev_id, rig.parent_id), 0);
    check_errno(c, "destroy", destroy(c, rig.fault_id), EBUSY);
    check_errno(c, "destroy HWPT", destroy(c, rig.hwpt_id), 0);
    check_errno(c, "destroy", destroy(c, rig.fault_id), 0);
    rig.hwpt_id = 0;
    rig.fault_id = 0;
    rig_down(c, &rig);
}

static void descriptor(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    check_queue_fd(c, rig.fault_fd);
    check_errno(c, "close", close_fd(c, rig.fault_fd), 0);
    check_closed_fd(c, rig.fault_fd);
    rig.fault_fd = -1;
    rig_down(c, &rig);
}

const ConformanceCase conformance_fault[] = {
    { "fault/read/empty-is-0-at-once", read_empty },
    { "fault/read/empty-is-0-with-and-without-O_NONBLOCK",
      read_empty_modes },
    { "fault/read/works-on-a-queue-that-nothing-uses", read_unused },
    { "fault/read/empty-of-no-multiple-of-40-is-ESPIPE", read_odd_empty },
    { "fault/read/of-no-multiple-of-40-is-ESPIPE", read_odd },
    { "fault/read/of-0-bytes-is-EINVAL-before-a-group", read_0 },
    { "fault/read/to-NULL-is-EFAULT-and-the-group-stays", read_null },
    { "fault/read/groups-come-in-order", read_in_order },
    { "fault/read/order-is-not-that-of-indices", read_unordered_groups },
    { "fault/read/has-no-upper-limit", read_many },
    { "fault/record/fields", record_fields },
    { "fault/record/without-PASID", record_without_pasid },
    { "fault/record/perm-is-passed-on", record_perm },
    { "fault/record/addr-is-passed-on", record_addr },
    { "fault/record/widest-PASID-and-index", record_widest },
    { "fault/cookie/is-the-lowest-free-number-from-1", cookie_lowest },
    { "fault/cookie/is-used-again-after-the-answer", cookie_used_again },
    { "fault/cookie/is-given-at-read-time", cookie_at_read_time },
    { "fault/cookie/is-not-used-by-a-failed-read",
      cookie_after_refused_read },
    { "fault/cookie/is-one-per-group-of-the-same-index",
      cookie_of_same_group },
    { "fault/cookie/is-of-its-queue", cookie_per_queue },
    { "fault/cookie/of-thousands-is-the-lowest-too", cookie_of_many },
    { "fault/fd-is-close-on-exec-and-EBADF-once-closed", descriptor },
    { "fault/closed/takes-faults-until-the-detach", fd_closed },
    { NULL, NULL },
};
