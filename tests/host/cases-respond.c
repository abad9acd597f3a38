/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conformance: answers, written to a fault queue.
 */
#include "queue-checks.h"

#include <errno.h>

/* A rig with @n groups read: cookies 1 to @n, group indices the same. */
static bool asked_up(Conformance *c, Rig *rig, unsigned n)
{
    g_autofree struct iommu_hwpt_pgfault *records =
        g_new0(struct iommu_hwpt_pgfault, n);
    ssize_t ret;

    if (!rig_up(c, rig, true)) {
        return false;
    }
    trigger_faults(c, rig->dev_id, 0, 1, n);
    ret = host_read(c, rig->fault_fd, records, n * PGFAULT_SIZE);
    if (ret == (ssize_t)(n * PGFAULT_SIZE)) {
        return true;
    }
    check_value(c, "bytes", (uint64_t)ret, n * PGFAULT_SIZE);
    rig_down(c, rig);
    return false;
}

/* ---- One answer ---- */

static void good(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 1)) {
        return;
    }
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(1)));
    rig_down(c, &rig);
}

static void invalid(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 1)) {
        return;
    }
    check_answers(c, rig.fault_fd, "8", ANSWERS(INVALID(1)));
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(INVALID(1)));
    rig_down(c, &rig);
}

static void unknown_cookie(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 2)) {
        return;
    }
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(3)));
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(999)));
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(UINT32_MAX)));
    check_answers(c, rig.fault_fd, "16", ANSWERS(GOOD(1), GOOD(2)));
    rig_down(c, &rig);
}

static void nothing_asked(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(1)));
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(0)));
    rig_down(c, &rig);
}

static void unread_group(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 1, 1);
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(1)));
    check_faults(c, rig.fault_fd, 40, "40 [c1/g1]");
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
    rig_down(c, &rig);
}

static void bad_code(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 1)) {
        return;
    }
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS({ 1, 2 }));
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS({ 1, 0xf }));
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS({ 1, UINT32_MAX }));
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
    rig_down(c, &rig);
}

static void bad_code_and_cookie(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 1)) {
        return;
    }
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS({ 999, 0xf }));
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
    rig_down(c, &rig);
}

static void out_of_order(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 3)) {
        return;
    }
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(3)));
    check_answers(c, rig.fault_fd, "8", ANSWERS(INVALID(1)));
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(2)));
    rig_down(c, &rig);
}

/* ---- Several in one write ---- */

static void partial_good_bad_good(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 3)) {
        return;
    }
    check_answers(c, rig.fault_fd, "8",
                  ANSWERS(GOOD(1), GOOD(999), GOOD(3)));
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(1)));
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(3)));
    rig_down(c, &rig);
}

static void partial_good_code_good(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 4)) {
        return;
    }
    check_answers(c, rig.fault_fd, "16",
                  ANSWERS(GOOD(1), GOOD(2), { 3, 2 }, GOOD(4)));
    check_answers(c, rig.fault_fd, "16", ANSWERS(GOOD(3), GOOD(4)));
    rig_down(c, &rig);
}

static void partial_bad_good(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 1)) {
        return;
    }
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(999), GOOD(1)));
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
    rig_down(c, &rig);
}

static void partial_same_twice(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 2)) {
        return;
    }
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1), GOOD(1), GOOD(2)));
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(2)));
    rig_down(c, &rig);
}

static void batch_of_many(Conformance *c)
{
    enum { NUM = 3000 };
    g_autofree struct iommu_hwpt_page_response *answers =
        g_new0(struct iommu_hwpt_page_response, NUM);
    Rig rig;

    if (!asked_up(c, &rig, NUM)) {
        return;
    }
    for (unsigned i = 0; i < NUM; i++) {
        answers[i].cookie = NUM - i;
        answers[i].code = i % 2 ? IOMMUFD_PAGE_RESP_SUCCESS
                                : IOMMUFD_PAGE_RESP_INVALID;
    }
    check_value(c, "bytes", (uint64_t)host_write(c, rig.fault_fd, answers,
                                                 NUM * RESPONSE_SIZE),
                NUM * RESPONSE_SIZE);
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(1)));
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(NUM)));
    rig_down(c, &rig);
}

/* ---- Sizes ---- */

static void odd_sizes(Conformance *c)
{
    static const size_t counts[] = { 1, 4, 7, 9, 12, 15 };
    static const struct iommu_hwpt_page_response answers[2] = {
        GOOD(1), GOOD(2),
    };
    Rig rig;

    if (!asked_up(c, &rig, 2)) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        g_autofree char *what = g_strdup_printf("write(%zu)", counts[i]);

        check_errno(c, what, host_write(c, rig.fault_fd, answers, counts[i]),
                    ESPIPE);
    }
    check_answers(c, rig.fault_fd, "16", answers, 2);
    rig_down(c, &rig);
}

static void size_0(Conformance *c)
{
    static const struct iommu_hwpt_page_response answer = GOOD(1);
    Rig rig;

    if (!asked_up(c, &rig, 1)) {
        return;
    }
    check_value(c, "write(0)",
                (uint64_t)host_write(c, rig.fault_fd, &answer, 0), 0);
    check_answers(c, rig.fault_fd, "8", &answer, 1);
    check_value(c, "write(0)",
                (uint64_t)host_write(c, rig.fault_fd, &answer, 0), 0);
    rig_down(c, &rig);
}

static void from_null(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 1)) {
        return;
    }
    check_errno(c, "NULL of 0", host_write(c, rig.fault_fd, NULL, 0), 0);
    check_errno(c, "NULL of 7", host_write(c, rig.fault_fd, NULL, 7), ESPIPE);
    check_errno(c, "NULL of 8", host_write(c, rig.fault_fd, NULL, 8), EFAULT);
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
    rig_down(c, &rig);
}

/* ---- Cookie 0 ---- */

/* A number like any other, once it was answered while another was out. */
static void trap(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 1)) {
        return;
    }
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(0)));
    trigger_faults(c, rig.dev_id, 0, 2, 2);
    check_faults(c, rig.fault_fd, 400, "80 [c0/g2 c2/g3]");
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(0)));
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(0)));
    trigger_faults(c, rig.dev_id, 0, 7, 2);
    check_faults(c, rig.fault_fd, 400, "80 [c0/g7 c3/g8]");
    rig_down(c, &rig);
}

static void trap_needs_a_cookie(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 1, 1);
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(0)));
    check_faults(c, rig.fault_fd, 40, "40 [c1/g1]");
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(0)));
    trigger_faults(c, rig.dev_id, 0, 2, 2);
    check_faults(c, rig.fault_fd, 400, "80 [c1/g2 c2/g3]");
    rig_down(c, &rig);
}

/* Its code is looked at first: no trap. */
static void trap_needs_a_good_code(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 1)) {
        return;
    }
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS({ 0, 2 }));
    trigger_faults(c, rig.dev_id, 0, 2, 1);
    check_faults(c, rig.fault_fd, 40, "40 [c2/g2]");
    rig_down(c, &rig);
}

static void trap_lasts(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 1)) {
        return;
    }
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(0)));
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
    trigger_faults(c, rig.dev_id, 0, 2, 2);
    check_faults(c, rig.fault_fd, 400, "80 [c0/g2 c1/g3]");
    check_answers(c, rig.fault_fd, "16", ANSWERS(GOOD(1), GOOD(0)));
    trigger_faults(c, rig.dev_id, 0, 4, 1);
    check_faults(c, rig.fault_fd, 400, "40 [c0/g4]");
    rig_down(c, &rig);
}

/* With the detach all cookies go, that one too. */
static void trap_and_detach(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 1)) {
        return;
    }
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(0)));
    trigger_faults(c, rig.dev_id, 0, 2, 1);
    check_faults(c, rig.fault_fd, 400, "40 [c0/g2]");
    check_errno(c, "detach", mock_replace(c, rig.stdev_id, rig.parent_id), 0);
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(0)));
    check_errno(c, "attach", mock_replace(c, rig.stdev_id, rig.hwpt_id), 0);
    trigger_faults(c, rig.dev_id, 0, 3, 2);
    check_faults(c, rig.fault_fd, 400, "80 [c0/g3 c1/g4]");
    rig_down(c, &rig);
}

static void trap_per_queue(Conformance *c)
{
    Rig a;
    Rig b;

    if (!asked_up(c, &a, 1)) {
        return;
    }
    if (asked_up(c, &b, 1)) {
        check_answers(c, a.fault_fd, "EINVAL", ANSWERS(GOOD(0)));
        trigger_faults(c, a.dev_id, 0, 2, 1);
        trigger_faults(c, b.dev_id, 0, 2, 1);
        check_faults(c, a.fault_fd, 400, "40 [c0/g2]");
        check_faults(c, b.fault_fd, 400, "40 [c2/g2]");
        rig_down(c, &b);
    }
    rig_down(c, &a);
}

/* [good, 0, good]: the write stops there, and the trap is set. */
static void trap_in_a_batch(Conformance *c)
{
    Rig rig;

    if (!asked_up(c, &rig, 3)) {
        return;
    }
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1), GOOD(0), GOOD(2)));
    trigger_faults(c, rig.dev_id, 0, 4, 2);
    check_faults(c, rig.fault_fd, 400, "80 [c0/g4 c1/g5]");
    rig_down(c, &rig);
}

const ConformanceCase conformance_respond[] = {
    { "respond/SUCCESS-ends-the-group", good },
    { "respond/INVALID-ends-the-group", invalid },
    { "respond/unknown-cookie-is-EINVAL", unknown_cookie },
    { "respond/nothing-asked-is-EINVAL", nothing_asked },
    { "respond/unread-group-is-EINVAL", unread_group },
    { "respond/other-code-is-EINVAL-and-the-cookie-stays", bad_code },
    { "respond/other-code-of-an-unknown-cookie-is-EINVAL",
      bad_code_and_cookie },
    { "respond/any-order-will-do", out_of_order },
    { "respond/partial/good-bad-good-takes-the-first",
      partial_good_bad_good },
    { "respond/partial/stops-at-another-code-too", partial_good_code_good },
    { "respond/partial/bad-good-takes-none", partial_bad_good },
    { "respond/partial/same-cookie-twice-takes-the-first",
      partial_same_twice },
    { "respond/batch-of-thousands-is-one-write", batch_of_many },
    { "respond/size/of-no-multiple-of-8-is-ESPIPE", odd_sizes },
    { "respond/size/0-is-0", size_0 },
    { "respond/from-NULL-is-EFAULT", from_null },
    { "respond/cookie-0/becomes-one-while-another-is-out", trap },
    { "respond/cookie-0/has-no-effect-with-none-out", trap_needs_a_cookie },
    { "respond/cookie-0/has-no-effect-with-another-code",
      trap_needs_a_good_code },
    { "respond/cookie-0/stays-one-when-all-is-answered", trap_lasts },
    { "respond/cookie-0/stays-one-after-a-detach", trap_and_detach },
    { "respond/cookie-0/is-of-its-queue", trap_per_queue },
    { "respond/cookie-0/stops-a-batch", trap_in_a_batch },
    { NULL, NULL },
};
