/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Root's rights, given up for good. Linux keeps them per thread, so each thread
 * has to give up its own: those with an AioContext in a bottom half, liburcu's
 * in a callback.
 *
 * Threads: main, while the others are those of the contexts and liburcu's.
 * Locks:   none held.
 */
#ifndef VPUMP_CAPABILITIES_H
#define VPUMP_CAPABILITIES_H

#include "iothread/aio-context.h"

/**
 * capabilities_drop() - no thread has a capability any more, nor can gain one
 * @contexts: @count of them: of all threads but main and liburcu's
 *
 * The sets are the effective, permitted, inheritable, ambient and bounding
 * one; the last stays as it is without CAP_SETPCAP.
 *
 * Return: false and @error set, also if there is a thread that was forgotten.
 */
bool capabilities_drop(AioContext *const *contexts, size_t count,
                       GError **error);

#endif
