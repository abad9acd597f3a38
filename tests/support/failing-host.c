/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What fails is the process's, not a host's: a host may come and go meanwhile.
 *
 * The kernel counts a thread's allocations down, those of its other system
 * calls too. So the count is set just before a host call, from what is left for
 * all threads, and read back just after it.
 */
#include "failing-host.h"

#include "host/iommufd-abi.h"
#include "host/vfio-abi.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* IDs are the lowest free ones. */
#define SWEPT_IDS 256

/* Not a multiple of any record's size. */
#define SHORT_BYTES 7

/* The instruction behind the call of this function. */
#define SITE __builtin_return_address(0)

#define FAILSLAB "/sys/kernel/debug/failslab/"

/* More than there are. */
#define SITES_MAX 512
#define OVERS_MAX 8

typedef enum Failing {
    FAILING_NOTHING,
    FAILING_CALLS,
    FAILING_CALLS_OVER,
    FAILING_TRANSFERS,
    FAILING_FUNCTIONS,
    FAILING_SLEEPS,
    FAILING_ALLOCATIONS,
} Failing;

/* On whatever of these hosts. */
typedef struct Failures {
    atomic_int failing;             /* Failing */
    int err;                        /* [const] while calls fail */
    FailingShort how;               /* [const] while transfers do */
    _Atomic uint64_t calls;         /* to go, the one that fails included */
    pthread_mutex_t lock;           /* across a call, if allocations fail */
    uint64_t allocations;           /* [lock] to go */
    atomic_bool failed;
} Failures;

typedef struct FailingHost {
    HostIommu base;
    HostIommu *inner;               /* [const] owned */
    unsigned long request;          /* [const] */
    _Atomic uint64_t counted;
} FailingHost;

/* A host whose ops were replaced. */
typedef struct Over {
    _Atomic(HostIommu *) host;      /* NULL: free */
    const HostIommuOps *ops;        /* [const] while host is set */
} Over;

static Over overs[OVERS_MAX];

/* Queues of such hosts. */
static atomic_int last_queue = -1;
static atomic_int ended_queue = -1;
static atomic_int ended_err;

static Failures failures = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Where calls have failed, each once; the first that is 0 ends them. */
static _Atomic uintptr_t sites[SITES_MAX];

static FailingHost *failing(HostIommu *base)
{
    return (FailingHost *)base;
}

/* ---- Allocations of the kernel ---- */

static void fail_nth_write(int fd, uint64_t nth)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, nth);

    g_assert_cmpint(pwrite(fd, text, len, 0), ==, len);
}

static uint64_t fail_nth_read(int fd)
{
    char text[24] = "";

    g_assert_cmpint(pread(fd, text, sizeof(text) - 1, 0), >, 0);
    return strtoull(text, NULL, 10);
}

static int fail_nth_begin(void)
{
    int fd;

    pthread_mutex_lock(&failures.lock);
    fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    if (failures.allocations > 0) {
        fail_nth_write(fd, failures.allocations);
    }
    return fd;
}

static void fail_nth_end(int fd)
{
    int saved_errno = errno;

    if (failures.allocations > 0) {
        failures.allocations = fail_nth_read(fd);
        fail_nth_write(fd, 0);
        atomic_store(&failures.failed, failures.allocations == 0);
    }
    close(fd);
    pthread_mutex_unlock(&failures.lock);
    errno = saved_errno;
}

/* ---- Where ---- */

static void note_site(const void *site)
{
    for (unsigned i = 0; i < SITES_MAX; i++) {
        uintptr_t old = 0;

        if (atomic_compare_exchange_strong(&sites[i], &old,
                                           (uintptr_t)site) ||
            old == (uintptr_t)site) {
            return;
        }
    }
    g_error("more than %d sites", SITES_MAX);
}

/* The program is the first object: how far from its file's addresses it is. */
static int find_bias(struct dl_phdr_info *info, size_t size, void *opaque)
{
    *(uintptr_t *)opaque = info->dlpi_addr;
    return 1;
}

void failing_host_write_sites(const char *path)
{
    FILE *file = fopen(path, "a");
    uintptr_t bias = 0;

    g_assert_nonnull(file);
    dl_iterate_phdr(find_bias, &bias);
    for (unsigned i = 0; i < SITES_MAX && sites[i]; i++) {
        fprintf(file, "%" G_GINTPTR_MODIFIER "x\n", sites[i] - bias);
    }
    g_assert_cmpint(fclose(file), ==, 0);
}

/* ---- Around every call ---- */

/* What one call has to know between its begin and its end. */
typedef struct Call {
    Failing failing;
    int fd;
} Call;

static bool is_the_one(const void *site)
{
    if (atomic_fetch_sub(&failures.calls, 1) != 1) {
        return false;
    }
    atomic_store(&failures.failed, true);
    note_site(site);
    return true;
}

bool failing_host_is_the_one(const void *site)
{
    return atomic_load(&failures.failing) == FAILING_FUNCTIONS &&
           is_the_one(site);
}

bool failing_host_is_interrupted(const void *site)
{
    if (atomic_load(&failures.failing) != FAILING_SLEEPS ||
        atomic_fetch_add(&failures.calls, 1) % 2 == 0) {
        return false;
    }
    atomic_store(&failures.failed, true);
    note_site(site);
    return true;
}

static bool call_fails(Failing failing, const void *site)
{
    if ((Failing)atomic_load(&failures.failing) == failing &&
        is_the_one(site)) {
        errno = failures.err;
        return true;
    }
    return false;
}

/* No kernel refuses these for want of something. */
static bool request_may_fail(unsigned long request)
{
    return request != IOMMU_DESTROY && request != VFIO_DEVICE_DETACH_IOMMUFD_PT;
}

static void call_begin(Call *call)
{
    call->failing = atomic_load(&failures.failing);
    if (call->failing == FAILING_ALLOCATIONS) {
        call->fd = fail_nth_begin();
    }
}

static void call_end(const Call *call)
{
    if (call->failing == FAILING_ALLOCATIONS) {
        fail_nth_end(call->fd);
    }
}

static int failing_ioctl(HostIommu *base, int fd, unsigned long request,
                         void *arg)
{
    FailingHost *host = failing(base);
    Call call;
    int ret;

    if (request_may_fail(request) && call_fails(FAILING_CALLS, SITE)) {
        return -1;
    }
    call_begin(&call);
    ret = host->inner->ops->ioctl(host->inner, fd, request, arg);
    call_end(&call);
    if (ret == 0 && request == host->request) {
        atomic_fetch_add(&host->counted, 1);
    }
    return ret;
}

static ssize_t failing_read(HostIommu *base, int fd, void *buf, size_t count)
{
    FailingHost *host = failing(base);
    Call call;
    ssize_t ret;

    if (call_fails(FAILING_CALLS, SITE)) {
        return -1;
    }
    call_begin(&call);
    ret = host->inner->ops->read(host->inner, fd, buf, count);
    call_end(&call);
    return ret;
}

static ssize_t failing_write(HostIommu *base, int fd, const void *buf,
                             size_t count)
{
    FailingHost *host = failing(base);
    Call call;
    ssize_t ret;

    if (call_fails(FAILING_CALLS, SITE)) {
        return -1;
    }
    call_begin(&call);
    ret = host->inner->ops->write(host->inner, fd, buf, count);
    call_end(&call);
    return ret;
}

static int failing_close(HostIommu *base, int fd)
{
    FailingHost *host = failing(base);
    Call call;
    int ret;

    call_begin(&call);
    ret = host->inner->ops->close(host->inner, fd);
    call_end(&call);
    return ret;
}

/* No object is left, whoever may know of it. */
static void check_no_object(HostIommu *inner)
{
    for (uint32_t id = 1; id <= SWEPT_IDS; id++) {
        struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };
        int ret = inner->ops->ioctl(inner, inner->fd, IOMMU_DESTROY, &cmd);

        if (ret == 0 || errno != ENOENT) {
            g_error("object %u is left (%s)", id,
                    ret == 0 ? "unused" : g_strerror(errno));
        }
    }
}

static void failing_free(HostIommu *base)
{
    FailingHost *host = failing(base);

    check_no_object(host->inner);
    host_iommu_free(host->inner);
    g_free(host);
}

static const HostIommuOps failing_ops = {
    .ioctl = failing_ioctl,
    .read = failing_read,
    .write = failing_write,
    .close = failing_close,
    .free = failing_free,
};

HostIommu *failing_host_new(HostIommu *inner, unsigned long request)
{
    FailingHost *host = g_new0(FailingHost, 1);

    host->base.ops = &failing_ops;
    host->base.fd = inner->fd;
    host->inner = inner;
    host->request = request;
    return &host->base;
}

HostIommu *failing_host_open(FailingHostOpenFunc *func, const char *path,
                             GError **error)
{
    HostIommu *inner;
    Call call;

    call_begin(&call);
    inner = func(path, error);
    call_end(&call);
    return inner ? failing_host_new(inner, 0) : NULL;
}

/* ---- Laid over a host ---- */

static Over *over_find(HostIommu *host)
{
    for (unsigned i = 0; i < OVERS_MAX; i++) {
        if (atomic_load(&overs[i].host) == host) {
            return &overs[i];
        }
    }
    g_error("no place");
}

/* The bytes that a read or write is made with. Return: false: with none. */
static bool transfer_begin(const void *site, size_t *count)
{
    if (atomic_load(&failures.failing) == FAILING_TRANSFERS &&
        is_the_one(site)) {
        if (failures.how == FAILING_SHORT_NONE) {
            return false;
        }
        *count -= MIN(*count, SHORT_BYTES);
    }
    return true;
}

static int over_ioctl(HostIommu *host, int fd, unsigned long request,
                      void *arg)
{
    int ret;

    if (request_may_fail(request) && call_fails(FAILING_CALLS_OVER, SITE)) {
        return -1;
    }
    ret = over_find(host)->ops->ioctl(host, fd, request, arg);
    if (ret == 0 && request == IOMMU_VEVENTQ_ALLOC) {
        atomic_store(&last_queue,
                     (int)((struct iommu_veventq_alloc *)arg)->out_veventq_fd);
    } else if (ret == 0 && request == IOMMU_FAULT_QUEUE_ALLOC) {
        atomic_store(&last_queue,
                     (int)((struct iommu_fault_alloc *)arg)->out_fault_fd);
    }
    return ret;
}

static ssize_t over_read(HostIommu *host, int fd, void *buf, size_t count)
{
    if (call_fails(FAILING_CALLS_OVER, SITE)) {
        return -1;
    }
    if (fd == atomic_load(&ended_queue)) {
        errno = atomic_load(&ended_err);
        return errno ? -1 : 0;
    }
    return transfer_begin(SITE, &count)
               ? over_find(host)->ops->read(host, fd, buf, count) : 0;
}

static ssize_t over_write(HostIommu *host, int fd, const void *buf,
                          size_t count)
{
    if (call_fails(FAILING_CALLS_OVER, SITE)) {
        return -1;
    }
    return transfer_begin(SITE, &count)
               ? over_find(host)->ops->write(host, fd, buf, count) : 0;
}

static int over_close(HostIommu *host, int fd)
{
    return over_find(host)->ops->close(host, fd);
}

static void over_free(HostIommu *host)
{
    Over *over = over_find(host);

    host->ops = over->ops;
    atomic_store(&over->host, NULL);
    host_iommu_free(host);
}

static const HostIommuOps over_ops = {
    .ioctl = over_ioctl,
    .read = over_read,
    .write = over_write,
    .close = over_close,
    .free = over_free,
};

int failing_host_last_queue(void)
{
    return atomic_load(&last_queue);
}

void failing_host_end_queue(int fd, int err)
{
    atomic_store(&ended_err, err);
    atomic_store(&ended_queue, fd);
}

void failing_host_lay_over(HostIommu *host)
{
    Over *over = over_find(NULL);

    over->ops = host->ops;
    atomic_store(&over->host, host);
    host->ops = &over_ops;
}

uint64_t failing_host_counted(HostIommu *host)
{
    return atomic_load(&failing(host)->counted);
}

static void begin(Failing failing, uint64_t nth)
{
    atomic_store(&failures.failed, false);
    atomic_store(&failures.calls, nth);
    atomic_store(&failures.failing, failing);
}

void failing_host_fail_call(uint64_t nth, int err)
{
    failures.err = err;
    begin(FAILING_CALLS, nth);
}

void failing_host_fail_call_over(uint64_t nth, int err)
{
    failures.err = err;
    begin(FAILING_CALLS_OVER, nth);
}

void failing_host_fail_short(uint64_t nth, FailingShort how)
{
    failures.how = how;
    begin(FAILING_TRANSFERS, nth);
}

void failing_host_fail_function(uint64_t nth)
{
    begin(FAILING_FUNCTIONS, nth);
}

void failing_host_interrupt_sleeps(void)
{
    begin(FAILING_SLEEPS, 0);
}

void failing_host_fail_allocation(uint64_t nth)
{
    pthread_mutex_lock(&failures.lock);
    failures.allocations = nth;
    pthread_mutex_unlock(&failures.lock);
    begin(FAILING_ALLOCATIONS, 0);
}

bool failing_host_stop(void)
{
    atomic_store(&failures.failing, FAILING_NOTHING);
    return atomic_load(&failures.failed);
}

bool failing_host_is_armed(void)
{
    return atomic_load(&failures.failing) != FAILING_NOTHING;
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) > 0;

    if (fd >= 0) {
        close(fd);
    }
    return written;
}

bool failing_host_can_fail_allocations(void)
{
    /* Those that may sleep, which are nearly all; and no stack for each. */
    return access("/proc/thread-self/fail-nth", W_OK) == 0 &&
           write_text(FAILSLAB "ignore-gfp-wait", "N") &&
           write_text(FAILSLAB "verbose", "0");
}
