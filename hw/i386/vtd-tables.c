/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/i386/vtd-internal.h"

VtdReason vtd_walk(Vtd *v, uint16_t rid, uint32_t pasid, bool page_request,
                   VtdWalk *walk)
{
    *walk = (VtdWalk){ .pasid = pasid };
    return VTD_FR_ROOT_P;
}
