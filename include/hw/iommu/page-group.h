/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PageGroup: page requests that are answered together, on their way from the
 * host's fault queue or an emulated device to the guest's queue, and
 * PageSinkOps, which is what a model (SMMUv3's PRI queue, VT-d's page request
 * queue) makes of them.
 *
 * Threads: the home thread of the vIOMMU only.
 * Locks:   none of its own.
 */
#ifndef HW_IOMMU_PAGE_GROUP_H
#define HW_IOMMU_PAGE_GROUP_H

#include "hw/iommu/page-request.h"
#include "hw/iommu/pgfault-stream.h"

/* The most groups, and the most entries of the guest's queue, of a batch. */
#define PAGE_GROUP_BATCH 512

/* PCI: a page request group index has 9 bits. */
#define PAGE_GROUP_INDEX_MASK UINT32_C(0x1ff)

/* And a PASID has 20. */
#define PAGE_GROUP_PASID_MAX UINT32_C(0xfffff)

/* From PageSinkOps::room(): as many as you like, none of them is written. */
#define PAGE_ROOM_UNLIMITED UINT32_MAX

/**
 * enum PageOutcome - what became of a group
 * @PAGE_WRITTEN: all of it is in the guest's queue: the guest answers
 * @PAGE_ANSWERED: none of it is; PageGroup::code is the IOMMU's own answer
 * @PAGE_SILENT: a Stop Marker, written or dropped: nobody answers those
 */
typedef enum PageOutcome {
    PAGE_WRITTEN,
    PAGE_ANSWERED,
    PAGE_SILENT,
} PageOutcome;

/**
 * struct PageGroup - one group
 * @request: its key; who asks and is to be answered
 * @count: of pages, 1 or more
 * @stop_marker: marks the end of a PASID's use, has one page without
 *               permissions
 * @host: where the pages of a host's group are, borrowed
 * @pages: where those of an emulated device's are, borrowed; NULL: the host's
 * @outcome, @code: out: set by PageSinkOps::deliver(); @code is a
 *                  PAGE_RESPONSE_*
 */
typedef struct PageGroup {
    PageRequest request;
    size_t count;
    bool stop_marker;
    const PgfaultGroup *host;
    const Pgfault *pages;
    PageOutcome outcome;
    uint32_t code;
} PageGroup;

/* Page @i, below the count. */
static inline Pgfault page_group_page(const PageGroup *group, size_t i)
{
    return group->pages ? group->pages[i] : pgfault_group_page(group->host, i);
}

/**
 * struct PageSinkOps - the guest's queue. Called on the home thread, without a
 * lock; @opaque is the Viommu.
 * @room: entries that @deliver can write now, %PAGE_ROOM_UNLIMITED if whatever
 *        comes is answered at once (queue off, aborted, overflow not
 *        acknowledged) or if @want is more than the queue ever has room for,
 *        which is then an overflow. If less than @want, the sink has noted it
 *        and calls viommu_resume_page_requests() when there is so much. A note
 *        lasts until the next call.
 * @deliver: take @count groups, which have no more pages than there was room,
 *           and set the outcome of each. What is written is published when it
 *           returns, with one interrupt at most.
 */
typedef struct PageSinkOps {
    uint32_t (*room)(void *opaque, uint32_t want);
    void (*deliver)(void *opaque, PageGroup *groups, size_t count);
} PageSinkOps;

#endif
