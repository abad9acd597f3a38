/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What belongs together: links first, since all the rest follows them. Only
 * then are iothreads added, so that nobody can name one that was not asked for.
 */
#include "config-internal.h"

#include "base/error.h"

#include <string.h>

/*
 * A vIOMMU without iothread= shares its thread with nobody. The thread is an
 * object like any other, so the name may be taken.
 */
static bool add_own_iothread(Config *config, ViommuEntry *viommu,
                             GError **error)
{
    g_autofree char *id = g_strdup_printf("%s-iothread", viommu->base.id);

    if (!config_add(config, &config_type_iothread, id, viommu->base.origin,
                    NULL)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_EXISTS,
                    "%s: Duplicate ID '%s' for object\n"
                    "%s",
                    viommu->base.origin, id,
                    strcmp(viommu->base.origin, config_default_origin) == 0
                        ? "choose another id, or give -device"
                        : "without iothread= it makes an iothread of that "
                          "name");
        return false;
    }
    viommu->iothread = g_steal_pointer(&id);
    return true;
}

static bool is_target(const Property *link, const ConfigType *type)
{
    for (const ConfigType *const *target = link->targets; *target; target++) {
        if (*target == type) {
            return true;
        }
    }
    return false;
}

/* The types that @link may lead to, as a message names them. */
static char *list_targets(const Property *link)
{
    GString *names = g_string_new(NULL);

    for (const ConfigType *const *target = link->targets; *target; target++) {
        g_string_append_printf(names, "%s%s", names->len ? " or " : "",
                               (*target)->name);
    }
    return g_string_free(names, FALSE);
}

/*
 * Does @entry's @link lead to something that it may? Objects and devices have
 * names of their own, so the types also say in which list to look.
 */
static bool check_link(const Config *config, const ConfigEntry *entry,
                       const Property *link, GError **error)
{
    const char *id = G_STRUCT_MEMBER(char *, entry, link->offset);
    ConfigEntry *target;

    if (!id && !link->required) {
        return true;
    }
    if (!id) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s: Parameter '%s' is missing\n%s takes %s",
                    entry->origin, link->name, link->name, link->accepts);
        return false;
    }
    target = config_find(config, link->targets[0]->list, id);
    if (!target) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_NOT_FOUND,
                    "%s: Device '%s' not found\n%s takes %s",
                    entry->origin, id, link->name, link->accepts);
        return false;
    }
    if (!is_target(link, target->type)) {
        g_autofree char *expected = list_targets(link);

        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s: Invalid parameter type for '%s', expected: %s\n"
                    "'%s' is an %s", entry->origin, link->name, expected, id,
                    target->type->name);
        return false;
    }
    return true;
}

static bool check_links(const Config *config, const ConfigEntry *entry,
                        GError **error)
{
    const ConfigType *type = entry->type;

    for (size_t i = 0; i < type->property_count; i++) {
        if (type->properties[i].kind == PROPERTY_LINK &&
            !check_link(config, entry, &type->properties[i], error)) {
            return false;
        }
    }
    return true;
}

static bool check_properties(const ConfigEntry *entry, GError **error)
{
    if (!entry->type->check || entry->type->check(entry, error)) {
        return true;
    }
    g_prefix_error(error, "%s: ", entry->origin);
    return false;
}

/* @device as a device behind @viommu, or NULL if it is none. */
static EndpointEntry *behind(ConfigEntry *device, const char *viommu)
{
    EndpointEntry *endpoint = (EndpointEntry *)device;

    return device->type->role == CONFIG_ROLE_ENDPOINT &&
           strcmp(endpoint->viommu, viommu) == 0 ? endpoint : NULL;
}

/*
 * The first device behind @viommu that has @sid, if it comes before @end; with
 * NULL, wherever it comes.
 */
static const EndpointEntry *find_sid(const Config *config, const char *viommu,
                                     int64_t sid, const EndpointEntry *end)
{
    const GPtrArray *devices = config->lists[CONFIG_DEVICES];

    for (unsigned i = 0; i < devices->len && devices->pdata[i] != end; i++) {
        const EndpointEntry *other = behind(devices->pdata[i], viommu);

        if (other && other->sid == sid) {
            return other;
        }
    }
    return NULL;
}

/* The first of a host behind @viommu: it says which host's all must be. */
static const PciEntry *first_of_host(const Config *config, const char *viommu)
{
    const GPtrArray *devices = config->lists[CONFIG_DEVICES];

    for (unsigned i = 0; i < devices->len; i++) {
        const EndpointEntry *other = behind(devices->pdata[i], viommu);

        if (other && config_iommufd_of(&other->base)) {
            return (const PciEntry *)other;
        }
    }
    return NULL;
}

/* The lowest that is free; those that others ask for by name are not. */
static bool choose_sid(const Config *config, EndpointEntry *endpoint,
                       GError **error)
{
    ViommuEntry *viommu = config_viommu_of(config, endpoint);

    for (; viommu->next_sid <= UINT16_MAX;
         viommu->next_sid += CONFIG_SID_STEP) {
        if (!find_sid(config, endpoint->viommu, viommu->next_sid, NULL)) {
            endpoint->sid = viommu->next_sid;
            return true;
        }
    }
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_RESOURCE,
                "%s: no sid is left behind '%s'\n"
                "sid takes a number from 0 to 65535", endpoint->base.origin,
                endpoint->viommu);
    return false;
}

/*
 * None twice, since the guest could not tell them apart: the later of the two
 * is the one that is wrong.
 */
static bool complete_sid(const Config *config, EndpointEntry *endpoint,
                         GError **error)
{
    const EndpointEntry *other;

    if (endpoint->sid == CONFIG_SID_AUTO) {
        return choose_sid(config, endpoint, error);
    }
    other = find_sid(config, endpoint->viommu, endpoint->sid, endpoint);
    if (other) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_EXISTS,
                    "%s: Property '%s.sid' doesn't take value '%d'\n"
                    "'%s' behind the same %s has it",
                    endpoint->base.origin, endpoint->base.type->name,
                    (int)endpoint->sid, other->base.id,
                    config_viommu_of(config, endpoint)->base.type->name);
        return false;
    }
    return true;
}

/* One for all of a vIOMMU, since its host objects cannot be in two. */
static bool check_host(const Config *config, const PciEntry *pci,
                       GError **error)
{
    const EndpointEntry *endpoint = &pci->endpoint;
    const PciEntry *other = first_of_host(config, endpoint->viommu);

    if (strcmp(pci->iommufd, other->iommufd) != 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s: Property '%s.iommufd' doesn't take value '%s'\n"
                    "'%s' behind the same %s has '%s'",
                    endpoint->base.origin, endpoint->base.type->name,
                    pci->iommufd, other->endpoint.base.id,
                    config_viommu_of(config, endpoint)->base.type->name,
                    other->iommufd);
        return false;
    }
    return true;
}

/* One type for all of a host, since the host is opened for it. */
static bool check_kind(const Config *config, const PciEntry *pci,
                       GError **error)
{
    const ConfigEntry *entry = &pci->endpoint.base;
    const ConfigEntry *first = config_first_device_of(config, pci->iommufd);

    if (entry->type != first->type) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s: Property '%s.iommufd' doesn't take value '%s'\n"
                    "'%s' of the same host is an %s: give this one a host of "
                    "its own",
                    entry->origin, entry->type->name, pci->iommufd, first->id,
                    first->type->name);
        return false;
    }
    return true;
}

/* To the kernel's mock driver, 0 is a device without a vDEVICE. */
static bool check_mock_sid(const Config *config, const EndpointEntry *endpoint,
                           GError **error)
{
    if (endpoint->sid == 0 &&
        config_viommu_of(config, endpoint)->base.type ==
            &config_type_arm_smmuv3) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s: Property '%s.sid' doesn't take value '0'\n"
                    "the kernel's mock driver reports no events of StreamID "
                    "0: sid takes a number from 1 to 65535",
                    endpoint->base.origin, endpoint->base.type->name);
        return false;
    }
    return true;
}

/* What devices behind a VT-d do is to ask for pages, unless they are real. */
static bool check_page_requests(const Config *config,
                                const EndpointEntry *endpoint, GError **error)
{
    const ViommuEntry *viommu = config_viommu_of(config, endpoint);

    if (viommu->base.type == &config_type_intel_iommu &&
        endpoint->base.type != &config_type_vfio_pci &&
        !((const VtdEntry *)viommu)->properties.svm) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s: Property '%s.viommu' doesn't take value '%s'\n"
                    "viommu takes an intel-iommu with svm=on: its devices ask "
                    "for pages",
                    endpoint->base.origin, endpoint->base.type->name,
                    endpoint->viommu);
        return false;
    }
    return true;
}

/* Its address spaces are PASIDs 1 and up: 0 stands for none. */
static bool check_pasids(const Config *config, const SvaEntry *sva,
                         GError **error)
{
    const ConfigEntry *base = &sva->endpoint.base;
    const VtdEntry *vtd =
        (const VtdEntry *)config_viommu_of(config, &sva->endpoint);
    unsigned bits = vtd->properties.pasid_bits;

    if (sva->pasids >> bits) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s: Property '%s.pasids' doesn't take value '%u'\n"
                    "'%s' has pasid-bits=%u, for %u PASID%s",
                    base->origin, base->type->name, sva->pasids,
                    vtd->viommu.base.id, bits, (1U << bits) - 1,
                    bits == 1 ? "" : "s");
        return false;
    }
    return true;
}

static bool complete_endpoint(Config *config, EndpointEntry *endpoint,
                              GError **error)
{
    if (config_iommufd_of(&endpoint->base) &&
        (!check_host(config, (const PciEntry *)endpoint, error) ||
         !check_kind(config, (const PciEntry *)endpoint, error))) {
        return false;
    }
    if (endpoint->base.type == &config_type_iommufd_mock &&
        !check_mock_sid(config, endpoint, error)) {
        return false;
    }
    if (!check_page_requests(config, endpoint, error)) {
        return false;
    }
    if (endpoint->base.type == &config_type_sva_device &&
        !check_pasids(config, (const SvaEntry *)endpoint, error)) {
        return false;
    }
    return complete_sid(config, endpoint, error);
}

static bool has_real_device(const Config *config, const char *viommu)
{
    const GPtrArray *devices = config->lists[CONFIG_DEVICES];

    for (unsigned i = 0; i < devices->len; i++) {
        const EndpointEntry *device = behind(devices->pdata[i], viommu);

        if (device && device->base.type == &config_type_vfio_pci) {
            return true;
        }
    }
    return false;
}

/* It runs, but has nothing to do. */
static void warn_if_useless(Config *config, const ViommuEntry *viommu)
{
    if (viommu->base.type == &config_type_intel_iommu &&
        !((const VtdEntry *)viommu)->properties.svm &&
        !has_real_device(config, viommu->base.id)) {
        g_ptr_array_add(config->warnings,
                        g_strdup_printf("%s: no device but a vfio-pci can be "
                                        "behind it\n"
                                        "devices behind an intel-iommu ask for "
                                        "pages, which needs svm=on",
                                        viommu->base.origin));
    }
}

/* Once all links of all devices are known to be good. */
static bool complete_device(Config *config, ConfigEntry *entry, GError **error)
{
    ViommuEntry *viommu = (ViommuEntry *)entry;

    if (entry->type->role == CONFIG_ROLE_ENDPOINT) {
        return complete_endpoint(config, (EndpointEntry *)entry, error);
    }
    warn_if_useless(config, viommu);
    return viommu->iothread || add_own_iothread(config, viommu, error);
}

/* A run of recordings lasts as long as they do. */
static bool complete_replay(Config *config, GError **error)
{
    const ConfigEntry *replay =
        config_find_type(config, &config_type_iommufd_replay);

    if (!replay) {
        return true;
    }
    if (config->record) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "-record %s: '%s' plays a recording\n"
                    "what it delivers is in a file already: leave -record or "
                    "the iommufd-replay out", config->record, replay->id);
        return false;
    }
    if (!config->duration_given) {
        config->duration_ns = 0;
    }
    return true;
}

bool config_complete(Config *config, GError **error)
{
    const GPtrArray *objects = config->lists[CONFIG_OBJECTS];
    GPtrArray *devices = config->lists[CONFIG_DEVICES];

    for (unsigned i = 0; i < objects->len; i++) {
        if (!check_properties(objects->pdata[i], error)) {
            return false;
        }
    }
    if (!complete_replay(config, error)) {
        return false;
    }
    if (devices->len == 0) {
        config_add_default_machine(config);
    }
    for (unsigned i = 0; i < devices->len; i++) {
        if (!check_properties(devices->pdata[i], error) ||
            !check_links(config, devices->pdata[i], error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < devices->len; i++) {
        if (!complete_device(config, devices->pdata[i], error)) {
            return false;
        }
    }
    return true;
}
