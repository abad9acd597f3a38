/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pending callbacks are counted here because rcu_barrier() of liburcu 0.13
 * frees memory in a way that ThreadSanitizer cannot follow.
 */
#include "base/rcu.h"

#include "base/lock.h"

char rcu_sections_tag;

static Lock pending_lock = LOCK_INITIALIZER(LOCK_RANK_LEAF);
static pthread_cond_t pending_none = PTHREAD_COND_INITIALIZER;
static unsigned long pending GUARDED_BY(pending_lock);

void rcu_synchronize(void)
{
    synchronize_rcu();
    RCU_TSAN_ACQUIRE(&rcu_sections_tag);
}

static void deferred_run(struct rcu_head *head)
{
    RcuDeferred *deferred = caa_container_of(head, RcuDeferred, head);

    RCU_TSAN_ACQUIRE(deferred);             /* from rcu_defer() */
    RCU_TSAN_ACQUIRE(&rcu_sections_tag);    /* from every reader */
    deferred->func(deferred);

    lock_acquire(&pending_lock);
    if (--pending == 0) {
        pthread_cond_broadcast(&pending_none);
    }
    lock_release(&pending_lock);
}

void rcu_defer(RcuDeferred *deferred, void (*func)(RcuDeferred *deferred))
{
    lock_acquire(&pending_lock);
    pending++;
    lock_release(&pending_lock);

    deferred->func = func;
    RCU_TSAN_RELEASE(deferred);
    call_rcu(&deferred->head, deferred_run);
}

void rcu_defer_drain(void)
{
    lock_acquire(&pending_lock);
    while (pending > 0) {
        lock_wait(&pending_lock, &pending_none);
    }
    lock_release(&pending_lock);
}
