/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Objects: their IDs, what may be where, and who holds whom.
 */
#include "conformance.h"

#include <errno.h>

static void ids_start_at_1(Conformance *c)
{
    uint32_t first = 0;
    uint32_t second = 0;

    check_errno(c, "IOAS", ioas_alloc(c, &first), 0);
    check_value(c, "ID", first, 1);
    check_errno(c, "IOAS", ioas_alloc(c, &second), 0);
    check_value(c, "ID", second, 2);
    check_errno(c, "destroy", destroy(c, first), 0);
    check_errno(c, "destroy", destroy(c, second), 0);
}

static void lowest_free_id(Conformance *c)
{
    uint32_t ids[5];
    uint32_t id = 0;

    for (int i = 0; i < 5; i++) {
        need(c, "IOAS", ioas_alloc(c, &ids[i]));
    }
    need(c, "destroy", destroy(c, ids[3]));
    need(c, "destroy", destroy(c, ids[1]));
    need(c, "IOAS", ioas_alloc(c, &id));
    check_value(c, "of 2 and 4 free", id, 2);
    need(c, "IOAS", ioas_alloc(c, &id));
    check_value(c, "then", id, 4);
    need(c, "IOAS", ioas_alloc(c, &id));
    check_value(c, "then", id, 6);
    for (id = 1; id <= 6; id++) {
        need(c, "destroy", destroy(c, id));
    }
}

/* Each kind of allocation, refused as late as it can be from here. */
static void failed_alloc_leaves_no_id(Conformance *c)
{
    uint32_t id = 0, next = 0;
    int fd;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    need(c, "IOAS", ioas_alloc(c, &next));
    need(c, "destroy", destroy(c, next));
    check_errno(c, "parent", nest_parent_alloc(c, rig.dev_id, rig.parent_id,
                                               &id), EOPNOTSUPP);
    check_errno(c, "nested", nested_alloc(c, rig.dev_id, rig.viommu_id, 99,
                                          &id), ENOENT);
    check_errno(c, "vIOMMU", viommu_alloc(c, rig.dev_id, rig.hwpt_id, &id),
                ENOENT);
    check_errno(c, "vDEVICE", vdevice_alloc(c, rig.viommu_id, rig.dev_id, 1,
                                            &id), EEXIST);
    check_errno(c, "vEVENTQ", veventq_alloc(c, rig.viommu_id, 0, &id, &fd),
                EINVAL);
    check_errno(c, "device", mock_device(c, rig.viommu_id, 0, &id, NULL,
                                         NULL), EINVAL);
    need(c, "IOAS", ioas_alloc(c, &id));
    check_value(c, "the next ID is the same", id == next, 1);
    need(c, "destroy", destroy(c, id));
    rig_down(c, &rig);
}

static void ids_of_a_device(Conformance *c)
{
    uint32_t ioas_id, stdev_id = 0, hwpt_id = 0, dev_id = 0;

    need(c, "IOAS", ioas_alloc(c, &ioas_id));
    check_errno(c, "device", mock_device(c, ioas_id, 0, &stdev_id, &hwpt_id,
                                         &dev_id), 0);
    check_value(c, "device", stdev_id, 2);
    check_value(c, "its object", dev_id, 3);
    check_value(c, "its HWPT", hwpt_id, 4);
    check_errno(c, "destroy of the object", destroy(c, dev_id), EBUSY);
    check_errno(c, "of the HWPT", destroy(c, hwpt_id), EBUSY);
    check_errno(c, "of the device", destroy(c, stdev_id), 0);
    check_errno(c, "of the object", destroy(c, dev_id), ENOENT);
    check_errno(c, "of the HWPT", destroy(c, hwpt_id), ENOENT);
    check_errno(c, "of the IOAS", destroy(c, ioas_id), 0);
}

static void unknown_ids(Conformance *c)
{
    uint32_t id;
    int fd;
    Rig rig;

    check_errno(c, "destroy of 0", destroy(c, 0), ENOENT);
    check_errno(c, "of 1", destroy(c, 1), ENOENT);
    check_errno(c, "of UINT32_MAX", destroy(c, UINT32_MAX), ENOENT);
    if (!rig_up(c, &rig, false)) {
        return;
    }
    check_errno(c, "parent, device", nest_parent_alloc(c, 99, rig.ioas_id,
                                                       &id), ENOENT);
    check_errno(c, "parent, IOAS", nest_parent_alloc(c, rig.dev_id, 99, &id),
                EINVAL);
    check_errno(c, "nested, parent", nested_alloc(c, rig.dev_id, 99, 0, &id),
                EINVAL);
    check_errno(c, "vIOMMU, device", viommu_alloc(c, 99, rig.parent_id, &id),
                ENOENT);
    check_errno(c, "vIOMMU, parent", viommu_alloc(c, rig.dev_id, 99, &id),
                ENOENT);
    check_errno(c, "vDEVICE, vIOMMU", vdevice_alloc(c, 99, rig.dev_id, 1,
                                                    &id), ENOENT);
    check_errno(c, "vDEVICE, device", vdevice_alloc(c, rig.viommu_id, 99, 1,
                                                    &id), ENOENT);
    check_errno(c, "vEVENTQ, vIOMMU", veventq_alloc(c, 99, 1, &id, &fd),
                ENOENT);
    check_errno(c, "device, IOAS", mock_device(c, 99, 0, &id, NULL, NULL),
                ENOENT);
    rig_down(c, &rig);
}

static void wrong_type_of_object(Conformance *c)
{
    uint32_t id;
    int fd;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    check_errno(c, "parent on a fault queue",
                nest_parent_alloc(c, rig.dev_id, rig.fault_id, &id), EINVAL);
    check_errno(c, "parent of an IOAS as device",
                nest_parent_alloc(c, rig.ioas_id, rig.ioas_id, &id), ENOENT);
    check_errno(c, "nested on a nested HWPT",
                nested_alloc(c, rig.dev_id, rig.hwpt_id, 0, &id), EINVAL);
    check_errno(c, "nested on an IOAS, with a parent as fault queue",
                nested_alloc(c, rig.dev_id, rig.ioas_id, rig.parent_id, &id),
                ENOENT);
    check_errno(c, "vDEVICE on a parent",
                vdevice_alloc(c, rig.parent_id, rig.dev_id, 1, &id), ENOENT);
    check_errno(c, "vDEVICE of the device's handle",
                vdevice_alloc(c, rig.viommu_id, rig.stdev_id, 1, &id),
                ENOENT);
    check_errno(c, "vEVENTQ on a parent",
                veventq_alloc(c, rig.parent_id, 1, &id, &fd), ENOENT);
    check_errno(c, "attach to a vIOMMU",
                mock_replace(c, rig.stdev_id, rig.viommu_id), EINVAL);
    check_errno(c, "attach of the object",
                mock_replace(c, rig.dev_id, rig.hwpt_id), ENOENT);
    rig_down(c, &rig);
}

static void users_of_an_ioas(Conformance *c)
{
    uint32_t ioas_id, stdev_id, dev_id, parent_id;

    need(c, "IOAS", ioas_alloc(c, &ioas_id));
    need(c, "device", mock_device(c, ioas_id, 0, &stdev_id, NULL, &dev_id));
    check_errno(c, "with a device", destroy(c, ioas_id), EBUSY);
    need(c, "parent", nest_parent_alloc(c, dev_id, ioas_id, &parent_id));
    need(c, "destroy", destroy(c, stdev_id));
    check_errno(c, "with a parent", destroy(c, ioas_id), EBUSY);
    check_errno(c, "parent without its device", destroy(c, parent_id), 0);
    check_errno(c, "alone", destroy(c, ioas_id), 0);
}

static void users_of_a_parent(Conformance *c)
{
    uint32_t nested_id;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    check_errno(c, "with a vIOMMU", destroy(c, rig.parent_id), EBUSY);
    need(c, "back", mock_replace(c, rig.stdev_id, rig.parent_id));
    need(c, "destroy", destroy(c, rig.hwpt_id));
    need(c, "destroy", destroy(c, rig.vdevice_id));
    need(c, "destroy", destroy(c, rig.viommu_id));
    rig.hwpt_id = rig.vdevice_id = rig.viommu_id = 0;
    check_errno(c, "with a device", destroy(c, rig.parent_id), EBUSY);
    need(c, "nested", nested_alloc(c, rig.dev_id, rig.parent_id, 0,
                                   &nested_id));
    need(c, "away", mock_replace(c, rig.stdev_id, rig.ioas_id));
    check_errno(c, "with a nested HWPT", destroy(c, rig.parent_id), EBUSY);
    need(c, "destroy", destroy(c, nested_id));
    check_errno(c, "alone", destroy(c, rig.parent_id), 0);
    rig.parent_id = 0;
    rig_down(c, &rig);
}

static void users_of_a_viommu(Conformance *c)
{
    uint32_t queue_id;
    int fd;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    need(c, "back", mock_replace(c, rig.stdev_id, rig.ioas_id));
    need(c, "destroy", destroy(c, rig.vdevice_id));
    check_errno(c, "with a nested HWPT", destroy(c, rig.viommu_id), EBUSY);
    need(c, "destroy", destroy(c, rig.hwpt_id));
    need(c, "vDEVICE", vdevice_alloc(c, rig.viommu_id, rig.dev_id, 1,
                                     &rig.vdevice_id));
    check_errno(c, "with a vDEVICE", destroy(c, rig.viommu_id), EBUSY);
    need(c, "destroy", destroy(c, rig.vdevice_id));
    need(c, "vEVENTQ", veventq_alloc(c, rig.viommu_id, 1, &queue_id, &fd));
    check_errno(c, "with a vEVENTQ", destroy(c, rig.viommu_id), EBUSY);
    need(c, "close", close_fd(c, fd));
    check_errno(c, "with a closed one", destroy(c, rig.viommu_id), EBUSY);
    need(c, "destroy", destroy(c, queue_id));
    check_errno(c, "alone", destroy(c, rig.viommu_id), 0);
    rig.hwpt_id = rig.vdevice_id = rig.viommu_id = 0;
    rig_down(c, &rig);
}

static void users_of_a_hwpt(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    check_errno(c, "HWPT, attached", destroy(c, rig.hwpt_id), EBUSY);
    need(c, "back", mock_replace(c, rig.stdev_id, rig.ioas_id));
    need(c, "close", close_fd(c, rig.fault_fd));
    rig.fault_fd = -1;
    check_errno(c, "fault queue, named by it", destroy(c, rig.fault_id),
                EBUSY);
    check_errno(c, "HWPT", destroy(c, rig.hwpt_id), 0);
    check_errno(c, "fault queue", destroy(c, rig.fault_id), 0);
    rig.hwpt_id = rig.fault_id = 0;
    rig_down(c, &rig);
}

/* The device takes its vDEVICE with it, whose ID stays taken. */
static void device_with_its_vdevice(Conformance *c)
{
    uint32_t vdevice_id;
    uint32_t ids[8];
    unsigned again = 0;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    vdevice_id = rig.vdevice_id;
    check_errno(c, "destroy of the device", destroy(c, rig.stdev_id), 0);
    rig.stdev_id = rig.vdevice_id = 0;
    check_errno(c, "of its vDEVICE", destroy(c, vdevice_id), ENOENT);
    for (int i = 0; i < 8; i++) {
        need(c, "IOAS", ioas_alloc(c, &ids[i]));
        again += ids[i] == vdevice_id;
    }
    check_value(c, "its ID comes again", again, 0);
    for (int i = 0; i < 8; i++) {
        need(c, "destroy", destroy(c, ids[i]));
    }
    rig_down(c, &rig);
}

static void one_vdevice_per_device(Conformance *c)
{
    uint32_t stdev_id, dev_id, id = 0;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    need(c, "device", mock_device(c, rig.ioas_id, 0, &stdev_id, NULL,
                                  &dev_id));
    check_errno(c, "second of a device",
                vdevice_alloc(c, rig.viommu_id, rig.dev_id, 7, &id), EEXIST);
    check_errno(c, "a taken virt_id",
                vdevice_alloc(c, rig.viommu_id, dev_id, RIG_VIRT_ID, &id),
                EEXIST);
    check_errno(c, "virt_id 0",
                vdevice_alloc(c, rig.viommu_id, dev_id, 0, &id), 0);
    check_errno(c, "destroy", destroy(c, id), 0);
    check_errno(c, "virt_id of all ones",
                vdevice_alloc(c, rig.viommu_id, dev_id, UINT64_MAX, &id), 0);
    check_errno(c, "destroy", destroy(c, id), 0);
    need(c, "back", mock_replace(c, rig.stdev_id, rig.ioas_id));
    need(c, "destroy", destroy(c, rig.vdevice_id));
    rig.vdevice_id = 0;
    check_errno(c, "the virt_id, when it is free",
                vdevice_alloc(c, rig.viommu_id, dev_id, RIG_VIRT_ID, &id), 0);
    need(c, "destroy", destroy(c, id));
    need(c, "destroy", destroy(c, stdev_id));
    rig_down(c, &rig);
}

static void one_veventq_of_a_type(Conformance *c)
{
    uint32_t queue_id, second_id, viommu_id, id;
    int fd, second_fd;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    need(c, "vIOMMU", viommu_alloc(c, rig.dev_id, rig.parent_id, &viommu_id));
    need(c, "vEVENTQ", veventq_alloc(c, rig.viommu_id, 4, &queue_id, &fd));
    check_errno(c, "second", veventq_alloc(c, rig.viommu_id, 4, &id,
                                           &second_fd), EEXIST);
    if (check_errno(c, "on another vIOMMU",
                    veventq_alloc(c, viommu_id, 4, &second_id, &second_fd),
                    0)) {
        need(c, "close", close_fd(c, second_fd));
        need(c, "destroy", destroy(c, second_id));
    }
    need(c, "close", close_fd(c, fd));
    check_errno(c, "closed", veventq_alloc(c, rig.viommu_id, 4, &id,
                                           &second_fd), EEXIST);
    need(c, "destroy", destroy(c, queue_id));
    if (check_errno(c, "destroyed", veventq_alloc(c, rig.viommu_id, 4,
                                                  &queue_id, &fd), 0)) {
        need(c, "close", close_fd(c, fd));
        need(c, "destroy", destroy(c, queue_id));
    }
    need(c, "destroy", destroy(c, viommu_id));
    rig_down(c, &rig);
}

const ConformanceCase conformance_objects[] = {
    { "objects/ID/starts-at-1", ids_start_at_1 },
    { "objects/ID/lowest-free-number-first", lowest_free_id },
    { "objects/ID/failed-allocation-leaves-none", failed_alloc_leaves_no_id },
    { "objects/ID/of-a-device", ids_of_a_device },
    { "objects/ID/unknown", unknown_ids },
    { "objects/ID/of-another-type", wrong_type_of_object },
    { "objects/held/IOAS", users_of_an_ioas },
    { "objects/held/nest-parent", users_of_a_parent },
    { "objects/held/vIOMMU", users_of_a_viommu },
    { "objects/held/HWPT-and-fault-queue", users_of_a_hwpt },
    { "objects/device-takes-its-vDEVICE-along", device_with_its_vdevice },
    { "objects/one/vDEVICE-of-a-device-and-virt_id", one_vdevice_per_device },
    { "objects/one/vEVENTQ-of-a-type", one_veventq_of_a_type },
    { NULL, NULL },
};
