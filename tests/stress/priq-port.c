/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A group's index is its place in groups[]. The guest says Success to even ones
 * and Invalid to odd ones, so that an answer to another group shows.
 */
#include "priq-port.h"

#include "base/rcu.h"

#define PASIDS 4

static const Pgfault pages[PRIQ_PORT_PAGES] = {
    { 0x1000, PGFAULT_PERM_READ },
    { 0x2000, PGFAULT_PERM_READ | PGFAULT_PERM_WRITE },
    { 0x3000, PGFAULT_PERM_READ },
};

static void ask_locked(PriqPort *port) REQUIRES(&port->lock)
{
    unsigned i = g_bit_nth_lsf(~port->out, -1);
    uint32_t pasid = g_rand_int_range(port->rand, 0, PASIDS);

    port->groups[i] = (SvaGroup){
        .pasid = pasid ? pasid : PAGE_REQUEST_NO_PASID,
        .index = i,
        .count = g_rand_int_range(port->rand, 1, PRIQ_PORT_PAGES + 1),
        .pages = pages,
    };
    /* Before: the response may be there first, but needs the lock. */
    port->out |= 1u << i;
    g_assert_true(viommu_page_request(port->device, &port->groups[i]));
    port->raised++;
}

void priq_port_step(void *opaque)
{
    PriqPort *port = opaque;

    lock_acquire(&port->lock);
    if (port->device && port->out != (1u << PRIQ_PORT_GROUPS) - 1) {
        ask_locked(port);
    } else if (!gate_is_closed(port->gate)) {
        /* For a response, a plug, or the gate. */
        lock_wait(&port->lock, &port->work);
    }
    lock_release(&port->lock);
}

/* In a bottom half of the device's own context. */
static void responded(void *opaque, SvaGroup *group)
{
    PriqPort *port = opaque;

    lock_acquire(&port->lock);
    g_assert_cmphex(port->out & 1u << group->index, !=, 0);
    port->out &= ~(1u << group->index);
    port->back++;
    g_assert_cmpuint(group->code, <=, PAGE_RESPONSE_INVALID);
    if (group->index & 1) {
        g_assert_cmpuint(group->code, ==, PAGE_RESPONSE_INVALID);
    } else {
        port->no_answer += group->code == PAGE_RESPONSE_INVALID;
    }
    pthread_cond_signal(&port->work);
    lock_release(&port->lock);
}

void priq_port_kick(PriqPort *port)
{
    lock_acquire(&port->lock);
    pthread_cond_broadcast(&port->work);
    lock_release(&port->lock);
}

static void nothing_bh(void *opaque)
{
}

void priq_port_settle(PriqPort *port)
{
    aio_wait_bh_oneshot(iothread_get_aio_context(port->iothread), nothing_bh,
                        NULL);
}

unsigned priq_port_out(PriqPort *port)
{
    unsigned out;

    lock_acquire(&port->lock);
    out = __builtin_popcount(port->out);
    lock_release(&port->lock);
    return out;
}

bool priq_port_is_plugged(PriqPort *port)
{
    bool plugged;

    lock_acquire(&port->lock);
    plugged = port->device;
    lock_release(&port->lock);
    return plugged;
}

void priq_port_plug(PriqPort *port)
{
    const SvaDeviceConfig config = {
        .name = "sva",
        .virt_id = port->sid,
        .ctx = iothread_get_aio_context(port->iothread),
        .credits = PRIQ_PORT_GROUPS * PRIQ_PORT_PAGES,
        .responded = responded,
        .opaque = port,
    };
    GError *error = NULL;
    SvaDevice *device = viommu_add_sva_device(port->viommu, &config, &error);

    g_assert_no_error(error);
    lock_acquire(&port->lock);
    port->device = device;
    pthread_cond_broadcast(&port->work);
    lock_release(&port->lock);
}

void priq_port_unplug(PriqPort *port)
{
    SvaDevice *device;

    lock_acquire(&port->lock);
    device = g_steal_pointer(&port->device);
    lock_release(&port->lock);
    /* Outside: it waits for the response handler, which takes the lock. */
    viommu_remove_sva_device(device);
    g_assert_cmpuint(priq_port_out(port), ==, 0);
}

void priq_port_init(PriqPort *port, Gate *gate, Viommu *viommu, uint32_t sid,
                    GRand *seeds)
{
    GError *error = NULL;

    port->gate = gate;
    port->viommu = viommu;
    port->sid = sid;
    port->rand = g_rand_new_with_seed(g_rand_int(seeds));
    lock_init(&port->lock, LOCK_RANK_DEVICE);
    pthread_cond_init(&port->work, NULL);
    port->iothread = iothread_new("sva", NULL, &error);
    g_assert_no_error(error);
}

void priq_port_destroy(PriqPort *port)
{
    iothread_stop(port->iothread);
    pthread_cond_destroy(&port->work);
    lock_destroy(&port->lock);
    g_rand_free(port->rand);
}
