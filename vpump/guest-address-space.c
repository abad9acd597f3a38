/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PTE is changed under the lock, but the IOMMU reads it without, and sets
 * Accessed and Dirty in it while it is present. So it is cleared by an
 * exchange, whose old value says whether there is something to copy back, and
 * from then on nobody but us may change it.
 *
 * A page that leaves may be asked for before it has left. It then stays where
 * it is; its take number tells the thread that takes it so.
 */
#include "guest-address-space.h"

#include "base/bits.h"
#include "base/error.h"
#include "base/lock.h"
#include "hw/iommu/guest-mem.h"

#include <string.h>

/* 9.7: first-stage entries; the same bits in tables of all levels */
FIELD(PTE, P, 0, 1)
FIELD(PTE, RW, 1, 1)
FIELD(PTE, US, 2, 1)
FIELD(PTE, A, 5, 1)
FIELD(PTE, D, 6, 1)
FIELD(PTE, ADDR, 12, 40)

enum {
    LEVELS = 4,
    LEVEL_BITS = 9,
    TABLE_ENTRIES = 1 << LEVEL_BITS,
    TABLE_BYTES = 8 * TABLE_ENTRIES,
    PAGE_SHIFT = 12,
};

/* Entries that name tables: permission is the leaf's business. */
#define TABLE_FLAGS \
    (FIELD_MASK(PTE, P) | FIELD_MASK(PTE, RW) | FIELD_MASK(PTE, US))

typedef enum PageState {
    PAGE_OUT,
    PAGE_IN,
    PAGE_LEAVING,               /* PTE cleared, translations may be in use */
} PageState;

/**
 * struct GuestPage - one virtual page. [lock]
 * @pte: its PTE in guest memory. [const]
 * @frame: where it is, unless it is out
 * @in_index: its place in GuestAddressSpace::in, if it is in
 * @take: number of the take that made it leave
 * @dirty: the frame's contents are newer, by what PTEs said that are gone, or
 *         by the guest's own writes
 */
typedef struct GuestPage {
    uint64_t *pte;
    uint64_t frame;
    uint32_t in_index;
    uint32_t take;
    PageState state;
    bool dirty;
} GuestPage;

struct GuestAddressSpace {
    GuestAddressSpaceConfig config;     /* [const] */
    uint64_t root;              /* [const] guest physical */
    Lock lock;
    GuestPage *pages GUARDED_BY(&lock);
    uint8_t *contents GUARDED_BY(&lock);    /* of pages that are out; or NULL */
    uint32_t *in GUARDED_BY(&lock); /* indices of those that are in */
    size_t in_count GUARDED_BY(&lock);
    uint32_t takes GUARDED_BY(&lock);
    GuestAddressSpaceCounts counts GUARDED_BY(&lock);
};

/* Pages of one take, in the order in which they were chosen. */
typedef struct Taken {
    size_t count;
    uint32_t take;
    uint32_t indices[GUEST_TAKE_MAX];
    uint64_t addrs[GUEST_TAKE_MAX];
} Taken;

static uint64_t page_addr(const GuestAddressSpace *space, size_t index)
{
    return space->config.base + ((uint64_t)index << PAGE_SHIFT);
}

static uint8_t *frame_ptr(GuestAddressSpace *space, const GuestPage *page)
{
    return guest_frames_ptr(space->config.frames, page->frame);
}

static uint8_t *contents_ptr(GuestAddressSpace *space, size_t index)
    REQUIRES(&space->lock)
{
    return space->contents + (index << PAGE_SHIFT);
}

/*
 * Release: pairs with the walk of the IOMMU, which finds the frame filled. The
 * old value, which is 0 unless somebody wrote to what was not present.
 */
static void pte_set_locked(GuestAddressSpace *space, GuestPage *page,
                           bool write) REQUIRES(&space->lock)
{
    uint64_t pte = FIELD_MASK(PTE, P) | FIELD_MASK(PTE, US) | page->frame;

    if (write) {
        pte |= FIELD_MASK(PTE, RW);
    }
    if (__atomic_exchange_n(page->pte, GUINT64_TO_LE(pte),
                            __ATOMIC_ACQ_REL) != 0) {
        space->counts.corrupt++;
    }
}

/* Acquire: pairs with the IOMMU's setting of Dirty. */
static uint64_t pte_clear(GuestPage *page)
{
    return GUINT64_FROM_LE(__atomic_exchange_n(page->pte, 0,
                                               __ATOMIC_ACQ_REL));
}

static void in_add_locked(GuestAddressSpace *space, size_t index)
    REQUIRES(&space->lock)
{
    GuestPage *page = &space->pages[index];

    page->state = PAGE_IN;
    page->in_index = space->in_count;
    space->in[space->in_count++] = index;
}

static void in_remove_locked(GuestAddressSpace *space, GuestPage *page)
    REQUIRES(&space->lock)
{
    uint32_t last = space->in[--space->in_count];

    space->in[page->in_index] = last;
    space->pages[last].in_index = page->in_index;
}

static bool page_in_locked(GuestAddressSpace *space, size_t index, bool write)
    REQUIRES(&space->lock)
{
    GuestPage *page = &space->pages[index];

    page->frame = guest_frames_take(space->config.frames);
    if (!page->frame) {
        return false;
    }
    page->dirty = false;
    if (space->contents) {
        memcpy(frame_ptr(space, page), contents_ptr(space, index),
               GUEST_FRAME_BYTES);
    }
    pte_set_locked(space, page, write);
    in_add_locked(space, index);
    space->counts.mapped++;
    return true;
}

/* More permission needs no invalidation: who has less cached asks again. */
static void page_upgrade_locked(GuestAddressSpace *space, GuestPage *page)
    REQUIRES(&space->lock)
{
    uint64_t old = __atomic_fetch_or(page->pte,
                                     GUINT64_TO_LE(FIELD_MASK(PTE, RW)),
                                     __ATOMIC_RELAXED);

    if (!FIELD_GET(GUINT64_FROM_LE(old), PTE, RW)) {
        space->counts.upgraded++;
    }
}

static bool map_locked(GuestAddressSpace *space, size_t index, bool write)
    REQUIRES(&space->lock)
{
    GuestPage *page = &space->pages[index];

    switch (page->state) {
    case PAGE_OUT:
        return page_in_locked(space, index, write);
    case PAGE_LEAVING:
        pte_set_locked(space, page, write);
        in_add_locked(space, index);
        space->counts.saved++;
        return true;
    case PAGE_IN:
        if (write) {
            page_upgrade_locked(space, page);
        }
        return true;
    }
    g_assert_not_reached();
}

/* The index of the page of @addr; past the last one if there is none. */
static size_t page_index(const GuestAddressSpace *space, uint64_t addr)
{
    uint64_t index = (addr - space->config.base) >> PAGE_SHIFT;

    return MIN(index, space->config.pages);
}

bool guest_address_space_map(GuestAddressSpace *space, uint64_t addr,
                             bool write)
{
    size_t index = page_index(space, addr);
    bool mapped;

    if (addr < space->config.base || index == space->config.pages) {
        return false;
    }
    lock_acquire(&space->lock);
    mapped = map_locked(space, index, write);
    lock_release(&space->lock);
    return mapped;
}

static void leave_locked(GuestAddressSpace *space, Taken *taken, Prng *prng)
    REQUIRES(&space->lock)
{
    uint32_t index = space->in[prng_below(prng, space->in_count)];
    GuestPage *page = &space->pages[index];

    in_remove_locked(space, page);
    page->state = PAGE_LEAVING;
    page->take = taken->take;
    if (FIELD_GET(pte_clear(page), PTE, D)) {
        page->dirty = true;
    }
    taken->indices[taken->count] = index;
    taken->addrs[taken->count] = page_addr(space, index);
    taken->count++;
}

/* The page has left, unless it was asked for meanwhile. Return: its frame. */
static uint64_t page_out_locked(GuestAddressSpace *space, size_t index,
                                uint32_t take) REQUIRES(&space->lock)
{
    GuestPage *page = &space->pages[index];

    if (page->state != PAGE_LEAVING || page->take != take) {
        return 0;
    }
    if (space->contents && page->dirty) {
        memcpy(contents_ptr(space, index), frame_ptr(space, page),
               GUEST_FRAME_BYTES);
    }
    page->state = PAGE_OUT;
    space->counts.taken++;
    return page->frame;
}

static size_t finish_take_locked(GuestAddressSpace *space, const Taken *taken,
                                 uint64_t *frames) REQUIRES(&space->lock)
{
    size_t count = 0;

    for (size_t i = 0; i < taken->count; i++) {
        uint64_t frame = page_out_locked(space, taken->indices[i],
                                         taken->take);

        if (frame) {
            frames[count++] = frame;
        }
    }
    return count;
}

size_t guest_address_space_take(GuestAddressSpace *space, Prng *prng,
                                size_t max)
{
    uint64_t frames[GUEST_TAKE_MAX];
    Taken taken = { 0 };
    size_t count;

    lock_acquire(&space->lock);
    taken.take = ++space->takes;
    while (taken.count < MIN(max, GUEST_TAKE_MAX) && space->in_count > 0) {
        leave_locked(space, &taken, prng);
    }
    lock_release(&space->lock);
    if (taken.count == 0) {
        return 0;
    }
    space->config.flush(space->config.opaque, taken.addrs, taken.count);
    lock_acquire(&space->lock);
    count = finish_take_locked(space, &taken, frames);
    lock_release(&space->lock);
    guest_frames_give(space->config.frames, frames, count);
    return taken.count;
}

size_t guest_address_space_count_in(GuestAddressSpace *space)
{
    size_t count;

    lock_acquire(&space->lock);
    count = space->in_count;
    lock_release(&space->lock);
    return count;
}

/* Where page @index is now. */
static uint8_t *page_ptr_locked(GuestAddressSpace *space, size_t index)
    REQUIRES(&space->lock)
{
    GuestPage *page = &space->pages[index];

    return page->state == PAGE_OUT ? contents_ptr(space, index)
                                   : frame_ptr(space, page);
}

void guest_address_space_read(GuestAddressSpace *space, uint64_t addr,
                              void *to, size_t len)
{
    uint8_t *bytes = to;

    lock_acquire(&space->lock);
    while (len > 0) {
        size_t offset = addr % GUEST_FRAME_BYTES;
        size_t part = MIN(len, GUEST_FRAME_BYTES - offset);

        memcpy(bytes,
               page_ptr_locked(space, page_index(space, addr)) + offset, part);
        bytes += part;
        addr += part;
        len -= part;
    }
    lock_release(&space->lock);
}

void guest_address_space_write(GuestAddressSpace *space, uint64_t addr,
                               const void *from, size_t len)
{
    const uint8_t *bytes = from;

    lock_acquire(&space->lock);
    while (len > 0) {
        size_t index = page_index(space, addr);
        size_t offset = addr % GUEST_FRAME_BYTES;
        size_t part = MIN(len, GUEST_FRAME_BYTES - offset);

        memcpy(page_ptr_locked(space, index) + offset, bytes, part);
        space->pages[index].dirty = true;
        bytes += part;
        addr += part;
        len -= part;
    }
    lock_release(&space->lock);
}

GuestAddressSpaceCounts
guest_address_space_get_counts(GuestAddressSpace *space)
{
    GuestAddressSpaceCounts counts;

    lock_acquire(&space->lock);
    counts = space->counts;
    lock_release(&space->lock);
    return counts;
}

uint64_t guest_address_space_get_root(const GuestAddressSpace *space)
{
    return space->root;
}

uint64_t guest_address_space_get_base(const GuestAddressSpace *space)
{
    return space->config.base;
}

size_t guest_address_space_get_pages(const GuestAddressSpace *space)
{
    return space->config.pages;
}

/* At each level as many as the pages need, two at the ends; and the top. */
uint64_t guest_address_space_table_bytes(size_t pages)
{
    uint64_t tables = 1;

    for (int level = 1; level < LEVELS; level++) {
        pages = pages / TABLE_ENTRIES + 2;
        tables += pages;
    }
    return tables * TABLE_BYTES;
}

/* The table that entry @index of the one at @table names; made if need be. */
static uint64_t next_table(GuestAddressSpace *space, uint64_t table,
                           size_t index, GError **error)
{
    uint64_t *entry = (uint64_t *)guest_ram_ptr(space->config.ram, table) +
                      index;
    uint64_t word;

    guest_words_load(&word, entry, 1);
    if (!word) {
        uint64_t next = guest_ram_alloc(space->config.ram, TABLE_BYTES,
                                        TABLE_BYTES, error);

        if (!next) {
            return 0;
        }
        word = TABLE_FLAGS | next;
        guest_words_store(entry, &word, 1);
    }
    return word & FIELD_MASK(PTE, ADDR);
}

/* The tables down to the page's PTE, so that mapping it takes no memory. */
static bool make_tables(GuestAddressSpace *space, size_t index, GError **error)
    REQUIRES(&space->lock)
{
    uint64_t addr = page_addr(space, index);
    uint64_t table = space->root;
    int shift = PAGE_SHIFT + (LEVELS - 1) * LEVEL_BITS;

    for (; shift > PAGE_SHIFT; shift -= LEVEL_BITS) {
        table = next_table(space, table, (addr >> shift) % TABLE_ENTRIES,
                           error);
        if (!table) {
            return false;
        }
    }
    space->pages[index].pte =
        (uint64_t *)guest_ram_ptr(space->config.ram, table) +
        (addr >> PAGE_SHIFT) % TABLE_ENTRIES;
    return true;
}

/* Much of it in a large machine, so there may be none: say so. */
static bool make_contents(GuestAddressSpace *space, GError **error)
    REQUIRES(&space->lock)
{
    size_t pages = space->config.pages;

    if (!space->config.contents) {
        return true;
    }
    space->contents = g_try_malloc0_n(pages, GUEST_FRAME_BYTES);
    if (!space->contents) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_RESOURCE,
                    "no memory for what %zu pages of an address space hold",
                    pages);
        return false;
    }
    return true;
}

GuestAddressSpace *
guest_address_space_new(const GuestAddressSpaceConfig *config, GError **error)
{
    GuestAddressSpace *space = g_new0(GuestAddressSpace, 1);

    space->config = *config;
    lock_init(&space->lock, LOCK_RANK_GUEST);
    space->pages = g_new0(GuestPage, config->pages);
    space->in = g_new(uint32_t, config->pages);
    if (make_contents(space, error)) {
        space->root = guest_ram_alloc(config->ram, TABLE_BYTES, TABLE_BYTES,
                                      error);
    }
    for (size_t i = 0; space->root && i < config->pages; i++) {
        if (!make_tables(space, i, error)) {
            space->root = 0;
        }
    }
    if (!space->root) {
        guest_address_space_free(space);
        return NULL;
    }
    return space;
}

void guest_address_space_free(GuestAddressSpace *space)
{
    if (space) {
        lock_destroy(&space->lock);
        g_free(space->pages);
        g_free(space->in);
        g_free(space->contents);
        g_free(space);
    }
}
