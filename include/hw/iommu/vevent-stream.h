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
 */
typedef struct VeventStream {
    const uint8_t *pos;
    const uint8_t *end;
    size_t record_size;         /* [const] */
    uint32_t expected;          /* the next sequence number without a loss */
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

/**
 * vevent_stream_follow() - take the next event, if it follows at once
 *
 * That is an event of the number that is due: nearly always what comes. It is
 * inline, since a loop that copies each event has it nearly for nothing, and
 * a pass of its own over all headers has not.
 * @record_size: the stream's, for the compiler to know if the caller does
 *
 * Return: its data, as in Vevent; or NULL and nothing is taken: whatever comes
 * is for vevent_stream_next().
 */
static inline const uint8_t *vevent_stream_follow(VeventStream *stream,
                                                  size_t record_size)
{
    const uint8_t *pos = stream->pos;
    struct iommufd_vevent_header header;
    const size_t bytes = sizeof(header) + record_size;

    if ((size_t)(stream->end - pos) < bytes) {
        return NULL;
    }
    memcpy(&header, pos, sizeof(header));
    if (header.flags != 0 || header.sequence != stream->expected) {
        return NULL;
    }
    stream->pos = pos + bytes;
    stream->expected = (stream->expected + 1) % VEVENT_NUMBERS;
    return pos + sizeof(header);
}

#endif
