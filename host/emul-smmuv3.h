/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which commands Linux's SMMUv3 driver takes, and which event records it
 * forwards.
 *
 * Threads: any; pure.
 */
#ifndef HOST_EMUL_SMMUV3_H
#define HOST_EMUL_SMMUV3_H

#include <stdbool.h>
#include <stdint.h>

/**
 * emul_smmuv3_check_command() - one command of an invalidation
 * @sid: out: the stream that the command names, which must be a vDEVICE's;
 *       UINT64_MAX if it names none
 *
 * Return: 0 or -EIO.
 */
int emul_smmuv3_check_command(const uint64_t cmd[2], uint64_t *sid);

/* Whether the driver hands this event record to a vEVENTQ. */
bool emul_smmuv3_forwards(const uint64_t event[4]);

/* Another StreamID in @event, a struct iommu_vevent_arm_smmuv3. */
void emul_smmuv3_set_sid(void *event, uint32_t sid);

#endif
