/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/i386/vtd-internal.h"

bool vtd_host_up(Viommu *viommu, VfioDevice *vfio, GError **error)
{
    return true;
}

void vtd_host_down(Viommu *viommu)
{
}

bool vtd_attach(Viommu *viommu, ViommuDevice *device, GError **error)
{
    return true;
}

void vtd_detach(Viommu *viommu, ViommuDevice *device)
{
}

void vtd_pasid_changed(Vtd *v, uint32_t rid, uint32_t did, uint32_t pasid)
{
}
