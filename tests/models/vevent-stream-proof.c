/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proof by cbmc of hw/iommu/vevent-stream.c: one step of the cursor, from any
 * place in a read of up to MAX_READ bytes of any content, records of any size
 * up to MAX_RECORD, whatever number is expected. No access is outside the read,
 * every item makes progress, and numbers are counted as 64 bits count them.
 *
 * The step keeps what it starts from, so all of this holds of any number of
 * them: of a whole read, and of one after the other.
 *
 * run: -              | unwind 1 | pass
 * run: BAD_NO_CUT     | unwind 1 | fail upper bound|inside the read
 * run: BAD_NO_HEADER  | unwind 1 | fail upper bound|inside the read
 * run: BAD_MASK       | unwind 1 | fail numbers add up
 * run: BAD_LAST_LOST  | unwind 1 | fail numbers add up
 * run: BAD_NO_SKIP    | unwind 1 | fail nothing comes after what is malformed
 *
 * mutate: BAD_NO_CUT hw/iommu/vevent-stream.c s/bytes_left(stream) < stream->record_size/0/
 * mutate: BAD_NO_HEADER hw/iommu/vevent-stream.c s/bytes_left(stream) < sizeof(header)/0/
 * mutate: BAD_MASK hw/iommu/vevent-stream.c s/return (sequence - number_due(stream)) % VEVENT_NUMBERS/return sequence - number_due(stream)/
 * mutate: BAD_LAST_LOST hw/iommu/vevent-stream.c s/numbers_before(stream, sequence + 1)/numbers_before(stream, sequence)/
 * mutate: BAD_NO_SKIP hw/iommu/vevent-stream.c s/stream->pos = stream->end;//
 */
#include "hw/iommu/vevent-stream.c"

#include <stdlib.h>

#define CHECK(what, condition) __CPROVER_assert(condition, what)
#define ASSUME(condition) __CPROVER_assume(condition)

enum { MAX_READ = 100, MAX_RECORD = 40, HEADER = 8 };

#define NUMBERS (UINT64_C(1) << 31)

uint32_t nondet_u32(void);
size_t nondet_size(void);

/* Numbers never wrap here: the next ones that have these low bits. */
static uint64_t number_from(uint64_t from, uint32_t sequence)
{
    uint64_t number = from - from % NUMBERS + sequence;

    return number >= from ? number : number + NUMBERS;
}

static void check_item(const VeventStream *stream, VeventKind kind,
                       const Vevent *event, const uint8_t *buf, size_t len,
                       uint64_t *expected)
{
    uint64_t number;

    if (kind == VEVENT_MALFORMED) {
        CHECK("a malformed item names nothing",
              !event->data && !event->lost && !event->sequence);
        CHECK("nothing comes after what is malformed",
              stream->pos == buf + len);
        return;
    }
    CHECK("an event has data", (kind == VEVENT_EVENT) == (event->data != 0));
    CHECK("numbers have 31 bits", event->sequence < NUMBERS);
    if (kind == VEVENT_EVENT) {
        CHECK("data is inside the read",
              event->data - buf >= HEADER &&
              event->data - buf + stream->record_size <= len);
        number = number_from(*expected, event->sequence);
        CHECK("numbers add up", *expected + event->lost == number);
    } else {
        number = number_from(*expected, (event->sequence + 1) % NUMBERS) - 1;
        CHECK("numbers add up to a lost tail",
              *expected + event->lost == number + 1);
    }
    *expected = number + 1;
}

int main(void)
{
    VeventStream stream;
    const size_t len = nondet_size();
    const size_t record_size = nondet_size();
    const size_t done = nondet_size();
    uint64_t expected = nondet_u32();
    uint8_t *buf;
    VeventKind kind;
    Vevent event;

    ASSUME(len <= MAX_READ && record_size <= MAX_RECORD);
    ASSUME(done <= len);
    ASSUME(expected < NUMBERS);
    buf = malloc(len);
    ASSUME(buf);

    vevent_stream_init(&stream, record_size);
    CHECK("the first number is 0", stream.due == 0);
    vevent_stream_feed(&stream, buf, len);
    CHECK("a read begins at its beginning", stream.pos == buf);
    set_due(&stream, expected);
    stream.pos = buf + done;

    kind = vevent_stream_next(&stream, &event);
    CHECK("the cursor stays inside the read",
          stream.pos - buf >= (ptrdiff_t)done &&
              stream.pos - buf <= (ptrdiff_t)len);
    CHECK("the end is where all was read",
          (kind == VEVENT_END) == (done == len));
    if (kind != VEVENT_END) {
        CHECK("every item makes progress, of a header at least",
              stream.pos - buf >= (ptrdiff_t)done + HEADER ||
                  stream.pos == buf + len);
        check_item(&stream, kind, &event, buf, len, &expected);
    }
    CHECK("what is expected is the next number",
          number_due(&stream) == expected % NUMBERS);
    free(buf);
    return 0;
}
