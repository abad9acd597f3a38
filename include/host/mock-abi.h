/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The test interface of the kernel's mock IOMMU driver (CONFIG_IOMMUFD_TEST),
 * under its kernel names: devices without hardware, and ioctls by which they
 * fault. Source: layout facts of Linux 7.3, drivers/iommu/iommufd/
 * iommufd_test.h. It is no stable interface; only the operations in use are
 * here.
 *
 * Threads: any; declarations only.
 */
#ifndef HOST_MOCK_ABI_H
#define HOST_MOCK_ABI_H

#include "host/iommufd-abi.h"

#define IOMMU_TEST_CMD _IO(IOMMUFD_TYPE, 0xa0)

enum {
    IOMMU_TEST_OP_MOCK_DOMAIN = 2,
    IOMMU_TEST_OP_MD_CHECK_MAP = 3,
    IOMMU_TEST_OP_MD_CHECK_REFS = 4,
    IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT = 9,
    IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE = 10,
    IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS = 12,
    IOMMU_TEST_OP_MD_CHECK_IOTLB = 14,
    IOMMU_TEST_OP_TRIGGER_IOPF = 15,
    IOMMU_TEST_OP_DEV_CHECK_CACHE = 16,
    IOMMU_TEST_OP_TRIGGER_VEVENT = 17,
    IOMMU_TEST_OP_PASID_ATTACH = 18,
    IOMMU_TEST_OP_PASID_REPLACE = 19,
    IOMMU_TEST_OP_PASID_DETACH = 20,
    IOMMU_TEST_OP_PASID_CHECK_HWPT = 21,
};

/* What a mock domain maps: IOVAs from here to there, in such pages. */
#define MOCK_APERTURE_START UINT64_C(0x1000000)
#define MOCK_APERTURE_LAST  UINT64_C(0x7fffffff)
#define MOCK_PAGE_SIZE      2048
#define MOCK_PASID_WIDTH    20

enum {
    MOCK_FLAGS_DEVICE_NO_DIRTY = 1 << 0,
    MOCK_FLAGS_DEVICE_PASID = 1 << 2,
};

enum {
    MOCK_NESTED_DOMAIN_IOTLB_ID_MAX = 3,
    MOCK_NESTED_DOMAIN_IOTLB_NUM = 4,
    MOCK_DEV_CACHE_ID_MAX = 3,
    MOCK_DEV_CACHE_NUM = 4,
};

/* A PASID that IOMMU_TEST_OP_PASID_REPLACE treats as a test of its own. */
#define IOMMU_TEST_PASID_RESERVED 1024

/* IOMMU_TEST_CMD. Sizes from the end of @last on are taken. */
struct iommu_test_cmd {
    uint32_t size;
    uint32_t op;                /* IOMMU_TEST_OP_* */
    uint32_t id;
    uint32_t __reserved;
    union {
        struct {                /* @id: IOAS or HWPT to attach to */
            uint32_t out_stdev_id;
            uint32_t out_hwpt_id;
            uint32_t out_idev_id;
        } mock_domain;
        struct {
            uint32_t out_stdev_id;
            uint32_t out_hwpt_id;
            uint32_t out_idev_id;
            uint32_t dev_flags; /* MOCK_FLAGS_DEVICE_* */
        } mock_domain_flags;
        struct {                /* @id: stdev */
            uint32_t pt_id;
        } mock_domain_replace;
        struct {                /* @id: HWPT */
            uint64_t iova;
            uint64_t length;
            uint64_t uptr;
        } check_map;
        struct {
            uint64_t length;
            uint64_t uptr;
            uint32_t refs;      /* how often the pages are pinned */
        } check_refs;
        struct {                /* @id: HWPT */
            uint32_t id;
            uint32_t iotlb;
        } check_iotlb;
        struct {
            uint32_t dev_id;
            uint32_t pasid;
            uint32_t grpid;
            uint32_t perm;
            uint64_t addr;
        } trigger_iopf;
        struct {                /* @id: idev */
            uint32_t id;
            uint32_t cache;
        } check_dev_cache;
        struct {
            uint32_t dev_id;
        } trigger_vevent;
        struct {                /* attach and replace; @id: stdev */
            uint32_t pasid;
            uint32_t pt_id;
        } pasid_attach;
        struct {                /* @id: stdev */
            uint32_t pasid;
        } pasid_detach;
        struct {                /* @id: stdev */
            uint32_t pasid;
            uint32_t hwpt_id;
        } pasid_check;
        struct {
            uint32_t limit;     /* 12 and above */
        } memory_limit;
        uint64_t largest[6];    /* of those not declared here */
    };
    uint32_t last;
};
ABI_SIZE(struct iommu_test_cmd, 72);
ABI_OFFSET(struct iommu_test_cmd, mock_domain_flags.dev_flags, 28);
ABI_OFFSET(struct iommu_test_cmd, check_map.uptr, 32);
ABI_OFFSET(struct iommu_test_cmd, trigger_iopf.perm, 28);
ABI_OFFSET(struct iommu_test_cmd, trigger_iopf.addr, 32);
ABI_OFFSET(struct iommu_test_cmd, pasid_attach.pt_id, 20);
ABI_OFFSET(struct iommu_test_cmd, last, 64);

/* IOMMU_GET_HW_INFO */
#define IOMMU_HW_INFO_TYPE_SELFTEST   UINT32_C(0xfeedbeef)
#define IOMMU_HW_INFO_SELFTEST_REGVAL UINT32_C(0xdeadbeef)

struct iommu_test_hw_info {
    uint32_t flags;
    uint32_t test_reg;          /* IOMMU_HW_INFO_SELFTEST_REGVAL */
};
ABI_SIZE(struct iommu_test_hw_info, 8);

/* Nested HWPT, on a nest parent or a vIOMMU */
#define IOMMU_HWPT_DATA_SELFTEST     UINT32_C(0xdead)
#define IOMMU_TEST_IOTLB_DEFAULT     UINT32_C(0xbadbeef)
#define IOMMU_TEST_DEV_CACHE_DEFAULT UINT32_C(0xbaddad)

enum {
    MOCK_IOMMUPT_DEFAULT,
    MOCK_IOMMUPT_HUGE,
};

/* Of a paging HWPT all but the type is ignored. */
struct iommu_hwpt_selftest {
    uint32_t iotlb;             /* IOMMU_TEST_IOTLB_DEFAULT */
    uint32_t pagetable_type;    /* MOCK_IOMMUPT_* */
};
ABI_SIZE(struct iommu_hwpt_selftest, 8);

/* Invalidation of a HWPT */
#define IOMMU_HWPT_INVALIDATE_DATA_SELFTEST UINT32_C(0xdeadbeef)
#define IOMMU_TEST_INVALIDATE_FLAG_ALL      (1 << 0)

struct iommu_hwpt_invalidate_selftest {
    uint32_t flags;
    uint32_t iotlb_id;
};
ABI_SIZE(struct iommu_hwpt_invalidate_selftest, 8);

#define IOMMU_VIOMMU_TYPE_SELFTEST UINT32_C(0xdeadbeef)

/* Optional data of IOMMU_VIOMMU_ALLOC */
struct iommu_viommu_selftest {
    uint32_t in_data;
    uint32_t out_data;          /* as @in_data */
    uint64_t out_mmap_offset;
    uint64_t out_mmap_length;
};
ABI_SIZE(struct iommu_viommu_selftest, 24);

/* Invalidation of a vIOMMU */
#define IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST UINT32_C(0xdeadbeef)

struct iommu_viommu_invalidate_selftest {
    uint32_t flags;             /* IOMMU_TEST_INVALIDATE_FLAG_ALL */
    uint32_t vdev_id;           /* the virt_id */
    uint32_t cache_id;
};
ABI_SIZE(struct iommu_viommu_invalidate_selftest, 12);

/* vEVENTQ: all that an event says is whose it is. */
#define IOMMU_VEVENTQ_TYPE_SELFTEST UINT32_C(0xbeefbeef)

struct iommu_viommu_event_selftest {
    uint32_t virt_id;
};
ABI_SIZE(struct iommu_viommu_event_selftest, 4);

#endif
