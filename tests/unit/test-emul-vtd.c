/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the VT-d driver accepts: page tables, invalidations, hardware info.
 */
#include "test-emul-fault.h"

typedef struct S1Case {
    const char *name;
    struct iommu_hwpt_vtd_s1 s1;
    int attach;
} S1Case;

static const S1Case s1_cases[] = {
    { "4-level", { .addr_width = 48 }, 0 },
    { "5-level", { .addr_width = 57 }, 0 },
    { "supervisor", { .flags = IOMMU_VTD_S1_SRE | IOMMU_VTD_S1_WPE,
                      .addr_width = 48 }, 0 },
    { "width-39-is-EINVAL", { .addr_width = 39 }, -EINVAL },
    { "no-EAFS-is-EINVAL", { .flags = IOMMU_VTD_S1_EAFE, .addr_width = 48 },
      -EINVAL },
};

/* Made without a look, checked at attach. */
static void test_s1(gconstpointer data)
{
    const S1Case *c = data;
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .flags = IOMMU_HWPT_ALLOC_PASID,
        .data_type = IOMMU_HWPT_DATA_VTD_S1,
        .data_len = sizeof(c->s1),
        .data_uptr = (uintptr_t)&c->s1,
    };
    uint32_t pt_id;
    FaultMachine m;

    fault_machine_init(&m);
    cmd.dev_id = m.dev_id;
    cmd.pt_id = m.parent_id;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_ALLOC, &cmd), ==,
                    0);
    pt_id = cmd.out_hwpt_id;
    g_assert_cmpint(device_attach(m.host, m.device_fd, &pt_id), ==,
                    c->attach);
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 5, cmd.out_hwpt_id), ==,
                    c->attach);
    g_assert_cmpint(pasid_detach(m.host, m.device_fd, 5), ==, 0);
    fault_attach(&m, m.nested_id);
    g_assert_cmpint(destroy(m.host, cmd.out_hwpt_id), ==, 0);
    fault_machine_cleanup(&m);
}

static void test_data_errors(void)
{
    const struct iommu_hwpt_vtd_s1 s1 = { .addr_width = 48 };
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
        .data_len = sizeof(s1),
        .data_uptr = (uintptr_t)&s1,
    };
    uint32_t id;
    FaultMachine m;

    fault_machine_init(&m);
    cmd.dev_id = m.dev_id;
    cmd.pt_id = m.parent_id;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_ALLOC, &cmd), ==,
                    -EOPNOTSUPP);
    cmd.data_type = IOMMU_HWPT_DATA_VTD_S1;
    cmd.data_len = 16;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_ALLOC, &cmd), ==,
                    -EINVAL);
    cmd.data_len = sizeof(s1);
    cmd.flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_ALLOC, &cmd), ==,
                    -EOPNOTSUPP);
    /* No vIOMMU behind VT-d. */
    g_assert_cmpint(viommu_alloc(m.host, m.dev_id, m.parent_id, &id), ==,
                    -EOPNOTSUPP);
    fault_machine_cleanup(&m);
}

static void test_wrong_iommu(void)
{
    uint32_t vtd_id;
    uint32_t dev_id;
    uint32_t id;
    Machine m;
    int fd;

    machine_init(&m);
    fd = emul_device_open_behind(m.host, EMUL_IOMMU_VTD);
    g_assert_cmpint(device_bind(m.host, fd, &dev_id), ==, 0);
    g_assert_cmpint(vtd_alloc(m.host, dev_id, m.parent_id, 0, &vtd_id), ==, 0);
    id = vtd_id;
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, -EINVAL);
    id = m.nested_id;
    g_assert_cmpint(device_attach(m.host, fd, &id), ==, -EINVAL);
    g_assert_cmpint(vdevice_alloc(m.host, m.viommu_id, dev_id, 1, &id), ==,
                    -EINVAL);
    g_assert_cmpint(destroy(m.host, m.parent_id), ==, -EBUSY);
    g_assert_cmpint(destroy(m.host, vtd_id), ==, 0);
    g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
    machine_cleanup(&m);
}

/* Done up to the first bad entry; none at all only asks for the type. */
static void test_invalidate(void)
{
    const struct iommu_hwpt_vtd_s1_invalidate entries[] = {
        { .addr = 0x1000, .npages = 1, .flags = IOMMU_VTD_INV_FLAGS_LEAF },
        { .npages = UINT64_MAX },
        { .addr = 0x1001, .npages = 1 },
        { .addr = 0x1000, .npages = UINT64_MAX },
        { .npages = 1, .flags = 2 },
    };
    static const int results[] = { 0, 0, -EINVAL, -EINVAL, -EOPNOTSUPP };
    struct iommu_hwpt_invalidate cmd = {
        .size = sizeof(cmd),
        .data_uptr = (uintptr_t)entries,
        .entry_len = sizeof(entries[0]),
        .entry_num = 3,
    };
    FaultMachine m;

    fault_machine_init(&m);
    cmd.hwpt_id = m.nested_id;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_INVALIDATE, &cmd),
                    ==, -EINVAL);
    g_assert_cmpuint(cmd.entry_num, ==, 2);
    g_assert_cmpuint(emul_get_stats(m.host).invalidations, ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(entries); i++) {
        cmd.data_uptr = (uintptr_t)&entries[i];
        cmd.entry_num = 1;
        g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_INVALIDATE,
                                  &cmd), ==, results[i]);
        g_assert_cmpuint(cmd.entry_num, ==, results[i] == 0);
    }
    cmd.entry_num = 0;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_INVALIDATE, &cmd),
                    ==, 0);
    cmd.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_INVALIDATE, &cmd),
                    ==, -EINVAL);
    fault_machine_cleanup(&m);
}

static void test_hw_info(void)
{
    struct iommu_hw_info_vtd info;
    struct iommu_hw_info cmd = {
        .size = sizeof(cmd),
        .flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE,
        .data_len = sizeof(info),
        .data_uptr = (uintptr_t)&info,
        .in_data_type = IOMMU_HW_INFO_TYPE_INTEL_VTD,
    };
    FaultMachine m;

    fault_machine_init(&m);
    cmd.dev_id = m.dev_id;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_GET_HW_INFO, &cmd), ==,
                    0);
    g_assert_cmpuint(cmd.out_data_type, ==, IOMMU_HW_INFO_TYPE_INTEL_VTD);
    g_assert_cmpuint(cmd.out_max_pasid_log2, ==, 20);
    g_assert_cmpuint(info.ecap_reg >> 35 & 0x1f, ==, 19);       /* PSS */
    g_assert_cmpuint(info.cap_reg >> 60 & 1, ==, 1);            /* FS5LP */
    cmd.in_data_type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_GET_HW_INFO, &cmd), ==,
                    -EOPNOTSUPP);
    fault_machine_cleanup(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(s1_cases); i++) {
        g_autofree char *path = g_strconcat("/emul/vtd/s1/", s1_cases[i].name,
                                            NULL);

        g_test_add_data_func(path, &s1_cases[i], test_s1);
    }
    g_test_add_func("/emul/vtd/data-errors", test_data_errors);
    g_test_add_func("/emul/vtd/wrong-iommu-is-EINVAL", test_wrong_iommu);
    g_test_add_func("/emul/vtd/invalidate-up-to-the-bad-entry",
                    test_invalidate);
    g_test_add_func("/emul/vtd/hw-info", test_hw_info);
    return g_test_run();
}
