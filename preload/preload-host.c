/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /dev/iommu and VFIO devices: what open() gives, and what the calls on it and
 * on its queues do.
 *
 * What the program gets is /dev/null, opened with the flags that it asked for:
 * a character device that poll() finds ready, epoll refuses and mmap() too, as
 * it is with iommufd. It lends the emulated host its number.
 */
#include "preload-internal.h"
#include "preload-next.h"

#include "base/report.h"
#include "host/iommufd-abi.h"
#include "host/vfio-abi.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define IOMMUFD_PATH "/dev/iommu"
#define VFIO_FOLDER  "/dev/vfio/devices/"

/* Oldest first. */
static PreloadHost *hosts GUARDED_BY(files_lock);
static unsigned last_number GUARDED_BY(files_lock);

static int fail(int err)
{
    errno = err;
    return -1;
}

/* On the thread that answers or ends: counts, and no more. */
static void count_answer(const EmulPageAnswer *answer, void *opaque)
{
    PreloadHost *host = opaque;

    /* Relaxed: numbers on their own, for the "stats" command. */
    atomic_fetch_add_explicit(answer->code == IOMMUFD_PAGE_RESP_SUCCESS
                              ? &host->success : &host->invalid, 1,
                              memory_order_relaxed);
}

static void host_add_locked(PreloadHost *host) REQUIRES(&files_lock)
{
    PreloadHost **at = &hosts;

    while (*at) {
        at = &(*at)->next;
    }
    host->number = ++last_number;
    host->refs = 1;
    *at = host;
}

PreloadHost *preload_host_get(unsigned number)
{
    PreloadHost *host;

    lock_acquire(&files_lock);
    host = hosts;
    while (host && host->number < number) {
        host = host->next;
    }
    if (host) {
        host->refs++;
    }
    lock_release(&files_lock);
    return host;
}

/* The last one frees all objects, without a lock of ours. */
void preload_host_put(PreloadHost *host)
{
    PreloadHost **at = &hosts;
    bool last;

    lock_acquire(&files_lock);
    last = --host->refs == 0;
    if (last) {
        while (*at != host) {
            at = &(*at)->next;
        }
        *at = host->next;
    }
    lock_release(&files_lock);
    if (last) {
        host_iommu_free(host->iommu);
        g_free(host);
    }
}

static PreloadHost *host_ref(PreloadHost *host)
{
    lock_acquire(&files_lock);
    host->refs++;
    lock_release(&files_lock);
    return host;
}

/* ---- open() ---- */

static int open_placeholder(int flags)
{
    return next_openat(AT_FDCWD, "/dev/null", flags, 0);
}

/* What the environment wants of every /dev/iommu. */
static void run_commands(const PreloadConfig *config, unsigned number)
{
    for (guint i = 0; i < config->commands->len; i++) {
        g_autofree char *answer = preload_command(
            g_ptr_array_index(config->commands, i), &number);

        g_assert(g_str_has_prefix(answer, "ok"));   /* it has been checked */
    }
}

static int open_iommufd(int flags)
{
    const PreloadConfig *config = preload_config();
    PreloadHost *host;
    HostIommu *iommu;
    int own;
    int fd;

    if (!config->valid) {
        return fail(EINVAL);
    }
    fd = open_placeholder(flags);
    if (fd < 0) {
        return -1;
    }
    iommu = emul_new(NULL);
    if (!iommu) {
        next_close(fd);
        return fail(EMFILE);
    }
    own = iommu->fd;
    if (!emul_move_fd(iommu, own, fd)) {
        host_iommu_free(iommu);
        next_close(fd);
        return fail(EMFILE);
    }
    /* By the name that ThreadSanitizer knows: it has seen eventfd() make it. */
    close(own);
    host = g_new0(PreloadHost, 1);
    host->iommu = iommu;
    emul_set_answer_func(iommu, count_answer, host);
    lock_acquire(&files_lock);
    host_add_locked(host);
    lock_release(&files_lock);
    run_commands(config, host->number);
    preload_file_add(fd, PRELOAD_IOMMUFD, host, NULL);
    preload_control_start();
    return fd;
}

/* The device of that name below VFIO_FOLDER, or NULL. */
static PreloadDevice *device_find(const char *name)
{
    const GPtrArray *devices = preload_config()->devices;

    for (guint i = 0; i < devices->len; i++) {
        PreloadDevice *device = g_ptr_array_index(devices, i);

        if (!strcmp(device->name, name)) {
            return device;
        }
    }
    return NULL;
}

static int open_device(PreloadDevice *device, int flags)
{
    int fd;

    if (!preload_config()->valid) {
        return fail(EINVAL);
    }
    fd = open_placeholder(flags);
    if (fd >= PRELOAD_FDS) {
        next_close(fd);
        return fail(EMFILE);
    }
    if (fd >= 0) {
        preload_file_add(fd, PRELOAD_DEVICE, NULL, device);
    }
    return fd;
}

bool preload_open(const char *path, int flags, int *fd)
{
    PreloadDevice *device;

    if (!path || path[0] != '/' || (flags & O_PATH)) {
        return false;
    }
    if (!strcmp(path, IOMMUFD_PATH)) {
        *fd = open_iommufd(flags);
        return true;
    }
    if (strncmp(path, VFIO_FOLDER, strlen(VFIO_FOLDER)) != 0) {
        return false;
    }
    device = device_find(path + strlen(VFIO_FOLDER));
    if (device) {
        *fd = open_device(device, flags);
    }
    return device;
}

/* ---- ioctl() ---- */

/* One call to the emulated host, and the number by which it is made. */
typedef struct Attempt {
    int fd;
    unsigned moves;
} Attempt;

static Attempt attempt_begin(PreloadFile *file)
{
    Attempt attempt;

    /* Acquire, both: pairs with the releases in file_move_locked(). */
    attempt.moves = atomic_load_explicit(&file->moves, memory_order_acquire);
    attempt.fd = atomic_load_explicit(&file->fd, memory_order_acquire);
    return attempt;
}

/*
 * A number that was closed while a copy of it stays is EBADF to the emulated
 * host: the call is made again, by the number that took its place.
 */
static bool attempt_again(PreloadFile *file, Attempt *attempt, ssize_t ret)
{
    unsigned before = attempt->moves;

    if (ret >= 0 || errno != EBADF) {
        return false;
    }
    lock_acquire(&files_lock);      /* a move under way is over */
    *attempt = attempt_begin(file);
    lock_release(&files_lock);
    errno = EBADF;
    return attempt->moves != before;
}

static int call_ioctl(PreloadFile *file, PreloadHost *host,
                      unsigned long request, void *arg)
{
    Attempt attempt = attempt_begin(file);
    int ret;

    do {
        ret = host->iommu->ops->ioctl(host->iommu, attempt.fd, request, arg);
    } while (attempt_again(file, &attempt, ret));
    return ret;
}

/* Calls that hand out a descriptor. */
static void adopt_queue(PreloadHost *host, unsigned long request,
                        const void *arg)
{
    const struct iommu_veventq_alloc *veventq = arg;
    const struct iommu_fault_alloc *fault = arg;

    if (request == IOMMU_VEVENTQ_ALLOC) {
        preload_file_add((int)veventq->out_veventq_fd, PRELOAD_QUEUE,
                         host_ref(host), NULL);
    } else if (request == IOMMU_FAULT_QUEUE_ALLOC) {
        preload_file_add((int)fault->out_fault_fd, PRELOAD_QUEUE,
                         host_ref(host), NULL);
    }
}

/* The host that descriptor @fd is, with a reference, or NULL and errno. */
static PreloadHost *host_from_fd(int fd)
{
    PreloadFile *file = preload_file_get(fd);
    PreloadHost *host = NULL;

    if (!file) {
        errno = next_fcntl(fd, F_GETFD, NULL) < 0 ? EBADF : EBADFD;
        return NULL;
    }
    if (file->kind == PRELOAD_IOMMUFD) {
        /* Relaxed: constant for this kind, and older than the number. */
        host = host_ref(atomic_load_explicit(&file->host,
                                             memory_order_relaxed));
    }
    preload_file_put(file);
    if (!host) {
        errno = EBADFD;
    }
    return host;
}

static bool device_claim(PreloadDevice *device)
{
    bool claimed;

    lock_acquire(&files_lock);
    claimed = !device->bound;
    device->bound = true;
    lock_release(&files_lock);
    return claimed;
}

static void device_unclaim(PreloadDevice *device)
{
    lock_acquire(&files_lock);
    device->bound = false;
    lock_release(&files_lock);
}

/*
 * The emulated host has the device from the bind on, by the number that the
 * program bound it by. It is made, bound and moved, in this order, so that one
 * that is not bound can be closed.
 */
static int bind_claimed(PreloadFile *file, PreloadHost *host,
                        struct vfio_device_bind_iommufd *cmd)
{
    struct vfio_device_bind_iommufd own = *cmd;
    HostIommu *iommu = host->iommu;
    int fd = emul_device_open_behind(iommu, file->device->iommu);
    int ret;

    if (fd < 0) {
        return -1;
    }
    own.iommufd = preload_host_fd(host);
    ret = iommu->ops->ioctl(iommu, fd, VFIO_DEVICE_BIND_IOMMUFD, &own);
    if (ret < 0 || !preload_bind(file, host, fd)) {
        int err = ret < 0 ? errno : EBADF;

        iommu->ops->close(iommu, fd);
        return fail(err);
    }
    next_close(fd);
    cmd->out_devid = own.out_devid;
    return 0;
}

static int ioctl_bind(PreloadFile *file, struct vfio_device_bind_iommufd *cmd)
{
    PreloadHost *host;
    int ret;

    if (!cmd) {
        return fail(EFAULT);
    }
    if (cmd->argsz < sizeof(*cmd) || cmd->flags) {
        return fail(EINVAL);
    }
    host = host_from_fd(cmd->iommufd);
    if (!host) {
        return -1;
    }
    if (device_claim(file->device)) {
        ret = bind_claimed(file, host, cmd);
        if (ret < 0) {
            device_unclaim(file->device);
        }
    } else {
        ret = fail(EINVAL);     /* bound by this descriptor or another */
    }
    if (ret < 0) {
        int err = errno;

        preload_host_put(host);
        errno = err;
    }
    return ret;
}

int preload_ioctl(PreloadFile *file, unsigned long request, void *arg)
{
    /* Acquire: pairs with the release in preload_bind(). */
    PreloadHost *host = atomic_load_explicit(&file->host,
                                             memory_order_acquire);
    int ret;

    switch (file->kind) {
    case PRELOAD_IOMMUFD:
        ret = call_ioctl(file, host, request, arg);
        if (ret >= 0) {
            adopt_queue(host, request, arg);
        }
        return ret;
    case PRELOAD_DEVICE:
        if (request == VFIO_DEVICE_BIND_IOMMUFD) {
            return ioctl_bind(file, arg);
        }
        /* Before the bind there is nothing that it could do. */
        return host ? call_ioctl(file, host, request, arg) : fail(EINVAL);
    default:
        return fail(file->kind == PRELOAD_QUEUE ? ENOTTY : EBADF);
    }
}

/* ---- read() and write() ---- */

ssize_t preload_read(PreloadFile *file, void *buf, size_t count)
{
    PreloadHost *host = atomic_load_explicit(&file->host,
                                             memory_order_relaxed);
    Attempt attempt = attempt_begin(file);
    ssize_t ret;

    if (file->kind != PRELOAD_QUEUE) {
        return fail(file->kind == PRELOAD_HIDDEN ? EBADF : EINVAL);
    }
    do {
        ret = host->iommu->ops->read(host->iommu, attempt.fd, buf, count);
    } while (attempt_again(file, &attempt, ret));
    return ret;
}

ssize_t preload_write(PreloadFile *file, const void *buf, size_t count)
{
    PreloadHost *host = atomic_load_explicit(&file->host,
                                             memory_order_relaxed);
    Attempt attempt = attempt_begin(file);
    ssize_t ret;

    if (file->kind != PRELOAD_QUEUE) {
        return fail(file->kind == PRELOAD_HIDDEN ? EBADF : EINVAL);
    }
    do {
        ret = host->iommu->ops->write(host->iommu, attempt.fd, buf, count);
    } while (attempt_again(file, &attempt, ret));
    return ret;
}
