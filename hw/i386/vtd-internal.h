/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VT-d specification as tables (Intel D51397-018, rev 5.10; section numbers
 * beside), and what the files of the model share.
 *
 * Threads, Locks: hw/iommu/viommu.h; REQUIRES() says which lock a call needs.
 */
#ifndef HW_I386_VTD_INTERNAL_H
#define HW_I386_VTD_INTERNAL_H

#include "base/bits.h"
#include "hw/i386/vtd.h"
#include "hw/iommu/guest-ring.h"
#include "hw/iommu/viommu-internal.h"

#include <urcu/hlist.h>

/* 11.4: registers. A_ is the offset in the region, R_ the place in reg[]. */
#define REG(name, offset)              \
    enum {                             \
        A_##name = (offset),           \
        R_##name = (offset) / 4,       \
    };

REG(VER, 0x000)
REG(CAP, 0x008)
FIELD(CAP, ND, 0, 3)
FIELD(CAP, CM, 7, 1)
FIELD(CAP, SAGAW, 8, 5)
FIELD(CAP, MGAW, 16, 6)
FIELD(CAP, FRO, 24, 10)
FIELD(CAP, PSI, 39, 1)
FIELD(CAP, NFR, 40, 8)
FIELD(CAP, MAMV, 48, 6)
FIELD(CAP, DWD, 54, 1)
FIELD(CAP, DRD, 55, 1)
FIELD(CAP, FS1GP, 56, 1)
FIELD(CAP, FS5LP, 60, 1)
FIELD(CAP, ESIRTPS, 62, 1)
FIELD(CAP, ESRTPS, 63, 1)
REG(ECAP, 0x010)
FIELD(ECAP, C, 0, 1)
FIELD(ECAP, QI, 1, 1)
FIELD(ECAP, DT, 2, 1)
FIELD(ECAP, PT, 6, 1)
FIELD(ECAP, SC, 7, 1)
FIELD(ECAP, IRO, 8, 10)
FIELD(ECAP, PRS, 29, 1)
FIELD(ECAP, SRS, 31, 1)
FIELD(ECAP, EAFS, 34, 1)
FIELD(ECAP, PSS, 35, 5)
FIELD(ECAP, PASID, 40, 1)
FIELD(ECAP, PDS, 42, 1)
FIELD(ECAP, SMTS, 43, 1)
FIELD(ECAP, SSADS, 45, 1)
FIELD(ECAP, FSTS, 47, 1)
FIELD(ECAP, SMPWCS, 48, 1)
FIELD(ECAP, RPS, 49, 1)
FIELD(ECAP, ADMS, 52, 1)
FIELD(ECAP, SMS, 58, 1)
REG(GCMD, 0x018)
FIELD(GCMD, CFI, 23, 1)
FIELD(GCMD, SIRTP, 24, 1)
FIELD(GCMD, IRE, 25, 1)
FIELD(GCMD, QIE, 26, 1)
FIELD(GCMD, WBF, 27, 1)
FIELD(GCMD, SRTP, 30, 1)
FIELD(GCMD, TE, 31, 1)
REG(GSTS, 0x01c)
FIELD(GSTS, CFIS, 23, 1)
FIELD(GSTS, IRTPS, 24, 1)
FIELD(GSTS, IRES, 25, 1)
FIELD(GSTS, QIES, 26, 1)
FIELD(GSTS, RTPS, 30, 1)
FIELD(GSTS, TES, 31, 1)
REG(RTADDR, 0x020)
FIELD(RTADDR, TTM, 10, 2)
FIELD(RTADDR, RTA, 12, 52)
REG(CCMD, 0x028)
FIELD(CCMD, CAIG, 59, 2)
FIELD(CCMD, CIRG, 61, 2)
FIELD(CCMD, ICC, 63, 1)
REG(FSTS, 0x034)
FIELD(FSTS, PFO, 0, 1)
FIELD(FSTS, PPF, 1, 1)
FIELD(FSTS, IQE, 4, 1)
FIELD(FSTS, ICE, 5, 1)
FIELD(FSTS, ITE, 6, 1)
FIELD(FSTS, FRI, 8, 8)
REG(FECTL, 0x038)
REG(FEDATA, 0x03c)
REG(FEADDR, 0x040)
REG(FEUADDR, 0x044)
REG(IQH, 0x080)
FIELD(IQH, QH, 4, 15)
REG(IQT, 0x088)
FIELD(IQT, QT, 4, 15)
REG(IQA, 0x090)
FIELD(IQA, QS, 0, 3)
FIELD(IQA, DW, 11, 1)
FIELD(IQA, IQA, 12, 52)
REG(ICS, 0x09c)
FIELD(ICS, IWC, 0, 1)
REG(IECTL, 0x0a0)
REG(IEDATA, 0x0a4)
REG(IEADDR, 0x0a8)
REG(IEUADDR, 0x0ac)
REG(IQERCD, 0x0b0)
FIELD(IQERCD, IQEI, 0, 4)
REG(IRTA, 0x0b8)
FIELD(IRTA, S, 0, 4)
FIELD(IRTA, EIME, 11, 1)
FIELD(IRTA, IRTA, 12, 52)
REG(PQH, 0x0c0)
FIELD(PQH, PQH, 5, 14)
REG(PQT, 0x0c8)
FIELD(PQT, PQT, 5, 14)
REG(PQA, 0x0d0)
FIELD(PQA, PQS, 0, 3)
FIELD(PQA, PQA, 12, 52)
REG(PRS, 0x0dc)
FIELD(PRS, PPR, 0, 1)
FIELD(PRS, PRO, 1, 1)
REG(PECTL, 0x0e0)
REG(PEDATA, 0x0e4)
REG(PEADDR, 0x0e8)
REG(PEUADDR, 0x0ec)
/* At 16 * ECAP.IRO and 16 * CAP.FRO. */
REG(IVA, 0x0f0)
REG(IOTLB, 0x0f8)
FIELD(IOTLB, IAIG, 57, 2)
FIELD(IOTLB, IIRG, 60, 2)
FIELD(IOTLB, IVT, 63, 1)
REG(FRCD, 0x220)

/* All of FECTL, IECTL, PECTL. */
FIELD(ECTL, IP, 30, 1)
FIELD(ECTL, IM, 31, 1)

/* RTADDR.TTM */
enum { TTM_LEGACY, TTM_SCALABLE, TTM_RESERVED, TTM_ABORT };

/* Fault records; each of 16 bytes. */
#define VTD_FRCD_COUNT 8

#define VTD_REG_WORDS ((0x220 + 16 * VTD_FRCD_COUNT) / 4)

/* Fixed by this model: domain ids of 16 bits, 48-bit first-stage addresses. */
#define VTD_DID_BITS 16
#define VTD_RID_BITS 16
/* HAW: physical addresses in the tables have no bits from here on. */
#define VTD_ADDRESS_BITS 52

/* PASIDs of one device that are attached on the host at a time. */
#define VTD_PASIDS_MAX 4096

/* What the operator is told once: viommu_warn_once(). */
enum {
    VTD_WARN_DESCRIPTOR,
    VTD_WARN_IQ_FETCH,
    VTD_WARN_STATUS_WRITE,
    VTD_WARN_PRQ_ABORT,
    VTD_WARN_PRQ_OVERFLOW,
    VTD_WARN_HOST_INVALIDATE,
    VTD_WARN_PASID_ENTRY,
    VTD_WARN_PASID_REFUSED,
    VTD_WARN_PASIDS_MAX,
    VTD_WARN_INTERRUPT,
    VTD_WARN_QI_DISABLE,
    VTD_WARN_KINDS,
};

/* 7.1.3: fault reasons, those of scalable mode that this model finds. */
typedef enum VtdReason {
    VTD_OK = 0,
    VTD_FR_RTADDR = 0x30,           /* RTA.2: TTM not supported */
    VTD_FR_PASID_LEGACY = 0x31,
    VTD_FR_PAGE_REQUEST_LEGACY = 0x32,
    VTD_FR_ABORT_DMA = 0x33,
    VTD_FR_ROOT_ACCESS = 0x38,      /* SRT.1 */
    VTD_FR_ROOT_P = 0x39,           /* SRT.2 */
    VTD_FR_ROOT_RSVD = 0x3a,        /* SRT.3 */
    VTD_FR_CONTEXT_ACCESS = 0x40,   /* SCT.1 */
    VTD_FR_CONTEXT_P = 0x41,
    VTD_FR_CONTEXT_RSVD = 0x42,
    VTD_FR_CONTEXT_INVALID = 0x43,
    VTD_FR_DTE = 0x44,
    VTD_FR_PASIDE = 0x45,
    VTD_FR_PASID_RANGE = 0x46,
    VTD_FR_PRE = 0x47,
    VTD_FR_PASID_IS_RID_PASID = 0x48,
    VTD_FR_DIR_ACCESS = 0x50,       /* SPD.1 */
    VTD_FR_DIR_P = 0x51,
    VTD_FR_DIR_RSVD = 0x52,
    VTD_FR_PASID_ACCESS = 0x58,     /* SPT.1 */
    VTD_FR_PASID_P = 0x59,
    VTD_FR_PASID_RSVD = 0x5a,
    VTD_FR_PASID_INVALID = 0x5b,
} VtdReason;

/* PASID table entry: PGTT */
enum { PGTT_FIRST = 1, PGTT_SECOND, PGTT_NESTED, PGTT_PASS_THROUGH };

/* 9.4: scalable-mode context entry, words 0 and 1 */
FIELD(CONTEXT0, P, 0, 1)
FIELD(CONTEXT0, FPD, 1, 1)
FIELD(CONTEXT0, DTE, 2, 1)
FIELD(CONTEXT0, PASIDE, 3, 1)
FIELD(CONTEXT0, PRE, 4, 1)
FIELD(CONTEXT0, HPTE, 5, 1)
FIELD(CONTEXT0, EPTR, 6, 1)
FIELD(CONTEXT0, PDTS, 9, 3)
FIELD(CONTEXT0, PASIDDIRPTR, 12, 52)
FIELD(CONTEXT1, RID_PASID, 0, 20)
FIELD(CONTEXT1, RID_PRIV, 20, 1)

/* 9.5: PASID directory entry */
FIELD(PASIDDIR, P, 0, 1)
FIELD(PASIDDIR, FPD, 1, 1)
FIELD(PASIDDIR, SMPTBLPTR, 12, 52)

/* 9.6: PASID table entry, words 0 to 2 */
FIELD(PASID0, P, 0, 1)
FIELD(PASID0, FPD, 1, 1)
FIELD(PASID0, AW, 2, 3)
FIELD(PASID0, PGTT, 6, 3)
FIELD(PASID0, SSADE, 9, 1)
FIELD(PASID0, SSPTPTR, 12, 52)
FIELD(PASID1, DID, 0, 16)
FIELD(PASID1, PWSNP, 23, 1)
FIELD(PASID1, PGSNP, 24, 1)
FIELD(PASID2, SRE, 0, 1)
FIELD(PASID2, FSPM, 2, 2)
FIELD(PASID2, WPE, 4, 1)
FIELD(PASID2, EAFE, 7, 1)
FIELD(PASID2, FSPTPTR, 12, 52)

/**
 * struct VtdPrq - the home thread's side of the page request queue
 * @wanted: the pump waits for room for so many entries; 0: it does not wait
 */
typedef struct VtdPrq {
    uint32_t wanted;
} VtdPrq;

/* Invalidations of first-stage translations that the host has yet to see. */
#define VTD_FLUSH_BATCH 128

/**
 * struct VtdFlush - one of them
 * @did: domain, or %VTD_ALL_DIDS
 * @pasid: or %PAGE_REQUEST_NO_PASID: all PASIDs of the domain, and those
 *         without
 * @addr, @npages: of 4 KiB; 0 and UINT64_MAX: everything
 * @leaf: only leaf entries have changed (IH)
 */
typedef struct VtdFlush {
    uint32_t did;
    uint32_t pasid;
    uint64_t addr;
    uint64_t npages;
    bool leaf;
} VtdFlush;

#define VTD_ALL_DIDS UINT32_MAX
#define VTD_ALL_PASIDS (UINT32_MAX - 1)     /* also those without */

/**
 * struct VtdChange - tables that the guest says it has changed
 * @rid, @rid_ignored: of which devices; bits of @rid that do not count
 * @did: of one domain, or %VTD_ALL_DIDS. What was attached for it, and what
 *       is to be.
 * @pasid: one, or %VTD_ALL_PASIDS
 */
typedef struct VtdChange {
    uint16_t rid;
    uint16_t rid_ignored;
    uint32_t did;
    uint32_t pasid;
} VtdChange;

#define VTD_CHANGE_ALL                                               \
    ((VtdChange){ .rid_ignored = UINT16_MAX, .did = VTD_ALL_DIDS,    \
                  .pasid = VTD_ALL_PASIDS })

/**
 * struct VtdPending - what descriptors asked for and is not done yet
 * @flush, @flush_count: for the host, not yet sent
 * @change, @has_change: not yet looked at, by the run of descriptors that is
 *                       under way; noted after all of @flush
 * @scans: how often the tables were looked at for a @change
 * @device_tlb: device TLBs are to be invalidated before a device gets the next
 *              response
 * @sva_stale: emulated devices are to forget translations before the next wait
 *             descriptor completes
 */
typedef struct VtdPending {
    VtdFlush flush[VTD_FLUSH_BATCH];
    size_t flush_count;
    VtdChange change;
    bool has_change;
    unsigned scans;
    bool device_tlb;
    bool sva_stale;
} VtdPending;

/**
 * struct Vtd - the model
 * @reg: registers at their offsets. ID registers [const]
 * @frcd_index: where the next fault is recorded
 * @root: what translation goes by: RTADDR as SRTP latched it (RTA and TTM),
 *        bit 0: TES. Stored under config_lock and ring_lock; loaded by any
 *        thread, acquire. [atomic]
 * @prq: page requests
 * @pending: invalidations
 */
typedef struct Vtd {
    Viommu parent;              /* first */
    VtdProperties props;        /* [const] */
    uint32_t reg[VTD_REG_WORDS] GUARDED_BY_PARENTS(ring_lock);
    unsigned frcd_index GUARDED_BY_PARENTS(ring_lock);
    _Atomic uint64_t root;
    VtdPrq prq GUARDED_BY_PARENTS(ring_lock);
    VtdPending pending GUARDED_BY_PARENTS(config_lock);
} Vtd;

FIELD(ROOT, TES, 0, 1)

/**
 * struct VtdAttachment - a device's use of one PASID, or of none, on the host
 * @did: of its PASID entry
 * @pasid: the entry's: RID_PASID for the device without PASID
 * @hwpt: first-stage; {0} if pass-through
 * @s1: what @hwpt was made from
 * @node: in VtdDevice::pasids
 * @key: what the host knows it by: the PASID, or %PAGE_REQUEST_NO_PASID
 */
typedef struct VtdAttachment {
    struct cds_hlist_node node;
    uint32_t key;
    uint16_t did;
    uint32_t pasid;
    ViommuHwpt hwpt;
    struct iommu_hwpt_vtd_s1 s1;
} VtdAttachment;

enum { VTD_PASID_BUCKETS = 64 };

/**
 * struct VtdDevice - one device
 * @pasids: VtdAttachment by key, on the host: a hash table that never has to
 *          grow. An emulated device has none. [config_lock]
 * @pasid_count: how many. [config_lock]
 * @pasid_seed: for the hash. [const] once attached
 */
typedef struct VtdDevice {
    ViommuDevice parent;        /* first */
    struct cds_hlist_head pasids[VTD_PASID_BUCKETS];
    unsigned pasid_count;
    uint32_t pasid_seed;
} VtdDevice;

static inline Vtd *vtd_from(Viommu *viommu)
{
    return (Vtd *)viommu;
}

/* vtd-regs.c */

/* An ID register: constant once the unit is made. */
static inline uint64_t vtd_id_reg64(const Vtd *v, unsigned r)
    NO_THREAD_SAFETY_ANALYSIS
{
    return v->reg[r] | (uint64_t)v->reg[r + 1] << 32;
}

static inline uint64_t vtd_reg64(const Vtd *v, unsigned r)
    REQUIRES(&v->parent.ring_lock)
{
    return v->reg[r] | (uint64_t)v->reg[r + 1] << 32;
}

static inline void vtd_set_reg64(Vtd *v, unsigned r, uint64_t value)
    REQUIRES(&v->parent.ring_lock)
{
    v->reg[r] = value;
    v->reg[r + 1] = value >> 32;
}

uint64_t vtd_mmio_read(Viommu *viommu, uint64_t offset, unsigned size);
void vtd_mmio_write(Viommu *viommu, uint64_t offset, unsigned size,
                    uint64_t value);

/* The ID registers, before anybody else knows of @v; then the others. */
void vtd_regs_init(Vtd *v);
void vtd_regs_reset(Vtd *v) REQUIRES(&v->parent.ring_lock);

/* vtd-control.c: the registers whose writes do more than store */

void vtd_write_gcmd(Vtd *v, uint32_t value);
void vtd_write_iqt(Vtd *v, uint32_t value);
void vtd_write_fsts(Vtd *v, uint32_t value);
void vtd_reset(Viommu *viommu) REQUIRES(&viommu->config_lock);

/* vtd-irq.c: 7.3, 7.4, 7.5, one state machine for three events */

typedef enum VtdEvent {
    VTD_EVENT_FAULT,            /* FSTS, FECTL */
    VTD_EVENT_INVALIDATION,     /* ICS, IECTL */
    VTD_EVENT_PAGE_REQUEST,     /* PRS, PECTL */
} VtdEvent;

/* Set status @bits; the event's interrupt, if none of its bits was set. */
void vtd_event_set(Vtd *v, VtdEvent event, uint32_t bits)
    REQUIRES(&v->parent.ring_lock);

/* Status bits were cleared: if none is left, IP goes too. */
void vtd_event_cleared(Vtd *v, VtdEvent event) REQUIRES(&v->parent.ring_lock);

/* FECTL, IECTL, PECTL: IM; what was pending is sent when it goes to 0. */
void vtd_event_write_control(Vtd *v, VtdEvent event, uint32_t value)
    REQUIRES(&v->parent.ring_lock);

/* vtd-fault.c: 7.2 */

typedef enum VtdAccess {
    VTD_ACCESS_WRITE,           /* T1,T2: 0,0 */
    VTD_ACCESS_PAGE_REQUEST,    /* 0,1 */
    VTD_ACCESS_READ,            /* 1,0 */
    VTD_ACCESS_ATOMIC,          /* 1,1 */
} VtdAccess;

/**
 * struct VtdFault - a non-recoverable fault
 * @pasid: or %PAGE_REQUEST_NO_PASID
 * @fpd: a structure on the way says that qualified faults are not reported
 */
typedef struct VtdFault {
    VtdReason reason;
    VtdAccess access;
    uint16_t rid;
    uint32_t pasid;
    uint64_t addr;
    bool exec;
    bool priv;
    bool fpd;
} VtdFault;

/* Record it, or not, as 7.2.1 says. */
void vtd_record_fault(Vtd *v, const VtdFault *fault)
    REQUIRES(&v->parent.ring_lock);

/* Dword @word (0 to 3) of FRCD[@index] is written: F is RW1C. */
void vtd_write_frcd(Vtd *v, unsigned index, unsigned word, uint32_t value)
    REQUIRES(&v->parent.ring_lock);

/* vtd-inv.c: 6.5.2, the invalidation queue */

/**
 * vtd_inv_consume() - run some descriptors, and publish how far that came
 *
 * What the guest asks for in one go is bounded, so that nobody waits long for
 * the config_lock: so many descriptors, or one look at the tables.
 *
 * Context: vCPU thread; makes host ioctls, waits for grace periods.
 * Return: there is more to run; give others the config_lock and call again.
 */
bool vtd_inv_consume(Vtd *v) REQUIRES(&v->parent.config_lock)
    EXCLUDES(&v->parent.ring_lock);

/* What descriptors have invalidated so far is invalid when this returns. */
void vtd_inv_complete(Vtd *v) REQUIRES(&v->parent.config_lock)
    EXCLUDES(&v->parent.ring_lock);

/* vtd-tables.c: 9, root to PASID entry. Any thread, no lock needed. */

/**
 * struct VtdWalk - what the tables say of a request
 * @context: words of the context entry
 * @entry: words of the PASID entry
 * @pasid: the one that was looked up: RID_PASID, if the request had none
 * @fpd: an entry on the way says that qualified faults are not reported
 */
typedef struct VtdWalk {
    uint64_t context[4];
    uint64_t entry[8];
    uint32_t pasid;
    bool fpd;
} VtdWalk;

/* Whose rules of the context entry apply. */
typedef enum VtdRequest {
    VTD_REQUEST_UNTRANSLATED,
    VTD_REQUEST_TRANSLATION,    /* 44h: DTE */
    VTD_REQUEST_PAGE,           /* 32h, 47h: PRE */
} VtdRequest;

/**
 * vtd_walk() - find the PASID entry that a request goes by
 * @pasid: or %PAGE_REQUEST_NO_PASID
 * @walk: out: as far as the walk came
 *
 * Return: %VTD_OK if the entry is usable, else the fault reason.
 */
VtdReason vtd_walk(Vtd *v, uint16_t rid, uint32_t pasid, VtdRequest request,
                   VtdWalk *walk);

/**
 * vtd_rid_pasid() - the PASID that the device itself goes by
 *
 * Return: false if its context entry is not usable.
 */
bool vtd_rid_pasid(Vtd *v, uint16_t rid, uint32_t *pasid);

/**
 * vtd_next_pasid() - find the next PASID whose entry is present
 * @pasid: in: where to begin; out: the one found. The device itself, RID_PASID,
 *         is one of them.
 *
 * Return: false if there is none up to the model's PASID width.
 */
bool vtd_next_pasid(Vtd *v, uint16_t rid, uint32_t *pasid);

/* vtd-pasid.c: PASID entries to HWPTs. ViommuOps, and: */

bool vtd_check_host(Viommu *viommu, VfioDevice *vfio, GError **error);
bool vtd_host_up(Viommu *viommu, VfioDevice *vfio, GError **error);
void vtd_host_down(Viommu *viommu);
bool vtd_attach(Viommu *viommu, ViommuDevice *device, GError **error);
void vtd_detach(Viommu *viommu, ViommuDevice *device);

/* What @d has on the host for @pasid, or NULL. Context: [config_lock] */
VtdAttachment *vtd_attachment_find(VtdDevice *d, uint32_t pasid);

/**
 * vtd_pasid_changed() - the guest's tables may say something else
 *
 * HWPTs are made, replaced and removed as they do. An entry that the host does
 * not take leaves the PASID without attachment, and the operator is told.
 */
void vtd_pasid_changed(Vtd *v, const VtdChange *change)
    REQUIRES(&v->parent.config_lock) EXCLUDES(&v->parent.ring_lock);

/* vtd-flush.c: invalidations to the host's HWPTs */

/* Note it; sent now if the batch is full. */
void vtd_flush_add(Vtd *v, const VtdFlush *flush)
    REQUIRES(&v->parent.config_lock) EXCLUDES(&v->parent.ring_lock);

/**
 * vtd_flush_send() - what was noted goes to the host: one ioctl for each HWPT
 * that is concerned
 *
 * Walks the devices under RCU, with references held across the ioctls.
 */
void vtd_flush_send(Vtd *v) REQUIRES(&v->parent.config_lock)
    EXCLUDES(&v->parent.ring_lock);

/* vtd-prq.c: 7.4, the page request queue. PageSinkOps, and: */

GuestByteRing vtd_prq_ring(const Vtd *v) REQUIRES(&v->parent.ring_lock);
uint32_t vtd_prq_room(void *opaque, uint32_t want);
void vtd_prq_deliver(void *opaque, PageGroup *groups, size_t count);

/* PQH, PQT, PQA or PRS was written: there may be room. */
bool vtd_prq_has_room_now(Vtd *v) REQUIRES(&v->parent.ring_lock);

/* vtd-translate.c: 3.6, first-stage translation for emulated devices */

bool vtd_translate(Viommu *viommu, uint32_t virt_id, uint32_t pasid,
                   uint64_t iova, uint32_t perm, uint64_t *gpa);

#endif
