/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an object is for is known as long as it exists. It is forgotten before
 * the host below destroys it, since its ID may be another's at once; if it is
 * not destroyed, it is remembered again.
 */
#include "mock-internal.h"

static MockFile *file_new(MockFileKind kind)
{
    MockDevice *device;
    MockEvents *events;
    MockFaults *faults;
    MockFile *file;

    switch (kind) {
    case MOCK_FILE_DEVICE:
        device = g_new0(MockDevice, 1);
        lock_init(&device->lock, LOCK_RANK_MOCK_DEVICE);
        device->pasids = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        for (uint32_t i = 0; i < MOCK_GROUPS; i++) {
            device->groups[i].device = device;
            device->groups[i].grpid = i;
        }
        file = &device->file;
        break;
    case MOCK_FILE_EVENTS:
        events = g_new0(MockEvents, 1);
        lock_init(&events->lock, LOCK_RANK_MOCK_EVENTS);
        events->fd = -1;
        file = &events->file;
        break;
    default:
        faults = g_new0(MockFaults, 1);
        file = &faults->file;
        break;
    }
    file->kind = kind;
    return file;
}

MockFile *mock_file_get(MockHost *host, MockFileKind kind)
{
    MockFile *file;

    lock_acquire(&host->lock);
    file = host->free[kind];
    if (file) {
        host->free[kind] = file->next_free;
    } else {
        file = file_new(kind);
        g_ptr_array_add(host->files, file);
    }
    lock_release(&host->lock);
    return file;
}

void mock_file_put(MockHost *host, MockFile *file)
{
    lock_acquire(&host->lock);
    file->next_free = host->free[file->kind];
    host->free[file->kind] = file;
    lock_release(&host->lock);
}

MockFile *mock_file_find(MockHost *host, int fd)
{
    return fd < 0 ? NULL
                  : (MockFile *)(uintptr_t)emul_slots_load(&host->fds, fd);
}

static void note_id_locked(MockHost *host, uint32_t id) REQUIRES(&host->lock)
{
    g_hash_table_add(host->ids, GUINT_TO_POINTER(id));
}

void mock_note_id(MockHost *host, uint32_t id)
{
    lock_acquire(&host->lock);
    note_id_locked(host, id);
    lock_release(&host->lock);
}

bool mock_forget_id(MockHost *host, uint32_t id)
{
    bool noted;

    lock_acquire(&host->lock);
    noted = g_hash_table_remove(host->ids, GUINT_TO_POINTER(id));
    lock_release(&host->lock);
    return noted;
}

void mock_object_add(MockHost *host, const MockObject *object)
{
    MockObject *copy = g_new(MockObject, 1);

    *copy = *object;
    lock_acquire(&host->lock);
    note_id_locked(host, copy->id);
    g_hash_table_insert(host->objects, GUINT_TO_POINTER(copy->id), copy);
    lock_release(&host->lock);
}

bool mock_object_find(MockHost *host, uint32_t id, MockObjectType type,
                      MockObject *object)
{
    const MockObject *found;

    lock_acquire(&host->lock);
    found = g_hash_table_lookup(host->objects, GUINT_TO_POINTER(id));
    if (found) {
        *object = *found;
    }
    lock_release(&host->lock);
    return found && object->type == type;
}

bool mock_object_take(MockHost *host, uint32_t id, MockObject *object)
{
    const MockObject *found;

    lock_acquire(&host->lock);
    found = g_hash_table_lookup(host->objects, GUINT_TO_POINTER(id));
    if (found) {
        *object = *found;
        g_hash_table_remove(host->objects, GUINT_TO_POINTER(id));
    }
    lock_release(&host->lock);
    return found != NULL;
}

void mock_object_forget_vdevices(MockHost *host, uint32_t dev_id)
{
    const MockObject *object;
    GHashTableIter iter;
    gpointer value;

    lock_acquire(&host->lock);
    g_hash_table_iter_init(&iter, host->objects);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        object = value;
        if (object->type == MOCK_OBJECT_VDEVICE && object->dev_id == dev_id) {
            g_hash_table_iter_remove(&iter);
        }
    }
    lock_release(&host->lock);
}

bool mock_object_find_vdevice(MockHost *host, uint32_t viommu_id,
                              uint64_t *virt_id)
{
    const MockObject *object;
    GHashTableIter iter;
    bool found = false;
    gpointer value;

    lock_acquire(&host->lock);
    g_hash_table_iter_init(&iter, host->objects);
    while (!found && g_hash_table_iter_next(&iter, NULL, &value)) {
        object = value;
        found = object->type == MOCK_OBJECT_VDEVICE &&
                object->viommu_id == viommu_id;
        if (found) {
            *virt_id = object->virt_id;
        }
    }
    lock_release(&host->lock);
    return found;
}
