/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event queue (7.2 to 7.4): where the pump's batches go.
 *
 * Entries between PROD and CONS + size belong to the home thread, which writes
 * them without a lock; the ring_lock is held to look at the registers and to
 * publish PROD, once per batch each. Switching the queue off clears EVENTQEN
 * under the ring_lock and then waits for the home thread, so a record written
 * after that is never published, and none is written once CR0ACK changed.
 */
#include "hw/arm/smmuv3-internal.h"

#include "base/rcu.h"

#include <inttypes.h>
#include <string.h>

/* 7.3: bytes 4 to 7 of every record that names a stream. */
#define EVENT_STREAMID_OFFSET 4

GuestRing smmuv3_eventq_ring(const Smmuv3 *s)
{
    unsigned log2size = FIELD_GET(s->reg[R_EVENTQ_BASE], Q_BASE, LOG2SIZE);

    return (GuestRing){
        .log2size = MIN(log2size, s->props.log2_eventq),
        .prod = s->reg[R_EVENTQ_PROD],
        .cons = s->reg[R_EVENTQ_CONS],
    };
}

/* 7.2: neither off nor aborted; it may be full. */
static bool eventq_writable(const Smmuv3 *s) REQUIRES(&s->parent.ring_lock)
{
    return FIELD_GET(s->reg[R_CR0], CR0, EVENTQEN) &&
           !smmuv3_gerror_is_active(s, FIELD_MASK(GERROR, EVENTQ_ABT_ERR));
}

/* What a queue that is off or aborted takes, it discards. */
static uint32_t room_locked(Smmuv3 *s) REQUIRES(&s->parent.ring_lock)
{
    GuestRing ring = smmuv3_eventq_ring(s);
    uint32_t room;

    room = eventq_writable(s) ? guest_ring_room(&ring) : EVENT_ROOM_UNLIMITED;
    s->eventq.waiting = room == 0;
    s->eventq.ring = ring;
    s->eventq.writable = room != EVENT_ROOM_UNLIMITED;
    s->eventq.base = smmuv3_queue_base(smmuv3_reg64(s, R_EVENTQ_BASE),
                                       ring.log2size, SMMUV3_EVENT_BYTES);
    return room;
}

uint32_t smmuv3_eventq_room(void *opaque)
{
    Smmuv3 *s = opaque;
    uint32_t room;

    lock_acquire(&s->parent.ring_lock);
    room = room_locked(s);
    lock_release(&s->parent.ring_lock);
    return room;
}

void smmuv3_write_eventq_cons(Smmuv3 *s, uint32_t value)
{
    bool resume = false;

    lock_acquire(&s->parent.ring_lock);
    s->reg[R_EVENTQ_CONS] = value & (FIELD_MASK(Q, POINTER) |
                                     FIELD_MASK(EVENTQ_CONS, OVACKFLG));
    if (s->eventq.waiting) {
        GuestRing ring = smmuv3_eventq_ring(s);

        resume = guest_ring_room(&ring) > 0;
        s->eventq.waiting = !resume;
    }
    lock_release(&s->parent.ring_lock);
    if (resume) {
        viommu_resume_events(&s->parent);
    }
}

/* Keep the records of devices that are there. [RCU] Return: how many go. */
static size_t drop_strangers(Smmuv3 *s, EventBatch *batch)
{
    size_t kept = 0;
    size_t dropped;

    for (size_t i = 0; i < batch->count; i++) {
        uint32_t sid;

        memcpy(&sid, batch->records[i] + EVENT_STREAMID_OFFSET, sizeof(sid));
        if (device_map_find_virt(s->parent.devices, GUINT32_FROM_LE(sid))) {
            batch->records[kept++] = batch->records[i];
        }
    }
    dropped = batch->count - kept;
    batch->count = kept;
    return dropped;
}

/* A record is little-endian already. */
static void write_record(void *slot, const uint8_t *record)
{
    uint64_t words[SMMUV3_EVENT_BYTES / 8];

    memcpy(words, record, sizeof(words));
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        words[i] = GUINT64_FROM_LE(words[i]);
    }
    guest_words_store(slot, words, G_N_ELEMENTS(words));
}

/*
 * Write the first @count records behind PROD. [RCU]
 * Return: how many were written; fewer than @count is an abort on the bus.
 */
static size_t write_records(Smmuv3 *s, const EventBatch *batch, size_t count)
{
    const Smmuv3Eventq *eventq = &s->eventq;
    const GuestRing *ring = &eventq->ring;
    size_t done = 0;

    while (done < count) {
        uint32_t index = guest_ring_index(ring, ring->prod + done);
        size_t run = MIN(count - done, guest_ring_size(ring) - index);
        uint64_t gpa = eventq->base + (uint64_t)index * SMMUV3_EVENT_BYTES;
        uint8_t *slot = guest_mem_ptr(s->parent.config.mem, gpa,
                                      run * SMMUV3_EVENT_BYTES);

        if (!slot) {
            /* Part of the run may lie in one region: entry by entry. */
            run = 1;
            slot = guest_mem_ptr(s->parent.config.mem, gpa,
                                 SMMUV3_EVENT_BYTES);
        }
        if (!slot) {
            break;
        }
        for (size_t i = 0; i < run; i++) {
            write_record(slot + i * SMMUV3_EVENT_BYTES,
                         batch->records[done + i]);
        }
        done += run;
    }
    return done;
}

static void publish_locked(Smmuv3 *s, size_t written)
    REQUIRES(&s->parent.ring_lock)
{
    GuestRing ring = smmuv3_eventq_ring(s);
    uint32_t *prod = &s->reg[R_EVENTQ_PROD];

    *prod = (*prod & FIELD_MASK(EVENTQ_PROD, OVFLG)) |
            guest_ring_advance(&ring, ring.prod, written);
    if (guest_ring_empty(&ring)) {
        smmuv3_irq_eventq(s);
    }
}

/* 7.4: the flag toggles once per acknowledgement, not once per loss. */
static void overflow_locked(Smmuv3 *s) REQUIRES(&s->parent.ring_lock)
{
    if (FIELD_GET(s->reg[R_EVENTQ_PROD], EVENTQ_PROD, OVFLG) ==
        FIELD_GET(s->reg[R_EVENTQ_CONS], EVENTQ_CONS, OVACKFLG)) {
        s->reg[R_EVENTQ_PROD] ^= FIELD_MASK(EVENTQ_PROD, OVFLG);
        counter_add(&s->parent.counters.overflows, 1);
    }
}

/* What a batch came to; the sum is its records and losses. */
typedef struct Outcome {
    uint64_t delivered;
    uint64_t discarded;
    uint64_t lost;
    bool aborted;
} Outcome;

static void deliver_locked(Smmuv3 *s, Outcome *outcome)
    REQUIRES(&s->parent.ring_lock)
{
    if (!eventq_writable(s)) {
        /* Off or aborted: nothing is published, and no loss is shown. */
        outcome->discarded += outcome->delivered + outcome->lost;
        outcome->delivered = 0;
        outcome->lost = 0;
        return;
    }
    if (outcome->delivered > 0) {
        publish_locked(s, outcome->delivered);
    }
    if (outcome->lost > 0) {
        overflow_locked(s);
    }
    if (outcome->aborted) {
        smmuv3_gerror_raise(s, FIELD_MASK(GERROR, EVENTQ_ABT_ERR));
    }
}

uint32_t smmuv3_eventq_deliver(void *opaque, EventBatch *batch)
{
    Smmuv3 *s = opaque;
    ViommuCounters *counters = &s->parent.counters;
    Outcome outcome = { .lost = batch->lost };
    uint32_t room;

    rcu_section_enter();
    outcome.discarded = drop_strangers(s, batch);
    if (s->eventq.writable) {
        size_t fits = MIN(batch->count, guest_ring_room(&s->eventq.ring));

        outcome.delivered = write_records(s, batch, fits);
        outcome.aborted = outcome.delivered < fits;
        if (outcome.aborted) {
            /* The queue is not full, and takes no more: no overflow. */
            outcome.discarded += batch->count - outcome.delivered;
        } else {
            outcome.lost += batch->count - fits;
        }
    } else {
        outcome.discarded += batch->count;
    }
    rcu_section_leave();

    lock_acquire(&s->parent.ring_lock);
    deliver_locked(s, &outcome);
    room = room_locked(s);
    lock_release(&s->parent.ring_lock);

    counter_add(&counters->delivered, outcome.delivered);
    counter_add(&counters->discarded, outcome.discarded);
    counter_add(&counters->lost, outcome.lost);
    if (outcome.aborted) {
        viommu_warn_once(&s->parent, SMMUV3_WARN_EVENTQ_ABORT,
                         "the event queue at 0x%" PRIx64 " is not in memory",
                         s->eventq.base);
    }
    return room;
}
