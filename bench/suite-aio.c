/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Event loops alone: from the scheduling of a bottom half on another thread to
 * its run, what one costs, from a write to an eventfd to its handler, and what
 * a turn costs by fds watched and fds ready.
 *
 * A busy loop is one that watches an fd which stays readable: it never sleeps,
 * and has little to do else. Latencies of bottom halves are those of one at a
 * time; the others' events come when they are due, and wait for each other.
 */
#include "aio-loop-thread.h"
#include "bench.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vpump/histogram.h"

enum {
    /* Bottom halves of a burst. */
    BURST = 64,
    /* Of what is counted, an 8th more comes before. */
    WARM_UP_SHARE = 8,
};

/**
 * struct Measurement - a figure, or some, of several loops
 * @name: of the figures
 * @loops: the limit first
 * @busy: of bottom halves
 * @interval_ns: of wake-ups
 * @watched, @ready: fds of a dispatch
 */
typedef struct Measurement {
    const char *name;
    void (*run)(Bench *bench, const struct Measurement *what,
                const AioLoopOps *ops);
    const AioLoopOps *const *loops;
    size_t num_loops;
    bool busy;
    int64_t interval_ns;
    unsigned watched;
    unsigned ready;
} Measurement;

static uint64_t scaled(const Bench *bench, uint64_t count)
{
    return bench->quick ? count / 4 : count;
}

static void add_figure(Bench *bench, const char *name, const char *unit,
                       const AioLoopOps *ops, double value)
{
    const FigureKind kind = {
        .name = name,
        .unit = unit,
        .better = FIGURE_LOWER,
    };

    figures_add(bench->figures, &kind, ops->name, value);
}

static void add_latencies(Bench *bench, const Measurement *what,
                          const AioLoopOps *ops, const Histogram *histogram)
{
    g_autofree HistogramSnapshot *snapshot = g_new(HistogramSnapshot, 1);

    histogram_snapshot(histogram, snapshot);
    figures_add_latencies(bench->figures, what->name, ops->name, snapshot);
}

static void spin(int64_t until_ns)
{
    while (bench_now_ns() < until_ns) {
        bench_relax();
    }
}

/*
 * Bottom halves, one at a time.
 */

/* @ran_ns: 0: not yet, since the world has set it so. */
typedef struct Ping {
    const AioLoopOps *ops;
    AioLoop *loop;
    AioLoopBH *bh;
    AioLoopBH *stop;
    _Atomic int64_t ran_ns;
} Ping;

static void ping_run(void *opaque)
{
    Ping *ping = opaque;

    atomic_store_explicit(&ping->ran_ns, bench_now_ns(),
                          memory_order_release);
}

static void ping_stop(void *opaque)
{
    Ping *ping = opaque;

    ping->ops->quit(ping->loop);
}

static void ping_body(LoopThread *thread, AioLoop *loop)
{
    Ping *ping = thread->opaque;

    ping->loop = loop;
    ping->bh = ping->ops->bh_new(loop, ping_run, ping);
    ping->stop = ping->ops->bh_new(loop, ping_stop, ping);
    loop_thread_serve(thread, loop);
}

/* Return: ns from the schedule to the run. */
static int64_t ping_once(Ping *ping)
{
    int64_t start, ran_ns;

    atomic_store_explicit(&ping->ran_ns, 0, memory_order_relaxed);
    start = bench_now_ns();
    ping->ops->bh_schedule(ping->bh);
    while (!(ran_ns = atomic_load_explicit(&ping->ran_ns,
                                           memory_order_acquire))) {
        bench_relax();
        if (bench_now_ns() - start > LOOP_THREAD_PATIENCE_NS) {
            loop_thread_fail(ping->ops, "a bottom half is lost");
        }
    }
    return ran_ns - start;
}

/* As the pings of a busy loop must not keep step with its turns. */
static int64_t next_pause_ns(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 21;        /* 0 to 2047 */
}

static void measure_bh_latency(Bench *bench, const Measurement *what,
                               const AioLoopOps *ops)
{
    uint64_t count = scaled(bench, what->busy ? 40000 : 4000);
    Histogram *histogram = histogram_new();
    Ping ping = { .ops = ops };
    LoopThread thread = {
        .ops = ops,
        .body = ping_body,
        .opaque = &ping,
        .busy = what->busy,
    };
    uint32_t random = 1;

    loop_thread_start(&thread);
    loop_thread_await_ready(&thread);
    for (uint64_t i = 0; i < count + count / WARM_UP_SHARE; i++) {
        int64_t latency_ns;

        if (!what->busy) {
            loop_thread_await_sleep(&thread);
        }
        spin(bench_now_ns() + next_pause_ns(&random));
        latency_ns = ping_once(&ping);
        if (i >= count / WARM_UP_SHARE) {
            histogram_record(histogram, latency_ns);
        }
    }
    ops->bh_schedule(ping.stop);
    loop_thread_join(&thread);
    add_latencies(bench, what, ops, histogram);
    histogram_free(histogram);
}

/*
 * Bottom halves, many at a time.
 */

typedef struct Burst Burst;

/* @runs: the loop's */
typedef struct BurstMember {
    Burst *burst;
    AioLoopBH *bh;
    uint64_t runs;
} BurstMember;

/* @all: runs of all members; the loop's, for the world to wait for */
struct Burst {
    const AioLoopOps *ops;
    AioLoop *loop;
    AioLoopBH *stop;
    BurstMember members[BURST];
    _Alignas(64) _Atomic uint64_t all;
};

static void burst_run(void *opaque)
{
    BurstMember *member = opaque;
    Burst *burst = member->burst;
    uint64_t all = atomic_load_explicit(&burst->all, memory_order_relaxed);

    member->runs++;
    atomic_store_explicit(&burst->all, all + 1, memory_order_release);
}

static void burst_stop(void *opaque)
{
    Burst *burst = opaque;

    burst->ops->quit(burst->loop);
}

static void burst_body(LoopThread *thread, AioLoop *loop)
{
    Burst *burst = thread->opaque;

    burst->loop = loop;
    for (size_t i = 0; i < BURST; i++) {
        BurstMember *member = &burst->members[i];

        member->burst = burst;
        member->bh = burst->ops->bh_new(loop, burst_run, member);
    }
    burst->stop = burst->ops->bh_new(loop, burst_stop, burst);
    loop_thread_serve(thread, loop);
}

/* @all: runs of all members when this burst has run. */
static void burst_once(Burst *burst, uint64_t all)
{
    int64_t start = bench_now_ns();

    for (size_t i = 0; i < BURST; i++) {
        burst->ops->bh_schedule(burst->members[i].bh);
    }
    while (atomic_load_explicit(&burst->all, memory_order_acquire) != all) {
        bench_relax();
        if (bench_now_ns() - start > LOOP_THREAD_PATIENCE_NS) {
            loop_thread_fail(burst->ops, "a bottom half of a burst is lost");
        }
    }
}

/* From the first schedule of a burst to its last run, by both threads. */
static void measure_bh_cost(Bench *bench, const Measurement *what,
                            const AioLoopOps *ops)
{
    uint64_t bursts = scaled(bench, 4000);
    uint64_t warm_up = bursts / WARM_UP_SHARE;
    Burst burst = { .ops = ops };
    LoopThread thread = {
        .ops = ops,
        .body = burst_body,
        .opaque = &burst,
        .busy = true,
    };
    int64_t start_ns = 0;
    int64_t took_ns;

    loop_thread_start(&thread);
    loop_thread_await_ready(&thread);
    for (uint64_t i = 1; i <= warm_up + bursts; i++) {
        burst_once(&burst, i * BURST);
        if (i == warm_up) {
            start_ns = bench_now_ns();
        }
    }
    took_ns = bench_now_ns() - start_ns;
    ops->bh_schedule(burst.stop);
    loop_thread_join(&thread);
    for (size_t i = 0; i < BURST; i++) {
        if (burst.members[i].runs != warm_up + bursts) {
            loop_thread_fail(ops, "a bottom half has run for another");
        }
    }
    add_figure(bench, what->name, "ns", ops,
               (double)took_ns / (double)(bursts * BURST));
}

/*
 * Wake-ups: the k-th write to an eventfd is due at the start and k intervals.
 */

/**
 * struct Wakeups - all but the first three the loop's
 * @warm_up: so many are not recorded
 * @pending: what the last read gave
 * @cpu_ns, @wall_ns: of the loop, while it ran
 */
typedef struct Wakeups {
    const Measurement *what;
    uint64_t total;
    int64_t start_ns;
    const AioLoopOps *ops;
    AioLoop *loop;
    AioLoopHandler handler;
    uint64_t warm_up;
    uint64_t pending;
    uint64_t handled;
    Histogram *histogram;
    int64_t cpu_ns;
    int64_t wall_ns;
} Wakeups;

static bool wakeups_read(void *opaque)
{
    Wakeups *wakeups = opaque;

    return read(wakeups->handler.fd, &wakeups->pending,
                sizeof(wakeups->pending)) == sizeof(wakeups->pending);
}

static void wakeups_handle(void *opaque)
{
    Wakeups *wakeups = opaque;
    int64_t now = bench_now_ns();

    for (; wakeups->pending > 0; wakeups->pending--) {
        int64_t due_ns = wakeups->start_ns +
                         wakeups->what->interval_ns * wakeups->handled;

        if (wakeups->handled++ >= wakeups->warm_up) {
            histogram_record(wakeups->histogram, now - due_ns);
        }
    }
    if (wakeups->handled >= wakeups->total) {
        wakeups->ops->quit(wakeups->loop);
    }
}

static void wakeups_body(LoopThread *thread, AioLoop *loop)
{
    Wakeups *wakeups = thread->opaque;

    wakeups->loop = loop;
    wakeups->ops->watch(loop, &wakeups->handler);
    wakeups->cpu_ns = -loop_thread_cpu_ns(thread);
    wakeups->wall_ns = -bench_now_ns();
    loop_thread_serve(thread, loop);
    wakeups->cpu_ns += loop_thread_cpu_ns(thread);
    wakeups->wall_ns += bench_now_ns();
}

static void wakeups_cause(Wakeups *wakeups)
{
    const uint64_t one = 1;

    /* Before the first write, which publishes it. */
    wakeups->start_ns = bench_now_ns() + wakeups->what->interval_ns;
    for (uint64_t i = 0; i < wakeups->total; i++) {
        ssize_t ret;

        spin(wakeups->start_ns + wakeups->what->interval_ns * i);
        ret = write(wakeups->handler.fd, &one, sizeof(one));
        g_assert(ret == sizeof(one));
    }
}

static void wakeups_add_figures(Bench *bench, const Wakeups *wakeups)
{
    g_autofree char *cpu = g_strdup_printf("%s/cpu", wakeups->what->name);

    add_latencies(bench, wakeups->what, wakeups->ops, wakeups->histogram);
    add_figure(bench, cpu, "%", wakeups->ops,
               100.0 * wakeups->cpu_ns / wakeups->wall_ns);
}

static void measure_wakeups(Bench *bench, const Measurement *what,
                            const AioLoopOps *ops)
{
    /* 0.4 s, or so many that there is a p99. */
    uint64_t count = MAX(scaled(bench, 400000000 / what->interval_ns), 1000);
    Wakeups wakeups = {
        .what = what,
        .ops = ops,
        .handler = {
            .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
            .read = wakeups_read,
            .handle = wakeups_handle,
            .opaque = &wakeups,
        },
        .warm_up = count / WARM_UP_SHARE,
        .total = count + count / WARM_UP_SHARE,
        .histogram = histogram_new(),
    };
    LoopThread thread = {
        .ops = ops,
        .body = wakeups_body,
        .opaque = &wakeups,
    };

    g_assert(wakeups.handler.fd >= 0);
    loop_thread_start(&thread);
    loop_thread_await_ready(&thread);
    wakeups_cause(&wakeups);
    loop_thread_join(&thread);
    close(wakeups.handler.fd);
    if (wakeups.handled != wakeups.total) {
        loop_thread_fail(ops, "more wake-ups than there were writes");
    }
    wakeups_add_figures(bench, &wakeups);
    histogram_free(wakeups.histogram);
}

/*
 * Turns, with nothing else to do than to call whose fd is readable.
 */

/* @calls: of handlers, after the warm-up; @took_ns: of the thread's CPU time */
typedef struct Dispatch {
    AioLoopHandler *handlers;
    unsigned watched;
    uint64_t turns;
    uint64_t calls;
    int64_t took_ns;
} Dispatch;

/* It stays readable: a read would be measured, too. */
static bool dispatch_read(void *opaque)
{
    Dispatch *dispatch = opaque;

    dispatch->calls++;
    return false;
}

static void dispatch_turns(LoopThread *thread, AioLoop *loop, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        thread->ops->turn(loop);
    }
}

static void dispatch_body(LoopThread *thread, AioLoop *loop)
{
    Dispatch *dispatch = thread->opaque;

    for (unsigned i = 0; i < dispatch->watched; i++) {
        thread->ops->watch(loop, &dispatch->handlers[i]);
    }
    dispatch_turns(thread, loop, dispatch->turns / WARM_UP_SHARE);
    dispatch->calls = 0;
    dispatch->took_ns = -loop_thread_cpu_ns(thread);
    dispatch_turns(thread, loop, dispatch->turns);
    dispatch->took_ns += loop_thread_cpu_ns(thread);
}

/* Those that are ready are evenly among the others. */
static void dispatch_open(Dispatch *dispatch, unsigned ready)
{
    dispatch->handlers = g_new(AioLoopHandler, dispatch->watched);
    for (unsigned i = 0; i < dispatch->watched; i++) {
        bool is_ready = i * ready / dispatch->watched !=
                        (i + 1) * ready / dispatch->watched;

        dispatch->handlers[i] = (AioLoopHandler){
            .fd = eventfd(is_ready, EFD_CLOEXEC | EFD_NONBLOCK),
            .read = dispatch_read,
            .opaque = dispatch,
        };
        g_assert(dispatch->handlers[i].fd >= 0);
    }
}

static void dispatch_close(Dispatch *dispatch)
{
    for (unsigned i = 0; i < dispatch->watched; i++) {
        close(dispatch->handlers[i].fd);
    }
    g_free(dispatch->handlers);
}

static void measure_dispatch(Bench *bench, const Measurement *what,
                             const AioLoopOps *ops)
{
    Dispatch dispatch = {
        .watched = what->watched,
        .turns = scaled(bench, 8000),
    };
    LoopThread thread = {
        .ops = ops,
        .body = dispatch_body,
        .opaque = &dispatch,
    };

    dispatch_open(&dispatch, what->ready);
    loop_thread_start(&thread);
    loop_thread_join(&thread);
    dispatch_close(&dispatch);
    if (dispatch.calls != dispatch.turns * what->ready) {
        loop_thread_fail(ops, "a turn has not called each handler once");
    }
    add_figure(bench, what->name, "ns", ops,
               (double)dispatch.took_ns / (double)dispatch.turns);
}

static const AioLoopOps *const bh_loops[] = {
    &aio_loop_limit, &aio_loop_glib, &aio_loop_glib_invoke, &aio_loop_libuv,
    &aio_loop_libevent, &aio_loop_libev, &aio_loop_vpump,
};

static const AioLoopOps *const wakeup_loops[] = {
    &aio_loop_limit, &aio_loop_glib, &aio_loop_libuv, &aio_loop_libevent,
    &aio_loop_libev, &aio_loop_vpump, &aio_loop_vpump_busy,
};

static const AioLoopOps *const dispatch_loops[] = {
    &aio_loop_limit, &aio_loop_glib, &aio_loop_libuv, &aio_loop_libevent,
    &aio_loop_libev, &aio_loop_vpump,
};

#define LOOPS(array) .loops = array, .num_loops = G_N_ELEMENTS(array)

static const Measurement measurements[] = {
    { "aio/bh-latency/busy", measure_bh_latency, LOOPS(bh_loops),
      .busy = true },
    { "aio/bh-latency/asleep", measure_bh_latency, LOOPS(bh_loops) },
    { "aio/bh-cost", measure_bh_cost, LOOPS(bh_loops) },
    { "aio/wakeup/200us", measure_wakeups, LOOPS(wakeup_loops),
      .interval_ns = 200000 },
    { "aio/wakeup/20us", measure_wakeups, LOOPS(wakeup_loops),
      .interval_ns = 20000 },
    { "aio/dispatch/1-of-1", measure_dispatch, LOOPS(dispatch_loops),
      .watched = 1, .ready = 1 },
    { "aio/dispatch/1-of-1000", measure_dispatch, LOOPS(dispatch_loops),
      .watched = 1000, .ready = 1 },
    { "aio/dispatch/64-of-1000", measure_dispatch, LOOPS(dispatch_loops),
      .watched = 1000, .ready = 64 },
};

static void aio_one(Bench *bench, size_t competitor, void *opaque)
{
    const Measurement *what = opaque;
    const AioLoopOps *ops = what->loops[competitor];

    if (bench_wants(bench, ops->name)) {
        what->run(bench, what, ops);
    }
}

static void aio_run(Bench *bench)
{
    for (size_t i = 0; i < G_N_ELEMENTS(measurements); i++) {
        bench_alternate(bench, measurements[i].num_loops, aio_one,
                        (void *)&measurements[i]);
    }
}

const BenchSuite suite_aio = {
    .name = "aio",
    .what = "AioContext and other event loops: bottom halves, wake-ups, turns",
    .run = aio_run,
};
