/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An event pump between a hostile host and a sink whose room comes and goes.
 * The input is a list of steps, and what the host answers meanwhile.
 *
 * Checked: what the sink gets is what an oracle finds in the bytes, once, and
 * never more than it has room for; no read of more than that, none without
 * room, none before the last one was handed over; a turn has few reads; a host
 * that keeps saying "ready" and gives nothing is given up.
 */
#include "hostile-host.h"
#include "hw/iommu/event-pump.h"
#include "stream-oracle.h"
#include "tests/support/vevent-follow.h"

#include "host/iommufd-abi.h"
#include "message-log.h"

#include <errno.h>

#define RECORD_SIZE 32
#define SLOT_SIZE (sizeof(struct iommufd_vevent_header) + RECORD_SIZE)

/* As in queue-reader.c, with some to spare. */
#define MOST_FAILURES 20
#define MOST_RETRIES 4100
#define MOST_INTERRUPTS 16       /* of a read */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

typedef struct Rig {
    FuzzInput in;
    AioContext *ctx;
    HostileHost host;
    EventPump *pump;
    uint32_t depth;
    uint32_t room;              /* the sink's, ... */
    bool aborted;               /* ... which then does not matter */
    bool off;                   /* the sink is, so the pump is being drained */
    bool busy;                  /* polling */
    unsigned turn_reads;        /* at most so many in this turn */
    unsigned failures;
    uint32_t sequence;          /* of the next well-formed event */
    uint64_t position;          /* numbers accounted for */
    bool pending;               /* a read that was not delivered yet */
    size_t count;               /* items of the last read */
} Rig;

/* Too large to be cleared for each input. */
static VeventItem items[ORACLE_ITEMS];
static uint8_t bytes[ORACLE_READ_MAX];

/* ---- The host ---- */

static size_t fill(void *opaque, uint8_t *buf, size_t count)
{
    Rig *rig = opaque;
    unsigned events = fuzz_u8(&rig->in);
    uint8_t choice = fuzz_u8(&rig->in);
    struct iommufd_vevent_header header = { 0 };
    size_t len = 0;

    /* Some are lost before, a wrap is near, or neither. */
    rig->sequence += choice & 1 ? choice : 0;
    rig->sequence |= choice & 2 ? 0x7ffffff0 : 0;
    for (; events > 0 && len + SLOT_SIZE <= count; events--) {
        header.sequence = rig->sequence++ & INT32_MAX;
        memcpy(buf + len, &header, sizeof(header));
        memset(buf + len + sizeof(header), events, RECORD_SIZE);
        len += SLOT_SIZE;
    }
    if (choice & 4 && len + sizeof(header) <= count) {
        header.flags = IOMMU_VEVENTQ_FLAG_LOST_EVENTS;
        header.sequence = rig->sequence++ & INT32_MAX;
        memcpy(buf + len, &header, sizeof(header));
        len += sizeof(header);
    }
    return len;
}

static uint32_t sink_says(const Rig *rig)
{
    return rig->off || rig->aborted ? EVENT_ROOM_UNLIMITED : rig->room;
}

static size_t most_bytes(const Rig *rig)
{
    return MIN(sink_says(rig), EVENT_PUMP_BATCH) * SLOT_SIZE +
           sizeof(struct iommufd_vevent_header);
}

static void gave(void *opaque, const uint8_t *buf, size_t len)
{
    Rig *rig = opaque;

    g_assert_false(rig->pending);
    rig->pending = true;
    memcpy(bytes, buf, len);
    rig->count = vevent_oracle(bytes, len, RECORD_SIZE, items);
}

static const HostileHostOps host_ops = { .fill = fill, .gave = gave };

/* ---- The sink ---- */

static uint32_t sink_room(void *opaque)
{
    Rig *rig = opaque;

    g_assert_false(rig->off);
    return sink_says(rig);
}

/* One after the other, or by runs, as the real sink does. */
static size_t take_events(Rig *rig, VeventStream *stream, uint64_t *lost)
{
    const uint8_t *follower;
    size_t events = 0;
    VeventKind kind;
    Vevent event;

    for (size_t i = 0; i < rig->count; i++) {
        follower = i % 3 ? vevent_follow(stream, RECORD_SIZE) : NULL;
        kind = VEVENT_EVENT;
        event = (Vevent){ .data = follower };
        if (!follower) {
            kind = vevent_stream_next(stream, &event);
            *lost += event.lost;
        }
        g_assert_cmpint(kind, ==, items[i].kind);
        if (kind == VEVENT_EVENT) {
            g_assert_cmpmem(event.data, RECORD_SIZE, bytes + items[i].at,
                            RECORD_SIZE);
            events++;
        }
    }
    g_assert_cmpint(vevent_stream_next(stream, &event), ==, VEVENT_END);
    return events;
}

static uint32_t sink_deliver(void *opaque, VeventStream *stream)
{
    Rig *rig = opaque;
    uint64_t lost = 0;
    size_t events;

    g_assert_true(rig->pending);
    rig->pending = false;
    events = take_events(rig, stream, &lost);
    g_assert_cmpuint(lost, ==,
                     vevent_oracle_lost(&rig->position, items, rig->count));
    g_assert_cmpuint(events, <=, sink_says(rig));
    rig->room -= sink_says(rig) == EVENT_ROOM_UNLIMITED ? 0 : events;
    return sink_says(rig);
}

static void sink_failed(void *opaque, const char *message)
{
    Rig *rig = opaque;

    if (hostile_host_takes_message(&rig->host, message)) {
        return;
    }
    g_assert_cmpuint(rig->failures++, ==, 0);
    g_assert_cmpuint(rig->host.closed, ==, 1);
    g_assert_cmpuint(rig->host.destroyed, ==, 1);
    g_assert_nonnull(strstr(message, "vEVENTQ 42"));
}

static const EventSinkOps sink_ops = {
    .room = sink_room,
    .deliver = sink_deliver,
    .failed = sink_failed,
};

/* ---- Steps ---- */

static void run(Rig *rig)
{
    unsigned reads = rig->host.reads;
    size_t most = most_bytes(rig);
    bool was_pending = rig->pending;
    uint32_t room = sink_says(rig);

    event_pump_run(rig->pump);
    g_assert_false(rig->pending);
    g_assert_cmpuint(rig->host.reads - reads, <=,
                     room > 0 && !was_pending ? 1 : 0);
    if (rig->host.reads > reads) {
        g_assert_cmpuint(rig->host.asked, <=, most);
    }
}

/*
 * The guest's consumer makes room, and ends an abort: what was read without
 * limit is to be taken before that.
 */
static void make_room(Rig *rig, uint32_t more)
{
    if (rig->aborted) {
        run(rig);
        rig->aborted = false;
    }
    rig->room += more;
}

static void change_room(Rig *rig)
{
    uint8_t choice = fuzz_u8(&rig->in);

    if (choice == 0xff) {
        rig->aborted = true;
    } else {
        make_room(rig, choice);
    }
}

static void free_pump(Rig *rig)
{
    unsigned reads = rig->host.reads;

    rig->off = true;
    event_pump_free(g_steal_pointer(&rig->pump));
    g_assert_false(rig->pending);
    /* A full queue, a read each, and two more; interrupted, each of them. */
    g_assert_cmpuint(rig->host.reads - reads, <=,
                     (rig->depth + 2) * MOST_INTERRUPTS);
}

/* In a turn, after the busy polling and before its handler. */
static void amid_turn(void *opaque)
{
    Rig *rig = opaque;

    switch (fuzz_below(&rig->in, 8)) {
    case 0:
        run(rig);
        break;
    case 1:
        change_room(rig);
        break;
    case 2:
        rig->turn_reads = UINT_MAX;     /* draining has its own limit */
        free_pump(rig);
        break;
    default:
        break;
    }
}

/*
 * One turn of the loop. Something has to end the busy polling, and is looked at
 * after the tests.
 */
static bool turn(Rig *rig)
{
    unsigned reads = rig->host.reads;
    bool progress;

    rig->turn_reads = EVENT_PUMP_READS;
    if (rig->busy) {
        /* The test's, the bottom half's, the handler's. */
        rig->turn_reads = EVENT_PUMP_READS + 2;
        aio_bh_schedule_oneshot(rig->ctx, amid_turn, rig);
    }
    progress = aio_poll(rig->ctx, rig->busy);
    g_assert_cmpuint(rig->host.reads - reads, <=, rig->turn_reads);
    return progress;
}

static void step(Rig *rig)
{
    switch (fuzz_below(&rig->in, 8)) {
    case 0:
        run(rig);
        break;
    case 1:
        change_room(rig);
        break;
    case 2:
        hostile_host_set_ready(&rig->host, true);
        break;
    case 3:
        hostile_host_set_ready(&rig->host, false);
        break;
    case 4:
        rig->busy = fuzz_u8(&rig->in) & 1;
        aio_set_poll_params(rig->ctx, rig->busy ? 1000 * 1000 : 0, 0, 0);
        break;
    case 5:
        if (fuzz_u8(&rig->in) == 0xff) {
            hostile_host_hang_up(&rig->host);
        }
        break;
    default:
        turn(rig);
        break;
    }
}

/* The input is used up: the host says "ready", and gives nothing any more. */
static void check_no_spin(Rig *rig, int last_errno)
{
    const bool again = last_errno == EAGAIN || last_errno == EINTR;
    unsigned turns = 0;

    rig->busy = false;
    aio_set_poll_params(rig->ctx, 0, 0, 0);
    rig->host.last_errno = last_errno;
    make_room(rig, 1);
    run(rig);
    hostile_host_set_ready(&rig->host, true);
    while (aio_poll(rig->ctx, false)) {
        g_assert_cmpuint(turns++, <, again ? MOST_RETRIES : MOST_FAILURES);
    }
    g_assert_cmpuint(rig->failures, ==, 1);
}

static void rig_init(Rig *rig)
{
    HostQueue queue;

    rig->ctx = aio_context_new(NULL);
    g_assert_nonnull(rig->ctx);
    aio_context_bind(rig->ctx);
    queue = hostile_host_init(&rig->host, &rig->in, &host_ops, rig);
    queue.depth = rig->depth = 1 + fuzz_u8(&rig->in);
    queue.record_size = RECORD_SIZE;
    rig->pump = event_pump_new(rig->ctx, &queue, &sink_ops, rig);
}

static void rig_finish(Rig *rig)
{
    if (rig->pump) {
        free_pump(rig);
    }
    hostile_host_finish(&rig->host);
    aio_context_unref(rig->ctx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Rig rig = { .in = { data, size } };
    int last_errno;
    uint8_t end;

    message_log_start();
    rig_init(&rig);
    end = fuzz_u8(&rig.in);
    last_errno = hostile_host_last_errno(&rig.host);
    /* Some input is left for the end. */
    while (rig.pump && fuzz_left(&rig.in) > end % 64) {
        step(&rig);
    }
    if (rig.pump && end >= 128) {
        rig.in.size = 0;
        check_no_spin(&rig, last_errno);
    }
    rig_finish(&rig);
    message_log_stop();
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}
