/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the emulated mock driver share: IOMMU_TEST_CMD's operations
 * as calls that answer 0 or -errno, and a mock device on a nested HWPT of a
 * vIOMMU.
 */
#ifndef TEST_EMUL_MOCK_H
#define TEST_EMUL_MOCK_H

#include "host/mock-abi.h"
#include "test-emul.h"

/* The vDEVICE of a MockMachine. */
#define MOCK_VIRT_ID UINT64_C(0x99)

typedef struct MockDevice {
    uint32_t stdev_id;
    uint32_t hwpt_id;
    uint32_t dev_id;
} MockDevice;

static inline int mock_test(HostIommu *host, struct iommu_test_cmd *cmd)
{
    cmd->size = sizeof(*cmd);
    return host_call(host, host->fd, IOMMU_TEST_CMD, cmd);
}

static inline int mock_domain(HostIommu *host, uint32_t pt_id, uint32_t flags,
                              MockDevice *device)
{
    struct iommu_test_cmd cmd = {
        .op = IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, .id = pt_id,
        .mock_domain_flags.dev_flags = flags,
    };
    int ret = mock_test(host, &cmd);

    *device = (MockDevice) {
        .stdev_id = cmd.mock_domain_flags.out_stdev_id,
        .hwpt_id = cmd.mock_domain_flags.out_hwpt_id,
        .dev_id = cmd.mock_domain_flags.out_idev_id,
    };
    return ret;
}

static inline int mock_replace(HostIommu *host, uint32_t stdev_id,
                               uint32_t *pt_id)
{
    struct iommu_test_cmd cmd = {
        .op = IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, .id = stdev_id,
        .mock_domain_replace.pt_id = *pt_id,
    };
    int ret = mock_test(host, &cmd);

    *pt_id = cmd.mock_domain_replace.pt_id;
    return ret;
}

/* IOMMU_TEST_OP_PASID_ATTACH or _REPLACE */
static inline int mock_pasid(HostIommu *host, uint32_t op, uint32_t stdev_id,
                             uint32_t pasid, uint32_t pt_id)
{
    struct iommu_test_cmd cmd = {
        .op = op, .id = stdev_id,
        .pasid_attach = { .pasid = pasid, .pt_id = pt_id },
    };

    return mock_test(host, &cmd);
}

static inline int mock_pasid_detach(HostIommu *host, uint32_t stdev_id,
                                    uint32_t pasid)
{
    struct iommu_test_cmd cmd = {
        .op = IOMMU_TEST_OP_PASID_DETACH, .id = stdev_id,
        .pasid_detach.pasid = pasid,
    };

    return mock_test(host, &cmd);
}

/* 0: @pasid is attached to @hwpt_id; which may be 0, to none. */
static inline int mock_pasid_check(HostIommu *host, uint32_t stdev_id,
                                   uint32_t pasid, uint32_t hwpt_id)
{
    struct iommu_test_cmd cmd = {
        .op = IOMMU_TEST_OP_PASID_CHECK_HWPT, .id = stdev_id,
        .pasid_check = { .pasid = pasid, .hwpt_id = hwpt_id },
    };

    return mock_test(host, &cmd);
}

static inline int mock_check_iotlb(HostIommu *host, uint32_t hwpt_id,
                                   uint32_t index, uint32_t value)
{
    struct iommu_test_cmd cmd = {
        .op = IOMMU_TEST_OP_MD_CHECK_IOTLB, .id = hwpt_id,
        .check_iotlb = { .id = index, .iotlb = value },
    };

    return mock_test(host, &cmd);
}

static inline int mock_check_cache(HostIommu *host, uint32_t dev_id,
                                   uint32_t index, uint32_t value)
{
    struct iommu_test_cmd cmd = {
        .op = IOMMU_TEST_OP_DEV_CHECK_CACHE, .id = dev_id,
        .check_dev_cache = { .id = index, .cache = value },
    };

    return mock_test(host, &cmd);
}

static inline int mock_vevent(HostIommu *host, uint32_t dev_id)
{
    struct iommu_test_cmd cmd = {
        .op = IOMMU_TEST_OP_TRIGGER_VEVENT, .trigger_vevent.dev_id = dev_id,
    };

    return mock_test(host, &cmd);
}

static inline int mock_iopf(HostIommu *host, uint32_t dev_id, uint32_t pasid,
                            uint32_t grpid)
{
    struct iommu_test_cmd cmd = {
        .op = IOMMU_TEST_OP_TRIGGER_IOPF,
        .trigger_iopf = {
            .dev_id = dev_id, .pasid = pasid, .grpid = grpid,
            .perm = 0x10003, .addr = UINT64_C(0x123456789a),
        },
    };

    return mock_test(host, &cmd);
}

/* A HWPT with @len bytes of data, which @data must have. */
static inline int mock_hwpt(HostIommu *host, uint32_t dev_id, uint32_t pt_id,
                            uint32_t flags, uint32_t fault_id,
                            const void *data, uint32_t len, uint32_t *id)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd), .flags = flags, .dev_id = dev_id, .pt_id = pt_id,
        .data_type = len ? IOMMU_HWPT_DATA_SELFTEST : IOMMU_HWPT_DATA_NONE,
        .data_len = len, .data_uptr = (uintptr_t)data, .fault_id = fault_id,
    };
    int ret = host_call(host, host->fd, IOMMU_HWPT_ALLOC, &cmd);

    *id = cmd.out_hwpt_id;
    return ret;
}

static inline int mock_nested(HostIommu *host, uint32_t dev_id,
                              uint32_t pt_id, uint32_t flags,
                              uint32_t fault_id, uint32_t *id)
{
    const struct iommu_hwpt_selftest data = {
        .iotlb = IOMMU_TEST_IOTLB_DEFAULT,
    };

    return mock_hwpt(host, dev_id, pt_id, flags, fault_id, &data, sizeof(data),
                     id);
}

static inline int mock_viommu(HostIommu *host, uint32_t dev_id,
                              uint32_t hwpt_id, void *data, uint32_t len,
                              uint32_t *id)
{
    struct iommu_viommu_alloc cmd = {
        .size = sizeof(cmd), .type = IOMMU_VIOMMU_TYPE_SELFTEST,
        .dev_id = dev_id, .hwpt_id = hwpt_id, .data_len = len,
        .data_uptr = (uintptr_t)data,
    };
    int ret = host_call(host, host->fd, IOMMU_VIOMMU_ALLOC, &cmd);

    *id = cmd.out_viommu_id;
    return ret;
}

typedef struct MockMachine {
    HostIommu *host;
    uint32_t ioas_id;
    MockDevice device;          /* with PASIDs; on the IOAS */
    uint32_t parent_id;
    uint32_t viommu_id;
    uint32_t vdevice_id;
    uint32_t nested_id;         /* it is not attached to it yet */
} MockMachine;

/* On @m->host, which is there. */
static inline void mock_machine_make(MockMachine *m)
{
    g_assert_cmpint(ioas_alloc(m->host, &m->ioas_id), ==, 0);
    g_assert_cmpint(mock_domain(m->host, m->ioas_id, MOCK_FLAGS_DEVICE_PASID,
                                &m->device), ==, 0);
    g_assert_cmpint(hwpt_alloc(m->host, m->device.dev_id, m->ioas_id,
                               IOMMU_HWPT_ALLOC_NEST_PARENT, &m->parent_id),
                    ==, 0);
    g_assert_cmpint(mock_viommu(m->host, m->device.dev_id, m->parent_id, NULL,
                                0, &m->viommu_id), ==, 0);
    g_assert_cmpint(vdevice_alloc(m->host, m->viommu_id, m->device.dev_id,
                                  MOCK_VIRT_ID, &m->vdevice_id), ==, 0);
    g_assert_cmpint(mock_nested(m->host, m->device.dev_id, m->viommu_id, 0, 0,
                                &m->nested_id), ==, 0);
}

static inline void mock_machine_init(MockMachine *m)
{
    m->host = emul_new(NULL);
    g_assert_nonnull(m->host);
    mock_machine_make(m);
}

static inline void mock_machine_attach(MockMachine *m, uint32_t pt_id)
{
    g_assert_cmpint(mock_replace(m->host, m->device.stdev_id, &pt_id), ==, 0);
}

/* The device first, with its vDEVICE. */
static inline void mock_machine_destroy(MockMachine *m)
{
    g_assert_cmpint(destroy(m->host, m->device.stdev_id), ==, 0);
    g_assert_cmpint(destroy(m->host, m->nested_id), ==, 0);
    g_assert_cmpint(destroy(m->host, m->viommu_id), ==, 0);
    g_assert_cmpint(destroy(m->host, m->parent_id), ==, 0);
    g_assert_cmpint(destroy(m->host, m->ioas_id), ==, 0);
}

/* And nothing else may be left. */
static inline void mock_machine_cleanup(MockMachine *m)
{
    mock_machine_destroy(m);
    g_assert_cmpuint(emul_get_stats(m->host).objects, ==, 0);
    host_iommu_free(m->host);
}

#endif
