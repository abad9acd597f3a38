/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PriqPort: a slot with an emulated device behind an SMMUv3 in it, or without
 * one. It asks for pages while it holds its dev_lock, which the handler of its
 * responses takes too.
 *
 * Threads: as said with each. Responses come on an IOThread of its own.
 * Locks:   PriqPort::lock, LOCK_RANK_DEVICE: the dev_lock.
 */
#ifndef TESTS_STRESS_PRIQ_PORT_H
#define TESTS_STRESS_PRIQ_PORT_H

#include "gate.h"

#include "base/lock.h"
#include "hw/iommu/sva-device.h"
#include "iothread/iothread.h"

#include <glib.h>

#define PRIQ_PORT_GROUPS 16
#define PRIQ_PORT_PAGES 3

/**
 * struct PriqPort - where the device is, or is not
 * @work: there may be something to do
 * @device: NULL while unplugged. [lock]
 * @out: groups that have not come back, a bit each. [lock]
 * @raised, @back: groups. [lock]
 * @no_answer: of those of an even index: that the guest did not answer. [lock]
 */
typedef struct PriqPort {
    Gate *gate;
    Viommu *viommu;
    uint32_t sid;
    IOThread *iothread;
    Lock lock;
    pthread_cond_t work;
    SvaDevice *device;
    unsigned out;
    uint64_t raised;
    uint64_t back;
    uint64_t no_answer;
    SvaGroup groups[PRIQ_PORT_GROUPS];      /* [lock] */
    GRand *rand;                            /* [lock] */
} PriqPort;

/* Without a device. @gate, @viommu: borrowed */
void priq_port_init(PriqPort *port, Gate *gate, Viommu *viommu, uint32_t sid,
                    GRand *seeds);

/* It is unplugged. */
void priq_port_destroy(PriqPort *port);

/* By one monitor thread. */
void priq_port_plug(PriqPort *port);
void priq_port_unplug(PriqPort *port);
bool priq_port_is_plugged(PriqPort *port);

/* The device's thread, a GateThread's step. */
void priq_port_step(void *opaque);

/* Wake it up, if it sleeps. Any thread. */
void priq_port_kick(PriqPort *port);

/* Responses that are on their way have arrived when this returns. */
void priq_port_settle(PriqPort *port);

/* Groups that have not come back. Any thread. */
unsigned priq_port_out(PriqPort *port);

#endif
