/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a machine has done: counters of its parts put together, at both ends of
 * the path that an event or a page request takes.
 */
#include "machine-internal.h"

#include "base/error.h"
#include "host/hardware.h"

#include <inttypes.h>
#include <string.h>

size_t machine_get_viommu_count(const Machine *machine)
{
    return machine->viommus->len;
}

/* Not one moment: what is under way is counted at one end and not the other. */
static RunSample get_sample(const MachineViommu *part)
{
    RunSample sample = {
        .pump = viommu_get_stats(part->viommu),
        .pages.pump = viommu_get_page_stats(part->viommu),
    };

    part->model->add_sample(part, &sample);
    for (unsigned i = 0; i < part->devices->len; i++) {
        const MachineDevice *device = part->devices->pdata[i];

        device->kind->add_sample(device, &sample);
    }
    return sample;
}

static void get_latencies(const MachineViommu *part, RunLatencies *latencies)
{
    memset(latencies, 0, sizeof(*latencies));
    if (part->model->get_latency) {
        part->model->get_latency(part, &latencies->event);
    }
    for (unsigned i = 0; i < part->devices->len; i++) {
        const MachineDevice *device = part->devices->pdata[i];

        if (device->kind->add_roundtrip) {
            device->kind->add_roundtrip(device, &latencies->roundtrip);
        }
    }
}

RunResult machine_get_result(const Machine *machine, size_t index,
                             RunLatencies *latencies)
{
    const MachineViommu *part = machine->viommus->pdata[index];

    get_latencies(part, latencies);
    return (RunResult){
        .id = part->entry->base.id,
        .model = part->entry->base.type->name,
        .iothread = part->entry->iothread,
        .sample = get_sample(part),
        .latencies = latencies,
    };
}

GArray *machine_get_devices(const Machine *machine, size_t index)
{
    const MachineViommu *part = machine->viommus->pdata[index];
    GArray *results = g_array_new(FALSE, FALSE, sizeof(RunDevice));

    for (unsigned i = 0; i < part->devices->len; i++) {
        const MachineDevice *device = part->devices->pdata[i];
        RunDevice result = {
            .id = device->entry->base.id,
            .kind = device->entry->base.type->name,
        };

        device->kind->get_result(device, &result);
        g_array_append_val(results, result);
    }
    return results;
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

RunSample *machine_get_samples(const Machine *machine)
{
    RunSample *samples = g_new(RunSample, machine->viommus->len);

    for (unsigned i = 0; i < machine->viommus->len; i++) {
        samples[i] = get_sample(machine->viommus->pdata[i]);
    }
    return samples;
}

void machine_check_stopped(const Machine *machine, const RunSample *before,
                           GPtrArray *problems)
{
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        const MachineViommu *part = machine->viommus->pdata[i];
        RunSample after = get_sample(part);
        g_autofree char *text = run_sample_explain_stop(&before[i], &after);

        if (text) {
            g_ptr_array_add(problems,
                            g_strdup_printf("guest of '%s' did not stop as it "
                                            "should: %s", part->entry->base.id,
                                            text));
        }
    }
}

static void check_none(const MachineHost *part, uint64_t count,
                       const char *what, GPtrArray *problems)
{
    if (count > 0) {
        g_ptr_array_add(problems,
                        g_strdup_printf("'%s' has %" PRIu64 " %s when all "
                                        "devices are gone",
                                        part->entry->id, count, what));
    }
}

void machine_check_empty(const Machine *machine, GPtrArray *problems)
{
    for (unsigned i = 0; i < machine->hosts->len; i++) {
        const MachineHost *part = machine->hosts->pdata[i];
        HostIommu *host = part->replay ? replay_host_get_emul(part->host)
                                       : part->host;
        const HardwareOps *hardware = host->hardware;

        if (!hardware) {
            continue;
        }
        check_none(part, hardware->get_stats(host).busy,
                   "times refused to destroy an object", problems);
        check_none(part, hardware->get_page_stats(host).open,
                   "groups open", problems);
        check_none(part, hardware->count_left(host), "objects left",
                   problems);
    }
}

/* Events that the devices of @host have reported. */
static uint64_t reported_to(const Machine *machine, const MachineHost *host)
{
    uint64_t generated = 0;

    for (unsigned i = 0; i < machine->viommus->len; i++) {
        const MachineViommu *part = machine->viommus->pdata[i];

        if (machine_host_of(part) == host) {
            generated += get_sample(part).generated;
        }
    }
    return generated;
}

/* Do both sides count the same? Else @error says who counts what. */
static bool check_equal(const MachineHost *part, uint64_t counted,
                        uint64_t known, const char *what, const char *done,
                        GError **error)
{
    if (counted != known) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "'%s' counts %" PRIu64 " %s, its devices have %s "
                    "%" PRIu64, part->entry->id, counted, what, done,
                    known);
        return false;
    }
    return true;
}

/* Each group is answered once: what the host did itself included. */
static bool check_pages(const MachineHost *part, GError **error)
{
    HardwarePageStats stats = part->host->hardware->get_page_stats(part->host);
    uint64_t raised = 0, responded = 0;

    for (size_t i = 0; i < part->page_devices; i++) {
        WorkloadPagesCounts counts = workload_pages_get_counts(part->pages, i);

        raised += counts.raised;
        responded += counts.success + counts.invalid + counts.stray;
    }
    return check_equal(part, stats.raised, raised, "groups of page requests",
                       "raised", error) &&
           check_equal(part, stats.answered + stats.automatic, responded,
                       "answers to them", "received", error) &&
           check_equal(part, stats.open, 0, "open groups", "left", error);
}

bool machine_check_hosts(const Machine *machine, GError **error)
{
    for (unsigned i = 0; i < machine->hosts->len; i++) {
        const MachineHost *part = machine->hosts->pdata[i];
        const HardwareOps *hardware = part->host->hardware;

        if (part->replay && !machine_replay_check(part, error)) {
            return false;
        }
        if (hardware &&
            (!check_equal(part, hardware->get_stats(part->host).generated,
                          reported_to(machine, part), "events", "reported",
                          error) ||
             !check_pages(part, error))) {
            return false;
        }
    }
    return true;
}
