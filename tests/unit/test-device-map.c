/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/iommu/device-map.h"

#include "base/error.h"
#include "base/rcu.h"

#include <pthread.h>
#include <stdatomic.h>

/* A device as an owner keeps it: the map's entry is embedded. */
typedef struct Device {
    uint32_t magic;
    DeviceEntry entry;
} Device;

enum { MAGIC = 0x600d600d, POISON = 0xdead };

static Device *to_device(DeviceEntry *entry)
{
    return (Device *)((char *)entry - offsetof(Device, entry));
}

static Device *device_new(uint32_t virt_id, uint32_t dev_id)
{
    Device *device = g_new(Device, 1);

    *device = (Device) { MAGIC, { virt_id, dev_id } };
    return device;
}

static Device *add_new(DeviceMap *map, uint32_t virt_id, uint32_t dev_id)
{
    g_autoptr(GError) error = NULL;
    Device *device = device_new(virt_id, dev_id);

    g_assert_true(device_map_add(map, &device->entry, &error));
    g_assert_no_error(error);
    return device;
}

/* As an owner must: unpublish, wait, only then free. */
static void remove_and_free(DeviceMap *map, Device *device)
{
    device_map_remove(map, &device->entry);
    rcu_synchronize();
    device->magic = POISON;
    g_free(device);
}

static DeviceEntry *find_virt(const DeviceMap *map, uint32_t virt_id)
{
    rcu_section_enter();
    DeviceEntry *entry = device_map_find_virt(map, virt_id);

    rcu_section_leave();
    return entry;
}

static DeviceEntry *find_dev(const DeviceMap *map, uint32_t dev_id)
{
    rcu_section_enter();
    DeviceEntry *entry = device_map_find_dev(map, dev_id);

    rcu_section_leave();
    return entry;
}

static void test_empty(void)
{
    DeviceMap *map = device_map_new();
    size_t cursor = 0;

    g_assert_null(find_virt(map, 0));
    g_assert_null(find_dev(map, 0));
    g_assert_null(device_map_next(map, &cursor));
    g_assert_null(device_map_next(map, &cursor));
    g_assert_cmpuint(device_map_count(map), ==, 0);
    device_map_free(map);
    device_map_free(NULL);
}

/* IDs of one kind are not found as the other; the extremes are IDs too. */
static void test_add_find_remove(void)
{
    DeviceMap *map = device_map_new();
    Device *a = add_new(map, 0, UINT32_MAX);
    Device *b = add_new(map, UINT32_MAX, 1);
    Device *c = add_new(map, 0x100, 7);

    g_assert_cmpuint(device_map_count(map), ==, 3);
    g_assert_true(find_virt(map, 0) == &a->entry);
    g_assert_true(find_dev(map, UINT32_MAX) == &a->entry);
    g_assert_true(find_virt(map, UINT32_MAX) == &b->entry);
    g_assert_true(find_dev(map, 1) == &b->entry);
    g_assert_true(find_virt(map, 0x100) == &c->entry);
    g_assert_true(find_dev(map, 7) == &c->entry);
    g_assert_null(find_virt(map, 7));
    g_assert_null(find_dev(map, 0x100));

    remove_and_free(map, b);
    g_assert_null(find_virt(map, UINT32_MAX));
    g_assert_null(find_dev(map, 1));
    g_assert_true(find_virt(map, 0) == &a->entry);
    g_assert_true(find_dev(map, 7) == &c->entry);
    g_assert_cmpuint(device_map_count(map), ==, 2);
    remove_and_free(map, a);
    remove_and_free(map, c);
    g_assert_null(find_virt(map, 0));
    device_map_free(map);
    rcu_defer_drain();
}

/* Any number of them, found by the guest's ID only. */
static void test_no_dev_id(void)
{
    DeviceMap *map = device_map_new();
    Device *a = add_new(map, 1, DEVICE_MAP_NO_DEV_ID);
    Device *b = add_new(map, 2, DEVICE_MAP_NO_DEV_ID);

    g_assert_null(find_dev(map, DEVICE_MAP_NO_DEV_ID));
    g_assert_true(find_virt(map, 1) == &a->entry);
    g_assert_true(find_virt(map, 2) == &b->entry);
    remove_and_free(map, a);
    g_assert_true(find_virt(map, 2) == &b->entry);
    remove_and_free(map, b);
    device_map_free(map);
    rcu_defer_drain();
}

static void assert_refused(DeviceMap *map, uint32_t virt_id, uint32_t dev_id,
                           const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autofree Device *device = device_new(virt_id, dev_id);

    g_assert_false(device_map_add(map, &device->entry, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_EXISTS);
    g_assert_cmpstr(error->message, ==, message);
}

static void test_taken(void)
{
    DeviceMap *map = device_map_new();
    Device *device = add_new(map, 0x1f8, 12);

    assert_refused(map, 0x1f8, 13, "virtual ID 0x1f8 is taken");
    assert_refused(map, 0x1f9, 12, "host device ID 12 is taken");
    assert_refused(map, 0x1f8, 12, "virtual ID 0x1f8 is taken");
    g_assert_cmpuint(device_map_count(map), ==, 1);
    g_assert_null(find_virt(map, 0x1f9));
    g_assert_null(find_dev(map, 13));
    g_assert_true(find_virt(map, 0x1f8) == &device->entry);

    remove_and_free(map, device);
    device = add_new(map, 0x1f8, 12);       /* free again */
    remove_and_free(map, device);
    device_map_free(map);
    rcu_defer_drain();
}

/*
 * Each device is met once: none that comes meanwhile, and none that has gone
 * before the walk comes to it.
 */
static void test_walk(void)
{
    enum { COUNT = 9 };
    DeviceMap *map = device_map_new();
    Device *devices[COUNT], *late;
    unsigned met[COUNT + 1] = { 0 };
    DeviceEntry *entry;
    size_t cursor = 0;

    for (unsigned i = 0; i < COUNT; i++) {
        devices[i] = add_new(map, 8 * i, i);
    }
    rcu_section_enter();
    entry = device_map_next(map, &cursor);
    met[entry->dev_id]++;
    device_map_remove(map, &devices[0]->entry);
    device_map_remove(map, &devices[COUNT - 1]->entry);
    late = add_new(map, 8 * COUNT, COUNT);
    while ((entry = device_map_next(map, &cursor))) {
        met[entry->dev_id]++;
    }
    g_assert_null(device_map_next(map, &cursor));
    rcu_section_leave();
    for (unsigned i = 0; i <= COUNT; i++) {
        g_assert_cmpuint(met[i], ==, i < COUNT - 1);
    }
    g_assert_cmpuint(device_map_count(map), ==, COUNT - 1);

    rcu_synchronize();
    g_free(devices[0]);
    g_free(devices[COUNT - 1]);
    for (unsigned i = 1; i < COUNT - 1; i++) {
        remove_and_free(map, devices[i]);
    }
    remove_and_free(map, late);
    device_map_free(map);
    rcu_defer_drain();
}

/* Grows and shrinks through every size; all are found at all times of it. */
static void test_many(void)
{
    enum { COUNT = 5000, STEP = 509 };
    DeviceMap *map = device_map_new();
    Device **devices = g_new(Device *, COUNT);

    for (unsigned i = 0; i < COUNT; i++) {
        devices[i] = add_new(map, i << 3, 2 * i + 1);
        if (i % STEP == 0 || i == COUNT - 1) {
            for (unsigned j = 0; j < COUNT; j++) {
                DeviceEntry *want = j <= i ? &devices[j]->entry : NULL;

                g_assert_true(find_virt(map, j << 3) == want);
                g_assert_true(find_dev(map, 2 * j + 1) == want);
                g_assert_null(find_dev(map, 2 * j));
            }
        }
    }
    g_assert_cmpuint(device_map_count(map), ==, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        device_map_remove(map, &devices[i]->entry);
        if (i % STEP == 0) {
            g_assert_null(find_virt(map, i << 3));
            g_assert_true(find_dev(map, 2 * COUNT - 1) ==
                          &devices[COUNT - 1]->entry);
        }
    }
    g_assert_cmpuint(device_map_count(map), ==, 0);
    rcu_synchronize();
    for (unsigned i = 0; i < COUNT; i++) {
        g_free(devices[i]);
    }
    g_free(devices);
    device_map_free(map);
    rcu_defer_drain();
}

/*
 * IDs by formula: the Nth is N times a step. The step 0xe8b2f51 undoes the
 * first multiplier modulo 2^32, so that all IDs would have one home.
 */
static void test_constant_time(gconstpointer data)
{
    enum { COUNT = 1000 };
    const uint32_t stride = GPOINTER_TO_UINT(data);
    DeviceMap *map = device_map_new();
    Device *devices[COUNT];

    for (uint32_t i = 0; i < COUNT; i++) {
        devices[i] = add_new(map, i * stride, ~(i * stride));
        g_assert_cmpuint(device_map_longest_probe(map), <=, DEVICE_MAP_PROBES);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        g_assert_true(find_virt(map, i * stride) == &devices[i]->entry);
        g_assert_true(find_dev(map, ~(i * stride)) == &devices[i]->entry);
    }
    g_assert_null(find_virt(map, COUNT * stride));
    for (unsigned i = 0; i < COUNT; i++) {
        device_map_remove(map, &devices[i]->entry);
    }
    rcu_synchronize();
    for (unsigned i = 0; i < COUNT; i++) {
        g_free(devices[i]);
    }
    device_map_free(map);
    rcu_defer_drain();
}

/*
 * Churn: devices 0 to RESIDENT - 1 stay, the others come and go and are
 * freed after a grace period. A reader sees the former always, the latter
 * whole or not at all.
 */
enum { RESIDENT = 5, PASSING = 20, READERS = 2, ROUNDS = 1500 };

static struct {
    DeviceMap *map;
    pthread_barrier_t started;
    atomic_bool stop;
} churn;

static uint32_t churn_virt_id(uint32_t i)
{
    return 0x100 + 8 * i;
}

static void check_device(DeviceEntry *entry, uint32_t i)
{
    g_assert_cmpuint(to_device(entry)->magic, ==, MAGIC);
    g_assert_cmpuint(entry->dev_id, ==, i + 1);  /* 0 is nobody */
    g_assert_cmpuint(entry->virt_id, ==, churn_virt_id(i));
}

static void churn_look_up(uint32_t i)
{
    DeviceEntry *entry;

    rcu_section_enter();
    entry = device_map_find_virt(churn.map, churn_virt_id(i));
    g_assert_true(entry || i >= RESIDENT);
    if (entry) {
        check_device(entry, i);
    }
    entry = device_map_find_dev(churn.map, i + 1);
    g_assert_true(entry || i >= RESIDENT);
    if (entry) {
        check_device(entry, i);
    }
    rcu_section_leave();
}

static void churn_walk(void)
{
    unsigned met[RESIDENT + PASSING] = { 0 };
    DeviceEntry *entry;
    size_t cursor = 0;

    rcu_section_enter();
    while ((entry = device_map_next(churn.map, &cursor))) {
        check_device(entry, entry->dev_id - 1);
        met[entry->dev_id - 1]++;
    }
    rcu_section_leave();
    for (unsigned i = 0; i < RESIDENT + PASSING; i++) {
        g_assert_cmpuint(met[i], <=, 1);
        g_assert_cmpuint(met[i], >=, i < RESIDENT);
    }
}

static void *churn_reader(void *opaque)
{
    rcu_register_thread();
    pthread_barrier_wait(&churn.started);
    while (!atomic_load(&churn.stop)) {
        for (uint32_t i = 0; i < RESIDENT + PASSING; i++) {
            churn_look_up(i);
        }
        churn_walk();
    }
    rcu_unregister_thread();
    return NULL;
}

static void churn_write(Device **passing)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t i = g_test_rand_int_range(0, PASSING);
        uint32_t dev_id = RESIDENT + i;

        if (passing[i]) {
            remove_and_free(churn.map, g_steal_pointer(&passing[i]));
        } else {
            passing[i] = add_new(churn.map, churn_virt_id(dev_id),
                                 dev_id + 1);
        }
    }
    for (unsigned i = 0; i < PASSING; i++) {
        if (passing[i]) {
            remove_and_free(churn.map, passing[i]);
        }
    }
}

static void test_churn_under_readers(void)
{
    Device *resident[RESIDENT], *passing[PASSING] = { NULL };
    pthread_t threads[READERS];

    churn.map = device_map_new();
    atomic_store(&churn.stop, false);
    for (uint32_t i = 0; i < RESIDENT; i++) {
        resident[i] = add_new(churn.map, churn_virt_id(i), i + 1);
    }
    pthread_barrier_init(&churn.started, NULL, READERS + 1);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_create(&threads[i], NULL, churn_reader, NULL);
    }
    pthread_barrier_wait(&churn.started);
    churn_write(passing);
    atomic_store(&churn.stop, true);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&churn.started);
    for (unsigned i = 0; i < RESIDENT; i++) {
        remove_and_free(churn.map, resident[i]);
    }
    device_map_free(churn.map);
    rcu_defer_drain();
}

/* Writers on several threads: no addition or removal gets lost. */
static void *adder(void *opaque)
{
    enum { COUNT = 200 };
    const uint32_t base = (uint32_t)(uintptr_t)opaque * COUNT;
    Device *devices[COUNT];

    rcu_register_thread();
    pthread_barrier_wait(&churn.started);
    for (uint32_t i = 0; i < COUNT; i++) {
        devices[i] = add_new(churn.map, base + i, base + i);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        g_assert_true(find_virt(churn.map, base + i) == &devices[i]->entry);
        device_map_remove(churn.map, &devices[i]->entry);
    }
    rcu_synchronize();
    for (uint32_t i = 0; i < COUNT; i++) {
        g_free(devices[i]);
    }
    rcu_unregister_thread();
    return NULL;
}

static void test_two_writers(void)
{
    pthread_t threads[2];

    churn.map = device_map_new();
    pthread_barrier_init(&churn.started, NULL, 2);
    for (uintptr_t i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, adder, (void *)i);
    }
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&churn.started);
    g_assert_cmpuint(device_map_count(churn.map), ==, 0);
    device_map_free(churn.map);
    rcu_defer_drain();
}

static void find_outside_section(void)
{
    device_map_find_virt(device_map_new(), 0);
}

static void remove_what_is_not_there(void)
{
    DeviceMap *map = device_map_new();
    Device *other = device_new(1, 1);

    add_new(map, 1, 1);
    device_map_remove(map, &other->entry);
}

static void free_while_not_empty(void)
{
    DeviceMap *map = device_map_new();

    add_new(map, 1, 1);
    device_map_free(map);
}

/* Each runs in a child process of its own and must die of an assertion. */
static void test_must_abort(gconstpointer data)
{
    void (*func)(void) = (void (*)(void))(uintptr_t)data;

    if (g_test_subprocess()) {
        func();
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*ERROR*assertion failed*");
}

static void add_must_abort(const char *path, void (*func)(void))
{
    g_test_add_data_func(path, (gconstpointer)(uintptr_t)func,
                         test_must_abort);
}

int main(int argc, char **argv)
{
    static const uint32_t strides[] = {
        1, 8, 0x100, 0x10000, 0x9e3779b1, 0xe8b2f51,
    };

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/device-map/empty", test_empty);
    g_test_add_func("/device-map/add-find-remove", test_add_find_remove);
    g_test_add_func("/device-map/emulated-devices-have-no-host-id",
                    test_no_dev_id);
    g_test_add_func("/device-map/taken-id-is-named", test_taken);
    g_test_add_func("/device-map/walk-meets-one-moment", test_walk);
    g_test_add_func("/device-map/many", test_many);
    for (size_t i = 0; i < G_N_ELEMENTS(strides); i++) {
        g_autofree char *path = g_strdup_printf(
            "/device-map/constant-time/stride-0x%x", strides[i]);

        g_test_add_data_func(path, GUINT_TO_POINTER(strides[i]),
                             test_constant_time);
    }
    g_test_add_func("/device-map/churn-under-readers",
                    test_churn_under_readers);
    g_test_add_func("/device-map/two-writers", test_two_writers);
    add_must_abort("/device-map/find-outside-section-aborts",
                   find_outside_section);
    add_must_abort("/device-map/remove-what-is-not-there-aborts",
                   remove_what_is_not_there);
    add_must_abort("/device-map/free-while-not-empty-aborts",
                   free_while_not_empty);
    int ret = g_test_run();

    rcu_unregister_thread();
    return ret;
}
