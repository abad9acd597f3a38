/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What exists is what stands in the arrays: a part is added when it is whole
 * or can be freed as it is, so freeing the machine undoes any prefix of making
 * it, backwards.
 */
#include "machine-internal.h"

#include "base/error.h"
#include "host/emul.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

static void iothread_free(void *opaque)
{
    MachineIothread *self = opaque;

    iothread_stop(self->iothread);
    g_free(self);
}

static void host_free(void *opaque)
{
    MachineHost *self = opaque;

    host_iommu_free(self->host);
    g_free(self);
}

/* After its guest was stopped and its devices were removed. */
static void viommu_part_free(void *opaque)
{
    MachineViommu *self = opaque;

    workload_events_free(self->load);
    viommu_free(self->viommu);
    guest_smmuv3_free(self->guest);
    irq_sink_eventfd_free(self->irq);
    guest_ram_free(self->ram);
    g_free(self);
}

/* The reverse of make_device(), from whatever step it came to. */
static void device_free(void *opaque)
{
    MachineDevice *self = opaque;

    if (self->plugged) {
        viommu_remove_device(self->viommu->viommu, self->entry->endpoint.sid);
    }
    vfio_device_free(self->vfio);
    g_free(self);
}

/* The find functions: config_complete() has seen that there is one. */

static IOThread *find_iothread(const Machine *machine, const char *id)
{
    for (unsigned i = 0; i < machine->iothreads->len; i++) {
        const MachineIothread *part = machine->iothreads->pdata[i];

        if (strcmp(part->entry->base.id, id) == 0) {
            return part->iothread;
        }
    }
    g_assert_not_reached();
}

static HostIommu *find_host(const Machine *machine, const char *id)
{
    for (unsigned i = 0; i < machine->hosts->len; i++) {
        const MachineHost *part = machine->hosts->pdata[i];

        if (strcmp(part->entry->base.id, id) == 0) {
            return part->host;
        }
    }
    g_assert_not_reached();
}

static MachineViommu *find_viommu(const Machine *machine, const char *id)
{
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        MachineViommu *part = machine->viommus->pdata[i];

        if (strcmp(part->entry->viommu.base.id, id) == 0) {
            return part;
        }
    }
    g_assert_not_reached();
}

static bool make_iothread(Machine *machine, const ConfigEntry *entry,
                          GError **error)
{
    const IothreadEntry *wanted = (const IothreadEntry *)entry;
    MachineIothread *part;
    IOThread *iothread = iothread_new(entry->id, &wanted->properties, error);

    if (!iothread) {
        return false;
    }
    part = g_new0(MachineIothread, 1);
    part->entry = wanted;
    part->iothread = iothread;
    g_ptr_array_add(machine->iothreads, part);
    return true;
}

static bool make_host(Machine *machine, const ConfigEntry *entry,
                      GError **error)
{
    MachineHost *part;
    HostIommu *host = emul_new(error);

    if (!host) {
        return false;
    }
    part = g_new0(MachineHost, 1);
    part->entry = (const IommufdEntry *)entry;
    part->host = host;
    g_ptr_array_add(machine->hosts, part);
    return true;
}

/* No guest driver drives it yet. */
static bool make_nothing(Machine *machine, const ConfigEntry *entry,
                         GError **error)
{
    g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "not to be had yet");
    return false;
}

/* In the array from the start: whatever part of it is made gets freed. */
static bool make_viommu(Machine *machine, const ConfigEntry *entry,
                        GError **error)
{
    MachineViommu *part = g_new0(MachineViommu, 1);
    ViommuConfig config = { .id = entry->id };

    g_ptr_array_add(machine->viommus, part);
    part->entry = (const Smmuv3Entry *)entry;
    part->ram = guest_ram_new(GUEST_SMMUV3_RAM_BYTES, error);
    if (!part->ram) {
        return false;
    }
    part->irq = irq_sink_eventfd_new(SMMUV3_IRQ_COUNT, GUEST_SMMUV3_DOORBELL,
                                     error);
    if (!part->irq) {
        return false;
    }
    config.ctx = iothread_get_aio_context(
        find_iothread(machine, part->entry->viommu.iothread));
    config.mem = guest_ram_get_mem(part->ram);
    config.irq = part->irq;
    part->viommu = smmuv3_new(&config, &part->entry->properties, error);
    return part->viommu != NULL;
}

/* A device is opened, bound to its host, and plugged into its vIOMMU. */
static bool make_device(Machine *machine, const ConfigEntry *entry,
                        GError **error)
{
    MachineDevice *part = g_new0(MachineDevice, 1);
    HostIommu *host;
    int fd;

    g_ptr_array_add(machine->devices, part);
    part->entry = (const PciEntry *)entry;
    part->viommu = find_viommu(machine, part->entry->endpoint.viommu);
    host = find_host(machine, part->entry->iommufd);
    fd = emul_device_open(host);
    if (fd < 0) {
        error_set_errno(error, errno, "emulated device");
        return false;
    }
    part->vfio = vfio_device_bind(host, fd, entry->id, error);
    if (!part->vfio) {
        host->ops->close(host, fd);
        return false;
    }
    part->plugged = viommu_add_device(part->viommu->viommu, part->vfio,
                                      part->entry->endpoint.sid, error);
    return part->plugged;
}

/* Make every entry of one type; on failure say which option it was. */
static bool make_all(Machine *machine, const ConfigType *type,
                     bool (*make)(Machine *machine, const ConfigEntry *entry,
                                  GError **error),
                     GError **error)
{
    const GPtrArray *list = machine->config->lists[type->list];

    for (unsigned i = 0; i < list->len; i++) {
        const ConfigEntry *entry = list->pdata[i];

        if (entry->type == type && !make(machine, entry, error)) {
            g_prefix_error(error, "%s: %s '%s': ", entry->origin,
                           type->name, entry->id);
            return false;
        }
    }
    return true;
}

/* With all devices there: hot plug is not the program's business. */
static bool start_guest(Machine *machine, MachineViommu *part, GError **error)
{
    HostIommu *host = NULL;
    g_autoptr(GArray) devices = machine_collect_devices(machine, part, &host);
    g_autofree uint32_t *sids = g_new(uint32_t, devices->len);
    GuestSmmuv3Config config = {
        .viommu = part->viommu, .ram = part->ram, .irq = part->irq,
        .sids = sids, .sid_count = devices->len,
    };

    for (unsigned i = 0; i < devices->len; i++) {
        sids[i] = g_array_index(devices, WorkloadDevice, i).sid;
    }
    part->guest = guest_smmuv3_new(&config, error);
    return part->guest != NULL;
}

static bool start_guests(Machine *machine, GError **error)
{
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        if (!start_guest(machine, machine->viommus->pdata[i], error)) {
            return false;
        }
    }
    return true;
}

/* The last one made goes first. */
static void free_backwards(GPtrArray *parts)
{
    while (parts->len > 0) {
        g_ptr_array_remove_index(parts, parts->len - 1);
    }
    g_ptr_array_unref(parts);
}

/* Each consumes what its queue holds, and switches its SMMU off. */
static void stop_guests(Machine *machine)
{
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        MachineViommu *part = machine->viommus->pdata[i];

        if (part->guest) {
            guest_smmuv3_stop(part->guest);
        }
    }
}

/* The one limit that a large machine meets, and how to raise it. */
static void add_hint(GError **error)
{
    struct rlimit limit;
    g_autoptr(GError) bare = NULL;

    if (!error || !*error ||
        !g_str_has_suffix((*error)->message, g_strerror(EMFILE)) ||
        getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return;
    }
    bare = g_steal_pointer(error);
    g_set_error(error, bare->domain, bare->code,
                "%s\nulimit -n is %llu: raise it, or make fewer devices",
                bare->message, (unsigned long long)limit.rlim_cur);
}

Machine *machine_new(const Config *config, GError **error)
{
    Machine *machine = g_new0(Machine, 1);

    machine->config = config;
    machine->iothreads = g_ptr_array_new_with_free_func(iothread_free);
    machine->hosts = g_ptr_array_new_with_free_func(host_free);
    machine->viommus = g_ptr_array_new_with_free_func(viommu_part_free);
    machine->devices = g_ptr_array_new_with_free_func(device_free);
    if (make_all(machine, &config_type_iothread, make_iothread, error) &&
        make_all(machine, &config_type_iommufd_emulated, make_host, error) &&
        make_all(machine, &config_type_arm_smmuv3, make_viommu, error) &&
        make_all(machine, &config_type_intel_iommu, make_nothing, error) &&
        make_all(machine, &config_type_emulated_pci, make_device, error) &&
        start_guests(machine, error)) {
        return machine;
    }
    machine_free(machine);
    add_hint(error);
    return NULL;
}

void machine_rest(Machine *machine)
{
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        MachineViommu *part = machine->viommus->pdata[i];

        guest_smmuv3_rest(part->guest);
    }
}

void machine_free(Machine *machine)
{
    if (machine) {
        machine_stop_load(machine);
        stop_guests(machine);
        free_backwards(machine->devices);
        free_backwards(machine->viommus);
        free_backwards(machine->hosts);
        free_backwards(machine->iothreads);
        g_free(machine);
    }
}

static bool start_load(Machine *machine, MachineViommu *part, GError **error)
{
    HostIommu *host = NULL;
    g_autoptr(GArray) devices = machine_collect_devices(machine, part, &host);

    G_STATIC_ASSERT(CONFIG_LOAD_MAX == WORKLOAD_RATE_MAX);
    part->load = workload_events_start(host, (WorkloadDevice *)devices->data,
                                       devices->len, machine->config->load,
                                       error);
    return part->load != NULL;
}

bool machine_start_load(Machine *machine, GError **error)
{
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        if (!start_load(machine, machine->viommus->pdata[i], error)) {
            machine_stop_load(machine);
            return false;
        }
    }
    return true;
}

void machine_stop_load(Machine *machine)
{
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        MachineViommu *part = machine->viommus->pdata[i];

        if (part->load) {
            workload_events_stop(part->load);
        }
    }
}
