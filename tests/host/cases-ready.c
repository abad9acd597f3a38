/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues: when poll and epoll say that they are readable.
 */
#include "conformance.h"

const ConformanceCase conformance_ready[] = {
    { NULL, NULL },
};
