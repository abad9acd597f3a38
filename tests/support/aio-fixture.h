/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An AioContext for a test, in either of its forms: turned by aio_poll(), or
 * as the GSource of a GMainContext. A test that is added here runs in both.
 * Also a trace, one character per callback, in which tests read the order.
 *
 * Threads: the test's, which is the home thread; between aio_fixture_start()
 *          and aio_fixture_stop() a thread of its own is.
 */
#ifndef TESTS_SUPPORT_AIO_FIXTURE_H
#define TESTS_SUPPORT_AIO_FIXTURE_H

#include <pthread.h>
#include <semaphore.h>

#include "iothread/aio-context.h"

typedef enum AioForm {
    AIO_FORM_POLL,
    AIO_FORM_GSOURCE,
} AioForm;

typedef struct AioFixture {
    AioContext *ctx;
    GMainContext *main;         /* NULL: turned by aio_poll() */
    pthread_t thread;
    sem_t at_home;              /* the thread is the home thread */
    bool quit;                  /* home thread: ends aio_fixture_start()'s */
    GString *trace;             /* home thread */
} AioFixture;

typedef void AioTest(AioFixture *f, gconstpointer form);

/* Adds /aio/PATH and /aio-gsource/PATH. */
void aio_test_add(const char *path, AioTest *func);
/* Adds /aio/PATH, for what only aio_poll() has. */
void aio_test_add_poll(const char *path, AioTest *func);

void aio_fixture_setup(AioFixture *f, gconstpointer form);
void aio_fixture_teardown(AioFixture *f, gconstpointer form);

/* One turn in the fixture's form. */
bool aio_fixture_turn(AioFixture *f, bool may_block);

/* Turn, without blocking, until the trace has @count characters. */
void aio_fixture_turn_until(AioFixture *f, size_t count);

/* Have a new thread turn the context / make it the test's thread's again. */
void aio_fixture_start(AioFixture *f);
void aio_fixture_stop(AioFixture *f);

/* Spin until the loop of another thread blocks or is about to. */
void aio_wait_asleep(AioContext *ctx);

/* A callback's opaque that appends @mark to the trace, and its callback. */
typedef struct TraceMark {
    AioFixture *f;
    char mark;
} TraceMark;

#define TRACE_MARK(fixture, c) (&(TraceMark){ .f = (fixture), .mark = (c) })

void trace_mark(void *opaque);
void trace_add(AioFixture *f, char mark);
/* Assert what the trace is, and empty it. */
void trace_expect(AioFixture *f, const char *expected);

/* Entries of a directory: /proc/self/fd, /proc/self/task. */
unsigned count_entries(const char *path);

#endif
