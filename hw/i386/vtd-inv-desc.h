/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors of VT-d's invalidation queue (6.5.2, 7.8): their fields, and
 * which of them are valid.
 *
 * Threads: any; pure.
 */
#ifndef HW_I386_VTD_INV_DESC_H
#define HW_I386_VTD_INV_DESC_H

#include "base/bits.h"

#include <stdbool.h>
#include <stdint.h>

/* Bits 11:9 and 3:0 of word 0 */
typedef enum VtdDescType {
    VTD_DESC_CONTEXT_CACHE = 0x1,
    VTD_DESC_IOTLB = 0x2,
    VTD_DESC_DEVICE_TLB = 0x3,
    VTD_DESC_IEC = 0x4,
    VTD_DESC_WAIT = 0x5,
    VTD_DESC_PASID_IOTLB = 0x6,
    VTD_DESC_PASID_CACHE = 0x7,
    VTD_DESC_PASID_DEVICE_TLB = 0x8,
    VTD_DESC_PAGE_RESPONSE = 0x9,
} VtdDescType;

FIELD(DESC0, TYPE_LOW, 0, 4)
FIELD(DESC0, G, 4, 2)
FIELD(DESC0, TYPE_HIGH, 9, 3)
FIELD(DESC0, DID, 16, 16)       /* those that have one */
FIELD(DESC0, PASID, 32, 20)     /* the same */

/* 6.5.2.1: context cache */
FIELD(CONTEXT_DESC0, SID, 32, 16)
FIELD(CONTEXT_DESC0, FM, 48, 2)
enum { CONTEXT_G_GLOBAL = 1, CONTEXT_G_DOMAIN, CONTEXT_G_DEVICE };

/* 6.5.2.2: PASID cache */
enum { PASID_CACHE_G_DOMAIN, PASID_CACHE_G_PASID, PASID_CACHE_G_GLOBAL = 3 };

/* 6.5.2.3, 6.5.2.4: IOTLB and PASID IOTLB */
FIELD(IOTLB_DESC0, DW, 6, 1)
FIELD(IOTLB_DESC0, DR, 7, 1)
FIELD(IOTLB_DESC1, AM, 0, 6)
FIELD(IOTLB_DESC1, IH, 6, 1)
FIELD(IOTLB_DESC1, ADDR, 12, 52)
enum { IOTLB_G_GLOBAL = 1, IOTLB_G_DOMAIN, IOTLB_G_PAGE };
enum { PASID_IOTLB_G_PASID = 2, PASID_IOTLB_G_PAGE };

/* 6.5.2.5, 6.5.2.6: device TLB and PASID device TLB */
FIELD(DEVICE_TLB_DESC0, MIP, 16, 5)
FIELD(DEVICE_TLB_DESC0, SID, 32, 16)
FIELD(DEVICE_TLB_DESC1, S, 0, 1)
FIELD(DEVICE_TLB_DESC1, ADDR, 12, 52)
FIELD(PASID_DEVICE_TLB_DESC0, MIP, 4, 5)
FIELD(PASID_DEVICE_TLB_DESC0, SID, 16, 16)
FIELD(PASID_DEVICE_TLB_DESC1, GI, 0, 1)
FIELD(PASID_DEVICE_TLB_DESC1, S, 11, 1)
FIELD(PASID_DEVICE_TLB_DESC1, ADDR, 12, 52)

/* 6.5.2.7: interrupt entry cache */
FIELD(IEC_DESC0, G, 4, 1)
FIELD(IEC_DESC0, IM, 27, 5)
FIELD(IEC_DESC0, IIDX, 32, 16)

/* 6.5.2.8: wait */
FIELD(WAIT_DESC0, IF, 4, 1)
FIELD(WAIT_DESC0, SW, 5, 1)
FIELD(WAIT_DESC0, FN, 6, 1)
FIELD(WAIT_DESC0, PD, 7, 1)
FIELD(WAIT_DESC0, STATUS_DATA, 32, 32)
FIELD(WAIT_DESC1, STATUS_ADDR, 2, 62)

/* 7.8.1: page group response */
FIELD(PAGE_RESPONSE_DESC0, PP, 4, 1)
FIELD(PAGE_RESPONSE_DESC0, RC, 12, 4)
FIELD(PAGE_RESPONSE_DESC0, RID, 16, 16)
FIELD(PAGE_RESPONSE_DESC1, IGNORED, 2, 1)
FIELD(PAGE_RESPONSE_DESC1, PRGI, 3, 9)

/* 11.4: IQERCD.IQEI */
typedef enum VtdIqei {
    VTD_IQEI_NONE,
    VTD_IQEI_TAIL_RANGE,
    VTD_IQEI_FETCH,
    VTD_IQEI_TYPE,
    VTD_IQEI_RESERVED,
    VTD_IQEI_WIDTH,
    VTD_IQEI_TAIL_ALIGNMENT,
    VTD_IQEI_TTM,
} VtdIqei;

/* One of 128 bits has words 2 and 3 zero. */
typedef struct VtdDescriptor {
    uint64_t word[4];
} VtdDescriptor;

/**
 * struct VtdQueueMode - what decides which descriptors are valid
 * @ttm: RTADDR.TTM in use
 * @wide: IQA.DW: of 256 bits
 * @page_requests: ECAP.PRS and PDS
 */
typedef struct VtdQueueMode {
    unsigned ttm;
    bool wide;
    bool page_requests;
} VtdQueueMode;

static inline VtdDescType vtd_desc_type(const VtdDescriptor *desc)
{
    return FIELD_GET(desc->word[0], DESC0, TYPE_HIGH) << 4 |
           FIELD_GET(desc->word[0], DESC0, TYPE_LOW);
}

/* May the queue be used in this mode at all? */
VtdIqei vtd_queue_mode_check(const VtdQueueMode *mode);

/* May @desc be used, in a mode that may? */
VtdIqei vtd_desc_check(const VtdQueueMode *mode, const VtdDescriptor *desc);

#endif
