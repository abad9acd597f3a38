/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page request queue (7.4, 7.5, 7.6): where groups of page requests go.
 *
 * A group is a unit: all of it is written, or none and then the answer is this
 * unit's own. The tables are walked before the ring_lock is taken; one section
 * of it then does the whole batch, so that the guest sees PQT and PRS move
 * once, and at most one interrupt.
 */
#include "hw/i386/vtd-internal.h"

#include "base/rcu.h"

#include <inttypes.h>

/* 7.4: page_req_dsc, words 0 and 1; the other two are 0. */
FIELD(PRQ0, TYPE, 0, 8)
FIELD(PRQ0, PP, 8, 1)
FIELD(PRQ0, RID, 16, 16)
FIELD(PRQ0, PASID, 32, 20)
FIELD(PRQ0, EXR, 52, 1)
FIELD(PRQ0, PMR, 53, 1)
FIELD(PRQ1, RDR, 0, 1)
FIELD(PRQ1, WRR, 1, 1)
FIELD(PRQ1, LPIG, 2, 1)
FIELD(PRQ1, PRGI, 3, 9)
FIELD(PRQ1, ADDR, 12, 52)

#define PRQ_TYPE_PAGE_REQUEST 0x01
#define PRQ_ENTRY_WORDS (GUEST_BYTE_RING_ENTRY / 8)

/**
 * struct PrqBatch - a batch on its way into the queue
 * @ring: its tail moves with what is written; PQT follows at the end
 * @base: of the queue
 * @written: entries
 * @overflow: PRO is set, or is to be: the groups that remain are not written
 * @aborted: an entry is not in memory
 */
typedef struct PrqBatch {
    GuestByteRing ring;
    uint64_t base;
    size_t written;
    bool overflow;
    bool aborted;
} PrqBatch;

/* What the tables say of a group. */
typedef struct PrqCheck {
    VtdReason reason;
    bool fpd;
} PrqCheck;

GuestByteRing vtd_prq_ring(const Vtd *v)
{
    return (GuestByteRing){
        .pqs = FIELD_GET(v->reg[R_PQA], PQA, PQS),
        .tail = v->reg[R_PQT],
        .head = v->reg[R_PQH],
    };
}

/* What the queue takes when it is empty. */
static uint32_t ring_capacity(const GuestByteRing *ring)
{
    return guest_byte_ring_size(ring) / GUEST_BYTE_RING_ENTRY - 1;
}

static uint32_t room_locked(const Vtd *v, uint32_t want)
    REQUIRES(&v->parent.ring_lock)
{
    GuestByteRing ring = vtd_prq_ring(v);

    if (FIELD_GET(v->reg[R_PRS], PRS, PRO) || want > ring_capacity(&ring)) {
        return PAGE_ROOM_UNLIMITED;
    }
    return guest_byte_ring_room(&ring);
}

uint32_t vtd_prq_room(void *opaque, uint32_t want)
{
    Vtd *v = opaque;
    uint32_t room;

    lock_acquire(&v->parent.ring_lock);
    room = room_locked(v, want);
    v->prq.wanted = room < want ? want : 0;
    lock_release(&v->parent.ring_lock);
    return room;
}

bool vtd_prq_has_room_now(Vtd *v)
{
    if (v->prq.wanted == 0 || room_locked(v, v->prq.wanted) < v->prq.wanted) {
        return false;
    }
    v->prq.wanted = 0;
    return true;
}

/* This unit's own answer; a Stop Marker gets none. */
static void answer(PageGroup *group, uint32_t code)
{
    group->outcome = group->stop_marker ? PAGE_SILENT : PAGE_ANSWERED;
    group->code = code;
}

static PrqCheck check_group(Vtd *v, const PageGroup *group)
{
    const PageRequestKey *key = &group->request.key;
    PrqCheck check;
    VtdWalk walk;

    check.reason = vtd_walk(v, key->virt_id, key->pasid, VTD_REQUEST_PAGE,
                            &walk);
    check.fpd = walk.fpd;
    return check;
}

static void record_fault(Vtd *v, const PageGroup *group, const PrqCheck *check)
    REQUIRES(&v->parent.ring_lock)
{
    Pgfault page = page_group_page(group, 0);

    vtd_record_fault(v, &(VtdFault){
        .reason = check->reason,
        .access = VTD_ACCESS_PAGE_REQUEST,
        .rid = group->request.key.virt_id,
        .pasid = group->request.key.pasid,
        .addr = page.addr,
        .exec = (page.perm & PGFAULT_PERM_EXEC) &&
                (page.perm & PGFAULT_PERM_READ),
        .priv = page.perm & PGFAULT_PERM_PRIV,
        .fpd = check->fpd,
    });
}

static void make_entry(const PageGroup *group, size_t i, uint64_t *words)
{
    const PageRequestKey *key = &group->request.key;
    bool pp = key->pasid != PAGE_REQUEST_NO_PASID;
    Pgfault page = page_group_page(group, i);
    bool read = page.perm & PGFAULT_PERM_READ;

    words[0] = FIELD_SET(0, PRQ0, TYPE, PRQ_TYPE_PAGE_REQUEST) |
               FIELD_SET(0, PRQ0, PP, pp) |
               FIELD_SET(0, PRQ0, RID, key->virt_id) |
               FIELD_SET(0, PRQ0, PASID, pp ? key->pasid : 0) |
               FIELD_SET(0, PRQ0, EXR,
                         pp && read && (page.perm & PGFAULT_PERM_EXEC)) |
               FIELD_SET(0, PRQ0, PMR, !!(page.perm & PGFAULT_PERM_PRIV));
    words[1] = (page.addr & FIELD_MASK(PRQ1, ADDR)) |
               FIELD_SET(0, PRQ1, RDR, read) |
               FIELD_SET(0, PRQ1, WRR, !!(page.perm & PGFAULT_PERM_WRITE)) |
               FIELD_SET(0, PRQ1, LPIG, i == group->count - 1) |
               FIELD_SET(0, PRQ1, PRGI, key->index);
    words[2] = 0;
    words[3] = 0;
}

/* Page @i goes @i entries behind the tail. [RCU] Return: false for an abort. */
static bool write_entry(Vtd *v, const PrqBatch *batch, const PageGroup *group,
                        size_t i)
{
    uint64_t gpa = batch->base + guest_byte_ring_advance(&batch->ring,
                                                         batch->ring.tail, i);
    uint64_t words[PRQ_ENTRY_WORDS];
    void *slot = guest_mem_ptr(v->parent.config.mem, gpa, sizeof(words));

    if (!slot) {
        return false;
    }
    make_entry(group, i, words);
    /* 6.5.3.1: before the entry, what the device asked about is forgotten. */
    viommu_implicit_invalidate(&v->parent, group,
                               page_group_page(group, i).addr);
    guest_words_store(slot, words, G_N_ELEMENTS(words));
    return true;
}

/* [RCU] All of a group, or nothing that the guest will see. */
static void write_group(Vtd *v, PrqBatch *batch, PageGroup *group)
    REQUIRES(&v->parent.ring_lock)
{
    for (size_t i = 0; i < group->count; i++) {
        if (!write_entry(v, batch, group, i)) {
            batch->aborted = true;
            answer(group, PAGE_RESPONSE_INVALID);
            return;
        }
    }
    batch->ring.tail = guest_byte_ring_advance(&batch->ring, batch->ring.tail,
                                               group->count);
    batch->written += group->count;
    group->outcome = group->stop_marker ? PAGE_SILENT : PAGE_WRITTEN;
}

/* The checks in their order (7.4): tables, PRO, room. */
static void deliver_group(Vtd *v, PrqBatch *batch, PageGroup *group,
                          const PrqCheck *check)
    REQUIRES(&v->parent.ring_lock)
{
    if (check->reason != VTD_OK) {
        record_fault(v, group, check);
        answer(group, PAGE_RESPONSE_INVALID);
        return;
    }
    batch->overflow |= group->count > guest_byte_ring_room(&batch->ring);
    if (batch->overflow) {
        answer(group, PAGE_RESPONSE_SUCCESS);
    } else {
        write_group(v, batch, group);
    }
}

/* What was written is visible before PRO is; one interrupt does for both. */
static void publish_locked(Vtd *v, const PrqBatch *batch)
    REQUIRES(&v->parent.ring_lock)
{
    uint32_t status = 0;

    if (batch->written > 0) {
        v->reg[R_PQT] = batch->ring.tail;
        status |= FIELD_MASK(PRS, PPR);
    }
    if (batch->overflow && !FIELD_GET(v->reg[R_PRS], PRS, PRO)) {
        counter_add(&v->parent.page_counters.overflows, 1);
        status |= FIELD_MASK(PRS, PRO);
    }
    if (status) {
        vtd_event_set(v, VTD_EVENT_PAGE_REQUEST, status);
    }
}

static void deliver_locked(Vtd *v, PrqBatch *batch, PageGroup *groups,
                           const PrqCheck *checks, size_t count)
    REQUIRES(&v->parent.ring_lock)
{
    batch->ring = vtd_prq_ring(v);
    batch->base = vtd_reg64(v, R_PQA) & FIELD_MASK(PQA, PQA);
    batch->overflow = FIELD_GET(v->reg[R_PRS], PRS, PRO);
    for (size_t i = 0; i < count; i++) {
        deliver_group(v, batch, &groups[i], &checks[i]);
    }
    publish_locked(v, batch);
}

void vtd_prq_deliver(void *opaque, PageGroup *groups, size_t count)
{
    Vtd *v = opaque;
    PrqCheck checks[PAGE_GROUP_BATCH];
    PrqBatch batch = { 0 };

    g_assert(count <= G_N_ELEMENTS(checks));
    /* One section for all: those of a walk cost next to nothing inside it. */
    rcu_section_enter();
    for (size_t i = 0; i < count; i++) {
        checks[i] = check_group(v, &groups[i]);
    }
    lock_acquire(&v->parent.ring_lock);
    deliver_locked(v, &batch, groups, checks, count);
    lock_release(&v->parent.ring_lock);
    rcu_section_leave();
    if (batch.aborted) {
        viommu_warn_once(&v->parent, VTD_WARN_PRQ_ABORT,
                         "the page request queue at 0x%" PRIx64
                         " is not in memory", batch.base);
    }
    if (batch.overflow) {
        viommu_warn_once(&v->parent, VTD_WARN_PRQ_OVERFLOW,
                         "a group of page requests does not fit in the page "
                         "request queue at 0x%" PRIx64, batch.base);
    }
}
