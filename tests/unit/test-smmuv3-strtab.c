/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a stream's STE is: linear and two-level stream tables (IHI 0070 G.b,
 * 3.3, 6.3.24, 6.3.25). Each case puts a stage 1 STE where the specification
 * says, or, if there is none to be found, where a mistake would find one.
 */
#include "fixture.h"

#include "hw/arm/smmuv3-internal.h"

#define S1_STE UINT64_C(0x1234500b)     /* V, Config 5 */

#define TABLE (GUEST_RAM + 0x200000)
#define LEAF (GUEST_RAM + 0x300000)

#define TWO_LEVEL(log2size, split) ((log2size) | (split) << 6 | 1 << 16)

static Fixture *f;

static void setup(void)
{
    f = fixture_new(NULL, false);
    message_log_start();
    guest_start(f, 4, 4);
}

static void teardown(void)
{
    fixture_free(f);
}

/* Whether the stage 1 STE was found; else the traffic is aborted. */
static bool is_translated(uint32_t sid)
{
    FixturePlace place = fixture_place(f, sid);

    g_assert_true(place == PLACE_STAGE1 || place == PLACE_ABORT);
    return place == PLACE_STAGE1;
}

/* A device @sid, with @base and @cfg in force. */
static bool lookup(uint64_t base, uint32_t cfg, uint32_t sid)
{
    VfioDevice *device = fixture_plug(f, sid);
    bool translated;

    guest_write(f, A_CR0, 0xc);
    guest_write64(f, A_STRTAB_BASE, BIT(62) | base);
    guest_write(f, A_STRTAB_BASE_CFG, cfg);
    guest_write(f, A_CR0, 0xd);
    translated = is_translated(sid);
    fixture_unplug(f, device, sid);
    return translated;
}

static void put(uint64_t gpa, uint64_t word)
{
    guest_words_store(guest_words(f, gpa), &word, 1);
}

/* @gpa: where there is an STE. */
typedef struct LinearCase {
    uint64_t base;
    uint32_t cfg;
    uint32_t sid;
    uint64_t gpa;
    bool found;
} LinearCase;

static const LinearCase linear_cases[] = {
    { TABLE, 8, 0, TABLE, true },
    { TABLE, 8, 1, TABLE + 0x40, true },
    { TABLE, 8, 255, TABLE + 0x3fc0, true },
    /* Beyond 2^LOG2SIZE. */
    { TABLE, 8, 256, TABLE + 0x4000, false },
    { TABLE, 8, 0xffff, TABLE + 0x3fffc0 - 0x200000, false },
    { TABLE, 4, 15, TABLE + 0x3c0, true },
    { TABLE, 4, 16, TABLE + 0x400, false },
    { TABLE, 0, 0, TABLE, true },
    { TABLE, 0, 1, TABLE + 0x40, false },
    /* LOG2SIZE is capped at SIDSIZE in use... */
    { TABLE, 16, 0x40, TABLE - 0x200000 + 0x1000, true },
    { TABLE, 20, 0x40, TABLE - 0x200000 + 0x1000, true },
    /* ... but counts as it is for the alignment of the base: 2^(LOG2SIZE+6). */
    { TABLE + 0x40, 0, 0, TABLE + 0x40, true },
    { TABLE + 0x3c0, 4, 2, TABLE + 0x80, true },
    { TABLE + 0x3fc0, 8, 2, TABLE + 0x80, true },
    { TABLE + 0x4040, 8, 2, TABLE + 0x4080, true },
    { TABLE, 15, 2, TABLE + 0x80, true },
    { TABLE, 16, 2, TABLE + 0x80, false },
    { GUEST_RAM + 0x40, 24, 2, GUEST_RAM + 0x80, true },
    /* FMT 2 and 3 are linear, whatever SPLIT says. */
    { TABLE, 8 | 2 << 16, 3, TABLE + 0xc0, true },
    { TABLE, 8 | 8 << 6 | 3 << 16, 3, TABLE + 0xc0, true },
    { TABLE, 8 | 10 << 6, 3, TABLE + 0xc0, true },
};

static void test_linear(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(linear_cases); i++) {
        const LinearCase *c = &linear_cases[i];

        g_test_message("case %zu: cfg 0x%x sid 0x%x", i, c->cfg, c->sid);
        put(c->gpa, S1_STE);
        g_assert_cmpint(lookup(c->base, c->cfg, c->sid), ==, c->found);
        put(c->gpa, 0);
    }
}

/* LOG2SIZE up to 63: the base is aligned to more than there is memory. */
static void test_alignment_by_huge_sizes(void)
{
    GuestMemRegion regions[] = {
        { .gpa = 0, .size = 0x1000, .hva = f->ram + 0x3000 },
        { .gpa = GUEST_RAM, .size = GUEST_RAM_SIZE, .hva = f->ram },
        { .gpa = BIT(44), .size = 0x1000, .hva = f->ram + 0x4000 },
    };
    g_autoptr(GError) error = NULL;

    guest_mem_set_regions(f->mem, regions, G_N_ELEMENTS(regions), &error);
    g_assert_no_error(error);
    put(GUEST_RAM + 0x4080, S1_STE);
    g_assert_true(lookup(BIT(44), 38, 2));
    g_assert_false(lookup(BIT(44), 39, 2));
    g_assert_false(lookup(BIT(44), 63, 2));
    put(GUEST_RAM + 0x3080, S1_STE);
    for (unsigned log2size = 39; log2size < 64; log2size++) {
        g_assert_true(lookup(BIT(44) | 0x40, log2size, 2));
    }
    /* A level 1 table of 2^(LOG2SIZE - SPLIT) descriptors. */
    put(GUEST_RAM + 0x3080, 0);
    put(GUEST_RAM + 0x3000, LEAF | 7);
    put(LEAF + 0x80, S1_STE);
    for (unsigned log2size = 48; log2size < 64; log2size++) {
        g_assert_true(lookup(BIT(44), TWO_LEVEL(log2size, 6), 2));
    }
    g_assert_false(lookup(BIT(44), TWO_LEVEL(47, 6), 2));
}

/* A level 1 descriptor at @l1_gpa, an STE at @gpa. */
typedef struct TwoLevelCase {
    uint64_t base;
    uint32_t cfg;
    uint32_t sid;
    uint64_t l1_gpa;
    uint64_t l1;
    uint64_t gpa;
    bool found;
} TwoLevelCase;

static const TwoLevelCase two_level_cases[] = {
    /* Each SPLIT, the first and the last of a leaf, the second leaf. */
    { TABLE, TWO_LEVEL(16, 8), 0, TABLE, LEAF | 9, LEAF, true },
    { TABLE, TWO_LEVEL(16, 8), 255, TABLE, LEAF | 9, LEAF + 0x3fc0, true },
    { TABLE, TWO_LEVEL(16, 8), 256, TABLE + 8, LEAF | 9, LEAF, true },
    { TABLE, TWO_LEVEL(16, 8), 0xffff, TABLE + 0x7f8, LEAF | 9, LEAF + 0x3fc0,
      true },
    { TABLE, TWO_LEVEL(16, 6), 63, TABLE, LEAF | 7, LEAF + 0xfc0, true },
    { TABLE, TWO_LEVEL(16, 6), 64, TABLE + 8, LEAF | 7, LEAF, true },
    { TABLE, TWO_LEVEL(16, 10), 1023, TABLE, LEAF | 11, LEAF + 0xffc0, true },
    { TABLE, TWO_LEVEL(16, 10), 1024, TABLE + 8, LEAF | 11, LEAF, true },
    /* Any other SPLIT acts as 6. */
    { TABLE, TWO_LEVEL(16, 0), 65, TABLE + 8, LEAF | 7, LEAF + 0x40, true },
    { TABLE, TWO_LEVEL(16, 7), 65, TABLE + 8, LEAF | 7, LEAF + 0x40, true },
    { TABLE, TWO_LEVEL(16, 9), 65, TABLE + 8, LEAF | 7, LEAF + 0x40, true },
    { TABLE, TWO_LEVEL(16, 31), 65, TABLE + 8, LEAF | 7, LEAF + 0x40, true },
    /* Span: 2^(Span-1) STEs; 0 is none, above SPLIT + 1 is invalid. */
    { TABLE, TWO_LEVEL(16, 8), 0, TABLE, LEAF | 0, LEAF, false },
    { TABLE, TWO_LEVEL(16, 8), 0, TABLE, LEAF | 1, LEAF, true },
    { TABLE, TWO_LEVEL(16, 8), 1, TABLE, LEAF | 1, LEAF + 0x40, false },
    { TABLE, TWO_LEVEL(16, 8), 3, TABLE, LEAF | 3, LEAF + 0xc0, true },
    { TABLE, TWO_LEVEL(16, 8), 4, TABLE, LEAF | 3, LEAF + 0x100, false },
    { TABLE, TWO_LEVEL(16, 8), 0, TABLE, LEAF | 10, LEAF, false },
    { TABLE, TWO_LEVEL(16, 6), 0, TABLE, LEAF | 8, LEAF, false },
    { TABLE, TWO_LEVEL(16, 10), 0, TABLE, LEAF | 12, LEAF, false },
    { TABLE, TWO_LEVEL(16, 10), 0, TABLE, LEAF | 31, LEAF, false },
    /* L2Ptr is aligned to its span; other bits of a descriptor are ignored. */
    { TABLE, TWO_LEVEL(16, 8), 2, TABLE, LEAF | 0xc0 | 3, LEAF + 0x80, true },
    { TABLE, TWO_LEVEL(16, 8), 2, TABLE, LEAF | 0x1c0 | 3, LEAF + 0x180,
      true },
    { TABLE, TWO_LEVEL(16, 8), 0, TABLE, LEAF | 0xff00000000000020 | 9, LEAF,
      true },
    /* Range: 2^LOG2SIZE, capped at SIDSIZE. */
    { TABLE, TWO_LEVEL(8, 8), 255, TABLE, LEAF | 9, LEAF + 0x3fc0, true },
    { TABLE, TWO_LEVEL(8, 8), 256, TABLE + 8, LEAF | 9, LEAF, false },
    { TABLE, TWO_LEVEL(5, 8), 31, TABLE, LEAF | 9, LEAF + 0x7c0, true },
    { TABLE, TWO_LEVEL(5, 8), 32, TABLE, LEAF | 9, LEAF + 0x800, false },
    { TABLE, TWO_LEVEL(0, 6), 0, TABLE, LEAF | 7, LEAF, true },
    { TABLE, TWO_LEVEL(20, 8), 0xffff, TABLE + 0x7f8, LEAF | 9, LEAF + 0x3fc0,
      true },
    /* Base: aligned to the level 1 table, at least to 64 bytes. */
    { TABLE + 0x40, TWO_LEVEL(8, 8), 0, TABLE + 0x40, LEAF | 9, LEAF, true },
    { TABLE + 0x40, TWO_LEVEL(12, 8), 0, TABLE, LEAF | 9, LEAF, true },
    { TABLE + 0x7c0, TWO_LEVEL(16, 8), 0, TABLE, LEAF | 9, LEAF, true },
    { TABLE + 0x840, TWO_LEVEL(16, 8), 0, TABLE + 0x800, LEAF | 9, LEAF,
      true },
};

static void test_two_level(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(two_level_cases); i++) {
        const TwoLevelCase *c = &two_level_cases[i];

        g_test_message("case %zu: cfg 0x%x sid 0x%x", i, c->cfg, c->sid);
        put(c->l1_gpa, c->l1);
        put(c->gpa, S1_STE);
        g_assert_cmpint(lookup(c->base, c->cfg, c->sid), ==, c->found);
        put(c->l1_gpa, 0);
        put(c->gpa, 0);
    }
}

/* An abort on the bus is an abort of the traffic; the operator hears once. */
static void test_table_outside_memory(void)
{
    static const struct {
        uint64_t base;
        uint32_t cfg;
        const char *report;
    } cases[] = {
        { GUEST_NOWHERE, 8, "STE of StreamID 0x1 at 0x20000040 is not" },
        { GUEST_NOWHERE, TWO_LEVEL(16, 8),
          "level 1 descriptor of StreamID 0x1 at 0x20000000 is not" },
        { TABLE, TWO_LEVEL(16, 8),
          "STE of StreamID 0x1 at 0x20000040 is not" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        teardown();
        setup();
        put(TABLE, GUEST_NOWHERE | 9);
        g_assert_false(lookup(cases[i].base, cases[i].cfg, 1));
        g_assert_false(lookup(cases[i].base, cases[i].cfg, 1));
        g_assert_cmpuint(message_log_matching(cases[i].report), ==, 1);
        g_assert_cmphex(guest_read(f, A_GERROR), ==, 0);
    }
}

/* The last STEs of memory, and those behind them. */
static void test_table_that_leaves_memory(void)
{
    const uint64_t end = GUEST_RAM + GUEST_RAM_SIZE;

    put(end - 0x40, S1_STE);
    g_assert_true(lookup(end - 0x40, 0, 0));
    g_assert_false(lookup(end, 0, 0));
    put(TABLE, (end - 0x4000) | 9);
    g_assert_true(lookup(TABLE, TWO_LEVEL(16, 8), 255));
    put(TABLE, end | 9);
    g_assert_false(lookup(TABLE, TWO_LEVEL(16, 8), 0));
}

/* As Linux sets it up: SPLIT 8, leaves of 256 that come as devices do. */
static void test_linux_table(void)
{
    VfioDevice *device;

    put(TABLE + 8, LEAF | 9);
    put(LEAF + 0x40 * 8, S1_STE);
    device = fixture_plug(f, 0x108);
    guest_write(f, A_CR0, 0xc);
    guest_write64(f, A_STRTAB_BASE, BIT(62) | TABLE);
    guest_write(f, A_STRTAB_BASE_CFG, TWO_LEVEL(16, 8));
    guest_write(f, A_CR0, 0xd);
    g_assert_true(is_translated(0x108));
    fixture_plug(f, 0x208);
    g_assert_false(is_translated(0x208));
    /* Its leaf comes later, with a CFGI_STE. */
    put(TABLE + 0x10, (LEAF + 0x4000) | 9);
    put(LEAF + 0x4000 + 0x40 * 8, S1_STE);
    g_assert_false(is_translated(0x208));
    guest_command(f, 0x03 | UINT64_C(0x208) << 32, 0);
    guest_kick(f);
    g_assert_true(is_translated(0x208));
    fixture_unplug(f, device, 0x108);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_linear, "linear" },
        { test_alignment_by_huge_sizes, "alignment-by-huge-sizes" },
        { test_two_level, "two-level" },
        { test_table_outside_memory, "outside-memory" },
        { test_table_that_leaves_memory, "that-leaves-memory" },
        { test_linux_table, "as-linux-sets-it-up" },
    };

    return fixture_main(argc, argv, "/smmuv3/strtab", tests,
                        G_N_ELEMENTS(tests), setup, teardown);
}
