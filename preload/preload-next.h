/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls that this library stands in front of, as the next library (the C
 * library, or one that is preloaded too) has them; before this library's
 * constructor ran, as system calls.
 *
 * Threads: any; in signal handlers too, like what they stand for.
 * Locks:   none.
 */
#ifndef PRELOAD_NEXT_H
#define PRELOAD_NEXT_H

#include <sys/types.h>
#include <sys/uio.h>

int next_open(const char *path, int flags, mode_t mode);
int next_open64(const char *path, int flags, mode_t mode);
int next_openat(int dirfd, const char *path, int flags, mode_t mode);
int next_openat64(int dirfd, const char *path, int flags, mode_t mode);
int next_open_2(const char *path, int flags);
int next_open64_2(const char *path, int flags);
int next_openat_2(int dirfd, const char *path, int flags);
int next_openat64_2(int dirfd, const char *path, int flags);
int next_ioctl(int fd, unsigned long request, void *arg);
ssize_t next_read(int fd, void *buf, size_t count);
ssize_t next_read_chk(int fd, void *buf, size_t count, size_t room);
ssize_t next_write(int fd, const void *buf, size_t count);
ssize_t next_readv(int fd, const struct iovec *iov, int num);
ssize_t next_writev(int fd, const struct iovec *iov, int num);
int next_close(int fd);
int next_close_range(unsigned first, unsigned last, int flags);
int next_dup(int fd);
int next_dup2(int fd, int to);
int next_dup3(int fd, int to, int flags);
int next_fcntl(int fd, int cmd, void *arg);
int next_fcntl64(int fd, int cmd, void *arg);

#endif
