/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-viommu.h"

#include "base/rcu.h"

/* ---- What the model makes of them ---- */

static GHashTable *hwpts_of(ViommuDevice *device)
{
    return ((FakeModelDevice *)device)->hwpts;
}

bool fake_model_attach(Viommu *viommu, ViommuDevice *device, GError **error)
{
    ((FakeModelDevice *)device)->hwpts =
        g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return true;
}

static void detach_locked(Viommu *viommu, ViommuDevice *device, uint32_t pasid,
                          ViommuHwpt *hwpt) REQUIRES(&viommu->config_lock)
{
    g_assert_true(viommu_attach(viommu, device, pasid, 0, NULL));
    viommu_hwpt_destroy(viommu, hwpt);
}

void fake_model_detach(Viommu *viommu, ViommuDevice *device)
{
    GHashTable *hwpts = hwpts_of(device);
    GHashTableIter iter;
    gpointer pasid;
    gpointer hwpt;

    lock_assert_held(&viommu->config_lock);
    g_hash_table_iter_init(&iter, hwpts);
    while (g_hash_table_iter_next(&iter, &pasid, &hwpt)) {
        detach_locked(viommu, device, GPOINTER_TO_UINT(pasid), hwpt);
    }
    g_hash_table_unref(hwpts);
}

/* ---- Devices of the host ---- */

/* The config_lock keeps it. */
static ViommuDevice *find_device(FakeMachine *m, const FakeDevice *device)
    REQUIRES(&m->viommu->config_lock)
{
    DeviceEntry *entry;

    rcu_section_enter();
    entry = device_map_find_virt(m->viommu->devices, device->rid);
    rcu_section_leave();
    g_assert_nonnull(entry);
    return caa_container_of(entry, ViommuDevice, entry);
}

FakeDevice *fake_plug(FakeMachine *m, uint32_t rid)
{
    g_autofree char *name = g_strdup_printf("dev%x", rid);
    g_autoptr(GError) error = NULL;
    FakeDevice *device = g_new0(FakeDevice, 1);

    device->rid = rid;
    device->vfio = vfio_device_bind(
        m->host, emul_device_open_behind(m->host, EMUL_IOMMU_VTD), name,
        &error);
    g_assert_no_error(error);
    device->dev_id = vfio_device_get_dev_id(device->vfio);
    viommu_add_device(m->viommu, device->vfio, rid, &error);
    g_assert_no_error(error);
    return device;
}

void fake_unplug(FakeMachine *m, FakeDevice *device)
{
    g_assert_true(viommu_remove_device(m->viommu, device->rid));
    vfio_device_free(device->vfio);
    g_free(device);
}

static bool attach_locked(FakeMachine *m, FakeDevice *device, uint32_t pasid,
                          bool faults, GError **error)
    REQUIRES(&m->viommu->config_lock)
{
    const struct iommu_hwpt_vtd_s1 s1 = { .addr_width = 48 };
    const IommufdHwpt wanted = {
        .dev_id = device->dev_id,
        .pt_id = m->viommu->host.parent_hwpt_id,
        .flags = IOMMU_HWPT_ALLOC_PASID,
        .data_type = IOMMU_HWPT_DATA_VTD_S1,
        .data_len = sizeof(s1),
        .data = &s1,
    };
    ViommuDevice *found = find_device(m, device);
    GHashTable *hwpts = hwpts_of(found);
    ViommuHwpt *old = g_hash_table_lookup(hwpts, GUINT_TO_POINTER(pasid));
    ViommuHwpt hwpt;
    bool attached;

    if (!viommu_hwpt_alloc(m->viommu, &wanted, faults, &hwpt, error)) {
        return false;
    }
    attached = viommu_attach(m->viommu, found, pasid, hwpt.id, error);
    if (old) {
        viommu_hwpt_destroy(m->viommu, old);
        g_hash_table_remove(hwpts, GUINT_TO_POINTER(pasid));
    }
    if (!attached) {
        viommu_hwpt_destroy(m->viommu, &hwpt);
        return false;
    }
    g_hash_table_insert(hwpts, GUINT_TO_POINTER(pasid),
                        g_memdup2(&hwpt, sizeof(hwpt)));
    return true;
}

bool fake_attach(FakeMachine *m, FakeDevice *device, uint32_t pasid,
                 bool faults, GError **error)
{
    bool attached;

    lock_acquire(&m->viommu->config_lock);
    attached = attach_locked(m, device, pasid, faults, error);
    lock_release(&m->viommu->config_lock);
    return attached;
}

void fake_attach_ok(FakeMachine *m, FakeDevice *device, uint32_t pasid)
{
    g_autoptr(GError) error = NULL;

    fake_attach(m, device, pasid, true, &error);
    g_assert_no_error(error);
}

void fake_detach(FakeMachine *m, FakeDevice *device, uint32_t pasid)
{
    ViommuDevice *found;
    GHashTable *hwpts;
    ViommuHwpt *hwpt;

    lock_acquire(&m->viommu->config_lock);
    found = find_device(m, device);
    hwpts = hwpts_of(found);
    hwpt = g_hash_table_lookup(hwpts, GUINT_TO_POINTER(pasid));
    g_assert_nonnull(hwpt);
    detach_locked(m->viommu, found, pasid, hwpt);
    g_hash_table_remove(hwpts, GUINT_TO_POINTER(pasid));
    lock_release(&m->viommu->config_lock);
}

static EmulPageRequest page_request(const FakeDevice *device, uint32_t pasid,
                                    uint32_t index)
{
    return (EmulPageRequest){
        .dev_id = device->dev_id,
        .pasid = pasid == PAGE_REQUEST_NO_PASID ? 0 : pasid,
        .grpid = index,
        .perm = PGFAULT_PERM_READ | PGFAULT_PERM_WRITE,
        .addr = (uint64_t)index << 32,
        .last = true,
        .tag = index,
    };
}

EmulReport fake_raise(FakeMachine *m, FakeDevice *device, uint32_t pasid,
                      uint32_t index, unsigned count)
{
    EmulPageRequest request = page_request(device, pasid, index);
    EmulReport report = EMUL_REPORT_REFUSED;

    for (unsigned i = 0; i < count; i++) {
        request.addr = ((uint64_t)index << 32) + 4096 * i;
        request.last = i == count - 1;
        report = emul_request_page(m->host, &request);
    }
    return report;
}

void fake_raise_perm(FakeMachine *m, FakeDevice *device, uint32_t pasid,
                     uint32_t index, uint32_t perm)
{
    EmulPageRequest request = page_request(device, pasid, index);

    request.perm = perm;
    g_assert_cmpint(emul_request_page(m->host, &request), ==,
                    EMUL_REPORT_QUEUED);
}

unsigned fake_host_answers(FakeMachine *m)
{
    unsigned count;

    lock_acquire(&m->lock);
    count = m->host_answers->len;
    lock_release(&m->lock);
    return count;
}

EmulPageAnswer fake_host_answer(FakeMachine *m, unsigned i)
{
    EmulPageAnswer answer;

    lock_acquire(&m->lock);
    g_assert_cmpuint(i, <, m->host_answers->len);
    answer = g_array_index(m->host_answers, EmulPageAnswer, i);
    lock_release(&m->lock);
    return answer;
}

/* ---- Emulated devices ---- */

static void sva_responded(void *opaque, SvaGroup *group)
{
    FakeSva *sva = opaque;

    if (sva->responded) {
        sva->responded(sva, group);
    } else {
        g_ptr_array_add(sva->returned, group);
    }
}

FakeSva *fake_add_sva_in(FakeMachine *m, AioContext *ctx, uint32_t rid,
                         uint32_t credits)
{
    FakeSva *sva = g_new0(FakeSva, 1);
    g_autoptr(GError) error = NULL;

    sva->rid = rid;
    sva->returned = g_ptr_array_new_with_free_func(
        (GDestroyNotify)fake_group_free);
    sva->device = viommu_add_sva_device(
        m->viommu,
        &(SvaDeviceConfig){ .name = "sva", .virt_id = rid, .ctx = ctx,
                            .credits = credits, .responded = sva_responded,
                            .opaque = sva },
        &error);
    g_assert_no_error(error);
    return sva;
}

FakeSva *fake_add_sva(FakeMachine *m, uint32_t rid, uint32_t credits)
{
    return fake_add_sva_in(m, m->ctx, rid, credits);
}

void fake_remove_sva(FakeSva *sva)
{
    if (sva->device) {
        viommu_remove_sva_device(sva->device);
    }
    g_ptr_array_unref(sva->returned);
    g_free(sva);
}

SvaGroup *fake_group_new(uint32_t pasid, uint32_t index, uint32_t count)
{
    SvaGroup *group = g_new0(SvaGroup, 1);
    Pgfault *pages = g_new0(Pgfault, count);

    for (uint32_t i = 0; i < count; i++) {
        pages[i] = (Pgfault){
            .addr = ((uint64_t)index << 32) + 4096 * i,
            .perm = PGFAULT_PERM_READ | PGFAULT_PERM_WRITE,
        };
    }
    group->pasid = pasid;
    group->index = index;
    group->count = count;
    group->pages = pages;
    group->code = UINT32_MAX;
    return group;
}

SvaGroup *fake_stop_marker_new(uint32_t pasid)
{
    SvaGroup *group = fake_group_new(pasid, 0, 1);

    ((Pgfault *)group->pages)->perm = 0;
    group->stop_marker = true;
    return group;
}

void fake_group_free(SvaGroup *group)
{
    g_free((void *)group->pages);
    g_free(group);
}

SvaGroup *fake_ask(FakeSva *sva, uint32_t pasid, uint32_t index,
                   uint32_t count)
{
    SvaGroup *group = fake_group_new(pasid, index, count);

    g_assert_true(viommu_page_request(sva->device, group));
    return group;
}
