/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SVA devices in a machine. The program has them work when their vIOMMU's load
 * starts.
 */
#include "machine-internal.h"
#include "sva-accel.h"
#include "workload-sva.h"

/* Fields are NULL until they are made. */
typedef struct MachineSva {
    MachineDevice base;
    SvaAccel *accel;
    WorkloadSva *load;
} MachineSva;

G_STATIC_ASSERT(CONFIG_SVA_CREDITS_MAX <= SVA_CREDITS_MAX);
G_STATIC_ASSERT(CONFIG_SVA_QUEUE_DEPTH_MAX == SVA_ACCEL_DEPTH_MAX);
G_STATIC_ASSERT(CONFIG_SVA_PASIDS_MAX <= GUEST_VTD_PASIDS_MAX);

static bool sva_make(Machine *machine, MachineDevice *device, GError **error)
{
    MachineSva *self = (MachineSva *)device;
    const SvaEntry *entry = (const SvaEntry *)device->entry;
    SvaAccelConfig config = {
        .id = device->entry->base.id,
        .viommu = device->viommu->viommu,
        .mem = guest_ram_get_mem(device->viommu->ram),
        .rid = device->entry->sid,
        .pasids = entry->pasids,
        .credits = entry->credits,
        .depth = entry->queue_depth,
    };

    self->accel = sva_accel_new(&config, error);
    return self->accel != NULL;
}

static void sva_free(MachineDevice *device)
{
    MachineSva *self = (MachineSva *)device;

    workload_sva_free(self->load);
    sva_accel_free(self->accel);
}

static AioContext *sva_get_context(const MachineDevice *device)
{
    return sva_accel_get_aio_context(((const MachineSva *)device)->accel);
}

static WorkloadSvaCounts sva_load_counts(const MachineDevice *device)
{
    const MachineSva *self = (const MachineSva *)device;

    return self->load ? workload_sva_get_counts(self->load)
                      : (WorkloadSvaCounts){ 0 };
}

/*
 * A group that is not answered Success fails an operation, but so may other
 * things: @failed has what each says of itself.
 */
static void sva_add_sample(const MachineDevice *device, RunSample *sample)
{
    SvaAccelCounts accel =
        sva_accel_get_counts(((const MachineSva *)device)->accel);
    WorkloadSvaCounts load = sva_load_counts(device);

    sample->kinds |= RUN_PAGES | RUN_OPERATIONS;
    sample->pages.raised += accel.raised;
    sample->pages.responded += accel.success + accel.invalid;
    sample->pages.failed += accel.invalid;
    sample->pages.unexpected += accel.stray;
    sample->pages.no_credit += accel.no_credit;
    sample->operations.begun += load.started;
    sample->operations.completed += accel.completed;
    sample->operations.verified += load.verified;
    sample->operations.corrupt += load.corrupt;
    sample->operations.failed += load.failed;
    sample->operations.changed += load.changed;
}

static void sva_add_roundtrip(const MachineDevice *device,
                              HistogramSnapshot *roundtrip)
{
    HistogramSnapshot own;

    sva_accel_get_roundtrip(((const MachineSva *)device)->accel, &own);
    histogram_snapshot_add(roundtrip, &own);
}

static void sva_get_result(const MachineDevice *device, RunDevice *result)
{
    SvaAccelCounts accel =
        sva_accel_get_counts(((const MachineSva *)device)->accel);

    result->completed_operations = accel.completed;
    result->in_memory = true;
    result->verified = sva_load_counts(device).verified;
}

static void sva_describe(const EndpointEntry *entry, const VtdEntry *vtd,
                         GuestVtdDevice *device)
{
    const SvaEntry *sva = (const SvaEntry *)entry;

    *device = (GuestVtdDevice){
        .rid = entry->sid,
        .pasids = sva->pasids,
        .pages = workload_sva_pages(sva->queue_depth),
        .contents = true,
    };
}

static bool sva_start_load(MachineDevice *device, uint64_t rate,
                           GError **error)
{
    MachineSva *self = (MachineSva *)device;
    WorkloadSvaConfig config = {
        .id = device->entry->base.id,
        .accel = self->accel,
        .depth = ((const SvaEntry *)device->entry)->queue_depth,
        .ram = device->viommu->ram,
        .big_lock = &device->viommu->machine->big_lock,
        .rate = rate,
        .seed = device->entry->sid,
    };
    g_autofree GuestAddressSpace **spaces =
        machine_vtd_get_spaces(device, &config.pasids);

    config.spaces = spaces;
    self->load = workload_sva_start(&config, error);
    return self->load != NULL;
}

static void sva_stop_load(MachineDevice *device)
{
    MachineSva *self = (MachineSva *)device;

    if (self->load) {
        workload_sva_stop(self->load);
    }
}

static void sva_rest(MachineDevice *device)
{
    MachineSva *self = (MachineSva *)device;

    if (self->load) {
        workload_sva_rest(self->load);
    }
}

const MachineKind machine_kind_sva = {
    .type = &config_type_sva_device,
    .viommu_type = &config_type_intel_iommu,
    .part_size = sizeof(MachineSva),
    .make = sva_make,
    .free = sva_free,
    .get_context = sva_get_context,
    .add_sample = sva_add_sample,
    .add_roundtrip = sva_add_roundtrip,
    .get_result = sva_get_result,
    .describe = sva_describe,
    .start_load = sva_start_load,
    .stop_load = sva_stop_load,
    .rest = sva_rest,
};
