/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One context with a signalfd and timers. A callback only sets a flag or a
 * timer; what follows from it is done between the turns.
 */
#include "run-loop.h"

#include "base/error.h"
#include "iothread/aio-context.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_NS INT64_C(1000000000)
#define DRAIN_INTERVAL_NS 1000000

/* As a shell reports a process that SIGINT ended. */
#define STATUS_INTERRUPTED 130

struct RunLoop {
    AioContext *ctx;
    int signal_fd;
    bool stop;                  /* a signal, or the time is up */
    AioTimer *end;
    AioTimer *tick;
    int64_t tick_ns;            /* when it is due next */
    RunLoopTick *on_tick;
    void *opaque;
};

/* A signal handler, so it does no more than this. */
static void exit_at_once(int signal_number)
{
    _exit(STATUS_INTERRUPTED);
}

static sigset_t ending_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

/* From now on a signal need not wait until this thread comes to its loop. */
static void arm_second_signal(void)
{
    const struct sigaction action = { .sa_handler = exit_at_once };
    sigset_t set = ending_signals();

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void on_signal(void *opaque)
{
    RunLoop *loop = opaque;
    struct signalfd_siginfo info;

    if (read(loop->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        loop->stop = true;
        /* One more that is pending ends the process right here. */
        arm_second_signal();
    }
}

static void on_end(void *opaque)
{
    RunLoop *loop = opaque;

    loop->stop = true;
}

/* Due times are absolute, so ticks do not drift; missed ones are left out. */
static void on_tick(void *opaque)
{
    RunLoop *loop = opaque;
    int64_t now_ns = aio_clock_ns();

    loop->on_tick(loop->opaque);
    do {
        loop->tick_ns += TICK_NS;
    } while (loop->tick_ns <= now_ns);
    aio_timer_mod(loop->tick, loop->tick_ns);
}

/* To have been woken is all: run_loop_drain() looks. */
static void on_drain(void *opaque)
{
}

RunLoop *run_loop_new(GError **error)
{
    sigset_t set = ending_signals();
    RunLoop *loop = g_new0(RunLoop, 1);
    int ret;

    pthread_sigmask(SIG_BLOCK, &set, NULL);
    loop->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (loop->signal_fd < 0) {
        error_set_errno(error, errno, "signalfd");
        goto out_free;
    }
    loop->ctx = aio_context_new(error);
    if (!loop->ctx) {
        goto out_close;
    }
    aio_context_bind(loop->ctx);
    ret = aio_set_fd_handler(loop->ctx, loop->signal_fd, on_signal, NULL, NULL,
                             NULL, loop);
    if (ret < 0) {
        error_set_errno(error, -ret, "watching signals");
        goto out_unref;
    }
    return loop;

out_unref:
    aio_context_unref(loop->ctx);
out_close:
    close(loop->signal_fd);
out_free:
    g_free(loop);
    return NULL;
}

void run_loop_free(RunLoop *loop)
{
    if (loop) {
        aio_set_fd_handler(loop->ctx, loop->signal_fd, NULL, NULL, NULL, NULL,
                           NULL);
        aio_context_unref(loop->ctx);
        close(loop->signal_fd);
        g_free(loop);
    }
}

void run_loop_run(RunLoop *loop, int64_t duration_ns, RunLoopTick *tick,
                  void *opaque)
{
    int64_t start_ns = aio_clock_ns();

    loop->on_tick = tick;
    loop->opaque = opaque;
    loop->tick_ns = start_ns + TICK_NS;
    loop->tick = aio_timer_new(loop->ctx, on_tick, loop);
    loop->end = aio_timer_new(loop->ctx, on_end, loop);
    aio_timer_mod(loop->tick, loop->tick_ns);
    if (duration_ns > 0) {
        aio_timer_mod(loop->end, start_ns + duration_ns);
    }
    while (!loop->stop) {
        aio_poll(loop->ctx, true);
    }
    aio_timer_free(loop->end);
    aio_timer_free(loop->tick);
}

bool run_loop_drain(RunLoop *loop, int64_t timeout_ns, RunLoopDone *done,
                    void *opaque)
{
    int64_t deadline_ns = aio_clock_ns() + timeout_ns;
    AioTimer *timer = aio_timer_new(loop->ctx, on_drain, NULL);
    bool is_done;

    while (!(is_done = done(opaque)) && aio_clock_ns() < deadline_ns) {
        aio_timer_mod(timer, aio_clock_ns() + DRAIN_INTERVAL_NS);
        aio_poll(loop->ctx, true);
    }
    aio_timer_free(timer);
    return is_done;
}
