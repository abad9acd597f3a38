/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A two-level array that grows and never moves. A reader makes two acquire
 * loads; there is nothing to register for and nothing to wait for.
 */
#include "emul-internal.h"

/* The word at @index, or NULL if it is in a chunk that does not exist. */
static EmulSlot *slot_find(EmulSlots *slots, uint32_t index)
{
    EmulSlot *chunk;

    if (index >= EMUL_SLOTS_CHUNK * EMUL_SLOTS_CHUNKS) {
        return NULL;
    }
    /* Acquire: pairs with the release in emul_slots_store(). */
    chunk = atomic_load_explicit(&slots->chunks[index / EMUL_SLOTS_CHUNK],
                                 memory_order_acquire);
    return chunk ? &chunk[index % EMUL_SLOTS_CHUNK] : NULL;
}

uint64_t emul_slots_load(EmulSlots *slots, uint32_t index)
{
    EmulSlot *slot = slot_find(slots, index);

    /* Acquire: pairs with the release in emul_slots_store(). */
    return slot ? atomic_load_explicit(slot, memory_order_acquire) : 0;
}

bool emul_slots_store(EmulSlots *slots, uint32_t index, uint64_t word)
{
    EmulSlot *slot = slot_find(slots, index);

    if (index >= EMUL_SLOTS_CHUNK * EMUL_SLOTS_CHUNKS) {
        return false;
    }
    if (!slot) {
        EmulSlot *chunk = g_new0(EmulSlot, EMUL_SLOTS_CHUNK);

        /* Release: a reader in slot_find() sees the zeroes. */
        atomic_store_explicit(&slots->chunks[index / EMUL_SLOTS_CHUNK], chunk,
                              memory_order_release);
        slot = &chunk[index % EMUL_SLOTS_CHUNK];
    }
    /* Release: emul_slots_load() sees what the word stands for. */
    atomic_store_explicit(slot, word, memory_order_release);
    return true;
}

uint64_t emul_slots_take(EmulSlots *slots, uint32_t index)
{
    EmulSlot *slot = slot_find(slots, index);

    /* Acquire: as emul_slots_load(). */
    return slot ? atomic_exchange_explicit(slot, 0, memory_order_acquire) : 0;
}

void emul_slots_free(EmulSlots *slots)
{
    for (unsigned i = 0; i < EMUL_SLOTS_CHUNKS; i++) {
        /* Relaxed: the last thread that used the table frees it. */
        g_free((void *)atomic_load_explicit(&slots->chunks[i],
                                            memory_order_relaxed));
    }
}
