/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IOMMU_HWPT_INVALIDATE: of a HWPT and of a vIOMMU, and which entry was bad.
 */
#include "conformance.h"

#include <errno.h>

/* Whether entry @id of the HWPT's IOTLB holds @value. */
static int check_iotlb(Conformance *c, uint32_t hwpt_id, uint32_t id,
                       uint32_t value)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_MD_CHECK_IOTLB,
        .id = hwpt_id,
        .check_iotlb = { .id = id, .iotlb = value },
    };

    return host_ioctl(c, IOMMU_TEST_CMD, &cmd);
}

/* The same of the device's cache. */
static int check_cache(Conformance *c, uint32_t dev_id, uint32_t id,
                       uint32_t value)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_DEV_CHECK_CACHE,
        .id = dev_id,
        .check_dev_cache = { .id = id, .cache = value },
    };

    return host_ioctl(c, IOMMU_TEST_CMD, &cmd);
}

static int invalidate(Conformance *c, struct iommu_hwpt_invalidate *cmd,
                      uint32_t num)
{
    cmd->size = sizeof(*cmd);
    cmd->entry_num = num;
    return host_ioctl(c, IOMMU_HWPT_INVALIDATE, cmd);
}

static struct iommu_hwpt_invalidate of_hwpt(
    const Rig *rig, const struct iommu_hwpt_invalidate_selftest *entries)
{
    return (struct iommu_hwpt_invalidate) {
        .hwpt_id = rig->hwpt_id,
        .data_uptr = (uintptr_t)entries,
        .data_type = IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
        .entry_len = sizeof(*entries),
    };
}

static struct iommu_hwpt_invalidate of_viommu(
    const Rig *rig, const struct iommu_viommu_invalidate_selftest *entries)
{
    return (struct iommu_hwpt_invalidate) {
        .hwpt_id = rig->viommu_id,
        .data_uptr = (uintptr_t)entries,
        .data_type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
        .entry_len = sizeof(*entries),
    };
}

static void hwpt_entries(Conformance *c)
{
    const struct iommu_hwpt_invalidate_selftest two[] = {
        { .iotlb_id = 1 }, { .iotlb_id = 3 },
    };
    const struct iommu_hwpt_invalidate_selftest all = {
        .flags = IOMMU_TEST_INVALIDATE_FLAG_ALL,
    };
    const uint32_t old = IOMMU_TEST_IOTLB_DEFAULT;
    struct iommu_hwpt_invalidate cmd;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    check_errno(c, "0 is there", check_iotlb(c, rig.hwpt_id, 0, old), 0);
    cmd = of_hwpt(&rig, two);
    check_errno(c, "1 and 3", invalidate(c, &cmd, 2), 0);
    check_value(c, "done", cmd.entry_num, 2);
    check_errno(c, "0 is there", check_iotlb(c, rig.hwpt_id, 0, old), 0);
    check_errno(c, "1 is", check_iotlb(c, rig.hwpt_id, 1, old), EINVAL);
    check_errno(c, "1 is empty", check_iotlb(c, rig.hwpt_id, 1, 0), 0);
    check_errno(c, "3 is empty", check_iotlb(c, rig.hwpt_id, 3, 0), 0);
    cmd = of_hwpt(&rig, &all);
    check_errno(c, "all", invalidate(c, &cmd, 1), 0);
    check_errno(c, "0 is empty", check_iotlb(c, rig.hwpt_id, 0, 0), 0);
    check_errno(c, "4 is", check_iotlb(c, rig.hwpt_id, 4, 0), EINVAL);
    check_errno(c, "of an IOAS", check_iotlb(c, rig.ioas_id, 0, 0), ENOENT);
    rig_down(c, &rig);
}

/* It stops at the first bad entry, and says how many were done. */
static void hwpt_error_index(Conformance *c)
{
    struct iommu_hwpt_invalidate_selftest entries[] = {
        { .iotlb_id = 0 }, { .iotlb_id = 1 }, { .iotlb_id = 4 },
        { .iotlb_id = 3 },
    };
    struct iommu_hwpt_invalidate cmd;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    cmd = of_hwpt(&rig, entries);
    check_errno(c, "third is bad", invalidate(c, &cmd, 4), EINVAL);
    check_value(c, "done", cmd.entry_num, 2);
    check_errno(c, "1 is empty", check_iotlb(c, rig.hwpt_id, 1, 0), 0);
    check_errno(c, "3 is there", check_iotlb(c, rig.hwpt_id, 3,
                                             IOMMU_TEST_IOTLB_DEFAULT), 0);
    entries[0].flags = 1u << 1;
    check_errno(c, "first has an unknown flag", invalidate(c, &cmd, 4),
                EOPNOTSUPP);
    check_value(c, "done", cmd.entry_num, 0);
    rig_down(c, &rig);
}

static void viommu_entries(Conformance *c)
{
    const struct iommu_viommu_invalidate_selftest two[] = {
        { .vdev_id = RIG_VIRT_ID, .cache_id = 0 },
        { .vdev_id = RIG_VIRT_ID, .cache_id = 2 },
    };
    const struct iommu_viommu_invalidate_selftest all = {
        .flags = IOMMU_TEST_INVALIDATE_FLAG_ALL, .vdev_id = RIG_VIRT_ID,
    };
    const uint32_t old = IOMMU_TEST_DEV_CACHE_DEFAULT;
    struct iommu_hwpt_invalidate cmd;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    check_errno(c, "0 is there", check_cache(c, rig.dev_id, 0, old), 0);
    cmd = of_viommu(&rig, two);
    check_errno(c, "0 and 2", invalidate(c, &cmd, 2), 0);
    check_value(c, "done", cmd.entry_num, 2);
    check_errno(c, "0 is empty", check_cache(c, rig.dev_id, 0, 0), 0);
    check_errno(c, "1 is there", check_cache(c, rig.dev_id, 1, old), 0);
    check_errno(c, "2 is empty", check_cache(c, rig.dev_id, 2, 0), 0);
    cmd = of_viommu(&rig, &all);
    check_errno(c, "all", invalidate(c, &cmd, 1), 0);
    check_errno(c, "1 is empty", check_cache(c, rig.dev_id, 1, 0), 0);
    check_errno(c, "4 is", check_cache(c, rig.dev_id, 4, 0), EINVAL);
    check_errno(c, "of the handle", check_cache(c, rig.stdev_id, 0, 0),
                ENOENT);
    rig_down(c, &rig);
}

static void viommu_error_index(Conformance *c)
{
    struct iommu_viommu_invalidate_selftest entries[] = {
        { .vdev_id = RIG_VIRT_ID, .cache_id = 0 },
        { .vdev_id = RIG_VIRT_ID + 1, .cache_id = 1 },
        { .vdev_id = RIG_VIRT_ID, .cache_id = 2 },
    };
    struct iommu_hwpt_invalidate cmd;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    cmd = of_viommu(&rig, entries);
    check_errno(c, "second is of no device", invalidate(c, &cmd, 3), EINVAL);
    check_value(c, "done", cmd.entry_num, 1);
    check_errno(c, "0 is empty", check_cache(c, rig.dev_id, 0, 0), 0);
    check_errno(c, "2 is there", check_cache(c, rig.dev_id, 2,
                                             IOMMU_TEST_DEV_CACHE_DEFAULT),
                0);
    entries[1].vdev_id = RIG_VIRT_ID;
    entries[2].cache_id = 4;
    check_errno(c, "third is of no cache", invalidate(c, &cmd, 3), EINVAL);
    check_value(c, "done", cmd.entry_num, 2);
    entries[0].flags = 1u << 1;
    check_errno(c, "first has an unknown flag", invalidate(c, &cmd, 3),
                EOPNOTSUPP);
    check_value(c, "done", cmd.entry_num, 0);
    need(c, "back", mock_replace(c, rig.stdev_id, rig.ioas_id));
    need(c, "destroy", destroy(c, rig.vdevice_id));
    rig.vdevice_id = 0;
    entries[0].flags = 0;
    check_errno(c, "its vDEVICE is gone", invalidate(c, &cmd, 1), EINVAL);
    rig_down(c, &rig);
}

static void empty(Conformance *c)
{
    struct iommu_hwpt_invalidate cmd;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    cmd = of_hwpt(&rig, NULL);
    check_errno(c, "HWPT, no entry", invalidate(c, &cmd, 0), 0);
    cmd.data_type = 77;
    check_errno(c, "of another type", invalidate(c, &cmd, 0), EINVAL);
    cmd = of_viommu(&rig, NULL);
    check_errno(c, "vIOMMU, no entry", invalidate(c, &cmd, 0), 0);
    cmd.data_type = 77;
    check_errno(c, "of another type", invalidate(c, &cmd, 0), EINVAL);
    rig_down(c, &rig);
}

/* Exactly its size: unlike a command's, an entry's tail is not looked at. */
static void lengths_hwpt(Conformance *c)
{
    const struct iommu_hwpt_invalidate_selftest entries[4] = { 0 };
    struct iommu_hwpt_invalidate cmd;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    cmd = of_hwpt(&rig, entries);
    check_errno(c, "8", invalidate(c, &cmd, 2), 0);
    check_value(c, "done", cmd.entry_num, 2);
    cmd.entry_len = 0;
    check_errno(c, "length 0", invalidate(c, &cmd, 1), EINVAL);
    cmd.entry_len = 7;
    check_errno(c, "7", invalidate(c, &cmd, 1), EINVAL);
    cmd.entry_len = 12;
    check_errno(c, "12", invalidate(c, &cmd, 2), EINVAL);
    check_value(c, "done", cmd.entry_num, 0);
    cmd.entry_len = 4097;
    check_errno(c, "4097", invalidate(c, &cmd, 1), EINVAL);
    rig_down(c, &rig);
}

/* Shorter is filled up with zeros, longer may have a tail of zeros. */
static void lengths_viommu(Conformance *c)
{
    struct iommu_viommu_invalidate_selftest entries[4] = {
        { .vdev_id = RIG_VIRT_ID, .cache_id = 1 },
    };
    const uint32_t old = IOMMU_TEST_DEV_CACHE_DEFAULT;
    struct iommu_hwpt_invalidate cmd;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    cmd = of_viommu(&rig, entries);
    cmd.entry_len = 0;
    check_errno(c, "length 0", invalidate(c, &cmd, 1), EINVAL);
    cmd.entry_len = 8;
    check_errno(c, "8", invalidate(c, &cmd, 1), 0);
    check_value(c, "done", cmd.entry_num, 1);
    check_errno(c, "0 is empty", check_cache(c, rig.dev_id, 0, 0), 0);
    check_errno(c, "1 is there", check_cache(c, rig.dev_id, 1, old), 0);
    cmd.entry_len = 16;
    check_errno(c, "16", invalidate(c, &cmd, 1), 0);
    check_errno(c, "1 is empty", check_cache(c, rig.dev_id, 1, 0), 0);
    entries[1].flags = 1;
    check_errno(c, "16, junk in the tail", invalidate(c, &cmd, 1), E2BIG);
    check_value(c, "done", cmd.entry_num, 0);
    rig_down(c, &rig);
}

static void refused(Conformance *c)
{
    struct iommu_hwpt_invalidate_selftest entry = { .iotlb_id = 0 };
    struct iommu_hwpt_invalidate cmd;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    cmd = of_hwpt(&rig, &entry);
    cmd.data_type = 77;
    check_errno(c, "another type", invalidate(c, &cmd, 1), EINVAL);
    check_value(c, "done", cmd.entry_num, 0);
    cmd = of_hwpt(&rig, &entry);
    cmd.__reserved = 1;
    check_errno(c, "reserved", invalidate(c, &cmd, 1), EOPNOTSUPP);
    cmd = of_hwpt(&rig, NULL);
    check_errno(c, "NULL", invalidate(c, &cmd, 1), EINVAL);
    cmd = of_hwpt(&rig, &entry);
    check_errno(c, "more than 2^19 entries",
                invalidate(c, &cmd, (1u << 19) + 1), EINVAL);
    check_value(c, "done", cmd.entry_num, 0);
    cmd.hwpt_id = 99;
    check_errno(c, "unknown ID", invalidate(c, &cmd, 1), ENOENT);
    check_value(c, "done", cmd.entry_num, 0);
    cmd.hwpt_id = rig.parent_id;
    check_errno(c, "a parent", invalidate(c, &cmd, 1), EINVAL);
    cmd.hwpt_id = rig.ioas_id;
    check_errno(c, "an IOAS", invalidate(c, &cmd, 1), EINVAL);
    rig_down(c, &rig);
}

const ConformanceCase conformance_invalidate[] = {
    { "invalidate/HWPT/entries", hwpt_entries },
    { "invalidate/HWPT/stops-at-a-bad-entry", hwpt_error_index },
    { "invalidate/HWPT/length-of-an-entry", lengths_hwpt },
    { "invalidate/vIOMMU/entries", viommu_entries },
    { "invalidate/vIOMMU/stops-at-a-bad-entry", viommu_error_index },
    { "invalidate/vIOMMU/length-of-an-entry", lengths_viommu },
    { "invalidate/no-entry", empty },
    { "invalidate/refused", refused },
    { NULL, NULL },
};
