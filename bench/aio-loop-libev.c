/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libev: an ev_io per fd, an ev_async per bottom half.
 */
#include "aio-loop.h"

#include <ev.h>

typedef struct EvLoop {
    struct ev_loop *ev;
    GPtrArray *watchers;
} EvLoop;

typedef struct EvBH {
    ev_async async;
    EvLoop *loop;
    AioLoopFunc *func;
    void *opaque;
} EvBH;

static EvLoop *ev_loop_of(AioLoop *loop)
{
    return (EvLoop *)loop;
}

static AioLoop *libev_open(void)
{
    EvLoop *loop = g_new0(EvLoop, 1);

    loop->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    g_assert(loop->ev);
    loop->watchers = g_ptr_array_new_with_free_func(g_free);
    return (AioLoop *)loop;
}

static void libev_close(AioLoop *base)
{
    EvLoop *loop = ev_loop_of(base);

    ev_loop_destroy(loop->ev);
    g_ptr_array_free(loop->watchers, TRUE);
    g_free(loop);
}

static void libev_run(AioLoop *loop)
{
    ev_run(ev_loop_of(loop)->ev, 0);
}

static void libev_quit(AioLoop *loop)
{
    ev_break(ev_loop_of(loop)->ev, EVBREAK_ALL);
}

static void libev_turn(AioLoop *loop)
{
    ev_run(ev_loop_of(loop)->ev, EVRUN_NOWAIT);
}

static void on_readable(struct ev_loop *ev, ev_io *io, int events)
{
    aio_loop_handle(io->data);
}

static void libev_watch(AioLoop *base, AioLoopHandler *handler)
{
    EvLoop *loop = ev_loop_of(base);
    ev_io *io = g_new0(ev_io, 1);

    ev_io_init(io, on_readable, handler->fd, EV_READ);
    io->data = handler;
    ev_io_start(loop->ev, io);
    g_ptr_array_add(loop->watchers, io);
}

static void on_async(struct ev_loop *ev, ev_async *async, int events)
{
    EvBH *bh = (EvBH *)async;

    bh->func(bh->opaque);
}

static AioLoopBH *libev_bh_new(AioLoop *base, AioLoopFunc *func, void *opaque)
{
    EvLoop *loop = ev_loop_of(base);
    EvBH *bh = g_new0(EvBH, 1);

    bh->loop = loop;
    bh->func = func;
    bh->opaque = opaque;
    ev_async_init(&bh->async, on_async);
    ev_async_start(loop->ev, &bh->async);
    g_ptr_array_add(loop->watchers, bh);
    return (AioLoopBH *)bh;
}

static void libev_bh_schedule(AioLoopBH *base)
{
    EvBH *bh = (EvBH *)base;

    ev_async_send(bh->loop->ev, &bh->async);
}

const AioLoopOps aio_loop_libev = {
    .name = "libev",
    .open = libev_open,
    .close = libev_close,
    .run = libev_run,
    .quit = libev_quit,
    .turn = libev_turn,
    .watch = libev_watch,
    .bh_new = libev_bh_new,
    .bh_schedule = libev_bh_schedule,
};
