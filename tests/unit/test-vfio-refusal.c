/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All that a kernel may refuse while a device is plugged in: bound, checked,
 * given a vIOMMU, attached. Each refusal is one message that names the device
 * and says what is missing and what to do, and leaves nothing behind: then the
 * same device is plugged in.
 */
#include "fixture.h"
#include "pasid-fixture.h"
#include "proc-self.h"

#include "base/error.h"
#include "base/rcu.h"
#include "host/vfio-abi.h"

#include <errno.h>
#include <string.h>

typedef struct Refusal {
    const char *name;
    unsigned long request;
    uint64_t nth;               /* of these requests */
    int err;
    const char *what;           /* in the message: what failed */
    const char *remedy;         /* in the message: what to do; NULL: nothing */
} Refusal;

/* Of an SMMUv3, with the guest's event queue on. */
static const Refusal smmuv3_refusals[] = {
    { "bind-old-kernel", VFIO_DEVICE_BIND_IOMMUFD, 1, ENOTTY,
      "cannot bind fd", "Linux 6.6 with CONFIG_VFIO_DEVICE_CDEV" },
    { "bind-busy", VFIO_DEVICE_BIND_IOMMUFD, 1, EBUSY, "cannot bind fd",
      "end that first" },
    { "bind-not-coherent", VFIO_DEVICE_BIND_IOMMUFD, 1, EINVAL,
      "cannot bind fd", "another process has it bound: end that first" },
    { "bind-interrupts", VFIO_DEVICE_BIND_IOMMUFD, 1, EPERM, "cannot bind fd",
      "allow_unsafe_interrupts=1" },
    { "bind-no-iommu", VFIO_DEVICE_BIND_IOMMUFD, 1, ENODEV, "cannot bind fd",
      "behind no IOMMU" },
    { "hw-info-old-kernel", IOMMU_GET_HW_INFO, 1, ENOTTY,
      "cannot get the hardware info of device", "Linux 6.6" },
    { "no-iommufd", IOMMU_IOAS_ALLOC, 1, ENOTTY, "cannot allocate an IOAS",
      "no iommufd" },
    { "no-nesting", IOMMU_HWPT_ALLOC, 1, EOPNOTSUPP, "cannot allocate a HWPT",
      "no nested translation: that takes an Arm SMMUv3 with both stages" },
    { "nesting-old-kernel", IOMMU_HWPT_ALLOC, 1, ENOTTY,
      "cannot allocate a HWPT", "Linux 6.7" },
    { "no-viommu", IOMMU_VIOMMU_ALLOC, 1, EOPNOTSUPP,
      "cannot allocate a vIOMMU of type 1, Arm SMMUv3, for device",
      "takes an Arm SMMUv3 with both stages, and S2FWB or CANWBS" },
    { "viommu-old-kernel", IOMMU_VIOMMU_ALLOC, 1, ENOTTY,
      "cannot allocate a vIOMMU of type 1, Arm SMMUv3", "Linux 6.13" },
    { "abort-hwpt", IOMMU_HWPT_ALLOC, 2, EOPNOTSUPP,
      "cannot allocate a nested HWPT", NULL },
    { "bypass-hwpt", IOMMU_HWPT_ALLOC, 3, ENOMEM,
      "cannot allocate a nested HWPT", NULL },
    { "memlock", IOMMU_IOAS_MAP, 1, ENOMEM,
      "cannot map 4194304 bytes of guest memory at 0x40000000 into IOAS",
      "RLIMIT_MEMLOCK" },
    { "reserved-address", IOMMU_IOAS_MAP, 1, EINVAL,
      "cannot map 4194304 bytes of guest memory", "reserves part of it" },
    { "vdevice-old-kernel", IOMMU_VDEVICE_ALLOC, 1, ENOTTY,
      "cannot allocate a vDEVICE with virtual ID 0x9 for device",
      "Linux 6.13" },
    { "vdevice", IOMMU_VDEVICE_ALLOC, 1, EINVAL,
      "cannot allocate a vDEVICE with virtual ID 0x9 for device", NULL },
    { "event-queue-old-kernel", IOMMU_VEVENTQ_ALLOC, 1, ENOTTY,
      "cannot allocate a vEVENTQ (type 1, depth 16)", "Linux 6.15" },
    { "attach", VFIO_DEVICE_ATTACH_IOMMUFD_PT, 1, EINVAL,
      "cannot attach device", NULL },
};

/* Of a VT-d unit whose guest has a first stage for the device already. */
static const Refusal vtd_refusals[] = {
    { "no-nesting", IOMMU_HWPT_ALLOC, 1, EOPNOTSUPP, "cannot allocate a HWPT",
      "Intel VT-d in scalable mode, intel_iommu=on,sm_on" },
    { "page-requests-old-kernel", IOMMU_FAULT_QUEUE_ALLOC, 1, ENOTTY,
      "cannot allocate a fault queue", "Linux 6.11" },
    { "virtual-function", VFIO_DEVICE_ATTACH_IOMMUFD_PT, 1, EINVAL,
      "cannot attach", "a device without PRI, cannot have them: then "
      "give the vIOMMU svm=off" },
    { "no-PRI", VFIO_DEVICE_ATTACH_IOMMUFD_PT, 1, EOPNOTSUPP,
      "cannot attach", "a device without PRI, cannot have them: then "
      "give the vIOMMU svm=off" },
    { "memlock", IOMMU_IOAS_MAP, 1, ENOMEM,
      "cannot map 4194304 bytes of guest memory at 0x40000000 into IOAS",
      "RLIMIT_MEMLOCK" },
};

/* Bound and plugged, or not even open. */
static VfioDevice *plug(HostIommu *host, Viommu *viommu, EmulIommu iommu,
                        uint32_t id, GError **error)
{
    int fd = emul_device_open_behind(host, iommu);
    VfioDevice *device = vfio_device_bind(host, fd, "nic0", error);

    if (!device) {
        host->ops->close(host, fd);
        return NULL;
    }
    if (!viommu_add_device(viommu, device, id, error)) {
        vfio_device_free(device);
        return NULL;
    }
    return device;
}

static void check_refusal(const Refusal *r, HostIommu *host, Viommu *viommu,
                          EmulIommu iommu, uint32_t id)
{
    const EmulFailure failure = {
        .call = EMUL_CALL_IOCTL, .request = r->request, .nth = r->nth,
        .times = 1, .err = r->err,
    };
    uint64_t objects = emul_get_stats(host).objects;
    unsigned fds = proc_self_fds();
    g_autoptr(GError) error = NULL;
    VfioDevice *device;

    message_log_start();
    emul_set_failure(host, &failure);
    g_assert_null(plug(host, viommu, iommu, id, &error));
    emul_set_failure(host, &(EmulFailure){ 0 });
    g_assert_nonnull(error);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, "nic0"));
    g_assert_nonnull(strstr(error->message, r->what));
    g_assert_nonnull(strstr(error->message, r->remedy ? r->remedy : ""));
    g_assert_true(g_str_has_suffix(error->message, g_strerror(r->err)));
    g_assert_cmpuint(emul_get_stats(host).objects, ==, objects);
    g_assert_cmpuint(emul_get_mapped(host).bytes, ==, 0);
    g_assert_cmpuint(proc_self_fds(), ==, fds);
    device = plug(host, viommu, iommu, id, NULL);
    g_assert_nonnull(device);
    g_assert_true(viommu_remove_device(viommu, id));
    vfio_device_free(device);
    /* One message, and none from the way back. */
    g_assert_cmpuint(message_log_count(), ==, 0);
    message_log_stop();
}

static void test_smmuv3(gconstpointer data)
{
    Fixture *f = fixture_new(NULL, false);

    guest_start(f, 4, 4);
    check_refusal(data, f->host, f->viommu, EMUL_IOMMU_SMMUV3, 9);
    fixture_free(f);
}

static void test_vtd(gconstpointer data)
{
    pasid_setup();
    pasid_start();
    vtd_tables_set_first_stage(&pf.t, PASID_RID, 1, 7, PASID_SPACE);
    check_refusal(data, pf.f->host, pf.f->viommu, EMUL_IOMMU_VTD, PASID_RID);
    pasid_teardown();
}

static void add_tests(const char *prefix, const Refusal *refusals,
                      size_t count, GTestDataFunc func)
{
    for (size_t i = 0; i < count; i++) {
        g_autofree char *path = g_strconcat(prefix, refusals[i].name, NULL);

        g_test_add_data_func(path, &refusals[i], func);
    }
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    add_tests("/vfio/refusal/smmuv3/", smmuv3_refusals,
              G_N_ELEMENTS(smmuv3_refusals), test_smmuv3);
    add_tests("/vfio/refusal/vtd/", vtd_refusals, G_N_ELEMENTS(vtd_refusals),
              test_vtd);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
