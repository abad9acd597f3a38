/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * HostPort: a slot with a passed-through device in it, or without one, in the
 * storm. Its hardware raises groups whatever the guest does.
 *
 * Threads: host_port_raise() and the answers on any; plug and unplug on one.
 * Locks:   none: hardware has none of ours.
 */
#ifndef TESTS_STRESS_HOST_PORT_H
#define TESTS_STRESS_HOST_PORT_H

#include "host/emul.h"
#include "host/vfio-device.h"

#include <glib.h>
#include <stdatomic.h>

struct StormUnit;

/* The most groups that a device has open. */
#define HOST_PORT_SLOTS 32

/**
 * struct HostSlot - a group: its tag is the address of this
 * @out: it is raised and not answered
 * @index: its group index; whose who has set @out
 */
typedef struct HostSlot {
    atomic_bool out;
    uint32_t index;
    struct StormUnit *unit;
} HostSlot;

/**
 * struct HostPort - where the device is, or is not
 * @dev_id: raise for this one; it may be gone already
 * @device: NULL while unplugged; the monitor thread's
 */
typedef struct HostPort {
    struct StormUnit *unit;
    uint16_t rid;
    atomic_uint dev_id;
    VfioDevice *device;
    HostSlot slots[HOST_PORT_SLOTS];
} HostPort;

/* @port is zeroed; @unit is borrowed. */
void host_port_init(HostPort *port, struct StormUnit *unit, uint16_t rid);

void host_port_plug(HostPort *port);
void host_port_unplug(HostPort *port);

/**
 * host_port_raise() - the hardware raises a group
 * @pasid: 0: without one
 *
 * Return: false if all slots are out, or the host has no fault queue for it:
 * then nothing comes of it.
 */
bool host_port_raise(HostPort *port, uint32_t pasid, GRand *rand);

/* EmulAnswerFunc of the host: asserts that each group is answered once. */
void host_port_answered(const EmulPageAnswer *answer, void *opaque);

#endif
