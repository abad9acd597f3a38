/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One shape throughout: fill the structure, make the call, turn -errno into a
 * message with the IDs, and what the operator can do where the errno says it.
 * What the errnos mean: docs/iommufd-uapi.md.
 */
#include "host/iommufd.h"

#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/resource.h>

/* 0 or -errno: errno does not survive the formatting of a message. */
static int host_ioctl(HostIommu *host, unsigned long request, void *arg)
{
    return host->ops->ioctl(host, host->fd, request, arg) < 0 ? -errno : 0;
}

/* A request that the kernel does not know, which @since has. */
static const char *hint_old_kernel(int err, const char *since)
{
    return err == ENOTTY ? since : "";
}

static const char *hint_hwpt(int err, uint32_t flags)
{
    switch (err) {
    case EOPNOTSUPP:
        return flags & IOMMU_HWPT_ALLOC_NEST_PARENT
               ? " (the host's IOMMU, or its driver, has no nested "
                 "translation: that takes an Arm SMMUv3 with both stages, or "
                 "Intel VT-d in scalable mode, intel_iommu=on,sm_on)"
               : "";
    case ENOTTY:
        return " (nested translation needs Linux 6.7 or later)";
    default:
        return "";
    }
}

/* As messages name IOMMU_VIOMMU_TYPE_*. */
static const char *viommu_type_name(uint32_t type)
{
    switch (type) {
    case IOMMU_VIOMMU_TYPE_ARM_SMMUV3:
        return "Arm SMMUv3";
    case 2:
        return "NVIDIA CMDQV";
    default:
        return "unknown";
    }
}

static const char *hint_viommu(int err)
{
    switch (err) {
    case EOPNOTSUPP:
        return " (the host's IOMMU driver has no vIOMMU of this type: that "
               "takes an Arm SMMUv3 with both stages, and S2FWB or CANWBS)";
    case ENOTTY:
        return " (vIOMMUs need Linux 6.13 or later)";
    default:
        return "";
    }
}

/* As messages name IOMMU_HW_INFO_TYPE_*. */
static const char *hw_info_name(uint32_t type)
{
    static const char *const names[] = {
        "not told by the kernel, as AMD without CONFIG_AMD_IOMMU_IOMMUFD",
        "Intel VT-d", "Arm SMMUv3", "NVIDIA CMDQV", "AMD",
    };

    return type < G_N_ELEMENTS(names) ? names[type] : "unknown";
}

bool iommufd_destroy(HostIommu *host, uint32_t id, GError **error)
{
    struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };
    int ret = host_ioctl(host, IOMMU_DESTROY, &cmd);

    if (ret < 0) {
        error_set_errno(error, -ret, "cannot destroy host object %u", id);
        return false;
    }
    return true;
}

bool iommufd_ioas_alloc(HostIommu *host, uint32_t *ioas_id, GError **error)
{
    struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
    int ret = host_ioctl(host, IOMMU_IOAS_ALLOC, &cmd);

    if (ret < 0) {
        error_set_errno(error, -ret, "cannot allocate an IOAS%s",
                        hint_old_kernel(-ret, " (fd is no iommufd)"));
        return false;
    }
    *ioas_id = cmd.out_ioas_id;
    return true;
}

#define MAP_FLAGS (IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | \
                   IOMMU_IOAS_MAP_WRITEABLE)

static int map_file(HostIommu *host, uint32_t ioas_id,
                    const IommufdMemory *memory)
{
    struct iommu_ioas_map_file cmd = {
        .size = sizeof(cmd),
        .flags = MAP_FLAGS,
        .ioas_id = ioas_id,
        .fd = memory->fd,
        .start = memory->offset,
        .length = memory->length,
        .iova = memory->iova,
    };

    return host_ioctl(host, IOMMU_IOAS_MAP_FILE, &cmd);
}

static int map_address(HostIommu *host, uint32_t ioas_id,
                       const IommufdMemory *memory)
{
    struct iommu_ioas_map cmd = {
        .size = sizeof(cmd),
        .flags = MAP_FLAGS,
        .ioas_id = ioas_id,
        .user_va = (uintptr_t)memory->va,
        .length = memory->length,
        .iova = memory->iova,
    };

    return host_ioctl(host, IOMMU_IOAS_MAP, &cmd);
}

/* What the operator can do about a failed map; free it. */
static char *map_hint(int err)
{
    struct rlimit limit;

    switch (err) {
    case ENOMEM:
        if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
            limit.rlim_cur == RLIM_INFINITY) {
            return g_strdup(" (the host is short of memory)");
        }
        return g_strdup_printf(" (it is pinned, and RLIMIT_MEMLOCK is %"
                               PRIu64 " bytes: raise it, as by ulimit -l, or "
                               "give this process CAP_IPC_LOCK)",
                               (uint64_t)limit.rlim_cur);
    case EFAULT:
        return g_strdup(" (there is no memory that can be written)");
    case EINVAL:
        return g_strdup(" (the host's IOMMU does not reach that address, or "
                        "the host reserves part of it, as for interrupts, or "
                        "the file is no memfd)");
    default:
        return g_strdup("");
    }
}

bool iommufd_ioas_map(HostIommu *host, uint32_t ioas_id,
                      const IommufdMemory *memory, GError **error)
{
    int ret = memory->fd >= 0 ? map_file(host, ioas_id, memory) : -ENOTTY;

    if (ret == -ENOTTY) {
        ret = map_address(host, ioas_id, memory);
    }
    if (ret < 0) {
        g_autofree char *hint = map_hint(-ret);

        error_set_errno(error, -ret,
                        "cannot map %" PRIu64 " bytes of guest memory at 0x%"
                        PRIx64 " into IOAS %u%s", memory->length, memory->iova,
                        ioas_id, hint);
        return false;
    }
    return true;
}

bool iommufd_ioas_unmap(HostIommu *host, uint32_t ioas_id, uint64_t iova,
                        uint64_t length, GError **error)
{
    struct iommu_ioas_unmap cmd = {
        .size = sizeof(cmd),
        .ioas_id = ioas_id,
        .iova = iova,
        .length = length,
    };
    int ret = host_ioctl(host, IOMMU_IOAS_UNMAP, &cmd);

    if (ret < 0) {
        error_set_errno(error, -ret,
                        "cannot unmap %" PRIu64 " bytes of guest memory at 0x%"
                        PRIx64 " from IOAS %u", length, iova, ioas_id);
        return false;
    }
    return true;
}

bool iommufd_nest_parent_alloc(HostIommu *host, uint32_t dev_id,
                               uint32_t ioas_id, uint32_t *hwpt_id,
                               GError **error)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
        .dev_id = dev_id,
        .pt_id = ioas_id,
        .data_type = IOMMU_HWPT_DATA_NONE,
    };
    int ret = host_ioctl(host, IOMMU_HWPT_ALLOC, &cmd);

    if (ret < 0) {
        error_set_errno(error, -ret,
                        "cannot allocate a nest parent HWPT for device %u on "
                        "IOAS %u%s", dev_id, ioas_id,
                        hint_hwpt(-ret, cmd.flags));
        return false;
    }
    *hwpt_id = cmd.out_hwpt_id;
    return true;
}

bool iommufd_nested_hwpt_alloc(HostIommu *host, uint32_t dev_id,
                               uint32_t viommu_id, uint32_t data_type,
                               const void *data, uint32_t data_len,
                               uint32_t *hwpt_id, GError **error)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .dev_id = dev_id,
        .pt_id = viommu_id,
        .data_type = data_type,
        .data_len = data_len,
        .data_uptr = (uintptr_t)data,
    };
    int ret = host_ioctl(host, IOMMU_HWPT_ALLOC, &cmd);

    if (ret < 0) {
        error_set_errno(error, -ret,
                        "cannot allocate a nested HWPT (data type %u) for "
                        "device %u on vIOMMU %u%s", data_type, dev_id,
                        viommu_id, hint_hwpt(-ret, 0));
        return false;
    }
    *hwpt_id = cmd.out_hwpt_id;
    return true;
}

bool iommufd_hwpt_alloc(HostIommu *host, const IommufdHwpt *hwpt,
                        uint32_t *hwpt_id, GError **error)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .flags = hwpt->flags,
        .dev_id = hwpt->dev_id,
        .pt_id = hwpt->pt_id,
        .data_type = hwpt->data_type,
        .data_len = hwpt->data_len,
        .data_uptr = (uintptr_t)hwpt->data,
        .fault_id = hwpt->fault_id,
    };
    int ret = host_ioctl(host, IOMMU_HWPT_ALLOC, &cmd);

    if (ret < 0) {
        error_set_errno(error, -ret,
                        "cannot allocate a HWPT (flags 0x%x, data type %u, "
                        "fault queue %u) for device %u on page table %u%s",
                        hwpt->flags, hwpt->data_type, hwpt->fault_id,
                        hwpt->dev_id, hwpt->pt_id,
                        hint_hwpt(-ret, hwpt->flags));
        return false;
    }
    *hwpt_id = cmd.out_hwpt_id;
    return true;
}

bool iommufd_fault_queue_alloc(HostIommu *host, uint32_t *fault_id, int *fd,
                               GError **error)
{
    struct iommu_fault_alloc cmd = { .size = sizeof(cmd) };
    int ret = host_ioctl(host, IOMMU_FAULT_QUEUE_ALLOC, &cmd);

    if (ret < 0) {
        error_set_errno(error, -ret, "cannot allocate a fault queue%s",
                        hint_old_kernel(-ret, " (page requests need Linux "
                                              "6.11 or later)"));
        return false;
    }
    *fault_id = cmd.out_fault_id;
    *fd = (int)cmd.out_fault_fd;
    return true;
}

bool iommufd_viommu_alloc(HostIommu *host, uint32_t type, uint32_t dev_id,
                          uint32_t hwpt_id, uint32_t *viommu_id,
                          GError **error)
{
    struct iommu_viommu_alloc cmd = {
        .size = sizeof(cmd),
        .type = type,
        .dev_id = dev_id,
        .hwpt_id = hwpt_id,
    };
    int ret = host_ioctl(host, IOMMU_VIOMMU_ALLOC, &cmd);

    if (ret < 0) {
        error_set_errno(error, -ret,
                        "cannot allocate a vIOMMU of type %u, %s, for device "
                        "%u on HWPT %u%s", type, viommu_type_name(type),
                        dev_id, hwpt_id, hint_viommu(-ret));
        return false;
    }
    *viommu_id = cmd.out_viommu_id;
    return true;
}

bool iommufd_vdevice_alloc(HostIommu *host, uint32_t viommu_id,
                           uint32_t dev_id, uint64_t virt_id,
                           uint32_t *vdevice_id, GError **error)
{
    struct iommu_vdevice_alloc cmd = {
        .size = sizeof(cmd),
        .viommu_id = viommu_id,
        .dev_id = dev_id,
        .virt_id = virt_id,
    };
    int ret = host_ioctl(host, IOMMU_VDEVICE_ALLOC, &cmd);

    if (ret < 0) {
        error_set_errno(error, -ret,
                        "cannot allocate a vDEVICE with virtual ID 0x%"
                        G_GINT64_MODIFIER "x for device %u on vIOMMU %u%s",
                        virt_id, dev_id, viommu_id,
                        hint_old_kernel(-ret, " (vDEVICEs need Linux 6.13 or "
                                              "later)"));
        return false;
    }
    *vdevice_id = cmd.out_vdevice_id;
    return true;
}

bool iommufd_veventq_alloc(HostIommu *host, uint32_t viommu_id, uint32_t type,
                           uint32_t depth, uint32_t *veventq_id, int *fd,
                           GError **error)
{
    struct iommu_veventq_alloc cmd = {
        .size = sizeof(cmd),
        .viommu_id = viommu_id,
        .type = type,
        .veventq_depth = depth,
    };
    int ret = host_ioctl(host, IOMMU_VEVENTQ_ALLOC, &cmd);

    if (ret < 0) {
        error_set_errno(error, -ret,
                        "cannot allocate a vEVENTQ (type %u, depth %u) on "
                        "vIOMMU %u%s", type, depth, viommu_id,
                        hint_old_kernel(-ret, " (event queues need Linux 6.15 "
                                              "or later)"));
        return false;
    }
    *veventq_id = cmd.out_veventq_id;
    *fd = (int)cmd.out_veventq_fd;
    return true;
}

int iommufd_invalidate(HostIommu *host, uint32_t id, uint32_t data_type,
                       const void *entries, uint32_t entry_len, uint32_t *num)
{
    struct iommu_hwpt_invalidate cmd = {
        .size = sizeof(cmd),
        .hwpt_id = id,
        .data_uptr = (uintptr_t)entries,
        .data_type = data_type,
        .entry_len = entry_len,
        .entry_num = *num,
    };
    int ret = host_ioctl(host, IOMMU_HWPT_INVALIDATE, &cmd);

    /* A refusal before the first entry may leave the number untouched. */
    *num = ret < 0 && cmd.entry_num == *num ? 0 : cmd.entry_num;
    return ret;
}

static bool get_hw_info(HostIommu *host, uint32_t dev_id, uint32_t type,
                        void *data, uint32_t data_len, GError **error)
{
    struct iommu_hw_info cmd = {
        .size = sizeof(cmd),
        .dev_id = dev_id,
        .data_len = data_len,
        .data_uptr = (uintptr_t)data,
    };
    int ret = host_ioctl(host, IOMMU_GET_HW_INFO, &cmd);

    if (ret < 0) {
        error_set_errno(error, -ret,
                        "cannot get the hardware info of device %u%s", dev_id,
                        hint_old_kernel(-ret, " (it needs Linux 6.6 or "
                                              "later)"));
        return false;
    }
    if (cmd.out_data_type != type) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "the host IOMMU of device %u is of type %u (%s), but this "
                    "vIOMMU needs %s (type %u)", dev_id, cmd.out_data_type,
                    hw_info_name(cmd.out_data_type), hw_info_name(type),
                    type);
        return false;
    }
    return true;
}

bool iommufd_hw_info_arm_smmuv3(HostIommu *host, uint32_t dev_id,
                                struct iommu_hw_info_arm_smmuv3 *info,
                                GError **error)
{
    struct iommu_hw_info_arm_smmuv3 data = { 0 };

    if (!get_hw_info(host, dev_id, IOMMU_HW_INFO_TYPE_ARM_SMMUV3,
                     &data, sizeof(data), error)) {
        return false;
    }
    *info = data;
    return true;
}

bool iommufd_hw_info_vtd(HostIommu *host, uint32_t dev_id,
                         struct iommu_hw_info_vtd *info, GError **error)
{
    struct iommu_hw_info_vtd data = { 0 };

    if (!get_hw_info(host, dev_id, IOMMU_HW_INFO_TYPE_INTEL_VTD,
                     &data, sizeof(data), error)) {
        return false;
    }
    *info = data;
    return true;
}
