/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What belongs together: links first, since all the rest follows them. Only
 * then are iothreads added, so that nobody can name one that was not asked for.
 */
#include "config.h"

#include "base/error.h"

#include <string.h>

/* The default machine. */
enum {
    DEFAULT_VIOMMUS = 2,
    DEFAULT_DEVICES = 4,        /* behind each */
};

static const char default_origin[] = "default machine";

/* The default machine's host: the first that was asked for, or a new one. */
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
                           default_origin, NULL);
    } while (!entry);
    return entry->id;
}

/*
 * Two vIOMMUs, so that one's load can be seen not to disturb the other. Added
 * to an empty list of devices, so no id can be taken.
 */
static void add_default_machine(Config *config)
{
    const char *iommufd = default_iommufd(config);

    for (int i = 0; i < DEFAULT_VIOMMUS; i++) {
        g_autofree char *smmu = g_strdup_printf("smmu%d", i);

        config_add(config, &config_type_arm_smmuv3, smmu, default_origin, NULL);
        for (int j = 0; j < DEFAULT_DEVICES; j++) {
            g_autofree char *id = g_strdup_printf("%s-dev%d", smmu, j);
            PciEntry *pci = (PciEntry *)config_add(
                config, &config_type_emulated_pci, id, default_origin, NULL);

            pci->viommu = g_strdup(smmu);
            pci->iommufd = g_strdup(iommufd);
        }
    }
}

/*
 * A vIOMMU without iothread= shares its thread with nobody. The thread is an
 * object like any other, so the name may be taken.
 */
static bool add_own_iothread(Config *config, Smmuv3Entry *smmu, GError **error)
{
    g_autofree char *id = g_strdup_printf("%s-iothread", smmu->base.id);

    if (!config_add(config, &config_type_iothread, id, smmu->base.origin,
                    NULL)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_EXISTS,
                    "%s: Duplicate ID '%s' for object\n"
                    "%s",
                    smmu->base.origin, id,
                    strcmp(smmu->base.origin, default_origin) == 0
                        ? "choose another id, or give -device"
                        : "without iothread= it makes an iothread of that "
                          "name");
        return false;
    }
    smmu->iothread = g_steal_pointer(&id);
    return true;
}

/*
 * Does @id, which @entry gives for @key, name a @type? Objects and devices have
 * names of their own, so the type also says in which list to look.
 */
static bool check_link(const Config *config, const ConfigEntry *entry,
                       const char *key, const char *id, const ConfigType *type,
                       GError **error)
{
    ConfigEntry *target;

    if (!id) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s: Parameter '%s' is missing\n%s takes the id of an %s",
                    entry->origin, key, key, type->name);
        return false;
    }
    target = config_find(config, type->list, id);
    if (!target) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_NOT_FOUND,
                    "%s: Device '%s' not found\n%s takes the id of an %s",
                    entry->origin, id, key, type->name);
        return false;
    }
    if (target->type != type) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s: Invalid parameter type for '%s', expected: %s\n"
                    "'%s' is an %s", entry->origin, key, type->name, id,
                    target->type->name);
        return false;
    }
    return true;
}

/* The device behind @viommu that has @sid, other than @except. */
static const PciEntry *find_sid(const Config *config, const char *viommu,
                                int64_t sid, const PciEntry *except)
{
    const GPtrArray *devices = config->lists[CONFIG_DEVICES];

    for (unsigned i = 0; i < devices->len; i++) {
        const PciEntry *pci = devices->pdata[i];

        if (pci->base.type == &config_type_emulated_pci && pci != except &&
            pci->sid == sid && strcmp(pci->viommu, viommu) == 0) {
            return pci;
        }
    }
    return NULL;
}

/* The first device behind @viommu: it says whose all others must be. */
static const PciEntry *first_behind(const Config *config, const char *viommu)
{
    const GPtrArray *devices = config->lists[CONFIG_DEVICES];

    for (unsigned i = 0; i < devices->len; i++) {
        const PciEntry *pci = devices->pdata[i];

        if (pci->base.type == &config_type_emulated_pci &&
            strcmp(pci->viommu, viommu) == 0) {
            return pci;
        }
    }
    return NULL;
}

/* Both are required: an emulated device belongs to a host, and to a guest. */
static bool check_pci_links(const Config *config, const PciEntry *pci,
                            GError **error)
{
    return check_link(config, &pci->base, "viommu", pci->viommu,
                      &config_type_arm_smmuv3, error) &&
           check_link(config, &pci->base, "iommufd", pci->iommufd,
                      &config_type_iommufd_emulated, error);
}

/* The lowest that is free; those that others ask for by name are not. */
static bool choose_sid(const Config *config, PciEntry *pci, GError **error)
{
    Smmuv3Entry *smmu =
        (Smmuv3Entry *)config_find(config, CONFIG_DEVICES, pci->viommu);

    for (; smmu->next_sid <= UINT16_MAX; smmu->next_sid += CONFIG_SID_STEP) {
        if (!find_sid(config, pci->viommu, smmu->next_sid, pci)) {
            pci->sid = smmu->next_sid;
            return true;
        }
    }
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_RESOURCE,
                "%s: no StreamID is left behind '%s'\n"
                "sid takes a number from 0 to 65535", pci->base.origin,
                pci->viommu);
    return false;
}

/*
 * One host for all devices behind a vIOMMU, since its host objects cannot be in
 * two; and no StreamID twice, since the guest could not tell them apart.
 */
static bool complete_pci(const Config *config, PciEntry *pci, GError **error)
{
    const PciEntry *other = first_behind(config, pci->viommu);

    if (strcmp(pci->iommufd, other->iommufd) != 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s: Property '%s.iommufd' doesn't take value '%s'\n"
                    "'%s' behind the same arm-smmuv3 has '%s'",
                    pci->base.origin, pci->base.type->name, pci->iommufd,
                    other->base.id, other->iommufd);
        return false;
    }
    if (pci->sid == CONFIG_SID_AUTO) {
        return choose_sid(config, pci, error);
    }
    other = find_sid(config, pci->viommu, pci->sid, pci);
    if (other) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_EXISTS,
                    "%s: Property '%s.sid' doesn't take value '%d'\n"
                    "'%s' behind the same arm-smmuv3 has it",
                    pci->base.origin, pci->base.type->name, (int)pci->sid,
                    other->base.id);
        return false;
    }
    return true;
}

/* The entry of a device says which links it has. */
static bool check_links(const Config *config, const ConfigEntry *entry,
                        GError **error)
{
    const Smmuv3Entry *smmu = (const Smmuv3Entry *)entry;

    if (entry->type == &config_type_emulated_pci) {
        return check_pci_links(config, (const PciEntry *)entry, error);
    }
    return !smmu->iothread ||
           check_link(config, entry, "iothread", smmu->iothread,
                      &config_type_iothread, error);
}

/* Once all links of all devices are known to be good. */
static bool complete_device(Config *config, ConfigEntry *entry, GError **error)
{
    Smmuv3Entry *smmu = (Smmuv3Entry *)entry;

    if (entry->type == &config_type_emulated_pci) {
        return complete_pci(config, (PciEntry *)entry, error);
    }
    return smmu->iothread || add_own_iothread(config, smmu, error);
}

bool config_complete(Config *config, GError **error)
{
    GPtrArray *devices = config->lists[CONFIG_DEVICES];

    if (devices->len == 0) {
        add_default_machine(config);
    }
    for (unsigned i = 0; i < devices->len; i++) {
        if (!check_links(config, devices->pdata[i], error)) {
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
