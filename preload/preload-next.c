/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All symbols are looked up once, by the constructor, since dlsym() is for no
 * signal handler. Until then nothing of this library's has a descriptor, and a
 * system call does.
 *
 * The rest of this library is linked with --wrap: its own read(), write() and
 * close() come here, and never see the table of descriptors.
 */
#include "preload-next.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    int (*open)(const char *path, int flags, ...);
    int (*open64)(const char *path, int flags, ...);
    int (*openat)(int dirfd, const char *path, int flags, ...);
    int (*openat64)(int dirfd, const char *path, int flags, ...);
    int (*open_2)(const char *path, int flags);
    int (*open64_2)(const char *path, int flags);
    int (*openat_2)(int dirfd, const char *path, int flags);
    int (*openat64_2)(int dirfd, const char *path, int flags);
    int (*ioctl)(int fd, unsigned long request, ...);
    ssize_t (*read)(int fd, void *buf, size_t count);
    ssize_t (*read_chk)(int fd, void *buf, size_t count, size_t room);
    ssize_t (*write)(int fd, const void *buf, size_t count);
    ssize_t (*readv)(int fd, const struct iovec *iov, int num);
    ssize_t (*writev)(int fd, const struct iovec *iov, int num);
    int (*close)(int fd);
    int (*close_range)(unsigned first, unsigned last, int flags);
    int (*dup)(int fd);
    int (*dup2)(int fd, int to);
    int (*dup3)(int fd, int to, int flags);
    int (*fcntl)(int fd, int cmd, ...);
    int (*fcntl64)(int fd, int cmd, ...);
} next;                         /* [const] once the constructor ran */

/* In a program that has no calls of ours, the first is the one. */
#ifndef PRELOAD_LOOK_UP
#define PRELOAD_LOOK_UP RTLD_NEXT
#endif

/* A pointer to a function, as POSIX wants it made of a void pointer. */
#define LOOK_UP(field, name) \
    (*(void **)&next.field = dlsym(PRELOAD_LOOK_UP, name))

__attribute__((constructor(101))) static void next_look_up(void)
{
    LOOK_UP(open, "open");
    LOOK_UP(open64, "open64");
    LOOK_UP(openat, "openat");
    LOOK_UP(openat64, "openat64");
    LOOK_UP(open_2, "__open_2");
    LOOK_UP(open64_2, "__open64_2");
    LOOK_UP(openat_2, "__openat_2");
    LOOK_UP(openat64_2, "__openat64_2");
    LOOK_UP(ioctl, "ioctl");
    LOOK_UP(read, "read");
    LOOK_UP(read_chk, "__read_chk");
    LOOK_UP(write, "write");
    LOOK_UP(readv, "readv");
    LOOK_UP(writev, "writev");
    LOOK_UP(close, "close");
    LOOK_UP(close_range, "close_range");
    LOOK_UP(dup, "dup");
    LOOK_UP(dup2, "dup2");
    LOOK_UP(dup3, "dup3");
    LOOK_UP(fcntl, "fcntl");
    LOOK_UP(fcntl64, "fcntl64");
}

int next_open(const char *path, int flags, mode_t mode)
{
    return next.open ? next.open(path, flags, mode)
                     : next_openat(AT_FDCWD, path, flags, mode);
}

int next_open64(const char *path, int flags, mode_t mode)
{
    return next.open64 ? next.open64(path, flags, mode)
                       : next_openat(AT_FDCWD, path, flags, mode);
}

int next_openat(int dirfd, const char *path, int flags, mode_t mode)
{
    return next.openat ? next.openat(dirfd, path, flags, mode)
                       : (int)syscall(SYS_openat, dirfd, path, flags, mode);
}

int next_openat64(int dirfd, const char *path, int flags, mode_t mode)
{
    return next.openat64 ? next.openat64(dirfd, path, flags, mode)
                         : next_openat(dirfd, path, flags, mode);
}

int next_open_2(const char *path, int flags)
{
    return next.open_2 ? next.open_2(path, flags) : next_open(path, flags, 0);
}

int next_open64_2(const char *path, int flags)
{
    return next.open64_2 ? next.open64_2(path, flags)
                         : next_open64(path, flags, 0);
}

int next_openat_2(int dirfd, const char *path, int flags)
{
    return next.openat_2 ? next.openat_2(dirfd, path, flags)
                         : next_openat(dirfd, path, flags, 0);
}

int next_openat64_2(int dirfd, const char *path, int flags)
{
    return next.openat64_2 ? next.openat64_2(dirfd, path, flags)
                           : next_openat64(dirfd, path, flags, 0);
}

int next_ioctl(int fd, unsigned long request, void *arg)
{
    return next.ioctl ? next.ioctl(fd, request, arg)
                      : (int)syscall(SYS_ioctl, fd, request, arg);
}

ssize_t next_read(int fd, void *buf, size_t count)
{
    return next.read ? next.read(fd, buf, count)
                     : syscall(SYS_read, fd, buf, count);
}

ssize_t next_read_chk(int fd, void *buf, size_t count, size_t room)
{
    return next.read_chk ? next.read_chk(fd, buf, count, room)
                         : next_read(fd, buf, count);
}

ssize_t next_write(int fd, const void *buf, size_t count)
{
    return next.write ? next.write(fd, buf, count)
                      : syscall(SYS_write, fd, buf, count);
}

ssize_t next_readv(int fd, const struct iovec *iov, int num)
{
    return next.readv ? next.readv(fd, iov, num)
                      : syscall(SYS_readv, fd, iov, num);
}

ssize_t next_writev(int fd, const struct iovec *iov, int num)
{
    return next.writev ? next.writev(fd, iov, num)
                       : syscall(SYS_writev, fd, iov, num);
}

int next_close(int fd)
{
    return next.close ? next.close(fd) : (int)syscall(SYS_close, fd);
}

int next_close_range(unsigned first, unsigned last, int flags)
{
    return next.close_range
           ? next.close_range(first, last, flags)
           : (int)syscall(SYS_close_range, first, last, flags);
}

int next_dup(int fd)
{
    return next.dup ? next.dup(fd) : (int)syscall(SYS_dup, fd);
}

int next_dup2(int fd, int to)
{
    if (next.dup2) {
        return next.dup2(fd, to);
    }
    /* dup3() knows no copy onto itself. */
    return fd == to ? (next_fcntl(fd, F_GETFD, NULL) < 0 ? -1 : to)
                    : next_dup3(fd, to, 0);
}

int next_dup3(int fd, int to, int flags)
{
    return next.dup3 ? next.dup3(fd, to, flags)
                     : (int)syscall(SYS_dup3, fd, to, flags);
}

int next_fcntl(int fd, int cmd, void *arg)
{
    return next.fcntl ? next.fcntl(fd, cmd, arg)
                      : (int)syscall(SYS_fcntl, fd, cmd, arg);
}

int next_fcntl64(int fd, int cmd, void *arg)
{
    return next.fcntl64 ? next.fcntl64(fd, cmd, arg)
                        : next_fcntl(fd, cmd, arg);
}

/* What the linker makes of read(), write() and close() elsewhere in here. */
ssize_t __wrap_read(int fd, void *buf, size_t count);
ssize_t __wrap_write(int fd, const void *buf, size_t count);
int __wrap_close(int fd);

ssize_t __wrap_read(int fd, void *buf, size_t count)
{
    return next_read(fd, buf, count);
}

ssize_t __wrap_write(int fd, const void *buf, size_t count)
{
    return next_write(fd, buf, count);
}

int __wrap_close(int fd)
{
    return next_close(fd);
}
