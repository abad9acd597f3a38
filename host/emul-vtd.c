/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the Intel VT-d driver of Linux 7.3 makes of first-stage page tables and
 * their invalidations. There is no vIOMMU: such a HWPT nests in a nest parent.
 */
#include "emul-driver.h"

#include "base/bits.h"

#include <errno.h>

/* Scalable mode with nesting, 4 and 5 levels, PASIDs and page requests. */
static const struct iommu_hw_info_vtd hw_info = {
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
static int nested_init(EmulNested *nested, uint32_t flags,
                       const EmulUserData *data)
{
    (void)flags;                /* a HWPT for PASIDs is none other */
    if (data->type != IOMMU_HWPT_DATA_VTD_S1) {
        return -EOPNOTSUPP;
    }
    return emul_user_data_copy(&nested->s1, sizeof(nested->s1),
                               sizeof(nested->s1), data);
}

/* Whether the hardware can use the guest's table. */
static int attach(EmulDevice *device, uint32_t pasid, const EmulPt *pt)
{
    const struct iommu_hwpt_vtd_s1 *s1;

    (void)device;
    (void)pasid;
    if (!pt || pt->obj.type != EMUL_NESTED) {
        return 0;
    }
    s1 = &((const EmulNested *)pt)->s1;
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
static int invalidate(EmulNested *nested,
                      const struct iommu_hwpt_invalidate *cmd, uint32_t *done)
{
    struct iommu_hwpt_vtd_s1_invalidate inv;
    int ret = 0;

    (void)nested;
    if (cmd->data_type != IOMMU_HWPT_INVALIDATE_DATA_VTD_S1) {
        return -EINVAL;
    }
    while (*done < cmd->entry_num && ret == 0) {
        ret = emul_copy_entry(cmd, *done, &inv, sizeof(inv), sizeof(inv));
        if (ret == 0) {
            ret = check_invalidation(&inv);
        }
        *done += ret == 0;
    }
    return ret;
}

const EmulDriver emul_vtd_driver = {
    .hw_info_type = IOMMU_HW_INFO_TYPE_INTEL_VTD,
    .hw_info = &hw_info,
    .hw_info_len = sizeof(hw_info),
    .paging_flags = IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_PASID,
    /* 57 bits by CAP.MGAW */
    .geometry = { .last = (UINT64_C(1) << 57) - 1, .align = 4096 },
    .nested_init = nested_init,
    .attach = attach,
    .invalidate = invalidate,
};
