/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * WorkloadSva: a process of the guest that has an SVA device work for it. It
 * fills buffers, starts operations by doorbell, under the monitor's big lock as
 * a vCPU does, checks what came out, and as the guest's memory management takes
 * pages away all the while.
 *
 * Order of a run: guest_vtd_new(), then workload_sva_start(),
 * workload_sva_stop() (no operation begins any more), wait until counts.open is
 * 0, workload_sva_rest(), then guest_vtd_rest().
 *
 * Threads: started, stopped, brought to rest and freed by one thread that may
 *          block; the counts on any thread, exact once at rest.
 * Locks:   its thread takes the big lock, and those of LOCK_RANK_GUEST.
 */
#ifndef VPUMP_WORKLOAD_SVA_H
#define VPUMP_WORKLOAD_SVA_H

#include "guest-address-space.h"
#include "sva-accel.h"

#include "base/lock.h"

typedef struct WorkloadSva WorkloadSva;

/* As fast as the device works. */
#define WORKLOAD_SVA_RATE_MAX UINT64_MAX

/**
 * struct WorkloadSvaConfig - one device's load
 * @id: of the device; the thread is named "load " and this; copied
 * @accel: the device; borrowed until workload_sva_free()
 * @depth: its slots
 * @ram: the guest's memory; borrowed likewise
 * @spaces: @pasids address spaces, that of PASID 1 first, each with
 *          workload_sva_pages() pages or more; the array is copied
 * @big_lock: of LOCK_RANK_BIG; borrowed likewise
 * @rate: operations per second, at most 10^9; 0 for none
 * @seed: of all that is random
 */
typedef struct WorkloadSvaConfig {
    const char *id;
    SvaAccel *accel;
    uint32_t depth;
    GuestRam *ram;
    GuestAddressSpace *const *spaces;
    uint32_t pasids;
    Lock *big_lock;
    uint64_t rate;
    uint64_t seed;
} WorkloadSvaConfig;

/**
 * struct WorkloadSvaCounts - operations
 * @started: submitted
 * @verified: done, and the memory holds what it should
 * @failed: the device said that it could not; 0 in a good run
 * @corrupt: done, and the memory holds something else; 0 in a good run
 * @open: submitted and not seen to be done: started = verified + failed +
 *        corrupt + open
 * @changed: verified, and the memory held something else when it was looked at
 *           again; 0 in a good run
 */
typedef struct WorkloadSvaCounts {
    uint64_t started;
    uint64_t verified;
    uint64_t failed;
    uint64_t corrupt;
    uint64_t open;
    uint64_t changed;
} WorkloadSvaCounts;

/* Pages of the address space of each PASID, for GuestVtdDevice::pages. */
size_t workload_sva_pages(uint32_t depth);

/**
 * workload_sva_start() - set the device's registers, start the thread
 *
 * Once per device: its memory is never given back.
 *
 * Return: to be given to workload_sva_free(), or NULL and @error set.
 */
WorkloadSva *workload_sva_start(const WorkloadSvaConfig *config,
                                GError **error);

/*
 * When it returns, no operation is started and no page taken any more. Those
 * open go on.
 */
void workload_sva_stop(WorkloadSva *load);

/**
 * workload_sva_rest() - join the thread, stopped first
 *
 * What is open then, because the device does not get on, stays open.
 */
void workload_sva_rest(WorkloadSva *load);

/* Comes to rest first. NULL is ignored. */
void workload_sva_free(WorkloadSva *load);

WorkloadSvaCounts workload_sva_get_counts(const WorkloadSva *load);

#endif
