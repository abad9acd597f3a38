/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Against a walker written here from the specification (Intel D51397, 9.7):
 * what a device finds, and what the guest finds afterwards.
 */
#include "guest-address-space.h"

#include "base/lock.h"
#include "base/rcu.h"
#include "base/thread.h"

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

enum {
    PAGES = 24,
    FRAMES = PAGES + GUEST_TAKE_MAX,
    BYTES = PAGES * GUEST_FRAME_BYTES,
};

/* Half of the pages on each side of a boundary of every level. */
#define BASE ((UINT64_C(1) << 39) - PAGES / 2 * GUEST_FRAME_BYTES)

enum { P = 1, RW = 2, US = 4, A = 0x20, D = 0x40 };
#define ADDR_MASK UINT64_C(0x000ffffffffff000)

typedef struct Fixture {
    GuestRam *ram;
    GuestFrames *frames;
    GuestAddressSpace *space;
    unsigned flushes;           /* calls */
    size_t flushed;             /* pages */
    uint8_t *translated;        /* by a device, before the flush */
    void (*on_flush)(struct Fixture *fixture, const uint64_t *addrs,
                     size_t count);
} Fixture;

/* The entry of the last level, or NULL if a table is not there. */
static uint64_t *find_pte(Fixture *fixture, uint64_t addr)
{
    uint64_t table = guest_address_space_get_root(fixture->space);

    for (int shift = 39; ; shift -= 9) {
        uint64_t *entry = (uint64_t *)guest_ram_ptr(fixture->ram, table) +
                          (addr >> shift) % 512;
        uint64_t word;

        if (shift == 12) {
            return entry;
        }
        word = __atomic_load_n(entry, __ATOMIC_RELAXED);
        if ((word & (P | RW | US)) != (P | RW | US)) {
            return NULL;
        }
        table = word & ADDR_MASK;
    }
}

/* As an IOMMU: where @addr is, with A and D set, or NULL. */
static uint8_t *translate(Fixture *fixture, uint64_t addr, bool write)
{
    uint64_t *pte = find_pte(fixture, addr);
    uint64_t old, new;

    do {
        old = __atomic_load_n(pte, __ATOMIC_ACQUIRE);
        if (!(old & P) || !(old & US) || (write && !(old & RW))) {
            return NULL;
        }
        new = old | A | (write ? D : 0);
    } while (!__atomic_compare_exchange_n(pte, &old, new, false,
                                          __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    return (uint8_t *)guest_ram_ptr(fixture->ram, new & ADDR_MASK) +
           addr % GUEST_FRAME_BYTES;
}

static void on_flush(void *opaque, const uint64_t *addrs, size_t count)
{
    Fixture *fixture = opaque;

    fixture->flushes++;
    fixture->flushed += count;
    if (fixture->on_flush) {
        fixture->on_flush(fixture, addrs, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        g_assert_null(translate(fixture, addrs[i], false));
    }
}

static void fixture_set_up(Fixture *fixture, gconstpointer data)
{
    GError *error = NULL;
    GuestAddressSpaceConfig config = {
        .base = BASE, .pages = PAGES, .contents = true, .flush = on_flush,
        .opaque = fixture,
    };
    uint64_t bytes = FRAMES * GUEST_FRAME_BYTES +
                     guest_address_space_table_bytes(PAGES);

    fixture->ram = guest_ram_new(bytes, &error);
    g_assert_no_error(error);
    fixture->frames = guest_frames_new(fixture->ram, FRAMES, true, &error);
    g_assert_no_error(error);
    config.ram = fixture->ram;
    config.frames = fixture->frames;
    fixture->space = guest_address_space_new(&config, &error);
    g_assert_no_error(error);
}

static void fixture_tear_down(Fixture *fixture, gconstpointer data)
{
    guest_frames_check(fixture->frames);
    g_assert_cmpuint(guest_frames_get_damaged(fixture->frames), ==, 0);
    g_assert_cmpuint(
        guest_address_space_get_counts(fixture->space).corrupt, ==, 0);
    guest_address_space_free(fixture->space);
    guest_frames_free(fixture->frames);
    guest_ram_free(fixture->ram);
}

static uint64_t addr_of(size_t index)
{
    return BASE + index * GUEST_FRAME_BYTES;
}

static void take_all(Fixture *fixture)
{
    Prng prng = { 1 };

    while (guest_address_space_take(fixture->space, &prng, GUEST_TAKE_MAX)) {
    }
    g_assert_cmpuint(guest_address_space_count_in(fixture->space), ==, 0);
}

static void test_pages_start_out(Fixture *fixture, gconstpointer data)
{
    uint8_t bytes[GUEST_FRAME_BYTES];

    for (size_t i = 0; i < PAGES; i++) {
        g_assert_nonnull(find_pte(fixture, addr_of(i)));
        g_assert_null(translate(fixture, addr_of(i), false));
        guest_address_space_read(fixture->space, addr_of(i), bytes,
                                 sizeof(bytes));
        for (size_t j = 0; j < sizeof(bytes); j++) {
            g_assert_cmpuint(bytes[j], ==, 0);
        }
    }
    g_assert_cmpuint(guest_address_space_count_in(fixture->space), ==, 0);
}

static void test_no_such_page(Fixture *fixture, gconstpointer data)
{
    static const uint64_t addrs[] = {
        0, BASE - 1, BASE - GUEST_FRAME_BYTES, BASE + BYTES,
        UINT64_C(0xffff800000000000), UINT64_MAX,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(addrs); i++) {
        g_assert_false(guest_address_space_map(fixture->space, addrs[i],
                                               false));
    }
    g_assert_true(guest_address_space_map(fixture->space, BASE + BYTES - 1,
                                          false));
}

/* Read-only where only reading was asked for, until writing is. */
static void test_permission_as_asked_for(Fixture *fixture, gconstpointer data)
{
    GuestAddressSpaceCounts counts;

    g_assert_true(guest_address_space_map(fixture->space, BASE, false));
    g_assert_nonnull(translate(fixture, BASE, false));
    g_assert_null(translate(fixture, BASE, true));
    g_assert_true(guest_address_space_map(fixture->space, BASE, false));
    g_assert_null(translate(fixture, BASE, true));
    g_assert_true(guest_address_space_map(fixture->space, BASE, true));
    g_assert_nonnull(translate(fixture, BASE, true));
    g_assert_true(guest_address_space_map(fixture->space, BASE, true));
    counts = guest_address_space_get_counts(fixture->space);
    g_assert_cmpuint(counts.mapped, ==, 1);
    g_assert_cmpuint(counts.upgraded, ==, 1);
}

/* Two bytes in two pages, on both sides of the boundary of all levels. */
static void test_contents_come_and_go(Fixture *fixture, gconstpointer data)
{
    const uint64_t edge = UINT64_C(1) << 39;
    uint8_t bytes[4] = { 1, 2, 3, 4 };

    guest_address_space_write(fixture->space, edge - 2, bytes, 4);
    for (int round = 0; round < 3; round++) {
        g_assert_true(guest_address_space_map(fixture->space, edge - 1, true));
        g_assert_true(guest_address_space_map(fixture->space, edge, true));
        for (int i = 0; i < 4; i++) {
            uint8_t *byte = translate(fixture, edge - 2 + i, true);

            g_assert_nonnull(byte);
            g_assert_cmpuint(*byte, ==, bytes[i]);
            *byte = bytes[i] = 10 * round + i;
        }
        take_all(fixture);
        g_assert_null(translate(fixture, edge, false));
        guest_address_space_read(fixture->space, edge - 2, bytes, 4);
        for (int i = 0; i < 4; i++) {
            g_assert_cmpuint(bytes[i], ==, 10 * round + i);
        }
    }
    g_assert_cmpuint(
        guest_address_space_get_counts(fixture->space).taken, ==, 6);
}

/* So a walker that does not set Dirty loses what is written. */
static void test_dirty_decides_what_is_kept(Fixture *fixture,
                                            gconstpointer data)
{
    for (int with_dirty = 0; with_dirty < 2; with_dirty++) {
        uint8_t byte = 0;

        g_assert_true(guest_address_space_map(fixture->space, BASE, true));
        *translate(fixture, BASE, with_dirty) = 7;
        take_all(fixture);
        guest_address_space_read(fixture->space, BASE, &byte, 1);
        g_assert_cmpuint(byte, ==, with_dirty ? 7 : 0);
    }
}

/* The guest's own writes need no Dirty. */
static void test_guest_writes_are_kept(Fixture *fixture, gconstpointer data)
{
    uint8_t byte = 9;

    g_assert_true(guest_address_space_map(fixture->space, BASE, false));
    guest_address_space_write(fixture->space, BASE, &byte, 1);
    g_assert_cmpuint(*translate(fixture, BASE, false), ==, 9);
    take_all(fixture);
    byte = 0;
    guest_address_space_read(fixture->space, BASE, &byte, 1);
    g_assert_cmpuint(byte, ==, 9);
}

/* Whoever translated it before the flush may write until it is over. */
static void write_late(Fixture *fixture, const uint64_t *addrs, size_t count)
{
    g_assert_cmpuint(count, ==, 1);
    memset(fixture->translated, 0x11, 16);
}

static void test_writes_until_the_flush_are_kept(Fixture *fixture,
                                                 gconstpointer data)
{
    uint8_t bytes[16];
    Prng prng = { 0 };

    g_assert_true(guest_address_space_map(fixture->space, BASE, true));
    fixture->translated = translate(fixture, BASE, true);
    fixture->on_flush = write_late;
    g_assert_cmpuint(guest_address_space_take(fixture->space, &prng, 9), ==, 1);
    guest_address_space_read(fixture->space, BASE, bytes, sizeof(bytes));
    for (int i = 0; i < 16; i++) {
        g_assert_cmpuint(bytes[i], ==, 0x11);
    }
}

static void map_again(Fixture *fixture, const uint64_t *addrs, size_t count)
{
    g_assert_true(guest_address_space_map(fixture->space, addrs[0], false));
    *translate(fixture, addrs[0], false) = 5;
}

/* It stays where it is, and what was dirty is so still. */
static void test_page_asked_for_while_it_leaves(Fixture *fixture,
                                                gconstpointer data)
{
    GuestAddressSpaceCounts counts;
    uint8_t byte = 0;
    Prng prng = { 0 };

    g_assert_true(guest_address_space_map(fixture->space, BASE, true));
    *translate(fixture, BASE, true) = 4;
    fixture->on_flush = map_again;
    g_assert_cmpuint(guest_address_space_take(fixture->space, &prng, 9), ==, 1);
    g_assert_cmpuint(guest_address_space_count_in(fixture->space), ==, 1);
    g_assert_cmpuint(*translate(fixture, BASE, false), ==, 5);
    counts = guest_address_space_get_counts(fixture->space);
    g_assert_cmpuint(counts.saved, ==, 1);
    g_assert_cmpuint(counts.taken, ==, 0);
    fixture->on_flush = NULL;
    take_all(fixture);
    guest_address_space_read(fixture->space, BASE, &byte, 1);
    g_assert_cmpuint(byte, ==, 5);
}

static void test_write_to_absent_pte_is_found(Fixture *fixture,
                                              gconstpointer data)
{
    *find_pte(fixture, BASE) = D;
    g_assert_true(guest_address_space_map(fixture->space, BASE, true));
    g_assert_cmpuint(
        guest_address_space_get_counts(fixture->space).corrupt, ==, 1);
    /* The rest of the test is to find a space without fault. */
    guest_address_space_free(fixture->space);
    guest_frames_free(fixture->frames);
    guest_ram_free(fixture->ram);
    fixture_set_up(fixture, NULL);
}

static void test_takes_are_batched(Fixture *fixture, gconstpointer data)
{
    for (size_t i = 0; i < PAGES; i++) {
        g_assert_true(guest_address_space_map(fixture->space, addr_of(i),
                                              false));
    }
    g_assert_cmpuint(guest_address_space_count_in(fixture->space), ==, PAGES);
    take_all(fixture);
    g_assert_cmpuint(fixture->flushes, ==, 1);
    g_assert_cmpuint(fixture->flushed, ==, PAGES);
}

static void test_ram_or_frames_run_out(void)
{
    g_autoptr(GError) error = NULL;
    Fixture fixture = { 0 };
    GuestAddressSpaceConfig config = {
        .base = BASE, .pages = PAGES, .flush = on_flush, .opaque = &fixture,
    };
    uint64_t tables = guest_address_space_table_bytes(PAGES);

    config.ram = guest_ram_new(GUEST_FRAME_BYTES + tables, &error);
    g_assert_no_error(error);
    config.frames = guest_frames_new(config.ram, 1, true, &error);
    g_assert_no_error(error);
    fixture.space = guest_address_space_new(&config, &error);
    g_assert_no_error(error);
    g_assert_null(guest_address_space_new(&config, &error));
    g_assert_nonnull(error);
    g_assert_true(guest_address_space_map(fixture.space, BASE, false));
    g_assert_true(guest_address_space_map(fixture.space, BASE, true));
    g_assert_false(guest_address_space_map(fixture.space, addr_of(1), false));
    guest_address_space_free(fixture.space);
    guest_frames_free(config.frames);
    guest_ram_free(config.ram);
}

/* ---- Threads: a device, a handler of page requests, one that takes ---- */

enum { WRITES = 20000, TAKEN = 2000 };

typedef struct Device {
    Fixture *fixture;
    atomic_bool stop;
    uint64_t wanted;            /* address, between the two */
    sem_t asked;
    sem_t mapped;
    unsigned writes;
    atomic_uint taken;          /* pages */
} Device;

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) < 0) {
        continue;
    }
}

static void wait_for_readers(Fixture *fixture, const uint64_t *addrs,
                             size_t count)
{
    rcu_synchronize();
}

/* Counts up the first word of each page, by translations of its own. */
static void *run_device(void *opaque)
{
    Device *device = opaque;
    Prng prng = { 42 };

    rcu_register_thread();
    while (device->writes < WRITES || atomic_load(&device->taken) < TAKEN) {
        uint64_t addr = addr_of(prng_below(&prng, PAGES));
        uint64_t *word;

        rcu_section_enter();
        word = (uint64_t *)translate(device->fixture, addr, true);
        if (word) {
            ++*word;
            device->writes++;
        }
        rcu_section_leave();
        if (!word) {
            device->wanted = addr;
            sem_post(&device->asked);
            wait_for(&device->mapped);
        }
    }
    atomic_store(&device->stop, true);
    sem_post(&device->asked);
    rcu_unregister_thread();
    return NULL;
}

static void *run_handler(void *opaque)
{
    Device *device = opaque;

    rcu_register_thread();
    wait_for(&device->asked);
    while (!atomic_load(&device->stop)) {
        g_assert_true(guest_address_space_map(device->fixture->space,
                                              device->wanted, true));
        sem_post(&device->mapped);
        wait_for(&device->asked);
    }
    rcu_unregister_thread();
    return NULL;
}

static void test_nothing_is_lost_among_threads(Fixture *fixture,
                                               gconstpointer data)
{
    Device device = { .fixture = fixture };
    pthread_t threads[2];
    uint64_t sum = 0;
    Prng prng = { 7 };

    fixture->on_flush = wait_for_readers;
    sem_init(&device.asked, 0, 0);
    sem_init(&device.mapped, 0, 0);
    g_assert_cmpint(thread_create(&threads[0], run_device, &device), ==, 0);
    g_assert_cmpint(thread_create(&threads[1], run_handler, &device), ==, 0);
    while (!atomic_load(&device.stop)) {
        atomic_fetch_add(&device.taken,
                         guest_address_space_take(fixture->space, &prng,
                                                  PAGES / 2));
        sched_yield();
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    sem_destroy(&device.asked);
    sem_destroy(&device.mapped);
    for (size_t i = 0; i < PAGES; i++) {
        uint64_t word;

        guest_address_space_read(fixture->space, addr_of(i), &word, 8);
        sum += word;
    }
    g_assert_cmpuint(sum, ==, device.writes);
}

static void add(const char *path, void (*test)(Fixture *, gconstpointer))
{
    g_autofree char *full = g_strconcat("/guest-address-space/", path, NULL);

    g_test_add(full, Fixture, NULL, fixture_set_up, test, fixture_tear_down);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    add("pages-start-out", test_pages_start_out);
    add("no-such-page", test_no_such_page);
    add("permission-as-asked-for", test_permission_as_asked_for);
    add("contents-come-and-go", test_contents_come_and_go);
    add("dirty-decides-what-is-kept", test_dirty_decides_what_is_kept);
    add("guest-writes-are-kept", test_guest_writes_are_kept);
    add("writes-until-the-flush-are-kept",
        test_writes_until_the_flush_are_kept);
    add("page-asked-for-while-it-leaves", test_page_asked_for_while_it_leaves);
    add("write-to-absent-pte-is-found", test_write_to_absent_pte_is_found);
    add("takes-are-batched", test_takes_are_batched);
    add("nothing-is-lost-among-threads", test_nothing_is_lost_among_threads);
    g_test_add_func("/guest-address-space/ram-or-frames-run-out",
                    test_ram_or_frames_run_out);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
