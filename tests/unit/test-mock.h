/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the dressed mock driver share: a device behind an SMMUv3 or
 * a VT-d unit, with all that it takes to fault. The driver is the emulated
 * host's, so they need no kernel; with VPUMP_TEST_IOMMUFD=/dev/iommu in the
 * environment it is the kernel's.
 */
#ifndef TEST_MOCK_H
#define TEST_MOCK_H

#include "host/emul.h"
#include "host/iommufd.h"
#include "host/mock-abi.h"
#include "host/mock.h"
#include "host/vfio-abi.h"
#include "host/vfio-device.h"

#include <errno.h>

#define MOCK_SID 0x1234u

/**
 * struct MockRig - a host and a device of it
 * @inner: the emulated host below
 * @viommu_id, @vdevice_id: SMMUv3 only
 * @fault_id, @fault_fd: VT-d only
 * @hwpt_id: nested; the device is attached to it
 */
typedef struct MockRig {
    HostIommu *host;
    HostIommu *inner;
    VfioDevice *vfio;
    uint32_t dev_id;
    uint32_t ioas_id;
    uint32_t parent_id;
    uint32_t viommu_id;
    uint32_t vdevice_id;
    uint32_t fault_id;
    int fault_fd;
    uint32_t hwpt_id;
} MockRig;

/* The kernel's iommufd to test on, or NULL. */
static inline const char *mock_rig_kernel(void)
{
    return g_getenv("VPUMP_TEST_IOMMUFD");
}

static inline HostIommu *mock_rig_host(HostIommu **inner)
{
    GError *error = NULL;
    HostIommu *host;

    *inner = mock_rig_kernel() ? host_syscalls_new(mock_rig_kernel(), &error)
                               : emul_new(&error);
    g_assert_no_error(error);
    host = mock_host_new(*inner, &error);
    g_assert_no_error(error);
    return host;
}

static inline VfioDevice *mock_rig_device(HostIommu *host, HardwareIommu iommu)
{
    int fd = host->hardware->device_open(host, iommu);
    GError *error = NULL;
    VfioDevice *vfio;

    g_assert_cmpint(fd, >=, 0);
    vfio = vfio_device_bind(host, fd, "mock", &error);
    g_assert_no_error(error);
    return vfio;
}

/* With an SMMUv3's STE for stage 1, or a VT-d's table and a fault queue. */
static inline uint32_t mock_rig_nested(MockRig *rig, HardwareIommu iommu)
{
    const struct iommu_hwpt_arm_smmuv3 ste = { { GUINT64_TO_LE(0x0b), 0 } };
    const struct iommu_hwpt_vtd_s1 s1 = { .addr_width = 48 };
    IommufdHwpt hwpt = { .dev_id = rig->dev_id };
    GError *error = NULL;
    uint32_t id = 0;

    if (iommu == HARDWARE_SMMUV3) {
        hwpt.pt_id = rig->viommu_id;
        hwpt.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3;
        hwpt.data = &ste;
        hwpt.data_len = sizeof(ste);
    } else {
        hwpt.pt_id = rig->parent_id;
        hwpt.flags = IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID;
        hwpt.fault_id = rig->fault_id;
        hwpt.data_type = IOMMU_HWPT_DATA_VTD_S1;
        hwpt.data = &s1;
        hwpt.data_len = sizeof(s1);
    }
    iommufd_hwpt_alloc(rig->host, &hwpt, &id, &error);
    g_assert_no_error(error);
    return id;
}

static inline void mock_rig_up(MockRig *rig, HardwareIommu iommu)
{
    IommufdHwpt parent = { 0 };
    GError *error = NULL;

    *rig = (MockRig){ .fault_fd = -1 };
    rig->host = mock_rig_host(&rig->inner);
    rig->vfio = mock_rig_device(rig->host, iommu);
    rig->dev_id = vfio_device_get_dev_id(rig->vfio);
    iommufd_ioas_alloc(rig->host, &rig->ioas_id, &error);
    g_assert_no_error(error);
    parent.dev_id = rig->dev_id;
    parent.pt_id = rig->ioas_id;
    parent.flags = IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_PASID;
    iommufd_hwpt_alloc(rig->host, &parent, &rig->parent_id, &error);
    g_assert_no_error(error);
    if (iommu == HARDWARE_SMMUV3) {
        iommufd_viommu_alloc(rig->host, IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
                             rig->dev_id, rig->parent_id, &rig->viommu_id,
                             &error);
        g_assert_no_error(error);
        iommufd_vdevice_alloc(rig->host, rig->viommu_id, rig->dev_id, MOCK_SID,
                              &rig->vdevice_id, &error);
    } else {
        iommufd_fault_queue_alloc(rig->host, &rig->fault_id, &rig->fault_fd,
                                  &error);
    }
    g_assert_no_error(error);
    rig->hwpt_id = mock_rig_nested(rig, iommu);
    vfio_device_attach(rig->vfio, rig->hwpt_id, &error);
    g_assert_no_error(error);
}

/* 0 or -errno */
static inline int mock_destroy_id(HostIommu *host, uint32_t id)
{
    struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

    return host->ops->ioctl(host, host->fd, IOMMU_DESTROY, &cmd) < 0 ? -errno
                                                                     : 0;
}

/* Nothing may be left, here or below. */
static inline void mock_rig_expect_empty(HostIommu *host, HostIommu *inner)
{
    if (!mock_rig_kernel()) {
        g_assert_cmpuint(emul_get_stats(inner).objects, ==, 0);
    }
    g_assert_cmpuint(host->hardware->count_left(host), ==, 0);
    g_assert_cmpuint(host->hardware->get_stats(host).objects, ==, 0);
}

/* Whatever the rig has; then nothing may be left, here or below. */
static inline void mock_rig_down(MockRig *rig)
{
    const uint32_t ids[] = {
        rig->vdevice_id, rig->hwpt_id, rig->viommu_id, rig->fault_id,
        rig->parent_id, rig->ioas_id,
    };

    if (rig->vfio) {
        vfio_device_detach(rig->vfio);
    }
    if (rig->fault_fd >= 0) {
        rig->host->ops->close(rig->host, rig->fault_fd);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        if (ids[i]) {
            g_assert_cmpint(mock_destroy_id(rig->host, ids[i]), ==, 0);
        }
    }
    vfio_device_free(rig->vfio);
    mock_rig_expect_empty(rig->host, rig->inner);
    host_iommu_free(rig->host);
}

#endif
