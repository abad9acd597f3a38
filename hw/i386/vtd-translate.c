/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * First-stage translation (3.6) for emulated devices: four levels of page
 * tables in guest memory.
 *
 * A walk reads and judges first and marks then: A in each entry on the way, D
 * in the last if it is written through. A mark is put on the very value that
 * was judged (3.6.2 has it atomic); where the guest was faster, the walk begins
 * anew. So a page that the guest has found clean stays unwritten.
 */
#include "hw/i386/vtd-internal.h"

#include "base/rcu.h"

/* 3.6: first-stage paging entries of all levels */
FIELD(FS, P, 0, 1)
FIELD(FS, RW, 1, 1)
FIELD(FS, US, 2, 1)
FIELD(FS, A, 5, 1)
FIELD(FS, D, 6, 1)
FIELD(FS, PS, 7, 1)

#define FS_LEVELS 4
#define FS_ADDRESS_BITS 48
#define FS_ADDRESS BIT_RANGE(12, VTD_ADDRESS_BITS - 12)

enum { SHIFT_1G = 30, SHIFT_2M = 21, SHIFT_4K = 12 };

/* How often the guest may be faster before the device has to ask. */
#define WALK_TRIES 8

/* One level of a walk: where the entry is, and what was read there. */
typedef struct FsStep {
    uint64_t *slot;
    uint64_t entry;
} FsStep;

/**
 * struct FsWalk - a walk
 * @write: what is wanted; no supervisor gets here (ECAP.SRS is 0)
 * @steps, @count: the way taken, the leaf last
 * @shift: log2 of the leaf's page size
 */
typedef struct FsWalk {
    const Vtd *v;
    uint64_t iova;
    bool write;
    FsStep steps[FS_LEVELS];
    unsigned count;
    unsigned shift;
} FsWalk;

static bool is_canonical(uint64_t iova)
{
    int64_t top = (int64_t)iova >> (FS_ADDRESS_BITS - 1);

    return top == 0 || top == -1;
}

/* Does the entry say where a page is, not where the next table is? */
static bool is_leaf(uint64_t entry, unsigned shift)
{
    return shift == SHIFT_4K || FIELD_GET(entry, FS, PS);
}

/* Bits below a large page's address, but for PAT; PS where it may not be. */
static bool has_reserved(const Vtd *v, uint64_t entry, unsigned shift)
{
    if (shift == SHIFT_4K || !FIELD_GET(entry, FS, PS)) {
        return false;
    }
    return shift > SHIFT_1G || (shift == SHIFT_1G && !v->props.fs1gp) ||
           (entry & BIT_RANGE(13, shift - 13));
}

static bool step_read(FsWalk *walk, uint64_t table)
{
    FsStep *step = &walk->steps[walk->count++];

    step->slot = guest_mem_ptr(walk->v->parent.config.mem,
                               table + 8 * (walk->iova >> walk->shift & 511),
                               sizeof(step->entry));
    if (!step->slot) {
        return false;
    }
    /* Acquire: pairs with the guest's release store; then what it leads to. */
    step->entry = GUINT64_FROM_LE(__atomic_load_n(step->slot,
                                                  __ATOMIC_ACQUIRE));
    return FIELD_GET(step->entry, FS, P) &&
           !has_reserved(walk->v, step->entry, walk->shift);
}

/* 3.6.1: rights are those that all entries on the way give. */
static bool may_access(const FsWalk *walk)
{
    uint64_t rights = ~UINT64_C(0);

    for (unsigned i = 0; i < walk->count; i++) {
        rights &= walk->steps[i].entry;
    }
    return FIELD_GET(rights, FS, US) &&
           (!walk->write || FIELD_GET(rights, FS, RW));
}

/* Down to the leaf. Return: false if there is no translation. */
static bool walk_down(FsWalk *walk, uint64_t table)
{
    walk->count = 0;
    walk->shift = SHIFT_4K + 9 * (FS_LEVELS - 1);
    for (;;) {
        uint64_t entry;

        if (!step_read(walk, table)) {
            return false;
        }
        entry = walk->steps[walk->count - 1].entry;
        if (is_leaf(entry, walk->shift)) {
            return may_access(walk);
        }
        table = entry & FS_ADDRESS;
        walk->shift -= 9;
    }
}

/* Return: false if the entry is not what was judged any more. */
static bool step_mark(const FsStep *step, uint64_t marks)
{
    uint64_t old = GUINT64_TO_LE(step->entry);

    if ((step->entry & marks) == marks) {
        return true;
    }
    /* Relaxed: the guest's own read-modify-writes are all that it meets. */
    return __atomic_compare_exchange_n(step->slot, &old,
                                       GUINT64_TO_LE(step->entry | marks),
                                       false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}

static bool walk_mark(const FsWalk *walk)
{
    for (unsigned i = 0; i < walk->count; i++) {
        bool leaf = i == walk->count - 1;

        if (!step_mark(&walk->steps[i], FIELD_MASK(FS, A) |
                       (leaf && walk->write ? FIELD_MASK(FS, D) : 0))) {
            return false;
        }
    }
    return true;
}

static bool first_stage(FsWalk *walk, uint64_t table, uint64_t *gpa)
{
    for (unsigned tries = 0; tries < WALK_TRIES; tries++) {
        uint64_t offset;

        if (!walk_down(walk, table)) {
            return false;
        }
        if (walk_mark(walk)) {
            offset = BIT(walk->shift) - 1;
            *gpa = (walk->steps[walk->count - 1].entry & FS_ADDRESS &
                    ~offset) | (walk->iova & offset);
            return true;
        }
    }
    return false;
}

bool vtd_translate(Viommu *viommu, uint32_t virt_id, uint32_t pasid,
                   uint64_t iova, uint32_t perm, uint64_t *gpa)
{
    Vtd *v = vtd_from(viommu);
    FsWalk walk = {
        .v = v,
        .iova = iova,
        .write = perm & PGFAULT_PERM_WRITE,
    };
    VtdWalk tables;

    /* Acquire: pairs with the release stores of root (SRTP, TE). */
    if (!FIELD_GET(atomic_load_explicit(&v->root, memory_order_acquire),
                   ROOT, TES)) {
        *gpa = iova;            /* translation is off */
        return pasid == PAGE_REQUEST_NO_PASID;
    }
    if (vtd_walk(v, virt_id, pasid, VTD_REQUEST_TRANSLATION, &tables) !=
        VTD_OK) {
        return false;
    }
    if (FIELD_GET(tables.entry[0], PASID0, PGTT) == PGTT_PASS_THROUGH) {
        *gpa = iova;
        return true;
    }
    /* 5Ch, 5Dh: execute and supervisor requests (ECAP.ERS and SRS are 0). */
    if ((perm & (PGFAULT_PERM_EXEC | PGFAULT_PERM_PRIV)) ||
        !is_canonical(iova)) {
        return false;
    }
    return first_stage(&walk,
                       tables.entry[2] & FIELD_MASK(PASID2, FSPTPTR), gpa);
}
