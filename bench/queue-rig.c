/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "queue-rig.h"

#include "bench.h"

#include "host/iommufd.h"

/* STE (IHI 0070, 5.2): V, Config "bypass". */
#define STE0_BYPASS UINT64_C(0x9)

static void open_device(QueueRig *rig, HostIommu *host)
{
    GError *error = NULL;
    int fd = host->hardware->device_open(host, HARDWARE_SMMUV3);

    g_assert(fd >= 0);
    rig->vfio = vfio_device_bind(host, fd, "bench", &error);
    bench_must(rig->vfio, &error);
    rig->device.dev_id = vfio_device_get_dev_id(rig->vfio);
}

void queue_rig_open(QueueRig *rig, HostIommu *host, uint32_t depth,
                    uint32_t virt_id)
{
    const struct iommu_hwpt_arm_smmuv3 bypass = { .ste = { STE0_BYPASS } };
    uint32_t dev_id;
    GError *e = NULL;

    *rig = (QueueRig){ .host = host, .device.virt_id = virt_id };
    open_device(rig, host);
    dev_id = rig->device.dev_id;
    bench_must(iommufd_ioas_alloc(host, &rig->ioas_id, &e), &e);
    bench_must(iommufd_nest_parent_alloc(host, dev_id, rig->ioas_id,
                                         &rig->parent_id, &e), &e);
    bench_must(iommufd_viommu_alloc(host, IOMMU_VIOMMU_TYPE_ARM_SMMUV3, dev_id,
                                    rig->parent_id, &rig->viommu_id, &e), &e);
    bench_must(iommufd_vdevice_alloc(host, rig->viommu_id, dev_id, virt_id,
                                     &rig->vdevice_id, &e), &e);
    bench_must(iommufd_veventq_alloc(host, rig->viommu_id,
                                     IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, depth,
                                     &rig->veventq_id, &rig->fd, &e), &e);
    bench_must(iommufd_nested_hwpt_alloc(host, dev_id, rig->viommu_id,
                                         IOMMU_HWPT_DATA_ARM_SMMUV3, &bypass,
                                         sizeof(bypass), &rig->bypass_id, &e),
               &e);
    bench_must(vfio_device_attach(rig->vfio, rig->bypass_id, &e), &e);
}

void queue_rig_close(QueueRig *rig)
{
    const uint32_t ids[] = {
        rig->veventq_id, rig->bypass_id, rig->vdevice_id,
        rig->viommu_id,  rig->parent_id, rig->ioas_id,
    };
    GError *error = NULL;

    rig->host->ops->close(rig->host, rig->fd);
    vfio_device_detach(rig->vfio);
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        bench_must(iommufd_destroy(rig->host, ids[i], &error), &error);
    }
    vfio_device_free(rig->vfio);
}
