/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PageRequestTable: the page request groups of one vIOMMU that wait for an
 * answer. A group is the host's, known to the kernel by a cookie, or an
 * emulated device's.
 *
 *   open ---> answered: the guest did, or INVALID in its place ---> written
 *
 * Each is answered once. Answers to the host's groups wait in the table until
 * page_request_flush() writes them; the cookie of a group that has left the
 * table is never written, since the kernel may have given the number to another
 * group by then.
 *
 * All but page_request_table_new() and _free() take constant time per group
 * concerned, whatever the others and their keys; but to forget some looks at
 * all answers that wait. They never allocate: a table has the room that it was
 * made with.
 *
 * Threads: one, the owner's (the vIOMMU's iothread); not checked here.
 * Locks:   none. Of what changes a table, its callbacks may call
 *          page_request_answer() and page_request_drop_*() only.
 */
#ifndef HW_IOMMU_PAGE_REQUEST_H
#define HW_IOMMU_PAGE_REQUEST_H

#include "host/host-iommu.h"
#include "hw/iommu/device-map.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct PageRequestTable PageRequestTable;

/* PageRequestKey::pasid of requests without PASID. */
#define PAGE_REQUEST_NO_PASID UINT32_MAX

/* The largest table, in groups. */
#define PAGE_REQUEST_CAPACITY_MAX (UINT32_C(1) << 20)

/* Answers per write() to the host. */
#define PAGE_REQUEST_BATCH 512

/* Response codes of PCI; of the host's and of emulated devices' groups. */
enum {
    PAGE_RESPONSE_SUCCESS = 0,
    PAGE_RESPONSE_INVALID = 1,
    PAGE_RESPONSE_FAILURE = 0xf,
};

/**
 * struct PageRequestKey - how the guest names a group
 * @virt_id: requester ID or StreamID
 * @pasid: or %PAGE_REQUEST_NO_PASID
 * @index: page request group index
 */
typedef struct PageRequestKey {
    uint32_t virt_id;
    uint32_t pasid;
    uint32_t index;
} PageRequestKey;

/**
 * struct PageRequest - a group
 * @emulated: an emulated device's request, not looked at; NULL: the host's
 * @dev_id: iommufd device object ID; the host's only
 * @cookie: the kernel's number for the group; the host's only
 */
typedef struct PageRequest {
    PageRequestKey key;
    void *emulated;
    uint32_t dev_id;
    uint32_t cookie;
} PageRequest;

/**
 * enum PageRequestDrop - how groups end that the guest did not answer
 * @PAGE_REQUEST_ANSWER_INVALID: the host's are answered INVALID by the next
 *                               flush. For whatever leaves the kernel waiting:
 *                               PASID removed, queue off.
 * @PAGE_REQUEST_FORGET: the kernel answers them itself, in the call that
 *                       follows (detach, attach elsewhere), or the queue is
 *                       closed. Answers not written yet are forgotten too.
 * @PAGE_REQUEST_REPLACED: as ANSWER_INVALID, because the device used the key
 *                         again; to callbacks only
 */
typedef enum PageRequestDrop {
    PAGE_REQUEST_ANSWER_INVALID,
    PAGE_REQUEST_FORGET,
    PAGE_REQUEST_REPLACED,
} PageRequestDrop;

/**
 * struct PageRequestOps - what the owner is told
 * @dropped: @request was open and is not any more, without the guest's answer.
 *           An emulated device is to be told INVALID by the owner.
 * @refused: the kernel did not know the cookie of @request, whose answer is
 *           done with
 */
typedef struct PageRequestOps {
    void (*dropped)(void *opaque, const PageRequest *request,
                    PageRequestDrop how);
    void (*refused)(void *opaque, const PageRequest *request);
} PageRequestOps;

/**
 * enum PageRequestOpen - what page_request_open() did
 * @PAGE_REQUEST_OPENED: the group is open
 * @PAGE_REQUEST_REOPENED: so it is, in place of an older one with its key,
 *                         which was dropped as %PAGE_REQUEST_REPLACED
 * @PAGE_REQUEST_FULL: nothing was done
 */
typedef enum PageRequestOpen {
    PAGE_REQUEST_OPENED,
    PAGE_REQUEST_REOPENED,
    PAGE_REQUEST_FULL,
} PageRequestOpen;

/**
 * page_request_table_new() - a table without groups
 * @capacity: groups, answers not written included; 1 to
 *            %PAGE_REQUEST_CAPACITY_MAX
 * @ops: borrowed for the life of the table, as @opaque
 *
 * Context: Any thread. Return: NULL if there is no memory.
 */
PageRequestTable *page_request_table_new(uint32_t capacity,
                                         const PageRequestOps *ops,
                                         void *opaque);

/* Context: it is empty (asserted): drop all, FORGET. NULL is ignored. */
void page_request_table_free(PageRequestTable *table);

/* Open groups; answers to write; groups that can be taken in. */
uint32_t page_request_open_count(const PageRequestTable *table);
uint32_t page_request_unwritten(const PageRequestTable *table);
uint32_t page_request_room(const PageRequestTable *table);

/**
 * page_request_open() - a group is about to be shown to the guest
 * @request: copied
 */
PageRequestOpen page_request_open(PageRequestTable *table,
                                  const PageRequest *request);

/**
 * page_request_answer() - the guest answers
 * @code: as the guest gave it; the host is told SUCCESS for 0, else INVALID
 * @request: set on success: the group, which is not open any more. If it is an
 *           emulated device's, the caller answers it. May be NULL.
 *
 * Return: false, and nothing done, if no such group is open: it never was, or
 * it is answered or dropped.
 */
bool page_request_answer(PageRequestTable *table, const PageRequestKey *key,
                         uint32_t code, PageRequest *request);

/**
 * page_request_respond() - answer a group of the host's that the guest will not
 *                          see: malformed, of no device, guest's queue full
 * @request: copied; its key does not matter, but for a PASID's removal
 * @code: as in page_request_answer()
 *
 * Return: false, and nothing done, if the table is full.
 */
bool page_request_respond(PageRequestTable *table, const PageRequest *request,
                          uint32_t code);

/**
 * page_request_drop_device(), _pasid(), _all() - end open groups
 * @device: its virt_id has the groups; with FORGET, its dev_id the answers not
 *          written yet. An emulated device has a dev_id of 0.
 * @pasid: or %PAGE_REQUEST_NO_PASID for those without
 * @how: ANSWER_INVALID or FORGET. An answer of the guest's that is not written
 *       yet stays as it is, or is forgotten.
 *
 * Those of a PASID end in the order in which they were opened.
 *
 * Return: how many open groups ended; PageRequestOps::dropped had each.
 */
uint32_t page_request_drop_device(PageRequestTable *table,
                                  const DeviceEntry *device,
                                  PageRequestDrop how);
uint32_t page_request_drop_pasid(PageRequestTable *table,
                                 const DeviceEntry *device, uint32_t pasid,
                                 PageRequestDrop how);
uint32_t page_request_drop_all(PageRequestTable *table, PageRequestDrop how);

/* The host takes none any more: those that wait are not to be written. */
void page_request_forget_answers(PageRequestTable *table);

/**
 * page_request_flush() - write the answers that wait, in the order given
 * @fd: the fault queue's, of @host
 *
 * One write() per %PAGE_REQUEST_BATCH, and one more at each answer that the
 * kernel refuses: those are reported and left out, the ones after them written.
 *
 * Return: 0 if none waits any more, else -errno: the rest still waits. -EINTR
 * and -EAGAIN are for trying again; -EIO is also for a host that takes nothing
 * and says no error. After any other, the fd is of no use.
 */
int page_request_flush(PageRequestTable *table, HostIommu *host, int fd);

#endif
