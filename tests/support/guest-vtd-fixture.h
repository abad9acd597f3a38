/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VT-d unit on an iothread of its own, driven by the built-in guest, with
 * devices of the emulated host or emulated SVA devices, or both.
 *
 * Threads: one, registered with RCU.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_GUEST_VTD_FIXTURE_H
#define TESTS_SUPPORT_GUEST_VTD_FIXTURE_H

#include "guest-vtd.h"
#include "sva-accel.h"

#include "base/lock.h"
#include "host/emul.h"
#include "hw/iommu/viommu-internal.h"
#include "iothread/iothread.h"

enum { GUEST_VTD_FIXTURE_DEVICES = 4 };

/* RIDs: of passed-through devices, then of SVA devices. */
#define GUEST_VTD_FIXTURE_RID(i) (0x0108u + 8 * (i))
#define GUEST_VTD_FIXTURE_SVA_RID(i) (0x0290u + 8 * (i))

/**
 * struct GuestVtdFixture - the fields up to @ram_bytes are for the test to set
 * @properties: NULL for the defaults
 * @host_devices, @sva_devices: how many of each
 * @pasids: of each device
 * @pages: of each address space
 * @credits, @depth: of SVA devices
 * @ram_bytes: 0 for what the guest needs
 */
typedef struct GuestVtdFixture {
    const VtdProperties *properties;
    unsigned host_devices;
    unsigned sva_devices;
    uint32_t pasids;
    size_t pages;
    uint32_t credits;
    uint32_t depth;
    uint64_t ram_bytes;
    IOThread *iothread;
    HostIommu *host;
    GuestRam *ram;
    IrqSink *irq;
    Viommu *viommu;
    VfioDevice *vfio[GUEST_VTD_FIXTURE_DEVICES];
    SvaAccel *accel[GUEST_VTD_FIXTURE_DEVICES];
    GuestVtdDevice devices[2 * GUEST_VTD_FIXTURE_DEVICES];
    GuestVtd *guest;
    Lock big_lock;
} GuestVtdFixture;

/* Everything but the guest, and then the guest. */
void guest_vtd_fixture_make(GuestVtdFixture *f);
void guest_vtd_fixture_start(GuestVtdFixture *f);

/* Another ops table for the vIOMMU: on its home thread, which uses it too. */
void guest_vtd_fixture_set_ops(GuestVtdFixture *f, const ViommuOps *ops);

/* Both. */
void guest_vtd_fixture_set_up(GuestVtdFixture *f);

/* The guest stops, if there is one; all goes, nothing is left on the host. */
void guest_vtd_fixture_tear_down(GuestVtdFixture *f);

/* Nothing that must not happen in a good run has. */
void guest_vtd_fixture_assert_good(GuestVtdFixture *f);

/* The address spaces of a device, that of PASID 1 first; for g_free(). */
GuestAddressSpace **guest_vtd_fixture_get_spaces(GuestVtdFixture *f,
                                                 uint32_t rid);

#endif
