/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens to a vIOMMU besides its guest's own doing, and what any guest
 * does: the actions that all models have.
 */
#include "fuzz-unit.h"

#include "base/bits.h"
#include "base/rcu.h"
#include "host/iommufd-abi.h"
#include "host/vfio-abi.h"

#include <errno.h>

/* Of emulated devices; and a group that no small queue has room for. */
#define CREDITS 1024
#define LARGE_GROUP_PAGES 700

/* ---- Devices ---- */

static void responded(void *opaque, SvaGroup *sva_group)
{
    FuzzGroup *group = (FuzzGroup *)sva_group;
    FuzzSlot *slot = opaque;

    g_assert_nonnull(group->device);
    g_assert_cmpuint(slot->groups, >, 0);
    slot->groups--;
    group->device = NULL;
}

static void slot_plug_sva(FuzzUnit *u, FuzzSlot *slot)
{
    const SvaDeviceConfig config = {
        .name = "sva", .virt_id = slot->id, .ctx = u->ctx,
        .credits = CREDITS, .responded = responded, .opaque = slot,
    };
    GError *error = NULL;

    slot->sva = viommu_add_sva_device(u->viommu, &config, &error);
    slot->plugged = slot->sva != NULL;
    g_clear_error(&error);
}

static void slot_plug_vfio(FuzzUnit *u, FuzzSlot *slot)
{
    GError *error = NULL;

    if (!slot->vfio) {
        int fd = u->host->hardware->device_open(u->host, u->model->iommu);

        if (fd >= 0) {
            slot->vfio = vfio_device_bind(u->host, fd, "vfio", &error);
        }
    }
    slot->plugged = slot->vfio && viommu_add_device(u->viommu, slot->vfio,
                                                    slot->id, &error);
    g_clear_error(&error);
}

void fuzz_slot_plug(FuzzUnit *u, FuzzSlot *slot, bool sva)
{
    if (sva) {
        slot_plug_sva(u, slot);
    } else {
        slot_plug_vfio(u, slot);
    }
}

void fuzz_slot_unplug(FuzzUnit *u, FuzzSlot *slot)
{
    if (slot->sva) {
        viommu_remove_sva_device(slot->sva);
        g_assert_cmpuint(slot->groups, ==, 0);
        slot->sva = NULL;
    } else if (slot->plugged) {
        g_assert_true(viommu_remove_device(u->viommu, slot->id));
    }
    slot->plugged = false;
}

void fuzz_slot_close(FuzzUnit *u, FuzzSlot *slot)
{
    fuzz_slot_unplug(u, slot);
    vfio_device_free(slot->vfio);
    slot->vfio = NULL;
}

static FuzzSlot *slot_choose(FuzzUnit *u)
{
    return &u->slots[fuzz_below(&u->in, FUZZ_SLOTS)];
}

/* The same for everybody, so that nobody's change. */
static const Pgfault *large_group(void)
{
    static Pgfault pages[LARGE_GROUP_PAGES];

    for (unsigned i = 0; i < LARGE_GROUP_PAGES && pages[i].perm == 0; i++) {
        pages[i] = (Pgfault){ (uint64_t)i << 12, PGFAULT_PERM_READ };
    }
    return pages;
}

/* Its pages; a Stop Marker, a few, or many. */
static void fill_pages(FuzzUnit *u, FuzzGroup *group, unsigned count)
{
    SvaGroup *g = &group->group;

    g->count = 1 + count % FUZZ_GROUP_PAGES;
    g->pages = group->pages;
    if (fuzz_u8(&u->in) > 0xf0 && g->pasid != PAGE_REQUEST_NO_PASID) {
        g->stop_marker = true;
        g->count = 1;
        group->pages[0] = (Pgfault){ 0 };
    } else if (count > 0xf0) {
        g->count = LARGE_GROUP_PAGES >> (count & 3);
        g->pages = large_group();
    } else {
        for (unsigned i = 0; i < g->count; i++) {
            group->pages[i] = (Pgfault){
                .addr = (uint64_t)fuzz_u16(&u->in) << 12,
                .perm = 1 + fuzz_below(&u->in, 15),
            };
        }
    }
}

FuzzGroup *fuzz_group_get(FuzzUnit *u)
{
    for (unsigned i = 0; i < FUZZ_GROUPS; i++) {
        if (!u->groups[i].device) {
            return &u->groups[i];
        }
    }
    return NULL;
}

bool fuzz_sva_request(FuzzSlot *slot, FuzzGroup *group)
{
    group->device = slot->sva;
    if (!viommu_page_request(slot->sva, &group->group)) {
        group->device = NULL;
        return false;
    }
    slot->groups++;
    return true;
}

static void sva_request(FuzzUnit *u, FuzzSlot *slot)
{
    FuzzGroup *group = fuzz_group_get(u);

    if (group) {
        group->group = (SvaGroup){
            .pasid = fuzz_pasid(u),
            .index = fuzz_below(&u->in, 8),
        };
        fill_pages(u, group, fuzz_u8(&u->in));
        fuzz_sva_request(slot, group);
    }
}

int fuzz_host_request(FuzzUnit *u, FuzzSlot *slot, uint32_t pasid,
                      uint32_t index, const Pgfault *pages, unsigned count)
{
    HardwarePageRequest request = {
        .dev_id = vfio_device_get_dev_id(slot->vfio),
        .pasid = pasid == PAGE_REQUEST_NO_PASID ? 0 : pasid,
        .grpid = index,
        .tag = u->tag_count,
    };

    if (u->tag_count == FUZZ_TAGS) {
        return -1;
    }
    u->tags[u->tag_count++] = FUZZ_TAG_OPEN;
    for (unsigned i = 0; i < count; i++) {
        request.last = i == count - 1;
        request.perm = pages[i].perm;
        request.addr = pages[i].addr;
        if (u->host->hardware->request_page(u->host, &request) !=
            HARDWARE_QUEUED) {
            u->tags[request.tag] = FUZZ_TAG_NEVER;
            return -1;
        }
    }
    return request.tag;
}

static void host_request(FuzzUnit *u, FuzzSlot *slot)
{
    uint32_t pasid = fuzz_pasid(u);
    unsigned count = 1 + fuzz_below(&u->in, FUZZ_GROUP_PAGES);
    uint32_t index = fuzz_below(&u->in, 8);
    Pgfault pages[FUZZ_GROUP_PAGES];

    for (unsigned i = 0; i < count; i++) {
        pages[i].perm = fuzz_below(&u->in, 16);
        pages[i].addr = (uint64_t)fuzz_u16(&u->in) << 12;
    }
    fuzz_host_request(u, slot, pasid, index, pages, count);
}

/* ---- Actions that all models have ---- */

static void act_read(FuzzUnit *u)
{
    static const uint8_t sizes[] = { 4, 8, 1, 2, 3, 5, 6, 7 };
    unsigned r = fuzz_u8(&u->in);
    uint64_t offset = r < 224 ? u->model->offsets[r % u->model->offset_count]
                              : fuzz_u32(&u->in) % u->model->mmio_size;

    fuzz_read(u, offset, sizes[fuzz_below(&u->in, 8)]);
}

/* A register, or half of one, or what is none; of any size. */
static void act_write(FuzzUnit *u)
{
    static const uint8_t sizes[] = { 4, 4, 8, 8, 1, 2, 3, 7 };
    unsigned r = fuzz_u8(&u->in);
    unsigned size = sizes[fuzz_below(&u->in, 8)];
    uint64_t offset;

    if (r < 240) {
        offset = u->model->offsets[r % u->model->offset_count];
    } else {
        offset = fuzz_u32(&u->in);
        offset = r < 248 ? offset % u->model->mmio_size : offset;
    }
    fuzz_write(u, offset, size, fuzz_value(u, fuzz_read(u, offset, size)));
}

/* Words of any kind, anywhere. */
static void act_store(FuzzUnit *u)
{
    uint64_t gpa = fuzz_gpa(u) + UINT64_C(8) * (fuzz_u16(&u->in) % 512);
    unsigned count = 1 + fuzz_below(&u->in, 8);

    while (count-- > 0) {
        uint64_t word = fuzz_value(u, fuzz_load(u, gpa));

        fuzz_store(u, gpa, &word, 1);
        gpa += 8;
    }
}

static void act_turn(FuzzUnit *u)
{
    fuzz_turn(u);
}

/* One turn, which leaves the rest for later. */
static void act_turn_once(FuzzUnit *u)
{
    aio_poll(u->ctx, false);
}

/* As another ID than the slot's, too: out of range, or taken. */
static void act_plug(FuzzUnit *u)
{
    FuzzSlot *slot = slot_choose(u);
    unsigned how = fuzz_u8(&u->in);

    if (slot->plugged) {
        return;
    }
    slot->id = how > 0xf0 ? fuzz_id(u)
                          : u->model->ids[slot - u->slots];
    fuzz_slot_plug(u, slot, how & 1);
}

static void act_unplug(FuzzUnit *u)
{
    FuzzSlot *slot = slot_choose(u);

    if (fuzz_u8(&u->in) & 1) {
        fuzz_slot_close(u, slot);
    } else {
        fuzz_slot_unplug(u, slot);
    }
}

static void act_event(FuzzUnit *u)
{
    FuzzSlot *slot = slot_choose(u);
    uint64_t event[4] = { 0x10, BIT(35), 0, 0 };
    unsigned count = 1 + fuzz_below(&u->in, 32);

    fuzz_flip(u, event, 4);
    for (unsigned i = 0; slot->vfio && i < count; i++) {
        event[2] = i;
        u->host->hardware->report_event(
            u->host, vfio_device_get_dev_id(slot->vfio), event);
    }
}

static void act_request(FuzzUnit *u)
{
    FuzzSlot *slot = slot_choose(u);

    if (slot->sva) {
        sva_request(u, slot);
    } else if (slot->vfio) {
        host_request(u, slot);
    }
}

static void act_translate(FuzzUnit *u)
{
    FuzzSlot *slot = slot_choose(u);
    uint32_t pasid = fuzz_pasid(u);
    uint64_t iova = fuzz_value(u, 0);
    uint32_t perm = 1 + fuzz_below(&u->in, 3);
    uint64_t gpa;

    if (slot->sva) {
        rcu_section_enter();
        viommu_translate(slot->sva, pasid, iova, perm, &gpa);
        rcu_section_leave();
    }
}

static void act_reset(FuzzUnit *u)
{
    viommu_reset(u->viommu);
}

static void act_map(FuzzUnit *u)
{
    fuzz_map_set(u, fuzz_u8(&u->in));
}

/* Calls that may fail on any kernel; none that takes something away. */
static void act_fail(FuzzUnit *u)
{
    static const unsigned long requests[] = {
        IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP, IOMMU_HWPT_ALLOC, IOMMU_GET_HW_INFO,
        IOMMU_HWPT_INVALIDATE, IOMMU_FAULT_QUEUE_ALLOC, IOMMU_VIOMMU_ALLOC,
        IOMMU_VDEVICE_ALLOC, IOMMU_VEVENTQ_ALLOC, VFIO_DEVICE_BIND_IOMMUFD,
        VFIO_DEVICE_ATTACH_IOMMUFD_PT,
    };
    static const int errors[] = { ENOMEM, EINVAL, EIO, ENODEV, EAGAIN, EINTR };
    EmulFailure failure = { .call = EMUL_CALL_IOCTL };
    unsigned which = fuzz_below(&u->in, G_N_ELEMENTS(requests) + 2);

    if (which < G_N_ELEMENTS(requests)) {
        failure.request = requests[which];
    } else {
        failure.call = which & 1 ? EMUL_CALL_READ : EMUL_CALL_WRITE;
        u->writes_fail |= failure.call == EMUL_CALL_WRITE;
    }
    failure.nth = fuzz_below(&u->in, 8);
    failure.times = fuzz_below(&u->in, 4);
    failure.err = errors[fuzz_below(&u->in, G_N_ELEMENTS(errors))];
    emul_set_failure(u->host, &failure);
}

static void act_read_limit(FuzzUnit *u)
{
    emul_set_read_limit(u->host, UINT64_C(40) * fuzz_below(&u->in, 8));
}

static void act_stats(FuzzUnit *u)
{
    viommu_get_stats(u->viommu);
    viommu_get_page_stats(u->viommu);
}

static FuzzAction *const actions[] = {
    act_write, act_write, act_read, act_store, act_turn, act_turn,
    act_turn_once, act_plug, act_plug, act_unplug, act_event, act_event,
    act_request, act_request, act_request, act_translate, act_reset, act_map,
    act_fail, act_read_limit, act_stats,
};

void fuzz_outside_act(FuzzUnit *u, unsigned which)
{
    actions[which % G_N_ELEMENTS(actions)](u);
}
