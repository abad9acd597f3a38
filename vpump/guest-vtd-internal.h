/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the driver share: the registers and structures as a guest
 * knows them (Intel D51397, chapters 6, 9 and 11; written down anew here, so
 * that a mistake in the model's table is not copied), and the driver's state.
 *
 * Threads, Locks: guest-vtd.h.
 */
#ifndef VPUMP_GUEST_VTD_INTERNAL_H
#define VPUMP_GUEST_VTD_INTERNAL_H

#include "guest-vtd.h"
#include "ring-digest.h"

#include "base/bits.h"
#include "base/counter.h"
#include "base/lock.h"

enum {
    DMAR_VER = 0x0,
    DMAR_CAP = 0x8,
    DMAR_ECAP = 0x10,
    DMAR_GCMD = 0x18,
    DMAR_GSTS = 0x1c,
    DMAR_RTADDR = 0x20,
    DMAR_FSTS = 0x34,
    DMAR_FECTL = 0x38,
    DMAR_PMEN = 0x64,
    DMAR_IQH = 0x80,
    DMAR_IQT = 0x88,
    DMAR_IQA = 0x90,
    DMAR_PQH = 0xc0,
    DMAR_PQT = 0xc8,
    DMAR_PQA = 0xd0,
    DMAR_PRS = 0xdc,
    DMAR_PECTL = 0xe0,
};

/* From a control register to the message that it masks. */
enum {
    EVENT_DATA_OFFSET = 0x4,
    EVENT_ADDR_OFFSET = 0x8,
    EVENT_UADDR_OFFSET = 0xc,
};

FIELD(DMAR_CAP, PLMR, 5, 1)
FIELD(DMAR_CAP, PHMR, 6, 1)
FIELD(DMAR_CAP, CM, 7, 1)
FIELD(DMAR_CAP, ND, 0, 3)
FIELD(DMAR_CAP, FRO, 24, 10)
FIELD(DMAR_CAP, NFR, 40, 8)
FIELD(DMAR_CAP, ESRTPS, 63, 1)

FIELD(DMAR_ECAP, C, 0, 1)
FIELD(DMAR_ECAP, QI, 1, 1)
FIELD(DMAR_ECAP, DT, 2, 1)
FIELD(DMAR_ECAP, PT, 6, 1)
FIELD(DMAR_ECAP, PRS, 29, 1)
FIELD(DMAR_ECAP, PSS, 35, 5)
FIELD(DMAR_ECAP, PASID, 40, 1)
FIELD(DMAR_ECAP, PDS, 42, 1)
FIELD(DMAR_ECAP, SMTS, 43, 1)
FIELD(DMAR_ECAP, FSTS, 47, 1)
FIELD(DMAR_ECAP, SMPWCS, 48, 1)

/* GCMD and GSTS */
FIELD(DMAR_GCMD, QIE, 26, 1)
FIELD(DMAR_GCMD, SRTP, 30, 1)
FIELD(DMAR_GCMD, TE, 31, 1)

/* The bits of GSTS that a command has to repeat. */
#define DMAR_GSTS_LEVELS UINT32_C(0x96ffffff)

FIELD(DMAR_FSTS, PFO, 0, 1)
FIELD(DMAR_FSTS, PPF, 1, 1)
FIELD(DMAR_FSTS, IQE, 4, 1)
FIELD(DMAR_FSTS, ICE, 5, 1)
FIELD(DMAR_FSTS, ITE, 6, 1)
FIELD(DMAR_FSTS, FRI, 8, 8)

FIELD(DMAR_PRS, PPR, 0, 1)
FIELD(DMAR_PRS, PRO, 1, 1)

/* FECTL and PECTL */
FIELD(DMAR_ECTL, IM, 31, 1)

enum {
    QI_ENTRIES = 256,           /* 32 KiB with descriptors of 32 bytes */
    QI_WORDS = 4,
    QI_BATCH_MAX = QI_ENTRIES - 2,  /* one slot free, and the wait */
    PRQ_ENTRIES = 2048,
    PRQ_ENTRY_BYTES = 32,
    PASID_ENTRY_WORDS = 8,
};

/* 6.5.2: a descriptor of 256 bits */
typedef struct GuestVtdDescriptor {
    uint64_t word[QI_WORDS];
} GuestVtdDescriptor;

/**
 * struct GuestVtdQi - the invalidation queue
 * @lock: whoever submits holds it until it is done, as this is a guest's lock
 *        across MMIO
 * @gpa, @entries: the queue
 * @status_gpa, @status: words that wait descriptors write, one for each slot
 * @tail: slot that is written next
 * @dead: a submission was not done in time: nothing more is tried
 * @errors: GuestVtdCounts::queue_errors. [lock] to add
 */
typedef struct GuestVtdQi {
    Lock lock;
    uint64_t gpa;
    uint8_t *entries;
    uint64_t status_gpa;
    uint32_t *status;
    uint32_t tail GUARDED_BY(&lock);
    bool dead GUARDED_BY(&lock);
    Counter errors;
} GuestVtdQi;

/* [thread] writes, anybody reads. */
typedef struct GuestVtdCounters {
    Counter requests;
    Counter answered;
    Counter refused;
    Counter bad;
    Counter markers;
    Counter overflows;
    Counter faults;
} GuestVtdCounters;

/**
 * struct GuestVtdPrq - the page request queue
 * @gpa, @entries: the queue. [const]
 * @responses, @count: of this pass, not submitted yet. [thread]
 */
typedef struct GuestVtdPrq {
    uint64_t gpa;
    uint8_t *entries;
    GuestVtdDescriptor responses[QI_BATCH_MAX];
    size_t count;
    RingDigest digest;
} GuestVtdPrq;

typedef struct GuestVtdFunction GuestVtdFunction;

/**
 * struct GuestVtdPasid - one PASID of a device. [const] once set up
 * @entry: its PASID entry
 * @removed: whoever asks for a page of it is refused. Set once the thread is
 *           gone
 */
typedef struct GuestVtdPasid {
    GuestVtdFunction *function;
    uint32_t pasid;
    uint64_t *entry;
    GuestAddressSpace *space;
    bool removed;
} GuestVtdPasid;

/**
 * struct GuestVtdFunction - one device (a PCI function). [const] once set up
 * @did: domain ID of its PASIDs: those of two devices are not the same, though
 *       their numbers are
 * @context: its context entry
 * @directory: of its PASIDs
 * @failed: by group index: a member of the group is not to be served. [thread]
 * @pages, @digest: of its page requests, see page-digest.h. [thread] writes
 */
struct GuestVtdFunction {
    GuestVtd *guest;
    uint32_t rid;
    uint16_t did;
    uint64_t *context;
    uint64_t directory_gpa;
    GuestVtdPasid *pasids;
    uint32_t pasid_count;
    uint64_t failed[512 / 64];
    Counter pages;
    Counter digest;
};

/* What the thread waits for: its lines, and the end. */
enum { GUEST_VTD_WAKE_STOP = GUEST_VTD_IRQ_COUNT, GUEST_VTD_WAKE_COUNT };

struct GuestVtd {
    Viommu *viommu;             /* [const] */
    GuestRam *ram;              /* [const] */
    uint64_t cap;               /* [const] once probed */
    uint64_t ecap;              /* [const] once probed */
    uint32_t gcmd;              /* level bits as commanded */
    uint64_t root_gpa;
    GuestVtdQi qi;
    GuestVtdPrq prq;
    GuestFrames *frames;        /* of spaces with contents */
    GuestFrames *bare_frames;   /* of those without: not watched */
    GPtrArray *functions;       /* [const] once set up: GuestVtdFunction */
    GHashTable *by_rid;         /* [const] once set up: the same */
    GuestVtdCounters counters;
    pthread_t thread;
    bool running;               /* whether to join it */
    bool enabled;               /* whether there is something to disable */
    int wake_fds[GUEST_VTD_WAKE_COUNT];     /* [const]; the last is owned */
};

/* guest-vtd.c */

static inline uint32_t guest_vtd_read32(GuestVtd *guest, uint32_t offset)
{
    return viommu_mmio_read(guest->viommu, offset, 4);
}

static inline uint64_t guest_vtd_read64(GuestVtd *guest, uint32_t offset)
{
    return viommu_mmio_read(guest->viommu, offset, 8);
}

static inline void guest_vtd_write32(GuestVtd *guest, uint32_t offset,
                                     uint32_t value)
{
    viommu_mmio_write(guest->viommu, offset, 4, value);
}

static inline void guest_vtd_write64(GuestVtd *guest, uint32_t offset,
                                     uint64_t value)
{
    viommu_mmio_write(guest->viommu, offset, 8, value);
}

/**
 * guest_vtd_command() - set or clear a level bit of GCMD, or give a command,
 * and wait for GSTS, for ten seconds as Linux does
 * @bit: of GCMD
 * @on: what GSTS is to show
 */
bool guest_vtd_command(GuestVtd *guest, uint32_t bit, bool on, GError **error);

/* Message of an event to the doorbell, with @line as data; unmasked. */
void guest_vtd_set_up_event(GuestVtd *guest, uint32_t control, uint32_t line);

/* guest-vtd-qi.c: 6.5.2 */

bool guest_qi_set_up(GuestVtd *guest, GError **error);

/* Off, if it was left on by somebody else, or at the end. */
bool guest_qi_disable(GuestVtd *guest, GError **error);

/**
 * guest_qi_submit() - descriptors and a wait for them, as few times as fit
 * @drain: the wait also stands behind page requests (PD)
 *
 * Context: no lock is held.
 * Return: false if one was refused, or not done in time: counted as an error.
 */
bool guest_qi_submit(GuestVtd *guest, const GuestVtdDescriptor *descriptors,
                     size_t count, bool drain);

/* What could not be torn down counts as an error of this queue too. */
void guest_qi_count_error(GuestVtd *guest);

/* Descriptors. Addresses are whole pages. */

GuestVtdDescriptor guest_qi_context_global(void);
GuestVtdDescriptor guest_qi_context_device(uint32_t rid);
GuestVtdDescriptor guest_qi_iotlb_global(void);
GuestVtdDescriptor guest_qi_iotlb_domain(uint16_t did);
GuestVtdDescriptor guest_qi_pasid_cache_global(void);
GuestVtdDescriptor guest_qi_pasid_cache(uint16_t did, uint32_t pasid);
GuestVtdDescriptor guest_qi_piotlb_all(uint16_t did, uint32_t pasid);
GuestVtdDescriptor guest_qi_piotlb_page(uint16_t did, uint32_t pasid,
                                        uint64_t addr);
GuestVtdDescriptor guest_qi_dev_tlb_all(uint32_t rid, uint32_t pasid);
GuestVtdDescriptor guest_qi_dev_tlb_page(uint32_t rid, uint32_t pasid,
                                         uint64_t addr);
/* The wait that later descriptors wait for (FN), without status. */
GuestVtdDescriptor guest_qi_fence(void);
GuestVtdDescriptor guest_qi_page_response(uint32_t rid, bool has_pasid,
                                          uint32_t pasid, uint32_t index,
                                          uint32_t code);

/* guest-vtd-pasid.c: 9, from root to PASID entry */

/* An empty root table. */
bool guest_pasid_init(GuestVtd *guest, GError **error);

/**
 * guest_pasid_add_function() - a device's context entry and its PASIDs, each
 * with an address space
 */
bool guest_pasid_add_function(GuestVtd *guest, const GuestVtdDevice *device,
                              GError **error);

/* PASIDs torn down, each with a drain; then the context entry cleared. */
void guest_pasid_remove_function(GuestVtdFunction *function);
void guest_pasid_free_function(GuestVtdFunction *function);

/* guest-vtd-prq.c: 7.4 and 7.5 */

bool guest_prq_set_up(GuestVtd *guest, GError **error);

/* PRE is off everywhere, and nobody serves any more. */
void guest_prq_disable(GuestVtd *guest);

/*
 * What is in the queue: pages mapped, groups answered. Context: the thread, or
 * after it.
 */
void guest_prq_serve(GuestVtd *guest);

/* guest-vtd-fault.c: 7.2 */

/* Count the fault records and clear them. Context: the thread, or without. */
void guest_fault_handle(GuestVtd *guest);

#endif
