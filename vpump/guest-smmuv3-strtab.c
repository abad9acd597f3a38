/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A two-level stream table whose leaves are made when a device in them is
 * attached; all other STEs of a leaf abort.
 */
#include "guest-smmuv3-internal.h"

#include "base/error.h"

/* 5.1: level 1 descriptor */
FIELD(L1STD, SPAN, 0, 5)

/* 5.2: stream table entry */
FIELD(STE0, V, 0, 1)
FIELD(STE0, CONFIG, 1, 3)
FIELD(STE1, S1CIR, 2, 2)
FIELD(STE1, S1COR, 4, 2)
FIELD(STE1, S1CSH, 6, 2)

enum {
    STE_CONFIG_S1 = 5,
    STE_CACHE_WB = 1,
    STE_SHARE_INNER = 3,
};

/* 5.4: context descriptor */
FIELD(CD0, T0SZ, 0, 6)
FIELD(CD0, EPD1, 30, 1)
FIELD(CD0, V, 31, 1)
FIELD(CD0, AA64, 41, 1)
FIELD(CD0, R, 45, 1)
FIELD(CD0, A, 46, 1)
FIELD(CD0, ASET, 47, 1)
FIELD(CD0, ASID, 48, 16)

enum {
    STE_BYTES = 64,
    STE_WORDS = 8,
    CD_BYTES = 64,
    CD_WORDS = 8,
    L1STD_BYTES = 8,
    PAGE_BYTES = 4096,
};

FIELD(STRTAB_BASE_CFG, LOG2SIZE, 0, 6)
FIELD(STRTAB_BASE_CFG, SPLIT, 6, 5)
FIELD(STRTAB_BASE_CFG, FMT, 16, 2)

enum { STRTAB_FMT_2LVL = 1 };

/* Level 1 only: 2 KiB for 16 bits of StreamID. */
static bool allocate(GuestSmmuv3 *guest, GError **error)
{
    GuestStrtab *strtab = &guest->strtab;
    uint64_t bytes;

    strtab->log2size = FIELD_GET(guest->idr1, IDR1, SIDSIZE);
    if (FIELD_GET(guest->idr0, IDR0, ST_LEVEL) != 1 ||
        strtab->log2size <= GUEST_STRTAB_SPLIT) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "no two-level stream table for %u bits of StreamID",
                    strtab->log2size);
        return false;
    }
    bytes = (uint64_t)L1STD_BYTES << (strtab->log2size - GUEST_STRTAB_SPLIT);
    strtab->l1_gpa = guest_ram_alloc(guest->ram, bytes, MAX(bytes, 64), error);
    if (!strtab->l1_gpa) {
        return false;
    }
    strtab->page_table_gpa =
        guest_ram_alloc(guest->ram, PAGE_BYTES, PAGE_BYTES, error);
    return strtab->page_table_gpa != 0;
}

bool guest_strtab_init(GuestSmmuv3 *guest, GError **error)
{
    uint32_t cfg = 0;

    if (!allocate(guest, error)) {
        return false;
    }
    cfg = FIELD_SET(cfg, STRTAB_BASE_CFG, FMT, STRTAB_FMT_2LVL);
    cfg = FIELD_SET(cfg, STRTAB_BASE_CFG, SPLIT, GUEST_STRTAB_SPLIT);
    cfg = FIELD_SET(cfg, STRTAB_BASE_CFG, LOG2SIZE, guest->strtab.log2size);
    viommu_mmio_write(guest->viommu, SMMU_STRTAB_BASE, 8,
                      guest->strtab.l1_gpa | SMMU_BASE_HINT);
    viommu_mmio_write(guest->viommu, SMMU_STRTAB_BASE_CFG, 4, cfg);
    return true;
}

/* Valid STEs with Config 0: abort. */
static uint64_t make_leaf(GuestSmmuv3 *guest, GError **error)
{
    uint64_t bytes = (uint64_t)STE_BYTES << GUEST_STRTAB_SPLIT;
    uint64_t gpa = guest_ram_alloc(guest->ram, bytes, bytes, error);
    const uint64_t abort_ste[STE_WORDS] = { FIELD_MASK(STE0, V) };

    for (uint64_t offset = 0; gpa && offset < bytes; offset += STE_BYTES) {
        guest_words_store(guest_ram_ptr(guest->ram, gpa + offset), abort_ste,
                          STE_WORDS);
    }
    return gpa;
}

/* The STE of @sid, in a leaf that is there now. Return: 0 with @error set. */
static uint64_t ste_gpa(GuestSmmuv3 *guest, uint32_t sid, GError **error)
{
    uint64_t desc_gpa = guest->strtab.l1_gpa +
                        (uint64_t)(sid >> GUEST_STRTAB_SPLIT) * L1STD_BYTES;
    void *desc = guest_ram_ptr(guest->ram, desc_gpa);
    uint64_t index = sid & ((1u << GUEST_STRTAB_SPLIT) - 1);
    uint64_t word;

    guest_words_load(&word, desc, 1);
    if (FIELD_GET(word, L1STD, SPAN) == 0) {
        uint64_t leaf = make_leaf(guest, error);

        if (!leaf) {
            return 0;
        }
        word = FIELD_SET(leaf, L1STD, SPAN, GUEST_STRTAB_SPLIT + 1);
        guest_words_store(desc, &word, 1);
    }
    return (word & ~FIELD_MASK(L1STD, SPAN)) + index * STE_BYTES;
}

/*
 * A context whose tables are empty, so that an access by the device can only
 * fault. Return: where it is, or 0 with @error set.
 */
static uint64_t make_cd(GuestSmmuv3 *guest, uint32_t sid, GError **error)
{
    uint64_t gpa = guest_ram_alloc(guest->ram, CD_BYTES, CD_BYTES, error);
    uint64_t cd[CD_WORDS] = { 0 };

    if (!gpa) {
        return 0;
    }
    /* 48 bits of input address in TTB0 only; faults are recorded and abort. */
    cd[0] = FIELD_MASK(CD0, V) | FIELD_MASK(CD0, AA64) | FIELD_MASK(CD0, R) |
            FIELD_MASK(CD0, A) | FIELD_MASK(CD0, ASET) |
            FIELD_MASK(CD0, EPD1);
    cd[0] = FIELD_SET(cd[0], CD0, T0SZ, 16);
    cd[0] = FIELD_SET(cd[0], CD0, ASID, sid);
    cd[1] = guest->strtab.page_table_gpa;
    guest_words_store(guest_ram_ptr(guest->ram, gpa), cd, CD_WORDS);
    return gpa;
}

bool guest_strtab_attach(GuestSmmuv3 *guest, uint32_t sid, GError **error)
{
    uint64_t ste = 0;
    uint64_t cd;
    uint64_t word;
    uint8_t *host;

    if (sid >> guest->strtab.log2size) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "StreamID 0x%x has more than %u bits", sid,
                    guest->strtab.log2size);
        return false;
    }
    cd = make_cd(guest, sid, error);
    if (cd) {
        ste = ste_gpa(guest, sid, error);
    }
    if (!ste) {
        return false;
    }
    host = guest_ram_ptr(guest->ram, ste);

    /* Word 1 is ignored while Config is abort; word 0 then does it all. */
    word = FIELD_SET(0, STE1, S1CIR, STE_CACHE_WB);
    word = FIELD_SET(word, STE1, S1COR, STE_CACHE_WB);
    word = FIELD_SET(word, STE1, S1CSH, STE_SHARE_INNER);
    guest_words_store(host + 8, &word, 1);
    word = FIELD_SET(cd | FIELD_MASK(STE0, V), STE0, CONFIG, STE_CONFIG_S1);
    guest_words_store(host, &word, 1);
    return guest_cmdq_ste_changed(guest, sid, error);
}
