/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the guest's stream table (3.3, 5.2) to the HWPT that a device is
 * attached to. Abort and bypass are one nested HWPT each for all devices; a
 * stage 1 STE gives its device one of its own. Transactions are the host
 * SMMU's: a bad table is found here when it is looked at, and reported to the
 * guest by the host when it is used.
 */
#include "hw/arm/smmuv3-internal.h"

#include "base/error.h"
#include "host/iommufd.h"

#include <inttypes.h>

#define STE_BYTES 64

/* 5.2: the words that the host takes */
FIELD(STE0, V, 0, 1)
FIELD(STE0, CONFIG, 1, 3)
FIELD(STE0, S1CDMAX, 59, 5)
FIELD(STE1, S1STALLD, 27, 1)
FIELD(STE1, EATS, 28, 2)

enum {
    STE_CONFIG_ABORT_MAX = 3,
    STE_CONFIG_BYPASS = 4,
    STE_CONFIG_S1 = 5,
};

/* 5.1: level 1 descriptor */
FIELD(L1STD, SPAN, 0, 5)
FIELD(L1STD, L2PTR, 6, 50)

/* Bits that IOMMU_HWPT_DATA_ARM_SMMUV3 accepts (Linux 7.3). */
#define STE0_NESTING_ALLOWED UINT64_C(0xf80fffffffffffff)
#define STE1_NESTING_ALLOWED UINT64_C(0x00000000380000ff)

/* Where a stream's traffic goes. */
typedef enum StreamKind {
    STREAM_ABORT,
    STREAM_BYPASS,
    STREAM_STAGE1,
} StreamKind;

static StreamTable table_get(Smmuv3 *s)
{
    /* Acquire: pairs with smmuv3_table_publish(). */
    uint64_t word = atomic_load_explicit(&s->table, memory_order_acquire);

    return (StreamTable){
        .enabled = FIELD_GET(word, TABLE, ENABLED),
        .abort = FIELD_GET(word, TABLE, ABORT),
        .two_level = FIELD_GET(word, TABLE, TWO_LEVEL),
        .log2size = FIELD_GET(word, TABLE, LOG2SIZE_LOW) |
                    FIELD_GET(word, TABLE, LOG2SIZE_HIGH) << 3,
        .split = FIELD_GET(word, TABLE, SPLIT),
        .base = word & FIELD_MASK(STRTAB_BASE, ADDR),
    };
}

/* The guards keep STRTAB_BASE and _CFG as they are while SMMUEN is 1. */
void smmuv3_table_publish(Smmuv3 *s)
{
    uint64_t word;
    unsigned log2size;
    uint32_t cfg;

    lock_acquire(&s->parent.ring_lock);
    word = smmuv3_reg64(s, R_STRTAB_BASE) & FIELD_MASK(STRTAB_BASE, ADDR);
    cfg = s->reg[R_STRTAB_BASE_CFG];
    word = FIELD_SET(word, TABLE, ENABLED,
                     FIELD_GET(s->reg[R_CR0], CR0, SMMUEN));
    word = FIELD_SET(word, TABLE, ABORT,
                     FIELD_GET(s->reg[R_GBPA], GBPA, ABORT));
    word = FIELD_SET(word, TABLE, TWO_LEVEL,
                     FIELD_GET(cfg, STRTAB_BASE_CFG, FMT) == 1);
    log2size = FIELD_GET(cfg, STRTAB_BASE_CFG, LOG2SIZE);
    word = FIELD_SET(word, TABLE, LOG2SIZE_LOW, log2size);
    word = FIELD_SET(word, TABLE, LOG2SIZE_HIGH, log2size >> 3);
    word = FIELD_SET(word, TABLE, SPLIT,
                     FIELD_GET(cfg, STRTAB_BASE_CFG, SPLIT));
    lock_release(&s->parent.ring_lock);
    /* Release: pairs with table_get(). */
    atomic_store_explicit(&s->table, word, memory_order_release);
}

static uint64_t align_down(uint64_t address, uint64_t bytes)
{
    return address & ~(bytes - 1);
}

/*
 * 3.3.2: where the STE of a stream is, in a two-level table.
 * Return: false if the table does not cover the stream.
 */
static bool two_level_ste(Smmuv3 *s, const StreamTable *table, uint32_t sid,
                          uint64_t *gpa)
{
    unsigned log2size = table->log2size;
    unsigned split = table->split;
    uint64_t l1_bytes;
    uint64_t base;
    uint64_t desc;
    unsigned span;

    if (split != 8 && split != 10) {
        split = 6;
    }
    l1_bytes = log2size > split ? UINT64_C(8) << MIN(log2size - split, 60) : 8;
    base = align_down(table->base, MAX(l1_bytes, 64));
    base += 8 * (uint64_t)(sid >> split);
    if (!guest_mem_read_words(s->parent.config.mem, base, &desc, 1)) {
        viommu_warn_once(&s->parent, SMMUV3_WARN_STREAM_TABLE,
                         "level 1 descriptor of StreamID 0x%x at 0x%" PRIx64
                         " is not in memory", sid, base);
        return false;
    }
    span = FIELD_GET(desc, L1STD, SPAN);
    if (span == 0 || span > split + 1 ||
        (sid & ((1u << split) - 1)) >= 1u << (span - 1)) {
        return false;           /* C_BAD_STREAMID if the stream is used */
    }
    *gpa = align_down(desc & FIELD_MASK(L1STD, L2PTR),
                      (uint64_t)STE_BYTES << (span - 1)) +
           STE_BYTES * (uint64_t)(sid & ((1u << split) - 1));
    return true;
}

static uint64_t linear_ste(const StreamTable *table, uint32_t sid)
{
    uint64_t bytes = (uint64_t)STE_BYTES << MIN(table->log2size, 57);

    return align_down(table->base, bytes) + STE_BYTES * (uint64_t)sid;
}

/* Read a stream's STE. Return: false if there is none to be read. */
static bool ste_read(Smmuv3 *s, const StreamTable *table, uint32_t sid,
                     uint64_t *ste)
{
    uint64_t gpa;

    if (sid >> MIN(table->log2size, SMMUV3_SID_BITS)) {
        return false;           /* C_BAD_STREAMID if the stream is used */
    }
    if (!table->two_level) {
        gpa = linear_ste(table, sid);
    } else if (!two_level_ste(s, table, sid, &gpa)) {
        return false;
    }
    if (!guest_mem_read_words(s->parent.config.mem, gpa, ste, 2)) {
        viommu_warn_once(&s->parent, SMMUV3_WARN_STREAM_TABLE,
                         "STE of StreamID 0x%x at 0x%" PRIx64
                         " is not in memory", sid, gpa);
        return false;
    }
    return true;
}

/* 5.2: illegal in the configuration that the ID registers show. */
static bool ste_is_illegal(const Smmuv3 *s, const uint64_t *ste)
{
    unsigned config = FIELD_GET(ste[0], STE0, CONFIG);

    return config > STE_CONFIG_S1 ||
           (config == STE_CONFIG_S1 &&
            (FIELD_GET(ste[0], STE0, S1CDMAX) > s->props.ssid_bits ||
             FIELD_GET(ste[1], STE1, S1STALLD) ||
             (s->props.ats && FIELD_GET(ste[1], STE1, EATS) > 1)));
}

/* From the guest's STE to one that the host takes. */
static void ste_for_host(const Smmuv3 *s, uint64_t *ste)
    REQUIRES(&s->parent.config_lock)
{
    ste[0] &= STE0_NESTING_ALLOWED;
    ste[1] &= STE1_NESTING_ALLOWED;
    if (!s->props.ats) {
        ste[1] = FIELD_SET(ste[1], STE1, EATS, 0);
    }
    if (s->host.force_stalld) {
        ste[1] = FIELD_SET(ste[1], STE1, S1STALLD, 1);
    }
}

/* @ste: out: the guest's, if STREAM_STAGE1 */
static StreamKind stream_kind(Smmuv3 *s, uint32_t sid, uint64_t *ste)
{
    const StreamTable table = table_get(s);

    if (!table.enabled) {
        return table.abort ? STREAM_ABORT : STREAM_BYPASS;
    }
    if (!ste_read(s, &table, sid, ste) || !FIELD_GET(ste[0], STE0, V) ||
        FIELD_GET(ste[0], STE0, CONFIG) <= STE_CONFIG_ABORT_MAX) {
        return STREAM_ABORT;
    }
    if (ste_is_illegal(s, ste)) {
        viommu_warn_once(&s->parent, SMMUV3_WARN_STE,
                         "STE of StreamID 0x%x is illegal: 0x%" PRIx64
                         " 0x%" PRIx64, sid, ste[0], ste[1]);
        return STREAM_ABORT;
    }
    return FIELD_GET(ste[0], STE0, CONFIG) == STE_CONFIG_BYPASS
               ? STREAM_BYPASS
               : STREAM_STAGE1;
}

bool smmuv3_ste_is_valid(Smmuv3 *s, uint32_t sid)
{
    const StreamTable table = table_get(s);
    uint64_t ste[2];

    return ste_read(s, &table, sid, ste) && FIELD_GET(ste[0], STE0, V) &&
           !ste_is_illegal(s, ste);
}

/*
 * Stage 1 is the host SMMU's to translate, and no emulated device goes through
 * that: there is a translation only where it is the address itself. A PASID is
 * always stage 1's.
 */
bool smmuv3_translate(Viommu *viommu, uint32_t virt_id, uint32_t pasid,
                      uint64_t iova, uint32_t perm, uint64_t *gpa)
{
    uint64_t ste[2];

    if (pasid != PAGE_REQUEST_NO_PASID ||
        stream_kind(smmuv3_from(viommu), virt_id, ste) != STREAM_BYPASS) {
        return false;
    }
    *gpa = iova;
    return true;
}

static bool nested_alloc(Smmuv3 *s, uint32_t dev_id, const uint64_t *ste,
                         uint32_t *hwpt_id, GError **error)
    REQUIRES(&s->parent.config_lock)
{
    const ViommuHost *host = &s->parent.host;
    struct iommu_hwpt_arm_smmuv3 data = {
        .ste = { GUINT64_TO_LE(ste[0]), GUINT64_TO_LE(ste[1]) },
    };

    return iommufd_nested_hwpt_alloc(host->iommu, dev_id, host->viommu_id,
                                     IOMMU_HWPT_DATA_ARM_SMMUV3, &data,
                                     sizeof(data), hwpt_id, error);
}

static void destroy(Smmuv3 *s, uint32_t *id) REQUIRES(&s->parent.config_lock)
{
    GError *error = NULL;

    if (*id && !iommufd_destroy(s->parent.host.iommu, *id, &error)) {
        viommu_host_error(&s->parent, VIOMMU_HOST_DESTROY_FAILED,
                          error->message);
        g_error_free(error);
    }
    *id = 0;
}

/* Attach to @hwpt_id, which is the device's own if @own, and drop the last. */
static bool move_to(Smmuv3 *s, ViommuDevice *device, uint32_t hwpt_id,
                    bool own, GError **error)
    REQUIRES(&s->parent.config_lock)
{
    if (!vfio_device_attach(device->vfio, hwpt_id, error)) {
        if (own) {
            destroy(s, &hwpt_id);
        }
        return false;
    }
    destroy(s, &device->hwpt_id);
    device->hwpt_id = own ? hwpt_id : 0;
    return true;
}

bool smmuv3_attach(Viommu *viommu, ViommuDevice *device, GError **error)
{
    Smmuv3 *s = smmuv3_from(viommu);
    uint64_t ste[2];
    uint32_t hwpt_id;

    lock_assert_held(&s->parent.config_lock);
    switch (stream_kind(s, device->entry.virt_id, ste)) {
    case STREAM_ABORT:
        return move_to(s, device, s->host.abort_id, false, error);
    case STREAM_BYPASS:
        return move_to(s, device, s->host.bypass_id, false, error);
    case STREAM_STAGE1:
        ste_for_host(s, ste);
        return nested_alloc(s, device->entry.dev_id, ste, &hwpt_id, error) &&
               move_to(s, device, hwpt_id, true, error);
    }
    g_assert_not_reached();
}

void smmuv3_detach(Viommu *viommu, ViommuDevice *device)
{
    Smmuv3 *s = smmuv3_from(viommu);

    lock_assert_held(&s->parent.config_lock);
    vfio_device_detach(device->vfio);
    destroy(s, &device->hwpt_id);
}

static void reattach_device(Smmuv3 *s, ViommuDevice *device)
    REQUIRES(&s->parent.config_lock)
{
    GError *error = NULL;

    if (smmuv3_attach(&s->parent, device, &error)) {
        return;
    }
    viommu_warn_once(&s->parent, SMMUV3_WARN_STE_REFUSED,
                     "StreamID 0x%x: %s; its traffic will be aborted",
                     device->entry.virt_id, error->message);
    g_clear_error(&error);
    if (!move_to(s, device, s->host.abort_id, false, &error)) {
        /* Never leave it on tables that the guest has taken back. */
        viommu_warn_once(&s->parent, SMMUV3_WARN_DETACHED,
                         "StreamID 0x%x: %s; it is detached",
                         device->entry.virt_id, error->message);
        g_clear_error(&error);
        vfio_device_detach(device->vfio);
        destroy(s, &device->hwpt_id);
    }
}

void smmuv3_reattach(Smmuv3 *s, uint32_t first_sid, uint32_t last_sid)
{
    DeviceEntry *entry;
    size_t cursor = 0;

    /* The config_lock keeps the map as it is. */
    while ((entry = device_map_next(s->parent.devices, &cursor))) {
        ViommuDevice *device = caa_container_of(entry, ViommuDevice, entry);

        if (device->vfio && entry->virt_id >= first_sid &&
            entry->virt_id <= last_sid) {
            reattach_device(s, device);
        }
    }
}

#define HOST_FIELD(idr, name, field, remedy)                 \
    { #name "." #field, FIELD_GET((idr), name, field),       \
      FIELD_GET(smmuv3_id_reg(s, R_##name), name, field), (remedy) }

/*
 * What a stage 1 that the host's SMMU runs depends on. It does not see the
 * guest's stream table and queues, so their formats and sizes may differ.
 * TTF and TTENDIAN are no amounts: of these it is asked whether they include
 * the guest's, AArch64 tables and little-endian ones.
 */
static bool check_idr(const Smmuv3 *s, const uint32_t *idr, GError **error)
{
    const ViommuHostField fields[] = {
        HOST_FIELD(idr[0], IDR0, S1P, NULL),
        { "IDR0.TTF", FIELD_GET(idr[0], IDR0, TTF) & 2, 2, NULL },
        HOST_FIELD(idr[0], IDR0, COHACC, NULL),
        HOST_FIELD(idr[0], IDR0, ATS, "ats=off"),
        HOST_FIELD(idr[0], IDR0, ASID16, NULL),
        HOST_FIELD(idr[0], IDR0, CD2L, "ssidsize=0"),
        HOST_FIELD(idr[1], IDR1, SSIDSIZE, "a smaller ssidsize"),
        HOST_FIELD(idr[3], IDR3, RIL, "ril=off"),
        HOST_FIELD(idr[5], IDR5, OAS, "oas=44"),
        HOST_FIELD(idr[5], IDR5, GRAN4K, NULL),
        HOST_FIELD(idr[5], IDR5, GRAN16K, NULL),
        HOST_FIELD(idr[5], IDR5, GRAN64K, NULL),
    };

    if (FIELD_GET(idr[0], IDR0, TTENDIAN) == 3) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "IDR0.TTENDIAN of the host's SMMUv3 is 3, the guest's "
                    "needs 0 or 2");
        return false;
    }
    return viommu_check_host_fields("SMMUv3", fields, G_N_ELEMENTS(fields),
                                    error);
}

/* The guest sees STALL_MODEL 1; a host that can stall must be told not to. */
bool smmuv3_check_host(Viommu *viommu, VfioDevice *vfio, GError **error)
{
    Smmuv3 *s = smmuv3_from(viommu);
    struct iommu_hw_info_arm_smmuv3 info;

    lock_assert_held(&s->parent.config_lock);
    if (!iommufd_hw_info_arm_smmuv3(vfio_device_get_host(vfio),
                                    vfio_device_get_dev_id(vfio), &info,
                                    error) ||
        !check_idr(s, info.idr, error)) {
        return false;
    }
    s->host.force_stalld = FIELD_GET(info.idr[0], IDR0, STALL_MODEL) == 0;
    return true;
}

bool smmuv3_host_up(Viommu *viommu, VfioDevice *vfio, GError **error)
{
    static const uint64_t abort_ste[2] = { 0, 0 };
    static const uint64_t bypass_ste[2] = { BIT(STE0_V_SHIFT) |
                                            STE_CONFIG_BYPASS
                                                << STE0_CONFIG_SHIFT, 0 };
    Smmuv3 *s = smmuv3_from(viommu);
    uint32_t dev_id = vfio_device_get_dev_id(vfio);

    lock_assert_held(&s->parent.config_lock);
    if (!nested_alloc(s, dev_id, abort_ste, &s->host.abort_id, error)) {
        return false;
    }
    if (!nested_alloc(s, dev_id, bypass_ste, &s->host.bypass_id, error)) {
        destroy(s, &s->host.abort_id);
        return false;
    }
    return true;
}

void smmuv3_host_down(Viommu *viommu)
{
    Smmuv3 *s = smmuv3_from(viommu);

    lock_assert_held(&s->parent.config_lock);
    destroy(s, &s->host.bypass_id);
    destroy(s, &s->host.abort_id);
}
