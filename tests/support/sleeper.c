/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sleeper.h"
#include "proc-self.h"

#include <glib.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * By the bare system call: ThreadSanitizer takes a close() of an fd that
 * another thread polls for a race, and here that is what is tested.
 */
static void *sleeper_run(void *opaque)
{
    Sleeper *s = opaque;
    struct pollfd fds[2] = {
        { .fd = s->fd, .events = POLLIN },
        { .fd = s->wake_fd, .events = POLLIN },
    };
    struct epoll_event event;

    /* Release: pairs with the acquire in wait_asleep(). */
    atomic_store_explicit(&s->tid, (int)syscall(SYS_gettid),
                          memory_order_release);
    if (s->epoll_fd >= 0) {
        syscall(SYS_epoll_pwait, s->epoll_fd, &event, 1, -1, NULL, 8);
    } else {
        syscall(SYS_ppoll, fds, 2, NULL, NULL, 8);
    }
    s->revents = fds[0].revents;
    return NULL;
}

static void wait_asleep(Sleeper *s)
{
    int tid;

    /* Acquire: pairs with the release in sleeper_run(). */
    while (!(tid = atomic_load_explicit(&s->tid, memory_order_acquire))) {
        sched_yield();
    }
    while (!proc_self_is_asleep(tid)) {
        sched_yield();
    }
}

void sleeper_start(Sleeper *s, int fd, int epoll_fd)
{
    *s = (Sleeper) {
        .fd = fd, .epoll_fd = epoll_fd, .wake_fd = eventfd(0, EFD_CLOEXEC),
    };
    g_assert_cmpint(s->wake_fd, >=, 0);
    if (epoll_fd >= 0) {
        struct epoll_event event = { .events = EPOLLIN };

        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->wake_fd, &event);
    }
    pthread_create(&s->thread, NULL, sleeper_run, s);
    wait_asleep(s);
}

void sleeper_join(Sleeper *s)
{
    pthread_join(s->thread, NULL);
    close(s->wake_fd);
}

void sleeper_wake_and_join(Sleeper *s)
{
    eventfd_write(s->wake_fd, 1);
    sleeper_join(s);
}

int epoll_on(int fd)
{
    struct epoll_event event = { .events = EPOLLIN };
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    g_assert_cmpint(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), ==, 0);
    return epoll_fd;
}
