/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread that sleeps in poll() or epoll_wait() on a queue, for tests of who
 * holds it. It counts as asleep when the kernel says so, never after some time.
 *
 * Threads: the caller's, and the sleeper's own.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_SLEEPER_H
#define TESTS_SUPPORT_SLEEPER_H

#include <pthread.h>
#include <stdatomic.h>

/**
 * struct Sleeper - a thread that sleeps once
 * @revents: what poll() said of the fd; after sleeper_join()
 */
typedef struct Sleeper {
    int revents;
    /* private: */
    pthread_t thread;
    int fd;
    int epoll_fd;
    int wake_fd;                /* eventfd */
    atomic_int tid;             /* [atomic] 0 until it is about to sleep */
} Sleeper;

/**
 * sleeper_start() - start it, and wait until it is asleep
 * @fd: it sleeps in poll() on it, unless
 * @epoll_fd: not -1: it sleeps in epoll_wait() on that; a way to wake it is
 *            added to the set
 */
void sleeper_start(Sleeper *s, int fd, int epoll_fd);

/* Wait until it is out by itself. */
void sleeper_join(Sleeper *s);

void sleeper_wake_and_join(Sleeper *s);

/* A new epoll set with @fd in it, for EPOLLIN. */
int epoll_on(int fd);

#endif
