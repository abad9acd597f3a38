/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IOThread: a thread of ours that runs an AioContext, as -object iothread.
 *
 * Threads: created, changed and stopped on any thread but itself.
 * Locks:   none.
 */
#ifndef IOTHREAD_IOTHREAD_H
#define IOTHREAD_IOTHREAD_H

#include "iothread/aio-context.h"

#include <sys/types.h>

typedef struct IOThread IOThread;

/**
 * struct IOThreadProperties - what -object iothread takes
 * @poll_max_ns: longest busy polling in a loop turn, ns; 0 switches it off
 * @poll_grow: multiplier when the poll time grows; 0 acts as 2
 * @poll_shrink: divisor when it shrinks; 0 means to nothing at once
 */
typedef struct IOThreadProperties {
    int64_t poll_max_ns;
    int64_t poll_grow;
    int64_t poll_shrink;
} IOThreadProperties;

#define IOTHREAD_POLL_MAX_NS_DEFAULT 32768

#define IOTHREAD_PROPERTIES_DEFAULT \
    ((IOThreadProperties){ .poll_max_ns = IOTHREAD_POLL_MAX_NS_DEFAULT })

/**
 * iothread_new() - start a thread named "IO @id", registered with RCU
 * @id: copied
 * @properties: copied; NULL for the defaults
 *
 * The kernel keeps 15 bytes of a thread's name, so 12 of the id. QEMU leaves
 * out a name that is longer; but "smmu0-iothread" is one, and cut, "IO
 * smmu0-iothre" still tells threads apart where none would not.
 *
 * Context: Blocks until the new thread has published its TID.
 * Return: to be given to iothread_stop(), or NULL and @error set: a property
 * out of range (0 to INT64_MAX), no fd or no thread to be had.
 */
IOThread *iothread_new(const char *id, const IOThreadProperties *properties,
                       GError **error);

/**
 * iothread_stop() - run what is scheduled, join the thread, free the IOThread
 *
 * Context: Any thread but itself; may block. All fd handlers and timers of the
 * context have been removed and nobody schedules any more.
 */
void iothread_stop(IOThread *iothread);

const char *iothread_get_id(IOThread *iothread);
pid_t iothread_get_thread_id(IOThread *iothread);

/* Borrowed until iothread_stop(). */
AioContext *iothread_get_aio_context(IOThread *iothread);

IOThreadProperties iothread_get_properties(IOThread *iothread);

/**
 * iothread_set_properties() - change the properties while the thread runs
 *
 * Context: Any thread, one at a time.
 * Return: false and @error set if a value is out of range; nothing is changed.
 */
bool iothread_set_properties(IOThread *iothread,
                             const IOThreadProperties *properties,
                             GError **error);

#endif
