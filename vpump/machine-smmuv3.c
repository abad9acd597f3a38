/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An SMMUv3 in a machine: its devices report events, all under one rate.
 */
#include "guest-smmuv3.h"
#include "machine-internal.h"

typedef struct MachineSmmuv3 {
    MachineViommu base;
    GuestSmmuv3 *guest;
    WorkloadEvents *load;
} MachineSmmuv3;

const WorkloadEvents *machine_smmuv3_get_load(const MachineViommu *part)
{
    return ((const MachineSmmuv3 *)part)->load;
}

/* Whatever devices there are: the tables for all StreamIDs fit. */
static uint64_t smmuv3_ram_bytes(const Config *config, const ViommuEntry *entry)
{
    return GUEST_SMMUV3_RAM_BYTES;
}

static Viommu *smmuv3_make(const ViommuConfig *config, const ViommuEntry *entry,
                           GError **error)
{
    return smmuv3_new(config, &((const Smmuv3Entry *)entry)->properties, error);
}

/* All of a vIOMMU's are, or none is: they are of one host. */
static bool devices_are_real(const MachineViommu *part)
{
    return part->devices->len > 0 &&
           ((const MachineDevice *)part->devices->pdata[0])->kind->real;
}

static bool smmuv3_start_guest(MachineViommu *part, GError **error)
{
    MachineSmmuv3 *self = (MachineSmmuv3 *)part;
    const MachineHost *host = machine_host_of(part);
    g_autofree uint32_t *sids = g_new(uint32_t, part->devices->len);
    GuestSmmuv3Config config = {
        .viommu = part->viommu, .ram = part->ram, .irq = part->irq,
        .sids = sids, .sid_count = part->devices->len,
        .records.foreign = devices_are_real(part),
    };

    for (unsigned i = 0; i < part->devices->len; i++) {
        const MachineDevice *device = part->devices->pdata[i];

        sids[i] = device->entry->sid;
    }
    if (host && host->replay) {
        config.records = machine_replay_records(host);
    }
    self->guest = guest_smmuv3_new(&config, error);
    return self->guest != NULL;
}

static bool smmuv3_start_load(MachineViommu *part, GError **error)
{
    MachineSmmuv3 *self = (MachineSmmuv3 *)part;
    MachineHost *host = machine_host_of(part);
    g_autofree WorkloadDevice *devices =
        g_new(WorkloadDevice, part->devices->len);

    G_STATIC_ASSERT(CONFIG_LOAD_MAX == WORKLOAD_RATE_MAX);
    if ((host && host->replay) || devices_are_real(part)) {
        return true;
    }
    for (unsigned i = 0; i < part->devices->len; i++) {
        const MachinePci *device = part->devices->pdata[i];

        devices[i] = (WorkloadDevice){
            .dev_id = vfio_device_get_dev_id(device->vfio),
            .sid = device->base.entry->sid,
            .id = device->base.entry->base.id,
        };
    }
    self->load = workload_events_start(host ? host->host : NULL, devices,
                                       part->devices->len,
                                       part->machine->config->load, error);
    return self->load != NULL;
}

static void smmuv3_stop_load(MachineViommu *part)
{
    MachineSmmuv3 *self = (MachineSmmuv3 *)part;

    if (self->load) {
        workload_events_stop(self->load);
    }
}

static void smmuv3_rest(MachineViommu *part)
{
    guest_smmuv3_rest(((MachineSmmuv3 *)part)->guest);
}

static void smmuv3_stop_guest(MachineViommu *part)
{
    MachineSmmuv3 *self = (MachineSmmuv3 *)part;

    if (self->guest) {
        guest_smmuv3_stop(self->guest);
    }
}

static void smmuv3_free(MachineViommu *part)
{
    MachineSmmuv3 *self = (MachineSmmuv3 *)part;

    workload_events_free(self->load);
    guest_smmuv3_free(self->guest);
}

static void smmuv3_add_sample(const MachineViommu *part, RunSample *sample)
{
    GuestSmmuv3Counts guest =
        guest_smmuv3_get_counts(((const MachineSmmuv3 *)part)->guest);

    sample->kinds |= RUN_EVENTS;
    sample->seen = guest.seen;
    sample->corrupt = guest.corrupt;
    sample->guest_overflows = guest.overflows;
    sample->guest_digest = guest.digest;
    sample->gerrors = guest.gerrors;
}

static void smmuv3_get_latency(const MachineViommu *part,
                               HistogramSnapshot *latency)
{
    guest_smmuv3_get_latency(((const MachineSmmuv3 *)part)->guest, latency);
}

const MachineModel machine_model_smmuv3 = {
    .type = &config_type_arm_smmuv3,
    .part_size = sizeof(MachineSmmuv3),
    .irq_lines = SMMUV3_IRQ_COUNT,
    .doorbell = GUEST_SMMUV3_DOORBELL,
    .ram_bytes = smmuv3_ram_bytes,
    .make = smmuv3_make,
    .start_guest = smmuv3_start_guest,
    .start_load = smmuv3_start_load,
    .stop_load = smmuv3_stop_load,
    .rest = smmuv3_rest,
    .stop_guest = smmuv3_stop_guest,
    .free = smmuv3_free,
    .add_sample = smmuv3_add_sample,
    .get_latency = smmuv3_get_latency,
};
