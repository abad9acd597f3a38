/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An AioContext, run as IOThread runs it. With busy polling the fd is polled
 * for by the read itself, as event pumps do.
 */
#include "aio-loop.h"

#include "iothread/aio-context.h"
#include "iothread/iothread.h"

typedef struct VpumpLoop {
    AioContext *ctx;
    GPtrArray *handlers;
    GPtrArray *bhs;
    bool running;
} VpumpLoop;

static VpumpLoop *vpump_loop(AioLoop *loop)
{
    return (VpumpLoop *)loop;
}

static AioLoop *vpump_open_polling(int64_t poll_max_ns)
{
    VpumpLoop *loop = g_new0(VpumpLoop, 1);

    loop->ctx = aio_context_new(NULL);
    g_assert(loop->ctx);
    aio_context_bind(loop->ctx);
    aio_set_poll_params(loop->ctx, poll_max_ns, 0, 0);
    loop->handlers = g_ptr_array_new();
    loop->bhs = g_ptr_array_new();
    loop->running = true;
    return (AioLoop *)loop;
}

static AioLoop *vpump_open(void)
{
    return vpump_open_polling(0);
}

static AioLoop *vpump_open_busy(void)
{
    return vpump_open_polling(IOTHREAD_POLL_MAX_NS_DEFAULT);
}

static void vpump_close(AioLoop *base)
{
    VpumpLoop *loop = vpump_loop(base);

    for (guint i = 0; i < loop->handlers->len; i++) {
        AioLoopHandler *handler = g_ptr_array_index(loop->handlers, i);

        aio_set_fd_handler(loop->ctx, handler->fd, NULL, NULL, NULL, NULL,
                           NULL);
    }
    for (guint i = 0; i < loop->bhs->len; i++) {
        aio_bh_delete(g_ptr_array_index(loop->bhs, i));
    }
    aio_context_unref(loop->ctx);
    g_ptr_array_free(loop->handlers, TRUE);
    g_ptr_array_free(loop->bhs, TRUE);
    g_free(loop);
}

static void vpump_run(AioLoop *base)
{
    VpumpLoop *loop = vpump_loop(base);

    while (loop->running) {
        aio_poll(loop->ctx, true);
    }
}

static void vpump_quit(AioLoop *loop)
{
    vpump_loop(loop)->running = false;
}

static void vpump_turn(AioLoop *loop)
{
    aio_poll(vpump_loop(loop)->ctx, false);
}

static void handler_read(void *opaque)
{
    aio_loop_handle(opaque);
}

static bool handler_poll(void *opaque)
{
    AioLoopHandler *handler = opaque;

    return handler->read(handler->opaque);
}

static void handler_poll_ready(void *opaque)
{
    AioLoopHandler *handler = opaque;

    handler->handle(handler->opaque);
}

static void vpump_watch(AioLoop *base, AioLoopHandler *handler)
{
    VpumpLoop *loop = vpump_loop(base);
    int ret = aio_set_fd_handler(loop->ctx, handler->fd, handler_read, NULL,
                                 handler_poll, handler_poll_ready, handler);

    g_assert(ret == 0);
    g_ptr_array_add(loop->handlers, handler);
}

static AioLoopBH *vpump_bh_new(AioLoop *base, AioLoopFunc *func, void *opaque)
{
    VpumpLoop *loop = vpump_loop(base);
    AioBH *bh = aio_bh_new(loop->ctx, func, opaque);

    g_assert(bh);
    g_ptr_array_add(loop->bhs, bh);
    return (AioLoopBH *)bh;
}

static void vpump_bh_schedule(AioLoopBH *bh)
{
    aio_bh_schedule((AioBH *)bh);
}

const AioLoopOps aio_loop_vpump = {
    .name = "vpump",
    .open = vpump_open,
    .close = vpump_close,
    .run = vpump_run,
    .quit = vpump_quit,
    .turn = vpump_turn,
    .watch = vpump_watch,
    .bh_new = vpump_bh_new,
    .bh_schedule = vpump_bh_schedule,
};

const AioLoopOps aio_loop_vpump_busy = {
    .name = "vpump-busy",
    .open = vpump_open_busy,
    .close = vpump_close,
    .run = vpump_run,
    .quit = vpump_quit,
    .turn = vpump_turn,
    .watch = vpump_watch,
    .bh_new = vpump_bh_new,
    .bh_schedule = vpump_bh_schedule,
};
