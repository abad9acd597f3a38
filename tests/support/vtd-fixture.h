/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VT-d unit on the emulated host, with guest memory, an interrupt sink that
 * counts, and devices; and the accesses of a guest that drives it.
 *
 * Threads: without an IOThread the test's own thread is home of the context,
 *          so every step is the test's: vtd_fixture_pump() runs what is due.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_VTD_FIXTURE_H
#define TESTS_SUPPORT_VTD_FIXTURE_H

#include "fixture-parts.h"
#include "hw/i386/vtd-internal.h"
#include "hw/i386/vtd-inv-desc.h"

/* Guest physical layout. What is above VTD_GUEST_FREE is the test's. */
#define VTD_GUEST_STATUS (GUEST_RAM + 0x008000)     /* of wait descriptors */
#define VTD_GUEST_ROOT (GUEST_RAM + 0x020000)
#define VTD_GUEST_CONTEXT (GUEST_RAM + 0x022000)    /* bus 0, two pages */
#define VTD_GUEST_PASID_DIR (GUEST_RAM + 0x024000)  /* one for all devices */
#define VTD_GUEST_PASID_TABLE (GUEST_RAM + 0x028000) /* PASIDs 0 to 255 */
#define VTD_GUEST_PRQ (GUEST_RAM + 0x080000)        /* up to 512 KiB */
#define VTD_GUEST_IQ (GUEST_RAM + 0x100000)         /* up to 512 KiB */
#define VTD_GUEST_FREE (GUEST_RAM + 0x200000)

/* Data of the messages that vtd_guest_start() asks for. */
#define VTD_GUEST_FAULT_DATA 0x4031
#define VTD_GUEST_PAGE_DATA 0x4032

/* Software's status words: in use, done. */
#define VTD_GUEST_IN_USE 1
#define VTD_GUEST_DONE 2

typedef struct VtdFixture {
    HostIommu *host;
    IOThread *iothread;         /* NULL: the context's home is the test */
    AioContext *ctx;
    bool shared;                /* @ctx is somebody else's */
    GuestMem *mem;
    uint8_t *ram;
    CountingSink irq;
    Viommu *viommu;
    GPtrArray *devices;         /* VfioDevice, still open */
    unsigned iq_qs;             /* as vtd_guest_enable_iq() set it up */
    bool iq_wide;
    uint32_t iq_tail;
} VtdFixture;

/**
 * vtd_fixture_new() - a reset unit without devices
 * @properties: NULL for the defaults
 * @iothread: on an IOThread of its own
 */
VtdFixture *vtd_fixture_new(const VtdProperties *properties, bool iothread);

/* The same on @host, any that has HardwareOps; given. */
VtdFixture *vtd_fixture_new_on(HostIommu *host,
                               const VtdProperties *properties, bool iothread);

/* The same in @ctx, whose home is somebody else's. */
VtdFixture *vtd_fixture_new_in(HostIommu *host,
                               const VtdProperties *properties,
                               AioContext *ctx);

/* Unplugs what is plugged, asserts that nothing is left on the host. */
void vtd_fixture_free(VtdFixture *f);

Vtd *vtd_fixture_vtd(VtdFixture *f);

/* Run the context until it makes no progress. Not with an IOThread. */
void vtd_fixture_pump(VtdFixture *f);

/* Open a device; also plug it in; unplug and close it. */
VfioDevice *vtd_fixture_open_device(VtdFixture *f);
VfioDevice *vtd_fixture_plug(VtdFixture *f, uint16_t rid);
void vtd_fixture_unplug(VtdFixture *f, VfioDevice *device, uint16_t rid);

/* The guest's accesses. */
uint32_t vtd_guest_read32(VtdFixture *f, uint64_t offset);
uint64_t vtd_guest_read64(VtdFixture *f, uint64_t offset);
void vtd_guest_write32(VtdFixture *f, uint64_t offset, uint32_t value);
void vtd_guest_write64(VtdFixture *f, uint64_t offset, uint64_t value);

/* Words of guest RAM, and writing them as software does. */
uint64_t *vtd_guest_words(VtdFixture *f, uint64_t gpa);
void vtd_guest_store(VtdFixture *f, uint64_t gpa, uint64_t word);
void vtd_guest_store_words(VtdFixture *f, uint64_t gpa, const uint64_t *words,
                           size_t count);

/* ---- Tables ---- */

/* Root table and PASID directory; no context and no PASID entry is present. */
void vtd_guest_make_tables(VtdFixture *f);

/* Where the entries of @rid (of bus 0) and @pasid (below 256) are. */
uint64_t vtd_guest_context_gpa(uint16_t rid);
uint64_t vtd_guest_pasid_gpa(uint32_t pasid);

/**
 * vtd_guest_set_context() - a context entry with PASID directory; no
 * invalidation
 * @bits: P, DTE, PASIDE, PRE and so on of word 0
 */
void vtd_guest_set_context(VtdFixture *f, uint16_t rid, uint64_t bits);

/**
 * vtd_guest_set_pasid() - a first-stage PASID entry; no invalidation
 * @table: FSPTPTR, of 4 levels; 0: not present
 */
void vtd_guest_set_pasid(VtdFixture *f, uint32_t pasid, uint16_t did,
                         uint64_t table);

/* ---- Registers, in the order of Linux's driver ---- */

/* GCMD: one bit of GSTS changed, or a one-shot, and the answer polled. */
void vtd_guest_command(VtdFixture *f, uint32_t bit, bool on);

/* IQT = 0, IQA, QIE. */
void vtd_guest_enable_iq(VtdFixture *f, unsigned qs, bool wide);

/* RTADDR, SRTP, and the global invalidations unless CAP.ESRTPS. */
void vtd_guest_set_root(VtdFixture *f, unsigned ttm);

/* Messages to the doorbell, unmasked; then PQH, PQT and PQA. */
void vtd_guest_enable_prq(VtdFixture *f, unsigned pqs);
void vtd_guest_enable_faults(VtdFixture *f);

/**
 * vtd_guest_start() - all of it: tables, queue of 256 descriptors of 256 bits,
 * root in scalable mode, page request queue if there is one, faults, TE
 */
void vtd_guest_start(VtdFixture *f, unsigned pqs);

/* ---- The invalidation queue ---- */

/* Put a descriptor in the queue; vtd_guest_kick() hands over what was put. */
void vtd_guest_put(VtdFixture *f, uint64_t word0, uint64_t word1);
void vtd_guest_kick(VtdFixture *f);

/* Words of a wait descriptor that writes VTD_GUEST_DONE at VTD_GUEST_STATUS. */
#define VTD_GUEST_WAIT0                                                \
    (VTD_DESC_WAIT | FIELD_MASK(WAIT_DESC0, SW) |                      \
     (uint64_t)VTD_GUEST_DONE << WAIT_DESC0_STATUS_DATA_SHIFT)

/* What the wait descriptor of vtd_guest_put_wait() has left there. */
uint32_t vtd_guest_status(VtdFixture *f);

/* Such a descriptor with more @flags; its status is in use from now on. */
void vtd_guest_put_wait(VtdFixture *f, uint64_t flags);

/**
 * vtd_guest_submit() - one descriptor and a wait, as Linux does, and assert
 * that the wait is done
 */
void vtd_guest_submit(VtdFixture *f, uint64_t word0, uint64_t word1);

/* The same of all that was put. */
void vtd_guest_submit_put(VtdFixture *f, uint64_t wait_flags);

/* First words of descriptors, of granularity @g. */
uint64_t vtd_desc_context_cache(unsigned g, uint16_t did, uint16_t sid);
uint64_t vtd_desc_iotlb(unsigned g, uint16_t did);
uint64_t vtd_desc_pasid_cache(unsigned g, uint16_t did, uint32_t pasid);
uint64_t vtd_desc_pasid_iotlb(unsigned g, uint16_t did, uint32_t pasid);

/**
 * vtd_guest_respond() - a page group response and a wait
 * @pasid: or PAGE_REQUEST_NO_PASID
 */
void vtd_guest_respond(VtdFixture *f, uint16_t rid, uint32_t pasid,
                       unsigned prgi, unsigned code);

/**
 * vtd_guest_consume() - read one page request, advance PQH
 *
 * Return: false if the queue is empty.
 */
bool vtd_guest_consume(VtdFixture *f, uint64_t entry[4]);

#endif
