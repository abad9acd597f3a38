/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prng: numbers that look random and are the same for the same seed
 * (SplitMix64).
 *
 * Threads: any, one at a time per state. Pure.
 */
#ifndef VPUMP_PRNG_H
#define VPUMP_PRNG_H

#include <stdint.h>

/* The seed is any number. */
typedef struct Prng {
    uint64_t state;
} Prng;

static inline uint64_t prng_next(Prng *prng)
{
    uint64_t z = prng->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 to @n - 1; @n is 1 or more. */
static inline uint32_t prng_below(Prng *prng, uint32_t n)
{
    return (prng_next(prng) >> 32) * n >> 32;
}

#endif
