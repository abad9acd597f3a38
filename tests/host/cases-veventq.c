/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conformance: what a vEVENTQ's read() gives.
 */
#include "queue-checks.h"

#include <errno.h>
#include <fcntl.h>

/* ---- Sizes ---- */

static void set_blocking(Conformance *c, int fd, bool blocking)
{
    int flags = fcntl(fd, F_GETFL);

    flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    need(c, "F_SETFL", fcntl(fd, F_SETFL, flags));
}

static void read_empty(Conformance *c, bool blocking)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 4)) {
        return;
    }
    set_blocking(c, v.queue.fd, blocking);
    check_vevents(c, v.queue.fd, 8, "0");
    check_vevents(c, v.queue.fd, 12, "0");
    check_vevents(c, v.queue.fd, 65536, "0");
    veventq_rig_down(c, &v);
}

static void read_empty_blocking(Conformance *c)
{
    read_empty(c, true);
}

static void read_empty_nonblocking(Conformance *c)
{
    read_empty(c, false);
}

static void read_below_header_empty(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 4)) {
        return;
    }
    for (size_t count = 0; count < 8; count++) {
        check_vevents(c, v.queue.fd, count, "EINVAL");
    }
    veventq_rig_down(c, &v);
}

static void read_below_header(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 4)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 1);
    for (size_t count = 0; count < 8; count++) {
        check_vevents(c, v.queue.fd, count, "EINVAL");
    }
    check_vevents(c, v.queue.fd, 12, "12 [0]");
    veventq_rig_down(c, &v);
}

static void read_below_event(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 4)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 2);
    for (size_t count = 8; count < 12; count++) {
        check_vevents(c, v.queue.fd, count, "EINVAL");
    }
    check_poll(c, v.queue.fd, "IN RDNORM");
    check_vevents(c, v.queue.fd, 256, "24 [0 1]");
    veventq_rig_down(c, &v);
}

static void read_exactly(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 4)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 12, "12 [0]");
    check_vevents(c, v.queue.fd, 24, "24 [1 2]");
    check_vevents(c, v.queue.fd, 12, "0");
    veventq_rig_down(c, &v);
}

static void read_remainder(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 8)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 7);
    check_vevents(c, v.queue.fd, 13, "12 [0]");
    check_vevents(c, v.queue.fd, 23, "12 [1]");
    check_vevents(c, v.queue.fd, 32, "24 [2 3]");
    check_vevents(c, v.queue.fd, 35, "24 [4 5]");
    check_vevents(c, v.queue.fd, 20, "12 [6]");
    veventq_rig_down(c, &v);
}

static void read_room_for_k(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 16)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 15);
    check_vevents(c, v.queue.fd, 1 * VEVENT_SIZE, "12 [0]");
    check_vevents(c, v.queue.fd, 2 * VEVENT_SIZE, "24 [1 2]");
    check_vevents(c, v.queue.fd, 3 * VEVENT_SIZE, "36 [3-5]");
    check_vevents(c, v.queue.fd, 4 * VEVENT_SIZE, "48 [6-9]");
    check_vevents(c, v.queue.fd, 5 * VEVENT_SIZE, "60 [10-14]");
    check_vevents(c, v.queue.fd, 1 * VEVENT_SIZE, "0");
    veventq_rig_down(c, &v);
}

static void read_large(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 16384)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 10000);
    check_vevents(c, v.queue.fd, 1 << 20, "120000 [0-9999]");
    check_vevents(c, v.queue.fd, 1 << 20, "0");
    veventq_rig_down(c, &v);
}

/* The size is looked at first. */
static void read_null(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 4)) {
        return;
    }
    check_errno(c, "empty", host_read(c, v.queue.fd, NULL, 12), 0);
    trigger_vevents(c, v.rig.dev_id, 2);
    check_errno(c, "NULL of 7", host_read(c, v.queue.fd, NULL, 7), EINVAL);
    check_errno(c, "NULL of 11", host_read(c, v.queue.fd, NULL, 11), EINVAL);
    check_errno(c, "NULL of 24", host_read(c, v.queue.fd, NULL, 24), EFAULT);
    check_vevents(c, v.queue.fd, 256, "24 [0 1]");
    veventq_rig_down(c, &v);
}

/* ---- Sequence ---- */

static void sequence_first(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 4)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 64, "12 [0]");
    veventq_rig_down(c, &v);
}

static void sequence_across_empty(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 4)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 2);
    check_vevents(c, v.queue.fd, 64, "24 [0 1]");
    check_vevents(c, v.queue.fd, 64, "0");
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 64, "12 [2]");
    veventq_rig_down(c, &v);
}

/* Unread and lost events of the old queue are gone with it. */
static void sequence_after_realloc(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 5);
    check_vevents(c, v.queue.fd, 12, "12 [0]");
    queue_down(c, &v.queue);
    if (!veventq_up(c, v.rig.viommu_id, 2, &v.queue)) {
        rig_down(c, &v.rig);
        return;
    }
    check_vevents(c, v.queue.fd, 64, "0");
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 64, "12 [0]");
    veventq_rig_down(c, &v);
}

/* Events that no queue took use up no number. */
static void sequence_without_queue(Conformance *c)
{
    VeventqRig v;

    if (!rig_up(c, &v.rig, false)) {
        return;
    }
    check_errno(c, "trigger", trigger_vevent(c, v.rig.dev_id), EOPNOTSUPP);
    if (veventq_up(c, v.rig.viommu_id, 2, &v.queue)) {
        trigger_vevents(c, v.rig.dev_id, 1);
        check_vevents(c, v.queue.fd, 64, "12 [0]");
        queue_down(c, &v.queue);
    }
    rig_down(c, &v.rig);
}

static void order_across_reads(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 4)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 12, "12 [0]");
    trigger_vevents(c, v.rig.dev_id, 2);
    check_vevents(c, v.queue.fd, 24, "24 [1 2]");
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 64, "36 [3-5]");
    veventq_rig_down(c, &v);
}

/* ---- Whose event it is ---- */

static void two_devices(Conformance *c)
{
    OtherDevice other;
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 8)) {
        return;
    }
    if (other_device_up(c, &v.rig, 0x9a, 0, &other)) {
        trigger_vevents(c, v.rig.dev_id, 1);
        trigger_vevents(c, other.dev_id, 2);
        trigger_vevents(c, v.rig.dev_id, 1);
        check_vevents(c, v.queue.fd, 64, "48 [0 1/v9a 2/v9a 3]");
        other_device_down(c, &other);
    }
    veventq_rig_down(c, &v);
}

/* Its events stay in the queue. */
static void device_gone(Conformance *c)
{
    OtherDevice other;
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 8)) {
        return;
    }
    if (other_device_up(c, &v.rig, 0x9a, 0, &other)) {
        trigger_vevents(c, other.dev_id, 1);
        trigger_vevents(c, v.rig.dev_id, 1);
        other_device_down(c, &other);
        check_errno(c, "trigger", trigger_vevent(c, other.dev_id), ENOENT);
        check_vevents(c, v.queue.fd, 64, "24 [0/v9a 1]");
    }
    veventq_rig_down(c, &v);
}

static void lower_half_of_virt_id(Conformance *c)
{
    OtherDevice other;
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 8)) {
        return;
    }
    if (other_device_up(c, &v.rig, UINT64_C(0x7700000088), 0, &other)) {
        trigger_vevents(c, other.dev_id, 1);
        check_vevents(c, v.queue.fd, 64, "12 [0/v88]");
        other_device_down(c, &other);
    }
    veventq_rig_down(c, &v);
}

/* The mock driver takes 0 for "no vDEVICE". */
static void virt_id_0(Conformance *c)
{
    OtherDevice other;
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 8)) {
        return;
    }
    if (other_device_up(c, &v.rig, 0, 0, &other)) {
        check_errno(c, "trigger", trigger_vevent(c, other.dev_id), ENOENT);
        check_vevents(c, v.queue.fd, 64, "0");
        other_device_down(c, &other);
    }
    veventq_rig_down(c, &v);
}

/* The driver has noted the virt_id when the device was attached. */
static void vdevice_destroyed(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 8)) {
        return;
    }
    check_errno(c, "destroy vdevice", destroy(c, v.rig.vdevice_id), 0);
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 64, "12 [0]");
    need(c, "vdevice", vdevice_alloc(c, v.rig.viommu_id, v.rig.dev_id,
                                     RIG_VIRT_ID, &v.rig.vdevice_id));
    veventq_rig_down(c, &v);
}

static void detached(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 8)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 1);
    check_errno(c, "detach", mock_replace(c, v.rig.stdev_id, v.rig.parent_id),
                0);
    check_errno(c, "trigger", trigger_vevent(c, v.rig.dev_id), ENOENT);
    check_errno(c, "attach", mock_replace(c, v.rig.stdev_id, v.rig.hwpt_id),
                0);
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 64, "24 [0 1]");
    veventq_rig_down(c, &v);
}

static void unknown_device(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 8)) {
        return;
    }
    check_errno(c, "trigger ID 9999", trigger_vevent(c, 9999), ENOENT);
    check_errno(c, "trigger a vIOMMU", trigger_vevent(c, v.rig.viommu_id),
                ENOENT);
    check_vevents(c, v.queue.fd, 64, "0");
    veventq_rig_down(c, &v);
}

/* ---- Which queue it is in ---- */

static bool alloc_type(Conformance *c, uint32_t viommu_id, uint32_t type,
                       Queue *queue)
{
    struct iommu_veventq_alloc cmd = {
        .size = sizeof(cmd), .viommu_id = viommu_id, .type = type,
        .veventq_depth = 4,
    };
    bool made = check_errno(c, "alloc", host_ioctl(c, IOMMU_VEVENTQ_ALLOC,
                                                   &cmd), 0);

    queue->id = cmd.out_veventq_id;
    queue->fd = (int)cmd.out_veventq_fd;
    return made;
}

static void other_type(Conformance *c)
{
    Queue queue;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    if (alloc_type(c, rig.viommu_id, 0x1234, &queue)) {
        check_errno(c, "trigger", trigger_vevent(c, rig.dev_id), EOPNOTSUPP);
        check_vevents(c, queue.fd, 64, "0");
        check_poll(c, queue.fd, "none");
        queue_down(c, &queue);
    }
    rig_down(c, &rig);
}

static void two_types(Conformance *c)
{
    VeventqRig v;
    Queue queue;

    if (!veventq_rig_up(c, &v, 8)) {
        return;
    }
    if (alloc_type(c, v.rig.viommu_id, 0x1234, &queue)) {
        trigger_vevents(c, v.rig.dev_id, 2);
        check_vevents(c, queue.fd, 64, "0");
        check_vevents(c, v.queue.fd, 64, "24 [0 1]");
        queue_down(c, &queue);
    }
    veventq_rig_down(c, &v);
}

static void fd_closed(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    check_errno(c, "close", close_fd(c, v.queue.fd), 0);
    trigger_vevents(c, v.rig.dev_id, 3);
    check_errno(c, "destroy", destroy(c, v.queue.id), 0);
    check_errno(c, "trigger", trigger_vevent(c, v.rig.dev_id), EOPNOTSUPP);
    rig_down(c, &v.rig);
}

static void write_refused(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    check_answers(c, v.queue.fd, "EINVAL", ANSWERS(GOOD(1)));
    trigger_vevents(c, v.rig.dev_id, 1);
    check_answers(c, v.queue.fd, "EINVAL", ANSWERS(GOOD(1)));
    check_vevents(c, v.queue.fd, 64, "12 [0]");
    veventq_rig_down(c, &v);
}

static void descriptor(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    check_queue_fd(c, v.queue.fd);
    check_errno(c, "close", close_fd(c, v.queue.fd), 0);
    check_closed_fd(c, v.queue.fd);
    need(c, "destroy", destroy(c, v.queue.id));
    rig_down(c, &v.rig);
}

const ConformanceCase conformance_veventq[] = {
    { "veventq/read/empty-is-0-at-once", read_empty_blocking },
    { "veventq/read/empty-is-0-with-O_NONBLOCK", read_empty_nonblocking },
    { "veventq/read/empty-of-0-to-7-bytes-is-EINVAL",
      read_below_header_empty },
    { "veventq/read/of-0-to-7-bytes-is-EINVAL", read_below_header },
    { "veventq/read/of-8-to-11-bytes-is-EINVAL-before-an-event",
      read_below_event },
    { "veventq/read/takes-what-fits-exactly", read_exactly },
    { "veventq/read/leaves-a-remainder-unused", read_remainder },
    { "veventq/read/with-room-for-k-takes-k", read_room_for_k },
    { "veventq/read/has-no-upper-limit", read_large },
    { "veventq/read/to-NULL-is-EFAULT-and-the-event-stays", read_null },
    { "veventq/sequence/starts-at-0", sequence_first },
    { "veventq/sequence/goes-on-when-drained", sequence_across_empty },
    { "veventq/sequence/starts-anew-with-a-new-queue",
      sequence_after_realloc },
    { "veventq/sequence/is-not-used-without-a-queue", sequence_without_queue },
    { "veventq/order/is-that-of-the-triggers", order_across_reads },
    { "veventq/event/says-which-device", two_devices },
    { "veventq/event/outlives-its-device", device_gone },
    { "veventq/event/has-the-lower-half-of-virt_id", lower_half_of_virt_id },
    { "veventq/event/of-virt_id-0-is-ENOENT", virt_id_0 },
    { "veventq/event/has-the-virt_id-of-the-attachment", vdevice_destroyed },
    { "veventq/event/of-a-detached-device-is-ENOENT", detached },
    { "veventq/event/of-an-unknown-device-is-ENOENT", unknown_device },
    { "veventq/type/without-its-queue-is-EOPNOTSUPP", other_type },
    { "veventq/type/queues-are-apart", two_types },
    { "veventq/closed/still-takes-events", fd_closed },
    { "veventq/fd-is-close-on-exec-and-EBADF-once-closed", descriptor },
    { "veventq/write-is-EINVAL", write_refused },
    { NULL, NULL },
};
