/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices of a host that plays a recording: nobody makes them fault. What they
 * have done is what the recording has, as far as it was delivered.
 */
#include "machine-internal.h"

#include "base/error.h"
#include "base/report.h"

#include <errno.h>
#include <inttypes.h>

/* StreamIDs or requester IDs of its devices, as the command line has them. */
static GArray *list_sids(const Config *config, const char *iommufd)
{
    GArray *sids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    const GPtrArray *devices = config->lists[CONFIG_DEVICES];

    for (unsigned i = 0; i < devices->len; i++) {
        const char *id = config_iommufd_of(devices->pdata[i]);

        if (id && g_str_equal(id, iommufd)) {
            uint32_t sid = ((const EndpointEntry *)devices->pdata[i])->sid;

            g_array_append_val(sids, sid);
        }
    }
    return sids;
}

HostIommu *machine_replay_open(const Config *config, const ReplayEntry *entry,
                               GError **error)
{
    HostIommu *host = replay_host_new(
        entry->file, entry->host,
        config_replay_is_max(entry) ? REPLAY_MAX : REPLAY_RECORDED, error);
    g_autoptr(GArray) sids = NULL;

    if (!host) {
        return NULL;
    }
    sids = list_sids(config, entry->base.id);
    if (!replay_host_check_devices(host, (const uint32_t *)sids->data,
                                   sids->len, error)) {
        host_iommu_free(host);
        return NULL;
    }
    if (replay_host_get_shortened(host)) {
        warn_report("%s: played up to there", replay_host_get_shortened(host));
    }
    return host;
}

/* Records of devices whose hardware is played have contents that we know. */
GuestRecords machine_replay_records(const MachineHost *part)
{
    return (GuestRecords){
        .foreign = !g_str_equal(replay_host_get_kind(part->host),
                                MACHINE_HOST_SIMULATED),
        .recorded_until_ns = replay_host_get_end_ns(part->host),
    };
}

/* ---- Playing ---- */

bool machine_is_played(const Machine *machine)
{
    bool any = false;

    for (unsigned i = 0; i < machine->hosts->len; i++) {
        const MachineHost *part = machine->hosts->pdata[i];

        if (part->replay && !replay_host_is_done(part->host)) {
            return false;
        }
        any |= part->replay;
    }
    return any;
}

void machine_replay_stop(MachineHost *part)
{
    part->played = replay_host_is_done(part->host);
    replay_host_stop(part->host);
}

/* Ended early is no fault: whoever ended it knows. */
bool machine_replay_check(const MachineHost *part, GError **error)
{
    uint64_t left = replay_host_get_stats(part->host).left;

    if (left > 0 && !part->played) {
        info_report("'%s' has played its recording in part: %" PRIu64
                    " reads are left", part->entry->id, left);
        return true;
    }
    if (left > 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "'%s' has played all that was asked for, but %" PRIu64
                    " reads of its recording are left: the recorded guest had "
                    "other vIOMMUs, or other devices behind them",
                    part->entry->id, left);
        return false;
    }
    return true;
}

/* ---- Devices ---- */

/* Once bound; NULL before. */
static ReplayStats device_stats(const MachineDevice *device)
{
    const MachinePci *self = (const MachinePci *)device;

    return self->vfio ? replay_device_get_stats(
                            self->host->host,
                            vfio_device_get_dev_id(self->vfio))
                      : (ReplayStats){ 0 };
}

static bool make_behind(Machine *machine, MachineDevice *device,
                        HardwareIommu iommu, GError **error)
{
    const PciEntry *entry = (const PciEntry *)device->entry;
    MachineHost *host = machine_find_host(machine, entry->iommufd);
    int fd = replay_device_open(host->host, entry->endpoint.sid, iommu);

    if (fd < 0) {
        error_set_errno(error, errno, "cannot open it");
        return false;
    }
    return machine_pci_plug(machine, device, host, fd, error);
}

static bool events_make(Machine *machine, MachineDevice *device, GError **error)
{
    return make_behind(machine, device, HARDWARE_SMMUV3, error);
}

static void events_add_sample(const MachineDevice *device, RunSample *sample)
{
    sample->generated += device_stats(device).generated;
}

static void events_get_result(const MachineDevice *device, RunDevice *result)
{
    result->completed_operations = device_stats(device).generated;
}

const MachineKind machine_kind_replay_events = {
    .type = &config_type_emulated_pci,
    .viommu_type = &config_type_arm_smmuv3,
    .has_host = true,
    .replay = true,
    .part_size = sizeof(MachinePci),
    .make = events_make,
    .free = machine_pci_free,
    .add_sample = events_add_sample,
    .get_result = events_get_result,
};

static bool pages_make(Machine *machine, MachineDevice *device, GError **error)
{
    return make_behind(machine, device, HARDWARE_VTD, error);
}

static void pages_add_sample(const MachineDevice *device, RunSample *sample)
{
    ReplayStats stats = device_stats(device);

    sample->kinds |= RUN_PAGES;
    sample->pages.raised += stats.raised;
    sample->pages.responded += stats.answered + stats.ended;
    sample->pages.failed += stats.failed + stats.ended;
}

static void pages_get_result(const MachineDevice *device, RunDevice *result)
{
    ReplayStats stats = device_stats(device);

    result->completed_operations = stats.answered + stats.ended;
}

/* They ask by themselves. */
static bool pages_start_load(MachineDevice *device, uint64_t rate,
                             GError **error)
{
    return true;
}

const MachineKind machine_kind_replay_pages = {
    .type = &config_type_emulated_pci,
    .viommu_type = &config_type_intel_iommu,
    .has_host = true,
    .replay = true,
    .part_size = sizeof(MachinePci),
    .make = pages_make,
    .free = machine_pci_free,
    .add_sample = pages_add_sample,
    .get_result = pages_get_result,
    .describe = machine_pci_describe_pages,
    .start_load = pages_start_load,
};
