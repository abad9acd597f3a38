/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each iommufd ioctl once, with its errors; no policy. Source: Linux 7.3,
 * include/uapi/linux/iommufd.h, declared in host/iommufd-abi.h.
 *
 * All return true, or false with @error set: what was tried, on which IDs, and
 * the errno text. Out parameters are written on success only.
 *
 * Threads: any.
 * Locks:   none of ours; may block, so never under a ring_lock.
 */
#ifndef HOST_IOMMUFD_H
#define HOST_IOMMUFD_H

#include "host/host-iommu.h"
#include "host/iommufd-abi.h"

#include <stdbool.h>

/* IOMMU_DESTROY. Fails with EBUSY while something still uses the object. */
bool iommufd_destroy(HostIommu *host, uint32_t id, GError **error);

/* IOMMU_IOAS_ALLOC */
bool iommufd_ioas_alloc(HostIommu *host, uint32_t *ioas_id, GError **error);

/**
 * struct IommufdMemory - memory of this process, and where devices see it
 * @iova: where they do; a multiple of the host's page size, as the rest is
 * @length: bytes
 * @va: where it is here
 * @fd: the memfd that it is, or -1
 * @offset: where in the file it begins
 */
typedef struct IommufdMemory {
    uint64_t iova;
    uint64_t length;
    void *va;
    int fd;
    uint64_t offset;
} IommufdMemory;

/**
 * iommufd_ioas_map() - map memory for reading and writing
 *
 * IOMMU_IOAS_MAP_FILE where there is a file and the kernel knows that request
 * (Linux 6.13), IOMMU_IOAS_MAP otherwise.
 *
 * Context: Pins the memory if there is a HWPT on the IOAS: that takes time.
 */
bool iommufd_ioas_map(HostIommu *host, uint32_t ioas_id,
                      const IommufdMemory *memory, GError **error);

/* IOMMU_IOAS_UNMAP of what was mapped as a whole. */
bool iommufd_ioas_unmap(HostIommu *host, uint32_t ioas_id, uint64_t iova,
                        uint64_t length, GError **error);

/* IOMMU_HWPT_ALLOC with IOMMU_HWPT_ALLOC_NEST_PARENT, on an IOAS */
bool iommufd_nest_parent_alloc(HostIommu *host, uint32_t dev_id,
                               uint32_t ioas_id, uint32_t *hwpt_id,
                               GError **error);

/**
 * iommufd_nested_hwpt_alloc() - IOMMU_HWPT_ALLOC of driver data on a vIOMMU
 * @data_type: IOMMU_HWPT_DATA_*
 * @data: @data_len bytes of what @data_type says, borrowed for the call
 */
bool iommufd_nested_hwpt_alloc(HostIommu *host, uint32_t dev_id,
                               uint32_t viommu_id, uint32_t data_type,
                               const void *data, uint32_t data_len,
                               uint32_t *hwpt_id, GError **error);

/**
 * struct IommufdHwpt - all that IOMMU_HWPT_ALLOC takes
 * @pt_id: an IOAS, a nest parent or a vIOMMU
 * @flags: IOMMU_HWPT_ALLOC_*
 * @fault_id: the fault queue; with %IOMMU_HWPT_FAULT_ID_VALID
 * @data_type: IOMMU_HWPT_DATA_*
 * @data: @data_len bytes of what @data_type says, borrowed for the call
 */
typedef struct IommufdHwpt {
    uint32_t dev_id;
    uint32_t pt_id;
    uint32_t flags;
    uint32_t fault_id;
    uint32_t data_type;
    uint32_t data_len;
    const void *data;
} IommufdHwpt;

/* IOMMU_HWPT_ALLOC of any kind, with a fault queue for one */
bool iommufd_hwpt_alloc(HostIommu *host, const IommufdHwpt *hwpt,
                        uint32_t *hwpt_id, GError **error);

/* IOMMU_FAULT_QUEUE_ALLOC */
bool iommufd_fault_queue_alloc(HostIommu *host, uint32_t *fault_id, int *fd,
                               GError **error);

/* IOMMU_VIOMMU_ALLOC; @type is IOMMU_VIOMMU_TYPE_* */
bool iommufd_viommu_alloc(HostIommu *host, uint32_t type, uint32_t dev_id,
                          uint32_t hwpt_id, uint32_t *viommu_id,
                          GError **error);

/* IOMMU_VDEVICE_ALLOC */
bool iommufd_vdevice_alloc(HostIommu *host, uint32_t viommu_id,
                           uint32_t dev_id, uint64_t virt_id,
                           uint32_t *vdevice_id, GError **error);

/* IOMMU_VEVENTQ_ALLOC; @depth in events */
bool iommufd_veventq_alloc(HostIommu *host, uint32_t viommu_id, uint32_t type,
                           uint32_t depth, uint32_t *veventq_id, int *fd,
                           GError **error);

/**
 * iommufd_invalidate() - IOMMU_HWPT_INVALIDATE on a vIOMMU or HWPT
 * @entries: @num entries of @entry_len bytes
 * @num: in: how many; out, on failure too: how many the kernel has handled
 *
 * Return: 0 or -errno (data path: no GError).
 */
int iommufd_invalidate(HostIommu *host, uint32_t id, uint32_t data_type,
                       const void *entries, uint32_t entry_len, uint32_t *num);

/* IOMMU_GET_HW_INFO of type IOMMU_HW_INFO_TYPE_ARM_SMMUV3 */
bool iommufd_hw_info_arm_smmuv3(HostIommu *host, uint32_t dev_id,
                                struct iommu_hw_info_arm_smmuv3 *info,
                                GError **error);

/* IOMMU_GET_HW_INFO of type IOMMU_HW_INFO_TYPE_INTEL_VTD */
bool iommufd_hw_info_vtd(HostIommu *host, uint32_t dev_id,
                         struct iommu_hw_info_vtd *info, GError **error);

#endif
