/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entries are freed by their property tables: whatever a table calls an id or
 * a link is a string of ours.
 */
#include "config.h"

#include "base/error.h"

#include <string.h>

/* As messages call them. */
static const char *const list_names[] = {
    [CONFIG_OBJECTS] = "object",
    [CONFIG_DEVICES] = "device",
};

/* Also of an entry that has only some of its strings. */
static void entry_free(void *opaque)
{
    ConfigEntry *entry = opaque;

    for (size_t i = 0; i < entry->type->property_count; i++) {
        const Property *property = &entry->type->properties[i];

        if (property->kind == PROPERTY_ID ||
            property->kind == PROPERTY_STRING ||
            property->kind == PROPERTY_LINK) {
            g_free(G_STRUCT_MEMBER(char *, entry, property->offset));
        }
    }
    g_free(entry->origin);
    g_free(entry);
}

Config *config_new(void)
{
    Config *config = g_new0(Config, 1);

    config->duration_ns = CONFIG_DURATION_S_DEFAULT * INT64_C(1000000000);
    config->load = CONFIG_LOAD_DEFAULT;
    config->sandbox = true;
    for (size_t i = 0; i < G_N_ELEMENTS(config->lists); i++) {
        config->lists[i] = g_ptr_array_new_with_free_func(entry_free);
    }
    config->warnings = g_ptr_array_new_with_free_func(g_free);
    return config;
}

void config_free(Config *config)
{
    for (size_t i = 0; i < G_N_ELEMENTS(config->lists); i++) {
        g_ptr_array_unref(config->lists[i]);
    }
    g_ptr_array_unref(config->warnings);
    g_free(config->name);
    g_free(config->process);
    g_free(config->report);
    g_free(config->record);
    g_free(config);
}

const ConfigType *config_type_find(ConfigList list, const char *name)
{
    for (const ConfigType *const *type = config_types; *type; type++) {
        if ((*type)->list == list && strcmp((*type)->name, name) == 0) {
            return *type;
        }
    }
    return NULL;
}

ConfigEntry *config_find(const Config *config, ConfigList list, const char *id)
{
    for (unsigned i = 0; i < config->lists[list]->len; i++) {
        ConfigEntry *entry = config->lists[list]->pdata[i];

        if (strcmp(entry->id, id) == 0) {
            return entry;
        }
    }
    return NULL;
}

const ConfigEntry *config_find_type(const Config *config,
                                    const ConfigType *type)
{
    const GPtrArray *list = config->lists[type->list];

    for (unsigned i = 0; i < list->len; i++) {
        const ConfigEntry *entry = list->pdata[i];

        if (entry->type == type) {
            return entry;
        }
    }
    return NULL;
}

/* Their entries are PciEntry. */
static const ConfigType *const host_devices[] = {
    &config_type_emulated_pci,
    &config_type_iommufd_mock,
    &config_type_vfio_pci,
};

const char *config_iommufd_of(const ConfigEntry *entry)
{
    for (size_t i = 0; i < G_N_ELEMENTS(host_devices); i++) {
        if (entry->type == host_devices[i]) {
            return ((const PciEntry *)entry)->iommufd;
        }
    }
    return NULL;
}

const ConfigEntry *config_first_device_of(const Config *config,
                                          const char *iommufd)
{
    const GPtrArray *devices = config->lists[CONFIG_DEVICES];

    for (unsigned i = 0; i < devices->len; i++) {
        const char *id = config_iommufd_of(devices->pdata[i]);

        if (id && strcmp(id, iommufd) == 0) {
            return devices->pdata[i];
        }
    }
    return NULL;
}

ViommuEntry *config_viommu_of(const Config *config,
                              const EndpointEntry *endpoint)
{
    return (ViommuEntry *)config_find(config, CONFIG_DEVICES,
                                      endpoint->viommu);
}

ConfigEntry *config_add(Config *config, const ConfigType *type, const char *id,
                        const char *origin, GError **error)
{
    ConfigEntry *entry;

    if (config_find(config, type->list, id)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_EXISTS,
                    "Duplicate ID '%s' for %s", id, list_names[type->list]);
        return NULL;
    }
    entry = g_malloc0(type->entry_size);
    entry->type = type;
    entry->id = g_strdup(id);
    entry->origin = g_strdup(origin);
    if (type->init) {
        type->init(entry);
    }
    g_ptr_array_add(config->lists[type->list], entry);
    return entry;
}
