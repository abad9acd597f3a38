/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "event-unit.h"

#include "failing-host.h"

#include "base/bits.h"
#include "host/iommufd-abi.h"

#include <sched.h>

#define BURST 32
#define MAX_REST_US 300
#define PLUG_STEPS 12
#define MAX_SETTLING 1000

/* ---- Hardware ---- */

void event_port_report(EventPort *port)
{
    uint64_t count = counter_get(&port->queued) + counter_get(&port->lost) + 1;
    HostIommu *host = port->unit->f->host;
    const uint64_t event[4] = {
        0x10, BIT(35), (uint64_t)port->index << EVENT_TAG_SHIFT | count, 0,
    };

    switch (host->hardware->report_event(host, atomic_load(&port->dev_id),
                                         event)) {
    case HARDWARE_QUEUED:
        counter_add(&port->queued, 1);
        break;
    case HARDWARE_LOST:
        counter_add(&port->lost, 1);
        break;
    case HARDWARE_REFUSED:
        break;
    }
}

/*
 * Flat out, but once the queue is full or gone for a while, the others may run:
 * they are more than there are CPUs, and a reporter that nobody hears proves
 * nothing.
 */
static void report_step(void *opaque)
{
    EventPort *port = opaque;
    uint64_t before = counter_get(&port->queued);

    for (unsigned i = 0; i < BURST; i++) {
        event_port_report(port);
    }
    gate_step(port->unit->gate);
    if (port->unit->bursty) {
        /* Not to be right: so that the loop falls asleep. */
        g_usleep(g_rand_int_range(port->rand, 0, MAX_REST_US));
    }
    if (counter_get(&port->queued) == before) {
        sched_yield();
    }
}

/* ---- The monitor ---- */

static void plug(EventUnit *unit, unsigned i)
{
    EventPort *port = &unit->ports[i];

    port->device = fixture_plug(unit->f, EVENT_FIRST_SID + i);
    atomic_store(&port->dev_id, vfio_device_get_dev_id(port->device));
    counter_add(&unit->plugs, 1);
}

void event_unit_toggle_port(EventUnit *unit, unsigned i)
{
    EventPort *port = &unit->ports[i];

    if (port->device) {
        fixture_unplug(unit->f, g_steal_pointer(&port->device),
                       EVENT_FIRST_SID + i);
        event_guest_set_gone(&unit->guest, i, true);
    } else {
        event_guest_set_gone(&unit->guest, i, false);
        plug(unit, i);
    }
}

static void plug_step(void *opaque)
{
    EventUnit *unit = opaque;

    event_unit_toggle_port(unit, g_rand_int_range(unit->rand, 0, EVENT_PORTS));
    gate_await_steps(unit->gate, g_rand_int_range(unit->rand, 1, PLUG_STEPS));
}

/* ---- The vCPU ---- */

static void vcpu_step(void *opaque)
{
    EventUnit *unit = opaque;
    EventGuest *g = &unit->guest;

    event_guest_vcpu_step(g);
    gate_await_steps(unit->gate, g_rand_int_range(g->rand, 1, PLUG_STEPS));
}

/* ---- The books ---- */

uint64_t event_unit_generated(EventUnit *unit)
{
    uint64_t generated = 0;

    for (unsigned i = 0; i < EVENT_PORTS; i++) {
        generated += counter_get(&unit->ports[i].queued) +
                     counter_get(&unit->ports[i].lost);
    }
    return generated;
}

static HardwareStats host_stats(EventUnit *unit)
{
    return unit->f->host->hardware->get_stats(unit->f->host);
}

/* Sequence numbers that somebody has seen the end of. */
static uint64_t accounted(EventUnit *unit)
{
    ViommuStats stats = viommu_get_stats(unit->f->viommu);

    return stats.delivered + stats.discarded + stats.lost +
           host_stats(unit).dropped;
}

static void nothing_bh(void *opaque)
{
}

/* What is in the host's queue is read, as there is room in the ring. */
static void settle(EventUnit *unit)
{
    for (unsigned i = 0; i < MAX_SETTLING; i++) {
        event_guest_consume_all(&unit->guest);
        aio_wait_bh_oneshot(unit->f->ctx, nothing_bh, NULL);
        if (event_guest_consume_all(&unit->guest) == 0 &&
            accounted(unit) == event_unit_generated(unit)) {
            break;
        }
    }
}

/* What the devices have counted is what the host has. */
static void check_hardware(EventUnit *unit)
{
    HardwareStats host = host_stats(unit);

    g_assert_cmpuint(event_unit_generated(unit), ==, host.generated);
    g_assert_cmpuint(host.busy, ==, 0);
}

void event_unit_check(void *opaque)
{
    EventUnit *unit = opaque;

    event_guest_check_told(&unit->guest);
    settle(unit);
    check_hardware(unit);
    g_assert_cmpuint(accounted(unit), ==, host_stats(unit).generated);
    event_guest_check(&unit->guest);
}

uint64_t event_unit_lives(EventUnit *unit)
{
    return unit->counted ? failing_host_counted(unit->counted)
                         : emul_get_calls_counted(unit->f->host);
}

/* ---- Life ---- */

void event_unit_kick(void *opaque)
{
    EventUnit *unit = opaque;

    event_guest_kick(&unit->guest);
}

void event_unit_add_load(EventUnit *unit)
{
    for (unsigned i = 0; i < EVENT_PORTS; i++) {
        gate_add_thread(unit->gate, "reporter", report_step, &unit->ports[i]);
    }
    gate_add_thread(unit->guest.gate, "handler", event_guest_handler_step,
                    &unit->guest);
}

void event_unit_add_monitor(EventUnit *unit)
{
    gate_add_thread(unit->gate, "monitor", plug_step, unit);
}

void event_unit_add_vcpu(EventUnit *unit)
{
    gate_add_thread(unit->guest.gate, "vcpu", vcpu_step, unit);
}

static Fixture *make_fixture(EventUnit *unit, const char *host_name,
                             AioContext *ctx)
{
    /* Fails nothing, counts. */
    const EmulFailure count_lives = {
        .call = EMUL_CALL_IOCTL, .request = IOMMU_VEVENTQ_ALLOC,
        .nth = UINT64_MAX,
    };
    GError *error = NULL;
    HostIommu *host = test_host_open(host_name, IOMMU_VEVENTQ_ALLOC,
                                     &unit->counted, &error);

    g_assert_no_error(error);
    if (!unit->counted) {
        emul_set_failure(host, &count_lives);
    }
    return ctx ? fixture_new_in(host, NULL, ctx)
               : fixture_new_on(host, NULL, true);
}

EventUnit *event_unit_new(Gate *gate, GRand *seeds, const char *host_name,
                          AioContext *ctx, unsigned log2)
{
    EventUnit *unit = g_new0(EventUnit, 1);

    unit->gate = gate;
    unit->rand = g_rand_new_with_seed(g_rand_int(seeds));
    unit->f = make_fixture(unit, host_name, ctx);
    event_guest_init(&unit->guest, unit->f, gate, seeds);
    event_guest_start(&unit->guest, log2);
    for (unsigned i = 0; i < EVENT_PORTS; i++) {
        unit->ports[i].unit = unit;
        unit->ports[i].index = i;
        unit->ports[i].rand = g_rand_new_with_seed(g_rand_int(seeds));
        plug(unit, i);
    }
    return unit;
}

void event_unit_unplug(EventUnit *unit)
{
    unsigned first = g_rand_int_range(unit->rand, 0, EVENT_PORTS);

    for (unsigned i = 0; i < EVENT_PORTS; i++) {
        unsigned port = (first + i) % EVENT_PORTS;

        if (unit->ports[port].device) {
            event_unit_toggle_port(unit, port);
        }
    }
}

void event_unit_stop(EventUnit *unit)
{
    /* The host's queue is gone. */
    event_guest_leave_ring(&unit->guest);
    event_guest_check(&unit->guest);
    g_assert_cmpuint(accounted(unit), ==, host_stats(unit).generated);
    viommu_free(g_steal_pointer(&unit->f->viommu));
}

void event_unit_free(EventUnit *unit, RaceCounts *counts)
{
    if (unit->f->viommu) {
        event_unit_unplug(unit);
        event_unit_stop(unit);
    }
    check_hardware(unit);
    counts->events += event_unit_generated(unit);
    counts->plugs += counter_get(&unit->plugs);
    counts->resets += counter_get(&unit->guest.resets);
    counts->lives += event_unit_lives(unit);
    for (unsigned i = 0; i < EVENT_PORTS; i++) {
        g_rand_free(unit->ports[i].rand);
    }
    event_guest_destroy(&unit->guest);
    fixture_free(unit->f);
    g_rand_free(unit->rand);
    g_free(unit);
}

void event_unit_teardown(void *opaque, RaceRun *run)
{
    event_unit_free(opaque, &run->counts);
}
