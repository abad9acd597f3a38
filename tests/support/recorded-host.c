/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recorded-host.h"

#include "host/iommufd.h"

#include <unistd.h>

char *recording_file_new(void)
{
    GError *error = NULL;
    char *path;
    int fd = g_file_open_tmp("vpump-recording-XXXXXX", &path, &error);

    g_assert_no_error(error);
    close(fd);
    unlink(path);
    return path;
}

void recording_file_free(char *path)
{
    unlink(path);
    g_free(path);
}

HostIommu *test_emul_new(void)
{
    GError *error = NULL;
    HostIommu *host = emul_new(&error);

    g_assert_no_error(error);
    return host;
}

Recorder *test_recorder_new(const char *path)
{
    GError *error = NULL;
    Recorder *recorder = recorder_new(path, 1 << 20, &error);

    g_assert_no_error(error);
    recorder_start(recorder, &error);
    g_assert_no_error(error);
    return recorder;
}

void test_recorder_close(Recorder *recorder)
{
    GError *error = NULL;

    recorder_close(recorder, &error);
    g_assert_no_error(error);
}

HostIommu *test_replay_new(const char *path, ReplaySpeed speed)
{
    GError *error = NULL;
    HostIommu *host = replay_host_new(path, NULL, speed, &error);

    g_assert_no_error(error);
    g_assert_null(replay_host_get_shortened(host));
    return host;
}

static VfioDevice *bind_device(HostIommu *host, int fd)
{
    GError *error = NULL;
    VfioDevice *device;

    g_assert_cmpint(fd, >=, 0);
    device = vfio_device_bind(host, fd, "dev", &error);
    g_assert_no_error(error);
    return device;
}

VfioDevice *recorded_device_open(HostIommu *inner, HostIommu *outer,
                                 uint32_t virt_id, EmulIommu iommu)
{
    VfioDevice *device =
        bind_device(outer, emul_device_open_behind(inner, iommu));

    record_host_identify(outer, vfio_device_get_dev_id(device), virt_id,
                         "dev");
    return device;
}

VfioDevice *replayed_device_open(HostIommu *host, uint32_t virt_id,
                                 EmulIommu iommu)
{
    return bind_device(host, replay_device_open(host, virt_id, iommu));
}

static void open_device(RecordedRig *rig, uint32_t virt_id, EmulIommu iommu)
{
    GError *error = NULL;
    IommufdHwpt parent = { .flags = IOMMU_HWPT_ALLOC_NEST_PARENT };

    rig->device =
        rig->inner ? recorded_device_open(rig->inner, rig->host, virt_id, iommu)
                   : replayed_device_open(rig->host, virt_id, iommu);
    iommufd_ioas_alloc(rig->host, &rig->ioas_id, &error);
    g_assert_no_error(error);
    parent.dev_id = vfio_device_get_dev_id(rig->device);
    parent.pt_id = rig->ioas_id;
    parent.flags |= iommu == EMUL_IOMMU_VTD ? IOMMU_HWPT_ALLOC_PASID : 0;
    iommufd_hwpt_alloc(rig->host, &parent, &rig->parent_id, &error);
    g_assert_no_error(error);
}

void recorded_rig_events(RecordedRig *rig, uint32_t virt_id, uint32_t depth)
{
    const struct iommu_hwpt_arm_smmuv3 bypass = { .ste = { 0x9, 0 } };
    GError *error = NULL;
    uint32_t dev_id;

    open_device(rig, virt_id, EMUL_IOMMU_SMMUV3);
    dev_id = vfio_device_get_dev_id(rig->device);
    iommufd_viommu_alloc(rig->host, IOMMU_VIOMMU_TYPE_ARM_SMMUV3, dev_id,
                         rig->parent_id, &rig->viommu_id, &error);
    g_assert_no_error(error);
    iommufd_vdevice_alloc(rig->host, rig->viommu_id, dev_id, virt_id,
                          &rig->vdevice_id, &error);
    g_assert_no_error(error);
    iommufd_nested_hwpt_alloc(rig->host, dev_id, rig->viommu_id,
                              IOMMU_HWPT_DATA_ARM_SMMUV3, &bypass,
                              sizeof(bypass), &rig->hwpt_id, &error);
    g_assert_no_error(error);
    vfio_device_attach(rig->device, rig->hwpt_id, &error);
    g_assert_no_error(error);
    iommufd_veventq_alloc(rig->host, rig->viommu_id,
                          IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, depth, &rig->queue_id,
                          &rig->queue_fd, &error);
    g_assert_no_error(error);
}

void recorded_rig_pages(RecordedRig *rig, uint32_t virt_id)
{
    const struct iommu_hwpt_vtd_s1 table = {
        .pgtbl_addr = 0x7f000, .addr_width = 48,
    };
    IommufdHwpt nested = {
        .flags = IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID,
        .data_type = IOMMU_HWPT_DATA_VTD_S1,
        .data_len = sizeof(table), .data = &table,
    };
    GError *error = NULL;

    open_device(rig, virt_id, EMUL_IOMMU_VTD);
    vfio_device_attach(rig->device, rig->parent_id, &error);
    g_assert_no_error(error);
    iommufd_fault_queue_alloc(rig->host, &rig->queue_id, &rig->queue_fd,
                              &error);
    g_assert_no_error(error);
    nested.dev_id = vfio_device_get_dev_id(rig->device);
    nested.pt_id = rig->parent_id;
    nested.fault_id = rig->queue_id;
    iommufd_hwpt_alloc(rig->host, &nested, &rig->hwpt_id, &error);
    g_assert_no_error(error);
    vfio_device_attach_pasid(rig->device, 1, rig->hwpt_id, &error);
    g_assert_no_error(error);
}

static void destroy(RecordedRig *rig, uint32_t id)
{
    GError *error = NULL;

    if (id != 0) {
        iommufd_destroy(rig->host, id, &error);
        g_assert_no_error(error);
    }
}

/* A HWPT holds the fault queue that it names, a vEVENTQ its vIOMMU. */
void recorded_rig_down(RecordedRig *rig)
{
    rig->host->ops->close(rig->host, rig->queue_fd);
    vfio_device_free(rig->device);
    destroy(rig, rig->hwpt_id);
    destroy(rig, rig->queue_id);
    destroy(rig, rig->viommu_id);
    destroy(rig, rig->parent_id);
    destroy(rig, rig->ioas_id);
}
