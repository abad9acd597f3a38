/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EventGuest: the driver of an SMMUv3 in a race. A handler sleeps until an
 * interrupt, then reads the event queue and checks what it reads; a vCPU has
 * the queue off, on, larger or smaller, resets the SMMU, moves its devices to
 * other HWPTs, masks the interrupt.
 *
 * Every event delivered was either consumed or left in a ring that was thrown
 * away, in the order of its reporter, and none of a device that is gone; and
 * none waits in the ring without an interrupt.
 *
 * Threads: the handler's step and the vCPU's calls on one thread each.
 *          event_guest_set_gone() on a monitor's. The rest while all is quiet.
 * Locks:   EventGuest::lock, LOCK_RANK_GUEST.
 */
#ifndef TESTS_STRESS_EVENT_GUEST_H
#define TESTS_STRESS_EVENT_GUEST_H

#include "fixture.h"
#include "gate.h"

#include "base/counter.h"

#include <semaphore.h>

/* Devices, and who reports their events. */
#define EVENT_PORTS 3
#define EVENT_FIRST_SID 1       /* the mock driver takes 0 for no name */
#define EVENT_MAX_LOG2 10       /* of the event queue */

/* InputAddr says which reporter made an event, and its how many-eth. */
#define EVENT_TAG_SHIFT 48

/**
 * struct EventGuest - what the guest knows
 * @lazy: the handler takes its time: the queue is full most of the while
 * @bell: rung by each interrupt
 * @seen: the last event of each reporter. [lock]
 * @gone: no event of this port's StreamID may come. [lock]
 * @consumed: events. [lock]
 * @left: in rings that were thrown away. [lock]
 * @told: interrupts that there had been when the ring was last seen empty;
 *        -1: it is not known to have been since the queue or the interrupt was
 *        switched on. [lock]
 * @enables, @resets, @aborts: the vCPU's
 */
typedef struct EventGuest {
    Fixture *f;
    Gate *gate;
    GRand *rand;                /* the vCPU's */
    GRand *handler_rand;
    bool lazy;                  /* [const] */
    sem_t bell;
    Lock lock;                  /* between the handler, the vCPU, a monitor */
    uint64_t seen[EVENT_PORTS];
    bool gone[EVENT_PORTS];
    uint64_t consumed;
    uint64_t left;
    int64_t told;
    Counter enables;
    Counter resets;
    Counter aborts;
} EventGuest;

/* @f, @gate: borrowed. Takes the sink's callback. */
void event_guest_init(EventGuest *g, Fixture *f, Gate *gate, GRand *seeds);
void event_guest_destroy(EventGuest *g);

/* The handler's step, a GateThread's: sleeps until the bell rings. */
void event_guest_handler_step(void *opaque);

/* Ring it. Any thread. */
void event_guest_kick(EventGuest *g);

/* ---- The vCPU ---- */

/* Program the SMMU, from reset. */
void event_guest_start(EventGuest *g, unsigned log2);

/* Off, and on again with another size. */
void event_guest_resize(EventGuest *g, unsigned log2);
void event_guest_reset(EventGuest *g, unsigned log2);

/* Translation off, or on: every device moves to another HWPT. */
void event_guest_toggle(EventGuest *g);

/* One stream bypasses, aborts, or has its first stage. */
void event_guest_change_stream(EventGuest *g);

/* Mask the interrupt; unmask it and look at the queue. */
void event_guest_mask(EventGuest *g);

/* Acknowledge that the queue was not in memory, if so. */
void event_guest_acknowledge_abort(EventGuest *g);

/* One of these at random, and the acknowledgement. */
void event_guest_vcpu_step(EventGuest *g);

/* ---- The monitor ---- */

/**
 * event_guest_set_gone() - port @i was unplugged (@gone), or will be plugged in
 *
 * What was delivered before is read first, so that nothing of it comes after.
 */
void event_guest_set_gone(EventGuest *g, unsigned i, bool gone);

/* ---- Quiet ---- */

/* An event in the ring that no interrupt has told of would wait for ever. */
void event_guest_check_told(EventGuest *g);

/* Read what there is. Return: how much. */
unsigned event_guest_consume_all(EventGuest *g);

/* The queue is gone, and what is in the ring is the last. */
void event_guest_leave_ring(EventGuest *g);

/* What was delivered is what the guest got. */
void event_guest_check(EventGuest *g);

#endif
