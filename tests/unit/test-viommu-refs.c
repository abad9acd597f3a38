/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * References to devices: who has one, and no lock, may make host calls for the
 * device; its removal waits, though nobody finds it any more.
 */
#include "test-viommu-pages.h"

#include "proc-self.h"

#include <sched.h>
#include <semaphore.h>
#include <unistd.h>

#define WALKERS 3

/* Return: all devices, with a reference to each, and NULL at the end. */
static ViommuDevice **get_all(void)
{
    GPtrArray *all = g_ptr_array_new();
    DeviceEntry *entry;
    size_t cursor = 0;

    rcu_section_enter();
    while ((entry = device_map_next(m->viommu->devices, &cursor))) {
        ViommuDevice *found = caa_container_of(entry, ViommuDevice, entry);

        viommu_device_get(found);
        g_ptr_array_add(all, found);
    }
    rcu_section_leave();
    g_ptr_array_add(all, NULL);
    return (ViommuDevice **)g_ptr_array_free(all, FALSE);
}

/* Return: the device with a reference, or NULL. */
static ViommuDevice *get(uint32_t rid)
{
    ViommuDevice *found = NULL;
    DeviceEntry *entry;

    rcu_section_enter();
    entry = device_map_find_virt(m->viommu->devices, rid);
    if (entry) {
        found = caa_container_of(entry, ViommuDevice, entry);
        viommu_device_get(found);
    }
    rcu_section_leave();
    return found;
}

static bool can_be_found(uint32_t rid)
{
    bool found;

    rcu_section_enter();
    found = device_map_find_virt(m->viommu->devices, rid) != NULL;
    rcu_section_leave();
    return found;
}

/* The references are the walk's, one after the other. */
static void test_walk(void)
{
    ViommuDevice *next;
    size_t cursor = 0;
    FakeDevice *others[5];
    unsigned count = 0;
    uint32_t nobody = 0x999;

    setup(8);
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        others[i] = fake_plug(m, RID + 1 + i);
    }
    lock_acquire(&m->viommu->config_lock);
    while ((next = viommu_device_next(m->viommu, &cursor))) {
        g_assert_cmpuint(atomic_load(&next->refs), ==, 1);
        viommu_device_put(m->viommu, next);
        count++;
    }
    lock_release(&m->viommu->config_lock);
    g_assert_cmpuint(count, ==, 7);
    g_assert_null(get(nobody));
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        fake_unplug(m, others[i]);
    }
    teardown();
}

/* ---- A removal that waits ---- */

typedef struct Removal {
    pthread_t thread;
    sem_t started;
    pid_t tid;
    atomic_bool done;
} Removal;

static void *unplug_thread(void *opaque)
{
    Removal *removal = opaque;

    rcu_register_thread();
    removal->tid = gettid();
    sem_post(&removal->started);
    g_assert_true(viommu_remove_device(m->viommu, RID));
    atomic_store(&removal->done, true);
    rcu_unregister_thread();
    return NULL;
}

static void *remove_sva_thread(void *opaque)
{
    Removal *removal = opaque;

    rcu_register_thread();
    removal->tid = gettid();
    sem_post(&removal->started);
    viommu_remove_sva_device(sva->device);
    sva->device = NULL;
    atomic_store(&removal->done, true);
    rcu_unregister_thread();
    return NULL;
}

/* It waits for something, and is not done. */
static void assert_held_up(Removal *removal)
{
    while (!atomic_load(&removal->done) &&
           !proc_self_is_asleep(removal->tid)) {
        sched_yield();
    }
    g_assert_false(atomic_load(&removal->done));
}

/* Return once nobody finds the device any more. */
static void removal_begin(Removal *removal, void *(*func)(void *),
                          uint32_t rid)
{
    atomic_init(&removal->done, false);
    sem_init(&removal->started, 0, 0);
    g_assert_cmpint(pthread_create(&removal->thread, NULL, func, removal), ==,
                    0);
    while (sem_wait(&removal->started) < 0) {
        continue;
    }
    while (can_be_found(rid)) {
        sched_yield();
    }
    assert_held_up(removal);
}

static void removal_end(Removal *removal)
{
    pthread_join(removal->thread, NULL);
    g_assert_true(atomic_load(&removal->done));
    sem_destroy(&removal->started);
}

static void setup_iothread(void)
{
    m = fake_machine_new(8, true);
    device = fake_plug(m, RID);
    fake_attach_ok(m, device, 1);
    sva = fake_add_sva(m, SVA_RID, 8);
}

static void teardown_unplugged(void)
{
    vfio_device_free(device->vfio);
    g_free(device);
    fake_remove_sva(sva);
    fake_machine_free(m);
}

/* Without the config_lock, which the removal holds; and the HWPT is there. */
static void test_reference_holds_up_unplug(void)
{
    ViommuDevice *first;
    ViommuDevice *second;
    Removal removal;

    setup_iothread();
    first = get(RID);
    second = get(RID);
    g_assert_true(first && first == second);
    removal_begin(&removal, unplug_thread, RID);
    g_assert_null(get(RID));
    g_assert_cmpint(fake_raise(m, device, 1, 1, 1), ==, EMUL_REPORT_QUEUED);
    viommu_device_put(m->viommu, first);
    /* One is as good as two. */
    assert_held_up(&removal);
    g_assert_cmphex(second->entry.virt_id, ==, RID);
    g_assert_cmpint(fake_raise(m, device, 1, 2, 1), ==, EMUL_REPORT_QUEUED);
    viommu_device_put(m->viommu, second);
    removal_end(&removal);
    g_assert_cmpint(fake_raise(m, device, 1, 3, 1), ==, EMUL_REPORT_REFUSED);
    g_assert_cmpuint(fake_host_answers(m), ==, 2);
    teardown_unplugged();
}

static void test_reference_holds_up_an_emulated_device(void)
{
    ViommuDevice *held;
    Removal removal;
    FakeSva *going;

    setup_iothread();
    going = sva;
    held = get(SVA_RID);
    fake_ask(sva, 1, 1, 1);
    removal_begin(&removal, remove_sva_thread, SVA_RID);
    assert_held_up(&removal);
    g_assert_true(held->sva == going->device);
    viommu_device_put(m->viommu, held);
    removal_end(&removal);
    g_assert_cmpuint(going->returned->len, ==, 1);
    fake_unplug(m, device);
    fake_remove_sva(sva);
    fake_machine_free(m);
}

/* ---- Walkers, and devices that come and go ---- */

static atomic_bool over;

/* As a flush: host calls for each device, none of them under a lock. */
static void *walker_thread(void *opaque)
{
    atomic_uint *calls = opaque;

    rcu_register_thread();
    while (!atomic_load(&over)) {
        g_autofree ViommuDevice **all = get_all();

        for (unsigned i = 0; all[i]; i++) {
            struct iommu_hw_info_vtd info;
            g_autoptr(GError) error = NULL;

            if (all[i]->vfio) {
                iommufd_hw_info_vtd(m->host, all[i]->entry.dev_id, &info,
                                    &error);
                g_assert_no_error(error);
                atomic_fetch_add(calls, 1);
            }
            viommu_device_put(m->viommu, all[i]);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

static void test_walkers_meet_no_device_that_is_gone(void)
{
    unsigned rounds = g_test_quick() ? 100 : 5000;
    pthread_t walkers[WALKERS];
    static atomic_uint calls[WALKERS];
    FakeDevice *going;

    setup_iothread();
    atomic_store(&over, false);
    for (unsigned i = 0; i < WALKERS; i++) {
        g_assert_cmpint(pthread_create(&walkers[i], NULL, walker_thread,
                                       &calls[i]), ==, 0);
    }
    for (unsigned i = 0; i < rounds; i++) {
        going = fake_plug(m, RID + 1);
        fake_unplug(m, going);
        fake_remove_sva(sva);
        sva = fake_add_sva(m, SVA_RID, 8);
    }
    /* A busy machine may not have let them, yet. */
    for (unsigned i = 0; i < WALKERS; i++) {
        while (atomic_load(&calls[i]) == 0) {
            sched_yield();
        }
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < WALKERS; i++) {
        pthread_join(walkers[i], NULL);
    }
    fake_remove_sva(sva);
    fake_unplug(m, device);
    fake_machine_free(m);
}

static const Test tests[] = {
    { "walk", test_walk },
    { "hold-up-unplug", test_reference_holds_up_unplug },
    { "hold-up-an-emulated-device",
      test_reference_holds_up_an_emulated_device },
    { "walkers-meet-no-device-that-is-gone",
      test_walkers_meet_no_device_that_is_gone },
};

int main(int argc, char **argv)
{
    return run_tests(argc, argv, "/viommu-refs", tests, G_N_ELEMENTS(tests));
}
