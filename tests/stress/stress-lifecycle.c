/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Enable, disable, resize, reset, unplug and plug under load. In each run one
 * vIOMMU on an IOThread of its own has
 *
 *   two device threads    that report events as fast as they can,
 *   a consumer thread     the guest's interrupt handler: reads the event queue,
 *   a vCPU thread         that disables, enables, resizes and resets,
 *   the main thread       that unplugs and plugs.
 *
 * Whenever the queue is off, and at the end, every event delivered was either
 * consumed or left in the ring, in the order of its device. After a run nothing
 * is left: no object, descriptor, thread or message, and the books balance.
 */
#include "failing-host.h"
#include "fixture.h"
#include "message-log.h"
#include "own-options.h"
#include "proc-self.h"

#include "base/lock.h"
#include "base/rcu.h"
#include "host/iommufd-abi.h"
#include "hw/arm/smmuv3-internal.h"

#include <sched.h>

#define DEVICES 2
#define FIRST_SID 1             /* the mock driver takes 0 for no name */
#define VCPU_STEPS 40
#define PLUG_STEPS 30
#define MAX_LOG2 10             /* of the event queue */

/* InputAddr says which reporter made an event, and its how many-eth. */
#define TAG_SHIFT 48

typedef struct Reporter {
    HostIommu *host;
    const atomic_bool *stop;
    atomic_uint dev_id;         /* to report for; may be gone already */
    uint64_t tag;
    pthread_t thread;
} Reporter;

/* The guest's driver. */
typedef struct Guest {
    Fixture *f;
    atomic_bool stop;
    Lock lock;                  /* between the consumer and the vCPU */
    uint64_t seen[DEVICES];     /* [lock] the last event of each reporter */
    uint64_t consumed;          /* [lock] */
    uint64_t left;              /* [lock] in rings that were thrown away */
    pthread_t consumer;
    pthread_t vcpu;
    GRand *rand;                /* the vCPU's */
} Guest;

typedef struct Run {
    Fixture *f;
    HostIommu *counted;         /* counts queues; NULL on the emulated host */
    Guest guest;
    Reporter reporters[DEVICES];
    VfioDevice *devices[DEVICES];
    atomic_bool stop_reporters;
    GRand *rand;                /* the main thread's */
} Run;

typedef struct Totals {
    uint64_t generated;
    uint64_t delivered;
    uint64_t discarded;
    uint64_t lost;
    uint64_t dropped;
    uint64_t plugs;
    uint64_t queues;            /* of the host, made */
    uint64_t enables;
    uint64_t resets;
    uint64_t busy;
} Totals;

static gint runs = 200;
static gint64 cycles = -1;
static char *host_name;
static gint64 seed = -1;
static Totals totals;

/* ---- Device threads ---- */

/*
 * Flat out, but once a queue is full or gone for a while, the others may run:
 * they are more than there are CPUs, and a reporter that nobody hears proves
 * nothing.
 */
static void *reporter_run(void *opaque)
{
    Reporter *r = opaque;
    unsigned unheard = 0;
    uint64_t count = 0;

    rcu_register_thread();
    while (!atomic_load(r->stop)) {
        const uint64_t event[4] = { 0x10, BIT(35),
                                    r->tag << TAG_SHIFT | ++count, 0 };

        if (r->host->hardware->report_event(
                r->host, atomic_load(&r->dev_id), event) != HARDWARE_QUEUED &&
            ++unheard % 32 == 0) {
            sched_yield();
        }
    }
    rcu_unregister_thread();
    return NULL;
}

/* ---- The guest's driver ---- */

static GuestRing ring_get(Fixture *f)
{
    return (GuestRing){
        .log2size = FIELD_GET(guest_read64(f, A_EVENTQ_BASE), Q_BASE,
                              LOG2SIZE),
        .prod = guest_read(f, A_EVENTQ_PROD),
        .cons = guest_read(f, A_EVENTQ_CONS),
    };
}

/* Events of one reporter come in its order; some may be missing. */
static void check_event_locked(Guest *g, const uint64_t *event)
    REQUIRES(&g->lock)
{
    uint64_t tag = event[2] >> TAG_SHIFT;
    uint32_t sid = event[0] >> 32;

    g_assert_cmpuint(event[0] & 0xff, ==, 0x10);
    g_assert_cmpuint(sid - FIRST_SID, <, DEVICES);
    g_assert_cmpuint(tag, <, DEVICES);
    g_assert_cmpuint(event[2], >, g->seen[tag]);
    g->seen[tag] = event[2];
}

static unsigned consume_locked(Guest *g, unsigned max) REQUIRES(&g->lock)
{
    uint64_t event[4];
    unsigned count = 0;

    while (count < max && guest_consume(g->f, event)) {
        check_event_locked(g, event);
        count++;
    }
    g->consumed += count;
    return count;
}

static void acknowledge_overflow_locked(Guest *g) REQUIRES(&g->lock)
{
    const uint32_t flag = FIELD_MASK(EVENTQ_PROD, OVFLG);
    uint32_t prod = guest_read(g->f, A_EVENTQ_PROD);
    uint32_t cons = guest_read(g->f, A_EVENTQ_CONS);

    if ((prod ^ cons) & flag) {
        guest_write(g->f, A_EVENTQ_CONS, cons ^ flag);
    }
}

static void *consumer_run(void *opaque)
{
    Guest *g = opaque;

    rcu_register_thread();
    while (!atomic_load(&g->stop)) {
        unsigned count;

        lock_acquire(&g->lock);
        count = consume_locked(g, 64);
        acknowledge_overflow_locked(g);
        lock_release(&g->lock);
        if (count == 0) {
            sched_yield();
        }
    }
    rcu_unregister_thread();
    return NULL;
}

/* The queue is off: what was delivered is where the guest can find it. */
static void leave_ring_locked(Guest *g) REQUIRES(&g->lock)
{
    GuestRing ring = ring_get(g->f);

    g->left += guest_ring_used(&ring);
    g_assert_cmpuint(g->consumed + g->left, ==,
                     viommu_get_stats(g->f->viommu).delivered);
}

static void disable(Guest *g)
{
    /* Without the lock: the consumer goes on meanwhile. */
    guest_disable_eventq(g->f);
    lock_acquire(&g->lock);
    leave_ring_locked(g);
    guest_write(g->f, A_EVENTQ_PROD, 0);
    guest_write(g->f, A_EVENTQ_CONS, 0);
    lock_release(&g->lock);
}

static void enable(Guest *g, unsigned log2)
{
    Fixture *f = g->f;

    lock_acquire(&g->lock);
    guest_write64(f, A_EVENTQ_BASE, GUEST_EVENTQ | log2);
    lock_release(&g->lock);
    guest_write(f, A_CR0, guest_read(f, A_CR0) | FIELD_MASK(CR0, EVENTQEN));
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, guest_read(f, A_CR0));
    totals.enables++;
}

/*
 * A reset takes the indices away, so it is the counter that says how many were
 * left: each must be in memory, behind what was consumed.
 */
static void reset_locked(Guest *g) REQUIRES(&g->lock)
{
    GuestRing ring = ring_get(g->f);
    uint64_t left;

    viommu_reset(g->f->viommu);
    left = viommu_get_stats(g->f->viommu).delivered - g->consumed - g->left;
    g_assert_cmpuint(left, <=, guest_ring_size(&ring));
    for (uint64_t i = 0; i < left; i++) {
        uint64_t event[4];

        guest_words_load(event,
                         guest_words(g->f, GUEST_EVENTQ +
                                     guest_ring_index(&ring, ring.cons + i) *
                                         SMMUV3_EVENT_BYTES), 4);
        check_event_locked(g, event);
    }
    g->left += left;
    totals.resets++;
}

/* Let events through for a moment, if there are any. */
static void let_flow(Guest *g)
{
    uint64_t goal = viommu_get_stats(g->f->viommu).delivered +
                    g_rand_int_range(g->rand, 1, 200);

    for (unsigned i = 0; i < 20; i++) {
        if (viommu_get_stats(g->f->viommu).delivered >= goal) {
            break;
        }
        sched_yield();
    }
}

static void vcpu_step(Guest *g)
{
    unsigned log2 = g_rand_int_range(g->rand, 0, MAX_LOG2 + 1);
    Fixture *f = g->f;

    switch (g_rand_int_range(g->rand, 0, 5)) {
    case 0:
        lock_acquire(&g->lock);
        reset_locked(g);
        guest_start(f, log2, 4);
        lock_release(&g->lock);
        break;
    case 1:
        /* Every device moves to another HWPT, and back. */
        guest_write(f, A_CR0, guest_read(f, A_CR0) ^ FIELD_MASK(CR0, SMMUEN));
        break;
    default:
        disable(g);
        enable(g, log2);
        break;
    }
}

static void *vcpu_run(void *opaque)
{
    Guest *g = opaque;

    rcu_register_thread();
    for (unsigned i = 0; i < VCPU_STEPS; i++) {
        let_flow(g);
        vcpu_step(g);
    }
    rcu_unregister_thread();
    return NULL;
}

/* ---- The main thread ---- */

static void plug(Run *run, unsigned i)
{
    run->devices[i] = fixture_plug(run->f, FIRST_SID + i);
    atomic_store(&run->reporters[i].dev_id,
                 vfio_device_get_dev_id(run->devices[i]));
    totals.plugs++;
}

static void unplug(Run *run, unsigned i)
{
    fixture_unplug(run->f, g_steal_pointer(&run->devices[i]), FIRST_SID + i);
}

static void plug_step(Run *run)
{
    unsigned i = g_rand_int_range(run->rand, 0, DEVICES);

    if (run->devices[i]) {
        unplug(run, i);
    } else {
        plug(run, i);
    }
}

/* Stop reporting, and end the guest in one of the ways that it may end. */
static void finish(Run *run)
{
    Guest *g = &run->guest;
    unsigned way = g_rand_int_range(run->rand, 0, 3);

    atomic_store(&run->stop_reporters, true);
    for (unsigned i = 0; i < DEVICES; i++) {
        pthread_join(run->reporters[i].thread, NULL);
    }
    atomic_store(&g->stop, true);
    pthread_join(g->consumer, NULL);

    if (way == 0) {
        guest_disable_eventq(run->f);
    }
    if (way == 1) {
        lock_acquire(&g->lock);
        reset_locked(g);
        lock_release(&g->lock);
    }
    fixture_unplug_all(run->f);
    if (way != 1) {
        lock_acquire(&g->lock);
        leave_ring_locked(g);
        lock_release(&g->lock);
    }
}

static void add_up(Run *run)
{
    Fixture *f = run->f;
    HardwareStats host = f->host->hardware->get_stats(f->host);
    ViommuStats guest = viommu_get_stats(f->viommu);

    fixture_assert_balanced(f, 0);
    g_assert_cmpuint(host.busy, ==, 0);
    g_assert_cmpuint(f->host->hardware->count_left(f->host), ==, 0);
    g_assert_cmpuint(guest.malformed, ==, 0);
    totals.generated += host.generated;
    totals.dropped += host.dropped;
    totals.busy += host.busy;
    totals.queues += run->counted ? failing_host_counted(run->counted) : 0;
    totals.delivered += guest.delivered;
    totals.discarded += guest.discarded;
    totals.lost += guest.lost;
}

static void start_threads(Run *run)
{
    Guest *g = &run->guest;

    for (unsigned i = 0; i < DEVICES; i++) {
        Reporter *r = &run->reporters[i];

        r->host = run->f->host;
        r->stop = &run->stop_reporters;
        r->tag = i;
        pthread_create(&r->thread, NULL, reporter_run, r);
    }
    pthread_create(&g->consumer, NULL, consumer_run, g);
    pthread_create(&g->vcpu, NULL, vcpu_run, g);
}

static void run_once(uint32_t run_seed)
{
    Run run = { .rand = g_rand_new_with_seed(run_seed) };
    Guest *g = &run.guest;
    GError *error = NULL;
    HostIommu *host = test_host_open(host_name, IOMMU_VEVENTQ_ALLOC,
                                     &run.counted, &error);

    g_assert_no_error(error);
    run.f = fixture_new_on(host, NULL, true);
    if (g_rand_boolean(run.rand)) {
        aio_set_poll_params(run.f->ctx, 0, 0, 0);
    }
    g->f = run.f;
    g->rand = g_rand_new_with_seed(~run_seed);
    lock_init(&g->lock, LOCK_RANK_DEVICE);
    guest_start(run.f, g_rand_int_range(run.rand, 0, MAX_LOG2 + 1), 4);
    for (unsigned i = 0; i < DEVICES; i++) {
        plug(&run, i);
    }

    start_threads(&run);
    for (unsigned i = 0; i < PLUG_STEPS; i++) {
        plug_step(&run);
    }
    pthread_join(g->vcpu, NULL);
    finish(&run);
    add_up(&run);

    lock_destroy(&g->lock);
    g_rand_free(g->rand);
    g_rand_free(run.rand);
    fixture_free(run.f);
}

/* Where nobody counts the host's queues, the guest's; some of them had none. */
static uint64_t cycles_done(void)
{
    return totals.plugs + (totals.queues ? totals.queues : totals.enables);
}

static void summarize(unsigned done)
{
    g_test_message("%u runs: %" G_GUINT64_FORMAT " events: %"
                   G_GUINT64_FORMAT " delivered, %" G_GUINT64_FORMAT
                   " discarded, %" G_GUINT64_FORMAT " lost, %"
                   G_GUINT64_FORMAT " dropped", done, totals.generated,
                   totals.delivered, totals.discarded, totals.lost,
                   totals.dropped);
    g_test_message("%" G_GUINT64_FORMAT " plugs and unplugs, %"
                   G_GUINT64_FORMAT " enables, %" G_GUINT64_FORMAT
                   " queues of the host, %" G_GUINT64_FORMAT " resets, %"
                   G_GUINT64_FORMAT " EBUSY", totals.plugs, totals.enables,
                   totals.queues, totals.resets, totals.busy);
}

static bool goes_on(unsigned done)
{
    return cycles >= 0 ? cycles_done() < (uint64_t)cycles
                       : done < (unsigned)runs;
}

static void test_lifecycle(void)
{
    unsigned done = 0;
    const unsigned threads = proc_self_lasting_threads();
    unsigned fds;

    /* Some things are made once and stay: liburcu's thread, for one. */
    run_once(seed);
    rcu_defer_drain();
    fds = proc_self_fds();
    message_log_start();
    while (goes_on(done)) {
        run_once(seed + done);
        rcu_defer_drain();
        g_assert_cmpuint(proc_self_fds(), ==, fds);
        proc_self_wait_threads(threads);
        g_assert_cmpuint(message_log_count(), ==, 0);
        if (++done % 100 == 0) {
            g_test_message("%u runs", done);
        }
    }
    message_log_stop();
    g_assert_cmpuint(totals.delivered, >, 0);
    summarize(done);
}

static const GOptionEntry options[] = {
    { "runs", 0, 0, G_OPTION_ARG_INT, &runs, "Runs (200)", "N" },
    { "cycles", 0, 0, G_OPTION_ARG_INT64, &cycles,
      "Plugs and lives of the queue, instead", "N" },
    { "host", 0, 0, G_OPTION_ARG_STRING, &host_name,
      "Whose devices (emulated)", "emulated|mock|kernel" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "First run's seed", "S" },
    G_OPTION_ENTRY_NULL,
};

static void parse_options(int *argc, char ***argv)
{
    own_options_parse(options, argc, argv);
    if (seed < 0) {
        seed = g_random_int();
    }
    if (!host_name) {
        host_name = g_strdup("emulated");
    }
}

int main(int argc, char **argv)
{
    int ret;

    parse_options(&argc, &argv);
    g_test_init(&argc, &argv, NULL);
    g_test_message("--host %s --runs %d --seed %" G_GINT64_FORMAT, host_name,
                   runs, seed);
    rcu_register_thread();
    g_test_add_func("/stress/lifecycle", test_lifecycle);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
