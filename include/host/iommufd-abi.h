/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of Linux 7.3's iommufd user API that is used here: structures,
 * request numbers and constants under their kernel names, declared from the
 * layout facts so that no kernel header is needed and none is trusted.
 *
 * Every structure begins with its own size; the kernel takes a shorter one up
 * to its last mandatory field, and a longer one if the tail is zero.
 *
 * Threads: any; declarations only.
 */
#ifndef HOST_IOMMUFD_ABI_H
#define HOST_IOMMUFD_ABI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define IOMMUFD_TYPE ';'

#define IOMMU_DESTROY           _IO(IOMMUFD_TYPE, 0x80)
#define IOMMU_IOAS_ALLOC        _IO(IOMMUFD_TYPE, 0x81)
#define IOMMU_IOAS_IOVA_RANGES  _IO(IOMMUFD_TYPE, 0x84)
#define IOMMU_IOAS_MAP          _IO(IOMMUFD_TYPE, 0x85)
#define IOMMU_IOAS_UNMAP        _IO(IOMMUFD_TYPE, 0x86)
#define IOMMU_HWPT_ALLOC        _IO(IOMMUFD_TYPE, 0x89)
#define IOMMU_GET_HW_INFO       _IO(IOMMUFD_TYPE, 0x8a)
#define IOMMU_HWPT_INVALIDATE   _IO(IOMMUFD_TYPE, 0x8d)
#define IOMMU_FAULT_QUEUE_ALLOC _IO(IOMMUFD_TYPE, 0x8e)
#define IOMMU_IOAS_MAP_FILE     _IO(IOMMUFD_TYPE, 0x8f)
#define IOMMU_VIOMMU_ALLOC      _IO(IOMMUFD_TYPE, 0x90)
#define IOMMU_VDEVICE_ALLOC     _IO(IOMMUFD_TYPE, 0x91)
#define IOMMU_VEVENTQ_ALLOC     _IO(IOMMUFD_TYPE, 0x93)

/* Fails the build unless @field of @type is where the kernel has it. */
#define ABI_OFFSET(type, field, offset)                  \
    _Static_assert(offsetof(type, field) == (offset),    \
                   #type "." #field " is misplaced")
#define ABI_SIZE(type, size) \
    _Static_assert(sizeof(type) == (size), #type " has the wrong size")

/* IOMMU_DESTROY */
struct iommu_destroy {
    uint32_t size;
    uint32_t id;
};
ABI_SIZE(struct iommu_destroy, 8);
ABI_OFFSET(struct iommu_destroy, id, 4);

/* IOMMU_IOAS_ALLOC */
struct iommu_ioas_alloc {
    uint32_t size;
    uint32_t flags;             /* 0 */
    uint32_t out_ioas_id;
};
ABI_SIZE(struct iommu_ioas_alloc, 12);
ABI_OFFSET(struct iommu_ioas_alloc, flags, 4);
ABI_OFFSET(struct iommu_ioas_alloc, out_ioas_id, 8);

/* IOMMU_IOAS_IOVA_RANGES */
struct iommu_iova_range {
    uint64_t start;
    uint64_t last;
};
ABI_SIZE(struct iommu_iova_range, 16);

struct iommu_ioas_iova_ranges {
    uint32_t size;
    uint32_t ioas_id;
    uint32_t num_iovas;         /* in: room; out: how many there are */
    uint32_t __reserved;
    uint64_t allowed_iovas;     /* struct iommu_iova_range */
    uint64_t out_iova_alignment;
};
ABI_SIZE(struct iommu_ioas_iova_ranges, 32);
ABI_OFFSET(struct iommu_ioas_iova_ranges, allowed_iovas, 16);

enum iommufd_ioas_map_flags {
    IOMMU_IOAS_MAP_FIXED_IOVA = 1 << 0,
    IOMMU_IOAS_MAP_WRITEABLE = 1 << 1,
    IOMMU_IOAS_MAP_READABLE = 1 << 2,
};

/* IOMMU_IOAS_MAP */
struct iommu_ioas_map {
    uint32_t size;
    uint32_t flags;             /* enum iommufd_ioas_map_flags */
    uint32_t ioas_id;
    uint32_t __reserved;
    uint64_t user_va;
    uint64_t length;
    uint64_t iova;              /* in or out */
};
ABI_SIZE(struct iommu_ioas_map, 40);
ABI_OFFSET(struct iommu_ioas_map, user_va, 16);
ABI_OFFSET(struct iommu_ioas_map, iova, 32);

/* IOMMU_IOAS_MAP_FILE */
struct iommu_ioas_map_file {
    uint32_t size;
    uint32_t flags;             /* enum iommufd_ioas_map_flags */
    uint32_t ioas_id;
    int32_t fd;                 /* a memfd */
    uint64_t start;             /* offset in it */
    uint64_t length;
    uint64_t iova;              /* in or out */
};
ABI_SIZE(struct iommu_ioas_map_file, 40);
ABI_OFFSET(struct iommu_ioas_map_file, start, 16);
ABI_OFFSET(struct iommu_ioas_map_file, iova, 32);

/* IOMMU_IOAS_UNMAP */
struct iommu_ioas_unmap {
    uint32_t size;
    uint32_t ioas_id;
    uint64_t iova;
    uint64_t length;            /* out: how much was mapped; UINT64_MAX: all */
};
ABI_SIZE(struct iommu_ioas_unmap, 24);
ABI_OFFSET(struct iommu_ioas_unmap, iova, 8);
ABI_OFFSET(struct iommu_ioas_unmap, length, 16);

enum iommufd_hwpt_alloc_flags {
    IOMMU_HWPT_ALLOC_NEST_PARENT = 1 << 0,
    IOMMU_HWPT_ALLOC_DIRTY_TRACKING = 1 << 1,
    IOMMU_HWPT_FAULT_ID_VALID = 1 << 2,
    IOMMU_HWPT_ALLOC_PASID = 1 << 3,
};

enum iommu_hwpt_data_type {
    IOMMU_HWPT_DATA_NONE = 0,
    IOMMU_HWPT_DATA_VTD_S1 = 1,
    IOMMU_HWPT_DATA_ARM_SMMUV3 = 2,
};

/* IOMMU_HWPT_ALLOC */
struct iommu_hwpt_alloc {
    uint32_t size;
    uint32_t flags;             /* enum iommufd_hwpt_alloc_flags */
    uint32_t dev_id;
    uint32_t pt_id;             /* an IOAS, a nest parent or a vIOMMU */
    uint32_t out_hwpt_id;
    uint32_t __reserved;
    uint32_t data_type;         /* enum iommu_hwpt_data_type */
    uint32_t data_len;
    uint64_t data_uptr;
    uint32_t fault_id;          /* with IOMMU_HWPT_FAULT_ID_VALID */
    uint32_t __reserved2;
};
ABI_SIZE(struct iommu_hwpt_alloc, 48);
ABI_OFFSET(struct iommu_hwpt_alloc, flags, 4);
ABI_OFFSET(struct iommu_hwpt_alloc, dev_id, 8);
ABI_OFFSET(struct iommu_hwpt_alloc, pt_id, 12);
ABI_OFFSET(struct iommu_hwpt_alloc, out_hwpt_id, 16);
ABI_OFFSET(struct iommu_hwpt_alloc, __reserved, 20);
ABI_OFFSET(struct iommu_hwpt_alloc, data_type, 24);
ABI_OFFSET(struct iommu_hwpt_alloc, data_len, 28);
ABI_OFFSET(struct iommu_hwpt_alloc, data_uptr, 32);
ABI_OFFSET(struct iommu_hwpt_alloc, fault_id, 40);
ABI_OFFSET(struct iommu_hwpt_alloc, __reserved2, 44);

/* Data of IOMMU_HWPT_DATA_ARM_SMMUV3: words 0 and 1 of the guest's STE. */
struct iommu_hwpt_arm_smmuv3 {
    uint64_t ste[2];            /* little-endian */
};
ABI_SIZE(struct iommu_hwpt_arm_smmuv3, 16);

enum iommu_hwpt_vtd_s1_flags {
    IOMMU_VTD_S1_SRE = 1 << 0,
    IOMMU_VTD_S1_EAFE = 1 << 1,
    IOMMU_VTD_S1_WPE = 1 << 2,
};

/* Data of IOMMU_HWPT_DATA_VTD_S1: a first-stage page table of the guest's. */
struct iommu_hwpt_vtd_s1 {
    uint64_t flags;             /* enum iommu_hwpt_vtd_s1_flags */
    uint64_t pgtbl_addr;        /* guest physical */
    uint32_t addr_width;        /* 48 or 57 */
    uint32_t __reserved;
};
ABI_SIZE(struct iommu_hwpt_vtd_s1, 24);
ABI_OFFSET(struct iommu_hwpt_vtd_s1, pgtbl_addr, 8);
ABI_OFFSET(struct iommu_hwpt_vtd_s1, addr_width, 16);
ABI_OFFSET(struct iommu_hwpt_vtd_s1, __reserved, 20);

enum iommu_hw_info_type {
    IOMMU_HW_INFO_TYPE_DEFAULT = 0,
    IOMMU_HW_INFO_TYPE_INTEL_VTD = 1,
    IOMMU_HW_INFO_TYPE_ARM_SMMUV3 = 2,
};

enum iommufd_hw_info_flags {
    IOMMU_HW_INFO_FLAG_INPUT_TYPE = 1 << 0,
};

enum iommufd_hw_capabilities {
    IOMMU_HW_CAP_DIRTY_TRACKING = 1 << 0,
    IOMMU_HW_CAP_PCI_PASID_EXEC = 1 << 1,
    IOMMU_HW_CAP_PCI_PASID_PRIV = 1 << 2,
    IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED = 1 << 3,
};

/* IOMMU_GET_HW_INFO */
struct iommu_hw_info {
    uint32_t size;
    uint32_t flags;             /* enum iommufd_hw_info_flags */
    uint32_t dev_id;
    uint32_t data_len;          /* in: of the buffer; out: of the data */
    uint64_t data_uptr;
    union {
        uint32_t in_data_type;  /* with IOMMU_HW_INFO_FLAG_INPUT_TYPE */
        uint32_t out_data_type;
    };
    uint8_t out_max_pasid_log2;
    uint8_t __reserved[3];
    uint64_t out_capabilities;  /* enum iommufd_hw_capabilities */
};
ABI_SIZE(struct iommu_hw_info, 40);
ABI_OFFSET(struct iommu_hw_info, flags, 4);
ABI_OFFSET(struct iommu_hw_info, dev_id, 8);
ABI_OFFSET(struct iommu_hw_info, data_len, 12);
ABI_OFFSET(struct iommu_hw_info, data_uptr, 16);
ABI_OFFSET(struct iommu_hw_info, in_data_type, 24);
ABI_OFFSET(struct iommu_hw_info, out_data_type, 24);
ABI_OFFSET(struct iommu_hw_info, out_max_pasid_log2, 28);
ABI_OFFSET(struct iommu_hw_info, __reserved, 29);
ABI_OFFSET(struct iommu_hw_info, out_capabilities, 32);

/* Data of IOMMU_HW_INFO_TYPE_ARM_SMMUV3: the host's ID registers. */
struct iommu_hw_info_arm_smmuv3 {
    uint32_t flags;
    uint32_t __reserved;
    uint32_t idr[6];
    uint32_t iidr;
    uint32_t aidr;
};
ABI_SIZE(struct iommu_hw_info_arm_smmuv3, 40);
ABI_OFFSET(struct iommu_hw_info_arm_smmuv3, __reserved, 4);
ABI_OFFSET(struct iommu_hw_info_arm_smmuv3, idr, 8);
ABI_OFFSET(struct iommu_hw_info_arm_smmuv3, iidr, 32);
ABI_OFFSET(struct iommu_hw_info_arm_smmuv3, aidr, 36);

enum iommu_hw_info_vtd_flags {
    IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17 = 1 << 0,
};

/* Data of IOMMU_HW_INFO_TYPE_INTEL_VTD: the host's CAP and ECAP. */
struct iommu_hw_info_vtd {
    uint32_t flags;             /* enum iommu_hw_info_vtd_flags */
    uint32_t __reserved;
    uint64_t cap_reg;
    uint64_t ecap_reg;
};
ABI_SIZE(struct iommu_hw_info_vtd, 24);
ABI_OFFSET(struct iommu_hw_info_vtd, __reserved, 4);
ABI_OFFSET(struct iommu_hw_info_vtd, cap_reg, 8);
ABI_OFFSET(struct iommu_hw_info_vtd, ecap_reg, 16);

enum iommu_hwpt_invalidate_data_type {
    IOMMU_HWPT_INVALIDATE_DATA_VTD_S1 = 0,
    IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 = 1,
};

/* IOMMU_HWPT_INVALIDATE */
struct iommu_hwpt_invalidate {
    uint32_t size;
    uint32_t hwpt_id;           /* a nested HWPT or a vIOMMU */
    uint64_t data_uptr;
    uint32_t data_type;         /* enum iommu_hwpt_invalidate_data_type */
    uint32_t entry_len;
    uint32_t entry_num;         /* out, on failure too: how many were taken */
    uint32_t __reserved;
};
ABI_SIZE(struct iommu_hwpt_invalidate, 32);
ABI_OFFSET(struct iommu_hwpt_invalidate, hwpt_id, 4);
ABI_OFFSET(struct iommu_hwpt_invalidate, data_uptr, 8);
ABI_OFFSET(struct iommu_hwpt_invalidate, data_type, 16);
ABI_OFFSET(struct iommu_hwpt_invalidate, entry_len, 20);
ABI_OFFSET(struct iommu_hwpt_invalidate, entry_num, 24);
ABI_OFFSET(struct iommu_hwpt_invalidate, __reserved, 28);

/* Entry of IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3: a CMDQ command. */
struct iommu_viommu_arm_smmuv3_invalidate {
    uint64_t cmd[2];            /* little-endian */
};
ABI_SIZE(struct iommu_viommu_arm_smmuv3_invalidate, 16);

enum iommu_hwpt_vtd_s1_invalidate_flags {
    IOMMU_VTD_INV_FLAGS_LEAF = 1 << 0,
};

/* Entry of IOMMU_HWPT_INVALIDATE_DATA_VTD_S1; 0, UINT64_MAX is everything. */
struct iommu_hwpt_vtd_s1_invalidate {
    uint64_t addr;              /* a multiple of 4 KiB */
    uint64_t npages;            /* of 4 KiB */
    uint32_t flags;             /* enum iommu_hwpt_vtd_s1_invalidate_flags */
    uint32_t __reserved;
};
ABI_SIZE(struct iommu_hwpt_vtd_s1_invalidate, 24);
ABI_OFFSET(struct iommu_hwpt_vtd_s1_invalidate, npages, 8);
ABI_OFFSET(struct iommu_hwpt_vtd_s1_invalidate, flags, 16);
ABI_OFFSET(struct iommu_hwpt_vtd_s1_invalidate, __reserved, 20);

/* IOMMU_FAULT_QUEUE_ALLOC */
struct iommu_fault_alloc {
    uint32_t size;
    uint32_t flags;             /* 0 */
    uint32_t out_fault_id;
    uint32_t out_fault_fd;
};
ABI_SIZE(struct iommu_fault_alloc, 16);
ABI_OFFSET(struct iommu_fault_alloc, flags, 4);
ABI_OFFSET(struct iommu_fault_alloc, out_fault_id, 8);
ABI_OFFSET(struct iommu_fault_alloc, out_fault_fd, 12);

enum iommu_hwpt_pgfault_flags {
    IOMMU_PGFAULT_FLAGS_PASID_VALID = 1 << 0,
    IOMMU_PGFAULT_FLAGS_LAST_PAGE = 1 << 1,
};

enum iommu_hwpt_pgfault_perm {
    IOMMU_PGFAULT_PERM_READ = 1 << 0,
    IOMMU_PGFAULT_PERM_WRITE = 1 << 1,
    IOMMU_PGFAULT_PERM_EXEC = 1 << 2,
    IOMMU_PGFAULT_PERM_PRIV = 1 << 3,
};

/*
 * What a read() of a fault queue gives: whole groups, each page a record, the
 * last one marked. All records of a group carry its cookie. Flag bits other
 * than those above may be set.
 */
struct iommu_hwpt_pgfault {
    uint32_t flags;             /* enum iommu_hwpt_pgfault_flags */
    uint32_t dev_id;
    uint32_t pasid;
    uint32_t grpid;             /* the device's page request group index */
    uint32_t perm;              /* enum iommu_hwpt_pgfault_perm */
    uint32_t __reserved;
    uint64_t addr;
    uint32_t length;            /* 0 */
    uint32_t cookie;
};
ABI_SIZE(struct iommu_hwpt_pgfault, 40);
ABI_OFFSET(struct iommu_hwpt_pgfault, dev_id, 4);
ABI_OFFSET(struct iommu_hwpt_pgfault, pasid, 8);
ABI_OFFSET(struct iommu_hwpt_pgfault, grpid, 12);
ABI_OFFSET(struct iommu_hwpt_pgfault, perm, 16);
ABI_OFFSET(struct iommu_hwpt_pgfault, __reserved, 20);
ABI_OFFSET(struct iommu_hwpt_pgfault, addr, 24);
ABI_OFFSET(struct iommu_hwpt_pgfault, length, 32);
ABI_OFFSET(struct iommu_hwpt_pgfault, cookie, 36);

enum iommufd_page_response_code {
    IOMMUFD_PAGE_RESP_SUCCESS = 0,
    IOMMUFD_PAGE_RESP_INVALID = 1,
};

/* What a write() to a fault queue takes: one of these per group. */
struct iommu_hwpt_page_response {
    uint32_t cookie;
    uint32_t code;              /* enum iommufd_page_response_code */
};
ABI_SIZE(struct iommu_hwpt_page_response, 8);
ABI_OFFSET(struct iommu_hwpt_page_response, code, 4);

enum iommu_viommu_type {
    IOMMU_VIOMMU_TYPE_DEFAULT = 0,
    IOMMU_VIOMMU_TYPE_ARM_SMMUV3 = 1,
};

/* IOMMU_VIOMMU_ALLOC */
struct iommu_viommu_alloc {
    uint32_t size;
    uint32_t flags;             /* 0 */
    uint32_t type;              /* enum iommu_viommu_type */
    uint32_t dev_id;
    uint32_t hwpt_id;           /* a nest parent */
    uint32_t out_viommu_id;
    uint32_t data_len;
    uint32_t __reserved;
    uint64_t data_uptr;
};
ABI_SIZE(struct iommu_viommu_alloc, 40);
ABI_OFFSET(struct iommu_viommu_alloc, flags, 4);
ABI_OFFSET(struct iommu_viommu_alloc, type, 8);
ABI_OFFSET(struct iommu_viommu_alloc, dev_id, 12);
ABI_OFFSET(struct iommu_viommu_alloc, hwpt_id, 16);
ABI_OFFSET(struct iommu_viommu_alloc, out_viommu_id, 20);
ABI_OFFSET(struct iommu_viommu_alloc, data_len, 24);
ABI_OFFSET(struct iommu_viommu_alloc, __reserved, 28);
ABI_OFFSET(struct iommu_viommu_alloc, data_uptr, 32);

/* IOMMU_VDEVICE_ALLOC */
struct iommu_vdevice_alloc {
    uint32_t size;
    uint32_t viommu_id;
    uint32_t dev_id;
    uint32_t out_vdevice_id;
    uint64_t virt_id;           /* SMMUv3: the guest's StreamID */
};
ABI_SIZE(struct iommu_vdevice_alloc, 24);
ABI_OFFSET(struct iommu_vdevice_alloc, viommu_id, 4);
ABI_OFFSET(struct iommu_vdevice_alloc, dev_id, 8);
ABI_OFFSET(struct iommu_vdevice_alloc, out_vdevice_id, 12);
ABI_OFFSET(struct iommu_vdevice_alloc, virt_id, 16);

enum iommu_veventq_type {
    IOMMU_VEVENTQ_TYPE_DEFAULT = 0,
    IOMMU_VEVENTQ_TYPE_ARM_SMMUV3 = 1,
};

/* Most events that a vEVENTQ may be told to hold. */
#define IOMMU_VEVENTQ_DEPTH_MAX (UINT32_C(1) << 19)

/* IOMMU_VEVENTQ_ALLOC */
struct iommu_veventq_alloc {
    uint32_t size;
    uint32_t flags;             /* 0 */
    uint32_t viommu_id;
    uint32_t type;              /* enum iommu_veventq_type */
    uint32_t veventq_depth;     /* 1 to IOMMU_VEVENTQ_DEPTH_MAX */
    uint32_t out_veventq_id;
    uint32_t out_veventq_fd;
    uint32_t __reserved;
};
ABI_SIZE(struct iommu_veventq_alloc, 32);
ABI_OFFSET(struct iommu_veventq_alloc, flags, 4);
ABI_OFFSET(struct iommu_veventq_alloc, viommu_id, 8);
ABI_OFFSET(struct iommu_veventq_alloc, type, 12);
ABI_OFFSET(struct iommu_veventq_alloc, veventq_depth, 16);
ABI_OFFSET(struct iommu_veventq_alloc, out_veventq_id, 20);
ABI_OFFSET(struct iommu_veventq_alloc, out_veventq_fd, 24);
ABI_OFFSET(struct iommu_veventq_alloc, __reserved, 28);

enum iommu_veventq_flag {
    IOMMU_VEVENTQ_FLAG_LOST_EVENTS = 1 << 0,
};

/*
 * What a read() of a vEVENTQ gives: headers, each followed by the event of the
 * queue's type, except that no event follows a LOST_EVENTS header:
 *
 *   | header 0 | event 0 | header 1 | event 1 | header 7, LOST_EVENTS |
 */
struct iommufd_vevent_header {
    uint32_t flags;             /* enum iommu_veventq_flag */
    uint32_t sequence;          /* 0 to INT_MAX, then 0 again */
};
ABI_SIZE(struct iommufd_vevent_header, 8);
ABI_OFFSET(struct iommufd_vevent_header, sequence, 4);

/* Event of IOMMU_VEVENTQ_TYPE_ARM_SMMUV3: the StreamID is the vDEVICE's. */
struct iommu_vevent_arm_smmuv3 {
    uint64_t evt[4];            /* little-endian */
};
ABI_SIZE(struct iommu_vevent_arm_smmuv3, 32);

#endif
