/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conformance: events that a full vEVENTQ loses, and how its reader learns.
 */
#include "queue-checks.h"

#include <errno.h>

/* ---- At the tail ---- */

static void tail_of_many(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 5);
    check_vevents(c, v.queue.fd, 256, "32 [0 1 L4]");
    check_vevents(c, v.queue.fd, 256, "0");
    veventq_rig_down(c, &v);
}

static void tail_of_one(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 256, "32 [0 1 L2]");
    veventq_rig_down(c, &v);
}

static void tail_full_is_no_loss(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 4)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 4);
    check_vevents(c, v.queue.fd, 256, "48 [0-3]");
    check_vevents(c, v.queue.fd, 256, "0");
    veventq_rig_down(c, &v);
}

static void tail_next_event(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 7);
    check_vevents(c, v.queue.fd, 256, "32 [0 1 L6]");
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 256, "12 [7]");
    veventq_rig_down(c, &v);
}

static void tail_moves_on(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 1)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 2);
    trigger_vevents(c, v.rig.dev_id, 1);
    trigger_vevents(c, v.rig.dev_id, 997);
    check_vevents(c, v.queue.fd, 256, "20 [0 L999]");
    trigger_vevents(c, v.rig.dev_id, 2);
    check_vevents(c, v.queue.fd, 256, "20 [1000 L1001]");
    veventq_rig_down(c, &v);
}

/* Twice the same; the second loss is counted from the first header. */
static void tail_again(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 4);
    check_vevents(c, v.queue.fd, 256, "32 [0 1 L3]");
    trigger_vevents(c, v.rig.dev_id, 4);
    check_vevents(c, v.queue.fd, 256, "32 [4 5 L7]");
    veventq_rig_down(c, &v);
}

static void tail_of_two_devices(Conformance *c)
{
    OtherDevice other;
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    if (other_device_up(c, &v.rig, 0x9a, 0, &other)) {
        trigger_vevents(c, v.rig.dev_id, 1);
        trigger_vevents(c, other.dev_id, 2);
        trigger_vevents(c, v.rig.dev_id, 1);
        check_vevents(c, v.queue.fd, 256, "32 [0 1/v9a L3]");
        other_device_down(c, &other);
    }
    veventq_rig_down(c, &v);
}

/* ---- In the middle ---- */

static void middle_header_vanishes(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 5);
    check_vevents(c, v.queue.fd, 12, "12 [0]");
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 256, "24 [1 5]");
    check_vevents(c, v.queue.fd, 256, "0");
    veventq_rig_down(c, &v);
}

static void middle_lone_header_vanishes(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 5);
    check_vevents(c, v.queue.fd, 24, "24 [0 1]");
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 256, "12 [5]");
    check_vevents(c, v.queue.fd, 256, "0");
    veventq_rig_down(c, &v);
}

static void middle_and_tail(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 12, "12 [0]");
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 256, "32 [1 3 L5]");
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 256, "12 [6]");
    veventq_rig_down(c, &v);
}

static void middle_several_gaps(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 3)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 4);
    check_vevents(c, v.queue.fd, 12, "12 [0]");
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 12, "12 [1]");
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 256, "36 [2 4 7]");
    veventq_rig_down(c, &v);
}

/* ---- The header and the buffer ---- */

static void remainder_below_8(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    for (unsigned rest = 0; rest < 8; rest += 7) {
        trigger_vevents(c, v.rig.dev_id, 3);
        check_vevents(c, v.queue.fd, 24 + rest,
                      rest ? "24 [3 4]" : "24 [0 1]");
        check_vevents(c, v.queue.fd, 64, rest ? "8 [L5]" : "8 [L2]");
    }
    veventq_rig_down(c, &v);
}

static void remainder_of_8(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 24 + 8, "32 [0 1 L2]");
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 24 + 11, "32 [3 4 L5]");
    check_vevents(c, v.queue.fd, 64, "0");
    veventq_rig_down(c, &v);
}

static void lone_header_by_8(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 5);
    check_vevents(c, v.queue.fd, 24, "24 [0 1]");
    check_vevents(c, v.queue.fd, 8, "8 [L4]");
    check_vevents(c, v.queue.fd, 8, "0");
    veventq_rig_down(c, &v);
}

static void lone_header_by_12(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 5);
    check_vevents(c, v.queue.fd, 24, "24 [0 1]");
    check_vevents(c, v.queue.fd, 12, "8 [L4]");
    check_vevents(c, v.queue.fd, 12, "0");
    veventq_rig_down(c, &v);
}

static void lone_header_by_7(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 5);
    check_vevents(c, v.queue.fd, 24, "24 [0 1]");
    check_vevents(c, v.queue.fd, 7, "EINVAL");
    check_vevents(c, v.queue.fd, 0, "EINVAL");
    check_vevents(c, v.queue.fd, 8, "8 [L4]");
    veventq_rig_down(c, &v);
}

static void lone_header_to_null(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 5);
    check_vevents(c, v.queue.fd, 24, "24 [0 1]");
    check_errno(c, "NULL of 8", host_read(c, v.queue.fd, NULL, 8), EFAULT);
    check_poll(c, v.queue.fd, "IN RDNORM");
    check_vevents(c, v.queue.fd, 8, "8 [L4]");
    veventq_rig_down(c, &v);
}

/* An event that does not fit hides the header behind it. */
static void event_before_header(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 8, "EINVAL");
    check_vevents(c, v.queue.fd, 12 + 8, "12 [0]");
    check_vevents(c, v.queue.fd, 12 + 8, "20 [1 L2]");
    veventq_rig_down(c, &v);
}

/* ---- Depth ---- */

static void depth_1(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 1)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 2);
    check_vevents(c, v.queue.fd, 12, "12 [0]");
    check_vevents(c, v.queue.fd, 256, "8 [L1]");
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 256, "12 [2]");
    veventq_rig_down(c, &v);
}

/* The deepest one, all of it, in one read. */
static void depth_maximum(Conformance *c)
{
    const size_t size = (size_t)IOMMU_VEVENTQ_DEPTH_MAX * VEVENT_SIZE + 4096;
    VeventqRig v;

    if (!veventq_rig_up(c, &v, IOMMU_VEVENTQ_DEPTH_MAX)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, IOMMU_VEVENTQ_DEPTH_MAX + 7);
    check_vevents(c, v.queue.fd, size, "6291464 [0-524287 L524294]");
    check_vevents(c, v.queue.fd, size, "0");
    veventq_rig_down(c, &v);
}

static void depth_limits(Conformance *c)
{
    static const uint32_t refused[] = {
        0, IOMMU_VEVENTQ_DEPTH_MAX + 1, UINT32_MAX,
    };
    Queue queue;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autofree char *what = g_strdup_printf("depth %u", refused[i]);

        check_errno(c, what, veventq_alloc(c, rig.viommu_id, refused[i],
                                           &queue.id, &queue.fd), EINVAL);
    }
    if (check_errno(c, "depth 524288",
                    veventq_alloc(c, rig.viommu_id, IOMMU_VEVENTQ_DEPTH_MAX,
                                  &queue.id, &queue.fd), 0)) {
        queue_down(c, &queue);
    }
    rig_down(c, &rig);
}

/* A header takes no room from the events. */
static void depth_without_header(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 24, "24 [0 1]");
    trigger_vevents(c, v.rig.dev_id, 2);
    check_vevents(c, v.queue.fd, 256, "24 [3 4]");
    veventq_rig_down(c, &v);
}

/* An event makes room as soon as it is read. */
static void depth_after_partial_read(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 3)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 24, "24 [0 1]");
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 256, "44 [2-4 L5]");
    veventq_rig_down(c, &v);
}

/* A read that fails makes none. */
static void depth_after_refused_read(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 1)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 11, "EINVAL");
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 256, "20 [0 L1]");
    veventq_rig_down(c, &v);
}

/* ---- Several queues ---- */

static void two_viommus(Conformance *c)
{
    VeventqRig a;
    VeventqRig b;

    if (!veventq_rig_up(c, &a, 2)) {
        return;
    }
    if (veventq_rig_up(c, &b, 3)) {
        trigger_vevents(c, a.rig.dev_id, 4);
        trigger_vevents(c, b.rig.dev_id, 1);
        check_vevents(c, a.queue.fd, 256, "32 [0 1 L3]");
        check_vevents(c, b.queue.fd, 256, "12 [0]");
        trigger_vevents(c, b.rig.dev_id, 4);
        check_vevents(c, a.queue.fd, 256, "0");
        check_vevents(c, b.queue.fd, 256, "44 [1-3 L4]");
        veventq_rig_down(c, &b);
    }
    veventq_rig_down(c, &a);
}

/* The device's name on one vIOMMU, then on another. */
static void moved_device(Conformance *c)
{
    VeventqRig v;
    Queue queue;
    uint32_t viommu_id;
    uint32_t hwpt_id;

    if (!veventq_rig_up(c, &v, 1)) {
        return;
    }
    need(c, "vIOMMU", viommu_alloc(c, v.rig.dev_id, v.rig.parent_id,
                                   &viommu_id));
    need(c, "nested", nested_alloc(c, v.rig.dev_id, viommu_id, 0, &hwpt_id));
    veventq_up(c, viommu_id, 1, &queue);
    trigger_vevents(c, v.rig.dev_id, 3);
    need(c, "destroy vDEVICE", destroy(c, v.rig.vdevice_id));
    need(c, "vDEVICE", vdevice_alloc(c, viommu_id, v.rig.dev_id, 0x9a,
                                     &v.rig.vdevice_id));
    check_errno(c, "move", mock_replace(c, v.rig.stdev_id, hwpt_id), 0);
    trigger_vevents(c, v.rig.dev_id, 2);
    check_vevents(c, v.queue.fd, 256, "20 [0 L2]");
    check_vevents(c, queue.fd, 256, "20 [0/v9a L1]");
    need(c, "move", mock_replace(c, v.rig.stdev_id, v.rig.parent_id));
    need(c, "destroy vDEVICE", destroy(c, v.rig.vdevice_id));
    v.rig.vdevice_id = 0;
    queue_down(c, &queue);
    need(c, "destroy nested", destroy(c, hwpt_id));
    need(c, "destroy vIOMMU", destroy(c, viommu_id));
    veventq_rig_down(c, &v);
}

const ConformanceCase conformance_loss[] = {
    { "loss/tail/header-has-the-number-of-the-last-lost", tail_of_many },
    { "loss/tail/of-one-event", tail_of_one },
    { "loss/tail/full-queue-has-lost-nothing", tail_full_is_no_loss },
    { "loss/tail/next-event-is-the-header-plus-1", tail_next_event },
    { "loss/tail/header-moves-on-until-it-is-read", tail_moves_on },
    { "loss/tail/again-is-counted-from-the-header", tail_again },
    { "loss/tail/is-of-the-queue-not-of-a-device", tail_of_two_devices },
    { "loss/middle/header-vanishes-when-an-event-comes",
      middle_header_vanishes },
    { "loss/middle/lone-header-vanishes-when-an-event-comes",
      middle_lone_header_vanishes },
    { "loss/middle/then-at-the-tail", middle_and_tail },
    { "loss/middle/several-times", middle_several_gaps },
    { "loss/header/stays-if-the-remainder-is-below-8", remainder_below_8 },
    { "loss/header/comes-if-the-remainder-is-8", remainder_of_8 },
    { "loss/header/alone-is-read-by-8-bytes", lone_header_by_8 },
    { "loss/header/alone-ends-a-larger-read", lone_header_by_12 },
    { "loss/header/alone-stays-when-7-bytes-are-EINVAL", lone_header_by_7 },
    { "loss/header/alone-to-NULL-is-EFAULT-and-it-stays",
      lone_header_to_null },
    { "loss/header/is-behind-an-event-that-does-not-fit",
      event_before_header },
    { "loss/depth/1-works", depth_1 },
    { "loss/depth/524288-holds-that-many", depth_maximum },
    { "loss/depth/0-and-above-524288-are-EINVAL", depth_limits },
    { "loss/depth/is-of-events-without-the-header", depth_without_header },
    { "loss/depth/has-room-after-a-partial-read", depth_after_partial_read },
    { "loss/depth/has-no-room-after-a-failed-read",
      depth_after_refused_read },
    { "loss/queues/of-two-vIOMMUs-are-apart", two_viommus },
    { "loss/queues/follow-the-device-that-moves", moved_device },
    { NULL, NULL },
};
