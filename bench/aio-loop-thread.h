/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * LoopThread: runs an AioLoop on BENCH_CPU_PUMP.
 *
 * Threads: the main thread; the body on the new one.
 * Locks:   none.
 */
#ifndef BENCH_AIO_LOOP_THREAD_H
#define BENCH_AIO_LOOP_THREAD_H

#include "aio-loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* Nothing takes so long, unless it was lost. */
#define LOOP_THREAD_PATIENCE_NS INT64_C(60000000000)

/**
 * struct LoopThread - a loop on a thread of its own on BENCH_CPU_PUMP
 * @body: what the thread does with the loop, @opaque in hand
 * @busy: an fd of it stays readable
 * @ready: what @body has made is there, for the world to use
 * @left: the world is out of the loop's functions, so it may be closed: one that
 *        quits is still being written to by whoever told it so
 */
typedef struct LoopThread {
    const AioLoopOps *ops;
    void (*body)(struct LoopThread *thread, AioLoop *loop);
    void *opaque;
    bool busy;
    atomic_bool ready;
    atomic_bool left;
    pthread_t pthread;
} LoopThread;

void loop_thread_start(LoopThread *thread);

/* When @body has prepared its loop: let the world know, and run it. */
void loop_thread_serve(LoopThread *thread, AioLoop *loop);

/* Until loop_thread_serve(). */
void loop_thread_await_ready(LoopThread *thread);

/* Until the loop sleeps, or has lost its CPU: its CPU time stands still. */
void loop_thread_await_sleep(LoopThread *thread);

/* Context: the loop quits, or has no need to. */
void loop_thread_join(LoopThread *thread);

/* CPU time until now. Context: any thread, between start and join. */
int64_t loop_thread_cpu_ns(const LoopThread *thread);

/* The end: of a program that would publish what is not so. */
G_NORETURN void loop_thread_fail(const AioLoopOps *ops, const char *what);

#endif
