/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the mock IOMMU driver of Linux 7.3 makes of its data: a HWPT has an
 * IOTLB of four words and a device a cache of four, all of which can only be
 * set to 0 by invalidations and looked at by the test ioctl.
 */
#include "emul-driver.h"

#include <errno.h>
#include <string.h>

enum {
    MMAP_FIRST = 4096,
    MMAP_SIZE = 2 * 4096,
};

#define END_OF(type, field) \
    (offsetof(type, field) + sizeof(((type *)NULL)->field))

static const struct iommu_test_hw_info hw_info = {
    .test_reg = IOMMU_HW_INFO_SELFTEST_REGVAL,
};

/* Of MOCK_IOMMUPT_HUGE: three levels, of 4 KiB and 1 MiB pages. */
static const EmulGeometry huge_geometry = {
    .last = (UINT64_C(1) << 38) - 1, .align = 4096,
};

static int paging_init(const EmulDevice *device, EmulHwpt *hwpt,
                       const EmulUserData *data)
{
    const EmulMockDevice *mock = (const EmulMockDevice *)device;
    struct iommu_hwpt_selftest config;
    int ret;

    if (hwpt->dirty && (mock->flags & MOCK_FLAGS_DEVICE_NO_DIRTY)) {
        return -EOPNOTSUPP;
    }
    if (!data) {
        return 0;
    }
    if (data->type != IOMMU_HWPT_DATA_SELFTEST) {
        return -EOPNOTSUPP;
    }
    ret = emul_user_data_copy(&config, sizeof(config),
                              END_OF(struct iommu_hwpt_selftest, iotlb), data);
    if (ret < 0) {
        return ret;
    }
    if (config.pagetable_type > MOCK_IOMMUPT_HUGE) {
        return -EOPNOTSUPP;
    }
    if (config.pagetable_type == MOCK_IOMMUPT_HUGE) {
        hwpt->geometry = huge_geometry;
    }
    return 0;
}

static int nested_init(EmulNested *nested, uint32_t flags,
                       const EmulUserData *data)
{
    struct iommu_hwpt_selftest config;
    int ret;

    (void)flags;
    if (data->type != IOMMU_HWPT_DATA_SELFTEST) {
        return -EOPNOTSUPP;
    }
    ret = emul_user_data_copy(&config, sizeof(config),
                              END_OF(struct iommu_hwpt_selftest, iotlb), data);
    for (unsigned i = 0; i < MOCK_NESTED_DOMAIN_IOTLB_NUM; i++) {
        nested->iotlb[i] = config.iotlb;
    }
    return ret;
}

static bool mmap_is_taken_locked(const EmulHost *host, uint64_t offset)
    REQUIRES(&host->lock)
{
    for (guint i = 0; i < host->objects->len; i++) {
        const EmulObject *obj = g_ptr_array_index(host->objects, i);

        if (obj && obj->type == EMUL_VIOMMU &&
            ((const EmulViommu *)obj)->mmap_offset == offset) {
            return true;
        }
    }
    return false;
}

/* With data the vIOMMU has two pages to map, at the lowest free offset. */
static int viommu_init(EmulHost *host, EmulViommu *viommu,
                       const EmulUserData *data)
    REQUIRES(&host->lock)
{
    struct iommu_viommu_selftest config;
    int ret;

    if (!data) {
        return 0;
    }
    ret = emul_user_data_copy(&config, sizeof(config),
                              END_OF(struct iommu_viommu_selftest, out_data),
                              data);
    if (ret < 0) {
        return ret;
    }
    viommu->mmap_offset = MMAP_FIRST;
    while (mmap_is_taken_locked(host, viommu->mmap_offset)) {
        viommu->mmap_offset += MMAP_SIZE;
    }
    config.out_data = config.in_data;
    config.out_mmap_offset = viommu->mmap_offset;
    config.out_mmap_length = MMAP_SIZE;
    memcpy((void *)(uintptr_t)data->uptr, &config, data->len);
    return 0;
}

/*
 * An error is played for those who test the way back: every second attach of
 * one PASID in a row. A PASID needs no vDEVICE, the device itself does.
 */
static int attach(EmulDevice *device, uint32_t pasid, const EmulPt *pt)
{
    EmulMockDevice *mock = (EmulMockDevice *)device;
    const EmulNested *nested = (const EmulNested *)pt;

    if (pasid == IOMMU_TEST_PASID_RESERVED) {
        bool fails = pt && mock->next_reserved_fails;

        mock->next_reserved_fails = pt && !fails;
        return fails ? -ENOMEM : 0;
    }
    if (!pt || pasid != 0) {
        return 0;
    }
    if (pt->obj.type == EMUL_HWPT) {
        return ((const EmulHwpt *)pt)->dirty &&
               (mock->flags & MOCK_FLAGS_DEVICE_NO_DIRTY) ? -EINVAL : 0;
    }
    return nested->viommu && (!device->vdevice ||
                              device->vdevice->viommu != nested->viommu)
           ? -ENOENT : 0;
}

/* The virt_id is looked at when the vIOMMU changes only; 0 is none. */
static void attached(EmulDevice *device, const EmulViommu *old)
{
    const EmulViommu *viommu = emul_device_viommu(device);

    if (viommu == old) {
        return;
    }
    device->has_vsid = viommu && device->vdevice->virt_id != 0;
    device->vsid = viommu ? (uint32_t)device->vdevice->virt_id : 0;
}

/* Which words of four an invalidation sets to 0. */
static void invalidate_words(uint32_t words[4], uint32_t flags, uint32_t index)
{
    for (uint32_t i = 0; i < 4; i++) {
        if ((flags & IOMMU_TEST_INVALIDATE_FLAG_ALL) || i == index) {
            words[i] = 0;
        }
    }
}

/* Entry by entry, so those before a bad one are done. */
static int invalidate(EmulNested *nested,
                      const struct iommu_hwpt_invalidate *cmd, uint32_t *done)
{
    struct iommu_hwpt_invalidate_selftest entry;
    int ret;

    if (cmd->data_type != IOMMU_HWPT_INVALIDATE_DATA_SELFTEST) {
        return -EINVAL;
    }
    for (; *done < cmd->entry_num; (*done)++) {
        ret = emul_copy_entry(cmd, *done, &entry, sizeof(entry),
                              sizeof(entry));
        if (ret < 0) {
            return ret;
        }
        if (entry.flags & ~(uint32_t)IOMMU_TEST_INVALIDATE_FLAG_ALL) {
            return -EOPNOTSUPP;
        }
        if (entry.iotlb_id > MOCK_NESTED_DOMAIN_IOTLB_ID_MAX) {
            return -EINVAL;
        }
        invalidate_words(nested->iotlb, entry.flags, entry.iotlb_id);
    }
    return 0;
}

static int run_command(EmulViommu *viommu,
                       const struct iommu_viommu_invalidate_selftest *entry)
{
    uint64_t virt_id = entry->vdev_id;
    EmulVdevice *vdevice;

    if (entry->flags & ~(uint32_t)IOMMU_TEST_INVALIDATE_FLAG_ALL) {
        return -EOPNOTSUPP;
    }
    if (entry->cache_id > MOCK_DEV_CACHE_ID_MAX) {
        return -EINVAL;
    }
    vdevice = g_hash_table_lookup(viommu->vdevices, &virt_id);
    if (!vdevice) {
        return -EINVAL;
    }
    invalidate_words(emul_mock_device(vdevice->device)->cache, entry->flags,
                     entry->cache_id);
    return 0;
}

/* Copied as a whole first; an empty array only asks for the type. */
static int viommu_invalidate(EmulViommu *viommu,
                             const struct iommu_hwpt_invalidate *cmd,
                             uint32_t *done)
{
    const struct iommu_viommu_invalidate_selftest *entries;
    void *copy;
    int ret;

    if (cmd->data_type != IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST) {
        return -EINVAL;
    }
    if (cmd->entry_num == 0) {
        return 0;
    }
    ret = emul_copy_entries(cmd, sizeof(*entries), &copy);
    if (ret < 0) {
        return ret;
    }
    entries = copy;
    while (*done < cmd->entry_num && ret == 0) {
        ret = run_command(viommu, &entries[*done]);
        *done += ret == 0;
    }
    g_free(copy);
    return ret;
}

const EmulDriver emul_mock_driver = {
    .hw_info_type = IOMMU_HW_INFO_TYPE_SELFTEST,
    .hw_info = &hw_info,
    .hw_info_len = sizeof(hw_info),
    .paging_flags = IOMMU_HWPT_ALLOC_NEST_PARENT |
                    IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_PASID,
    .geometry = {
        .first = MOCK_APERTURE_START,
        .last = MOCK_APERTURE_LAST,
        .align = MOCK_PAGE_SIZE,
    },
    .viommu_type = IOMMU_VIOMMU_TYPE_SELFTEST,
    .veventq_type = IOMMU_VEVENTQ_TYPE_SELFTEST,
    .event_size = sizeof(struct iommu_viommu_event_selftest),
    .user_pasid_table = true,
    .paging_init = paging_init,
    .nested_init = nested_init,
    .viommu_init = viommu_init,
    .viommu_nested_init = nested_init,
    .attach = attach,
    .attached = attached,
    .invalidate = invalidate,
    .viommu_invalidate = viommu_invalidate,
};
