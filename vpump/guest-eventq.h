/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GuestEventq: the guest's end of an SMMUv3 event queue, and the thread that
 * empties it as Linux's does: all entries up to the producer index, the
 * consumer index written after each, again until there are none, and then an
 * acknowledgement if the overflow flag has toggled. The same thread handles
 * global errors.
 *
 * Threads: created, changed, stopped and freed by one thread; counts and
 *          latency on any thread, exact once stopped.
 * Locks:   none.
 */
#ifndef VPUMP_GUEST_EVENTQ_H
#define VPUMP_GUEST_EVENTQ_H

#include "guest-smmuv3.h"

typedef struct GuestEventq GuestEventq;

/**
 * guest_eventq_new() - allocate a queue of 2^@log2size entries
 *
 * Return: the queue, without its thread, or NULL and @error set.
 */
GuestEventq *guest_eventq_new(Viommu *viommu, GuestRam *ram, unsigned log2size,
                              GError **error);

/* Context: stopped, or never started. NULL is ignored. */
void guest_eventq_free(GuestEventq *queue);

/* For EVENTQ_BASE: address and log2 of the size. */
uint64_t guest_eventq_get_base(const GuestEventq *queue);

/* What the records are. Context: before the start. */
void guest_eventq_expect(GuestEventq *queue, const GuestRecords *records);

/* Records of @sid are to be expected. Context: before the start. */
void guest_eventq_add_device(GuestEventq *queue, uint32_t sid);

/**
 * guest_eventq_start() - start the thread
 * @irq: a sink of eventfds that the vIOMMU raises
 *
 * Return: false and @error set if there is no thread or fd to be had.
 */
bool guest_eventq_start(GuestEventq *queue, IrqSink *irq, GError **error);

/* Consume what is there, then end the thread, unless it has ended. */
void guest_eventq_stop(GuestEventq *queue);

GuestSmmuv3Counts guest_eventq_get_counts(const GuestEventq *queue);

void guest_eventq_get_latency(const GuestEventq *queue,
                              HistogramSnapshot *latency);

#endif
