/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/i386/vtd-inv-desc.h"

#include "hw/i386/vtd-internal.h"

/**
 * struct DescriptorInfo - what is valid of one type
 * @implemented: bits that are not reserved, type and G included; words 2 and 3
 *               have none
 * @granularities: bit n: G may be n; 0: there is no G
 * @legacy: exists in legacy mode
 * @page_requests: exists with ECAP.PRS only
 */
typedef struct DescriptorInfo {
    uint64_t implemented[2];
    uint8_t granularities;
    bool legacy;
    bool page_requests;
} DescriptorInfo;

#define TYPE_MASK (FIELD_MASK(DESC0, TYPE_LOW) | FIELD_MASK(DESC0, TYPE_HIGH))
#define IOTLB_WORD1                                                 \
    (FIELD_MASK(IOTLB_DESC1, AM) | FIELD_MASK(IOTLB_DESC1, IH) |    \
     FIELD_MASK(IOTLB_DESC1, ADDR))

/* PFSID is reserved without ECAP.DIT. */
static const DescriptorInfo descriptors[] = {
    [VTD_DESC_CONTEXT_CACHE] = {
        { TYPE_MASK | FIELD_MASK(DESC0, G) | FIELD_MASK(DESC0, DID) |
          FIELD_MASK(CONTEXT_DESC0, SID) | FIELD_MASK(CONTEXT_DESC0, FM), 0 },
        .granularities = BIT(CONTEXT_G_GLOBAL) | BIT(CONTEXT_G_DOMAIN) |
                         BIT(CONTEXT_G_DEVICE),
        .legacy = true,
    },
    [VTD_DESC_IOTLB] = {
        { TYPE_MASK | FIELD_MASK(DESC0, G) | FIELD_MASK(DESC0, DID) |
          FIELD_MASK(IOTLB_DESC0, DW) | FIELD_MASK(IOTLB_DESC0, DR),
          IOTLB_WORD1 },
        .granularities = BIT(IOTLB_G_GLOBAL) | BIT(IOTLB_G_DOMAIN) |
                         BIT(IOTLB_G_PAGE),
        .legacy = true,
    },
    [VTD_DESC_DEVICE_TLB] = {
        { TYPE_MASK | FIELD_MASK(DEVICE_TLB_DESC0, MIP) |
          FIELD_MASK(DEVICE_TLB_DESC0, SID),
          FIELD_MASK(DEVICE_TLB_DESC1, S) |
          FIELD_MASK(DEVICE_TLB_DESC1, ADDR) },
        .legacy = true,
    },
    [VTD_DESC_IEC] = {
        { TYPE_MASK | FIELD_MASK(IEC_DESC0, G) | FIELD_MASK(IEC_DESC0, IM) |
          FIELD_MASK(IEC_DESC0, IIDX), 0 },
        .legacy = true,
    },
    [VTD_DESC_WAIT] = {
        { TYPE_MASK | FIELD_MASK(WAIT_DESC0, IF) | FIELD_MASK(WAIT_DESC0, SW) |
          FIELD_MASK(WAIT_DESC0, FN) | FIELD_MASK(WAIT_DESC0, PD) |
          FIELD_MASK(WAIT_DESC0, STATUS_DATA),
          FIELD_MASK(WAIT_DESC1, STATUS_ADDR) },
        .legacy = true,
    },
    [VTD_DESC_PASID_IOTLB] = {
        { TYPE_MASK | FIELD_MASK(DESC0, G) | FIELD_MASK(DESC0, DID) |
          FIELD_MASK(DESC0, PASID), IOTLB_WORD1 },
        .granularities = BIT(PASID_IOTLB_G_PASID) | BIT(PASID_IOTLB_G_PAGE),
    },
    [VTD_DESC_PASID_CACHE] = {
        { TYPE_MASK | FIELD_MASK(DESC0, G) | FIELD_MASK(DESC0, DID) |
          FIELD_MASK(DESC0, PASID), 0 },
        .granularities = BIT(PASID_CACHE_G_DOMAIN) | BIT(PASID_CACHE_G_PASID) |
                         BIT(PASID_CACHE_G_GLOBAL),
    },
    [VTD_DESC_PASID_DEVICE_TLB] = {
        { TYPE_MASK | FIELD_MASK(PASID_DEVICE_TLB_DESC0, MIP) |
          FIELD_MASK(PASID_DEVICE_TLB_DESC0, SID) | FIELD_MASK(DESC0, PASID),
          FIELD_MASK(PASID_DEVICE_TLB_DESC1, GI) |
          FIELD_MASK(PASID_DEVICE_TLB_DESC1, S) |
          FIELD_MASK(PASID_DEVICE_TLB_DESC1, ADDR) },
        .legacy = false,
    },
    [VTD_DESC_PAGE_RESPONSE] = {
        { TYPE_MASK | FIELD_MASK(PAGE_RESPONSE_DESC0, PP) |
          FIELD_MASK(PAGE_RESPONSE_DESC0, RC) |
          FIELD_MASK(PAGE_RESPONSE_DESC0, RID) | FIELD_MASK(DESC0, PASID),
          FIELD_MASK(PAGE_RESPONSE_DESC1, IGNORED) |
          FIELD_MASK(PAGE_RESPONSE_DESC1, PRGI) },
        .page_requests = true,
    },
};

/* Return: NULL if there is no such type in @mode. */
static const DescriptorInfo *info_find(const VtdQueueMode *mode, unsigned type)
{
    const DescriptorInfo *info;

    if (type >= G_N_ELEMENTS(descriptors)) {
        return NULL;
    }
    info = &descriptors[type];
    if (!info->implemented[0] ||
        (mode->ttm == TTM_LEGACY && !info->legacy) ||
        (info->page_requests && !mode->page_requests)) {
        return NULL;
    }
    return info;
}

VtdIqei vtd_queue_mode_check(const VtdQueueMode *mode)
{
    if (mode->ttm == TTM_RESERVED) {
        return VTD_IQEI_TTM;
    }
    return mode->ttm == TTM_LEGACY || mode->wide ? VTD_IQEI_NONE
                                                 : VTD_IQEI_WIDTH;
}

VtdIqei vtd_desc_check(const VtdQueueMode *mode, const VtdDescriptor *desc)
{
    const DescriptorInfo *info = info_find(mode, vtd_desc_type(desc));
    const uint64_t *word = desc->word;

    if (!info) {
        return VTD_IQEI_TYPE;
    }
    if (word[0] & ~info->implemented[0] || word[1] & ~info->implemented[1] ||
        word[2] || word[3]) {
        return VTD_IQEI_RESERVED;
    }
    if (info->granularities &&
        !(info->granularities & BIT(FIELD_GET(word[0], DESC0, G)))) {
        return VTD_IQEI_RESERVED;
    }
    if (vtd_desc_type(desc) == VTD_DESC_WAIT && !mode->page_requests &&
        FIELD_GET(word[0], WAIT_DESC0, PD)) {
        return VTD_IQEI_RESERVED;
    }
    return VTD_IQEI_NONE;
}
