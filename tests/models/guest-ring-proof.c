/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proof by cbmc of include/hw/iommu/guest-ring.h: for every size, every value
 * of the registers, junk bits included, and every count, against what the
 * specifications say of index, wrap bit and byte offsets.
 *
 * run: -            | unwind 1 | pass
 * run: BAD_ROOM     | unwind 1 | fail room and used add up
 * run: BAD_MASK     | unwind 1 | fail junk bits do not count
 * run: BAD_FULL     | unwind 1 | fail one entry stays free
 *
 * mutate: BAD_ROOM include/hw/iommu/guest-ring.h s/return distance > guest_ring_size(ring) ? 0$/return distance > UINT32_MAX - 1 ? 0/
 * mutate: BAD_MASK include/hw/iommu/guest-ring.h s/return 2 \* guest_ring_size(ring) - 1;/return 4 * guest_ring_size(ring) - 1;/
 * mutate: BAD_FULL include/hw/iommu/guest-ring.h s/return entries - 1 - guest_byte_ring_used/return entries - guest_byte_ring_used/
 */
#include "hw/iommu/guest-ring.h"

#define CHECK(what, condition) __CPROVER_assert(condition, what)
#define ASSUME(condition) __CPROVER_assume(condition)

uint32_t nondet_u32(void);

/* 3.5.1: an index of log2size bits and a wrap bit above them. */
static uint32_t index_of(unsigned log2size, uint32_t value)
{
    return value & ~(UINT32_MAX << log2size);
}

static uint32_t wrap_of(unsigned log2size, uint32_t value)
{
    return value >> log2size & 1;
}

static void check_ring(void)
{
    GuestRing ring = {
        .log2size = nondet_u32(), .prod = nondet_u32(), .cons = nondet_u32(),
    };
    const unsigned n = ring.log2size;
    uint32_t size, used, room, next;
    bool same_index, same_wrap;

    ASSUME(n <= 19);
    size = UINT32_C(1) << n;
    used = guest_ring_used(&ring);
    room = guest_ring_room(&ring);
    same_index = index_of(n, ring.prod) == index_of(n, ring.cons);
    same_wrap = wrap_of(n, ring.prod) == wrap_of(n, ring.cons);

    CHECK("size", guest_ring_size(&ring) == size);
    CHECK("index", guest_ring_index(&ring, ring.prod) ==
                       index_of(n, ring.prod));
    CHECK("empty is both equal",
          guest_ring_empty(&ring) == (same_index && same_wrap));
    CHECK("full is index equal and wrap different",
          (used == size && room == 0) == (same_index && !same_wrap));
    CHECK("room and used add up, or are 0",
          used + room == size || (used == 0 && room == 0));
    CHECK("bounds", used <= size && room <= size);

    /* Within a lap, the same wrap bit: the difference of the indices. */
    if (same_wrap && index_of(n, ring.prod) >= index_of(n, ring.cons)) {
        CHECK("used", used == index_of(n, ring.prod) - index_of(n, ring.cons));
    } else if (!same_wrap &&
               index_of(n, ring.prod) <= index_of(n, ring.cons)) {
        CHECK("used across the end",
              used == size + index_of(n, ring.prod) - index_of(n, ring.cons));
    } else {
        CHECK("inconsistent indices: neither room nor entries",
              used == 0 && room == 0);
    }

    next = guest_ring_advance(&ring, ring.prod, 1);
    CHECK("the next index",
          index_of(n, next) == (index_of(n, ring.prod) + 1 == size
                                    ? 0 : index_of(n, ring.prod) + 1));
    CHECK("the wrap bit toggles at the end",
          (wrap_of(n, next) != wrap_of(n, ring.prod)) ==
              (index_of(n, ring.prod) + 1 == size));
    CHECK("junk bits do not count",
          next >> (n + 1) == 0 &&
          next == guest_ring_advance(&ring, next - 1, 1));
}

/* What is written or read in one go is what room and used change by. */
static void check_ring_moves(void)
{
    GuestRing ring = {
        .log2size = nondet_u32(), .prod = nondet_u32(), .cons = nondet_u32(),
    };
    GuestRing moved = ring;
    uint32_t count = nondet_u32();
    uint32_t more = nondet_u32();

    ASSUME(ring.log2size <= 19);
    CHECK("steps add up",
          guest_ring_advance(&ring, ring.prod, count + more) ==
              guest_ring_advance(&ring,
                                 guest_ring_advance(&ring, ring.prod, count),
                                 more));
    if (count <= guest_ring_room(&ring) && guest_ring_room(&ring) > 0) {
        moved.prod = guest_ring_advance(&ring, ring.prod, count);
        CHECK("written", guest_ring_used(&moved) ==
                             guest_ring_used(&ring) + count);
        CHECK("room taken", guest_ring_room(&moved) ==
                                guest_ring_room(&ring) - count);
    }
    moved = ring;
    if (count <= guest_ring_used(&ring)) {
        moved.cons = guest_ring_advance(&ring, ring.cons, count);
        CHECK("read", guest_ring_used(&moved) ==
                          guest_ring_used(&ring) - count);
    }
}

/* 6.5.2: byte offsets of entries of 32 bytes. */
static void check_byte_ring(void)
{
    GuestByteRing ring = {
        .pqs = nondet_u32(), .tail = nondet_u32(), .head = nondet_u32(),
    };
    GuestByteRing moved = ring;
    uint32_t count = nondet_u32();
    uint32_t bytes, tail, head, used, room;

    ASSUME(ring.pqs <= 7);
    bytes = UINT32_C(4096) << ring.pqs;
    tail = (ring.tail & (bytes - 1)) >> 5;
    head = (ring.head & (bytes - 1)) >> 5;
    used = guest_byte_ring_used(&ring);
    room = guest_byte_ring_room(&ring);

    CHECK("byte ring: offset",
          guest_byte_ring_offset(&ring, ring.tail) == tail * 32);
    CHECK("byte ring: used", used == (tail >= head
                                          ? tail - head
                                          : (bytes >> 5) + tail - head));
    CHECK("byte ring: one entry stays free", used + room == (bytes >> 5) - 1);
    CHECK("byte ring: empty",
          guest_byte_ring_empty(&ring) == (tail == head));
    CHECK("byte ring: full is the tail one behind the head",
          (room == 0) ==
              (guest_byte_ring_advance(&ring, ring.tail, 1) == head * 32));
    CHECK("byte ring: the next offset",
          guest_byte_ring_advance(&ring, ring.tail, 1) ==
              (tail + 1 == (bytes >> 5) ? 0 : (tail + 1) * 32));
    if (count <= room) {
        moved.tail = guest_byte_ring_advance(&ring, ring.tail, count);
        CHECK("byte ring: written",
              guest_byte_ring_used(&moved) == used + count);
    }
}

int main(void)
{
    check_ring();
    check_ring_moves();
    check_byte_ring();
    return 0;
}
