/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes of host reads against the two stream cursors. The input is a list of
 * reads: a byte that chooses the stream and how many of its items are taken,
 * two for a length, the bytes.
 *
 * Checked: the items are those that the oracle finds, every sequence number is
 * delivered or lost in one of them, and nothing outside the read is touched.
 */
#include "fuzz-input.h"
#include "stream-oracle.h"
#include "tests/support/vevent-follow.h"

#include <glib.h>

#define RECORD_SIZE 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* In a block of its own, so that a sanitizer sees a read past the end. */
static uint8_t *take_read(FuzzInput *in, size_t *len)
{
    uint8_t *buf;

    *len = fuzz_length(in, ORACLE_READ_MAX);
    buf = g_malloc(*len);
    fuzz_bytes(in, buf, *len);
    return buf;
}

/* Items of a read to take: all, or the first few. */
static size_t patience(uint8_t choice)
{
    return choice & 2 ? choice >> 4 : SIZE_MAX;
}

/* What may go on from item @i: what the oracle has without a loss, up to where
 * the numbers wrap. */
static size_t run_of_items(const VeventItem *items, size_t count, size_t i,
                           uint64_t position)
{
    size_t run = 0;

    for (i++; i < count && items[i].kind == VEVENT_EVENT &&
              items[i].sequence == (position + run) % VEVENT_NUMBERS &&
              items[i].sequence != VEVENT_NUMBERS - 1;
         i++) {
        run++;
    }
    return run;
}

static void read_vevents(VeventStream *stream, uint64_t *position,
                         uint8_t choice, FuzzInput *in)
{
    g_autofree uint8_t *buf = NULL;
    VeventItem items[ORACLE_ITEMS];
    Vevent event;
    size_t count;
    size_t len;

    buf = take_read(in, &len);
    count = vevent_oracle(buf, len, RECORD_SIZE, items);
    vevent_stream_feed(stream, buf, len);
    for (size_t i = 0; i < MIN(count, patience(choice)); i++) {
        VeventKind kind = vevent_stream_next(stream, &event);

        g_assert_cmpint(kind, ==, items[i].kind);
        g_assert_cmpuint(event.sequence, ==, items[i].sequence);
        g_assert_true(event.data ==
                      (kind == VEVENT_EVENT ? buf + items[i].at : NULL));
        vevent_oracle_check(position, &items[i], &event);
        if (choice & 4 && kind == VEVENT_EVENT) {
            size_t run = run_of_items(items, count, i, *position);

            for (size_t k = 1; k <= run; k++) {
                g_assert_true(vevent_follow(stream, RECORD_SIZE) ==
                              buf + items[i + k].at);
            }
            g_assert_null(vevent_follow(stream, RECORD_SIZE));
            *position += run;
            i += run;
        }
    }
    for (unsigned i = 0; i < 2 && patience(choice) == SIZE_MAX; i++) {
        g_assert_cmpint(vevent_stream_next(stream, &event), ==, VEVENT_END);
        g_assert_cmpuint(event.lost, ==, 0);
    }
}

static void read_pgfaults(PgfaultStream *stream, uint8_t choice, FuzzInput *in)
{
    g_autofree uint8_t *buf = NULL;
    PgfaultItem items[ORACLE_ITEMS];
    PgfaultGroup group;
    size_t count;
    size_t len;

    buf = take_read(in, &len);
    count = pgfault_oracle(buf, len, items);
    pgfault_stream_feed(stream, buf, len);
    for (size_t i = 0; i < MIN(count, patience(choice)); i++) {
        g_assert_cmpint(pgfault_stream_next(stream, &group), ==, items[i].kind);
        pgfault_oracle_check(buf, &items[i], &group);
    }
    for (unsigned i = 0; i < 2 && patience(choice) == SIZE_MAX; i++) {
        g_assert_cmpint(pgfault_stream_next(stream, &group), ==, PGFAULT_END);
        g_assert_cmpuint(group.count, ==, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    PgfaultStream pgfaults;
    VeventStream vevents;
    uint64_t position = 0;
    uint8_t choice;

    /* Needs no initialisation: whatever was there must not matter. */
    memset(&pgfaults, 0xa5, sizeof(pgfaults));
    vevent_stream_init(&vevents, RECORD_SIZE);
    while (fuzz_left(&in) > 0) {
        choice = fuzz_u8(&in);
        if (choice & 1) {
            read_vevents(&vevents, &position, choice, &in);
        } else {
            read_pgfaults(&pgfaults, choice, &in);
        }
    }
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}
