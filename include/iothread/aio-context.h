/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * AioContext: an event loop with fd handlers, bottom halves and timers. Terms
 * and meanings are QEMU's, except that bottom halves run first in, first out.
 *
 * A context is a GSource over one epoll instance, so a turn costs by ready
 * fds, not by watched ones. It runs either by aio_poll() on the thread that
 * called aio_context_bind(), or attached to a GMainContext that somebody else
 * runs. Either way one thread is its home at a time.
 *
 * Threads: bottom-half calls and aio_notify() on any thread, wait-free; fd
 *          handlers, timers and aio_poll() on the home thread only (asserted).
 * Locks:   none. aio_wait_bh_oneshot() blocks: never under a ring_lock.
 */
#ifndef IOTHREAD_AIO_CONTEXT_H
#define IOTHREAD_AIO_CONTEXT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct AioContext AioContext;
typedef struct AioBH AioBH;
typedef struct AioTimer AioTimer;

/* Runs on the home thread. May add, change and remove handlers, its own too. */
typedef void IOHandler(void *opaque);

/*
 * A cheap test, in user space or one system call: is there work? Runs on the
 * home thread. Changes no handler.
 */
typedef bool AioPollFn(void *opaque);

typedef void AioBHFunc(void *opaque);
typedef void AioTimerFunc(void *opaque);

/**
 * aio_context_new() - make a context without a home thread
 *
 * Return: the context with one reference, or NULL and @error set (no file
 * descriptor left, for instance).
 */
AioContext *aio_context_new(GError **error);

AioContext *aio_context_ref(AioContext *ctx);

/**
 * aio_context_unref() - drop a reference; the last one frees the context
 *
 * Context: For the last reference: no fd handler, timer or bottom half is left
 * (asserted), and the GSource, if it was attached, is destroyed.
 */
void aio_context_unref(AioContext *ctx);

/**
 * aio_context_bind() - make the calling thread the home of @ctx
 *
 * Context: @ctx is not attached to a GMainContext. A thread may be home to
 * several contexts; binding again moves a context that nobody polls.
 */
void aio_context_bind(AioContext *ctx);

/**
 * aio_get_g_source() - the context as a GSource, to be attached by the caller
 *
 * The thread that owns the GMainContext is then the home thread. (One that
 * iterates owns it within an iteration; for more, g_main_context_acquire().)
 * There is no busy polling in this form, and timers are as exact as GLib's, to
 * 1 ms.
 *
 * Context: Attach and destroy it on that thread, or while no other thread uses
 * the context.
 * Return: a new reference.
 */
GSource *aio_get_g_source(AioContext *ctx);

/**
 * aio_in_home_thread() - is the calling thread the home of @ctx?
 */
bool aio_in_home_thread(AioContext *ctx);

/**
 * aio_poll() - one turn of the loop
 * @blocking: wait until there is progress to be made, or aio_notify() is called
 *
 * Order within a turn: busy polling, wait, bottom halves, ready fd handlers,
 * removed handlers freed, timers. May be called from a callback of the same
 * context: the inner call serves what the outer one had not yet, first.
 *
 * Context: Home thread. Blocks if @blocking.
 * Return: whether a callback ran.
 */
bool aio_poll(AioContext *ctx, bool blocking);

/**
 * aio_notify() - make a blocking aio_poll() return soon
 *
 * Everything written before is visible to the turn that it causes.
 *
 * Context: Any thread, wait-free; a system call only if the loop sleeps.
 */
void aio_notify(AioContext *ctx);

/**
 * aio_set_fd_handler() - watch @fd, level-triggered
 * @io_read: called while @fd is readable, or has an error or hang-up; or NULL
 * @io_write: called while @fd is writable, or has an error or hang-up; or NULL
 * @io_poll: the cheap test for busy polling; NULL for none. Where many have one
 *           it is not called: the kernel is asked of all at once
 * @io_poll_ready: does the work when @io_poll said so; without it @io_poll is
 *                 ignored
 *
 * Replaces what was set for @fd, of which no callback begins any more, not even
 * in the turn that is under way. @io_read and @io_write both NULL removes it:
 * when this returns, the kernel holds no reference to the file any more.
 * Remove before closing the fd (asserted when it is removed too late).
 *
 * Context: Home thread. Does not block.
 * Return: 0, or -errno of epoll_ctl() (ENOSPC, ENOMEM; EPERM: a file that
 * cannot be watched) and nothing is changed. Removing never fails.
 */
int aio_set_fd_handler(AioContext *ctx, int fd, IOHandler *io_read,
                       IOHandler *io_write, AioPollFn *io_poll,
                       IOHandler *io_poll_ready, void *opaque);

/**
 * aio_pause_fd_handler() - stop listening to @fd for a while, or go on
 * @paused: nothing is called but for an error or hang-up of @fd, which cannot
 *          be switched off: who is called while paused removes the handler
 *
 * Cheaper than to remove and set anew: no allocation here or in the kernel, so
 * it cannot fail.
 *
 * Context: Home thread. A handler is set for @fd (asserted). Setting it again
 * ends the pause.
 */
void aio_pause_fd_handler(AioContext *ctx, int fd, bool paused);

/**
 * aio_set_poll_params() - adaptive polling, as -object iothread has it
 * @max_ns: longest busy polling in a turn, ns; 0 switches it off
 * @grow: multiplier; 0 acts as 2
 * @shrink: divisor; 0 falls to nothing at once
 *
 * What the handlers have learned is forgotten, and the loop is kicked.
 *
 * Context: Any thread; one turn may see a mixture of old and new.
 */
void aio_set_poll_params(AioContext *ctx, int64_t max_ns, int64_t grow,
                         int64_t shrink);

/*
 * Bottom halves. Scheduled once or many times before it runs, a bottom half
 * runs once. They run in the order of their scheduling, one-shots included, if
 * one call happened before the other; of several calls for one run the first
 * one's counts, which may still be under way on its thread when a later one
 * returns. Those scheduled while one runs belong to the next turn. The context
 * outlives every call, not just what it causes.
 */

/**
 * aio_bh_new() - make a bottom half, not scheduled
 *
 * Context: Any thread. Return: to be given to aio_bh_delete(); NULL if there is
 * no memory.
 */
AioBH *aio_bh_new(AioContext *ctx, AioBHFunc *func, void *opaque);

/**
 * aio_bh_schedule() - have @bh run once, soon
 *
 * Context: Any thread, any locks; wait-free, never allocates. Everything
 * written before is visible to the callback.
 */
void aio_bh_schedule(AioBH *bh);

/**
 * aio_bh_cancel() - take a scheduling back
 *
 * Its place in the queue stays: scheduled again before that is reached, the
 * bottom half runs there. On the home thread it will not run; from another
 * thread it may be running.
 *
 * Context: Any thread, wait-free.
 */
void aio_bh_cancel(AioBH *bh);

/**
 * aio_bh_delete() - cancel @bh and free it when the home thread gets there
 *
 * Context: Any thread, also its own callback; wait-free. @bh is given. A run
 * that has not begun will not begin.
 */
void aio_bh_delete(AioBH *bh);

/**
 * aio_bh_schedule_oneshot() - run @func once on the home thread
 *
 * Context: Any thread, any locks; allocates.
 * Return: false if there is no memory: it will not run. Where that cannot be,
 * aio_bh_new() beforehand, or aio_wait_bh_oneshot().
 */
bool aio_bh_schedule_oneshot(AioContext *ctx, AioBHFunc *func, void *opaque);

/**
 * aio_wait_bh_oneshot() - run @func on the home thread, return when it is done
 *
 * On the home thread itself this polls the context meanwhile (other callbacks
 * may run); on any other thread it spins for some 20 us, then sleeps. Bottom
 * halves scheduled before it have run when it returns, but for those that
 * others schedule at that time.
 * It allocates nothing, so it cannot fail.
 *
 * Context: Any thread but liburcu's; may hold a big lock, device lock or
 * config_lock, never a ring_lock (asserted in debug builds).
 */
void aio_wait_bh_oneshot(AioContext *ctx, AioBHFunc *func, void *opaque);

#define AIO_SCRATCH_BYTES (64 * 1024)

/**
 * aio_get_scratch() - AIO_SCRATCH_BYTES for a callback, until it returns
 *
 * The same memory for all callbacks of the context, so it stays in the cache;
 * what is in it is lost as soon as another callback runs, also in an aio_poll()
 * of the caller's.
 *
 * Context: Home thread.
 */
void *aio_get_scratch(AioContext *ctx);

/*
 * Timers, CLOCK_MONOTONIC ns, one shot. Home thread only.
 */

int64_t aio_clock_ns(void);

/* Disarmed. Return: to be given to aio_timer_free(); NULL: no memory. */
AioTimer *aio_timer_new(AioContext *ctx, AioTimerFunc *func, void *opaque);

/**
 * aio_timer_mod() - (re)arm for the absolute time @expire_ns
 */
void aio_timer_mod(AioTimer *timer, int64_t expire_ns);

/**
 * aio_timer_del() - disarm; the callback will not run
 */
void aio_timer_del(AioTimer *timer);

/**
 * aio_timer_free() - disarm and free; NULL is ignored
 */
void aio_timer_free(AioTimer *timer);

#endif
