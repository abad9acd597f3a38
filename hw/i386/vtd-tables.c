/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a requester ID and a PASID to the PASID table entry (3.4, 9): root
 * table, context table, PASID directory, PASID table, all in guest memory.
 *
 * Each step checks in the order of the fault reasons (7.1.3): access, P,
 * reserved bits, then what the entry says. Nothing is cached: what CAP.CM lets
 * the guest not invalidate is seen none the less.
 */
#include "hw/i386/vtd-internal.h"

#include "base/rcu.h"

/* 9: scalable-mode root entry, one half */
FIELD(ROOTENTRY, P, 0, 1)
FIELD(ROOTENTRY, CTP, 12, 52)

#define ROOT_ENTRY_BYTES UINT64_C(16)
#define CONTEXT_ENTRY_BYTES UINT64_C(32)
#define DIR_ENTRY_BYTES UINT64_C(8)
#define PASID_ENTRY_BYTES UINT64_C(64)
#define DEVFN_PER_HALF 128
#define PASIDS_PER_TABLE 64
#define PASID_TABLE_BYTES (PASIDS_PER_TABLE * PASID_ENTRY_BYTES)

#define ADDRESS_RSVD BIT_RANGE(VTD_ADDRESS_BITS, 64 - VTD_ADDRESS_BITS)
#define ROOT_RSVD (BIT_RANGE(1, 11) | ADDRESS_RSVD)
/* Without ECAP.HPTS and PTRS, HPTE and EPTR are reserved as well. */
#define CONTEXT0_RSVD                                             \
    (FIELD_MASK(CONTEXT0, HPTE) | FIELD_MASK(CONTEXT0, EPTR) |    \
     BIT_RANGE(7, 2) | ADDRESS_RSVD)
#define CONTEXT1_RSVD BIT_RANGE(21, 43)
#define DIR_RSVD (BIT_RANGE(2, 10) | ADDRESS_RSVD)
#define PASID0_RSVD (BIT(5) | BIT_RANGE(10, 2))
#define PASID1_RSVD BIT_RANGE(16, 7)
#define PASID2_RSVD (BIT(1) | BIT_RANGE(8, 4))

/*
 * An entry, the word with its P bit first: software sets that last.
 * Return: false, as an abort on the bus, if it is not in memory.
 */
static bool entry_read(const Vtd *v, uint64_t gpa, uint64_t *words,
                       size_t count)
{
    const uint64_t *host;

    rcu_section_enter();
    host = guest_mem_ptr(v->parent.config.mem, gpa, count * sizeof(*words));
    if (host) {
        /* Acquire: pairs with the guest's release store of that word. */
        words[0] = GUINT64_FROM_LE(__atomic_load_n(host, __ATOMIC_ACQUIRE));
        guest_words_load(words + 1, host + 1, count - 1);
    }
    rcu_section_leave();
    return host != NULL;
}

static VtdReason check_mode(const Vtd *v, uint64_t root, uint32_t pasid,
                            VtdRequest request)
{
    switch (FIELD_GET(root, RTADDR, TTM)) {
    case TTM_SCALABLE:
        return VTD_OK;
    case TTM_LEGACY:
        if (request == VTD_REQUEST_PAGE) {
            return VTD_FR_PAGE_REQUEST_LEGACY;
        }
        /* Without PASID: this model has no legacy translation. */
        return pasid != PAGE_REQUEST_NO_PASID ? VTD_FR_PASID_LEGACY
                                              : VTD_FR_RTADDR;
    case TTM_ABORT:
        return FIELD_GET(vtd_id_reg64(v, R_ECAP), ECAP, ADMS) ? VTD_FR_ABORT_DMA
                                                           : VTD_FR_RTADDR;
    default:
        return VTD_FR_RTADDR;
    }
}

static VtdReason root_walk(const Vtd *v, uint64_t root, uint16_t rid,
                           uint64_t *context_gpa)
{
    unsigned devfn = rid & 0xff;
    uint64_t gpa = (root & FIELD_MASK(RTADDR, RTA)) +
                   ROOT_ENTRY_BYTES * (rid >> 8) +
                   (devfn < DEVFN_PER_HALF ? 0 : ROOT_ENTRY_BYTES / 2);
    uint64_t entry;

    if (!entry_read(v, gpa, &entry, 1)) {
        return VTD_FR_ROOT_ACCESS;
    }
    if (!FIELD_GET(entry, ROOTENTRY, P)) {
        return VTD_FR_ROOT_P;
    }
    if (entry & ROOT_RSVD) {
        return VTD_FR_ROOT_RSVD;
    }
    *context_gpa = (entry & FIELD_MASK(ROOTENTRY, CTP)) +
                   CONTEXT_ENTRY_BYTES * (devfn % DEVFN_PER_HALF);
    return VTD_OK;
}

/* Bits of features that ECAP does not show are reserved. */
static uint64_t context0_rsvd(const Vtd *v)
{
    uint64_t ecap = vtd_id_reg64(v, R_ECAP);

    return CONTEXT0_RSVD |
           (FIELD_GET(ecap, ECAP, DT) ? 0 : FIELD_MASK(CONTEXT0, DTE)) |
           (FIELD_GET(ecap, ECAP, PASID) ? 0 : FIELD_MASK(CONTEXT0, PASIDE)) |
           (FIELD_GET(ecap, ECAP, PRS) ? 0 : FIELD_MASK(CONTEXT0, PRE));
}

/* PASIDs from here on have more bits than ECAP.PSS says. */
static uint32_t pasid_limit(const Vtd *v)
{
    return UINT32_C(1) << v->props.pasid_bits;
}

/* PASIDs that the directory has room for. */
static uint32_t context_pasids(const VtdWalk *walk)
{
    return PASIDS_PER_TABLE
           << (FIELD_GET(walk->context[0], CONTEXT0, PDTS) + 7);
}

static uint32_t context_rid_pasid(const Vtd *v, const VtdWalk *walk)
{
    return FIELD_GET(vtd_id_reg64(v, R_ECAP), ECAP, RPS)
               ? FIELD_GET(walk->context[1], CONTEXT1, RID_PASID)
               : 0;
}

/* Root and context entry; what is wrong with either whoever asks. */
static VtdReason context_walk(const Vtd *v, uint64_t root, uint16_t rid,
                              VtdWalk *walk)
{
    uint64_t *context = walk->context;
    VtdReason reason;
    uint64_t gpa;

    reason = root_walk(v, root, rid, &gpa);
    if (reason != VTD_OK) {
        return reason;
    }
    if (!entry_read(v, gpa, context, G_N_ELEMENTS(walk->context))) {
        return VTD_FR_CONTEXT_ACCESS;
    }
    walk->fpd = FIELD_GET(context[0], CONTEXT0, FPD);
    if (!FIELD_GET(context[0], CONTEXT0, P)) {
        return VTD_FR_CONTEXT_P;
    }
    if ((context[0] & context0_rsvd(v)) || (context[1] & CONTEXT1_RSVD) ||
        context[2] || context[3]) {
        return VTD_FR_CONTEXT_RSVD;
    }
    if ((FIELD_GET(context[0], CONTEXT0, PRE) &&
         !FIELD_GET(context[0], CONTEXT0, DTE)) ||
        context_rid_pasid(v, walk) >= context_pasids(walk)) {
        return VTD_FR_CONTEXT_INVALID;
    }
    return VTD_OK;
}

/* Whether the context entry lets this request pass; which PASID it has. */
static VtdReason context_check(const Vtd *v, VtdRequest request, VtdWalk *walk)
{
    uint64_t context0 = walk->context[0];
    bool has_pasid = walk->pasid != PAGE_REQUEST_NO_PASID;

    if (request == VTD_REQUEST_TRANSLATION &&
        !FIELD_GET(context0, CONTEXT0, DTE)) {
        return VTD_FR_DTE;
    }
    if (has_pasid && !FIELD_GET(context0, CONTEXT0, PASIDE)) {
        return VTD_FR_PASIDE;
    }
    if (has_pasid && (walk->pasid >= context_pasids(walk) ||
                      walk->pasid >= pasid_limit(v))) {
        return VTD_FR_PASID_RANGE;
    }
    if (request == VTD_REQUEST_PAGE && !FIELD_GET(context0, CONTEXT0, PRE)) {
        return VTD_FR_PRE;
    }
    if (has_pasid && walk->pasid == context_rid_pasid(v, walk)) {
        return VTD_FR_PASID_IS_RID_PASID;
    }
    if (!has_pasid) {
        walk->pasid = context_rid_pasid(v, walk);
    }
    return VTD_OK;
}

/* The PASID table that has walk->pasid. */
static VtdReason dir_walk(const Vtd *v, VtdWalk *walk, uint64_t *table_gpa)
{
    uint64_t gpa = (walk->context[0] & FIELD_MASK(CONTEXT0, PASIDDIRPTR)) +
                   DIR_ENTRY_BYTES * (walk->pasid / PASIDS_PER_TABLE);
    uint64_t entry;

    if (!entry_read(v, gpa, &entry, 1)) {
        return VTD_FR_DIR_ACCESS;
    }
    walk->fpd |= FIELD_GET(entry, PASIDDIR, FPD);
    if (!FIELD_GET(entry, PASIDDIR, P)) {
        return VTD_FR_DIR_P;
    }
    if (entry & DIR_RSVD) {
        return VTD_FR_DIR_RSVD;
    }
    *table_gpa = entry & FIELD_MASK(PASIDDIR, SMPTBLPTR);
    return VTD_OK;
}

static uint64_t pasid0_rsvd(const Vtd *v)
{
    uint64_t ecap = vtd_id_reg64(v, R_ECAP);

    return PASID0_RSVD |
           (FIELD_GET(ecap, ECAP, SSADS) ? 0 : FIELD_MASK(PASID0, SSADE));
}

static uint64_t pasid2_rsvd(const Vtd *v)
{
    uint64_t ecap = vtd_id_reg64(v, R_ECAP);

    return PASID2_RSVD |
           (FIELD_GET(ecap, ECAP, SRS) ? 0 : FIELD_MASK(PASID2, SRE) |
                                             FIELD_MASK(PASID2, WPE)) |
           (FIELD_GET(ecap, ECAP, EAFS) ? 0 : FIELD_MASK(PASID2, EAFE));
}

static bool entry_has_reserved(const Vtd *v, const uint64_t *entry)
{
    return (entry[0] & pasid0_rsvd(v)) || (entry[1] & PASID1_RSVD) ||
           (entry[2] & pasid2_rsvd(v)) || entry[3] || entry[4] || entry[5] ||
           entry[6] || entry[7];
}

/* 5Bh: this model has no second stage, and a first one of four levels. */
static bool entry_is_supported(const Vtd *v, const uint64_t *entry)
{
    uint64_t sagaw = FIELD_GET(vtd_id_reg64(v, R_CAP), CAP, SAGAW);

    switch (FIELD_GET(entry[0], PASID0, PGTT)) {
    case PGTT_FIRST:
        return FIELD_GET(entry[2], PASID2, FSPM) == 0 &&
               !(entry[2] & ADDRESS_RSVD);
    case PGTT_PASS_THROUGH:
        return FIELD_GET(vtd_id_reg64(v, R_ECAP), ECAP, PT) &&
               (sagaw >> FIELD_GET(entry[0], PASID0, AW) & 1);
    default:
        return false;
    }
}

static VtdReason pasid_walk(const Vtd *v, VtdWalk *walk)
{
    uint64_t *entry = walk->entry;
    VtdReason reason;
    uint64_t gpa;

    reason = dir_walk(v, walk, &gpa);
    if (reason != VTD_OK) {
        return reason;
    }
    gpa += PASID_ENTRY_BYTES * (walk->pasid % PASIDS_PER_TABLE);
    if (!entry_read(v, gpa, entry, G_N_ELEMENTS(walk->entry))) {
        return VTD_FR_PASID_ACCESS;
    }
    walk->fpd |= FIELD_GET(entry[0], PASID0, FPD);
    if (!FIELD_GET(entry[0], PASID0, P)) {
        return VTD_FR_PASID_P;
    }
    if (entry_has_reserved(v, entry)) {
        return VTD_FR_PASID_RSVD;
    }
    return entry_is_supported(v, entry) ? VTD_OK : VTD_FR_PASID_INVALID;
}

/* Acquire: pairs with the release stores of root (SRTP, TE). */
static uint64_t root_get(const Vtd *v)
{
    return atomic_load_explicit(&v->root, memory_order_acquire);
}

VtdReason vtd_walk(Vtd *v, uint16_t rid, uint32_t pasid, VtdRequest request,
                   VtdWalk *walk)
{
    uint64_t root = root_get(v);
    VtdReason reason;

    *walk = (VtdWalk){ .pasid = pasid };
    /* Around those of the reads, which cost next to nothing then. */
    rcu_section_enter();
    reason = check_mode(v, root, pasid, request);
    if (reason == VTD_OK) {
        reason = context_walk(v, root, rid, walk);
    }
    if (reason == VTD_OK) {
        reason = context_check(v, request, walk);
    }
    if (reason == VTD_OK) {
        reason = pasid_walk(v, walk);
    }
    rcu_section_leave();
    return reason;
}

/* A usable context entry, in scalable mode. */
static bool context_find(const Vtd *v, uint16_t rid, VtdWalk *walk)
{
    uint64_t root = root_get(v);

    return FIELD_GET(root, RTADDR, TTM) == TTM_SCALABLE &&
           context_walk(v, root, rid, walk) == VTD_OK;
}

bool vtd_rid_pasid(Vtd *v, uint16_t rid, uint32_t *pasid)
{
    VtdWalk walk;

    if (!context_find(v, rid, &walk)) {
        return false;
    }
    *pasid = context_rid_pasid(v, &walk);
    return true;
}

static uint32_t table_end(uint32_t pasid)
{
    return (pasid / PASIDS_PER_TABLE + 1) * PASIDS_PER_TABLE;
}

/* [RCU] The first entry of a table, at or above @index, that is present. */
static unsigned table_scan(const uint64_t *table, unsigned index)
{
    for (; index < PASIDS_PER_TABLE; index++) {
        const uint64_t *entry = table + PASID_ENTRY_BYTES / 8 * index;
        /* Acquire: pairs with the guest's release store of that word. */
        uint64_t word = GUINT64_FROM_LE(__atomic_load_n(entry,
                                                        __ATOMIC_ACQUIRE));

        if (FIELD_GET(word, PASID0, P)) {
            break;
        }
    }
    return index;
}

/*
 * The first present entry at or above walk->pasid, in that one's table: a page,
 * which is looked up once for all of its entries.
 */
static bool table_next(const Vtd *v, VtdWalk *walk, uint32_t *pasid)
{
    unsigned index = PASIDS_PER_TABLE;
    const uint64_t *table;
    uint64_t gpa;

    if (dir_walk(v, walk, &gpa) != VTD_OK) {
        return false;
    }
    rcu_section_enter();
    table = guest_mem_ptr(v->parent.config.mem, gpa, PASID_TABLE_BYTES);
    if (table) {
        index = table_scan(table, walk->pasid % PASIDS_PER_TABLE);
    }
    rcu_section_leave();
    *pasid = walk->pasid / PASIDS_PER_TABLE * PASIDS_PER_TABLE + index;
    return index < PASIDS_PER_TABLE;
}

bool vtd_next_pasid(Vtd *v, uint16_t rid, uint32_t *pasid)
{
    VtdWalk walk;
    uint32_t end;

    if (!context_find(v, rid, &walk)) {
        return false;
    }
    end = MIN(context_pasids(&walk), pasid_limit(v));
    for (walk.pasid = *pasid; walk.pasid < end;
         walk.pasid = table_end(walk.pasid)) {
        if (table_next(v, &walk, pasid)) {
            return *pasid < end;
        }
    }
    return false;
}
