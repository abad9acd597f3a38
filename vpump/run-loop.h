/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RunLoop: the main thread's event loop: the end of the run by time or signal,
 * a tick per second, and the wait until everything is accounted for.
 *
 * SIGINT and SIGTERM are blocked and read from a signalfd. After the first of
 * them the second ends the process at once, with status 130, wherever the main
 * thread is.
 *
 * Threads: the main thread. run_loop_new() before any other is started, as
 *          they inherit its signal mask.
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

/* Return: the loop, or NULL and @error set. */
RunLoop *run_loop_new(GError **error);

/* Signals stay blocked. NULL is ignored. */
void run_loop_free(RunLoop *loop);

/**
 * run_loop_run() - wait for the end of the run
 * @duration_ns: 0 for until a signal
 *
 * Returns at once if a signal has come already.
 */
void run_loop_run(RunLoop *loop, int64_t duration_ns, RunLoopTick *tick,
                  void *opaque);

/**
 * run_loop_drain() - ask @done every millisecond
 *
 * Return: false if it was still false after @timeout_ns.
 */
bool run_loop_drain(RunLoop *loop, int64_t timeout_ns, RunLoopDone *done,
                    void *opaque);

#endif
