/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A turn of the loop, in its two forms (aio_poll() and the GSource), how other
 * threads interrupt it, and the life cycle.
 *
 * No queue is looked into to find out whether the loop may block: whoever adds
 * work from another thread, or from a callback, calls aio_notify() after it,
 * and the state word says so until a turn begins to look for work. The one
 * exception is what an outer turn has left over, see turn_left_over().
 */
#include "iothread/aio-internal.h"

#include <errno.h>
#include <unistd.h>

#include "base/error.h"
#include "base/report.h"

/* Its address tells threads apart. */
static _Thread_local char thread_mark;

/*
 * The state word. Only read-modify-write operations change it, hence each sees
 * the one before, and a notifier and the loop meet in either of two orders:
 *
 * - The notifier's exchange comes before aio_accept_notify(): the turn that
 *   begins there sees all that the notifier wrote before (release, acquire;
 *   notifiers in between do not break the chain).
 * - It comes after: then the loop's next aio_may_sleep() finds NOTIFIED, or,
 *   if that was earlier too, the exchange returns SLEEPING and the write to
 *   the eventfd ends the wait.
 */
void aio_notify(AioContext *ctx)
{
    const uint64_t one = 1;
    /* Release: pairs with the acquire in aio_accept_notify(). */
    AioState old = atomic_exchange_explicit(&ctx->state, AIO_NOTIFIED,
                                            memory_order_release);

    if (old == AIO_SLEEPING) {
        ssize_t ret = write(ctx->fd.notify_fd, &one, sizeof(one));

        g_assert(ret == sizeof(one));
    }
}

/* After waking up, before looking for work. */
static void aio_accept_notify(AioContext *ctx)
{
    /* Acquire: pairs with the release in aio_notify(). */
    atomic_exchange_explicit(&ctx->state, AIO_RUNNING, memory_order_acquire);
}

/* After looking for work, before blocking. */
static bool aio_may_sleep(AioContext *ctx)
{
    AioState expected = AIO_RUNNING;

    /*
     * Relaxed: the order of changes to this one word is all that counts, see
     * aio_notify(). It is SLEEPING already if GLib polled other sources and
     * did not come to dispatch this one.
     */
    return atomic_compare_exchange_strong_explicit(
               &ctx->state, &expected, AIO_SLEEPING, memory_order_relaxed,
               memory_order_relaxed) ||
           expected == AIO_SLEEPING;
}

GMainContext *aio_main_context(AioContext *ctx)
{
    /* GLib complains if asked for the context of a destroyed source. */
    return g_source_is_destroyed(&ctx->source) ?
               NULL : g_source_get_context(&ctx->source);
}

bool aio_in_home_thread(AioContext *ctx)
{
    GMainContext *main_context = aio_main_context(ctx);

    if (main_context) {
        return g_main_context_is_owner(main_context);
    }
    /* Relaxed: it equals our mark only if we stored that ourselves. */
    return atomic_load_explicit(&ctx->home, memory_order_relaxed) ==
           &thread_mark;
}

void aio_context_bind(AioContext *ctx)
{
    g_assert(!aio_main_context(ctx));
    /* Relaxed: see aio_in_home_thread(). */
    atomic_store_explicit(&ctx->home, &thread_mark, memory_order_relaxed);
}

/* Has the callback that now polls interrupted a turn that had more to do? */
static bool turn_left_over(AioContext *ctx)
{
    return aio_bh_left_over(ctx) || !cds_list_empty(&ctx->fd.ready) ||
           !cds_list_empty(&ctx->timers.expired);
}

/* Busy polling, then the kernel. Return: ns that this took, for learning. */
static int64_t turn_wait(AioContext *ctx, bool blocking)
{
    int64_t max_ns = aio_poll_max_ns(ctx);
    int64_t start = max_ns ? aio_clock_ns() : 0;
    bool hit = false;
    int64_t timeout;

    blocking = blocking && !turn_left_over(ctx);
    timeout = blocking ? aio_timers_timeout(ctx) : 0;
    if (max_ns && timeout != 0) {
        hit = aio_poll_busy(ctx, start, timeout);
        timeout = hit ? 0 : aio_timers_timeout(ctx);
    }
    if (!hit || !aio_poll_covers_all(ctx)) {
        aio_fd_collect(ctx, timeout != 0 && aio_may_sleep(ctx) ? timeout : 0);
    }
    aio_accept_notify(ctx);
    return max_ns ? aio_clock_ns() - start : 0;
}

bool aio_poll(AioContext *ctx, bool blocking)
{
    bool progress;
    int64_t block_ns;

    g_assert(aio_in_home_thread(ctx));
    block_ns = turn_wait(ctx, blocking);
    progress = aio_bh_poll(ctx);
    progress |= aio_fd_dispatch(ctx, block_ns);
    progress |= aio_timers_run(ctx);
    return progress;
}

static gboolean source_prepare(GSource *source, gint *timeout)
{
    AioContext *ctx = (AioContext *)source;

    *timeout = 0;
    if (!turn_left_over(ctx) && aio_may_sleep(ctx)) {
        /* Not a ready time: to set one wakes the GMainContext up. */
        *timeout = aio_timeout_ms(aio_timers_timeout(ctx));
    }
    return *timeout == 0;
}

/* Changes nothing: news is accepted where work is looked for, in dispatch. */
static gboolean source_check(GSource *source)
{
    AioContext *ctx = (AioContext *)source;

    /* Relaxed: source_dispatch() acquires. */
    return atomic_load_explicit(&ctx->state, memory_order_relaxed) ==
               AIO_NOTIFIED ||
           turn_left_over(ctx) ||
           g_source_query_unix_fd(source, ctx->source_fd_tag) ||
           aio_timers_timeout(ctx) == 0;
}

static gboolean source_dispatch(GSource *source, GSourceFunc func,
                                gpointer opaque)
{
    AioContext *ctx = (AioContext *)source;

    aio_accept_notify(ctx);
    aio_bh_poll(ctx);
    aio_fd_collect(ctx, 0);
    aio_fd_dispatch(ctx, 0);
    aio_timers_run(ctx);
    return G_SOURCE_CONTINUE;
}

static void source_finalize(GSource *source)
{
    AioContext *ctx = (AioContext *)source;
    unsigned handlers = ctx->fd.count;
    unsigned timers = ctx->timers.alive;
    unsigned bhs = aio_bh_close(ctx);

    if (handlers || timers || bhs) {
        error_report("%s: freed with %u fd handlers, %u timers and %u bottom "
                     "halves left", g_source_get_name(source), handlers,
                     timers, bhs);
        abort();
    }
    aio_fd_close(ctx);
    g_free(ctx->scratch);
    pthread_cond_destroy(&ctx->wait_cond);
    lock_destroy(&ctx->wait_lock);
}

static GSourceFuncs source_funcs = {
    .prepare = source_prepare,
    .check = source_check,
    .dispatch = source_dispatch,
    .finalize = source_finalize,
};

AioContext *aio_context_new(GError **error)
{
    GSource *source = g_source_new(&source_funcs, sizeof(AioContext));
    AioContext *ctx = (AioContext *)source;

    g_source_set_name(source, "aio-context");
    /* A callback may run the GMainContext, as it may call aio_poll(). */
    g_source_set_can_recurse(source, TRUE);
    atomic_init(&ctx->home, NULL);
    atomic_init(&ctx->state, AIO_RUNNING);
    lock_init(&ctx->wait_lock, LOCK_RANK_LEAF);
    pthread_cond_init(&ctx->wait_cond, NULL);
    aio_poll_init(ctx);
    aio_bh_init(ctx);
    aio_timers_init(ctx);
    aio_fd_init(ctx);
    ctx->scratch = g_try_malloc(AIO_SCRATCH_BYTES);
    if (!ctx->scratch) {
        error_set_errno(error, ENOMEM, "AioContext");
        goto out_unref;
    }
    if (!aio_fd_open(ctx, error)) {
        goto out_unref;
    }
    ctx->source_fd_tag = g_source_add_unix_fd(source, ctx->fd.epoll_fd,
                                              G_IO_IN);
    return ctx;

out_unref:
    aio_context_unref(ctx);
    return NULL;
}

void *aio_get_scratch(AioContext *ctx)
{
    return ctx->scratch;
}

AioContext *aio_context_ref(AioContext *ctx)
{
    g_source_ref(&ctx->source);
    return ctx;
}

void aio_context_unref(AioContext *ctx)
{
    g_source_unref(&ctx->source);
}

GSource *aio_get_g_source(AioContext *ctx)
{
    return g_source_ref(&ctx->source);
}
