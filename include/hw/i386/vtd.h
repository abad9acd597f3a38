/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Intel VT-d remapping unit in scalable mode, with first-stage translation and
 * page requests, as a Viommu. Specification: Intel D51397-018 (rev 5.10).
 *
 * Threads, Locks: hw/iommu/viommu.h.
 */
#ifndef HW_I386_VTD_H
#define HW_I386_VTD_H

#include "hw/iommu/viommu.h"

/* The region that viommu_mmio_*() serves. */
#define VTD_MMIO_SIZE 0x1000

/**
 * struct VtdProperties - what the CAP and ECAP registers show; QEMU's names
 * @svm: shared virtual memory: PASIDs and page requests (ECAP.PASID, PRS, PDS)
 * @caching_mode: not-present entries may be cached, so that the guest says
 *                when it makes one present (CAP.CM); without it a PASID of a
 *                host's device is not noticed
 * @pt: pass-through PASID entries (ECAP.PT)
 * @fs1gp: 1 GiB first-stage pages (CAP.FS1GP)
 * @pasid_bits: 1 to 20 (ECAP.PSS)
 */
typedef struct VtdProperties {
    bool svm;
    bool caching_mode;
    bool pt;
    bool fs1gp;
    unsigned pasid_bits;
} VtdProperties;

#define VTD_PROPERTIES_DEFAULT                                            \
    ((VtdProperties){ .svm = true, .caching_mode = true, .pt = true,      \
                      .fs1gp = true, .pasid_bits = 20 })

/**
 * vtd_new() - a VT-d unit in its reset state
 * @properties: copied; NULL for the defaults
 *
 * Interrupts are messages, as the guest programs them: IrqSinkOps::message().
 *
 * Return: to be given to viommu_free(), or NULL and @error set.
 */
Viommu *vtd_new(const ViommuConfig *config, const VtdProperties *properties,
                GError **error);

#endif
