/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table is sorted by address, never edited once published, and no region
 * in it wraps or overlaps another: a binary search finds the only candidate,
 * and subtraction from its start cannot overflow. Its length lives with it, so
 * one load gives a reader a matching pair.
 *
 * Readers hold the RCU section over their accesses to guest memory, not just
 * over the search: this is what lets guest_mem_set_regions() promise that the
 * old memory may be unmapped.
 *
 * A change of listeners is a walk over the old table and the new one, and so is
 * its undoing: nothing is noted in between.
 */
#include "hw/iommu/guest-mem.h"

#include "base/error.h"
#include "base/lock.h"
#include "base/rcu.h"
#include "base/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#define REGION_ALIGN 4096
#define HVA_ALIGN 8

typedef struct MemTable {
    size_t count;               /* [const] once published */
    GuestMemRegion regions[];   /* [const] once published; by gpa */
} MemTable;

struct GuestMem {
    Lock lock;                  /* serialises writers */
    _Atomic(MemTable *) table;  /* [lock] to store, [RCU] to load */
    GuestMemListener *listeners GUARDED_BY(&lock);
};

/* The last region that begins at or below @gpa, or NULL. */
static const GuestMemRegion *table_find(const MemTable *table, uint64_t gpa)
{
    size_t low = 0, high = table->count;

    /* Regions before low begin at or below gpa, those from high on above. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (table->regions[middle].gpa <= gpa) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? &table->regions[low - 1] : NULL;
}

void *guest_mem_ptr(const GuestMem *mem, uint64_t gpa, uint64_t len)
{
    const GuestMemRegion *region;
    uint64_t offset;

    g_assert(rcu_read_ongoing());
    /* Acquire: pairs with the release store in guest_mem_set_regions(). */
    region = table_find(atomic_load_explicit(&mem->table, memory_order_acquire),
                        gpa);
    if (!region) {
        return NULL;
    }
    offset = gpa - region->gpa;
    if (offset >= region->size || len > region->size - offset) {
        return NULL;
    }
    return (char *)region->hva + offset;
}

/* guest_mem_ptr() of @count words, NULL also if @gpa is misaligned. */
static void *words_ptr(const GuestMem *mem, uint64_t gpa, size_t count)
{
    if (gpa % sizeof(uint64_t) || count > SIZE_MAX / sizeof(uint64_t)) {
        return NULL;
    }
    return guest_mem_ptr(mem, gpa, count * sizeof(uint64_t));
}

bool guest_mem_read_words(const GuestMem *mem, uint64_t gpa, uint64_t *words,
                          size_t count)
{
    const void *host;

    rcu_section_enter();
    host = words_ptr(mem, gpa, count);
    if (host) {
        guest_words_load(words, host, count);
    }
    rcu_section_leave();
    return host != NULL;
}

bool guest_mem_write_words(const GuestMem *mem, uint64_t gpa,
                           const uint64_t *words, size_t count)
{
    void *host;

    rcu_section_enter();
    host = words_ptr(mem, gpa, count);
    if (host) {
        guest_words_store(host, words, count);
    }
    rcu_section_leave();
    return host != NULL;
}

bool guest_mem_write_u32(const GuestMem *mem, uint64_t gpa, uint32_t value)
{
    uint32_t *host = NULL;

    rcu_section_enter();
    if (gpa % sizeof(*host) == 0) {
        host = guest_mem_ptr(mem, gpa, sizeof(*host));
    }
    if (host) {
        /* Release: pairs with the guest's load of the word, then of data. */
        __atomic_store_n(host, GUINT32_TO_LE(value), __ATOMIC_RELEASE);
    }
    rcu_section_leave();
    return host != NULL;
}

/* What is wrong with @region by itself, or NULL. */
static const char *region_fault(const GuestMemRegion *region)
{
    if (region->size == 0 || region->size % REGION_ALIGN) {
        return "size must be a multiple of 4096, not 0";
    }
    if (region->gpa % REGION_ALIGN) {
        return "address must be a multiple of 4096";
    }
    /* The last byte counts: a region may end where the address space does. */
    if (region->size - 1 > UINT64_MAX - region->gpa) {
        return "must end below 2^64";
    }
    if (!region->hva || (uintptr_t)region->hva % HVA_ALIGN) {
        return "host address must be a multiple of 8, not NULL";
    }
    if (region->has_fd && (region->fd < 0 || region->offset % REGION_ALIGN)) {
        return "must have an open file, and an offset that is a multiple of "
               "4096";
    }
    return NULL;
}

static bool regions_check(const MemTable *table, GError **error)
{
    for (size_t i = 0; i < table->count; i++) {
        const GuestMemRegion *region = &table->regions[i];
        const GuestMemRegion *prev = i > 0 ? region - 1 : NULL;
        const char *fault = region_fault(region);

        /* prev was checked, so it does not wrap; sorted, so no underflow. */
        if (!fault && prev && region->gpa - prev->gpa < prev->size) {
            fault = "overlaps the region below it";
        }
        if (fault) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "guest memory region 0x%" PRIx64 "+0x%" PRIx64
                        " at host address %p: %s",
                        region->gpa, region->size, region->hva, fault);
            return false;
        }
    }
    return true;
}

static int compare_gpa(const void *a, const void *b)
{
    const GuestMemRegion *left = a, *right = b;

    return (left->gpa > right->gpa) - (left->gpa < right->gpa);
}

static MemTable *table_new(const GuestMemRegion *regions, size_t count,
                           GError **error)
{
    MemTable *table =
        g_try_malloc(sizeof(*table) + count * sizeof(table->regions[0]));

    if (!table) {
        error_set_errno(error, ENOMEM, "guest memory of %zu regions", count);
        return NULL;
    }
    table->count = count;
    for (size_t i = 0; i < count; i++) {
        table->regions[i] = regions[i];
    }
    qsort(table->regions, count, sizeof(table->regions[0]), compare_gpa);
    return table;
}

static bool region_equal(const GuestMemRegion *a, const GuestMemRegion *b)
{
    return a->gpa == b->gpa && a->size == b->size && a->hva == b->hva &&
           a->has_fd == b->has_fd &&
           (!a->has_fd || (a->fd == b->fd && a->offset == b->offset));
}

static bool table_has(const MemTable *table, const GuestMemRegion *region)
{
    const GuestMemRegion *found = table_find(table, region->gpa);

    return found && region_equal(found, region);
}

/* Whether @region is not in @table as it is, but in the way of one that is. */
static bool in_the_way(const MemTable *table, const GuestMemRegion *region)
{
    const GuestMemRegion *found = table_find(table, region->gpa +
                                                    (region->size - 1));

    return found && found->gpa + (found->size - 1) >= region->gpa &&
           !table_has(table, region);
}

/* Take back the first @count regions of @new, as far as they were new. */
static void listener_undo(GuestMemListener *listener, const MemTable *old,
                          const MemTable *new, size_t count)
{
    while (count-- > 0) {
        if (!table_has(old, &new->regions[count])) {
            listener->del(listener, &new->regions[count]);
        }
    }
    for (size_t i = 0; i < old->count; i++) {
        GError *error = NULL;

        if (in_the_way(new, &old->regions[i]) &&
            !listener->add(listener, &old->regions[i], &error)) {
            error_report_err(error);    /* it was there a moment ago */
        }
    }
}

static bool listener_apply(GuestMemListener *listener, const MemTable *old,
                           const MemTable *new, GError **error)
{
    for (size_t i = 0; i < old->count; i++) {
        if (in_the_way(new, &old->regions[i])) {
            listener->del(listener, &old->regions[i]);
        }
    }
    for (size_t i = 0; i < new->count; i++) {
        if (!table_has(old, &new->regions[i]) &&
            !listener->add(listener, &new->regions[i], error)) {
            listener_undo(listener, old, new, i);
            return false;
        }
    }
    return true;
}

/* What is gone, and has not had to go before. */
static void listener_finish(GuestMemListener *listener, const MemTable *old,
                            const MemTable *new)
{
    for (size_t i = 0; i < old->count; i++) {
        if (!table_has(new, &old->regions[i]) &&
            !in_the_way(new, &old->regions[i])) {
            listener->del(listener, &old->regions[i]);
        }
    }
}

static bool listeners_apply_locked(GuestMem *mem, const MemTable *old,
                                   const MemTable *new, GError **error)
    REQUIRES(&mem->lock)
{
    GuestMemListener *failed;

    for (failed = mem->listeners; failed; failed = failed->next) {
        if (!listener_apply(failed, old, new, error)) {
            break;
        }
    }
    if (!failed) {
        return true;
    }
    for (GuestMemListener *l = mem->listeners; l != failed; l = l->next) {
        listener_undo(l, old, new, new->count);
    }
    return false;
}

/* Return: the table that is out of use, or NULL and @error set. */
static MemTable *replace_locked(GuestMem *mem, MemTable *new, GError **error)
    REQUIRES(&mem->lock)
{
    /* Relaxed: only writers store, under the lock. */
    MemTable *old = atomic_load_explicit(&mem->table, memory_order_relaxed);

    if (!listeners_apply_locked(mem, old, new, error)) {
        return NULL;
    }
    /* Release: pairs with the acquire load in guest_mem_ptr(). */
    atomic_store_explicit(&mem->table, new, memory_order_release);
    rcu_synchronize();
    for (GuestMemListener *l = mem->listeners; l; l = l->next) {
        listener_finish(l, old, new);
    }
    return old;
}

bool guest_mem_set_regions(GuestMem *mem, const GuestMemRegion *regions,
                           size_t count, GError **error)
{
    MemTable *new = table_new(regions, count, error);
    MemTable *old = NULL;

    lock_assert_may_wait();
    if (!new) {
        return false;
    }
    if (regions_check(new, error)) {
        lock_acquire(&mem->lock);
        old = replace_locked(mem, new, error);
        lock_release(&mem->lock);
    }
    g_free(old ? old : new);
    return old;
}

/* As if all regions had been set now: from none to those, or back. */
static const MemTable no_regions;

bool guest_mem_add_listener(GuestMem *mem, GuestMemListener *listener,
                            GError **error)
{
    bool added;

    lock_acquire(&mem->lock);
    /* Relaxed: as in replace_locked(). */
    added = listener_apply(listener, &no_regions,
                           atomic_load_explicit(&mem->table,
                                                memory_order_relaxed), error);
    if (added) {
        listener->next = mem->listeners;
        mem->listeners = listener;
    }
    lock_release(&mem->lock);
    return added;
}

void guest_mem_remove_listener(GuestMem *mem, GuestMemListener *listener)
{
    GuestMemListener **link = &mem->listeners;

    lock_acquire(&mem->lock);
    while (*link != listener) {
        link = &(*link)->next;
    }
    *link = listener->next;
    /* Relaxed: as in replace_locked(). */
    listener_finish(listener, atomic_load_explicit(&mem->table,
                                                   memory_order_relaxed),
                    &no_regions);
    lock_release(&mem->lock);
}

GuestMem *guest_mem_new(void)
{
    GuestMem *mem = g_try_new(GuestMem, 1);
    MemTable *table = table_new(NULL, 0, NULL);

    if (!mem || !table) {
        g_free(table);
        g_free(mem);
        return NULL;
    }
    lock_init(&mem->lock, LOCK_RANK_MEMORY);
    mem->listeners = NULL;
    atomic_init(&mem->table, table);
    return mem;
}

void guest_mem_free(GuestMem *mem)
{
    if (mem) {
        /* Relaxed: no other thread uses it any more. */
        g_free(atomic_load_explicit(&mem->table, memory_order_relaxed));
        lock_destroy(&mem->lock);
        g_free(mem);
    }
}
