/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SIGINT and SIGTERM: the first one makes a descriptor readable, the second
 * ends the process at once, with status 130, wherever the main thread is: in
 * its loop, or in a write() to a pipe that nobody reads. System calls that the
 * first one interrupts go on.
 *
 * Threads: the main thread alone takes the signals; all others have them
 *          blocked (base/thread.h).
 * Locks:   none.
 */
#ifndef VPUMP_END_SIGNAL_H
#define VPUMP_END_SIGNAL_H

#include <glib.h>
#include <stdbool.h>

/**
 * end_signal_init() - install the handlers, for good
 *
 * Context: once, before anything that may block.
 * Return: false and @error set if there is no descriptor to be had.
 */
bool end_signal_init(GError **error);

/* An eventfd, readable from the first signal on; nobody reads it. */
int end_signal_get_fd(void);

#endif
