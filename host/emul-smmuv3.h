/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which event records Linux's SMMUv3 driver forwards.
 *
 * Threads: any; pure.
 */
#ifndef HOST_EMUL_SMMUV3_H
#define HOST_EMUL_SMMUV3_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the driver hands this event record to a vEVENTQ. */
bool emul_smmuv3_forwards(const uint64_t event[4]);

/* Another StreamID in @event, a struct iommu_vevent_arm_smmuv3. */
void emul_smmuv3_set_sid(void *event, uint32_t sid);

#endif
