/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A QueueReader whose bytes go through a VeventStream. The contract is in the
 * header.
 */
#include "hw/iommu/event-pump.h"

#include <errno.h>

/* The largest record that there is: IOMMU_VEVENTQ_TYPE_ARM_SMMUV3's. */
#define RECORD_BYTES_MAX 32

#define READ_BYTES \
    (EVENT_PUMP_BATCH * (sizeof(struct iommufd_vevent_header) + \
                         RECORD_BYTES_MAX) + \
     sizeof(struct iommufd_vevent_header))

/* A read is taken before the callback that made it returns. */
G_STATIC_ASSERT(READ_BYTES <= AIO_SCRATCH_BYTES);

/* But busy polling's reads, which wait for their handlers. */
#define POLLED_RECORDS 32

/* Interrupted reads in a row, after which a queue that closes is left. */
#define MAX_INTERRUPTS 16

struct EventPump {
    const EventSinkOps *ops;    /* [const] */
    void *opaque;               /* [const] */
    QueueReader reader;
    uint32_t room;              /* [iothread] at least this; 0 not known */
    VeventStream stream;        /* [iothread] */
    uint8_t polled[];           /* [iothread] POLLED_RECORDS */
};

static size_t slot_size(const HostQueue *queue)
{
    return sizeof(struct iommufd_vevent_header) + queue->record_size;
}

/*
 * Bytes for @records: also a LOST_EVENTS header after the last of them, so
 * that it needs no read of its own.
 */
static size_t buf_size(const HostQueue *queue, uint32_t records)
{
    return records * slot_size(queue) + sizeof(struct iommufd_vevent_header);
}

/* @wait: what is read has to wait. Return: records that the buffer holds. */
static uint32_t pump_choose_buf(EventPump *pump, bool wait)
{
    pump->reader.buf = wait ? pump->polled : aio_get_scratch(pump->reader.ctx);
    return wait ? POLLED_RECORDS : EVENT_PUMP_BATCH;
}

/*
 * The consumer only ever makes more room, so what the sink last said is good
 * for as long as it is a number. "Unlimited" ends when the guest acknowledges
 * an abort, so it is asked for anew.
 */
static void pump_learn_room(EventPump *pump, uint32_t room)
{
    pump->room = room == EVENT_ROOM_UNLIMITED ? 0 : room;
}

static size_t pump_room(void *opaque)
{
    EventPump *pump = opaque;
    QueueReader *reader = &pump->reader;
    uint32_t most = pump_choose_buf(pump, reader->polling);
    uint32_t room = pump->room;

    if (room < most) {
        room = pump->ops->room(pump->opaque);
        pump_learn_room(pump, room);
    }
    return room ? buf_size(&reader->queue, MIN(room, most)) : 0;
}

static bool pump_take(void *opaque, size_t len)
{
    EventPump *pump = opaque;
    uint32_t room;

    vevent_stream_feed(&pump->stream, pump->reader.buf, len);
    room = pump->ops->deliver(pump->opaque, &pump->stream);
    pump_learn_room(pump, room);
    return room > 0;
}

static void pump_failed(void *opaque, const char *message)
{
    EventPump *pump = opaque;

    queue_reader_destroy(&pump->reader);
    pump->ops->failed(pump->opaque, message);
}

static const QueueReaderOps pump_ops = {
    .name = "vEVENTQ",
    .revival = "the guest enables its event queue again",
    .turn_reads = EVENT_PUMP_READS,
    .room = pump_room,
    .take = pump_take,
    .failed = pump_failed,
};

int event_pump_start(EventPump *pump)
{
    return queue_reader_start(&pump->reader);
}

void event_pump_run(EventPump *pump)
{
    queue_reader_run(&pump->reader);
}

EventPump *event_pump_new(AioContext *ctx, const HostQueue *queue,
                          const EventSinkOps *ops, void *opaque)
{
    EventPump *pump =
        g_try_malloc0(sizeof(*pump) + buf_size(queue, POLLED_RECORDS));

    g_assert(queue->record_size <= RECORD_BYTES_MAX);
    if (!pump) {
        return NULL;
    }
    pump->ops = ops;
    pump->opaque = opaque;
    queue_reader_init(&pump->reader, ctx, queue, NULL, &pump_ops, pump);
    vevent_stream_init(&pump->stream, queue->record_size);
    return pump;
}

/*
 * What is left, however fast it fills at most a full queue of it, with a turn
 * for the LOST_EVENTS header. A host that only says EINTR has nothing.
 */
static void pump_drain(EventPump *pump)
{
    const HostQueue *queue = &pump->reader.queue;
    uint64_t budget = queue->depth + UINT64_C(2);
    unsigned interrupts = 0;
    uint32_t most;
    uint64_t taken;
    ssize_t ret;

    queue_reader_settle(&pump->reader);
    most = pump_choose_buf(pump, false);
    while (budget > 0) {
        ret = queue_reader_fill(&pump->reader, buf_size(queue, most));
        if (ret == -EINTR && ++interrupts < MAX_INTERRUPTS) {
            continue;
        }
        if (ret <= 0) {
            break;
        }
        interrupts = 0;
        taken = MAX(ret / slot_size(queue), 1);
        budget -= MIN(budget, taken);
        pump_take(pump, ret);
    }
}

void event_pump_free(EventPump *pump)
{
    g_assert(aio_in_home_thread(pump->reader.ctx));
    if (queue_reader_is_open(&pump->reader)) {
        queue_reader_unwatch(&pump->reader);
        pump_drain(pump);
        queue_reader_destroy(&pump->reader);
    }
    g_free(pump);
}
