/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * MMIO. Every register lives in reg[] at its offset; words without a register
 * stay 0, so they read as RES0. What may be written, and when, is one table.
 */
#include "hw/arm/smmuv3-internal.h"

#include <string.h>

/* 6.3: "writable only while ... is 0", in the control and its ACK register. */
typedef enum Guard {
    GUARD_NONE,
    GUARD_SMMUEN,
    GUARD_CMDQEN,
    GUARD_EVENTQEN,
    GUARD_PRIQEN,
    GUARD_GERROR_IRQEN,
    GUARD_EVENTQ_IRQEN,
    GUARD_PRIQ_IRQEN,
} Guard;

/* IDR0's features without which a register is RES0; they may be ORed. */
enum {
    NEEDS_NOTHING = 0,
    NEEDS_MSI = 1,
    NEEDS_PRI = 2,
};

typedef struct RegisterInfo {
    uint32_t offset;
    uint8_t size;               /* bytes: 4 or 8 */
    uint8_t guard;
    uint8_t needs;
    uint64_t writable;
} RegisterInfo;

#define ATTRIBUTES_MASK 0x3f            /* *_IRQ_CFG2: MemAttr, SH */
#define POINTER_MASK FIELD_MASK(Q, POINTER)

/* Registers whose writes only store. */
static const RegisterInfo registers[] = {
    { A_CR2, 4, GUARD_SMMUEN, NEEDS_NOTHING,
      FIELD_MASK(CR2, RECINVSID) | FIELD_MASK(CR2, PTM) },
    { A_GERROR_IRQ_CFG0, 8, GUARD_GERROR_IRQEN, NEEDS_MSI,
      FIELD_MASK(IRQ_CFG0, ADDR) },
    { A_GERROR_IRQ_CFG1, 4, GUARD_GERROR_IRQEN, NEEDS_MSI, UINT32_MAX },
    { A_GERROR_IRQ_CFG2, 4, GUARD_GERROR_IRQEN, NEEDS_MSI, ATTRIBUTES_MASK },
    { A_STRTAB_BASE, 8, GUARD_SMMUEN, NEEDS_NOTHING,
      FIELD_MASK(STRTAB_BASE, ADDR) | BIT(62) },
    { A_STRTAB_BASE_CFG, 4, GUARD_SMMUEN, NEEDS_NOTHING,
      FIELD_MASK(STRTAB_BASE_CFG, LOG2SIZE) |
          FIELD_MASK(STRTAB_BASE_CFG, SPLIT) |
          FIELD_MASK(STRTAB_BASE_CFG, FMT) },
    { A_CMDQ_BASE, 8, GUARD_CMDQEN, NEEDS_NOTHING,
      FIELD_MASK(Q_BASE, LOG2SIZE) | FIELD_MASK(Q_BASE, ADDR) | BIT(62) },
    { A_CMDQ_CONS, 4, GUARD_CMDQEN, NEEDS_NOTHING,
      POINTER_MASK | FIELD_MASK(CMDQ_CONS, ERR) },
    { A_EVENTQ_BASE, 8, GUARD_EVENTQEN, NEEDS_NOTHING,
      FIELD_MASK(Q_BASE, LOG2SIZE) | FIELD_MASK(Q_BASE, ADDR) | BIT(62) },
    { A_EVENTQ_PROD, 4, GUARD_EVENTQEN, NEEDS_NOTHING,
      POINTER_MASK | FIELD_MASK(EVENTQ_PROD, OVFLG) },
    { A_EVENTQ_IRQ_CFG0, 8, GUARD_EVENTQ_IRQEN, NEEDS_MSI,
      FIELD_MASK(IRQ_CFG0, ADDR) },
    { A_EVENTQ_IRQ_CFG1, 4, GUARD_EVENTQ_IRQEN, NEEDS_MSI, UINT32_MAX },
    { A_EVENTQ_IRQ_CFG2, 4, GUARD_EVENTQ_IRQEN, NEEDS_MSI, ATTRIBUTES_MASK },
    { A_PRIQ_BASE, 8, GUARD_PRIQEN, NEEDS_PRI,
      FIELD_MASK(Q_BASE, LOG2SIZE) | FIELD_MASK(Q_BASE, ADDR) | BIT(62) },
    { A_PRIQ_PROD, 4, GUARD_PRIQEN, NEEDS_PRI,
      POINTER_MASK | FIELD_MASK(PRIQ_PROD, OVFLG) },
    { A_PRIQ_IRQ_CFG0, 8, GUARD_PRIQ_IRQEN, NEEDS_MSI | NEEDS_PRI,
      FIELD_MASK(IRQ_CFG0, ADDR) },
    { A_PRIQ_IRQ_CFG1, 4, GUARD_PRIQ_IRQEN, NEEDS_MSI | NEEDS_PRI,
      UINT32_MAX },
    { A_PRIQ_IRQ_CFG2, 4, GUARD_PRIQ_IRQEN, NEEDS_PRI,
      ATTRIBUTES_MASK | FIELD_MASK(PRIQ_IRQ_CFG2, LO) },
};

/* 6.3.67: peripheral and component identification, as QEMU's. */
#define A_PIDR4 0xfd0
static const uint8_t identification[] = {
    0x04, 0x00, 0x00, 0x00, 0x84, 0xb4, 0xf0, 0x10, 0x0d, 0xf0, 0x05, 0xb1,
};

/* The register that holds the word at @offset, if its writes only store. */
static const RegisterInfo *register_find(uint64_t offset)
{
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        const RegisterInfo *info = &registers[i];

        if (offset >= info->offset && offset < info->offset + info->size) {
            return info;
        }
    }
    return NULL;
}

/* Page 1 holds the output queues' indices only; page 0 has no alias of them. */
static bool has_word(uint64_t offset)
{
    uint64_t in_page = offset % SMMUV3_PAGE_SIZE;
    bool index = in_page == A_EVENTQ_PROD % SMMUV3_PAGE_SIZE ||
                 in_page == A_EVENTQ_CONS % SMMUV3_PAGE_SIZE ||
                 in_page == A_PRIQ_PROD % SMMUV3_PAGE_SIZE ||
                 in_page == A_PRIQ_CONS % SMMUV3_PAGE_SIZE;

    return in_page < SMMUV3_REG_WORDS * 4 &&
           index == (offset >= SMMUV3_PAGE_SIZE);
}

static uint32_t read_word(const Smmuv3 *s, uint64_t offset)
    REQUIRES(&s->parent.ring_lock)
{
    uint32_t word;

    if (offset >= A_PIDR4 && offset < A_PIDR4 + 4 * sizeof(identification)) {
        return identification[(offset - A_PIDR4) / 4];
    }
    if (!has_word(offset)) {
        return 0;
    }
    word = s->reg[(offset % SMMUV3_PAGE_SIZE) / 4];
    /* 3.5.1: in an index that is ours, bits above the wrap bit are RAZ. */
    if (offset == A_EVENTQ_PROD) {
        GuestRing ring = smmuv3_eventq_ring(s);

        word &= FIELD_MASK(EVENTQ_PROD, OVFLG) | guest_ring_mask(&ring);
    } else if (offset == A_PRIQ_PROD) {
        GuestRing ring = smmuv3_priq_ring(s);

        word &= FIELD_MASK(PRIQ_PROD, OVFLG) | guest_ring_mask(&ring);
    } else if (offset == A_CMDQ_CONS) {
        GuestRing ring = smmuv3_cmdq_ring(s);

        word &= FIELD_MASK(CMDQ_CONS, ERR) | guest_ring_mask(&ring);
    }
    return word;
}

uint64_t smmuv3_mmio_read(Viommu *viommu, uint64_t offset, unsigned size)
{
    Smmuv3 *s = smmuv3_from(viommu);
    const RegisterInfo *info = register_find(offset);
    uint64_t value;

    if (offset >= SMMUV3_MMIO_SIZE ||
        (size == 8 && (!info || info->size != 8))) {
        return 0;
    }
    lock_acquire(&s->parent.ring_lock);
    value = read_word(s, offset);
    if (size == 8) {
        value |= (uint64_t)read_word(s, offset + 4) << 32;
    }
    lock_release(&s->parent.ring_lock);
    return value;
}

static bool guard_open(const Smmuv3 *s, Guard guard)
    REQUIRES(&s->parent.ring_lock)
{
    uint32_t cr0 = s->reg[R_CR0] | s->reg[R_CR0ACK];
    uint32_t irq_ctrl = s->reg[R_IRQ_CTRL] | s->reg[R_IRQ_CTRLACK];

    switch (guard) {
    case GUARD_NONE:
        return true;
    case GUARD_SMMUEN:
        return !FIELD_GET(cr0, CR0, SMMUEN);
    case GUARD_CMDQEN:
        return !FIELD_GET(cr0, CR0, CMDQEN);
    case GUARD_EVENTQEN:
        return !FIELD_GET(cr0, CR0, EVENTQEN);
    case GUARD_PRIQEN:
        return !FIELD_GET(cr0, CR0, PRIQEN);
    case GUARD_GERROR_IRQEN:
        return !FIELD_GET(irq_ctrl, IRQ_CTRL, GERROR_IRQEN);
    case GUARD_EVENTQ_IRQEN:
        return !FIELD_GET(irq_ctrl, IRQ_CTRL, EVENTQ_IRQEN);
    case GUARD_PRIQ_IRQEN:
        return !FIELD_GET(irq_ctrl, IRQ_CTRL, PRIQ_IRQEN);
    }
    g_assert_not_reached();
}

/* The bits of a register that software can write, as the ID registers say. */
static uint64_t writable_bits(const Smmuv3 *s, const RegisterInfo *info)
{
    if ((info->needs & NEEDS_MSI && !s->props.msi) ||
        (info->needs & NEEDS_PRI && !s->props.pri)) {
        return 0;
    }
    /*
     * The page of PRIQ_IRQ_CFG2 has it RES0 without MSI, that of IDR0.MSI does
     * not have LO depend on it; LO is for wired interrupts too, so it stays.
     */
    if (info->offset == A_PRIQ_IRQ_CFG2 && !s->props.msi) {
        return FIELD_MASK(PRIQ_IRQ_CFG2, LO);
    }
    return info->writable;
}

static void store_locked(Smmuv3 *s, const RegisterInfo *info, uint64_t offset,
                         unsigned size, uint64_t value)
    REQUIRES(&s->parent.ring_lock)
{
    uint32_t *word = &s->reg[(offset % SMMUV3_PAGE_SIZE) / 4];
    uint64_t writable = writable_bits(s, info) >> 8 * (offset - info->offset);

    if (!guard_open(s, info->guard)) {
        return;
    }
    word[0] = value & writable;
    if (size == 8) {
        word[1] = (value & writable) >> 32;
    }
}

/* 6.3.11: two halves, guarded by the queues' enables and by SMMUEN. */
static void write_cr1_locked(Smmuv3 *s, uint32_t value)
    REQUIRES(&s->parent.ring_lock)
{
    uint32_t writable = 0;

    if (guard_open(s, GUARD_CMDQEN) && guard_open(s, GUARD_EVENTQEN) &&
        guard_open(s, GUARD_PRIQEN)) {
        writable |= FIELD_MASK(CR1, QUEUE_ATTRIBUTES);
    }
    if (guard_open(s, GUARD_SMMUEN)) {
        writable |= FIELD_MASK(CR1, TABLE_ATTRIBUTES);
    }
    s->reg[R_CR1] = (s->reg[R_CR1] & ~writable) | (value & writable);
}

static void write_irq_ctrl_locked(Smmuv3 *s, uint32_t value)
    REQUIRES(&s->parent.ring_lock)
{
    value &= FIELD_MASK(IRQ_CTRL, GERROR_IRQEN) |
             FIELD_MASK(IRQ_CTRL, EVENTQ_IRQEN) |
             (s->props.pri ? FIELD_MASK(IRQ_CTRL, PRIQ_IRQEN) : 0);
    s->reg[R_IRQ_CTRL] = value;
    /* Interrupts are raised under the ring_lock: none is on its way. */
    s->reg[R_IRQ_CTRLACK] = value;
}

static void write_plain(Smmuv3 *s, uint64_t offset, unsigned size,
                        uint64_t value)
{
    const RegisterInfo *info = register_find(offset);

    if (size == 8 && (!info || info->size != 8)) {
        return;
    }
    lock_acquire(&s->parent.ring_lock);
    if (offset == A_CR1) {
        write_cr1_locked(s, value);
    } else if (offset == A_IRQ_CTRL) {
        write_irq_ctrl_locked(s, value);
    } else if (info) {
        store_locked(s, info, offset, size, value);
    }
    lock_release(&s->parent.ring_lock);
}

void smmuv3_mmio_write(Viommu *viommu, uint64_t offset, unsigned size,
                       uint64_t value)
{
    Smmuv3 *s = smmuv3_from(viommu);

    switch (size == 4 ? offset : UINT64_MAX) {
    case A_EVENTQ_CONS:
        smmuv3_write_eventq_cons(s, value);
        break;
    case A_PRIQ_CONS:
        smmuv3_write_priq_cons(s, value);
        break;
    case A_CMDQ_PROD:
        smmuv3_write_cmdq_prod(s, value);
        break;
    case A_CR0:
        smmuv3_write_cr0(s, value);
        break;
    case A_GBPA:
        smmuv3_write_gbpa(s, value);
        break;
    case A_GERRORN:
        smmuv3_write_gerrorn(s, value);
        break;
    default:
        write_plain(s, offset, size, value);
        break;
    }
}

static void id_registers_reset(Smmuv3 *s) REQUIRES(&s->parent.ring_lock)
{
    const Smmuv3Properties *props = &s->props;

    s->reg[R_IDR0] = FIELD_SET(0, IDR0, S1P, 1) |
                     FIELD_SET(0, IDR0, TTF, 2) |
                     FIELD_SET(0, IDR0, COHACC, 1) |
                     FIELD_SET(0, IDR0, ATS, props->ats) |
                     FIELD_SET(0, IDR0, ASID16, 1) |
                     FIELD_SET(0, IDR0, MSI, props->msi) |
                     FIELD_SET(0, IDR0, PRI, props->pri) |
                     FIELD_SET(0, IDR0, CD2L, props->ssid_bits > 0) |
                     FIELD_SET(0, IDR0, TTENDIAN, 2) |
                     FIELD_SET(0, IDR0, STALL_MODEL, 1) |
                     FIELD_SET(0, IDR0, TERM_MODEL, 1) |
                     FIELD_SET(0, IDR0, ST_LEVEL, 1);
    s->reg[R_IDR1] = FIELD_SET(0, IDR1, SIDSIZE, SMMUV3_SID_BITS) |
                     FIELD_SET(0, IDR1, SSIDSIZE, props->ssid_bits) |
                     FIELD_SET(0, IDR1, PRIQS,
                               props->pri ? props->log2_priq : 0) |
                     FIELD_SET(0, IDR1, EVENTQS, props->log2_eventq) |
                     FIELD_SET(0, IDR1, CMDQS, props->log2_cmdq);
    s->reg[R_IDR3] = FIELD_SET(0, IDR3, PPS, props->pps) |
                     FIELD_SET(0, IDR3, RIL, props->ril);
    s->reg[R_IDR5] = FIELD_SET(0, IDR5, OAS, props->oas_bits == 48 ? 5 : 4) |
                     FIELD_SET(0, IDR5, GRAN4K, 1) |
                     FIELD_SET(0, IDR5, GRAN16K, 1) |
                     FIELD_SET(0, IDR5, GRAN64K, 1);
    s->reg[R_AIDR] = 1;         /* SMMUv3.1 */
}

void smmuv3_regs_reset(Smmuv3 *s)
{
    memset(s->reg, 0, sizeof(s->reg));
    id_registers_reset(s);
    s->reg[R_GBPA] = 0x1000;    /* bypass, incoming shareability */
}

uint64_t smmuv3_queue_base(uint64_t base_reg, unsigned log2size,
                           unsigned entry_bytes)
{
    uint64_t bytes = (uint64_t)entry_bytes << log2size;

    return base_reg & FIELD_MASK(Q_BASE, ADDR) & ~(MAX(bytes, 32) - 1);
}
