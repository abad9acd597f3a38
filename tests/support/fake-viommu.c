/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-viommu.h"

#include "base/rcu.h"

/* ---- The model ---- */

typedef struct FakeModelDevice {
    ViommuDevice parent;        /* first */
    GHashTable *hwpts;          /* PASID to ViommuHwpt. [config_lock] */
} FakeModelDevice;

static FakeViommu *fake_from(void *opaque)
{
    return opaque;
}

static uint32_t room_locked(FakeViommu *fake, uint32_t want)
    REQUIRES(&fake->parent.ring_lock)
{
    const FakeQueue *queue = &fake->queue;

    if (queue->capacity == 0 || queue->overflow || want > queue->capacity) {
        return PAGE_ROOM_UNLIMITED;
    }
    return queue->capacity - queue->used;
}

static uint32_t model_room(void *opaque, uint32_t want)
{
    FakeViommu *fake = fake_from(opaque);
    FakeQueue *queue = &fake->queue;

    lock_acquire(&fake->parent.ring_lock);
    queue->promised = room_locked(fake, want);
    queue->wanted = queue->promised < want ? want : 0;
    lock_release(&fake->parent.ring_lock);
    return queue->promised;
}

static void write_group(FakeQueue *queue, const PageGroup *group)
{
    for (size_t i = 0; i < group->count; i++) {
        Pgfault page = page_group_page(group, i);

        queue->entries[(queue->head + queue->used) % FAKE_QUEUE_MAX] =
            (FakeEntry){
                .key = group->request.key, .addr = page.addr,
                .perm = page.perm, .last = i == group->count - 1,
            };
        queue->used++;
    }
}

/* Off, overflow, room: in the order of VT-d's rules. */
static void deliver_locked(FakeViommu *fake, PageGroup *group)
    REQUIRES(&fake->parent.ring_lock)
{
    FakeQueue *queue = &fake->queue;

    group->outcome = PAGE_ANSWERED;
    if (queue->capacity == 0) {
        group->code = FAKE_CODE_OFF;
    } else if (queue->overflow ||
               group->count > queue->capacity - queue->used) {
        if (!queue->overflow) {
            queue->overflow = true;
            counter_add(&fake->parent.page_counters.overflows, 1);
        }
        group->code = PAGE_RESPONSE_SUCCESS;
    } else {
        write_group(queue, group);
        group->outcome = PAGE_WRITTEN;
    }
    if (group->stop_marker) {
        group->outcome = PAGE_SILENT;
    }
}

static void model_deliver(void *opaque, PageGroup *groups, size_t count)
{
    FakeViommu *fake = fake_from(opaque);
    FakeQueue *queue = &fake->queue;

    g_assert_cmpuint(count, >, 0);
    g_assert_cmpuint(count, <=, PAGE_GROUP_BATCH);
    lock_acquire(&fake->parent.ring_lock);
    queue->deliveries++;
    for (size_t i = 0; i < count; i++) {
        if (queue->promised != PAGE_ROOM_UNLIMITED) {
            g_assert_cmpuint(groups[i].count, <=, queue->promised);
            queue->promised -= groups[i].count;
        }
        deliver_locked(fake, &groups[i]);
    }
    lock_release(&fake->parent.ring_lock);
}

static bool model_has_pages(const Viommu *viommu)
{
    return ((const FakeViommu *)viommu)->queue.capacity != FAKE_NO_PAGES;
}

/* The identity, for pages that are there. */
static bool model_translate(Viommu *viommu, uint32_t virt_id, uint32_t pasid,
                            uint64_t iova, uint32_t perm, uint64_t *gpa)
{
    FakeViommu *fake = fake_from(viommu);

    atomic_fetch_add(&fake->walks, 1);
    *gpa = iova;
    return atomic_load(&fake->present);
}

static uint64_t model_mmio_read(Viommu *viommu, uint64_t offset, unsigned size)
{
    return 0;
}

static void model_mmio_write(Viommu *viommu, uint64_t offset, unsigned size,
                             uint64_t value)
{
}

static void model_reset(Viommu *viommu)
{
    lock_assert_held(&viommu->config_lock);
    viommu_drop_page_requests(viommu);
}

static bool model_host_up(Viommu *viommu, VfioDevice *vfio, GError **error)
{
    return true;
}

static void model_host_down(Viommu *viommu)
{
}

static FakeModelDevice *model_device(ViommuDevice *device)
{
    return (FakeModelDevice *)device;
}

static bool model_attach(Viommu *viommu, ViommuDevice *device, GError **error)
{
    model_device(device)->hwpts = g_hash_table_new_full(NULL, NULL, NULL,
                                                        g_free);
    return true;
}

static void detach_locked(Viommu *viommu, ViommuDevice *device, uint32_t pasid,
                          ViommuHwpt *hwpt) REQUIRES(&viommu->config_lock)
{
    g_assert_true(viommu_attach(viommu, device, pasid, 0, NULL));
    viommu_hwpt_destroy(viommu, hwpt);
}

static void model_detach(Viommu *viommu, ViommuDevice *device)
{
    GHashTable *hwpts = model_device(device)->hwpts;
    GHashTableIter iter;
    gpointer pasid;
    gpointer hwpt;

    lock_assert_held(&viommu->config_lock);
    g_hash_table_iter_init(&iter, hwpts);
    while (g_hash_table_iter_next(&iter, &pasid, &hwpt)) {
        detach_locked(viommu, device, GPOINTER_TO_UINT(pasid), hwpt);
    }
    g_hash_table_unref(hwpts);
}

static void model_get_queue(Viommu *viommu, uint32_t *used, uint32_t *size)
{
    *used = 0;
    *size = 0;
}

static void model_get_page_queue(Viommu *viommu, uint32_t *used,
                                 uint32_t *size)
{
    FakeViommu *fake = fake_from(viommu);

    lock_acquire(&viommu->ring_lock);
    *used = fake->queue.used;
    *size = fake->queue.capacity;
    lock_release(&viommu->ring_lock);
}

static void model_free(Viommu *viommu)
{
    FakeViommu *fake = fake_from(viommu);

    g_free(fake->queue.entries);
    g_free(fake);
}

static const ViommuOps model_ops = {
    .virt_id_bits = 16,
    .device_size = sizeof(FakeModelDevice),
    .pages = { .room = model_room, .deliver = model_deliver },
    .has_pages = model_has_pages,
    .translate = model_translate,
    .mmio_read = model_mmio_read,
    .mmio_write = model_mmio_write,
    .reset = model_reset,
    .host_up = model_host_up,
    .host_down = model_host_down,
    .attach = model_attach,
    .get_queue = model_get_queue,
    .get_page_queue = model_get_page_queue,
    .detach = model_detach,
    .free = model_free,
};

/* ---- The machine ---- */

static void host_answered(const EmulPageAnswer *answer, void *opaque)
{
    FakeMachine *m = opaque;

    lock_acquire(&m->lock);
    g_array_append_val(m->host_answers, *answer);
    lock_release(&m->lock);
}

static void make_context(FakeMachine *m, bool iothread)
{
    g_autoptr(GError) error = NULL;

    if (iothread) {
        m->iothread = iothread_new("fake", NULL, &error);
        g_assert_no_error(error);
        m->ctx = aio_context_ref(iothread_get_aio_context(m->iothread));
    } else {
        m->ctx = aio_context_new(&error);
        g_assert_no_error(error);
        aio_context_bind(m->ctx);
    }
}

FakeMachine *fake_machine_new(uint32_t capacity, bool iothread)
{
    FakeMachine *m = g_new0(FakeMachine, 1);
    g_autoptr(GError) error = NULL;

    g_assert_true(capacity <= FAKE_QUEUE_MAX || capacity == FAKE_NO_PAGES);
    lock_init(&m->lock, LOCK_RANK_LEAF);
    m->host_answers = g_array_new(FALSE, FALSE, sizeof(EmulPageAnswer));
    m->host = emul_new(&error);
    g_assert_no_error(error);
    emul_set_answer_func(m->host, host_answered, m);
    make_context(m, iothread);
    m->mem = guest_mem_new();
    m->model = g_new0(FakeViommu, 1);
    m->model->queue.entries = g_new0(FakeEntry, FAKE_QUEUE_MAX);
    m->model->queue.capacity = capacity;
    m->viommu = &m->model->parent;
    viommu_init(m->viommu, &model_ops,
                &(ViommuConfig){ .id = "fake", .ctx = m->ctx, .mem = m->mem,
                                 .irq = &m->irq });
    return m;
}

void fake_machine_free(FakeMachine *m)
{
    EmulPageStats host = emul_get_page_stats(m->host);
    ViommuPageStats stats = fake_assert_balanced(m);

    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpuint(host.open, ==, 0);
    g_assert_cmpuint(host.raised, ==, host.answered + host.automatic);
    g_assert_cmpuint(host.raised, ==, m->host_answers->len);
    viommu_free(m->viommu);
    g_assert_cmpuint(emul_get_stats(m->host).objects, ==, 0);
    g_assert_cmpuint(emul_get_stats(m->host).busy, ==, 0);
    host_iommu_free(m->host);
    if (!m->iothread) {
        fake_pump(m);           /* lets go of what was deleted */
    }
    aio_context_unref(m->ctx);
    if (m->iothread) {
        iothread_stop(m->iothread);
    }
    guest_mem_free(m->mem);
    g_array_unref(m->host_answers);
    lock_destroy(&m->lock);
    g_free(m);
}

void fake_pump(FakeMachine *m)
{
    while (aio_poll(m->ctx, false)) {
        continue;
    }
}

ViommuPageStats fake_assert_balanced(FakeMachine *m)
{
    ViommuPageStats stats = viommu_get_page_stats(m->viommu);

    g_assert_cmpuint(stats.raised, ==, stats.answered + stats.invalid +
                                           stats.retried + stats.open);
    return stats;
}

/* ---- Devices of the host ---- */

/* The config_lock keeps it. */
static ViommuDevice *find_device(FakeMachine *m, const FakeDevice *device)
    REQUIRES(&m->viommu->config_lock)
{
    DeviceEntry *entry;

    rcu_section_enter();
    entry = device_map_find_virt(m->viommu->devices, device->rid);
    rcu_section_leave();
    g_assert_nonnull(entry);
    return caa_container_of(entry, ViommuDevice, entry);
}

FakeDevice *fake_plug(FakeMachine *m, uint32_t rid)
{
    g_autofree char *name = g_strdup_printf("dev%x", rid);
    g_autoptr(GError) error = NULL;
    FakeDevice *device = g_new0(FakeDevice, 1);

    device->rid = rid;
    device->vfio = vfio_device_bind(
        m->host, emul_device_open_behind(m->host, EMUL_IOMMU_VTD), name,
        &error);
    g_assert_no_error(error);
    device->dev_id = vfio_device_get_dev_id(device->vfio);
    viommu_add_device(m->viommu, device->vfio, rid, &error);
    g_assert_no_error(error);
    return device;
}

void fake_unplug(FakeMachine *m, FakeDevice *device)
{
    g_assert_true(viommu_remove_device(m->viommu, device->rid));
    vfio_device_free(device->vfio);
    g_free(device);
}

static bool attach_locked(FakeMachine *m, FakeDevice *device, uint32_t pasid,
                          bool faults, GError **error)
    REQUIRES(&m->viommu->config_lock)
{
    const struct iommu_hwpt_vtd_s1 s1 = { .addr_width = 48 };
    const IommufdHwpt wanted = {
        .dev_id = device->dev_id,
        .pt_id = m->viommu->host.parent_hwpt_id,
        .flags = IOMMU_HWPT_ALLOC_PASID,
        .data_type = IOMMU_HWPT_DATA_VTD_S1,
        .data_len = sizeof(s1),
        .data = &s1,
    };
    ViommuDevice *found = find_device(m, device);
    GHashTable *hwpts = model_device(found)->hwpts;
    ViommuHwpt *old = g_hash_table_lookup(hwpts, GUINT_TO_POINTER(pasid));
    ViommuHwpt hwpt;
    bool attached;

    if (!viommu_hwpt_alloc(m->viommu, &wanted, faults, &hwpt, error)) {
        return false;
    }
    attached = viommu_attach(m->viommu, found, pasid, hwpt.id, error);
    if (old) {
        viommu_hwpt_destroy(m->viommu, old);
        g_hash_table_remove(hwpts, GUINT_TO_POINTER(pasid));
    }
    if (!attached) {
        viommu_hwpt_destroy(m->viommu, &hwpt);
        return false;
    }
    g_hash_table_insert(hwpts, GUINT_TO_POINTER(pasid),
                        g_memdup2(&hwpt, sizeof(hwpt)));
    return true;
}

bool fake_attach(FakeMachine *m, FakeDevice *device, uint32_t pasid,
                 bool faults, GError **error)
{
    bool attached;

    lock_acquire(&m->viommu->config_lock);
    attached = attach_locked(m, device, pasid, faults, error);
    lock_release(&m->viommu->config_lock);
    return attached;
}

void fake_attach_ok(FakeMachine *m, FakeDevice *device, uint32_t pasid)
{
    g_autoptr(GError) error = NULL;

    fake_attach(m, device, pasid, true, &error);
    g_assert_no_error(error);
}

void fake_detach(FakeMachine *m, FakeDevice *device, uint32_t pasid)
{
    ViommuDevice *found;
    GHashTable *hwpts;
    ViommuHwpt *hwpt;

    lock_acquire(&m->viommu->config_lock);
    found = find_device(m, device);
    hwpts = model_device(found)->hwpts;
    hwpt = g_hash_table_lookup(hwpts, GUINT_TO_POINTER(pasid));
    g_assert_nonnull(hwpt);
    detach_locked(m->viommu, found, pasid, hwpt);
    g_hash_table_remove(hwpts, GUINT_TO_POINTER(pasid));
    lock_release(&m->viommu->config_lock);
}

static EmulPageRequest page_request(const FakeDevice *device, uint32_t pasid,
                                    uint32_t index)
{
    return (EmulPageRequest){
        .dev_id = device->dev_id,
        .pasid = pasid == PAGE_REQUEST_NO_PASID ? 0 : pasid,
        .grpid = index,
        .perm = PGFAULT_PERM_READ | PGFAULT_PERM_WRITE,
        .addr = (uint64_t)index << 32,
        .last = true,
        .tag = index,
    };
}

EmulReport fake_raise(FakeMachine *m, FakeDevice *device, uint32_t pasid,
                      uint32_t index, unsigned count)
{
    EmulPageRequest request = page_request(device, pasid, index);
    EmulReport report = EMUL_REPORT_REFUSED;

    for (unsigned i = 0; i < count; i++) {
        request.addr = ((uint64_t)index << 32) + 4096 * i;
        request.last = i == count - 1;
        report = emul_request_page(m->host, &request);
    }
    return report;
}

void fake_raise_perm(FakeMachine *m, FakeDevice *device, uint32_t pasid,
                     uint32_t index, uint32_t perm)
{
    EmulPageRequest request = page_request(device, pasid, index);

    request.perm = perm;
    g_assert_cmpint(emul_request_page(m->host, &request), ==,
                    EMUL_REPORT_QUEUED);
}

unsigned fake_host_answers(FakeMachine *m)
{
    unsigned count;

    lock_acquire(&m->lock);
    count = m->host_answers->len;
    lock_release(&m->lock);
    return count;
}

EmulPageAnswer fake_host_answer(FakeMachine *m, unsigned i)
{
    EmulPageAnswer answer;

    lock_acquire(&m->lock);
    g_assert_cmpuint(i, <, m->host_answers->len);
    answer = g_array_index(m->host_answers, EmulPageAnswer, i);
    lock_release(&m->lock);
    return answer;
}

/* ---- Emulated devices ---- */

static void sva_responded(void *opaque, SvaGroup *group)
{
    FakeSva *sva = opaque;

    if (sva->responded) {
        sva->responded(sva, group);
    } else {
        g_ptr_array_add(sva->returned, group);
    }
}

FakeSva *fake_add_sva_in(FakeMachine *m, AioContext *ctx, uint32_t rid,
                         uint32_t credits)
{
    FakeSva *sva = g_new0(FakeSva, 1);
    g_autoptr(GError) error = NULL;

    sva->rid = rid;
    sva->returned = g_ptr_array_new_with_free_func(
        (GDestroyNotify)fake_group_free);
    sva->device = viommu_add_sva_device(
        m->viommu,
        &(SvaDeviceConfig){ .name = "sva", .virt_id = rid, .ctx = ctx,
                            .credits = credits, .responded = sva_responded,
                            .opaque = sva },
        &error);
    g_assert_no_error(error);
    return sva;
}

FakeSva *fake_add_sva(FakeMachine *m, uint32_t rid, uint32_t credits)
{
    return fake_add_sva_in(m, m->ctx, rid, credits);
}

void fake_remove_sva(FakeSva *sva)
{
    if (sva->device) {
        viommu_remove_sva_device(sva->device);
    }
    g_ptr_array_unref(sva->returned);
    g_free(sva);
}

SvaGroup *fake_group_new(uint32_t pasid, uint32_t index, uint32_t count)
{
    SvaGroup *group = g_new0(SvaGroup, 1);
    Pgfault *pages = g_new0(Pgfault, count);

    for (uint32_t i = 0; i < count; i++) {
        pages[i] = (Pgfault){
            .addr = ((uint64_t)index << 32) + 4096 * i,
            .perm = PGFAULT_PERM_READ | PGFAULT_PERM_WRITE,
        };
    }
    group->pasid = pasid;
    group->index = index;
    group->count = count;
    group->pages = pages;
    group->code = UINT32_MAX;
    return group;
}

SvaGroup *fake_stop_marker_new(uint32_t pasid)
{
    SvaGroup *group = fake_group_new(pasid, 0, 1);

    ((Pgfault *)group->pages)->perm = 0;
    group->stop_marker = true;
    return group;
}

void fake_group_free(SvaGroup *group)
{
    g_free((void *)group->pages);
    g_free(group);
}

SvaGroup *fake_ask(FakeSva *sva, uint32_t pasid, uint32_t index,
                   uint32_t count)
{
    SvaGroup *group = fake_group_new(pasid, index, count);

    g_assert_true(viommu_page_request(sva->device, group));
    return group;
}

/* ---- The guest ---- */

/* The sink's other half: who waits is told once there is so much room. */
static bool resume_locked(FakeViommu *fake) REQUIRES(&fake->parent.ring_lock)
{
    FakeQueue *queue = &fake->queue;

    if (queue->wanted == 0 ||
        room_locked(fake, queue->wanted) < queue->wanted) {
        return false;
    }
    queue->wanted = 0;
    return true;
}

void fake_set_queue(FakeMachine *m, uint32_t capacity)
{
    bool resume;

    g_assert_cmpuint(capacity, <=, FAKE_QUEUE_MAX);
    lock_acquire(&m->model->parent.ring_lock);
    m->model->queue.capacity = capacity;
    m->model->queue.used = 0;
    resume = resume_locked(m->model);
    lock_release(&m->model->parent.ring_lock);
    if (resume) {
        viommu_resume_page_requests(m->viommu);
    }
}

bool fake_take(FakeMachine *m, FakeEntry *entry)
{
    FakeQueue *queue = &m->model->queue;
    bool resume = false;
    bool taken;

    lock_acquire(&m->model->parent.ring_lock);
    taken = queue->used > 0;
    if (taken) {
        *entry = queue->entries[queue->head];
        queue->head = (queue->head + 1) % FAKE_QUEUE_MAX;
        queue->used--;
        resume = resume_locked(m->model);
    }
    lock_release(&m->model->parent.ring_lock);
    if (resume) {
        viommu_resume_page_requests(m->viommu);
    }
    return taken;
}

unsigned fake_take_group(FakeMachine *m, PageRequestKey *key)
{
    FakeEntry entry = { .last = false };
    unsigned count = 0;

    while (!entry.last && fake_take(m, &entry)) {
        count++;
        *key = entry.key;
    }
    return count;
}

unsigned fake_take_all(FakeMachine *m)
{
    FakeEntry entry;
    unsigned count = 0;

    while (fake_take(m, &entry)) {
        count++;
    }
    return count;
}

unsigned fake_queue_used(FakeMachine *m)
{
    return viommu_get_page_stats(m->viommu).queue_used;
}

void fake_acknowledge_overflow(FakeMachine *m)
{
    lock_acquire(&m->model->parent.ring_lock);
    m->model->queue.overflow = false;
    lock_release(&m->model->parent.ring_lock);
}

static void respond(FakeMachine *m, const PageRequestKey *key, uint32_t code)
{
    lock_acquire(&m->viommu->config_lock);
    viommu_respond_page_group(m->viommu, key, code);
    lock_release(&m->viommu->config_lock);
}

void fake_respond(FakeMachine *m, uint32_t rid, uint32_t pasid, uint32_t index,
                  uint32_t code)
{
    respond(m, &(PageRequestKey){ rid, pasid, index }, code);
}

unsigned fake_serve_all(FakeMachine *m, uint32_t code)
{
    FakeEntry entry;
    unsigned groups = 0;

    while (fake_take(m, &entry)) {
        /* A Stop Marker gets no answer. */
        if (entry.last && entry.perm != 0) {
            respond(m, &entry.key, code);
            groups++;
        }
    }
    return groups;
}

void fake_drop_all(FakeMachine *m)
{
    viommu_reset(m->viommu);
}
