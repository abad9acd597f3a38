/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A page request queue that is full: the guest lets it fill up, takes out a
 * few, answers some of them late. Devices of both kinds race for the room that
 * this makes, while others are detached and unplugged with groups of theirs in
 * the queue, in the backlog and in the host's queue.
 *
 * Checked is what storm-race.h says, and that back pressure works: groups that
 * find no room stay in the host's queue, and neither is one answered in the
 * guest's place nor does the guest ever see an overflow.
 */
#include "storm-race.h"

static const StormMix mix = {
    .churners = 1,
    .hosts = true, .plugs = true,
    .late = 4, .twice = 16,
    .lazy = true,
};

static bool is_enough(const StormBooks *books)
{
    return storm_counted(&books->full) > 0 &&
           storm_counted(&books->kept) > 0;
}

static void check_totals(const StormBooks *books)
{
    g_assert_cmpuint(storm_counted(&books->overflows), ==, 0);
}

int main(int argc, char **argv)
{
    static const StormRace race = {
        .name = "full-prq",
        .mix = &mix,
        .stride = 300,
        .least = { .groups = 1, .plugs = 1, .lives = 1 },
        .enough = is_enough,
        .end = check_totals,
    };

    return storm_race_main(argc, argv, &race);
}
