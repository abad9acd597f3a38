/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The four calls: what concerns a mock device is translated, the rest is the
 * host's below.
 */
#include "mock-internal.h"

#include "base/error.h"

#include <errno.h>
#include <unistd.h>

int mock_ioctl(MockHost *host, unsigned long request, void *arg)
{
    HostIommu *inner = host->inner;

    return inner->ops->ioctl(inner, inner->fd, request, arg) < 0 ? -errno : 0;
}

/* As soon as it is destroyed, its ID may be another's. */
int mock_destroy_cmd(MockHost *host, struct iommu_destroy *cmd)
{
    bool ours = mock_forget_id(host, cmd->id);
    int ret = mock_ioctl(host, IOMMU_DESTROY, cmd);

    if (ours && ret < 0 && ret != -ENOENT) {
        mock_note_id(host, cmd->id);
    }
    return ret;
}

int mock_destroy(MockHost *host, uint32_t id)
{
    struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

    return mock_destroy_cmd(host, &cmd);
}

/* What the operator can do about a host without the test ioctl. */
static bool check_test_ioctl(MockHost *host, GError **error)
{
    struct iommu_test_cmd cmd = { .size = sizeof(cmd) };
    int ret = mock_ioctl(host, IOMMU_TEST_CMD, &cmd);

    /* There is no operation 0. */
    if (ret == -EOPNOTSUPP) {
        return true;
    }
    error_set_errno(error, -ret, "no mock devices: IOMMU_TEST_CMD%s",
                    ret == -ENOTTY ? " (the kernel was built without "
                                     "CONFIG_IOMMUFD_TEST)" : "");
    return false;
}

static int iommufd_ioctl(MockHost *host, unsigned long request, void *arg)
{
    if (!arg) {
        return mock_ioctl(host, request, arg);
    }
    switch (request) {
    case IOMMU_IOAS_ALLOC:
        return mock_ioas_alloc(host, arg);
    case IOMMU_HWPT_ALLOC:
        return mock_hwpt_alloc(host, arg);
    case IOMMU_VIOMMU_ALLOC:
        return mock_viommu_alloc(host, arg);
    case IOMMU_VDEVICE_ALLOC:
        return mock_vdevice_alloc(host, arg);
    case IOMMU_VEVENTQ_ALLOC:
        return mock_veventq_alloc(host, arg);
    case IOMMU_FAULT_QUEUE_ALLOC:
        return mock_fault_alloc(host, arg);
    case IOMMU_GET_HW_INFO:
        return mock_get_hw_info(host, arg);
    case IOMMU_HWPT_INVALIDATE:
        return mock_invalidate(host, arg);
    case IOMMU_DESTROY:
        return mock_object_destroy(host, arg);
    default:
        return mock_ioctl(host, request, arg);
    }
}

/* The emulation's and the system's convention for a result. */
static int finish(int ret)
{
    if (ret < 0) {
        errno = -ret;
        return -1;
    }
    return ret;
}

static int ops_ioctl(HostIommu *base, int fd, unsigned long request, void *arg)
{
    MockHost *host = mock_host(base);
    MockFile *file;

    lock_assert_may_call_host();
    if (fd == base->fd) {
        return finish(iommufd_ioctl(host, request, arg));
    }
    file = mock_file_find(host, fd);
    if (file && file->kind == MOCK_FILE_DEVICE) {
        return finish(mock_device_ioctl(host, (MockDevice *)file, request,
                                        arg));
    }
    return host->inner->ops->ioctl(host->inner, fd, request, arg);
}

static ssize_t ops_read(HostIommu *base, int fd, void *buf, size_t count)
{
    MockHost *host = mock_host(base);
    MockFile *file = mock_file_find(host, fd);

    if (file && file->kind == MOCK_FILE_EVENTS) {
        return mock_events_read(host, (MockEvents *)file, fd, buf, count);
    }
    if (file && file->kind == MOCK_FILE_FAULTS) {
        return mock_faults_read(host, (MockFaults *)file, fd, buf, count);
    }
    return host->inner->ops->read(host->inner, fd, buf, count);
}

static ssize_t ops_write(HostIommu *base, int fd, const void *buf,
                         size_t count)
{
    MockHost *host = mock_host(base);
    MockFile *file = mock_file_find(host, fd);

    if (file && file->kind == MOCK_FILE_FAULTS) {
        return mock_faults_write(host, (MockFaults *)file, fd, buf, count);
    }
    return host->inner->ops->write(host->inner, fd, buf, count);
}

/* The number is out of the table before somebody else can get it. */
static int ops_close(HostIommu *base, int fd)
{
    MockHost *host = mock_host(base);
    MockFile *file = NULL;

    if (fd >= 0) {
        file = (MockFile *)(uintptr_t)emul_slots_take(&host->fds, fd);
    }
    if (file && file->kind == MOCK_FILE_DEVICE) {
        mock_device_close(host, (MockDevice *)file);
        return close(fd);       /* not the host's below */
    }
    return host->inner->ops->close(host->inner, fd);
}

static void file_free(gpointer opaque)
{
    MockFile *file = opaque;

    switch (file->kind) {
    case MOCK_FILE_DEVICE:
        lock_destroy(&((MockDevice *)file)->lock);
        g_hash_table_unref(((MockDevice *)file)->pasids);
        break;
    case MOCK_FILE_EVENTS:
        lock_destroy(&((MockEvents *)file)->lock);
        g_free(((MockEvents *)file)->ring.events);
        break;
    case MOCK_FILE_FAULTS:
        emul_slots_free(&((MockFaults *)file)->cookies);
        break;
    }
    g_free(file);
}

static void host_free(MockHost *host)
{
    lock_destroy(&host->lock);
    g_ptr_array_unref(host->files);
    g_hash_table_unref(host->objects);
    g_hash_table_unref(host->ids);
    emul_slots_free(&host->fds);
    emul_slots_free(&host->devices);
    lock_destroy(&host->parking.lock);
    g_free(host);
}

static void ops_free(HostIommu *base)
{
    HostIommu *inner = mock_host(base)->inner;

    host_free(mock_host(base));
    host_iommu_free(inner);
}

static const HostIommuOps mock_ops = {
    .ioctl = ops_ioctl,
    .read = ops_read,
    .write = ops_write,
    .close = ops_close,
    .free = ops_free,
};

static void set_answer_func(HostIommu *base, HardwareAnswerFunc *func,
                            void *opaque)
{
    mock_host(base)->handler = (EmulAnswerHandler){
        .func = func, .opaque = opaque,
    };
}

static uint64_t get_relaxed(const _Atomic uint64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

/* The ends first: what is raised in between is open, never less than none. */
static HardwarePageStats get_page_stats(HostIommu *base)
{
    const MockCounts *counts = &mock_host(base)->counts;
    HardwarePageStats stats = {
        .answered = get_relaxed(&counts->answered),
        .automatic = get_relaxed(&counts->automatic),
    };

    stats.raised = get_relaxed(&counts->raised);
    stats.pages = stats.raised;
    stats.open = stats.raised - stats.answered - stats.automatic;
    return stats;
}

/* Every MockEvents there has been; they are never freed. */
static void add_event_counts(MockHost *host, HardwareStats *stats)
{
    g_autoptr(GPtrArray) files = NULL;

    lock_acquire(&host->lock);
    stats->objects = g_hash_table_size(host->objects);
    files = g_ptr_array_copy(host->files, NULL, NULL);
    g_ptr_array_set_free_func(files, NULL);
    lock_release(&host->lock);
    for (unsigned i = 0; i < files->len; i++) {
        MockEvents *events = files->pdata[i];

        if (events->file.kind == MOCK_FILE_EVENTS) {
            lock_acquire(&events->lock);
            stats->generated += events->counts.generated;
            stats->dropped += events->counts.dropped;
            lock_release(&events->lock);
        }
    }
}

static HardwareStats get_stats(HostIommu *base)
{
    MockHost *host = mock_host(base);
    HardwareStats stats = {
        .invalidations = get_relaxed(&host->counts.invalidations),
        .invalidate_ioctls = get_relaxed(&host->counts.invalidate_ioctls),
        .busy = get_relaxed(&host->counts.busy),
    };

    add_event_counts(host, &stats);
    return stats;
}

static gint compare_ids_down(gconstpointer a, gconstpointer b)
{
    uint32_t left = GPOINTER_TO_UINT(a), right = GPOINTER_TO_UINT(b);

    return (left < right) - (left > right);
}

/*
 * Of the IDs that are ours only, since a host that was handed to us may have
 * others. A HWPT that comes and goes with an attachment to an IOAS is not among
 * them: if it were left, so would be the device and the IOAS. Users have higher
 * ones than what they use, as a rule: from the top down.
 */
static uint64_t count_left(HostIommu *base)
{
    MockHost *host = mock_host(base);
    uint64_t left = 0;
    GList *ids;

    lock_acquire(&host->lock);
    ids = g_hash_table_get_keys(host->ids);
    lock_release(&host->lock);
    ids = g_list_sort(ids, compare_ids_down);
    for (const GList *id = ids; id; id = id->next) {
        left += mock_destroy(host, GPOINTER_TO_UINT(id->data)) != -ENOENT;
    }
    g_list_free(ids);
    return left;
}

static const HardwareOps mock_hardware_ops = {
    .group_pages_max = 1,       /* the driver ends a group with each fault */
    .device_open = mock_device_open,
    .report_event = mock_report_event,
    .request_page = mock_request_page,
    .set_answer_func = set_answer_func,
    .get_page_stats = get_page_stats,
    .get_stats = get_stats,
    .count_left = count_left,
};

HostIommu *mock_host_new(HostIommu *inner, GError **error)
{
    MockHost *host = g_new0(MockHost, 1);

    host->base.ops = &mock_ops;
    host->base.hardware = &mock_hardware_ops;
    host->base.fd = inner->fd;
    host->inner = inner;
    lock_init(&host->lock, LOCK_RANK_LEAF);
    lock_init(&host->parking.lock, LOCK_RANK_MOCK_DEVICE);
    host->files = g_ptr_array_new_with_free_func(file_free);
    host->objects = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    host->ids = g_hash_table_new(NULL, NULL);
    if (!check_test_ioctl(host, error)) {
        host_free(host);
        return NULL;
    }
    return &host->base;
}
