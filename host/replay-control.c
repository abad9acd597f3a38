/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a replayed host is asked and told besides the four calls.
 */
#include "replay-internal.h"

#include "base/error.h"

GPtrArray *replay_list_queues(ReplayHost *self)
{
    GPtrArray *queues = g_ptr_array_new();

    lock_acquire(&self->lock);
    for (unsigned i = 0; i < self->queues->len; i++) {
        g_ptr_array_add(queues, self->queues->pdata[i]);
    }
    lock_release(&self->lock);
    return queues;
}

const char *replay_host_get_shortened(HostIommu *host)
{
    return replay_host(host)->recording->shortened;
}

const char *replay_host_get_kind(HostIommu *host)
{
    const ReplayHost *self = replay_host(host);

    return replay_recorded_host(self->recording, self->number)->kind;
}

uint64_t replay_host_get_end_ns(HostIommu *host)
{
    const Recording *recording = replay_host(host)->recording;

    return recording->monotonic_ns + recording->last_ns;
}

HostIommu *replay_host_get_emul(HostIommu *host)
{
    return replay_host(host)->emul;
}

/* ---- Which devices it wants ---- */

static bool has_id(const uint32_t *virt_ids, size_t count, uint64_t virt_id)
{
    for (size_t i = 0; i < count; i++) {
        if (virt_ids[i] == virt_id) {
            return true;
        }
    }
    return false;
}

static bool is_recorded(const ReplayHost *self, uint32_t virt_id)
{
    for (uint32_t i = 0; i < self->recording->devices->len; i++) {
        const RecordingDevice *device = replay_recorded_device(self, i);

        if (device->host == self->number &&
            (!device->identified || device->virt_id == virt_id)) {
            return true;
        }
    }
    return false;
}

/* "8, 16"; one that was bound several times is there once. */
static char *list_recorded(const ReplayHost *self)
{
    GString *ids = g_string_new(NULL);
    GHashTable *seen = g_hash_table_new(NULL, NULL);

    for (uint32_t i = 0; i < self->recording->devices->len; i++) {
        const RecordingDevice *device = replay_recorded_device(self, i);

        if (device->host == self->number && device->identified &&
            g_hash_table_add(seen, GUINT_TO_POINTER(device->virt_id))) {
            g_string_append_printf(ids, "%s%" G_GUINT64_FORMAT,
                                   ids->len ? ", " : "", device->virt_id);
        }
    }
    g_hash_table_unref(seen);
    return g_string_free(ids, FALSE);
}

static bool all_are_there(const ReplayHost *self, const uint32_t *virt_ids,
                          size_t count)
{
    for (uint32_t i = 0; i < self->recording->devices->len; i++) {
        const RecordingDevice *device = replay_recorded_device(self, i);

        if (device->host == self->number && device->identified &&
            !has_id(virt_ids, count, device->virt_id)) {
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_recorded(self, virt_ids[i])) {
            return false;
        }
    }
    return true;
}

bool replay_host_check_devices(HostIommu *host, const uint32_t *virt_ids,
                               size_t count, GError **error)
{
    const ReplayHost *self = replay_host(host);
    g_autofree char *recorded = NULL;
    g_autoptr(GString) given = NULL;

    if (all_are_there(self, virt_ids, count)) {
        return true;
    }
    recorded = list_recorded(self);
    given = g_string_new(count == 0 ? "none" : NULL);
    for (size_t i = 0; i < count; i++) {
        g_string_append_printf(given, "%s%u", i > 0 ? ", " : "", virt_ids[i]);
    }
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                "the recording of '%s' has devices with sid %s; here are %s\n"
                "give the same ones, behind vIOMMUs like those recorded",
                replay_recorded_host(self->recording, self->number)->name,
                recorded[0] ? recorded : "(none)", given->str);
    return false;
}

/* ---- Playing ---- */

static void wake_queues(ReplayHost *self)
{
    g_autoptr(GPtrArray) queues = replay_list_queues(self);

    for (unsigned i = 0; i < queues->len; i++) {
        replay_queue_wake(queues->pdata[i]);
    }
}

void replay_host_start(HostIommu *host)
{
    ReplayHost *self = replay_host(host);

    /* A queue that is made meanwhile sees it, or is woken. */
    atomic_store(&self->clock.start_ns, g_get_monotonic_time() * 1000);
    wake_queues(self);
}

void replay_host_stop(HostIommu *host)
{
    ReplayHost *self = replay_host(host);

    atomic_store(&self->clock.stopped, true);
    wake_queues(self);
}

bool replay_host_is_done(HostIommu *host)
{
    g_autoptr(GPtrArray) queues = replay_list_queues(replay_host(host));

    for (unsigned i = 0; i < queues->len; i++) {
        if (!replay_queue_is_done(queues->pdata[i])) {
            return false;
        }
    }
    return true;
}

ReplayStats replay_host_get_stats(HostIommu *host)
{
    ReplayHost *self = replay_host(host);
    g_autoptr(GPtrArray) queues = replay_list_queues(self);
    ReplayStats stats = { 0 };

    for (unsigned i = 0; i < queues->len; i++) {
        replay_queue_add_stats(queues->pdata[i], &stats);
    }
    lock_acquire(&self->lock);
    for (uint32_t i = 0; i < self->recording->queues->len; i++) {
        const RecordingQueue *queue = replay_recorded_queue(self, i);

        if (queue->host == self->number && !self->queue_taken[i]) {
            stats.left += queue->reads->len;
        }
    }
    lock_release(&self->lock);
    return stats;
}

ReplayStats replay_device_get_stats(HostIommu *host, uint32_t dev_id)
{
    ReplayHost *self = replay_host(host);
    g_autoptr(GPtrArray) queues = replay_list_queues(self);
    ReplayStats stats = { 0 };
    gpointer number;

    lock_acquire(&self->lock);
    number = g_hash_table_lookup(self->books.dev_ids,
                                 GUINT_TO_POINTER(dev_id));
    lock_release(&self->lock);
    for (unsigned i = 0; number && i < queues->len; i++) {
        replay_queue_add_device_stats(queues->pdata[i],
                                      GPOINTER_TO_UINT(number) - 1, &stats);
    }
    return stats;
}
