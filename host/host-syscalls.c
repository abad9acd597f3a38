/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The real host: the four calls are the system calls.
 */
#include "base/error.h"
#include "host/host-iommu.h"
#include "host/iommufd-abi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int syscalls_ioctl(HostIommu *host, int fd, unsigned long request,
                          void *arg)
{
    return ioctl(fd, request, arg);
}

static ssize_t syscalls_read(HostIommu *host, int fd, void *buf, size_t count)
{
    return read(fd, buf, count);
}

static ssize_t syscalls_write(HostIommu *host, int fd, const void *buf,
                              size_t count)
{
    return write(fd, buf, count);
}

static int syscalls_close(HostIommu *host, int fd)
{
    return close(fd);
}

static void syscalls_free(HostIommu *host)
{
    close(host->fd);
    g_free(host);
}

/* The fd is the caller's. */
static void syscalls_free_borrowed(HostIommu *host)
{
    g_free(host);
}

static const HostIommuOps syscalls_ops = {
    .ioctl = syscalls_ioctl,
    .read = syscalls_read,
    .write = syscalls_write,
    .close = syscalls_close,
    .free = syscalls_free,
};

static const HostIommuOps borrowed_ops = {
    .ioctl = syscalls_ioctl,
    .read = syscalls_read,
    .write = syscalls_write,
    .close = syscalls_close,
    .free = syscalls_free_borrowed,
};

static HostIommu *host_new(const HostIommuOps *ops, int fd, GError **error)
{
    HostIommu *host = g_try_new0(HostIommu, 1);

    if (!host) {
        error_set_errno(error, ENOMEM, "iommufd %d", fd);
        return NULL;
    }
    host->ops = ops;
    host->fd = fd;
    return host;
}

/* What the operator can do about a failed open(). */
static const char *open_hint(int err)
{
    switch (err) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return " (is the kernel built with CONFIG_IOMMUFD and the iommufd "
               "module loaded?)";
    case EACCES:
    case EPERM:
        return " (give this user read and write access to it)";
    default:
        return "";
    }
}

/* An iommufd knows the request, and that there is no object 0. */
static bool is_iommufd(int fd)
{
    struct iommu_destroy cmd = { .size = sizeof(cmd) };

    return ioctl(fd, IOMMU_DESTROY, &cmd) < 0 && errno == ENOENT;
}

HostIommu *host_syscalls_new(const char *path, GError **error)
{
    HostIommu *host;
    int fd, err;

    if (!path) {
        path = "/dev/iommu";
    }
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        err = errno;
        error_set_errno(error, err, "cannot open %s%s", path, open_hint(err));
        return NULL;
    }
    if (!is_iommufd(fd)) {
        err = errno;
        close(fd);
        error_set_errno(error, err, "%s is no iommufd (give the path of the "
                        "kernel's, /dev/iommu as a rule)", path);
        return NULL;
    }
    host = host_new(&syscalls_ops, fd, error);
    if (!host) {
        close(fd);
    }
    return host;
}

HostIommu *host_syscalls_new_from_fd(int fd, GError **error)
{
    if (!is_iommufd(fd)) {
        int err = errno;

        error_set_errno(error, err, "fd %d is no iommufd (open /dev/iommu "
                        "for reading and writing, and pass that)", fd);
        return NULL;
    }
    return host_new(&borrowed_ops, fd, error);
}
