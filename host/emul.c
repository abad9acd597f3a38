/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The emulated host's four calls: which descriptor, which request, what size.
 */
#include "host/emul.h"

#include "base/error.h"
#include "emul-internal.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Room for every request's structure. */
typedef union EmulCommand {
    struct iommu_destroy destroy;
    struct iommu_ioas_alloc ioas_alloc;
    struct iommu_ioas_iova_ranges ioas_iova_ranges;
    struct iommu_ioas_map ioas_map;
    struct iommu_ioas_map_file ioas_map_file;
    struct iommu_ioas_unmap ioas_unmap;
    struct iommu_hwpt_alloc hwpt_alloc;
    struct iommu_hw_info hw_info;
    struct iommu_hwpt_invalidate invalidate;
    struct iommu_viommu_alloc viommu_alloc;
    struct iommu_vdevice_alloc vdevice_alloc;
    struct iommu_veventq_alloc veventq_alloc;
    struct iommu_fault_alloc fault_alloc;
    struct iommu_test_cmd test;
} EmulCommand;

/* A request of /dev/iommu. */
typedef struct EmulRequest {
    unsigned long request;
    uint32_t size;
    uint32_t min_size;          /* up to the last field that must be there */
    bool answers_failure;       /* writes the structure back on failure too */
    int (*run)(EmulHost *host, void *cmd);
} EmulRequest;

#define END_OF(type, field) \
    (offsetof(type, field) + sizeof(((type *)NULL)->field))

#define REQUEST(nr, type, last, func)                       \
    {                                                       \
        .request = (nr), .size = sizeof(struct type),       \
        .min_size = END_OF(struct type, last), .run = func, \
    }

static const EmulRequest requests[] = {
    REQUEST(IOMMU_DESTROY, iommu_destroy, id, emul_destroy),
    REQUEST(IOMMU_IOAS_ALLOC, iommu_ioas_alloc, out_ioas_id, emul_ioas_alloc),
    {
        .request = IOMMU_IOAS_IOVA_RANGES,
        .size = sizeof(struct iommu_ioas_iova_ranges),
        .min_size = END_OF(struct iommu_ioas_iova_ranges, out_iova_alignment),
        .answers_failure = true,
        .run = emul_ioas_iova_ranges,
    },
    REQUEST(IOMMU_IOAS_MAP, iommu_ioas_map, iova, emul_ioas_map),
    REQUEST(IOMMU_IOAS_MAP_FILE, iommu_ioas_map_file, iova,
            emul_ioas_map_file),
    REQUEST(IOMMU_IOAS_UNMAP, iommu_ioas_unmap, length, emul_ioas_unmap),
    REQUEST(IOMMU_HWPT_ALLOC, iommu_hwpt_alloc, __reserved, emul_hwpt_alloc),
    REQUEST(IOMMU_GET_HW_INFO, iommu_hw_info, __reserved, emul_get_hw_info),
    {
        .request = IOMMU_HWPT_INVALIDATE,
        .size = sizeof(struct iommu_hwpt_invalidate),
        .min_size = END_OF(struct iommu_hwpt_invalidate, __reserved),
        .answers_failure = true,
        .run = emul_invalidate,
    },
    REQUEST(IOMMU_VIOMMU_ALLOC, iommu_viommu_alloc, out_viommu_id,
            emul_viommu_alloc),
    REQUEST(IOMMU_VDEVICE_ALLOC, iommu_vdevice_alloc, virt_id,
            emul_vdevice_alloc),
    REQUEST(IOMMU_VEVENTQ_ALLOC, iommu_veventq_alloc, out_veventq_fd,
            emul_veventq_alloc),
    REQUEST(IOMMU_FAULT_QUEUE_ALLOC, iommu_fault_alloc, out_fault_fd,
            emul_fault_alloc),
    REQUEST(IOMMU_TEST_CMD, iommu_test_cmd, last, emul_test),
};

/* What a system call returns for 0 or more, or -errno. */
static ssize_t call_return(ssize_t ret)
{
    if (ret < 0) {
        errno = (int)-ret;
        return -1;
    }
    return ret;
}

static const EmulRequest *request_find(unsigned long request)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
        if (requests[i].request == request) {
            return &requests[i];
        }
    }
    return NULL;
}

/* Whether what the user has beyond our structure is all zero. */
static bool tail_is_zero(const char *arg, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        if (arg[i]) {
            return false;
        }
    }
    return true;
}

/*
 * The structure is copied in, worked on, and copied back as far as the user
 * has it: an old program with a shorter one is served by the same code.
 */
static int host_fd_ioctl(EmulHost *host, unsigned long request, void *arg)
{
    const EmulRequest *req = request_find(request);
    EmulCommand cmd;
    uint32_t size;
    int ret;

    if (!req) {
        return -ENOTTY;
    }
    if (!arg) {
        return -EFAULT;
    }
    memcpy(&size, arg, sizeof(size));
    if (size < req->min_size) {
        return -EINVAL;
    }
    if (!tail_is_zero(arg, req->size, size)) {
        return -E2BIG;
    }
    memset(&cmd, 0, sizeof(cmd));   /* an initialiser may leave some out */
    memcpy(&cmd, arg, MIN(size, req->size));
    ret = req->run(host, &cmd);
    if (ret == 0 || req->answers_failure) {
        memcpy(arg, &cmd, MIN(size, req->size));
    }
    return ret;
}

static int emul_ioctl(HostIommu *base, int fd, unsigned long request,
                      void *arg)
{
    EmulHost *host = emul_host(base);
    int err = emul_controls_fail(&host->controls, EMUL_CALL_IOCTL, request);
    int ret;

    lock_assert_may_call_host();    /* the kernel's may block */
    if (err) {
        errno = err;
        return -1;
    }
    switch (EMUL_FD_KIND(emul_slots_load(&host->fds, (uint32_t)fd))) {
    case EMUL_FD_HOST:
        ret = host_fd_ioctl(host, request, arg);
        break;
    case EMUL_FD_DEVICE:
        ret = emul_device_ioctl(host, fd, request, arg);
        break;
    case EMUL_FD_QUEUE:
    case EMUL_FD_FAULT:
        ret = -ENOTTY;
        break;
    default:
        ret = -EBADF;
        break;
    }
    return (int)call_return(ret);
}

/* No lock before the queue's own: several threads read several queues. */
static ssize_t emul_read(HostIommu *base, int fd, void *buf, size_t count)
{
    EmulHost *host = emul_host(base);
    int err = emul_controls_fail(&host->controls, EMUL_CALL_READ, 0);
    uint64_t word = emul_slots_load(&host->fds, (uint32_t)fd);
    /* Relaxed: a number on its own, from emul_set_read_limit(). */
    size_t limit = atomic_load_explicit(&host->controls.read_limit,
                                        memory_order_relaxed);

    if (err) {
        errno = err;
        return -1;
    }
    switch (EMUL_FD_KIND(word)) {
    case EMUL_FD_QUEUE:
        count = limit > 0 ? MIN(count, limit) : count;
        return call_return(emul_queue_read(
            emul_host_queue(host, EMUL_FD_INDEX(word)), fd, buf, count));
    case EMUL_FD_FAULT:
        if (limit > 0 && count > limit) {
            count = limit - limit % sizeof(struct iommu_hwpt_pgfault);
        }
        return call_return(emul_fault_queue_read(
            emul_host_fault_queue(host, EMUL_FD_INDEX(word)), fd, buf,
            count));
    default:
        return call_return(word ? -EINVAL : -EBADF);
    }
}

/* Only a fault queue takes a write(). */
static ssize_t emul_write(HostIommu *base, int fd, const void *buf,
                          size_t count)
{
    EmulHost *host = emul_host(base);
    int err = emul_controls_fail(&host->controls, EMUL_CALL_WRITE, 0);
    uint64_t word = emul_slots_load(&host->fds, (uint32_t)fd);

    if (err) {
        errno = err;
        return -1;
    }
    if (EMUL_FD_KIND(word) != EMUL_FD_FAULT) {
        return call_return(word ? -EINVAL : -EBADF);
    }
    return call_return(emul_fault_queue_write(
        emul_host_fault_queue(host, EMUL_FD_INDEX(word)), fd, buf, count));
}

/*
 * The number is given up before close() can give it out again. Of two threads
 * that close the same fd one gets EBADF, and nothing happens twice.
 */
static int emul_close(HostIommu *base, int fd)
{
    EmulHost *host = emul_host(base);
    int err = emul_controls_fail(&host->controls, EMUL_CALL_CLOSE, 0);
    uint64_t word;

    if (EMUL_FD_KIND(emul_slots_load(&host->fds, (uint32_t)fd)) ==
        EMUL_FD_HOST) {
        return (int)call_return(-EBADF);    /* host_iommu_free() does that */
    }
    word = emul_slots_take(&host->fds, (uint32_t)fd);
    switch (EMUL_FD_KIND(word)) {
    case EMUL_FD_DEVICE:
        emul_device_close(host, EMUL_FD_INDEX(word));
        break;
    case EMUL_FD_QUEUE:
        emul_queue_move_fd(emul_host_queue(host, EMUL_FD_INDEX(word)), fd, -1);
        break;
    case EMUL_FD_FAULT:
        emul_fault_queue_move_fd(
            emul_host_fault_queue(host, EMUL_FD_INDEX(word)), fd, -1);
        break;
    default:
        return (int)call_return(-EBADF);
    }
    close(fd);
    return (int)call_return(-err);
}

/*
 * The new number is there before the old one goes. In between, and for whoever
 * looked the old one up, a queue goes by its own idea of its number.
 */
bool emul_move_fd(HostIommu *base, int from, int to)
{
    EmulHost *host = emul_host(base);
    uint64_t word = emul_slots_load(&host->fds, (uint32_t)from);
    bool stored = true;

    lock_acquire(&host->lock);
    if (to >= 0) {
        stored = emul_slots_store(&host->fds, (uint32_t)to, word);
    }
    if (stored && EMUL_FD_KIND(word) == EMUL_FD_HOST) {
        base->fd = to;
    }
    lock_release(&host->lock);
    if (!stored) {
        return false;
    }
    if (EMUL_FD_KIND(word) == EMUL_FD_QUEUE) {
        emul_queue_move_fd(emul_host_queue(host, EMUL_FD_INDEX(word)), from,
                           to);
    } else if (EMUL_FD_KIND(word) == EMUL_FD_FAULT) {
        emul_fault_queue_move_fd(
            emul_host_fault_queue(host, EMUL_FD_INDEX(word)), from, to);
    }
    emul_slots_take(&host->fds, (uint32_t)from);
    return true;
}

/* After the last user: no lock is needed, and no fd but ours is closed. */
static void emul_free(HostIommu *base)
{
    EmulHost *host = emul_host(base);

    lock_destroy(&host->lock);
    emul_faults_free(host);
    emul_objects_free(host);
    for (uint32_t i = 1; i <= host->queue_count; i++) {
        emul_queue_free(emul_host_queue(host, i));
    }
    g_ptr_array_unref(host->devices);
    emul_slots_free(&host->queues);
    emul_slots_free(&host->fds);
    emul_slots_free(&host->routes);
    lock_destroy(&host->controls.lock);
    if (base->fd >= 0) {
        close(base->fd);
    }
    g_free(host);
}

static const HostIommuOps emul_ops = {
    .ioctl = emul_ioctl,
    .read = emul_read,
    .write = emul_write,
    .close = emul_close,
    .free = emul_free,
};

HostIommu *emul_new(GError **error)
{
    EmulHost *host;
    int fd = eventfd(0, EFD_CLOEXEC);

    if (fd < 0) {
        error_set_errno(error, errno, "cannot make an emulated /dev/iommu");
        return NULL;
    }
    host = g_new0(EmulHost, 1);
    host->base.ops = &emul_ops;
    host->base.hardware = &emul_hardware_ops;
    host->base.fd = fd;
    lock_init(&host->lock, LOCK_RANK_LEAF);
    lock_init(&host->controls.lock, LOCK_RANK_LEAF);
    host->objects = g_ptr_array_new();
    host->devices = g_ptr_array_new_with_free_func(emul_device_free);
    if (!emul_slots_store(&host->fds, (uint32_t)fd,
                          EMUL_FD(EMUL_FD_HOST, 0))) {
        emul_free(&host->base);
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_RESOURCE,
                    "fd %d is too high for the emulated host", fd);
        return NULL;
    }
    return &host->base;
}
