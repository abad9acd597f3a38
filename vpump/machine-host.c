/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hosts, by the type of the object that asks for one; and what their devices
 * need in between.
 */
#include "machine-internal.h"

#include "host/emul.h"
#include "host/mock.h"

#include <string.h>

static HostIommu *emulated_make(const Config *config, const ConfigEntry *entry,
                                GError **error)
{
    return emul_new(error);
}

static HostIommu *kernel_make(const Config *config, const ConfigEntry *entry,
                              GError **error)
{
    const IommufdEntry *iommufd = (const IommufdEntry *)entry;

    return iommufd->fd
               ? host_syscalls_new_from_fd(property_parse_fd(iommufd->fd),
                                           error)
               : host_syscalls_new(iommufd->path, error);
}

static HostIommu *replay_make(const Config *config, const ConfigEntry *entry,
                              GError **error)
{
    return machine_replay_open(config, (const ReplayEntry *)entry, error);
}

static const MachineHostType host_types[] = {
    { &config_type_iommufd, kernel_make },
    { &config_type_iommufd_emulated, emulated_make },
    { &config_type_iommufd_replay, replay_make },
};

static HostIommu *make_bare(const Config *config, const ConfigEntry *entry,
                            GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(host_types); i++) {
        if (host_types[i].type == entry->type) {
            return host_types[i].make(config, entry, error);
        }
    }
    g_assert_not_reached();
}

/* config_complete() has seen to it that all its devices are of one type. */
HostIommu *machine_host_open(const Config *config, const ConfigEntry *entry,
                             GError **error)
{
    const ConfigEntry *device = config_first_device_of(config, entry->id);
    HostIommu *host = make_bare(config, entry, error);
    HostIommu *dressed;

    if (!host || !device || device->type != &config_type_iommufd_mock) {
        return host;
    }
    dressed = mock_host_new(host, error);
    if (!dressed) {
        host_iommu_free(host);
    }
    return dressed;
}
