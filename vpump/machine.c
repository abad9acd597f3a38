/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What exists is what stands in the arrays: a part is added when it is whole
 * or can be freed as it is, so freeing the machine undoes any prefix of making
 * it, backwards.
 */
#include "machine-internal.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

static const MachineModel *const models[] = {
    &machine_model_smmuv3,
    &machine_model_vtd,
};

static const MachineKind *const kinds[] = {
    &machine_kind_pci_events,
    &machine_kind_pci_pages,
    &machine_kind_mock_events,
    &machine_kind_mock_pages,
    &machine_kind_replay_events,
    &machine_kind_replay_pages,
    &machine_kind_sva,
    &machine_kind_vfio_events,
    &machine_kind_vfio_pages,
};

static void iothread_free(void *opaque)
{
    MachineIothread *self = opaque;

    iothread_stop(self->iothread);
    g_free(self);
}

/* Only then can no answer come for a group that is still open. */
static void host_free(void *opaque)
{
    MachineHost *self = opaque;

    host_iommu_free(self->host);
    workload_pages_free(self->pages);
    g_free(self);
}

/* After its guest was stopped and its devices were removed. */
static void viommu_part_free(void *opaque)
{
    MachineViommu *self = opaque;

    viommu_free(self->viommu);
    self->model->free(self);
    irq_sink_eventfd_free(self->irq);
    guest_ram_free(self->ram);
    g_ptr_array_unref(self->devices);
    g_free(self);
}

static void device_free(void *opaque)
{
    MachineDevice *self = opaque;

    self->kind->free(self);
    g_ptr_array_remove(self->viommu->devices, self);
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

MachineHost *machine_find_host(const Machine *machine, const char *id)
{
    for (unsigned i = 0; i < machine->hosts->len; i++) {
        MachineHost *part = machine->hosts->pdata[i];

        if (strcmp(part->entry->id, id) == 0) {
            return part;
        }
    }
    g_assert_not_reached();
}

static MachineViommu *find_viommu(const Machine *machine, const char *id)
{
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        MachineViommu *part = machine->viommus->pdata[i];

        if (strcmp(part->entry->base.id, id) == 0) {
            return part;
        }
    }
    g_assert_not_reached();
}

static const MachineModel *find_model(const ConfigType *type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        if (models[i]->type == type) {
            return models[i];
        }
    }
    g_assert_not_reached();
}

const MachineKind *machine_find_kind(const ConfigType *type,
                                     const ConfigType *viommu_type,
                                     bool replay)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (kinds[i]->type == type && kinds[i]->viommu_type == viommu_type &&
            kinds[i]->replay == replay) {
            return kinds[i];
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
    HostIommu *host = machine_host_open(machine->config, entry, error);

    if (!host) {
        return false;
    }
    if (machine->recorder) {
        host = record_host_new(host, machine->recorder, entry->id,
                               host->hardware ? MACHINE_HOST_SIMULATED
                                              : MACHINE_HOST_REAL);
    }
    part = g_new0(MachineHost, 1);
    part->entry = entry;
    part->host = host;
    part->replay = entry->type == &config_type_iommufd_replay;
    part->pages = workload_pages_new(host);
    g_ptr_array_add(machine->hosts, part);
    return true;
}

static bool make_object(Machine *machine, const ConfigEntry *entry,
                        GError **error)
{
    return entry->type == &config_type_iothread
        ? make_iothread(machine, entry, error)
        : make_host(machine, entry, error);
}

/* In the array from the start: whatever part of it is made gets freed. */
static bool make_viommu(Machine *machine, const ConfigEntry *entry,
                        GError **error)
{
    const MachineModel *model = find_model(entry->type);
    MachineViommu *part = g_malloc0(model->part_size);
    ViommuConfig config = { .id = entry->id };

    part->model = model;
    part->entry = (const ViommuEntry *)entry;
    part->machine = machine;
    part->devices = g_ptr_array_new();
    g_ptr_array_add(machine->viommus, part);
    part->ram = guest_ram_new(model->ram_bytes(machine->config, part->entry),
                              error);
    if (!part->ram) {
        return false;
    }
    part->irq = irq_sink_eventfd_new(model->irq_lines, model->doorbell, error);
    if (!part->irq) {
        return false;
    }
    config.ctx = iothread_get_aio_context(
        find_iothread(machine, part->entry->iothread));
    config.mem = guest_ram_get_mem(part->ram);
    config.irq = part->irq;
    part->viommu = model->make(&config, part->entry, error);
    return part->viommu != NULL;
}

static bool is_replayed(const Machine *machine, const ConfigEntry *entry)
{
    const char *host = config_iommufd_of(entry);

    return host && machine_find_host(machine, host)->replay;
}

/* Likewise. */
static bool make_device(Machine *machine, const ConfigEntry *entry,
                        GError **error)
{
    const EndpointEntry *wanted = (const EndpointEntry *)entry;
    MachineViommu *viommu = find_viommu(machine, wanted->viommu);
    const MachineKind *kind =
        machine_find_kind(entry->type, viommu->entry->base.type,
                          is_replayed(machine, entry));
    MachineDevice *part = g_malloc0(kind->part_size);

    part->kind = kind;
    part->entry = wanted;
    part->viommu = viommu;
    part->index = viommu->devices->len;
    g_ptr_array_add(viommu->devices, part);
    g_ptr_array_add(machine->devices, part);
    return kind->make(machine, part, error);
}

/* Make every entry of one role; on failure say which option it was. */
static bool make_all(Machine *machine, ConfigList which, ConfigRole role,
                     bool (*make)(Machine *machine, const ConfigEntry *entry,
                                  GError **error),
                     GError **error)
{
    const GPtrArray *list = machine->config->lists[which];

    for (unsigned i = 0; i < list->len; i++) {
        const ConfigEntry *entry = list->pdata[i];

        if (entry->type->role == role && !make(machine, entry, error)) {
            g_prefix_error(error, "%s: %s '%s': ", entry->origin,
                           entry->type->name, entry->id);
            return false;
        }
    }
    return true;
}

/* With all devices there: hot plug is not the program's business. */
static bool start_guests(Machine *machine, GError **error)
{
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        MachineViommu *part = machine->viommus->pdata[i];

        if (!part->model->start_guest(part, error)) {
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
}

/* Each consumes what its queue holds, and switches its vIOMMU off. */
static void stop_guests(Machine *machine)
{
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        MachineViommu *part = machine->viommus->pdata[i];

        part->model->stop_guest(part);
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

static bool open_recorder(Machine *machine, GError **error)
{
    const char *file = machine->config->record;

    if (file) {
        machine->recorder = recorder_new(file, RECORDER_BUFFER_BYTES, error);
        if (!machine->recorder) {
            g_prefix_error(error, "-record %s: ", file);
        }
    }
    return !file || machine->recorder;
}

/* Last: a machine that cannot be made leaves an older recording alone. */
static bool start_recorder(Machine *machine, GError **error)
{
    if (machine->recorder && !recorder_start(machine->recorder, error)) {
        g_prefix_error(error, "-record %s: ", machine->config->record);
        return false;
    }
    return true;
}

/* Hosts make no call that is recorded from here on. */
static void stop_recorder(Machine *machine, GPtrArray *problems)
{
    g_autoptr(GError) error = NULL;

    if (!recorder_close(g_steal_pointer(&machine->recorder), &error) &&
        problems) {
        g_ptr_array_add(problems, g_strdup(error->message));
    }
}

Machine *machine_new(const Config *config, GError **error)
{
    Machine *machine = g_new0(Machine, 1);

    machine->config = config;
    lock_init(&machine->big_lock, LOCK_RANK_BIG);
    machine->iothreads = g_ptr_array_new_with_free_func(iothread_free);
    machine->hosts = g_ptr_array_new_with_free_func(host_free);
    machine->viommus = g_ptr_array_new_with_free_func(viommu_part_free);
    machine->devices = g_ptr_array_new_with_free_func(device_free);
    if (open_recorder(machine, error) &&
        make_all(machine, CONFIG_OBJECTS, CONFIG_ROLE_OBJECT, make_object,
                 error) &&
        make_all(machine, CONFIG_DEVICES, CONFIG_ROLE_VIOMMU, make_viommu,
                 error) &&
        make_all(machine, CONFIG_DEVICES, CONFIG_ROLE_ENDPOINT, make_device,
                 error)) {
        return machine;
    }
    machine_free(machine);
    add_hint(error);
    return NULL;
}

GPtrArray *machine_get_contexts(const Machine *machine)
{
    GPtrArray *contexts = g_ptr_array_new();

    for (unsigned i = 0; i < machine->iothreads->len; i++) {
        const MachineIothread *part = machine->iothreads->pdata[i];

        g_ptr_array_add(contexts, iothread_get_aio_context(part->iothread));
    }
    for (unsigned i = 0; i < machine->devices->len; i++) {
        const MachineDevice *part = machine->devices->pdata[i];

        if (part->kind->get_context) {
            g_ptr_array_add(contexts, part->kind->get_context(part));
        }
    }
    return contexts;
}

bool machine_start(Machine *machine, GError **error)
{
    if (start_guests(machine, error) && start_recorder(machine, error)) {
        return true;
    }
    add_hint(error);
    return false;
}

/* What asks for pages ends before the guests that answer. */
static void rest_hosts(Machine *machine)
{
    for (unsigned i = 0; i < machine->hosts->len; i++) {
        MachineHost *part = machine->hosts->pdata[i];

        workload_pages_rest(part->pages);
    }
}

void machine_rest(Machine *machine)
{
    rest_hosts(machine);
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        MachineViommu *part = machine->viommus->pdata[i];

        part->model->rest(part);
    }
}

static bool start_loads(Machine *machine, GError **error)
{
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        MachineViommu *part = machine->viommus->pdata[i];

        if (!part->model->start_load(part, error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < machine->hosts->len; i++) {
        MachineHost *part = machine->hosts->pdata[i];

        if (!workload_pages_start(part->pages, error)) {
            return false;
        }
        if (part->replay) {
            replay_host_start(part->host);
        }
    }
    return true;
}

bool machine_start_load(Machine *machine, GError **error)
{
    if (!start_loads(machine, error)) {
        machine_stop_load(machine);
        return false;
    }
    return true;
}

void machine_stop_load(Machine *machine)
{
    for (unsigned i = 0; i < machine->hosts->len; i++) {
        MachineHost *part = machine->hosts->pdata[i];

        workload_pages_stop(part->pages);
        if (part->replay) {
            machine_replay_stop(part);
        }
    }
    for (unsigned i = 0; i < machine->viommus->len; i++) {
        MachineViommu *part = machine->viommus->pdata[i];

        part->model->stop_load(part);
    }
}

void machine_take_apart(Machine *machine, GPtrArray *problems)
{
    g_autofree RunSample *before = NULL;

    machine_stop_load(machine);
    rest_hosts(machine);
    if (problems) {
        before = machine_get_samples(machine);
    }
    stop_guests(machine);
    if (problems) {
        machine_check_stopped(machine, before, problems);
    }
    free_backwards(machine->devices);
    free_backwards(machine->viommus);
    if (problems) {
        machine_check_empty(machine, problems);
    }
    stop_recorder(machine, problems);
}

void machine_free(Machine *machine)
{
    if (machine) {
        machine_take_apart(machine, NULL);
        free_backwards(machine->hosts);
        free_backwards(machine->iothreads);
        g_ptr_array_unref(machine->devices);
        g_ptr_array_unref(machine->viommus);
        g_ptr_array_unref(machine->hosts);
        g_ptr_array_unref(machine->iothreads);
        lock_destroy(&machine->big_lock);
        g_free(machine);
    }
}
