/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-irq.h"

#include "bench.h"

#include <sys/eventfd.h>
#include <unistd.h>
#include <urcu/compiler.h>

void peer_irq_raise(PeerIrq *irq)
{
    const uint64_t one = 1;
    unsigned count = atomic_load_explicit(&irq->count, memory_order_relaxed);
    ssize_t ret = write(irq->fd, &one, sizeof(one));

    g_assert(ret == sizeof(one));
    atomic_store_explicit(&irq->raised_ns, bench_now_ns(),
                          memory_order_relaxed);
    /* Release: whoever sees the count (acquire) sees when. */
    atomic_store_explicit(&irq->count, count + 1, memory_order_release);
}

static void irq_pulse(IrqSink *sink, unsigned line)
{
    peer_irq_raise(caa_container_of(sink, PeerIrq, parent));
}

static bool irq_message(IrqSink *sink, uint64_t address, uint32_t data)
{
    return false;               /* no guest here asks for messages */
}

void peer_irq_init(PeerIrq *irq)
{
    static const IrqSinkOps ops = {
        .pulse = irq_pulse,
        .message = irq_message,
    };

    irq->parent.ops = &ops;
    irq->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_assert(irq->fd >= 0);
}

void peer_irq_destroy(PeerIrq *irq)
{
    close(irq->fd);
}
