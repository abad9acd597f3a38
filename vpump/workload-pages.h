/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * WorkloadPages: passed-through devices of one host that ask for pages
 * of their guest's address spaces, by the host's fault queues. A thread per
 * device raises groups and hears of the answers. It also plays the guest's
 * memory management, and takes pages away.
 *
 * One object per host, since a host tells all answers to one function.
 *
 * Order of a run: workload_pages_new(); guest_vtd_new() for each vIOMMU; add
 * the devices; workload_pages_start(), workload_pages_stop() (no group is
 * raised any more), wait until counts.open is 0, workload_pages_rest(), then
 * guest_vtd_rest().
 *
 * Threads: all but the counts on one thread that may block; those on any,
 *          exact once at rest.
 * Locks:   its own, a leaf. Its threads take those of LOCK_RANK_GUEST.
 */
#ifndef VPUMP_WORKLOAD_PAGES_H
#define VPUMP_WORKLOAD_PAGES_H

#include "guest-address-space.h"
#include "histogram.h"
#include "page-digest.h"

#include "host/host-iommu.h"

typedef struct WorkloadPages WorkloadPages;

/* As fast as they are answered. */
#define WORKLOAD_PAGES_RATE_MAX UINT64_MAX

/* A device has as many groups open: each has its own group index. */
#define WORKLOAD_PAGES_OUTSTANDING_MAX 512

/* Of a group: 1 to this. */
#define WORKLOAD_PAGES_GROUP_MAX 4

/**
 * struct WorkloadPagesDevice - one device's load
 * @id: the thread is named "load " and this; copied
 * @dev_id: iommufd object ID
 * @spaces: @pasids address spaces, that of PASID 1 first; the array is copied
 * @outstanding: groups that it has open at once, 1 to
 *               %WORKLOAD_PAGES_OUTSTANDING_MAX
 * @rate: groups per second, at most 10^9; 0 for none
 * @seed: of all that is random
 */
typedef struct WorkloadPagesDevice {
    const char *id;
    uint32_t dev_id;
    GuestAddressSpace *const *spaces;
    uint32_t pasids;
    uint32_t outstanding;
    uint64_t rate;
    uint64_t seed;
} WorkloadPagesDevice;

/**
 * struct WorkloadPagesCounts - groups of one device
 * @raised: taken by the host
 * @refused: not taken by it; 0 in a good run
 * @success: answered so
 * @invalid: answered so, by the guest or by the host itself; 0 in a good run
 * @stray: answers to groups that were not open (a second one, for instance); 0
 *         in a good run
 * @open: raised = success + invalid + open
 * @pages: of all that were raised; exact once at rest
 */
typedef struct WorkloadPagesCounts {
    uint64_t raised;
    uint64_t refused;
    uint64_t success;
    uint64_t invalid;
    uint64_t stray;
    uint64_t open;
    PageDigestSum pages;
} WorkloadPagesCounts;

/**
 * workload_pages_new() - hear of @host's answers
 * @host: of whose devices none has asked for a page yet; borrowed until
 *        workload_pages_free(). With real devices nothing can be added
 */
WorkloadPages *workload_pages_new(HostIommu *host);

/**
 * workload_pages_add() - a device, not started
 *
 * Context: before the start.
 * Return: its index, for the counts: 0, 1, ...
 */
size_t workload_pages_add(WorkloadPages *load,
                          const WorkloadPagesDevice *device);

/* Every device begins. Return: false and @error set, and none does. */
bool workload_pages_start(WorkloadPages *load, GError **error);

/*
 * When it returns, no group is raised and no page taken any more. Those open
 * go on.
 */
void workload_pages_stop(WorkloadPages *load);

/**
 * workload_pages_rest() - join the threads, stopped first
 *
 * What is open then, because nobody answers, stays open.
 */
void workload_pages_rest(WorkloadPages *load);

/**
 * workload_pages_free() - comes to rest first. NULL is ignored
 *
 * Context: nothing is open, or the host was freed: an answer would find
 * nothing here.
 */
void workload_pages_free(WorkloadPages *load);

WorkloadPagesCounts workload_pages_get_counts(const WorkloadPages *load,
                                              size_t index);

/* From the raising of a group's last page to the answer, ns. */
void workload_pages_get_roundtrip(const WorkloadPages *load, size_t index,
                                  HistogramSnapshot *roundtrip);

#endif
