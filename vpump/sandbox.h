/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process confines itself: no capabilities, no way to gain rights by
 * exec(), and of system calls only those that a running machine makes. From
 * then on nothing can be opened; all that is needed is open.
 *
 * Threads: main, before any guest runs.
 * Locks:   none held.
 */
#ifndef VPUMP_SANDBOX_H
#define VPUMP_SANDBOX_H

#include "iothread/aio-context.h"

/**
 * sandbox_enter() - confine all threads, and those that come later
 * @contexts: @count of them: of all threads but main and liburcu's
 *
 * There is no way out. What is not allowed kills the process (SIGSYS); but
 * reading a file is only refused (EACCES), since the C library and GLib try
 * that for what they can do without.
 *
 * A build with a sanitizer or for coverage forbids only what its runtime has
 * no use for: there this is no containment (docs/security.md).
 *
 * Return: false and @error set, which says what to do; then the process may be
 * confined in part.
 */
bool sandbox_enter(AioContext *const *contexts, size_t count, GError **error);

#endif
