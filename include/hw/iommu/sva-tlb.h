/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SvaTlb: translations that an emulated device has cached (its ATC), in a
 * direct-mapped table.
 *
 * An entry belongs to a generation, and is found in that one only: to change
 * the generation empties every table of a vIOMMU at once. A walk of the page
 * tables is entered under the generation that was current before it began, so
 * what a walk has read before an invalidation is never found after it.
 *
 * Threads: any, all at once.
 * Locks:   none; wait-free. Who finds an entry being written passes it by.
 */
#ifndef HW_IOMMU_SVA_TLB_H
#define HW_IOMMU_SVA_TLB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SVA_TLB_ENTRIES 256

/**
 * struct SvaTlbEntry - one page
 * @sequence: odd while the entry is written
 * @page: iova, with the permissions (PGFAULT_PERM_*) in its low bits
 * @gpa: of the page
 * @pasid: of the address space
 * @generation: that it belongs to; 0: none
 *
 * All are [atomic], see sva-tlb.c.
 */
typedef struct SvaTlbEntry {
    _Atomic uint64_t sequence;
    _Atomic uint64_t page;
    _Atomic uint64_t gpa;
    _Atomic uint64_t generation;
    _Atomic uint32_t pasid;
} SvaTlbEntry;

/* All zero is empty. */
typedef struct SvaTlb {
    SvaTlbEntry entries[SVA_TLB_ENTRIES];
} SvaTlb;

/**
 * sva_tlb_find() - a cached translation of @iova's page
 * @generation: the current one, not 0
 * @perm: PGFAULT_PERM_* that are wanted
 * @gpa: out: of @iova
 */
bool sva_tlb_find(SvaTlb *tlb, uint64_t generation, uint32_t pasid,
                  uint64_t iova, uint32_t perm, uint64_t *gpa);

/**
 * sva_tlb_insert() - enter what a walk has found
 * @generation: the current one when the walk began
 */
void sva_tlb_insert(SvaTlb *tlb, uint64_t generation, uint32_t pasid,
                    uint64_t iova, uint32_t perm, uint64_t gpa);

/**
 * sva_tlb_drop_page() - forget one page
 *
 * Not for the guest's invalidations: an insert under way may win.
 */
void sva_tlb_drop_page(SvaTlb *tlb, uint32_t pasid, uint64_t iova);

#endif
