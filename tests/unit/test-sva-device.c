/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Emulated devices: credits, removal wherever their groups are, enqueues that
 * are under way, translation and what becomes of it.
 */
#include "test-viommu-pages.h"

#include "base/error.h"

#include <semaphore.h>

static void setup_sva(uint32_t capacity, uint32_t credits)
{
    m = fake_machine_new(capacity, false);
    sva = fake_add_sva(m, SVA_RID, credits);
}

static void teardown_sva(void)
{
    fake_remove_sva(sva);
    fake_machine_free(m);
}

/* ---- Being added ---- */

static void refuse(uint32_t rid, uint32_t credits, ViommuError code,
                   const char *message)
{
    g_autoptr(GError) error = NULL;
    SvaDeviceConfig config = { .name = "late", .virt_id = rid, .ctx = m->ctx,
                               .credits = credits };

    g_assert_null(viommu_add_sva_device(m->viommu, &config, &error));
    g_assert_error(error, VIOMMU_ERROR, (int)code);
    g_assert_cmpstr(error->message, ==, message);
}

static void test_refused_with_a_reason(void)
{
    setup(8);
    fake_remove_sva(sva);
    sva = fake_add_sva(m, SVA_RID, 1);
    refuse(SVA_RID, 1, VIOMMU_ERROR_EXISTS,
           "device 'late': virtual ID 0x200 is taken");
    refuse(RID, 1, VIOMMU_ERROR_EXISTS,
           "device 'late': virtual ID 0x100 is taken");
    refuse(0x10000, 1, VIOMMU_ERROR_INVALID,
           "device 'late': ID 0x10000 is out of range for vIOMMU 'fake', "
           "which takes 0 to 0xffff");
    refuse(1, 0, VIOMMU_ERROR_INVALID,
           "device 'late': 0 credits are out of range, 1 to 16384 are "
           "accepted");
    refuse(1, SVA_CREDITS_MAX + 1, VIOMMU_ERROR_INVALID,
           "device 'late': 16385 credits are out of range, 1 to 16384 are "
           "accepted");
    g_assert_cmpuint(device_map_count(m->viommu->devices), ==, 2);
    g_assert_false(viommu_remove_device(m->viommu, SVA_RID));
    teardown();
}

static void test_refused_without_page_requests(void)
{
    m = fake_machine_new(FAKE_NO_PAGES, false);
    refuse(1, 1, VIOMMU_ERROR_INVALID,
           "device 'late': vIOMMU 'fake' takes no page requests");
    fake_machine_free(m);
}

static void test_many_devices(void)
{
    FakeSva *devices[100];

    m = fake_machine_new(64, false);
    for (unsigned i = 0; i < G_N_ELEMENTS(devices); i++) {
        devices[i] = fake_add_sva(m, i, 1);
        fake_ask(devices[i], 1, 1, 1);
    }
    while (fake_assert_balanced(m).answered < G_N_ELEMENTS(devices)) {
        fake_pump(m);
        fake_serve_all(m, 0);
    }
    fake_pump(m);
    for (unsigned i = 0; i < G_N_ELEMENTS(devices); i++) {
        g_assert_cmpuint(devices[i]->returned->len, ==, 1);
        fake_remove_sva(devices[i]);
    }
    fake_machine_free(m);
}

/* ---- Credits ---- */

static bool ask_if_credit(uint32_t index, uint32_t count)
{
    SvaGroup *group = fake_group_new(1, index, count);

    if (viommu_page_request(sva->device, group)) {
        return true;
    }
    fake_group_free(group);
    return false;
}

static void test_credits_are_pages(void)
{
    setup_sva(64, 5);
    g_assert_true(ask_if_credit(0, 2));
    g_assert_true(ask_if_credit(1, 2));
    g_assert_false(ask_if_credit(2, 2));
    g_assert_true(ask_if_credit(3, 1));
    g_assert_false(ask_if_credit(4, 1));
    g_assert_cmpuint(viommu_get_no_credit(sva->device), ==, 2);
    fake_pump(m);
    /* Shown is not answered. */
    g_assert_false(ask_if_credit(5, 1));
    fake_respond(m, SVA_RID, 1, 0, 0);
    fake_pump(m);
    g_assert_true(ask_if_credit(6, 2));
    g_assert_false(ask_if_credit(7, 1));
    g_assert_cmpuint(viommu_get_no_credit(sva->device), ==, 4);
    g_assert_cmpuint(fake_assert_balanced(m).raised, ==, 3);
    teardown_sva();
}

/* More than there ever are, numbers that are negative for an int included. */
static void test_credits_beyond_all(void)
{
    static const uint32_t counts[] = { 6, SVA_CREDITS_MAX + 1, INT32_MAX,
                                       0x80000000, UINT32_MAX };
    SvaGroup *group;

    setup_sva(64, 5);
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        group = fake_group_new(1, 0, 1);
        group->count = counts[i];
        g_assert_false(viommu_page_request(sva->device, group));
        fake_group_free(group);
    }
    g_assert_cmpuint(viommu_get_no_credit(sva->device), ==, 5);
    g_assert_true(ask_if_credit(0, 5));
    g_assert_false(ask_if_credit(1, 1));
    teardown_sva();
}

/* From the callback itself: its credits are back. */
static void ask_again(FakeSva *device_, SvaGroup *group)
{
    unsigned *left = device_->opaque;

    g_assert_cmpuint(group->code, ==, 7);
    if (*left > 0) {
        --*left;
        group->code = UINT32_MAX;
        g_assert_true(viommu_page_request(device_->device, group));
    } else {
        g_ptr_array_add(device_->returned, group);
    }
}

static void test_group_used_again_in_its_response(void)
{
    unsigned left = 100;

    setup_sva(64, 1);
    sva->responded = ask_again;
    sva->opaque = &left;
    fake_ask(sva, 1, 1, 1);
    while (sva->returned->len == 0) {
        fake_pump(m);
        fake_serve_all(m, 7);
    }
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 101);
    teardown_sva();
}

/* ---- Removal ---- */

/* All came back, INVALID, before the call returned. */
static void assert_removed(unsigned count)
{
    viommu_remove_sva_device(g_steal_pointer(&sva->device));
    g_assert_cmpuint(sva->returned->len, ==, count);
}

static void assert_invalid(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmpuint(returned(i)->code, ==, PAGE_RESPONSE_INVALID);
    }
}

/* What an enqueue is before it has told the home thread. */
static void enqueue_silently(SvaGroup *group)
{
    ViommuPages *pages = &m->viommu->pages;

    group->device = sva->device;
    cds_wfcq_node_init(&group->node);
    RCU_TSAN_RELEASE(&group->node);
    cds_wfcq_enqueue(&pages->inbox_head, &pages->inbox_tail, &group->node);
}

static void test_removed_with_groups_in_the_inbox(void)
{
    setup_sva(64, 64);
    for (uint32_t i = 0; i < 5; i++) {
        enqueue_silently(fake_group_new(1, i, 1));
    }
    enqueue_silently(fake_stop_marker_new(1));
    assert_removed(6);
    assert_invalid(5);
    g_assert_cmpuint(fake_assert_balanced(m).invalid, ==, 5);
    g_assert_cmpuint(fake_assert_balanced(m).markers, ==, 1);
    g_assert_cmpuint(fake_queue_used(m), ==, 0);
    teardown_sva();
}

static void test_removed_with_groups_open(void)
{
    setup_sva(64, 64);
    for (uint32_t i = 0; i < 5; i++) {
        fake_ask(sva, 1 + i, i, 3);
    }
    fake_pump(m);
    /* Answered: that is what it hears. */
    fake_respond(m, SVA_RID, 5, 4, 9);
    assert_removed(5);
    g_assert_cmpuint(returned(0)->code, ==, 9);
    g_assert_cmpuint(fake_assert_balanced(m).invalid, ==, 4);
    g_assert_cmpuint(fake_assert_balanced(m).answered, ==, 1);
    /* The guest answers what is in its queue still. */
    fake_serve_all(m, 0);
    fake_pump(m);
    g_assert_cmpuint(fake_assert_balanced(m).stray, ==, 5);
    teardown_sva();
}

static void test_removed_with_groups_held(void)
{
    setup_sva(4, 64);
    for (uint32_t i = 0; i < 5; i++) {
        fake_ask(sva, 1, i, 3);
    }
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 3);
    assert_removed(5);
    assert_invalid(5);
    teardown_sva();
}

/* Held, and not in the way any more: what stands behind goes on, in order. */
static void test_removal_keeps_the_order_of_others(void)
{
    FakeSva *other;
    FakeEntry entry;
    uint32_t next = 0;

    setup_sva(2, 64);
    other = fake_add_sva(m, SVA_RID + 1, 64);
    fake_ask(sva, 1, 0, 1);
    fake_pump(m);
    for (uint32_t i = 0; i < 10; i++) {
        fake_ask(sva, 1, i, 2);
        fake_ask(other, 1, i, 1);
        if (i == 4) {
            fake_pump(m);
        }
    }
    fake_remove_sva(sva);
    fake_pump(m);
    while (fake_take(m, &entry)) {
        if (entry.key.virt_id == SVA_RID + 1) {
            g_assert_cmpuint(entry.key.index, ==, next++);
            fake_respond(m, SVA_RID + 1, 1, entry.key.index, 0);
        }
        fake_pump(m);
    }
    g_assert_cmpuint(next, ==, 10);
    g_assert_cmpuint(other->returned->len, ==, 10);
    sva = other;
    teardown_sva();
}

/* Asks anew for whatever comes back; in the end there is no credit. */
static void ask_until_refused(FakeSva *device_, SvaGroup *group)
{
    unsigned *refused = device_->opaque;

    if (!viommu_page_request(device_->device, group)) {
        ++*refused;
        g_ptr_array_add(device_->returned, group);
    }
}

static void test_asking_during_removal_finds_no_credit(void)
{
    unsigned refused = 0;
    SvaDevice *going;

    setup_sva(4, SVA_CREDITS_MAX);
    sva->responded = ask_until_refused;
    sva->opaque = &refused;
    for (uint32_t i = 0; i < 100; i++) {
        fake_ask(sva, 1, i, 1);
    }
    fake_pump(m);
    fake_serve_all(m, 0);
    going = sva->device;
    viommu_remove_sva_device(going);
    sva->device = NULL;
    g_assert_cmpuint(refused, ==, 100);
    g_assert_cmpuint(sva->returned->len, ==, 100);
    fake_pump(m);
    teardown_sva();
}

/* Its ID is free again, its groups' names too. */
static void test_new_device_of_the_same_id(void)
{
    setup_sva(64, 64);
    for (unsigned i = 0; i < 10; i++) {
        fake_ask(sva, 1, 1, 1);
        fake_pump(m);
        fake_remove_sva(sva);
        fake_take_all(m);
        sva = fake_add_sva(m, SVA_RID, 64);
    }
    fake_ask(sva, 1, 1, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_serve_all(m, 3), ==, 1);
    fake_pump(m);
    g_assert_cmpuint(returned(0)->code, ==, 3);
    g_assert_cmpuint(fake_assert_balanced(m).invalid, ==, 10);
    teardown_sva();
}

/* ---- Enqueues that are under way ---- */

/*
 * Another device's thread that is preempted within its enqueue: after it has
 * taken the end of the queue, before it has linked its group to the one in
 * front. It goes on once the counter moves, which shows that the home thread
 * has been there.
 */
typedef struct Gap {
    SvaGroup *group;
    const Counter *counter;
    sem_t made;
    pthread_t thread;
} Gap;

static void *gap_thread(void *opaque)
{
    Gap *gap = opaque;
    ViommuPages *pages = &m->viommu->pages;
    struct cds_wfcq_node *front;
    uint64_t before;

    rcu_register_thread();
    before = counter_get(gap->counter);
    cds_wfcq_node_init(&gap->group->node);
    RCU_TSAN_RELEASE(&gap->group->node);
    rcu_section_enter();
    front = uatomic_xchg(&pages->inbox_tail.p, &gap->group->node);
    sem_post(&gap->made);
    while (counter_get(gap->counter) == before) {
        sched_yield();
    }
    CMM_STORE_SHARED(front->next, &gap->group->node);
    rcu_section_leave();
    aio_bh_schedule(pages->work);
    rcu_unregister_thread();
    return NULL;
}

static void gap_begin(Gap *gap, FakeSva *other, const Counter *counter)
{
    gap->group = fake_group_new(1, 99, 1);
    gap->group->device = other->device;
    gap->counter = counter;
    sem_init(&gap->made, 0, 0);
    g_assert_cmpint(pthread_create(&gap->thread, NULL, gap_thread, gap), ==,
                    0);
    while (sem_wait(&gap->made) < 0) {
        continue;
    }
}

static void gap_end(Gap *gap)
{
    pthread_join(gap->thread, NULL);
    sem_destroy(&gap->made);
}

/* The last of the device's groups is hidden by the enqueue behind it. */
static void test_drop_waits_for_the_enqueue_behind(void)
{
    FakeSva *other;
    DeviceEntry *entry;
    Gap gap;

    setup_sva(64, 64);
    other = fake_add_sva(m, SVA_RID + 1, 64);
    fake_ask(sva, 1, 0, 1);
    fake_ask(sva, 1, 1, 1);
    gap_begin(&gap, other, &m->viommu->page_counters.invalid);
    rcu_section_enter();
    entry = device_map_find_virt(m->viommu->devices, SVA_RID);
    rcu_section_leave();
    lock_acquire(&m->viommu->config_lock);
    viommu_pages_drop_device(m->viommu,
                             caa_container_of(entry, ViommuDevice, entry));
    lock_release(&m->viommu->config_lock);
    gap_end(&gap);
    g_assert_cmpuint(fake_assert_balanced(m).invalid, ==, 2);
    g_assert_cmpuint(fake_assert_balanced(m).open, <=, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_assert_balanced(m).open, ==, 1);
    fake_serve_all(m, 0);
    fake_pump(m);
    g_assert_cmpuint(other->returned->len, ==, 1);
    fake_remove_sva(other);
    teardown_sva();
}

/* One group is hidden from behind, one from in front. */
static void test_drain_waits_for_enqueues(void)
{
    FakeSva *other;
    Gap gap;

    setup_sva(64, 64);
    other = fake_add_sva(m, SVA_RID + 1, 64);
    fake_ask(sva, 1, 0, 1);
    fake_ask(sva, 1, 1, 1);
    gap_begin(&gap, other, &m->viommu->page_counters.raised);
    fake_ask(sva, 1, 2, 1);
    viommu_drain_page_requests(m->viommu);
    g_assert_cmpuint(fake_queue_used(m), ==, 4);
    gap_end(&gap);
    fake_serve_all(m, 0);
    fake_pump(m);
    fake_remove_sva(other);
    teardown_sva();
}

/* Without a drain nobody waits: the enqueue itself has the rest brought. */
static void test_gap_closes_by_itself(void)
{
    FakeSva *other;
    Gap gap;

    setup_sva(64, 64);
    other = fake_add_sva(m, SVA_RID + 1, 64);
    fake_ask(sva, 1, 0, 1);
    gap_begin(&gap, other, &m->viommu->page_counters.stray);
    fake_ask(sva, 1, 1, 1);
    fake_pump(m);
    g_assert_cmpuint(fake_queue_used(m), ==, 0);
    fake_respond(m, SVA_RID, 1, 77, 0);
    fake_pump(m);
    gap_end(&gap);
    fake_pump(m);
    g_assert_cmpuint(fake_serve_all(m, 0), ==, 3);
    fake_pump(m);
    fake_remove_sva(other);
    teardown_sva();
}

/* ---- Translation ---- */

static bool translate(uint32_t pasid, uint64_t iova, uint32_t perm)
{
    uint64_t gpa;
    bool found;

    rcu_section_enter();
    found = viommu_translate(sva->device, pasid, iova, perm, &gpa);
    rcu_section_leave();
    if (found) {
        g_assert_cmphex(gpa, ==, iova);
    }
    return found;
}

static unsigned walks(void)
{
    return atomic_load(&m->model->walks);
}

static void invalidate(void)
{
    lock_acquire(&m->viommu->config_lock);
    viommu_invalidate_sva(m->viommu);
    lock_release(&m->viommu->config_lock);
}

static void test_translations_are_cached(void)
{
    setup_sva(8, 8);
    atomic_store(&m->model->present, true);
    for (unsigned i = 0; i < 5; i++) {
        g_assert_true(translate(1, 0x1234567 + i, PGFAULT_PERM_READ));
    }
    g_assert_cmpuint(walks(), ==, 1);
    /* Another page, PASID, kind of access. */
    g_assert_true(translate(1, 0x1235567, PGFAULT_PERM_READ));
    g_assert_true(translate(2, 0x1234567, PGFAULT_PERM_READ));
    g_assert_true(translate(1, 0x1234567, PGFAULT_PERM_WRITE));
    g_assert_cmpuint(walks(), ==, 4);
    teardown_sva();
}

static void test_absence_is_not_cached(void)
{
    setup_sva(8, 8);
    g_assert_false(translate(1, 0x1000, PGFAULT_PERM_READ));
    atomic_store(&m->model->present, true);
    g_assert_true(translate(1, 0x1000, PGFAULT_PERM_READ));
    g_assert_cmpuint(walks(), ==, 2);
    teardown_sva();
}

static void test_invalidation_empties_all_caches(void)
{
    setup_sva(8, 8);
    atomic_store(&m->model->present, true);
    for (uint64_t page = 0; page < 100; page++) {
        translate(1, page << 12, PGFAULT_PERM_READ);
    }
    atomic_store(&m->model->present, false);
    g_assert_true(translate(1, 0x1000, PGFAULT_PERM_READ));
    invalidate();
    for (uint64_t page = 0; page < 100; page++) {
        g_assert_false(translate(1, page << 12, PGFAULT_PERM_READ));
    }
    teardown_sva();
}

static const ViommuOps *real_ops;

/* As viommu_invalidate_sva() begins, on another thread; it waits for us. */
static bool translate_while_invalidated(Viommu *viommu, uint32_t virt_id,
                                        uint32_t pasid, uint64_t iova,
                                        uint32_t perm, uint64_t *gpa)
{
    bool found = real_ops->translate(viommu, virt_id, pasid, iova, perm, gpa);

    atomic_fetch_add(&viommu->pages.generation, 1);
    return found;
}

/* What was walked before it is not found after it. */
static void test_invalidation_overtakes_a_walk(void)
{
    ViommuOps ops;

    setup_sva(8, 8);
    atomic_store(&m->model->present, true);
    real_ops = m->viommu->ops;
    ops = *real_ops;
    ops.translate = translate_while_invalidated;
    m->viommu->ops = &ops;
    g_assert_true(translate(1, 0x1000, PGFAULT_PERM_READ));
    m->viommu->ops = real_ops;
    atomic_store(&m->model->present, false);
    g_assert_false(translate(1, 0x1000, PGFAULT_PERM_READ));
    teardown_sva();
}

static void test_implicit_invalidation_of_one_page(void)
{
    PageGroup group = { 0 };

    setup_sva(8, 8);
    atomic_store(&m->model->present, true);
    translate(1, 0x1000, PGFAULT_PERM_READ);
    translate(1, 0x2000, PGFAULT_PERM_READ);
    translate(2, 0x1000, PGFAULT_PERM_READ);
    atomic_store(&m->model->present, false);
    group.request.emulated = fake_ask(sva, 1, 1, 1);
    group.request.key.pasid = 1;
    viommu_implicit_invalidate(m->viommu, &group, 0x1fff);
    g_assert_false(translate(1, 0x1000, PGFAULT_PERM_READ));
    g_assert_true(translate(1, 0x2000, PGFAULT_PERM_READ));
    g_assert_true(translate(2, 0x1000, PGFAULT_PERM_READ));
    teardown_sva();
}

static const Test tests[] = {
    { "refused/with-a-reason", test_refused_with_a_reason },
    { "refused/without-page-requests", test_refused_without_page_requests },
    { "many-devices", test_many_devices },
    { "credits/are-pages", test_credits_are_pages },
    { "credits/beyond-all", test_credits_beyond_all },
    { "group-used-again-in-its-response",
      test_group_used_again_in_its_response },
    { "removed/with-groups-in-the-inbox",
      test_removed_with_groups_in_the_inbox },
    { "removed/with-groups-open", test_removed_with_groups_open },
    { "removed/with-groups-held", test_removed_with_groups_held },
    { "removed/keeps-the-order-of-others",
      test_removal_keeps_the_order_of_others },
    { "removed/asking-meanwhile-finds-no-credit",
      test_asking_during_removal_finds_no_credit },
    { "removed/new-device-of-the-same-id", test_new_device_of_the_same_id },
    { "gap/drop-waits-for-the-enqueue-behind",
      test_drop_waits_for_the_enqueue_behind },
    { "gap/drain-waits-for-enqueues", test_drain_waits_for_enqueues },
    { "gap/closes-by-itself", test_gap_closes_by_itself },
    { "translate/cached", test_translations_are_cached },
    { "translate/absence-is-not-cached", test_absence_is_not_cached },
    { "translate/invalidation-empties-all-caches",
      test_invalidation_empties_all_caches },
    { "translate/invalidation-overtakes-a-walk",
      test_invalidation_overtakes_a_walk },
    { "translate/implicit-invalidation-of-one-page",
      test_implicit_invalidation_of_one_page },
};

int main(int argc, char **argv)
{
    return run_tests(argc, argv, "/sva-device", tests, G_N_ELEMENTS(tests));
}
