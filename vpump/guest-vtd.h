/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GuestVtd: a guest's driver of a VT-d unit without a guest. It touches the
 * vIOMMU through registers, interrupts and guest memory only, in the order in
 * which Linux's driver does. Its thread waits for interrupts as a vCPU would,
 * maps the pages that devices ask for, and answers.
 *
 * Order of a run:
 *
 *   guest_vtd_new()        devices are plugged in; then load may begin
 *   (load ends, nothing is open)
 *   guest_vtd_rest()       counts are exact from here on, and once more after
 *   guest_vtd_stop()       PASIDs torn down, translation and queues off
 *   (devices are removed, the vIOMMU is freed)
 *   guest_vtd_free()
 *
 * Threads: created, stopped and freed by one thread registered with RCU that
 *          may block; the counts on any thread, exact once at rest.
 * Locks:   guest_vtd_new() to _stop() take those of LOCK_RANK_GUEST.
 */
#ifndef VPUMP_GUEST_VTD_H
#define VPUMP_GUEST_VTD_H

#include "guest-address-space.h"
#include "guest-ram.h"
#include "page-digest.h"

#include "hw/i386/vtd.h"

typedef struct GuestVtd GuestVtd;

/* Where a message pulses the line that is its data: x86's interrupt range. */
#define GUEST_VTD_DOORBELL UINT64_C(0xfee00000)

/* Lines of the sink of eventfds. */
enum {
    GUEST_VTD_IRQ_FAULT,
    GUEST_VTD_IRQ_PAGE_REQUEST,
    GUEST_VTD_IRQ_COUNT,
};

/* A guest's PASIDs are 1 to this, of each device. */
#define GUEST_VTD_PASIDS_MAX 4096

/**
 * struct GuestVtdDevice - a device, with an address space for each PASID
 * @rid: requester ID
 * @pasids: it uses PASIDs 1 to @pasids
 * @pages: of each address space
 * @contents: it is an emulated SVA device, which accesses the memory; a
 *            passed-through device of the emulated host only asks for pages
 */
typedef struct GuestVtdDevice {
    uint32_t rid;
    uint32_t pasids;
    size_t pages;
    bool contents;
} GuestVtdDevice;

/**
 * struct GuestVtdConfig - what a driver finds
 * @viommu: a VT-d unit, in its reset state; borrowed until guest_vtd_free()
 * @ram: its memory; borrowed likewise
 * @irq: a sink of eventfds with lines as GUEST_VTD_IRQ_* and the doorbell
 *       above, which the vIOMMU raises; borrowed likewise
 * @devices: @device_count of them, plugged in; borrowed for the call
 */
typedef struct GuestVtdConfig {
    Viommu *viommu;
    GuestRam *ram;
    IrqSink *irq;
    const GuestVtdDevice *devices;
    size_t device_count;
} GuestVtdConfig;

/**
 * struct GuestVtdCounts - what the driver has done and found
 * @requests: entries of the page request queue
 * @answered: groups that it answered Success
 * @refused: groups that it answered Invalid Request: an entry that no device
 *           of ours can have caused; 0 in a good run
 * @bad: entries that made it so, or that were dropped as bad; 0 in a good run
 * @markers: Stop Markers
 * @overflows: times that PRS.PRO was found set
 * @faults: fault records; 0 in a good run
 * @queue_errors: descriptors that the unit did not take, or not in ten seconds;
 *                and what could not be drained or disabled; 0 in a good run
 * @damaged: frames that a device wrote to after their translation was
 *           invalidated, and PTEs changed while not present; 0 in a good run
 * @mapped, @taken: pages that came in, and that went out
 * @digest: of the entries, as they stood in the queue (ring-digest.h)
 */
typedef struct GuestVtdCounts {
    uint64_t requests;
    uint64_t answered;
    uint64_t refused;
    uint64_t bad;
    uint64_t markers;
    uint64_t overflows;
    uint64_t faults;
    uint64_t queue_errors;
    uint64_t damaged;
    uint64_t mapped;
    uint64_t taken;
    uint64_t digest;
} GuestVtdCounts;

/* Bytes of GuestRam that a guest with these devices needs, loads included. */
uint64_t guest_vtd_ram_bytes(const GuestVtdDevice *devices, size_t count);

/**
 * guest_vtd_new() - probe, set up, enable, and start the thread
 *
 * When it returns, every PASID of every device has its address space, with all
 * pages out.
 *
 * Return: the driver, or NULL and @error set: a capability that the driver
 * cannot do without, a register or descriptor that is not answered, or no
 * memory. The vIOMMU then is in no particular state.
 */
GuestVtd *guest_vtd_new(const GuestVtdConfig *config, GError **error);

/**
 * guest_vtd_get_space() - the address space of a PASID, for a load
 * @rid, @pasid: of a device in the configuration
 *
 * Return: borrowed until guest_vtd_free().
 */
GuestAddressSpace *guest_vtd_get_space(GuestVtd *guest, uint32_t rid,
                                       uint32_t pasid);

/**
 * guest_vtd_rest() - serve what is in the queues and join the thread
 *
 * The unit stays enabled; nobody looks at its queue any more. Nothing is taken
 * from an address space any more either.
 */
void guest_vtd_rest(GuestVtd *guest);

/**
 * guest_vtd_stop() - come to rest, if it has not yet, and disable
 *
 * The counts stay.
 */
void guest_vtd_stop(GuestVtd *guest);

/* Context: stopped, and the vIOMMU gone or never used. NULL is ignored. */
void guest_vtd_free(GuestVtd *guest);

GuestVtdCounts guest_vtd_get_counts(GuestVtd *guest);

/* The page requests that it has read from the device with @rid. */
PageDigestSum guest_vtd_get_pages(GuestVtd *guest, uint32_t rid);

#endif
