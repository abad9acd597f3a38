/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One context with the descriptor of end-signal.h and timers. A callback only
 * sets a flag or a timer; what follows from it is done between the turns.
 */
#include "run-loop.h"

#include "base/error.h"
#include "iothread/aio-context.h"

#include <errno.h>

#define TICK_NS INT64_C(1000000000)
#define DRAIN_INTERVAL_NS 1000000
#define ASK_INTERVAL_NS 10000000

struct RunLoop {
    AioContext *ctx;
    int end_fd;                 /* borrowed */
    bool stop;                  /* a signal, or the time is up */
    AioTimer *end;
    AioTimer *tick;
    int64_t tick_ns;            /* when it is due next */
    RunLoopTick *on_tick;
    void *opaque;
    AioTimer *ask;
    AioTimer *drain;
    RunLoopDone *done;          /* NULL: only the others end it */
    void *done_opaque;
};

/*
 * The descriptor is level-triggered and stays readable: watched no more, or a
 * drain after it would never sleep.
 */
static void on_signal(void *opaque)
{
    RunLoop *loop = opaque;

    loop->stop = true;
    aio_set_fd_handler(loop->ctx, loop->end_fd, NULL, NULL, NULL, NULL, NULL);
}

static void on_end(void *opaque)
{
    RunLoop *loop = opaque;

    loop->stop = true;
}

int64_t run_loop_next_tick(int64_t due_ns, int64_t now_ns)
{
    int64_t late_ns = MAX(now_ns - due_ns, 0);

    return due_ns + (late_ns / TICK_NS + 1) * TICK_NS;
}

static void on_tick(void *opaque)
{
    RunLoop *loop = opaque;
    int64_t now_ns = aio_clock_ns();

    loop->on_tick(loop->opaque);
    loop->tick_ns = run_loop_next_tick(loop->tick_ns, now_ns);
    aio_timer_mod(loop->tick, loop->tick_ns);
}

static void on_ask(void *opaque)
{
    RunLoop *loop = opaque;

    loop->stop |= loop->done(loop->done_opaque);
    aio_timer_mod(loop->ask, aio_clock_ns() + ASK_INTERVAL_NS);
}

/* To have been woken is all: run_loop_drain() looks. */
static void on_drain(void *opaque)
{
}

static void timers_free(RunLoop *loop)
{
    aio_timer_free(loop->drain);
    aio_timer_free(loop->ask);
    aio_timer_free(loop->end);
    aio_timer_free(loop->tick);
}

static bool timers_new(RunLoop *loop, GError **error)
{
    loop->tick = aio_timer_new(loop->ctx, on_tick, loop);
    loop->end = aio_timer_new(loop->ctx, on_end, loop);
    loop->ask = aio_timer_new(loop->ctx, on_ask, loop);
    loop->drain = aio_timer_new(loop->ctx, on_drain, NULL);
    if (!loop->tick || !loop->end || !loop->ask || !loop->drain) {
        error_set_errno(error, ENOMEM, "timers");
        return false;
    }
    return true;
}

RunLoop *run_loop_new(int end_fd, GError **error)
{
    RunLoop *loop = g_new0(RunLoop, 1);
    int ret;

    loop->end_fd = end_fd;
    loop->ctx = aio_context_new(error);
    if (!loop->ctx) {
        goto out_free;
    }
    aio_context_bind(loop->ctx);
    if (!timers_new(loop, error)) {
        goto out_unref;
    }
    ret = aio_set_fd_handler(loop->ctx, end_fd, on_signal, NULL, NULL, NULL,
                             loop);
    if (ret < 0) {
        error_set_errno(error, -ret, "watching for signals");
        goto out_unref;
    }
    return loop;

out_unref:
    timers_free(loop);
    aio_context_unref(loop->ctx);
out_free:
    g_free(loop);
    return NULL;
}

void run_loop_free(RunLoop *loop)
{
    if (loop) {
        aio_set_fd_handler(loop->ctx, loop->end_fd, NULL, NULL, NULL, NULL,
                           NULL);
        timers_free(loop);
        aio_context_unref(loop->ctx);
        g_free(loop);
    }
}

void run_loop_end_when(RunLoop *loop, RunLoopDone *done, void *opaque)
{
    loop->done = done;
    loop->done_opaque = opaque;
}

void run_loop_run(RunLoop *loop, int64_t duration_ns, RunLoopTick *tick,
                  void *opaque)
{
    int64_t start_ns = aio_clock_ns();

    loop->on_tick = tick;
    loop->opaque = opaque;
    loop->tick_ns = start_ns + TICK_NS;
    aio_timer_mod(loop->tick, loop->tick_ns);
    if (duration_ns > 0) {
        aio_timer_mod(loop->end, start_ns + duration_ns);
    }
    if (loop->done) {
        aio_timer_mod(loop->ask, start_ns + ASK_INTERVAL_NS);
    }
    while (!loop->stop) {
        aio_poll(loop->ctx, true);
    }
    aio_timer_del(loop->ask);
    aio_timer_del(loop->end);
    aio_timer_del(loop->tick);
}

bool run_loop_drain(RunLoop *loop, int64_t timeout_ns, RunLoopDone *done,
                    void *opaque)
{
    int64_t deadline_ns = aio_clock_ns() + timeout_ns;
    bool is_done;

    while (!(is_done = done(opaque)) && aio_clock_ns() < deadline_ns) {
        aio_timer_mod(loop->drain, aio_clock_ns() + DRAIN_INTERVAL_NS);
        aio_poll(loop->ctx, true);
    }
    aio_timer_del(loop->drain);
    return is_done;
}
