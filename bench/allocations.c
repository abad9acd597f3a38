/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other counter of this kind, tests/support/call-count, counts for a thread
 * that itself starts and stops it; a peer's knows nothing of this.
 */
#include "allocations.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* glibc's, under the names that it keeps for who takes malloc()'s place. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *ptr, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
int posix_memalign(void **ptr, size_t alignment, size_t size);

static _Thread_local bool left_out;
static atomic_bool counting;
static _Atomic uint64_t allocations;

/* Relaxed: the counts are looked at when the other threads are idle. */
static void note(void)
{
    if (atomic_load_explicit(&counting, memory_order_relaxed) && !left_out) {
        atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    }
}

void allocations_start(void)
{
    left_out = true;
    atomic_store(&allocations, 0);
    atomic_store(&counting, true);
}

uint64_t allocations_stop(void)
{
    atomic_store(&counting, false);
    return atomic_load(&allocations);
}

void *malloc(size_t size)
{
    note();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    note();
    return __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
    note();
    return __libc_realloc(ptr, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    note();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **ptr, size_t alignment, size_t size)
{
    note();
    *ptr = __libc_memalign(alignment, size);
    return *ptr ? 0 : ENOMEM;
}
