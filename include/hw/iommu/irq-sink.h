/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IrqSink: where a vIOMMU's interrupts go. Wired lines are edges; a message is
 * the guest's (address, data).
 *
 * Threads: raised on the iothread and on vCPU threads, under the ring_lock.
 * Locks:   an implementation must not block; it may take leaves only.
 */
#ifndef HW_IOMMU_IRQ_SINK_H
#define HW_IOMMU_IRQ_SINK_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct IrqSink IrqSink;

/**
 * struct IrqSinkOps - what an embedder provides
 * @pulse: an edge on wired line @line (the model's header numbers them)
 * @message: a 32-bit write of @data to @address, which is not guest RAM.
 *           Return false for an abort: nothing is there.
 */
typedef struct IrqSinkOps {
    void (*pulse)(IrqSink *sink, unsigned line);
    bool (*message)(IrqSink *sink, uint64_t address, uint32_t data);
} IrqSinkOps;

/* Base of the implementations' own structures. */
struct IrqSink {
    const IrqSinkOps *ops;      /* [const] */
};

/**
 * irq_sink_eventfd_new() - a sink of eventfds, one per line, as for irqfd
 * @lines: how many, 1 to 8
 * @doorbell: address whose messages pulse line @data; 0 for none
 *
 * A pulse adds 1 to the line's eventfd, which nobody needs to drain; a line
 * that is not there is ignored. A message to another address, or for a line
 * that is not there, aborts.
 *
 * Return: the sink, or NULL and @error set.
 */
IrqSink *irq_sink_eventfd_new(unsigned lines, uint64_t doorbell,
                              GError **error);

/* The eventfd of @line, close-on-exec and non-blocking; borrowed. */
int irq_sink_eventfd_get(IrqSink *sink, unsigned line);

/* Context: nobody raises any more. NULL is ignored. */
void irq_sink_eventfd_free(IrqSink *sink);

#endif
