/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest of the storm: its tables, how it starts and resets its unit, and
 * its lock on tables and invalidation queue, which is the guest's own affair:
 * it has no rank and comes before all of ours.
 *
 * Threads: vCPUs'.
 * Locks:   StormUnit::guest, from storm_guest_lock() to _unlock().
 */
#ifndef TESTS_STRESS_STORM_GUEST_H
#define TESTS_STRESS_STORM_GUEST_H

#include "vtd-fixture.h"

struct StormUnit;

/* The PASID tables, of host and of SVA devices. */
#define STORM_HOST_PASID_TABLE VTD_GUEST_PASID_TABLE
#define STORM_SVA_PASID_DIR VTD_GUEST_FREE
#define STORM_SVA_PASID_TABLE (VTD_GUEST_FREE + 0x1000)

/* Page tables of 4 pages, for SVA devices; where STORM_IOVA leads to. */
#define STORM_TREES 2
#define STORM_TREE(i) (VTD_GUEST_FREE + 0x10000 + 0x10000 * (uint64_t)(i))
#define STORM_TREE_PAGE(i) (STORM_TREE(i) + 0x8000)
#define STORM_IOVA UINT64_C(0x1000)

/* Where the entries of the host devices point to; nobody looks there. */
#define STORM_FIRST_STAGES (VTD_GUEST_FREE + 0x100000)

void storm_guest_lock(struct StormUnit *unit);
void storm_guest_unlock(struct StormUnit *unit);

/* Make the tables and start. Context: nothing else runs. */
void storm_guest_start(struct StormUnit *unit);

/* Reset the unit and start it again; the tables stay. Takes the lock. */
void storm_guest_reset(struct StormUnit *unit, GRand *rand);

/* The domain of a PASID. */
uint16_t storm_guest_did(uint32_t pasid);

/*
 * A first-stage entry, 0: one that is not present; and a context entry, with
 * page requests or without. No invalidation. Context: the lock is held.
 */
void storm_guest_set_pasid(struct StormUnit *unit, uint64_t table_gpa,
                           uint32_t pasid, uint64_t first_stage);
void storm_guest_set_context(struct StormUnit *unit, uint16_t rid, bool faults);

/* Run what was put in the queue, and a wait. Context: the lock is held. */
void storm_guest_submit(struct StormUnit *unit, GRand *rand);

#endif
