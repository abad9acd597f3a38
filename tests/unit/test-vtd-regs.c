/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VT-d's registers (D51397-018, 11.4): which there are, what is stored, and
 * the order in which Linux programs them.
 */
#include "vtd-fixture.h"

static VtdFixture *f;

static void setup(void)
{
    f = vtd_fixture_new(NULL, false);
}

static void teardown(void)
{
    vtd_fixture_free(f);
}

static void test_init_sequence(void)
{
    vtd_guest_start(f, 4);
    g_assert_cmphex(vtd_guest_read32(f, A_GSTS), ==, 0xc4000000);
    g_assert_cmphex(vtd_guest_read32(f, A_FSTS), ==, 0);
}

int main(int argc, char **argv)
{
    static const FixtureTest tests[] = {
        { test_init_sequence, "init-sequence" },
    };

    return fixture_main(argc, argv, "/vtd/regs", tests, G_N_ELEMENTS(tests),
                        setup, teardown);
}
