/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libevent: a persistent event per fd, an event without fd, made active by
 * event_active(), per bottom half. Other threads may do that only if the base
 * has locks, so it has them in all that is measured here; as they cannot be
 * switched off again, bases made later have them, too, unless made otherwise.
 */
#include "aio-loop.h"

#include <event2/event.h>
#include <event2/thread.h>

typedef struct EventLoop {
    struct event_base *base;
    GPtrArray *events;
    GPtrArray *bhs;
} EventLoop;

typedef struct EventBH {
    struct event *event;
    AioLoopFunc *func;
    void *opaque;
} EventBH;

static EventLoop *event_loop(AioLoop *loop)
{
    return (EventLoop *)loop;
}

static void free_event(void *event)
{
    event_free(event);
}

static AioLoop *libevent_open(void)
{
    EventLoop *loop = g_new0(EventLoop, 1);
    int ret = evthread_use_pthreads();

    g_assert(ret == 0);
    loop->base = event_base_new();
    g_assert(loop->base);
    /* libev has functions of the same names: these are not they. */
    g_assert_cmpstr(event_base_get_method(loop->base), ==, "epoll");
    loop->events = g_ptr_array_new_with_free_func(free_event);
    loop->bhs = g_ptr_array_new_with_free_func(g_free);
    return (AioLoop *)loop;
}

static void libevent_close(AioLoop *base)
{
    EventLoop *loop = event_loop(base);

    g_ptr_array_free(loop->events, TRUE);
    g_ptr_array_free(loop->bhs, TRUE);
    event_base_free(loop->base);
    g_free(loop);
}

/* A loop to which others may add stays, with events or without. */
static void libevent_run(AioLoop *loop)
{
    event_base_loop(event_loop(loop)->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

static void libevent_quit(AioLoop *loop)
{
    event_base_loopbreak(event_loop(loop)->base);
}

/* EVLOOP_NONBLOCK alone would go on as long as there is something ready. */
static void libevent_turn(AioLoop *loop)
{
    event_base_loop(event_loop(loop)->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void on_readable(evutil_socket_t fd, short events, void *opaque)
{
    aio_loop_handle(opaque);
}

static void libevent_watch(AioLoop *base, AioLoopHandler *handler)
{
    EventLoop *loop = event_loop(base);
    struct event *event = event_new(loop->base, handler->fd,
                                    EV_READ | EV_PERSIST, on_readable,
                                    handler);
    int ret = event_add(event, NULL);

    g_assert(ret == 0);
    g_ptr_array_add(loop->events, event);
}

static void on_active(evutil_socket_t fd, short events, void *opaque)
{
    EventBH *bh = opaque;

    bh->func(bh->opaque);
}

static AioLoopBH *libevent_bh_new(AioLoop *base, AioLoopFunc *func,
                                  void *opaque)
{
    EventLoop *loop = event_loop(base);
    EventBH *bh = g_new(EventBH, 1);

    *bh = (EventBH){
        .event = event_new(loop->base, -1, 0, on_active, bh),
        .func = func,
        .opaque = opaque,
    };
    g_ptr_array_add(loop->events, bh->event);
    g_ptr_array_add(loop->bhs, bh);
    return (AioLoopBH *)bh;
}

static void libevent_bh_schedule(AioLoopBH *bh)
{
    event_active(((EventBH *)bh)->event, EV_READ, 1);
}

const AioLoopOps aio_loop_libevent = {
    .name = "libevent",
    .open = libevent_open,
    .close = libevent_close,
    .run = libevent_run,
    .quit = libevent_quit,
    .turn = libevent_turn,
    .watch = libevent_watch,
    .bh_new = libevent_bh_new,
    .bh_schedule = libevent_bh_schedule,
};
