/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mock devices: attach, replace, PASIDs and hardware info.
 */
#include "conformance.h"

#include <errno.h>

/* Attach as the mock driver does it, with the ID that comes back. */
static int replace_to(Conformance *c, uint32_t stdev_id, uint32_t pt_id,
                      uint32_t *hwpt_id)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
        .id = stdev_id,
        .mock_domain_replace.pt_id = pt_id,
    };
    int ret = host_ioctl(c, IOMMU_TEST_CMD, &cmd);

    *hwpt_id = cmd.mock_domain_replace.pt_id;
    return ret;
}

static void flags(Conformance *c)
{
    uint32_t ioas_id, stdev_id, id;

    need(c, "IOAS", ioas_alloc(c, &ioas_id));
    check_errno(c, "no dirty tracking",
                mock_device(c, ioas_id, MOCK_FLAGS_DEVICE_NO_DIRTY, &stdev_id,
                            NULL, NULL), 0);
    need(c, "destroy", destroy(c, stdev_id));
    check_errno(c, "PASIDs",
                mock_device(c, ioas_id, MOCK_FLAGS_DEVICE_PASID, &stdev_id,
                            NULL, NULL), 0);
    need(c, "destroy", destroy(c, stdev_id));
    check_errno(c, "unknown flag", mock_device(c, ioas_id, 1 << 1, &stdev_id,
                                               NULL, NULL), EINVAL);
    need(c, "IOAS", ioas_alloc(c, &id));
    check_value(c, "next ID", id, ioas_id + 1);
    need(c, "destroy", destroy(c, id));
    need(c, "destroy", destroy(c, ioas_id));
}

/* An IOAS has one automatic HWPT, and it goes with its last device. */
static void automatic_hwpt(Conformance *c)
{
    uint32_t ioas_id, first, second, hwpt_id = 0, same = 0;

    need(c, "IOAS", ioas_alloc(c, &ioas_id));
    need(c, "device", mock_device(c, ioas_id, 0, &first, &hwpt_id, NULL));
    need(c, "device", mock_device(c, ioas_id, 0, &second, &same, NULL));
    check_value(c, "shared", same == hwpt_id, 1);
    need(c, "destroy", destroy(c, first));
    check_errno(c, "with one device left", destroy(c, hwpt_id), EBUSY);
    need(c, "destroy", destroy(c, second));
    check_errno(c, "with none", destroy(c, hwpt_id), ENOENT);
    need(c, "destroy", destroy(c, ioas_id));
}

static void replace(Conformance *c)
{
    uint32_t ioas_id, stdev_id, auto_id, dev_id, hwpt_id, now = 0;

    need(c, "IOAS", ioas_alloc(c, &ioas_id));
    need(c, "device", mock_device(c, ioas_id, 0, &stdev_id, &auto_id,
                                  &dev_id));
    need(c, "HWPT", nest_parent_alloc(c, dev_id, ioas_id, &hwpt_id));
    check_errno(c, "to a HWPT", replace_to(c, stdev_id, hwpt_id, &now), 0);
    check_value(c, "its ID comes back", now == hwpt_id, 1);
    check_errno(c, "the automatic one", destroy(c, auto_id), ENOENT);
    check_errno(c, "to the same", replace_to(c, stdev_id, hwpt_id, &now), 0);
    check_errno(c, "to an unknown ID", replace_to(c, stdev_id, 99, &now),
                ENOENT);
    check_errno(c, "to a device", replace_to(c, stdev_id, dev_id, &now),
                EINVAL);
    check_errno(c, "the HWPT is still held", destroy(c, hwpt_id), EBUSY);
    check_errno(c, "to the IOAS", replace_to(c, stdev_id, ioas_id, &now), 0);
    check_value(c, "the automatic one's ID comes back", now == auto_id, 1);
    check_errno(c, "of an unknown device", replace_to(c, 99, hwpt_id, &now),
                ENOENT);
    check_errno(c, "HWPT", destroy(c, hwpt_id), 0);
    need(c, "destroy", destroy(c, stdev_id));
    need(c, "destroy", destroy(c, ioas_id));
}

static void nested_needs_a_vdevice(Conformance *c)
{
    uint32_t nested_id;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    need(c, "back", mock_replace(c, rig.stdev_id, rig.ioas_id));
    need(c, "destroy", destroy(c, rig.vdevice_id));
    rig.vdevice_id = 0;
    check_errno(c, "without", mock_replace(c, rig.stdev_id, rig.hwpt_id),
                ENOENT);
    need(c, "nested", nested_alloc(c, rig.dev_id, rig.parent_id, 0,
                                   &nested_id));
    check_errno(c, "HWPT on the parent, without",
                mock_replace(c, rig.stdev_id, nested_id), 0);
    need(c, "vDEVICE", vdevice_alloc(c, rig.viommu_id, rig.dev_id, 1,
                                     &rig.vdevice_id));
    check_errno(c, "with", mock_replace(c, rig.stdev_id, rig.hwpt_id), 0);
    need(c, "destroy", destroy(c, nested_id));
    rig_down(c, &rig);
}

/* Who may report an event, and to whom. */
static void events(Conformance *c)
{
    uint32_t queue_id;
    int fd;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    check_errno(c, "no queue", trigger_vevent(c, rig.dev_id), EOPNOTSUPP);
    need(c, "vEVENTQ", veventq_alloc(c, rig.viommu_id, 4, &queue_id, &fd));
    check_errno(c, "a queue", trigger_vevent(c, rig.dev_id), 0);
    check_errno(c, "by the device's handle", trigger_vevent(c, rig.stdev_id),
                ENOENT);
    need(c, "back", mock_replace(c, rig.stdev_id, rig.ioas_id));
    check_errno(c, "not nested", trigger_vevent(c, rig.dev_id), ENOENT);
    need(c, "close", close_fd(c, fd));
    need(c, "destroy", destroy(c, queue_id));
    rig_down(c, &rig);
}

/* A device with PASIDs, and a HWPT that is good for them. */
typedef struct PasidRig {
    uint32_t ioas_id;
    uint32_t stdev_id;
    uint32_t auto_id;
    uint32_t dev_id;
    uint32_t hwpt_id;
} PasidRig;

static bool pasid_up(Conformance *c, PasidRig *p)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd), .flags = IOMMU_HWPT_ALLOC_PASID,
    };

    if (!need(c, "IOAS", ioas_alloc(c, &p->ioas_id)) ||
        !need(c, "device", mock_device(c, p->ioas_id, MOCK_FLAGS_DEVICE_PASID,
                                       &p->stdev_id, &p->auto_id,
                                       &p->dev_id))) {
        return false;
    }
    cmd.dev_id = p->dev_id;
    cmd.pt_id = p->ioas_id;
    if (!need(c, "HWPT", host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd))) {
        return false;
    }
    p->hwpt_id = cmd.out_hwpt_id;
    return need(c, "attach", mock_replace(c, p->stdev_id, p->hwpt_id));
}

static void pasid_down(Conformance *c, PasidRig *p)
{
    need(c, "destroy", destroy(c, p->stdev_id));
    need(c, "destroy", destroy(c, p->hwpt_id));
    need(c, "destroy", destroy(c, p->ioas_id));
}

static int pasid_check(Conformance *c, const PasidRig *p, uint32_t pasid,
                       uint32_t hwpt_id)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_PASID_CHECK_HWPT,
        .id = p->stdev_id,
        .pasid_check = { .pasid = pasid, .hwpt_id = hwpt_id },
    };

    return host_ioctl(c, IOMMU_TEST_CMD, &cmd);
}

static void pasid_attach(Conformance *c)
{
    PasidRig p;

    if (!pasid_up(c, &p)) {
        return;
    }
    check_errno(c, "attach", mock_pasid_attach(c, p.stdev_id, 5, p.hwpt_id),
                0);
    check_errno(c, "is there", pasid_check(c, &p, 5, p.hwpt_id), 0);
    check_errno(c, "again", mock_pasid_attach(c, p.stdev_id, 5, p.hwpt_id),
                EBUSY);
    check_errno(c, "largest",
                mock_pasid_attach(c, p.stdev_id, 0xfffff, p.hwpt_id), 0);
    check_errno(c, "too large",
                mock_pasid_attach(c, p.stdev_id, 0x100000, p.hwpt_id),
                EINVAL);
    check_errno(c, "0, which is the device",
                mock_pasid_attach(c, p.stdev_id, 0, p.hwpt_id), EBUSY);
    check_errno(c, "to an unknown ID",
                mock_pasid_attach(c, p.stdev_id, 6, 99), ENOENT);
    check_errno(c, "of an unknown device",
                mock_pasid_attach(c, 99, 6, p.hwpt_id), ENOENT);
    check_errno(c, "detach", mock_pasid_detach(c, p.stdev_id, 5), 0);
    check_errno(c, "detach again", mock_pasid_detach(c, p.stdev_id, 5), 0);
    check_errno(c, "is there", pasid_check(c, &p, 5, p.hwpt_id), EINVAL);
    check_errno(c, "none is", pasid_check(c, &p, 5, 0), 0);
    need(c, "detach", mock_pasid_detach(c, p.stdev_id, 0xfffff));
    pasid_down(c, &p);
}

static void pasid_holds_the_hwpt(Conformance *c)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd), .flags = IOMMU_HWPT_ALLOC_PASID,
    };
    PasidRig p;

    if (!pasid_up(c, &p)) {
        return;
    }
    cmd.dev_id = p.dev_id;
    cmd.pt_id = p.ioas_id;
    need(c, "HWPT", host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd));
    need(c, "attach", mock_pasid_attach(c, p.stdev_id, 5, cmd.out_hwpt_id));
    check_errno(c, "attached", destroy(c, cmd.out_hwpt_id), EBUSY);
    need(c, "detach", mock_pasid_detach(c, p.stdev_id, 5));
    check_errno(c, "detached", destroy(c, cmd.out_hwpt_id), 0);
    pasid_down(c, &p);
}

static int pasid_replace(Conformance *c, const PasidRig *p, uint32_t pasid,
                         uint32_t pt_id)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_PASID_REPLACE,
        .id = p->stdev_id,
        .pasid_attach = { .pasid = pasid, .pt_id = pt_id },
    };

    return host_ioctl(c, IOMMU_TEST_CMD, &cmd);
}

static void pasid_is_replaced(Conformance *c)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd), .flags = IOMMU_HWPT_ALLOC_PASID,
    };
    PasidRig p;

    if (!pasid_up(c, &p)) {
        return;
    }
    cmd.dev_id = p.dev_id;
    cmd.pt_id = p.ioas_id;
    need(c, "HWPT", host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd));
    check_errno(c, "of none", pasid_replace(c, &p, 5, p.hwpt_id), EINVAL);
    need(c, "attach", mock_pasid_attach(c, p.stdev_id, 5, p.hwpt_id));
    check_errno(c, "replace", pasid_replace(c, &p, 5, cmd.out_hwpt_id), 0);
    check_errno(c, "is there", pasid_check(c, &p, 5, cmd.out_hwpt_id), 0);
    check_errno(c, "to an unknown ID", pasid_replace(c, &p, 5, 99), ENOENT);
    check_errno(c, "is still there", pasid_check(c, &p, 5, cmd.out_hwpt_id),
                0);
    need(c, "detach", mock_pasid_detach(c, p.stdev_id, 5));
    need(c, "destroy", destroy(c, cmd.out_hwpt_id));
    pasid_down(c, &p);
}

/* All HWPTs of a device are good for PASIDs, or it has none. */
static void pasid_needs_its_flag(Conformance *c)
{
    uint32_t stdev_id, plain_id;
    PasidRig p;

    if (!pasid_up(c, &p)) {
        return;
    }
    need(c, "parent", nest_parent_alloc(c, p.dev_id, p.ioas_id, &plain_id));
    check_errno(c, "HWPT without the flag",
                mock_pasid_attach(c, p.stdev_id, 5, plain_id), EINVAL);
    check_errno(c, "IOAS", mock_pasid_attach(c, p.stdev_id, 5, p.ioas_id),
                EINVAL);
    need(c, "attach", mock_pasid_attach(c, p.stdev_id, 5, p.hwpt_id));
    check_errno(c, "the device to one without, while it has a PASID",
                mock_replace(c, p.stdev_id, plain_id), EINVAL);
    need(c, "detach", mock_pasid_detach(c, p.stdev_id, 5));
    need(c, "replace", mock_replace(c, p.stdev_id, plain_id));
    check_errno(c, "a PASID, while the device is on one without",
                mock_pasid_attach(c, p.stdev_id, 5, p.hwpt_id), EINVAL);
    need(c, "device", mock_device(c, p.hwpt_id, 0, &stdev_id, NULL, NULL));
    check_errno(c, "a device without PASIDs",
                mock_pasid_attach(c, stdev_id, 5, p.hwpt_id), EINVAL);
    need(c, "destroy", destroy(c, stdev_id));
    need(c, "replace", mock_replace(c, p.stdev_id, p.hwpt_id));
    need(c, "destroy", destroy(c, plain_id));
    pasid_down(c, &p);
}

static void dirty_tracking(Conformance *c)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd), .flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
    };
    uint32_t with, without, id;
    uint32_t dev_id, other_id;

    need(c, "IOAS", ioas_alloc(c, &cmd.pt_id));
    need(c, "device", mock_device(c, cmd.pt_id, 0, &with, NULL, &dev_id));
    need(c, "device", mock_device(c, cmd.pt_id, MOCK_FLAGS_DEVICE_NO_DIRTY,
                                  &without, NULL, &other_id));
    cmd.dev_id = other_id;
    check_errno(c, "by a device without",
                host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd), EOPNOTSUPP);
    cmd.dev_id = dev_id;
    check_errno(c, "by one with", host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd), 0);
    check_errno(c, "attach of the one without",
                replace_to(c, without, cmd.out_hwpt_id, &id), EINVAL);
    check_errno(c, "of the one with",
                replace_to(c, with, cmd.out_hwpt_id, &id), 0);
    need(c, "destroy", destroy(c, with));
    need(c, "destroy", destroy(c, without));
    need(c, "destroy", destroy(c, cmd.out_hwpt_id));
    need(c, "destroy", destroy(c, cmd.pt_id));
}

static void hw_info(Conformance *c)
{
    struct {
        struct iommu_test_hw_info info;
        uint64_t tail;
    } data = { .tail = UINT64_MAX };
    struct iommu_hw_info cmd = {
        .size = sizeof(cmd),
        .data_len = sizeof(data),
        .data_uptr = (uintptr_t)&data,
    };
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    cmd.dev_id = rig.dev_id;
    check_errno(c, "more room", host_ioctl(c, IOMMU_GET_HW_INFO, &cmd), 0);
    check_value(c, "type", cmd.out_data_type, IOMMU_HW_INFO_TYPE_SELFTEST);
    check_value(c, "length", cmd.data_len, sizeof(data.info));
    check_value(c, "register", data.info.test_reg,
                IOMMU_HW_INFO_SELFTEST_REGVAL);
    check_value(c, "tail", data.tail, 0);
    check_value(c, "capabilities", cmd.out_capabilities, 9);
    check_value(c, "PASID bits", cmd.out_max_pasid_log2, 0);
    data.info.test_reg = 0;
    cmd.data_len = 4;
    check_errno(c, "less room", host_ioctl(c, IOMMU_GET_HW_INFO, &cmd), 0);
    check_value(c, "length", cmd.data_len, sizeof(data.info));
    check_value(c, "register", data.info.test_reg, 0);
    cmd.data_len = 0;
    cmd.data_uptr = 0;
    check_errno(c, "none", host_ioctl(c, IOMMU_GET_HW_INFO, &cmd), 0);
    check_value(c, "length", cmd.data_len, sizeof(data.info));
    cmd.data_len = 8;
    check_errno(c, "at NULL", host_ioctl(c, IOMMU_GET_HW_INFO, &cmd),
                EFAULT);
    rig_down(c, &rig);
}

static int hw_info_of(Conformance *c, struct iommu_hw_info cmd)
{
    cmd.size = sizeof(cmd);
    return host_ioctl(c, IOMMU_GET_HW_INFO, &cmd);
}

static void hw_info_refused(Conformance *c)
{
    struct iommu_hw_info cmd = { 0 };
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    cmd.dev_id = 99;
    check_errno(c, "unknown ID", hw_info_of(c, cmd), ENOENT);
    cmd.dev_id = rig.hwpt_id;
    check_errno(c, "a HWPT", hw_info_of(c, cmd), ENOENT);
    cmd.dev_id = rig.dev_id;
    cmd.flags = 1u << 1;
    check_errno(c, "unknown flag", hw_info_of(c, cmd), EOPNOTSUPP);
    cmd.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
    cmd.in_data_type = IOMMU_HW_INFO_TYPE_SELFTEST;
    check_errno(c, "this type", hw_info_of(c, cmd), 0);
    cmd.in_data_type = 0;
    check_errno(c, "any type", hw_info_of(c, cmd), 0);
    cmd.in_data_type = 2;
    check_errno(c, "another type", hw_info_of(c, cmd), EOPNOTSUPP);
    cmd.flags = 0;
    check_errno(c, "another type without the flag", hw_info_of(c, cmd), 0);
    cmd.__reserved[1] = 1;
    check_errno(c, "reserved", hw_info_of(c, cmd), EOPNOTSUPP);
    rig_down(c, &rig);
}

static void hw_info_of_pasids(Conformance *c)
{
    struct iommu_hw_info cmd = { .size = sizeof(cmd) };
    uint32_t ioas_id, stdev_id;

    need(c, "IOAS", ioas_alloc(c, &ioas_id));
    need(c, "device", mock_device(c, ioas_id, MOCK_FLAGS_DEVICE_PASID |
                                  MOCK_FLAGS_DEVICE_NO_DIRTY, &stdev_id,
                                  NULL, &cmd.dev_id));
    need(c, "info", host_ioctl(c, IOMMU_GET_HW_INFO, &cmd));
    check_value(c, "PASID bits", cmd.out_max_pasid_log2, MOCK_PASID_WIDTH);
    check_value(c, "capabilities without dirty tracking",
                cmd.out_capabilities, 8);
    need(c, "destroy", destroy(c, stdev_id));
    need(c, "destroy", destroy(c, ioas_id));
}

/* By the first of them the test ioctl is told from one that is not there. */
static void unknown_operations(Conformance *c)
{
    struct iommu_test_cmd cmd = { .size = sizeof(cmd) };

    check_errno(c, "operation 0", host_ioctl(c, IOMMU_TEST_CMD, &cmd),
                EOPNOTSUPP);
    cmd.op = 1000;
    check_errno(c, "operation 1000", host_ioctl(c, IOMMU_TEST_CMD, &cmd),
                EOPNOTSUPP);
    need(c, "IOAS", ioas_alloc(c, &cmd.id));
    cmd.op = IOMMU_TEST_OP_PASID_DETACH;
    check_errno(c, "an IOAS for a device", host_ioctl(c, IOMMU_TEST_CMD, &cmd),
                ENOENT);
    need(c, "destroy", destroy(c, cmd.id));
}

const ConformanceCase conformance_device[] = {
    { "device/test-ioctl/unknown-operations", unknown_operations },
    { "device/flags", flags },
    { "device/automatic-HWPT-is-shared", automatic_hwpt },
    { "device/replace", replace },
    { "device/nested-HWPT-of-a-vIOMMU-needs-a-vDEVICE",
      nested_needs_a_vdevice },
    { "device/events", events },
    { "device/PASID/attach-and-detach", pasid_attach },
    { "device/PASID/holds-its-HWPT", pasid_holds_the_hwpt },
    { "device/PASID/replace", pasid_is_replaced },
    { "device/PASID/needs-HWPTs-made-for-it", pasid_needs_its_flag },
    { "device/dirty-tracking", dirty_tracking },
    { "device/hw-info/data", hw_info },
    { "device/hw-info/refused", hw_info_refused },
    { "device/hw-info/PASIDs-and-capabilities", hw_info_of_pasids },
    { NULL, NULL },
};
