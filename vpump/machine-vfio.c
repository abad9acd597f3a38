/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices of the kernel's VFIO in a machine. They are real: what they do they
 * do by themselves, so there is no load, and nobody but the queues counts.
 */
#include "machine-internal.h"

#include "host/vfio-pci.h"

/* What the guest of a VT-d keeps for one: it cannot know what that will use. */
enum {
    VFIO_PASIDS = 1,
    VFIO_PAGES_PER_PASID = 1024,
};

static bool vfio_make(Machine *machine, MachineDevice *device, GError **error)
{
    const VfioPciEntry *entry = (const VfioPciEntry *)device->entry;
    const VfioPciName name = {
        .host = entry->host,
        .sysfsdev = entry->sysfsdev,
        .fd = entry->fd ? property_parse_fd(entry->fd) : -1,
    };
    MachineHost *host = machine_find_host(machine, entry->pci.iommufd);
    int fd = vfio_pci_open(device->entry->base.id, &name, NULL, error);

    return fd >= 0 && machine_pci_plug(machine, device, host, fd, error);
}

static void vfio_add_sample(const MachineDevice *device, RunSample *sample)
{
    sample->uncounted = true;
}

static void vfio_get_result(const MachineDevice *device, RunDevice *result)
{
}

const MachineKind machine_kind_vfio_events = {
    .type = &config_type_vfio_pci,
    .viommu_type = &config_type_arm_smmuv3,
    .has_host = true,
    .real = true,
    .part_size = sizeof(MachinePci),
    .make = vfio_make,
    .free = machine_pci_free,
    .add_sample = vfio_add_sample,
    .get_result = vfio_get_result,
};

static void vfio_describe(const EndpointEntry *entry, const VtdEntry *vtd,
                          GuestVtdDevice *device)
{
    *device = (GuestVtdDevice){
        .rid = entry->sid,
        .pasids = VFIO_PASIDS,
        .pages = VFIO_PAGES_PER_PASID,
    };
}

static bool vfio_start_load(MachineDevice *device, uint64_t rate,
                            GError **error)
{
    return true;
}

const MachineKind machine_kind_vfio_pages = {
    .type = &config_type_vfio_pci,
    .viommu_type = &config_type_intel_iommu,
    .has_host = true,
    .real = true,
    .part_size = sizeof(MachinePci),
    .make = vfio_make,
    .free = machine_pci_free,
    .add_sample = vfio_add_sample,
    .get_result = vfio_get_result,
    .describe = vfio_describe,
    .start_load = vfio_start_load,
};
