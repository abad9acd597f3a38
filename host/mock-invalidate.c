/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Invalidations: checked as the driver of real hardware would, then made the
 * mock driver's, so that the kernel's own way through an array is taken. In
 * blocks on the stack, since a guest's commands come by here.
 */
#include "mock-internal.h"

#include <errno.h>

enum { BLOCK = 64 };

/* Entries for the host below, and which of the caller's each stands for. */
typedef struct Block {
    uint32_t count;
    uint32_t index[BLOCK];
    union {
        struct iommu_viommu_invalidate_selftest viommu[BLOCK];
        struct iommu_hwpt_invalidate_selftest hwpt[BLOCK];
    };
} Block;

/* Return: 0 or -errno, and *@done set to the first that was not handled. */
static int issue(MockHost *host, uint32_t id, uint32_t type, uint32_t len,
                 const Block *block, uint32_t *done)
{
    struct iommu_hwpt_invalidate cmd = {
        .size = sizeof(cmd), .hwpt_id = id, .data_type = type,
        .data_uptr = (uintptr_t)&block->viommu, .entry_len = len,
        .entry_num = block->count,
    };
    int ret;

    if (block->count == 0) {
        return 0;
    }
    ret = mock_ioctl(host, IOMMU_HWPT_INVALIDATE, &cmd);
    if (ret < 0) {
        *done = block->index[MIN(cmd.entry_num, block->count - 1)];
    }
    return ret;
}

static const void *entry_at(const struct iommu_hwpt_invalidate *cmd,
                            uint32_t index)
{
    return (const char *)(uintptr_t)cmd->data_uptr +
           (size_t)index * cmd->entry_len;
}

/*
 * A command that names no stream goes to any of the vIOMMU's devices; without
 * one there is no cache that it could be for.
 */
static int add_command(MockHost *host, const struct iommu_hwpt_invalidate *cmd,
                       uint32_t index, Block *block)
{
    struct iommu_viommu_arm_smmuv3_invalidate entry;
    uint64_t words[2], sid;
    int ret;

    memcpy(&entry, entry_at(cmd, index), sizeof(entry));
    words[0] = GUINT64_FROM_LE(entry.cmd[0]);
    words[1] = GUINT64_FROM_LE(entry.cmd[1]);
    ret = emul_smmuv3_check_command(words, &sid);
    if (ret < 0) {
        return ret;
    }
    if (sid == UINT64_MAX &&
        !mock_object_find_vdevice(host, cmd->hwpt_id, &sid)) {
        return 0;
    }
    block->index[block->count] = index;
    block->viommu[block->count++] = (struct iommu_viommu_invalidate_selftest){
        .flags = IOMMU_TEST_INVALIDATE_FLAG_ALL, .vdev_id = (uint32_t)sid,
    };
    return 0;
}

static int invalidate_viommu(MockHost *host,
                             const struct iommu_hwpt_invalidate *cmd,
                             uint32_t *done)
{
    int ret = 0;

    while (ret == 0 && *done < cmd->entry_num) {
        uint32_t end = MIN(cmd->entry_num - *done, BLOCK) + *done;
        Block block = { .count = 0 };
        uint32_t next = *done;
        int issued;

        while (next < end) {
            ret = add_command(host, cmd, next, &block);
            if (ret < 0) {
                break;
            }
            next++;
        }
        *done = next;
        issued = issue(host, cmd->hwpt_id,
                       IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
                       sizeof(block.viommu[0]), &block, done);
        if (issued < 0) {
            /* A stream that is no vDEVICE's is an SMMUv3's EIO. */
            ret = issued == -EINVAL ? -EIO : issued;
        }
    }
    return ret;
}

/* The mock driver has four cache entries; a page is one of them. */
static void add_range(const struct iommu_hwpt_invalidate *cmd, uint32_t index,
                      Block *block)
{
    struct iommu_hwpt_vtd_s1_invalidate entry;

    memcpy(&entry, entry_at(cmd, index), sizeof(entry));
    block->index[block->count] = index;
    block->hwpt[block->count++] = (struct iommu_hwpt_invalidate_selftest){
        .flags = entry.npages == 1 ? 0 : IOMMU_TEST_INVALIDATE_FLAG_ALL,
        .iotlb_id = entry.addr / 4096 % MOCK_NESTED_DOMAIN_IOTLB_NUM,
    };
}

static int invalidate_hwpt(MockHost *host,
                           const struct iommu_hwpt_invalidate *cmd,
                           uint32_t *done)
{
    uint32_t good = 0;
    int checked = emul_vtd_driver.invalidate(NULL, cmd, &good);
    int ret = 0;

    while (ret == 0 && *done < good) {
        uint32_t end = MIN(good - *done, BLOCK) + *done;
        Block block = { .count = 0 };

        for (uint32_t i = *done; i < end; i++) {
            add_range(cmd, i, &block);
        }
        *done = end;
        ret = issue(host, cmd->hwpt_id, IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
                    sizeof(block.hwpt[0]), &block, done);
    }
    return ret < 0 ? ret : checked;
}

/* Return: the function for the object and type that @cmd names, or NULL. */
static int (*find_function(MockHost *host,
                           const struct iommu_hwpt_invalidate *cmd))
    (MockHost *, const struct iommu_hwpt_invalidate *, uint32_t *)
{
    MockObject object;

    if (cmd->data_type == IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 &&
        mock_object_find(host, cmd->hwpt_id, MOCK_OBJECT_VIOMMU, &object)) {
        return invalidate_viommu;
    }
    if (cmd->data_type == IOMMU_HWPT_INVALIDATE_DATA_VTD_S1 &&
        mock_object_find(host, cmd->hwpt_id, MOCK_OBJECT_HWPT, &object) &&
        object.nested && !object.events) {
        return invalidate_hwpt;
    }
    return NULL;
}

int mock_invalidate(MockHost *host, void *arg)
{
    struct iommu_hwpt_invalidate *cmd = arg;
    int (*function)(MockHost *, const struct iommu_hwpt_invalidate *,
                    uint32_t *) = find_function(host, cmd);
    uint32_t done = 0;
    int ret;

    if (!function) {
        return mock_ioctl(host, IOMMU_HWPT_INVALIDATE, arg);
    }
    if (cmd->__reserved) {
        return -EOPNOTSUPP;
    }
    if (cmd->entry_num && (!cmd->data_uptr || cmd->entry_len <
            (function == invalidate_viommu
                 ? sizeof(struct iommu_viommu_arm_smmuv3_invalidate)
                 : sizeof(struct iommu_hwpt_vtd_s1_invalidate)))) {
        cmd->entry_num = 0;
        return -EINVAL;
    }
    ret = function(host, cmd, &done);
    if (ret == 0) {
        mock_count(&host->counts.invalidations, done);
        mock_count(&host->counts.invalidate_ioctls, 1);
    }
    cmd->entry_num = done;
    return ret;
}
