/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one GError domain. A message names the object, the value and what would
 * be accepted; the code is for programs.
 *
 * Threads: any.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <glib.h>

#define VIOMMU_ERROR viommu_error_quark()

/**
 * enum ViommuError - what went wrong
 * @VIOMMU_ERROR_INVALID: a value that is not accepted
 * @VIOMMU_ERROR_EXISTS: the name or number is taken
 * @VIOMMU_ERROR_NOT_FOUND: a reference to nothing
 * @VIOMMU_ERROR_HOST: the host refused; the message ends with its errno text
 * @VIOMMU_ERROR_RESOURCE: no memory, threads or descriptors for it
 */
typedef enum ViommuError {
    VIOMMU_ERROR_INVALID,
    VIOMMU_ERROR_EXISTS,
    VIOMMU_ERROR_NOT_FOUND,
    VIOMMU_ERROR_HOST,
    VIOMMU_ERROR_RESOURCE,
} ViommuError;

GQuark viommu_error_quark(void);

/**
 * error_set_errno() - set @error to @format followed by ": " and the text of
 * @err, with code %VIOMMU_ERROR_HOST or, for ENOMEM, EMFILE, ENFILE and ENOSPC,
 * %VIOMMU_ERROR_RESOURCE
 */
void error_set_errno(GError **error, int err, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

#endif
