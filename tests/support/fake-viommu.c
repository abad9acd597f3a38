/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-viommu.h"

#include "base/rcu.h"

/* ---- The model ---- */

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
    .attach = fake_model_attach,
    .get_queue = model_get_queue,
    .get_page_queue = model_get_page_queue,
    .detach = fake_model_detach,
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
    g_assert_true(viommu_init(m->viommu, &model_ops,
                              &(ViommuConfig){ .id = "fake", .ctx = m->ctx,
                                               .mem = m->mem,
                                               .irq = &m->irq }, NULL));
    return m;
}

void fake_machine_free(FakeMachine *m)
{
    EmulPageStats host = emul_get_page_stats(m->host);
    ViommuPageStats stats = fake_assert_balanced(m);

    lock_acquire(&m->lock);
    g_assert_cmpuint(host.raised, ==, m->host_answers->len);
    lock_release(&m->lock);
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpuint(host.open, ==, 0);
    g_assert_cmpuint(host.raised, ==, host.answered + host.automatic);
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
    lock_destroy(&m->lock);
    g_array_unref(m->host_answers);
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
