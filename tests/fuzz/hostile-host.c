/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostile-host.h"

#include "base/rcu.h"
#include "host/iommufd-abi.h"
#include "stream-oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define QUEUE_ID 42

static HostileHost *hostile(HostIommu *host)
{
    return caa_container_of(host, HostileHost, parent);
}

int hostile_host_errno(HostileHost *host)
{
    static const int errors[] = {
        EAGAIN, EINTR, EIO, ENODEV, EINVAL, EFAULT, ENOMEM, EBADF,
    };

    return errors[fuzz_below(host->in, G_N_ELEMENTS(errors))];
}

/* Seldom what is put up with for long: "try again", "too large for you". */
int hostile_host_last_errno(HostileHost *host)
{
    static const int errors[] = { 0, EIO, ENODEV };
    uint8_t choice = fuzz_u8(host->in);

    switch (choice) {
    case 0xfd:
        return EINVAL;
    case 0xfe:
        return EINTR;
    case 0xff:
        return EAGAIN;
    default:
        return errors[choice % G_N_ELEMENTS(errors)];
    }
}

static ssize_t fail(int err)
{
    errno = err;
    return err ? -1 : 0;
}

static ssize_t fail_read(HostileHost *host, int err)
{
    if (err && host->ops->refused) {
        host->ops->refused(host->opaque, err);
    }
    return fail(err);
}

/* More than it was asked for. */
static ssize_t lie(HostileHost *host, size_t count)
{
    return count + 1 + fuzz_u8(host->in);
}

static ssize_t give(HostileHost *host, uint8_t *buf, size_t count, bool good)
{
    size_t len = MIN(count, ORACLE_READ_MAX);

    if (good) {
        len = host->ops->fill(host->opaque, buf, len);
    } else {
        len = fuzz_length(host->in, len);
        fuzz_bytes(host->in, buf, len);
    }
    if (len > 0) {
        host->ops->gave(host->opaque, buf, len);
    }
    return len;
}

static ssize_t host_read(HostIommu *parent, int fd, void *buf, size_t count)
{
    HostileHost *host = hostile(parent);

    g_assert_cmpint(fd, ==, host->fd);
    g_assert_cmpuint(host->closed, ==, 0);
    host->reads++;
    host->asked = count;
    /* All of it is the host's to write. */
    memset(buf, 0xa5, MIN(count, ORACLE_READ_MAX));
    ((uint8_t *)buf)[count - 1] = 0xa5;
    if (fuzz_left(host->in) == 0) {
        return fail_read(host, host->last_errno);
    }
    switch (fuzz_below(host->in, 8)) {
    case 0:
        return 0;
    case 1:
        return fail_read(host, hostile_host_errno(host));
    case 2:
        return lie(host, count);
    case 3:
    case 4:
        return give(host, buf, count, false);
    default:
        return give(host, buf, count, true);
    }
}

static ssize_t host_write(HostIommu *parent, int fd, const void *buf,
                          size_t count)
{
    HostileHost *host = hostile(parent);

    g_assert_cmpint(fd, ==, host->fd);
    g_assert_cmpuint(host->closed, ==, 0);
    return host->ops->wrote(host->opaque, buf, count);
}

/* IOMMU_DESTROY may fail: that is told, and the object is done with. */
static int host_ioctl(HostIommu *parent, int fd, unsigned long request,
                      void *arg)
{
    const struct iommu_destroy *cmd = arg;
    HostileHost *host = hostile(parent);

    g_assert_cmpuint(request, ==, IOMMU_DESTROY);
    g_assert_cmpuint(cmd->id, ==, QUEUE_ID);
    g_assert_cmpuint(host->closed, ==, 1);
    host->destroyed++;
    if (fuzz_u8(host->in) & 1) {
        host->destroy_failed++;
        return fail(EBUSY);
    }
    return 0;
}

static int host_close(HostIommu *parent, int fd)
{
    HostileHost *host = hostile(parent);

    g_assert_cmpint(fd, ==, host->fd);
    host->closed++;
    return close(fd);
}

static const HostIommuOps host_ops = {
    .ioctl = host_ioctl,
    .read = host_read,
    .write = host_write,
    .close = host_close,
};

HostQueue hostile_host_init(HostileHost *host, FuzzInput *in,
                            const HostileHostOps *ops, void *opaque)
{
    int fds[2];

    g_assert_cmpint(pipe2(fds, O_CLOEXEC | O_NONBLOCK), ==, 0);
    *host = (HostileHost){
        .parent.ops = &host_ops, .ops = ops, .opaque = opaque, .in = in,
        .fd = fds[0], .other_end = fds[1],
    };
    return (HostQueue){
        .host = &host->parent, .fd = host->fd, .id = QUEUE_ID,
    };
}

void hostile_host_finish(HostileHost *host)
{
    g_assert_cmpuint(host->closed, ==, 1);
    g_assert_cmpuint(host->destroyed, ==, 1);
    g_assert_cmpuint(host->destroy_told, ==, host->destroy_failed);
    hostile_host_hang_up(host);
}

bool hostile_host_takes_message(HostileHost *host, const char *message)
{
    if (!strstr(message, "cannot destroy host object 42")) {
        return false;
    }
    host->destroy_told++;
    g_assert_cmpuint(host->destroy_told, <=, host->destroy_failed);
    return true;
}

void hostile_host_set_ready(HostileHost *host, bool ready)
{
    char byte = 0;

    if (ready == host->ready || host->other_end < 0 || host->closed) {
        return;
    }
    g_assert_cmpint(ready ? write(host->other_end, &byte, 1)
                          : read(host->fd, &byte, 1), ==, 1);
    host->ready = ready;
}

void hostile_host_hang_up(HostileHost *host)
{
    if (host->other_end >= 0) {
        close(host->other_end);
        host->other_end = -1;
    }
}
