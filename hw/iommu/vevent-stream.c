/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Invariant: expected is one above the last number that was accounted for,
 * delivered or lost. Only a well-formed item moves it, so whatever is skipped
 * turns up in the difference to the next item, once.
 */
#include "hw/iommu/vevent-stream.h"

#include "host/iommufd-abi.h"

#include <string.h>

#define SEQUENCE_MASK UINT32_C(0x7fffffff)

static size_t bytes_left(const VeventStream *stream)
{
    return stream->end - stream->pos;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Numbers from the next expected one up to @sequence, which is not counted. */
static uint32_t numbers_before(const VeventStream *stream, uint32_t sequence)
{
    return (sequence - stream->expected) & SEQUENCE_MASK;
}

static VeventKind take_malformed(VeventStream *stream)
{
    stream->pos = stream->end;
    return VEVENT_MALFORMED;
}

static VeventKind take_lost(VeventStream *stream, uint32_t sequence,
                            Vevent *event)
{
    event->sequence = sequence;
    /* The header has the number of the last lost event, so that one counts. */
    event->lost = numbers_before(stream, sequence + 1);
    stream->expected = (sequence + 1) & SEQUENCE_MASK;
    return VEVENT_LOST;
}

static VeventKind take_event(VeventStream *stream, uint32_t sequence,
                             Vevent *event)
{
    if (bytes_left(stream) < stream->record_size) {
        return take_malformed(stream);
    }
    event->data = stream->pos;
    event->sequence = sequence;
    event->lost = numbers_before(stream, sequence);
    stream->pos += stream->record_size;
    stream->expected = (sequence + 1) & SEQUENCE_MASK;
    return VEVENT_EVENT;
}

void vevent_stream_init(VeventStream *stream, size_t record_size)
{
    *stream = (VeventStream) { .record_size = record_size };
}

void vevent_stream_feed(VeventStream *stream, const void *buf, size_t len)
{
    stream->pos = buf;
    /* An empty read may come with no buffer; NULL + 0 is not C. */
    stream->end = len ? stream->pos + len : stream->pos;
}

/* A plain header as one word, so that it takes one comparison. */
static uint64_t header_word(uint32_t sequence)
{
    const struct iommufd_vevent_header header = { .sequence = sequence };
    uint64_t word;

    memcpy(&word, &header, sizeof(word));
    return word;
}

/*
 * How many events in a row, of @most, are plain and numbered from @sequence on.
 * The numbers do not wrap, so each header is the one before plus the same.
 */
static size_t count_plain(const uint8_t *pos, size_t slot, size_t most,
                          uint32_t sequence)
{
    const uint64_t step = header_word(1);
    uint64_t expected = header_word(sequence);
    size_t count;

    for (count = 0; count < most; count++) {
        uint64_t word;

        memcpy(&word, pos, sizeof(word));
        if (word != expected) {
            break;
        }
        pos += slot;
        expected += step;
    }
    return count;
}

size_t vevent_stream_run(VeventStream *stream)
{
    const size_t slot = sizeof(struct iommufd_vevent_header) +
                        stream->record_size;
    const size_t most = bytes_left(stream) / slot;
    size_t count = 0;
    size_t piece;
    size_t plain;

    do {
        piece = smaller(most - count, SEQUENCE_MASK - stream->expected + 1);
        plain = count_plain(stream->pos, slot, piece, stream->expected);
        stream->pos += plain * slot;
        stream->expected = (stream->expected + plain) & SEQUENCE_MASK;
        count += plain;
    } while (plain == piece && count < most);   /* on beyond the wrap */
    return count;
}

VeventKind vevent_stream_next(VeventStream *stream, Vevent *event)
{
    struct iommufd_vevent_header header;

    *event = (Vevent) { 0 };
    if (bytes_left(stream) == 0) {
        return VEVENT_END;
    }
    if (bytes_left(stream) < sizeof(header)) {
        return take_malformed(stream);
    }
    memcpy(&header, stream->pos, sizeof(header));
    stream->pos += sizeof(header);
    if ((header.flags & ~IOMMU_VEVENTQ_FLAG_LOST_EVENTS) ||
        header.sequence > SEQUENCE_MASK) {
        return take_malformed(stream);
    }
    return header.flags & IOMMU_VEVENTQ_FLAG_LOST_EVENTS
               ? take_lost(stream, header.sequence, event)
               : take_event(stream, header.sequence, event);
}
