/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the guest's PASID entries to the HWPTs that the host's devices and their
 * PASIDs are attached to. A first-stage entry gets a nested HWPT of its own, a
 * pass-through entry the nest parent, anything else nothing at all.
 *
 * VtdDevice::pasids is what the host has; the tables are what the guest wants.
 * All changes are one function, pasid_sync(), which makes the one like the
 * other for one PASID. HWPTs are made here, on the vCPU's thread; what ends
 * page requests runs on the home thread (viommu_attach()).
 */
#include "hw/i386/vtd-internal.h"

#include "base/error.h"
#include "host/iommufd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* 11.4: what no guest of this model sees. */
FIELD(HOST_ECAP, NEST, 26, 1)

/**
 * struct PasidTarget - where a PASID is to be
 * @did, @pasid, @s1: as in VtdAttachment
 * @faults: with the fault queue
 */
typedef struct PasidTarget {
    enum { TARGET_NONE, TARGET_PARENT, TARGET_FIRST_STAGE } kind;
    uint16_t did;
    uint32_t pasid;
    struct iommu_hwpt_vtd_s1 s1;
    bool faults;
} PasidTarget;

static VtdDevice *device_from(ViommuDevice *device)
{
    return (VtdDevice *)device;
}

/* ---- What the guest wants ---- */

/* Not present is the guest's way to say no; the rest is a mistake. */
static bool reason_is_mistake(VtdReason reason)
{
    switch (reason) {
    case VTD_OK:
    case VTD_FR_RTADDR:
    case VTD_FR_PASID_LEGACY:
    case VTD_FR_ABORT_DMA:
    case VTD_FR_ROOT_P:
    case VTD_FR_CONTEXT_P:
    case VTD_FR_PASIDE:
    case VTD_FR_PASID_RANGE:
    case VTD_FR_PASID_IS_RID_PASID:
    case VTD_FR_DIR_P:
    case VTD_FR_PASID_P:
        return false;
    default:
        return true;
    }
}

/* What the host's driver takes of an entry; SRE, WPE and EAFE are reserved. */
static struct iommu_hwpt_vtd_s1 make_s1(const uint64_t *entry)
{
    return (struct iommu_hwpt_vtd_s1){
        .pgtbl_addr = entry[2] & FIELD_MASK(PASID2, FSPTPTR),
        .addr_width = 48,       /* FSPM 0: vtd_walk() lets no other through */
    };
}

static PasidTarget target_from_tables(Vtd *v, uint16_t rid, uint32_t pasid)
{
    PasidTarget target = { .kind = TARGET_NONE };
    VtdReason reason;
    VtdWalk walk;

    reason = vtd_walk(v, rid, pasid, VTD_REQUEST_UNTRANSLATED, &walk);
    if (reason != VTD_OK) {
        if (reason_is_mistake(reason)) {
            viommu_warn_once(&v->parent, VTD_WARN_PASID_ENTRY,
                             "the tables give RID 0x%x no PASID entry that is "
                             "of use: fault reason 0x%x", rid, reason);
        }
        return target;
    }
    target.did = FIELD_GET(walk.entry[1], PASID1, DID);
    target.pasid = walk.pasid;
    if (FIELD_GET(walk.entry[0], PASID0, PGTT) == PGTT_PASS_THROUGH) {
        target.kind = TARGET_PARENT;
    } else {
        target.kind = TARGET_FIRST_STAGE;
        target.s1 = make_s1(walk.entry);
        target.faults = FIELD_GET(walk.context[0], CONTEXT0, PRE);
    }
    return target;
}

/* Without TES, requests without PASID pass, and none with one. */
static PasidTarget pasid_target(Vtd *v, uint16_t rid, uint32_t pasid)
    REQUIRES(&v->parent.config_lock)
{
    /* Relaxed: the config_lock keeps it as it is. */
    uint64_t root = atomic_load_explicit(&v->root, memory_order_relaxed);

    if (!FIELD_GET(root, ROOT, TES)) {
        return (PasidTarget){
            .kind = pasid == PAGE_REQUEST_NO_PASID ? TARGET_PARENT
                                                   : TARGET_NONE,
        };
    }
    return target_from_tables(v, rid, pasid);
}

/* ---- What the host has ---- */

/* By a number that the guest does not know: it chooses the PASIDs. */
static struct cds_hlist_head *bucket_of(VtdDevice *d, uint32_t pasid)
{
    uint32_t hash = pasid ^ d->pasid_seed;

    /* MurmurHash3's finalizer: each bit has to do with all others. */
    hash = (hash ^ hash >> 16) * UINT32_C(0x85ebca6b);
    hash = (hash ^ hash >> 13) * UINT32_C(0xc2b2ae35);
    return &d->pasids[(hash ^ hash >> 16) % VTD_PASID_BUCKETS];
}

VtdAttachment *vtd_attachment_find(VtdDevice *d, uint32_t pasid)
{
    VtdAttachment *attachment;

    cds_hlist_for_each_entry_2(attachment, bucket_of(d, pasid), node) {
        if (attachment->key == pasid) {
            return attachment;
        }
    }
    return NULL;
}

/* Is @target what the host has already? The DID is no matter of its. */
static bool is_attached(const VtdAttachment *attachment,
                        const PasidTarget *target)
{
    if (!attachment || target->kind == TARGET_NONE) {
        return !attachment && target->kind == TARGET_NONE;
    }
    if (target->kind == TARGET_PARENT) {
        return attachment->hwpt.id == 0;
    }
    return attachment->hwpt.id != 0 &&
           attachment->hwpt.faults == target->faults &&
           memcmp(&attachment->s1, &target->s1, sizeof(target->s1)) == 0;
}

/* Return: a new one, as if it were on the nest parent; NULL: no memory. */
static VtdAttachment *attachment_add(VtdDevice *d, uint32_t pasid)
{
    VtdAttachment *attachment = g_try_new0(VtdAttachment, 1);

    if (attachment) {
        attachment->key = pasid;
        cds_hlist_add_head(&attachment->node, bucket_of(d, pasid));
        d->pasid_count++;
    }
    return attachment;
}

/* The PASID is on nothing any more: its HWPT goes. */
static void attachment_drop(Vtd *v, VtdDevice *d, VtdAttachment *attachment)
    REQUIRES(&v->parent.config_lock)
{
    viommu_hwpt_destroy(&v->parent, &attachment->hwpt);
    cds_hlist_del(&attachment->node);
    d->pasid_count--;
    g_free(attachment);
}

static void pasid_detach(Vtd *v, VtdDevice *d, uint32_t pasid)
    REQUIRES(&v->parent.config_lock)
{
    VtdAttachment *attachment = vtd_attachment_find(d, pasid);

    if (attachment) {
        viommu_attach(&v->parent, &d->parent, pasid, 0, NULL);  /* done */
        attachment_drop(v, d, attachment);
    }
}

static bool hwpt_alloc(Vtd *v, VtdDevice *d, const PasidTarget *target,
                       ViommuHwpt *out, GError **error)
    REQUIRES(&v->parent.config_lock)
{
    const IommufdHwpt hwpt = {
        .dev_id = d->parent.entry.dev_id,
        .pt_id = v->parent.host.parent_hwpt_id,
        .flags = IOMMU_HWPT_ALLOC_PASID,
        .data_type = IOMMU_HWPT_DATA_VTD_S1,
        .data_len = sizeof(target->s1),
        .data = &target->s1,
    };

    *out = (ViommuHwpt){ 0 };
    return target->kind == TARGET_PARENT ||
           viommu_hwpt_alloc(&v->parent, &hwpt, target->faults, out, error);
}

/* Make the new HWPT and move there. On failure the PASID is on nothing. */
static bool move_to(Vtd *v, VtdDevice *d, uint32_t pasid,
                    const PasidTarget *target, ViommuHwpt *hwpt,
                    GError **error)
    REQUIRES(&v->parent.config_lock)
{
    uint32_t pt_id;

    if (!hwpt_alloc(v, d, target, hwpt, error)) {
        viommu_attach(&v->parent, &d->parent, pasid, 0, NULL);  /* done */
        return false;
    }
    pt_id = hwpt->id != 0 ? hwpt->id : v->parent.host.parent_hwpt_id;
    if (!viommu_attach(&v->parent, &d->parent, pasid, pt_id, error)) {
        if (target->faults) {
            g_prefix_error(error, "with page requests (a virtual function, or "
                           "a device without PRI, cannot have them: then "
                           "give the vIOMMU svm=off): ");
        }
        viommu_hwpt_destroy(&v->parent, hwpt);
        return false;
    }
    return true;
}

/*
 * Make the new HWPT, move there, destroy the old one.
 * Return: false and @error set; the PASID is detached then.
 */
static bool pasid_attach(Vtd *v, VtdDevice *d, uint32_t pasid,
                         const PasidTarget *target, GError **error)
    REQUIRES(&v->parent.config_lock)
{
    VtdAttachment *attachment = vtd_attachment_find(d, pasid);
    ViommuHwpt hwpt;

    if (!attachment) {
        attachment = attachment_add(d, pasid);
    }
    if (!attachment) {
        error_set_errno(error, ENOMEM, "cannot attach PASID 0x%x", pasid);
        return false;
    }
    if (!move_to(v, d, pasid, target, &hwpt, error)) {
        attachment_drop(v, d, attachment);
        return false;
    }
    viommu_hwpt_destroy(&v->parent, &attachment->hwpt);
    attachment->did = target->did;
    attachment->pasid = target->pasid;
    attachment->hwpt = hwpt;
    attachment->s1 = target->s1;
    return true;
}

/*
 * Each attachment is host memory, which a directory that names one page over
 * and over must not use up. The device itself always has room.
 */
static bool has_room(Vtd *v, VtdDevice *d, uint32_t pasid)
    REQUIRES(&v->parent.config_lock)
{
    bool itself = vtd_attachment_find(d, PAGE_REQUEST_NO_PASID) != NULL;

    if (pasid == PAGE_REQUEST_NO_PASID ||
        d->pasid_count - itself < VTD_PASIDS_MAX) {
        return true;
    }
    viommu_warn_once(&v->parent, VTD_WARN_PASIDS_MAX,
                     "RID 0x%x has more than %u PASIDs: those from %u on are "
                     "not attached", d->parent.entry.virt_id, VTD_PASIDS_MAX,
                     pasid);
    return false;
}

/*
 * Make the host have what the tables say of one PASID, if domain @did has to do
 * with it. Return: false and @error set; the PASID is detached then.
 */
static bool pasid_sync(Vtd *v, VtdDevice *d, uint32_t did, uint32_t pasid,
                       GError **error) REQUIRES(&v->parent.config_lock)
{
    VtdAttachment *attachment = vtd_attachment_find(d, pasid);
    PasidTarget target = pasid_target(v, d->parent.entry.virt_id, pasid);

    if (did != VTD_ALL_DIDS && !(attachment && attachment->did == did) &&
        !(target.kind != TARGET_NONE && target.did == did)) {
        return true;
    }
    if (is_attached(attachment, &target)) {
        if (attachment) {
            attachment->did = target.did;
            attachment->pasid = target.pasid;
        }
        return true;
    }
    if (target.kind == TARGET_NONE) {
        pasid_detach(v, d, pasid);
        return true;
    }
    if (!attachment && !has_room(v, d, pasid)) {
        return true;
    }
    return pasid_attach(v, d, pasid, &target, error);
}

/* ---- Which PASIDs of which devices ---- */

/*
 * As pasid_sync(), but it is the operator who hears of errors: of the first,
 * since the guest may ask for what the host refuses as often as it likes.
 */
static bool pasid_sync_report(Vtd *v, VtdDevice *d, uint32_t did,
                              uint32_t pasid, GError **unused)
    REQUIRES(&v->parent.config_lock)
{
    GError *error = NULL;

    if (pasid_sync(v, d, did, pasid, &error)) {
        return true;
    }
    if (pasid == PAGE_REQUEST_NO_PASID) {
        viommu_warn_once(&v->parent, VTD_WARN_PASID_REFUSED,
                         "RID 0x%x: %s; it is detached",
                         d->parent.entry.virt_id, error->message);
    } else {
        viommu_warn_once(&v->parent, VTD_WARN_PASID_REFUSED,
                         "RID 0x%x, PASID %u: %s; it is detached",
                         d->parent.entry.virt_id, pasid, error->message);
    }
    g_error_free(error);
    return true;
}

/* Return: whether to go on with other PASIDs. */
typedef bool PasidSyncFunc(Vtd *v, VtdDevice *d, uint32_t did, uint32_t pasid,
                           GError **error);

/* All that @d has on the host. Each may be dropped or replaced meanwhile. */
static bool sync_attached(Vtd *v, VtdDevice *d, uint32_t did,
                          PasidSyncFunc *sync, GError **error)
    REQUIRES(&v->parent.config_lock)
{
    VtdAttachment *attachment, *next;

    for (unsigned i = 0; i < VTD_PASID_BUCKETS; i++) {
        cds_hlist_for_each_entry_safe_2(attachment, next, &d->pasids[i],
                                        node) {
            if (!sync(v, d, did, attachment->key, error)) {
                return false;
            }
        }
    }
    return true;
}

/*
 * All that @d has on the host or in the tables. Of what is only in the tables
 * no more than can be attached, and one to tell of it.
 */
static bool sync_all(Vtd *v, VtdDevice *d, uint32_t did, PasidSyncFunc *sync,
                     GError **error) REQUIRES(&v->parent.config_lock)
{
    uint32_t pasid = PAGE_REQUEST_NO_PASID;
    unsigned found = 0;

    if (!sync_attached(v, d, did, sync, error) ||
        (!vtd_attachment_find(d, pasid) && !sync(v, d, did, pasid, error))) {
        return false;
    }
    for (pasid = 0; found <= VTD_PASIDS_MAX &&
                    vtd_next_pasid(v, d->parent.entry.virt_id, &pasid);
         pasid++) {
        if (vtd_attachment_find(d, pasid)) {
            continue;
        }
        if (!sync(v, d, did, pasid, error)) {
            return false;
        }
        found++;
    }
    return true;
}

/* Is @pasid that of the device itself, by the tables or on the host? */
static bool is_rid_pasid(Vtd *v, VtdDevice *d, uint32_t pasid)
    REQUIRES(&v->parent.config_lock)
{
    const VtdAttachment *attachment =
        vtd_attachment_find(d, PAGE_REQUEST_NO_PASID);
    uint32_t rid_pasid;

    return (attachment && attachment->pasid == pasid) ||
           (vtd_rid_pasid(v, d->parent.entry.virt_id, &rid_pasid) &&
            rid_pasid == pasid);
}

static void device_changed(Vtd *v, VtdDevice *d, uint32_t did, uint32_t pasid)
    REQUIRES(&v->parent.config_lock)
{
    if (pasid == VTD_ALL_PASIDS) {
        sync_all(v, d, did, pasid_sync_report, NULL);
        return;
    }
    if (is_rid_pasid(v, d, pasid)) {
        pasid_sync_report(v, d, did, PAGE_REQUEST_NO_PASID, NULL);
    }
    pasid_sync_report(v, d, did, pasid, NULL);
}

void vtd_pasid_changed(Vtd *v, const VtdChange *change)
{
    DeviceEntry *entry;
    size_t cursor = 0;

    /* The config_lock keeps the map as it is. */
    while ((entry = device_map_next(v->parent.devices, &cursor))) {
        VtdDevice *d = device_from(
            caa_container_of(entry, ViommuDevice, entry));

        /* An emulated device has none: it walks the tables itself. */
        if (d->parent.vfio &&
            ((entry->virt_id ^ change->rid) & ~change->rid_ignored) == 0) {
            device_changed(v, d, change->did, change->pasid);
        }
    }
}

/* ---- Hot plug ---- */

static bool pasid_detach_one(Vtd *v, VtdDevice *d, uint32_t did, uint32_t pasid,
                             GError **unused)
    REQUIRES(&v->parent.config_lock)
{
    pasid_detach(v, d, pasid);
    return true;
}

bool vtd_check_host(Viommu *viommu, VfioDevice *vfio, GError **error)
{
    const VtdProperties *props = &vtd_from(viommu)->props;
    struct iommu_hw_info_vtd info;

    if (!iommufd_hw_info_vtd(vfio_device_get_host(vfio),
                             vfio_device_get_dev_id(vfio), &info, error)) {
        return false;
    }

    const ViommuHostField fields[] = {
        { "ECAP.NEST", FIELD_GET(info.ecap_reg, HOST_ECAP, NEST), 1, NULL },
        { "ECAP.SMPWCS", FIELD_GET(info.ecap_reg, ECAP, SMPWCS), 1, NULL },
        { "CAP.FS1GP", FIELD_GET(info.cap_reg, CAP, FS1GP), props->fs1gp,
          "fs1gp=off" },
        { "ECAP.PASID", FIELD_GET(info.ecap_reg, ECAP, PASID), props->svm,
          "svm=off" },
        { "ECAP.PSS", FIELD_GET(info.ecap_reg, ECAP, PSS),
          props->svm ? props->pasid_bits - 1 : 0,
          "smaller pasid-bits" },
        { "ECAP.PRS", FIELD_GET(info.ecap_reg, ECAP, PRS), props->svm,
          "svm=off" },
    };

    return viommu_check_host_fields("VT-d unit", fields, G_N_ELEMENTS(fields),
                                    error);
}

/* Nothing is shared but the nest parent. */
bool vtd_host_up(Viommu *viommu, VfioDevice *vfio, GError **error)
{
    return true;
}

void vtd_host_down(Viommu *viommu)
{
}

bool vtd_attach(Viommu *viommu, ViommuDevice *device, GError **error)
{
    Vtd *v = vtd_from(viommu);
    VtdDevice *d = device_from(device);

    lock_assert_held(&v->parent.config_lock);
    d->pasid_seed = g_random_int();
    if (!sync_all(v, d, VTD_ALL_DIDS, pasid_sync, error)) {
        vtd_detach(viommu, device);
        return false;
    }
    return true;
}

void vtd_detach(Viommu *viommu, ViommuDevice *device)
{
    Vtd *v = vtd_from(viommu);
    VtdDevice *d = device_from(device);

    lock_assert_held(&v->parent.config_lock);
    sync_attached(v, d, VTD_ALL_DIDS, pasid_detach_one, NULL);
}
