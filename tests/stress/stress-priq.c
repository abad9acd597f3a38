/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page requests through an SMMUv3's PRI queue, which has one to 16 entries. At
 * once, and on an IOThread of its own:
 *
 *   two devices     a thread each, which asks for pages while it holds its
 *                   dev_lock; the responses' handler takes that, too
 *   vCPU            the guest's handler: reads the queue, responds, sometimes
 *                   twice, or to strangers, acknowledges overflows; switches
 *                   the queue off and on, and resets the SMMU
 *   monitor         unplugs the devices and plugs them in
 *
 * At quiet points every group has come back exactly once, with the guest's own
 * code or one of the SMMU's, of which there are not more than it has counted;
 * and no request waits in the queue without an interrupt.
 */
#include "priq-fixture.h"
#include "race.h"

#include "base/counter.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>

#define DEVICES 2
#define FIRST_SID 0x20
#define GROUPS 8
#define PAGES 3
#define CREDITS 12
#define PASIDS 3                /* 0: without one */
#define LOG2_CMDQ 6
#define MOST_LOG2 4
#define MAX_SETTLING 1000
#define PLUG_STEPS 16

/* 4.5.2 */
enum { RESP_FAILURE, RESP_INVALID, RESP_SUCCESS };

typedef struct PriRace PriRace;

typedef struct PortGroup {
    SvaGroup group;
    bool out;
    Pgfault pages[PAGES];
} PortGroup;

/**
 * struct Port - where a device is plugged in, or is not
 * @lock: the dev_lock
 * @handle: NULL while unplugged. [lock]
 * @raised, @back, @markers, @odd_success, @even_failed: [lock]
 */
typedef struct Port {
    PriRace *race;
    uint32_t sid;
    Lock lock;
    SvaDevice *handle;
    PortGroup groups[GROUPS];   /* [lock] */
    unsigned out;               /* [lock] */
    uint64_t raised;
    uint64_t back;
    uint64_t markers;
    uint64_t odd_success;
    uint64_t even_failed;
    GRand *rand;                /* [lock] */
} Port;

struct PriRace {
    Gate *gate;
    Fixture *f;
    IOThread *devices;          /* where responses arrive */
    Port ports[DEVICES];
    sem_t bell;
    GRand *rand;                /* the vCPU's */
    GRand *monitor_rand;
    int64_t told;               /* the vCPU's: as EventGuest's */
    uint64_t responses;
    uint64_t resets;
    uint64_t plugs;             /* the monitor's */
};

static uint64_t overflows;

static bool once_in(GRand *rand, gint32 n)
{
    return g_rand_int_range(rand, 0, n) == 0;
}

/* ---- Devices ---- */

static PortGroup *free_group_locked(Port *port) REQUIRES(&port->lock)
{
    for (unsigned i = 0; i < GROUPS; i++) {
        if (!port->groups[i].out) {
            return &port->groups[i];
        }
    }
    return NULL;
}

static void fill_group_locked(Port *port, PortGroup *g) REQUIRES(&port->lock)
{
    uint32_t pasid = g_rand_int_range(port->rand, 0, PASIDS);

    g->group = (SvaGroup){
        .pasid = pasid ? pasid : PAGE_REQUEST_NO_PASID,
        /* Now and then another one's, which ends then. */
        .index = once_in(port->rand, 32)
                     ? (uint32_t)g_rand_int_range(port->rand, 0, GROUPS)
                     : (uint32_t)(g - port->groups),
        .count = g_rand_int_range(port->rand, 1, PAGES + 1),
        .pages = g->pages,
    };
    for (unsigned i = 0; i < PAGES; i++) {
        g->pages[i] = (Pgfault){ (uint64_t)i << 12, PGFAULT_PERM_READ };
    }
    if (once_in(port->rand, 32)) {
        g->group.pasid = 1;
        g->group.count = 1;
        g->group.stop_marker = true;
        g->pages[0] = (Pgfault){ 0 };
    }
}

/* Return: whether it could. */
static bool ask_locked(Port *port) REQUIRES(&port->lock)
{
    PortGroup *g = port->handle ? free_group_locked(port) : NULL;
    bool marker;

    if (!g) {
        return false;
    }
    fill_group_locked(port, g);
    marker = g->group.stop_marker;
    if (!viommu_page_request(port->handle, &g->group)) {
        return false;
    }
    /* The response may be on its way, but needs the lock. */
    g->out = true;
    port->out++;
    port->raised += !marker;
    return true;
}

static void device_step(void *opaque)
{
    Port *port = opaque;
    bool asked;

    lock_acquire(&port->lock);
    asked = ask_locked(port);
    lock_release(&port->lock);
    gate_step(port->race->gate);
    if (!asked) {
        sched_yield();
    }
}

/* The guest says Success to even ones, Invalid Request to odd ones. */
static void note_code_locked(Port *port, const SvaGroup *group)
    REQUIRES(&port->lock)
{
    if (group->index % 2 == 0) {
        port->even_failed += group->code != PAGE_RESPONSE_SUCCESS;
    } else {
        port->odd_success += group->code == PAGE_RESPONSE_SUCCESS;
    }
}

static void responded(void *opaque, SvaGroup *group)
{
    Port *port = opaque;
    PortGroup *g = caa_container_of(group, PortGroup, group);

    lock_acquire(&port->lock);
    g_assert_true(g->out);
    g->out = false;
    port->out--;
    if (group->stop_marker) {
        port->markers++;
    } else {
        port->back++;
        note_code_locked(port, group);
    }
    lock_release(&port->lock);
}

/* ---- The monitor ---- */

static void plug(Port *port)
{
    const SvaDeviceConfig config = {
        .name = "sva",
        .virt_id = port->sid,
        .ctx = iothread_get_aio_context(port->race->devices),
        .credits = CREDITS,
        .responded = responded,
        .opaque = port,
    };
    GError *error = NULL;
    SvaDevice *device = viommu_add_sva_device(port->race->f->viommu, &config,
                                              &error);

    g_assert_no_error(error);
    lock_acquire(&port->lock);
    port->handle = device;
    lock_release(&port->lock);
    port->race->plugs++;
}

/* Return: false if it was not plugged in. */
static bool unplug(Port *port)
{
    SvaDevice *device;

    lock_acquire(&port->lock);
    device = g_steal_pointer(&port->handle);
    lock_release(&port->lock);
    if (!device) {
        return false;
    }
    viommu_remove_sva_device(device);
    g_assert_cmpuint(port->out, ==, 0);
    return true;
}

static void monitor_step(void *opaque)
{
    PriRace *r = opaque;
    Port *port = &r->ports[g_rand_int_range(r->monitor_rand, 0, DEVICES)];

    if (!unplug(port)) {
        plug(port);
    }
    gate_await_steps(r->gate, g_rand_int_range(r->monitor_rand, 1, PLUG_STEPS));
}

/* ---- The guest ---- */

static void respond(PriRace *r, uint32_t sid, uint32_t pasid, uint32_t index)
{
    priq_respond(r->f, sid, pasid, index,
                 index % 2 ? RESP_INVALID : RESP_SUCCESS);
    r->responses++;
}

static void answer(PriRace *r, const uint64_t ppr[2])
{
    uint32_t pasid = ppr[0] & PPR_SSV ? ppr[0] >> 32 & 0xfffff : NO_PASID;

    if (!(ppr[0] & PPR_LAST) || !(ppr[0] & (PPR_R | PPR_W))) {
        return;                 /* Stop Markers want nothing, and no answer */
    }
    respond(r, ppr[0], pasid, ppr[1] & 0x1ff);
    if (once_in(r->rand, 16)) {
        respond(r, ppr[0], pasid, ppr[1] & 0x1ff);
    }
    if (once_in(r->rand, 32)) {
        respond(r, FIRST_SID + g_rand_int_range(r->rand, 0, DEVICES + 1),
                g_rand_int_range(r->rand, 0, PASIDS),
                g_rand_int_range(r->rand, 0, 512));
    }
}

static int64_t interrupts(PriRace *r)
{
    return atomic_load(&r->f->irq.pulses[SMMUV3_IRQ_PRIQ]);
}

static void nothing_bh(void *opaque)
{
}

/* As Linux does: all are answered, then there is room. */
static void serve_lump(PriRace *r)
{
    uint32_t cons = guest_read(r->f, A_PRIQ_CONS);
    GuestRing ring = {
        .log2size = FIELD_GET(guest_read64(r->f, A_PRIQ_BASE), Q_BASE,
                              LOG2SIZE),
        .prod = guest_read(r->f, A_PRIQ_PROD),
        .cons = cons,
    };

    while (!guest_ring_empty(&ring)) {
        uint64_t ppr[2];

        guest_words_load(ppr,
                         guest_words(r->f, GUEST_PRIQ +
                                     guest_ring_index(&ring, ring.cons) *
                                         SMMUV3_PPR_BYTES), 2);
        answer(r, ppr);
        ring.cons = guest_ring_advance(&ring, ring.cons, 1);
    }
    if (once_in(r->rand, 2)) {
        /* The answers are through: only CONS can make what waits go on. */
        aio_wait_bh_oneshot(r->f->ctx, nothing_bh, NULL);
    }
    guest_write(r->f, A_PRIQ_CONS,
                (cons & FIELD_MASK(PRIQ_CONS, OVACKFLG)) | ring.cons);
}

/* Another overflow may follow at once. */
static void acknowledge_overflow(PriRace *r)
{
    if (priq_overflow_is_active(r->f)) {
        guest_write(r->f, A_PRIQ_CONS,
                    guest_read(r->f, A_PRIQ_CONS) ^ PRIQ_OVFLG);
    }
}

static void serve(PriRace *r)
{
    uint64_t ppr[2];

    if (once_in(r->rand, 2)) {
        serve_lump(r);
    }
    r->told = interrupts(r);
    while (guest_consume_ppr(r->f, ppr)) {
        answer(r, ppr);
        r->told = interrupts(r);
    }
    acknowledge_overflow(r);
    cmdq_assert_done(r->f);
}

static void restart(PriRace *r)
{
    unsigned log2 = g_rand_int_range(r->rand, 0, MOST_LOG2 + 1);

    if (once_in(r->rand, 2)) {
        viommu_reset(r->f->viommu);
        guest_start_priq(r->f, 2, LOG2_CMDQ, log2);
        r->resets++;
    } else {
        guest_disable_priq(r->f);
        serve(r);               /* what is in it is the last of it */
        guest_enable_priq(r->f, log2);
    }
    /* What came before the interrupt was on again, nobody tells of. */
    r->told = -1;
    sem_post(&r->bell);
}

/* A request in the queue that no interrupt has told of would wait for ever. */
static void check_told(PriRace *r)
{
    uint32_t pending = (guest_read(r->f, A_PRIQ_PROD) ^
                        guest_read(r->f, A_PRIQ_CONS)) & ~PRIQ_OVFLG;

    if (pending && r->told >= 0) {
        g_assert_cmpint(interrupts(r), >, r->told);
    }
}

static void vcpu_step(void *opaque)
{
    PriRace *r = opaque;

    while (sem_wait(&r->bell) < 0) {
        g_assert_cmpint(errno, ==, EINTR);
    }
    if (gate_is_closed(r->gate)) {
        check_told(r);          /* somebody else has rung, perhaps */
    }
    serve(r);
    if (once_in(r->rand, 16) && !gate_is_closed(r->gate)) {
        restart(r);
    }
    gate_step(r->gate);
}

static void ring_bell(void *opaque)
{
    PriRace *r = opaque;

    sem_post(&r->bell);
}

/* ---- The round ---- */

static void init_port(PriRace *r, unsigned i, GRand *seeds)
{
    Port *port = &r->ports[i];

    port->race = r;
    port->sid = FIRST_SID + i;
    port->rand = g_rand_new_with_seed(g_rand_int(seeds));
    lock_init(&port->lock, LOCK_RANK_DEVICE);
    plug(port);
}

static void *pri_setup(RaceRun *run)
{
    PriRace *r = g_new0(PriRace, 1);
    GError *error = NULL;

    r->gate = &run->gate;
    r->rand = g_rand_new_with_seed(g_rand_int(run->rand));
    r->monitor_rand = g_rand_new_with_seed(g_rand_int(run->rand));
    r->f = fixture_new(&PRIQ_PROPERTIES, true);
    r->devices = iothread_new("sva", NULL, &error);
    g_assert_no_error(error);
    sem_init(&r->bell, 0, 0);
    r->f->irq.raised = ring_bell;
    r->f->irq.opaque = r;
    r->told = -1;
    guest_start_priq(r->f, 2, LOG2_CMDQ,
                     g_rand_int_range(r->rand, 0, MOST_LOG2 + 1));
    for (unsigned i = 0; i < DEVICES; i++) {
        init_port(r, i, run->rand);
        gate_add_thread(&run->gate, "device", device_step, &r->ports[i]);
    }
    gate_add_thread(&run->gate, "vcpu", vcpu_step, r);
    gate_add_thread(&run->gate, "monitor", monitor_step, r);
    return r;
}

static void pri_kick(void *opaque)
{
    ring_bell(opaque);
}

static unsigned count_out(PriRace *r)
{
    unsigned out = 0;

    for (unsigned i = 0; i < DEVICES; i++) {
        lock_acquire(&r->ports[i].lock);
        out += r->ports[i].out;
        lock_release(&r->ports[i].lock);
    }
    return out;
}

/* Serve until everything has come back. */
static void settle(PriRace *r)
{
    AioContext *devices = iothread_get_aio_context(r->devices);

    for (unsigned i = 0; i < MAX_SETTLING && count_out(r) > 0; i++) {
        serve(r);
        aio_wait_bh_oneshot(r->f->ctx, nothing_bh, NULL);
        aio_wait_bh_oneshot(devices, nothing_bh, NULL);
    }
    g_assert_cmpuint(count_out(r), ==, 0);
    serve(r);
    aio_wait_bh_oneshot(r->f->ctx, nothing_bh, NULL);
}

static void pri_check(void *opaque)
{
    PriRace *r = opaque;
    ViommuPageStats pages;
    Port sum = { 0 };

    settle(r);
    pages = viommu_get_page_stats(r->f->viommu);
    for (unsigned i = 0; i < DEVICES; i++) {
        sum.raised += r->ports[i].raised;
        sum.back += r->ports[i].back;
        sum.markers += r->ports[i].markers;
        sum.odd_success += r->ports[i].odd_success;
        sum.even_failed += r->ports[i].even_failed;
    }
    g_assert_cmpuint(sum.back, ==, sum.raised);
    g_assert_cmpuint(pages.raised, ==, sum.raised);
    g_assert_cmpuint(pages.open, ==, 0);
    g_assert_cmpuint(pages.raised, ==,
                     pages.answered + pages.invalid + pages.retried);
    g_assert_cmpuint(pages.markers, ==, sum.markers);
    g_assert_cmpuint(r->responses, ==, pages.answered + pages.stray);
    g_assert_cmpuint(sum.odd_success, <=, pages.retried);
    g_assert_cmpuint(sum.even_failed, <=, pages.invalid);
}

static void pri_teardown(void *opaque, RaceRun *run)
{
    PriRace *r = opaque;

    overflows += viommu_get_page_stats(r->f->viommu).overflows;
    for (unsigned i = 0; i < DEVICES; i++) {
        Port *port = &r->ports[i];

        unplug(port);
        run->counts.groups += port->raised;
        g_assert_cmpuint(port->back, ==, port->raised);
        lock_destroy(&port->lock);
        g_rand_free(port->rand);
    }
    run->counts.plugs += r->plugs;
    run->counts.resets += r->resets;
    r->f->irq.raised = NULL;
    fixture_free(r->f);
    iothread_stop(r->devices);
    sem_destroy(&r->bell);
    g_rand_free(r->rand);
    g_rand_free(r->monitor_rand);
    g_free(r);
}

static void pri_end(void)
{
    g_test_message("%" G_GUINT64_FORMAT " overflows", overflows);
}

int main(int argc, char **argv)
{
    static const Race race = {
        .name = "priq",
        .quiet_points = 8,
        .stride = 2000,
        .setup = pri_setup,
        .kick = pri_kick,
        .check = pri_check,
        .teardown = pri_teardown,
        .least = { .groups = 1, .plugs = DEVICES + 1, .resets = 1 },
        .end = pri_end,
    };

    return race_main(argc, argv, &race);
}
