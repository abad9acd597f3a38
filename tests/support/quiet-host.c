/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quiet-host.h"

#include "call-count.h"

static const HostIommuOps *loud_ops;

static int quiet_ioctl(HostIommu *host, int fd, unsigned long request,
                       void *arg)
{
    int ret;

    call_count_pause();
    ret = loud_ops->ioctl(host, fd, request, arg);
    call_count_resume();
    return ret;
}

static ssize_t quiet_read(HostIommu *host, int fd, void *buf, size_t count)
{
    ssize_t ret;

    call_count_pause();
    ret = loud_ops->read(host, fd, buf, count);
    call_count_resume();
    return ret;
}

static ssize_t quiet_write(HostIommu *host, int fd, const void *buf,
                           size_t count)
{
    ssize_t ret;

    call_count_pause();
    ret = loud_ops->write(host, fd, buf, count);
    call_count_resume();
    return ret;
}

static int quiet_close(HostIommu *host, int fd)
{
    int ret;

    call_count_pause();
    ret = loud_ops->close(host, fd);
    call_count_resume();
    return ret;
}

static void quiet_free(HostIommu *host)
{
    loud_ops->free(host);
}

static const HostIommuOps quiet_ops = {
    .ioctl = quiet_ioctl,
    .read = quiet_read,
    .write = quiet_write,
    .close = quiet_close,
    .free = quiet_free,
};

void quiet_host_begin(HostIommu *host)
{
    g_assert(host->ops != &quiet_ops);
    loud_ops = host->ops;
    host->ops = &quiet_ops;
}
