/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order is that of Linux's qi_submit_sync(): descriptors and a wait, the
 * tail, then the status word is polled, and meanwhile the fault status. The
 * queue is empty when the lock is free, as submitters wait with it held.
 */
#include "guest-vtd-internal.h"

#include "base/error.h"
#include "base/report.h"
#include "iothread/aio-context.h"

#include <sched.h>

/* 6.5.2: types. Bits 11:9 of a type are 0 in all of these. */
enum {
    QI_CONTEXT = 0x1,
    QI_IOTLB = 0x2,
    QI_WAIT = 0x5,
    QI_PIOTLB = 0x6,
    QI_PASID_CACHE = 0x7,
    QI_PASID_DEV_TLB = 0x8,
    QI_PAGE_RESPONSE = 0x9,
};

/* Granularity; the numbers differ by type. */
enum { CONTEXT_GLOBAL = 1, CONTEXT_DEVICE = 3 };
enum { IOTLB_GLOBAL = 1, IOTLB_DOMAIN = 2 };
enum { PASID_CACHE_PASID = 1, PASID_CACHE_GLOBAL = 3 };
enum { PIOTLB_ALL = 2, PIOTLB_PAGE = 3 };

FIELD(QI0, TYPE, 0, 4)
FIELD(QI0, G, 4, 2)
FIELD(QI0, DR, 7, 1)
FIELD(QI0, DW, 6, 1)
FIELD(QI0, DID, 16, 16)
FIELD(QI0, PASID, 32, 20)
FIELD(QI_CONTEXT0, SID, 32, 16)
FIELD(QI_DEV_TLB0, SID, 16, 16)
FIELD(QI_DEV_TLB1, S, 11, 1)
FIELD(QI_WAIT0, SW, 5, 1)
FIELD(QI_WAIT0, FN, 6, 1)
FIELD(QI_WAIT0, PD, 7, 1)
FIELD(QI_WAIT0, DATA, 32, 32)
FIELD(QI_RESP0, PP, 4, 1)
FIELD(QI_RESP0, RC, 12, 4)
FIELD(QI_RESP0, RID, 16, 16)
FIELD(QI_RESP1, PRGI, 3, 9)

/* The whole address space: every bit of the address but the last is set. */
#define DEV_TLB_ALL UINT64_C(0x7ffffffffffff000)

/* IQA: descriptors of 32 bytes, 2^(1 + 7) of them */
#define QI_IQA_FLAGS 0x801

enum { QI_BYTES = 8 * QI_WORDS };

/* The status words, as in Linux: what a wait writes is QI_DONE. */
enum { QI_IN_USE = 1, QI_DONE = 2 };

/* Linux's DMAR_OPERATION_TIMEOUT. */
#define TIMEOUT_NS INT64_C(10000000000)

/* ---- Descriptors ---- */

static uint64_t word0(unsigned type, unsigned g, uint16_t did, uint32_t pasid)
{
    uint64_t word = 0;

    word = FIELD_SET(word, QI0, TYPE, type);
    word = FIELD_SET(word, QI0, G, g);
    word = FIELD_SET(word, QI0, DID, did);
    return FIELD_SET(word, QI0, PASID, pasid);
}

GuestVtdDescriptor guest_qi_context_global(void)
{
    return (GuestVtdDescriptor){
        .word = { word0(QI_CONTEXT, CONTEXT_GLOBAL, 0, 0) },
    };
}

GuestVtdDescriptor guest_qi_context_device(uint32_t rid)
{
    uint64_t word = word0(QI_CONTEXT, CONTEXT_DEVICE, 0, 0);

    return (GuestVtdDescriptor){
        .word = { FIELD_SET(word, QI_CONTEXT0, SID, rid) },
    };
}

/* Reads and writes drained, as Linux does where CAP has them. */
static GuestVtdDescriptor iotlb(unsigned g, uint16_t did)
{
    return (GuestVtdDescriptor){
        .word = { word0(QI_IOTLB, g, did, 0) | FIELD_MASK(QI0, DR) |
                  FIELD_MASK(QI0, DW) },
    };
}

GuestVtdDescriptor guest_qi_iotlb_global(void)
{
    return iotlb(IOTLB_GLOBAL, 0);
}

GuestVtdDescriptor guest_qi_iotlb_domain(uint16_t did)
{
    return iotlb(IOTLB_DOMAIN, did);
}

GuestVtdDescriptor guest_qi_pasid_cache_global(void)
{
    return (GuestVtdDescriptor){
        .word = { word0(QI_PASID_CACHE, PASID_CACHE_GLOBAL, 0, 0) },
    };
}

GuestVtdDescriptor guest_qi_pasid_cache(uint16_t did, uint32_t pasid)
{
    return (GuestVtdDescriptor){
        .word = { word0(QI_PASID_CACHE, PASID_CACHE_PASID, did, pasid) },
    };
}

GuestVtdDescriptor guest_qi_piotlb_all(uint16_t did, uint32_t pasid)
{
    return (GuestVtdDescriptor){
        .word = { word0(QI_PIOTLB, PIOTLB_ALL, did, pasid) },
    };
}

GuestVtdDescriptor guest_qi_piotlb_page(uint16_t did, uint32_t pasid,
                                        uint64_t addr)
{
    return (GuestVtdDescriptor){
        .word = { word0(QI_PIOTLB, PIOTLB_PAGE, did, pasid), addr },
    };
}

static GuestVtdDescriptor dev_tlb(uint32_t rid, uint32_t pasid, uint64_t word1)
{
    uint64_t word = word0(QI_PASID_DEV_TLB, 0, 0, pasid);

    return (GuestVtdDescriptor){
        .word = { FIELD_SET(word, QI_DEV_TLB0, SID, rid), word1 },
    };
}

GuestVtdDescriptor guest_qi_dev_tlb_all(uint32_t rid, uint32_t pasid)
{
    return dev_tlb(rid, pasid, DEV_TLB_ALL | FIELD_MASK(QI_DEV_TLB1, S));
}

GuestVtdDescriptor guest_qi_dev_tlb_page(uint32_t rid, uint32_t pasid,
                                         uint64_t addr)
{
    return dev_tlb(rid, pasid, addr);
}

GuestVtdDescriptor guest_qi_fence(void)
{
    return (GuestVtdDescriptor){
        .word = { word0(QI_WAIT, 0, 0, 0) | FIELD_MASK(QI_WAIT0, FN) },
    };
}

GuestVtdDescriptor guest_qi_page_response(uint32_t rid, bool has_pasid,
                                          uint32_t pasid, uint32_t index,
                                          uint32_t code)
{
    uint64_t word = word0(QI_PAGE_RESPONSE, 0, 0, has_pasid ? pasid : 0);

    word = FIELD_SET(word, QI_RESP0, PP, has_pasid);
    word = FIELD_SET(word, QI_RESP0, RC, code);
    return (GuestVtdDescriptor){
        .word = { FIELD_SET(word, QI_RESP0, RID, rid),
                  FIELD_SET(UINT64_C(0), QI_RESP1, PRGI, index) },
    };
}

/* ---- Submission ---- */

static void put_locked(GuestVtd *guest, const GuestVtdDescriptor *descriptor)
    REQUIRES(&guest->qi.lock)
{
    GuestVtdQi *qi = &guest->qi;

    guest_words_store(qi->entries + (size_t)qi->tail * QI_BYTES,
                      descriptor->word, QI_WORDS);
    qi->tail = (qi->tail + 1) % QI_ENTRIES;
}

/* Return: the slot that it is in, and its status word. */
static uint32_t put_wait_locked(GuestVtd *guest, bool drain)
    REQUIRES(&guest->qi.lock)
{
    GuestVtdQi *qi = &guest->qi;
    uint32_t slot = qi->tail;
    uint64_t word = word0(QI_WAIT, 0, 0, 0) | FIELD_MASK(QI_WAIT0, SW);
    GuestVtdDescriptor wait = {
        .word = { 0, qi->status_gpa + slot * sizeof(qi->status[0]) },
    };

    word = FIELD_SET(word, QI_WAIT0, PD, drain);
    wait.word[0] = FIELD_SET(word, QI_WAIT0, DATA, QI_DONE);
    __atomic_store_n(&qi->status[slot], GUINT32_TO_LE(QI_IN_USE),
                     __ATOMIC_RELAXED);
    put_locked(guest, &wait);
    return slot;
}

/*
 * A descriptor was refused: a copy of the wait takes its place, so that the
 * queue gets on.
 */
static void replace_locked(GuestVtd *guest, uint32_t wait_slot)
    REQUIRES(&guest->qi.lock)
{
    GuestVtdQi *qi = &guest->qi;
    uint32_t head = guest_vtd_read32(guest, DMAR_IQH) / QI_BYTES;
    uint64_t wait[QI_WORDS];

    guest_words_load(wait, qi->entries + (size_t)wait_slot * QI_BYTES,
                     QI_WORDS);
    guest_words_store(qi->entries + (size_t)(head % QI_ENTRIES) * QI_BYTES,
                      wait, QI_WORDS);
    guest_vtd_write32(guest, DMAR_FSTS, FIELD_MASK(DMAR_FSTS, IQE));
}

/* Return: false if something was wrong. */
static bool check_fault_locked(GuestVtd *guest, uint32_t wait_slot)
    REQUIRES(&guest->qi.lock)
{
    uint32_t fsts = guest_vtd_read32(guest, DMAR_FSTS);
    uint32_t cleared = fsts & (FIELD_MASK(DMAR_FSTS, ITE) |
                               FIELD_MASK(DMAR_FSTS, ICE));

    if (FIELD_GET(fsts, DMAR_FSTS, IQE)) {
        replace_locked(guest, wait_slot);
    }
    if (cleared) {
        guest_vtd_write32(guest, DMAR_FSTS, cleared);
    }
    return !cleared && !FIELD_GET(fsts, DMAR_FSTS, IQE);
}

static bool wait_locked(GuestVtd *guest, uint32_t slot)
    REQUIRES(&guest->qi.lock)
{
    GuestVtdQi *qi = &guest->qi;
    int64_t deadline_ns = aio_clock_ns() + TIMEOUT_NS;
    bool good = true;

    /* Acquire: pairs with guest_mem_write_u32() of the vIOMMU. */
    while (__atomic_load_n(&qi->status[slot], __ATOMIC_ACQUIRE) !=
           GUINT32_TO_LE(QI_DONE)) {
        good &= check_fault_locked(guest, slot);
        if (aio_clock_ns() > deadline_ns) {
            qi->dead = true;
            return false;
        }
        sched_yield();
    }
    return good;
}

static bool submit_locked(GuestVtd *guest,
                          const GuestVtdDescriptor *descriptors, size_t count,
                          bool drain) REQUIRES(&guest->qi.lock)
{
    uint32_t slot;

    for (size_t i = 0; i < count; i++) {
        put_locked(guest, &descriptors[i]);
    }
    slot = put_wait_locked(guest, drain);
    guest_vtd_write32(guest, DMAR_IQT, guest->qi.tail * QI_BYTES);
    return wait_locked(guest, slot);
}

bool guest_qi_submit(GuestVtd *guest, const GuestVtdDescriptor *descriptors,
                     size_t count, bool drain)
{
    bool good = true;

    lock_acquire(&guest->qi.lock);
    do {
        size_t part = MIN(count, QI_BATCH_MAX);

        if (guest->qi.dead ||
            !submit_locked(guest, descriptors, part, drain)) {
            counter_add(&guest->qi.errors, 1);
            good = false;
        }
        descriptors += part;
        count -= part;
    } while (count > 0);
    lock_release(&guest->qi.lock);
    return good;
}

void guest_qi_count_error(GuestVtd *guest)
{
    lock_acquire(&guest->qi.lock);
    counter_add(&guest->qi.errors, 1);
    lock_release(&guest->qi.lock);
}

/* ---- Life cycle ---- */

/* A queue that is switched off has to be empty. */
static bool wait_empty(GuestVtd *guest, GError **error)
{
    int64_t deadline_ns = aio_clock_ns() + TIMEOUT_NS;

    while (guest_vtd_read32(guest, DMAR_IQT) !=
           guest_vtd_read32(guest, DMAR_IQH)) {
        if (aio_clock_ns() > deadline_ns) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "invalidation queue is not empty after 10 s");
            return false;
        }
        sched_yield();
    }
    return true;
}

bool guest_qi_disable(GuestVtd *guest, GError **error)
{
    if (!FIELD_GET(guest_vtd_read32(guest, DMAR_GSTS), DMAR_GCMD, QIE)) {
        return true;
    }
    return wait_empty(guest, error) &&
           guest_vtd_command(guest, FIELD_MASK(DMAR_GCMD, QIE), false, error);
}

bool guest_qi_set_up(GuestVtd *guest, GError **error)
{
    GuestVtdQi *qi = &guest->qi;
    const uint64_t bytes = QI_ENTRIES * QI_BYTES;
    const uint64_t status_bytes = QI_ENTRIES * sizeof(qi->status[0]);

    qi->gpa = guest_ram_alloc(guest->ram, bytes, bytes, error);
    if (!qi->gpa) {
        return false;
    }
    qi->status_gpa = guest_ram_alloc(guest->ram, status_bytes, 64, error);
    if (!qi->status_gpa) {
        return false;
    }
    qi->entries = guest_ram_ptr(guest->ram, qi->gpa);
    qi->status = guest_ram_ptr(guest->ram, qi->status_gpa);
    guest_vtd_write32(guest, DMAR_IQT, 0);
    guest_vtd_write64(guest, DMAR_IQA, qi->gpa | QI_IQA_FLAGS);
    return guest_vtd_command(guest, FIELD_MASK(DMAR_GCMD, QIE), true, error);
}
