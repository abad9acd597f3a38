/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What right and wrong of the VT-d driver share.
 *
 * Threads, Locks: as fuzz-unit.h.
 */
#ifndef TESTS_FUZZ_FUZZ_DRIVER_VTD_H
#define TESTS_FUZZ_FUZZ_DRIVER_VTD_H

#include "fuzz-driver.h"

#include "hw/i386/vtd-internal.h"
#include "hw/i386/vtd-inv-desc.h"

#define DRIVER_IQ FUZZ_PAGE(0)
#define DRIVER_PRQ FUZZ_PAGE(4)
#define DRIVER_ROOT FUZZ_PAGE(8)
#define DRIVER_CONTEXT FUZZ_PAGE(9)     /* per half a bus that is there */
#define DRIVER_STATUS FUZZ_PAGE(20)
#define DRIVER_PASIDS FUZZ_PAGE(24)     /* per slot: directory, table */
#define DRIVER_FIRST_STAGE FUZZ_PAGE(40) /* four levels, a page each */

#define VTD_ENTRY_BYTES 32              /* of both queues */

uint32_t vtd_read(Driver *d, uint64_t offset);
void vtd_write(Driver *d, uint64_t offset, uint32_t value);

/* GCMD: one bit of GSTS changed, or a one-shot. */
void vtd_command(Driver *d, uint32_t bit, bool on);

/* Put a descriptor in the queue; hand over what was put. */
void vtd_put(Driver *d, uint64_t word0, uint64_t word1);
void vtd_hand_over(Driver *d);

/* A wait descriptor with more @flags; also hand over, and assert it done. */
void vtd_put_wait(Driver *d, uint64_t flags);
void vtd_wait(Driver *d, uint64_t flags);
bool vtd_waited(Driver *d);

/* Where the tables have it. */
uint64_t vtd_context_gpa(const FuzzSlot *slot);
uint64_t vtd_pasid_gpa(Driver *d, const FuzzSlot *slot, uint32_t pasid);

/* PGTT of an entry, or 0: what the tables say; and the invalidations. */
void vtd_set_pasid(Driver *d, FuzzSlot *slot, uint32_t pasid, unsigned pgtt);
void vtd_invalidate_pasids(Driver *d);

/* The PASID of a request that goes by entry @pasid: RID_PASID is 0. */
uint32_t vtd_request_pasid(uint32_t pasid);

/* Of a size that the input chooses. */
void vtd_enable_iq(Driver *d, uint64_t base);
void vtd_enable_prq(Driver *d, uint64_t base);

#define VTD_BREAKS 18
extern void (*const vtd_breaks[VTD_BREAKS])(Driver *d);

#endif
