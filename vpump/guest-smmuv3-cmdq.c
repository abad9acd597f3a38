/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One command at a time, each with a CMD_SYNC that is waited for: the queue is
 * empty whenever a command is added.
 */
#include "guest-smmuv3-internal.h"

#include "base/error.h"
#include "iothread/aio-context.h"

#include <sched.h>

/* 4.1 */
FIELD(CMD0, OP, 0, 8)
FIELD(CMD0, SID, 32, 32)
FIELD(SYNC0, CS, 12, 2)
FIELD(SYNC0, MSH, 22, 2)
FIELD(SYNC0, MSIATTR, 24, 4)

enum {
    CMD_CFGI_STE = 0x03,
    CMD_CFGI_STE_RANGE = 0x04,
    CMD_TLBI_NSNH_ALL = 0x30,
    CMD_SYNC = 0x46,
};

enum {
    CFGI_STE_LEAF = 1,
    CFGI_RANGE_ALL = 31,
};

enum {
    SYNC_CS_IRQ = 1,
    SYNC_CS_SEV = 2,
    SYNC_MSH_ISH = 3,
    SYNC_MSIATTR_OIWB = 0xf,
};

enum { CMD_BYTES = 16 };

/* More would never be in use. */
#define CMDQ_LOG2_MAX 8

#define TIMEOUT_NS INT64_C(1000000000)

bool guest_cmdq_init(GuestSmmuv3 *guest, GError **error)
{
    GuestCmdq *cmdq = &guest->cmdq;
    uint64_t bytes;

    cmdq->log2size = MIN(FIELD_GET(guest->idr1, IDR1, CMDQS), CMDQ_LOG2_MAX);
    bytes = (uint64_t)CMD_BYTES << cmdq->log2size;
    cmdq->gpa = guest_ram_alloc(guest->ram, bytes, MAX(bytes, 4096), error);
    if (!cmdq->gpa) {
        return false;
    }
    viommu_mmio_write(guest->viommu, SMMU_CMDQ_BASE, 8,
                      cmdq->gpa | cmdq->log2size | SMMU_BASE_HINT);
    viommu_mmio_write(guest->viommu, SMMU_CMDQ_PROD, 4, 0);
    viommu_mmio_write(guest->viommu, SMMU_CMDQ_CONS, 4, 0);
    return true;
}

/* The slot that PROD stands at. */
static uint64_t slot_gpa(const GuestCmdq *cmdq)
{
    return cmdq->gpa +
           (uint64_t)(cmdq->prod & ((1u << cmdq->log2size) - 1)) * CMD_BYTES;
}

/* The entry is whole in memory before PROD shows it. */
static void add_command(GuestSmmuv3 *guest, uint64_t word0, uint64_t word1)
{
    GuestCmdq *cmdq = &guest->cmdq;
    const uint64_t words[] = { word0, word1 };

    guest_words_store(guest_ram_ptr(guest->ram, slot_gpa(cmdq)), words, 2);
    cmdq->prod = (cmdq->prod + 1) & ((2u << cmdq->log2size) - 1);
    viommu_mmio_write(guest->viommu, SMMU_CMDQ_PROD, 4, cmdq->prod);
}

static uint32_t get_reg(GuestSmmuv3 *guest, unsigned reg)
{
    return viommu_mmio_read(guest->viommu, reg, 4);
}

/* 7.5: from then on the queue stands still. We never acknowledge it. */
static bool has_failed(GuestSmmuv3 *guest)
{
    return FIELD_GET(get_reg(guest, SMMU_GERROR), GERROR, CMDQ_ERR) !=
           FIELD_GET(get_reg(guest, SMMU_GERRORN), GERROR, CMDQ_ERR);
}

/* The SMMU clears the first word of the SYNC by its own message. */
static bool sync_by_message(GuestSmmuv3 *guest, GError **error)
{
    uint64_t gpa = slot_gpa(&guest->cmdq);
    const uint32_t *slot = guest_ram_ptr(guest->ram, gpa);
    uint64_t word0 = FIELD_SET(CMD_SYNC, SYNC0, CS, SYNC_CS_IRQ);
    int64_t deadline = aio_clock_ns() + TIMEOUT_NS;

    word0 = FIELD_SET(word0, SYNC0, MSH, SYNC_MSH_ISH);
    word0 = FIELD_SET(word0, SYNC0, MSIATTR, SYNC_MSIATTR_OIWB);
    /* MSIData is 0, and MSIAddress the SYNC's own slot. */
    add_command(guest, word0, gpa);
    /* Acquire: pairs with guest_mem_write_u32() of the vIOMMU. */
    while (__atomic_load_n(slot, __ATOMIC_ACQUIRE) != 0) {
        if (has_failed(guest)) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "the command queue has stopped with error %u",
                        (unsigned)FIELD_GET(get_reg(guest, SMMU_CMDQ_CONS),
                                            CMDQ_CONS, ERR));
            return false;
        }
        if (aio_clock_ns() > deadline) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "CMD_SYNC is not done after a second, GERROR is 0x%x",
                        get_reg(guest, SMMU_GERROR));
            return false;
        }
        sched_yield();
    }
    return true;
}

/* Without messages: CONS passes a SYNC only when all before it is done. */
static bool sync_by_cons(GuestSmmuv3 *guest, GError **error)
{
    add_command(guest, FIELD_SET(CMD_SYNC, SYNC0, CS, SYNC_CS_SEV), 0);
    return guest_smmuv3_wait(guest, SMMU_CMDQ_CONS,
                             (2u << guest->cmdq.log2size) - 1,
                             guest->cmdq.prod, error);
}

bool guest_cmdq_issue(GuestSmmuv3 *guest, uint64_t word0, uint64_t word1,
                      GError **error)
{
    bool message = FIELD_GET(guest->idr0, IDR0, MSI) &&
                   FIELD_GET(guest->idr0, IDR0, COHACC);

    add_command(guest, word0, word1);
    return message ? sync_by_message(guest, error)
                   : sync_by_cons(guest, error);
}

bool guest_cmdq_invalidate_all(GuestSmmuv3 *guest, GError **error)
{
    return guest_cmdq_issue(guest, CMD_CFGI_STE_RANGE, CFGI_RANGE_ALL,
                            error) &&
           guest_cmdq_issue(guest, CMD_TLBI_NSNH_ALL, 0, error);
}

bool guest_cmdq_ste_changed(GuestSmmuv3 *guest, uint32_t sid, GError **error)
{
    return guest_cmdq_issue(guest, FIELD_SET(CMD_CFGI_STE, CMD0, SID, sid),
                            CFGI_STE_LEAF, error);
}
