/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The handle is read and cleared under the dev_lock; the removal is outside,
 * since the response handler, which it waits for, takes that lock.
 *
 * With NAIVE_ORDER a page request takes the big lock, as it has to where the
 * list of devices is the big lock's.
 */
#include "storm.h"
#include "storm-guest.h"

#include "base/rcu.h"
#include "hw/iommu/sva-device.h"

#include <sched.h>

#define GROUPS 16
#define PAGES 4
#define CREDITS (STORM_HUGE_PAGES + 32)

/* Group indices are the place in groups[], plus a multiple of GROUPS. */
#define INDEX_MULTIPLES 2

typedef struct PortGroup {
    SvaGroup group;
    bool out;
    Pgfault pages[PAGES];
} PortGroup;

/**
 * struct SvaPort - where an SVA device is plugged in, or is not
 * @lock: the dev_lock
 * @work: there may be something to do
 * @handle: for whoever asks; NULL while unplugged
 * @callback_handle: for the response handler, valid until the device is
 *                   removed. [lock]
 * @out: groups[] that have not come back. [lock]
 */
struct SvaPort {
    StormUnit *unit;
    uint16_t rid;
    IOThread *iothread;
    Lock lock;
    pthread_cond_t work;
    SvaDevice *handle GUARDED_BY(&lock);
    SvaDevice *callback_handle GUARDED_BY(&lock);
    unsigned out GUARDED_BY(&lock);
    unsigned doorbell GUARDED_BY(&lock);    /* the device's only register */
    PortGroup groups[GROUPS] GUARDED_BY(&lock);
    GRand *rand GUARDED_BY(&lock);
};

static const Pgfault huge_pages[STORM_HUGE_PAGES] = {
    [0 ... STORM_HUGE_PAGES - 1] = { .perm = PGFAULT_PERM_READ },
};

/* ---- Asking ---- */

static bool page_request(SvaDevice *device, SvaGroup *group)
{
#ifdef NAIVE_ORDER
    bool taken = big_lock_acquire_naively();
    bool raised = viommu_page_request(device, group);

    big_lock_release_if(taken);
    return raised;
#else
    return viommu_page_request(device, group);
#endif
}

static uint32_t random_pasid(GRand *rand)
{
    uint32_t pasid = g_rand_int_range(rand, 0, STORM_SVA_PASIDS);

    return pasid ? pasid : PAGE_REQUEST_NO_PASID;
}

static void fill_group_locked(SvaPort *port, PortGroup *g)
    REQUIRES(&port->lock)
{
    uint32_t place = g - port->groups;

    if (storm_once_in(port->rand, 32)) {
        /* Another one's, perhaps: that one ends then. */
        place = g_rand_int_range(port->rand, 0, GROUPS);
    }
    g->group = (SvaGroup){
        .pasid = random_pasid(port->rand),
        .index = place +
                 GROUPS * g_rand_int_range(port->rand, 0, INDEX_MULTIPLES),
        .count = g_rand_int_range(port->rand, 1, PAGES + 1),
        .pages = g->pages,
    };
    for (unsigned i = 0; i < PAGES; i++) {
        g->pages[i] = (Pgfault){
            .addr = STORM_IOVA * g_rand_int_range(port->rand, 0, 8),
            .perm = PGFAULT_PERM_READ |
                    (i & 1 ? PGFAULT_PERM_WRITE : PGFAULT_PERM_PRIV),
        };
    }
    if (storm_once_in(port->rand, port->unit->mix->huge)) {
        g->group.count = STORM_HUGE_PAGES;
        g->group.pages = huge_pages;
    } else if (storm_once_in(port->rand, 64)) {
        g->group.pasid = 1;
        g->group.count = 1;
        g->group.stop_marker = true;
        g->pages[0] = (Pgfault){ 0 };
    }
}

/* Return: false if there was no credit. */
static bool ask_locked(SvaPort *port, SvaDevice *device, PortGroup *g)
    REQUIRES(&port->lock)
{
    StormBooks *books = &port->unit->books;
    bool marker;

    fill_group_locked(port, g);
    marker = g->group.stop_marker;
    /* Before: the response may be there first, but needs the lock. */
    g->out = true;
    port->out++;
    if (page_request(device, &g->group)) {
        storm_count(&books->sva_raised, !marker);
        return true;
    }
    g->out = false;
    port->out--;
    storm_count(&books->no_credit, 1);
    return false;
}

static PortGroup *free_group_locked(SvaPort *port) REQUIRES(&port->lock)
{
    for (unsigned i = 0; i < GROUPS; i++) {
        if (!port->groups[i].out) {
            return &port->groups[i];
        }
    }
    return NULL;
}

/* Return: false if there is nothing to ask with. */
static bool ask_one_locked(SvaPort *port) REQUIRES(&port->lock)
{
    PortGroup *g = port->handle ? free_group_locked(port) : NULL;

    return g && ask_locked(port, port->handle, g);
}

/* ---- Translating ---- */

/*
 * Where the churned PASID leads to. In the section the translation may be used,
 * so the guest's invalidation of it cannot have completed.
 */
static void translate_locked(SvaPort *port) REQUIRES(&port->lock)
{
    StormUnit *unit = port->unit;
    uint64_t gpa;
    bool found;

    rcu_section_enter();
    found = viommu_translate(port->handle, STORM_SVA_PASIDS - 1, STORM_IOVA,
                             PGFAULT_PERM_READ, &gpa);
    if (found) {
        unsigned tree = gpa == STORM_TREE_PAGE(0) ? 0 : 1;

        if (storm_once_in(port->rand, 8)) {
            sched_yield();      /* it uses it for a while */
        }
        g_assert_cmphex(gpa, ==, STORM_TREE_PAGE(tree));
        g_assert_cmphex(atomic_load(&unit->sva_tables) & 1u << tree, !=, 0);
        storm_count(&unit->books.translations, 1);
    }
    rcu_section_leave();
}

/* ---- The device ---- */

/* In a bottom half of the device's own context. */
static void responded(void *opaque, SvaGroup *group)
{
    SvaPort *port = opaque;
    PortGroup *g = caa_container_of(group, PortGroup, group);

    lock_acquire(&port->lock);
    g_assert_true(g->out);
    g->out = false;
    port->out--;
    if (group->stop_marker) {
        storm_count(&port->unit->books.markers, 1);
    } else {
        storm_count(&port->unit->books.sva_back, 1);
        storm_note_code(port->unit, group->index, group->code);
    }
    /* Even while it is being removed; it has no credit then. */
    if (storm_once_in(port->rand, 4) && !gate_is_closed(port->unit->gate)) {
        ask_locked(port, port->callback_handle, g);
    }
    pthread_cond_signal(&port->work);
    lock_release(&port->lock);
}

void sva_port_step(void *opaque)
{
    SvaPort *port = opaque;
    bool asked;

    lock_acquire(&port->lock);
    if (port->handle) {
        translate_locked(port);
    }
    asked = ask_one_locked(port);
    if (!asked && !gate_is_closed(port->unit->gate)) {
        /* For a response, a plug, or the gate. */
        lock_wait(&port->lock, &port->work);
    }
    lock_release(&port->lock);
}

void sva_port_mmio(SvaPort *port, GRand *rand)
{
    lock_acquire(&port->lock);
    port->doorbell++;
    if (storm_once_in(rand, 2)) {
        ask_one_locked(port);
    }
    lock_release(&port->lock);
}

void sva_port_kick(SvaPort *port)
{
    lock_acquire(&port->lock);
    pthread_cond_broadcast(&port->work);
    lock_release(&port->lock);
}

static void nothing_bh(void *opaque)
{
}

void sva_port_settle(SvaPort *port)
{
    aio_wait_bh_oneshot(iothread_get_aio_context(port->iothread), nothing_bh,
                        NULL);
}

unsigned sva_port_out(SvaPort *port)
{
    unsigned out;

    lock_acquire(&port->lock);
    out = port->out;
    lock_release(&port->lock);
    return out;
}

/* ---- Plug and unplug, by the monitor ---- */

bool sva_port_is_plugged(SvaPort *port)
{
    bool plugged;

    lock_acquire(&port->lock);
    plugged = port->handle;
    lock_release(&port->lock);
    return plugged;
}

void sva_port_plug(SvaPort *port)
{
    const SvaDeviceConfig config = {
        .name = "sva",
        .virt_id = port->rid,
        .ctx = iothread_get_aio_context(port->iothread),
        .credits = CREDITS,
        .responded = responded,
        .opaque = port,
    };
    GError *error = NULL;
    SvaDevice *device = viommu_add_sva_device(port->unit->f->viommu, &config,
                                              &error);

    g_assert_no_error(error);
    lock_acquire(&port->lock);
    port->handle = device;
    port->callback_handle = device;
    pthread_cond_broadcast(&port->work);
    lock_release(&port->lock);
}

void sva_port_unplug(SvaPort *port)
{
    SvaDevice *device;

    lock_acquire(&port->lock);
    device = g_steal_pointer(&port->handle);
    lock_release(&port->lock);
    viommu_remove_sva_device(device);
    g_assert_cmpuint(sva_port_out(port), ==, 0);
}

SvaPort *sva_port_new(StormUnit *unit, uint16_t rid, guint32 seed)
{
    SvaPort *port = g_new0(SvaPort, 1);
    GError *error = NULL;

    lock_init(&port->lock, LOCK_RANK_DEVICE);
    port->unit = unit;
    port->rid = rid;
    port->rand = g_rand_new_with_seed(seed);
    pthread_cond_init(&port->work, NULL);
    port->iothread = iothread_new("sva", NULL, &error);
    g_assert_no_error(error);
    return port;
}

void sva_port_free(SvaPort *port)
{
    if (sva_port_is_plugged(port)) {
        sva_port_unplug(port);
    }
    iothread_stop(port->iothread);
    pthread_cond_destroy(&port->work);
    lock_destroy(&port->lock);
    g_rand_free(port->rand);
    g_free(port);
}
