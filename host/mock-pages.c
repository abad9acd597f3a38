/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mock driver tells nobody what became of a page request. It is seen from
 * here: a read says which cookie a group has, a write which cookies were
 * answered, and the end of an attachment ends what came by it. A group belongs
 * to whoever takes its state from open to none, so it is answered once.
 */
#include "mock-internal.h"

#include <errno.h>

/* ---- Answers ---- */

/*
 * Take @group's answer. Return: false if it is not open; else @answer is
 * filled, and the index may be used again at once.
 */
static bool group_take(MockHost *host, MockGroup *group, uint32_t code,
                       bool automatic, HardwarePageAnswer *answer)
{
    MockFaults *faults = group->faults;

    *answer = (HardwarePageAnswer){
        .dev_id = group->dev_id, .pasid = group->pasid, .grpid = group->grpid,
        .code = code, .automatic = automatic, .tag = group->tag,
    };
    /* Release: pairs with the acquire in request_locked(). */
    if (atomic_exchange_explicit(&group->state, MOCK_GROUP_NONE,
                                 memory_order_acq_rel) != MOCK_GROUP_OPEN) {
        return false;
    }
    atomic_fetch_sub_explicit(&faults->open, 1, memory_order_relaxed);
    mock_count(automatic ? &host->counts.automatic : &host->counts.answered,
               1);
    return true;
}

static void tell(MockHost *host, const HardwarePageAnswer *answer)
{
    if (host->handler.func) {
        host->handler.func(answer, host->handler.opaque);
    }
}

void mock_groups_end_locked(MockHost *host, MockDevice *device, uint32_t via,
                            MockEnded *ended)
{
    for (uint32_t i = 0; i < MOCK_GROUPS; i++) {
        MockGroup *group = &device->groups[i];

        /* Acquire: pairs with the release in request_locked(). */
        if (atomic_load_explicit(&group->state, memory_order_acquire) !=
                MOCK_GROUP_OPEN ||
            (via != MOCK_VIA_ALL && group->via != via)) {
            continue;
        }
        if (group->cookie) {
            emul_slots_take(&group->faults->cookies, group->cookie - 1);
        }
        ended->count += group_take(host, group, IOMMUFD_PAGE_RESP_INVALID,
                                   true, &ended->answers[ended->count]);
    }
}

void mock_groups_tell(MockHost *host, const MockEnded *ended)
{
    for (size_t i = 0; i < ended->count; i++) {
        tell(host, &ended->answers[i]);
    }
}

/* ---- The queue's fd ---- */

/* The group that a record belongs to, or NULL if nobody raised it here. */
static MockGroup *group_of(MockHost *host,
                           const struct iommu_hwpt_pgfault *record)
{
    MockDevice *device = mock_device_find(host, record->dev_id);
    MockGroup *group;

    if (!device || record->grpid >= MOCK_GROUPS) {
        return NULL;
    }
    group = &device->groups[record->grpid];
    /* Acquire: pairs with the release in request_locked(). */
    return atomic_load_explicit(&group->state, memory_order_acquire) ==
                       MOCK_GROUP_OPEN && group->dev_id == record->dev_id
               ? group : NULL;
}

ssize_t mock_faults_read(MockHost *host, MockFaults *faults, int fd, void *buf,
                         size_t count)
{
    HostIommu *inner = host->inner;
    ssize_t ret = inner->ops->read(inner, fd, buf, count);
    struct iommu_hwpt_pgfault record;
    MockGroup *group;

    for (ssize_t at = 0; at < ret; at += sizeof(record)) {
        memcpy(&record, (const uint8_t *)buf + at, sizeof(record));
        group = group_of(host, &record);
        /* There is room: see reserve_cookie(). */
        if (group && emul_slots_store(&faults->cookies, record.cookie,
                                      (uintptr_t)group)) {
            group->cookie = UINT64_C(1) + record.cookie;
        }
    }
    return ret;
}

/* What the kernel has taken, it has answered; the rest it has not looked at. */
ssize_t mock_faults_write(MockHost *host, MockFaults *faults, int fd,
                          const void *buf, size_t count)
{
    HostIommu *inner = host->inner;
    ssize_t ret = inner->ops->write(inner, fd, buf, count);
    struct iommu_hwpt_page_response response;
    HardwarePageAnswer answer;
    MockGroup *group;

    for (ssize_t at = 0; at < ret; at += sizeof(response)) {
        memcpy(&response, (const uint8_t *)buf + at, sizeof(response));
        group = (MockGroup *)(uintptr_t)emul_slots_take(&faults->cookies,
                                                        response.cookie);
        if (group && group_take(host, group, response.code, false, &answer)) {
            tell(host, &answer);
        }
    }
    return ret;
}

/* ---- Requests ---- */

/*
 * Cookies are the lowest free numbers from 0 or 1, so with @open groups none is
 * above that: have room in the table before a reader needs it.
 */
static bool reserve_cookie(MockHost *host, MockFaults *faults, uint32_t open)
{
    bool reserved = true;

    /* Acquire: pairs with the release below. */
    if (open < atomic_load_explicit(&faults->reserved, memory_order_acquire)) {
        return true;
    }
    lock_acquire(&host->lock);
    for (uint32_t next = atomic_load_explicit(&faults->reserved,
                                              memory_order_relaxed);
         reserved && next <= open; next += EMUL_SLOTS_CHUNK) {
        reserved = emul_slots_store(&faults->cookies, next, 0);
        if (reserved) {
            /* Release: whoever sees it finds the chunk. */
            atomic_store_explicit(&faults->reserved, next + EMUL_SLOTS_CHUNK,
                                  memory_order_release);
        }
    }
    lock_release(&host->lock);
    return reserved;
}

/*
 * The attachment that the kernel would choose, or NULL. The mock driver is one
 * whose guest may have the PASID table, so that a PASID which is not attached
 * goes by the device's own nested HWPT. SMMUv3's is too; VT-d's is not.
 */
static const MockAttachment *route_locked(const MockDevice *device,
                                          uint32_t pasid, uint32_t *via)
    REQUIRES(&device->lock)
{
    const MockAttachment *attachment = NULL;

    *via = pasid;
    if (pasid != 0) {
        attachment = g_hash_table_lookup(device->pasids,
                                         GUINT_TO_POINTER(pasid));
    }
    if (!attachment &&
        (pasid == 0 ||
         (device->rid.nested && device->iommu == HARDWARE_SMMUV3))) {
        *via = 0;
        attachment = &device->rid;
    }
    return attachment && attachment->faults ? attachment : NULL;
}

static int trigger(MockHost *host, const HardwarePageRequest *request)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd), .op = IOMMU_TEST_OP_TRIGGER_IOPF,
        .trigger_iopf = {
            .dev_id = request->dev_id, .pasid = request->pasid,
            .grpid = request->grpid, .perm = request->perm,
            .addr = request->addr,
        },
    };

    return mock_ioctl(host, IOMMU_TEST_CMD, &cmd);
}

/* Open before the ioctl: its answer may come before that returns. */
static HardwareReport request_locked(MockHost *host, MockDevice *device,
                                     const HardwarePageRequest *request)
    REQUIRES(&device->lock)
{
    MockGroup *group = &device->groups[request->grpid];
    const MockAttachment *attachment;
    HardwarePageAnswer none;
    MockFaults *faults;
    uint32_t via;

    attachment = route_locked(device, request->pasid, &via);
    /* Acquire: pairs with group_take(), which has read the rest. */
    if (!attachment || atomic_load_explicit(&group->state,
                                            memory_order_acquire) !=
                           MOCK_GROUP_NONE) {
        return HARDWARE_REFUSED;
    }
    faults = attachment->faults;
    if (!reserve_cookie(host, faults,
                        1 + atomic_fetch_add_explicit(&faults->open, 1,
                                                      memory_order_relaxed))) {
        atomic_fetch_sub_explicit(&faults->open, 1, memory_order_relaxed);
        return HARDWARE_REFUSED;
    }
    group->dev_id = request->dev_id;
    group->pasid = request->pasid;
    group->via = via;
    group->faults = faults;
    group->tag = request->tag;
    group->cookie = 0;
    mock_count(&host->counts.raised, 1);
    /* Release: who finds it open finds all of it. */
    atomic_store_explicit(&group->state, MOCK_GROUP_OPEN,
                          memory_order_release);
    if (trigger(host, request) < 0) {
        group_take(host, group, 0, true, &none);
        mock_count(&host->counts.automatic, -1);
        mock_count(&host->counts.raised, -1);
        return HARDWARE_REFUSED;
    }
    return HARDWARE_QUEUED;
}

HardwareReport mock_request_page(HostIommu *base,
                                 const HardwarePageRequest *request)
{
    MockHost *host = mock_host(base);
    HardwareReport report = HARDWARE_REFUSED;
    MockDevice *device = mock_device_find(host, request->dev_id);

    /* The driver marks each page as the last of its group. */
    if (!device || !request->last || request->grpid >= MOCK_GROUPS) {
        return HARDWARE_REFUSED;
    }
    lock_acquire(&device->lock);
    if (device->dev_id == request->dev_id) {
        report = request_locked(host, device, request);
    }
    lock_release(&device->lock);
    return report;
}
