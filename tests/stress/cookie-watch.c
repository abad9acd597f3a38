/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each host's table of calls is replaced by one that looks first. What the books
 * say is changed before a call that gives cookies back, and after one that gives
 * some out: then they never have one that the host has not.
 */
#include "cookie-watch.h"

#include "host/iommufd-abi.h"
#include "host/vfio-abi.h"

#include <pthread.h>
#include <stdbool.h>

#define NO_PASID UINT32_MAX

typedef struct Cookie {
    int fd;
    uint32_t number;
    uint32_t dev_id;
    uint32_t pasid;             /* or NO_PASID */
} Cookie;

typedef struct Watch {
    const HostIommuOps *inner;
    GArray *cookies;            /* Cookie, of groups that wait for an answer */
    GHashTable *devices;        /* fd: dev_id */
    GHashTable *queues;         /* fds */
} Watch;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *watches;     /* HostIommu: Watch */
static uint64_t written;

static Watch *watch_of(HostIommu *host)
{
    Watch *watch;

    pthread_mutex_lock(&lock);
    watch = g_hash_table_lookup(watches, host);
    pthread_mutex_unlock(&lock);
    return watch;
}

/* ---- Books; under the lock ---- */

static Cookie *find(Watch *watch, int fd, uint32_t number)
{
    for (guint i = 0; i < watch->cookies->len; i++) {
        Cookie *cookie = &g_array_index(watch->cookies, Cookie, i);

        if (cookie->fd == fd && cookie->number == number) {
            return cookie;
        }
    }
    return NULL;
}

static void forget(Watch *watch, const Cookie *cookie)
{
    g_array_remove_index_fast(watch->cookies,
                              cookie - &g_array_index(watch->cookies, Cookie,
                                                      0));
}

static void note_read(Watch *watch, int fd,
                      const struct iommu_hwpt_pgfault *record)
{
    const Cookie cookie = {
        .fd = fd,
        .number = record->cookie,
        .dev_id = record->dev_id,
        .pasid = record->flags & IOMMU_PGFAULT_FLAGS_PASID_VALID
                     ? record->pasid : NO_PASID,
    };

    if (!(record->flags & IOMMU_PGFAULT_FLAGS_LAST_PAGE)) {
        return;
    }
    if (find(watch, fd, cookie.number)) {
        g_error("cookie %u is given out twice", cookie.number);
    }
    g_array_append_val(watch->cookies, cookie);
}

static void check_write(Watch *watch, int fd,
                        const struct iommu_hwpt_page_response *response)
{
    if (!find(watch, fd, response->cookie)) {
        g_error("cookie %u is written, and no group has it",
                response->cookie);
    }
}

static void note_written(Watch *watch, int fd,
                         const struct iommu_hwpt_page_response *response)
{
    Cookie *cookie = find(watch, fd, response->cookie);

    if (!cookie) {
        g_error("cookie %u is written twice", response->cookie);
    }
    forget(watch, cookie);
    written++;
}

/* @dev_id: or 0 for all of @fd; @pasid: of that device, @all: any. */
static void end(Watch *watch, int fd, uint32_t dev_id, uint32_t pasid,
                bool all)
{
    guint i = 0;

    while (i < watch->cookies->len) {
        const Cookie *cookie = &g_array_index(watch->cookies, Cookie, i);

        if (dev_id ? cookie->dev_id == dev_id && (all || cookie->pasid == pasid)
                   : cookie->fd == fd) {
            forget(watch, cookie);
        } else {
            i++;
        }
    }
}

static uint32_t device_of(Watch *watch, int fd)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(watch->devices,
                                                GINT_TO_POINTER(fd)));
}

/* ---- Calls ---- */

static void before_ioctl(Watch *watch, int fd, unsigned long request,
                         const void *arg)
{
    const struct vfio_device_attach_iommufd_pt *attach = arg;
    const struct vfio_device_detach_iommufd_pt *detach = arg;

    if (request == VFIO_DEVICE_ATTACH_IOMMUFD_PT) {
        end(watch, -1, device_of(watch, fd),
            attach->flags & VFIO_DEVICE_ATTACH_PASID ? attach->pasid
                                                     : NO_PASID, false);
    } else if (request == VFIO_DEVICE_DETACH_IOMMUFD_PT) {
        end(watch, -1, device_of(watch, fd),
            detach->flags & VFIO_DEVICE_DETACH_PASID ? detach->pasid
                                                     : NO_PASID, false);
    }
}

static void after_ioctl(Watch *watch, int fd, unsigned long request,
                        const void *arg)
{
    const struct vfio_device_bind_iommufd *bind = arg;
    const struct iommu_fault_alloc *alloc = arg;

    if (request == VFIO_DEVICE_BIND_IOMMUFD) {
        g_hash_table_insert(watch->devices, GINT_TO_POINTER(fd),
                            GUINT_TO_POINTER(bind->out_devid));
    } else if (request == IOMMU_FAULT_QUEUE_ALLOC) {
        g_hash_table_add(watch->queues, GINT_TO_POINTER(alloc->out_fault_fd));
    }
}

static int watch_ioctl(HostIommu *host, int fd, unsigned long request,
                       void *arg)
{
    Watch *watch = watch_of(host);
    int ret;

    pthread_mutex_lock(&lock);
    before_ioctl(watch, fd, request, arg);
    pthread_mutex_unlock(&lock);
    ret = watch->inner->ioctl(host, fd, request, arg);
    if (ret >= 0) {
        pthread_mutex_lock(&lock);
        after_ioctl(watch, fd, request, arg);
        pthread_mutex_unlock(&lock);
    }
    return ret;
}

static bool is_queue(Watch *watch, int fd)
{
    bool found;

    pthread_mutex_lock(&lock);
    found = g_hash_table_contains(watch->queues, GINT_TO_POINTER(fd));
    pthread_mutex_unlock(&lock);
    return found;
}

static ssize_t watch_read(HostIommu *host, int fd, void *buf, size_t count)
{
    Watch *watch = watch_of(host);
    ssize_t ret = watch->inner->read(host, fd, buf, count);
    const struct iommu_hwpt_pgfault *records = buf;

    if (ret > 0 && is_queue(watch, fd)) {
        pthread_mutex_lock(&lock);
        for (size_t i = 0; i < ret / sizeof(*records); i++) {
            note_read(watch, fd, &records[i]);
        }
        pthread_mutex_unlock(&lock);
    }
    return ret;
}

static ssize_t watch_write(HostIommu *host, int fd, const void *buf,
                           size_t count)
{
    Watch *watch = watch_of(host);
    const struct iommu_hwpt_page_response *responses = buf;
    ssize_t ret;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count / sizeof(*responses); i++) {
        check_write(watch, fd, &responses[i]);
    }
    pthread_mutex_unlock(&lock);
    ret = watch->inner->write(host, fd, buf, count);
    pthread_mutex_lock(&lock);
    for (size_t i = 0; ret > 0 && i < ret / sizeof(*responses); i++) {
        note_written(watch, fd, &responses[i]);
    }
    pthread_mutex_unlock(&lock);
    return ret;
}

static int watch_close(HostIommu *host, int fd)
{
    Watch *watch = watch_of(host);
    uint32_t dev_id;

    pthread_mutex_lock(&lock);
    dev_id = device_of(watch, fd);
    if (dev_id || g_hash_table_contains(watch->queues, GINT_TO_POINTER(fd))) {
        end(watch, fd, dev_id, NO_PASID, true);
    }
    g_hash_table_remove(watch->devices, GINT_TO_POINTER(fd));
    g_hash_table_remove(watch->queues, GINT_TO_POINTER(fd));
    pthread_mutex_unlock(&lock);
    return watch->inner->close(host, fd);
}

static void watch_free(HostIommu *host)
{
    Watch *watch = watch_of(host);
    const HostIommuOps *inner = watch->inner;

    pthread_mutex_lock(&lock);
    g_hash_table_remove(watches, host);
    pthread_mutex_unlock(&lock);
    g_array_unref(watch->cookies);
    g_hash_table_unref(watch->devices);
    g_hash_table_unref(watch->queues);
    g_free(watch);
    inner->free(host);
}

static const HostIommuOps watch_ops = {
    .ioctl = watch_ioctl,
    .read = watch_read,
    .write = watch_write,
    .close = watch_close,
    .free = watch_free,
};

void cookie_watch_start(HostIommu *host)
{
    Watch *watch = g_new0(Watch, 1);

    watch->inner = host->ops;
    watch->cookies = g_array_new(FALSE, FALSE, sizeof(Cookie));
    watch->devices = g_hash_table_new(NULL, NULL);
    watch->queues = g_hash_table_new(NULL, NULL);
    host->ops = &watch_ops;
    pthread_mutex_lock(&lock);
    if (!watches) {
        watches = g_hash_table_new(NULL, NULL);
    }
    g_hash_table_insert(watches, host, watch);
    pthread_mutex_unlock(&lock);
}

uint64_t cookie_watch_written(void)
{
    uint64_t count;

    pthread_mutex_lock(&lock);
    count = written;
    pthread_mutex_unlock(&lock);
    return count;
}
