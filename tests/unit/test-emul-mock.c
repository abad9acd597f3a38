/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mock devices of the emulated host: how they come and go, what they are
 * attached to, themselves and by PASID.
 */
#include "test-emul-mock.h"

/* ---- The ioctl ---- */

static void test_size(void)
{
    struct iommu_test_cmd cmd = { .op = IOMMU_TEST_OP_TRIGGER_VEVENT };
    HostIommu *host = emul_new(NULL);

    cmd.size = 67;
    g_assert_cmpint(host_call(host, host->fd, IOMMU_TEST_CMD, &cmd), ==,
                    -EINVAL);
    cmd.size = 68;
    g_assert_cmpint(host_call(host, host->fd, IOMMU_TEST_CMD, &cmd), ==,
                    -ENOENT);
    host_iommu_free(host);
}

static void test_unknown_op(void)
{
    struct iommu_test_cmd cmd = { .op = 1000 };
    HostIommu *host = emul_new(NULL);

    g_assert_cmpint(mock_test(host, &cmd), ==, -EOPNOTSUPP);
    cmd.op = IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT;
    cmd.memory_limit.limit = 11;
    g_assert_cmpint(mock_test(host, &cmd), ==, -EINVAL);
    cmd.memory_limit.limit = 12;
    g_assert_cmpint(mock_test(host, &cmd), ==, 0);
    host_iommu_free(host);
}

/* Nothing is pinned, so any count is right; whole pages are asked for. */
static void test_check_refs(void)
{
    struct iommu_test_cmd cmd = {
        .op = IOMMU_TEST_OP_MD_CHECK_REFS,
        .check_refs = { .length = 8192, .uptr = 4096, .refs = 1 },
    };
    HostIommu *host = emul_new(NULL);

    g_assert_cmpint(mock_test(host, &cmd), ==, 0);
    cmd.check_refs.length = 4097;
    g_assert_cmpint(mock_test(host, &cmd), ==, -EINVAL);
    cmd.check_refs.length = 4096;
    cmd.check_refs.uptr = 1;
    g_assert_cmpint(mock_test(host, &cmd), ==, -EINVAL);
    host_iommu_free(host);
}

/* ---- Devices ---- */

static void test_ids(void)
{
    HostIommu *host = emul_new(NULL);
    MockDevice devices[2];
    uint32_t ioas_id;

    g_assert_cmpint(ioas_alloc(host, &ioas_id), ==, 0);
    g_assert_cmpint(mock_domain(host, ioas_id, 0, &devices[0]), ==, 0);
    g_assert_cmpuint(devices[0].stdev_id, ==, 2);
    g_assert_cmpuint(devices[0].dev_id, ==, 3);
    g_assert_cmpuint(devices[0].hwpt_id, ==, 4);
    g_assert_cmpint(mock_domain(host, ioas_id, 0, &devices[1]), ==, 0);
    g_assert_cmpuint(devices[1].stdev_id, ==, 5);
    g_assert_cmpuint(devices[1].dev_id, ==, 6);
    g_assert_cmpuint(devices[1].hwpt_id, ==, 4);    /* the automatic one */
    g_assert_cmpint(destroy(host, devices[0].stdev_id), ==, 0);
    g_assert_cmpint(destroy(host, devices[0].dev_id), ==, -ENOENT);
    g_assert_cmpint(destroy(host, 4), ==, -EBUSY);
    g_assert_cmpint(destroy(host, devices[1].stdev_id), ==, 0);
    g_assert_cmpint(destroy(host, 4), ==, -ENOENT);
    g_assert_cmpint(destroy(host, ioas_id), ==, 0);
    g_assert_cmpuint(emul_get_stats(host).objects, ==, 0);
    host_iommu_free(host);
}

/* The automatic HWPT of the old IOAS outlives the making of the new one. */
static void test_move_between_ioas(void)
{
    MockMachine m;
    uint32_t other_id;
    uint32_t pt_id;

    mock_machine_init(&m);
    g_assert_cmpint(ioas_alloc(m.host, &other_id), ==, 0);
    pt_id = other_id;
    g_assert_cmpint(mock_replace(m.host, m.device.stdev_id, &pt_id), ==, 0);
    g_assert_cmpuint(pt_id, >, m.device.hwpt_id);
    g_assert_cmpint(destroy(m.host, m.device.hwpt_id), ==, -ENOENT);
    pt_id = m.ioas_id;
    g_assert_cmpint(mock_replace(m.host, m.device.stdev_id, &pt_id), ==, 0);
    g_assert_cmpuint(pt_id, ==, m.device.hwpt_id);
    g_assert_cmpint(destroy(m.host, other_id), ==, 0);
    mock_machine_cleanup(&m);
}

typedef struct DomainCase {
    const char *name;
    uint32_t pt_id;
    uint32_t flags;
    int result;
} DomainCase;

/* IDs as in mock_machine_init(): an IOAS, stdev, device, automatic HWPT ... */
static const DomainCase domain_cases[] = {
    { "ioas", 1, 0, 0 },
    { "hwpt", 4, 0, 0 },
    { "all-flags", 1, 5, 0 },
    { "no-object-is-ENOENT", 99, 0, -ENOENT },
    { "stdev-is-EINVAL", 2, 0, -EINVAL },
    { "device-is-EINVAL", 3, 0, -EINVAL },
    { "viommu-is-EINVAL", 6, 0, -EINVAL },
    { "nested-without-vdevice-is-ENOENT", 8, 0, -ENOENT },
    { "flag-2-is-EINVAL", 1, 2, -EINVAL },
    { "flag-8-is-EINVAL", 1, 8, -EINVAL },
};

/* One that fails leaves nothing. */
static void test_domain(gconstpointer data)
{
    const DomainCase *c = data;
    MockDevice device;
    uint64_t objects;
    MockMachine m;

    mock_machine_init(&m);
    objects = emul_get_stats(m.host).objects;
    g_assert_cmpint(mock_domain(m.host, c->pt_id, c->flags, &device), ==,
                    c->result);
    if (c->result == 0) {
        g_assert_cmpint(destroy(m.host, device.stdev_id), ==, 0);
    }
    g_assert_cmpuint(emul_get_stats(m.host).objects, ==, objects);
    mock_machine_cleanup(&m);
}

static void test_device_is_busy(void)
{
    MockMachine m;

    mock_machine_init(&m);
    g_assert_cmpint(destroy(m.host, m.device.dev_id), ==, -EBUSY);
    g_assert_cmpint(mock_pasid_detach(m.host, m.device.stdev_id, 0), ==, 0);
    g_assert_cmpint(destroy(m.host, m.device.dev_id), ==, -EBUSY);
    mock_machine_cleanup(&m);
}

/* The vDEVICE goes with the device, and its ID is never seen again. */
static void test_destroy_buries_the_vdevice(void)
{
    MockMachine m;
    uint32_t id;

    mock_machine_init(&m);
    mock_machine_attach(&m, m.nested_id);
    g_assert_cmpint(destroy(m.host, m.device.stdev_id), ==, 0);
    g_assert_cmpint(destroy(m.host, m.vdevice_id), ==, -ENOENT);
    for (int i = 0; i < 4; i++) {
        g_assert_cmpint(ioas_alloc(m.host, &id), ==, 0);
        g_assert_cmpuint(id, !=, m.vdevice_id);
    }
    host_iommu_free(m.host);
}

static void test_no_dirty(void)
{
    MockDevice device;
    MockMachine m;
    uint32_t id;

    mock_machine_init(&m);
    g_assert_cmpint(hwpt_alloc(m.host, m.device.dev_id, m.ioas_id,
                               IOMMU_HWPT_ALLOC_DIRTY_TRACKING, &id), ==, 0);
    g_assert_cmpint(mock_domain(m.host, id, MOCK_FLAGS_DEVICE_NO_DIRTY,
                                &device), ==, -EINVAL);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    g_assert_cmpint(mock_domain(m.host, m.ioas_id, MOCK_FLAGS_DEVICE_NO_DIRTY,
                                &device), ==, 0);
    g_assert_cmpint(hwpt_alloc(m.host, device.dev_id, m.ioas_id,
                               IOMMU_HWPT_ALLOC_DIRTY_TRACKING, &id), ==,
                    -EOPNOTSUPP);
    g_assert_cmpint(destroy(m.host, device.stdev_id), ==, 0);
    mock_machine_cleanup(&m);
}

static void test_hw_info(void)
{
    struct iommu_test_hw_info info = { 0 };
    struct iommu_hw_info cmd = {
        .size = sizeof(cmd), .data_len = sizeof(info),
        .data_uptr = (uintptr_t)&info,
    };
    MockDevice device;
    MockMachine m;

    mock_machine_init(&m);
    cmd.dev_id = m.device.dev_id;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_GET_HW_INFO, &cmd), ==,
                    0);
    g_assert_cmphex(cmd.out_data_type, ==, IOMMU_HW_INFO_TYPE_SELFTEST);
    g_assert_cmpuint(cmd.data_len, ==, 8);
    g_assert_cmphex(info.test_reg, ==, IOMMU_HW_INFO_SELFTEST_REGVAL);
    g_assert_cmpuint(cmd.out_max_pasid_log2, ==, MOCK_PASID_WIDTH);
    g_assert_cmphex(cmd.out_capabilities, ==,
                    IOMMU_HW_CAP_DIRTY_TRACKING |
                    IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED);
    cmd.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
    cmd.in_data_type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_GET_HW_INFO, &cmd), ==,
                    -EOPNOTSUPP);
    cmd.flags = 0;
    g_assert_cmpint(mock_domain(m.host, m.ioas_id, MOCK_FLAGS_DEVICE_NO_DIRTY,
                                &device), ==, 0);
    cmd.dev_id = device.dev_id;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_GET_HW_INFO, &cmd), ==,
                    0);
    g_assert_cmpuint(cmd.out_max_pasid_log2, ==, 0);
    g_assert_cmphex(cmd.out_capabilities, ==,
                    IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED);
    cmd.dev_id = device.stdev_id;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_GET_HW_INFO, &cmd), ==,
                    -ENOENT);
    g_assert_cmpint(destroy(m.host, device.stdev_id), ==, 0);
    mock_machine_cleanup(&m);
}

/* ---- Attach, replace and detach ---- */

static void test_replace(void)
{
    MockMachine m;
    uint32_t id;

    mock_machine_init(&m);
    id = 99;
    g_assert_cmpint(mock_replace(m.host, m.device.stdev_id, &id), ==, -ENOENT);
    id = m.device.dev_id;
    g_assert_cmpint(mock_replace(m.host, m.device.stdev_id, &id), ==, -EINVAL);
    id = m.parent_id;           /* by the device, not the stdev */
    g_assert_cmpint(mock_replace(m.host, m.device.dev_id, &id), ==, -ENOENT);
    id = m.ioas_id;             /* the same: no effect */
    g_assert_cmpint(mock_replace(m.host, m.device.stdev_id, &id), ==, 0);
    g_assert_cmpuint(id, ==, m.device.hwpt_id);
    g_assert_cmpint(mock_pasid_detach(m.host, m.device.stdev_id, 0), ==, 0);
    id = m.parent_id;           /* from nothing */
    g_assert_cmpint(mock_replace(m.host, m.device.stdev_id, &id), ==, -EINVAL);
    id = m.ioas_id;
    g_assert_cmpint(mock_replace(m.host, m.device.stdev_id, &id), ==, -EINVAL);
    mock_machine_cleanup(&m);
}

/* Moving to a vIOMMU needs a vDEVICE there; staying needs none. */
static void test_nested_needs_a_vdevice(void)
{
    MockMachine m;
    uint32_t other_id;
    uint32_t id;

    mock_machine_init(&m);
    g_assert_cmpint(mock_nested(m.host, m.device.dev_id, m.viommu_id, 0, 0,
                                &other_id), ==, 0);
    mock_machine_attach(&m, m.nested_id);
    g_assert_cmpint(destroy(m.host, m.vdevice_id), ==, 0);
    mock_machine_attach(&m, m.nested_id);
    id = other_id;
    g_assert_cmpint(mock_replace(m.host, m.device.stdev_id, &id), ==, -ENOENT);
    g_assert_cmpint(mock_pasid_check(m.host, m.device.stdev_id, 0,
                                     m.nested_id), ==, 0);
    g_assert_cmpint(destroy(m.host, other_id), ==, 0);
    mock_machine_cleanup(&m);
}

/* ---- PASIDs ---- */

/* A HWPT for PASIDs, to which the device itself moves. */
static uint32_t pasid_hwpt(MockMachine *m)
{
    uint32_t id;

    g_assert_cmpint(hwpt_alloc(m->host, m->device.dev_id, m->ioas_id,
                               IOMMU_HWPT_ALLOC_PASID, &id), ==, 0);
    mock_machine_attach(m, id);
    return id;
}

static void pasid_cleanup(MockMachine *m, uint32_t hwpt_id)
{
    g_assert_cmpint(mock_pasid_detach(m->host, m->device.stdev_id, 0), ==, 0);
    g_assert_cmpint(destroy(m->host, hwpt_id), ==, 0);
    mock_machine_cleanup(m);
}

typedef struct PasidCase {
    const char *name;
    uint32_t pasid;
    uint32_t pt_id;             /* 0: the HWPT for PASIDs */
    int result;
} PasidCase;

static const PasidCase pasid_cases[] = {
    { "first", 1, 0, 0 },
    { "last", (1 << MOCK_PASID_WIDTH) - 1, 0, 0 },
    { "too-large-is-EINVAL", 1 << MOCK_PASID_WIDTH, 0, -EINVAL },
    { "UINT_MAX-is-EINVAL", UINT_MAX, 0, -EINVAL },
    { "0-is-the-device-EBUSY", 0, 0, -EBUSY },
    { "ioas-is-EINVAL", 1, 1, -EINVAL },
    { "hwpt-for-no-pasids-is-EINVAL", 1, 5, -EINVAL },
    { "stdev-is-EINVAL", 1, 2, -EINVAL },
    { "no-object-is-ENOENT", 1, 99, -ENOENT },
};

static void test_pasid_attach(gconstpointer data)
{
    const PasidCase *c = data;
    MockMachine m;
    uint32_t id;

    mock_machine_init(&m);
    id = pasid_hwpt(&m);
    g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_ATTACH,
                               m.device.stdev_id, c->pasid,
                               c->pt_id ? c->pt_id : id), ==, c->result);
    if (c->pasid != 0) {
        g_assert_cmpint(mock_pasid_check(m.host, m.device.stdev_id, c->pasid,
                                         c->result == 0 ? id : 0), ==, 0);
        g_assert_cmpint(mock_pasid_detach(m.host, m.device.stdev_id,
                                          c->pasid), ==, 0);
    }
    pasid_cleanup(&m, id);
}

static void test_pasid_attached_is_EBUSY(void)
{
    MockMachine m;
    uint32_t id;

    mock_machine_init(&m);
    id = pasid_hwpt(&m);
    g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_REPLACE,
                               m.device.stdev_id, 5, id), ==, -EINVAL);
    g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_ATTACH,
                               m.device.stdev_id, 5, id), ==, 0);
    g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_ATTACH,
                               m.device.stdev_id, 5, id), ==, -EBUSY);
    g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_ATTACH,
                               m.device.stdev_id, 5, m.ioas_id), ==, -EBUSY);
    g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_ATTACH,
                               m.device.stdev_id, 5, 99), ==, -ENOENT);
    g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_REPLACE,
                               m.device.stdev_id, 5, id), ==, 0);
    g_assert_cmpint(mock_pasid_detach(m.host, m.device.stdev_id, 5), ==, 0);
    g_assert_cmpint(mock_pasid_detach(m.host, m.device.stdev_id, 5), ==, 0);
    pasid_cleanup(&m, id);
}

/* While PASIDs are attached the device moves to HWPTs for PASIDs only. */
static void test_pasids_bind_the_device(void)
{
    MockMachine m;
    uint32_t pt_id;
    uint32_t id;

    mock_machine_init(&m);
    id = pasid_hwpt(&m);
    g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_ATTACH,
                               m.device.stdev_id, 5, id), ==, 0);
    pt_id = m.parent_id;
    g_assert_cmpint(mock_replace(m.host, m.device.stdev_id, &pt_id), ==,
                    -EINVAL);
    pt_id = m.ioas_id;
    g_assert_cmpint(mock_replace(m.host, m.device.stdev_id, &pt_id), ==,
                    -EINVAL);
    g_assert_cmpint(mock_pasid_detach(m.host, m.device.stdev_id, 5), ==, 0);
    g_assert_cmpint(mock_replace(m.host, m.device.stdev_id, &pt_id), ==, 0);
    /* And the other way round. */
    g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_ATTACH,
                               m.device.stdev_id, 5, id), ==, -EINVAL);
    pasid_cleanup(&m, id);
}

static void test_device_without_pasids(void)
{
    MockDevice device;
    MockMachine m;
    uint32_t id;

    mock_machine_init(&m);
    id = pasid_hwpt(&m);
    g_assert_cmpint(mock_domain(m.host, id, 0, &device), ==, 0);
    g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_ATTACH,
                               device.stdev_id, 1, id), ==, -EINVAL);
    g_assert_cmpint(destroy(m.host, device.stdev_id), ==, 0);
    pasid_cleanup(&m, id);
}

/* A PASID needs no vDEVICE, and brings no events. */
static void test_pasid_on_nested(void)
{
    MockMachine m;
    uint32_t nested_id;
    uint32_t id;

    mock_machine_init(&m);
    id = pasid_hwpt(&m);
    g_assert_cmpint(destroy(m.host, m.vdevice_id), ==, 0);
    g_assert_cmpint(mock_nested(m.host, m.device.dev_id, m.viommu_id,
                                IOMMU_HWPT_ALLOC_PASID, 0, &nested_id), ==, 0);
    g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_ATTACH,
                               m.device.stdev_id, 5, nested_id), ==, 0);
    g_assert_cmpint(mock_vevent(m.host, m.device.dev_id), ==, -ENOENT);
    g_assert_cmpint(mock_pasid_detach(m.host, m.device.stdev_id, 5), ==, 0);
    g_assert_cmpint(destroy(m.host, nested_id), ==, 0);
    pasid_cleanup(&m, id);
}

/* Every second attach of this one in a row fails, and nothing moves. */
static void test_reserved_pasid(void)
{
    static const int replaced[] = { -ENOMEM, 0, -ENOMEM, 0 };
    MockMachine m;
    uint32_t ids[2];
    unsigned at = 0;

    mock_machine_init(&m);
    ids[0] = pasid_hwpt(&m);
    g_assert_cmpint(hwpt_alloc(m.host, m.device.dev_id, m.ioas_id,
                               IOMMU_HWPT_ALLOC_PASID, &ids[1]), ==, 0);
    g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_ATTACH,
                               m.device.stdev_id, IOMMU_TEST_PASID_RESERVED,
                               ids[0]), ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(replaced); i++) {
        g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_REPLACE,
                                   m.device.stdev_id,
                                   IOMMU_TEST_PASID_RESERVED, ids[!at]), ==,
                        replaced[i]);
        at ^= replaced[i] == 0;
        g_assert_cmpint(mock_pasid_check(m.host, m.device.stdev_id,
                                         IOMMU_TEST_PASID_RESERVED, ids[at]),
                        ==, 0);
    }
    /* A detach starts it over. */
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(mock_pasid_detach(m.host, m.device.stdev_id,
                                          IOMMU_TEST_PASID_RESERVED), ==, 0);
        g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_ATTACH,
                                   m.device.stdev_id,
                                   IOMMU_TEST_PASID_RESERVED, ids[1]), ==, 0);
    }
    g_assert_cmpint(mock_pasid_detach(m.host, m.device.stdev_id,
                                      IOMMU_TEST_PASID_RESERVED), ==, 0);
    g_assert_cmpint(destroy(m.host, ids[1]), ==, 0);
    pasid_cleanup(&m, ids[0]);
}

static void test_pasid_check(void)
{
    MockMachine m;

    mock_machine_init(&m);
    g_assert_cmpint(mock_pasid_check(m.host, m.device.stdev_id, 5, 0), ==, 0);
    g_assert_cmpint(mock_pasid_check(m.host, m.device.stdev_id, 0, 0), ==,
                    -EINVAL);
    g_assert_cmpint(mock_pasid_check(m.host, m.device.stdev_id, 0,
                                     m.device.hwpt_id), ==, 0);
    g_assert_cmpint(mock_pasid_check(m.host, m.device.stdev_id, 0,
                                     m.parent_id), ==, -EINVAL);
    g_assert_cmpint(mock_pasid_check(m.host, m.device.stdev_id, 0, m.ioas_id),
                    ==, -EINVAL);
    g_assert_cmpint(mock_pasid_check(m.host, m.device.stdev_id, 0, 99), ==,
                    -ENOENT);
    g_assert_cmpint(mock_pasid_check(m.host, m.device.dev_id, 0, 0), ==,
                    -ENOENT);
    mock_machine_cleanup(&m);
}

/* PASIDs that are left end with the device. */
static void test_destroy_ends_pasids(void)
{
    MockMachine m;
    uint32_t id;

    mock_machine_init(&m);
    id = pasid_hwpt(&m);
    for (uint32_t pasid = 1; pasid <= 3; pasid++) {
        g_assert_cmpint(mock_pasid(m.host, IOMMU_TEST_OP_PASID_ATTACH,
                                   m.device.stdev_id, pasid, id), ==, 0);
    }
    g_assert_cmpint(destroy(m.host, m.device.stdev_id), ==, 0);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    host_iommu_free(m.host);
}

#define ADD_CASES(prefix, cases, func)                                        \
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {                      \
        g_autofree char *path = g_strconcat(prefix, cases[i].name, NULL);     \
                                                                              \
        g_test_add_data_func(path, &cases[i], func);                          \
    }

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/emul/mock/ioctl/size", test_size);
    g_test_add_func("/emul/mock/ioctl/unknown-op-is-EOPNOTSUPP",
                    test_unknown_op);
    g_test_add_func("/emul/mock/ioctl/check-refs-wants-pages",
                    test_check_refs);
    g_test_add_func("/emul/mock/device/ids-in-the-kernels-order", test_ids);
    g_test_add_func("/emul/mock/device/moves-between-ioas",
                    test_move_between_ioas);
    ADD_CASES("/emul/mock/device/on/", domain_cases, test_domain);
    g_test_add_func("/emul/mock/device/is-EBUSY", test_device_is_busy);
    g_test_add_func("/emul/mock/device/destroy-buries-the-vdevice",
                    test_destroy_buries_the_vdevice);
    g_test_add_func("/emul/mock/device/destroy-ends-pasids",
                    test_destroy_ends_pasids);
    g_test_add_func("/emul/mock/device/no-dirty", test_no_dirty);
    g_test_add_func("/emul/mock/device/hw-info", test_hw_info);
    g_test_add_func("/emul/mock/replace/errors", test_replace);
    g_test_add_func("/emul/mock/replace/nested-needs-a-vdevice",
                    test_nested_needs_a_vdevice);
    ADD_CASES("/emul/mock/pasid/attach/", pasid_cases, test_pasid_attach);
    g_test_add_func("/emul/mock/pasid/attached-is-EBUSY",
                    test_pasid_attached_is_EBUSY);
    g_test_add_func("/emul/mock/pasid/binds-the-device",
                    test_pasids_bind_the_device);
    g_test_add_func("/emul/mock/pasid/device-without-is-EINVAL",
                    test_device_without_pasids);
    g_test_add_func("/emul/mock/pasid/on-nested", test_pasid_on_nested);
    g_test_add_func("/emul/mock/pasid/reserved-fails-every-other-time",
                    test_reserved_pasid);
    g_test_add_func("/emul/mock/pasid/check", test_pasid_check);
    return g_test_run();
}
