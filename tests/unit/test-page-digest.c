/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "page-digest.h"

#include <glib.h>

#define ADDR UINT64_C(0x7fff80001000)

/* One request, and others that differ from it in one thing each. */
static void test_everything_counts(void)
{
    const uint64_t digests[] = {
        page_digest(3, 7, PAGE_DIGEST_READ, true, ADDR),
        page_digest(2, 7, PAGE_DIGEST_READ, true, ADDR),
        page_digest(3, 6, PAGE_DIGEST_READ, true, ADDR),
        page_digest(3, 7, PAGE_DIGEST_WRITE, true, ADDR),
        page_digest(3, 7, PAGE_DIGEST_READ | PAGE_DIGEST_EXEC, true, ADDR),
        page_digest(3, 7, PAGE_DIGEST_READ | PAGE_DIGEST_PRIVILEGED, true,
                    ADDR),
        page_digest(3, 7, PAGE_DIGEST_READ, false, ADDR),
        page_digest(3, 7, PAGE_DIGEST_READ, true, ADDR + 4096),
        page_digest(3, 7, PAGE_DIGEST_READ, true, 0),
        page_digest(3 + 512, 7, PAGE_DIGEST_READ, true, ADDR),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(digests); i++) {
        for (size_t j = 0; j < i; j++) {
            g_assert_cmphex(digests[i], !=, digests[j]);
        }
    }
}

/* What two requests have exchanged does not cancel out in their sum. */
static void test_exchange_is_found(void)
{
    uint64_t sum = page_digest(1, 0, PAGE_DIGEST_READ, false, ADDR) +
                   page_digest(1, 1, PAGE_DIGEST_WRITE, true, ADDR + 4096);

    g_assert_cmphex(page_digest(1, 0, PAGE_DIGEST_READ, false, ADDR + 4096) +
                    page_digest(1, 1, PAGE_DIGEST_WRITE, true, ADDR),
                    !=, sum);
    g_assert_cmphex(page_digest(1, 0, PAGE_DIGEST_WRITE, false, ADDR) +
                    page_digest(1, 1, PAGE_DIGEST_READ, true, ADDR + 4096),
                    !=, sum);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/page-digest/everything-counts", test_everything_counts);
    g_test_add_func("/page-digest/exchange-is-found", test_exchange_is_found);
    return g_test_run();
}
