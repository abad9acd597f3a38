/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GLib: a GSource per fd. Bottom halves either in a queue under a mutex, with a
 * GSource that looks into it and g_main_context_wakeup() when it was empty; or
 * by g_main_context_invoke_full(), a GSource each time.
 */
#include "aio-loop.h"

#include <glib-unix.h>
#include <pthread.h>

typedef struct GlibLoop GlibLoop;

typedef struct GlibBH {
    GlibLoop *loop;
    AioLoopFunc *func;
    void *opaque;
} GlibBH;

/* @count: is there something in @queued; changed under @lock, read without. */
struct GlibLoop {
    GMainContext *context;
    GMainLoop *main_loop;
    GPtrArray *sources;
    GPtrArray *bhs;
    pthread_mutex_t lock;
    GQueue queued;
    gint count;
};

typedef struct GlibQueueSource {
    GSource source;
    GlibLoop *loop;
} GlibQueueSource;

static GlibLoop *glib_loop(AioLoop *loop)
{
    return (GlibLoop *)loop;
}

static gboolean queue_check(GSource *source)
{
    return g_atomic_int_get(&((GlibQueueSource *)source)->loop->count) != 0;
}

static gboolean queue_prepare(GSource *source, gint *timeout)
{
    *timeout = -1;
    return queue_check(source);
}

static gboolean queue_dispatch(GSource *source, GSourceFunc func,
                               gpointer opaque)
{
    GlibLoop *loop = ((GlibQueueSource *)source)->loop;
    GQueue taken;
    GlibBH *bh;

    pthread_mutex_lock(&loop->lock);
    taken = loop->queued;
    g_queue_init(&loop->queued);
    g_atomic_int_set(&loop->count, 0);
    pthread_mutex_unlock(&loop->lock);
    while ((bh = g_queue_pop_head(&taken))) {
        bh->func(bh->opaque);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs queue_source_funcs = {
    .prepare = queue_prepare,
    .check = queue_check,
    .dispatch = queue_dispatch,
};

/* @source is given. */
static void glib_attach(GlibLoop *loop, GSource *source)
{
    g_source_attach(source, loop->context);
    g_ptr_array_add(loop->sources, source);
}

static void free_source(void *source)
{
    g_source_destroy(source);
    g_source_unref(source);
}

static AioLoop *glib_invoke_open(void)
{
    GlibLoop *loop = g_new0(GlibLoop, 1);
    bool owner;

    loop->context = g_main_context_new();
    owner = g_main_context_acquire(loop->context);
    g_assert(owner);
    loop->main_loop = g_main_loop_new(loop->context, FALSE);
    loop->sources = g_ptr_array_new_with_free_func(free_source);
    loop->bhs = g_ptr_array_new_with_free_func(g_free);
    pthread_mutex_init(&loop->lock, NULL);
    g_queue_init(&loop->queued);
    return (AioLoop *)loop;
}

static AioLoop *glib_open(void)
{
    GlibLoop *loop = glib_loop(glib_invoke_open());
    GSource *source = g_source_new(&queue_source_funcs,
                                   sizeof(GlibQueueSource));

    ((GlibQueueSource *)source)->loop = loop;
    glib_attach(loop, source);
    return (AioLoop *)loop;
}

static void glib_close(AioLoop *base)
{
    GlibLoop *loop = glib_loop(base);

    g_ptr_array_free(loop->sources, TRUE);
    g_ptr_array_free(loop->bhs, TRUE);
    g_main_loop_unref(loop->main_loop);
    g_main_context_release(loop->context);
    g_main_context_unref(loop->context);
    pthread_mutex_destroy(&loop->lock);
    g_free(loop);
}

static void glib_run(AioLoop *loop)
{
    g_main_loop_run(glib_loop(loop)->main_loop);
}

static void glib_quit(AioLoop *loop)
{
    g_main_loop_quit(glib_loop(loop)->main_loop);
}

static void glib_turn(AioLoop *loop)
{
    g_main_context_iteration(glib_loop(loop)->context, FALSE);
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    aio_loop_handle(opaque);
    return G_SOURCE_CONTINUE;
}

static void glib_watch(AioLoop *loop, AioLoopHandler *handler)
{
    GSource *source = g_unix_fd_source_new(handler->fd, G_IO_IN);

    g_source_set_callback(source, G_SOURCE_FUNC(on_readable), handler, NULL);
    glib_attach(glib_loop(loop), source);
}

static AioLoopBH *glib_bh_new(AioLoop *base, AioLoopFunc *func, void *opaque)
{
    GlibLoop *loop = glib_loop(base);
    GlibBH *bh = g_new(GlibBH, 1);

    *bh = (GlibBH){ .loop = loop, .func = func, .opaque = opaque };
    g_ptr_array_add(loop->bhs, bh);
    return (AioLoopBH *)bh;
}

static void glib_bh_schedule(AioLoopBH *base)
{
    GlibBH *bh = (GlibBH *)base;
    GlibLoop *loop = bh->loop;
    bool was_empty;

    pthread_mutex_lock(&loop->lock);
    was_empty = loop->count == 0;
    g_queue_push_tail(&loop->queued, bh);
    g_atomic_int_set(&loop->count, 1);
    pthread_mutex_unlock(&loop->lock);
    if (was_empty) {
        g_main_context_wakeup(loop->context);
    }
}

static gboolean on_invoked(gpointer opaque)
{
    GlibBH *bh = opaque;

    bh->func(bh->opaque);
    return G_SOURCE_REMOVE;
}

/* Not of the priority of idle sources: they would starve beside a ready fd. */
static void glib_invoke_schedule(AioLoopBH *base)
{
    GlibBH *bh = (GlibBH *)base;

    g_main_context_invoke_full(bh->loop->context, G_PRIORITY_DEFAULT,
                               on_invoked, bh, NULL);
}

const AioLoopOps aio_loop_glib = {
    .name = "glib",
    .open = glib_open,
    .close = glib_close,
    .run = glib_run,
    .quit = glib_quit,
    .turn = glib_turn,
    .watch = glib_watch,
    .bh_new = glib_bh_new,
    .bh_schedule = glib_bh_schedule,
};

const AioLoopOps aio_loop_glib_invoke = {
    .name = "glib-invoke",
    .open = glib_invoke_open,
    .close = glib_close,
    .run = glib_run,
    .quit = glib_quit,
    .turn = glib_turn,
    .watch = glib_watch,
    .bh_new = glib_bh_new,
    .bh_schedule = glib_invoke_schedule,
};
