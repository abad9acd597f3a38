/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proof by cbmc of the burst that a sink takes from a stream: from any place in
 * a read of up to MAX_READ bytes of any content, records of any size up to
 * MAX_RECORD, whatever number is due, an event that is peeked at while some are
 * ahead is what vevent_stream_next() would have taken, with nothing lost before
 * it; and there is none else but at the wrap of the numbers.
 *
 * run: -                | unwind 1 | pass
 * run: BAD_FOLLOW_CUT   | unwind 1 | fail what comes next
 * run: BAD_FOLLOW_FLAGS | unwind 1 | fail what comes next
 * run: BAD_FOLLOW_GAP   | unwind 1 | fail what comes next
 * run: BAD_FOLLOW_WRAP  | unwind 1 | fail as if it were taken alone
 *
 * mutate: BAD_FOLLOW_CUT include/hw/iommu/vevent-stream.h s/+ record_size);/+ 0);/
 * mutate: BAD_FOLLOW_FLAGS include/hw/iommu/vevent-stream.h s/ | header->flags//
 * mutate: BAD_FOLLOW_GAP include/hw/iommu/vevent-stream.h s/== stream->due$/% (UINT64_C(1) << 32) == 0/
 * mutate: BAD_FOLLOW_WRAP include/hw/iommu/vevent-stream.h s/VEVENT_NUMBERS - 1 - /VEVENT_NUMBERS - /
 */
#include "hw/iommu/vevent-stream.c"
#include "tests/support/vevent-follow.h"

#include <stdlib.h>

#define CHECK(what, condition) __CPROVER_assert(condition, what)
#define ASSUME(condition) __CPROVER_assume(condition)

enum { MAX_READ = 100, MAX_RECORD = 40 };

uint32_t nondet_u32(void);
size_t nondet_size(void);

int main(void)
{
    const size_t record_size = nondet_size();
    const size_t len = nondet_size();
    const uint32_t number = nondet_u32();
    VeventStream stream, alone;
    const uint8_t *data;
    VeventKind kind;
    Vevent event;
    uint8_t *buf;

    ASSUME(len <= MAX_READ && record_size <= MAX_RECORD);
    ASSUME(number < VEVENT_NUMBERS);
    buf = malloc(len);          /* of any content, to cbmc */
    ASSUME(buf);
    vevent_stream_init(&stream, record_size);
    vevent_stream_feed(&stream, buf, len);
    set_due(&stream, number);
    alone = stream;

    data = vevent_follow(&stream, record_size);
    kind = vevent_stream_next(&alone, &event);
    CHECK("it follows if that is what comes next",
          (data != NULL) == (kind == VEVENT_EVENT && event.lost == 0 &&
                             number < VEVENT_NUMBERS - 1));
    CHECK("it is taken as if it were taken alone",
          !data || (data == event.data && stream.pos == alone.pos &&
                    stream.due == alone.due));
    CHECK("or nothing is taken",
          data || (stream.pos == buf && number_due(&stream) == number));
    return 0;
}
