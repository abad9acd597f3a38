/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pasid-fixture.h"

#include "base/rcu.h"
#include "host/emul-internal.h"

#include <errno.h>

PasidFixture pf;

/* What stands before the emulated host's own calls. */
static HostIommuOps hooked_ops;
static const HostIommuOps *emul_ops;

static int hooked_ioctl(HostIommu *host, int fd, unsigned long request,
                        void *arg)
{
    int ret = emul_ops->ioctl(host, fd, request, arg);

    return pf.ioctl_done ? pf.ioctl_done(request, arg, ret) : ret;
}

void pasid_setup_with(const VtdProperties *props)
{
    VtdFixture *f = vtd_fixture_new(props, false);

    pf = (PasidFixture){ .f = f, .v = vtd_fixture_vtd(f) };
    message_log_start();
    emul_ops = f->host->ops;
    hooked_ops = *emul_ops;
    hooked_ops.ioctl = hooked_ioctl;
    f->host->ops = &hooked_ops;
    vtd_tables_init(&pf.t, f->ram, GUEST_RAM, VTD_GUEST_FREE,
                    GUEST_RAM + GUEST_RAM_SIZE);
}

void pasid_setup(void)
{
    pasid_setup_with(NULL);
}

void pasid_teardown(void)
{
    pf.ioctl_done = NULL;
    vtd_fixture_free(pf.f);
}

void pasid_start(void)
{
    uint64_t ecap = vtd_guest_read64(pf.f, A_ECAP);

    vtd_guest_enable_iq(pf.f, 1, true);
    vtd_guest_write64(pf.f, A_RTADDR, FIELD_SET(pf.t.root, RTADDR, TTM,
                                                TTM_SCALABLE));
    vtd_guest_command(pf.f, FIELD_MASK(GCMD, SRTP), true);
    if (FIELD_GET(ecap, ECAP, PRS)) {
        vtd_guest_enable_prq(pf.f, 0);
        pasid_set_context(PASID_RID, VTD_CONTEXT_SVA, 0);
        pasid_set_context(PASID_RID2, VTD_CONTEXT_SVA, 0);
    }
    vtd_guest_enable_faults(pf.f);
    vtd_guest_command(pf.f, FIELD_MASK(GCMD, TE), true);
}

void pasid_invalidate(uint16_t did, uint32_t pasid)
{
    vtd_guest_submit(pf.f, vtd_desc_pasid_cache(PASID_CACHE_G_PASID, did,
                                                pasid), 0);
}

void pasid_set_first_stage(uint16_t rid, uint32_t pasid, uint16_t did,
                           uint64_t table)
{
    vtd_tables_set_first_stage(&pf.t, rid, pasid, did, table);
    pasid_invalidate(did, pasid);
}

void pasid_set_pass_through(uint16_t rid, uint32_t pasid, uint16_t did)
{
    vtd_tables_set_pass_through(&pf.t, rid, pasid, did);
    pasid_invalidate(did, pasid);
}

void pasid_clear(uint16_t rid, uint32_t pasid, uint16_t did)
{
    vtd_tables_clear_pasid(&pf.t, rid, pasid);
    pasid_invalidate(did, pasid);
}

void pasid_set_context(uint16_t rid, uint64_t bits, uint32_t rid_pasid)
{
    vtd_tables_set_context(&pf.t, rid, bits, rid_pasid);
    vtd_guest_submit(pf.f, vtd_desc_context_cache(CONTEXT_G_DEVICE, 0, rid),
                     0);
}

static void place_fill(PasidPlace *place, const EmulPt *pt)
{
    if (!pt) {
        return;
    }
    place->id = pt->obj.id;
    if (pt->obj.type == EMUL_NESTED) {
        place->kind = PLACE_FIRST_STAGE;
        place->s1 = ((const EmulNested *)pt)->s1;
        place->faults = pt->fault != NULL;
    } else {
        place->kind = PLACE_PARENT;
    }
}

static const VtdAttachment *attachment_find(VfioDevice *device, uint32_t pasid)
{
    const VtdAttachment *attachment = NULL;
    DeviceEntry *entry;

    rcu_section_enter();
    entry = device_map_find_dev(pf.v->parent.devices,
                                vfio_device_get_dev_id(device));
    if (entry) {
        attachment = vtd_attachment_find(
            caa_container_of(entry, VtdDevice, parent.entry), pasid);
    }
    rcu_section_leave();
    return attachment;
}

PasidPlace pasid_place(VfioDevice *device, uint32_t pasid)
{
    const VtdAttachment *attachment = attachment_find(device, pasid);
    EmulHost *host = emul_host(pf.f->host);
    PasidPlace place = { .kind = PLACE_NONE };
    const EmulAttachment *rid_or_pasid;
    EmulDevice *emulated;

    lock_acquire(&host->lock);
    emulated = (EmulDevice *)emul_object_find_locked(
        host, vfio_device_get_dev_id(device), EMUL_DEVICE);
    if (pasid == PAGE_REQUEST_NO_PASID) {
        rid_or_pasid = &emulated->rid;
    } else {
        rid_or_pasid = emulated->pasids
                           ? g_hash_table_lookup(emulated->pasids,
                                                 GUINT_TO_POINTER(pasid))
                           : NULL;
    }
    place_fill(&place, rid_or_pasid ? rid_or_pasid->pt : NULL);
    lock_release(&host->lock);

    g_assert_cmpint(attachment != NULL, ==, place.kind != PLACE_NONE);
    if (place.kind == PLACE_FIRST_STAGE) {
        g_assert_cmpuint(attachment->hwpt.id, ==, place.id);
        g_assert_cmpint(attachment->hwpt.faults, ==, place.faults);
    } else if (place.kind == PLACE_PARENT) {
        lock_assume_alone(&pf.v->parent.config_lock);
        g_assert_cmpuint(attachment->hwpt.id, ==, 0);
        g_assert_cmpuint(pf.v->parent.host.parent_hwpt_id, ==, place.id);
    }
    return place;
}

uint32_t pasid_assert_on(VfioDevice *device, uint32_t pasid, uint64_t table)
{
    PasidPlace place = pasid_place(device, pasid);

    g_assert_cmpint(place.kind, ==, PLACE_FIRST_STAGE);
    g_assert_cmphex(place.s1.pgtbl_addr, ==, table);
    g_assert_cmpuint(place.s1.addr_width, ==, 48);
    return place.id;
}

void pasid_assert_parent(VfioDevice *device, uint32_t pasid)
{
    g_assert_cmpint(pasid_place(device, pasid).kind, ==, PLACE_PARENT);
}

void pasid_assert_none(VfioDevice *device, uint32_t pasid)
{
    g_assert_cmpint(pasid_place(device, pasid).kind, ==, PLACE_NONE);
}

uint64_t pasid_objects(void)
{
    return emul_get_stats(pf.f->host).objects;
}

void pasid_fail(unsigned long request, uint64_t nth, uint64_t times, int err)
{
    const EmulFailure failure = {
        .call = EMUL_CALL_IOCTL, .request = request, .nth = nth,
        .times = times, .err = err,
    };

    emul_set_failure(pf.f->host, &failure);
}

void pasid_count_calls(unsigned long request)
{
    pasid_fail(request, UINT64_MAX, 0, 0);
}

uint64_t pasid_calls(void)
{
    return emul_get_calls_counted(pf.f->host);
}
