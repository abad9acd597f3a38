/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/i386/vtd-internal.h"

void vtd_flush_add(Vtd *v, const VtdFlush *flush)
{
}

void vtd_flush_send(Vtd *v)
{
}
