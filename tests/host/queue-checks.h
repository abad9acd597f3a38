/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks and fixtures of the conformance cases of queues. What a read gives is
 * judged, and noted, as a text:
 *
 *   "EINVAL"              it failed
 *   "0"                   nothing there
 *   "32 [0-2 L6]"         vEVENTQ: bytes; events 0 to 2, a LOST_EVENTS header
 *                         whose sequence is 6. An event of a virt_id that is
 *                         not the rig's is 4/v9a, one with flags 4/f2.
 *   "80 [c1/g20 c2/g21]"  fault queue: bytes, cookie and grpid of each record
 *
 * Answers are noted as "answer c1+c2=1 16": SUCCESS for cookie 1, code 1
 * (INVALID) for cookie 2; 16 bytes were taken.
 *
 * Threads and what the functions return are as in conformance.h.
 */
#ifndef TESTS_HOST_QUEUE_CHECKS_H
#define TESTS_HOST_QUEUE_CHECKS_H

#include "conformance.h"

enum {
    VEVENT_HEADER_SIZE = sizeof(struct iommufd_vevent_header),
    VEVENT_SIZE = VEVENT_HEADER_SIZE +
                  sizeof(struct iommu_viommu_event_selftest),
    PGFAULT_SIZE = sizeof(struct iommu_hwpt_pgfault),
    RESPONSE_SIZE = sizeof(struct iommu_hwpt_page_response),
};

/* ---- Fixtures ---- */

/* A queue of either kind. */
typedef struct Queue {
    uint32_t id;
    int fd;
} Queue;

/* Silent when they succeed. Return: false, the case failed, nothing is left. */
bool veventq_up(Conformance *c, uint32_t viommu_id, uint32_t depth,
                Queue *queue);
bool fault_queue_up(Conformance *c, Queue *queue);
/* Close, and destroy. */
void queue_down(Conformance *c, const Queue *queue);

/* What veventq cases start from: a rig without faults, a vEVENTQ. */
typedef struct VeventqRig {
    Rig rig;
    Queue queue;
} VeventqRig;

bool veventq_rig_up(Conformance *c, VeventqRig *v, uint32_t depth);
void veventq_rig_down(Conformance *c, VeventqRig *v);

/* Another device of a rig's vIOMMU, on a nested HWPT of its own. */
typedef struct OtherDevice {
    uint32_t stdev_id;
    uint32_t dev_id;
    uint32_t vdevice_id;
    uint32_t hwpt_id;
} OtherDevice;

/* @fault_id 0: none */
bool other_device_up(Conformance *c, const Rig *rig, uint64_t virt_id,
                     uint32_t fault_id, OtherDevice *other);
void other_device_down(Conformance *c, const OtherDevice *other);

/* ---- Actions ---- */

/* Noted; the case fails with the first trigger that fails. */
void trigger_vevents(Conformance *c, uint32_t dev_id, unsigned n);
/* Groups of @pasid: grpid @first and up. */
void trigger_faults(Conformance *c, uint32_t dev_id, uint32_t pasid,
                    uint32_t first, unsigned n);

/* ---- Checks ---- */

bool check_vevents(Conformance *c, int fd, size_t count, const char *expected);
bool check_faults(Conformance *c, int fd, size_t count, const char *expected);

/* One record, read into @record. Return: false, there was none. */
bool check_fault(Conformance *c, int fd, struct iommu_hwpt_pgfault *record);

/* poll() now for all but POLLWRNORM: "none", "IN RDNORM", "IN RDNORM OUT" */
bool check_poll(Conformance *c, int fd, const char *expected);

/* What holds for the fd of either kind of queue, and for a closed one. */
void check_queue_fd(Conformance *c, int fd);
void check_closed_fd(Conformance *c, int fd);

/* A write of @count answers; @expected: the bytes taken, or the errno. */
bool check_answers(Conformance *c, int fd, const char *expected,
                   const struct iommu_hwpt_page_response *answers,
                   size_t count);

#define ANSWERS(...)                                              \
    (const struct iommu_hwpt_page_response[]) { __VA_ARGS__ },    \
    sizeof((const struct iommu_hwpt_page_response[]) { __VA_ARGS__ }) / \
        RESPONSE_SIZE
#define GOOD(cookie) { (cookie), IOMMUFD_PAGE_RESP_SUCCESS }
#define INVALID(cookie) { (cookie), IOMMUFD_PAGE_RESP_INVALID }

#endif
