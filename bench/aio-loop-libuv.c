/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libuv: a uv_poll_t per fd, a uv_async_t per bottom half.
 */
#include "aio-loop.h"

#include <uv.h>

typedef struct UvBH {
    uv_async_t async;
    AioLoopFunc *func;
    void *opaque;
} UvBH;

static uv_loop_t *uv(AioLoop *loop)
{
    return (uv_loop_t *)loop;
}

static AioLoop *libuv_open(void)
{
    uv_loop_t *loop = g_new0(uv_loop_t, 1);
    int ret = uv_loop_init(loop);

    g_assert(ret == 0);
    return (AioLoop *)loop;
}

/* Each handle is the first member of what was allocated. */
static void free_handle(uv_handle_t *handle)
{
    g_free(handle);
}

static void close_handle(uv_handle_t *handle, void *opaque)
{
    uv_close(handle, free_handle);
}

static void libuv_close(AioLoop *loop)
{
    int ret;

    uv_walk(uv(loop), close_handle, NULL);
    uv_run(uv(loop), UV_RUN_DEFAULT);
    ret = uv_loop_close(uv(loop));
    g_assert(ret == 0);
    g_free(loop);
}

static void libuv_run(AioLoop *loop)
{
    uv_run(uv(loop), UV_RUN_DEFAULT);
}

static void libuv_quit(AioLoop *loop)
{
    uv_stop(uv(loop));
}

static void libuv_turn(AioLoop *loop)
{
    uv_run(uv(loop), UV_RUN_NOWAIT);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    aio_loop_handle(handle->data);
}

static void libuv_watch(AioLoop *loop, AioLoopHandler *handler)
{
    uv_poll_t *handle = g_new0(uv_poll_t, 1);
    int ret = uv_poll_init(uv(loop), handle, handler->fd);

    g_assert(ret == 0);
    handle->data = handler;
    ret = uv_poll_start(handle, UV_READABLE, on_readable);
    g_assert(ret == 0);
}

static void on_async(uv_async_t *handle)
{
    UvBH *bh = (UvBH *)handle;

    bh->func(bh->opaque);
}

static AioLoopBH *libuv_bh_new(AioLoop *loop, AioLoopFunc *func, void *opaque)
{
    UvBH *bh = g_new0(UvBH, 1);
    int ret = uv_async_init(uv(loop), &bh->async, on_async);

    g_assert(ret == 0);
    bh->func = func;
    bh->opaque = opaque;
    return (AioLoopBH *)bh;
}

static void libuv_bh_schedule(AioLoopBH *bh)
{
    uv_async_send(&((UvBH *)bh)->async);
}

const AioLoopOps aio_loop_libuv = {
    .name = "libuv",
    .open = libuv_open,
    .close = libuv_close,
    .run = libuv_run,
    .quit = libuv_quit,
    .turn = libuv_turn,
    .watch = libuv_watch,
    .bh_new = libuv_bh_new,
    .bh_schedule = libuv_bh_schedule,
};
