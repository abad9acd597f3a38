/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fault queues: allocation, groups and reads.
 */
#include "conformance.h"

const ConformanceCase conformance_fault[] = {
    { NULL, NULL },
};
