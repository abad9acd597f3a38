/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One vIOMMU for each way that an event takes, so that each can be seen not to
 * disturb the others: SMMUv3 events, page requests that come through the host,
 * page requests of emulated devices.
 */
#include "config-internal.h"

/* Behind each vIOMMU. */
enum { DEFAULT_DEVICES = 4 };

const char config_default_origin[] = "default machine";

/* Its host: the first that was asked for, or a new one. */
static const char *default_iommufd(Config *config)
{
    ConfigEntry *entry;
    unsigned n = 0;

    for (unsigned i = 0; i < config->lists[CONFIG_OBJECTS]->len; i++) {
        entry = config->lists[CONFIG_OBJECTS]->pdata[i];
        if (entry->type == &config_type_iommufd_emulated ||
            entry->type == &config_type_iommufd_replay) {
            return entry->id;
        }
    }
    do {
        g_autofree char *id = g_strdup_printf("iommufd%u", n++);

        entry = config_add(config, &config_type_iommufd_emulated, id,
                           config_default_origin, NULL);
    } while (!entry);
    return entry->id;
}

/* @iommufd: NULL for devices that belong to no host */
static void add_devices(Config *config, const char *viommu,
                        const ConfigType *type, const char *iommufd)
{
    for (int i = 0; i < DEFAULT_DEVICES; i++) {
        g_autofree char *id = g_strdup_printf("%s-dev%d", viommu, i);
        ConfigEntry *entry =
            config_add(config, type, id, config_default_origin, NULL);

        ((EndpointEntry *)entry)->viommu = g_strdup(viommu);
        if (iommufd) {
            ((PciEntry *)entry)->iommufd = g_strdup(iommufd);
        }
    }
}

void config_add_default_machine(Config *config)
{
    const char *iommufd = default_iommufd(config);

    config_add(config, &config_type_arm_smmuv3, "smmu0", config_default_origin,
               NULL);
    add_devices(config, "smmu0", &config_type_emulated_pci, iommufd);
    config_add(config, &config_type_intel_iommu, "vtd0", config_default_origin,
               NULL);
    add_devices(config, "vtd0", &config_type_emulated_pci, iommufd);
    /* A recording has nothing of devices that are emulated. */
    if (config_find_type(config, &config_type_iommufd_replay)) {
        return;
    }
    config_add(config, &config_type_intel_iommu, "vtd1", config_default_origin,
               NULL);
    add_devices(config, "vtd1", &config_type_sva_device, NULL);
}
