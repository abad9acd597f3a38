/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hot plug and unplug. The host objects that devices share are made with the
 * first device and destroyed with the last:
 *
 *   IOAS <- nesting parent HWPT <- vIOMMU <- vDEVICE, nested HWPT, vEVENTQ
 *
 * (VT-d has no vIOMMU: there the nested HWPTs are on the nesting parent.) Guest
 * memory is mapped last: that is what costs, and all else that a host may
 * refuse has been asked for by then.
 *
 * A device is published before it is attached, so that no event of it can
 * reach the pump as a stranger's, and unpublished before it is detached.
 */
#include "base/error.h"
#include "base/rcu.h"
#include "base/report.h"
#include "host/iommufd.h"
#include "hw/iommu/viommu-internal.h"

#include <errno.h>

/* Teardown cannot fail; if the host says so none the less, say so. */
static void destroy(const ViommuHost *host, uint32_t id)
{
    GError *error = NULL;

    if (id != 0 && !iommufd_destroy(host->iommu, id, &error)) {
        error_report_err(error);
    }
}

static bool parent_alloc(Viommu *viommu, uint32_t dev_id, GError **error)
{
    ViommuHost *host = &viommu->host;
    IommufdHwpt parent = {
        .dev_id = dev_id,
        .pt_id = host->ioas_id,
        .flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
    };

    if (viommu->ops->viommu_type == 0) {
        /* Its PASIDs are attached one by one, beside the device itself. */
        parent.flags |= IOMMU_HWPT_ALLOC_PASID;
    }
    return iommufd_hwpt_alloc(host->iommu, &parent, &host->parent_hwpt_id,
                              error);
}

static bool viommu_object_alloc(Viommu *viommu, uint32_t dev_id, GError **error)
{
    ViommuHost *host = &viommu->host;

    host->viommu_id = 0;
    return viommu->ops->viommu_type == 0 ||
           iommufd_viommu_alloc(host->iommu, viommu->ops->viommu_type, dev_id,
                                host->parent_hwpt_id, &host->viommu_id, error);
}

static bool host_up(Viommu *viommu, VfioDevice *vfio, GError **error)
    REQUIRES(&viommu->config_lock)
{
    ViommuHost *host = &viommu->host;
    uint32_t dev_id = vfio_device_get_dev_id(vfio);

    host->iommu = vfio_device_get_host(vfio);
    if (!iommufd_ioas_alloc(host->iommu, &host->ioas_id, error)) {
        goto out_clear;
    }
    if (!parent_alloc(viommu, dev_id, error)) {
        goto out_destroy_ioas;
    }
    if (!viommu_object_alloc(viommu, dev_id, error)) {
        goto out_destroy_parent;
    }
    if (!viommu->ops->host_up(viommu, vfio, error)) {
        goto out_destroy_viommu;
    }
    if (!viommu_map_memory(viommu, error)) {
        goto out_model_down;
    }
    return true;

out_model_down:
    viommu->ops->host_down(viommu);
out_destroy_viommu:
    destroy(host, host->viommu_id);
out_destroy_parent:
    destroy(host, host->parent_hwpt_id);
out_destroy_ioas:
    destroy(host, host->ioas_id);
out_clear:
    host->iommu = NULL;
    return false;
}

static void host_down(Viommu *viommu) REQUIRES(&viommu->config_lock)
{
    ViommuHost *host = &viommu->host;

    viommu_unmap_memory(viommu);
    viommu->ops->host_down(viommu);
    destroy(host, host->viommu_id);
    destroy(host, host->parent_hwpt_id);
    destroy(host, host->ioas_id);
    host->iommu = NULL;
}

static bool vdevice_alloc(Viommu *viommu, ViommuDevice *device, GError **error)
{
    const ViommuHost *host = &viommu->host;

    return host->viommu_id == 0 ||
           iommufd_vdevice_alloc(host->iommu, host->viommu_id,
                                 device->entry.dev_id, device->entry.virt_id,
                                 &device->vdevice_id, error);
}

static bool check_virt_id(Viommu *viommu, uint32_t virt_id, GError **error)
{
    unsigned bits = viommu->ops->virt_id_bits;

    if (virt_id >> bits) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "ID 0x%x is out of range for vIOMMU '%s', "
                    "which takes 0 to 0x%x",
                    virt_id, viommu->config.id, (1u << bits) - 1);
        return false;
    }
    return true;
}

static bool check_device(Viommu *viommu, VfioDevice *vfio, uint32_t virt_id,
                         GError **error)
    REQUIRES(&viommu->config_lock)
{
    if (!check_virt_id(viommu, virt_id, error)) {
        return false;
    }
    if (viommu->host.iommu &&
        viommu->host.iommu != vfio_device_get_host(vfio)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "all devices of vIOMMU '%s' must use one iommufd",
                    viommu->config.id);
        return false;
    }
    return true;
}

void viommu_device_get(ViommuDevice *device)
{
    g_assert(rcu_read_ongoing());
    /* Relaxed: the grace period of a removal comes after the section. */
    atomic_fetch_add_explicit(&device->refs, 1, memory_order_relaxed);
}

void viommu_device_put(Viommu *viommu, ViommuDevice *device)
{
    lock_acquire(&viommu->refs.lock);
    if (atomic_fetch_sub_explicit(&device->refs, 1, memory_order_relaxed) ==
        1) {
        pthread_cond_broadcast(&viommu->refs.gone);
    }
    lock_release(&viommu->refs.lock);
}

ViommuDevice *viommu_device_next(Viommu *viommu, size_t *cursor)
{
    ViommuDevice *device = NULL;
    DeviceEntry *entry;

    rcu_section_enter();
    /* The config_lock keeps the map as it is, and the cursor good. */
    entry = device_map_next(viommu->devices, cursor);
    if (entry) {
        device = caa_container_of(entry, ViommuDevice, entry);
        viommu_device_get(device);
    }
    rcu_section_leave();
    return device;
}

/* When it returns nobody can find the device, and nobody has it any more. */
static void unpublish(Viommu *viommu, ViommuDevice *device)
    REQUIRES(&viommu->config_lock)
{
    device_map_remove(viommu->devices, &device->entry);
    rcu_synchronize();
    lock_acquire(&viommu->refs.lock);
    while (atomic_load_explicit(&device->refs, memory_order_relaxed) > 0) {
        lock_wait(&viommu->refs.lock, &viommu->refs.gone);
    }
    lock_release(&viommu->refs.lock);
}

static ViommuDevice *device_new(Viommu *viommu, uint32_t virt_id,
                                GError **error)
{
    ViommuDevice *device = g_try_malloc0(viommu->ops->device_size);

    if (!device) {
        error_set_errno(error, ENOMEM, "device 0x%x of vIOMMU '%s'", virt_id,
                        viommu->config.id);
        return NULL;
    }
    device->entry.virt_id = virt_id;
    return device;
}

static bool add_device_locked(Viommu *viommu, VfioDevice *vfio,
                              uint32_t virt_id, GError **error)
    REQUIRES(&viommu->config_lock)
{
    ViommuDevice *device;
    bool first = !viommu->host.iommu;

    if (!check_device(viommu, vfio, virt_id, error) ||
        (viommu->ops->check_host &&
         !viommu->ops->check_host(viommu, vfio, error))) {
        return false;
    }
    device = device_new(viommu, virt_id, error);
    if (!device) {
        return false;
    }
    device->vfio = vfio;
    device->entry.dev_id = vfio_device_get_dev_id(vfio);

    if (first && !host_up(viommu, vfio, error)) {
        goto out_free;
    }
    if (!device_map_add(viommu->devices, &device->entry, error)) {
        goto out_host_down;
    }
    if (!vdevice_alloc(viommu, device, error)) {
        goto out_unpublish;
    }
    /* First the queue: once attached, the device may fault. */
    if (!viommu_open_event_queue(viommu, error)) {
        g_prefix_error(error, "vIOMMU '%s': ", viommu->config.id);
        goto out_destroy_vdevice;
    }
    if (!viommu->ops->attach(viommu, device, error)) {
        goto out_close_queue;
    }
    viommu->host.devices++;
    return true;

out_close_queue:
    if (first) {
        viommu_close_event_queue(viommu);
    }
out_destroy_vdevice:
    destroy(&viommu->host, device->vdevice_id);
out_unpublish:
    unpublish(viommu, device);
out_host_down:
    if (first) {
        host_down(viommu);
    }
out_free:
    g_free(device);
    return false;
}

bool viommu_add_device(Viommu *viommu, VfioDevice *device, uint32_t virt_id,
                       GError **error)
{
    bool added;

    lock_acquire(&viommu->config_lock);
    added = add_device_locked(viommu, device, virt_id, error);
    lock_release(&viommu->config_lock);
    if (!added) {
        g_prefix_error(error, "device '%s': ", vfio_device_get_name(device));
    }
    return added;
}

static ViommuDevice *find_device(Viommu *viommu, uint32_t virt_id)
    REQUIRES(&viommu->config_lock)
{
    DeviceEntry *entry;

    rcu_section_enter();
    entry = device_map_find_virt(viommu->devices, virt_id);
    rcu_section_leave();
    /* The config_lock keeps it from being removed. */
    return entry ? caa_container_of(entry, ViommuDevice, entry) : NULL;
}

static bool remove_device_locked(Viommu *viommu, uint32_t virt_id)
    REQUIRES(&viommu->config_lock)
{
    ViommuDevice *device = find_device(viommu, virt_id);
    bool last = viommu->host.devices == 1;

    if (!device || !device->vfio) {
        return false;
    }
    unpublish(viommu, device);
    viommu->host.devices--;
    if (last) {
        viommu_close_event_queue(viommu);
    }
    viommu->ops->detach(viommu, device);
    destroy(&viommu->host, device->vdevice_id);
    if (last) {
        host_down(viommu);
    }
    g_free(device);
    return true;
}

bool viommu_remove_device(Viommu *viommu, uint32_t virt_id)
{
    bool removed;

    lock_acquire(&viommu->config_lock);
    removed = remove_device_locked(viommu, virt_id);
    lock_release(&viommu->config_lock);
    return removed;
}

ViommuDevice *viommu_publish_sva(Viommu *viommu, SvaDevice *sva,
                                 uint32_t virt_id, GError **error)
{
    ViommuDevice *device = device_new(viommu, virt_id, error);
    bool added;

    if (!device) {
        return NULL;
    }
    device->sva = sva;
    lock_acquire(&viommu->config_lock);
    added = check_virt_id(viommu, virt_id, error) &&
            device_map_add(viommu->devices, &device->entry, error);
    viommu->pages.sva_devices += added;
    lock_release(&viommu->config_lock);
    if (!added) {
        g_free(device);
        return NULL;
    }
    return device;
}

void viommu_unpublish_sva(Viommu *viommu, ViommuDevice *device)
{
    lock_acquire(&viommu->config_lock);
    unpublish(viommu, device);
    viommu_pages_drop_device(viommu, device);
    viommu->pages.sva_devices--;
    lock_release(&viommu->config_lock);
    g_free(device);
}
