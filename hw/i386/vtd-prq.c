/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/i386/vtd-internal.h"

GuestByteRing vtd_prq_ring(const Vtd *v)
{
    return (GuestByteRing){
        .pqs = FIELD_GET(v->reg[R_PQA], PQA, PQS),
        .tail = v->reg[R_PQT],
        .head = v->reg[R_PQH],
    };
}

uint32_t vtd_prq_room(void *opaque, uint32_t want)
{
    return PAGE_ROOM_UNLIMITED;
}

void vtd_prq_deliver(void *opaque, PageGroup *groups, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        groups[i].outcome = PAGE_ANSWERED;
        groups[i].code = PAGE_RESPONSE_INVALID;
    }
}

bool vtd_prq_has_room_now(Vtd *v)
{
    return false;
}
