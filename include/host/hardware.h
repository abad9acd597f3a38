/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What hardware does to a host that has none: devices report events and ask
 * for pages. Hosts whose devices are not real have a table for it, by which a
 * workload or a test plays the hardware: the emulated host, and the kernel's
 * mock driver (host/mock.h).
 *
 * Threads: any, registered with RCU or not, while the host is in use.
 * Locks:   the host's own, below all of ours but leaves. Nothing here blocks
 *          for long.
 */
#ifndef HOST_HARDWARE_H
#define HOST_HARDWARE_H

#include "host/host-iommu.h"

#include <stdbool.h>

/**
 * enum HardwareIommu - the IOMMU that a device is behind
 * @HARDWARE_SMMUV3: Arm SMMUv3
 * @HARDWARE_VTD: Intel VT-d with PASIDs and page requests
 */
typedef enum HardwareIommu {
    HARDWARE_SMMUV3,
    HARDWARE_VTD,
} HardwareIommu;

/**
 * enum HardwareReport - what became of an event; the kernel tells nobody
 * @HARDWARE_QUEUED: a reader will see it
 * @HARDWARE_LOST: the queue was full: it used up a sequence number
 * @HARDWARE_REFUSED: no queue, device not attached to a nested HWPT, or not a
 *                    type of event that the kernel forwards
 */
typedef enum HardwareReport {
    HARDWARE_QUEUED,
    HARDWARE_LOST,
    HARDWARE_REFUSED,
} HardwareReport;

/**
 * struct HardwarePageRequest - one page fault, a member of a group
 * @dev_id: the device's iommufd object ID
 * @pasid: the PASID, or 0 for a request without one
 * @grpid: page request group index: members of one group have the same, and
 *         of a device one group at a time
 * @perm: IOMMU_PGFAULT_PERM_*
 * @addr: of the page
 * @last: completes the group, so that it can be read
 * @tag: of the last member: comes back with the answer
 */
typedef struct HardwarePageRequest {
    uint32_t dev_id;
    uint32_t pasid;
    uint32_t grpid;
    uint32_t perm;
    uint64_t addr;
    bool last;
    uint64_t tag;
} HardwarePageRequest;

/**
 * struct HardwarePageAnswer - the answer to a group
 * @code: IOMMUFD_PAGE_RESP_*
 * @automatic: by the host itself: detached, moved, or closed. Always INVALID
 * @tag: of the request that completed the group; 0 if the mock driver's test
 *       ioctl raised it
 */
typedef struct HardwarePageAnswer {
    uint32_t dev_id;
    uint32_t pasid;
    uint32_t grpid;
    uint32_t code;
    bool automatic;
    uint64_t tag;
} HardwarePageAnswer;

/*
 * Called once per group, on the thread that writes the answer or ends the
 * attachment, before its call returns, with no lock of the host's. It must not
 * block or call into the host: count, store, wake. Two threads may be in it at
 * once, for different groups. Once the last of its groups is answered, nothing
 * here refers to what a tag stands for.
 */
typedef void HardwareAnswerFunc(const HardwarePageAnswer *answer,
                                void *opaque);

/**
 * struct HardwarePageStats - the host's side of the page requests
 * @pages: page faults taken
 * @raised: groups that became complete
 * @answered: groups answered by a write()
 * @automatic: groups answered INVALID by the host itself
 * @open: raised and not answered yet; raised = answered + automatic + open
 */
typedef struct HardwarePageStats {
    uint64_t pages;
    uint64_t raised;
    uint64_t answered;
    uint64_t automatic;
    uint64_t open;
} HardwarePageStats;

/**
 * struct HardwareStats - the host's side of the rest
 * @generated: events that used up a sequence number
 * @dropped: numbers that no reader had seen when their queue was destroyed
 * @objects: objects alive now
 * @invalidations: commands of IOMMU_HWPT_INVALIDATE calls that succeeded; of
 *                 one that fails the SMMUv3 driver may have issued none
 * @invalidate_ioctls: successful IOMMU_HWPT_INVALIDATE
 * @busy: IOMMU_DESTROY calls that failed with EBUSY
 */
typedef struct HardwareStats {
    uint64_t generated;
    uint64_t dropped;
    uint64_t objects;
    uint64_t invalidations;
    uint64_t invalidate_ioctls;
    uint64_t busy;
} HardwareStats;

/**
 * struct HardwareOps - the devices of a host that has no real ones
 * @group_pages_max: members that a group can have
 * @device_open: what opening a VFIO character device gives.
 *               Return: an fd that takes VFIO_DEVICE_BIND_IOMMUFD and its
 *               neighbours through ops->ioctl and is closed by ops->close; -1
 *               with errno set
 * @report_event: an SMMUv3 event, four words, host byte order; the StreamID is
 *                replaced by the vDEVICE's virt_id. Any thread, any of its
 *                locks
 * @request_page: Any thread, any of its locks but leaves. Allocates only while
 *                there are more groups open than ever before.
 *                Return: %HARDWARE_QUEUED, and if @last the group will be
 *                answered exactly once; or %HARDWARE_REFUSED: the HWPT that
 *                the PASID is attached to has no fault queue, or the group is
 *                not one that this host can make. Nothing is kept then and no
 *                answer comes
 * @set_answer_func: where the hardware learns the answers; before the first
 *                   page fault, then it stays
 * @get_page_stats: a group counts as answered just before its
 *                  HardwareAnswerFunc is called
 * @get_stats: see there
 * @count_left: objects that are there when none should be. On a kernel they
 *              are found by destroying them, so nothing may be in use
 */
typedef struct HardwareOps {
    uint32_t group_pages_max;
    int (*device_open)(HostIommu *host, HardwareIommu iommu);
    HardwareReport (*report_event)(HostIommu *host, uint32_t dev_id,
                                   const uint64_t event[4]);
    HardwareReport (*request_page)(HostIommu *host,
                                   const HardwarePageRequest *request);
    void (*set_answer_func)(HostIommu *host, HardwareAnswerFunc *func,
                            void *opaque);
    HardwarePageStats (*get_page_stats)(HostIommu *host);
    HardwareStats (*get_stats)(HostIommu *host);
    uint64_t (*count_left)(HostIommu *host);
} HardwareOps;

#endif
