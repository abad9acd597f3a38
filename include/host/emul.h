/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The emulated host: iommufd's objects and queues in this process, down to
 * the kernel's errnos, reference rules and races (docs/iommufd-uapi.md), and
 * the controls by which a workload or a test plays hardware. Those that other
 * hosts have too are also in its HardwareOps.
 *
 * Threads: any. The controls may be called while the host is in use.
 * Locks:   its own, leaves. Nothing here blocks for long.
 */
#ifndef HOST_EMUL_H
#define HOST_EMUL_H

#include "host/hardware.h"

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

/* The types of what hardware does are those of every such host. */
typedef HardwareIommu EmulIommu;
#define EMUL_IOMMU_SMMUV3   HARDWARE_SMMUV3
#define EMUL_IOMMU_VTD      HARDWARE_VTD
typedef HardwareReport EmulReport;
#define EMUL_REPORT_QUEUED  HARDWARE_QUEUED
#define EMUL_REPORT_LOST    HARDWARE_LOST
#define EMUL_REPORT_REFUSED HARDWARE_REFUSED
typedef HardwarePageRequest EmulPageRequest;
typedef HardwarePageAnswer EmulPageAnswer;
typedef HardwareAnswerFunc EmulAnswerFunc;
typedef HardwarePageStats EmulPageStats;
typedef HardwareStats EmulStats;

/* emul_device_open() of a device behind @iommu, SMMUv3 without it. */
int emul_device_open_behind(HostIommu *host, EmulIommu iommu);

/**
 * emul_move_fd() - a descriptor of this host is known by another number
 * @from: the host's own fd, or one that it handed out
 * @to: a copy of @from's, as of dup(); or -1, of the host's own fd only: there
 *      is none any more, and emul_free() closes none
 *
 * What is under way on @from may still fail with EBADF; the caller, who knows
 * both numbers, tries again on @to.
 *
 * Context: @from stays open until this returns, and is then the caller's to
 * close. Callers are serialised.
 * Return: false if @to is too high, and nothing has changed.
 */
bool emul_move_fd(HostIommu *host, int from, int to);

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
 * emul_set_answer_func() - where the hardware learns the answers
 *
 * Context: Before the first page fault; then it stays.
 */
void emul_set_answer_func(HostIommu *host, EmulAnswerFunc *func, void *opaque);

/* A group counts as answered just before its EmulAnswerFunc is called. */
EmulPageStats emul_get_page_stats(HostIommu *host);

EmulStats emul_get_stats(HostIommu *host);

/**
 * struct EmulMapped - memory in all IOASes now
 * @bytes: in all
 * @file_bytes: of these, by file
 */
typedef struct EmulMapped {
    uint64_t bytes;
    uint64_t file_bytes;
} EmulMapped;

EmulMapped emul_get_mapped(HostIommu *host);

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
