/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hostile guest against an SMMUv3: see fuzz-unit.h for what is common.
 */
#include "fuzz-unit.h"

#include "hw/arm/smmuv3-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Where act_setup() has things; an input may have them anywhere. */
#define CMDQ FUZZ_PAGE(0)
#define EVENTQ FUZZ_PAGE(4)
#define PRIQ FUZZ_PAGE(6)
#define STRTAB FUZZ_PAGE(16)            /* linear, 256 STEs; or level 1 */
#define STRTAB_L2 FUZZ_PAGE(20)

/* First words of STEs */
#define STE_BYPASS UINT64_C(0x9)
#define STE_STAGE1 UINT64_C(0xb)

#define PRIQ_LO FIELD_MASK(PRIQ_IRQ_CFG2, LO)

static const uint32_t offsets[] = {
    A_CR0, A_CR0, A_CR1, A_CR2, A_GBPA, A_IRQ_CTRL, A_GERROR, A_GERRORN,
    A_GERROR_IRQ_CFG0, A_GERROR_IRQ_CFG1, A_GERROR_IRQ_CFG2, A_STRTAB_BASE,
    A_STRTAB_BASE_CFG, A_CMDQ_BASE, A_CMDQ_PROD, A_CMDQ_PROD, A_CMDQ_CONS,
    A_EVENTQ_BASE, A_EVENTQ_PROD, A_EVENTQ_CONS, A_EVENTQ_CONS,
    A_EVENTQ_IRQ_CFG0, A_EVENTQ_IRQ_CFG1, A_EVENTQ_IRQ_CFG2, A_PRIQ_BASE,
    A_PRIQ_PROD, A_PRIQ_CONS, A_PRIQ_CONS, A_PRIQ_IRQ_CFG0, A_PRIQ_IRQ_CFG1,
    A_PRIQ_IRQ_CFG2, A_IDR0, A_IDR1, A_AIDR, A_CR0ACK, A_IRQ_CTRLACK, 0xfd0,
    A_STRTAB_BASE + 4, A_CMDQ_BASE + 4, A_EVENTQ_PROD % SMMUV3_PAGE_SIZE,
};

static uint32_t read32(FuzzUnit *u, uint64_t offset)
{
    return fuzz_read(u, offset, 4);
}

static void write32(FuzzUnit *u, uint64_t offset, uint32_t value)
{
    fuzz_write(u, offset, 4, value);
}

/* Mostly all that there is; then without, with small queues, and with none. */
static Viommu *create(const ViommuConfig *config, unsigned variant)
{
    static const Smmuv3Properties variants[FUZZ_VARIANTS] = {
        { true, true, true, true, false, 44, 16, 19, 19, 19 },
        { true, true, true, true, true, 44, 16, 19, 19, 19 },
        { true, true, false, true, false, 44, 16, 2, 3, 2 },
        { true, true, true, true, false, 48, 0, 3, 4, 0 },
        { true, false, true, false, false, 44, 20, 19, 19, 0 },
        { false, true, true, false, false, 44, 0, 19, 19, 0 },
        { false, true, false, false, false, 44, 0, 0, 0, 0 },
        { true, true, true, true, true, 44, 4, 4, 19, 3 },
    };
    GError *error = NULL;
    Viommu *viommu = smmuv3_new(config, &variants[variant], &error);

    g_assert_no_error(error);
    return viommu;
}

static void store_ste(FuzzUnit *u, uint32_t sid, const uint64_t *words)
{
    uint32_t cfg = read32(u, A_STRTAB_BASE_CFG);

    if (FIELD_GET(cfg, STRTAB_BASE_CFG, FMT) == 1) {
        fuzz_store(u, STRTAB_L2 + UINT64_C(64) * (sid % 64), words, 2);
    } else {
        fuzz_store(u, STRTAB + UINT64_C(64) * (sid % 256), words, 2);
    }
}

/* The stream table of all slots, bypass; linear or of two levels. */
static void setup_tables(FuzzUnit *u, bool two_level)
{
    const uint64_t bypass[2] = { STE_BYPASS, 0 };
    const uint64_t desc = STRTAB_L2 | 7;    /* 64 STEs */

    fuzz_write(u, A_STRTAB_BASE, 8, STRTAB);
    write32(u, A_STRTAB_BASE_CFG,
            two_level ? 16 | 6 << 6 | 1 << 16 : 8);
    for (unsigned i = 0; i < FUZZ_SLOTS; i++) {
        if (two_level) {
            fuzz_store(u, STRTAB +
                              UINT64_C(8) * (u->slots[i].id >> 6 & 511),
                       &desc, 1);
        }
        store_ste(u, u->slots[i].id, bypass);
    }
}

/* Wired interrupts, messages, or messages to nowhere. */
static void setup_interrupts(FuzzUnit *u, unsigned how)
{
    static const uint64_t addresses[] = { 0, 0, GUEST_DOORBELL,
                                          GUEST_NOWHERE };
    uint64_t address = addresses[how & 3];

    write32(u, A_IRQ_CTRL, 0);
    fuzz_write(u, A_GERROR_IRQ_CFG0, 8, address);
    fuzz_write(u, A_EVENTQ_IRQ_CFG0, 8, address);
    fuzz_write(u, A_PRIQ_IRQ_CFG0, 8, address);
    write32(u, A_PRIQ_IRQ_CFG2, how & 1 ? PRIQ_LO : 0);
    write32(u, A_IRQ_CTRL, 7);
}

/* A driver's start, as far as the input lets it be one. */
static void act_setup(FuzzUnit *u)
{
    unsigned how = fuzz_u8(&u->in);
    /* Or close to the end of a page, behind which a map may have none. */
    unsigned event = how & 1 ? 120 : 0;
    unsigned request = how & 1 ? 500 : 0;

    write32(u, A_CR0, 0);
    setup_tables(u, how & 1);
    fuzz_write(u, A_CMDQ_BASE, 8, CMDQ | 8);
    write32(u, A_CMDQ_CONS, 0);
    write32(u, A_CMDQ_PROD, 0);
    fuzz_write(u, A_EVENTQ_BASE, 8, EVENTQ | ((how >> 1 & 7) + 1));
    write32(u, A_EVENTQ_PROD, event);
    write32(u, A_EVENTQ_CONS, event);
    fuzz_write(u, A_PRIQ_BASE, 8, PRIQ | ((how >> 4 & 7) + 3));
    write32(u, A_PRIQ_PROD, request);
    write32(u, A_PRIQ_CONS, request);
    setup_interrupts(u, how >> 6);
    write32(u, A_CR0, 0x1f);
}

static void act_ste(FuzzUnit *u)
{
    uint32_t sid = fuzz_id(u);
    uint64_t words[2] = { 0, 0 };

    switch (fuzz_below(&u->in, 4)) {
    case 0:
        break;
    case 1:
        words[0] = STE_BYPASS;
        break;
    default:
        words[0] = STE_STAGE1 | (fuzz_gpa(u) & BIT_RANGE(6, 46));
        words[1] = 0x10000055;      /* EATS 1 */
        break;
    }
    fuzz_flip(u, words, 2);
    store_ste(u, sid, words);
}

/* Where a command goes, by the registers. */
static uint64_t command_gpa(FuzzUnit *u, uint32_t prod)
{
    uint64_t base = fuzz_read(u, A_CMDQ_BASE, 8);
    uint32_t size = 1u << MIN(FIELD_GET(base, Q_BASE, LOG2SIZE), 19);

    return (base & FIELD_MASK(Q_BASE, ADDR)) +
           SMMUV3_CMD_BYTES * (uint64_t)(prod & (size - 1));
}

static void put_command(FuzzUnit *u, unsigned ahead, uint64_t word0,
                        uint64_t word1)
{
    const uint64_t words[2] = { word0, word1 };

    fuzz_store(u, command_gpa(u, read32(u, A_CMDQ_PROD) + ahead), words, 2);
}

static void hand_over(FuzzUnit *u, unsigned count)
{
    write32(u, A_CMDQ_PROD, read32(u, A_CMDQ_PROD) + count);
}

/* A command of any kind, with sensible fields or flipped bits. */
static void make_command(FuzzUnit *u, uint64_t *words)
{
    static const uint8_t ops[] = {
        0x01, 0x02, 0x03, 0x03, 0x04, 0x04, 0x05, 0x06, 0x10, 0x11, 0x12, 0x13,
        0x30, 0x40, 0x40, 0x41, 0x41, 0x41, 0x44, 0x45, 0x46, 0x46, 0x46, 0x00,
    };
    uint64_t op = ops[fuzz_below(&u->in, G_N_ELEMENTS(ops))];
    uint32_t pasid;

    words[0] = op | (uint64_t)fuzz_id(u) << 32;
    words[1] = 0;
    if (op == 0x46) {
        words[0] = op | (uint64_t)fuzz_below(&u->in, 3) << 12;
        words[1] = fuzz_u8(&u->in) & 1 ? GUEST_DOORBELL : fuzz_gpa(u);
    } else if (op == 0x04) {
        words[1] = fuzz_below(&u->in, 32);
    } else if (op == 0x41) {
        words[1] = fuzz_below(&u->in, 3) << 12 | fuzz_below(&u->in, 8);
    }
    if (op == 0x40 || op == 0x41) {
        pasid = fuzz_pasid(u);
        if (pasid != PAGE_REQUEST_NO_PASID) {
            words[0] |= BIT(11) | (uint64_t)pasid << 12;
        }
    }
    fuzz_flip(u, words, 2);
}

/* Commands at once, so that they make a batch. */
static void act_commands(FuzzUnit *u)
{
    unsigned count = 1 + fuzz_below(&u->in, 4);
    unsigned times = fuzz_u8(&u->in);

    times = times < 224 ? 1 : times % 32;
    for (unsigned i = 0; i < count; i++) {
        uint64_t words[2];

        make_command(u, words);
        for (unsigned k = 0; k < times; k++) {
            put_command(u, i * times + k, words[0], words[1]);
        }
    }
    hand_over(u, count * times);
}

/* Have a stream's STE looked at. */
static void act_cfgi(FuzzUnit *u)
{
    put_command(u, 0, 0x03 | (uint64_t)fuzz_id(u) << 32, 1);
    put_command(u, 1, 0x46, 0);
    hand_over(u, 2);
}

/* Software's cure of a command queue in error. */
static void act_cure(FuzzUnit *u)
{
    const uint64_t sync[2] = { 0x46, 0 };

    fuzz_store(u, command_gpa(u, read32(u, A_CMDQ_CONS) & 0xfffff), sync, 2);
    write32(u, A_GERRORN, read32(u, A_GERROR));
}

static void consume(FuzzUnit *u, uint64_t a_prod, uint64_t a_cons)
{
    uint32_t prod = read32(u, a_prod);
    uint32_t cons = read32(u, a_cons);
    unsigned how = fuzz_u8(&u->in);

    if (how & 1) {              /* and acknowledge */
        write32(u, a_cons, prod);
    } else if (how & 2) {
        write32(u, a_cons, (prod & 0xfffff) | (cons & BIT(31)));
    } else {
        write32(u, a_cons, cons + 1);
    }
}

static void act_consume_events(FuzzUnit *u)
{
    consume(u, A_EVENTQ_PROD, A_EVENTQ_CONS);
}

static void act_consume_requests(FuzzUnit *u)
{
    consume(u, A_PRIQ_PROD, A_PRIQ_CONS);
}

/* The response to a request in the queue, where its last entry is. */
static void act_respond(FuzzUnit *u)
{
    uint64_t base = fuzz_read(u, A_PRIQ_BASE, 8);
    uint32_t size = 1u << MIN(FIELD_GET(base, Q_BASE, LOG2SIZE), 19);
    uint32_t at = (read32(u, A_PRIQ_PROD) - 1 - fuzz_below(&u->in, 8)) &
                  (size - 1);
    uint64_t gpa = (base & FIELD_MASK(Q_BASE, ADDR)) + SMMUV3_PPR_BYTES *
                   (uint64_t)at;
    uint64_t word0 = fuzz_load(u, gpa);
    uint64_t word1 = fuzz_load(u, gpa + 8);

    put_command(u, 0, 0x41 | (word0 >> 63) << 11 |
                          (word0 >> 32 & 0xfffff) << 12 | word0 << 32,
                (word1 & 511) | (uint64_t)fuzz_below(&u->in, 3) << 12);
    hand_over(u, 1);
}

static void act_cr0(FuzzUnit *u)
{
    write32(u, A_CR0, read32(u, A_CR0) ^ 1u << fuzz_below(&u->in, 5));
}

static FuzzAction *const actions[] = {
    act_setup, act_ste, act_ste, act_commands, act_commands, act_commands,
    act_cfgi, act_cure, act_consume_events, act_consume_events,
    act_consume_requests, act_respond, act_respond, act_cr0,
};

static FuzzModel model = {
    .iommu = HARDWARE_SMMUV3,
    .mmio_size = SMMUV3_MMIO_SIZE,
    .ids = { 0, 1, 0x41, 0xff },
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
