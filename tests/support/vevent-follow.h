/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The next event of a stream, if it is one of a burst: taken as a sink does.
 */
#ifndef TESTS_SUPPORT_VEVENT_FOLLOW_H
#define TESTS_SUPPORT_VEVENT_FOLLOW_H

#include "hw/iommu/vevent-stream.h"

/* Return: its data, or NULL and nothing is taken. */
static inline const uint8_t *vevent_follow(VeventStream *stream,
                                           size_t record_size)
{
    const uint8_t *data;

    if (vevent_stream_ahead(stream, record_size) == 0) {
        return NULL;
    }
    data = vevent_stream_peek(stream);
    if (data) {
        vevent_stream_take(stream, record_size);
    }
    return data;
}

#endif
