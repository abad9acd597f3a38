/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <errno.h>

G_DEFINE_QUARK(viommu-error-quark, viommu_error)

static ViommuError code_from_errno(int err)
{
    switch (err) {
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
        return VIOMMU_ERROR_RESOURCE;
    default:
        return VIOMMU_ERROR_HOST;
    }
}

void error_set_errno(GError **error, int err, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list ap;

    va_start(ap, format);
    what = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(error, VIOMMU_ERROR, code_from_errno(err), "%s: %s", what,
                g_strerror(err));
}
