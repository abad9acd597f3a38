/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/arm/smmuv3-internal.h"

#include "base/error.h"
#include "host/iommufd-abi.h"

#include <errno.h>

static void smmuv3_get_queue(Viommu *viommu, uint32_t *used, uint32_t *size)
{
    Smmuv3 *s = smmuv3_from(viommu);
    GuestRing ring;
    bool on;

    lock_acquire(&s->parent.ring_lock);
    ring = smmuv3_eventq_ring(s);
    on = FIELD_GET(s->reg[R_CR0], CR0, EVENTQEN);
    lock_release(&s->parent.ring_lock);
    *used = on ? guest_ring_used(&ring) : 0;
    *size = on ? guest_ring_size(&ring) : 0;
}

static void smmuv3_get_page_queue(Viommu *viommu, uint32_t *used,
                                  uint32_t *size)
{
    Smmuv3 *s = smmuv3_from(viommu);
    GuestRing ring;
    bool on;

    lock_acquire(&s->parent.ring_lock);
    ring = smmuv3_priq_ring(s);
    on = smmuv3_priq_enabled(s);
    lock_release(&s->parent.ring_lock);
    *used = on ? guest_ring_used(&ring) : 0;
    *size = on ? guest_ring_size(&ring) : 0;
}

static bool smmuv3_has_pages(const Viommu *viommu)
{
    return ((const Smmuv3 *)viommu)->props.pri;
}

static void smmuv3_failed(void *opaque, const char *message)
{
    viommu_host_error(opaque, VIOMMU_HOST_QUEUE_FAILED, message);
}

static void smmuv3_free(Viommu *viommu)
{
    g_free(smmuv3_from(viommu));
}

static const ViommuOps smmuv3_ops = {
    .viommu_type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
    .veventq_type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
    .record_size = SMMUV3_EVENT_BYTES,
    .virt_id_bits = SMMUV3_SID_BITS,
    .device_size = sizeof(ViommuDevice),
    .sink = {
        .room = smmuv3_eventq_room,
        .deliver = smmuv3_eventq_deliver,
        .failed = smmuv3_failed,
    },
    .pages = {
        .room = smmuv3_priq_room,
        .deliver = smmuv3_priq_deliver,
    },
    .has_pages = smmuv3_has_pages,
    .translate = smmuv3_translate,
    .mmio_read = smmuv3_mmio_read,
    .mmio_write = smmuv3_mmio_write,
    .reset = smmuv3_reset,
    .check_host = smmuv3_check_host,
    .host_up = smmuv3_host_up,
    .host_down = smmuv3_host_down,
    .attach = smmuv3_attach,
    .detach = smmuv3_detach,
    .get_queue = smmuv3_get_queue,
    .get_page_queue = smmuv3_get_page_queue,
    .free = smmuv3_free,
};

static bool check_range(const char *name, unsigned value, unsigned max,
                        GError **error)
{
    if (value > max) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "arm-smmuv3: %s %u is out of range, 0 to %u is accepted",
                    name, value, max);
        return false;
    }
    return true;
}

static bool check_needs(const char *name, bool value, const char *needed_name,
                        bool needed, GError **error)
{
    if (value && !needed) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "arm-smmuv3: %s on needs %s on", name, needed_name);
        return false;
    }
    return true;
}

static bool check_properties(const Smmuv3Properties *props, GError **error)
{
    if (props->oas_bits != 44 && props->oas_bits != 48) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "arm-smmuv3: oas %u is not supported, "
                    "44 or 48 is accepted", props->oas_bits);
        return false;
    }
    return check_range("ssidsize", props->ssid_bits, 20, error) &&
           check_range("log2 size of the event queue", props->log2_eventq, 19,
                       error) &&
           check_range("log2 size of the command queue", props->log2_cmdq, 19,
                       error) &&
           check_range("log2 size of the PRI queue", props->log2_priq, 19,
                       error) &&
           check_needs("pri", props->pri, "ats", props->ats, error) &&
           check_needs("pps", props->pps, "pri", props->pri, error);
}

Viommu *smmuv3_new(const ViommuConfig *config,
                   const Smmuv3Properties *properties, GError **error)
{
    Smmuv3Properties props =
        properties ? *properties : SMMUV3_PROPERTIES_DEFAULT;
    Smmuv3 *s;

    if (!check_properties(&props, error)) {
        return NULL;
    }
    s = g_try_new0(Smmuv3, 1);
    if (!s) {
        error_set_errno(error, ENOMEM, "vIOMMU '%s'", config->id);
        return NULL;
    }
    s->props = props;           /* first: has_pages() is asked */
    if (!viommu_init(&s->parent, &smmuv3_ops, config, error)) {
        g_free(s);
        return NULL;
    }
    lock_acquire(&s->parent.ring_lock);
    smmuv3_regs_reset(s);
    lock_release(&s->parent.ring_lock);
    lock_acquire(&s->parent.config_lock);
    smmuv3_table_publish(s);
    lock_release(&s->parent.config_lock);
    return &s->parent;
}
