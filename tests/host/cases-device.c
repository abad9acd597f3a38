/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mock devices: attach, replace, PASIDs, hardware info, invalidation.
 */
#include "conformance.h"

const ConformanceCase conformance_device[] = {
    { NULL, NULL },
};
