/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An RCU table: an array of the entries, and per kind of ID an open-addressed
 * index into it. To add is to replace it. To remove must not fail for want of
 * memory, so it only marks the entry's place, and the next table leaves it out.
 *
 * Invariant of an index: at most half of its slots are taken, and every ID
 * stands within DEVICE_MAP_PROBES slots of its home, so a lookup may give up
 * there. A hash that does not achieve this for the IDs at hand is replaced by
 * another, and after a few of those the index by a larger one. That ends soon:
 * by an odd multiplier taken at random, two IDs share a home with a
 * probability of 2 / size at most.
 */
#include "hw/iommu/device-map.h"

#include "base/error.h"
#include "base/lock.h"
#include "base/rcu.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>

/* 2^32 divided by the golden ratio: spreads runs of IDs evenly. */
#define FIRST_MULTIPLIER UINT32_C(0x9e3779b1)
#define MULTIPLIERS_PER_SIZE 4

typedef struct Slot {
    uint32_t id;
    uint32_t place;             /* 1 + position in the entries; 0: not taken */
} Slot;

typedef struct IdIndex {
    unsigned bits;              /* 2^bits slots, 1 to 31 */
    uint32_t multiplier;
    unsigned probes;            /* of the ID furthest from its home */
    Slot *slots;
} IdIndex;

typedef struct DeviceTable {
    RcuDeferred deferred;       /* once replaced */
    IdIndex by_virt;            /* [const] once published, as all below */
    IdIndex by_dev;
    size_t count;               /* those removed since included */
    DeviceEntry *_Atomic entries[]; /* count of them, then NULL for walks;
                                       [lock] to mark as removed */
} DeviceTable;

/* In the place of one that was removed. */
static DeviceEntry removed;

_Static_assert(sizeof(size_t) == sizeof(DeviceEntry **), "cursor of a walk");

struct DeviceMap {
    Lock lock;                      /* serialises writers */
    _Atomic(DeviceTable *) table;   /* [lock] to store, [RCU] to load */
    atomic_size_t count;            /* [lock] to store */
};

static uint32_t index_mask(const IdIndex *index)
{
    return (UINT32_C(1) << index->bits) - 1;
}

/* Where @id should stand: the top bits, which depend on every bit of it. */
static uint32_t index_home(const IdIndex *index, uint32_t id)
{
    return (id * index->multiplier) >> (32 - index->bits);
}

/* Return: Slot::place, or 0 if @id is not there. */
static uint32_t index_find(const IdIndex *index, uint32_t id)
{
    uint32_t home = index_home(index, id);

    /* Not the invariant's bound but this table's own, which is smaller. */
    for (unsigned i = 0; i < index->probes; i++) {
        const Slot *slot = &index->slots[(home + i) & index_mask(index)];

        if (slot->place == 0 || slot->id == id) {
            return slot->place;
        }
    }
    return 0;
}

/* Return: false if @id would stand too far from its home. */
static bool index_insert(IdIndex *index, uint32_t id, uint32_t place)
{
    uint32_t home = index_home(index, id);

    for (unsigned i = 0; i < DEVICE_MAP_PROBES; i++) {
        Slot *slot = &index->slots[(home + i) & index_mask(index)];

        if (slot->place == 0) {
            *slot = (Slot) { .id = id, .place = place };
            index->probes = MAX(index->probes, i + 1);
            return true;
        }
    }
    return false;
}

static uint32_t entry_id(const DeviceEntry *entry, size_t field)
{
    return G_STRUCT_MEMBER(uint32_t, entry, field);
}

/* An emulated device has no ID of the host's. */
static bool is_indexed(size_t field, uint32_t id)
{
    return field != offsetof(DeviceEntry, dev_id) ||
           id != DEVICE_MAP_NO_DEV_ID;
}

/*
 * Relaxed: what it leads to was published with the table, and whoever meets
 * the mark of a removal touches nothing.
 */
static DeviceEntry *table_entry(const DeviceTable *table, size_t i)
{
    DeviceEntry *entry = atomic_load_explicit(&table->entries[i],
                                              memory_order_relaxed);

    return entry != &removed ? entry : NULL;
}

/* Fill @index, which has slots. False: with its multiplier it cannot be. */
static bool index_fill(IdIndex *index, const DeviceTable *table, size_t field)
{
    index->probes = 0;
    for (size_t i = 0; i < table->count; i++) {
        uint32_t id = entry_id(table_entry(table, i), field);

        if (is_indexed(field, id) && !index_insert(index, id, i + 1)) {
            return false;
        }
    }
    return true;
}

/*
 * @table: filled, and none of its entries removed yet
 * @field: offset in DeviceEntry of the ID to index by
 * Return: false if there is no memory.
 */
static bool index_build(IdIndex *index, const DeviceTable *table, size_t field)
{
    /* At most half full: a miss then ends early, mostly. */
    index->bits = 1;
    while (UINT64_C(1) << index->bits < 2 * (uint64_t)table->count) {
        index->bits++;
    }
    index->multiplier = FIRST_MULTIPLIER;
    for (unsigned tries = 1;; tries++) {
        index->slots = g_try_new0(Slot, (size_t)index_mask(index) + 1);
        if (!index->slots || index_fill(index, table, field)) {
            return index->slots;
        }
        g_clear_pointer(&index->slots, g_free);
        /* Any odd numbers that are unlike each other do. */
        index->multiplier = (index->multiplier * 1664525 + 1013904223) | 1;
        if (tries % MULTIPLIERS_PER_SIZE == 0) {
            index->bits++;
        }
        g_assert(index->bits < 32);
    }
}

/* Of entries it holds pointers only: they stay their owners'. */
static void table_free(DeviceTable *table)
{
    g_free(table->by_virt.slots);
    g_free(table->by_dev.slots);
    g_free(table);
}

static void table_append(DeviceTable *table, DeviceEntry *entry)
{
    atomic_store_explicit(&table->entries[table->count++], entry,
                          memory_order_relaxed);
}

/*
 * What @old has, unless it is NULL, and @entry, unless that is.
 * Return: NULL if there is no memory.
 */
static DeviceTable *table_new(const DeviceTable *old, DeviceEntry *entry)
{
    size_t most = (old ? old->count : 0) + 1;
    DeviceTable *table = g_try_malloc0(
        sizeof(*table) + (most + 1) * sizeof(table->entries[0]));

    if (!table) {
        return NULL;
    }
    for (size_t i = 0; old && i < old->count; i++) {
        if (table_entry(old, i)) {
            table_append(table, table_entry(old, i));
        }
    }
    if (entry) {
        table_append(table, entry);
    }
    if (!index_build(&table->by_virt, table, offsetof(DeviceEntry, virt_id)) ||
        !index_build(&table->by_dev, table, offsetof(DeviceEntry, dev_id))) {
        table_free(table);
        return NULL;
    }
    return table;
}

static void table_free_deferred(RcuDeferred *deferred)
{
    table_free(caa_container_of(deferred, DeviceTable, deferred));
}

/* Acquire: pairs with the release store in map_add_locked(). */
static DeviceTable *map_table(const DeviceMap *map)
{
    return atomic_load_explicit(&map->table, memory_order_acquire);
}

static DeviceEntry *table_find(const DeviceTable *table, const IdIndex *index,
                               uint32_t id)
{
    uint32_t place = index_find(index, id);

    return place ? table_entry(table, place - 1) : NULL;
}

DeviceEntry *device_map_find_virt(const DeviceMap *map, uint32_t virt_id)
{
    const DeviceTable *table = map_table(map);

    g_assert(rcu_read_ongoing());
    return table_find(table, &table->by_virt, virt_id);
}

DeviceEntry *device_map_find_dev(const DeviceMap *map, uint32_t dev_id)
{
    const DeviceTable *table = map_table(map);

    g_assert(rcu_read_ongoing());
    return table_find(table, &table->by_dev, dev_id);
}

DeviceEntry *device_map_next(const DeviceMap *map, size_t *cursor)
{
    /*
     * The cursor is where in the entries to go on, as an address: so a walk
     * stays in its table, whatever is published meanwhile.
     */
    DeviceEntry *const _Atomic *next = (DeviceEntry *const _Atomic *)*cursor;
    DeviceEntry *entry;

    if (!next) {
        next = map_table(map)->entries;
    }
    /* Relaxed: see table_entry(). */
    while ((entry = atomic_load_explicit(next, memory_order_relaxed)) ==
           &removed) {
        next++;
    }
    *cursor = (size_t)(entry ? next + 1 : next);
    return entry;
}

size_t device_map_count(const DeviceMap *map)
{
    /* Relaxed: a number, and no more. */
    return atomic_load_explicit(&map->count, memory_order_relaxed);
}

unsigned device_map_longest_probe(const DeviceMap *map)
{
    const DeviceTable *table;
    unsigned longest;

    rcu_section_enter();
    table = map_table(map);
    longest = MAX(table->by_virt.probes, table->by_dev.probes);
    rcu_section_leave();
    return longest;
}

/* Relaxed: only holders of the lock store. */
static DeviceTable *map_table_locked(DeviceMap *map) REQUIRES(&map->lock)
{
    return atomic_load_explicit(&map->table, memory_order_relaxed);
}

/* Outside the lock: rcu_defer() takes a leaf lock too. */
static void map_retire(DeviceTable *old)
{
    rcu_defer(&old->deferred, table_free_deferred);
}

static void map_count_locked(DeviceMap *map, int change) REQUIRES(&map->lock)
{
    /* Relaxed: see device_map_count(). */
    atomic_store_explicit(&map->count, device_map_count(map) + change,
                          memory_order_relaxed);
}

/* Return: the old table, for map_retire(), or NULL with @error set. */
static DeviceTable *map_add_locked(DeviceMap *map, DeviceEntry *entry,
                                   GError **error) REQUIRES(&map->lock)
{
    DeviceTable *old = map_table_locked(map);
    DeviceTable *table;

    if (table_find(old, &old->by_virt, entry->virt_id)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_EXISTS,
                    "virtual ID 0x%" PRIx32 " is taken", entry->virt_id);
        return NULL;
    }
    if (table_find(old, &old->by_dev, entry->dev_id)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_EXISTS,
                    "host device ID %" PRIu32 " is taken", entry->dev_id);
        return NULL;
    }
    table = table_new(old, entry);
    if (!table) {
        error_set_errno(error, ENOMEM, "virtual ID 0x%" PRIx32,
                        entry->virt_id);
        return NULL;
    }
    /* Release: pairs with the acquire load in map_table(). */
    atomic_store_explicit(&map->table, table, memory_order_release);
    map_count_locked(map, 1);
    return old;
}

bool device_map_add(DeviceMap *map, DeviceEntry *entry, GError **error)
{
    DeviceTable *old;

    lock_acquire(&map->lock);
    old = map_add_locked(map, entry, error);
    lock_release(&map->lock);
    if (!old) {
        return false;
    }
    map_retire(old);
    return true;
}

static void map_remove_locked(DeviceMap *map, DeviceEntry *entry)
    REQUIRES(&map->lock)
{
    DeviceTable *table = map_table_locked(map);
    uint32_t place = index_find(&table->by_virt, entry->virt_id);

    g_assert(place && table_entry(table, place - 1) == entry);
    /* Relaxed: see table_entry(). */
    atomic_store_explicit(&table->entries[place - 1], &removed,
                          memory_order_relaxed);
    map_count_locked(map, -1);
}

void device_map_remove(DeviceMap *map, DeviceEntry *entry)
{
    lock_acquire(&map->lock);
    map_remove_locked(map, entry);
    lock_release(&map->lock);
}

DeviceMap *device_map_new(void)
{
    DeviceMap *map = g_try_new(DeviceMap, 1);
    DeviceTable *table = table_new(NULL, NULL);

    if (!map || !table) {
        if (table) {
            table_free(table);
        }
        g_free(map);
        return NULL;
    }
    lock_init(&map->lock, LOCK_RANK_LEAF);
    atomic_init(&map->table, table);
    atomic_init(&map->count, 0);
    return map;
}

void device_map_free(DeviceMap *map)
{
    if (map) {
        DeviceTable *table = map_table(map);

        g_assert(device_map_count(map) == 0);
        table_free(table);
        lock_destroy(&map->lock);
        g_free(map);
    }
}
