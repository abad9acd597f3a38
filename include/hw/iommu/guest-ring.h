/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arithmetic of a ring in guest memory, in two encodings.
 *
 * GuestRing, SMMUv3's. Source: Arm IHI 0070 G.b, 3.5.1: an index has log2size
 * bits and a wrap bit above them; empty is both equal, full is index equal and
 * wrap different, so all 2^log2size entries are usable. Indices that software
 * wrote may be inconsistent (producer more than a ring ahead of the consumer):
 * such a ring counts as full to its producer and as empty to its consumer.
 *
 * GuestByteRing, that of VT-d's page request queue. Source: Intel D51397-018,
 * 6.5.2: head and tail are byte offsets of entries of 32 bytes; empty is both
 * equal, full is the tail one entry behind the head, so one entry less than
 * there are is usable. No pair of offsets is inconsistent.
 *
 * Threads: any; pure. Inline, since it runs once per record.
 */
#ifndef HW_IOMMU_GUEST_RING_H
#define HW_IOMMU_GUEST_RING_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct GuestRing - a pair of indices, each with its wrap bit
 * @log2size: entries, 0 to 19
 * @prod: next entry to be written; bits above the wrap bit are ignored
 * @cons: next entry to be read; the same
 */
typedef struct GuestRing {
    unsigned log2size;
    uint32_t prod;
    uint32_t cons;
} GuestRing;

static inline uint32_t guest_ring_size(const GuestRing *ring)
{
    return UINT32_C(1) << ring->log2size;
}

/* Index and wrap bit. */
static inline uint32_t guest_ring_mask(const GuestRing *ring)
{
    return 2 * guest_ring_size(ring) - 1;
}

/* The entry that @pointer (prod or cons) stands at. */
static inline uint32_t guest_ring_index(const GuestRing *ring, uint32_t pointer)
{
    return pointer & (guest_ring_size(ring) - 1);
}

/* @pointer moved by @count entries, wrap bit included, other bits gone. */
static inline uint32_t guest_ring_advance(const GuestRing *ring,
                                          uint32_t pointer, uint32_t count)
{
    return (pointer + count) & guest_ring_mask(ring);
}

/* prod - cons; above the ring's size if the two are inconsistent. */
static inline uint32_t guest_ring_distance(const GuestRing *ring)
{
    return (ring->prod - ring->cons) & guest_ring_mask(ring);
}

static inline bool guest_ring_empty(const GuestRing *ring)
{
    return guest_ring_distance(ring) == 0;
}

/* Entries that the consumer may read. */
static inline uint32_t guest_ring_used(const GuestRing *ring)
{
    uint32_t distance = guest_ring_distance(ring);

    return distance > guest_ring_size(ring) ? 0 : distance;
}

/* Entries that the producer may write. */
static inline uint32_t guest_ring_room(const GuestRing *ring)
{
    uint32_t distance = guest_ring_distance(ring);

    return distance > guest_ring_size(ring) ? 0
                                            : guest_ring_size(ring) - distance;
}

/* Bytes of an entry of a GuestByteRing. */
#define GUEST_BYTE_RING_ENTRY UINT32_C(32)

/**
 * struct GuestByteRing - a pair of offsets in a queue of 2^pqs pages of 4 KiB
 * @pqs: 0 to 7, PQA_REG's
 * @tail: next entry to be written, PQT_REG; bits outside the queue's size and
 *        those below an entry's are ignored
 * @head: next entry to be read, PQH_REG; the same
 */
typedef struct GuestByteRing {
    unsigned pqs;
    uint32_t tail;
    uint32_t head;
} GuestByteRing;

/* Bytes; an entry less of it is usable. */
static inline uint32_t guest_byte_ring_size(const GuestByteRing *ring)
{
    return UINT32_C(4096) << ring->pqs;
}

/* The bits of an offset that count. */
static inline uint32_t guest_byte_ring_mask(const GuestByteRing *ring)
{
    return guest_byte_ring_size(ring) - GUEST_BYTE_RING_ENTRY;
}

/* Where in the queue @pointer (tail or head) stands, in bytes. */
static inline uint32_t guest_byte_ring_offset(const GuestByteRing *ring,
                                              uint32_t pointer)
{
    return pointer & guest_byte_ring_mask(ring);
}

/* @pointer moved by @count entries, other bits gone. */
static inline uint32_t guest_byte_ring_advance(const GuestByteRing *ring,
                                               uint32_t pointer, uint32_t count)
{
    return guest_byte_ring_offset(ring,
                                  pointer + count * GUEST_BYTE_RING_ENTRY);
}

/* Entries that the consumer may read. */
static inline uint32_t guest_byte_ring_used(const GuestByteRing *ring)
{
    uint32_t tail = guest_byte_ring_offset(ring, ring->tail);
    uint32_t head = guest_byte_ring_offset(ring, ring->head);

    return guest_byte_ring_offset(ring, tail - head) / GUEST_BYTE_RING_ENTRY;
}

static inline bool guest_byte_ring_empty(const GuestByteRing *ring)
{
    return guest_byte_ring_used(ring) == 0;
}

/* Entries that the producer may write. */
static inline uint32_t guest_byte_ring_room(const GuestByteRing *ring)
{
    uint32_t entries = guest_byte_ring_size(ring) / GUEST_BYTE_RING_ENTRY;

    return entries - 1 - guest_byte_ring_used(ring);
}

#endif
