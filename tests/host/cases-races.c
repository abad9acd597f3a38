/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads: who may be in a queue while another one takes it down.
 */
#include "conformance.h"

const ConformanceCase conformance_races[] = {
    { NULL, NULL },
};
