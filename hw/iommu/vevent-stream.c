/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Invariant: the number that is due is one above the last that was accounted
 * for, delivered or lost. Only a well-formed item moves it, so whatever is
 * skipped turns up in the difference to the next item, once.
 */
#include "hw/iommu/vevent-stream.h"

static size_t bytes_left(const VeventStream *stream)
{
    return stream->end - stream->pos;
}

static uint32_t number_due(const VeventStream *stream)
{
    return stream->due >> 32;
}

static void set_due(VeventStream *stream, uint32_t number)
{
    struct iommufd_vevent_header header = {
        .sequence = number % VEVENT_NUMBERS,
    };

    stream->due = vevent_header_value(&header);
}

/* Numbers from the one that is due up to @sequence, which is not counted. */
static uint32_t numbers_before(const VeventStream *stream, uint32_t sequence)
{
    return (sequence - number_due(stream)) % VEVENT_NUMBERS;
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
    set_due(stream, sequence + 1);
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
    set_due(stream, sequence + 1);
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
        header.sequence >= VEVENT_NUMBERS) {
        return take_malformed(stream);
    }
    return header.flags & IOMMU_VEVENTQ_FLAG_LOST_EVENTS
               ? take_lost(stream, header.sequence, event)
               : take_event(stream, header.sequence, event);
}
