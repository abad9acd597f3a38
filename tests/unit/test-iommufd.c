/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each wrapper once with success, once with its message.
 */
#include "host/iommufd.h"

#include "base/error.h"
#include "test-emul.h"

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
                 "cannot allocate a vIOMMU (type 2) for device 1 on HWPT 3: "
                 "Operation not supported");
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
    g_test_add_func("/iommufd/resource-code", test_resource_code);
    g_test_add_func("/iommufd/null-error", test_null_error);
    g_test_add_func("/iommufd/invalidate-number-handled", test_invalidate);
    return g_test_run();
}
