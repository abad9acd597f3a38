/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A HostIommu over another one, whose reads can be held back and are counted.
 * What a reader needs is in a cache line of its own, which nobody writes while
 * it is timed.
 */
#include "event-source.h"

#include "bench.h"

#include "base/error.h"
#include "host/iommufd-abi.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <urcu/arch.h>
#include <urcu/compiler.h>

/* As long as it takes for a reader to be given up, ns. */
#define READERS_TIME_OUT INT64_C(60000000000)

/* What anybody may make of it; room for 26,112 records. */
#define PIPE_BYTES (1 << 20)

/* What a read of a vEVENTQ of type ARM_SMMUV3 gives for an event. */
typedef struct SourceRecord {
    struct iommufd_vevent_header header;
    uint64_t words[4];
} SourceRecord;

G_STATIC_ASSERT(sizeof(SourceRecord) == 40);

/* Written to a pipe at once: all of it or nothing. */
#define PIPE_CHUNK (4096 / sizeof(SourceRecord))

/* The reader's clock; the reader's while it is not held. */
typedef struct ReaderClock {
    uint64_t target;            /* 0: it does not run */
    uint64_t taken;
    int64_t start_ns;
    int64_t turn_ns;            /* when the last handicapped read ended */
} ReaderClock;

/* What a reader that is held is to do. */
typedef struct ReaderTask {
    void (*func)(void *opaque);
    void *opaque;
    atomic_bool due;
} ReaderTask;

struct EventSource {
    HostIommu base;
    HardwareOps hardware;       /* [const] */
    HostIommu *inner;           /* [const] */
    SourceKind kind;            /* [const] */
    unsigned handicap;          /* percent */
    int pipe[2];                /* of SOURCE_PIPE, while there is a queue */
    int replaced_fd;            /* the queue's own */
    uint32_t sequence;          /* the next record's in the pipe */
    atomic_bool waiting;        /* a reader, since it is held */
    atomic_bool held __attribute__((aligned(CAA_CACHE_LINE_SIZE)));
    ReaderTask task __attribute__((aligned(CAA_CACHE_LINE_SIZE)));
    ReaderClock clock __attribute__((aligned(CAA_CACHE_LINE_SIZE)));
    _Atomic int64_t took_ns __attribute__((aligned(CAA_CACHE_LINE_SIZE)));
};

static EventSource *to_source(HostIommu *host)
{
    return caa_container_of(host, EventSource, base);
}

/* ---- Readers ---- */

/* Before a read. */
static void clock_look(EventSource *source)
{
    ReaderClock *clock = &source->clock;
    int64_t now;

    if (clock->start_ns != 0 && clock->taken < clock->target) {
        return;
    }
    now = bench_now_ns();
    if (clock->start_ns == 0) {
        clock->start_ns = now;
        return;
    }
    clock->target = 0;
    /* Release: pairs with event_source_took(). */
    atomic_store_explicit(&source->took_ns, now - clock->start_ns,
                          memory_order_release);
}

/* After a read: the turn that it ends takes longer. */
static void reader_lag(EventSource *source)
{
    ReaderClock *clock = &source->clock;
    int64_t now = bench_now_ns();
    int64_t since = clock->turn_ns ? clock->turn_ns : clock->start_ns;
    int64_t end = now + (now - since) * source->handicap / 100;

    if (since == 0) {
        return;                 /* a read from before it was held */
    }
    while (now < end) {
        now = bench_now_ns();
    }
    clock->turn_ns = now;
}

/* While it is held. */
static void reader_wait(EventSource *source)
{
    ReaderTask *task = &source->task;

    /* Acquire: pairs with event_source_release(). */
    while (atomic_load_explicit(&source->held, memory_order_acquire)) {
        atomic_store_explicit(&source->waiting, true, memory_order_relaxed);
        bench_relax();
        /* Acquire, release: pair with event_source_on_reader(). */
        if (atomic_load_explicit(&task->due, memory_order_acquire)) {
            task->func(task->opaque);
            atomic_store_explicit(&task->due, false, memory_order_release);
        }
    }
}

/* As the kernel: an empty queue gives 0, and no record is cut. */
static ssize_t pipe_read(int fd, void *buf, size_t count)
{
    ssize_t ret = read(fd, buf, count / sizeof(SourceRecord) *
                                    sizeof(SourceRecord));

    return ret < 0 && errno == EAGAIN ? 0 : ret;
}

static ssize_t source_read(HostIommu *host, int fd, void *buf, size_t count)
{
    EventSource *source = to_source(host);
    ssize_t ret;

    reader_wait(source);
    if (source->clock.target > 0) {
        clock_look(source);
    }
    ret = fd == source->pipe[0]
              ? pipe_read(fd, buf, count)
              : source->inner->ops->read(source->inner, fd, buf, count);
    if (source->clock.target > 0 && ret > 0) {
        source->clock.taken += ret / sizeof(SourceRecord);
        if (source->handicap > 0) {
            reader_lag(source);
        }
    }
    return ret;
}

/* ---- The other calls ---- */

/* The vEVENTQ just allocated comes by a pipe. Return: 0 or -1. */
static int replace_queue(EventSource *source, struct iommu_veventq_alloc *cmd)
{
    g_assert(source->pipe[0] < 0);      /* one at a time */
    if (pipe2(source->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
        source->pipe[0] = -1;
        return -1;
    }
    g_assert(fcntl(source->pipe[1], F_SETPIPE_SZ, PIPE_BYTES) == PIPE_BYTES);
    source->replaced_fd = cmd->out_veventq_fd;
    source->sequence = 0;
    cmd->out_veventq_fd = source->pipe[0];
    return 0;
}

static int source_ioctl(HostIommu *host, int fd, unsigned long request,
                        void *arg)
{
    EventSource *source = to_source(host);
    int ret = source->inner->ops->ioctl(source->inner, fd, request, arg);

    if (ret == 0 && source->kind == SOURCE_PIPE &&
        request == IOMMU_VEVENTQ_ALLOC) {
        ret = replace_queue(source, arg);
    }
    return ret;
}

static ssize_t source_write(HostIommu *host, int fd, const void *buf,
                            size_t count)
{
    HostIommu *inner = to_source(host)->inner;

    return inner->ops->write(inner, fd, buf, count);
}

static int source_close(HostIommu *host, int fd)
{
    EventSource *source = to_source(host);

    if (fd == source->pipe[0]) {
        close(source->pipe[0]);
        close(source->pipe[1]);
        source->pipe[0] = -1;
        fd = source->replaced_fd;
    }
    return source->inner->ops->close(source->inner, fd);
}

static void source_free(HostIommu *host)
{
    host_iommu_free(to_source(host)->inner);
    g_aligned_free(to_source(host));
}

static const HostIommuOps source_ops = {
    .ioctl = source_ioctl,
    .read = source_read,
    .write = source_write,
    .close = source_close,
    .free = source_free,
};

/* ---- Its devices: those of the host below ---- */

static int source_device_open(HostIommu *host, HardwareIommu iommu)
{
    HostIommu *inner = to_source(host)->inner;

    return inner->hardware->device_open(inner, iommu);
}

static HardwareReport source_report_event(HostIommu *host, uint32_t dev_id,
                                          const uint64_t event[4])
{
    HostIommu *inner = to_source(host)->inner;

    return inner->hardware->report_event(inner, dev_id, event);
}

static HardwareReport source_request_page(HostIommu *host,
                                          const HardwarePageRequest *request)
{
    HostIommu *inner = to_source(host)->inner;

    return inner->hardware->request_page(inner, request);
}

static void source_set_answer_func(HostIommu *host, HardwareAnswerFunc *func,
                                   void *opaque)
{
    HostIommu *inner = to_source(host)->inner;

    inner->hardware->set_answer_func(inner, func, opaque);
}

static HardwarePageStats source_get_page_stats(HostIommu *host)
{
    HostIommu *inner = to_source(host)->inner;

    return inner->hardware->get_page_stats(inner);
}

static HardwareStats source_get_stats(HostIommu *host)
{
    HostIommu *inner = to_source(host)->inner;

    return inner->hardware->get_stats(inner);
}

static uint64_t source_count_left(HostIommu *host)
{
    HostIommu *inner = to_source(host)->inner;

    return inner->hardware->count_left(inner);
}

static const HardwareOps source_hardware = {
    .device_open = source_device_open,
    .report_event = source_report_event,
    .request_page = source_request_page,
    .set_answer_func = source_set_answer_func,
    .get_page_stats = source_get_page_stats,
    .get_stats = source_get_stats,
    .count_left = source_count_left,
};

/* ---- Events ---- */

/* F_TRANSLATION (7.3.13) for the words that the host does not fill in. */
static void make_event(uint64_t event[4], uint64_t tag)
{
    event[0] = 0x10;
    event[1] = UINT64_C(1) << 35;       /* RnW */
    event[2] = tag;
    event[3] = 0;
}

static void make_record(EventSource *source, SourceRecord *record,
                        const SourceDevice *device, uint64_t tag)
{
    record->header = (struct iommufd_vevent_header){
        .sequence = source->sequence,
    };
    make_event(record->words, tag);
    record->words[0] |= (uint64_t)device->virt_id << 32;
    source->sequence = (source->sequence + 1) & INT_MAX;
}

/* Return: whether they went in. */
static bool pipe_write(EventSource *source, const SourceRecord *records,
                       size_t count)
{
    size_t bytes = count * sizeof(*records);
    ssize_t ret = write(source->pipe[1], records, bytes);

    g_assert(ret == (ssize_t)bytes || (ret < 0 && errno == EAGAIN));
    return ret > 0;
}

bool event_source_report(EventSource *source, const SourceDevice *device,
                         uint64_t tag)
{
    HardwareReport report;
    SourceRecord record;
    uint64_t event[4];

    if (source->kind == SOURCE_PIPE) {
        make_record(source, &record, device, tag);
        return pipe_write(source, &record, 1);
    }
    make_event(event, tag);
    report = source->inner->hardware->report_event(source->inner,
                                                   device->dev_id, event);
    g_assert(report != HARDWARE_REFUSED);
    return report == HARDWARE_QUEUED;
}

static uint64_t pipe_fill(EventSource *source, const SourceDevice *devices,
                          size_t num_devices, uint64_t count, uint64_t tag)
{
    SourceRecord records[PIPE_CHUNK];
    uint64_t done = 0;

    while (done < count) {
        size_t chunk = MIN(count - done, PIPE_CHUNK);

        for (size_t i = 0; i < chunk; i++) {
            make_record(source, &records[i],
                        &devices[(done + i) % num_devices], tag + done + i);
        }
        if (!pipe_write(source, records, chunk)) {
            break;
        }
        done += chunk;
    }
    return done;
}

uint64_t event_source_fill(EventSource *source, const SourceDevice *devices,
                           size_t num_devices, uint64_t count, uint64_t tag)
{
    uint64_t queued = 0;

    if (source->kind == SOURCE_PIPE) {
        return pipe_fill(source, devices, num_devices, count, tag);
    }
    for (uint64_t i = 0; i < count; i++) {
        queued += event_source_report(source, &devices[i % num_devices],
                                      tag + i);
    }
    return queued;
}

void event_source_hold(EventSource *source)
{
    atomic_store_explicit(&source->waiting, false, memory_order_relaxed);
    /* Release: the flag is cleared first. A read that began may go on. */
    atomic_store_explicit(&source->held, true, memory_order_release);
}

bool event_source_is_waited_for(EventSource *source)
{
    return atomic_load_explicit(&source->waiting, memory_order_relaxed);
}

void event_source_on_reader(EventSource *source, void (*func)(void *opaque),
                            void *opaque)
{
    ReaderTask *task = &source->task;
    int64_t end = bench_now_ns() + READERS_TIME_OUT;

    task->func = func;
    task->opaque = opaque;
    /* Release, acquire: pair with reader_wait(). */
    atomic_store_explicit(&task->due, true, memory_order_release);
    while (atomic_load_explicit(&task->due, memory_order_acquire)) {
        bench_relax();
        g_assert(bench_now_ns() < end);
    }
}

void event_source_release(EventSource *source, uint64_t records)
{
    atomic_store_explicit(&source->took_ns, -1, memory_order_relaxed);
    source->clock = (ReaderClock){ .target = records };
    /* Release: pairs with source_read(): the clock is the reader's. */
    atomic_store_explicit(&source->held, false, memory_order_release);
}

int64_t event_source_took(EventSource *source)
{
    /* Acquire: pairs with clock_look(): the clock is ours. */
    return atomic_load_explicit(&source->took_ns, memory_order_acquire);
}

int64_t event_source_time(EventSource *source, uint64_t records)
{
    int64_t end = bench_now_ns() + READERS_TIME_OUT;
    int64_t took;

    event_source_release(source, records);
    do {
        bench_relax();
        took = event_source_took(source);
    } while (took < 0 && bench_now_ns() < end);
    return took;
}

void event_source_set_handicap(EventSource *source, unsigned percent)
{
    source->handicap = percent;
}

/* ---- Its life ---- */

const char *source_kind_name(SourceKind kind)
{
    static const char *const names[] = {
        [SOURCE_EMULATED] = "emulated",
        [SOURCE_PIPE] = "pipe",
        [SOURCE_KERNEL] = "kernel",
    };

    return names[kind];
}

EventSource *event_source_new(SourceKind kind, GError **error)
{
    HostIommu *inner = bench_host_new(kind == SOURCE_KERNEL, error);
    EventSource *source;

    if (!inner) {
        return NULL;
    }
    source = g_aligned_alloc0(1, sizeof(*source), CAA_CACHE_LINE_SIZE);
    source->base.ops = &source_ops;
    source->base.fd = inner->fd;
    source->hardware = source_hardware;
    source->hardware.group_pages_max = inner->hardware->group_pages_max;
    source->base.hardware = &source->hardware;
    source->inner = inner;
    source->kind = kind;
    source->pipe[0] = -1;
    return source;
}

void event_source_free(EventSource *source)
{
    g_assert(source->inner->hardware->count_left(source->inner) == 0);
    host_iommu_free(&source->base);
}

HostIommu *event_source_host(EventSource *source)
{
    return &source->base;
}
