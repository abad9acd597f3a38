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

/*
 * Larger rings: as every-pair, but the model walks with the producer. Plain
 * comparisons, since there are 5.6 million of them.
 */
static bool walked_pair_right(const GuestRing *ring, uint32_t steps)
{
    const uint32_t size = UINT32_C(1) << ring->log2size;
    const bool consistent = steps <= size;

    return guest_ring_distance(ring) == steps &&
           guest_ring_empty(ring) == (steps == 0) &&
           guest_ring_used(ring) == (consistent ? steps : 0) &&
           guest_ring_room(ring) == (consistent ? size - steps : 0);
}

static void test_walk(gconstpointer data)
{
    const unsigned log2size = GPOINTER_TO_UINT(data);
    const uint32_t values = UINT32_C(2) << log2size;

    for (uint32_t cons = 0; cons < values; cons++) {
        Pointer p = unpack(log2size, cons);

        for (uint32_t steps = 0; steps < values; steps++) {
            /* Bits that do not count, others each time. */
            const GuestRing ring = {
                .log2size = log2size,
                .prod = pack(log2size, p) | steps << (log2size + 1),
                .cons = cons | (steps + cons) << (log2size + 1),
            };

            if (!walked_pair_right(&ring, steps)) {
                g_error("log2size %u, cons %u, %u steps", log2size, cons,
                        steps);
            }
            p = step(log2size, p);
        }
        g_assert_true(same(p, unpack(log2size, cons)));
    }
}

/* A ring of any size, around each of its corners. */
static void test_corners(gconstpointer data)
{
    const unsigned log2size = GPOINTER_TO_UINT(data);
    const uint32_t size = UINT32_C(1) << log2size;
    const uint32_t corners[] = {
        0, 1, size / 2, size - 1, size, size + 1, size + size / 2,
        2 * size - 1,
    };
    const GuestRing ring = { .log2size = log2size };

    for (size_t i = 0; i < G_N_ELEMENTS(corners); i++) {
        const uint32_t from = corners[i] % (2 * size);

        for (size_t j = 0; j < G_N_ELEMENTS(corners); j++) {
            check_pair(log2size, from, corners[j] % (2 * size),
                       UINT32_C(1) << 31);
        }
        g_assert_cmpuint(guest_ring_advance(&ring, from, 1), ==,
                         pack(log2size, step(log2size,
                                             unpack(log2size, from))));
        g_assert_cmpuint(guest_ring_advance(&ring, from, size), ==,
                         from ^ size);
        g_assert_cmpuint(guest_ring_advance(&ring, from, 2 * size), ==, from);
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

/*
 * VT-d's byte offsets, against a walk over the queue entry by entry. A queue of
 * 2^pqs pages has 2^(pqs + 7) entries; bits 18:5 of a register are its offset.
 */
static uint32_t byte_entries(unsigned pqs)
{
    return UINT32_C(1) << (pqs + 7);
}

/*
 * What one pair of entry numbers gives; @used is the model's. Plain
 * comparisons, since there are 357 million of them.
 */
static bool byte_pair_right(unsigned pqs, uint32_t tail, uint32_t head,
                            uint32_t used)
{
    /* Bits that do not count: below an entry's, and above the queue's. */
    const uint32_t low = (tail ^ head) % 32;
    const uint32_t high = (head + 1) << (pqs + 12);
    const GuestByteRing ring = {
        .pqs = pqs, .tail = tail * 32 | low, .head = head * 32 | high,
    };

    return guest_byte_ring_offset(&ring, ring.tail) == tail * 32 &&
           guest_byte_ring_offset(&ring, ring.head) == head * 32 &&
           guest_byte_ring_used(&ring) == used &&
           guest_byte_ring_room(&ring) == byte_entries(pqs) - 1 - used &&
           guest_byte_ring_empty(&ring) == (tail == head);
}

static void test_byte_exhaustive(gconstpointer data)
{
    const unsigned pqs = GPOINTER_TO_UINT(data);
    const uint32_t entries = byte_entries(pqs);

    for (uint32_t head = 0; head < entries; head++) {
        uint32_t tail = head;

        for (uint32_t used = 0; used < entries; used++) {
            if (!byte_pair_right(pqs, tail, head, used)) {
                g_error("pqs %u, tail %u, head %u, used %u", pqs, tail, head,
                        used);
            }
            tail = tail + 1 == entries ? 0 : tail + 1;
        }
        g_assert_cmpuint(tail, ==, head);
    }
}

/* The specification's full: the tail's next is the head. */
static void test_byte_limits(gconstpointer data)
{
    const unsigned pqs = GPOINTER_TO_UINT(data);
    const uint32_t entries = byte_entries(pqs);
    GuestByteRing ring = { .pqs = pqs };

    g_assert_cmpuint(guest_byte_ring_size(&ring), ==, 4096 << pqs);
    g_assert_cmphex(guest_byte_ring_mask(&ring), ==,
                    ((4096u << pqs) - 1) & ~0x1fu);
    for (uint32_t head = 0; head < entries; head++) {
        ring.head = head * 32;
        ring.tail = (head == 0 ? entries - 1 : head - 1) * 32;
        g_assert_cmpuint(guest_byte_ring_room(&ring), ==, 0);
        g_assert_cmpuint(guest_byte_ring_used(&ring), ==, entries - 1);
        g_assert_cmpuint(guest_byte_ring_advance(&ring, ring.tail, 1), ==,
                         ring.head);
    }
}

/* From the offsets at the ends, by every count up to twice round. */
static void test_byte_advance(gconstpointer data)
{
    const unsigned pqs = GPOINTER_TO_UINT(data);
    const uint32_t entries = byte_entries(pqs);
    const uint32_t starts[] = { 0, 1, entries / 2, entries - 1 };
    const GuestByteRing ring = { .pqs = pqs };

    for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
        const uint32_t from = starts[i] * 32;
        uint32_t want = starts[i];

        for (uint32_t count = 0; count <= 2 * entries + 1; count++) {
            g_assert_cmpuint(guest_byte_ring_advance(&ring, from, count), ==,
                             want * 32);
            g_assert_cmpuint(
                guest_byte_ring_advance(&ring, from | 0xfff8001f, count), ==,
                want * 32);
            want = want + 1 == entries ? 0 : want + 1;
        }
    }
}

static void add_byte_tests(unsigned pqs)
{
    static const struct {
        const char *name;
        GTestDataFunc func;
    } tests[] = {
        { "every-pair", test_byte_exhaustive },
        { "limits", test_byte_limits },
        { "advance", test_byte_advance },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf(
            "/guest-ring/bytes/%s/pqs-%u", tests[i].name, pqs);

        g_test_add_data_func(path, GUINT_TO_POINTER(pqs), tests[i].func);
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
    for (unsigned log2size = 7; log2size <= 10; log2size++) {
        g_autofree char *path =
            g_strdup_printf("/guest-ring/walk/%u", log2size);

        g_test_add_data_func(path, GUINT_TO_POINTER(log2size), test_walk);
    }
    for (unsigned log2size = 0; log2size <= 19; log2size++) {
        g_autofree char *path =
            g_strdup_printf("/guest-ring/corners/%u", log2size);

        g_test_add_data_func(path, GUINT_TO_POINTER(log2size), test_corners);
    }
    for (unsigned pqs = 0; pqs <= 7; pqs++) {
        add_byte_tests(pqs);
    }
    g_test_add_func("/guest-ring/fifo", test_fifo);
    return g_test_run();
}
