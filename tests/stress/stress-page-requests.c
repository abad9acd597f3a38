/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests from all sides at once: all the threads that storm.h lists
 * race. Checked is what storm-race.h says; that no translation is used after
 * its invalidation has completed; and that a device hears of no other group's
 * answer.
 *
 * The life of a fault queue is the measure of time: it begins with the first
 * HWPT that has page requests and ends with the last.
 */
#include "storm-race.h"

static bool is_enough(const StormBooks *books)
{
    return storm_counted(&books->host_raised) > 0 &&
           storm_counted(&books->translations) > 0;
}

int main(int argc, char **argv)
{
    static const StormRace race = {
        .name = "page-requests",
        .mix = &storm_mix_all,
        .stride = 250,
        .by_lives = true,
        .least = { .groups = 1, .plugs = 1, .resets = 1, .lives = 1 },
        .enough = is_enough,
    };

    return storm_race_main(argc, argv, &race);
}
