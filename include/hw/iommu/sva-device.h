/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SvaDevice: an emulated device that uses the guest's address spaces (PCI ATS
 * and PRI): it translates by the guest's page tables, and asks for pages that
 * are not there.
 *
 * A request takes no lock, so it may be made with any lock held: the device's
 * own, a monitor's big lock. It is enqueued, and a bottom half on the vIOMMU's
 * home thread brings it to the guest. The response comes as a bottom half in
 * the device's own AioContext.
 *
 * Threads: viommu_page_request() and viommu_translate() on any thread that is
 *          registered with RCU; the rest on threads that may block.
 * Locks:   none is taken by those two. Adding and removing take the
 *          config_lock.
 */
#ifndef HW_IOMMU_SVA_DEVICE_H
#define HW_IOMMU_SVA_DEVICE_H

#include "base/rcu.h"
#include "hw/iommu/page-request.h"
#include "hw/iommu/pgfault-stream.h"
#include "hw/iommu/viommu.h"

#include <urcu/wfcqueue.h>

typedef struct SvaDevice SvaDevice;

/* The most credits of a device: what VT-d's largest queue holds. */
#define SVA_CREDITS_MAX 16384u

/**
 * struct SvaGroup - a page request group; the device's, until it asks
 * @pasid: 20 bits, or %PAGE_REQUEST_NO_PASID
 * @index: page request group index, 0 to 511. Of the groups that a device has
 *         open each has another one: a second one of the same index and PASID
 *         ends the first, which is answered INVALID.
 * @count: of pages, 1 to the device's credits
 * @pages: their addresses, and PGFAULT_PERM_* as access is wanted
 * @stop_marker: a Stop Marker (PCIe 10.4.1.2.1): one page, no permissions, a
 *               PASID. Nobody answers: it comes back once it is queued or
 *               dropped, with a code that means nothing.
 * @code: out: the response code, a PAGE_RESPONSE_* or another one of four bits
 *        that a VT-d guest gave
 * @device, @node, @next: private
 *
 * Given to viommu_page_request(), and everything but @code is constant until
 * it comes back through SvaDeviceConfig::responded.
 */
typedef struct SvaGroup {
    uint32_t pasid;
    uint32_t index;
    uint32_t count;
    const Pgfault *pages;
    bool stop_marker;
    uint32_t code;
    SvaDevice *device;
    struct cds_wfcq_node node;
    struct SvaGroup *next;
} SvaGroup;

/**
 * struct SvaDeviceConfig - what an emulated device says of itself
 * @name: for messages; copied
 * @virt_id: StreamID or requester ID
 * @ctx: where it hears of responses; a reference is taken
 * @credits: pages that may be asked for and not yet responded to, 1 or more
 *           (PCIe's Outstanding Page Request Allocation)
 * @responded: called in a bottom half of @ctx for each group, exactly once.
 *             The group is the device's again, its credits are back.
 * @opaque: for it
 */
typedef struct SvaDeviceConfig {
    const char *name;
    uint32_t virt_id;
    AioContext *ctx;
    uint32_t credits;
    void (*responded)(void *opaque, SvaGroup *group);
    void *opaque;
} SvaDeviceConfig;

/**
 * viommu_add_sva_device() - plug an emulated device in, at any time
 *
 * Context: May block.
 * Return: the device, or NULL and @error set: ID taken or out of range, no
 * credits, or a vIOMMU without page requests.
 */
SvaDevice *viommu_add_sva_device(Viommu *viommu, const SvaDeviceConfig *config,
                                 GError **error);

/**
 * viommu_remove_sva_device() - unplug: what is open is answered INVALID
 *
 * When it returns, every group has come back and @device is freed. Nobody else
 * may be in a call with @device, or begin one, but for @responded: its requests
 * find no credit any more.
 *
 * Context: Blocks for both contexts: not with a lock held that @responded
 * takes. On the home thread of the device's context it polls that meanwhile.
 */
void viommu_remove_sva_device(SvaDevice *device);

/**
 * viommu_page_request() - ask for pages
 * @group: given, if true is returned
 *
 * Context: Any thread registered with RCU, any locks held. Wait-free, never
 * allocates.
 * Return: false if the device has not enough credits left; nothing is done,
 * and it was counted.
 */
bool viommu_page_request(SvaDevice *device, SvaGroup *group);

/* Groups refused for lack of credits so far. Context: any thread. */
uint64_t viommu_get_no_credit(const SvaDevice *device);

/**
 * viommu_translate() - the guest's page tables, as the device's ATC sees them
 * @pasid: or %PAGE_REQUEST_NO_PASID
 * @iova: any address
 * @perm: PGFAULT_PERM_READ, _WRITE or both: what is wanted
 * @gpa: out: where it is, up to the end of its 4 KiB
 *
 * Accessed and Dirty are set as the specification says. The guest's
 * invalidations wait for read sections: what was translated may be used until
 * this one ends, not longer.
 *
 * Context: RCU read-side section. Takes no lock, does not block. Nor does the
 * caller, until the section ends, wait for a lock under which somebody may do
 * MMIO of the vIOMMU: an invalidation waits for the section. No fault is
 * recorded.
 * Return: false if there is no translation: ask for the page.
 */
bool viommu_translate(SvaDevice *device, uint32_t pasid, uint64_t iova,
                      uint32_t perm, uint64_t *gpa);

#endif
