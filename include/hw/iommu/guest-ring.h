/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Index arithmetic of a ring in guest memory. Source: Arm IHI 0070 G.b, 3.5.1:
 * an index has log2size bits and a wrap bit above them; empty is both equal,
 * full is index equal and wrap different, so all 2^log2size entries are usable.
 *
 * Indices that software wrote may be inconsistent (producer more than a ring
 * ahead of the consumer): such a ring counts as full to its producer and as
 * empty to its consumer.
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

#endif
