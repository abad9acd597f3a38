/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GuestMem: guest physical address to host address, as an RCU-published table
 * of regions that the embedder replaces whole.
 *
 * What the guest and we both touch is accessed as aligned little-endian words,
 * each single-copy atomic; order between words comes from the registers that
 * publish them.
 *
 * Threads: guest_mem_ptr() inside an RCU read section; the word calls on any
 *          registered thread (they enter a section themselves); the rest on
 *          any thread that may block.
 * Locks:   GuestMem::lock, for changes only; it may be taken under a
 *          config_lock, and is held while listeners are called.
 */
#ifndef HW_IOMMU_GUEST_MEM_H
#define HW_IOMMU_GUEST_MEM_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct GuestMem GuestMem;

/**
 * struct GuestMemRegion - a stretch of guest RAM
 * @gpa: guest physical address, a multiple of 4096
 * @size: bytes, a multiple of 4096, not 0
 * @hva: where it is in this process, a multiple of 8, not NULL; of 4096 if
 *       devices of a host are to reach it
 * @has_fd: @hva is a shared mapping of memfd @fd from @offset on: devices get
 *          the file, which stays what it is when this process forks or maps it
 *          elsewhere. Otherwise they get what is at @hva.
 * @fd: stays open while the region is in the map
 * @offset: a multiple of 4096
 */
typedef struct GuestMemRegion {
    uint64_t gpa;
    uint64_t size;
    void *hva;
    bool has_fd;
    int fd;
    uint64_t offset;
} GuestMemRegion;

/**
 * struct GuestMemListener - who follows the map: what devices can reach
 * @add: @region appears; on failure set @error, and leave nothing of it behind
 * @del: it goes again, as it came. Cannot fail.
 * @next: GuestMem's
 *
 * Regions come and go whole, and no two are there at once that overlap. Both
 * are called under GuestMem::lock, which allows host calls but no config_lock.
 */
typedef struct GuestMemListener GuestMemListener;
struct GuestMemListener {
    bool (*add)(GuestMemListener *listener, const GuestMemRegion *region,
                GError **error);
    void (*del)(GuestMemListener *listener, const GuestMemRegion *region);
    GuestMemListener *next;
};

/* Without a region: every access fails. Return: NULL if there is no memory. */
GuestMem *guest_mem_new(void);

/* Context: nobody uses it any more. NULL is ignored. */
void guest_mem_free(GuestMem *mem);

/**
 * guest_mem_set_regions() - replace the whole map
 * @regions: @count of them, in any order, copied; NULL is fine for none
 *
 * Listeners get what is new before, and lose what is gone after the new map is
 * published. A region that stays as it is, to the last field, is not touched;
 * where the memory of an address changes, it is gone for listeners in between.
 *
 * Context: Blocks for a grace period, and for the listeners: when it returns
 * nobody uses the old map, so what it named may be unmapped. Not inside a read
 * section, not under a config_lock or ring_lock.
 * Return: false and @error set if regions overlap, wrap, are misaligned or
 * empty (%VIOMMU_ERROR_INVALID), a listener refuses, or there is no memory; the
 * old map then stays.
 */
bool guest_mem_set_regions(GuestMem *mem, const GuestMemRegion *regions,
                           size_t count, GError **error);

/**
 * guest_mem_add_listener() - call @listener for every region, and from now on
 * @listener: borrowed until guest_mem_remove_listener()
 *
 * Context: May block, so not under a ring_lock.
 * Return: false and @error set if it refused one: it has none then, and does
 * not listen.
 */
bool guest_mem_add_listener(GuestMem *mem, GuestMemListener *listener,
                            GError **error);

/* Undo it: all regions go. Context: as above. */
void guest_mem_remove_listener(GuestMem *mem, GuestMemListener *listener);

/**
 * guest_mem_ptr() - host address of @len bytes at @gpa
 *
 * Context: RCU read-side section. Never blocks, never allocates.
 * Return: the address, borrowed until the section ends, or NULL if they do not
 * all lie in one region.
 */
void *guest_mem_ptr(const GuestMem *mem, uint64_t gpa, uint64_t len);

/**
 * guest_mem_read_words() - read @count 64-bit little-endian words
 * @gpa: a multiple of 8
 *
 * Return: false, as an abort on the bus, if outside any region or misaligned.
 */
bool guest_mem_read_words(const GuestMem *mem, uint64_t gpa, uint64_t *words,
                          size_t count);

/* The same, writing. On failure nothing has been written. */
bool guest_mem_write_words(const GuestMem *mem, uint64_t gpa,
                           const uint64_t *words, size_t count);

/**
 * guest_mem_write_u32() - one 32-bit little-endian write, ordered after all
 * writes before it
 * @gpa: a multiple of 4
 *
 * Return: false if outside any region or misaligned.
 */
bool guest_mem_write_u32(const GuestMem *mem, uint64_t gpa, uint32_t value);

/*
 * For @host from guest_mem_ptr(), aligned to 8. Relaxed: the partner is the
 * guest's own access to the word; what orders the two is the index or register
 * that hands the words over. Inline: they run once per record.
 */
static inline void guest_words_store(void *host, const uint64_t *words,
                                     size_t count)
{
    uint64_t *to = host;

    for (size_t i = 0; i < count; i++) {
        __atomic_store_n(&to[i], GUINT64_TO_LE(words[i]), __ATOMIC_RELAXED);
    }
}

/*
 * Words that are little-endian already, from anywhere. From register to
 * register: a copy in between would cost more than the rest.
 */
static inline void guest_words_copy(void *host, const uint8_t *from,
                                    size_t count)
{
    uint64_t *to = host;

#pragma GCC unroll 4
    for (size_t i = 0; i < count; i++) {
        uint64_t word;

        memcpy(&word, from + i * sizeof(word), sizeof(word));
        __atomic_store_n(&to[i], word, __ATOMIC_RELAXED);
    }
}

static inline void guest_words_load(uint64_t *words, const void *host,
                                    size_t count)
{
    const uint64_t *from = host;

    for (size_t i = 0; i < count; i++) {
        words[i] = GUINT64_FROM_LE(__atomic_load_n(&from[i], __ATOMIC_RELAXED));
    }
}

#endif
