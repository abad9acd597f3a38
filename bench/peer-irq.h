/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PeerIrq: an IrqSink that pays for an interrupt, by a write to an eventfd as
 * irqfd has it, and notes when it has come.
 *
 * Threads: raised on the peer's, looked at on the main thread.
 * Locks:   none.
 */
#ifndef BENCH_PEER_IRQ_H
#define BENCH_PEER_IRQ_H

#include "hw/iommu/irq-sink.h"

#include <stdatomic.h>

/**
 * struct PeerIrq - zeroed before peer_irq_init()
 * @raised_ns: when the last one came
 * @count: how many; set after @raised_ns (release)
 */
typedef struct PeerIrq {
    IrqSink parent;
    int fd;                     /* [const] */
    _Atomic int64_t raised_ns;
    atomic_uint count;
} PeerIrq;

void peer_irq_init(PeerIrq *irq);
void peer_irq_destroy(PeerIrq *irq);

/* For peers that have no IrqSink. */
void peer_irq_raise(PeerIrq *irq);

#endif
