/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bits.h"

#include <glib.h>

FIELD(REG, LOW, 0, 4)
FIELD(REG, MID, 31, 2)
FIELD(REG, HIGH, 63, 1)
FIELD(REG, ALL, 0, 64)

static void test_masks(void)
{
    g_assert_cmphex(FIELD_MASK(REG, LOW), ==, 0xf);
    g_assert_cmphex(FIELD_MASK(REG, MID), ==, UINT64_C(3) << 31);
    g_assert_cmphex(FIELD_MASK(REG, HIGH), ==, UINT64_C(1) << 63);
    g_assert_cmphex(FIELD_MASK(REG, ALL), ==, ~UINT64_C(0));
}

static void test_get_and_set_touch_the_field_only(void)
{
    uint64_t value = FIELD_SET(~UINT64_C(0), REG, MID, 1);

    g_assert_cmphex(value, ==, ~(UINT64_C(1) << 32));
    g_assert_cmphex(FIELD_GET(value, REG, MID), ==, 1);
    g_assert_cmphex(FIELD_GET(value, REG, LOW), ==, 0xf);
    /* What does not fit is cut, not spilled into the neighbours. */
    g_assert_cmphex(FIELD_SET(UINT64_C(0), REG, LOW, 0x1f), ==, 0xf);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bits/masks", test_masks);
    g_test_add_func("/bits/get-and-set-touch-the-field-only",
                    test_get_and_set_touch_the_field_only);
    return g_test_run();
}
