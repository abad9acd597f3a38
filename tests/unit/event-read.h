/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of one read of an SMMUv3's vEVENTQ, as a sink gets them.
 */
#ifndef EVENT_READ_H
#define EVENT_READ_H

#include "hw/arm/smmuv3-internal.h"

#include <glib.h>

#define EVENT_READ_MAX 512

typedef struct EventRead {
    VeventStream stream;
    size_t count;
    uint32_t sequence;          /* of the next event */
    struct {
        struct iommufd_vevent_header header;
        uint64_t words[SMMUV3_EVENT_BYTES / 8];
    } events[EVENT_READ_MAX];
} EventRead;

static inline void event_read_init(EventRead *read)
{
    read->count = 0;
    read->sequence = 0;
}

/* The host lost @count events before the next one. */
static inline void event_read_lose(EventRead *read, uint32_t count)
{
    read->sequence += count;
}

static inline void event_read_add(EventRead *read, uint32_t sid, uint64_t tag)
{
    g_assert_cmpuint(read->count, <, EVENT_READ_MAX);
    read->events[read->count].header = (struct iommufd_vevent_header){
        .sequence = read->sequence++,
    };
    memcpy(read->events[read->count++].words,
           (uint64_t[]){ GUINT64_TO_LE(UINT64_C(0x10) | (uint64_t)sid << 32),
                         0, GUINT64_TO_LE(tag), 0 },
           SMMUV3_EVENT_BYTES);
}

/* Return: all of it, untaken. */
static inline VeventStream *event_read_stream(EventRead *read)
{
    G_STATIC_ASSERT(sizeof(read->events[0]) ==
                    sizeof(struct iommufd_vevent_header) + SMMUV3_EVENT_BYTES);
    vevent_stream_init(&read->stream, SMMUV3_EVENT_BYTES);
    vevent_stream_feed(&read->stream, read->events,
                       read->count * sizeof(read->events[0]));
    return &read->stream;
}

#endif
