/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way of page requests allocates nothing and takes no lock but the ring's,
 * on each of its threads: from the host's queue or an emulated device into the
 * guest's queue, and the answer back. What happens inside a host call is the
 * kernel's side and left out.
 */
#include "call-count.h"
#include "fake-viommu.h"
#include "quiet-host.h"

#include "base/rcu.h"

#include <semaphore.h>

#define RID 1
#define SVA_RID 2
#define GROUPS 400              /* open at a time, of either kind */

static FakeMachine *m;
static FakeDevice *device;
static FakeSva *sva;
static SvaGroup *groups[GROUPS];
static atomic_uint back;        /* groups of the emulated device */

static void responded(FakeSva *device_, SvaGroup *group)
{
    atomic_fetch_add(&back, 1);
}

static void setup(uint32_t capacity, bool iothread)
{
    m = fake_machine_new(capacity, iothread);
    quiet_host_begin(m->host);
    device = fake_plug(m, RID);
    fake_attach_ok(m, device, 1);
    sva = fake_add_sva(m, SVA_RID, SVA_CREDITS_MAX);
    sva->responded = responded;
    for (uint32_t i = 0; i < GROUPS; i++) {
        groups[i] = fake_group_new(1, i, 1 + i % 3);
    }
}

static void teardown(void)
{
    fake_remove_sva(sva);
    fake_unplug(m, device);
    fake_machine_free(m);
    for (uint32_t i = 0; i < GROUPS; i++) {
        fake_group_free(groups[i]);
    }
}

static const void *ring_mutex(void)
{
    return &m->viommu->ring_lock.mutex;
}

static void add(CallCount *sum, const CallCount *count)
{
    sum->allocations += count->allocations;
    sum->frees += count->frees;
    sum->own_locks += count->own_locks;
    sum->other_locks += count->other_locks;
}

static void assert_quiet(const CallCount *count)
{
    g_assert_cmpuint(count->allocations, ==, 0);
    g_assert_cmpuint(count->frees, ==, 0);
    g_assert_cmpuint(count->other_locks, ==, 0);
}

/* ---- The steps of the way, counted ---- */

static void raise_groups(unsigned count)
{
    for (uint32_t i = 0; i < count; i++) {
        g_assert_cmpint(fake_raise(m, device, 1, i, 1 + i % 3), ==,
                        EMUL_REPORT_QUEUED);
    }
}

/* A device asks: no lock at all. */
static void ask_counted(unsigned count)
{
    CallCount counted;

    call_count_start(ring_mutex());
    for (uint32_t i = 0; i < count; i++) {
        if (!viommu_page_request(sva->device, groups[i])) {
            g_assert_not_reached();
        }
    }
    counted = call_count_stop();
    assert_quiet(&counted);
    g_assert_cmpuint(counted.own_locks, ==, 0);
}

/* The home thread: in from both, out to both. */
static void pump_counted(CallCount *sum)
{
    CallCount counted;

    call_count_start(ring_mutex());
    fake_pump(m);
    counted = call_count_stop();
    add(sum, &counted);
}

/*
 * A vCPU: entries out of the queue, answers in. The config_lock is that of its
 * command or invalidation queue, held for all of them.
 */
static unsigned answer_counted(void)
{
    CallCount counted;
    FakeEntry entry;
    unsigned answers = 0;

    lock_acquire(&m->viommu->config_lock);
    call_count_start(ring_mutex());
    while (fake_take(m, &entry)) {
        if (entry.last) {
            viommu_respond_page_group(m->viommu, &entry.key,
                                      PAGE_RESPONSE_SUCCESS);
            answers++;
        }
    }
    counted = call_count_stop();
    lock_release(&m->viommu->config_lock);
    assert_quiet(&counted);
    return answers;
}

/* ---- The way ---- */

typedef struct PathCase {
    const char *path;
    uint32_t capacity;          /* of the guest's queue */
    unsigned host;              /* groups per round */
    unsigned emulated;
    unsigned rounds;
} PathCase;

static const PathCase paths[] = {
    { "host", 4096, GROUPS, 0, 100 },
    { "emulated", 4096, 0, GROUPS, 100 },
    { "both", 4096, GROUPS, GROUPS, 100 },
    { "single-groups", 4096, 1, 1, 5000 },
    { "waiting-for-room", 16, 100, 100, 50 },
    { "queue-off", 0, GROUPS, GROUPS, 20 },
    { "larger-than-the-queue", 2, 3, 0, 1000 },
};

/* Until every group of a round has come back. */
static void run_round(const PathCase *path, CallCount *sum)
{
    uint64_t ended;

    raise_groups(path->host);
    ask_counted(path->emulated);
    do {
        ViommuPageStats stats;

        pump_counted(sum);
        answer_counted();
        pump_counted(sum);
        fake_acknowledge_overflow(m);
        stats = fake_assert_balanced(m);
        ended = stats.raised - stats.open;
    } while (ended % (path->host + path->emulated) != 0 ||
             fake_queue_used(m) > 0);
}

static void run_path(gconstpointer data)
{
    const PathCase *path = data;
    CallCount sum = { 0 };
    ViommuPageStats stats;
    unsigned total = (path->host + path->emulated) * path->rounds;

    setup(path->capacity, false);
    atomic_store(&back, 0);
    /* Whatever is made at first use is made; and once more. */
    run_round(path, &sum);
    run_round(path, &sum);
    stats = fake_assert_balanced(m);
    sum = (CallCount){ 0 };
    atomic_store(&back, 0);
    for (unsigned i = 0; i < path->rounds; i++) {
        run_round(path, &sum);
    }
    g_test_message("%u groups: %" G_GUINT64_FORMAT " allocations, %"
                   G_GUINT64_FORMAT " ring locks, %" G_GUINT64_FORMAT
                   " others", total, sum.allocations, sum.own_locks,
                   sum.other_locks);
    assert_quiet(&sum);
    g_assert_cmpuint(fake_assert_balanced(m).raised - stats.raised, ==, total);
    g_assert_cmpuint(atomic_load(&back), ==, path->emulated * path->rounds);
    if (call_count_sees_locks()) {
        /* The counters saw the path: room is not asked for without. */
        g_assert_cmpuint(sum.own_locks, >=, path->rounds);
    }
    if (path->capacity > 2 * 2 * GROUPS) {
        /* Once per batch, not once per group. */
        g_assert_cmpuint(sum.own_locks, <=, 16 * path->rounds);
    }
    teardown();
}

/* ---- The same on an IOThread, with busy polling ---- */

typedef struct RemoteCount {
    CallCount count;
    sem_t done;
} RemoteCount;

static void start_bh(void *opaque)
{
    RemoteCount *remote = opaque;

    call_count_start(ring_mutex());
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
    AioBH *bh = aio_bh_new(m->ctx, func, remote);

    aio_bh_schedule(bh);
    while (sem_wait(&remote->done) < 0) {
        continue;
    }
    aio_bh_delete(bh);
}

static void run_remotely(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        unsigned answered = 0;

        atomic_store(&back, 0);
        raise_groups(GROUPS);
        ask_counted(GROUPS);
        while (answered < 2 * GROUPS) {
            answered += answer_counted();
        }
        while (atomic_load(&back) < GROUPS ||
               fake_host_answers(m) % GROUPS != 0) {
            sched_yield();
        }
    }
}

static void test_iothread(void)
{
    RemoteCount remote;

    setup(64, true);
    sem_init(&remote.done, 0, 0);
    run_remotely(5);
    run_bh(&remote, start_bh);
    run_remotely(50);
    run_bh(&remote, stop_bh);
    /* The first bottom half was deleted while it counted: one free. */
    g_assert_cmpuint(remote.count.frees, <=, 1);
    g_assert_cmpuint(remote.count.allocations, ==, 0);
    g_assert_cmpuint(remote.count.other_locks, ==, 0);
    if (call_count_sees_locks()) {
        g_assert_cmpuint(remote.count.own_locks, >, 0);
    }
    sem_destroy(&remote.done);
    teardown();
}

/* ---- The counters can count ---- */

static void test_counters_see_the_config_lock(void)
{
    CallCount count;

    if (!call_count_sees_locks()) {
        g_test_skip("a sanitizer has interposed the locks");
        return;
    }
    setup(8, false);
    call_count_start(ring_mutex());
    fake_respond(m, RID, 1, 1, 0);
    count = call_count_stop();
    g_assert_cmpuint(count.own_locks, ==, 1);
    /* It has two: see lock_acquire(). */
    g_assert_cmpuint(count.other_locks, ==, 2);
    fake_pump(m);
    teardown();
}

int main(int argc, char **argv)
{
    int ret;

    call_count_init();
    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/data-path/pages/counters-see-the-config-lock",
                    test_counters_see_the_config_lock);
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *path = g_strdup_printf("/data-path/pages/%s",
                                                paths[i].path);

        g_test_add_data_func(path, &paths[i], run_path);
    }
    g_test_add_func("/data-path/pages/iothread", test_iothread);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
