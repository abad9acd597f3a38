/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the two implementations share.
 */
#include "host/host-iommu.h"

void host_iommu_free(HostIommu *host)
{
    if (host) {
        host->ops->free(host);
    }
}
