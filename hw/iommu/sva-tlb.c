/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An entry is a sequence lock without a loop. A writer makes the sequence odd
 * (compare and exchange, so there is one), stores the fields, and makes it even
 * again. A reader takes what it has read if the sequence was even and has not
 * changed. Without fences, order comes from the accesses themselves:
 *
 *  - the fields are loaded by acquire, so the second load of the sequence comes
 *    after them; it pairs with
 *  - the fields' release stores, which come after the sequence became odd: who
 *    has loaded a new field finds an odd or later sequence.
 *  - The first load of the sequence is an acquire and pairs with the release
 *    store that made it even: the fields are at least those.
 */
#include "hw/iommu/sva-tlb.h"

#define PAGE_BITS 12
#define PAGE_MASK ((UINT64_C(1) << PAGE_BITS) - 1)

static SvaTlbEntry *entry_of(SvaTlb *tlb, uint32_t pasid, uint64_t iova)
{
    /* Neighbouring pages in neighbouring entries, PASIDs far apart. */
    uint64_t slot = (iova >> PAGE_BITS) + pasid * UINT64_C(0x9e3779b1);

    return &tlb->entries[slot % SVA_TLB_ENTRIES];
}

static bool matches(const SvaTlbEntry *entry, uint32_t pasid, uint64_t iova,
                    uint32_t perm, uint64_t *gpa)
{
    uint64_t page = atomic_load_explicit(&entry->page, memory_order_acquire);
    uint32_t owner = atomic_load_explicit(&entry->pasid, memory_order_acquire);

    *gpa = atomic_load_explicit(&entry->gpa, memory_order_acquire) |
           (iova & PAGE_MASK);
    return owner == pasid && page >> PAGE_BITS == iova >> PAGE_BITS &&
           (page & perm) == perm;
}

bool sva_tlb_find(SvaTlb *tlb, uint64_t generation, uint32_t pasid,
                  uint64_t iova, uint32_t perm, uint64_t *gpa)
{
    SvaTlbEntry *entry = entry_of(tlb, pasid, iova);
    uint64_t before = atomic_load_explicit(&entry->sequence,
                                           memory_order_acquire);

    return before % 2 == 0 &&
           atomic_load_explicit(&entry->generation, memory_order_acquire) ==
               generation &&
           matches(entry, pasid, iova, perm, gpa) &&
           atomic_load_explicit(&entry->sequence, memory_order_relaxed) ==
               before;
}

/* Return: false if somebody else is writing. */
static bool write_begin(SvaTlbEntry *entry, uint64_t *sequence)
{
    *sequence = atomic_load_explicit(&entry->sequence, memory_order_relaxed);
    /* Acquire: pairs with write_end() of the writer before. */
    return *sequence % 2 == 0 &&
           atomic_compare_exchange_strong_explicit(
               &entry->sequence, sequence, *sequence + 1,
               memory_order_acquire, memory_order_relaxed);
}

static void write_end(SvaTlbEntry *entry, uint64_t sequence)
{
    atomic_store_explicit(&entry->sequence, sequence + 2,
                          memory_order_release);
}

void sva_tlb_insert(SvaTlb *tlb, uint64_t generation, uint32_t pasid,
                    uint64_t iova, uint32_t perm, uint64_t gpa)
{
    SvaTlbEntry *entry = entry_of(tlb, pasid, iova);
    uint64_t sequence;

    if (!write_begin(entry, &sequence)) {
        return;
    }
    atomic_store_explicit(&entry->generation, generation,
                          memory_order_release);
    atomic_store_explicit(&entry->pasid, pasid, memory_order_release);
    atomic_store_explicit(&entry->page, (iova & ~PAGE_MASK) | perm,
                          memory_order_release);
    atomic_store_explicit(&entry->gpa, gpa & ~PAGE_MASK, memory_order_release);
    write_end(entry, sequence);
}

void sva_tlb_drop_page(SvaTlb *tlb, uint32_t pasid, uint64_t iova)
{
    SvaTlbEntry *entry = entry_of(tlb, pasid, iova);
    uint64_t sequence;
    uint64_t gpa;

    if (!write_begin(entry, &sequence)) {
        return;
    }
    if (matches(entry, pasid, iova, 0, &gpa)) {
        atomic_store_explicit(&entry->generation, 0, memory_order_release);
    }
    write_end(entry, sequence);
}
