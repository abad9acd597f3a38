/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes of host reads against the two stream cursors. The input is a list of
 * reads: a byte that chooses the stream, two for a length, the bytes.
 *
 * Checked: every item makes progress and stays inside the read.
 */
#include "fuzz-input.h"

#include "hw/iommu/pgfault-stream.h"
#include "hw/iommu/vevent-stream.h"

#include <glib.h>

#define MAX_READ 4096
#define RECORD_SIZE 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* In a block of its own, so that a sanitizer sees a read past the end. */
static uint8_t *take_read(FuzzInput *in, size_t *len)
{
    uint8_t *buf;

    *len = MIN(fuzz_u16(in) % (MAX_READ + 1), fuzz_left(in));
    buf = g_malloc(*len);
    fuzz_bytes(in, buf, *len);
    return buf;
}

static void read_vevents(VeventStream *stream, FuzzInput *in)
{
    g_autofree uint8_t *buf = NULL;
    VeventKind kind;
    size_t items = 0;
    Vevent event;
    size_t len;

    buf = take_read(in, &len);
    vevent_stream_feed(stream, buf, len);
    while ((kind = vevent_stream_next(stream, &event)) != VEVENT_END) {
        g_assert_cmpuint(items++, <=, len / 8);
        g_assert((kind == VEVENT_EVENT) == (event.data != NULL));
        if (event.data) {
            g_assert(event.data >= buf && event.data + RECORD_SIZE <= buf + len);
        }
    }
    g_assert_cmpint(vevent_stream_next(stream, &event), ==, VEVENT_END);
}

static void read_pgfaults(PgfaultStream *stream, FuzzInput *in)
{
    g_autofree uint8_t *buf = NULL;
    PgfaultGroup group;
    PgfaultKind kind;
    size_t records = 0;
    size_t len;

    buf = take_read(in, &len);
    pgfault_stream_feed(stream, buf, len);
    while ((kind = pgfault_stream_next(stream, &group)) != PGFAULT_END) {
        g_assert((kind == PGFAULT_TRUNCATED) == (group.count == 0));
        for (size_t i = 0; i < group.count; i++) {
            pgfault_group_page(&group, i);
        }
        records += group.count;
        g_assert_cmpuint(records, <=, len / PGFAULT_RECORD_SIZE);
    }
    g_assert_cmpint(pgfault_stream_next(stream, &group), ==, PGFAULT_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    PgfaultStream pgfaults = { 0 };
    VeventStream vevents;

    vevent_stream_init(&vevents, RECORD_SIZE);
    while (fuzz_left(&in) > 0) {
        if (fuzz_u8(&in) & 1) {
            read_vevents(&vevents, &in);
        } else {
            read_pgfaults(&pgfaults, &in);
        }
    }
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}
