/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Timers of an AioContext: a list sorted by deadline. A context has few, and
 * most are armed behind those that are there, so the place is sought from the
 * end.
 *
 * A timer that its callback arms for a time already past runs in the next
 * turn, because a turn takes out what has expired before it calls anybody.
 */
#include "iothread/aio-internal.h"

#include <time.h>

struct AioTimer {
    struct cds_list_head node;  /* in AioTimers::armed, ::expired or neither */
    AioContext *ctx;            /* [const] */
    AioTimerFunc *func;         /* [const] */
    void *opaque;               /* [const] */
    int64_t expire_ns;
};

static AioTimer *timers_first(struct cds_list_head *list)
{
    return cds_list_first_entry(list, AioTimer, node);
}

int64_t aio_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int aio_timeout_ms(int64_t timeout_ns)
{
    const int64_t ns_per_ms = 1000000;

    if (timeout_ns < 0) {
        return -1;
    }
    return MIN(timeout_ns / ns_per_ms + (timeout_ns % ns_per_ms > 0),
               G_MAXINT);
}

int64_t aio_timers_timeout(AioContext *ctx)
{
    AioTimers *timers = &ctx->timers;
    int64_t now;

    if (cds_list_empty(&timers->armed)) {
        return -1;
    }
    now = aio_clock_ns();
    return MAX(timers_first(&timers->armed)->expire_ns, now) - now;
}

static void timers_expire(AioTimers *timers)
{
    int64_t now;

    if (cds_list_empty(&timers->armed)) {
        return;
    }
    now = aio_clock_ns();
    while (!cds_list_empty(&timers->armed)) {
        AioTimer *timer = timers_first(&timers->armed);

        if (timer->expire_ns > now) {
            break;
        }
        cds_list_del(&timer->node);
        cds_list_add_tail(&timer->node, &timers->expired);
    }
}

bool aio_timers_run(AioContext *ctx)
{
    AioTimers *timers = &ctx->timers;
    bool progress = false;

    timers_expire(timers);
    while (!cds_list_empty(&timers->expired)) {
        AioTimer *timer = timers_first(&timers->expired);

        cds_list_del_init(&timer->node);
        timer->func(timer->opaque);     /* may free it */
        progress = true;
    }
    return progress;
}

void aio_timer_mod(AioTimer *timer, int64_t expire_ns)
{
    struct cds_list_head *armed = &timer->ctx->timers.armed;
    struct cds_list_head *before;

    g_assert(aio_in_home_thread(timer->ctx));
    cds_list_del(&timer->node);
    timer->expire_ns = expire_ns;
    for (before = armed->prev; before != armed; before = before->prev) {
        if (cds_list_entry(before, AioTimer, node)->expire_ns <= expire_ns) {
            break;
        }
    }
    cds_list_add(&timer->node, before);
}

void aio_timer_del(AioTimer *timer)
{
    g_assert(aio_in_home_thread(timer->ctx));
    cds_list_del_init(&timer->node);
}

AioTimer *aio_timer_new(AioContext *ctx, AioTimerFunc *func, void *opaque)
{
    AioTimer *timer = g_try_new0(AioTimer, 1);

    g_assert(aio_in_home_thread(ctx));
    if (!timer) {
        return NULL;
    }
    CDS_INIT_LIST_HEAD(&timer->node);
    timer->ctx = ctx;
    timer->func = func;
    timer->opaque = opaque;
    ctx->timers.alive++;
    return timer;
}

void aio_timer_free(AioTimer *timer)
{
    if (timer) {
        aio_timer_del(timer);
        timer->ctx->timers.alive--;
        g_free(timer);
    }
}

void aio_timers_init(AioContext *ctx)
{
    CDS_INIT_LIST_HEAD(&ctx->timers.armed);
    CDS_INIT_LIST_HEAD(&ctx->timers.expired);
}
