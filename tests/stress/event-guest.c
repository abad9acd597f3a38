/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "event-guest.h"

#include "cmdq-fixture.h"

#include "hw/arm/smmuv3-internal.h"

#include <errno.h>

#define LOG2_CMDQ 4
#define BATCH 64
#define LAZY_BATCH 3
#define LAZY_STEPS 8

/* V, and Config: abort, bypass, first stage. */
#define STE_ABORT (1 | 0 << 1)
#define STE_BYPASS (1 | 4 << 1)
#define STE_STAGE1 (1 | 5 << 1)

/* ---- Events ---- */

/* Events of one reporter come in its order; some may be missing. */
static void check_event_locked(EventGuest *g, const uint64_t *event)
    REQUIRES(&g->lock)
{
    uint64_t tag = event[2] >> EVENT_TAG_SHIFT;
    uint32_t port = (event[0] >> 32) - EVENT_FIRST_SID;

    g_assert_cmpuint(event[0] & 0xff, ==, 0x10);
    g_assert_cmpuint(port, <, EVENT_PORTS);
    g_assert_false(g->gone[port]);
    g_assert_cmpuint(tag, <, EVENT_PORTS);
    g_assert_cmpuint(event[2], >, g->seen[tag]);
    g->seen[tag] = event[2];
}

static int64_t interrupts(EventGuest *g)
{
    return atomic_load(&g->f->irq.pulses[SMMUV3_IRQ_EVENTQ]);
}

static unsigned consume_locked(EventGuest *g, unsigned max) REQUIRES(&g->lock)
{
    uint64_t event[4];
    unsigned count = 0;

    g->told = -1;
    while (count < max) {
        int64_t before = interrupts(g);

        if (!guest_consume(g->f, event)) {
            /* Whatever is published after that has an interrupt. */
            g->told = before;
            break;
        }
        check_event_locked(g, event);
        count++;
    }
    g->consumed += count;
    return count;
}

static GuestRing ring_get(Fixture *f)
{
    return (GuestRing){
        .log2size = FIELD_GET(guest_read64(f, A_EVENTQ_BASE), Q_BASE,
                              LOG2SIZE),
        .prod = guest_read(f, A_EVENTQ_PROD),
        .cons = guest_read(f, A_EVENTQ_CONS),
    };
}

static void acknowledge_overflow_locked(EventGuest *g) REQUIRES(&g->lock)
{
    const uint32_t flag = FIELD_MASK(EVENTQ_PROD, OVFLG);
    uint32_t prod = guest_read(g->f, A_EVENTQ_PROD);
    uint32_t cons = guest_read(g->f, A_EVENTQ_CONS);

    if ((prod ^ cons) & flag) {
        guest_write(g->f, A_EVENTQ_CONS, cons ^ flag);
    }
}

/* ---- The handler ---- */

static unsigned consume_some(EventGuest *g, unsigned max)
{
    unsigned count;

    lock_acquire(&g->lock);
    count = consume_locked(g, max);
    acknowledge_overflow_locked(g);
    lock_release(&g->lock);
    return count;
}

static void await_bell(sem_t *bell)
{
    while (sem_wait(bell) < 0) {
        g_assert_cmpint(errno, ==, EINTR);
    }
    while (sem_trywait(bell) == 0) {
        continue;
    }
}

void event_guest_handler_step(void *opaque)
{
    EventGuest *g = opaque;
    unsigned max = g->lazy ? LAZY_BATCH : BATCH;

    await_bell(&g->bell);
    while (!gate_is_closed(g->gate) && consume_some(g, max) > 0) {
        gate_step(g->gate);
        if (g->lazy) {
            gate_await_steps(g->gate, g_rand_int_range(g->handler_rand, 1,
                                                       LAZY_STEPS));
        }
    }
}

static void ring_bell(void *opaque)
{
    EventGuest *g = opaque;

    sem_post(&g->bell);
}

void event_guest_kick(EventGuest *g)
{
    ring_bell(g);
}

/* ---- The vCPU ---- */

/* What came while the queue or its interrupt was off, nobody tells of. */
static void look_again_locked(EventGuest *g) REQUIRES(&g->lock)
{
    g->told = -1;
    event_guest_kick(g);
}

static void start_locked(EventGuest *g, unsigned log2) REQUIRES(&g->lock)
{
    guest_start(g->f, log2, LOG2_CMDQ);
    look_again_locked(g);
}

void event_guest_start(EventGuest *g, unsigned log2)
{
    lock_acquire(&g->lock);
    start_locked(g, log2);
    lock_release(&g->lock);
}

static uint64_t delivered(EventGuest *g)
{
    return viommu_get_stats(g->f->viommu).delivered;
}

/* The queue is off: what was delivered is where the guest can find it. */
static void leave_ring_locked(EventGuest *g) REQUIRES(&g->lock)
{
    GuestRing ring = ring_get(g->f);

    g->left += guest_ring_used(&ring);
    g_assert_cmpuint(g->consumed + g->left, ==, delivered(g));
}

void event_guest_resize(EventGuest *g, unsigned log2)
{
    Fixture *f = g->f;

    /* Without the lock: the handler goes on meanwhile. */
    guest_disable_eventq(f);
    lock_acquire(&g->lock);
    leave_ring_locked(g);
    guest_write(f, A_EVENTQ_PROD, 0);
    guest_write(f, A_EVENTQ_CONS, 0);
    guest_write64(f, A_EVENTQ_BASE, GUEST_EVENTQ | log2);
    lock_release(&g->lock);

    guest_write(f, A_CR0, guest_read(f, A_CR0) | FIELD_MASK(CR0, EVENTQEN));
    g_assert_cmphex(guest_read(f, A_CR0ACK), ==, guest_read(f, A_CR0));
    lock_acquire(&g->lock);
    look_again_locked(g);
    lock_release(&g->lock);
    counter_add(&g->enables, 1);
}

/*
 * A reset takes the indices away, so it is the counter that says how many were
 * left: each must be in memory, behind what was consumed.
 */
static void reset_locked(EventGuest *g) REQUIRES(&g->lock)
{
    GuestRing ring = ring_get(g->f);
    uint64_t left;

    viommu_reset(g->f->viommu);
    left = delivered(g) - g->consumed - g->left;
    g_assert_cmpuint(left, <=, guest_ring_size(&ring));
    for (uint64_t i = 0; i < left; i++) {
        uint64_t event[4];

        guest_words_load(event,
                         guest_words(g->f, GUEST_EVENTQ +
                                     guest_ring_index(&ring, ring.cons + i) *
                                         SMMUV3_EVENT_BYTES), 4);
        check_event_locked(g, event);
    }
    g->left += left;
}

void event_guest_reset(EventGuest *g, unsigned log2)
{
    lock_acquire(&g->lock);
    reset_locked(g);
    start_locked(g, log2);
    lock_release(&g->lock);
    counter_add(&g->resets, 1);
}

void event_guest_toggle(EventGuest *g)
{
    guest_write(g->f, A_CR0,
                guest_read(g->f, A_CR0) ^ FIELD_MASK(CR0, SMMUEN));
}

void event_guest_change_stream(EventGuest *g)
{
    static const uint64_t words[] = { STE_ABORT, STE_BYPASS, STE_STAGE1 };
    uint32_t port = g_rand_int_range(g->rand, 0, EVENT_PORTS);

    cmdq_set_ste(g->f, EVENT_FIRST_SID + port,
                 words[g_rand_int_range(g->rand, 0, G_N_ELEMENTS(words))], 0);
}

void event_guest_mask(EventGuest *g)
{
    uint32_t irq_ctrl = guest_read(g->f, A_IRQ_CTRL);

    lock_acquire(&g->lock);
    g->told = -1;
    guest_write(g->f, A_IRQ_CTRL,
                irq_ctrl & ~FIELD_MASK(IRQ_CTRL, EVENTQ_IRQEN));
    lock_release(&g->lock);
    gate_await_steps(g->gate, g_rand_int_range(g->rand, 1, 8));
    lock_acquire(&g->lock);
    guest_write(g->f, A_IRQ_CTRL, irq_ctrl);
    look_again_locked(g);
    lock_release(&g->lock);
}

void event_guest_acknowledge_abort(EventGuest *g)
{
    uint32_t gerror = guest_read(g->f, A_GERROR);
    uint32_t active = gerror ^ guest_read(g->f, A_GERRORN);

    if (active & FIELD_MASK(GERROR, EVENTQ_ABT_ERR)) {
        guest_write(g->f, A_GERRORN, gerror);
        counter_add(&g->aborts, 1);
    }
}

void event_guest_vcpu_step(EventGuest *g)
{
    unsigned log2 = g_rand_int_range(g->rand, 0, EVENT_MAX_LOG2 + 1);

    event_guest_acknowledge_abort(g);
    switch (g_rand_int_range(g->rand, 0, 8)) {
    case 0:
        event_guest_reset(g, log2);
        break;
    case 1:
        event_guest_toggle(g);
        break;
    case 2:
    case 3:
        event_guest_change_stream(g);
        break;
    case 4:
        event_guest_mask(g);
        break;
    default:
        event_guest_resize(g, log2);
        break;
    }
}

/* ---- The monitor ---- */

static void nothing_bh(void *opaque)
{
}

void event_guest_set_gone(EventGuest *g, unsigned i, bool gone)
{
    /* What a turn under way has read may be published still. */
    aio_wait_bh_oneshot(g->f->ctx, nothing_bh, NULL);
    lock_acquire(&g->lock);
    /* There cannot be more than a full ring of it. */
    consume_locked(g, 1u << EVENT_MAX_LOG2);
    g->gone[i] = gone;
    if (g->told < 0) {
        event_guest_kick(g);
    }
    lock_release(&g->lock);
}

/* ---- Quiet ---- */

void event_guest_check_told(EventGuest *g)
{
    GuestRing ring = ring_get(g->f);

    if (!guest_ring_empty(&ring) && g->told >= 0) {
        g_assert_cmpint(interrupts(g), >, g->told);
    }
}

unsigned event_guest_consume_all(EventGuest *g)
{
    unsigned count = 0;
    unsigned some;

    lock_acquire(&g->lock);
    while ((some = consume_locked(g, BATCH)) > 0) {
        count += some;
    }
    acknowledge_overflow_locked(g);
    lock_release(&g->lock);
    return count;
}

void event_guest_leave_ring(EventGuest *g)
{
    lock_acquire(&g->lock);
    leave_ring_locked(g);
    lock_release(&g->lock);
}

void event_guest_check(EventGuest *g)
{
    ViommuStats stats = viommu_get_stats(g->f->viommu);

    g_assert_cmpuint(g->consumed + g->left, ==, stats.delivered);
    g_assert_cmpuint(interrupts(g), ==, stats.interrupts);
    g_assert_cmpuint(stats.malformed, ==, 0);
}

/* ---- Life ---- */

void event_guest_init(EventGuest *g, Fixture *f, Gate *gate, GRand *seeds)
{
    g->f = f;
    g->gate = gate;
    g->rand = g_rand_new_with_seed(g_rand_int(seeds));
    g->handler_rand = g_rand_new_with_seed(g_rand_int(seeds));
    g->told = -1;
    sem_init(&g->bell, 0, 0);
    lock_init(&g->lock, LOCK_RANK_GUEST);
    f->irq.raised = ring_bell;
    f->irq.opaque = g;
}

void event_guest_destroy(EventGuest *g)
{
    g->f->irq.raised = NULL;
    lock_destroy(&g->lock);
    sem_destroy(&g->bell);
    g_rand_free(g->handler_rand);
    g_rand_free(g->rand);
}
