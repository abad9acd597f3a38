/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/iommu/guest-ring.h"

#include <glib.h>

/*
 * The model is the text of the specification, taken step by step: an index
 * and a wrap bit apart, the bit toggled when the index comes round.
 */
typedef struct Pointer {
    uint32_t index;
    uint32_t wrap;
} Pointer;

static Pointer unpack(unsigned log2size, uint32_t value)
{
    return (Pointer) {
        .index = value % (UINT32_C(1) << log2size),
        .wrap = value >> log2size & 1,
    };
}

static uint32_t pack(unsigned log2size, Pointer pointer)
{
    return pointer.wrap << log2size | pointer.index;
}

static Pointer step(unsigned log2size, Pointer pointer)
{
    if (++pointer.index == UINT32_C(1) << log2size) {
        pointer.index = 0;
        pointer.wrap ^= 1;
    }
    return pointer;
}

static bool same(Pointer a, Pointer b)
{
    return a.index == b.index && a.wrap == b.wrap;
}

/* Steps from @cons to @prod; above the size if they are inconsistent. */
static uint32_t distance(unsigned log2size, Pointer prod, Pointer cons)
{
    uint32_t steps = 0;

    while (!same(cons, prod)) {
        cons = step(log2size, cons);
        steps++;
    }
    return steps;
}

/* @junk: bits above the wrap bit, which must not matter */
static void check_pair(unsigned log2size, uint32_t prod, uint32_t cons,
                       uint32_t junk)
{
    const uint32_t size = UINT32_C(1) << log2size;
    const Pointer p = unpack(log2size, prod), c = unpack(log2size, cons);
    const uint32_t d = distance(log2size, p, c);
    const bool consistent = d <= size;
    const GuestRing ring = {
        .log2size = log2size,
        .prod = prod | junk,
        .cons = cons | ~junk << (log2size + 1),
    };

    g_assert_cmpuint(guest_ring_size(&ring), ==, size);
    g_assert_cmpuint(guest_ring_index(&ring, ring.prod), ==, p.index);
    g_assert_cmpuint(guest_ring_index(&ring, ring.cons), ==, c.index);
    g_assert_cmpuint(guest_ring_distance(&ring), ==, d);
    g_assert_cmpint(guest_ring_empty(&ring), ==, same(p, c));
    g_assert_cmpuint(guest_ring_used(&ring), ==, consistent ? d : 0);
    g_assert_cmpuint(guest_ring_room(&ring), ==, consistent ? size - d : 0);
    /* Full by the specification: no room, and all entries are used. */
    if (p.index == c.index && p.wrap != c.wrap) {
        g_assert_cmpuint(guest_ring_room(&ring), ==, 0);
        g_assert_cmpuint(guest_ring_used(&ring), ==, size);
    }
}

static void test_exhaustive(gconstpointer data)
{
    const unsigned log2size = GPOINTER_TO_UINT(data);
    const uint32_t values = UINT32_C(2) << log2size;

    for (uint32_t prod = 0; prod < values; prod++) {
        for (uint32_t cons = 0; cons < values; cons++) {
            check_pair(log2size, prod, cons, 0);
            check_pair(log2size, prod, cons, UINT32_C(1) << 31);
        }
    }
}

/* From every pointer, by every count up to twice round and one more. */
static void test_advance(gconstpointer data)
{
    const unsigned log2size = GPOINTER_TO_UINT(data);
    const uint32_t values = UINT32_C(2) << log2size;
    const GuestRing ring = { .log2size = log2size };

    for (uint32_t from = 0; from < values; from++) {
        Pointer want = unpack(log2size, from);

        for (uint32_t count = 0; count <= values + 1; count++) {
            g_assert_cmpuint(guest_ring_advance(&ring, from, count), ==,
                             pack(log2size, want));
            g_assert_cmpuint(
                guest_ring_advance(&ring, from | values << 3, count), ==,
                pack(log2size, want));
            want = step(log2size, want);
        }
    }
}

/* The largest ring, around each of its corners. */
static void test_largest(void)
{
    enum { LOG2SIZE = 19 };
    static const uint32_t corners[] = {
        0, 1, (1 << LOG2SIZE) - 1, 1 << LOG2SIZE, (1 << LOG2SIZE) + 1,
        (2 << LOG2SIZE) - 1,
    };
    const GuestRing ring = { .log2size = LOG2SIZE };

    for (size_t i = 0; i < G_N_ELEMENTS(corners); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(corners); j++) {
            check_pair(LOG2SIZE, corners[i], corners[j], UINT32_C(1) << 31);
        }
        g_assert_cmpuint(
            guest_ring_advance(&ring, corners[i], 1), ==,
            pack(LOG2SIZE, step(LOG2SIZE, unpack(LOG2SIZE, corners[i]))));
    }
}

/* A producer and a consumer that take turns never meet an unwritten entry. */
static void test_fifo(void)
{
    enum { LOG2SIZE = 3, TURNS = 10000 };
    uint32_t entries[1 << LOG2SIZE] = { 0 };
    uint32_t written = 0, read = 0;
    GuestRing ring = { .log2size = LOG2SIZE };

    for (unsigned turn = 0; turn < TURNS; turn++) {
        uint32_t put = g_test_rand_int_range(0, guest_ring_room(&ring) + 1);

        for (uint32_t i = 0; i < put; i++) {
            entries[guest_ring_index(&ring, ring.prod)] = written++;
            ring.prod = guest_ring_advance(&ring, ring.prod, 1);
        }
        uint32_t get = g_test_rand_int_range(0, guest_ring_used(&ring) + 1);

        for (uint32_t i = 0; i < get; i++) {
            g_assert_cmpuint(entries[guest_ring_index(&ring, ring.cons)], ==,
                             read++);
            ring.cons = guest_ring_advance(&ring, ring.cons, 1);
        }
        g_assert_cmpuint(guest_ring_used(&ring), ==, written - read);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned log2size = 0; log2size <= 6; log2size++) {
        g_autofree char *pairs =
            g_strdup_printf("/guest-ring/every-pair/%u", log2size);
        g_autofree char *advance =
            g_strdup_printf("/guest-ring/every-advance/%u", log2size);

        g_test_add_data_func(pairs, GUINT_TO_POINTER(log2size),
                             test_exhaustive);
        g_test_add_data_func(advance, GUINT_TO_POINTER(log2size),
                             test_advance);
    }
    g_test_add_func("/guest-ring/largest", test_largest);
    g_test_add_func("/guest-ring/fifo", test_fifo);
    return g_test_run();
}
