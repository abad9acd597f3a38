/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads that take no signals of others, and their names.
 *
 * Threads: any.
 * Locks:   none.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <glib.h>
#include <pthread.h>
#include <signal.h>

/* The kernel's limit, with the NUL. */
enum { THREAD_NAME_BYTES = 16 };

/**
 * thread_create() - as pthread_create(), with signals blocked
 *
 * The program takes signals on a thread of its choice; but those that say what
 * a thread has done itself, which would kill the process without the handler
 * that it has for them: a sanitizer's, or a crash reporter's. A new thread
 * inherits the mask of its creator, so that has them blocked for a moment.
 *
 * Return: 0 or an errno.
 */
static inline int thread_create(pthread_t *thread, void *(*run)(void *),
                                void *opaque)
{
    static const int faults[] = {
        SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP,
    };
    sigset_t all, old;
    int err;

    sigfillset(&all);
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        sigdelset(&all, faults[i]);
    }
    pthread_sigmask(SIG_BLOCK, &all, &old);
    err = pthread_create(thread, NULL, run, opaque);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return err;
}

/**
 * thread_set_name() - name the calling thread, for ps and debuggers
 * @name: its first 15 bytes count, as the kernel keeps no more
 */
static inline void thread_set_name(const char *name)
{
    char cut[THREAD_NAME_BYTES];

    g_strlcpy(cut, name, sizeof(cut));
    pthread_setname_np(pthread_self(), cut);
}

#endif
