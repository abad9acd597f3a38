/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A QueueReader whose bytes go through a PgfaultStream. The contract is in the
 * header.
 */
#include "hw/iommu/fault-pump.h"

#include <errno.h>

/* Consecutive flushes that are told "try again", before it is given up. */
#define MAX_RETRIES 4096

struct FaultPump {
    const FaultPumpOps *ops;    /* [const] */
    void *opaque;               /* [const] */
    QueueReader reader;
    uint8_t *buf;               /* [iothread] of capacity records */
    uint32_t capacity;          /* [iothread] */
    uint32_t want;              /* [iothread] pages that the first group has,
                                   at least, as far as is known */
    uint32_t asked;             /* [iothread] records of the last read */
    bool waits;                 /* [iothread] there was no room last time */
    unsigned retries;           /* [iothread] of flushes, consecutive */
    PgfaultGroup groups[PAGE_GROUP_BATCH];  /* [iothread] */
};

/* Return: false if there is no memory; all stays as it is. */
static bool pump_grow(FaultPump *pump, uint32_t records)
{
    uint8_t *buf;

    if (records <= pump->capacity) {
        return true;
    }
    buf = g_try_realloc(pump->buf, (size_t)records * PGFAULT_RECORD_SIZE);
    if (!buf) {
        return false;
    }
    pump->buf = buf;
    pump->capacity = records;
    pump->reader.buf = buf;
    return true;
}

static size_t pump_room(void *opaque)
{
    FaultPump *pump = opaque;
    uint32_t room = pump->ops->room(pump->opaque, pump->want);

    pump->waits = room < pump->want;
    if (pump->waits) {
        return 0;
    }
    /* However large the first group is, these are a batch of groups at most. */
    pump->asked = MIN(room, pump->want - 1 + PAGE_GROUP_BATCH);
    pump->asked = MIN(pump->asked, FAULT_PUMP_GROUP_MAX);
    if (!pump_grow(pump, pump->asked)) {
        pump->asked = pump->capacity;
    }
    return (size_t)pump->asked * PGFAULT_RECORD_SIZE;
}

/*
 * EINVAL: the first group is larger than what was asked for. There was no
 * memory to ask for more if that is less than is wanted already.
 */
static int pump_refused(void *opaque, int err)
{
    FaultPump *pump = opaque;

    if (err != EINVAL || pump->asked >= FAULT_PUMP_GROUP_MAX) {
        return err;
    }
    if (pump->asked < pump->want) {
        return ENOMEM;
    }
    pump->want = pump->asked + 1;
    return 0;
}

static bool pump_take(void *opaque, size_t len)
{
    FaultPump *pump = opaque;
    PgfaultStream stream;
    PgfaultGroup group;
    PgfaultKind kind;
    size_t count = 0;

    pump->want = 1;
    pgfault_stream_feed(&stream, pump->buf, len);
    while ((kind = pgfault_stream_next(&stream, &group)) != PGFAULT_END) {
        if (kind != PGFAULT_GROUP) {
            pump->ops->malformed(pump->opaque, &group);
            continue;
        }
        pump->groups[count++] = group;
        if (count == PAGE_GROUP_BATCH) {
            pump->ops->deliver(pump->opaque, pump->groups, count);
            count = 0;
        }
    }
    if (count > 0) {
        pump->ops->deliver(pump->opaque, pump->groups, count);
    }
    pump->ops->seen(pump->opaque);
    return true;
}

static void pump_failed(void *opaque, const char *message)
{
    FaultPump *pump = opaque;

    pump->ops->failed(pump->opaque, message);
}

static const QueueReaderOps pump_ops = {
    .name = "fault queue",
    .revival = "the guest sets up its first PASID with page requests again",
    .turn_reads = 1,            /* groups cost more than events */
    .room = pump_room,
    .take = pump_take,
    .refused = pump_refused,
    .failed = pump_failed,
};

int fault_pump_start(FaultPump *pump)
{
    return queue_reader_start(&pump->reader);
}

bool fault_pump_run(FaultPump *pump)
{
    return queue_reader_run(&pump->reader);
}

bool fault_pump_waits(const FaultPump *pump)
{
    return pump->waits && queue_reader_is_open(&pump->reader);
}

void fault_pump_settle(FaultPump *pump)
{
    queue_reader_settle(&pump->reader);
}

void fault_pump_look_anew(FaultPump *pump)
{
    pump->want = 1;
    /* Or there is none: what the fd was ready for has gone, as it may. */
    pump->reader.failures = 0;
}

static void pump_write_failed(FaultPump *pump, int err)
{
    g_autofree char *message = g_strdup_printf(
        "fault queue %u: write() fails: %s; answers are left to the host",
        pump->reader.queue.id, g_strerror(-err));

    queue_reader_close(&pump->reader);
    pump->ops->failed(pump->opaque, message);
}

bool fault_pump_flush(FaultPump *pump, PageRequestTable *table)
{
    const HostQueue *queue = &pump->reader.queue;
    int ret = 0;

    if (page_request_unwritten(table) == 0) {
        return true;
    }
    if (queue_reader_is_open(&pump->reader)) {
        ret = page_request_flush(table, queue->host, queue->fd);
        if (ret == 0) {
            pump->retries = 0;
            return true;
        }
        if ((ret == -EINTR || ret == -EAGAIN) &&
            ++pump->retries < MAX_RETRIES) {
            return false;
        }
        pump_write_failed(pump, ret);
    }
    page_request_forget_answers(table);
    return true;
}

FaultPump *fault_pump_new(AioContext *ctx, const HostQueue *queue,
                          const FaultPumpOps *ops, void *opaque)
{
    FaultPump *pump = g_try_new0(FaultPump, 1);

    if (!pump) {
        return NULL;
    }
    pump->ops = ops;
    pump->opaque = opaque;
    pump->want = 1;
    queue_reader_init(&pump->reader, ctx, queue, NULL, &pump_ops, pump);
    if (!pump_grow(pump, PAGE_GROUP_BATCH)) {
        g_free(pump);
        return NULL;
    }
    return pump;
}

void fault_pump_free(FaultPump *pump)
{
    g_assert(aio_in_home_thread(pump->reader.ctx));
    queue_reader_destroy(&pump->reader);
    g_free(pump->buf);
    g_free(pump);
}
