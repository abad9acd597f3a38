/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls go to an emulated host, which makes and destroys the objects. Of a
 * queue the user gets another fd, that of a ReplayQueue; the emulated one stays
 * empty, and is closed with it.
 *
 * What was recorded of a device is for the one that is opened with its ID. A
 * vEVENTQ gets what was recorded of one of its type that belonged to the same
 * device's vIOMMU; a fault queue that of one that was used for the same device,
 * which is known when a HWPT names it. Of several the next one in order: so a
 * guest that makes its queue anew goes on where the recorded one did.
 */
#include "host/replay.h"

#include "base/error.h"
#include "replay-internal.h"

#include <errno.h>
#include <string.h>

/* ---- Books ---- */

static uint32_t look_up(GHashTable *table, uint32_t id)
{
    gpointer found = g_hash_table_lookup(table, GUINT_TO_POINTER(id));

    return found ? GPOINTER_TO_UINT(found) - 1 : RECORD_NO_DEVICE;
}

/* RECORD_NO_DEVICE takes out what was there. */
static void enter(GHashTable *table, uint32_t id, uint32_t number)
{
    if (number == RECORD_NO_DEVICE) {
        g_hash_table_remove(table, GUINT_TO_POINTER(id));
    } else {
        g_hash_table_insert(table, GUINT_TO_POINTER(id),
                            GUINT_TO_POINTER(number + 1));
    }
}

/* The next of those that @virt_id may stand for, or RECORD_NO_DEVICE. */
static uint32_t take_device_locked(ReplayHost *self, uint64_t virt_id)
    REQUIRES(&self->lock)
{
    for (uint32_t i = 0; i < self->recording->devices->len; i++) {
        const RecordingDevice *device = replay_recorded_device(self, i);

        if (device->host == self->number && !self->device_taken[i] &&
            (virt_id == REPLAY_ANY_ID || !device->identified ||
             device->virt_id == virt_id)) {
            self->device_taken[i] = true;
            return i;
        }
    }
    return RECORD_NO_DEVICE;
}

static bool is_user(const RecordingQueue *queue, uint32_t device)
{
    for (unsigned i = 0; i < queue->users->len; i++) {
        if (g_array_index(queue->users, uint32_t, i) == device) {
            return true;
        }
    }
    return false;
}

static bool queue_fits(const RecordingQueue *queue, RecordQueueKind kind,
                       uint32_t type, uint32_t device)
{
    if (queue->kind != kind) {
        return false;
    }
    return kind == RECORD_VEVENTQ
               ? queue->type == type && queue->device == device
               : is_user(queue, device);
}

/* What is recorded for it, or NULL. */
static const RecordingQueue *take_queue_locked(ReplayHost *self,
                                               RecordQueueKind kind,
                                               uint32_t type, uint32_t device)
    REQUIRES(&self->lock)
{
    for (uint32_t i = 0; i < self->recording->queues->len; i++) {
        const RecordingQueue *queue = replay_recorded_queue(self, i);

        if (queue->host == self->number && !self->queue_taken[i] &&
            queue_fits(queue, kind, type, device)) {
            self->queue_taken[i] = true;
            return queue;
        }
    }
    return NULL;
}

/* ---- Devices ---- */

static void end_groups(ReplayHost *self, uint32_t device, uint32_t pasid)
{
    g_autoptr(GPtrArray) queues = NULL;

    if (device == RECORD_NO_DEVICE) {
        return;
    }
    queues = replay_list_queues(self);
    for (unsigned i = 0; i < queues->len; i++) {
        replay_queue_end_groups(queues->pdata[i], device, pasid);
    }
}

static void note_bind(ReplayHost *self, int fd, uint32_t dev_id)
{
    uint32_t number;

    lock_acquire(&self->lock);
    number = look_up(self->books.fds, (uint32_t)fd);
    enter(self->books.dev_ids, dev_id, number);
    lock_release(&self->lock);
    if (number != RECORD_NO_DEVICE) {
        atomic_store(&self->clock.live[number], dev_id);
    }
}

static void note_attach(ReplayHost *self, int fd, bool with_pasid,
                        uint32_t pasid)
{
    uint32_t number;

    lock_acquire(&self->lock);
    number = look_up(self->books.fds, (uint32_t)fd);
    lock_release(&self->lock);
    end_groups(self, number, with_pasid ? pasid : REPLAY_NO_PASID);
}

/* After a request of a device's fd has succeeded. */
static void note_device_request(ReplayHost *self, int fd,
                                unsigned long request, const void *arg)
{
    if (request == VFIO_DEVICE_BIND_IOMMUFD) {
        const struct vfio_device_bind_iommufd *cmd = arg;

        note_bind(self, fd, cmd->out_devid);
    } else if (request == VFIO_DEVICE_ATTACH_IOMMUFD_PT) {
        const struct vfio_device_attach_iommufd_pt *cmd = arg;
        bool with_pasid = cmd->flags & VFIO_DEVICE_ATTACH_PASID;

        note_attach(self, fd, with_pasid, with_pasid ? cmd->pasid : 0);
    } else if (request == VFIO_DEVICE_DETACH_IOMMUFD_PT) {
        const struct vfio_device_detach_iommufd_pt *cmd = arg;
        bool with_pasid = cmd->flags & VFIO_DEVICE_DETACH_PASID;

        note_attach(self, fd, with_pasid, with_pasid ? cmd->pasid : 0);
    }
}

static void forget_device(ReplayHost *self, int fd)
{
    uint32_t number;
    uint32_t dev_id = 0;

    lock_acquire(&self->lock);
    number = look_up(self->books.fds, (uint32_t)fd);
    if (number != RECORD_NO_DEVICE) {
        dev_id = atomic_exchange(&self->clock.live[number], 0);
        enter(self->books.dev_ids, dev_id, RECORD_NO_DEVICE);
        enter(self->books.fds, (uint32_t)fd, RECORD_NO_DEVICE);
    }
    lock_release(&self->lock);
    end_groups(self, number, REPLAY_ALL_PASIDS);
}

int replay_device_open(HostIommu *base, uint64_t virt_id, EmulIommu iommu)
{
    ReplayHost *self = replay_host(base);
    int fd = emul_device_open_behind(self->emul, iommu);

    if (fd >= 0) {
        lock_acquire(&self->lock);
        enter(self->books.fds, (uint32_t)fd,
              take_device_locked(self, virt_id));
        lock_release(&self->lock);
    }
    return fd;
}

/* ---- Queues ---- */

static void set_source(ReplayHost *self, ReplayQueue *queue, uint32_t type,
                       uint32_t device)
{
    const RecordingQueue *source;

    lock_acquire(&self->lock);
    source = take_queue_locked(self, replay_queue_get_kind(queue), type,
                               device);
    lock_release(&self->lock);
    if (source) {
        replay_queue_set_source(queue, self->recording, source);
    }
}

/* @fd: in: the emulated host's; out: the user's */
static void add_queue(ReplayHost *self, ReplayQueue *queue, uint32_t *fd)
{
    uint32_t own = (uint32_t)replay_queue_get_fd(queue);

    lock_acquire(&self->lock);
    g_ptr_array_add(self->queues, queue);
    emul_slots_store(&self->emul_fds, own, (uint64_t)*fd + 1);
    emul_slots_store(&self->queues_by_fd, own, (uintptr_t)queue);
    lock_release(&self->lock);
    *fd = own;
}

static int emul_ioctl(ReplayHost *self, int fd, unsigned long request,
                      void *arg)
{
    return self->emul->ops->ioctl(self->emul, fd, request, arg);
}

/* A queue whose fd is one that we can find it by. */
static ReplayQueue *new_queue(ReplayHost *self, RecordQueueKind kind)
{
    ReplayQueue *queue = replay_queue_new(kind, &self->clock);

    if (queue && replay_queue_get_fd(queue) >=
                     EMUL_SLOTS_CHUNK * EMUL_SLOTS_CHUNKS) {
        replay_queue_free(queue);
        errno = EMFILE;
        return NULL;
    }
    return queue;
}

static int veventq_alloc(ReplayHost *self, struct iommu_veventq_alloc *cmd)
{
    ReplayQueue *queue = new_queue(self, RECORD_VEVENTQ);
    uint32_t device;
    int ret;

    if (!queue) {
        return -1;
    }
    ret = emul_ioctl(self, self->base.fd, IOMMU_VEVENTQ_ALLOC, cmd);
    if (ret < 0) {
        int err = errno;

        replay_queue_free(queue);
        errno = err;
        return ret;
    }
    lock_acquire(&self->lock);
    device = look_up(self->books.viommus, cmd->viommu_id);
    lock_release(&self->lock);
    add_queue(self, queue, &cmd->out_veventq_fd);
    set_source(self, queue, cmd->type, device);
    return ret;
}

static int fault_alloc(ReplayHost *self, struct iommu_fault_alloc *cmd)
{
    ReplayQueue *queue = new_queue(self, RECORD_FAULT_QUEUE);
    int ret;

    if (!queue) {
        return -1;
    }
    ret = emul_ioctl(self, self->base.fd, IOMMU_FAULT_QUEUE_ALLOC, cmd);
    if (ret < 0) {
        int err = errno;

        replay_queue_free(queue);
        errno = err;
        return ret;
    }
    add_queue(self, queue, &cmd->out_fault_fd);
    lock_acquire(&self->lock);
    g_hash_table_insert(self->books.faults,
                        GUINT_TO_POINTER(cmd->out_fault_id), queue);
    lock_release(&self->lock);
    return ret;
}

/* The first device for which the queue is used says what it delivers. */
static void note_hwpt(ReplayHost *self, const struct iommu_hwpt_alloc *cmd)
{
    ReplayQueue *queue;
    uint32_t device;

    if (!(cmd->flags & IOMMU_HWPT_FAULT_ID_VALID)) {
        return;
    }
    lock_acquire(&self->lock);
    queue = g_hash_table_lookup(self->books.faults,
                                GUINT_TO_POINTER(cmd->fault_id));
    device = look_up(self->books.dev_ids, cmd->dev_id);
    lock_release(&self->lock);
    if (queue && !replay_queue_has_source(queue)) {
        set_source(self, queue, 0, device);
    }
}

static void note_viommu(ReplayHost *self, const struct iommu_viommu_alloc *cmd)
{
    lock_acquire(&self->lock);
    enter(self->books.viommus, cmd->out_viommu_id,
          look_up(self->books.dev_ids, cmd->dev_id));
    lock_release(&self->lock);
}

static void note_destroy(ReplayHost *self, const struct iommu_destroy *cmd)
{
    lock_acquire(&self->lock);
    enter(self->books.viommus, cmd->id, RECORD_NO_DEVICE);
    g_hash_table_remove(self->books.faults, GUINT_TO_POINTER(cmd->id));
    lock_release(&self->lock);
}

static void note_request(ReplayHost *self, unsigned long request,
                         const void *arg)
{
    switch (request) {
    case IOMMU_HWPT_ALLOC:
        note_hwpt(self, arg);
        break;
    case IOMMU_VIOMMU_ALLOC:
        note_viommu(self, arg);
        break;
    case IOMMU_DESTROY:
        note_destroy(self, arg);
        break;
    default:
        break;
    }
}

/* ---- The four calls ---- */

static int replay_ioctl(HostIommu *base, int fd, unsigned long request,
                        void *arg)
{
    ReplayHost *self = replay_host(base);
    int ret;

    if (emul_slots_load(&self->queues_by_fd, (uint32_t)fd)) {
        errno = ENOTTY;
        return -1;
    }
    if (fd == base->fd && arg) {
        if (request == IOMMU_VEVENTQ_ALLOC) {
            return veventq_alloc(self, arg);
        }
        if (request == IOMMU_FAULT_QUEUE_ALLOC) {
            return fault_alloc(self, arg);
        }
    }
    ret = emul_ioctl(self, fd, request, arg);
    if (ret >= 0) {
        if (fd == base->fd) {
            note_request(self, request, arg);
        } else {
            note_device_request(self, fd, request, arg);
        }
    }
    return ret;
}

static ReplayQueue *find_queue(ReplayHost *self, int fd)
{
    return (ReplayQueue *)(uintptr_t)emul_slots_load(&self->queues_by_fd,
                                                     (uint32_t)fd);
}

static ssize_t call_return(ssize_t ret)
{
    if (ret < 0) {
        errno = (int)-ret;
        return -1;
    }
    return ret;
}

static ssize_t replay_read(HostIommu *base, int fd, void *buf, size_t count)
{
    ReplayHost *self = replay_host(base);
    ReplayQueue *queue = find_queue(self, fd);

    return queue ? call_return(replay_queue_read(queue, fd, buf, count))
                 : self->emul->ops->read(self->emul, fd, buf, count);
}

static ssize_t replay_write(HostIommu *base, int fd, const void *buf,
                            size_t count)
{
    ReplayHost *self = replay_host(base);
    ReplayQueue *queue = find_queue(self, fd);

    return queue ? call_return(replay_queue_write(queue, fd, buf, count))
                 : self->emul->ops->write(self->emul, fd, buf, count);
}

/* The number is given up before close() can give it out again. */
static int replay_close(HostIommu *base, int fd)
{
    ReplayHost *self = replay_host(base);
    uint64_t word = emul_slots_take(&self->queues_by_fd, (uint32_t)fd);
    uint64_t emul_fd;

    if (word == 0) {
        forget_device(self, fd);
        return self->emul->ops->close(self->emul, fd);
    }
    emul_fd = emul_slots_take(&self->emul_fds, (uint32_t)fd);
    replay_queue_close((ReplayQueue *)(uintptr_t)word);
    return self->emul->ops->close(self->emul, (int)(emul_fd - 1));
}

static void replay_free(HostIommu *base)
{
    ReplayHost *self = replay_host(base);

    lock_destroy(&self->lock);
    for (unsigned i = 0; i < self->queues->len; i++) {
        replay_queue_free(self->queues->pdata[i]);
    }
    g_ptr_array_unref(self->queues);
    host_iommu_free(self->emul);
    emul_slots_free(&self->queues_by_fd);
    emul_slots_free(&self->emul_fds);
    g_hash_table_unref(self->books.fds);
    g_hash_table_unref(self->books.dev_ids);
    g_hash_table_unref(self->books.viommus);
    g_hash_table_unref(self->books.faults);
    g_free(self->device_taken);
    g_free(self->queue_taken);
    g_free((void *)self->clock.live);
    recording_free(self->recording);
    g_free(self);
}

const HostIommuOps replay_ops = {
    .ioctl = replay_ioctl,
    .read = replay_read,
    .write = replay_write,
    .close = replay_close,
    .free = replay_free,
};

/* ---- Its life ---- */

/* For messages: "'a', 'b'". */
static char *list_hosts(const Recording *recording)
{
    GString *names = g_string_new(NULL);

    for (uint32_t i = 0; i < recording->hosts->len; i++) {
        g_string_append_printf(names, "%s'%s'", i > 0 ? ", " : "",
                               replay_recorded_host(recording, i)->name);
    }
    return g_string_free(names, FALSE);
}

static bool find_host(const Recording *recording, const char *path,
                      const char *name, uint32_t *number, GError **error)
{
    g_autofree char *names = list_hosts(recording);

    if (recording->hosts->len == 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "recording '%s' has no host: %s", path,
                    recording->shortened ? recording->shortened
                                         : "nothing was recorded");
        return false;
    }
    if (!name && recording->hosts->len > 1) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "recording '%s' has several hosts: %s\nsay which", path,
                    names);
        return false;
    }
    for (uint32_t i = 0; i < recording->hosts->len; i++) {
        const RecordingHost *host = replay_recorded_host(recording, i);

        if (!name || strcmp(name, host->name) == 0) {
            *number = i;
            return true;
        }
    }
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_NOT_FOUND,
                "recording '%s' has no host '%s'\nit has %s", path, name,
                names);
    return false;
}

static ReplayHost *make_host(HostIommu *emul, Recording *recording,
                             uint32_t number, ReplaySpeed speed)
{
    ReplayHost *self = g_new0(ReplayHost, 1);

    self->base.ops = &replay_ops;
    self->base.fd = emul->fd;
    self->emul = emul;
    self->recording = recording;
    self->number = number;
    self->clock.speed = speed;
    self->clock.first_ns = recording->first_read_ns;
    self->clock.devices = recording->devices->len;
    self->clock.live = g_malloc0_n(recording->devices->len + 1,
                                   sizeof(*self->clock.live));
    lock_init(&self->lock, LOCK_RANK_LEAF);
    self->queues = g_ptr_array_new();
    self->books = (ReplayBooks){
        .fds = g_hash_table_new(NULL, NULL),
        .dev_ids = g_hash_table_new(NULL, NULL),
        .viommus = g_hash_table_new(NULL, NULL),
        .faults = g_hash_table_new(NULL, NULL),
    };
    self->device_taken = g_new0(bool, recording->devices->len + 1);
    self->queue_taken = g_new0(bool, recording->queues->len + 1);
    return self;
}

HostIommu *replay_host_new(const char *path, const char *name,
                           ReplaySpeed speed, GError **error)
{
    Recording *recording = recording_open(path, error);
    HostIommu *emul = NULL;
    uint32_t number;

    if (!recording) {
        return NULL;
    }
    if (find_host(recording, path, name, &number, error)) {
        emul = emul_new(error);
    }
    if (!emul) {
        recording_free(recording);
        return NULL;
    }
    return &make_host(emul, recording, number, speed)->base;
}
