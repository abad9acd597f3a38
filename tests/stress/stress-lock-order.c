/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests under a device's lock against MMIO under the big lock: SVA
 * devices ask while they hold their dev_lock, on their own threads and in their
 * response handlers; vCPUs take the big lock, then a dev_lock, for MMIO of the
 * devices, which asks too; and unit resets, plugs and unplugs come with the big
 * lock held or without.
 *
 * Checked is that it goes on: lock ranks, ThreadSanitizer's deadlock detector
 * and the patience of race.h. With NAIVE_ORDER (sva-port.c) a page request
 * takes the big lock, and each of the three finds that out.
 */
#include "storm-race.h"

static const StormMix mix = {
    .mmio = 3,
    .plugs = true, .resets = true,
    .late = 8,
};

static bool is_enough(const StormBooks *books)
{
    return storm_counted(&books->mmio) > 0;
}

int main(int argc, char **argv)
{
    static const StormRace race = {
        .name = "lock-order",
        .mix = &mix,
        .stride = 3000,
        .least = { .groups = 1, .plugs = 1, .resets = 1 },
        .enough = is_enough,
    };

    return storm_race_main(argc, argv, &race);
}
