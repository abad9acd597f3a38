/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GuestRam: the memory of a built-in guest, as one region of a GuestMem, and
 * an allocator for what its driver shares with the vIOMMU.
 *
 * Threads: one at a time for allocation; the memory itself is the guest's and
 *          the vIOMMU's, ordered by registers.
 * Locks:   none.
 */
#ifndef VPUMP_GUEST_RAM_H
#define VPUMP_GUEST_RAM_H

#include "hw/iommu/guest-mem.h"

typedef struct GuestRam GuestRam;

/**
 * guest_ram_new() - @size bytes of zeroes, a multiple of 4096
 *
 * Return: the memory, or NULL and @error set.
 */
GuestRam *guest_ram_new(uint64_t size, GError **error);

/* Context: nobody uses it any more. NULL is ignored. */
void guest_ram_free(GuestRam *ram);

/* For ViommuConfig::mem; borrowed. */
GuestMem *guest_ram_get_mem(GuestRam *ram);

/**
 * guest_ram_alloc() - take zeroed memory, which is never given back
 * @align: a power of two
 *
 * Return: its guest physical address, or 0 and @error set.
 */
uint64_t guest_ram_alloc(GuestRam *ram, uint64_t size, uint64_t align,
                         GError **error);

/* Where @gpa, which was allocated, is in this process. */
void *guest_ram_ptr(GuestRam *ram, uint64_t gpa);

#endif
