/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PageDigest: a number for what a page request says. A device adds up those of
 * all that it raised, the guest those of all that it read from this device: the
 * sums are the same, whatever the order, if every request came once and as it
 * was.
 *
 * Threads: any; pure.
 */
#ifndef VPUMP_PAGE_DIGEST_H
#define VPUMP_PAGE_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

/* Permissions of a request. */
enum {
    PAGE_DIGEST_READ = 1,
    PAGE_DIGEST_WRITE = 2,
    PAGE_DIGEST_EXEC = 4,
    PAGE_DIGEST_PRIVILEGED = 8,
};

/**
 * struct PageDigestSum - of requests of one device
 * @pages: how many
 * @digest: sum of page_digest(), modulo 2^64
 */
typedef struct PageDigestSum {
    uint64_t pages;
    uint64_t digest;
} PageDigestSum;

/* SplitMix64's last step: every bit of the result depends on every bit. */
static inline uint64_t page_digest_mix(uint64_t word)
{
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

/**
 * page_digest() - of one request
 * @pasid: 20 bits
 * @index: of its group, 9 bits
 * @perm: PAGE_DIGEST_*
 * @last: it ends its group
 * @addr: of a whole page
 */
static inline uint64_t page_digest(uint32_t pasid, uint32_t index,
                                   uint32_t perm, bool last, uint64_t addr)
{
    uint64_t rest = (uint64_t)pasid << 16 | index << 5 | perm << 1 | last;

    return page_digest_mix(page_digest_mix(addr + 1) + rest);
}

#endif
