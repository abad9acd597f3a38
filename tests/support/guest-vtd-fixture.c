/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-vtd-fixture.h"

static void plug_host_device(GuestVtdFixture *f, unsigned i)
{
    GError *error = NULL;
    int fd = emul_device_open_behind(f->host, EMUL_IOMMU_VTD);

    f->vfio[i] = vfio_device_bind(f->host, fd, "d", &error);
    g_assert_no_error(error);
    viommu_add_device(f->viommu, f->vfio[i], GUEST_VTD_FIXTURE_RID(i), &error);
    g_assert_no_error(error);
}

static void plug_sva_device(GuestVtdFixture *f, unsigned i)
{
    GError *error = NULL;
    const SvaAccelConfig config = {
        .id = "a", .viommu = f->viommu, .mem = guest_ram_get_mem(f->ram),
        .rid = GUEST_VTD_FIXTURE_SVA_RID(i), .pasids = f->pasids,
        .credits = f->credits, .depth = f->depth,
    };

    f->accel[i] = sva_accel_new(&config, &error);
    g_assert_no_error(error);
}

static size_t describe_devices(GuestVtdFixture *f)
{
    size_t count = 0;

    for (unsigned i = 0; i < f->host_devices; i++) {
        f->devices[count++] = (GuestVtdDevice){
            .rid = GUEST_VTD_FIXTURE_RID(i), .pasids = f->pasids,
            .pages = f->pages,
        };
    }
    for (unsigned i = 0; i < f->sva_devices; i++) {
        f->devices[count++] = (GuestVtdDevice){
            .rid = GUEST_VTD_FIXTURE_SVA_RID(i), .pasids = f->pasids,
            .pages = f->pages, .contents = true,
        };
    }
    return count;
}

void guest_vtd_fixture_make(GuestVtdFixture *f)
{
    GError *error = NULL;
    ViommuConfig config = { .id = "v0" };
    size_t count = describe_devices(f);

    lock_init(&f->big_lock, LOCK_RANK_BIG);
    f->iothread = iothread_new("io0", NULL, &error);
    g_assert_no_error(error);
    f->host = emul_new(&error);
    g_assert_no_error(error);
    f->ram = guest_ram_new(f->ram_bytes
                               ? f->ram_bytes
                               : guest_vtd_ram_bytes(f->devices, count),
                           &error);
    g_assert_no_error(error);
    f->irq = irq_sink_eventfd_new(GUEST_VTD_IRQ_COUNT, GUEST_VTD_DOORBELL,
                                  &error);
    g_assert_no_error(error);
    config.ctx = iothread_get_aio_context(f->iothread);
    config.mem = guest_ram_get_mem(f->ram);
    config.irq = f->irq;
    f->viommu = vtd_new(&config, f->properties, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < f->host_devices; i++) {
        plug_host_device(f, i);
    }
    for (unsigned i = 0; i < f->sva_devices; i++) {
        plug_sva_device(f, i);
    }
}

typedef struct NewOps {
    Viommu *viommu;
    const ViommuOps *ops;
} NewOps;

static void set_ops_bh(void *opaque)
{
    const NewOps *new = opaque;

    new->viommu->ops = new->ops;
}

void guest_vtd_fixture_set_ops(GuestVtdFixture *f, const ViommuOps *ops)
{
    NewOps new = { f->viommu, ops };

    aio_wait_bh_oneshot(f->viommu->config.ctx, set_ops_bh, &new);
}

void guest_vtd_fixture_start(GuestVtdFixture *f)
{
    GError *error = NULL;
    const GuestVtdConfig config = {
        .viommu = f->viommu, .ram = f->ram, .irq = f->irq,
        .devices = f->devices,
        .device_count = f->host_devices + f->sva_devices,
    };

    f->guest = guest_vtd_new(&config, &error);
    g_assert_no_error(error);
}

void guest_vtd_fixture_set_up(GuestVtdFixture *f)
{
    guest_vtd_fixture_make(f);
    guest_vtd_fixture_start(f);
}

void guest_vtd_fixture_tear_down(GuestVtdFixture *f)
{
    if (f->guest) {
        guest_vtd_stop(f->guest);
    }
    for (unsigned i = 0; i < f->sva_devices; i++) {
        sva_accel_free(f->accel[i]);
    }
    for (unsigned i = 0; i < f->host_devices; i++) {
        g_assert_true(viommu_remove_device(f->viommu,
                                           GUEST_VTD_FIXTURE_RID(i)));
        vfio_device_free(f->vfio[i]);
    }
    viommu_free(f->viommu);
    guest_vtd_free(f->guest);
    irq_sink_eventfd_free(f->irq);
    guest_ram_free(f->ram);
    g_assert_cmpuint(emul_get_stats(f->host).objects, ==, 0);
    g_assert_cmpuint(emul_get_stats(f->host).busy, ==, 0);
    host_iommu_free(f->host);
    iothread_stop(f->iothread);
    lock_destroy(&f->big_lock);
}

void guest_vtd_fixture_assert_good(GuestVtdFixture *f)
{
    GuestVtdCounts counts = guest_vtd_get_counts(f->guest);

    g_assert_cmpuint(counts.refused, ==, 0);
    g_assert_cmpuint(counts.bad, ==, 0);
    g_assert_cmpuint(counts.faults, ==, 0);
    g_assert_cmpuint(counts.queue_errors, ==, 0);
    g_assert_cmpuint(counts.damaged, ==, 0);
}

GuestAddressSpace **guest_vtd_fixture_get_spaces(GuestVtdFixture *f,
                                                 uint32_t rid)
{
    GuestAddressSpace **spaces = g_new(GuestAddressSpace *, f->pasids);

    for (uint32_t pasid = 1; pasid <= f->pasids; pasid++) {
        spaces[pasid - 1] = guest_vtd_get_space(f->guest, rid, pasid);
    }
    return spaces;
}
