/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GuestAddressSpace: what a process of the built-in guest shares with a device
 * by PASID: a range of virtual pages with contents, behind first-stage page
 * tables of four levels in guest memory (Intel D51397, 9.7 and 9.8).
 *
 *   out --- map ---> in --- take: PTE cleared ---> leaving --- flushed ---> out
 *                     ^------------- map ------------'
 *
 * A page that is in has a frame, one that is out has its contents elsewhere, as
 * swapped. All pages start out. What is written is copied back only if the PTE
 * says Dirty, so a walker that forgets that bit is found out.
 *
 * Threads: any. guest_address_space_take() on one thread at a time.
 * Locks:   its own, of LOCK_RANK_GUEST: no lock is held by the caller, and none
 *          while the flush function is called.
 */
#ifndef VPUMP_GUEST_ADDRESS_SPACE_H
#define VPUMP_GUEST_ADDRESS_SPACE_H

#include "guest-frames.h"
#include "prng.h"

typedef struct GuestAddressSpace GuestAddressSpace;

/* The most pages that guest_address_space_take() takes at once. */
#define GUEST_TAKE_MAX 64

/**
 * typedef GuestFlushFunc - the IOMMU and the devices forget translations
 * @addrs: @count pages, at most %GUEST_TAKE_MAX
 *
 * Called without a lock. When it returns, no device uses these translations.
 */
typedef void GuestFlushFunc(void *opaque, const uint64_t *addrs, size_t count);

/**
 * struct GuestAddressSpaceConfig - what one is made of
 * @ram: for the tables; borrowed until guest_address_space_free()
 * @frames: as many as all its spaces have pages, and %GUEST_TAKE_MAX for each
 *          thread that takes; borrowed
 * @base: address of the first page: canonical, a multiple of 4096
 * @pages: how many
 * @contents: devices do access the memory; without, contents are not kept
 * @flush, @opaque: what a guest owes when it takes a page away
 */
typedef struct GuestAddressSpaceConfig {
    GuestRam *ram;
    GuestFrames *frames;
    uint64_t base;
    size_t pages;
    bool contents;
    GuestFlushFunc *flush;
    void *opaque;
} GuestAddressSpaceConfig;

/**
 * struct GuestAddressSpaceCounts - since creation
 * @mapped: pages that came in
 * @upgraded: pages that were in, read-only, and became writable
 * @taken: pages that went out
 * @saved: pages that were asked for again before they were out
 * @corrupt: PTEs that were not zero where the guest had cleared them
 */
typedef struct GuestAddressSpaceCounts {
    uint64_t mapped;
    uint64_t upgraded;
    uint64_t taken;
    uint64_t saved;
    uint64_t corrupt;
} GuestAddressSpaceCounts;

/**
 * guest_address_space_new() - pages of zeroes, all out
 * @config: copied
 *
 * Return: the space, or NULL and @error set: no memory, the guest's or ours.
 */
GuestAddressSpace *
guest_address_space_new(const GuestAddressSpaceConfig *config, GError **error);

/* Context: no IOMMU refers to it any more. NULL is ignored. */
void guest_address_space_free(GuestAddressSpace *space);

/* Bytes of guest memory for the tables of @pages pages, at most. */
uint64_t guest_address_space_table_bytes(size_t pages);

/* Guest physical address of the top table, for FSPTPTR. */
uint64_t guest_address_space_get_root(const GuestAddressSpace *space);

uint64_t guest_address_space_get_base(const GuestAddressSpace *space);
size_t guest_address_space_get_pages(const GuestAddressSpace *space);

/**
 * guest_address_space_map() - a device asked for the page of @addr
 * @write: it wants to write
 *
 * Return: false if there is no such page; else it is in, writable if wanted.
 */
bool guest_address_space_map(GuestAddressSpace *space, uint64_t addr,
                             bool write);

/**
 * guest_address_space_take() - take pages away that are in, chosen at random
 * @max: as many, %GUEST_TAKE_MAX at most
 *
 * Return: how many there were to take.
 */
size_t guest_address_space_take(GuestAddressSpace *space, Prng *prng,
                                size_t max);

/* Pages that are in. */
size_t guest_address_space_count_in(GuestAddressSpace *space);

/**
 * guest_address_space_read(), guest_address_space_write() - the guest's own
 * access, wherever the pages are
 * @addr: the @len bytes all lie in the space
 *
 * The caller knows that no device writes those bytes, or reads what is written.
 */
void guest_address_space_read(GuestAddressSpace *space, uint64_t addr,
                              void *to, size_t len);
void guest_address_space_write(GuestAddressSpace *space, uint64_t addr,
                               const void *from, size_t len);

GuestAddressSpaceCounts
guest_address_space_get_counts(GuestAddressSpace *space);

#endif
