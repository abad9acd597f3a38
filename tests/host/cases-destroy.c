/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IOMMU_DESTROY: order, twice, and what holds a queue.
 */
#include "conformance.h"

const ConformanceCase conformance_destroy[] = {
    { NULL, NULL },
};
