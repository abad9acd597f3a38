/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vEVENTQs: allocation and reads.
 */
#include "conformance.h"

const ConformanceCase conformance_veventq[] = {
    { NULL, NULL },
};
