/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Device i of n reports its k-th event at start + (k * n + i) / rate, so that
 * all together keep the rate without knowing of each other. A thread sleeps
 * until a burst's last event is due and then reports whatever is.
 */
#include "workload-events.h"

#include "event-record.h"

#include "base/counter.h"
#include "base/error.h"
#include "base/lock.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "host/hardware.h"
#include "iothread/aio-context.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

/* Events that are due within such a time are reported together. */
#define BURST_NS 500000

/*
 * After a loss there is nothing to be gained by going on at once: the pump
 * needs the processor more.
 */
#define BACK_OFF_NS 100000

/* Reports between two looks at whether to stop. */
#define REPORTS_AT_ONCE 64

typedef struct LoadThread {
    WorkloadEvents *load;       /* [const] */
    WorkloadDevice device;      /* [const] */
    size_t index;               /* [const] */
    pthread_t thread;
    uint64_t counter;           /* [thread] the next event's */
    Counter generated;
    Counter refused;
    char name[THREAD_NAME_BYTES];   /* [const] */
} LoadThread;

struct WorkloadEvents {
    HostIommu *host;            /* [const] */
    uint64_t rate;              /* [const] */
    int64_t start_ns;           /* [const] once a thread runs */
    size_t count;               /* threads that were started */
    size_t devices;             /* [const] */
    Lock lock;                  /* for stop_cond */
    pthread_cond_t stop_cond;   /* CLOCK_MONOTONIC */
    /*
     * [lock] to set, so that no sleeper misses it. [atomic] to read, relaxed:
     * load_stopping() pairs with workload_events_stop(), which joins.
     */
    atomic_bool stop;
    LoadThread threads[];
};

static bool load_stopping(WorkloadEvents *load)
{
    return atomic_load_explicit(&load->stop, memory_order_relaxed);
}

/* Return: false if it is time to stop instead. */
static bool wait_until(WorkloadEvents *load, int64_t time_ns)
{
    struct timespec time = { time_ns / NS_PER_S, time_ns % NS_PER_S };
    int ret = 0;

    lock_acquire(&load->lock);
    while (!load_stopping(load) && ret != ETIMEDOUT) {
        ret = pthread_cond_timedwait(&load->stop_cond, &load->lock.mutex,
                                     &time);
    }
    lock_release(&load->lock);
    return !load_stopping(load);
}

static HardwareReport report(LoadThread *self)
{
    HostIommu *host = self->load->host;
    EventRecord record = {
        .sid = self->device.sid,
        .counter = self->counter,
        .time_ns = aio_clock_ns(),
    };
    uint64_t words[EVENT_RECORD_WORDS];
    HardwareReport outcome;

    event_record_encode(&record, words);
    outcome = host->hardware->report_event(host, self->device.dev_id, words);
    if (outcome == HARDWARE_REFUSED) {
        counter_add(&self->refused, 1);
    } else {
        self->counter++;
        counter_add(&self->generated, 1);
    }
    return outcome;
}

static void run_max(LoadThread *self)
{
    WorkloadEvents *load = self->load;

    while (!load_stopping(load)) {
        for (int i = 0; i < REPORTS_AT_ONCE; i++) {
            if (report(self) != HARDWARE_QUEUED) {
                wait_until(load, aio_clock_ns() + BACK_OFF_NS);
                break;
            }
        }
    }
}

uint64_t workload_events_due_count(uint64_t rate, size_t devices, size_t index,
                                   int64_t elapsed_ns)
{
    uint64_t ns = elapsed_ns;
    uint64_t all;

    if (elapsed_ns < 0) {
        return 0;
    }
    /* The first of all is due at 0: those with n / rate <= elapsed. */
    all = ns / NS_PER_S * rate + ns % NS_PER_S * rate / NS_PER_S + 1;
    return all > index ? (all - index - 1) / devices + 1 : 0;
}

int64_t workload_events_due_ns(uint64_t rate, size_t devices, size_t index,
                               uint64_t k)
{
    uint64_t n = k * devices + index;

    /* Rounded up, so that it agrees with the count at that time. */
    return n / rate * NS_PER_S + (n % rate * NS_PER_S + rate - 1) / rate;
}

int64_t workload_events_sleep_ns(uint64_t rate, uint64_t k, uint64_t most,
                                 int64_t elapsed_ns)
{
    uint64_t burst = MIN(rate * BURST_NS / NS_PER_S, most);
    int64_t due_ns = workload_events_due_ns(rate, 1, 0, k + MAX(burst, 1) - 1);

    return MAX(due_ns - elapsed_ns, 0);
}

/* To a burst's last event, then all that is due, a few between two looks. */
static void run_paced(LoadThread *self)
{
    WorkloadEvents *load = self->load;
    uint64_t burst = load->rate / load->devices * BURST_NS / NS_PER_S;
    uint64_t k = 0;

    while (wait_until(load, load->start_ns +
                                workload_events_due_ns(
                                    load->rate, load->devices, self->index,
                                    k + MAX(burst, 1) - 1))) {
        uint64_t due = workload_events_due_count(
            load->rate, load->devices, self->index,
            aio_clock_ns() - load->start_ns);

        due = MIN(due, k + REPORTS_AT_ONCE);
        for (; k < due; k++) {
            report(self);
        }
    }
}

static void *load_thread(void *opaque)
{
    LoadThread *self = opaque;

    rcu_register_thread();
    thread_set_name(self->name);
    if (self->load->rate == WORKLOAD_RATE_MAX) {
        run_max(self);
    } else {
        run_paced(self);
    }
    rcu_unregister_thread();
    return NULL;
}

void workload_events_stop(WorkloadEvents *load)
{
    lock_acquire(&load->lock);
    atomic_store_explicit(&load->stop, true, memory_order_relaxed);
    pthread_cond_broadcast(&load->stop_cond);
    lock_release(&load->lock);
    for (; load->count > 0; load->count--) {
        pthread_join(load->threads[load->count - 1].thread, NULL);
    }
}

void workload_events_free(WorkloadEvents *load)
{
    if (load) {
        workload_events_stop(load);
        pthread_cond_destroy(&load->stop_cond);
        lock_destroy(&load->lock);
        g_free(load);
    }
}

static WorkloadEvents *load_new(HostIommu *host, const WorkloadDevice *devices,
                                size_t count, uint64_t rate)
{
    WorkloadEvents *load =
        g_malloc0(sizeof(*load) + count * sizeof(load->threads[0]));
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&load->stop_cond, &attr);
    pthread_condattr_destroy(&attr);
    lock_init(&load->lock, LOCK_RANK_LEAF);
    load->host = host;
    load->rate = rate;
    load->devices = count;
    for (size_t i = 0; i < count; i++) {
        load->threads[i].load = load;
        load->threads[i].device = devices[i];
        load->threads[i].index = i;
        g_snprintf(load->threads[i].name, THREAD_NAME_BYTES, "load %s",
                   devices[i].id);
    }
    return load;
}

WorkloadEvents *workload_events_start(HostIommu *host,
                                      const WorkloadDevice *devices,
                                      size_t count, uint64_t rate,
                                      GError **error)
{
    WorkloadEvents *load = load_new(host, devices, count, rate);

    load->start_ns = aio_clock_ns();
    while (rate > 0 && load->count < count) {
        LoadThread *self = &load->threads[load->count];
        int ret = thread_create(&self->thread, load_thread, self);

        if (ret != 0) {
            error_set_errno(error, ret, "thread for device '%s'",
                            devices[load->count].id);
            workload_events_free(load);
            return NULL;
        }
        load->count++;
    }
    return load;
}

WorkloadCounts workload_events_get_device_counts(const WorkloadEvents *load,
                                                 size_t index)
{
    const LoadThread *thread = &load->threads[index];

    return (WorkloadCounts){
        .generated = counter_get(&thread->generated),
        .refused = counter_get(&thread->refused),
    };
}

WorkloadCounts workload_events_get_counts(const WorkloadEvents *load)
{
    WorkloadCounts counts = { 0 };

    for (size_t i = 0; i < load->devices; i++) {
        WorkloadCounts device = workload_events_get_device_counts(load, i);

        counts.generated += device.generated;
        counts.refused += device.refused;
    }
    return counts;
}
