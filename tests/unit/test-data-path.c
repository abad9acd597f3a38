/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The data path allocates nothing and takes no lock but the ring's, twice per
 * batch at most: counted on the pumping thread while events go from the host's
 * queue into the guest's, with interrupts, and on while the guest makes room.
 * What happens inside a host call is the kernel's side and left out.
 */
#include "call-count.h"
#include "fixture.h"
#include "quiet-host.h"

#include "base/rcu.h"
#include "hw/arm/smmuv3-internal.h"
#include "hw/iommu/viommu-internal.h"

#include <semaphore.h>

static Fixture *f;
static VfioDevice *device;

static void setup(bool iothread)
{
    f = fixture_new(NULL, iothread);
    quiet_host_begin(f->host);
    device = fixture_plug(f, 1);
}

static void teardown(void)
{
    fixture_unplug_all(f);
    fixture_assert_balanced(f, 0);
    fixture_free(f);
}

static const void *ring_mutex(void)
{
    return &f->viommu->ring_lock.mutex;
}

static void report(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        fixture_report(f, device, i);
    }
}

/* The guest has read all there is. */
static void consume_all(void)
{
    uint32_t prod = guest_read(f, A_EVENTQ_PROD);

    guest_write(f, A_EVENTQ_CONS, prod);
}

/* ---- The counters can count ---- */

static void test_counters_see_an_allocation(void)
{
    CallCount count;
    void *ptr;

    call_count_start(ring_mutex());
    ptr = g_malloc(64);
    g_free(ptr);
    ptr = g_realloc(NULL, 64);
    g_free(ptr);
    g_free(g_new0(ViommuDevice, 1));
    count = call_count_stop();
    g_assert_cmpuint(count.allocations, ==, 3);
    g_assert_cmpuint(count.frees, ==, 3);
}

static void test_counters_see_the_right_lock(void)
{
    CallCount count;

    if (!call_count_sees_locks()) {
        g_test_skip("a sanitizer has interposed the locks");
        return;
    }
    call_count_start(ring_mutex());
    lock_acquire(&f->viommu->config_lock);
    lock_acquire(&f->viommu->ring_lock);
    lock_release(&f->viommu->ring_lock);
    lock_release(&f->viommu->config_lock);
    count = call_count_stop();
    g_assert_cmpuint(count.own_locks, ==, 1);
    /* The config_lock has two: see lock_acquire(). */
    g_assert_cmpuint(count.other_locks, ==, 2);
}

/* A host call in the path, and a slow path besides. */
static void test_counters_leave_host_calls_out(void)
{
    CallCount count;

    call_count_start(ring_mutex());
    guest_enable_eventq(f, 4);
    count = call_count_stop();
    /* The pump is ours, the queue's records are the host's: one, then. */
    g_assert_cmpuint(count.allocations, >=, 1);
    if (call_count_sees_locks()) {
        g_assert_cmpuint(count.other_locks, >=, 1);
    }
}

/* ---- The path ---- */

typedef struct PathCase {
    const char *path;
    unsigned log2_eventq;
    unsigned burst;             /* events between two turns */
    unsigned rounds;
    bool message;               /* interrupts as messages */
    bool stops;                 /* each burst fills the ring */
} PathCase;

static const PathCase paths[] = {
    { "bursts", 12, 400, 100, false, false },
    { "single-events", 12, 1, 20000, false, false },
    { "longer-than-a-batch", 13, 3000, 20, false, false },
    { "messages", 12, 400, 100, true, false },
    /* Back pressure: the guest's CONS write is what lets the pump go on. */
    { "waiting-for-room", 5, 32, 1000, false, true },
    { "losses", 9, 600, 100, false, true },
};

static void start_guest(const PathCase *path)
{
    guest_start(f, path->log2_eventq, 4);
    if (path->message) {
        guest_write(f, A_IRQ_CTRL, 0);
        guest_write64(f, A_EVENTQ_IRQ_CFG0, GUEST_DOORBELL);
        guest_write(f, A_IRQ_CTRL, FIELD_MASK(IRQ_CTRL, EVENTQ_IRQEN));
    }
    /* Whatever is made at first use is made. */
    report(1);
    fixture_pump(f);
    consume_all();
    fixture_pump(f);
}

static void pump_counted(CallCount *sum)
{
    CallCount count;

    call_count_start(ring_mutex());
    fixture_pump(f);
    count = call_count_stop();
    sum->allocations += count.allocations;
    sum->frees += count.frees;
    sum->own_locks += count.own_locks;
    sum->other_locks += count.other_locks;
}

/* The vCPU's part: one lock for each register access, and no more. */
static void consume_counted(void)
{
    CallCount count;

    call_count_start(ring_mutex());
    consume_all();
    count = call_count_stop();
    g_assert_cmpuint(count.allocations, ==, 0);
    g_assert_cmpuint(count.frees, ==, 0);
    g_assert_cmpuint(count.other_locks, ==, 0);
    g_assert_cmpuint(count.own_locks, <=, 2);
}

static void assert_path(const PathCase *path, const CallCount *sum,
                        const ViommuStats *before, const ViommuStats *after)
{
    uint64_t batches = after->reads - before->reads;
    uint64_t interrupts = after->interrupts - before->interrupts;
    uint64_t stops = path->stops ? path->rounds : 0;

    g_test_message("%" G_GUINT64_FORMAT " events in %" G_GUINT64_FORMAT
                   " batches, %" G_GUINT64_FORMAT " interrupts: %"
                   G_GUINT64_FORMAT " allocations, %" G_GUINT64_FORMAT
                   " locks", after->delivered - before->delivered, batches,
                   interrupts, sum->allocations, sum->own_locks);
    g_assert_cmpuint(interrupts, ==, path->rounds);
    g_assert_cmpuint(sum->allocations, ==, 0);
    g_assert_cmpuint(sum->frees, ==, 0);
    g_assert_cmpuint(sum->other_locks, ==, 0);
    /* To go on after a stop takes one more look at the room. */
    g_assert_cmpuint(sum->own_locks, <=, 2 * batches + stops);
    if (call_count_sees_locks()) {
        /* It was looked at: PROD cannot be published without the lock. */
        g_assert_cmpuint(sum->own_locks, >=, batches);
    }
}

static void test_path(const PathCase *path)
{
    CallCount sum = { 0 };
    ViommuStats before;
    ViommuStats after;

    setup(false);
    start_guest(path);
    before = viommu_get_stats(f->viommu);
    for (unsigned i = 0; i < path->rounds; i++) {
        report(path->burst);
        pump_counted(&sum);
        consume_counted();
        if (path->stops && i % 2 == 0) {
            /* Nothing has come meanwhile: the pump watches again. */
            pump_counted(&sum);
        }
    }
    after = viommu_get_stats(f->viommu);
    assert_path(path, &sum, &before, &after);
    teardown();
}

/* ---- The same on an IOThread, with busy polling ---- */

typedef struct RemoteCount {
    const void *own;
    CallCount count;
    sem_t done;
} RemoteCount;

static void start_bh(void *opaque)
{
    RemoteCount *remote = opaque;

    call_count_start(remote->own);
    sem_post(&remote->done);
}

static void stop_bh(void *opaque)
{
    RemoteCount *remote = opaque;

    remote->count = call_count_stop();
    sem_post(&remote->done);
}

/* Not by aio_wait_bh_oneshot(), which locks and allocates for itself. */
static void run_bh(RemoteCount *remote, AioBHFunc *func)
{
    AioBH *bh = aio_bh_new(f->ctx, func, remote);

    aio_bh_schedule(bh);
    while (sem_wait(&remote->done) < 0) {
        continue;
    }
    aio_bh_delete(bh);
}

/* Send so many events through, a ring's worth at a time. */
static void pump_remotely(uint64_t events)
{
    uint64_t delivered = viommu_get_stats(f->viommu).delivered;

    while (events > 0) {
        unsigned burst = MIN(events, 200);

        report(burst);
        events -= burst;
        delivered += burst;
        while (viommu_get_stats(f->viommu).delivered < delivered) {
            sched_yield();
        }
        consume_all();
    }
}

static void test_iothread(void)
{
    RemoteCount remote;

    setup(true);
    remote.own = ring_mutex();
    sem_init(&remote.done, 0, 0);
    guest_start(f, 12, 4);
    pump_remotely(1000);
    run_bh(&remote, start_bh);
    pump_remotely(30000);
    run_bh(&remote, stop_bh);
    /* The first bottom half was deleted while it counted: one free. */
    g_assert_cmpuint(remote.count.frees, <=, 1);
    g_assert_cmpuint(remote.count.allocations, ==, 0);
    g_assert_cmpuint(remote.count.other_locks, ==, 0);
    sem_destroy(&remote.done);
    teardown();
}

static void run_quiet(gconstpointer data)
{
    setup(false);
    (*(void (*const *)(void))data)();
    teardown();
}

static void run_path(gconstpointer data)
{
    test_path(data);
}

static const FixtureTest counter_tests[] = {
    { test_counters_see_an_allocation, "see-an-allocation" },
    { test_counters_see_the_right_lock, "see-the-right-lock" },
    { test_counters_leave_host_calls_out, "leave-host-calls-out" },
};

int main(int argc, char **argv)
{
    int ret;

    call_count_init();
    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    for (size_t i = 0; i < G_N_ELEMENTS(counter_tests); i++) {
        g_autofree char *path = g_strdup_printf("/data-path/counters/%s",
                                                counter_tests[i].path);

        g_test_add_data_func(path, &counter_tests[i].func, run_quiet);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *path = g_strdup_printf("/data-path/%s",
                                                paths[i].path);

        g_test_add_data_func(path, &paths[i], run_path);
    }
    g_test_add_func("/data-path/iothread", test_iothread);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
