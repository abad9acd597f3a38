/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/i386/vtd-internal.h"

bool vtd_translate(Viommu *viommu, uint32_t virt_id, uint32_t pasid,
                   uint64_t iova, uint32_t perm, uint64_t *gpa)
{
    return false;
}
