/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Readers are never blocked by a removal, and never touch what it frees.
 *
 * Two tests hold whatever the machine: while a removal waits for a reader that
 * does not leave its section, others look up, and page requests reach the
 * guest, as often as one likes. Devices are poisoned and freed once a removal
 * returns, for AddressSanitizer and ThreadSanitizer to see who reads on.
 *
 * Two more measure, and assert nothing about time: how long look-ups take, and
 * page requests from device to guest and back, with and without a storm of hot
 * plug and unplug beside them.
 *
 * With NO_GRACE_PERIOD a removal does not wait, and is to be found out.
 */
#include "latency.h"
#include "own-options.h"

#include "base/rcu.h"
#include "hw/iommu/device-map.h"
#include "iothread/aio-context.h"

#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define DEVICES 64
#define ROUNDS 50
#define LOOKUPS 1000            /* while a removal waits */
#define WITNESSES 2
#define WORDS 16

/* Something to read, which says whose it is. */
typedef struct Device {
    DeviceEntry entry;
    uint64_t words[WORDS];
} Device;

typedef struct Map {
    DeviceMap *map;
    Device *devices[DEVICES];   /* the remover's; NULL: not plugged */
    Histogram *removals;        /* how long they took; may be NULL */
} Map;

#ifdef NO_GRACE_PERIOD
static const bool removal_waits = false;
#else
static const bool removal_waits = true;
#endif

static gint reader_count = 1;
static gint lookup_count = 300000;
static gint request_count = 2000;

/* ---- Devices ---- */

static uint32_t virt_id(unsigned i)
{
    return 0x100 + i;
}

static uint64_t word_of(uint32_t id, unsigned i)
{
    return id * UINT64_C(0x100000001) + i;
}

static void plug(Map *map, unsigned i)
{
    Device *device = g_new(Device, 1);

    device->entry.virt_id = virt_id(i);
    device->entry.dev_id = 1 + i;
    for (unsigned w = 0; w < WORDS; w++) {
        device->words[w] = word_of(virt_id(i), w);
    }
    g_assert_true(device_map_add(map->map, &device->entry, NULL));
    map->devices[i] = device;
}

/* As an unplug does. */
static void unplug(Map *map, unsigned i)
{
    Device *device = g_steal_pointer(&map->devices[i]);
    int64_t start = aio_clock_ns();

    device_map_remove(map->map, &device->entry);
    if (removal_waits) {
        rcu_synchronize();
    }
    memset(device, 0xdd, sizeof(*device));
    g_free(device);
    if (map->removals) {
        histogram_record(map->removals, aio_clock_ns() - start);
    }
}

static void map_init(Map *map)
{
    *map = (Map){ .map = device_map_new() };
    for (unsigned i = 0; i < DEVICES; i++) {
        plug(map, i);
    }
}

static void map_destroy(Map *map)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        if (map->devices[i]) {
            unplug(map, i);
        }
    }
    device_map_free(map->map);
    rcu_defer_drain();
}

/* Context: a read section. It is all there, and whose it should be. */
static void check_device(const DeviceEntry *entry, uint32_t id)
{
    const Device *device = caa_container_of(entry, Device, entry);

    g_assert_cmphex(entry->virt_id, ==, id);
    for (unsigned w = 0; w < WORDS; w++) {
        g_assert_cmphex(device->words[w], ==, word_of(id, w));
    }
}

/* One look-up in a section of its own. Return: whether it is there. */
static bool look_up(const Map *map, unsigned i)
{
    const DeviceEntry *entry;

    rcu_section_enter();
    entry = device_map_find_virt(map->map, virt_id(i));
    if (entry) {
        check_device(entry, virt_id(i));
    }
    rcu_section_leave();
    return entry;
}

/* ---- While a removal waits ---- */

/**
 * struct Removal - one of them, and who keeps it waiting
 * @removed: it has returned
 * @leave: the reader may leave its section
 * @inside: it is there, and has the device
 * @lookups: that the witnesses have completed since the device was gone
 */
typedef struct Removal {
    Map map;
    unsigned victim;
    atomic_bool inside;
    atomic_bool removed;
    atomic_bool leave;
    atomic_uint lookups;
} Removal;

static void *parked_reader(void *opaque)
{
    Removal *r = opaque;
    const DeviceEntry *entry;

    rcu_register_thread();
    rcu_section_enter();
    entry = device_map_find_virt(r->map.map, virt_id(r->victim));
    atomic_store(&r->inside, true);
    while (!atomic_load(&r->leave)) {
        sched_yield();
    }
    check_device(entry, virt_id(r->victim));
    rcu_section_leave();
    rcu_unregister_thread();
    return NULL;
}

static void *remover(void *opaque)
{
    Removal *r = opaque;

    rcu_register_thread();
    unplug(&r->map, r->victim);
    atomic_store(&r->removed, true);
    rcu_unregister_thread();
    return NULL;
}

static void *witness(void *opaque)
{
    Removal *r = opaque;

    rcu_register_thread();
    while (look_up(&r->map, r->victim)) {
        sched_yield();
    }
    /* From here on the removal waits for its grace period, or will. */
    for (unsigned i = 0; i < LOOKUPS; i++) {
        bool found = look_up(&r->map, i % DEVICES);

        g_assert_cmpint(found, ==, i % DEVICES != r->victim);
    }
    atomic_fetch_add(&r->lookups, LOOKUPS);
    rcu_unregister_thread();
    return NULL;
}

static void remove_under_reader(Removal *r)
{
    pthread_t parked, removing, witnesses[WITNESSES];

    atomic_store(&r->inside, false);
    atomic_store(&r->removed, false);
    atomic_store(&r->leave, false);
    pthread_create(&parked, NULL, parked_reader, r);
    while (!atomic_load(&r->inside)) {
        sched_yield();
    }
    pthread_create(&removing, NULL, remover, r);
    for (unsigned i = 0; i < WITNESSES; i++) {
        pthread_create(&witnesses[i], NULL, witness, r);
    }
    for (unsigned i = 0; i < WITNESSES; i++) {
        pthread_join(witnesses[i], NULL);
    }
    /* One that does not wait is to have freed the device by now. */
    while (!removal_waits && !atomic_load(&r->removed)) {
        sched_yield();
    }
    g_assert_cmpint(atomic_load(&r->removed), ==, !removal_waits);
    atomic_store(&r->leave, true);
    pthread_join(parked, NULL);
    pthread_join(removing, NULL);
}

static void test_lookups_while_removal_waits(void)
{
    Removal r = { .victim = 0 };

    map_init(&r.map);
    for (unsigned i = 0; i < ROUNDS; i++) {
        r.victim = i % DEVICES;
        remove_under_reader(&r);
        plug(&r.map, r.victim);
    }
    g_assert_cmpuint(r.lookups, ==, ROUNDS * WITNESSES * LOOKUPS);
    map_destroy(&r.map);
}

/* ---- How long look-ups take ---- */

typedef struct Reader {
    const Map *map;
    Histogram *sections;
    atomic_int *busy;           /* readers that are not done */
    pthread_t thread;
} Reader;

static void *measuring_reader(void *opaque)
{
    Reader *reader = opaque;

    rcu_register_thread();
    for (gint i = 0; i < lookup_count; i++) {
        int64_t start = aio_clock_ns();

        look_up(reader->map, i % DEVICES);
        histogram_record(reader->sections, aio_clock_ns() - start);
    }
    atomic_fetch_sub(reader->busy, 1);
    rcu_unregister_thread();
    return NULL;
}

/* Half of the devices stay, the others come and go, until all have read. */
static void storm_until_done(Map *map, atomic_int *busy)
{
    for (unsigned i = 0; atomic_load(busy) > 0; i = (i + 2) % DEVICES) {
        if (map->devices[i]) {
            unplug(map, i);
        } else {
            plug(map, i);
        }
    }
}

static void measure_lookups(Map *map, bool storm)
{
    g_autofree Reader *readers = g_new0(Reader, reader_count);
    const char *when = storm ? "storm" : "calm";
    atomic_int busy = reader_count;

    for (gint i = 0; i < reader_count; i++) {
        readers[i].map = map;
        readers[i].sections = histogram_new();
        readers[i].busy = &busy;
        pthread_create(&readers[i].thread, NULL, measuring_reader,
                       &readers[i]);
    }
    if (storm) {
        storm_until_done(map, &busy);
    }
    for (gint i = 0; i < reader_count; i++) {
        pthread_join(readers[i].thread, NULL);
        latency_report("look-up", when, readers[i].sections);
        histogram_free(readers[i].sections);
    }
}

static void test_measure_lookups(void)
{
    Map map;

    map_init(&map);
    measure_lookups(&map, false);
    map.removals = histogram_new();
    measure_lookups(&map, true);
    latency_report("removal", "storm", map.removals);
    histogram_free(g_steal_pointer(&map.removals));
    map_destroy(&map);
}

static void test_measure_deliveries(void)
{
    delivery_latency_measure(request_count);
}

/* ---- The program ---- */

void latency_report(const char *what, const char *when,
                    const Histogram *histogram)
{
    g_autofree HistogramSnapshot *s = g_new0(HistogramSnapshot, 1);

    histogram_snapshot(histogram, s);
    g_test_message("%-9s %-5s %8" PRIu64 " times, ns: p50 %" PRIu64
                   ", p99 %" PRIu64 ", p99.9 %" PRIu64 ", max %" PRIu64,
                   what, when, s->total, histogram_snapshot_quantile(s, 500),
                   histogram_snapshot_quantile(s, 990),
                   histogram_snapshot_quantile(s, 999), s->max);
}

static const GOptionEntry options[] = {
    { "readers", 0, 0, G_OPTION_ARG_INT, &reader_count, "Threads (1)", "N" },
    { "lookups", 0, 0, G_OPTION_ARG_INT, &lookup_count,
      "Of each, with and without a storm (300000)", "N" },
    { "requests", 0, 0, G_OPTION_ARG_INT, &request_count,
      "Page requests, the same (2000)", "N" },
    G_OPTION_ENTRY_NULL,
};

int main(int argc, char **argv)
{
    int ret;

    own_options_parse(options, &argc, &argv);
    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/stress/readers/look-up-while-a-removal-waits",
                    test_lookups_while_removal_waits);
    g_test_add_func("/stress/readers/deliver-while-a-removal-waits",
                    test_deliveries_while_removal_waits);
    g_test_add_func("/stress/readers/time-of-look-ups", test_measure_lookups);
    g_test_add_func("/stress/readers/time-of-page-requests",
                    test_measure_deliveries);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
