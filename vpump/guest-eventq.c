/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread trusts nothing that it reads: an entry that no device of ours can
 * have caused, or that was seen before, is counted as corrupt and consumed like
 * any other, so one bad record does not stop the run that is to show it.
 */
#include "guest-eventq.h"

#include "event-record.h"
#include "guest-smmuv3-internal.h"
#include "ring-digest.h"

#include "base/counter.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/rcu.h"
#include "base/report.h"
#include "base/thread.h"
#include "iothread/aio-context.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

enum { RECORD_BYTES = 8 * EVENT_RECORD_WORDS };

/* EVENTQ_PROD.OVFLG, EVENTQ_CONS.OVACKFLG */
#define OVERFLOW_FLAG (UINT32_C(1) << 31)

/* 7.5: errors that a driver looks at. */
#define GERROR_MASK 0x1fd

/* What the thread waits for. */
enum { WAKE_EVENTQ, WAKE_GERROR, WAKE_STOP, WAKE_COUNT };

/* What is known of a device's records. [thread] */
typedef struct DeviceTrack {
    uint64_t next_counter;
    uint64_t time_ns;           /* of the last one */
} DeviceTrack;

/* Written by the thread alone. */
typedef struct Counters {
    Counter seen;
    Counter corrupt;
    Counter overflows;
    Counter gerrors;
} Counters;

struct GuestEventq {
    Viommu *viommu;             /* [const] */
    uint64_t gpa;               /* [const] of the first entry */
    uint8_t *entries;           /* [const] the same in this process */
    unsigned log2size;          /* [const] */
    uint32_t prod;              /* [thread] as last read */
    uint32_t cons;              /* [thread] as last written */
    GHashTable *devices;        /* [thread] StreamID to DeviceTrack */
    GuestRecords records;       /* [const] once started */
    Histogram *latency;
    Counters counters;
    RingDigest digest;
    pthread_t thread;
    bool running;               /* whether to join it */
    int wake_fds[WAKE_COUNT];   /* [const] once started; WAKE_STOP is owned */
};

/* No record is later: the present, or the end of what they were taken from. */
static uint64_t latest_ns(const GuestEventq *queue, int64_t now_ns)
{
    return queue->records.recorded_until_ns
               ? queue->records.recorded_until_ns : (uint64_t)now_ns;
}

/* Whole, from a device of ours, later than the last one, and not too late. */
static bool record_is_good(GuestEventq *queue, const EventRecord *record,
                           int64_t now_ns)
{
    DeviceTrack *track = g_hash_table_lookup(queue->devices,
                                             GUINT_TO_POINTER(record->sid));

    if (!track || record->counter < track->next_counter ||
        record->time_ns < track->time_ns ||
        record->time_ns > latest_ns(queue, now_ns)) {
        return false;
    }
    track->next_counter = record->counter + 1;
    track->time_ns = record->time_ns;
    return true;
}

/* Also of a record that no workload of ours has made. */
static bool words_are_good(GuestEventq *queue, const uint64_t *words,
                           EventRecord *record, int64_t now_ns)
{
    bool whole = event_record_decode(words, record);

    if (queue->records.foreign) {
        return g_hash_table_contains(queue->devices,
                                     GUINT_TO_POINTER(record->sid));
    }
    return whole && record_is_good(queue, record, now_ns);
}

/*
 * @now_ns: when PROD was read, since that is when the entry could be seen; the
 * time that the entries before it took is the guest's own.
 */
static void consume_entry(GuestEventq *queue, int64_t now_ns)
{
    uint32_t index = queue->cons & ((UINT32_C(1) << queue->log2size) - 1);
    uint64_t words[EVENT_RECORD_WORDS];
    EventRecord record;

    guest_words_load(words, queue->entries + (size_t)index * RECORD_BYTES,
                     EVENT_RECORD_WORDS);
    ring_digest_add(&queue->digest, words, EVENT_RECORD_WORDS);
    if (words_are_good(queue, words, &record, now_ns)) {
        if (!queue->records.foreign && !queue->records.recorded_until_ns) {
            histogram_record(queue->latency, now_ns - record.time_ns);
        }
        counter_add(&queue->counters.seen, 1);
    } else {
        counter_add(&queue->counters.corrupt, 1);
    }
}

/* Index and wrap bit. */
static uint32_t pointer_mask(const GuestEventq *queue)
{
    return (UINT32_C(2) << queue->log2size) - 1;
}

static bool queue_is_empty(const GuestEventq *queue)
{
    return ((queue->prod ^ queue->cons) & pointer_mask(queue)) == 0;
}

/* As Linux does: after every entry, with the flag as it was. */
static void write_cons(GuestEventq *queue, uint32_t pointer, uint32_t flag)
{
    queue->cons = (pointer & pointer_mask(queue)) | flag;
    viommu_mmio_write(queue->viommu, SMMU_EVENTQ_CONS, 4, queue->cons);
}

/* The flag toggles: if it differs from the last reading, events were lost. */
static void read_prod(GuestEventq *queue)
{
    uint32_t prod = viommu_mmio_read(queue->viommu, SMMU_EVENTQ_PROD, 4);

    if ((prod ^ queue->prod) & OVERFLOW_FLAG) {
        counter_add(&queue->counters.overflows, 1);
    }
    queue->prod = prod;
}

/* The first pass finds nothing new: like Linux, it trusts the PROD it had. */
static void drain(GuestEventq *queue)
{
    do {
        int64_t now_ns = aio_clock_ns();

        while (!queue_is_empty(queue)) {
            consume_entry(queue, now_ns);
            write_cons(queue, queue->cons + 1, queue->cons & OVERFLOW_FLAG);
        }
        read_prod(queue);
    } while (!queue_is_empty(queue));

    if ((queue->prod ^ queue->cons) & OVERFLOW_FLAG) {
        write_cons(queue, queue->cons, queue->prod & OVERFLOW_FLAG);
    }
}

/* Messages to the operator: one error is one too many already. */
enum { REPORTS_MAX = 10 };

static void report_gerror(GuestEventq *queue, uint32_t active)
{
    uint64_t count = counter_get(&queue->counters.gerrors);

    if (count <= REPORTS_MAX) {
        warn_report("guest of '%s': global error 0x%x%s",
                    viommu_get_id(queue->viommu), active,
                    count == REPORTS_MAX ? "; more are not reported" : "");
    }
}

/* Acknowledge whatever is active; the vIOMMU has told the operator more. */
static void handle_gerror(GuestEventq *queue)
{
    uint32_t gerror = viommu_mmio_read(queue->viommu, SMMU_GERROR, 4);
    uint32_t gerrorn = viommu_mmio_read(queue->viommu, SMMU_GERRORN, 4);
    uint32_t active = (gerror ^ gerrorn) & GERROR_MASK;

    if (active == 0) {
        return;
    }
    counter_add(&queue->counters.gerrors, 1);
    report_gerror(queue, active);
    viommu_mmio_write(queue->viommu, SMMU_GERRORN, 4, gerror);
}

static void set_thread_name(const char *id)
{
    g_autofree char *name = g_strdup_printf("guest %s", id);

    thread_set_name(name);
}

/* What a vCPU does between interrupts: nothing. */
static void *eventq_thread(void *opaque)
{
    GuestEventq *queue = opaque;
    struct pollfd fds[WAKE_COUNT];
    bool stop = false;

    rcu_register_thread();
    set_thread_name(viommu_get_id(queue->viommu));
    for (int i = 0; i < WAKE_COUNT; i++) {
        fds[i] = (struct pollfd){ .fd = queue->wake_fds[i], .events = POLLIN };
    }
    while (!stop) {
        uint64_t raised;

        if (poll(fds, WAKE_COUNT, -1) < 0) {
            g_assert(errno == EINTR);
            continue;
        }
        /* Taken before the registers are read: what comes later wakes again. */
        for (int i = 0; i < WAKE_COUNT; i++) {
            if (fds[i].revents &&
                read(fds[i].fd, &raised, sizeof(raised)) < 0) {
                g_assert(errno == EAGAIN);
            }
        }
        if (fds[WAKE_GERROR].revents) {
            handle_gerror(queue);
        }
        drain(queue);
        stop = fds[WAKE_STOP].revents != 0;
    }
    rcu_unregister_thread();
    return NULL;
}

GuestEventq *guest_eventq_new(Viommu *viommu, GuestRam *ram, unsigned log2size,
                              GError **error)
{
    uint64_t bytes = (uint64_t)RECORD_BYTES << log2size;
    uint64_t gpa = guest_ram_alloc(ram, bytes, MAX(bytes, 4096), error);
    GuestEventq *queue;

    if (!gpa) {
        return NULL;
    }
    queue = g_new0(GuestEventq, 1);
    queue->viommu = viommu;
    queue->gpa = gpa;
    queue->entries = guest_ram_ptr(ram, gpa);
    queue->log2size = log2size;
    queue->devices = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    queue->latency = histogram_new();
    queue->wake_fds[WAKE_STOP] = -1;
    return queue;
}

void guest_eventq_free(GuestEventq *queue)
{
    if (queue) {
        if (queue->wake_fds[WAKE_STOP] >= 0) {
            close(queue->wake_fds[WAKE_STOP]);
        }
        g_hash_table_unref(queue->devices);
        histogram_free(queue->latency);
        g_free(queue);
    }
}

uint64_t guest_eventq_get_base(const GuestEventq *queue)
{
    return queue->gpa | queue->log2size;
}

void guest_eventq_expect(GuestEventq *queue, const GuestRecords *records)
{
    queue->records = *records;
}

void guest_eventq_add_device(GuestEventq *queue, uint32_t sid)
{
    g_hash_table_insert(queue->devices, GUINT_TO_POINTER(sid),
                        g_new0(DeviceTrack, 1));
}

bool guest_eventq_start(GuestEventq *queue, IrqSink *irq, GError **error)
{
    int ret;

    queue->wake_fds[WAKE_EVENTQ] = irq_sink_eventfd_get(irq, SMMUV3_IRQ_EVENTQ);
    queue->wake_fds[WAKE_GERROR] = irq_sink_eventfd_get(irq, SMMUV3_IRQ_GERROR);
    queue->wake_fds[WAKE_STOP] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->wake_fds[WAKE_STOP] < 0) {
        error_set_errno(error, errno, "eventfd for the event thread");
        return false;
    }
    ret = thread_create(&queue->thread, eventq_thread, queue);
    if (ret != 0) {
        error_set_errno(error, ret, "event thread");
        return false;
    }
    queue->running = true;
    return true;
}

void guest_eventq_stop(GuestEventq *queue)
{
    const uint64_t one = 1;
    ssize_t ret;

    if (queue->running) {
        ret = write(queue->wake_fds[WAKE_STOP], &one, sizeof(one));
        g_assert(ret == sizeof(one));
        pthread_join(queue->thread, NULL);
        queue->running = false;
    }
}

GuestSmmuv3Counts guest_eventq_get_counts(const GuestEventq *queue)
{
    const Counters *counters = &queue->counters;

    return (GuestSmmuv3Counts){
        .seen = counter_get(&counters->seen),
        .corrupt = counter_get(&counters->corrupt),
        .overflows = counter_get(&counters->overflows),
        .gerrors = counter_get(&counters->gerrors),
        .digest = ring_digest_get(&queue->digest),
    };
}

void guest_eventq_get_latency(const GuestEventq *queue,
                              HistogramSnapshot *latency)
{
    histogram_snapshot(queue->latency, latency);
}
