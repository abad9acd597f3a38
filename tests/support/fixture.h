/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An SMMUv3 on the emulated host, with guest memory, an interrupt sink that
 * counts, and devices; and the accesses of a guest that drives it.
 *
 * Threads: without an IOThread the test's own thread is home of the context,
 *          so every step is the test's: fixture_pump() runs what is due.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_FIXTURE_H
#define TESTS_SUPPORT_FIXTURE_H

#include "fixture-parts.h"
#include "hw/arm/smmuv3.h"

/* Guest physical layout: queues and tables in RAM. */
#define GUEST_CMDQ (GUEST_RAM + 0x010000)
#define GUEST_STRTAB (GUEST_RAM + 0x080000)     /* linear, 256 STEs */
#define GUEST_EVENTQ (GUEST_RAM + 0x100000)     /* room for 2^14 records */
#define GUEST_PRIQ (GUEST_RAM + 0x200000)       /* room for 2^16 requests */

typedef struct Fixture {
    HostIommu *host;
    IOThread *iothread;         /* NULL: the context's home is the test */
    AioContext *ctx;
    bool shared;                /* @ctx is somebody else's */
    GuestMem *mem;
    uint8_t *ram;
    CountingSink irq;
    Viommu *viommu;
    GPtrArray *devices;         /* VfioDevice, still open */
    unsigned log2_cmdq;
    uint32_t cmdq_prod;
} Fixture;

/**
 * fixture_new() - a reset SMMUv3 without devices
 * @properties: NULL for the defaults
 * @iothread: on an IOThread of its own
 */
Fixture *fixture_new(const Smmuv3Properties *properties, bool iothread);

/* The same on @host, any that has HardwareOps; given. */
Fixture *fixture_new_on(HostIommu *host, const Smmuv3Properties *properties,
                        bool iothread);

/* The same in @ctx, whose home is somebody else's. */
Fixture *fixture_new_in(HostIommu *host, const Smmuv3Properties *properties,
                        AioContext *ctx);

/* Unplugs what is plugged, asserts that nothing is left on the host. */
void fixture_free(Fixture *f);

/* Unplugs what is plugged and closes every device. */
void fixture_unplug_all(Fixture *f);

/**
 * fixture_assert_balanced() - every event generated was counted once
 * @skipped: numbers that the host never used, counted as lost
 *           (emul_set_first_sequence())
 *
 * Context: the host queue is gone, or was read empty.
 */
void fixture_assert_balanced(Fixture *f, uint64_t skipped);

/* One or the other form, for tests that want it only so. */
VfioDevice *fixture_open_device(Fixture *f);
VfioDevice *fixture_plug(Fixture *f, uint32_t sid);
void fixture_unplug(Fixture *f, VfioDevice *device, uint32_t sid);

/**
 * fixture_report() - the host's hardware reports F_TRANSLATION for @device
 * @address: goes to InputAddr, to tell one record from the next
 */
EmulReport fixture_report(Fixture *f, VfioDevice *device, uint64_t address);

/* Where a device's traffic goes. */
typedef enum FixturePlace {
    PLACE_ABORT,
    PLACE_BYPASS,
    PLACE_STAGE1,               /* a HWPT of its own */
    PLACE_ELSEWHERE,
} FixturePlace;

/* By the model's books, which are checked against the emulated host's. */
FixturePlace fixture_place(Fixture *f, uint32_t sid);

/**
 * fixture_attached_to() - the nested HWPT that the host has @device on
 * @ste: out: the words that it was made from
 *
 * Return: its ID.
 */
uint32_t fixture_attached_to(Fixture *f, VfioDevice *device, uint64_t ste[2]);

/* Run the context until it makes no progress. Not with an IOThread. */
void fixture_pump(Fixture *f);

/* The guest's accesses. */
uint32_t guest_read(Fixture *f, uint64_t offset);
uint64_t guest_read64(Fixture *f, uint64_t offset);
void guest_write(Fixture *f, uint64_t offset, uint32_t value);
void guest_write64(Fixture *f, uint64_t offset, uint64_t value);

/* Words of guest RAM. */
uint64_t *guest_words(Fixture *f, uint64_t gpa);

/**
 * guest_start() - program the SMMU in the order of Linux's driver, with wired
 * interrupts: queues, stream table (linear, all bypass), enables. CR0 ends as
 * SMMUEN | EVENTQEN | CMDQEN.
 */
void guest_start(Fixture *f, unsigned log2_eventq, unsigned log2_cmdq);

/**
 * guest_start_priq() - the same with the PRI queue and ATSCHK, for an SMMU that
 * has IDR0.PRI. CR0 ends as 0x1f.
 */
void guest_start_priq(Fixture *f, unsigned log2_eventq, unsigned log2_cmdq,
                      unsigned log2_priq);

/* Only the PRI queue: base, indices 0, PRIQEN with other bits kept. */
void guest_enable_priq(Fixture *f, unsigned log2_priq);
void guest_disable_priq(Fixture *f);

/* Only the event queue: base, indices 0, EVENTQEN with other bits kept. */
void guest_enable_eventq(Fixture *f, unsigned log2_eventq);
void guest_disable_eventq(Fixture *f);

/* Put a command in the queue; guest_kick() hands over what was put. */
void guest_command(Fixture *f, uint64_t word0, uint64_t word1);
void guest_kick(Fixture *f);

/* Write a stream's STE into the linear table; no command. */
void guest_set_ste(Fixture *f, uint32_t sid, uint64_t word0, uint64_t word1);

/**
 * guest_consume() - read one event, advance CONS, acknowledge nothing
 *
 * Return: false if the queue is empty.
 */
bool guest_consume(Fixture *f, uint64_t event[4]);

/* The same of the PRI queue. */
bool guest_consume_ppr(Fixture *f, uint64_t ppr[2]);

#endif
