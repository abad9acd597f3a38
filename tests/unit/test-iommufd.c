/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each wrapper once with success, once with its message.
 */
#include "host/iommufd.h"

#include "base/error.h"
#include "test-emul-fault.h"

/* Takes @error; its message must be @message and its code @code. */
static void assert_error(GError **error, ViommuError code,
                         const char *message)
{
    g_assert_error(*error, VIOMMU_ERROR, (int)code);
    g_assert_cmpstr((*error)->message, ==, message);
    g_clear_error(error);
}

static void test_success(void)
{
    struct iommu_hwpt_arm_smmuv3 ste = { { GUINT64_TO_LE(STE_BYPASS), 0 } };
    struct iommu_hw_info_arm_smmuv3 info;
    GError *error = NULL;
    uint32_t ids[6];
    Machine m;
    int fd;

    machine_init(&m);
    g_assert_true(iommufd_ioas_alloc(m.host, &ids[0], &error));
    g_assert_true(iommufd_nest_parent_alloc(m.host, m.dev_id, ids[0], &ids[1],
                                            &error));
    g_assert_true(iommufd_viommu_alloc(m.host, IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
                                       m.dev_id, ids[1], &ids[2], &error));
    g_assert_true(iommufd_nested_hwpt_alloc(m.host, m.dev_id, ids[2],
                                            IOMMU_HWPT_DATA_ARM_SMMUV3, &ste,
                                            sizeof(ste), &ids[3], &error));
    g_assert_cmpint(destroy(m.host, m.vdevice_id), ==, 0);
    g_assert_true(iommufd_vdevice_alloc(m.host, ids[2], m.dev_id, 7, &ids[4],
                                        &error));
    g_assert_true(iommufd_veventq_alloc(m.host, ids[2],
                                        IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, 16,
                                        &ids[5], &fd, &error));
    g_assert_true(iommufd_hw_info_arm_smmuv3(m.host, m.dev_id, &info, &error));
    g_assert_cmpuint(info.aidr, ==, 1);
    g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
    for (int i = 5; i >= 0; i--) {
        g_assert_true(iommufd_destroy(m.host, ids[i], &error));
    }
    g_assert_no_error(error);
    g_assert_cmpint(vdevice_alloc(m.host, m.viommu_id, m.dev_id, VSID,
                                  &m.vdevice_id), ==, 0);
    machine_cleanup(&m);
}

static void test_messages(void)
{
    const struct iommu_hwpt_arm_smmuv3 ste = { { GUINT64_TO_LE(3), 0 } };
    struct iommu_hw_info_arm_smmuv3 info;
    GError *error = NULL;
    uint32_t id = 4711;
    Machine m;
    int fd;

    machine_init(&m);           /* device 1, IOAS 2, HWPT 3, vIOMMU 4 */
    g_assert_false(iommufd_destroy(m.host, m.viommu_id, &error));
    assert_error(&error, VIOMMU_ERROR_HOST,
                 "cannot destroy host object 4: Device or resource busy");
    g_assert_false(iommufd_nest_parent_alloc(m.host, 99, 2, &id, &error));
    assert_error(&error, VIOMMU_ERROR_HOST,
                 "cannot allocate a nest parent HWPT for device 99 on IOAS 2: "
                 "No such file or directory");
    g_assert_false(iommufd_viommu_alloc(m.host, 2, 1, 3, &id, &error));
    assert_error(&error, VIOMMU_ERROR_HOST,
                 "cannot allocate a vIOMMU of type 2, NVIDIA CMDQV, for device "
                 "1 on HWPT 3 (the host's IOMMU driver has no vIOMMU of this "
                 "type: that takes an Arm SMMUv3 with both stages, and S2FWB "
                 "or CANWBS): Operation not supported");
    g_assert_false(iommufd_nested_hwpt_alloc(m.host, 1, 4,
                                             IOMMU_HWPT_DATA_ARM_SMMUV3, &ste,
                                             sizeof(ste), &id, &error));
    assert_error(&error, VIOMMU_ERROR_HOST,
                 "cannot allocate a nested HWPT (data type 2) for device 1 on "
                 "vIOMMU 4: Input/output error");
    g_assert_false(iommufd_vdevice_alloc(m.host, 4, 1, 0x1234, &id, &error));
    assert_error(&error, VIOMMU_ERROR_HOST,
                 "cannot allocate a vDEVICE with virtual ID 0x1234 for "
                 "device 1 on vIOMMU 4: File exists");
    fd = 4711;
    g_assert_false(iommufd_veventq_alloc(m.host, 4, 1, 0, &id, &fd, &error));
    assert_error(&error, VIOMMU_ERROR_HOST,
                 "cannot allocate a vEVENTQ (type 1, depth 0) on vIOMMU 4: "
                 "Invalid argument");
    g_assert_false(iommufd_hw_info_arm_smmuv3(m.host, 2, &info, &error));
    assert_error(&error, VIOMMU_ERROR_HOST,
                 "cannot get the hardware info of device 2: "
                 "No such file or directory");
    /* Out parameters are written on success only. */
    g_assert_cmpuint(id, ==, 4711);
    g_assert_cmpint(fd, ==, 4711);
    machine_cleanup(&m);
}

static void test_fault_queue_and_vtd(void)
{
    const struct iommu_hwpt_vtd_s1 s1 = { .addr_width = 57 };
    IommufdHwpt hwpt = {
        .flags = IOMMU_HWPT_ALLOC_PASID | IOMMU_HWPT_FAULT_ID_VALID,
        .data_type = IOMMU_HWPT_DATA_VTD_S1,
        .data_len = sizeof(s1),
        .data = &s1,
    };
    const struct iommu_hwpt_vtd_s1_invalidate all = { .npages = UINT64_MAX };
    struct iommu_hw_info_vtd info;
    GError *error = NULL;
    uint32_t hwpt_id;
    uint32_t num = 1;
    FaultMachine m;
    int fd;

    fault_machine_init(&m);
    g_assert_true(iommufd_fault_queue_alloc(m.host, &hwpt.fault_id, &fd,
                                            &error));
    hwpt.dev_id = m.dev_id;
    hwpt.pt_id = m.parent_id;
    g_assert_true(iommufd_hwpt_alloc(m.host, &hwpt, &hwpt_id, &error));
    fault_attach(&m, hwpt_id);
    g_assert_cmpint(fault_raise(&m, 1, true), ==, EMUL_REPORT_QUEUED);
    g_assert_cmpint(poll_now(fd), ==, POLLIN | POLLRDNORM | POLLOUT);
    fault_attach(&m, m.nested_id);
    g_assert_cmpint(iommufd_invalidate(m.host, hwpt_id,
                                       IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
                                       &all, sizeof(all), &num), ==, 0);
    g_assert_cmpuint(num, ==, 1);
    g_assert_true(iommufd_hw_info_vtd(m.host, m.dev_id, &info, &error));
    g_assert_cmpuint(info.ecap_reg >> 29 & 1, ==, 1);   /* PRS */
    g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
    g_assert_true(iommufd_destroy(m.host, hwpt_id, &error));
    g_assert_true(iommufd_destroy(m.host, hwpt.fault_id, &error));
    g_assert_no_error(error);
    fault_machine_cleanup(&m);
}

static void test_fault_queue_messages(void)
{
    const EmulFailure failure = {
        EMUL_CALL_IOCTL, IOMMU_FAULT_QUEUE_ALLOC, 1, 1, EMFILE,
    };
    const IommufdHwpt hwpt = {
        .dev_id = 1, .pt_id = 2, .flags = IOMMU_HWPT_FAULT_ID_VALID,
        .fault_id = 99,
    };
    struct iommu_hw_info_arm_smmuv3 arm;
    struct iommu_hw_info_vtd vtd;
    GError *error = NULL;
    uint32_t id = 4711;
    int fd = 4711;
    FaultMachine f;
    Machine m;

    fault_machine_init(&f);     /* device 1, IOAS 2 */
    emul_set_failure(f.host, &failure);
    g_assert_false(iommufd_fault_queue_alloc(f.host, &id, &fd, &error));
    assert_error(&error, VIOMMU_ERROR_RESOURCE,
                 "cannot allocate a fault queue: Too many open files");
    g_assert_false(iommufd_hwpt_alloc(f.host, &hwpt, &id, &error));
    assert_error(&error, VIOMMU_ERROR_HOST,
                 "cannot allocate a HWPT (flags 0x4, data type 0, fault queue "
                 "99) for device 1 on page table 2: No such file or "
                 "directory");
    g_assert_false(iommufd_hw_info_arm_smmuv3(f.host, 1, &arm, &error));
    assert_error(&error, VIOMMU_ERROR_HOST,
                 "the host IOMMU of device 1 is of type 1 (Intel VT-d), but "
                 "this vIOMMU needs Arm SMMUv3 (type 2)");
    g_assert_cmpuint(id, ==, 4711);
    g_assert_cmpint(fd, ==, 4711);
    fault_machine_cleanup(&f);

    machine_init(&m);
    g_assert_false(iommufd_hw_info_vtd(m.host, 1, &vtd, &error));
    assert_error(&error, VIOMMU_ERROR_HOST,
                 "the host IOMMU of device 1 is of type 2 (Arm SMMUv3), but "
                 "this vIOMMU needs Intel VT-d (type 1)");
    machine_cleanup(&m);
}

static void test_resource_code(void)
{
    const EmulFailure failure = { EMUL_CALL_IOCTL, 0, 1, 1, EMFILE };
    GError *error = NULL;
    uint32_t id;
    Machine m;

    machine_init(&m);
    emul_set_failure(m.host, &failure);
    g_assert_false(iommufd_ioas_alloc(m.host, &id, &error));
    assert_error(&error, VIOMMU_ERROR_RESOURCE,
                 "cannot allocate an IOAS: Too many open files");
    machine_cleanup(&m);
}

static void test_null_error(void)
{
    HostIommu *host = emul_new(NULL);

    g_assert_false(iommufd_destroy(host, 1, NULL));
    host_iommu_free(host);
}

static void test_invalidate(void)
{
    const uint64_t entries[3][2] = {
        { GUINT64_TO_LE(UINT64_C(0x30)), 0 },
        { GUINT64_TO_LE(UINT64_C(0x30)), 0 },
        { GUINT64_TO_LE(UINT64_C(0x46)), 0 },
    };
    const EmulFailure failure = { EMUL_CALL_IOCTL, 0, 1, 1, ENOMEM };
    const uint32_t type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3;
    uint32_t num = 2;
    Machine m;

    machine_init(&m);
    g_assert_cmpint(iommufd_invalidate(m.host, m.viommu_id, type, entries, 16,
                                       &num), ==, 0);
    g_assert_cmpuint(num, ==, 2);
    num = 3;
    g_assert_cmpint(iommufd_invalidate(m.host, m.viommu_id, type, entries, 16,
                                       &num), ==, -EIO);
    g_assert_cmpuint(num, ==, 2);
    /* The call did not get as far as writing the number back. */
    num = 3;
    emul_set_failure(m.host, &failure);
    g_assert_cmpint(iommufd_invalidate(m.host, m.viommu_id, type, entries, 16,
                                       &num), ==, -ENOMEM);
    g_assert_cmpuint(num, ==, 0);
    machine_cleanup(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    viommu_error_quark();
    g_test_add_func("/iommufd/success", test_success);
    g_test_add_func("/iommufd/messages-name-ids-and-errno", test_messages);
    g_test_add_func("/iommufd/fault-queue-and-vtd", test_fault_queue_and_vtd);
    g_test_add_func("/iommufd/fault-queue-messages",
                    test_fault_queue_messages);
    g_test_add_func("/iommufd/resource-code", test_resource_code);
    g_test_add_func("/iommufd/null-error", test_null_error);
    g_test_add_func("/iommufd/invalidate-number-handled", test_invalidate);
    return g_test_run();
}
