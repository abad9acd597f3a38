/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/iommu/guest-mem.h"

#include "base/error.h"
#include "base/rcu.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE UINT64_C(4096)

/* A host address for regions that are looked up, never touched. */
#define SOMEWHERE ((void *)UINT64_C(0x10000000))

#define REGION(a, n, at) { .gpa = (a), .size = (n), .hva = (at) }

static void set_regions(GuestMem *mem, const GuestMemRegion *regions,
                        size_t count)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(guest_mem_set_regions(mem, regions, count, &error));
    g_assert_no_error(error);
}

/* guest_mem_ptr() for comparing only. */
static uintptr_t look_up(const GuestMem *mem, uint64_t gpa, uint64_t len)
{
    uintptr_t address;

    rcu_section_enter();
    address = (uintptr_t)guest_mem_ptr(mem, gpa, len);
    rcu_section_leave();
    return address;
}

static void test_no_region(void)
{
    GuestMem *mem = guest_mem_new();
    uint64_t word = 7;

    g_assert_cmpuint(look_up(mem, 0, 1), ==, 0);
    g_assert_cmpuint(look_up(mem, UINT64_MAX, 1), ==, 0);
    g_assert_false(guest_mem_read_words(mem, 0, &word, 1));
    g_assert_cmpuint(word, ==, 7);
    g_assert_false(guest_mem_write_words(mem, 0, &word, 1));
    g_assert_false(guest_mem_write_u32(mem, 0, 0));
    set_regions(mem, NULL, 0);
    g_assert_cmpuint(look_up(mem, 0, 1), ==, 0);
    guest_mem_free(mem);
    guest_mem_free(NULL);
}

/*
 * Given out of order: [1, 3) pages, then [3, 4) right above it but elsewhere
 * on the host, a hole, and the last page of the address space.
 */
static const GuestMemRegion layout[] = {
    REGION(3 * PAGE, PAGE, (char *)SOMEWHERE + 64 * PAGE),
    REGION(-PAGE, PAGE, (char *)SOMEWHERE + 32 * PAGE),
    REGION(PAGE, 2 * PAGE, SOMEWHERE),
};

static const struct {
    uint64_t gpa;
    uint64_t len;
    uint64_t offset;            /* from SOMEWHERE; -1: NULL */
} bounds[] = {
    { 0, 1, -1 },
    { PAGE - 1, 1, -1 },
    { PAGE - 1, 2, -1 },
    { PAGE, 1, 0 },
    { PAGE, 2 * PAGE, 0 },
    { PAGE, 2 * PAGE + 1, -1 },
    { PAGE, UINT64_MAX, -1 },
    { PAGE, -PAGE, -1 },
    { 2 * PAGE + 8, 8, PAGE + 8 },
    { 3 * PAGE - 1, 1, 2 * PAGE - 1 },
    { 3 * PAGE - 1, 2, -1 },
    { 3 * PAGE, PAGE, 64 * PAGE },
    { 4 * PAGE - 8, 8, 65 * PAGE - 8 },
    { 4 * PAGE - 8, 9, -1 },
    { 4 * PAGE, 0, -1 },
    { 4 * PAGE, 1, -1 },
    { -PAGE - 1, 1, -1 },
    { -PAGE, PAGE, 32 * PAGE },
    { -PAGE, PAGE + 1, -1 },
    { UINT64_MAX, 1, 33 * PAGE - 1 },
    { UINT64_MAX, 2, -1 },
    { UINT64_MAX, UINT64_MAX, -1 },
};

static void test_bounds(void)
{
    GuestMem *mem = guest_mem_new();

    set_regions(mem, layout, G_N_ELEMENTS(layout));
    for (size_t i = 0; i < G_N_ELEMENTS(bounds); i++) {
        uint64_t want = bounds[i].offset == UINT64_MAX
                            ? 0
                            : (uintptr_t)SOMEWHERE + bounds[i].offset;

        g_assert_cmphex(look_up(mem, bounds[i].gpa, bounds[i].len), ==, want);
    }
    guest_mem_free(mem);
}

/* From none to 17 regions with holes: each is found, no hole is. */
static void test_search_every_count(void)
{
    GuestMem *mem = guest_mem_new();
    GuestMemRegion regions[17];

    for (unsigned count = 0; count <= G_N_ELEMENTS(regions); count++) {
        for (unsigned i = 0; i < count; i++) {
            /* Downwards, so that they need sorting. */
            unsigned page = 2 * (count - i);

            regions[i] = (GuestMemRegion)
                REGION(page * PAGE, PAGE, (char *)SOMEWHERE + page * PAGE);
        }
        set_regions(mem, regions, count);
        for (unsigned page = 0; page <= 2 * count + 2; page++) {
            bool there = page >= 2 && page <= 2 * count && page % 2 == 0;

            g_assert_cmphex(look_up(mem, page * PAGE + 8, 8), ==,
                            there ? (uintptr_t)SOMEWHERE + page * PAGE + 8 : 0);
        }
    }
    guest_mem_free(mem);
}

static const struct {
    const char *path;
    const char *text;
    GuestMemRegion regions[2];
    size_t count;
} refused[] = {
    { "empty", "*0x1000+0x0 *not 0*", { REGION(PAGE, 0, SOMEWHERE) }, 1 },
    { "size-misaligned", "*+0x1008 *size*4096*",
      { REGION(0, PAGE + 8, SOMEWHERE) }, 1 },
    { "address-misaligned", "*0x800+*address*4096*",
      { REGION(PAGE / 2, PAGE, SOMEWHERE) }, 1 },
    { "host-address-misaligned", "*0x10000004*multiple of 8*",
      { REGION(0, PAGE, (char *)SOMEWHERE + 4) }, 1 },
    { "host-address-null", "*not NULL*", { REGION(0, PAGE, NULL) }, 1 },
    { "wraps", "*0xfffffffffffff000+0x2000 *below 2^64*",
      { REGION(-PAGE, 2 * PAGE, SOMEWHERE) }, 1 },
    { "wraps-far", "*below 2^64*", { REGION(2 * PAGE, -PAGE, SOMEWHERE) }, 1 },
    { "same-address", "*overlaps*",
      { REGION(PAGE, PAGE, SOMEWHERE), REGION(PAGE, PAGE, SOMEWHERE) }, 2 },
    { "overlap-by-a-page", "*0x2000+*overlaps*",
      { REGION(2 * PAGE, PAGE, SOMEWHERE),
        REGION(PAGE, 2 * PAGE, SOMEWHERE) }, 2 },
    { "one-in-the-other", "*0x2000+*overlaps*",
      { REGION(0, 9 * PAGE, SOMEWHERE),
        REGION(2 * PAGE, PAGE, SOMEWHERE) }, 2 },
    { "overlap-at-the-end", "*0xfffffffffffff000+*overlaps*",
      { REGION(-2 * PAGE, 2 * PAGE, SOMEWHERE),
        REGION(-PAGE, PAGE, SOMEWHERE) }, 2 },
    { "file-misaligned", "*offset*4096*",
      { { .size = PAGE, .hva = SOMEWHERE, .has_fd = true, .offset = 8 } }, 1 },
    { "file-not-open", "*open file*",
      { { .size = PAGE, .hva = SOMEWHERE, .has_fd = true, .fd = -1 } }, 1 },
};

/* The message names the region; the map of before still stands. */
static void test_refused(gconstpointer data)
{
    const size_t i = GPOINTER_TO_SIZE(data);
    GuestMem *mem = guest_mem_new();
    g_autoptr(GError) error = NULL;

    set_regions(mem, layout, G_N_ELEMENTS(layout));
    g_assert_false(guest_mem_set_regions(mem, refused[i].regions,
                                         refused[i].count, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID);
    g_test_message("%s", error->message);
    g_assert_true(g_pattern_match_simple(refused[i].text, error->message));
    g_assert_cmphex(look_up(mem, PAGE, 1), ==, (uintptr_t)SOMEWHERE);
    guest_mem_free(mem);
}

/* Two pages of the heap, so that ASan sees an access beside them. */
typedef struct Fixture {
    GuestMem *mem;
    uint64_t *ram;
} Fixture;

enum { RAM_WORDS = 2 * 4096 / 8 };

static void fixture_set_up(Fixture *f, gconstpointer data)
{
    f->mem = guest_mem_new();
    f->ram = g_new(uint64_t, RAM_WORDS);
    for (size_t i = 0; i < RAM_WORDS; i++) {
        f->ram[i] = i;
    }
    set_regions(f->mem, &(GuestMemRegion) REGION(PAGE, 2 * PAGE, f->ram), 1);
}

static void fixture_tear_down(Fixture *f, gconstpointer data)
{
    guest_mem_free(f->mem);
    g_free(f->ram);
}

static void assert_untouched(const Fixture *f)
{
    for (size_t i = 0; i < RAM_WORDS; i++) {
        g_assert_cmpuint(f->ram[i], ==, i);
    }
}

static void test_words_are_little_endian(Fixture *f, gconstpointer data)
{
    static const uint8_t bytes[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    const uint64_t words[2] = { UINT64_C(0x0807060504030201), 9 };
    uint64_t back[2];

    g_assert_true(guest_mem_write_words(f->mem, 3 * PAGE - 16, words, 2));
    g_assert_cmpmem(&f->ram[RAM_WORDS - 2], 16, bytes, 16);
    g_assert_true(guest_mem_read_words(f->mem, 3 * PAGE - 16, back, 2));
    g_assert_cmpmem(back, 16, words, 16);
    g_assert_cmpuint(f->ram[RAM_WORDS - 3], ==, RAM_WORDS - 3);
}

static void test_u32_is_little_endian(Fixture *f, gconstpointer data)
{
    static const uint8_t bytes[8] = { 0, 0, 0, 0, 4, 3, 2, 1 };

    g_assert_true(guest_mem_write_u32(f->mem, PAGE + 4, 0x01020304));
    g_assert_cmpmem(&f->ram[0], 8, bytes, 8);
    g_assert_cmpuint(f->ram[1], ==, 1);
    g_assert_true(guest_mem_write_u32(f->mem, 3 * PAGE - 4, 0));
}

static void test_words_fail_whole(Fixture *f, gconstpointer data)
{
    static const struct {
        uint64_t gpa;
        size_t count;
    } cases[] = {
        { 0, 1 },
        { PAGE - 8, 1 },
        { PAGE - 8, 4 },
        { PAGE + 1, 1 },
        { PAGE + 4, 1 },
        { PAGE, RAM_WORDS + 1 },
        { 3 * PAGE - 8, 2 },
        { 3 * PAGE - 4, 1 },
        { 3 * PAGE, 1 },
        { -UINT64_C(8), 1 },
        { PAGE, SIZE_MAX / 8 },
        { PAGE, SIZE_MAX / 8 + 2 },     /* 8 bytes, modulo 2^64 */
        { PAGE, SIZE_MAX },
    };
    static const uint64_t junk[RAM_WORDS + 1] = { 77, 77, 77, 77 };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t word = 7;

        g_assert_false(guest_mem_write_words(f->mem, cases[i].gpa, junk,
                                             cases[i].count));
        g_assert_false(guest_mem_read_words(f->mem, cases[i].gpa, &word,
                                            cases[i].count));
        g_assert_cmpuint(word, ==, 7);
    }
    assert_untouched(f);
}

static void test_u32_fails(Fixture *f, gconstpointer data)
{
    static const uint64_t cases[] = {
        0, PAGE - 4, PAGE + 1, PAGE + 2, 3 * PAGE - 2, 3 * PAGE, UINT64_MAX,
        -UINT64_C(4),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_false(guest_mem_write_u32(f->mem, cases[i], 0x77777777));
    }
    assert_untouched(f);
}

static void look_up_outside_section(void)
{
    GuestMem *mem = guest_mem_new();

    guest_mem_ptr(mem, 0, 1);
}

static void test_section_is_asserted(void)
{
    if (g_test_subprocess()) {
        look_up_outside_section();
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*rcu_read_ongoing*");
}

/*
 * Replacement under readers. Round n maps fresh pages that are full of n,
 * between other regions whose number varies, and unmaps those of round n - 1
 * as soon as set_regions() is back: a reader that still used them would fault.
 */
enum { WINDOW_PAGES = 4, READERS = 2, ROUNDS = 400 };

#define WINDOW (64 * PAGE)

static struct {
    GuestMem *mem;
    pthread_barrier_t started;
    atomic_bool stop;
} churn;

static void *window_new(uint64_t value)
{
    uint64_t *words = mmap(NULL, WINDOW_PAGES * PAGE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    g_assert_true(words != MAP_FAILED);
    for (size_t i = 0; i < WINDOW_PAGES * PAGE / 8; i++) {
        words[i] = value;
    }
    return words;
}

static void window_publish(void *window, unsigned neighbours)
{
    GuestMemRegion regions[8];

    g_assert_cmpuint(neighbours, <, G_N_ELEMENTS(regions));
    for (unsigned i = 0; i < neighbours; i++) {
        uint64_t page = i % 2 ? 8 * i : 64 + 8 * i;

        regions[i] = (GuestMemRegion) REGION(page * PAGE, PAGE, SOMEWHERE);
    }
    regions[neighbours] =
        (GuestMemRegion) REGION(WINDOW, WINDOW_PAGES * PAGE, window);
    if (neighbours > 0) {
        /* The first neighbour above would begin where the window does. */
        regions[0].gpa = WINDOW + WINDOW_PAGES * PAGE;
    }
    set_regions(churn.mem, regions, neighbours + 1);
}

static void *churn_reader(void *opaque)
{
    GRand *rand = g_rand_new_with_seed(GPOINTER_TO_UINT(opaque));
    uint64_t newest = 0;

    rcu_register_thread();
    pthread_barrier_wait(&churn.started);
    while (!atomic_load(&churn.stop)) {
        uint64_t gpa =
            WINDOW + 8 * g_rand_int_range(rand, 0, WINDOW_PAGES * PAGE / 8 - 3);
        uint64_t words[4];

        g_assert_true(guest_mem_read_words(churn.mem, gpa, words, 4));
        g_assert_cmpuint(words[0], >=, newest);
        newest = words[0];
        for (unsigned i = 1; i < 4; i++) {
            g_assert_cmpuint(words[i], ==, newest);
        }
        rcu_section_enter();
        guest_words_load(words, guest_mem_ptr(churn.mem, gpa, 8), 1);
        rcu_section_leave();
        g_assert_cmpuint(words[0], >=, newest);
    }
    rcu_unregister_thread();
    g_rand_free(rand);
    return NULL;
}

static void test_replaced_under_readers(void)
{
    pthread_t threads[READERS];
    void *window = window_new(1);

    churn.mem = guest_mem_new();
    atomic_store(&churn.stop, false);
    window_publish(window, 0);
    pthread_barrier_init(&churn.started, NULL, READERS + 1);
    for (uintptr_t i = 0; i < READERS; i++) {
        pthread_create(&threads[i], NULL, churn_reader, (void *)i);
    }
    pthread_barrier_wait(&churn.started);
    for (unsigned round = 2; round < ROUNDS; round++) {
        void *next = window_new(round);

        window_publish(next, round % 8);
        g_assert_cmpint(munmap(window, WINDOW_PAGES * PAGE), ==, 0);
        window = next;
    }
    atomic_store(&churn.stop, true);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&churn.started);
    guest_mem_free(churn.mem);
    munmap(window, WINDOW_PAGES * PAGE);
}

static void *replace_thread(void *opaque)
{
    atomic_bool *returned = opaque;

    rcu_register_thread();
    window_publish(SOMEWHERE, 0);
    atomic_store(returned, true);
    rcu_unregister_thread();
    return NULL;
}

/* The new map is in force, but its setter waits for the section to end. */
static void test_set_waits_for_sections(void)
{
    enum { PATIENCE = 2000 };
    atomic_bool returned = false;
    uint64_t old = 5;
    pthread_t thread;

    churn.mem = guest_mem_new();
    window_publish(&old, 0);
    rcu_section_enter();
    void *borrowed = guest_mem_ptr(churn.mem, WINDOW, 8);

    pthread_create(&thread, NULL, replace_thread, &returned);
    while (guest_mem_ptr(churn.mem, WINDOW, 8) != SOMEWHERE) {
        sched_yield();
    }
    /* Gives a setter that does not wait a chance to be caught. */
    for (unsigned i = 0; i < PATIENCE; i++) {
        sched_yield();
        g_assert_false(atomic_load(&returned));
    }
    g_assert_true(borrowed == &old);
    rcu_section_leave();
    pthread_join(thread, NULL);
    g_assert_true(atomic_load(&returned));
    guest_mem_free(churn.mem);
}

static void add_fixture_tests(void)
{
    static const struct {
        const char *path;
        void (*func)(Fixture *f, gconstpointer data);
    } tests[] = {
        { "words-are-little-endian", test_words_are_little_endian },
        { "u32-is-little-endian", test_u32_is_little_endian },
        { "words-fail-whole", test_words_fail_whole },
        { "u32-fails", test_u32_fails },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/guest-mem/", tests[i].path, NULL);

        g_test_add(path, Fixture, NULL, fixture_set_up, tests[i].func,
                   fixture_tear_down);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    g_test_add_func("/guest-mem/no-region", test_no_region);
    g_test_add_func("/guest-mem/bounds", test_bounds);
    g_test_add_func("/guest-mem/search-every-count", test_search_every_count);
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autofree char *path =
            g_strconcat("/guest-mem/refused/", refused[i].path, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_refused);
    }
    add_fixture_tests();
    g_test_add_func("/guest-mem/section-is-asserted", test_section_is_asserted);
    g_test_add_func("/guest-mem/replaced-under-readers",
                    test_replaced_under_readers);
    g_test_add_func("/guest-mem/set-waits-for-sections",
                    test_set_waits_for_sections);
    int ret = g_test_run();

    rcu_unregister_thread();
    return ret;
}
