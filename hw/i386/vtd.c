/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/i386/vtd-internal.h"

#include "base/error.h"

#include <errno.h>

/* No event queue: the host forwards no faults of VT-d. */
static void vtd_get_queue(Viommu *viommu, uint32_t *used, uint32_t *size)
{
    *used = 0;
    *size = 0;
}

/* There is no enable bit: a queue without an address is not in use. */
static void vtd_get_page_queue(Viommu *viommu, uint32_t *used, uint32_t *size)
{
    Vtd *v = vtd_from(viommu);
    GuestByteRing ring;
    bool on;

    lock_acquire(&v->parent.ring_lock);
    ring = vtd_prq_ring(v);
    on = vtd_reg64(v, R_PQA) & FIELD_MASK(PQA, PQA);
    lock_release(&v->parent.ring_lock);
    *used = on ? guest_byte_ring_used(&ring) : 0;
    *size = on ? guest_byte_ring_used(&ring) + guest_byte_ring_room(&ring) : 0;
}

static bool vtd_has_pages(const Viommu *viommu)
{
    return ((const Vtd *)viommu)->props.svm;
}

static void vtd_free(Viommu *viommu)
{
    g_free(vtd_from(viommu));
}

static const ViommuOps vtd_ops = {
    .virt_id_bits = VTD_RID_BITS,
    .device_size = sizeof(VtdDevice),
    .pages = {
        .room = vtd_prq_room,
        .deliver = vtd_prq_deliver,
    },
    .has_pages = vtd_has_pages,
    .translate = vtd_translate,
    .mmio_read = vtd_mmio_read,
    .mmio_write = vtd_mmio_write,
    .reset = vtd_reset,
    .check_host = vtd_check_host,
    .host_up = vtd_host_up,
    .host_down = vtd_host_down,
    .attach = vtd_attach,
    .detach = vtd_detach,
    .get_queue = vtd_get_queue,
    .get_page_queue = vtd_get_page_queue,
    .free = vtd_free,
};

static bool check_properties(const VtdProperties *props, GError **error)
{
    if (props->pasid_bits < 1 || props->pasid_bits > 20) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "intel-iommu: pasid bits %u is out of range, "
                    "1 to 20 is accepted", props->pasid_bits);
        return false;
    }
    return true;
}

Viommu *vtd_new(const ViommuConfig *config, const VtdProperties *properties,
                GError **error)
{
    VtdProperties props = properties ? *properties : VTD_PROPERTIES_DEFAULT;
    Vtd *v;

    if (!check_properties(&props, error)) {
        return NULL;
    }
    v = g_try_new0(Vtd, 1);
    if (!v) {
        error_set_errno(error, ENOMEM, "vIOMMU '%s'", config->id);
        return NULL;
    }
    v->props = props;           /* for has_pages() */
    if (!viommu_init(&v->parent, &vtd_ops, config, error)) {
        g_free(v);
        return NULL;
    }
    vtd_regs_init(v);
    lock_acquire(&v->parent.ring_lock);
    vtd_regs_reset(v);
    lock_release(&v->parent.ring_lock);
    return &v->parent;
}
