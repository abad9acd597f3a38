/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Primary fault logging (7.2.1). Records of one source are not compressed,
 * which is the implementation's choice.
 */
#include "hw/i386/vtd-internal.h"

/* 11.4: FRCD, the dwords above FI */
FIELD(FRCD2, SID, 0, 16)
FIELD(FRCD2, T2, 28, 1)
FIELD(FRCD2, PRIV, 29, 1)
FIELD(FRCD2, EXE, 30, 1)
FIELD(FRCD2, PP, 31, 1)
FIELD(FRCD3, FR, 0, 8)
FIELD(FRCD3, PV, 8, 20)
FIELD(FRCD3, AT, 28, 2)
FIELD(FRCD3, T1, 30, 1)
FIELD(FRCD3, F, 31, 1)

#define FI_MASK BIT_RANGE(12, 52)

static uint32_t *frcd(Vtd *v, unsigned index)
{
    return &v->reg[R_FRCD + 4 * index];
}

/*
 * 7.1.3: all but what stands above a structure that has FPD: RTA, and access
 * errors to the root, context and PASID entries; the root entry itself.
 */
static bool is_qualified(VtdReason reason)
{
    switch (reason) {
    case VTD_FR_RTADDR:
    case VTD_FR_PASID_LEGACY:
    case VTD_FR_PAGE_REQUEST_LEGACY:
    case VTD_FR_ABORT_DMA:
    case VTD_FR_ROOT_ACCESS:
    case VTD_FR_ROOT_P:
    case VTD_FR_ROOT_RSVD:
    case VTD_FR_CONTEXT_ACCESS:
    case VTD_FR_DIR_ACCESS:
    case VTD_FR_PASID_ACCESS:
        return false;
    default:
        return true;
    }
}

/* The fields, F not among them. */
static void fill(uint32_t *record, const VtdFault *fault)
{
    uint64_t fi = fault->addr & FI_MASK;
    bool pp = fault->pasid != PAGE_REQUEST_NO_PASID;

    record[0] = fi;
    record[1] = fi >> 32;
    record[2] = FIELD_SET(0, FRCD2, SID, fault->rid) |
                FIELD_SET(0, FRCD2, T2, fault->access & 1) |
                FIELD_SET(0, FRCD2, PP, pp);
    record[3] = FIELD_SET(0, FRCD3, FR, fault->reason) |
                FIELD_SET(0, FRCD3, T1, fault->access >> 1);
    if (pp) {
        record[2] |= FIELD_SET(0, FRCD2, PRIV, fault->priv) |
                     FIELD_SET(0, FRCD2, EXE, fault->exec);
        record[3] |= FIELD_SET(0, FRCD3, PV, fault->pasid);
    }
}

void vtd_record_fault(Vtd *v, const VtdFault *fault)
{
    uint32_t *record = frcd(v, v->frcd_index);
    uint32_t *fsts = &v->reg[R_FSTS];

    if ((fault->fpd && is_qualified(fault->reason)) ||
        FIELD_GET(*fsts, FSTS, PFO)) {
        return;
    }
    if (FIELD_GET(record[3], FRCD3, F)) {
        vtd_event_set(v, VTD_EVENT_FAULT, FIELD_MASK(FSTS, PFO));
        return;
    }
    fill(record, fault);
    if (!FIELD_GET(*fsts, FSTS, PPF)) {
        *fsts = FIELD_SET(*fsts, FSTS, FRI, v->frcd_index);
    }
    v->frcd_index = (v->frcd_index + 1) % VTD_FRCD_COUNT;
    record[3] |= FIELD_MASK(FRCD3, F);
    vtd_event_set(v, VTD_EVENT_FAULT, FIELD_MASK(FSTS, PPF));
}

static bool any_pending(Vtd *v)
{
    for (unsigned i = 0; i < VTD_FRCD_COUNT; i++) {
        if (FIELD_GET(frcd(v, i)[3], FRCD3, F)) {
            return true;
        }
    }
    return false;
}

void vtd_write_frcd(Vtd *v, unsigned index, unsigned word, uint32_t value)
{
    if (word != 3) {
        return;
    }
    frcd(v, index)[3] &= ~(value & FIELD_MASK(FRCD3, F));
    if (!any_pending(v)) {
        /* PPF is the OR of all F; writing FSTS does not clear it. */
        v->reg[R_FSTS] &= ~FIELD_MASK(FSTS, PPF);
        vtd_event_cleared(v, VTD_EVENT_FAULT);
    }
}
