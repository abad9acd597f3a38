/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that does not answer as it should: the page request handler draws at
 * random whether it answers a group late (after the device was unplugged, the
 * PASID has gone, or the unit was reset), twice, never, or with another
 * device's requester ID, PASID or group index. It races with the devices that
 * raise groups, with plug and unplug, PASID changes and resets.
 *
 * Checked is what storm-race.h says: no cookie is written that no group has,
 * every group is answered once in the end, by whomever, and each response was
 * either an answer or is counted as a stray one.
 */
#include "storm-race.h"

static const StormMix mix = {
    .churners = 1, .mmio = 1,
    .hosts = true, .plugs = true, .resets = true,
    .late = 2, .twice = 3, .never = 16, .strangers = 3,
};

static bool is_enough(const StormBooks *books)
{
    return storm_counted(&books->host_raised) > 0 &&
           storm_counted(&books->stray) > 0 &&
           storm_counted(&books->unplugs) > 0;
}

int main(int argc, char **argv)
{
    static const StormRace race = {
        .name = "odd-responses",
        .mix = &mix,
        .stride = 300,
        .least = { .groups = 1, .plugs = 1, .resets = 1, .lives = 1 },
        .enough = is_enough,
    };

    return storm_race_main(argc, argv, &race);
}
