/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SMMUv3s of ours on one IOThread.
 */
#include "crowd.h"

#include "figures.h"

#include <urcu/compiler.h>

typedef struct VpumpCrowd {
    Crowd crowd;
    IOThread *iothread;
    SmmuUnit *units;
} VpumpCrowd;

static VpumpCrowd *to_vpump(Crowd *crowd)
{
    return caa_container_of(crowd, VpumpCrowd, crowd);
}

static Crowd *vpump_open(EventSource *source, SmmuMemory *mem, size_t count)
{
    VpumpCrowd *self = g_new0(VpumpCrowd, 1);
    AioContext *ctx;

    self->iothread = smmu_iothread_new();
    ctx = iothread_get_aio_context(self->iothread);
    self->units = g_new0(SmmuUnit, count);
    self->crowd = (Crowd){
        .ops = &crowd_vpump,
        .source = source,
        .log2_ring = mem->log2_ring,
        .count = count,
        .units = g_new0(CrowdUnit, count),
    };
    for (size_t i = 0; i < count; i++) {
        SmmuUnit *unit = &self->units[i];

        smmu_unit_open(unit, ctx, mem, i);
        smmu_unit_plug(unit, event_source_host(source));
        self->crowd.units[i].device = unit->device;
        self->crowd.units[i].entries = unit->entries;
    }
    return &self->crowd;
}

static void vpump_close(Crowd *crowd)
{
    VpumpCrowd *self = to_vpump(crowd);

    for (size_t i = 0; i < crowd->count; i++) {
        ViommuStats stats = viommu_get_stats(self->units[i].viommu);

        g_assert_cmpuint(stats.discarded + stats.lost + stats.malformed, ==,
                         0);
        smmu_unit_unplug(&self->units[i]);
        smmu_unit_close(&self->units[i]);
    }
    iothread_stop(self->iothread);
    g_free(self->units);
    g_free(crowd->units);
    g_free(self);
}

static uint32_t vpump_prod(Crowd *crowd, size_t unit)
{
    return smmu_unit_prod(&to_vpump(crowd)->units[unit]);
}

static void vpump_set_cons(Crowd *crowd, size_t unit, uint32_t cons)
{
    smmu_unit_set_cons(&to_vpump(crowd)->units[unit], cons);
}

const CrowdOps crowd_vpump = {
    .name = FIGURES_OURS,
    .open = vpump_open,
    .close = vpump_close,
    .prod = vpump_prod,
    .set_cons = vpump_set_cons,
};
