/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a read of a vEVENTQ or a fault queue has in it, found another way than
 * by the streams: by cutting it up, and by adding up instead of subtracting.
 *
 * Threads, Locks: none; pure.
 */
#ifndef TESTS_FUZZ_STREAM_ORACLE_H
#define TESTS_FUZZ_STREAM_ORACLE_H

#include "hw/iommu/pgfault-stream.h"
#include "hw/iommu/vevent-stream.h"

/* Of the largest read: items are 8 bytes at least. */
#define ORACLE_READ_MAX 32768
#define ORACLE_ITEMS (ORACLE_READ_MAX / 8)

/**
 * struct VeventItem - an item of a read
 * @at: where the data of a VEVENT_EVENT begins
 */
typedef struct VeventItem {
    VeventKind kind;
    size_t at;
    uint32_t sequence;
} VeventItem;

/* Cut a read of events with @record_size bytes up. Return: how many items. */
size_t vevent_oracle(const uint8_t *buf, size_t len, size_t record_size,
                     VeventItem items[ORACLE_ITEMS]);

/**
 * vevent_oracle_check() - does @event account for the numbers that @item has?
 * @position: numbers accounted for since the queue began, lost or delivered
 *
 * Every number is in one item, once: modulo 2^31 the position is the item's.
 */
void vevent_oracle_check(uint64_t *position, const VeventItem *item,
                         const Vevent *event);

/**
 * vevent_oracle_lost() - how many numbers are missing in a read
 * @position: as above
 */
uint64_t vevent_oracle_lost(uint64_t *position, const VeventItem *items,
                            size_t count);

/**
 * struct PgfaultItem - an item of a read
 * @at: where its first record begins
 */
typedef struct PgfaultItem {
    PgfaultKind kind;
    size_t at;
    size_t count;
    uint32_t cookie;
} PgfaultItem;

/* Cut a read of page requests up. Return: how many items. */
size_t pgfault_oracle(const uint8_t *buf, size_t len,
                      PgfaultItem items[ORACLE_ITEMS]);

/* @group, of @buf, is what @item says. */
void pgfault_oracle_check(const uint8_t *buf, const PgfaultItem *item,
                          const PgfaultGroup *group);

#endif
