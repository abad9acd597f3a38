/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cursor over the bytes of one read() of a vEVENTQ: events, gaps in their
 * sequence numbers, and the LOST_EVENTS header that may stand at the tail.
 *
 *   { flags = 0, sequence }  record_size bytes     an event
 *   { flags = LOST_EVENTS, sequence }              no data
 *
 * At rest a LOST_EVENTS header is last. Under load an event may follow it, for
 * the kernel takes items off its queue one by one while others come in.
 *
 * Sequence numbers count events, lost ones too, modulo 2^31, from 0. Source:
 * Linux 7.3, include/uapi/linux/iommufd.h, struct iommufd_vevent_header.
 *
 * Threads: any, one at a time per stream. Pure: no I/O, no allocation.
 */
#ifndef HW_IOMMU_VEVENT_STREAM_H
#define HW_IOMMU_VEVENT_STREAM_H

#include "host/iommufd-abi.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Numbers are below this, modulo which they count. */
#define VEVENT_NUMBERS (UINT32_C(1) << 31)

/**
 * enum VeventKind - what vevent_stream_next() found
 * @VEVENT_END: nothing more in this read
 * @VEVENT_EVENT: a record; Vevent::lost were lost before it
 * @VEVENT_LOST: no record; Vevent::lost were lost at the tail
 * @VEVENT_MALFORMED: bytes that no kernel writes (cut short, unknown flags, a
 *                    number above INT_MAX). The rest of the read is skipped,
 *                    so this comes once per read at most; the numbers skipped
 *                    are counted as lost by the next item of a later read.
 */
typedef enum VeventKind {
    VEVENT_END,
    VEVENT_EVENT,
    VEVENT_LOST,
    VEVENT_MALFORMED,
} VeventKind;

/**
 * struct Vevent - one item of the stream
 * @data: record_size bytes of a VEVENT_EVENT, borrowed from the buffer,
 *        unaligned; else NULL
 * @sequence: as in the header; 0 with VEVENT_END and VEVENT_MALFORMED
 * @lost: sequence numbers that nobody will ever see, new with this item. Each
 *        is in one item's count only, so the counts may be added up.
 */
typedef struct Vevent {
    const uint8_t *data;
    uint32_t sequence;
    uint32_t lost;
} Vevent;

/**
 * struct VeventStream - opaque to its users, who embed it
 *
 * The header that is due has no flags and one certain number: one comparison
 * tells both.
 */
typedef struct VeventStream {
    const uint8_t *pos;
    const uint8_t *end;
    size_t record_size;         /* [const] */
    uint64_t due;               /* vevent_header_value() of the next */
} VeventStream;

/**
 * vevent_stream_init() - a new queue: the next number is 0
 * @record_size: bytes of data after each header
 */
void vevent_stream_init(VeventStream *stream, size_t record_size);

/**
 * vevent_stream_feed() - go on with the bytes of the next read
 * @buf: borrowed until the next feed; NULL is fine if @len is 0
 *
 * Items of the last read that were not taken count as lost.
 */
void vevent_stream_feed(VeventStream *stream, const void *buf, size_t len);

/**
 * vevent_stream_next() - take the next item of this read
 * @event: set, whatever the item is
 *
 * Return: its kind; VEVENT_END again and again once the read is used up.
 */
VeventKind vevent_stream_next(VeventStream *stream, Vevent *event);

/*
 * A burst: events that follow each other at once, each of the number that is
 * due. Nearly all come so. A loop that copies them asks vevent_stream_ahead()
 * once, then peeks and takes, up to that often. These are inline, and the loop
 * has but one comparison for them, since copying an event takes no longer than
 * a few more would, or than a pass of its own over all headers.
 *
 * @record_size: the stream's, for the compiler to know if the caller does
 */

/* As the struct it comes from is one word, compilers load it as one. */
static inline uint64_t
vevent_header_value(const struct iommufd_vevent_header *header)
{
    return (uint64_t)header->sequence << 32 | header->flags;
}

/**
 * vevent_stream_ahead() - how many events may follow at once, at most
 *
 * So many have room in this read, and numbers before they wrap. That one is
 * for vevent_stream_next(), like all else that is no burst.
 */
static inline size_t vevent_stream_ahead(const VeventStream *stream,
                                         size_t record_size)
{
    size_t records = (size_t)(stream->end - stream->pos) /
                     (sizeof(struct iommufd_vevent_header) + record_size);
    size_t numbers = VEVENT_NUMBERS - 1 - (stream->due >> 32);

    return records < numbers ? records : numbers;
}

/**
 * vevent_stream_peek() - look at the next event, if it follows at once
 *
 * Only while there is something ahead.
 *
 * Return: its data, as in Vevent; or NULL: whatever comes is for
 * vevent_stream_next().
 */
static inline const uint8_t *vevent_stream_peek(const VeventStream *stream)
{
    struct iommufd_vevent_header header;

    memcpy(&header, stream->pos, sizeof(header));
    return vevent_header_value(&header) == stream->due
               ? stream->pos + sizeof(header)
               : NULL;
}

/**
 * vevent_stream_take() - take the event that vevent_stream_peek() gave
 */
static inline void vevent_stream_take(VeventStream *stream, size_t record_size)
{
    stream->pos += sizeof(struct iommufd_vevent_header) + record_size;
    stream->due += UINT64_C(1) << 32;
}

#endif
