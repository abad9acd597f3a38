/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every call goes through; what succeeded is looked at. A queue is known by its
 * fd to read(), which looks it up without a lock, and by its object ID to
 * IOMMU_DESTROY. Its record is in the file before its fd is anybody's.
 */
#include "host/record.h"

#include "emul-internal.h"
#include "host/hardware.h"
#include "host/mock-abi.h"
#include "recorder.h"

#include <errno.h>
#include <string.h>

/* Object IDs to numbers, plus one, as NULL is none. [RecordHost::lock] */
typedef struct RecordBooks {
    GHashTable *devices;        /* bound devices */
    GHashTable *viommus;        /* the device that each was allocated for */
    GHashTable *queues;         /* both kinds */
} RecordBooks;

typedef struct RecordHost {
    HostIommu base;
    HardwareOps hardware;       /* [const] what @inner has of them */
    HostIommu *inner;           /* [const] owned */
    Recorder *recorder;         /* [const] borrowed */
    uint32_t number;            /* [const] of the host */
    EmulSlots fds;              /* queue numbers, plus one, by fd */
    Lock lock;                  /* a leaf */
    RecordBooks books;
} RecordHost;

/* What one request has to be looked at for. */
typedef struct RecordRequest {
    unsigned long request;
    uint32_t size;
    void (*note)(RecordHost *self, const void *arg);
} RecordRequest;

static RecordHost *record_host(HostIommu *base)
{
    return (RecordHost *)base;
}

static void book(RecordHost *self, GHashTable *table, uint32_t id,
                 uint32_t number)
{
    lock_acquire(&self->lock);
    g_hash_table_insert(table, GUINT_TO_POINTER(id),
                        GUINT_TO_POINTER(number + 1));
    lock_release(&self->lock);
}

/* Return: the number, or RECORD_NO_DEVICE, for a queue too. */
static uint32_t find(RecordHost *self, GHashTable *table, uint32_t id)
{
    gpointer found;

    lock_acquire(&self->lock);
    found = g_hash_table_lookup(table, GUINT_TO_POINTER(id));
    lock_release(&self->lock);
    return found ? GPOINTER_TO_UINT(found) - 1 : RECORD_NO_DEVICE;
}

static void note_bind(RecordHost *self, const void *arg)
{
    const struct vfio_device_bind_iommufd *cmd = arg;
    RecordDevice device = {
        .host = GUINT32_TO_LE(self->number),
        .dev_id = GUINT32_TO_LE(cmd->out_devid),
    };

    book(self, self->books.devices, cmd->out_devid,
         recorder_add(self->recorder, RECORD_DEVICE, &device, sizeof(device),
                      NULL, 0));
}

static void identify(RecordHost *self, uint32_t dev_id, uint64_t virt_id,
                     const char *name)
{
    uint32_t number = find(self, self->books.devices, dev_id);
    RecordDeviceId id = { .virt_id = GUINT64_TO_LE(virt_id) };

    if (number != RECORD_NO_DEVICE) {
        recorder_append(self->recorder, RECORD_DEVICE_ID, number, &id,
                        sizeof(id), name, strlen(name) + 1);
    }
}

static void note_viommu(RecordHost *self, const void *arg)
{
    const struct iommu_viommu_alloc *cmd = arg;

    book(self, self->books.viommus, cmd->out_viommu_id,
         find(self, self->books.devices, cmd->dev_id));
}

static void note_vdevice(RecordHost *self, const void *arg)
{
    const struct iommu_vdevice_alloc *cmd = arg;

    identify(self, cmd->dev_id, cmd->virt_id, "");
}

static void add_queue(RecordHost *self, uint32_t id, int fd,
                      const RecordQueue *queue)
{
    uint32_t number = recorder_add(self->recorder, RECORD_QUEUE, queue,
                                   sizeof(*queue), NULL, 0);

    book(self, self->books.queues, id, number);
    emul_slots_store(&self->fds, (uint32_t)fd, (uint64_t)number + 1);
}

/* Of an event without its header; 0 if we do not know. */
static uint32_t event_size(uint32_t type)
{
    switch (type) {
    case IOMMU_VEVENTQ_TYPE_ARM_SMMUV3:
        return sizeof(struct iommu_vevent_arm_smmuv3);
    case IOMMU_VEVENTQ_TYPE_SELFTEST:
        return sizeof(struct iommu_viommu_event_selftest);
    default:
        return 0;
    }
}

static void note_veventq(RecordHost *self, const void *arg)
{
    const struct iommu_veventq_alloc *cmd = arg;
    uint32_t device = find(self, self->books.viommus, cmd->viommu_id);
    RecordQueue queue = {
        .host = GUINT32_TO_LE(self->number),
        .kind = GUINT32_TO_LE(RECORD_VEVENTQ),
        .device = GUINT32_TO_LE(device),
        .type = GUINT32_TO_LE(cmd->type),
        .depth = GUINT32_TO_LE(cmd->veventq_depth),
        .record_size = GUINT32_TO_LE(event_size(cmd->type)),
    };

    add_queue(self, cmd->out_veventq_id, (int)cmd->out_veventq_fd, &queue);
}

static void note_fault_queue(RecordHost *self, const void *arg)
{
    const struct iommu_fault_alloc *cmd = arg;
    RecordQueue queue = {
        .host = GUINT32_TO_LE(self->number),
        .kind = GUINT32_TO_LE(RECORD_FAULT_QUEUE),
        .device = GUINT32_TO_LE(RECORD_NO_DEVICE),
        .record_size = GUINT32_TO_LE(sizeof(struct iommu_hwpt_pgfault)),
    };

    add_queue(self, cmd->out_fault_id, (int)cmd->out_fault_fd, &queue);
}

static void note_hwpt(RecordHost *self, const void *arg)
{
    const struct iommu_hwpt_alloc *cmd = arg;
    RecordUser user = {
        .device = GUINT32_TO_LE(find(self, self->books.devices, cmd->dev_id)),
    };
    uint32_t queue;

    if (!(cmd->flags & IOMMU_HWPT_FAULT_ID_VALID)) {
        return;
    }
    queue = find(self, self->books.queues, cmd->fault_id);
    if (queue != RECORD_NO_DEVICE) {
        recorder_append(self->recorder, RECORD_USER, queue, &user,
                        sizeof(user), NULL, 0);
    }
}

/* IDs are given out again, so all books are asked. */
static void note_destroy(RecordHost *self, const void *arg)
{
    const struct iommu_destroy *cmd = arg;
    gpointer id = GUINT_TO_POINTER(cmd->id);
    uint32_t queue = find(self, self->books.queues, cmd->id);

    lock_acquire(&self->lock);
    g_hash_table_remove(self->books.viommus, id);
    g_hash_table_remove(self->books.queues, id);
    lock_release(&self->lock);
    if (queue != RECORD_NO_DEVICE) {
        recorder_append(self->recorder, RECORD_QUEUE_END, queue, NULL, 0,
                        NULL, 0);
    }
}

static const RecordRequest requests[] = {
    { VFIO_DEVICE_BIND_IOMMUFD, sizeof(struct vfio_device_bind_iommufd),
      note_bind },
    { IOMMU_DESTROY, sizeof(struct iommu_destroy), note_destroy },
    { IOMMU_HWPT_ALLOC, sizeof(struct iommu_hwpt_alloc), note_hwpt },
    { IOMMU_FAULT_QUEUE_ALLOC, sizeof(struct iommu_fault_alloc),
      note_fault_queue },
    { IOMMU_VIOMMU_ALLOC, sizeof(struct iommu_viommu_alloc), note_viommu },
    { IOMMU_VDEVICE_ALLOC, sizeof(struct iommu_vdevice_alloc), note_vdevice },
    { IOMMU_VEVENTQ_ALLOC, sizeof(struct iommu_veventq_alloc), note_veventq },
};

/* What a shorter structure of an older user does not have is 0. */
static void note(RecordHost *self, unsigned long request, const void *arg)
{
    uint64_t copy[16];
    uint32_t size;

    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
        if (requests[i].request == request) {
            g_assert(requests[i].size <= sizeof(copy));
            memset(copy, 0, sizeof(copy));
            memcpy(&size, arg, sizeof(size));
            memcpy(copy, arg, MIN(size, requests[i].size));
            requests[i].note(self, copy);
        }
    }
}

static int record_ioctl(HostIommu *base, int fd, unsigned long request,
                        void *arg)
{
    RecordHost *self = record_host(base);
    int ret = self->inner->ops->ioctl(self->inner, fd, request, arg);
    int err = errno;

    if (ret >= 0) {
        note(self, request, arg);
    }
    errno = err;
    return ret;
}

static ssize_t record_read(HostIommu *base, int fd, void *buf, size_t count)
{
    RecordHost *self = record_host(base);
    ssize_t ret = self->inner->ops->read(self->inner, fd, buf, count);
    uint64_t word;

    if (ret > 0) {
        word = emul_slots_load(&self->fds, (uint32_t)fd);
        if (word != 0) {
            recorder_append(self->recorder, RECORD_READ, (uint32_t)word - 1,
                            buf, ret, NULL, 0);
        }
    }
    return ret;
}

static ssize_t record_write(HostIommu *base, int fd, const void *buf,
                            size_t count)
{
    RecordHost *self = record_host(base);

    return self->inner->ops->write(self->inner, fd, buf, count);
}

/* Forgotten before the number can be given out again. */
static int record_close(HostIommu *base, int fd)
{
    RecordHost *self = record_host(base);

    emul_slots_take(&self->fds, (uint32_t)fd);
    return self->inner->ops->close(self->inner, fd);
}

static void record_free(HostIommu *base)
{
    RecordHost *self = record_host(base);

    host_iommu_free(self->inner);
    emul_slots_free(&self->fds);
    g_hash_table_unref(self->books.devices);
    g_hash_table_unref(self->books.viommus);
    g_hash_table_unref(self->books.queues);
    lock_destroy(&self->lock);
    g_free(self);
}

static const HostIommuOps record_ops = {
    .ioctl = record_ioctl,
    .read = record_read,
    .write = record_write,
    .close = record_close,
    .free = record_free,
};

/* ---- Its devices, if they are not real: the inner host's ---- */

static int record_device_open(HostIommu *base, HardwareIommu iommu)
{
    HostIommu *inner = record_host(base)->inner;

    return inner->hardware->device_open(inner, iommu);
}

static HardwareReport record_report_event(HostIommu *base, uint32_t dev_id,
                                          const uint64_t event[4])
{
    HostIommu *inner = record_host(base)->inner;

    return inner->hardware->report_event(inner, dev_id, event);
}

static HardwareReport record_request_page(HostIommu *base,
                                          const HardwarePageRequest *request)
{
    HostIommu *inner = record_host(base)->inner;

    return inner->hardware->request_page(inner, request);
}

static void record_set_answer_func(HostIommu *base, HardwareAnswerFunc *func,
                                   void *opaque)
{
    HostIommu *inner = record_host(base)->inner;

    inner->hardware->set_answer_func(inner, func, opaque);
}

static HardwarePageStats record_get_page_stats(HostIommu *base)
{
    HostIommu *inner = record_host(base)->inner;

    return inner->hardware->get_page_stats(inner);
}

static HardwareStats record_get_stats(HostIommu *base)
{
    HostIommu *inner = record_host(base)->inner;

    return inner->hardware->get_stats(inner);
}

static uint64_t record_count_left(HostIommu *base)
{
    HostIommu *inner = record_host(base)->inner;

    return inner->hardware->count_left(inner);
}

static const HardwareOps record_hardware = {
    .device_open = record_device_open,
    .report_event = record_report_event,
    .request_page = record_request_page,
    .set_answer_func = record_set_answer_func,
    .get_page_stats = record_get_page_stats,
    .get_stats = record_get_stats,
    .count_left = record_count_left,
};

/* ---- Its life ---- */

void record_host_identify(HostIommu *host, uint32_t dev_id, uint64_t virt_id,
                          const char *name)
{
    g_assert(host->ops == &record_ops);
    identify(record_host(host), dev_id, virt_id, name);
}

HostIommu *record_host_new(HostIommu *inner, Recorder *recorder,
                           const char *name, const char *kind)
{
    RecordHost *self = g_new0(RecordHost, 1);

    self->base.ops = &record_ops;
    self->base.fd = inner->fd;
    if (inner->hardware) {
        self->hardware = record_hardware;
        self->hardware.group_pages_max = inner->hardware->group_pages_max;
        self->base.hardware = &self->hardware;
    }
    self->inner = inner;
    self->recorder = recorder;
    lock_init(&self->lock, LOCK_RANK_LEAF);
    self->books = (RecordBooks){
        .devices = g_hash_table_new(NULL, NULL),
        .viommus = g_hash_table_new(NULL, NULL),
        .queues = g_hash_table_new(NULL, NULL),
    };
    self->number = recorder_add(recorder, RECORD_HOST, name, strlen(name) + 1,
                                kind, strlen(kind) + 1);
    return &self->base;
}
