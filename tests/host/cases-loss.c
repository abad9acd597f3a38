/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vEVENTQs: sequence numbers, depth and loss.
 */
#include "conformance.h"

const ConformanceCase conformance_loss[] = {
    { NULL, NULL },
};
