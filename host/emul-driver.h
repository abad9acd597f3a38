/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an IOMMU's driver decides and iommufd does not: which data, which types,
 * when an attach fails. iommufd's own checks are the callers', and come first.
 *
 * Threads: any.
 * Locks:   EmulHost::lock is held by the callers; none is taken.
 */
#ifndef HOST_EMUL_DRIVER_H
#define HOST_EMUL_DRIVER_H

#include "emul-internal.h"

/* Data of the user's for a driver. */
typedef struct EmulUserData {
    uint32_t type;
    uint32_t len;
    uint64_t uptr;
} EmulUserData;

/**
 * emul_user_data_copy() - copy what must be at least @min_len of @dst
 *
 * The type is for the caller to check.
 *
 * Return: 0, -EINVAL for any other length, also a larger one, or -EFAULT.
 */
int emul_user_data_copy(void *dst, size_t dst_len, size_t min_len,
                        const EmulUserData *data);

/**
 * struct EmulDriver - a driver, as far as user space sees it
 * @hw_info_type: IOMMU_HW_INFO_TYPE_*
 * @hw_info: IOMMU_GET_HW_INFO's data
 * @hw_info_len: its size
 * @paging_flags: of enum iommufd_hwpt_alloc_flags, what a paging HWPT may have
 *                besides a fault queue
 * @geometry: what its paging HWPTs can map
 * @viommu_type: IOMMU_VIOMMU_TYPE_*; 0 if it has no vIOMMUs
 * @veventq_type: IOMMU_VEVENTQ_TYPE_* of the events that it reports
 * @event_size: of one of them, without its header
 * @user_pasid_table: the guest has the table of PASIDs: page faults of PASIDs
 *                    that are not attached come through a nested HWPT, too
 * @paging_init: data of a paging HWPT (NULL without); NULL: it takes none
 * @nested_init: data of a HWPT on a nest parent; NULL: there are none
 * @viommu_init: data of a vIOMMU (NULL without); NULL: it is not looked at
 * @viommu_nested_init: data of a HWPT on a vIOMMU
 * @attach: whether @pasid of a device (0: itself) can be attached to @pt, whose
 *          driver is this one if it is nested; NULL @pt: it is detached
 * @attached: the device itself has been attached or detached; @old is the
 *            vIOMMU of before: which StreamID have its events?
 * @invalidate: IOMMU_HWPT_INVALIDATE on a nested HWPT; NULL: EOPNOTSUPP. @done:
 *              how many commands, also on failure
 * @viommu_invalidate: the same on a vIOMMU
 *
 * All that return int: 0 or -errno.
 */
struct EmulDriver {
    uint32_t hw_info_type;
    const void *hw_info;
    uint32_t hw_info_len;
    uint32_t paging_flags;
    EmulGeometry geometry;
    uint32_t viommu_type;
    uint32_t veventq_type;
    uint32_t event_size;
    bool user_pasid_table;
    int (*paging_init)(const EmulDevice *device, EmulHwpt *hwpt,
                       const EmulUserData *data);
    int (*nested_init)(EmulNested *nested, uint32_t flags,
                       const EmulUserData *data);
    int (*viommu_init)(EmulHost *host, EmulViommu *viommu,
                       const EmulUserData *data);
    int (*viommu_nested_init)(EmulNested *nested, uint32_t flags,
                              const EmulUserData *data);
    int (*attach)(EmulDevice *device, uint32_t pasid, const EmulPt *pt);
    void (*attached)(EmulDevice *device, const EmulViommu *old);
    int (*invalidate)(EmulNested *nested,
                      const struct iommu_hwpt_invalidate *cmd, uint32_t *done);
    int (*viommu_invalidate)(EmulViommu *viommu,
                             const struct iommu_hwpt_invalidate *cmd,
                             uint32_t *done);
};

enum { EMUL_VTD_PASID_BITS = 20 };

extern const EmulDriver emul_smmuv3_driver;
extern const EmulDriver emul_vtd_driver;
extern const EmulDriver emul_mock_driver;

/* IOMMU_GET_HW_INFO: what @driver says, in the room that @cmd has. */
void emul_hw_info_fill(struct iommu_hw_info *cmd, const EmulDriver *driver);

/* Size of a vEVENTQ's events; of a type that nobody reports, 0. */
uint32_t emul_event_size(uint32_t veventq_type);

/**
 * emul_copy_entries() - copy an invalidation's whole array
 * @size: of an entry of ours; a shorter one is filled up with zeroes
 * @entries: out: the caller's, to g_free()
 *
 * Return: 0, -EINVAL without entries, -E2BIG or -ENOMEM.
 */
int emul_copy_entries(const struct iommu_hwpt_invalidate *cmd, size_t size,
                      void **entries);

/* Entry @index alone, which must be at least @min_len of @dst_len. */
int emul_copy_entry(const struct iommu_hwpt_invalidate *cmd, uint32_t index,
                    void *dst, size_t dst_len, size_t min_len);

/* ---- emul-mock.c's devices, for emul-mock-driver.c ---- */

typedef struct EmulMockDevice {
    EmulDevice device;
    uint32_t flags;             /* [const] MOCK_FLAGS_DEVICE_* */
    bool next_reserved_fails;   /* attaching IOMMU_TEST_PASID_RESERVED */
    uint32_t cache[MOCK_DEV_CACHE_NUM];
} EmulMockDevice;

/* ---- emul-mock-map.c ---- */

/* Takes EmulHost::lock. */
int emul_mock_check_map(EmulHost *host, const struct iommu_test_cmd *cmd);

/* A device behind the mock IOMMU; NULL if it is behind another. */
static inline EmulMockDevice *emul_mock_device(EmulDevice *device)
{
    return device->driver == &emul_mock_driver ? (EmulMockDevice *)device
                                               : NULL;
}

#endif
