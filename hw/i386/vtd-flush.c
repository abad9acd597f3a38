/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IOTLB and PASID IOTLB invalidations (6.5.2.3, 6.5.2.4) to the host. They are
 * collected until a wait descriptor wants them done, and sent with one ioctl
 * for each first-stage HWPT whose domain and PASID they name.
 *
 * The config_lock keeps the devices and what they are attached to; none the
 * less a reference is held to each while the host is called.
 */
#include "hw/i386/vtd-internal.h"

#include "host/iommufd.h"

typedef struct iommu_hwpt_vtd_s1_invalidate HostEntry;

/* Does @flush name what @attachment stands for? */
static bool concerns(const VtdFlush *flush, const VtdAttachment *attachment)
{
    return (flush->did == VTD_ALL_DIDS || flush->did == attachment->did) &&
           (flush->pasid == PAGE_REQUEST_NO_PASID ||
            flush->pasid == attachment->pasid);
}

static HostEntry to_host(const VtdFlush *flush)
{
    return (HostEntry){
        .addr = flush->npages == UINT64_MAX ? 0 : flush->addr,
        .npages = flush->npages,
        .flags = flush->leaf ? IOMMU_VTD_INV_FLAGS_LEAF : 0,
    };
}

static int invalidate(Vtd *v, uint32_t hwpt_id, const HostEntry *entries,
                      uint32_t count) REQUIRES(&v->parent.config_lock)
{
    return iommufd_invalidate(v->parent.host.iommu, hwpt_id,
                              IOMMU_HWPT_INVALIDATE_DATA_VTD_S1, entries,
                              sizeof(entries[0]), &count);
}

/*
 * The host refuses, which VT-d has no way to say to a guest: an IOTLB
 * invalidation does not fail, and a guest whose wait descriptor never completes
 * hangs for good. So everything is invalidated in place of what was asked for;
 * if the host refuses even that, the guest goes on with translations of its own
 * that may be stale, behind the host's second stage as ever.
 */
static void invalidate_failed(Vtd *v, uint32_t hwpt_id, int err)
    REQUIRES(&v->parent.config_lock)
{
    const HostEntry everything = { .npages = UINT64_MAX };

    viommu_warn_once(&v->parent, VTD_WARN_HOST_INVALIDATE,
                     "the host's invalidation fails: %s", g_strerror(-err));
    invalidate(v, hwpt_id, &everything, 1);
}

static void flush_attachment(Vtd *v, const VtdAttachment *attachment)
    REQUIRES(&v->parent.config_lock)
{
    HostEntry entries[VTD_FLUSH_BATCH];
    uint32_t count = 0;
    int ret;

    for (size_t i = 0; i < v->pending.flush_count; i++) {
        if (concerns(&v->pending.flush[i], attachment)) {
            entries[count++] = to_host(&v->pending.flush[i]);
        }
    }
    if (count > 0) {
        ret = invalidate(v, attachment->hwpt.id, entries, count);
        if (ret < 0) {
            invalidate_failed(v, attachment->hwpt.id, ret);
        }
    }
}

static void flush_device(Vtd *v, VtdDevice *device)
    REQUIRES(&v->parent.config_lock)
{
    for (unsigned i = 0; i < VTD_PASID_BUCKETS; i++) {
        VtdAttachment *attachment;

        cds_hlist_for_each_entry_2(attachment, &device->pasids[i], node) {
            /* Pass-through translates nothing. */
            if (attachment->hwpt.id != 0) {
                flush_attachment(v, attachment);
            }
        }
    }
}

void vtd_flush_add(Vtd *v, const VtdFlush *flush)
{
    v->pending.flush[v->pending.flush_count++] = *flush;
    if (v->pending.flush_count == VTD_FLUSH_BATCH) {
        vtd_flush_send(v);
    }
}

void vtd_flush_send(Vtd *v)
{
    ViommuDevice *device;
    size_t cursor = 0;

    if (v->pending.flush_count == 0) {
        return;
    }
    while ((device = viommu_device_next(&v->parent, &cursor))) {
        flush_device(v, (VtdDevice *)device);
        viommu_device_put(&v->parent, device);
    }
    v->pending.flush_count = 0;
}
