/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PASIDs that come and go under their page requests. Three vCPUs race, each
 * with a PASID of the host devices that it sets, changes and clears, and all
 * with the context entries and the PASID of the SVA devices that is common to
 * them, against the threads that raise groups of these PASIDs and the handler
 * that answers, often late: after its PASID has gone.
 *
 * Checked is what storm-race.h says: a removed PASID's groups end once, on the
 * host's side, and are not answered again; and that after an invalidation of
 * the SVA devices' PASID nobody uses the old table.
 */
#include "storm-race.h"

static const StormMix mix = {
    .churners = STORM_PASIDS,
    .hosts = true,
    .late = 3, .twice = 16,
};

static bool is_enough(const StormBooks *books)
{
    return storm_counted(&books->changes) > 0 &&
           storm_counted(&books->automatic) > 0 &&
           storm_counted(&books->translations) > 0;
}

int main(int argc, char **argv)
{
    static const StormRace race = {
        .name = "pasid-churn",
        .mix = &mix,
        .stride = 300,
        .least = { .groups = 1, .lives = 1 },
        .enough = is_enough,
    };

    return storm_race_main(argc, argv, &race);
}
