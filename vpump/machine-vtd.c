/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VT-d unit in a machine: its devices ask for pages, those of a host as well
 * as emulated ones. Each has a load of its own; together they keep the rate.
 */
#include "machine-internal.h"

typedef struct MachineVtd {
    MachineViommu base;
    GuestVtd *guest;
} MachineVtd;

GuestAddressSpace **machine_vtd_get_spaces(const MachineDevice *device,
                                           uint32_t *count)
{
    const MachineVtd *self = (const MachineVtd *)device->viommu;
    GuestVtdDevice description;
    GuestAddressSpace **spaces;

    device->kind->describe(device->entry, (const VtdEntry *)self->base.entry,
                           &description);
    *count = description.pasids;
    spaces = g_new(GuestAddressSpace *, *count);
    for (uint32_t i = 0; i < *count; i++) {
        spaces[i] = guest_vtd_get_space(self->guest, description.rid, i + 1);
    }
    return spaces;
}

PageDigestSum machine_vtd_get_pages(const MachineDevice *device)
{
    const MachineVtd *self = (const MachineVtd *)device->viommu;

    return guest_vtd_get_pages(self->guest, device->entry->sid);
}

/* What its guest finds: GuestVtdDevice items. */
static GArray *describe_devices(const Config *config, const ViommuEntry *entry)
{
    GArray *devices = g_array_new(FALSE, FALSE, sizeof(GuestVtdDevice));
    const GPtrArray *list = config->lists[CONFIG_DEVICES];

    for (unsigned i = 0; i < list->len; i++) {
        const EndpointEntry *endpoint = list->pdata[i];
        GuestVtdDevice device;

        if (endpoint->base.type->role == CONFIG_ROLE_ENDPOINT &&
            config_viommu_of(config, endpoint) == entry) {
            machine_find_kind(endpoint->base.type, entry->base.type, false)
                ->describe(endpoint, (const VtdEntry *)entry, &device);
            g_array_append_val(devices, device);
        }
    }
    return devices;
}

static uint64_t vtd_ram_bytes(const Config *config, const ViommuEntry *entry)
{
    g_autoptr(GArray) devices = describe_devices(config, entry);

    return guest_vtd_ram_bytes((GuestVtdDevice *)devices->data, devices->len);
}

static Viommu *vtd_make(const ViommuConfig *config, const ViommuEntry *entry,
                        GError **error)
{
    VtdProperties properties = ((const VtdEntry *)entry)->properties;

    /* Without PASIDs, which svm=on would need, their size means nothing. */
    properties.pasid_bits = MAX(properties.pasid_bits, 1);
    return vtd_new(config, &properties, error);
}

/* With svm=off there are no devices behind it, and nobody to drive it. */
static bool vtd_start_guest(MachineViommu *part, GError **error)
{
    const VtdEntry *entry = (const VtdEntry *)part->entry;
    g_autoptr(GArray) devices =
        describe_devices(part->machine->config, part->entry);
    GuestVtdConfig config = {
        .viommu = part->viommu, .ram = part->ram, .irq = part->irq,
        .devices = (GuestVtdDevice *)devices->data,
        .device_count = devices->len,
    };

    if (!entry->properties.svm) {
        return true;
    }
    ((MachineVtd *)part)->guest = guest_vtd_new(&config, error);
    return ((MachineVtd *)part)->guest != NULL;
}

/* The share of device @index of @count; what is left over goes to the first. */
static uint64_t share_of(uint64_t load, unsigned index, unsigned count)
{
    return load == CONFIG_LOAD_MAX ? load
                                   : load / count + (index < load % count);
}

static bool vtd_start_load(MachineViommu *part, GError **error)
{
    G_STATIC_ASSERT(CONFIG_LOAD_MAX == WORKLOAD_PAGES_RATE_MAX);
    for (unsigned i = 0; i < part->devices->len; i++) {
        MachineDevice *device = part->devices->pdata[i];
        uint64_t rate = share_of(part->machine->config->load, i,
                                 part->devices->len);

        if (!device->kind->start_load(device, rate, error)) {
            return false;
        }
    }
    return true;
}

static void vtd_stop_load(MachineViommu *part)
{
    for (unsigned i = 0; i < part->devices->len; i++) {
        MachineDevice *device = part->devices->pdata[i];

        if (device->kind->stop_load) {
            device->kind->stop_load(device);
        }
    }
}

static void rest_devices(MachineViommu *part)
{
    for (unsigned i = 0; i < part->devices->len; i++) {
        MachineDevice *device = part->devices->pdata[i];

        if (device->kind->rest) {
            device->kind->rest(device);
        }
    }
}

static void vtd_rest(MachineViommu *part)
{
    MachineVtd *self = (MachineVtd *)part;

    rest_devices(part);
    if (self->guest) {
        guest_vtd_rest(self->guest);
    }
}

static void vtd_stop_guest(MachineViommu *part)
{
    MachineVtd *self = (MachineVtd *)part;

    rest_devices(part);
    if (self->guest) {
        guest_vtd_stop(self->guest);
    }
}

static void vtd_free(MachineViommu *part)
{
    guest_vtd_free(((MachineVtd *)part)->guest);
}

static void vtd_add_sample(const MachineViommu *part, RunSample *sample)
{
    const MachineVtd *self = (const MachineVtd *)part;
    GuestVtdCounts guest =
        self->guest ? guest_vtd_get_counts(self->guest) : (GuestVtdCounts){ 0 };

    /* Whatever devices there are: it has a row of its own in any case. */
    sample->kinds |= RUN_PAGES;
    sample->gerrors = guest.faults + guest.queue_errors;
    sample->pages.guest_overflows = guest.overflows;
    sample->pages.guest_bad = guest.bad;
    sample->pages.guest_digest = guest.digest;
    sample->pages.guest_answered = guest.answered + guest.refused;
    sample->operations.damaged = guest.damaged;
}

const MachineModel machine_model_vtd = {
    .type = &config_type_intel_iommu,
    .part_size = sizeof(MachineVtd),
    .irq_lines = GUEST_VTD_IRQ_COUNT,
    .doorbell = GUEST_VTD_DOORBELL,
    .ram_bytes = vtd_ram_bytes,
    .make = vtd_make,
    .start_guest = vtd_start_guest,
    .start_load = vtd_start_load,
    .stop_load = vtd_stop_load,
    .rest = vtd_rest,
    .stop_guest = vtd_stop_guest,
    .free = vtd_free,
    .add_sample = vtd_add_sample,
};
