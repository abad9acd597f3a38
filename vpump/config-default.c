/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two vIOMMUs, so that one's load can be seen not to disturb the other.
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
        if (entry->type == &config_type_iommufd_emulated) {
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

static void add_devices(Config *config, const char *viommu,
                        const char *iommufd)
{
    for (int i = 0; i < DEFAULT_DEVICES; i++) {
        g_autofree char *id = g_strdup_printf("%s-dev%d", viommu, i);
        PciEntry *pci = (PciEntry *)config_add(
            config, &config_type_emulated_pci, id, config_default_origin,
            NULL);

        pci->endpoint.viommu = g_strdup(viommu);
        pci->iommufd = g_strdup(iommufd);
    }
}

void config_add_default_machine(Config *config)
{
    static const char *const smmus[] = { "smmu0", "smmu1" };
    const char *iommufd = default_iommufd(config);

    for (size_t i = 0; i < G_N_ELEMENTS(smmus); i++) {
        config_add(config, &config_type_arm_smmuv3, smmus[i],
                   config_default_origin, NULL);
        add_devices(config, smmus[i], iommufd);
    }
}
