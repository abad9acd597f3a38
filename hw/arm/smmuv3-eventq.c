/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event queue (7.2 to 7.4): where what the pump reads goes.
 *
 * Entries between PROD and CONS + size belong to the home thread, which writes
 * them without a lock; the ring_lock is held to look at the registers and to
 * publish PROD, once per read each. Switching the queue off clears EVENTQEN
 * under the ring_lock and then waits for the home thread, so a record written
 * after that is never published, and none is written once CR0ACK changed.
 */
#include "hw/arm/smmuv3-internal.h"

#include "base/rcu.h"

#include <inttypes.h>
#include <string.h>

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

/* What a read came to; the sum is its events and losses. */
typedef struct Outcome {
    uint64_t delivered;
    uint64_t discarded;
    uint64_t lost;
    bool malformed;
    bool aborted;
} Outcome;

/* 7.3: the StreamID of a record that names one, as all do that come here. */
static uint32_t record_sid(const uint8_t *record)
{
    uint64_t word;

    memcpy(&word, record, sizeof(word));
    return GUINT64_FROM_LE(word) >> 32;
}

/* Slots of the ring that lie one behind the other in memory. */
typedef struct Slots {
    uint8_t *next;
    size_t left;
} Slots;

/*
 * Those at PROD + @written, up to the ring's end. [RCU]
 * @room: how many may be written
 * Return: false if the first is not in memory.
 */
static bool find_slots(Smmuv3 *s, Slots *slots, size_t written, size_t room)
{
    const Smmuv3Eventq *eventq = &s->eventq;
    const GuestRing *ring = &eventq->ring;
    uint32_t index = guest_ring_index(ring, ring->prod + written);
    uint64_t gpa = eventq->base + (uint64_t)index * SMMUV3_EVENT_BYTES;

    slots->left = MIN(room, guest_ring_size(ring) - index);
    slots->next = guest_mem_ptr(s->parent.config.mem, gpa,
                                slots->left * SMMUV3_EVENT_BYTES);
    if (!slots->next) {
        /* Part of them may lie in one region: entry by entry. */
        slots->left = 1;
        slots->next = guest_mem_ptr(s->parent.config.mem, gpa,
                                    SMMUV3_EVENT_BYTES);
    }
    return slots->next;
}

/*
 * Write @record, and the events that follow it at once, as long as they are of
 * the same stream @sid and there are slots: events come in bursts. A record is
 * little-endian, as the guest's memory is.
 */
static void write_burst(Slots *slots, VeventStream *stream,
                        const uint8_t *record, uint32_t sid)
{
    /* For all the compiler knows the original is where the slots are. */
    VeventStream cursor = *stream;
    size_t ahead = vevent_stream_ahead(&cursor, SMMUV3_EVENT_BYTES);
    size_t more = MIN(slots->left - 1, ahead);
    uint8_t *slot = slots->next;

    guest_words_copy(slot, record, SMMUV3_EVENT_BYTES / 8);
    slot += SMMUV3_EVENT_BYTES;
    for (size_t i = 0; i < more; i++) {
        record = vevent_stream_peek(&cursor);
        if (!record || record_sid(record) != sid) {
            break;
        }
        guest_words_copy(slot, record, SMMUV3_EVENT_BYTES / 8);
        slot += SMMUV3_EVENT_BYTES;
        vevent_stream_take(&cursor, SMMUV3_EVENT_BYTES);
    }
    *stream = cursor;
    slots->left -= (slot - slots->next) / SMMUV3_EVENT_BYTES;
    slots->next = slot;
}

/* Count what is lost before the next event. Return: its record, or NULL. */
static const uint8_t *next_record(VeventStream *stream, Outcome *outcome)
{
    VeventKind kind;
    Vevent event;

    do {
        kind = vevent_stream_next(stream, &event);
        outcome->lost += event.lost;
    } while (kind == VEVENT_LOST);
    outcome->malformed |= kind == VEVENT_MALFORMED;
    return event.data;
}

/*
 * Write the records of devices that are there behind PROD, as far as there is
 * room: the rest is lost. What comes after an abort on the bus is discarded,
 * for the queue is not full, and takes no more. [RCU]
 */
static void write_records(Smmuv3 *s, VeventStream *stream, Outcome *outcome)
{
    const size_t room = guest_ring_room(&s->eventq.ring);
    const uint8_t *record = next_record(stream, outcome);
    Slots slots = { 0 };

    while (record) {
        uint32_t sid = record_sid(record);
        size_t left = room - outcome->delivered;
        size_t count;

        if (!s->eventq.writable || outcome->aborted ||
            !device_map_find_virt(s->parent.devices, sid)) {
            outcome->discarded++;
        } else if (left == 0) {
            outcome->lost++;
        } else if (slots.left > 0 ||
                   find_slots(s, &slots, outcome->delivered, left)) {
            count = slots.left;
            write_burst(&slots, stream, record, sid);
            outcome->delivered += count - slots.left;
        } else {
            outcome->aborted = true;
            outcome->discarded++;
        }
        record = next_record(stream, outcome);
    }
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

uint32_t smmuv3_eventq_deliver(void *opaque, VeventStream *stream)
{
    Smmuv3 *s = opaque;
    ViommuCounters *counters = &s->parent.counters;
    Outcome outcome = { 0 };
    uint32_t room;

    rcu_section_enter();
    write_records(s, stream, &outcome);
    rcu_section_leave();

    lock_acquire(&s->parent.ring_lock);
    deliver_locked(s, &outcome);
    room = room_locked(s);
    lock_release(&s->parent.ring_lock);

    counter_add(&counters->reads, 1);
    counter_add(&counters->malformed, outcome.malformed);
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
