/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cookie-watch.h"
#include "failing-host.h"
#include "storm.h"
#include "storm-guest.h"

#include <sched.h>
#include <string.h>

#define PLUG_STEPS 12

const StormMix storm_mix_all = {
    .churners = 1, .mmio = 1,
    .flood = true, .hosts = true, .plugs = true, .resets = true,
    .late = 8, .twice = 16, .strangers = 32, .huge = 4096,
};

/* ---- The monitor ---- */

static void plug_sva(StormUnit *unit, unsigned i)
{
    sva_port_plug(unit->sva[i]);
    storm_count(&unit->books.plugs, 1);
}

static void plug_host(StormUnit *unit, unsigned i)
{
    host_port_plug(&unit->host[i]);
    storm_count(&unit->books.plugs, 1);
}

static void toggle_sva(StormUnit *unit, unsigned i)
{
    if (sva_port_is_plugged(unit->sva[i])) {
        sva_port_unplug(unit->sva[i]);
        storm_count(&unit->books.unplugs, 1);
    } else {
        plug_sva(unit, i);
    }
}

static void toggle_host(StormUnit *unit, unsigned i)
{
    if (unit->host[i].device) {
        host_port_unplug(&unit->host[i]);
        storm_count(&unit->books.unplugs, 1);
    } else {
        plug_host(unit, i);
    }
}

static void plug_step(void *opaque)
{
    StormUnit *unit = opaque;
    GRand *rand = unit->rand[STORM_MONITOR];
    bool big = storm_once_in(rand, 2);

    big_lock_acquire_if(big);
    if (storm_once_in(rand, 2)) {
        toggle_sva(unit, g_rand_int_range(rand, 0, STORM_SVA));
    } else {
        toggle_host(unit, g_rand_int_range(rand, 0, STORM_HOST));
    }
    big_lock_release_if(big);
    gate_await_steps(unit->gate, g_rand_int_range(rand, 1, PLUG_STEPS));
}

/* ---- Hardware ---- */

static void raise_step(void *opaque)
{
    StormUnit *unit = opaque;
    GRand *rand = unit->rand[STORM_RAISER];
    bool raised = false;

    for (unsigned i = 0; i < STORM_HOST; i++) {
        raised |= host_port_raise(&unit->host[i],
                                  g_rand_int_range(rand, 0, STORM_PASIDS),
                                  rand);
    }
    if (!raised) {
        sched_yield();
    }
}

/* ---- The books ---- */

/* What the devices have counted is what the unit has, and the host. */
static void check_groups(StormUnit *unit)
{
    const StormBooks *books = &unit->books;
    ViommuPageStats pages = viommu_get_page_stats(unit->f->viommu);
    HardwarePageStats host = storm_page_stats(unit);

    g_assert_cmpuint(storm_counted(&books->sva_back), ==,
                     storm_counted(&books->sva_raised));
    g_assert_cmpuint(storm_counted(&books->host_raised), ==, host.raised);
    g_assert_cmpuint(storm_counted(&books->host_back), ==, host.raised);
    g_assert_cmpuint(storm_counted(&books->automatic), ==, host.automatic);
    g_assert_cmpuint(host.raised, ==, host.answered + host.automatic);
    g_assert_cmpuint(pages.raised, ==,
                     pages.answered + pages.invalid + pages.retried);
    g_assert_cmpuint(pages.open, ==, 0);
    g_assert_cmpuint(pages.markers, ==, storm_counted(&books->markers));
    /* Of the host's, some may have ended before they were read. */
    g_assert_cmpuint(pages.raised, >=,
                     storm_counted(&books->sva_raised) + host.answered);
    g_assert_cmpuint(pages.raised, <=,
                     storm_counted(&books->sva_raised) + host.raised);
}

/* What the guest has said was heard, by whom it was said to. */
static void check_answers(StormUnit *unit)
{
    const StormBooks *books = &unit->books;
    ViommuPageStats pages = viommu_get_page_stats(unit->f->viommu);

    g_assert_cmpuint(storm_counted(&books->responses), ==,
                     pages.answered + pages.stray);
    g_assert_cmpuint(storm_counted(&books->odd_success), <=, pages.retried);
    g_assert_cmpuint(storm_counted(&books->even_invalid), <=, pages.invalid);
}

/* What the guest's queue has no room for stays with the host. */
static void count_kept(StormUnit *unit)
{
    uint64_t open = viommu_get_page_stats(unit->f->viommu).open;
    uint64_t out = storm_page_stats(unit).open;

    for (unsigned i = 0; i < STORM_SVA; i++) {
        out += sva_port_out(unit->sva[i]);
    }
    storm_count(&unit->books.kept, out > open ? out - open : 0);
}

bool storm_unit_is_full(StormUnit *unit)
{
    ViommuPageStats pages = viommu_get_page_stats(unit->f->viommu);

    return pages.queue_size > 0 && pages.queue_used + 3 >= pages.queue_size;
}

void storm_unit_check(StormUnit *unit)
{
    count_kept(unit);
    storm_handler_finish(unit);
    check_groups(unit);
    check_answers(unit);
    g_assert_cmpuint(storm_host_busy(unit), ==, 0);
    g_assert_cmpuint(viommu_get_stats(unit->f->viommu).malformed, <=,
                     storm_counted(&unit->books.left_behind));
}

uint64_t storm_unit_lives(StormUnit *unit)
{
    return unit->counted ? failing_host_counted(unit->counted)
                         : emul_get_calls_counted(unit->f->host);
}

void storm_unit_count(StormUnit *unit, RaceCounts *counts)
{
    const StormBooks *books = &unit->books;

    counts->lives += storm_unit_lives(unit);
    counts->groups += storm_counted(&books->sva_raised) +
                      storm_counted(&books->host_raised);
    counts->plugs += storm_counted(&books->plugs);
    counts->resets += storm_counted(&books->resets);
}

bool storm_expects(const char *message)
{
    return strstr(message, "does not fit in the page request");
}

/* ---- Life ---- */

void storm_unit_kick(void *opaque)
{
    StormUnit *unit = opaque;

    storm_handler_kick(unit);
    for (unsigned i = 0; i < STORM_SVA; i++) {
        sva_port_kick(unit->sva[i]);
    }
}

static void add_vcpus(StormUnit *unit, unsigned count, const char *name,
                      void (*step)(void *opaque))
{
    StormVcpu *vcpu = unit->vcpus;

    while (vcpu->unit) {
        vcpu++;
    }
    for (unsigned i = 0; i < count; i++, vcpu++) {
        g_assert_cmpuint(vcpu - unit->vcpus, <, STORM_MAX_VCPUS);
        vcpu->unit = unit;
        vcpu->number = i;
        gate_add_thread(unit->gate, name, step, vcpu);
    }
}

static void add_threads(StormUnit *unit)
{
    const StormMix *mix = unit->mix;

    for (unsigned i = 0; i < STORM_SVA; i++) {
        gate_add_thread(unit->gate, "device", sva_port_step, unit->sva[i]);
    }
    if (mix->hosts) {
        gate_add_thread(unit->gate, "host devices", raise_step, unit);
    }
    add_vcpus(unit, mix->mmio, "vcpu mmio", storm_mmio_step);
    add_vcpus(unit, mix->churners, "vcpu tables", storm_churn_step);
    if (mix->flood) {
        gate_add_thread(unit->gate, "vcpu flood", storm_flood_step, unit);
    }
    gate_add_thread(unit->gate, "vcpu handler", storm_handler_step, unit);
    if (mix->plugs) {
        gate_add_thread(unit->gate, "monitor", plug_step, unit);
    }
}

static void make_fixture(StormUnit *unit, const char *host_name,
                         AioContext *ctx)
{
    const VtdProperties properties = {
        .svm = true, .caching_mode = true, .pt = true, .fs1gp = true,
        .pasid_bits = 8,
    };
    /* Fails nothing, counts. */
    const EmulFailure count_lives = {
        .call = EMUL_CALL_IOCTL, .request = IOMMU_FAULT_QUEUE_ALLOC,
        .nth = UINT64_MAX,
    };
    GError *error = NULL;
    HostIommu *host = test_host_open(host_name, IOMMU_FAULT_QUEUE_ALLOC,
                                     &unit->counted, &error);

    g_assert_no_error(error);
    unit->f = ctx ? vtd_fixture_new_in(host, &properties, ctx)
                  : vtd_fixture_new_on(host, &properties, true);
    if (!unit->counted) {
        emul_set_failure(host, &count_lives);
    }
    cookie_watch_start(host);
    host->hardware->set_answer_func(host, host_port_answered, NULL);
}

/* The guest probes its devices, before any of them asks for anything. */
static void probe(StormUnit *unit)
{
    for (unsigned i = 0; i < STORM_SVA; i++) {
        big_lock_acquire();
        sva_port_mmio(unit->sva[i], unit->vcpus[0].rand);
        big_lock_release();
    }
}

StormUnit *storm_unit_new_of(Gate *gate, GRand *seeds, const char *host_name,
                             const StormMix *mix, AioContext *ctx)
{
    StormUnit *unit = g_new0(StormUnit, 1);

    unit->gate = gate;
    unit->mix = mix;
    make_fixture(unit, host_name, ctx);
    pthread_mutex_init(&unit->guest, NULL);
    for (unsigned i = 0; i < STORM_ACTORS; i++) {
        unit->rand[i] = g_rand_new_with_seed(g_rand_int(seeds));
    }
    for (unsigned i = 0; i < STORM_MAX_VCPUS; i++) {
        unit->vcpus[i].rand = g_rand_new_with_seed(g_rand_int(seeds));
    }
    storm_handler_init(unit, g_rand_int(seeds));
    for (unsigned i = 0; i < STORM_SVA; i++) {
        unit->sva[i] = sva_port_new(unit, STORM_SVA_RID + i,
                                    g_rand_int(seeds));
    }
    for (unsigned i = 0; i < STORM_HOST; i++) {
        host_port_init(&unit->host[i], unit, STORM_HOST_RID + i);
    }
    probe(unit);
    storm_guest_start(unit);
    for (unsigned i = 0; i < STORM_SVA; i++) {
        plug_sva(unit, i);
    }
    for (unsigned i = 0; i < STORM_HOST; i++) {
        plug_host(unit, i);
    }
    add_threads(unit);
    return unit;
}

StormUnit *storm_unit_new_in(Gate *gate, GRand *seeds, const char *host_name,
                             AioContext *ctx)
{
    return storm_unit_new_of(gate, seeds, host_name, &storm_mix_all, ctx);
}

StormUnit *storm_unit_new(Gate *gate, GRand *seeds, const char *host_name)
{
    return storm_unit_new_in(gate, seeds, host_name, NULL);
}

void storm_unit_stop(StormUnit *unit)
{
    for (unsigned i = 0; i < STORM_SVA; i++) {
        if (sva_port_is_plugged(unit->sva[i])) {
            sva_port_unplug(unit->sva[i]);
        }
    }
    for (unsigned i = 0; i < STORM_HOST; i++) {
        if (unit->host[i].device) {
            host_port_unplug(&unit->host[i]);
        }
    }
    viommu_free(g_steal_pointer(&unit->f->viommu));
}

/* Every group has an end, if the vIOMMU is gone, too. */
static void check_ended(StormUnit *unit)
{
    const StormBooks *books = &unit->books;
    HardwarePageStats host = storm_page_stats(unit);

    g_assert_cmpuint(storm_counted(&books->host_raised), ==, host.raised);
    g_assert_cmpuint(storm_counted(&books->host_back), ==, host.raised);
    g_assert_cmpuint(host.raised, ==, host.answered + host.automatic);
    g_assert_cmpuint(storm_counted(&books->sva_back), ==,
                     storm_counted(&books->sva_raised));
    g_assert_cmpuint(storm_host_busy(unit), ==, 0);
}

void storm_unit_free(StormUnit *unit)
{
    if (unit->f->viommu) {
        storm_unit_stop(unit);
    }
    check_ended(unit);
    for (unsigned i = 0; i < STORM_SVA; i++) {
        sva_port_free(unit->sva[i]);
    }
    storm_handler_destroy(unit);
    vtd_fixture_free(unit->f);
    pthread_mutex_destroy(&unit->guest);
    for (unsigned i = 0; i < STORM_ACTORS; i++) {
        g_rand_free(unit->rand[i]);
    }
    for (unsigned i = 0; i < STORM_MAX_VCPUS; i++) {
        g_rand_free(unit->vcpus[i].rand);
    }
    g_free(unit);
}
