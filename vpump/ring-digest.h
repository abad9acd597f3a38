/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RingDigest: a number for all that a guest has read from a ring, entry after
 * entry. Two runs have the same one if the guest read the same bytes in the
 * same order, and else, but for a chance of 2^-64, not.
 *
 * Threads: ring_digest_add() on one; ring_digest_get() on any, exact once that
 *          one was joined.
 */
#ifndef VPUMP_RING_DIGEST_H
#define VPUMP_RING_DIGEST_H

#include "page-digest.h"

#include <stdatomic.h>
#include <stddef.h>

typedef _Atomic uint64_t RingDigest;

/* Relaxed, as base/counter.h: a number on its own. */
static inline uint64_t ring_digest_get(const RingDigest *digest)
{
    return atomic_load_explicit(digest, memory_order_relaxed);
}

/* @words: of one entry, as they stand in the ring */
static inline void ring_digest_add(RingDigest *digest, const uint64_t *words,
                                   size_t count)
{
    uint64_t sum = ring_digest_get(digest);

    for (size_t i = 0; i < count; i++) {
        /* The constant lets an entry of zeroes count. */
        sum = page_digest_mix((sum + UINT64_C(0x9e3779b97f4a7c15)) ^ words[i]);
    }
    atomic_store_explicit(digest, sum, memory_order_relaxed);
}

#endif
