/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the fixtures of every model are made of: guest RAM, an interrupt sink
 * that counts, an AioContext, devices of the emulated host, and main().
 *
 * Threads: the test's. The sink is raised on any.
 * Locks:   the sink's counters are atomics.
 */
#ifndef TESTS_SUPPORT_FIXTURE_PARTS_H
#define TESTS_SUPPORT_FIXTURE_PARTS_H

#include "host/emul.h"
#include "hw/iommu/viommu.h"
#include "iothread/iothread.h"
#include "message-log.h"

#include <stdatomic.h>

/* Guest physical layout: RAM, and what is not. */
#define GUEST_RAM UINT64_C(0x40000000)
#define GUEST_RAM_SIZE (4 * 1024 * 1024)
#define GUEST_NOWHERE UINT64_C(0x20000000)      /* not memory */
#define GUEST_DOORBELL UINT64_C(0x08020040)     /* where messages arrive */

#define COUNTING_SINK_LINES 4

/**
 * struct CountingSink - an interrupt sink that counts
 * @doorbell: of messages; those to elsewhere abort
 * @pulses: per wired line
 * @messages: that arrived, the last with @last_data
 * @aborts: messages to where nothing is
 * @raised: called with @opaque per interrupt, under the ring_lock; may be NULL
 */
typedef struct CountingSink {
    IrqSink parent;
    uint64_t doorbell;
    atomic_uint pulses[COUNTING_SINK_LINES];
    atomic_uint messages;
    atomic_uint aborts;
    _Atomic uint32_t last_data;
    void (*raised)(void *opaque);
    void *opaque;
} CountingSink;

/* @sink is zeroed; its doorbell is GUEST_DOORBELL. */
void counting_sink_init(CountingSink *sink);

/* GUEST_RAM. Return: where it is in this process; @mem is set to its map. */
uint8_t *guest_ram_new(GuestMem **mem);
void guest_ram_free(uint8_t *ram, GuestMem *mem);

/**
 * test_context_new() - a context whose home is the test, or an IOThread
 * @iothread: out: NULL, or that thread
 */
AioContext *test_context_new(bool own_thread, IOThread **iothread);

/* Run it until it makes no progress. Not with an IOThread. */
void test_context_pump(AioContext *ctx);
void test_context_free(AioContext *ctx, IOThread *iothread);

/**
 * test_host_open() - the host of a test that can choose
 * @name: "emulated"; or "mock", the emulated one's mock devices; or "kernel",
 *        the real one's
 * @counted: NULL, or out: the FailingHost below the mock devices, borrowed; it
 *           counts @request. Not with "emulated"
 *
 * Return: the host, or NULL and @error set.
 */
HostIommu *test_host_open(const char *name, unsigned long request,
                          HostIommu **counted, GError **error);

/* Open and bind a device behind @iommu, and add it to @devices. */
VfioDevice *test_device_open(HostIommu *host, EmulIommu iommu,
                             GPtrArray *devices);

/**
 * test_attached_ste() - the nested HWPT that the emulated host has @device on
 * @ste: out: the words that it was made from
 *
 * Return: its ID.
 */
uint32_t test_attached_ste(HostIommu *emulated_host, VfioDevice *device,
                           uint64_t ste[2]);

/* Unplug those of @devices that @viommu has, close all; it is empty then. */
void test_devices_close(Viommu *viommu, GPtrArray *devices);

typedef struct FixtureTest {
    void (*func)(void);
    const char *path;           /* below the prefix */
} FixtureTest;

/*
 * main() of a test program: each test between @setup and @teardown, which stop
 * the message log if it was started.
 */
int fixture_main(int argc, char **argv, const char *prefix,
                 const FixtureTest *tests, size_t count,
                 void (*setup)(void), void (*teardown)(void));

#endif
