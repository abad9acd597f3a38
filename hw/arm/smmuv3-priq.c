/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The PRI queue (8): page request groups into the guest's ring, or answered in
 * its place.
 *
 * Groups are whole: all entries of one are written, or none. A batch is one
 * section under the ring_lock, so what PRIQEN, SMMUEN, GERRORN and PRIQ_CONS
 * say holds for all of it: once CR0 has changed nothing more is written. The
 * section is bounded by the groups and entries of a batch.
 *
 * The architecture does not have the SMMU invalidate anything because of a
 * request, so viommu_implicit_invalidate() has no place here.
 */
#include "hw/arm/smmuv3-internal.h"

#include <inttypes.h>

/* 8.2: an entry */
FIELD(PPR0, STREAMID, 0, 32)
FIELD(PPR0, SUBSTREAMID, 32, 20)
FIELD(PPR0, PRIV, 58, 1)
FIELD(PPR0, X, 59, 1)
FIELD(PPR0, R, 60, 1)
FIELD(PPR0, W, 61, 1)
FIELD(PPR0, LAST, 62, 1)
FIELD(PPR0, SSV, 63, 1)
FIELD(PPR1, PRGINDEX, 0, 9)
FIELD(PPR1, ADDR, 12, 52)

GuestRing smmuv3_priq_ring(const Smmuv3 *s)
{
    unsigned log2size = FIELD_GET(s->reg[R_PRIQ_BASE], Q_BASE, LOG2SIZE);

    return (GuestRing){
        .log2size = MIN(log2size, s->props.log2_priq),
        .prod = s->reg[R_PRIQ_PROD],
        .cons = s->reg[R_PRIQ_CONS],
    };
}

bool smmuv3_priq_enabled(const Smmuv3 *s)
{
    return FIELD_GET(s->reg[R_CR0], CR0, PRIQEN) &&
           FIELD_GET(s->reg[R_CR0], CR0, SMMUEN);
}

static Smmuv3PriqState priq_state(const Smmuv3 *s)
    REQUIRES(&s->parent.ring_lock)
{
    if (!smmuv3_priq_enabled(s) ||
        smmuv3_gerror_is_active(s, FIELD_MASK(GERROR, PRIQ_ABT_ERR))) {
        return SMMUV3_PRIQ_OFF;
    }
    return FIELD_GET(s->reg[R_PRIQ_PROD], PRIQ_PROD, OVFLG) !=
                   FIELD_GET(s->reg[R_PRIQ_CONS], PRIQ_CONS, OVACKFLG)
               ? SMMUV3_PRIQ_OVERFLOW
               : SMMUV3_PRIQ_ON;
}

/* See PageSinkOps::room(). Reads only. */
static uint32_t priq_room(const Smmuv3 *s, uint32_t want)
    REQUIRES(&s->parent.ring_lock)
{
    GuestRing ring = smmuv3_priq_ring(s);

    if (priq_state(s) != SMMUV3_PRIQ_ON || want > guest_ring_size(&ring)) {
        return PAGE_ROOM_UNLIMITED;
    }
    return guest_ring_room(&ring);
}

/*
 * There may be several who ask. That one of them gets room says nothing of the
 * others, so what is wanted stays, and who wants least is to hear of room.
 */
uint32_t smmuv3_priq_room(void *opaque, uint32_t want)
{
    Smmuv3 *s = opaque;
    uint32_t room;

    lock_acquire(&s->parent.ring_lock);
    room = priq_room(s, want);
    if (room < want && (s->priq.wanted == 0 || want < s->priq.wanted)) {
        s->priq.wanted = want;
    }
    s->priq.state = priq_state(s);
    lock_release(&s->parent.ring_lock);
    return room;
}

void smmuv3_write_priq_cons(Smmuv3 *s, uint32_t value)
{
    bool resume;

    if (!s->props.pri) {
        return;
    }
    lock_acquire(&s->parent.ring_lock);
    s->reg[R_PRIQ_CONS] = value & (FIELD_MASK(Q, POINTER) |
                                   FIELD_MASK(PRIQ_CONS, OVACKFLG));
    /* Room, or an OVACKFLG that makes what waits be answered at once. */
    resume = s->priq.wanted > 0 &&
             priq_room(s, s->priq.wanted) >= s->priq.wanted;
    if (resume) {
        s->priq.wanted = 0;
    }
    lock_release(&s->parent.ring_lock);
    if (resume) {
        viommu_resume_page_requests(&s->parent);
    }
}

/**
 * struct Delivery - a batch under way
 * @ring, @base: of the queue; @ring.prod is where the batch begins
 * @queue: host address of the queue, if it lies in one region, else NULL
 * @state: what becomes of the groups from here on
 * @entries: written
 * @overflow: one began with this batch
 * @aborted: the write of an entry was
 */
typedef struct Delivery {
    GuestRing ring;
    uint64_t base;
    uint8_t *queue;
    Smmuv3PriqState state;
    uint32_t entries;
    bool overflow;
    bool aborted;
} Delivery;

/*
 * What room() found holds for the groups that it let come, without limit, if
 * the queue was off or had overflowed: they do not fall on one that was
 * switched on, or acknowledged, since then. [RCU]
 */
static void delivery_begin(Smmuv3 *s, Delivery *d)
    REQUIRES(&s->parent.ring_lock)
{
    Smmuv3PriqState now = priq_state(s);

    d->ring = smmuv3_priq_ring(s);
    d->base = smmuv3_queue_base(smmuv3_reg64(s, R_PRIQ_BASE), d->ring.log2size,
                                SMMUV3_PPR_BYTES);
    d->queue = guest_mem_ptr(s->parent.config.mem, d->base,
                             (uint64_t)guest_ring_size(&d->ring) *
                                 SMMUV3_PPR_BYTES);
    d->state = MAX(now, s->priq.state);
}

/* The place of entry @n of the batch. Return: NULL for an abort. [RCU] */
static void *entry_place(const Smmuv3 *s, const Delivery *d, uint32_t n)
{
    uint64_t offset = (uint64_t)guest_ring_index(&d->ring, d->ring.prod + n) *
                      SMMUV3_PPR_BYTES;

    return d->queue ? d->queue + offset
                    : guest_mem_ptr(s->parent.config.mem, d->base + offset,
                                    SMMUV3_PPR_BYTES);
}

/* 8.2. A Stop Marker is known by SSV and Last without R and W. */
static void encode(const PageGroup *group, size_t i, uint64_t *words)
{
    const PageRequestKey *key = &group->request.key;
    Pgfault page = page_group_page(group, i);
    uint32_t perm = group->stop_marker ? 0 : page.perm;
    bool ssv = key->pasid != PAGE_REQUEST_NO_PASID;

    words[0] = FIELD_SET(0, PPR0, STREAMID, key->virt_id) |
               FIELD_SET(0, PPR0, SUBSTREAMID, ssv ? key->pasid : 0) |
               FIELD_SET(0, PPR0, PRIV, ssv && perm & PGFAULT_PERM_PRIV) |
               FIELD_SET(0, PPR0, X, ssv && perm & PGFAULT_PERM_EXEC) |
               FIELD_SET(0, PPR0, R, !!(perm & PGFAULT_PERM_READ)) |
               FIELD_SET(0, PPR0, W, !!(perm & PGFAULT_PERM_WRITE)) |
               FIELD_SET(0, PPR0, LAST, i == group->count - 1) |
               FIELD_SET(0, PPR0, SSV, ssv);
    words[1] = FIELD_SET(0, PPR1, PRGINDEX, key->index) |
               (page.addr & FIELD_MASK(PPR1, ADDR));
}

/* Return: false for an abort; what was written of the group is not counted. */
static bool write_group(const Smmuv3 *s, Delivery *d, const PageGroup *group)
{
    for (size_t i = 0; i < group->count; i++) {
        void *place = entry_place(s, d, d->entries + i);
        uint64_t words[SMMUV3_PPR_BYTES / 8];

        if (!place) {
            return false;
        }
        encode(group, i, words);
        guest_words_store(place, words, G_N_ELEMENTS(words));
    }
    d->entries += group->count;
    return true;
}

/*
 * Write groups until one does not fit or aborts, which decides over it and all
 * after it. Return: how many were written. [RCU]
 */
static size_t write_groups(Smmuv3 *s, Delivery *d, const PageGroup *groups,
                           size_t count) REQUIRES(&s->parent.ring_lock)
{
    uint32_t room = guest_ring_room(&d->ring);

    for (size_t i = 0; i < count; i++) {
        if (d->state != SMMUV3_PRIQ_ON) {
            return i;
        }
        if (groups[i].count > room - d->entries) {
            d->overflow = true;
            d->state = SMMUV3_PRIQ_OVERFLOW;
            return i;
        }
        if (!write_group(s, d, &groups[i])) {
            d->aborted = true;
            d->state = SMMUV3_PRIQ_OFF;
            return i;
        }
    }
    return count;
}

/*
 * 3.18.2: with LO a request with Last, which every group has, unless it was
 * discarded for another reason than an overflow; else from empty to non-empty.
 *
 * An overflow raises none of the latter kind, since it finds a full queue,
 * which software has been told of. One that a group made that never fits may
 * find it empty, and then nothing else would have software look at OVFLG.
 */
static bool has_cause(const Smmuv3 *s, const Delivery *d)
    REQUIRES(&s->parent.ring_lock)
{
    if (FIELD_GET(s->reg[R_PRIQ_IRQ_CFG2], PRIQ_IRQ_CFG2, LO)) {
        return d->entries > 0 || d->state == SMMUV3_PRIQ_OVERFLOW;
    }
    return guest_ring_empty(&d->ring) && (d->entries > 0 || d->overflow);
}

static void delivery_publish(Smmuv3 *s, const Delivery *d)
    REQUIRES(&s->parent.ring_lock)
{
    uint32_t *prod = &s->reg[R_PRIQ_PROD];

    if (d->entries > 0) {
        *prod = (*prod & FIELD_MASK(PRIQ_PROD, OVFLG)) |
                guest_ring_advance(&d->ring, d->ring.prod, d->entries);
    }
    if (d->overflow) {
        *prod ^= FIELD_MASK(PRIQ_PROD, OVFLG);
        counter_add(&s->parent.page_counters.overflows, 1);
    }
    if (has_cause(s, d)) {
        smmuv3_irq_priq(s);
    }
    if (d->aborted) {
        smmuv3_gerror_raise(s, FIELD_MASK(GERROR, PRIQ_ABT_ERR));
    }
}

/*
 * 8.1: the answer to a group that is not written. Success has the device ask
 * again. With PPS it needs no STE; PASID or not (PPAR) is all the same here.
 */
static uint32_t automatic_code(Smmuv3 *s, Smmuv3PriqState state,
                               const PageRequestKey *key)
{
    if (state == SMMUV3_PRIQ_OFF) {
        return PAGE_RESPONSE_FAILURE;
    }
    return key->pasid == PAGE_REQUEST_NO_PASID || s->props.pps ||
                   smmuv3_ste_is_valid(s, key->virt_id)
               ? PAGE_RESPONSE_SUCCESS
               : PAGE_RESPONSE_FAILURE;
}

void smmuv3_priq_deliver(void *opaque, PageGroup *groups, size_t count)
{
    Smmuv3 *s = opaque;
    Delivery d = { 0 };
    size_t written;

    rcu_section_enter();
    lock_acquire(&s->parent.ring_lock);
    delivery_begin(s, &d);
    written = write_groups(s, &d, groups, count);
    delivery_publish(s, &d);
    lock_release(&s->parent.ring_lock);
    rcu_section_leave();

    for (size_t i = 0; i < count; i++) {
        if (groups[i].stop_marker) {
            groups[i].outcome = PAGE_SILENT;
        } else if (i < written) {
            groups[i].outcome = PAGE_WRITTEN;
        } else {
            groups[i].outcome = PAGE_ANSWERED;
            groups[i].code = automatic_code(s, d.state,
                                            &groups[i].request.key);
        }
    }
    if (d.aborted) {
        viommu_warn_once(&s->parent, SMMUV3_WARN_PRIQ_ABORT,
                         "the PRI queue at 0x%" PRIx64 " is not in memory",
                         d.base);
    }
}
