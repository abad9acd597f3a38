/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fault queues: cookies, answers, and the end of an attachment.
 */
#include "conformance.h"

const ConformanceCase conformance_respond[] = {
    { NULL, NULL },
};
