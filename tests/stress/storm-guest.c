/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the guest of the storm has in memory, and how it starts and resets its
 * unit. Host devices and SVA devices have a PASID directory each: with a PASID
 * that never goes, host devices would keep their fault queue for ever.
 */
#include "storm-guest.h"

#include "storm.h"

#define FS_PRESENT 0x1
#define FS_WRITE 0x2
#define FS_USER 0x4

#define CONTEXT_BITS                                                     \
    (FIELD_MASK(CONTEXT0, P) | FIELD_MASK(CONTEXT0, DTE) |               \
     FIELD_MASK(CONTEXT0, PASIDE) | FIELD_MASK(CONTEXT0, PRE))

#define PASID_ENTRY_BYTES 64

void storm_guest_lock(StormUnit *unit)
{
    pthread_mutex_lock(&unit->guest);
}

void storm_guest_unlock(StormUnit *unit)
{
    pthread_mutex_unlock(&unit->guest);
}

uint16_t storm_guest_did(uint32_t pasid)
{
    return 16 + pasid;
}

void storm_guest_set_pasid(StormUnit *unit, uint64_t table_gpa, uint32_t pasid,
                           uint64_t first_stage)
{
    uint64_t *entry = vtd_guest_words(unit->f, table_gpa +
                                      PASID_ENTRY_BYTES * pasid);
    uint64_t word0 = FIELD_SET(FIELD_SET(0, PASID0, P, 1), PASID0, PGTT,
                               PGTT_FIRST);
    uint64_t word1 = FIELD_SET(0, PASID1, DID, storm_guest_did(pasid));

    if (!first_stage) {
        __atomic_store_n(&entry[0], 0, __ATOMIC_RELEASE);
        return;
    }
    __atomic_store_n(&entry[1], GUINT64_TO_LE(word1), __ATOMIC_RELAXED);
    __atomic_store_n(&entry[2], GUINT64_TO_LE(first_stage), __ATOMIC_RELAXED);
    /* P comes last. */
    __atomic_store_n(&entry[0], GUINT64_TO_LE(word0), __ATOMIC_RELEASE);
}

void storm_guest_set_context(StormUnit *unit, uint16_t rid, bool faults)
{
    uint64_t dir = rid >= STORM_SVA_RID ? STORM_SVA_PASID_DIR
                                        : VTD_GUEST_PASID_DIR;

    vtd_guest_store(unit->f, vtd_guest_context_gpa(rid),
                    dir | FIELD_SET(CONTEXT_BITS, CONTEXT0, PRE, faults));
}

/* Four levels, and one page at STORM_IOVA. */
static void make_tree(StormUnit *unit, unsigned i)
{
    const uint64_t bits = FS_PRESENT | FS_WRITE | FS_USER;
    uint64_t table = STORM_TREE(i);

    for (unsigned level = 3; level > 0; level--) {
        vtd_guest_store(unit->f, table, (table + 0x1000) | bits);
        table += 0x1000;
    }
    vtd_guest_store(unit->f, table + 8 * (STORM_IOVA >> 12),
                    STORM_TREE_PAGE(i) | bits);
}

static void make_tables(StormUnit *unit)
{
    vtd_guest_make_tables(unit->f);
    for (unsigned i = 0; i < STORM_TREES; i++) {
        make_tree(unit, i);
    }
    vtd_guest_store(unit->f, STORM_SVA_PASID_DIR, STORM_SVA_PASID_TABLE | 1);
    for (uint32_t pasid = 0; pasid < STORM_SVA_PASIDS - 1; pasid++) {
        storm_guest_set_pasid(unit, STORM_SVA_PASID_TABLE, pasid,
                              STORM_TREE(0));
    }
    for (unsigned i = 0; i < STORM_SVA; i++) {
        storm_guest_set_context(unit, STORM_SVA_RID + i, true);
    }
    for (unsigned i = 0; i < STORM_HOST; i++) {
        storm_guest_set_context(unit, STORM_HOST_RID + i, true);
    }
}

/* The page request queue first: once there is a root, requests come. */
static void start(StormUnit *unit)
{
    VtdFixture *f = unit->f;

    vtd_guest_enable_iq(f, 1, true);
    vtd_guest_enable_prq(f, STORM_PRQ_PQS);
    vtd_guest_enable_faults(f);
    vtd_guest_set_root(f, TTM_SCALABLE);
    vtd_guest_command(f, FIELD_MASK(GCMD, TE), true);
}

void storm_guest_start(StormUnit *unit)
{
    make_tables(unit);
    start(unit);
}

void storm_guest_reset(StormUnit *unit, GRand *rand)
{
    bool big = storm_once_in(rand, 2);

    storm_guest_lock(unit);
    big_lock_acquire_if(big);
    viommu_reset(unit->f->viommu);
    start(unit);
    big_lock_release_if(big);
    storm_guest_unlock(unit);
    storm_count(&unit->books.resets, 1);
}

void storm_guest_submit(StormUnit *unit, GRand *rand)
{
    bool big = storm_once_in(rand, 4);
    uint64_t drain = storm_once_in(rand, 4) ? FIELD_MASK(WAIT_DESC0, PD) : 0;

    big_lock_acquire_if(big);
    vtd_guest_submit_put(unit->f, drain);
    big_lock_release_if(big);
}
