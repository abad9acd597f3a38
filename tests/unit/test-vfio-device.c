/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/vfio-device.h"

#include "base/error.h"
#include "test-emul-fault.h"

static void test_bind_and_free(void)
{
    HostIommu *host = emul_new(NULL);
    GError *error = NULL;
    char name[] = "0000:00:01.0";
    VfioDevice *device = vfio_device_bind(host, emul_device_open(host), name,
                                          &error);

    g_assert_no_error(error);
    name[0] = 'x';              /* copied */
    g_assert_true(vfio_device_get_host(device) == host);
    g_assert_cmpstr(vfio_device_get_name(device), ==, "0000:00:01.0");
    g_assert_cmpuint(vfio_device_get_dev_id(device), ==, 1);
    g_assert_cmpint(destroy(host, 1), ==, -EBUSY);
    vfio_device_free(device);
    g_assert_cmpint(destroy(host, 1), ==, -ENOENT);
    vfio_device_free(NULL);
    host_iommu_free(host);
}

/* The fd stays the caller's, who may try again. */
static void test_bind_fails(void)
{
    const EmulFailure failure = {
        EMUL_CALL_IOCTL, VFIO_DEVICE_BIND_IOMMUFD, 1, 1, ENOENT,
    };
    HostIommu *host = emul_new(NULL);
    g_autofree char *message = NULL;
    GError *error = NULL;
    VfioDevice *device;
    int fd = emul_device_open(host);

    emul_set_failure(host, &failure);
    g_assert_null(vfio_device_bind(host, fd, "dev0", &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    message = g_strdup_printf("dev0: cannot bind fd %d to iommufd %d: "
                              "No such file or directory", fd, host->fd);
    g_assert_cmpstr(error->message, ==, message);
    g_clear_error(&error);
    device = vfio_device_bind(host, fd, "dev0", &error);
    g_assert_no_error(error);
    vfio_device_free(device);
    host_iommu_free(host);
}

static void test_attach_and_detach(void)
{
    HostIommu *host = emul_new(NULL);
    GError *error = NULL;
    VfioDevice *device = vfio_device_bind(host, emul_device_open(host), "dev0",
                                          NULL);
    uint32_t hwpt_id;
    uint32_t ioas_id;

    g_assert_cmpint(ioas_alloc(host, &ioas_id), ==, 0);
    g_assert_cmpint(hwpt_alloc(host, 1, ioas_id, 0, &hwpt_id), ==, 0);
    g_assert_true(vfio_device_attach(device, hwpt_id, &error));
    g_assert_cmpint(destroy(host, hwpt_id), ==, -EBUSY);
    /* A failed move leaves it where it was. */
    g_assert_false(vfio_device_attach(device, 99, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==,
                    "dev0: cannot attach device 1 to page table 99: "
                    "No such file or directory");
    g_clear_error(&error);
    g_assert_cmpint(destroy(host, hwpt_id), ==, -EBUSY);
    vfio_device_detach(device);
    g_assert_cmpint(destroy(host, hwpt_id), ==, 0);
    vfio_device_detach(device);
    vfio_device_free(device);
    g_assert_cmpint(destroy(host, ioas_id), ==, 0);
    host_iommu_free(host);
}

static void test_free_detaches(void)
{
    HostIommu *host = emul_new(NULL);
    VfioDevice *device = vfio_device_bind(host, emul_device_open(host), "dev0",
                                          NULL);
    uint32_t ioas_id;

    g_assert_cmpint(ioas_alloc(host, &ioas_id), ==, 0);
    g_assert_true(vfio_device_attach(device, ioas_id, NULL));
    g_assert_cmpint(destroy(host, ioas_id), ==, -EBUSY);
    vfio_device_free(device);
    g_assert_cmpint(destroy(host, ioas_id), ==, 0);
    g_assert_cmpuint(emul_get_stats(host).objects, ==, 0);
    host_iommu_free(host);
}

static void test_attach_pasid(void)
{
    GError *error = NULL;
    VfioDevice *device;
    FaultMachine m;

    fault_machine_init(&m);
    device = vfio_device_bind(m.host,
                              emul_device_open_behind(m.host, EMUL_IOMMU_VTD),
                              "dev1", &error);
    g_assert_true(vfio_device_attach_pasid(device, 3, m.nested_id, &error));
    g_assert_no_error(error);
    g_assert_false(vfio_device_attach_pasid(device, 3, 99, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==,
                    "dev1: cannot attach PASID 3 of device 6 to page table "
                    "99: No such file or directory");
    g_clear_error(&error);
    g_assert_cmpint(destroy(m.host, m.nested_id), ==, -EBUSY);
    vfio_device_detach_pasid(device, 3);
    vfio_device_free(device);
    fault_machine_cleanup(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    viommu_error_quark();
    g_test_add_func("/vfio-device/bind-and-free", test_bind_and_free);
    g_test_add_func("/vfio-device/bind-fails", test_bind_fails);
    g_test_add_func("/vfio-device/attach-and-detach", test_attach_and_detach);
    g_test_add_func("/vfio-device/free-detaches", test_free_detaches);
    g_test_add_func("/vfio-device/attach-pasid", test_attach_pasid);
    return g_test_run();
}
