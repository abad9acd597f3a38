/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EventUnit: an SMMUv3 whose devices report events as fast as they can, the
 * guest that drives it, and the monitor that plugs them: what the races of
 * events have in common. A program says which of its threads there are.
 *
 * Threads: as EventGuest; steps of reporters and of one monitor on a thread
 *          each.
 * Locks:   EventGuest's.
 */
#ifndef TESTS_STRESS_EVENT_UNIT_H
#define TESTS_STRESS_EVENT_UNIT_H

#include "event-guest.h"
#include "race.h"

/**
 * struct EventPort - where a device is plugged in, or is not; and its hardware
 * @dev_id: report for this one; it may be gone already
 * @device: NULL while unplugged; the monitor's
 * @queued, @lost: events that used up a sequence number; the reporter's
 */
typedef struct EventPort {
    struct EventUnit *unit;
    unsigned index;
    atomic_uint dev_id;
    VfioDevice *device;
    GRand *rand;                /* the reporter's */
    Counter queued;
    Counter lost;
} EventPort;

/**
 * struct EventUnit - the unit and all around it
 * @counted: counts vEVENTQs; NULL on the emulated host, which does so itself
 * @plugs: the monitor's
 */
typedef struct EventUnit {
    Gate *gate;
    Fixture *f;
    HostIommu *counted;
    EventGuest guest;
    EventPort ports[EVENT_PORTS];
    GRand *rand;                /* the monitor's */
    bool bursty;                /* [const] the hardware rests now and then */
    Counter plugs;
} EventUnit;

/**
 * event_unit_new() - a unit whose guest has started, all plugged in
 * @ctx: somebody's, or NULL: on an IOThread of its own
 * @log2: of the event queue
 *
 * Nothing runs yet. The guest's threads may get a gate of their own:
 * EventGuest::gate.
 */
EventUnit *event_unit_new(Gate *gate, GRand *seeds, const char *host_name,
                          AioContext *ctx, unsigned log2);

/* One event, by a reporter's thread: for those that have no load. */
void event_port_report(EventPort *port);

/* The threads that every race has: reporters, and the guest's handler. */
void event_unit_add_load(EventUnit *unit);

/* One that unplugs and plugs; one that does what a vCPU can. */
void event_unit_add_monitor(EventUnit *unit);
void event_unit_add_vcpu(EventUnit *unit);

/* By the monitor. */
void event_unit_toggle_port(EventUnit *unit, unsigned i);

/* Events that its devices have reported. */
uint64_t event_unit_generated(EventUnit *unit);

/* vEVENTQs that the host has made for this unit. */
uint64_t event_unit_lives(EventUnit *unit);

/* ---- For struct Race: the unit is the opaque ---- */

/* Wake up whoever sleeps in a step of the gate. */
void event_unit_kick(void *unit);

/**
 * event_unit_check() - all is quiet: take what is there, then the books of the
 * devices, the unit, the guest and the host are the same
 */
void event_unit_check(void *unit);

/* event_unit_free() of a round. */
void event_unit_teardown(void *unit, RaceRun *run);

/* ---- The end ---- */

/* Unplug all. Context: by the monitor; all else may go on. */
void event_unit_unplug(EventUnit *unit);

/**
 * event_unit_stop() - free the vIOMMU, whose books balance
 *
 * Context: all is unplugged, the guest's gate has ended. Its hardware, memory
 * and IOThread may go on.
 */
void event_unit_stop(EventUnit *unit);

/**
 * event_unit_free() - unplug and stop if need be, add to @counts, and assert
 * that nothing is left
 *
 * Context: all gates have ended.
 */
void event_unit_free(EventUnit *unit, RaceCounts *counts);

#endif
