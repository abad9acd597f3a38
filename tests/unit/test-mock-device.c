/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices and objects of the dressed mock driver: they look as if they were
 * behind an SMMUv3 or a VT-d unit, what the guest says is checked as these
 * would, and nothing is left of them.
 */
#include "test-mock.h"

#include "base/error.h"

#include <string.h>

/* ---- Without the test ioctl ---- */

static int inner_err;

static int failing_ioctl(HostIommu *host, int fd, unsigned long request,
                         void *arg)
{
    errno = inner_err;
    return -1;
}

static void test_no_test_ioctl(void)
{
    static const HostIommuOps ops = { .ioctl = failing_ioctl };
    HostIommu inner = { .ops = &ops, .fd = -1 };
    GError *error = NULL;

    inner_err = ENOTTY;
    g_assert_null(mock_host_new(&inner, &error));
    g_assert_cmpstr(error->message, ==,
                    "no mock devices: IOMMU_TEST_CMD (the kernel was built "
                    "without CONFIG_IOMMUFD_TEST): Inappropriate ioctl for "
                    "device");
    g_clear_error(&error);
    inner_err = EIO;
    g_assert_null(mock_host_new(&inner, &error));
    g_assert_cmpstr(error->message, ==,
                    "no mock devices: IOMMU_TEST_CMD: Input/output error");
    g_clear_error(&error);
}

/* ---- Devices ---- */

static void test_hardware_info(void)
{
    struct iommu_hw_info_arm_smmuv3 smmuv3;
    struct iommu_hw_info_vtd vtd;
    GError *error = NULL;
    HostIommu *inner, *host = mock_rig_host(&inner);
    VfioDevice *a = mock_rig_device(host, HARDWARE_SMMUV3);
    VfioDevice *b = mock_rig_device(host, HARDWARE_VTD);

    iommufd_hw_info_arm_smmuv3(host, vfio_device_get_dev_id(a), &smmuv3,
                               &error);
    g_assert_no_error(error);
    g_assert_cmphex(smmuv3.idr[0], !=, 0);
    iommufd_hw_info_vtd(host, vfio_device_get_dev_id(b), &vtd, &error);
    g_assert_no_error(error);
    g_assert_cmphex(vtd.ecap_reg, !=, 0);
    g_assert_false(iommufd_hw_info_vtd(host, vfio_device_get_dev_id(a), &vtd,
                                       NULL));
    vfio_device_free(a);
    vfio_device_free(b);
    host_iommu_free(host);
}

static int device_ioctl(HostIommu *host, int fd, unsigned long request,
                        void *arg)
{
    return host->ops->ioctl(host, fd, request, arg) < 0 ? -errno : 0;
}

static void test_fd_is_a_vfio_device(void)
{
    struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
    struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
    HostIommu *inner, *host = mock_rig_host(&inner);
    int fd = host->hardware->device_open(host, HARDWARE_SMMUV3);

    g_assert_cmpint(device_ioctl(host, fd, IOMMU_DESTROY, &bind), ==, -ENOTTY);
    g_assert_cmpint(device_ioctl(host, fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
                                 &attach), ==, -EINVAL);
    bind.iommufd = fd;
    g_assert_cmpint(device_ioctl(host, fd, VFIO_DEVICE_BIND_IOMMUFD, &bind),
                    ==, -EBADF);
    bind.iommufd = host->fd;
    bind.argsz--;
    g_assert_cmpint(device_ioctl(host, fd, VFIO_DEVICE_BIND_IOMMUFD, &bind),
                    ==, -EINVAL);
    bind.argsz++;
    g_assert_cmpint(device_ioctl(host, fd, VFIO_DEVICE_BIND_IOMMUFD, &bind),
                    ==, 0);
    g_assert_cmpint(device_ioctl(host, fd, VFIO_DEVICE_BIND_IOMMUFD, &bind),
                    ==, -EINVAL);
    /* PASIDs are a VT-d's alone. */
    attach.flags = VFIO_DEVICE_ATTACH_PASID;
    attach.pasid = 1;
    g_assert_cmpint(device_ioctl(host, fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
                                 &attach), ==, -EOPNOTSUPP);
    g_assert_cmpint(host->ops->close(host, fd), ==, 0);
    mock_rig_expect_empty(host, inner);
    host_iommu_free(host);
}

/* As VFIO's, and not attached to an automatic HWPT, which takes none. */
static void test_detached_device_takes_pasids(void)
{
    GError *error = NULL;
    MockRig rig;

    mock_rig_up(&rig, HARDWARE_VTD);
    vfio_device_detach(rig.vfio);
    vfio_device_attach_pasid(rig.vfio, 1, rig.hwpt_id, &error);
    g_assert_no_error(error);
    vfio_device_detach_pasid(rig.vfio, 1);
    vfio_device_detach_pasid(rig.vfio, 1);
    mock_rig_down(&rig);
}

/* Each step of binding the first device fails in turn. */
static void test_bind_leaves_nothing_if_it_fails(void)
{
    HostIommu *inner, *host = mock_rig_host(&inner);
    unsigned failed = 0;
    bool bound = false;

    for (uint64_t n = 1; !bound; n++) {
        EmulFailure failure = {
            .call = EMUL_CALL_IOCTL, .nth = n, .times = 1, .err = ENOMEM,
        };
        int fd = host->hardware->device_open(host, HARDWARE_VTD);
        GError *error = NULL;
        VfioDevice *vfio;

        emul_set_failure(inner, &failure);
        vfio = vfio_device_bind(host, fd, "mock", &error);
        emul_set_failure(inner, &(EmulFailure){ 0 });
        if (vfio) {
            bound = true;
            vfio_device_free(vfio);
        } else {
            failed++;
            g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_RESOURCE);
            g_clear_error(&error);
            host->ops->close(host, fd);
        }
        mock_rig_expect_empty(host, inner);
    }
    g_assert_cmpuint(failed, ==, 4);    /* IOAS, device, HWPT, replace */
    host_iommu_free(host);
}

/* A detach cannot fail; the ioctl that it is may. */
static void test_detach_is_tried_again(void)
{
    EmulFailure failure = {
        .call = EMUL_CALL_IOCTL, .nth = 1, .times = 1, .err = ENOMEM,
    };
    MockRig rig;

    mock_rig_up(&rig, HARDWARE_SMMUV3);
    emul_set_failure(rig.inner, &failure);
    vfio_device_detach(rig.vfio);
    emul_set_failure(rig.inner, &(EmulFailure){ 0 });
    g_assert_cmpint(mock_destroy_id(rig.host, rig.hwpt_id), ==, 0);
    rig.hwpt_id = 0;
    mock_rig_down(&rig);
}

static void test_left_objects_are_found(void)
{
    HostIommu *inner, *host = mock_rig_host(&inner);
    uint32_t ids[3];

    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_assert_true(iommufd_ioas_alloc(host, &ids[i], NULL));
    }
    g_assert_cmpint(mock_destroy_id(host, ids[1]), ==, 0);
    g_assert_cmpuint(host->hardware->count_left(host), ==, 2);
    g_assert_cmpuint(host->hardware->count_left(host), ==, 0);
    host_iommu_free(host);
}

/* They get the numbers that ours had. */
static void test_others_objects_stay(void)
{
    HostIommu *inner, *host = mock_rig_host(&inner);
    VfioDevice *vfio = mock_rig_device(host, HARDWARE_VTD);
    uint32_t ids[8];
    GError *error = NULL;

    g_assert_true(iommufd_ioas_alloc(host, &ids[0], NULL));
    vfio_device_attach(vfio, ids[0], &error);
    g_assert_no_error(error);
    vfio_device_free(vfio);
    g_assert_cmpint(mock_destroy_id(host, ids[0]), ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_assert_true(iommufd_ioas_alloc(inner, &ids[i], NULL));
    }
    g_assert_cmpuint(host->hardware->count_left(host), ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_assert_cmpint(mock_destroy_id(inner, ids[i]), ==, 0);
    }
    host_iommu_free(host);
}

/* ---- What the guest says ---- */

static int nested_alloc(MockRig *rig, uint32_t pt_id, uint32_t type,
                        const void *data, uint32_t len, uint32_t *id)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd), .dev_id = rig->dev_id, .pt_id = pt_id,
        .data_type = type, .data_len = len, .data_uptr = (uintptr_t)data,
    };
    int ret = device_ioctl(rig->host, rig->host->fd, IOMMU_HWPT_ALLOC, &cmd);

    *id = cmd.out_hwpt_id;
    return ret;
}

static void test_ste_is_checked(void)
{
    /* Config is stage 2; a bit that is not the guest's. */
    static const uint64_t bad[][2] = {
        { 0x0d, 0 }, { 0x0b, UINT64_C(1) << 63 },
    };
    static const uint64_t good[2] = { 0x09, 0 };
    uint32_t id;
    MockRig rig;

    mock_rig_up(&rig, HARDWARE_SMMUV3);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(nested_alloc(&rig, rig.viommu_id,
                                     IOMMU_HWPT_DATA_ARM_SMMUV3, bad[i], 16,
                                     &id), ==, -EIO);
    }
    g_assert_cmpint(nested_alloc(&rig, rig.viommu_id,
                                 IOMMU_HWPT_DATA_ARM_SMMUV3, good, 15, &id),
                    ==, -EINVAL);
    g_assert_cmpint(nested_alloc(&rig, rig.parent_id,
                                 IOMMU_HWPT_DATA_ARM_SMMUV3, good, 16, &id),
                    ==, -EOPNOTSUPP);
    g_assert_cmpint(nested_alloc(&rig, rig.viommu_id,
                                 IOMMU_HWPT_DATA_ARM_SMMUV3, good, 16, &id),
                    ==, 0);
    g_assert_cmpint(mock_destroy_id(rig.host, id), ==, 0);
    mock_rig_down(&rig);
}

/* When it is attached, not when it is made. */
static void test_first_stage_table_is_checked(void)
{
    const struct iommu_hwpt_vtd_s1 bad = { .addr_width = 39 };
    GError *error = NULL;
    MockRig rig;
    uint32_t id;

    mock_rig_up(&rig, HARDWARE_VTD);
    g_assert_cmpint(nested_alloc(&rig, rig.parent_id, IOMMU_HWPT_DATA_VTD_S1,
                                 &bad, sizeof(bad), &id), ==, 0);
    g_assert_false(vfio_device_attach(rig.vfio, id, &error));
    g_assert_nonnull(strstr(error->message, g_strerror(EINVAL)));
    g_error_free(error);
    g_assert_cmpint(mock_destroy_id(rig.host, id), ==, 0);
    mock_rig_down(&rig);
}

/* ---- Invalidations ---- */

#define CMD_TLBI_NH_ALL UINT64_C(0x10)
#define CMD_CFGI_CD_ALL(sid) (UINT64_C(0x06) | (uint64_t)(sid) << 32)

enum { COMMANDS = 150 };

/* Is every cache entry of the device invalidated? */
static bool cache_is_empty(MockRig *rig)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd), .op = IOMMU_TEST_OP_DEV_CHECK_CACHE,
        .id = rig->dev_id,
    };

    return device_ioctl(rig->host, rig->host->fd, IOMMU_TEST_CMD, &cmd) == 0;
}

typedef struct CommandCase {
    const char *name;
    uint64_t bad;               /* at index 100; 0: none */
    int ret;
    uint32_t done;
} CommandCase;

/* More than a block of commands, so that an index is not a block's. */
static const CommandCase command_cases[] = {
    { "all-are-done", 0, 0, COMMANDS },
    { "bad-command-is-EIO", 0xff, -EIO, 100 },
    { "unknown-stream-is-EIO", CMD_CFGI_CD_ALL(0x9999), -EIO, 100 },
};

static void test_commands(gconstpointer data)
{
    struct iommu_viommu_arm_smmuv3_invalidate cmds[COMMANDS];
    const CommandCase *c = data;
    uint32_t num = COMMANDS;
    MockRig rig;

    mock_rig_up(&rig, HARDWARE_SMMUV3);
    for (unsigned i = 0; i < COMMANDS; i++) {
        cmds[i].cmd[0] = GUINT64_TO_LE(i % 2 ? CMD_TLBI_NH_ALL
                                             : CMD_CFGI_CD_ALL(MOCK_SID));
        cmds[i].cmd[1] = 0;
    }
    if (c->bad) {
        cmds[100].cmd[0] = GUINT64_TO_LE(c->bad);
    }
    g_assert_false(cache_is_empty(&rig));
    g_assert_cmpint(iommufd_invalidate(rig.host, rig.viommu_id,
                                       IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
                                       cmds, sizeof(cmds[0]), &num), ==,
                    c->ret);
    g_assert_cmpuint(num, ==, c->done);
    g_assert_true(cache_is_empty(&rig));
    g_assert_cmpuint(rig.host->hardware->get_stats(rig.host).invalidations, ==,
                     c->ret == 0 ? COMMANDS : 0);
    mock_rig_down(&rig);
}

/*
 * One that names no stream is done by a device, as long as there is one with a
 * vDEVICE: a device takes its own with it.
 */
static void test_command_without_stream(void)
{
    struct iommu_viommu_arm_smmuv3_invalidate cmd = {
        { GUINT64_TO_LE(CMD_TLBI_NH_ALL), 0 },
    };
    uint32_t num = 1;
    MockRig rig;

    mock_rig_up(&rig, HARDWARE_SMMUV3);
    g_assert_false(cache_is_empty(&rig));
    g_assert_cmpint(iommufd_invalidate(rig.host, rig.viommu_id,
                                       IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
                                       &cmd, sizeof(cmd), &num), ==, 0);
    g_assert_true(cache_is_empty(&rig));
    vfio_device_free(g_steal_pointer(&rig.vfio));
    rig.vdevice_id = 0;
    num = 1;
    g_assert_cmpint(iommufd_invalidate(rig.host, rig.viommu_id,
                                       IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
                                       &cmd, sizeof(cmd), &num), ==, 0);
    g_assert_cmpuint(num, ==, 1);
    mock_rig_down(&rig);
}

static bool iotlb_is_empty(MockRig *rig, uint32_t entry)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd), .op = IOMMU_TEST_OP_MD_CHECK_IOTLB,
        .id = rig->hwpt_id, .check_iotlb.id = entry,
    };

    return device_ioctl(rig->host, rig->host->fd, IOMMU_TEST_CMD, &cmd) == 0;
}

static void test_ranges(void)
{
    struct iommu_hwpt_vtd_s1_invalidate ranges[COMMANDS] = { 0 };
    uint32_t num = COMMANDS;
    MockRig rig;

    mock_rig_up(&rig, HARDWARE_VTD);
    for (unsigned i = 0; i < COMMANDS; i++) {
        ranges[i].addr = 0x2000;
        ranges[i].npages = 1;
    }
    ranges[120].addr = 0x2001;
    g_assert_cmpint(iommufd_invalidate(rig.host, rig.hwpt_id,
                                       IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
                                       ranges, sizeof(ranges[0]), &num), ==,
                    -EINVAL);
    g_assert_cmpuint(num, ==, 120);
    g_assert_true(iotlb_is_empty(&rig, 2));
    g_assert_false(iotlb_is_empty(&rig, 1));
    ranges[120].addr = 0;
    ranges[120].npages = UINT64_MAX;
    num = COMMANDS;
    g_assert_cmpint(iommufd_invalidate(rig.host, rig.hwpt_id,
                                       IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
                                       ranges, sizeof(ranges[0]), &num), ==, 0);
    g_assert_cmpuint(num, ==, COMMANDS);
    g_assert_true(iotlb_is_empty(&rig, 1));
    mock_rig_down(&rig);
}

/* ---- What is not ours ---- */

static void test_other_devices_pass_through(void)
{
    struct iommu_hw_info_arm_smmuv3 info;
    HostIommu *inner, *host = mock_rig_host(&inner);
    GError *error = NULL;
    int fd = emul_device_open(inner);
    VfioDevice *vfio = vfio_device_bind(host, fd, "other", &error);

    g_assert_no_error(error);
    g_assert_true(iommufd_hw_info_arm_smmuv3(host, vfio_device_get_dev_id(vfio),
                                             &info, NULL));
    vfio_device_free(vfio);
    mock_rig_expect_empty(host, inner);
    host_iommu_free(host);
}

/* Those that make calls below fail, or have other devices there. */
static void add_emulated_tests(void)
{
    g_test_add_func("/mock/device/bind-leaves-nothing-if-it-fails",
                    test_bind_leaves_nothing_if_it_fails);
    g_test_add_func("/mock/device/detach-is-tried-again",
                    test_detach_is_tried_again);
    g_test_add_func("/mock/other-devices-pass-through",
                    test_other_devices_pass_through);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mock/new/names-the-missing-option", test_no_test_ioctl);
    g_test_add_func("/mock/device/hardware-info", test_hardware_info);
    g_test_add_func("/mock/device/fd-is-a-VFIO-device",
                    test_fd_is_a_vfio_device);
    g_test_add_func("/mock/device/detached-takes-PASIDs",
                    test_detached_device_takes_pasids);
    g_test_add_func("/mock/device/left-objects-are-found",
                    test_left_objects_are_found);
    g_test_add_func("/mock/device/objects-of-others-are-left-alone",
                    test_others_objects_stay);
    g_test_add_func("/mock/hwpt/STE-is-checked", test_ste_is_checked);
    g_test_add_func("/mock/hwpt/first-stage-table-is-checked-at-attach",
                    test_first_stage_table_is_checked);
    for (unsigned i = 0; i < G_N_ELEMENTS(command_cases); i++) {
        g_autofree char *path = g_strconcat("/mock/invalidate/commands/",
                                            command_cases[i].name, NULL);

        g_test_add_data_func(path, &command_cases[i], test_commands);
    }
    g_test_add_func("/mock/invalidate/ranges", test_ranges);
    g_test_add_func("/mock/invalidate/command-without-a-stream",
                    test_command_without_stream);
    if (!mock_rig_kernel()) {
        add_emulated_tests();
    }
    return g_test_run();
}
