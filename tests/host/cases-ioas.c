/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An IOAS: maps, by address and by file, and IOVA ranges.
 */
#include "conformance.h"

const ConformanceCase conformance_ioas[] = {
    { NULL, NULL },
};
