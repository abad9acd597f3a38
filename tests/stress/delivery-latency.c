/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests of one SVA device, one at a time, on their way to the guest and
 * back, while other devices of the same unit come and go: the reader is the
 * home thread, which looks devices up for every group.
 */
#include "latency.h"

#include "base/rcu.h"
#include "hw/iommu/sva-device.h"
#include "vtd-fixture.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>

#define RID 0x20                /* of the device that asks */
#define RID_SVA 0x21            /* of those that come and go, and ask nothing */
#define RID_HOST 0x10
#define PASID 1
#define DELIVERIES 100          /* while a removal waits */

/**
 * struct Path - the device, and the guest that answers it
 * @delivered_ns, @answered_ns: when the last group was shown to the guest, and
 *                              came back
 */
typedef struct Path {
    VtdFixture *f;
    IOThread *iothread;
    SvaDevice *device;
    sem_t delivered;
    sem_t answered;
    int64_t delivered_ns;
    int64_t answered_ns;
} Path;

static void await(sem_t *sem)
{
    while (sem_wait(sem) < 0) {
        g_assert_cmpint(errno, ==, EINTR);
    }
}

/* The page request interrupt; there is no other one here. */
static void raised(void *opaque)
{
    Path *path = opaque;

    path->delivered_ns = aio_clock_ns();
    sem_post(&path->delivered);
}

static void responded(void *opaque, SvaGroup *group)
{
    Path *path = opaque;

    g_assert_cmpuint(group->code, ==, PAGE_RESPONSE_SUCCESS);
    path->answered_ns = aio_clock_ns();
    sem_post(&path->answered);
}

static SvaDevice *plug_sva(Path *path, uint16_t rid, uint32_t credits)
{
    const SvaDeviceConfig config = {
        .name = "sva",
        .virt_id = rid,
        .ctx = iothread_get_aio_context(path->iothread),
        .credits = credits,
        .responded = responded,
        .opaque = path,
    };
    GError *error = NULL;
    SvaDevice *device = viommu_add_sva_device(path->f->viommu, &config,
                                              &error);

    g_assert_no_error(error);
    return device;
}

/* RID and PASID are good for page requests. */
static void start_guest(VtdFixture *f)
{
    vtd_guest_start(f, 0);
    vtd_guest_set_pasid(f, PASID, 16, VTD_GUEST_FREE);
    vtd_guest_set_context(f, RID,
                          FIELD_MASK(CONTEXT0, P) |
                              FIELD_MASK(CONTEXT0, DTE) |
                              FIELD_MASK(CONTEXT0, PASIDE) |
                              FIELD_MASK(CONTEXT0, PRE));
}

static void path_init(Path *path, uint32_t credits)
{
    GError *error = NULL;

    *path = (Path){ .f = vtd_fixture_new(NULL, true) };
    sem_init(&path->delivered, 0, 0);
    sem_init(&path->answered, 0, 0);
    path->iothread = iothread_new("sva", NULL, &error);
    g_assert_no_error(error);
    start_guest(path->f);
    path->f->irq.raised = raised;
    path->f->irq.opaque = path;
    path->device = plug_sva(path, RID, credits);
}

static void path_destroy(Path *path)
{
    viommu_remove_sva_device(path->device);
    vtd_fixture_free(path->f);
    iothread_stop(path->iothread);
    sem_destroy(&path->delivered);
    sem_destroy(&path->answered);
}

/* Return: when it was asked for. @group is anything so far. */
static int64_t request(Path *path, SvaGroup *group, uint32_t index)
{
    static const Pgfault page = { .addr = 0x1000, .perm = PGFAULT_PERM_READ };
    int64_t start = aio_clock_ns();

    *group = (SvaGroup){
        .pasid = PASID, .index = index, .count = 1, .pages = &page,
    };
    g_assert_true(viommu_page_request(path->device, group));
    return start;
}

/* The guest's handler, up to the answer; needs no config_lock. */
static void consume(Path *path)
{
    uint64_t entry[4];

    await(&path->delivered);
    vtd_guest_write32(path->f, A_PRS, FIELD_MASK(PRS, PPR));
    g_assert_true(vtd_guest_consume(path->f, entry));
    g_assert_false(vtd_guest_consume(path->f, entry));
}

static void answer(Path *path, uint32_t index)
{
    vtd_guest_respond(path->f, RID, PASID, index, 0);
    await(&path->answered);
}

/* ---- While a removal waits ---- */

/**
 * struct WaitingRemoval - a removal, and the reader that it waits for
 * @inside, @leave, @removed: as they happen
 */
typedef struct WaitingRemoval {
    SvaDevice *victim;
    atomic_bool inside;
    atomic_bool leave;
    atomic_bool removed;
} WaitingRemoval;

static void *parked_reader(void *opaque)
{
    WaitingRemoval *r = opaque;

    rcu_register_thread();
    rcu_section_enter();
    atomic_store(&r->inside, true);
    while (!atomic_load(&r->leave)) {
        sched_yield();
    }
    rcu_section_leave();
    rcu_unregister_thread();
    return NULL;
}

static void *remover(void *opaque)
{
    WaitingRemoval *r = opaque;

    rcu_register_thread();
    viommu_remove_sva_device(r->victim);
    atomic_store(&r->removed, true);
    rcu_unregister_thread();
    return NULL;
}

static bool is_published(Path *path, uint16_t rid)
{
    bool found;

    rcu_section_enter();
    found = device_map_find_virt(path->f->viommu->devices, rid);
    rcu_section_leave();
    return found;
}

/*
 * As far as the guest's queue: its answers are commands, and those wait for
 * the config_lock, which a removal holds.
 */
void test_deliveries_while_removal_waits(void)
{
    static SvaGroup groups[DELIVERIES];
    WaitingRemoval r = { .victim = NULL };
    pthread_t parked, removing;
    Path path;

    path_init(&path, DELIVERIES);
    r.victim = plug_sva(&path, RID_SVA, 1);
    pthread_create(&parked, NULL, parked_reader, &r);
    while (!atomic_load(&r.inside)) {
        sched_yield();
    }
    pthread_create(&removing, NULL, remover, &r);
    while (is_published(&path, RID_SVA)) {
        sched_yield();
    }
    for (uint32_t i = 0; i < DELIVERIES; i++) {
        request(&path, &groups[i], i);
        consume(&path);
    }
    g_assert_false(atomic_load(&r.removed));
    atomic_store(&r.leave, true);
    pthread_join(removing, NULL);
    pthread_join(parked, NULL);
    for (uint32_t i = 0; i < DELIVERIES; i++) {
        answer(&path, i);
    }
    path_destroy(&path);
}

/* ---- How long it takes ---- */

/**
 * struct PlugStorm - plugs and unplugs, of either kind, until it is to end
 * @unplugs: how long they took
 */
typedef struct PlugStorm {
    Path *path;
    atomic_bool stop;
    Histogram *unplugs;
    pthread_t thread;
} PlugStorm;

static void storm_once(PlugStorm *storm)
{
    Path *path = storm->path;
    SvaDevice *sva = plug_sva(path, RID_SVA, 1);
    VfioDevice *vfio = vtd_fixture_plug(path->f, RID_HOST);
    int64_t start = aio_clock_ns();

    viommu_remove_sva_device(sva);
    histogram_record(storm->unplugs, aio_clock_ns() - start);
    start = aio_clock_ns();
    vtd_fixture_unplug(path->f, vfio, RID_HOST);
    histogram_record(storm->unplugs, aio_clock_ns() - start);
}

static void *storm_run(void *opaque)
{
    PlugStorm *storm = opaque;

    rcu_register_thread();
    while (!atomic_load(&storm->stop)) {
        storm_once(storm);
    }
    rcu_unregister_thread();
    return NULL;
}

static void measure(Path *path, unsigned requests, const char *when)
{
    Histogram *delivered = histogram_new();
    Histogram *answered = histogram_new();
    SvaGroup group;

    for (unsigned i = 0; i < requests; i++) {
        int64_t start = request(path, &group, 0);

        consume(path);
        answer(path, 0);
        histogram_record(delivered, path->delivered_ns - start);
        histogram_record(answered, path->answered_ns - start);
    }
    latency_report("delivery", when, delivered);
    latency_report("answer", when, answered);
    histogram_free(delivered);
    histogram_free(answered);
}

void delivery_latency_measure(unsigned requests)
{
    PlugStorm storm = { .unplugs = histogram_new() };
    Path path;

    path_init(&path, 1);
    storm.path = &path;
    measure(&path, requests, "calm");
    pthread_create(&storm.thread, NULL, storm_run, &storm);
    measure(&path, requests, "storm");
    atomic_store(&storm.stop, true);
    pthread_join(storm.thread, NULL);
    latency_report("unplug", "storm", storm.unplugs);
    histogram_free(storm.unplugs);
    path_destroy(&path);
}
