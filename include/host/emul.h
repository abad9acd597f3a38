/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The emulated host: iommufd's objects and queues in this process, down to
 * the kernel's errnos, reference rules and races (docs/iommufd-uapi.md), and
 * the controls by which a workload or a test plays hardware.
 *
 * Threads: any. The controls may be called while the host is in use.
 * Locks:   its own, leaves. Nothing here blocks for long.
 */
#ifndef HOST_EMUL_H
#define HOST_EMUL_H

#include "host/host-iommu.h"

#include <stdbool.h>

/**
 * emul_new() - an empty emulated /dev/iommu
 *
 * Return: the host, or NULL and @error set (no file descriptor left).
 */
HostIommu *emul_new(GError **error);

/**
 * emul_device_open() - what opening a VFIO character device gives
 *
 * Return: an fd that takes VFIO_DEVICE_BIND_IOMMUFD and its neighbours through
 * ops->ioctl and is closed by ops->close; -1 with errno set if none is left.
 */
int emul_device_open(HostIommu *host);

/**
 * enum EmulIommu - the IOMMU that a device is behind
 * @EMUL_IOMMU_SMMUV3: Arm SMMUv3; what emul_device_open() gives
 * @EMUL_IOMMU_VTD: Intel VT-d with PASIDs and page requests
 */
typedef enum EmulIommu {
    EMUL_IOMMU_SMMUV3,
    EMUL_IOMMU_VTD,
} EmulIommu;

/* emul_device_open() of a device behind @iommu. */
int emul_device_open_behind(HostIommu *host, EmulIommu iommu);

/**
 * enum EmulReport - what became of an event; the kernel tells nobody
 * @EMUL_REPORT_QUEUED: a reader will see it
 * @EMUL_REPORT_LOST: the queue was full: it used up a sequence number
 * @EMUL_REPORT_REFUSED: no queue, device not attached to a nested HWPT, or
 *                       not a type of event that the kernel forwards
 */
typedef enum EmulReport {
    EMUL_REPORT_QUEUED,
    EMUL_REPORT_LOST,
    EMUL_REPORT_REFUSED,
} EmulReport;

/**
 * emul_report_event() - the hardware reports an SMMUv3 event for a device
 * @dev_id: the device's iommufd object ID
 * @event: four words, host byte order; the StreamID is replaced by the
 *         vDEVICE's virt_id
 *
 * Context: Any thread, any of its locks.
 */
EmulReport emul_report_event(HostIommu *host, uint32_t dev_id,
                             const uint64_t event[4]);

/**
 * struct EmulPageRequest - one page fault, a member of a group
 * @dev_id: the device's iommufd object ID
 * @pasid: the PASID, or 0 for a request without one
 * @grpid: page request group index: members of one group have the same, and
 *         of a device one group at a time
 * @perm: IOMMU_PGFAULT_PERM_*
 * @addr: of the page
 * @last: completes the group, so that it can be read
 * @tag: of the last member: comes back with the answer
 */
typedef struct EmulPageRequest {
    uint32_t dev_id;
    uint32_t pasid;
    uint32_t grpid;
    uint32_t perm;
    uint64_t addr;
    bool last;
    uint64_t tag;
} EmulPageRequest;

/**
 * emul_request_page() - the hardware raises a page fault
 *
 * Context: Any thread, any of its locks but leaves. Allocates only while there
 * are more groups open than ever before.
 * Return: %EMUL_REPORT_QUEUED, and if @request->last the group will be answered
 * exactly once; or %EMUL_REPORT_REFUSED: the HWPT that the PASID is attached to
 * has no fault queue. Nothing is kept then and no answer comes: the kernel
 * would have said INVALID at once.
 */
EmulReport emul_request_page(HostIommu *host, const EmulPageRequest *request);

/**
 * struct EmulPageAnswer - the answer to a group
 * @code: IOMMUFD_PAGE_RESP_*
 * @automatic: by the host itself: detached, moved, or closed. Always INVALID
 * @tag: of the request that completed the group
 */
typedef struct EmulPageAnswer {
    uint32_t dev_id;
    uint32_t pasid;
    uint32_t grpid;
    uint32_t code;
    bool automatic;
    uint64_t tag;
} EmulPageAnswer;

/*
 * Called once per group, on the thread that writes the answer or ends the
 * attachment, before its call returns, with no lock of the host's. It must not
 * block or call into the host: count, store, wake. Two threads may be in it at
 * once, for different groups. Once the last of its groups is answered, nothing
 * here refers to what a tag stands for.
 */
typedef void EmulAnswerFunc(const EmulPageAnswer *answer, void *opaque);

/**
 * emul_set_answer_func() - where the hardware learns the answers
 *
 * Context: Before the first page fault; then it stays.
 */
void emul_set_answer_func(HostIommu *host, EmulAnswerFunc *func, void *opaque);

/**
 * struct EmulPageStats - the emulated host's side of the page requests
 * @pages: page faults taken
 * @raised: groups that became complete
 * @answered: groups answered by a write()
 * @automatic: groups answered INVALID by the host itself
 * @open: raised and not answered yet; raised = answered + automatic + open
 */
typedef struct EmulPageStats {
    uint64_t pages;
    uint64_t raised;
    uint64_t answered;
    uint64_t automatic;
    uint64_t open;
} EmulPageStats;

/* A group counts as answered just before its EmulAnswerFunc is called. */
EmulPageStats emul_get_page_stats(HostIommu *host);

/**
 * struct EmulStats - the emulated host's side of the accounting
 * @generated: events that used up a sequence number
 * @dropped: numbers that no reader had seen when their queue was destroyed
 * @objects: objects alive now
 * @invalidations: commands of IOMMU_HWPT_INVALIDATE calls that succeeded; of
 *                 one that fails the SMMUv3 driver may have issued none
 * @invalidate_ioctls: successful IOMMU_HWPT_INVALIDATE
 * @busy: IOMMU_DESTROY calls that failed with EBUSY
 */
typedef struct EmulStats {
    uint64_t generated;
    uint64_t dropped;
    uint64_t objects;
    uint64_t invalidations;
    uint64_t invalidate_ioctls;
    uint64_t busy;
} EmulStats;

EmulStats emul_get_stats(HostIommu *host);

/**
 * enum EmulCall - which calls an EmulFailure looks at
 */
typedef enum EmulCall {
    EMUL_CALL_ANY,
    EMUL_CALL_IOCTL,
    EMUL_CALL_READ,
    EMUL_CALL_WRITE,
    EMUL_CALL_CLOSE,
} EmulCall;

/**
 * struct EmulFailure - make host calls fail
 * @call: which calls count
 * @request: for %EMUL_CALL_IOCTL: only this request; 0 for all
 * @nth: the first to fail, counted from 1 from now on; 0 switches it off,
 *       UINT64_MAX only counts
 * @times: how many fail from there on; 0 for all
 * @err: the errno. The call has no other effect (close closes none the less,
 *       as close() does)
 */
typedef struct EmulFailure {
    EmulCall call;
    unsigned long request;
    uint64_t nth;
    uint64_t times;
    int err;
} EmulFailure;

void emul_set_failure(HostIommu *host, const EmulFailure *failure);

/* Calls that the failure set last has counted; for sweeps over N. */
uint64_t emul_get_calls_counted(HostIommu *host);

/**
 * emul_set_first_sequence() - queues made from now on start here
 * @sequence: 0 to INT_MAX
 */
void emul_set_first_sequence(HostIommu *host, uint32_t sequence);

/**
 * emul_set_read_limit() - reads act as if asked for @count bytes at most
 * @count: 0 for no limit; of a fault queue the whole records in it
 */
void emul_set_read_limit(HostIommu *host, size_t count);

#endif
