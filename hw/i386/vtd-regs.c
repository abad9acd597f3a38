/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * MMIO. Every register lives in reg[] at its offset; words without a register
 * stay 0, so they read as RsvdZ. What may be written is one table.
 */
#include "hw/i386/vtd-internal.h"

#include <string.h>

/* VER: 3.0. DWD and DRD must be 1; register-based invalidation exists. */
#define VTD_VERSION 0x30

#define MESSAGE_DATA_MASK 0xffff
#define MESSAGE_ADDRESS_MASK 0xfffffffc

/* CCMD and IOTLB: what software may write in the word with the command bit. */
#define CCMD_HIGH_WRITABLE 0x60000003       /* CIRG, FM */
#define IOTLB_HIGH_WRITABLE 0x3003ffff      /* IIRG, DR, DW, DID */

typedef struct RegisterInfo {
    uint32_t offset;
    uint8_t size;               /* bytes: 4 or 8 */
    bool needs_prs;             /* RsvdZ without ECAP.PRS */
    uint64_t writable;          /* by a write that only stores */
} RegisterInfo;

static const RegisterInfo registers[] = {
    { A_CAP, 8, false, 0 },
    { A_ECAP, 8, false, 0 },
    { A_RTADDR, 8, false,
      FIELD_MASK(RTADDR, TTM) | FIELD_MASK(RTADDR, RTA) },
    { A_CCMD, 8, false, UINT32_MAX },
    { A_FEDATA, 4, false, MESSAGE_DATA_MASK },
    { A_FEADDR, 4, false, MESSAGE_ADDRESS_MASK },
    { A_FEUADDR, 4, false, UINT32_MAX },
    { A_IQH, 8, false, 0 },
    { A_IQT, 8, false, 0 },
    { A_IQA, 8, false,
      FIELD_MASK(IQA, QS) | FIELD_MASK(IQA, DW) | FIELD_MASK(IQA, IQA) },
    { A_IEDATA, 4, false, MESSAGE_DATA_MASK },
    { A_IEADDR, 4, false, MESSAGE_ADDRESS_MASK },
    { A_IEUADDR, 4, false, UINT32_MAX },
    { A_IQERCD, 8, false, 0 },
    { A_IRTA, 8, false,
      FIELD_MASK(IRTA, S) | FIELD_MASK(IRTA, EIME) | FIELD_MASK(IRTA, IRTA) },
    { A_PQH, 8, true, FIELD_MASK(PQH, PQH) },
    { A_PQT, 8, true, FIELD_MASK(PQT, PQT) },
    { A_PQA, 8, true, FIELD_MASK(PQA, PQS) | FIELD_MASK(PQA, PQA) },
    { A_PRS, 4, true, 0 },
    { A_PECTL, 4, true, 0 },
    { A_PEDATA, 4, true, MESSAGE_DATA_MASK },
    { A_PEADDR, 4, true, MESSAGE_ADDRESS_MASK },
    { A_PEUADDR, 4, true, UINT32_MAX },
    { A_IVA, 8, false, 0 },
    { A_IOTLB, 8, false, 0 },
};

static bool is_frcd(uint64_t offset)
{
    return offset >= A_FRCD && offset < A_FRCD + 16 * VTD_FRCD_COUNT;
}

/* The register that holds the word at @offset, if the table has it. */
static const RegisterInfo *register_find(uint64_t offset)
{
    static const RegisterInfo frcd = { A_FRCD, 8, false, 0 };

    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        const RegisterInfo *info = &registers[i];

        if (offset >= info->offset && offset < info->offset + info->size) {
            return info;
        }
    }
    return is_frcd(offset) ? &frcd : NULL;
}

/* A dword anywhere, a qword only where there is a register of that size. */
static bool access_valid(const RegisterInfo *info, uint64_t offset,
                         unsigned size)
{
    return offset < 4 * VTD_REG_WORDS &&
           (size == 4 || (info && info->size == 8));
}

uint64_t vtd_mmio_read(Viommu *viommu, uint64_t offset, unsigned size)
{
    Vtd *v = vtd_from(viommu);
    uint64_t value;

    if (!access_valid(register_find(offset), offset, size)) {
        return 0;
    }
    /*
     * A read returns after the interrupts of what it shows: they are sent
     * under the ring_lock together with the change.
     */
    lock_acquire(&v->parent.ring_lock);
    value = v->reg[offset / 4];
    if (size == 8) {
        value |= (uint64_t)v->reg[offset / 4 + 1] << 32;
    }
    lock_release(&v->parent.ring_lock);
    return value;
}

static bool is_legacy(Vtd *v)
{
    /* Acquire: pairs with the store that SRTP makes. */
    uint64_t root = atomic_load_explicit(&v->root, memory_order_acquire);

    return FIELD_GET(root, RTADDR, TTM) == TTM_LEGACY;
}

/*
 * 11.4: register-based invalidation is ignored but in legacy mode,
 * of which nothing is cached. The granularity that was done says which.
 */
static void write_ccmd_high(Vtd *v, uint32_t value)
    REQUIRES(&v->parent.ring_lock)
{
    uint64_t ccmd = (uint64_t)value << 32;
    uint32_t *word = &v->reg[R_CCMD + 1];

    *word = (*word & ~CCMD_HIGH_WRITABLE) | (value & CCMD_HIGH_WRITABLE);
    if (FIELD_GET(ccmd, CCMD, ICC)) {
        unsigned done = is_legacy(v) ? FIELD_GET(ccmd, CCMD, CIRG) : 0;

        *word = FIELD_SET((uint64_t)*word << 32, CCMD, CAIG, done) >> 32;
    }
}

static void write_iotlb_high(Vtd *v, uint32_t value)
    REQUIRES(&v->parent.ring_lock)
{
    uint64_t iotlb = (uint64_t)value << 32;
    uint32_t *word = &v->reg[R_IOTLB + 1];

    *word = (*word & ~IOTLB_HIGH_WRITABLE) | (value & IOTLB_HIGH_WRITABLE);
    if (FIELD_GET(iotlb, IOTLB, IVT)) {
        unsigned done = is_legacy(v) ? FIELD_GET(iotlb, IOTLB, IIRG) : 0;

        *word = FIELD_SET((uint64_t)*word << 32, IOTLB, IAIG, done) >> 32;
    }
}

static void store_locked(Vtd *v, const RegisterInfo *info, uint64_t offset,
                         uint32_t value) REQUIRES(&v->parent.ring_lock)
{
    uint32_t *word = &v->reg[offset / 4];
    uint32_t writable =
        info ? info->writable >> 8 * (offset - info->offset) : 0;

    if (writable) {             /* the others may be [const] */
        *word = (*word & ~writable) | (value & writable);
    }
}

static void write_word_locked(Vtd *v, const RegisterInfo *info,
                              uint64_t offset, uint32_t value)
    REQUIRES(&v->parent.ring_lock)
{
    switch (offset) {
    case A_CCMD + 4:
        write_ccmd_high(v, value);
        break;
    case A_IOTLB + 4:
        write_iotlb_high(v, value);
        break;
    case A_FECTL:
        vtd_event_write_control(v, VTD_EVENT_FAULT, value);
        break;
    case A_IECTL:
        vtd_event_write_control(v, VTD_EVENT_INVALIDATION, value);
        break;
    case A_PECTL:
        vtd_event_write_control(v, VTD_EVENT_PAGE_REQUEST, value);
        break;
    case A_ICS:
        v->reg[R_ICS] &= ~(value & FIELD_MASK(ICS, IWC));
        vtd_event_cleared(v, VTD_EVENT_INVALIDATION);
        break;
    case A_PRS:
        v->reg[R_PRS] &= ~value;
        vtd_event_cleared(v, VTD_EVENT_PAGE_REQUEST);
        break;
    default:
        if (is_frcd(offset)) {
            vtd_write_frcd(v, (offset - A_FRCD) / 16, (offset - A_FRCD) / 4 % 4,
                           value);
        } else {
            store_locked(v, info, offset, value);
        }
        break;
    }
}

/* What needs the ring_lock only. */
static void write_plain(Vtd *v, const RegisterInfo *info, uint64_t offset,
                        unsigned size, uint64_t value)
{
    bool resume = false;

    lock_acquire(&v->parent.ring_lock);
    write_word_locked(v, info, offset, value);
    if (size == 8) {
        write_word_locked(v, info, offset + 4, value >> 32);
    }
    if (info && info->needs_prs) {
        resume = vtd_prq_has_room_now(v);
    }
    lock_release(&v->parent.ring_lock);
    if (resume) {
        viommu_resume_page_requests(&v->parent);
    }
}

void vtd_mmio_write(Viommu *viommu, uint64_t offset, unsigned size,
                    uint64_t value)
{
    Vtd *v = vtd_from(viommu);
    const RegisterInfo *info = register_find(offset);

    if (!access_valid(info, offset, size) ||
        (info && info->needs_prs && !v->props.svm)) {
        return;
    }
    switch (offset) {
    case A_GCMD:
        vtd_write_gcmd(v, value);
        break;
    case A_FSTS:
        vtd_write_fsts(v, value);
        break;
    case A_IQT:
        vtd_write_iqt(v, value);
        break;
    default:
        write_plain(v, info, offset, size, value);
        break;
    }
}

static uint64_t capabilities(const VtdProperties *props)
{
    return FIELD_SET(0, CAP, ND, (VTD_DID_BITS - 4) / 2) |
           FIELD_SET(0, CAP, CM, props->caching_mode) |
           FIELD_SET(0, CAP, SAGAW, BIT(2)) |
           FIELD_SET(0, CAP, MGAW, 48 - 1) |
           FIELD_SET(0, CAP, FRO, A_FRCD / 16) |
           FIELD_SET(0, CAP, PSI, 1) |
           FIELD_SET(0, CAP, NFR, VTD_FRCD_COUNT - 1) |
           FIELD_SET(0, CAP, MAMV, 18) |
           FIELD_SET(0, CAP, DWD, 1) |
           FIELD_SET(0, CAP, DRD, 1) |
           FIELD_SET(0, CAP, FS1GP, props->fs1gp) |
           FIELD_SET(0, CAP, ESRTPS, 1);
}

static uint64_t extended_capabilities(const VtdProperties *props)
{
    return FIELD_SET(0, ECAP, C, 1) |
           FIELD_SET(0, ECAP, QI, 1) |
           FIELD_SET(0, ECAP, DT, 1) |
           FIELD_SET(0, ECAP, PT, props->pt) |
           FIELD_SET(0, ECAP, SC, 1) |
           FIELD_SET(0, ECAP, IRO, A_IVA / 16) |
           FIELD_SET(0, ECAP, PRS, props->svm) |
           FIELD_SET(0, ECAP, PSS, props->svm ? props->pasid_bits - 1 : 0) |
           FIELD_SET(0, ECAP, PASID, props->svm) |
           FIELD_SET(0, ECAP, PDS, props->svm) |
           FIELD_SET(0, ECAP, SMTS, 1) |
           FIELD_SET(0, ECAP, FSTS, 1) |
           FIELD_SET(0, ECAP, SMPWCS, 1) |
           FIELD_SET(0, ECAP, RPS, 1) |
           FIELD_SET(0, ECAP, SMS, props->svm);
}

void vtd_regs_init(Vtd *v)
{
    lock_assume_alone(&v->parent.ring_lock);
    v->reg[R_VER] = VTD_VERSION;
    vtd_set_reg64(v, R_CAP, capabilities(&v->props));
    vtd_set_reg64(v, R_ECAP, extended_capabilities(&v->props));
}

/* ID registers stay as they are: they are read without a lock. */
void vtd_regs_reset(Vtd *v)
{
    memset(&v->reg[R_GCMD], 0, 4 * (VTD_REG_WORDS - R_GCMD));
    v->reg[R_FECTL] = FIELD_MASK(ECTL, IM);
    v->reg[R_IECTL] = FIELD_MASK(ECTL, IM);
    v->reg[R_PECTL] = v->props.svm ? FIELD_MASK(ECTL, IM) : 0;
    v->frcd_index = 0;
}
