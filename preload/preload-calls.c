/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The C library's calls, as the program sees them: the only symbols that this
 * library exports (preload.map). What is not ours goes on to the next library
 * after one load, with no lock and no allocation, in a signal handler too.
 *
 * poll(), select() and epoll need no place here: a queue's descriptor is a pipe
 * or a socket that is readable when the queue is.
 */
#undef _FILE_OFFSET_BITS        /* open() shall not become open64() */
#undef _TIME_BITS
#undef _FORTIFY_SOURCE          /* nor be inline */

#include "preload-internal.h"
#include "preload-next.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* Of a fortified program; no header declares them. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);
ssize_t __read_chk(int fd, void *buf, size_t count, size_t room);
int fcntl64(int fd, int cmd, ...);
int close_range(unsigned first, unsigned last, int flags);
void closefrom(int first);

/* The argument that is there only if a file may be made. */
static mode_t open_mode(int flags, va_list ap)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE
           ? va_arg(ap, mode_t) : 0;
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;
    int fd;

    va_start(ap, flags);
    mode = open_mode(flags, ap);
    va_end(ap);
    return preload_open(path, flags, &fd) ? fd : next_open(path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;
    int fd;

    va_start(ap, flags);
    mode = open_mode(flags, ap);
    va_end(ap);
    return preload_open(path, flags, &fd) ? fd
                                          : next_open64(path, flags, mode);
}

EXPORT int openat(int dirfd, const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;
    int fd;

    va_start(ap, flags);
    mode = open_mode(flags, ap);
    va_end(ap);
    return preload_open(path, flags, &fd)
           ? fd : next_openat(dirfd, path, flags, mode);
}

EXPORT int openat64(int dirfd, const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;
    int fd;

    va_start(ap, flags);
    mode = open_mode(flags, ap);
    va_end(ap);
    return preload_open(path, flags, &fd)
           ? fd : next_openat64(dirfd, path, flags, mode);
}

EXPORT int __open_2(const char *path, int flags)
{
    int fd;

    return preload_open(path, flags, &fd) ? fd : next_open_2(path, flags);
}

EXPORT int __open64_2(const char *path, int flags)
{
    int fd;

    return preload_open(path, flags, &fd) ? fd : next_open64_2(path, flags);
}

EXPORT int __openat_2(int dirfd, const char *path, int flags)
{
    int fd;

    return preload_open(path, flags, &fd)
           ? fd : next_openat_2(dirfd, path, flags);
}

EXPORT int __openat64_2(int dirfd, const char *path, int flags)
{
    int fd;

    return preload_open(path, flags, &fd)
           ? fd : next_openat64_2(dirfd, path, flags);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
    PreloadFile *file = preload_file_get(fd);
    va_list ap;
    void *arg;
    int ret;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (!file) {
        return next_ioctl(fd, request, arg);
    }
    /* These the kernel does itself, whatever the file. */
    ret = request == FIOCLEX || request == FIONCLEX || request == FIONBIO
          ? next_ioctl(fd, request, arg) : preload_ioctl(file, request, arg);
    preload_file_put(file);
    return ret;
}

EXPORT ssize_t read(int fd, void *buf, size_t count)
{
    PreloadFile *file = preload_file_get(fd);
    ssize_t ret;

    if (!file) {
        return next_read(fd, buf, count);
    }
    ret = preload_read(file, buf, count);
    preload_file_put(file);
    return ret;
}

EXPORT ssize_t __read_chk(int fd, void *buf, size_t count, size_t room)
{
    /* The next one does the check; of ours it is what aborts. */
    return preload_is_ours(fd) && count <= room
           ? read(fd, buf, count) : next_read_chk(fd, buf, count, room);
}

EXPORT ssize_t write(int fd, const void *buf, size_t count)
{
    PreloadFile *file = preload_file_get(fd);
    ssize_t ret;

    if (!file) {
        return next_write(fd, buf, count);
    }
    ret = preload_write(file, buf, count);
    preload_file_put(file);
    return ret;
}

/* As the kernel does it for such files: one after the other, to the first
   that is not filled. */
EXPORT ssize_t readv(int fd, const struct iovec *iov, int num)
{
    PreloadFile *file = preload_file_get(fd);
    ssize_t done = 0;

    if (!file) {
        return next_readv(fd, iov, num);
    }
    for (int i = 0; i < num; i++) {
        ssize_t ret = preload_read(file, iov[i].iov_base, iov[i].iov_len);

        if (ret < 0 && done == 0) {
            done = -1;
        }
        if (ret < 0) {
            break;
        }
        done += ret;
        if ((size_t)ret < iov[i].iov_len) {
            break;
        }
    }
    preload_file_put(file);
    return done;
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int num)
{
    PreloadFile *file = preload_file_get(fd);
    ssize_t done = 0;

    if (!file) {
        return next_writev(fd, iov, num);
    }
    for (int i = 0; i < num; i++) {
        ssize_t ret = preload_write(file, iov[i].iov_base, iov[i].iov_len);

        if (ret < 0 && done == 0) {
            done = -1;
        }
        if (ret < 0) {
            break;
        }
        done += ret;
        if ((size_t)ret < iov[i].iov_len) {
            break;
        }
    }
    preload_file_put(file);
    return done;
}

EXPORT int close(int fd)
{
    return preload_is_ours(fd) ? preload_close(fd) : next_close(fd);
}

/* Ours one by one, the rest in the gaps between them. */
EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    int fd;

    if (first > last || flags) {
        return next_close_range(first, last, flags);
    }
    while ((fd = preload_find_number(first, last)) >= 0) {
        if ((unsigned)fd > first) {
            next_close_range(first, (unsigned)fd - 1, 0);
        }
        preload_close(fd);      /* a hidden one stays */
        if ((unsigned)fd == last) {
            return 0;
        }
        first = (unsigned)fd + 1;
    }
    return next_close_range(first, last, 0);
}

EXPORT void closefrom(int first)
{
    close_range(first < 0 ? 0 : (unsigned)first, ~0u, 0);
}

EXPORT int dup(int fd)
{
    PreloadFile *file = preload_file_get(fd);
    int copy = next_dup(fd);

    if (file) {
        copy = preload_copied(file, copy);
        preload_file_put(file);
    }
    return copy;
}

/* dup2() and dup3(): @flags -1 is the former. */
static int dup_to(int fd, int to, int flags)
{
    PreloadFile *file = preload_file_get(fd);
    bool change = (file || preload_is_ours(to)) && fd != to && to >= 0 &&
                  to < PRELOAD_FDS &&
                  (flags < 0 || !(flags & ~O_CLOEXEC)) &&
                  next_fcntl(fd, F_GETFD, NULL) >= 0;
    int ret;

    if (change && !preload_change(to)) {
        errno = EBUSY;
        ret = -1;
        goto out_put_file;
    }
    ret = flags < 0 ? next_dup2(fd, to) : next_dup3(fd, to, flags);
    if (change) {
        ret = preload_changed(file, to, ret);
    }
out_put_file:
    if (file) {
        preload_file_put(file);
    }
    return ret;
}

EXPORT int dup2(int fd, int to)
{
    return dup_to(fd, to, -1);
}

EXPORT int dup3(int fd, int to, int flags)
{
    return dup_to(fd, to, flags);
}

/*
 * A queue is O_RDWR, as the kernel's, whatever the pipe beneath it is; its
 * flags are kept, and change nothing: it never blocks.
 */
static int file_fcntl(PreloadFile *file, int fd, int cmd, void *arg)
{
    bool queue = file->kind == PRELOAD_QUEUE;

    switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return preload_copied(file, next_fcntl(fd, cmd, arg));
    case F_GETFL:
        /* Relaxed, both: a number on its own. */
        return queue ? O_RDWR | atomic_load_explicit(&file->status,
                                                     memory_order_relaxed)
                     : next_fcntl(fd, cmd, arg);
    case F_SETFL:
        if (!queue) {
            return next_fcntl(fd, cmd, arg);
        }
        atomic_store_explicit(&file->status, (int)(intptr_t)arg &
                              (O_APPEND | O_NONBLOCK), memory_order_relaxed);
        return 0;
    default:
        return next_fcntl(fd, cmd, arg);
    }
}

EXPORT int fcntl(int fd, int cmd, ...)
{
    PreloadFile *file = preload_file_get(fd);
    va_list ap;
    void *arg;
    int ret;

    va_start(ap, cmd);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (!file) {
        return next_fcntl(fd, cmd, arg);
    }
    ret = file_fcntl(file, fd, cmd, arg);
    preload_file_put(file);
    return ret;
}

EXPORT int fcntl64(int fd, int cmd, ...)
{
    PreloadFile *file = preload_file_get(fd);
    va_list ap;
    void *arg;
    int ret;

    va_start(ap, cmd);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (!file) {
        return next_fcntl64(fd, cmd, arg);
    }
    ret = file_fcntl(file, fd, cmd, arg);
    preload_file_put(file);
    return ret;
}
