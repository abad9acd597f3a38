/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hostile guest against a VT-d unit: see fuzz-unit.h for what is common.
 */
#include "fuzz-unit.h"

#include "hw/i386/vtd-internal.h"
#include "hw/i386/vtd-inv-desc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Where act_setup() has things; an input may have them anywhere. */
#define IQ FUZZ_PAGE(0)
#define PRQ FUZZ_PAGE(4)
#define ROOT FUZZ_PAGE(8)
#define CONTEXT FUZZ_PAGE(9)            /* two pages, of all buses */
#define PASID_DIR FUZZ_PAGE(11)
#define PASID_TABLE FUZZ_PAGE(12)
#define FIRST_STAGE FUZZ_PAGE(14)       /* four levels, a page each */
#define STATUS FUZZ_PAGE(20)

static const uint32_t offsets[] = {
    A_VER, A_CAP, A_CAP + 4, A_ECAP, A_ECAP + 4, A_GCMD, A_GCMD, A_GSTS,
    A_RTADDR, A_RTADDR + 4, A_CCMD, A_CCMD + 4, A_FSTS, A_FECTL, A_FEDATA,
    A_FEADDR, A_FEUADDR, A_IQH, A_IQT, A_IQT, A_IQA, A_IQA + 4, A_ICS, A_IECTL,
    A_IEDATA, A_IEADDR, A_IEUADDR, A_IQERCD, A_IRTA, A_PQH, A_PQT, A_PQA,
    A_PQA + 4, A_PRS, A_PECTL, A_PEDATA, A_PEADDR, A_PEUADDR, A_IVA, A_IOTLB,
    A_IOTLB + 4, A_FRCD, A_FRCD + 4, A_FRCD + 8, A_FRCD + 12, A_FRCD + 28,
    A_FRCD + 16 * (VTD_FRCD_COUNT - 1) + 12,
};

static uint32_t read32(FuzzUnit *u, uint64_t offset)
{
    return fuzz_read(u, offset, 4);
}

static void write32(FuzzUnit *u, uint64_t offset, uint32_t value)
{
    fuzz_write(u, offset, 4, value);
}

static Viommu *create(const ViommuConfig *config, unsigned variant)
{
    static const VtdProperties variants[FUZZ_VARIANTS] = {
        { true, true, true, true, 8 },
        { true, true, true, true, 20 },
        { true, true, true, false, 7 },
        { true, true, false, true, 8 },
        { true, false, true, true, 8 },
        { false, true, true, true, 8 },
        { false, false, false, false, 1 },
        { true, true, true, true, 1 },
    };
    GError *error = NULL;
    Viommu *viommu = vtd_new(config, &variants[variant], &error);

    g_assert_no_error(error);
    return viommu;
}

/* ---- Tables ---- */

static uint64_t context_gpa(uint32_t rid)
{
    return CONTEXT + UINT64_C(32) * (rid & 0xff);
}

static void store_context(FuzzUnit *u, uint32_t rid, uint64_t bits)
{
    uint64_t words[4] = { PASID_DIR | bits, fuzz_below(&u->in, 4), 0, 0 };

    fuzz_flip(u, words, 4);
    fuzz_store(u, context_gpa(rid), words, 4);
}

/* All buses have the same context table, all devices the same PASIDs. */
static void setup_tables(FuzzUnit *u)
{
    const uint64_t root[2] = { CONTEXT | 1, (CONTEXT + 4096) | 1 };
    const uint64_t dir = PASID_TABLE | 1;

    for (unsigned i = 0; i < FUZZ_SLOTS; i++) {
        fuzz_store(u, ROOT + UINT64_C(16) * (u->slots[i].id >> 8 & 0xff), root,
                   2);
        store_context(u, u->slots[i].id, 0x1d);
    }
    fuzz_store(u, PASID_DIR, &dir, 1);
    fuzz_store(u, PASID_DIR + 8, &dir, 1);
}

static void act_context(FuzzUnit *u)
{
    uint32_t rid = fuzz_id(u);

    store_context(u, rid, fuzz_u16(&u->in) & 4095);
}

/* An entry of the root table or the PASID directory. */
static void act_upper(FuzzUnit *u)
{
    uint64_t at = fuzz_u8(&u->in) & 1 ? ROOT : PASID_DIR;
    uint64_t word = fuzz_gpa(u) | fuzz_below(&u->in, 4);

    fuzz_store(u, at + UINT64_C(8) * (fuzz_u16(&u->in) % 512), &word, 1);
}

static void act_pasid_entry(FuzzUnit *u)
{
    uint32_t pasid = fuzz_pasid(u) % 64;
    unsigned pgtt = fuzz_below(&u->in, 6);
    uint64_t words[8] = { 0 };

    if (pgtt > 0) {
        words[0] = FIELD_SET(1, PASID0, PGTT, pgtt);
        words[1] = fuzz_below(&u->in, 4);
        if (pgtt == PGTT_FIRST) {
            words[2] = fuzz_u8(&u->in) & 1 ? FIRST_STAGE : fuzz_gpa(u);
        } else {
            words[0] = FIELD_SET(words[0], PASID0, AW, 2);
        }
    }
    fuzz_flip(u, words, 8);
    fuzz_store(u, PASID_TABLE + UINT64_C(64) * pasid, words, 8);
}

/* A first-stage entry, of a level where the table of the next one is. */
static void act_first_stage(FuzzUnit *u)
{
    unsigned level = fuzz_below(&u->in, 4);
    uint64_t word = level < 3 && fuzz_u8(&u->in) & 1
                        ? FIRST_STAGE + (level + 1) * FUZZ_PAGE_BYTES
                        : fuzz_gpa(u);

    word |= fuzz_u16(&u->in) & 4095;
    fuzz_flip(u, &word, 1);
    fuzz_store(u, FIRST_STAGE + level * FUZZ_PAGE_BYTES +
                      8 * (uint64_t)fuzz_below(&u->in, 4), &word, 1);
}

/* ---- Registers ---- */

static void command(FuzzUnit *u, uint32_t bit, bool on)
{
    uint32_t level = read32(u, A_GSTS) &
                     (FIELD_MASK(GSTS, TES) | FIELD_MASK(GSTS, QIES));

    write32(u, A_GCMD, on ? level | bit : level & ~bit);
}

static void enable_message(FuzzUnit *u, uint64_t control, bool arrives)
{
    write32(u, control + 4, 0x31);
    write32(u, control + 8, arrives ? GUEST_DOORBELL : GUEST_NOWHERE);
    write32(u, control + 12, 0);
    write32(u, control, 0);
}

/* A driver's start, as far as the input lets it be one. */
static void act_setup(FuzzUnit *u)
{
    unsigned how = fuzz_u8(&u->in);

    command(u, FIELD_MASK(GCMD, TE), false);
    command(u, FIELD_MASK(GCMD, QIE), false);
    setup_tables(u);
    write32(u, A_IQT, 0);
    fuzz_write(u, A_IQA, 8, FIELD_SET(IQ | (how >> 1 & 1), IQA, DW, how & 1));
    command(u, FIELD_MASK(GCMD, QIE), true);
    fuzz_write(u, A_RTADDR, 8, FIELD_SET(ROOT, RTADDR, TTM,
                                         how & 0x70 ? TTM_SCALABLE
                                                    : how & 3));
    command(u, FIELD_MASK(GCMD, SRTP), true);
    enable_message(u, A_FECTL, how & 0x70);
    enable_message(u, A_IECTL, how & 0x70);
    enable_message(u, A_PECTL, how & 0x70);
    /* Or close to the end of a page, behind which a map may have none. */
    fuzz_write(u, A_PQH, 8, how & 8 ? 0xf80 : 0);
    fuzz_write(u, A_PQT, 8, how & 8 ? 0xf80 : 0);
    fuzz_write(u, A_PQA, 8, PRQ | (how >> 2 & 1));
    write32(u, A_PRS, 3);
    command(u, FIELD_MASK(GCMD, TE), true);
}

static void act_command(FuzzUnit *u)
{
    static const uint32_t bits[] = {
        FIELD_MASK(GCMD, TE), FIELD_MASK(GCMD, QIE), FIELD_MASK(GCMD, SRTP),
        FIELD_MASK(GCMD, SIRTP), FIELD_MASK(GCMD, WBF),
    };
    unsigned which = fuzz_u8(&u->in);

    command(u, bits[which / 2 % G_N_ELEMENTS(bits)], which & 1);
}

/* Status bits as software clears them; faults, too. */
static void act_clear(FuzzUnit *u)
{
    unsigned which = fuzz_u8(&u->in);

    if (which & 1) {
        write32(u, A_FSTS, read32(u, A_FSTS));
    }
    if (which & 2) {
        write32(u, A_PRS, read32(u, A_PRS));
    }
    if (which & 4) {
        write32(u, A_ICS, 1);
    }
    if (which & 8) {
        write32(u, A_FRCD + 16 * (which >> 4) % VTD_FRCD_COUNT + 12, BIT(31));
    }
}

/* As many entries as the input says, or all. */
static void act_consume(FuzzUnit *u)
{
    unsigned how = fuzz_u8(&u->in);

    fuzz_write(u, A_PQH, 8, how & 1 ? fuzz_read(u, A_PQT, 8)
                                    : fuzz_read(u, A_PQH, 8) +
                                          UINT64_C(32) * (how / 2));
}

/* ---- Descriptors ---- */

static unsigned stride(FuzzUnit *u)
{
    return FIELD_GET(fuzz_read(u, A_IQA, 8), IQA, DW) ? 32 : 16;
}

/* @ahead descriptors behind IQT. */
static void put(FuzzUnit *u, unsigned ahead, const uint64_t *words)
{
    uint64_t iqa = fuzz_read(u, A_IQA, 8);
    uint32_t size = UINT32_C(4096) << FIELD_GET(iqa, IQA, QS);
    uint32_t offset = read32(u, A_IQT) + ahead * stride(u);

    fuzz_store(u, (iqa & FIELD_MASK(IQA, IQA)) + (offset & (size - 1)), words,
               stride(u) / 8);
}

static void hand_over(FuzzUnit *u, unsigned count)
{
    uint32_t size = UINT32_C(4096)
                    << FIELD_GET(fuzz_read(u, A_IQA, 8), IQA, QS);

    write32(u, A_IQT, (read32(u, A_IQT) + count * stride(u)) & (size - 1));
}

static void make_wait(FuzzUnit *u, uint64_t *words)
{
    words[0] = VTD_DESC_WAIT | BIT(32) | (fuzz_u8(&u->in) & 0xf0);
    words[1] = fuzz_u8(&u->in) & 1 ? fuzz_gpa(u) : STATUS;
}

static void make_response(FuzzUnit *u, uint64_t *words)
{
    uint32_t pasid = fuzz_pasid(u);

    words[0] = FIELD_SET(VTD_DESC_PAGE_RESPONSE, PAGE_RESPONSE_DESC0, RID,
                         fuzz_id(u) & 0xffff);
    words[0] = FIELD_SET(words[0], PAGE_RESPONSE_DESC0, RC,
                         fuzz_below(&u->in, 16));
    if (pasid != PAGE_REQUEST_NO_PASID) {
        words[0] = FIELD_SET(words[0], PAGE_RESPONSE_DESC0, PP, 1);
        words[0] = FIELD_SET(words[0], DESC0, PASID, pasid);
    }
    words[1] = FIELD_SET(0, PAGE_RESPONSE_DESC1, PRGI,
                         fuzz_below(&u->in, 8));
}

static void make_device_tlb(FuzzUnit *u, unsigned type, uint64_t *words)
{
    uint64_t rid = fuzz_id(u) & 0xffff;

    if (type == VTD_DESC_DEVICE_TLB) {
        words[0] = type | rid << 32;
    } else {
        words[0] = type | rid << 16 | (uint64_t)(fuzz_pasid(u) & 0xfffff) << 32;
    }
}

/* A descriptor of any type, with sensible fields or flipped bits. */
static void make_descriptor(FuzzUnit *u, uint64_t *words)
{
    static const uint8_t types[] = { 0, 1, 1, 2, 2, 3, 4, 5, 5, 5, 6, 6, 7, 7,
                                     7, 8, 9, 9, 9, 9 };
    unsigned type = types[fuzz_below(&u->in, sizeof(types))];

    memset(words, 0, 4 * sizeof(*words));
    switch (type) {
    case VTD_DESC_WAIT:
        make_wait(u, words);
        break;
    case VTD_DESC_PAGE_RESPONSE:
        make_response(u, words);
        break;
    case VTD_DESC_DEVICE_TLB:
    case VTD_DESC_PASID_DEVICE_TLB:
        make_device_tlb(u, type, words);
        break;
    default:
        words[0] = FIELD_SET(type, DESC0, G, fuzz_below(&u->in, 4));
        words[0] = FIELD_SET(words[0], DESC0, DID, fuzz_below(&u->in, 4));
        if (type == VTD_DESC_CONTEXT_CACHE) {
            words[0] |= (uint64_t)(fuzz_id(u) & 0xffff) << 32;
        } else if (type == VTD_DESC_PASID_IOTLB ||
                   type == VTD_DESC_PASID_CACHE) {
            words[0] = FIELD_SET(words[0], DESC0, PASID, fuzz_pasid(u) % 64);
        }
        if (type == VTD_DESC_IOTLB || type == VTD_DESC_PASID_IOTLB) {
            words[1] = fuzz_gpa(u) | fuzz_below(&u->in, 128);
        }
        break;
    }
    fuzz_flip(u, words, 4);
}

/* Descriptors at once, so that they make a batch. */
static void act_descriptors(FuzzUnit *u)
{
    unsigned count = 1 + fuzz_below(&u->in, 4);
    unsigned times = fuzz_u8(&u->in);

    times = times < 224 ? 1 : times % 32;
    for (unsigned i = 0; i < count; i++) {
        uint64_t words[4];

        make_descriptor(u, words);
        for (unsigned k = 0; k < times; k++) {
            put(u, i * times + k, words);
        }
    }
    hand_over(u, count * times);
}

/* The response to a request in the queue. */
static void act_respond(FuzzUnit *u)
{
    uint64_t pqa = fuzz_read(u, A_PQA, 8);
    uint32_t size = UINT32_C(4096) << FIELD_GET(pqa, PQA, PQS);
    uint32_t offset = read32(u, A_PQT) - 32 - 32 * fuzz_below(&u->in, 8);
    uint64_t gpa = (pqa & FIELD_MASK(PQA, PQA)) + (offset & (size - 1));
    uint64_t word0 = fuzz_load(u, gpa);
    uint64_t words[4] = { 0 };

    words[0] = VTD_DESC_PAGE_RESPONSE | (word0 & BIT(8)) >> 4 |
               (uint64_t)fuzz_below(&u->in, 3) << 12 |
               (word0 & BIT_RANGE(16, 16)) | (word0 & BIT_RANGE(32, 20));
    words[1] = fuzz_load(u, gpa + 8) & BIT_RANGE(3, 9);
    put(u, 0, words);
    hand_over(u, 1);
}

/* Overwrite what the queue stands at, and clear the error. */
static void act_cure(FuzzUnit *u)
{
    const uint64_t wait[4] = { VTD_DESC_WAIT | FIELD_MASK(WAIT_DESC0, SW),
                               STATUS };
    uint64_t iqa = fuzz_read(u, A_IQA, 8);

    fuzz_store(u, (iqa & FIELD_MASK(IQA, IQA)) + read32(u, A_IQH), wait,
               stride(u) / 8);
    write32(u, A_FSTS, FIELD_MASK(FSTS, IQE));
}

static FuzzAction *const actions[] = {
    act_setup, act_context, act_upper, act_pasid_entry, act_pasid_entry,
    act_first_stage, act_first_stage, act_command, act_clear, act_consume,
    act_consume, act_descriptors, act_descriptors, act_descriptors,
    act_respond, act_respond, act_cure,
};

static FuzzModel model = {
    .iommu = HARDWARE_VTD,
    .mmio_size = VTD_MMIO_SIZE,
    .ids = { 0x0008, 0x0010, 0x1234, 0x0090 },
    .offsets = offsets,
    .offset_count = G_N_ELEMENTS(offsets),
    .create = create,
    .actions = actions,
    .action_count = G_N_ELEMENTS(actions),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_unit_run(&model, data, size);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_unit_init();
    return 0;
}
