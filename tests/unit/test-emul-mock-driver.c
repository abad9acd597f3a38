/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The emulated mock driver's data: HWPTs, vIOMMUs and invalidations.
 */
#include "test-emul-mock.h"

/* ---- HWPTs ---- */

typedef struct DataCase {
    const char *name;
    uint32_t len;
    uint32_t pagetable_type;
    int paging;
    int nested;
} DataCase;

static const DataCase data_cases[] = {
    { "whole", 8, MOCK_IOMMUPT_DEFAULT, 0, 0 },
    { "shortest", 4, MOCK_IOMMUPT_DEFAULT, 0, 0 },
    { "huge", 8, MOCK_IOMMUPT_HUGE, 0, 0 },
    { "unknown-page-table-is-EOPNOTSUPP", 8, 2, -EOPNOTSUPP, 0 },
    { "too-short-is-EINVAL", 3, MOCK_IOMMUPT_DEFAULT, -EINVAL, -EINVAL },
    { "too-long-is-EINVAL", 12, MOCK_IOMMUPT_DEFAULT, -EINVAL, -EINVAL },
};

static void test_data(gconstpointer data)
{
    const DataCase *c = data;
    const struct {
        struct iommu_hwpt_selftest data;
        uint32_t tail;
    } buf = { .data = { .iotlb = 7, .pagetable_type = c->pagetable_type } };
    MockMachine m;
    uint32_t id;

    mock_machine_init(&m);
    g_assert_cmpint(mock_hwpt(m.host, m.device.dev_id, m.ioas_id, 0, 0, &buf,
                              c->len, &id), ==, c->paging);
    if (c->paging == 0) {
        g_assert_cmpint(destroy(m.host, id), ==, 0);
    }
    g_assert_cmpint(mock_hwpt(m.host, m.device.dev_id, m.parent_id, 0, 0, &buf,
                              c->len, &id), ==, c->nested);
    if (c->nested == 0) {
        g_assert_cmpint(mock_check_iotlb(m.host, id, 0, 7), ==, 0);
        g_assert_cmpint(destroy(m.host, id), ==, 0);
    }
    mock_machine_cleanup(&m);
}

static void test_nested_errors(void)
{
    const uint32_t parent = IOMMU_HWPT_ALLOC_NEST_PARENT;
    const struct iommu_hwpt_selftest data = { 0 };
    MockMachine m;
    uint32_t id;

    mock_machine_init(&m);
    g_assert_cmpint(mock_nested(m.host, m.device.dev_id, m.device.hwpt_id, 0,
                                0, &id), ==, -EINVAL);
    g_assert_cmpint(mock_nested(m.host, m.device.dev_id, m.nested_id, 0, 0,
                                &id), ==, -EINVAL);
    g_assert_cmpint(mock_nested(m.host, m.device.dev_id, m.parent_id, parent,
                                0, &id), ==, -EOPNOTSUPP);
    g_assert_cmpint(mock_nested(m.host, m.device.dev_id, m.viommu_id, parent,
                                0, &id), ==, -EOPNOTSUPP);
    g_assert_cmpint(mock_hwpt(m.host, m.device.dev_id, m.parent_id, 0, 0, NULL,
                              0, &id), ==, -EOPNOTSUPP);
    g_assert_cmpint(mock_hwpt(m.host, m.device.dev_id, m.viommu_id, 0, 0, NULL,
                              0, &id), ==, -EOPNOTSUPP);
    g_assert_cmpint(mock_hwpt(m.host, m.device.dev_id, m.viommu_id, 0, 0, NULL,
                              sizeof(data), &id), ==, -EFAULT);
    g_assert_cmpint(nested_alloc(m.host, m.device.dev_id, m.viommu_id, STE_S1,
                                 0, &id), ==, -EOPNOTSUPP);
    mock_machine_cleanup(&m);
}

/* Devices and HWPTs of one driver are nothing to another. */
static void test_wrong_iommu(void)
{
    MockMachine m;
    uint32_t dev_id;
    uint32_t id;
    int fd;

    mock_machine_init(&m);
    fd = emul_device_open(m.host);
    g_assert_cmpint(device_bind(m.host, fd, &dev_id), ==, 0);
    id = m.nested_id;
    g_assert_cmpint(device_attach(m.host, fd, &id), ==, -EINVAL);
    g_assert_cmpint(vdevice_alloc(m.host, m.viommu_id, dev_id, 1, &id), ==,
                    -EINVAL);
    g_assert_cmpint(mock_nested(m.host, dev_id, m.viommu_id, 0, 0, &id), ==,
                    -EINVAL);
    g_assert_cmpint(mock_viommu(m.host, dev_id, m.parent_id, NULL, 0, &id), ==,
                    -EOPNOTSUPP);
    g_assert_cmpint(mock_iopf(m.host, dev_id, 0, 0), ==, -EINVAL);
    g_assert_cmpint(mock_check_cache(m.host, dev_id, 0, 0), ==, -EINVAL);
    g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
    mock_machine_cleanup(&m);
}

/* ---- vIOMMUs ---- */

static void test_viommu_data(void)
{
    struct iommu_viommu_selftest data[2] = { { .in_data = 0x42 } };
    uint32_t ids[2];
    MockMachine m;

    mock_machine_init(&m);
    g_assert_cmpint(mock_viommu(m.host, m.device.dev_id, m.parent_id, data, 4,
                                &ids[0]), ==, -EINVAL);
    g_assert_cmpint(mock_viommu(m.host, m.device.dev_id, m.parent_id, data,
                                sizeof(data[0]) + 4, &ids[0]), ==, -EINVAL);
    g_assert_cmpint(mock_viommu(m.host, m.device.dev_id, m.parent_id, NULL,
                                sizeof(data[0]), &ids[0]), ==, -EFAULT);
    for (unsigned i = 0; i < 2; i++) {
        data[i].in_data = 0x42 + i;
        g_assert_cmpint(mock_viommu(m.host, m.device.dev_id, m.parent_id,
                                    &data[i], sizeof(data[i]), &ids[i]), ==,
                        0);
        g_assert_cmphex(data[i].out_data, ==, 0x42 + i);
        g_assert_cmphex(data[i].out_mmap_offset, ==, 0x1000 + i * 0x2000);
        g_assert_cmphex(data[i].out_mmap_length, ==, 0x2000);
    }
    g_assert_cmpint(destroy(m.host, ids[0]), ==, 0);
    /* As much as there is room for, and the offset that is free again. */
    data[0] = (struct iommu_viommu_selftest) { .in_data = 5 };
    g_assert_cmpint(mock_viommu(m.host, m.device.dev_id, m.parent_id, data, 16,
                                &ids[0]), ==, 0);
    g_assert_cmphex(data[0].out_data, ==, 5);
    g_assert_cmphex(data[0].out_mmap_offset, ==, 0x1000);
    g_assert_cmphex(data[0].out_mmap_length, ==, 0);
    g_assert_cmpint(destroy(m.host, ids[0]), ==, 0);
    g_assert_cmpint(destroy(m.host, ids[1]), ==, 0);
    mock_machine_cleanup(&m);
}

static void test_viommu_type(void)
{
    MockMachine m;
    uint32_t id;

    mock_machine_init(&m);
    g_assert_cmpint(viommu_alloc(m.host, m.device.dev_id, m.parent_id, &id),
                    ==, -EOPNOTSUPP);       /* ARM_SMMUV3 */
    g_assert_cmpint(viommu_alloc(m.host, m.device.dev_id, 99, &id), ==,
                    -EOPNOTSUPP);
    mock_machine_cleanup(&m);
}

/* ---- Invalidations ---- */

static int invalidate(HostIommu *host, uint32_t id, const void *entries,
                      uint32_t len, uint32_t *num)
{
    struct iommu_hwpt_invalidate cmd = {
        .size = sizeof(cmd), .hwpt_id = id, .data_uptr = (uintptr_t)entries,
        .data_type = IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
        .entry_len = len, .entry_num = *num,
    };
    int ret = host_call(host, host->fd, IOMMU_HWPT_INVALIDATE, &cmd);

    _Static_assert(IOMMU_HWPT_INVALIDATE_DATA_SELFTEST ==
                   IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST, "the same type");
    *num = cmd.entry_num;
    return ret;
}

typedef struct InvalidateCase {
    const char *name;
    uint32_t flags;
    uint32_t index;
    int result;
    unsigned zeroed;            /* a bit per word */
} InvalidateCase;

static const InvalidateCase invalidate_cases[] = {
    { "first", 0, 0, 0, 1 << 0 },
    { "last", 0, 3, 0, 1 << 3 },
    { "all", IOMMU_TEST_INVALIDATE_FLAG_ALL, 2, 0, 15 },
    { "index-4-is-EINVAL", 0, 4, -EINVAL, 0 },
    { "all-with-index-4-is-EINVAL", IOMMU_TEST_INVALIDATE_FLAG_ALL, 4,
      -EINVAL, 0 },
    { "unknown-flag-is-EOPNOTSUPP", 2, 0, -EOPNOTSUPP, 0 },
};

static void test_invalidate_hwpt(gconstpointer data)
{
    const InvalidateCase *c = data;
    const struct iommu_hwpt_invalidate_selftest entry = {
        .flags = c->flags, .iotlb_id = c->index,
    };
    uint32_t num = 1;
    MockMachine m;

    mock_machine_init(&m);
    g_assert_cmpint(invalidate(m.host, m.nested_id, &entry, sizeof(entry),
                               &num), ==, c->result);
    g_assert_cmpuint(num, ==, c->result == 0);
    for (uint32_t i = 0; i < MOCK_NESTED_DOMAIN_IOTLB_NUM; i++) {
        uint32_t value = c->zeroed & (1u << i) ? 0 : IOMMU_TEST_IOTLB_DEFAULT;

        g_assert_cmpint(mock_check_iotlb(m.host, m.nested_id, i, value), ==,
                        0);
        g_assert_cmpint(mock_check_iotlb(m.host, m.nested_id, i, 1), ==,
                        -EINVAL);
    }
    mock_machine_cleanup(&m);
}

static void test_invalidate_viommu(gconstpointer data)
{
    const InvalidateCase *c = data;
    const struct iommu_viommu_invalidate_selftest entry = {
        .flags = c->flags, .vdev_id = MOCK_VIRT_ID, .cache_id = c->index,
    };
    uint32_t num = 1;
    MockMachine m;

    mock_machine_init(&m);
    g_assert_cmpint(invalidate(m.host, m.viommu_id, &entry, sizeof(entry),
                               &num), ==, c->result);
    g_assert_cmpuint(num, ==, c->result == 0);
    for (uint32_t i = 0; i < MOCK_DEV_CACHE_NUM; i++) {
        uint32_t value = c->zeroed & (1u << i) ? 0
                                               : IOMMU_TEST_DEV_CACHE_DEFAULT;

        g_assert_cmpint(mock_check_cache(m.host, m.device.dev_id, i, value),
                        ==, 0);
        g_assert_cmpint(mock_check_cache(m.host, m.device.dev_id, i, 1), ==,
                        -EINVAL);
    }
    mock_machine_cleanup(&m);
}

/* Those before a bad one are done. */
static void test_invalidate_stops(void)
{
    const struct iommu_hwpt_invalidate_selftest tlb[] = {
        { 0, 1 }, { 0, 4 }, { 0, 2 },
    };
    const struct iommu_viommu_invalidate_selftest dev[] = {
        { 0, MOCK_VIRT_ID, 1 }, { 0, MOCK_VIRT_ID + 1, 0 },
        { 0, MOCK_VIRT_ID, 2 },
    };
    uint32_t num = 3;
    MockMachine m;

    mock_machine_init(&m);
    g_assert_cmpint(invalidate(m.host, m.nested_id, tlb, sizeof(tlb[0]), &num),
                    ==, -EINVAL);
    g_assert_cmpuint(num, ==, 1);
    g_assert_cmpint(mock_check_iotlb(m.host, m.nested_id, 1, 0), ==, 0);
    g_assert_cmpint(mock_check_iotlb(m.host, m.nested_id, 2, 0), ==, -EINVAL);
    num = 3;
    g_assert_cmpint(invalidate(m.host, m.viommu_id, dev, sizeof(dev[0]), &num),
                    ==, -EINVAL);
    g_assert_cmpuint(num, ==, 1);
    g_assert_cmpint(mock_check_cache(m.host, m.device.dev_id, 1, 0), ==, 0);
    g_assert_cmpint(mock_check_cache(m.host, m.device.dev_id, 2, 0), ==,
                    -EINVAL);
    mock_machine_cleanup(&m);
}

typedef struct ArrayCase {
    const char *name;
    uint32_t len;
    uint32_t num;
    int on_hwpt;
    int on_viommu;
} ArrayCase;

/* Of a HWPT an entry has one size; of a vIOMMU it may end in zeroes. */
static const ArrayCase array_cases[] = {
    { "none-asks-for-the-type", 12, 0, 0, 0 },
    { "short", 8, 1, 0, 0 },
    { "shorter", 4, 1, -EINVAL, -EINVAL },     /* without the virt_id */
    { "long-with-zeroes", 24, 1, -EINVAL, 0 },
    { "long-with-junk", 28, 1, -EINVAL, -E2BIG },
    { "length-0-is-EINVAL", 0, 1, -EINVAL, -EINVAL },
    { "length-4097-is-EINVAL", 4097, 1, -EINVAL, -EINVAL },
    { "too-many-is-EINVAL", 12, (1 << 19) + 1, -EINVAL, -EINVAL },
};

static void test_array(gconstpointer data)
{
    const ArrayCase *c = data;
    /* The first word of each is the flags, the second an index or virt_id. */
    const uint32_t tlb[] = { 0, 1, 0, 0, 0, 0, 1 };
    const uint32_t dev[] = { 0, MOCK_VIRT_ID, 0, 0, 0, 0, 1 };
    uint32_t num = c->num;
    MockMachine m;

    mock_machine_init(&m);
    g_assert_cmpint(invalidate(m.host, m.nested_id, tlb, c->len, &num), ==,
                    c->on_hwpt);
    g_assert_cmpuint(num, ==, c->on_hwpt == 0 ? c->num : 0);
    num = c->num;
    g_assert_cmpint(invalidate(m.host, m.viommu_id, dev, c->len, &num), ==,
                    c->on_viommu);
    g_assert_cmpuint(num, ==, c->on_viommu == 0 ? c->num : 0);
    mock_machine_cleanup(&m);
}

static void test_invalidate_type(void)
{
    const struct iommu_hwpt_invalidate_selftest entry = { 0 };
    struct iommu_hwpt_invalidate cmd = {
        .size = sizeof(cmd), .data_uptr = (uintptr_t)&entry,
        .data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
        .entry_len = sizeof(entry),
    };
    MockMachine m;

    mock_machine_init(&m);
    for (uint32_t num = 0; num < 2; num++) {
        cmd.entry_num = num;
        cmd.hwpt_id = m.nested_id;
        g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_INVALIDATE,
                                  &cmd), ==, -EINVAL);
        cmd.entry_num = num;
        cmd.hwpt_id = m.viommu_id;
        g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_INVALIDATE,
                                  &cmd), ==, -EINVAL);
    }
    mock_machine_cleanup(&m);
}

static void test_check_errors(void)
{
    MockMachine m;

    mock_machine_init(&m);
    g_assert_cmpint(mock_check_iotlb(m.host, m.nested_id, 4, 0), ==, -EINVAL);
    g_assert_cmpint(mock_check_iotlb(m.host, m.parent_id, 0, 0), ==, -ENOENT);
    g_assert_cmpint(mock_check_cache(m.host, m.device.dev_id, 4, 0), ==,
                    -EINVAL);
    g_assert_cmpint(mock_check_cache(m.host, m.device.stdev_id, 0, 0), ==,
                    -ENOENT);
    mock_machine_cleanup(&m);
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
    ADD_CASES("/emul/mock/data/", data_cases, test_data);
    g_test_add_func("/emul/mock/nested/errors", test_nested_errors);
    g_test_add_func("/emul/mock/nested/wrong-iommu-is-EINVAL",
                    test_wrong_iommu);
    g_test_add_func("/emul/mock/viommu/data", test_viommu_data);
    g_test_add_func("/emul/mock/viommu/type", test_viommu_type);
    ADD_CASES("/emul/mock/invalidate/hwpt/", invalidate_cases,
              test_invalidate_hwpt);
    ADD_CASES("/emul/mock/invalidate/viommu/", invalidate_cases,
              test_invalidate_viommu);
    ADD_CASES("/emul/mock/invalidate/array/", array_cases, test_array);
    g_test_add_func("/emul/mock/invalidate/stops-at-the-first-bad",
                    test_invalidate_stops);
    g_test_add_func("/emul/mock/invalidate/wrong-type-is-EINVAL",
                    test_invalidate_type);
    g_test_add_func("/emul/mock/check/errors", test_check_errors);
    return g_test_run();
}
