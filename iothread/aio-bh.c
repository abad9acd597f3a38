/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bottom halves of an AioContext, in liburcu's wait-free concurrent queue.
 *
 * Any thread enqueues (one exchange, one store), the home thread dequeues. A
 * bottom half is in the queue at most once: PENDING is set by whoever is to
 * enqueue it and cleared by the home thread once the node is out again.
 *
 * A thread that is preempted between its exchange and its store leaves a gap
 * in the queue. The home thread stops at a gap and goes on with its turn; it
 * may even sleep, since that thread's aio_notify() is still to come.
 */
#include "iothread/aio-internal.h"

/*
 * How long a wait looks before it sleeps. While the home thread is busy the
 * wait ends within a turn, in microseconds, and to wake a sleeper on another
 * CPU would cost that thread 5 to 10 us in a virtual machine.
 */
#define WAIT_SPIN_NS 20000
#define WAIT_LOOKS 64           /* between readings of the clock */

/**
 * enum AioWaitState - how far aio_wait_bh_oneshot() is
 * @AIO_WAIT_AWAKE: the thread looks at this word
 * @AIO_WAIT_ASLEEP: it sleeps or is about to: DONE comes under the wait_lock
 * @AIO_WAIT_DONE: the callback has run
 */
typedef enum AioWaitState {
    AIO_WAIT_AWAKE,
    AIO_WAIT_ASLEEP,
    AIO_WAIT_DONE,
} AioWaitState;

/* On the stack of the thread that waits in aio_wait_bh_oneshot(). */
typedef struct AioBHWait {
    AioBH bh;                   /* of no account in AioBHQueue::alive */
    AioBHFunc *func;
    void *opaque;
    _Atomic AioWaitState state;
} AioBHWait;

/*
 * Set @flags, and enqueue @bh unless it is in the queue. No touching @bh after
 * that: it may have run, and been freed, already.
 */
static void bh_enqueue(AioBH *bh, unsigned flags)
{
    AioContext *ctx = bh->ctx;
    /*
     * Release: the fetch_and in bh_leave_queue() acquires what the caller has
     * written, also if @bh was PENDING. Acquire: pairs with the release there,
     * after which the node is ours.
     */
    unsigned old = atomic_fetch_or_explicit(
        &bh->flags, flags | AIO_BH_PENDING, memory_order_acq_rel);

    g_assert(!(old & AIO_BH_DELETED));
    if (!(old & AIO_BH_PENDING)) {
        AioBHQueue *queue = &ctx->bh;

        cds_wfcq_node_init(&bh->node);
        RCU_TSAN_RELEASE(&bh->node);    /* to bh_dequeue() */
        cds_wfcq_enqueue(&queue->incoming_head, &queue->incoming_tail,
                         &bh->node);
        aio_notify(ctx);
    }
}

/* NULL if the slice is empty or has a gap at its head. */
static AioBH *bh_dequeue(AioBHQueue *queue)
{
    struct cds_wfcq_node *node = __cds_wfcq_dequeue_nonblocking(
        &queue->slice_head, &queue->slice_tail);

    queue->stalled = node == CDS_WFCQ_WOULDBLOCK;
    if (!node || queue->stalled) {
        return NULL;
    }
    RCU_TSAN_ACQUIRE(node);             /* from bh_enqueue() */
    return caa_container_of(node, AioBH, node);
}

/* From here on @bh may be enqueued again. Return: its flags until now. */
static unsigned bh_leave_queue(AioBH *bh)
{
    /* Acquire and release: both pair with the fetch_or in bh_enqueue(). */
    return atomic_fetch_and_explicit(&bh->flags,
                                     ~(AIO_BH_PENDING | AIO_BH_SCHEDULED),
                                     memory_order_acq_rel);
}

static void bh_free(AioBH *bh)
{
    /* Relaxed: a count; aio_bh_close() is alone with the context. */
    atomic_fetch_sub_explicit(&bh->ctx->bh.alive, 1, memory_order_relaxed);
    g_free(bh);
}

/* The incoming ones go behind what an outer call has left of its slice. */
static void slice_take_incoming(AioBHQueue *queue)
{
    /* Would it block, then it takes nothing, and a notification follows. */
    __cds_wfcq_splice_nonblocking(&queue->slice_head, &queue->slice_tail,
                                  &queue->incoming_head,
                                  &queue->incoming_tail);
}

bool aio_bh_poll(AioContext *ctx)
{
    bool progress = false;
    AioBH *bh;

    slice_take_incoming(&ctx->bh);
    while ((bh = bh_dequeue(&ctx->bh))) {
        AioBHFunc *func = bh->func;
        void *opaque = bh->opaque;
        unsigned flags = bh_leave_queue(bh);

        /* Not after the callback: that may delete @bh, and poll on. */
        if (flags & (AIO_BH_DELETED | AIO_BH_ONESHOT)) {
            bh_free(bh);
        }
        if ((flags & AIO_BH_SCHEDULED) && !(flags & AIO_BH_DELETED)) {
            func(opaque);
            progress = true;
        }
    }
    return progress;
}

bool aio_bh_left_over(AioContext *ctx)
{
    AioBHQueue *queue = &ctx->bh;

    return !queue->stalled &&
           !cds_wfcq_empty(&queue->slice_head, &queue->slice_tail);
}

static void bh_init(AioBH *bh, AioContext *ctx, AioBHFunc *func, void *opaque,
                    unsigned flags)
{
    bh->ctx = ctx;
    bh->func = func;
    bh->opaque = opaque;
    atomic_init(&bh->flags, flags);
}

static AioBH *bh_new(AioContext *ctx, AioBHFunc *func, void *opaque,
                     unsigned flags)
{
    AioBH *bh = g_try_new0(AioBH, 1);

    if (!bh) {
        return NULL;
    }
    bh_init(bh, ctx, func, opaque, flags);
    /* Relaxed: see bh_free(). */
    atomic_fetch_add_explicit(&ctx->bh.alive, 1, memory_order_relaxed);
    return bh;
}

AioBH *aio_bh_new(AioContext *ctx, AioBHFunc *func, void *opaque)
{
    return bh_new(ctx, func, opaque, 0);
}

void aio_bh_schedule(AioBH *bh)
{
    bh_enqueue(bh, AIO_BH_SCHEDULED);
}

void aio_bh_cancel(AioBH *bh)
{
    /* Relaxed: takes a promise back, publishes nothing. */
    atomic_fetch_and_explicit(&bh->flags, ~AIO_BH_SCHEDULED,
                              memory_order_relaxed);
}

void aio_bh_delete(AioBH *bh)
{
    bh_enqueue(bh, AIO_BH_DELETED);
}

bool aio_bh_schedule_oneshot(AioContext *ctx, AioBHFunc *func, void *opaque)
{
    AioBH *bh = bh_new(ctx, func, opaque, AIO_BH_ONESHOT);

    if (bh) {
        bh_enqueue(bh, AIO_BH_SCHEDULED);
    }
    return bh;
}

/* Return: whether the thread was awake: it may have returned, @wait is gone. */
static bool wait_end_awake(AioBHWait *wait)
{
    AioWaitState expected = AIO_WAIT_AWAKE;

    /*
     * Release: pairs with the acquires in wait_spin() and wait_fall_asleep().
     * Relaxed: who is asleep gets it all by the wait_lock.
     */
    return atomic_compare_exchange_strong_explicit(
        &wait->state, &expected, AIO_WAIT_DONE, memory_order_release,
        memory_order_relaxed);
}

static void bh_wait_run(void *opaque)
{
    AioBHWait *wait = opaque;
    AioContext *ctx = wait->bh.ctx;

    wait->func(wait->opaque);
    /* Nobody looks at the bottom half any more. */
    if (wait_end_awake(wait)) {
        return;
    }
    /*
     * The lock and the condition are the context's: as soon as the lock is
     * released the waiting thread may return, and @wait is gone. Not before,
     * as DONE is stored under it. Relaxed: for the same reason.
     */
    lock_acquire(&ctx->wait_lock);
    atomic_store_explicit(&wait->state, AIO_WAIT_DONE, memory_order_relaxed);
    pthread_cond_broadcast(&ctx->wait_cond);
    lock_release(&ctx->wait_lock);
}

/* Return: whether it is done. */
static bool wait_spin(AioBHWait *wait)
{
    const int64_t end = aio_clock_ns() + WAIT_SPIN_NS;

    do {
        for (unsigned i = 0; i < WAIT_LOOKS; i++) {
            /* Acquire: pairs with the release in wait_end_awake(). */
            if (atomic_load_explicit(&wait->state, memory_order_acquire) ==
                AIO_WAIT_DONE) {
                return true;
            }
            caa_cpu_relax();
        }
    } while (aio_clock_ns() < end);
    return false;
}

/* Return: false if it is done meanwhile. */
static bool wait_fall_asleep(AioBHWait *wait)
{
    AioWaitState expected = AIO_WAIT_AWAKE;

    /*
     * Acquire: pairs with the release in wait_end_awake(), which came first.
     * Else it publishes nothing and gets nothing: the wait_lock does.
     */
    return atomic_compare_exchange_strong_explicit(
        &wait->state, &expected, AIO_WAIT_ASLEEP, memory_order_acquire,
        memory_order_acquire);
}

static void wait_sleep(AioContext *ctx, AioBHWait *wait)
{
    lock_acquire(&ctx->wait_lock);
    /* Relaxed: from ASLEEP to DONE it goes under the lock. */
    while (atomic_load_explicit(&wait->state, memory_order_relaxed) !=
           AIO_WAIT_DONE) {
        lock_wait(&ctx->wait_lock, &ctx->wait_cond);
    }
    lock_release(&ctx->wait_lock);
}

void aio_wait_bh_oneshot(AioContext *ctx, AioBHFunc *func, void *opaque)
{
    AioBHWait wait = { .func = func, .opaque = opaque };

    lock_assert_may_wait();
    bh_init(&wait.bh, ctx, bh_wait_run, &wait, 0);
    atomic_init(&wait.state, AIO_WAIT_AWAKE);
    bh_enqueue(&wait.bh, AIO_BH_SCHEDULED);
    if (aio_in_home_thread(ctx)) {
        /* Relaxed: stored by this very thread. */
        while (atomic_load_explicit(&wait.state, memory_order_relaxed) !=
               AIO_WAIT_DONE) {
            aio_poll(ctx, true);
        }
    } else if (!wait_spin(&wait) && wait_fall_asleep(&wait)) {
        wait_sleep(ctx, &wait);
    }
}

void aio_bh_init(AioContext *ctx)
{
    AioBHQueue *queue = &ctx->bh;

    __cds_wfcq_init(&queue->incoming_head, &queue->incoming_tail);
    __cds_wfcq_init(&queue->slice_head, &queue->slice_tail);
}

unsigned aio_bh_close(AioContext *ctx)
{
    AioBH *bh;

    slice_take_incoming(&ctx->bh);
    while ((bh = bh_dequeue(&ctx->bh))) {
        if (bh_leave_queue(bh) & AIO_BH_DELETED) {
            bh_free(bh);
        }
    }
    /* Relaxed: see bh_free(). */
    return atomic_load_explicit(&ctx->bh.alive, memory_order_relaxed);
}
