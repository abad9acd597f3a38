/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the driver share: the registers as a guest knows them (Arm
 * IHI 0070, section 6.3; written down anew here, so that a mistake in the
 * model's table is not copied), and the driver's state.
 *
 * Threads, Locks: guest-smmuv3.h.
 */
#ifndef VPUMP_GUEST_SMMUV3_INTERNAL_H
#define VPUMP_GUEST_SMMUV3_INTERNAL_H

#include "guest-eventq.h"
#include "guest-smmuv3.h"

#include "base/bits.h"

enum {
    SMMU_IDR0 = 0x0,
    SMMU_IDR1 = 0x4,
    SMMU_IDR3 = 0xc,
    SMMU_IDR5 = 0x14,
    SMMU_IIDR = 0x18,
    SMMU_CR0 = 0x20,
    SMMU_CR0ACK = 0x24,
    SMMU_CR1 = 0x28,
    SMMU_CR2 = 0x2c,
    SMMU_GBPA = 0x44,
    SMMU_IRQ_CTRL = 0x50,
    SMMU_IRQ_CTRLACK = 0x54,
    SMMU_GERROR = 0x60,
    SMMU_GERRORN = 0x64,
    SMMU_GERROR_IRQ_CFG0 = 0x68,
    SMMU_STRTAB_BASE = 0x80,
    SMMU_STRTAB_BASE_CFG = 0x88,
    SMMU_CMDQ_BASE = 0x90,
    SMMU_CMDQ_PROD = 0x98,
    SMMU_CMDQ_CONS = 0x9c,
    SMMU_EVENTQ_BASE = 0xa0,
    SMMU_EVENTQ_IRQ_CFG0 = 0xb0,
    SMMU_EVENTQ_PROD = 0x100a8,
    SMMU_EVENTQ_CONS = 0x100ac,
};

/* CFG0 is 64 bits wide; these follow it. */
enum {
    IRQ_CFG1_OFFSET = 0x8,
    IRQ_CFG2_OFFSET = 0xc,
};

FIELD(IDR0, TTF, 2, 2)
FIELD(IDR0, COHACC, 4, 1)
FIELD(IDR0, ATS, 10, 1)
FIELD(IDR0, MSI, 13, 1)
FIELD(IDR0, ST_LEVEL, 27, 2)
FIELD(IDR1, SIDSIZE, 0, 6)
FIELD(IDR1, EVENTQS, 16, 5)
FIELD(IDR1, CMDQS, 21, 5)
FIELD(IDR1, PRESET, 28, 3)      /* REL, QUEUES_PRESET, TABLES_PRESET */
FIELD(CR0, SMMUEN, 0, 1)
FIELD(CR0, EVENTQEN, 2, 1)
FIELD(CR0, CMDQEN, 3, 1)
FIELD(CR0, ATSCHK, 4, 1)
FIELD(GBPA, ABORT, 20, 1)
FIELD(GBPA, UPDATE, 31, 1)
FIELD(IRQ_CTRL, GERROR_IRQEN, 0, 1)
FIELD(IRQ_CTRL, EVENTQ_IRQEN, 2, 1)
FIELD(GERROR, CMDQ_ERR, 0, 1)
FIELD(CMDQ_CONS, ERR, 24, 7)

/* Allocation hint in the *_BASE registers: RA or WA. */
#define SMMU_BASE_HINT BIT(62)

/* Two-level stream table: STEs per leaf, log2. */
#define GUEST_STRTAB_SPLIT 8

/**
 * struct GuestCmdq - the command queue, used by one thread at a time
 * @gpa: its base
 * @log2size: entries
 * @prod: index and wrap bit, as last written
 */
typedef struct GuestCmdq {
    uint64_t gpa;
    unsigned log2size;
    uint32_t prod;
} GuestCmdq;

/**
 * struct GuestStrtab - the stream table, and what its entries name
 * @l1_gpa: descriptors, one for each 2^GUEST_STRTAB_SPLIT StreamIDs
 * @log2size: StreamIDs
 * @page_table_gpa: an empty one for all devices: whatever they do is a fault
 */
typedef struct GuestStrtab {
    uint64_t l1_gpa;
    unsigned log2size;
    uint64_t page_table_gpa;
} GuestStrtab;

struct GuestSmmuv3 {
    Viommu *viommu;             /* [const] */
    GuestRam *ram;              /* [const] */
    uint32_t idr0;              /* [const] once probed */
    uint32_t idr1;              /* [const] once probed */
    GuestRecords records;       /* [const] */
    GuestCmdq cmdq;
    GuestStrtab strtab;
    GuestEventq *eventq;
    uint64_t stop_errors;       /* 1 if it could not be disabled */
};

/* guest-smmuv3.c */

/**
 * guest_smmuv3_wait() - read a register until it has a value, for a second
 * @mask: the bits that count
 */
bool guest_smmuv3_wait(GuestSmmuv3 *guest, uint32_t offset, uint32_t mask,
                       uint32_t value, GError **error);

/* guest-smmuv3-cmdq.c */

bool guest_cmdq_init(GuestSmmuv3 *guest, GError **error);

/**
 * guest_cmdq_issue() - one command and a CMD_SYNC; waits until both are done
 */
bool guest_cmdq_issue(GuestSmmuv3 *guest, uint64_t word0, uint64_t word1,
                      GError **error);

/* Forget everything cached: the commands of a driver that takes over. */
bool guest_cmdq_invalidate_all(GuestSmmuv3 *guest, GError **error);

/* CMD_CFGI_STE: the STE of @sid has changed. */
bool guest_cmdq_ste_changed(GuestSmmuv3 *guest, uint32_t sid, GError **error);

/* guest-smmuv3-strtab.c */

/* An empty stream table, and the registers that name it. */
bool guest_strtab_init(GuestSmmuv3 *guest, GError **error);

/**
 * guest_strtab_attach() - have stage 1 translate for a device
 *
 * With the empty page table, so every access of the device is an event.
 */
bool guest_strtab_attach(GuestSmmuv3 *guest, uint32_t sid, GError **error);

#endif
