/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fields of a model that a lock of the Viommu in it guards. */
#include "hw/arm/smmuv3-internal.h"

uint32_t read_without(Smmuv3 *s);
uint32_t read_with_the_other(Smmuv3 *s) REQUIRES(&s->parent.config_lock);
uint32_t read_with(Smmuv3 *s) REQUIRES(&s->parent.ring_lock);
void write_without(Smmuv3 *s);

uint32_t read_without(Smmuv3 *s)
{
    return s->reg[R_CR0]; /* finds: reading variable 'reg' requires holding */
}

uint32_t read_with_the_other(Smmuv3 *s)
{
    return s->reg[R_CR0]; /* finds: reading variable 'reg' requires holding */
}

uint32_t read_with(Smmuv3 *s)
{
    return s->reg[R_CR0];
}

void write_without(Smmuv3 *s)
{
    s->priq.wanted = 1; /* finds: writing variable 'priq' requires holding */
}
