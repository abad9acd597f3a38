/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocation: sizes, flags, reserved fields, wrong IDs.
 */
#include "conformance.h"

const ConformanceCase conformance_alloc[] = {
    { NULL, NULL },
};
