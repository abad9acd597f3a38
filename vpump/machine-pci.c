/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices of a host that plays their hardware: behind an SMMUv3 they report
 * events, behind a VT-d they ask for pages. An emulated host's and the kernel's
 * mock devices differ in the host alone.
 */
#include "machine-internal.h"

#include "base/error.h"
#include "host/hardware.h"

#include <errno.h>

/*
 * What a device that asks for pages does, all the time: as many address spaces
 * and pages as make the guest's tables more than a few, as many groups open as
 * keep the queues from running dry.
 */
enum {
    PAGES_PASIDS = 4,
    PAGES_PER_PASID = 1024,
    PAGES_OUTSTANDING = 64,
};

MachineHost *machine_host_of(const MachineViommu *part)
{
    for (unsigned i = 0; i < part->devices->len; i++) {
        const MachineDevice *device = part->devices->pdata[i];

        if (device->kind->has_host) {
            return ((const MachinePci *)device)->host;
        }
    }
    return NULL;
}

bool machine_pci_plug(Machine *machine, MachineDevice *device,
                      MachineHost *host, int fd, GError **error)
{
    MachinePci *self = (MachinePci *)device;
    const EndpointEntry *entry = device->entry;

    self->host = host;
    self->vfio = vfio_device_bind(host->host, fd, entry->base.id, error);
    if (!self->vfio) {
        host->host->ops->close(host->host, fd);
        return false;
    }
    if (machine->recorder) {
        record_host_identify(host->host, vfio_device_get_dev_id(self->vfio),
                             entry->sid, entry->base.id);
    }
    self->plugged = viommu_add_device(device->viommu->viommu, self->vfio,
                                      entry->sid, error);
    return self->plugged;
}

/* Opened, bound to its host, and plugged into its vIOMMU. */
static bool make_behind(Machine *machine, MachineDevice *device,
                        HardwareIommu iommu, GError **error)
{
    const PciEntry *entry = (const PciEntry *)device->entry;
    MachineHost *host = machine_find_host(machine, entry->iommufd);
    int fd = host->host->hardware->device_open(host->host, iommu);

    if (fd < 0) {
        error_set_errno(error, errno, "cannot open it");
        return false;
    }
    return machine_pci_plug(machine, device, host, fd, error);
}

void machine_pci_free(MachineDevice *device)
{
    MachinePci *self = (MachinePci *)device;

    if (self->plugged) {
        viommu_remove_device(device->viommu->viommu, device->entry->sid);
    }
    vfio_device_free(self->vfio);
}

static bool events_make(Machine *machine, MachineDevice *device, GError **error)
{
    return make_behind(machine, device, HARDWARE_SMMUV3, error);
}

/* Zeroes until there is load. */
static WorkloadCounts events_counts(const MachineDevice *device)
{
    const WorkloadEvents *load = machine_smmuv3_get_load(device->viommu);

    return load ? workload_events_get_device_counts(load, device->index)
                : (WorkloadCounts){ 0 };
}

static void events_add_sample(const MachineDevice *device, RunSample *sample)
{
    WorkloadCounts counts = events_counts(device);

    sample->generated += counts.generated;
    sample->refused += counts.refused;
}

static void events_get_result(const MachineDevice *device, RunDevice *result)
{
    result->completed_operations = events_counts(device).generated;
}

#define EVENTS_KIND(config_type)                \
    {                                           \
        .type = (config_type),                  \
        .viommu_type = &config_type_arm_smmuv3, \
        .has_host = true,                       \
        .part_size = sizeof(MachinePci),        \
        .make = events_make,                    \
        .free = machine_pci_free,               \
        .add_sample = events_add_sample,        \
        .get_result = events_get_result,        \
    }

const MachineKind machine_kind_pci_events =
    EVENTS_KIND(&config_type_emulated_pci);
const MachineKind machine_kind_mock_events =
    EVENTS_KIND(&config_type_iommufd_mock);

static bool pages_make(Machine *machine, MachineDevice *device, GError **error)
{
    return make_behind(machine, device, HARDWARE_VTD, error);
}

/* Zeroes until there is load. */
static WorkloadPagesCounts pages_counts(const MachineDevice *device)
{
    const MachinePci *self = (const MachinePci *)device;

    return self->loaded ? workload_pages_get_counts(self->host->pages,
                                                    self->pages_index)
                        : (WorkloadPagesCounts){ 0 };
}

/* What the guest has read and what was raised: the same, once at rest? */
static bool pages_are_alike(const MachineDevice *device,
                            const PageDigestSum *raised)
{
    PageDigestSum read;

    if (!((const MachinePci *)device)->loaded) {
        return true;
    }
    read = machine_vtd_get_pages(device);
    return read.pages == raised->pages && read.digest == raised->digest;
}

static void pages_add_sample(const MachineDevice *device, RunSample *sample)
{
    WorkloadPagesCounts counts = pages_counts(device);

    sample->kinds |= RUN_PAGES;
    sample->pages.raised += counts.raised;
    sample->pages.responded += counts.success + counts.invalid;
    sample->pages.failed += counts.invalid;
    sample->pages.unexpected += counts.stray;
    sample->pages.refused += counts.refused;
    sample->pages.unlike += !pages_are_alike(device, &counts.pages);
}

static void pages_add_roundtrip(const MachineDevice *device,
                                HistogramSnapshot *roundtrip)
{
    const MachinePci *self = (const MachinePci *)device;
    HistogramSnapshot own;

    if (self->loaded) {
        workload_pages_get_roundtrip(self->host->pages, self->pages_index,
                                     &own);
        histogram_snapshot_add(roundtrip, &own);
    }
}

static void pages_get_result(const MachineDevice *device, RunDevice *result)
{
    WorkloadPagesCounts counts = pages_counts(device);

    result->completed_operations = counts.success + counts.invalid;
}

void machine_pci_describe_pages(const EndpointEntry *entry,
                                const VtdEntry *vtd, GuestVtdDevice *device)
{
    uint32_t pasids_max = (UINT32_C(1) << vtd->properties.pasid_bits) - 1;

    *device = (GuestVtdDevice){
        .rid = entry->sid,
        .pasids = MIN(PAGES_PASIDS, pasids_max),
        .pages = PAGES_PER_PASID,
    };
}

/* Added: the thread starts with those of all devices of the host. */
static bool pages_start_load(MachineDevice *device, uint64_t rate,
                             GError **error)
{
    MachinePci *self = (MachinePci *)device;
    WorkloadPagesDevice load = {
        .id = device->entry->base.id,
        .dev_id = vfio_device_get_dev_id(self->vfio),
        .outstanding = PAGES_OUTSTANDING,
        .rate = rate,
        .seed = device->entry->sid,
    };
    g_autofree GuestAddressSpace **spaces =
        machine_vtd_get_spaces(device, &load.pasids);

    load.spaces = spaces;
    self->pages_index = workload_pages_add(self->host->pages, &load);
    self->host->page_devices++;
    self->loaded = true;
    return true;
}

#define PAGES_KIND(config_type)                  \
    {                                            \
        .type = (config_type),                   \
        .viommu_type = &config_type_intel_iommu, \
        .has_host = true,                        \
        .part_size = sizeof(MachinePci),         \
        .make = pages_make,                      \
        .free = machine_pci_free,                \
        .add_sample = pages_add_sample,          \
        .add_roundtrip = pages_add_roundtrip,    \
        .get_result = pages_get_result,          \
        .describe = machine_pci_describe_pages,  \
        .start_load = pages_start_load,          \
    }

const MachineKind machine_kind_pci_pages =
    PAGES_KIND(&config_type_emulated_pci);
const MachineKind machine_kind_mock_pages =
    PAGES_KIND(&config_type_iommufd_mock);
