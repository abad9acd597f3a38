/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SMMUv3 specification as tables (Arm IHI 0070 G.b, section numbers
 * beside), and what the files of the model share.
 *
 * Threads, Locks: hw/iommu/viommu.h; REQUIRES() says which lock a call needs.
 */
#ifndef HW_ARM_SMMUV3_INTERNAL_H
#define HW_ARM_SMMUV3_INTERNAL_H

#include "base/bits.h"
#include "base/rcu.h"
#include "hw/arm/smmuv3.h"
#include "hw/iommu/guest-ring.h"
#include "hw/iommu/viommu-internal.h"

/* 6.3: registers. A_ is the offset in the region, R_ the place in reg[]. */
#define SMMUV3_PAGE_SIZE 0x10000
#define REG(name, offset)                                         \
    enum {                                                        \
        A_##name = (offset),                                      \
        R_##name = ((offset) & (SMMUV3_PAGE_SIZE - 1)) / 4,       \
    };

REG(IDR0, 0x000)
FIELD(IDR0, S1P, 1, 1)
FIELD(IDR0, TTF, 2, 2)
FIELD(IDR0, COHACC, 4, 1)
FIELD(IDR0, ATS, 10, 1)
FIELD(IDR0, ASID16, 12, 1)
FIELD(IDR0, MSI, 13, 1)
FIELD(IDR0, PRI, 16, 1)
FIELD(IDR0, CD2L, 19, 1)
FIELD(IDR0, TTENDIAN, 21, 2)
FIELD(IDR0, STALL_MODEL, 24, 2)
FIELD(IDR0, TERM_MODEL, 26, 1)
FIELD(IDR0, ST_LEVEL, 27, 2)
REG(IDR1, 0x004)
FIELD(IDR1, SIDSIZE, 0, 6)
FIELD(IDR1, SSIDSIZE, 6, 5)
FIELD(IDR1, PRIQS, 11, 5)
FIELD(IDR1, EVENTQS, 16, 5)
FIELD(IDR1, CMDQS, 21, 5)
REG(IDR3, 0x00c)
FIELD(IDR3, PPS, 5, 1)
FIELD(IDR3, RIL, 10, 1)
REG(IDR5, 0x014)
FIELD(IDR5, OAS, 0, 3)
FIELD(IDR5, GRAN4K, 4, 1)
FIELD(IDR5, GRAN16K, 5, 1)
FIELD(IDR5, GRAN64K, 6, 1)
REG(AIDR, 0x01c)
REG(CR0, 0x020)
FIELD(CR0, SMMUEN, 0, 1)
FIELD(CR0, PRIQEN, 1, 1)
FIELD(CR0, EVENTQEN, 2, 1)
FIELD(CR0, CMDQEN, 3, 1)
FIELD(CR0, ATSCHK, 4, 1)
REG(CR0ACK, 0x024)
REG(CR1, 0x028)
FIELD(CR1, QUEUE_ATTRIBUTES, 0, 6)
FIELD(CR1, TABLE_ATTRIBUTES, 6, 6)
REG(CR2, 0x02c)
FIELD(CR2, RECINVSID, 1, 1)
FIELD(CR2, PTM, 2, 1)
REG(GBPA, 0x044)
FIELD(GBPA, ABORT, 20, 1)
FIELD(GBPA, UPDATE, 31, 1)
REG(IRQ_CTRL, 0x050)
FIELD(IRQ_CTRL, GERROR_IRQEN, 0, 1)
FIELD(IRQ_CTRL, PRIQ_IRQEN, 1, 1)
FIELD(IRQ_CTRL, EVENTQ_IRQEN, 2, 1)
REG(IRQ_CTRLACK, 0x054)
REG(GERROR, 0x060)
FIELD(GERROR, CMDQ_ERR, 0, 1)
FIELD(GERROR, EVENTQ_ABT_ERR, 2, 1)
FIELD(GERROR, PRIQ_ABT_ERR, 3, 1)
FIELD(GERROR, MSI_CMDQ_ABT_ERR, 4, 1)
FIELD(GERROR, MSI_EVENTQ_ABT_ERR, 5, 1)
FIELD(GERROR, MSI_PRIQ_ABT_ERR, 6, 1)
FIELD(GERROR, MSI_GERROR_ABT_ERR, 7, 1)
REG(GERRORN, 0x064)
REG(GERROR_IRQ_CFG0, 0x068)
REG(GERROR_IRQ_CFG1, 0x070)
REG(GERROR_IRQ_CFG2, 0x074)
REG(STRTAB_BASE, 0x080)
FIELD(STRTAB_BASE, ADDR, 6, 50)
REG(STRTAB_BASE_CFG, 0x088)
FIELD(STRTAB_BASE_CFG, LOG2SIZE, 0, 6)
FIELD(STRTAB_BASE_CFG, SPLIT, 6, 5)
FIELD(STRTAB_BASE_CFG, FMT, 16, 2)
REG(CMDQ_BASE, 0x090)
REG(CMDQ_PROD, 0x098)
REG(CMDQ_CONS, 0x09c)
FIELD(CMDQ_CONS, ERR, 24, 7)
REG(EVENTQ_BASE, 0x0a0)
REG(EVENTQ_PROD, 0x100a8)
FIELD(EVENTQ_PROD, OVFLG, 31, 1)
REG(EVENTQ_CONS, 0x100ac)
FIELD(EVENTQ_CONS, OVACKFLG, 31, 1)
REG(EVENTQ_IRQ_CFG0, 0x0b0)
REG(EVENTQ_IRQ_CFG1, 0x0b8)
REG(EVENTQ_IRQ_CFG2, 0x0bc)
REG(PRIQ_BASE, 0x0c0)
REG(PRIQ_PROD, 0x100c8)
FIELD(PRIQ_PROD, OVFLG, 31, 1)
REG(PRIQ_CONS, 0x100cc)
FIELD(PRIQ_CONS, OVACKFLG, 31, 1)
REG(PRIQ_IRQ_CFG0, 0x0d0)
REG(PRIQ_IRQ_CFG1, 0x0d8)
REG(PRIQ_IRQ_CFG2, 0x0dc)
FIELD(PRIQ_IRQ_CFG2, LO, 31, 1)

/* All of *Q_BASE; 3.5.1: index and wrap bit of PROD, CONS. */
FIELD(Q_BASE, LOG2SIZE, 0, 5)
FIELD(Q_BASE, ADDR, 5, 51)
FIELD(Q, POINTER, 0, 20)

/* 6.3.21: *_IRQ_CFG0 */
FIELD(IRQ_CFG0, ADDR, 2, 54)

/* Words that hold registers: offsets 0 to 0xdf of both pages. */
#define SMMUV3_REG_WORDS (0xe0 / 4)

/* Fixed by this model: 16 bits of StreamID, terminate model "abort". */
#define SMMUV3_SID_BITS 16
#define SMMUV3_EVENT_BYTES 32
#define SMMUV3_CMD_BYTES 16
#define SMMUV3_PPR_BYTES 16

/* What the operator is told once: viommu_warn_once(). */
enum {
    SMMUV3_WARN_COMMAND,
    SMMUV3_WARN_CMDQ_ABORT,
    SMMUV3_WARN_EVENTQ_ABORT,
    SMMUV3_WARN_STREAM_TABLE,
    SMMUV3_WARN_STE,
    SMMUV3_WARN_STE_REFUSED,
    SMMUV3_WARN_DETACHED,
    SMMUV3_WARN_HOST_INVALIDATE,
    SMMUV3_WARN_PRIQ_ABORT,
    SMMUV3_WARN_KINDS,
};

/**
 * struct Smmuv3Eventq - the pump's side of the event queue
 * @base, @ring, @writable: what the registers said when room was asked for;
 *                          the guards keep @base and the size constant while
 *                          the queue is on. [iothread]
 * @waiting: the pump wants to hear of room. [ring_lock]
 */
typedef struct Smmuv3Eventq {
    uint64_t base;
    GuestRing ring;
    bool writable;
    bool waiting;
} Smmuv3Eventq;

/**
 * enum Smmuv3PriqState - what becomes of page requests (8.1)
 * @SMMUV3_PRIQ_ON: they are written, where there is room
 * @SMMUV3_PRIQ_OVERFLOW: software has yet to acknowledge an overflow
 * @SMMUV3_PRIQ_OFF: PRIQEN or SMMUEN is 0, or PRIQ_ABT_ERR active
 */
typedef enum Smmuv3PriqState {
    SMMUV3_PRIQ_ON,
    SMMUV3_PRIQ_OVERFLOW,
    SMMUV3_PRIQ_OFF,
} Smmuv3PriqState;

/**
 * struct Smmuv3Priq - the page requests' side of the PRI queue
 * @wanted: the fewest entries that are waited for; 0: nobody waits
 * @state: when room was asked for, for the groups that this let come.
 *         [iothread]
 */
typedef struct Smmuv3Priq {
    uint32_t wanted;
    Smmuv3PriqState state;
} Smmuv3Priq;

/*
 * Smmuv3::table: what says where a stream's traffic goes. It fits into a word,
 * so that a guest's change of it needs no memory, which might be short. Around
 * STRTAB_BASE.ADDR, which stays in its place:
 */
FIELD(TABLE, ENABLED, 0, 1)         /* CR0.SMMUEN */
FIELD(TABLE, ABORT, 1, 1)           /* GBPA.ABORT */
FIELD(TABLE, TWO_LEVEL, 2, 1)       /* STRTAB_BASE_CFG.FMT is 1 */
FIELD(TABLE, LOG2SIZE_LOW, 3, 3)    /* STRTAB_BASE_CFG.LOG2SIZE, in two */
FIELD(TABLE, LOG2SIZE_HIGH, 56, 3)
FIELD(TABLE, SPLIT, 59, 5)          /* STRTAB_BASE_CFG.SPLIT */

/* The same, taken apart. */
typedef struct StreamTable {
    bool enabled;
    bool abort;
    bool two_level;
    unsigned log2size;
    unsigned split;
    uint64_t base;
} StreamTable;

/**
 * struct Smmuv3Host - HWPTs that all devices share
 * @abort_id, @bypass_id: nested HWPTs of STEs that say so
 * @force_stalld: the host can stall and the guest was told that it cannot
 */
typedef struct Smmuv3Host {
    uint32_t abort_id;
    uint32_t bypass_id;
    bool force_stalld;
} Smmuv3Host;

typedef struct Smmuv3 {
    Viommu parent;              /* first */
    Smmuv3Properties props;     /* [const] */
    /* ID registers [const] */
    uint32_t reg[SMMUV3_REG_WORDS] GUARDED_BY_PARENTS(ring_lock);
    Smmuv3Eventq eventq;
    Smmuv3Priq priq GUARDED_BY_PARENTS(ring_lock);
    _Atomic uint64_t table;     /* [config_lock] to store, see StreamTable */
    Smmuv3Host host GUARDED_BY_PARENTS(config_lock);
    /*
     * Emulated devices may hold translations that a command since the last
     * CMD_SYNC changed.
     */
    bool sva_stale GUARDED_BY_PARENTS(config_lock);
} Smmuv3;

static inline Smmuv3 *smmuv3_from(Viommu *viommu)
{
    return (Smmuv3 *)viommu;
}

/* smmuv3-regs.c */

/* An ID register: a reset leaves it what it was. */
static inline uint32_t smmuv3_id_reg(const Smmuv3 *s, unsigned r)
    NO_THREAD_SAFETY_ANALYSIS
{
    return s->reg[r];
}

static inline uint64_t smmuv3_reg64(const Smmuv3 *s, unsigned r)
    REQUIRES(&s->parent.ring_lock)
{
    return s->reg[r] | (uint64_t)s->reg[r + 1] << 32;
}

uint64_t smmuv3_mmio_read(Viommu *viommu, uint64_t offset, unsigned size);
void smmuv3_mmio_write(Viommu *viommu, uint64_t offset, unsigned size,
                       uint64_t value);

/* All registers to their reset values. */
void smmuv3_regs_reset(Smmuv3 *s) REQUIRES(&s->parent.ring_lock);

/* 3.5.1: the effective base of a queue, from its _BASE register. */
uint64_t smmuv3_queue_base(uint64_t base_reg, unsigned log2size,
                           unsigned entry_bytes);

/* smmuv3-control.c: the registers whose writes do more than store */

void smmuv3_write_cr0(Smmuv3 *s, uint32_t value);
void smmuv3_write_gbpa(Smmuv3 *s, uint32_t value);
void smmuv3_write_gerrorn(Smmuv3 *s, uint32_t value);
void smmuv3_write_cmdq_prod(Smmuv3 *s, uint32_t value);
void smmuv3_reset(Viommu *viommu) REQUIRES(&viommu->config_lock);

/* smmuv3-irq.c */

/**
 * smmuv3_gerror_is_active() - has software yet to acknowledge this error?
 * @error: a mask of GERROR bits
 */
bool smmuv3_gerror_is_active(const Smmuv3 *s, uint32_t error)
    REQUIRES(&s->parent.ring_lock);

/* 6.3.17: toggle GERROR if the error is not active; its interrupt. */
void smmuv3_gerror_raise(Smmuv3 *s, uint32_t error)
    REQUIRES(&s->parent.ring_lock);

/* The event queue went from empty to non-empty; PROD says so by now. */
void smmuv3_irq_eventq(Smmuv3 *s) REQUIRES(&s->parent.ring_lock);

/* By PRIQ_IRQ_CFG2.LO, there is cause; PRIQ_PROD says so by now. [iothread] */
void smmuv3_irq_priq(Smmuv3 *s) REQUIRES(&s->parent.ring_lock);

/* A CMD_SYNC with CS=SIG_IRQ is complete; CMDQ_CONS says so by now. */
void smmuv3_irq_cmd_sync(Smmuv3 *s, uint64_t address, uint32_t data)
    REQUIRES(&s->parent.ring_lock);

/* smmuv3-eventq.c */

GuestRing smmuv3_eventq_ring(const Smmuv3 *s) REQUIRES(&s->parent.ring_lock);
void smmuv3_write_eventq_cons(Smmuv3 *s, uint32_t value);
uint32_t smmuv3_eventq_room(void *opaque);
uint32_t smmuv3_eventq_deliver(void *opaque, VeventStream *stream);

/* smmuv3-priq.c */

GuestRing smmuv3_priq_ring(const Smmuv3 *s) REQUIRES(&s->parent.ring_lock);
/* 6.3.9: CR0.PRIQEN, which has no effect without SMMUEN. */
bool smmuv3_priq_enabled(const Smmuv3 *s) REQUIRES(&s->parent.ring_lock);
void smmuv3_write_priq_cons(Smmuv3 *s, uint32_t value);
uint32_t smmuv3_priq_room(void *opaque, uint32_t want);
void smmuv3_priq_deliver(void *opaque, PageGroup *groups, size_t count);

/* smmuv3-cmdq.c */

GuestRing smmuv3_cmdq_ring(const Smmuv3 *s) REQUIRES(&s->parent.ring_lock);

/**
 * smmuv3_cmdq_consume() - run commands, until enough is done for now
 *
 * Context: vCPU thread; makes host ioctls.
 * Return: whether there are more; false when the queue is empty, off or in
 * error.
 */
bool smmuv3_cmdq_consume(Smmuv3 *s) REQUIRES(&s->parent.config_lock)
    EXCLUDES(&s->parent.ring_lock);

/* smmuv3-ste.c */

bool smmuv3_check_host(Viommu *viommu, VfioDevice *vfio, GError **error);
bool smmuv3_host_up(Viommu *viommu, VfioDevice *vfio, GError **error);
void smmuv3_host_down(Viommu *viommu);
bool smmuv3_attach(Viommu *viommu, ViommuDevice *device, GError **error);
void smmuv3_detach(Viommu *viommu, ViommuDevice *device);

/**
 * smmuv3_table_publish() - CR0.SMMUEN or GBPA changed, with it the meaning of
 * the stream table
 */
void smmuv3_table_publish(Smmuv3 *s) REQUIRES(&s->parent.config_lock)
    EXCLUDES(&s->parent.ring_lock);

/**
 * smmuv3_ste_is_valid() - is there an STE for a stream, valid and legal?
 *
 * Context: any thread registered with RCU; takes no lock.
 */
bool smmuv3_ste_is_valid(Smmuv3 *s, uint32_t sid);

/* ViommuOps::translate: only where nothing is to be translated. */
bool smmuv3_translate(Viommu *viommu, uint32_t virt_id, uint32_t pasid,
                      uint64_t iova, uint32_t perm, uint64_t *gpa);

/**
 * smmuv3_reattach() - look again at the STEs of devices, after a change
 * @first_sid, @last_sid: of these StreamIDs
 *
 * A device whose STE the host does not take ends on the abort HWPT, and the
 * operator is told.
 */
void smmuv3_reattach(Smmuv3 *s, uint32_t first_sid, uint32_t last_sid)
    REQUIRES(&s->parent.config_lock);

#endif
