/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's memory: what it writes, and the maps of it that there are.
 */
#include "fuzz-unit.h"

#include "base/bits.h"

/* By the map. Return: NULL where there is none. */
static uint64_t *word_at(FuzzUnit *u, uint64_t gpa)
{
    uint64_t offset = gpa - GUEST_RAM;
    int page;

    if (gpa < GUEST_RAM || offset >= FUZZ_RAM_BYTES) {
        return NULL;
    }
    page = u->mapped[offset / FUZZ_PAGE_BYTES];
    return page < 0 ? NULL
                    : (uint64_t *)(u->ram + page * FUZZ_PAGE_BYTES +
                                   (offset % FUZZ_PAGE_BYTES & ~7u));
}

void fuzz_store(FuzzUnit *u, uint64_t gpa, const uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t *word = word_at(u, gpa + 8 * i);

        if (word) {
            guest_words_store(word, &words[i], 1);
        }
    }
}

uint64_t fuzz_load(FuzzUnit *u, uint64_t gpa)
{
    uint64_t *word = word_at(u, gpa);
    uint64_t value = 0;

    if (word) {
        guest_words_load(&value, word, 1);
    }
    return value;
}

/* Which pages of RAM the map has, a bit each. */
static uint64_t ram_mapped(const FuzzUnit *u)
{
    uint64_t pages = 0;

    for (unsigned i = 0; i < FUZZ_PAGES; i++) {
        pages |= u->mapped[i] < 0 ? 0 : BIT(u->mapped[i]);
    }
    return pages;
}

/* What the map leaves out is what it was. */
void fuzz_check_unmapped(FuzzUnit *u)
{
    const uint64_t there = ram_mapped(u);

    for (int page = 0; page < FUZZ_PAGES; page++) {
        size_t offset = page * FUZZ_PAGE_BYTES;

        if (!(there & BIT(page))) {
            g_assert_cmpint(memcmp(u->ram + offset, u->saved + offset,
                                   FUZZ_PAGE_BYTES), ==, 0);
        }
    }
}

/* Pages of GPA, and of RAM. */
typedef struct Piece {
    unsigned gpa;
    unsigned count;
    unsigned ram;
} Piece;

#define PIECES 3

/* The first is the one that an input begins with. */
static const Piece maps[][PIECES] = {
    { { 0, 64, 0 } },
    { { 0, 16, 0 }, { 16, 48, 16 } },
    { { 0, 32, 0 } },
    { { 32, 32, 32 } },
    { { 0, 5, 0 }, { 6, 2, 6 }, { 9, 55, 9 } },
    { { 0, 0, 0 } },
    { { 0, 32, 32 }, { 32, 32, 0 } },
    { { 0, 1, 1 }, { 1, 1, 0 }, { 2, 62, 2 } },
};

static void map_note(FuzzUnit *u, const Piece *pieces)
{
    uint64_t there;

    for (unsigned i = 0; i < FUZZ_PAGES; i++) {
        u->mapped[i] = -1;
    }
    for (unsigned i = 0; i < PIECES; i++) {
        for (unsigned k = 0; k < pieces[i].count; k++) {
            u->mapped[pieces[i].gpa + k] = pieces[i].ram + k;
        }
    }
    there = ram_mapped(u);
    for (int page = 0; page < FUZZ_PAGES; page++) {
        size_t offset = page * FUZZ_PAGE_BYTES;

        if (!(there & BIT(page))) {
            memcpy(u->saved + offset, u->ram + offset, FUZZ_PAGE_BYTES);
        }
    }
}

void fuzz_map_set(FuzzUnit *u, unsigned which)
{
    const Piece *pieces = maps[which % G_N_ELEMENTS(maps)];
    GuestMemRegion regions[PIECES];
    GError *error = NULL;
    size_t count = 0;

    fuzz_check_unmapped(u);
    for (unsigned i = 0; i < PIECES; i++) {
        if (pieces[i].count > 0) {
            regions[count++] = (GuestMemRegion){
                .gpa = FUZZ_PAGE(pieces[i].gpa),
                .size = pieces[i].count * FUZZ_PAGE_BYTES,
                .hva = u->ram + pieces[i].ram * FUZZ_PAGE_BYTES,
            };
        }
    }
    if (guest_mem_set_regions(u->mem, regions, count, &error)) {
        map_note(u, pieces);
    } else {
        g_error_free(error);    /* a host call was made to fail */
    }
}

void fuzz_map_init(FuzzUnit *u)
{
    map_note(u, maps[0]);
    fuzz_map_set(u, 0);
}
