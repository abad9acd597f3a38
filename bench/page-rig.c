/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "page-rig.h"

#include "host/hardware.h"
#include "host/iommufd.h"

#include <glib.h>

static VfioDevice *open_device(PageRig *rig)
{
    GError *error = NULL;
    int fd = rig->host->hardware->device_open(rig->host, HARDWARE_VTD);
    VfioDevice *device;

    g_assert(fd >= 0);
    device = vfio_device_bind(rig->host, fd, "bench", &error);
    g_assert_no_error(error);
    g_ptr_array_add(rig->devices, device);
    return device;
}

/* What is there once: with the first device, which a nest parent needs. */
static void open_shared(PageRig *rig, uint32_t dev_id)
{
    IommufdHwpt parent = {
        .dev_id = dev_id,
        .flags = IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_PASID,
    };
    GError *error = NULL;

    iommufd_ioas_alloc(rig->host, &rig->ioas_id, &error);
    g_assert_no_error(error);
    parent.pt_id = rig->ioas_id;
    iommufd_hwpt_alloc(rig->host, &parent, &rig->parent_id, &error);
    g_assert_no_error(error);
    iommufd_fault_queue_alloc(rig->host, &rig->fault_id, &rig->fd, &error);
    g_assert_no_error(error);
}

static void attach_pasid(PageRig *rig, VfioDevice *device, uint32_t pasid)
{
    const struct iommu_hwpt_vtd_s1 s1 = { .addr_width = 48 };
    const IommufdHwpt hwpt = {
        .dev_id = vfio_device_get_dev_id(device),
        .pt_id = rig->parent_id,
        .flags = IOMMU_HWPT_ALLOC_PASID | IOMMU_HWPT_FAULT_ID_VALID,
        .fault_id = rig->fault_id,
        .data_type = IOMMU_HWPT_DATA_VTD_S1,
        .data_len = sizeof(s1),
        .data = &s1,
    };
    GError *error = NULL;
    uint32_t id;

    iommufd_hwpt_alloc(rig->host, &hwpt, &id, &error);
    g_assert_no_error(error);
    g_array_append_val(rig->hwpts, id);
    vfio_device_attach_pasid(device, pasid, id, &error);
    g_assert_no_error(error);
}

void page_rig_open(PageRig *rig, HostIommu *host, uint32_t devices,
                   uint32_t pasids)
{
    *rig = (PageRig){
        .host = host, .pasids = pasids, .devices = g_ptr_array_new(),
        .hwpts = g_array_new(FALSE, FALSE, sizeof(uint32_t)),
    };
    for (uint32_t i = 0; i < devices; i++) {
        VfioDevice *device = open_device(rig);
        GError *error = NULL;

        if (i == 0) {
            open_shared(rig, vfio_device_get_dev_id(device));
        }
        vfio_device_attach(device, rig->parent_id, &error);
        g_assert_no_error(error);
        for (uint32_t pasid = 1; pasid <= pasids; pasid++) {
            attach_pasid(rig, device, pasid);
        }
    }
}

static void destroy(PageRig *rig, uint32_t id)
{
    GError *error = NULL;

    iommufd_destroy(rig->host, id, &error);
    g_assert_no_error(error);
}

void page_rig_close(PageRig *rig)
{
    for (guint i = 0; i < rig->devices->len; i++) {
        for (uint32_t pasid = 1; pasid <= rig->pasids; pasid++) {
            vfio_device_detach_pasid(rig->devices->pdata[i], pasid);
        }
        vfio_device_detach(rig->devices->pdata[i]);
    }
    for (guint i = 0; i < rig->hwpts->len; i++) {
        destroy(rig, g_array_index(rig->hwpts, uint32_t, i));
    }
    rig->host->ops->close(rig->host, rig->fd);
    destroy(rig, rig->fault_id);
    destroy(rig, rig->parent_id);
    destroy(rig, rig->ioas_id);
    for (guint i = 0; i < rig->devices->len; i++) {
        vfio_device_free(rig->devices->pdata[i]);
    }
    g_ptr_array_unref(rig->devices);
    g_array_unref(rig->hwpts);
}
