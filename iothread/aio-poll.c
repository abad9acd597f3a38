/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Adaptive busy polling of an AioContext, with QEMU's rules: a handler that
 * offers a cheap test joins the poll set when it is first dispatched, and
 * learns from then on how long waiting for it usually takes. As long as every
 * handler of the context has a test, a turn spins over the tests for the
 * longest time learned before it blocks.
 *
 * With many in the set it does not go by handlers, or each turn would cost by
 * how many there are: it spins over the question to the kernel which of them
 * are ready, for the time that the last one to run has learned.
 *
 * io_poll callbacks do not change handlers: the set is walked with them.
 */
#include "iothread/aio-internal.h"

static int64_t poll_grown(int64_t ns, int64_t max_ns, int64_t grow)
{
    int64_t grown;

    if (ns == 0) {
        grown = AIO_POLL_FIRST_NS;
    } else if (__builtin_mul_overflow(ns, grow ? grow : 2, &grown)) {
        grown = max_ns;
    }
    return MIN(grown, max_ns);
}

int64_t aio_poll_adjust(int64_t ns, int64_t block_ns, int64_t max_ns,
                        int64_t grow, int64_t shrink)
{
    if (block_ns <= ns) {
        return ns;              /* polling that long finds it */
    }
    if (block_ns > max_ns) {
        return shrink ? ns / shrink : 0;
    }
    if (block_ns < max_ns && ns < max_ns) {
        return poll_grown(ns, max_ns, grow);
    }
    return ns;
}

static void handler_learn(AioContext *ctx, AioHandler *handler,
                          int64_t block_ns)
{
    AioPolling *poll = &ctx->poll;
    int64_t max_ns = aio_poll_max_ns(ctx);

    if (max_ns == 0) {
        return;
    }
    /* Relaxed, as all three: see aio_set_poll_params(). */
    handler->poll_ns = aio_poll_adjust(
        handler->poll_ns, block_ns, max_ns,
        atomic_load_explicit(&poll->grow, memory_order_relaxed),
        atomic_load_explicit(&poll->shrink, memory_order_relaxed));
}

void aio_poll_learn(AioContext *ctx, AioHandler *handler, int64_t block_ns)
{
    if (cds_list_empty(&handler->poll_node)) {
        return;
    }
    /* Else nothing to learn, as aio_poll_adjust() says; mostly so. */
    if (block_ns > handler->poll_ns) {
        handler_learn(ctx, handler, block_ns);
    }
    ctx->poll.latest_ns = handler->poll_ns;
}

void aio_poll_join(AioContext *ctx, AioHandler *handler)
{
    if (handler->io_poll && cds_list_empty(&handler->poll_node)) {
        cds_list_add_tail(&handler->poll_node, &ctx->poll.set);
        ctx->poll.set_size++;
    }
}

void aio_poll_leave(AioContext *ctx, AioHandler *handler)
{
    handler->poll_ns = 0;
    if (!cds_list_empty(&handler->poll_node)) {
        cds_list_del_init(&handler->poll_node);
        ctx->poll.set_size--;
    }
}

static bool poll_asks_kernel(const AioPolling *poll)
{
    return poll->set_size > AIO_POLL_TESTS;
}

bool aio_poll_covers_all(AioContext *ctx)
{
    return poll_asks_kernel(&ctx->poll) ||
           ctx->poll.set_size + ctx->fd.paused == ctx->fd.count;
}

int64_t aio_poll_max_ns(AioContext *ctx)
{
    if (aio_main_context(ctx)) {
        return 0;               /* GLib waits, and other sources with it */
    }
    /* Relaxed: see aio_set_poll_params(). */
    return atomic_load_explicit(&ctx->poll.max_ns, memory_order_relaxed);
}

/* After a change of parameters everybody starts to learn anew. */
static void poll_forget(AioPolling *poll)
{
    /* Acquire: pairs with the fetch_add in aio_set_poll_params(). */
    unsigned generation = atomic_load_explicit(&poll->generation,
                                               memory_order_acquire);
    AioHandler *handler;

    if (generation == poll->seen_generation) {
        return;
    }
    poll->seen_generation = generation;
    poll->latest_ns = 0;
    cds_list_for_each_entry(handler, &poll->set, poll_node) {
        handler->poll_ns = 0;
    }
}

/* The longest that any of them has learned. */
static int64_t poll_longest(const AioPolling *poll)
{
    AioHandler *handler;
    int64_t longest = 0;

    cds_list_for_each_entry(handler, &poll->set, poll_node) {
        if (!handler->in_poll_ready) {
            longest = MAX(longest, handler->poll_ns);
        }
    }
    return longest;
}

static int64_t poll_budget(AioPolling *poll, int64_t timeout_ns)
{
    int64_t budget;

    poll_forget(poll);
    if (poll->without_io_poll > 0) {
        return 0;               /* it is not worth it for a part of them */
    }
    budget = poll_asks_kernel(poll) ? poll->latest_ns : poll_longest(poll);
    return timeout_ns < 0 ? budget : MIN(budget, timeout_ns);
}

/* One test of each, so that none is behind the others for ever. */
static bool poll_test_all(AioContext *ctx)
{
    AioHandler *handler;
    bool hit = false;

    if (poll_asks_kernel(&ctx->poll)) {
        aio_fd_collect(ctx, 0);
        return !cds_list_empty(&ctx->fd.ready);
    }
    cds_list_for_each_entry(handler, &ctx->poll.set, poll_node) {
        if (!handler->in_poll_ready && handler->io_poll(handler->opaque)) {
            aio_fd_mark_ready(ctx, handler, AIO_READY_POLL);
            hit = true;
        }
    }
    return hit;
}

static bool poll_notified(AioContext *ctx)
{
    /* Relaxed: ends the spinning only; aio_accept_notify() acquires. */
    return atomic_load_explicit(&ctx->state, memory_order_relaxed) ==
           AIO_NOTIFIED;
}

bool aio_poll_busy(AioContext *ctx, int64_t start_ns, int64_t timeout_ns)
{
    int64_t budget = poll_budget(&ctx->poll, timeout_ns);

    if (budget == 0) {
        return false;
    }
    do {
        if (poll_test_all(ctx)) {
            return true;
        }
    } while (!poll_notified(ctx) && aio_clock_ns() - start_ns < budget);
    return false;
}

void aio_set_poll_params(AioContext *ctx, int64_t max_ns, int64_t grow,
                         int64_t shrink)
{
    AioPolling *poll = &ctx->poll;

    g_assert(max_ns >= 0 && grow >= 0 && shrink >= 0);
    /*
     * Relaxed: a turn may read old and new. The next one forgets what it has
     * learned, since poll_forget() acquires what the fetch_add releases.
     */
    atomic_store_explicit(&poll->max_ns, max_ns, memory_order_relaxed);
    atomic_store_explicit(&poll->grow, grow, memory_order_relaxed);
    atomic_store_explicit(&poll->shrink, shrink, memory_order_relaxed);
    atomic_fetch_add_explicit(&poll->generation, 1, memory_order_release);
    aio_notify(ctx);
}

void aio_poll_init(AioContext *ctx)
{
    CDS_INIT_LIST_HEAD(&ctx->poll.set);
}
