/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which invalidation queue descriptors are valid (D51397-018, 6.5.2): every
 * bit of every type, in every mode.
 */
#include "hw/i386/vtd-inv-desc.h"

#include "hw/i386/vtd-internal.h"

#include <inttypes.h>

static const VtdQueueMode scalable = {
    .ttm = TTM_SCALABLE, .wide = true, .page_requests = true,
};

/* A valid descriptor of each type, and the bits that may be anything. */
static const struct {
    const char *name;
    uint64_t word0;
    uint64_t free[2];
    bool legacy;
} types[] = {
    { "context cache", 0x11,
      { 0x0003ffffffff0000, 0 }, true },
    { "IOTLB", 0x12,
      { 0x00000000ffff00c0, 0xfffffffffffff07f }, true },
    { "device TLB", 0x3,
      { 0x0000ffff001f0000, 0xfffffffffffff001 }, true },
    { "interrupt entry cache", 0x4,
      { 0x0000fffff8000010, 0 }, true },
    { "wait", 0x5,
      { 0xffffffff000000f0, 0xfffffffffffffffc }, true },
    { "PASID IOTLB", 0x26,
      { 0x000fffffffff0000, 0xfffffffffffff07f }, false },
    { "PASID cache", 0x7,
      { 0x000fffffffff0000, 0 }, false },
    { "PASID device TLB", 0x8,
      { 0x000fffffffff01f0, 0xfffffffffffff801 }, false },
    { "page group response", 0x9,
      { 0x000ffffffffff010, 0x0000000000000ffc }, false },
};

static VtdIqei check(const VtdQueueMode *mode, uint64_t word0, uint64_t word1)
{
    return vtd_desc_check(mode, &(VtdDescriptor){ { word0, word1 } });
}

/* Bits of word 0 that choose the type. */
#define TYPE_BITS UINT64_C(0xe0f)

static void test_every_bit(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        g_test_message("%s", types[i].name);
        g_assert_cmpint(check(&scalable, types[i].word0, 0), ==,
                        VTD_IQEI_NONE);
        for (unsigned bit = 0; bit < 256; bit++) {
            VtdDescriptor desc = { { types[i].word0 } };
            bool is_free = bit < 128 && types[i].free[bit / 64] >> bit % 64 & 1;
            bool is_type = bit < 64 && TYPE_BITS >> bit & 1;
            /* G has values of its own: the next test. */
            bool is_g = (bit == 4 || bit == 5) && types[i].word0 != 0x3 &&
                        types[i].word0 != 0x9;

            if (is_type || (is_g && !is_free)) {
                continue;
            }
            desc.word[bit / 64] ^= BIT(bit % 64);
            /* The bit is in the number, for whoever reads a failure. */
            g_assert_cmphex(bit << 4 | vtd_desc_check(&scalable, &desc), ==,
                            bit << 4 | (is_free ? VTD_IQEI_NONE
                                                : VTD_IQEI_RESERVED));
        }
    }
}

/* All that is free at once. */
static void test_all_fields_at_once(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        g_assert_cmpint(check(&scalable, types[i].word0 | types[i].free[0],
                              types[i].free[1]), ==, VTD_IQEI_NONE);
    }
}

static void test_granularities(void)
{
    static const struct {
        unsigned type;
        bool valid[4];
    } cases[] = {
        { VTD_DESC_CONTEXT_CACHE, { false, true, true, true } },
        { VTD_DESC_IOTLB, { false, true, true, true } },
        { VTD_DESC_PASID_IOTLB, { false, false, true, true } },
        { VTD_DESC_PASID_CACHE, { true, true, false, true } },
        /* Bit 4 is all of it; of the device TLBs' there is none. */
        { VTD_DESC_IEC, { true, true, false, false } },
        { VTD_DESC_DEVICE_TLB, { true, false, false, false } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (unsigned g = 0; g < 4; g++) {
            g_assert_cmpint(check(&scalable, cases[i].type | g << 4, 0), ==,
                            cases[i].valid[g] ? VTD_IQEI_NONE
                                              : VTD_IQEI_RESERVED);
        }
    }
}

/* A type has 7 bits: 11:9 and 3:0. */
static void test_unknown_types(void)
{
    for (unsigned type = 0; type < 128; type++) {
        uint64_t word0 = (type & 0xf) | (uint64_t)(type >> 4) << 9;
        bool known = type >= VTD_DESC_CONTEXT_CACHE &&
                     type <= VTD_DESC_PAGE_RESPONSE;

        g_assert_cmphex(type << 4 | (check(&scalable, word0, 0) ==
                                     VTD_IQEI_TYPE), ==, type << 4 | !known);
        /* A bad type comes before a reserved field. */
        if (!known) {
            g_assert_cmpint(check(&scalable, word0, UINT64_MAX), ==,
                            VTD_IQEI_TYPE);
        }
    }
}

static void test_legacy_mode_has_types_1_to_5(void)
{
    for (unsigned wide = 0; wide < 2; wide++) {
        VtdQueueMode legacy = scalable;

        legacy.ttm = TTM_LEGACY;
        legacy.wide = wide;
        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
            g_assert_cmpint(check(&legacy, types[i].word0, 0), ==,
                            types[i].legacy ? VTD_IQEI_NONE : VTD_IQEI_TYPE);
        }
    }
}

static void test_without_page_requests(void)
{
    VtdQueueMode mode = scalable;

    mode.page_requests = false;
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        g_assert_cmpint(check(&mode, types[i].word0, 0), ==,
                        types[i].word0 == VTD_DESC_PAGE_RESPONSE
                            ? VTD_IQEI_TYPE : VTD_IQEI_NONE);
    }
    /* ECAP.PDS is 0 as well: PD is reserved. */
    g_assert_cmpint(check(&mode, 0x5 | BIT(7), 0), ==, VTD_IQEI_RESERVED);
    g_assert_cmpint(check(&scalable, 0x5 | BIT(7), 0), ==, VTD_IQEI_NONE);
}

static void test_width_rule(void)
{
    static const struct {
        unsigned ttm;
        VtdIqei narrow;
        VtdIqei wide;
    } cases[] = {
        { TTM_LEGACY, VTD_IQEI_NONE, VTD_IQEI_NONE },
        { TTM_SCALABLE, VTD_IQEI_WIDTH, VTD_IQEI_NONE },
        { TTM_RESERVED, VTD_IQEI_TTM, VTD_IQEI_TTM },
        { TTM_ABORT, VTD_IQEI_WIDTH, VTD_IQEI_NONE },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        VtdQueueMode mode = { .ttm = cases[i].ttm };

        g_assert_cmpint(vtd_queue_mode_check(&mode), ==, cases[i].narrow);
        mode.wide = true;
        g_assert_cmpint(vtd_queue_mode_check(&mode), ==, cases[i].wide);
    }
}

/* What Linux's driver sends, word by word. */
static void test_descriptors_of_linux(void)
{
    static const uint64_t words[][2] = {
        { 0x1 | 1 << 4, 0 },                            /* global context */
        { 0x1 | 3 << 4 | 7 << 16 | UINT64_C(0x0810) << 32, 0 },
        { 0x2 | 1 << 4 | BIT(6) | BIT(7), 0 },          /* DR, DW */
        { 0x2 | 3 << 4 | 7 << 16, 0x7f0000000000 | BIT(6) | 9 },
        { 0x3 | 31 << 16 | UINT64_C(0x0810) << 32, 0x7ffffffffffff001 },
        { 0x6 | 2 << 4 | 7 << 16 | UINT64_C(0x12345) << 32, 0 },
        { 0x6 | 3 << 4 | 7 << 16 | UINT64_C(0x12345) << 32,
          0x7f0000000000 | 36 },                        /* AM above MAMV */
        { 0x7 | 1 << 4 | 7 << 16 | UINT64_C(0x12345) << 32, 0 },
        { 0x7 | 3 << 4, 0 },
        { 0x8 | 31 << 4 | 0x0810 << 16 | UINT64_C(0x12345) << 32,
          0x7ffffffffffff800 },
        { 0x9 | BIT(4) | 2 << 12 | 0x0810 << 16 | UINT64_C(0x12345) << 32,
          BIT(2) | 0x1ff << 3 },
        { 0x5 | BIT(5) | BIT(7) | UINT64_C(2) << 32, 0x12345678c },
        { 0x5 | BIT(6), 0 },
        { 0x4, 0 },
        { 0x4 | BIT(4) | UINT64_C(0x1234) << 32, 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        g_test_message("0x%" PRIx64 " 0x%" PRIx64, words[i][0], words[i][1]);
        g_assert_cmpint(check(&scalable, words[i][0], words[i][1]), ==,
                        VTD_IQEI_NONE);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vtd/inv-desc/every-bit", test_every_bit);
    g_test_add_func("/vtd/inv-desc/all-fields-at-once",
                    test_all_fields_at_once);
    g_test_add_func("/vtd/inv-desc/granularities", test_granularities);
    g_test_add_func("/vtd/inv-desc/unknown-types", test_unknown_types);
    g_test_add_func("/vtd/inv-desc/legacy-mode-has-types-1-to-5",
                    test_legacy_mode_has_types_1_to_5);
    g_test_add_func("/vtd/inv-desc/without-page-requests",
                    test_without_page_requests);
    g_test_add_func("/vtd/inv-desc/width-rule", test_width_rule);
    g_test_add_func("/vtd/inv-desc/descriptors-of-linux",
                    test_descriptors_of_linux);
    return g_test_run();
}
