/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a machine has done: counters of its parts put together, at both ends of
 * the path that an event takes.
 */
#include "machine-internal.h"

#include "base/error.h"
#include "host/emul.h"

#include <inttypes.h>

GArray *machine_collect_devices(const Machine *machine,
                                const MachineViommu *part, HostIommu **host)
{
    GArray *devices = g_array_new(FALSE, FALSE, sizeof(WorkloadDevice));

    for (unsigned i = 0; i < machine->devices->len; i++) {
        const MachineDevice *device = machine->devices->pdata[i];
        WorkloadDevice item;

        if (device->viommu == part) {
            item.dev_id = vfio_device_get_dev_id(device->vfio);
            item.sid = device->entry->endpoint.sid;
            item.id = device->entry->endpoint.base.id;
            *host = vfio_device_get_host(device->vfio);
            g_array_append_val(devices, item);
        }
    }
    return devices;
}

size_t machine_get_viommu_count(const Machine *machine)
{
    return machine->viommus->len;
}

/* Not one moment: what is under way is counted at one end and not the other. */
static RunSample get_sample(const MachineViommu *part)
{
    GuestSmmuv3Counts guest = guest_smmuv3_get_counts(part->guest);
    RunSample sample = {
        .seen = guest.seen,
        .corrupt = guest.corrupt,
        .guest_overflows = guest.overflows,
        .gerrors = guest.gerrors,
        .pump = viommu_get_stats(part->viommu),
    };

    if (part->load) {
        WorkloadCounts load = workload_events_get_counts(part->load);

        sample.generated = load.generated;
        sample.refused = load.refused;
    }
    return sample;
}

RunResult machine_get_result(const Machine *machine, size_t index,
                             HistogramSnapshot *latency)
{
    const MachineViommu *part = machine->viommus->pdata[index];

    guest_smmuv3_get_latency(part->guest, latency);
    return (RunResult){
        .id = part->entry->viommu.base.id,
        .model = part->entry->viommu.base.type->name,
        .iothread = part->entry->viommu.iothread,
        .sample = get_sample(part),
        .latency = latency,
    };
}

uint64_t machine_count_pending(const Machine *machine)
{
    uint64_t pending = 0;

    for (unsigned i = 0; i < machine->viommus->len; i++) {
        RunSample sample = get_sample(machine->viommus->pdata[i]);

        pending += run_sample_pending(&sample);
    }
    return pending;
}

/* Events that the devices of @host have reported. */
static uint64_t reported_to(const Machine *machine, HostIommu *host)
{
    uint64_t generated = 0;

    for (unsigned i = 0; i < machine->viommus->len; i++) {
        const MachineViommu *part = machine->viommus->pdata[i];
        HostIommu *own = NULL;
        g_autoptr(GArray) devices =
            machine_collect_devices(machine, part, &own);

        if (own == host && part->load) {
            generated += workload_events_get_counts(part->load).generated;
        }
    }
    return generated;
}

bool machine_check_hosts(const Machine *machine, GError **error)
{
    for (unsigned i = 0; i < machine->hosts->len; i++) {
        const MachineHost *part = machine->hosts->pdata[i];
        uint64_t reported = reported_to(machine, part->host);
        uint64_t counted = emul_get_stats(part->host).generated;

        if (reported != counted) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "'%s' counts %" PRIu64 " events, its devices have "
                        "reported %" PRIu64, part->entry->base.id, counted,
                        reported);
            return false;
        }
    }
    return true;
}
