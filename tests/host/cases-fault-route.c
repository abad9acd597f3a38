/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conformance: which fault queue a page fault reaches, by device, PASID and
 * attachment, and what ends a group without an answer.
 */
#include "queue-checks.h"

#include <errno.h>

#define PASID 5
#define OTHER_PASID 6

/* ---- Devices with PASIDs ---- */

/*
 * @rig: its device takes PASIDs; @rig.hwpt_id, attached, and @hwpt_id are HWPTs
 * of the rig's vIOMMU with a fault queue each, or none
 */
typedef struct PasidRig {
    Rig rig;
    Queue queue;                /* fd -1 without */
    uint32_t hwpt_id;
} PasidRig;

static int hwpt_alloc(Conformance *c, const Rig *rig, uint32_t pt_id,
                      uint32_t flags, uint32_t fault_id, uint32_t *id)
{
    struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };
    bool nested = pt_id == rig->viommu_id;
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .flags = flags | (fault_id ? IOMMU_HWPT_FAULT_ID_VALID : 0),
        .dev_id = rig->dev_id,
        .pt_id = pt_id,
        .data_type = nested ? IOMMU_HWPT_DATA_SELFTEST : IOMMU_HWPT_DATA_NONE,
        .data_len = nested ? sizeof(data) : 0,
        .data_uptr = nested ? (uintptr_t)&data : 0,
        .fault_id = fault_id,
    };
    int ret = host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd);

    *id = cmd.out_hwpt_id;
    return ret;
}

/* The HWPTs first, as the rest hangs on them. */
static void pasid_rig_down(Conformance *c, PasidRig *p)
{
    if (p->rig.stdev_id) {
        need(c, "detach", mock_pasid_detach(c, p->rig.stdev_id, PASID));
        need(c, "detach", mock_pasid_detach(c, p->rig.stdev_id, OTHER_PASID));
    }
    if (p->hwpt_id) {
        need(c, "destroy PASID's HWPT", destroy(c, p->hwpt_id));
    }
    if (p->queue.fd >= 0) {
        queue_down(c, &p->queue);
    }
    rig_down(c, &p->rig);
}

static bool pasid_queues_up(Conformance *c, PasidRig *p, bool rid, bool pasid)
{
    p->queue.fd = -1;
    return (!rid || need(c, "fault queue", fault_alloc(c, &p->rig.fault_id,
                                                       &p->rig.fault_fd))) &&
           (!pasid || fault_queue_up(c, &p->queue));
}

static bool pasid_hwpts_up(Conformance *c, PasidRig *p)
{
    Rig *rig = &p->rig;

    return need(c, "RID's HWPT",
                hwpt_alloc(c, rig, rig->viommu_id, IOMMU_HWPT_ALLOC_PASID,
                           rig->fault_id, &rig->hwpt_id)) &&
           need(c, "PASID's HWPT",
                hwpt_alloc(c, rig, rig->viommu_id, IOMMU_HWPT_ALLOC_PASID,
                           p->queue.id, &p->hwpt_id)) &&
           need(c, "attach", mock_replace(c, rig->stdev_id, rig->hwpt_id));
}

/* @rid, @pasid: with a fault queue. No PASID is attached yet. */
static bool pasid_rig_up(Conformance *c, PasidRig *p, bool rid, bool pasid)
{
    Rig *rig = &p->rig;

    *p = (PasidRig) { .rig.fault_fd = -1, .queue.fd = -1 };
    if (need(c, "IOAS", ioas_alloc(c, &rig->ioas_id)) &&
        need(c, "mock device", mock_device(c, rig->ioas_id,
                                           MOCK_FLAGS_DEVICE_PASID,
                                           &rig->stdev_id, NULL,
                                           &rig->dev_id)) &&
        need(c, "nest parent", nest_parent_alloc(c, rig->dev_id, rig->ioas_id,
                                                 &rig->parent_id)) &&
        need(c, "vIOMMU", viommu_alloc(c, rig->dev_id, rig->parent_id,
                                       &rig->viommu_id)) &&
        need(c, "vDEVICE", vdevice_alloc(c, rig->viommu_id, rig->dev_id,
                                         RIG_VIRT_ID, &rig->vdevice_id)) &&
        pasid_queues_up(c, p, rid, pasid) && pasid_hwpts_up(c, p)) {
        return true;
    }
    pasid_rig_down(c, p);
    return false;
}

static bool attach_pasid(Conformance *c, const PasidRig *p, uint32_t pasid,
                         uint32_t hwpt_id)
{
    return check_errno(c, "attach PASID",
                       mock_pasid_attach(c, p->rig.stdev_id, pasid, hwpt_id),
                       0);
}

static void detach_pasid(Conformance *c, const PasidRig *p)
{
    check_errno(c, "detach PASID",
                mock_pasid_detach(c, p->rig.stdev_id, PASID), 0);
}

/* ---- By PASID ---- */

static void pasid_unattached(Conformance *c)
{
    PasidRig p;

    if (!pasid_rig_up(c, &p, true, true)) {
        return;
    }
    trigger_faults(c, p.rig.dev_id, PASID, 1, 1);
    trigger_faults(c, p.rig.dev_id, 0, 2, 1);
    check_faults(c, p.queue.fd, 400, "0");
    check_faults(c, p.rig.fault_fd, 400, "80 [c1/g1 c2/g2]");
    pasid_rig_down(c, &p);
}

static void pasid_attached(Conformance *c)
{
    PasidRig p;

    if (!pasid_rig_up(c, &p, true, true)) {
        return;
    }
    attach_pasid(c, &p, PASID, p.hwpt_id);
    trigger_faults(c, p.rig.dev_id, PASID, 1, 1);
    trigger_faults(c, p.rig.dev_id, 0, 2, 1);
    trigger_faults(c, p.rig.dev_id, OTHER_PASID, 3, 1);
    check_faults(c, p.queue.fd, 400, "40 [c1/g1]");
    check_faults(c, p.rig.fault_fd, 400, "80 [c1/g2 c2/g3]");
    pasid_rig_down(c, &p);
}

/* The RID's queue is no substitute. */
static void pasid_without_queue(Conformance *c)
{
    PasidRig p;

    if (!pasid_rig_up(c, &p, true, false)) {
        return;
    }
    attach_pasid(c, &p, PASID, p.hwpt_id);
    trigger_faults(c, p.rig.dev_id, PASID, 1, 1);
    check_faults(c, p.rig.fault_fd, 400, "0");
    trigger_faults(c, p.rig.dev_id, 0, 2, 1);
    check_faults(c, p.rig.fault_fd, 400, "40 [c1/g2]");
    pasid_rig_down(c, &p);
}

static void pasid_with_the_only_queue(Conformance *c)
{
    PasidRig p;

    if (!pasid_rig_up(c, &p, false, true)) {
        return;
    }
    attach_pasid(c, &p, PASID, p.hwpt_id);
    trigger_faults(c, p.rig.dev_id, 0, 1, 1);
    trigger_faults(c, p.rig.dev_id, OTHER_PASID, 2, 1);
    check_faults(c, p.queue.fd, 400, "0");
    trigger_faults(c, p.rig.dev_id, PASID, 3, 1);
    check_faults(c, p.queue.fd, 400, "40 [c1/g3]");
    pasid_rig_down(c, &p);
}

static void pasid_detached(Conformance *c)
{
    PasidRig p;

    if (!pasid_rig_up(c, &p, true, true)) {
        return;
    }
    attach_pasid(c, &p, PASID, p.hwpt_id);
    detach_pasid(c, &p);
    trigger_faults(c, p.rig.dev_id, PASID, 1, 1);
    check_faults(c, p.queue.fd, 400, "0");
    check_faults(c, p.rig.fault_fd, 400, "40 [c1/g1]");
    pasid_rig_down(c, &p);
}

/* A RID that is not on a nested HWPT speaks for no PASID. */
static void pasid_beside_paging(Conformance *c)
{
    uint32_t hwpt_id;
    PasidRig p;

    if (!pasid_rig_up(c, &p, true, true)) {
        return;
    }
    if (need(c, "paging HWPT",
             hwpt_alloc(c, &p.rig, p.rig.ioas_id, 0, p.rig.fault_id,
                        &hwpt_id))) {
        check_errno(c, "move", mock_replace(c, p.rig.stdev_id, hwpt_id), 0);
        trigger_faults(c, p.rig.dev_id, PASID, 1, 1);
        check_faults(c, p.rig.fault_fd, 400, "0");
        trigger_faults(c, p.rig.dev_id, 0, 2, 1);
        check_faults(c, p.rig.fault_fd, 400, "40 [c1/g2]");
        need(c, "move", mock_replace(c, p.rig.stdev_id, p.rig.hwpt_id));
        need(c, "destroy paging HWPT", destroy(c, hwpt_id));
    }
    pasid_rig_down(c, &p);
}

/* ---- By device ---- */

/* The fault is answered at once; its trigger knows nothing of it. */
static void no_queue(Conformance *c)
{
    uint32_t hwpt_id;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    need(c, "nested", nested_alloc(c, rig.dev_id, rig.viommu_id, 0,
                                   &hwpt_id));
    check_errno(c, "move", mock_replace(c, rig.stdev_id, hwpt_id), 0);
    check_errno(c, "trigger", trigger_iopf(c, rig.dev_id, 0, 1, 0x1000), 0);
    check_errno(c, "trigger", trigger_iopf(c, rig.dev_id, 1, 1, 0x1000), 0);
    check_poll(c, rig.fault_fd, "OUT");
    check_errno(c, "move", mock_replace(c, rig.stdev_id, rig.hwpt_id), 0);
    check_faults(c, rig.fault_fd, 400, "0");
    need(c, "destroy nested", destroy(c, hwpt_id));
    rig_down(c, &rig);
}

static void unknown_device(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    check_errno(c, "trigger ID 9999", trigger_iopf(c, 9999, 0, 1, 0x1000),
                ENOENT);
    check_errno(c, "trigger a HWPT",
                trigger_iopf(c, rig.hwpt_id, 0, 1, 0x1000), ENOENT);
    check_faults(c, rig.fault_fd, 400, "0");
    rig_down(c, &rig);
}

/* Three faults of two devices in one queue, and whose they are. */
static void check_dev_ids(Conformance *c, const Rig *rig,
                          const OtherDevice *other)
{
    struct iommu_hwpt_pgfault record;

    trigger_faults(c, rig->dev_id, 0, 1, 1);
    trigger_faults(c, other->dev_id, 0, 1, 1);
    trigger_faults(c, rig->dev_id, 0, 2, 1);
    for (unsigned i = 0; i < 3; i++) {
        if (check_fault(c, rig->fault_fd, &record)) {
            check_value(c, "cookie", record.cookie, i + 1);
            check_text(c, "of the",
                       record.dev_id == rig->dev_id ? "first" :
                       record.dev_id == other->dev_id ? "other" : "none",
                       i == 1 ? "other" : "first");
        }
    }
}

static void two_devices_two_hwpts(Conformance *c)
{
    OtherDevice other;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    if (other_device_up(c, &rig, 0x9a, rig.fault_id, &other)) {
        check_dev_ids(c, &rig, &other);
        other_device_down(c, &other);
    }
    rig_down(c, &rig);
}

static void two_devices_one_hwpt(Conformance *c)
{
    OtherDevice other;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    if (other_device_up(c, &rig, 0x9a, 0, &other)) {
        check_errno(c, "move", mock_replace(c, other.stdev_id, rig.hwpt_id),
                    0);
        check_dev_ids(c, &rig, &other);
        other_device_down(c, &other);
    }
    rig_down(c, &rig);
}

/* Each on its own vIOMMU, IOAS and all. */
static void two_queues(Conformance *c)
{
    Rig a;
    Rig b;

    if (!rig_up(c, &a, true)) {
        return;
    }
    if (rig_up(c, &b, true)) {
        trigger_faults(c, b.dev_id, 0, 1, 1);
        check_poll(c, a.fault_fd, "OUT");
        check_faults(c, a.fault_fd, 400, "0");
        check_faults(c, b.fault_fd, 400, "40 [c1/g1]");
        rig_down(c, &b);
    }
    rig_down(c, &a);
}

static void on_paging_hwpt(Conformance *c)
{
    uint32_t hwpt_id;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    if (need(c, "paging HWPT", hwpt_alloc(c, &rig, rig.ioas_id, 0,
                                          rig.fault_id, &hwpt_id))) {
        check_errno(c, "move", mock_replace(c, rig.stdev_id, hwpt_id), 0);
        trigger_faults(c, rig.dev_id, 0, 1, 1);
        check_faults(c, rig.fault_fd, 400, "40 [c1/g1]");
        check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
        need(c, "move", mock_replace(c, rig.stdev_id, rig.hwpt_id));
        need(c, "destroy paging HWPT", destroy(c, hwpt_id));
    }
    rig_down(c, &rig);
}

/* ---- Groups end ---- */

/* Groups 1 and 2 read, cookies 1 and 2; 3 and 4 unread. */
static void ask(Conformance *c, uint32_t dev_id, int fd)
{
    trigger_faults(c, dev_id, 0, 1, 4);
    check_faults(c, fd, 80, "80 [c1/g1 c2/g2]");
}

static void check_all_ended(Conformance *c, int fd)
{
    check_poll(c, fd, "OUT");
    check_faults(c, fd, 400, "0");
    check_answers(c, fd, "EINVAL", ANSWERS(GOOD(1)));
    check_answers(c, fd, "EINVAL", ANSWERS(INVALID(2)));
}

static void end_by_replace(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    ask(c, rig.dev_id, rig.fault_fd);
    check_errno(c, "destroy HWPT", destroy(c, rig.hwpt_id), EBUSY);
    check_errno(c, "move", mock_replace(c, rig.stdev_id, rig.parent_id), 0);
    check_all_ended(c, rig.fault_fd);
    check_errno(c, "move", mock_replace(c, rig.stdev_id, rig.hwpt_id), 0);
    check_all_ended(c, rig.fault_fd);
    trigger_faults(c, rig.dev_id, 0, 9, 1);
    check_faults(c, rig.fault_fd, 400, "40 [c1/g9]");
    rig_down(c, &rig);
}

static void end_by_same_queue(Conformance *c)
{
    uint32_t hwpt_id;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    need(c, "nested", nested_alloc(c, rig.dev_id, rig.viommu_id, rig.fault_id,
                                   &hwpt_id));
    ask(c, rig.dev_id, rig.fault_fd);
    check_errno(c, "move", mock_replace(c, rig.stdev_id, hwpt_id), 0);
    check_all_ended(c, rig.fault_fd);
    trigger_faults(c, rig.dev_id, 0, 9, 1);
    check_faults(c, rig.fault_fd, 400, "40 [c1/g9]");
    need(c, "move", mock_replace(c, rig.stdev_id, rig.hwpt_id));
    need(c, "destroy nested", destroy(c, hwpt_id));
    rig_down(c, &rig);
}

static void stay_on_same_hwpt(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    ask(c, rig.dev_id, rig.fault_fd);
    check_errno(c, "replace by itself",
                mock_replace(c, rig.stdev_id, rig.hwpt_id), 0);
    check_faults(c, rig.fault_fd, 400, "80 [c3/g3 c4/g4]");
    check_answers(c, rig.fault_fd, "16", ANSWERS(GOOD(1), GOOD(2)));
    rig_down(c, &rig);
}

static void stay_after_failed_replace(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    ask(c, rig.dev_id, rig.fault_fd);
    check_errno(c, "replace by ID 9999",
                mock_replace(c, rig.stdev_id, 9999), ENOENT);
    check_faults(c, rig.fault_fd, 400, "80 [c3/g3 c4/g4]");
    check_answers(c, rig.fault_fd, "16", ANSWERS(GOOD(1), GOOD(2)));
    rig_down(c, &rig);
}

static void end_by_destroy(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    ask(c, rig.dev_id, rig.fault_fd);
    need(c, "destroy vDEVICE", destroy(c, rig.vdevice_id));
    rig.vdevice_id = 0;
    check_errno(c, "destroy device", destroy(c, rig.stdev_id), 0);
    rig.stdev_id = 0;
    check_all_ended(c, rig.fault_fd);
    rig_down(c, &rig);
}

/* Unread 2 and read 4 of the other device stay. */
static void end_of_one_device(Conformance *c)
{
    OtherDevice other;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    if (other_device_up(c, &rig, 0x9a, rig.fault_id, &other)) {
        trigger_faults(c, rig.dev_id, 0, 1, 1);
        trigger_faults(c, other.dev_id, 0, 2, 1);
        check_faults(c, rig.fault_fd, 400, "80 [c1/g1 c2/g2]");
        trigger_faults(c, rig.dev_id, 0, 3, 1);
        trigger_faults(c, other.dev_id, 0, 4, 1);
        check_errno(c, "move", mock_replace(c, rig.stdev_id, rig.parent_id),
                    0);
        check_poll(c, rig.fault_fd, "IN RDNORM OUT");
        check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(1)));
        check_faults(c, rig.fault_fd, 400, "40 [c1/g4]");
        check_answers(c, rig.fault_fd, "16", ANSWERS(GOOD(2), GOOD(1)));
        other_device_down(c, &other);
    }
    rig_down(c, &rig);
}

static void end_by_pasid_detach(Conformance *c)
{
    PasidRig p;

    if (!pasid_rig_up(c, &p, true, true)) {
        return;
    }
    attach_pasid(c, &p, PASID, p.hwpt_id);
    trigger_faults(c, p.rig.dev_id, 0, 11, 1);
    trigger_faults(c, p.rig.dev_id, PASID, 1, 4);
    check_faults(c, p.queue.fd, 80, "80 [c1/g1 c2/g2]");
    detach_pasid(c, &p);
    check_all_ended(c, p.queue.fd);
    check_faults(c, p.rig.fault_fd, 400, "40 [c1/g11]");
    pasid_rig_down(c, &p);
}

/* Two attachments to one HWPT: the groups are of the attachment. */
static void end_by_pasid_detach_same_hwpt(Conformance *c)
{
    PasidRig p;

    if (!pasid_rig_up(c, &p, true, false)) {
        return;
    }
    attach_pasid(c, &p, PASID, p.rig.hwpt_id);
    trigger_faults(c, p.rig.dev_id, PASID, 1, 1);
    trigger_faults(c, p.rig.dev_id, 0, 2, 1);
    trigger_faults(c, p.rig.dev_id, OTHER_PASID, 3, 1);
    check_faults(c, p.rig.fault_fd, 400, "120 [c1/g1 c2/g2 c3/g3]");
    detach_pasid(c, &p);
    check_answers(c, p.rig.fault_fd, "EINVAL", ANSWERS(GOOD(1)));
    check_answers(c, p.rig.fault_fd, "16", ANSWERS(GOOD(2), GOOD(3)));
    pasid_rig_down(c, &p);
}

/* A PASID that went by the RID's attachment ends with it, others do not. */
static void end_by_replace_beside_pasid(Conformance *c)
{
    uint32_t hwpt_id;
    PasidRig p;

    if (!pasid_rig_up(c, &p, true, true)) {
        return;
    }
    need(c, "nested", hwpt_alloc(c, &p.rig, p.rig.viommu_id,
                                 IOMMU_HWPT_ALLOC_PASID, 0, &hwpt_id));
    attach_pasid(c, &p, PASID, p.hwpt_id);
    trigger_faults(c, p.rig.dev_id, PASID, 1, 1);
    trigger_faults(c, p.rig.dev_id, OTHER_PASID, 2, 1);
    check_errno(c, "move", mock_replace(c, p.rig.stdev_id, hwpt_id), 0);
    check_faults(c, p.rig.fault_fd, 400, "0");
    check_faults(c, p.queue.fd, 400, "40 [c1/g1]");
    need(c, "move", mock_replace(c, p.rig.stdev_id, p.rig.hwpt_id));
    need(c, "destroy nested", destroy(c, hwpt_id));
    pasid_rig_down(c, &p);
}

static void end_by_pasid_replace(Conformance *c)
{
    PasidRig p;
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_PASID_REPLACE,
        .pasid_attach.pasid = PASID,
    };

    if (!pasid_rig_up(c, &p, true, true)) {
        return;
    }
    attach_pasid(c, &p, PASID, p.hwpt_id);
    trigger_faults(c, p.rig.dev_id, PASID, 1, 4);
    check_faults(c, p.queue.fd, 80, "80 [c1/g1 c2/g2]");
    cmd.id = p.rig.stdev_id;
    cmd.pasid_attach.pt_id = p.rig.hwpt_id;
    check_errno(c, "replace PASID", host_ioctl(c, IOMMU_TEST_CMD, &cmd), 0);
    check_all_ended(c, p.queue.fd);
    trigger_faults(c, p.rig.dev_id, PASID, 5, 1);
    check_faults(c, p.rig.fault_fd, 400, "40 [c1/g5]");
    pasid_rig_down(c, &p);
}

const ConformanceCase conformance_fault_route[] = {
    { "fault/pasid/unattached-goes-by-the-RID", pasid_unattached },
    { "fault/pasid/attached-goes-by-its-own-HWPT", pasid_attached },
    { "fault/pasid/attached-without-a-queue-goes-nowhere",
      pasid_without_queue },
    { "fault/pasid/attached-with-the-only-queue", pasid_with_the_only_queue },
    { "fault/pasid/detached-goes-by-the-RID-again", pasid_detached },
    { "fault/pasid/unattached-beside-a-paging-HWPT-goes-nowhere",
      pasid_beside_paging },
    { "fault/route/without-a-queue-goes-nowhere", no_queue },
    { "fault/route/unknown-device-is-ENOENT", unknown_device },
    { "fault/route/one-queue-of-two-HWPTs-and-devices",
      two_devices_two_hwpts },
    { "fault/route/one-HWPT-of-two-devices", two_devices_one_hwpt },
    { "fault/route/queues-are-apart", two_queues },
    { "fault/route/paging-HWPT-may-have-a-queue", on_paging_hwpt },
    { "fault/end/replace-ends-read-and-unread", end_by_replace },
    { "fault/end/replace-by-a-HWPT-of-the-same-queue-does-too",
      end_by_same_queue },
    { "fault/end/replace-by-itself-does-not", stay_on_same_hwpt },
    { "fault/end/failed-replace-does-not", stay_after_failed_replace },
    { "fault/end/destroy-of-the-device-ends-all", end_by_destroy },
    { "fault/end/other-devices-go-on", end_of_one_device },
    { "fault/end/detach-of-a-PASID-ends-its-groups", end_by_pasid_detach },
    { "fault/end/detach-of-a-PASID-spares-the-RID-on-the-same-HWPT",
      end_by_pasid_detach_same_hwpt },
    { "fault/end/replace-of-the-RID-spares-an-attached-PASID",
      end_by_replace_beside_pasid },
    { "fault/end/replace-of-a-PASID-ends-its-groups", end_by_pasid_replace },
    { NULL, NULL },
};
