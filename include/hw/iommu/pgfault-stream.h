/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cursor over the bytes of one read() of a fault queue: page request groups,
 * each a run of records of 40 bytes of which the last has LAST_PAGE.
 *
 *   | cookie 1 | cookie 1 | cookie 1, LAST_PAGE | cookie 2, LAST_PAGE |
 *
 * A read gives whole groups only, so nothing is kept from one to the next.
 * Source: Linux 7.3, include/uapi/linux/iommufd.h, struct iommu_hwpt_pgfault.
 *
 * Threads: any, one at a time per stream. Pure: no I/O, no allocation.
 */
#ifndef HW_IOMMU_PGFAULT_STREAM_H
#define HW_IOMMU_PGFAULT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a record: a read of n times as many has n groups at most. */
#define PGFAULT_RECORD_SIZE 40

/**
 * enum PgfaultKind - what pgfault_stream_next() found
 * @PGFAULT_END: nothing more in this read
 * @PGFAULT_GROUP: a whole group
 * @PGFAULT_MALFORMED: records that no kernel writes: a group without LAST_PAGE,
 *                     or whose device, PASID or group index changes on the way,
 *                     or with an unknown flag. Everything up to the next
 *                     LAST_PAGE is skipped, in one item per run of the same
 *                     cookie, so that each can be answered. Only where runs
 *                     alternate does a cookie come more than once.
 * @PGFAULT_TRUNCATED: the read ends inside a record. Names nothing; comes last,
 *                     once.
 */
typedef enum PgfaultKind {
    PGFAULT_END,
    PGFAULT_GROUP,
    PGFAULT_MALFORMED,
    PGFAULT_TRUNCATED,
} PgfaultKind;

/* Pgfault::perm, the kernel's IOMMU_PGFAULT_PERM_*. */
enum {
    PGFAULT_PERM_READ = 1 << 0,
    PGFAULT_PERM_WRITE = 1 << 1,
    PGFAULT_PERM_EXEC = 1 << 2,
    PGFAULT_PERM_PRIV = 1 << 3,
};

/**
 * struct Pgfault - one page of a group
 * @addr: as the kernel has it, bits below the page size included
 * @perm: PGFAULT_PERM_*; other bits as the kernel has them
 */
typedef struct Pgfault {
    uint64_t addr;
    uint32_t perm;
} Pgfault;

/**
 * struct PgfaultGroup - a group, or what is left of one
 * @first: its first record, borrowed from the buffer, unaligned
 * @count: of records; 0, and all else 0, with END and TRUNCATED
 * @cookie: what its answer names
 * @dev_id: iommufd device object ID
 * @pasid: 0 without @pasid_valid
 * @grpid: any number, as far as this stream knows: PCI has 9 bits
 * @pasid_valid: the requests had a PASID
 *
 * Of a malformed group, all but the cookie is the first record's.
 */
typedef struct PgfaultGroup {
    const uint8_t *first;
    size_t count;
    uint32_t cookie;
    uint32_t dev_id;
    uint32_t pasid;
    uint32_t grpid;
    bool pasid_valid;
} PgfaultGroup;

/**
 * struct PgfaultStream - opaque to its users, who embed it
 */
typedef struct PgfaultStream {
    const uint8_t *pos;
    const uint8_t *end;
    bool skipping;              /* until the next LAST_PAGE */
} PgfaultStream;

/**
 * pgfault_stream_feed() - begin with the bytes of a read
 * @buf: borrowed until the next feed; NULL is fine if @len is 0
 *
 * Needs no initialisation before. What was left of the last read is forgotten.
 */
void pgfault_stream_feed(PgfaultStream *stream, const void *buf, size_t len);

/**
 * pgfault_stream_next() - take the next item of this read
 * @group: set, whatever the item is
 *
 * Return: its kind; PGFAULT_END again and again once the read is used up.
 */
PgfaultKind pgfault_stream_next(PgfaultStream *stream, PgfaultGroup *group);

/* Page @i of @group, below its count: while the stream's buffer is borrowed. */
Pgfault pgfault_group_page(const PgfaultGroup *group, size_t i);

#endif
