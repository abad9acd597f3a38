/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cached translations: what is found and what is not, and that threads which
 * write the same entry at once never make one of two halves.
 */
#include "hw/iommu/sva-tlb.h"

#include "hw/iommu/page-request.h"
#include "hw/iommu/pgfault-stream.h"

#include <glib.h>
#include <pthread.h>

#define R PGFAULT_PERM_READ
#define W PGFAULT_PERM_WRITE
#define SLOTS ((uint64_t)SVA_TLB_ENTRIES << 12)    /* the same entry again */

static SvaTlb *tlb;
static const uint64_t no_gpa = UINT64_MAX;

static void setup(void)
{
    tlb = g_new0(SvaTlb, 1);
}

static void teardown(void)
{
    g_free(tlb);
}

/* Return: the address, or no_gpa. */
static uint64_t find(uint64_t generation, uint32_t pasid, uint64_t iova,
                     uint32_t perm)
{
    uint64_t gpa;

    return sva_tlb_find(tlb, generation, pasid, iova, perm, &gpa) ? gpa
                                                                  : no_gpa;
}

static void test_empty(void)
{
    for (uint64_t page = 0; page < 2 * SVA_TLB_ENTRIES; page++) {
        g_assert_cmphex(find(1, 0, page << 12, R), ==, no_gpa);
    }
    /* Not even where all is zero. */
    g_assert_cmphex(find(1, 0, 0, 0), ==, no_gpa);
}

static void test_found_by_page(void)
{
    sva_tlb_insert(tlb, 1, 5, 0x12345678, R, 0xabcde678);
    g_assert_cmphex(find(1, 5, 0x12345678, R), ==, 0xabcde678);
    g_assert_cmphex(find(1, 5, 0x12345000, R), ==, 0xabcde000);
    g_assert_cmphex(find(1, 5, 0x12345fff, R), ==, 0xabcdefff);
    g_assert_cmphex(find(1, 5, 0x12346000, R), ==, no_gpa);
    g_assert_cmphex(find(1, 5, 0x12344fff, R), ==, no_gpa);
    g_assert_cmphex(find(1, 5, 0x12345678 + SLOTS, R), ==, no_gpa);
    g_assert_cmphex(find(1, 5, 0x12345678 | UINT64_C(1) << 63, R), ==,
                    no_gpa);
}

static void test_found_by_pasid(void)
{
    sva_tlb_insert(tlb, 1, 5, 0x1000, R, 0x2000);
    sva_tlb_insert(tlb, 1, PAGE_REQUEST_NO_PASID, 0x1000, R, 0x3000);
    g_assert_cmphex(find(1, 5, 0x1000, R), ==, 0x2000);
    g_assert_cmphex(find(1, PAGE_REQUEST_NO_PASID, 0x1000, R), ==, 0x3000);
    for (uint32_t pasid = 0; pasid < 5; pasid++) {
        g_assert_cmphex(find(1, pasid, 0x1000, R), ==, no_gpa);
    }
    /* Those that share the entry. */
    g_assert_cmphex(find(1, 5 + SVA_TLB_ENTRIES, 0x1000, R), ==, no_gpa);
}

static void test_found_by_permission(void)
{
    sva_tlb_insert(tlb, 1, 5, 0x1000, R, 0x2000);
    g_assert_cmphex(find(1, 5, 0x1000, W), ==, no_gpa);
    g_assert_cmphex(find(1, 5, 0x1000, R | W), ==, no_gpa);
    sva_tlb_insert(tlb, 1, 5, 0x1000, R | W, 0x3000);
    g_assert_cmphex(find(1, 5, 0x1000, R), ==, 0x3000);
    g_assert_cmphex(find(1, 5, 0x1000, W), ==, 0x3000);
    g_assert_cmphex(find(1, 5, 0x1000, R | W), ==, 0x3000);
}

static void test_found_by_generation(void)
{
    sva_tlb_insert(tlb, 7, 5, 0x1000, R, 0x2000);
    g_assert_cmphex(find(6, 5, 0x1000, R), ==, no_gpa);
    g_assert_cmphex(find(8, 5, 0x1000, R), ==, no_gpa);
    g_assert_cmphex(find(7, 5, 0x1000, R), ==, 0x2000);
    /* A walk that began before an invalidation and ends after it. */
    sva_tlb_insert(tlb, 6, 5, 0x1000, R, 0x3000);
    g_assert_cmphex(find(7, 5, 0x1000, R), ==, no_gpa);
}

static void test_last_insert_stays(void)
{
    sva_tlb_insert(tlb, 1, 5, 0x1000, R, 0x2000);
    sva_tlb_insert(tlb, 1, 5, 0x1000 + SLOTS, R, 0x3000);
    g_assert_cmphex(find(1, 5, 0x1000, R), ==, no_gpa);
    g_assert_cmphex(find(1, 5, 0x1000 + SLOTS, R), ==, 0x3000);
}

/* Pages in a row are all found: they have entries of their own. */
static void test_a_run_of_pages_fits(void)
{
    for (uint64_t page = 0; page < SVA_TLB_ENTRIES; page++) {
        sva_tlb_insert(tlb, 1, 5, page << 12, R, (page + 1) << 12);
    }
    for (uint64_t page = 0; page < SVA_TLB_ENTRIES; page++) {
        g_assert_cmphex(find(1, 5, page << 12, R), ==, (page + 1) << 12);
    }
}

static void test_drop_is_of_one_page(void)
{
    sva_tlb_insert(tlb, 1, 5, 0x1000, R | W, 0x2000);
    sva_tlb_insert(tlb, 1, 5, 0x3000, R, 0x4000);
    sva_tlb_drop_page(tlb, 5, 0x1000 + SLOTS);
    sva_tlb_drop_page(tlb, 5 + SVA_TLB_ENTRIES, 0x1000);
    g_assert_cmphex(find(1, 5, 0x1000, R), ==, 0x2000);
    sva_tlb_drop_page(tlb, 5, 0x1abc);
    g_assert_cmphex(find(1, 5, 0x1000, R), ==, no_gpa);
    g_assert_cmphex(find(1, 5, 0x3000, R), ==, 0x4000);
}

/* The entry of @iova, by what an insert changes. */
static SvaTlbEntry *entry_of(uint32_t pasid, uint64_t iova)
{
    for (unsigned i = 0; i < SVA_TLB_ENTRIES; i++) {
        uint64_t before = atomic_load(&tlb->entries[i].sequence);

        sva_tlb_insert(tlb, 1, pasid, iova, R, 0x2000);
        if (atomic_load(&tlb->entries[i].sequence) != before) {
            return &tlb->entries[i];
        }
    }
    g_assert_not_reached();
}

/* Somebody was preempted in the middle of it: nobody waits, nobody reads. */
static void test_entry_being_written_is_passed_by(void)
{
    SvaTlbEntry *entry = entry_of(5, 0x1000);

    g_assert_cmphex(find(1, 5, 0x1000, R), ==, 0x2000);
    atomic_fetch_add(&entry->sequence, 1);
    g_assert_cmphex(find(1, 5, 0x1000, R), ==, no_gpa);
    sva_tlb_insert(tlb, 1, 5, 0x1000 + SLOTS, R, 0x3000);
    sva_tlb_drop_page(tlb, 5, 0x1000);
    atomic_fetch_add(&entry->sequence, 1);
    g_assert_cmphex(find(1, 5, 0x1000, R), ==, 0x2000);
}

/* ---- Threads ---- */

enum { PAGES = 8 };             /* that share one entry */

static _Atomic uint64_t generation;
static atomic_bool over;

/* Every part of an entry is in the address. */
static uint64_t address(uint64_t gen, uint32_t pasid, uint64_t iova)
{
    return (gen << 24 | (uint64_t)pasid << 16 | (iova >> 20 & 0xff)) << 12;
}

static void *writer_thread(void *opaque)
{
    unsigned rounds = g_test_quick() ? 200000 : 5000000;

    for (unsigned i = 0; i < rounds; i++) {
        uint64_t gen = atomic_load(&generation);
        uint32_t pasid = i % 2 ? 1 : 1 + SVA_TLB_ENTRIES;
        uint64_t iova = i % PAGES * SLOTS;

        if (i % 16 == 15) {
            sva_tlb_drop_page(tlb, pasid, iova);
        } else {
            sva_tlb_insert(tlb, gen, pasid, iova, R,
                           address(gen, pasid, iova));
        }
    }
    return NULL;
}

static void *reader_thread(void *opaque)
{
    uint64_t *found = opaque;

    /* Once at least: what the writers have left is there to be found. */
    do {
        uint64_t gen = atomic_load(&generation);

        for (unsigned i = 0; i < 2 * PAGES; i++) {
            uint32_t pasid = i % 2 ? 1 : 1 + SVA_TLB_ENTRIES;
            uint64_t iova = i % PAGES * SLOTS;
            uint64_t gpa;

            if (sva_tlb_find(tlb, gen, pasid, iova, R, &gpa)) {
                g_assert_cmphex(gpa, ==, address(gen, pasid, iova));
                ++*found;
            }
        }
    } while (!atomic_load(&over));
    return NULL;
}

static void *invalidator_thread(void *opaque)
{
    while (!atomic_load(&over)) {
        atomic_fetch_add(&generation, 1);
        sched_yield();
    }
    return NULL;
}

static pthread_t start(void *(*func)(void *), void *opaque)
{
    pthread_t thread;

    g_assert_cmpint(pthread_create(&thread, NULL, func, opaque), ==, 0);
    return thread;
}

static void test_threads(bool invalidate)
{
    uint64_t found[2] = { 0 };
    pthread_t writers[2];
    pthread_t readers[2];
    pthread_t invalidator;

    atomic_store(&generation, 1);
    atomic_store(&over, false);
    for (unsigned i = 0; i < 2; i++) {
        writers[i] = start(writer_thread, NULL);
        readers[i] = start(reader_thread, &found[i]);
    }
    if (invalidate) {
        invalidator = start(invalidator_thread, NULL);
    }
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(writers[i], NULL);
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(readers[i], NULL);
    }
    if (invalidate) {
        pthread_join(invalidator, NULL);
    } else {
        g_assert_cmpuint(found[0] + found[1], >, 0);
    }
    g_test_message("%" G_GUINT64_FORMAT " found", found[0] + found[1]);
}

static void test_no_torn_entry(void)
{
    test_threads(false);
}

static void test_no_old_generation(void)
{
    test_threads(true);
}

static void run(gconstpointer func)
{
    setup();
    (*(void (*const *)(void))func)();
    teardown();
}

typedef struct Test {
    const char *path;
    void (*func)(void);
} Test;

static const Test tests[] = {
    { "empty", test_empty },
    { "found/by-page", test_found_by_page },
    { "found/by-pasid", test_found_by_pasid },
    { "found/by-permission", test_found_by_permission },
    { "found/by-generation", test_found_by_generation },
    { "last-insert-stays", test_last_insert_stays },
    { "a-run-of-pages-fits", test_a_run_of_pages_fits },
    { "drop-is-of-one-page", test_drop_is_of_one_page },
    { "entry-being-written-is-passed-by",
      test_entry_being_written_is_passed_by },
    { "threads/no-torn-entry", test_no_torn_entry },
    { "threads/no-old-generation", test_no_old_generation },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/sva-tlb/%s", tests[i].path);

        g_test_add_data_func(path, &tests[i].func, run);
    }
    return g_test_run();
}
