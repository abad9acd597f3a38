/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the guest is shown, the host must be able to do: of every field that
 * says how much there is of something, as much or more.
 */
#include "base/error.h"
#include "hw/iommu/viommu-internal.h"

#include <inttypes.h>

bool viommu_check_host_fields(const char *unit, const ViommuHostField *fields,
                              size_t count, GError **error)
{
    for (size_t i = 0; i < count; i++) {
        const ViommuHostField *field = &fields[i];

        if (field->host >= field->guest) {
            continue;
        }
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "%s of the host's %s is %" PRIu64 ", the guest's needs %"
                    PRIu64 " or more%s%s%s", field->name, unit, field->host,
                    field->guest, field->remedy ? " (give the vIOMMU " : "",
                    field->remedy ? field->remedy : "",
                    field->remedy ? ")" : "");
        return false;
    }
    return true;
}
