/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proof by cbmc of vevent_stream_run(): from any place in a read of up to
 * MAX_READ bytes of any content, whatever number is expected, a run is of whole
 * events inside the read, those that would have been taken one by one, all of
 * them; also across the wrap.
 *
 * run: -              | unwind 5 | pass
 * run: BAD_RUN_CUT    | unwind 5 | fail upper bound|inside the read
 * run: BAD_RUN_GAP    | unwind 5 | fail would have been taken
 * run: BAD_RUN_MASK   | unwind 5 | fail a number for each
 * run: BAD_RUN_WRAP   | unwind 5 | fail ends for a reason
 *
 * mutate: BAD_RUN_CUT hw/iommu/vevent-stream.c s/bytes_left(stream) . slot/bytes_left(stream) \/ slot + 1/
 * mutate: BAD_RUN_GAP hw/iommu/vevent-stream.c s/word != expected/(uint32_t)word/
 * mutate: BAD_RUN_MASK hw/iommu/vevent-stream.c s/(stream->expected + plain) & SEQUENCE_MASK/stream->expected + plain/
 * mutate: BAD_RUN_WRAP hw/iommu/vevent-stream.c s/plain == piece && count < most/0/
 */
#include "hw/iommu/vevent-stream.c"

#include <stdbool.h>

#define CHECK(what, condition) __CPROVER_assert(condition, what)
#define ASSUME(condition) __CPROVER_assume(condition)

/* Three events, of data of RECORD bytes: the header is what is looked at. */
enum { HEADER = 8, RECORD = 1, SLOT = HEADER + RECORD, MAX_READ = 3 * SLOT };

#define NUMBERS (UINT64_C(1) << 31)

uint32_t nondet_u32(void);
size_t nondet_size(void);

static bool header_is(const uint8_t *pos, uint32_t sequence)
{
    struct iommufd_vevent_header header;

    memcpy(&header, pos, sizeof(header));
    return header.flags == 0 && header.sequence == sequence;
}

int main(void)
{
    VeventStream stream;
    const size_t len = nondet_size();
    const uint32_t expected = nondet_u32();
    uint8_t buf[MAX_READ];      /* of any content, to cbmc */
    size_t run;

    ASSUME(len <= MAX_READ && expected < NUMBERS);
    vevent_stream_init(&stream, RECORD);
    vevent_stream_feed(&stream, buf, len);
    stream.expected = expected;

    run = vevent_stream_run(&stream);
    CHECK("a run is of whole events inside the read",
          stream.pos == buf + run * SLOT && run * SLOT <= len);
    CHECK("a run has a number for each event",
          stream.expected == (expected + run) % NUMBERS);
    for (size_t i = 0; i < 3; i++) {
        CHECK("it is what would have been taken one by one",
              i >= run ||
                  header_is(buf + i * SLOT, (expected + i) % NUMBERS));
    }
    CHECK("it ends for a reason",
          len - run * SLOT < SLOT ||
              !header_is(buf + run * SLOT, stream.expected));
    return 0;
}
