/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steps of an SMMUv3. Its events show whether it works.
 */
#include "fail-nth.h"
#include "fixture.h"

#include "hw/arm/smmuv3-internal.h"

#define LOG2_EVENTQ 4
#define LOG2_CMDQ 4

/* Words of STEs: bypass, and stage 1 with a context descriptor somewhere. */
#define STE_BYPASS (UINT64_C(1) | 4 << 1)
#define STE_STAGE1 (UINT64_C(1) | 5 << 1 | 0x12345000)

#define CMD_CFGI_STE 0x03
#define CMD_LEAF 1

static void free_unit(void *unit)
{
    fixture_free(unit);
}

static void make_unit(World *w)
{
    Fixture *f = fixture_new_on(w->host, NULL, true);

    world_set_calm(f->iothread);
    w->iommu = HARDWARE_SMMUV3;
    w->unit = f;
    w->viommu = f->viommu;
    w->open = f->devices;
    w->free_unit = free_unit;
    guest_start(f, LOG2_EVENTQ, LOG2_CMDQ);
}

static void make_first(World *w)
{
    g_autoptr(GError) error = NULL;

    make_unit(w);
    world_plug(w, 0, &error);
    g_assert_no_error(error);
}

static void make_all(World *w)
{
    make_unit(w);
    world_plug_all(w);
}

static bool plug_first(World *w, GError **error)
{
    return world_plug(w, 0, error);
}

static bool plug_second(World *w, GError **error)
{
    return world_plug(w, 1, error);
}

static bool resize(World *w, GError **error)
{
    guest_disable_eventq(w->unit);
    guest_enable_eventq(w->unit, LOG2_EVENTQ + 1);
    return world_check_messages(error);
}

static bool reset(World *w, GError **error)
{
    viommu_reset(w->viommu);
    guest_start(w->unit, LOG2_EVENTQ, LOG2_CMDQ);
    return world_check_messages(error);
}

/* Stage 1 for both; once more, should the first have found no memory. */
static bool change_stes(World *w, GError **error)
{
    for (uint32_t sid = WORLD_ID(0); sid < WORLD_ID(WORLD_DEVICES); sid++) {
        guest_set_ste(w->unit, sid, STE_STAGE1, 0);
        guest_command(w->unit, CMD_CFGI_STE | (uint64_t)sid << 32, CMD_LEAF);
    }
    guest_kick(w->unit);
    return world_check_messages(error);
}

static bool unplug(World *w, GError **error)
{
    world_unplug_all(w);
    return world_check_messages(error);
}

static bool all_delivered(World *w)
{
    uint64_t event[4];

    while (guest_consume(w->unit, event)) {
        continue;
    }
    return viommu_get_stats(w->viommu).delivered >= w->expected;
}

/* An event of each device. Return: how many there are. */
static unsigned report_all(World *w)
{
    unsigned queued = 0;

    for (unsigned i = 0; i < WORLD_DEVICES; i++) {
        queued += w->devices[i] && fixture_report(w->unit, w->devices[i], i) ==
                                       HARDWARE_QUEUED;
    }
    return queued;
}

static unsigned count_devices(const World *w)
{
    unsigned count = 0;

    for (unsigned i = 0; i < WORLD_DEVICES; i++) {
        count += w->devices[i] != NULL;
    }
    return count;
}

/* An event of each device arrives. */
static void works(World *w)
{
    w->expected = viommu_get_stats(w->viommu).delivered + count_devices(w);
    g_assert_cmpuint(report_all(w), ==, count_devices(w));
    world_wait(w, all_delivered);
}

/*
 * Late, or one by one, what there is comes. (To report an event takes a host
 * call as well, which may fail: then there is one less.)
 */
static bool load(World *w, GError **error)
{
    uint64_t delivered = viommu_get_stats(w->viommu).delivered;

    w->expected = delivered + report_all(w);
    world_wait(w, all_delivered);
    return world_check_messages(error);
}

/* A page goes, another one comes, all the rest stays. */
static bool change_memory(World *w, GError **error)
{
    Fixture *f = w->unit;
    const GuestMemRegion regions[] = {
        { .gpa = GUEST_RAM, .size = GUEST_RAM_SIZE, .hva = f->ram },
        { .gpa = GUEST_RAM + GUEST_RAM_SIZE + 0x1000 * ++w->expected,
          .size = 4096, .hva = f->ram },
    };

    return guest_mem_set_regions(f->mem, regions, G_N_ELEMENTS(regions),
                                 error);
}

const FailStep fail_steps_smmuv3[] = {
    { "smmuv3/start-up", FAIL_HOST_CALLS | FAIL_FUNCTIONS, make_unit,
      plug_first, works },
    { "smmuv3/hot-plug", FAIL_HOST_CALLS | FAIL_FUNCTIONS, make_first,
      plug_second, works },
    { "smmuv3/resize", FAIL_HOST_CALLS | FAIL_FUNCTIONS, make_all, resize,
      works },
    { "smmuv3/reset", FAIL_HOST_CALLS | FAIL_FUNCTIONS, make_all, reset,
      works },
    { "smmuv3/stream-tables", FAIL_HOST_CALLS, make_all, change_stes, works },
    { "smmuv3/memory-map", FAIL_HOST_CALLS | FAIL_FUNCTIONS, make_all,
      change_memory, works },
    { "smmuv3/load", FAIL_HOST_CALLS | FAIL_TRANSFERS, make_all, load, works },
    { "smmuv3/teardown", FAIL_HOST_CALLS, make_all, unplug, works },
    { NULL, 0, NULL, NULL, NULL },
};
