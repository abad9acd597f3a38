/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of an AioContext share. Each file owns one of the structs
 * below and is alone in writing to it:
 *
 *   aio-context.c  AioContext: the state word, a turn, the GSource, life cycle
 *   aio-fd.c       AioFdMonitor and AioHandler: epoll, who is ready
 *   aio-poll.c     AioPolling: busy polling and what it learns
 *   aio-bh.c       AioBHQueue: bottom halves
 *   aio-timer.c    AioTimers
 *
 * A turn may be nested in a callback of another turn of the same context.
 * Therefore everything that a turn has found and not yet served (the slice of
 * bottom halves, ready handlers, expired timers) lies in a list of the context
 * and not on the stack: the inner turn serves it, the outer one finds it gone.
 *
 * Threads: the home thread, but for the fields marked [atomic].
 */
#ifndef IOTHREAD_AIO_INTERNAL_H
#define IOTHREAD_AIO_INTERNAL_H

#include "base/rcu.h"           /* first: it chooses liburcu's inlining */

#include <stdatomic.h>
#include <urcu/arch.h>
#include <urcu/hlist.h>
#include <urcu/list.h>
#include <urcu/wfcqueue.h>

#include "base/lock.h"
#include "iothread/aio-context.h"

/**
 * enum AioState - what the loop does, and the whole of the wake-up protocol
 * @AIO_RUNNING: looks for work, will look at this word before it blocks
 * @AIO_SLEEPING: blocks or is about to: who has work writes the eventfd
 * @AIO_NOTIFIED: there is news: do not block
 */
typedef enum AioState {
    AIO_RUNNING,
    AIO_SLEEPING,
    AIO_NOTIFIED,
} AioState;

/* AioHandler::ready: callbacks that are due. */
enum {
    AIO_READY_POLL = 1 << 0,
    AIO_READY_READ = 1 << 1,
    AIO_READY_WRITE = 1 << 2,
};

/**
 * struct AioHandler - a watched fd
 * @ready: due callbacks; replacing or removing the handler clears it, and that
 *         alone keeps the callbacks from being called
 * @ready_node: in AioFdMonitor::ready, or ::removed once @fd is not watched
 * @fd_node: in AioFdMonitor::handlers
 * @poll_node: in AioPolling::set
 * @poll_ns: how long it is worth while to busy poll for it
 * @paused: epoll tells of errors only, and it is not polled
 * @in_poll_ready: io_poll_ready runs: not to be tested by a nested turn
 */
typedef struct AioHandler {
    int fd;
    IOHandler *io_read;
    IOHandler *io_write;
    AioPollFn *io_poll;
    IOHandler *io_poll_ready;
    void *opaque;
    unsigned ready;
    struct cds_list_head ready_node;
    struct cds_hlist_node fd_node;
    struct cds_list_head poll_node;
    int64_t poll_ns;
    bool paused;
    bool in_poll_ready;
} AioHandler;

enum { AIO_FD_BUCKETS = 64 };

/**
 * struct AioFdMonitor - the epoll instance and its handlers
 * @epoll_fd: [const]
 * @notify_fd: [const] eventfd, edge-triggered: a write wakes, nobody reads
 * @no_pwait2: the kernel has no epoll_pwait2()
 * @handlers: fd to AioHandler: a hash table that never has to grow, so that
 *            only the handler itself needs memory
 * @count: of handlers
 * @paused: how many of them are
 * @ready: handlers with callbacks due, in the order they were found
 * @removed: handlers that a dispatch under way may still look at
 * @depth: dispatches under way
 */
typedef struct AioFdMonitor {
    int epoll_fd;
    int notify_fd;
    bool no_pwait2;
    struct cds_hlist_head handlers[AIO_FD_BUCKETS];
    unsigned count;
    unsigned paused;
    struct cds_list_head ready;
    struct cds_list_head removed;
    unsigned depth;
} AioFdMonitor;

/**
 * struct AioPolling - adaptive busy polling
 * @max_ns: [atomic] as aio_set_poll_params() has it, like the next two
 * @generation: [atomic] counts changes of the three
 * @seen_generation: the one for which the handlers learned
 * @set: handlers that are polled, because they were active once
 * @set_size: how many
 * @without_io_poll: handlers that only the kernel can watch
 * @latest_ns: what the handler that was dispatched last has learned
 */
typedef struct AioPolling {
    _Atomic int64_t max_ns;
    _Atomic int64_t grow;
    _Atomic int64_t shrink;
    atomic_uint generation;
    unsigned seen_generation;
    struct cds_list_head set;
    unsigned set_size;
    unsigned without_io_poll;
    int64_t latest_ns;
} AioPolling;

/* AioBH::flags */
enum {
    AIO_BH_PENDING = 1 << 0,    /* in a queue, or on its way there */
    AIO_BH_SCHEDULED = 1 << 1,  /* to be called when it leaves the queue */
    AIO_BH_DELETED = 1 << 2,    /* to be freed instead */
    AIO_BH_ONESHOT = 1 << 3,    /* to be freed as well */
};

struct AioBH {
    struct cds_wfcq_node node;
    AioContext *ctx;            /* [const] */
    AioBHFunc *func;            /* [const] */
    void *opaque;               /* [const] */
    atomic_uint flags;          /* [atomic] */
};

/**
 * struct AioBHQueue - bottom halves in the order of their scheduling
 * @slice_head: home thread; those to run now, with its tail
 * @stalled: the slice waits for a thread that is amid its enqueue
 * @incoming_head: those scheduled since the last aio_bh_poll(), for the home
 *                 thread to take; written by who schedules the first
 * @incoming_tail: where any thread enqueues
 * @alive: [atomic] made and not yet freed
 */
typedef struct AioBHQueue {
    struct __cds_wfcq_head slice_head;
    struct cds_wfcq_tail slice_tail;
    bool stalled;
    char gap[CAA_CACHE_LINE_SIZE];      /* what others write: */
    struct __cds_wfcq_head incoming_head;
    struct cds_wfcq_tail incoming_tail;
    atomic_uint alive;
} AioBHQueue;

/**
 * struct AioTimers
 * @armed: by deadline, equal ones in the order of arming
 * @expired: to be called now
 * @alive: made and not yet freed
 */
typedef struct AioTimers {
    struct cds_list_head armed;
    struct cds_list_head expired;
    unsigned alive;
} AioTimers;

/*
 * What the home thread works with in each turn shares no cache line with what
 * others write when they schedule.
 */
struct AioContext {
    GSource source;             /* first: the context is the source */
    void *source_fd_tag;        /* [const] epoll_fd, as the source watches it */
    _Atomic(void *) home;       /* see aio_context_bind() */
    AioFdMonitor fd;
    AioPolling poll;
    AioTimers timers;
    void *scratch;              /* [const] the memory: [iothread] */
    AioBHQueue bh;              /* its last fields are others' */
    _Atomic AioState state;     /* see aio_notify() */
    Lock wait_lock;             /* a leaf: see bh_wait_run() */
    pthread_cond_t wait_cond;   /* some wait that slept is done */
};

/* aio-context.c */

/**
 * aio_main_context() - the GMainContext that runs @ctx, or NULL
 */
GMainContext *aio_main_context(AioContext *ctx);

/* aio-fd.c */

void aio_fd_init(AioContext *ctx);
bool aio_fd_open(AioContext *ctx, GError **error);
void aio_fd_close(AioContext *ctx);

/**
 * aio_fd_find() - the handler of @fd, or NULL
 */
AioHandler *aio_fd_find(AioContext *ctx, int fd);

/**
 * aio_fd_collect() - move handlers that epoll finds ready to the ready list
 * @timeout_ns: longest wait, -1 for ever
 */
void aio_fd_collect(AioContext *ctx, int64_t timeout_ns);

/**
 * aio_fd_mark_ready() - have callbacks of @handler called by aio_fd_dispatch()
 */
void aio_fd_mark_ready(AioContext *ctx, AioHandler *handler, unsigned ready);

/**
 * aio_fd_dispatch() - call what the ready list has
 * @block_ns: how long this turn waited, for aio_poll_learn()
 *
 * Return: whether a callback ran.
 */
bool aio_fd_dispatch(AioContext *ctx, int64_t block_ns);

/* aio-poll.c */

#define AIO_POLL_FIRST_NS 4000

/*
 * The most handlers that are tested one by one. Of more it costs less to ask
 * the kernel, once, which of them are ready: a test takes some 30 ns, or a
 * system call each.
 */
#define AIO_POLL_TESTS 8

/**
 * aio_poll_adjust() - the learning rule; pure
 * @ns: what the handler had learned
 * @block_ns: how long the turn that found it ready had waited
 *
 * Return: what it has learned now.
 */
int64_t aio_poll_adjust(int64_t ns, int64_t block_ns, int64_t max_ns,
                        int64_t grow, int64_t shrink);

void aio_poll_init(AioContext *ctx);

/**
 * aio_poll_max_ns() - the effective parameter: 0 in a GMainContext
 */
int64_t aio_poll_max_ns(AioContext *ctx);

/**
 * aio_poll_busy() - spin until a handler has work, there is news or time is up
 * @start_ns: when the turn began
 * @timeout_ns: when the turn must end, -1 for never
 *
 * Return: whether a handler has work; it is on the ready list then.
 */
bool aio_poll_busy(AioContext *ctx, int64_t start_ns, int64_t timeout_ns);

/**
 * aio_poll_covers_all() - does busy polling watch every fd of the context, be it
 * by asking the kernel?
 */
bool aio_poll_covers_all(AioContext *ctx);

void aio_poll_join(AioContext *ctx, AioHandler *handler);
void aio_poll_leave(AioContext *ctx, AioHandler *handler);
void aio_poll_learn(AioContext *ctx, AioHandler *handler, int64_t block_ns);

/* aio-bh.c */

void aio_bh_init(AioContext *ctx);

/**
 * aio_bh_close() - free the bottom halves that were deleted
 *
 * Return: how many are left.
 */
unsigned aio_bh_close(AioContext *ctx);

/**
 * aio_bh_poll() - run those scheduled up to now
 *
 * Return: whether a callback ran.
 */
bool aio_bh_poll(AioContext *ctx);

/**
 * aio_bh_left_over() - has an aio_bh_poll() under way others to run?
 *
 * Those scheduled since then do not count: they called aio_notify().
 */
bool aio_bh_left_over(AioContext *ctx);

/* aio-timer.c */

void aio_timers_init(AioContext *ctx);

/**
 * aio_timeout_ms() - @timeout_ns as poll() wants it, rounded up; -1 stays
 */
int aio_timeout_ms(int64_t timeout_ns);

/**
 * aio_timers_timeout() - ns until the next deadline, 0 if past, -1 for none
 */
int64_t aio_timers_timeout(AioContext *ctx);

/**
 * aio_timers_run() - call those whose deadline has come
 *
 * Return: whether a callback ran.
 */
bool aio_timers_run(AioContext *ctx);

#endif
