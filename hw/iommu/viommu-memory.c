/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest memory in the IOAS: what the guest's devices can reach is what
 * GuestMem says, from the first device to the last.
 *
 * The callbacks run under GuestMem's lock alone. That will do: the IOAS exists
 * before it listens and until it does no more.
 */
#include "base/report.h"
#include "host/iommufd.h"
#include "hw/iommu/viommu-internal.h"

static bool memory_add(GuestMemListener *listener,
                       const GuestMemRegion *region, GError **error)
{
    Viommu *viommu = caa_container_of(listener, Viommu, host.memory);
    const ViommuHost *host = &viommu->host;
    IommufdMemory memory = {
        .iova = region->gpa,
        .length = region->size,
        .va = region->hva,
        .fd = region->has_fd ? region->fd : -1,
        .offset = region->offset,
    };

    if (!iommufd_ioas_map(host->iommu, host->ioas_id, &memory, error)) {
        g_prefix_error(error, "vIOMMU '%s': ", viommu->config.id);
        return false;
    }
    return true;
}

/* Teardown cannot fail; if the host says so none the less, say so. */
static void memory_del(GuestMemListener *listener,
                       const GuestMemRegion *region)
{
    Viommu *viommu = caa_container_of(listener, Viommu, host.memory);
    const ViommuHost *host = &viommu->host;
    GError *error = NULL;

    if (!iommufd_ioas_unmap(host->iommu, host->ioas_id, region->gpa,
                            region->size, &error)) {
        g_prefix_error(&error, "vIOMMU '%s': ", viommu->config.id);
        error_report_err(error);
    }
}

bool viommu_map_memory(Viommu *viommu, GError **error)
{
    viommu->host.memory.add = memory_add;
    viommu->host.memory.del = memory_del;
    return guest_mem_add_listener(viommu->config.mem, &viommu->host.memory,
                                  error);
}

void viommu_unmap_memory(Viommu *viommu)
{
    guest_mem_remove_listener(viommu->config.mem, &viommu->host.memory);
}
