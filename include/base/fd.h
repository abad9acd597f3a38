/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * AutoFd: a file descriptor closed at the end of its scope,
 * g_auto(AutoFd) fd = -1. Not for fds of a HostIommu, which its ops close.
 *
 * Threads: any.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <glib.h>
#include <unistd.h>

typedef int AutoFd;

static inline void auto_fd_close(int fd)
{
    close(fd);
}

static inline int auto_fd_steal(AutoFd *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(AutoFd, auto_fd_close, -1)

#endif
