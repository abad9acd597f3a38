/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Objects: who is what, IDs, and who holds whom.
 */
#include "conformance.h"

#include <errno.h>

static void ids_start_at_1(Conformance *c)
{
    uint32_t first = 0;
    uint32_t second = 0;

    check_errno(c, "IOAS", ioas_alloc(c, &first), 0);
    check_value(c, "ID", first, 1);
    check_errno(c, "IOAS", ioas_alloc(c, &second), 0);
    check_value(c, "ID", second, 2);
    check_errno(c, "destroy", destroy(c, first), 0);
    check_errno(c, "destroy", destroy(c, second), 0);
    check_errno(c, "destroy again", destroy(c, second), ENOENT);
}

static void rig_leaves_nothing(Conformance *c)
{
    Rig rig;

    for (int faults = 0; faults < 2; faults++) {
        if (rig_up(c, &rig, faults)) {
            check_value(c, "HWPT", rig.hwpt_id, faults ? 9 : 8);
            rig_down(c, &rig);
        }
    }
}

const ConformanceCase conformance_objects[] = {
    { "objects/id/starts-at-1", ids_start_at_1 },
    { "objects/rig-leaves-nothing", rig_leaves_nothing },
    { NULL, NULL },
};
