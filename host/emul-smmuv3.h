/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What Linux's SMMUv3 driver accepts: stream table entries, invalidation
 * commands, event records.
 *
 * Threads: any; pure.
 */
#ifndef HOST_EMUL_SMMUV3_H
#define HOST_EMUL_SMMUV3_H

#include "host/iommufd-abi.h"

#include <stdbool.h>
#include <stdint.h>

/* Check and normalise the words of a nested STE. Return: 0 or -EIO. */
int emul_smmuv3_check_ste(uint64_t ste[2]);

/* Whether the STE translates, so that an attach needs a vDEVICE. */
bool emul_smmuv3_ste_translates(const uint64_t ste[2]);

/**
 * emul_smmuv3_check_command() - one command of an invalidation
 * @has_sid: out: whether the command names a stream
 * @sid: out: which; it must be a vDEVICE's
 *
 * Return: 0 or -EIO.
 */
int emul_smmuv3_check_command(const uint64_t cmd[2], bool *has_sid,
                              uint32_t *sid);

/* Whether the driver hands this event record to a vEVENTQ. */
bool emul_smmuv3_forwards(const uint64_t event[4]);

/* Word 0 of an event record with another StreamID. */
uint64_t emul_smmuv3_set_sid(uint64_t word, uint32_t sid);

extern const struct iommu_hw_info_arm_smmuv3 emul_smmuv3_hw_info;

#endif
