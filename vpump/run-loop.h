/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RunLoop: the main thread's event loop: the end of the run by time or signal,
 * a tick per second, and the wait until everything is accounted for.
 *
 * Threads: the main thread.
 * Locks:   none.
 */
#ifndef VPUMP_RUN_LOOP_H
#define VPUMP_RUN_LOOP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct RunLoop RunLoop;

/* Called once a second. */
typedef void RunLoopTick(void *opaque);

/* Is there nothing left to wait for? */
typedef bool RunLoopDone(void *opaque);

/**
 * run_loop_new() - a loop that ends when @end_fd becomes readable
 * @end_fd: borrowed until run_loop_free(), and not read; see end-signal.h
 *
 * Return: the loop, or NULL and @error set.
 */
RunLoop *run_loop_new(int end_fd, GError **error);

/* NULL is ignored. */
void run_loop_free(RunLoop *loop);

/**
 * run_loop_end_when() - run_loop_run() also ends when @done says so
 *
 * It is asked every ten milliseconds. Context: before run_loop_run().
 */
void run_loop_end_when(RunLoop *loop, RunLoopDone *done, void *opaque);

/**
 * run_loop_run() - wait for the end of the run
 * @duration_ns: 0 for until the descriptor is readable
 *
 * Returns at once if that was so before.
 */
void run_loop_run(RunLoop *loop, int64_t duration_ns, RunLoopTick *tick,
                  void *opaque);

/**
 * run_loop_next_tick() - when to tick after the tick that was due at @due_ns
 *
 * Due times are absolute, so ticks do not drift; what was missed is left out.
 * Pure.
 */
int64_t run_loop_next_tick(int64_t due_ns, int64_t now_ns);

/**
 * run_loop_drain() - ask @done every millisecond
 *
 * Return: false if it was still false after @timeout_ns.
 */
bool run_loop_drain(RunLoop *loop, int64_t timeout_ns, RunLoopDone *done,
                    void *opaque);

#endif
