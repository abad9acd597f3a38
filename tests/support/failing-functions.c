/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Functions of the C library and of GLib that the library and the program call
 * and that may fail. The linker has their calls come here (--wrap, see
 * failing_functions_dep), of our objects only: GLib's own stay as they are.
 * Which call fails: failing-host.h.
 *
 * Threads: any.
 * Locks:   none.
 */
#include "failing-host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Not in a function of its own: it is the wrapper's caller that counts. */
#define FAILS() failing_host_is_the_one(__builtin_return_address(0))
#define INTERRUPTED() \
    failing_host_is_interrupted(__builtin_return_address(0))

/* A function that returns @failed and sets errno to @err, or is called. */
#define WRAP(type, name, params, args, failed, err) \
    type __real_##name params;                      \
    type __wrap_##name params;                      \
    type __wrap_##name params                       \
    {                                               \
        if (FAILS()) {                              \
            errno = (err);                          \
            return (failed);                        \
        }                                           \
        return __real_##name args;                  \
    }

/* One that is interrupted, but for when it does not sleep. */
#define WRAP_SLEEP(name, params, args, sleeps)      \
    int __real_##name params;                       \
    int __wrap_##name params;                       \
    int __wrap_##name params                        \
    {                                               \
        if ((sleeps) && INTERRUPTED()) {            \
            errno = EINTR;                          \
            return -1;                              \
        }                                           \
        return __real_##name args;                  \
    }

/* ---- Memory ---- */

WRAP(void *, g_try_malloc, (gsize n), (n), NULL, ENOMEM)
WRAP(void *, g_try_malloc0, (gsize n), (n), NULL, ENOMEM)
WRAP(void *, g_try_malloc_n, (gsize n, gsize size), (n, size), NULL, ENOMEM)
WRAP(void *, g_try_malloc0_n, (gsize n, gsize size), (n, size), NULL, ENOMEM)
WRAP(void *, g_try_realloc, (void *mem, gsize n), (mem, n), NULL, ENOMEM)
WRAP(void *, mmap64,
     (void *address, size_t len, int prot, int flags, int fd, off64_t offset),
     (address, len, prot, flags, fd, offset), MAP_FAILED, ENOMEM)

/* ---- Threads ---- */

WRAP(int, pthread_create,
     (pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
      void *opaque),
     (thread, attr, run, opaque), EAGAIN, 0)

/* ---- Files and descriptors ---- */

WRAP(int, eventfd, (unsigned count, int flags), (count, flags), -1, EMFILE)
WRAP(int, epoll_create1, (int flags), (flags), -1, EMFILE)
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags), -1, EMFILE)
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), -1, EMFILE)
WRAP(int, socketpair, (int domain, int type, int protocol, int fds[2]),
     (domain, type, protocol, fds), -1, EMFILE)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1,
     EMFILE)
WRAP(int, ftruncate64, (int fd, off64_t size), (fd, size), -1, ENOSPC)

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list ap;

    if (FAILS()) {
        errno = EMFILE;
        return -1;
    }
    if (flags & O_CREAT) {
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    return __real_open64(path, flags, mode);
}

int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);

/* To change or to remove what is there takes no memory of the kernel. */
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    if (op == EPOLL_CTL_ADD && FAILS()) {
        errno = ENOSPC;
        return -1;
    }
    return __real_epoll_ctl(epfd, op, fd, event);
}

/* ---- Sleeps ---- */

WRAP_SLEEP(epoll_wait,
           (int epfd, struct epoll_event *events, int count, int timeout),
           (epfd, events, count, timeout), timeout != 0)
WRAP_SLEEP(epoll_pwait2,
           (int epfd, struct epoll_event *events, int count,
            const struct timespec *timeout, const sigset_t *mask),
           (epfd, events, count, timeout, mask), true)
WRAP_SLEEP(poll, (struct pollfd *fds, nfds_t count, int timeout),
           (fds, count, timeout), timeout != 0)
WRAP_SLEEP(ppoll,
           (struct pollfd *fds, nfds_t count, const struct timespec *timeout,
            const sigset_t *mask),
           (fds, count, timeout, mask), true)
