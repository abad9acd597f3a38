/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Read-copy-update: liburcu's grace periods (mb flavour), made visible to
 * ThreadSanitizer.
 *
 * A read section costs two fences, some 60 ns, and next to nothing inside of
 * another one: so where items come in batches it is around a batch, not an
 * item. The memb flavour's costs 2 ns, but its grace periods interrupt each CPU
 * that runs a thread of the process, in a monitor also those that are in a
 * guest.
 *
 * liburcu is not instrumented, so the two edges that it gives - end of a read
 * section to end of a grace period, rcu_defer() to its callback - are told to
 * ThreadSanitizer by hand. Pointers are published with a C11 release store and
 * read with an acquire load; liburcu is used for the waiting only.
 *
 * Threads: a thread registers before its first read section and unregisters
 *          before it ends. rcu_defer() on registered threads.
 * Locks:   none held by readers. rcu_synchronize() may be called under a
 *          config_lock, since no reader takes one, and never inside a section.
 */
#ifndef BASE_RCU_H
#define BASE_RCU_H

#ifdef WITH_TSAN
#include <sanitizer/tsan_interface.h>
#define RCU_TSAN_RELEASE(p) __tsan_release((void *)(p))
#define RCU_TSAN_ACQUIRE(p) __tsan_acquire((void *)(p))
#else
#ifndef _LGPL_SOURCE
#define _LGPL_SOURCE            /* inlined read side; never under TSan */
#endif
#define RCU_TSAN_RELEASE(p) ((void)0)
#define RCU_TSAN_ACQUIRE(p) ((void)0)
#endif

#if defined(RCU_MEMBARRIER) || defined(RCU_SIGNAL) || \
    (defined(_URCU_H) && !defined(RCU_MB))
#error "base/rcu.h goes before <urcu.h>, or define RCU_MB: flavours do not mix"
#endif
#ifndef RCU_MB
#define RCU_MB
#endif
#include <urcu.h>

/* One tag for every read section of the process. */
extern char rcu_sections_tag;

static inline void rcu_section_enter(void)
{
    rcu_read_lock();
}

static inline void rcu_section_leave(void)
{
    RCU_TSAN_RELEASE(&rcu_sections_tag);
    rcu_read_unlock();
}

/**
 * rcu_synchronize() - wait until every read section that had begun is over
 *
 * Context: May block. Not inside a read section, not under a ring_lock.
 */
void rcu_synchronize(void);

/**
 * struct RcuDeferred - embed it in what rcu_defer() is to free
 */
typedef struct RcuDeferred {
    struct rcu_head head;
    void (*func)(struct RcuDeferred *deferred);
} RcuDeferred;

/**
 * rcu_defer() - call @func on @deferred after a grace period
 *
 * @func runs on liburcu's own thread, may free @deferred, must not block and
 * must not destroy host objects.
 *
 * Context: Registered thread; takes a leaf lock, so not under one. Does not
 * wait.
 */
void rcu_defer(RcuDeferred *deferred, void (*func)(RcuDeferred *deferred));

/**
 * rcu_defer_drain() - wait until every callback queued so far has run
 *
 * Context: May block. Not inside a read section nor in a callback.
 */
void rcu_defer_drain(void);

#endif
