/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "aio-loop-thread.h"

#include "bench.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"

static bool read_nothing(void *opaque)
{
    return true;
}

static void handle_nothing(void *opaque)
{
}

static void *loop_thread_run(void *opaque)
{
    LoopThread *thread = opaque;
    AioLoopHandler busy = {
        .fd = eventfd(1, EFD_CLOEXEC),
        .read = read_nothing,
        .handle = handle_nothing,
    };
    AioLoop *loop;

    g_assert(busy.fd >= 0);
    bench_pin(BENCH_CPU_PUMP);
    loop = thread->ops->open();
    if (thread->busy) {
        thread->ops->watch(loop, &busy);
    }
    thread->body(thread, loop);
    /* Acquire: pairs with loop_thread_join(). */
    while (!atomic_load_explicit(&thread->left, memory_order_acquire)) {
        bench_relax();
    }
    thread->ops->close(loop);
    close(busy.fd);
    return NULL;
}

void loop_thread_start(LoopThread *thread)
{
    int err = thread_create(&thread->pthread, loop_thread_run, thread);

    g_assert(err == 0);
}

void loop_thread_serve(LoopThread *thread, AioLoop *loop)
{
    atomic_store_explicit(&thread->ready, true, memory_order_release);
    thread->ops->run(loop);
}

void loop_thread_await_ready(LoopThread *thread)
{
    while (!atomic_load_explicit(&thread->ready, memory_order_acquire)) {
        bench_relax();
    }
}

int64_t loop_thread_cpu_ns(const LoopThread *thread)
{
    struct timespec now;
    clockid_t clock;

    pthread_getcpuclockid(thread->pthread, &clock);
    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void loop_thread_await_sleep(LoopThread *thread)
{
    const int64_t while_ns = 20000;
    int64_t before, start_ns;

    do {
        before = loop_thread_cpu_ns(thread);
        start_ns = bench_now_ns();
        while (bench_now_ns() - start_ns < while_ns) {
            bench_relax();
        }
    } while (loop_thread_cpu_ns(thread) != before);
}

void loop_thread_fail(const AioLoopOps *ops, const char *what)
{
    g_printerr("suite aio: %s: %s\n", ops->name, what);
    abort();
}

void loop_thread_join(LoopThread *thread)
{
    struct timespec end;

    /* Release: pairs with loop_thread_run(). */
    atomic_store_explicit(&thread->left, true, memory_order_release);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += LOOP_THREAD_PATIENCE_NS / 1000000000;
    if (pthread_timedjoin_np(thread->pthread, NULL, &end)) {
        loop_thread_fail(thread->ops, "its loop does not come to an end");
    }
}
