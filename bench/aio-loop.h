/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * AioLoop: what suite-aio.c measures of an event loop: fds to be watched, and
 * bottom halves: functions that other threads have it call. A file
 * aio-loop-NAME.c for each library, with its own calls at their best: fds are
 * watched level-triggered, and a bottom half may be scheduled while it runs.
 *
 * Threads: a loop is opened, prepared, run and closed by one thread. Bottom
 *          halves are scheduled by one other thread, not yet or no longer
 *          while it is prepared or closed.
 * Locks:   the libraries'.
 */
#ifndef BENCH_AIO_LOOP_H
#define BENCH_AIO_LOOP_H

#include <glib.h>
#include <stdbool.h>

typedef struct AioLoop AioLoop;
typedef struct AioLoopBH AioLoopBH;
typedef void AioLoopFunc(void *opaque);

/**
 * struct AioLoopHandler - of an fd; the owner keeps it until the loop is closed
 * @read: called while @fd is readable, by a loop with busy polling also when
 *        it may not be. Return: whether there was something
 * @handle: called after each @read that returned true
 */
typedef struct AioLoopHandler {
    int fd;
    bool (*read)(void *opaque);
    AioLoopFunc *handle;
    void *opaque;
} AioLoopHandler;

/**
 * struct AioLoopOps - a competitor
 * @name: as in the figures
 * @close: with handlers and bottom halves; none is scheduled
 * @run: until @quit, which a handler or bottom half calls
 * @turn: one that does not block
 * @bh_new: Return: to be freed by @close
 */
typedef struct AioLoopOps {
    const char *name;
    AioLoop *(*open)(void);
    void (*close)(AioLoop *loop);
    void (*run)(AioLoop *loop);
    void (*quit)(AioLoop *loop);
    void (*turn)(AioLoop *loop);
    void (*watch)(AioLoop *loop, AioLoopHandler *handler);
    AioLoopBH *(*bh_new)(AioLoop *loop, AioLoopFunc *func, void *opaque);
    void (*bh_schedule)(AioLoopBH *bh);
} AioLoopOps;

/* A thread around epoll_wait(), and a ring with one producer. */
extern const AioLoopOps aio_loop_limit;

/*
 * A queue under a mutex, with a GSource and g_main_context_wakeup(), as
 * programs have it; and g_main_context_invoke_full() each time.
 */
extern const AioLoopOps aio_loop_glib;
extern const AioLoopOps aio_loop_glib_invoke;

/* uv_async_send() */
extern const AioLoopOps aio_loop_libuv;

/* event_active(), which takes evthread_use_pthreads() */
extern const AioLoopOps aio_loop_libevent;

/* ev_async_send() */
extern const AioLoopOps aio_loop_libev;

/* AioContext, without busy polling and with as much as IOThreads have. */
extern const AioLoopOps aio_loop_vpump;
extern const AioLoopOps aio_loop_vpump_busy;

/* What a library's callback does. */
static inline void aio_loop_handle(const AioLoopHandler *handler)
{
    if (handler->read(handler->opaque)) {
        handler->handle(handler->opaque);
    }
}

#endif
