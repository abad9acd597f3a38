/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the Intel VT-d driver of Linux 7.3 makes of first-stage page tables and
 * their invalidations. There is no vIOMMU: such a HWPT nests in a nest parent.
 */
#include "emul-internal.h"

#include "base/bits.h"

#include <errno.h>

/* Scalable mode with nesting, 4 and 5 levels, PASIDs and page requests. */
const struct iommu_hw_info_vtd emul_vtd_hw_info = {
    /* ND 6, SAGAW 48 and 57, MGAW 57, SSLPS, PSI, MAMV, DWD, DRD; FS1GP,
     * FS5LP, ESIRTPS, ESRTPS */
    .cap_reg = BIT_RANGE(1, 2) | BIT_RANGE(10, 2) | UINT64_C(56) << 16 |
               BIT_RANGE(34, 2) | BIT(39) | UINT64_C(18) << 48 | BIT(54) |
               BIT(55) | BIT(56) | BIT(60) | BIT(62) | BIT(63),
    /* C, QI, DT, PT, SC; NEST, PRS, SRS; PSS, PASID, PDS, SMTS; SSTS, FSTS,
     * SMPWCS. No EAFS. */
    .ecap_reg = BIT_RANGE(0, 3) | BIT(6) | BIT(7) | BIT(26) | BIT(29) |
                BIT(31) | UINT64_C(19) << 35 | BIT(40) | BIT(42) | BIT(43) |
                BIT(46) | BIT(47) | BIT(48),
};

/* The table is not looked at before it is attached. */
int emul_vtd_nested_alloc_locked(EmulHost *host, EmulHwpt *parent,
                                 struct iommu_hwpt_alloc *cmd)
{
    struct iommu_hwpt_vtd_s1 s1;
    EmulNested *nested;
    int ret;

    if ((cmd->flags & ~(IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID)) ||
        cmd->data_len == 0) {
        return -EOPNOTSUPP;
    }
    if (parent->auto_domain || !parent->nest_parent) {
        return -EINVAL;
    }
    if (cmd->data_type != IOMMU_HWPT_DATA_VTD_S1) {
        return -EOPNOTSUPP;
    }
    if (cmd->data_len < sizeof(s1)) {
        return -EINVAL;
    }
    if (!cmd->data_uptr) {
        return -EFAULT;
    }
    ret = emul_copy_struct(&s1, sizeof(s1),
                           (const void *)(uintptr_t)cmd->data_uptr,
                           cmd->data_len);
    if (ret < 0) {
        return ret;
    }
    nested = g_new0(EmulNested, 1);
    nested->parent = parent;
    nested->s1 = s1;
    emul_object_add_locked(host, &nested->pt.obj, EMUL_NESTED);
    parent->pt.obj.users++;
    cmd->out_hwpt_id = nested->pt.obj.id;
    return 0;
}

int emul_vtd_check_s1(const struct iommu_hwpt_vtd_s1 *s1)
{
    if (s1->addr_width != 48 && s1->addr_width != 57) {
        return -EINVAL;
    }
    return s1->flags & IOMMU_VTD_S1_EAFE ? -EINVAL : 0;     /* no ECAP.EAFS */
}

static int check_invalidation(const struct iommu_hwpt_vtd_s1_invalidate *inv)
{
    if ((inv->flags & ~IOMMU_VTD_INV_FLAGS_LEAF) || inv->__reserved) {
        return -EOPNOTSUPP;
    }
    if (inv->addr % 4096 || (inv->npages == UINT64_MAX && inv->addr)) {
        return -EINVAL;
    }
    return 0;
}

/* Entry by entry, so those before a bad one are done. */
int emul_vtd_invalidate(const struct iommu_hwpt_invalidate *cmd,
                        uint32_t *done)
{
    const char *entries = (const char *)(uintptr_t)cmd->data_uptr;
    struct iommu_hwpt_vtd_s1_invalidate inv;
    int ret = 0;

    if (cmd->data_type != IOMMU_HWPT_INVALIDATE_DATA_VTD_S1) {
        return -EINVAL;
    }
    while (*done < cmd->entry_num && ret == 0) {
        if (cmd->entry_len < sizeof(inv)) {
            return -EINVAL;
        }
        ret = emul_copy_struct(&inv, sizeof(inv),
                               entries + (size_t)*done * cmd->entry_len,
                               cmd->entry_len);
        if (ret == 0) {
            ret = check_invalidation(&inv);
        }
        *done += ret == 0;
    }
    return ret;
}
