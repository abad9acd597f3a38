/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What right and wrong of the SMMUv3 driver share.
 *
 * Threads, Locks: as fuzz-unit.h.
 */
#ifndef TESTS_FUZZ_FUZZ_DRIVER_SMMUV3_H
#define TESTS_FUZZ_FUZZ_DRIVER_SMMUV3_H

#include "fuzz-driver.h"

#include "hw/arm/smmuv3-internal.h"

#define DRIVER_CMDQ FUZZ_PAGE(0)
#define DRIVER_EVENTQ FUZZ_PAGE(4)
#define DRIVER_PRIQ FUZZ_PAGE(6)
#define DRIVER_STRTAB FUZZ_PAGE(16)
#define DRIVER_STRTAB_L2 FUZZ_PAGE(20)
#define DRIVER_CD FUZZ_PAGE(24)

/* First words of STEs and of a CMD_SYNC */
#define SMMU_STE_BYPASS UINT64_C(0x9)
#define SMMU_STE_STAGE1 UINT64_C(0xb)
#define SMMU_SYNC UINT64_C(0x46)

uint32_t smmu_read(Driver *d, uint64_t offset);
void smmu_write(Driver *d, uint64_t offset, uint32_t value);

/* CR0, and its acknowledgement asserted. */
void smmu_cr0(Driver *d, uint32_t value);

/* Put a command in the queue; run all, which is asserted to go well. */
void smmu_put(Driver *d, uint64_t word0, uint64_t word1);
void smmu_run(Driver *d);
uint64_t smmu_command_gpa(Driver *d, uint32_t pointer);

/* Write an STE; the same with its command, and check what became of it. */
void smmu_store_ste(Driver *d, const FuzzSlot *slot, uint64_t word0,
                    uint64_t word1);
void smmu_set_ste(Driver *d, FuzzSlot *slot, uint64_t word0);
void smmu_check_place(Driver *d, const FuzzSlot *slot);

/* Of a size that the input chooses. */
void smmu_enable_eventq(Driver *d, uint64_t base);
void smmu_enable_priq(Driver *d, uint64_t base);

/* Messages, and pulses of @line. */
unsigned smmu_interrupts(Driver *d, unsigned line);

#define SMMU_BREAKS 18
extern void (*const smmu_breaks[SMMU_BREAKS])(Driver *d);

#endif
