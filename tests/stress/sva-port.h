/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SvaPort: a slot with an emulated SVA device in it, or without one, in the
 * storm. What the device keeps is under its dev_lock, which it holds when it
 * asks for pages and when it hears of answers.
 *
 * Threads: as said with each. Responses come on an IOThread of its own.
 * Locks:   SvaPort::lock, LOCK_RANK_DEVICE: the dev_lock.
 */
#ifndef TESTS_STRESS_SVA_PORT_H
#define TESTS_STRESS_SVA_PORT_H

#include "big-lock.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct SvaPort SvaPort;
struct StormUnit;

/* Without a device. @unit: borrowed */
SvaPort *sva_port_new(struct StormUnit *unit, uint16_t rid, guint32 seed);

/* Unplugs, if need be. */
void sva_port_free(SvaPort *port);

/* The device's thread, a GateThread's step: translate, and ask for pages. */
void sva_port_step(void *opaque);

/* Wake it up, if it sleeps. */
void sva_port_kick(SvaPort *port);

/* A vCPU writes the device's register: it may ask for pages right there. */
void sva_port_mmio(SvaPort *port, GRand *rand) REQUIRES(&big_lock);

/* By one monitor thread, with the big lock or without. */
bool sva_port_is_plugged(SvaPort *port);
void sva_port_plug(SvaPort *port);
void sva_port_unplug(SvaPort *port);

/* Responses that are on their way have arrived when this returns. */
void sva_port_settle(SvaPort *port);

/* Groups that have not come back. Any thread. */
unsigned sva_port_out(SvaPort *port);

#endif
