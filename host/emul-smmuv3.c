/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the Arm SMMUv3 driver of Linux 7.3 makes of nested stream table entries,
 * invalidation commands and event records.
 *
 * An attach to a nested HWPT takes a copy of the vDEVICE's virt_id: events
 * carry that number until the next attach or detach, whatever becomes of the
 * vDEVICE.
 */
#include "emul-smmuv3.h"

#include "emul-driver.h"

#include "base/bits.h"

#include <errno.h>

/* Stream table entry, words 0 and 1 (Arm IHI 0070, 5.2). */
FIELD(STE0, V, 0, 1)
FIELD(STE0, CONFIG, 1, 3)
FIELD(STE1, EATS, 28, 2)

enum {
    STE_CONFIG_ABORT = 0,
    STE_CONFIG_BYPASS = 4,
    STE_CONFIG_S1 = 5,
};

/* What a guest may set: V, Config, S1Fmt, S1ContextPtr, S1CDMax ... */
#define STE0_ALLOWED UINT64_C(0xF80FFFFFFFFFFFFF)
/* ... S1DSS, S1CIR, S1COR, S1CSH, S1STALLD, EATS. */
#define STE1_ALLOWED UINT64_C(0x380000FF)

/* Commands (4.1 to 4.5). */
FIELD(CMD0, OPCODE, 0, 8)
FIELD(CMD0, SID, 32, 32)

enum {
    CMD_CFGI_CD = 0x05,
    CMD_CFGI_CD_ALL = 0x06,
    CMD_TLBI_NH_ALL = 0x10,
    CMD_TLBI_NH_ASID = 0x11,
    CMD_TLBI_NH_VA = 0x12,
    CMD_TLBI_NH_VAA = 0x13,
    CMD_TLBI_NSNH_ALL = 0x30,
    CMD_ATC_INV = 0x40,
};

#define CMD0_OPCODE_BITS FIELD_MASK(CMD0, OPCODE)
#define CMD0_SID_BITS    FIELD_MASK(CMD0, SID)
#define CMD0_SSID_BITS   BIT_RANGE(12, 20)
#define CMD0_VMID_BITS   BIT_RANGE(32, 16)
#define CMD0_ASID_BITS   BIT_RANGE(48, 16)
#define CMD0_RANGE_BITS  (BIT_RANGE(12, 5) | BIT_RANGE(20, 6))  /* NUM SCALE */
#define CMD1_ADDR_BITS   BIT_RANGE(12, 52)
#define CMD1_TLBI_BITS   (BIT(0) | BIT_RANGE(8, 4) | CMD1_ADDR_BITS)

/* An accepted command: the bits that it may set, opcode included. */
typedef struct CommandRule {
    uint8_t opcode;
    bool has_sid;
    uint64_t allowed[2];
} CommandRule;

static const CommandRule command_rules[] = {
    { CMD_CFGI_CD, true,
      { CMD0_OPCODE_BITS | CMD0_SID_BITS | CMD0_SSID_BITS, BIT(0) } },
    { CMD_CFGI_CD_ALL, true, { CMD0_OPCODE_BITS | CMD0_SID_BITS, 0 } },
    { CMD_TLBI_NH_ALL, false, { CMD0_OPCODE_BITS | CMD0_VMID_BITS, 0 } },
    { CMD_TLBI_NH_ASID, false,
      { CMD0_OPCODE_BITS | CMD0_VMID_BITS | CMD0_ASID_BITS, 0 } },
    { CMD_TLBI_NH_VA, false,
      { CMD0_OPCODE_BITS | CMD0_RANGE_BITS | CMD0_VMID_BITS | CMD0_ASID_BITS,
        CMD1_TLBI_BITS } },
    { CMD_TLBI_NH_VAA, false,
      { CMD0_OPCODE_BITS | CMD0_RANGE_BITS | CMD0_VMID_BITS,
        CMD1_TLBI_BITS } },
    { CMD_TLBI_NSNH_ALL, false, { CMD0_OPCODE_BITS, 0 } },
    /* Global (bit 9) and SSV (bit 11) besides the stream. */
    { CMD_ATC_INV, true,
      { CMD0_OPCODE_BITS | BIT(9) | BIT(11) | CMD0_SID_BITS | CMD0_SSID_BITS,
        BIT_RANGE(0, 6) | CMD1_ADDR_BITS } },
};

/* Event records (7.3). */
FIELD(EVT0, ID, 0, 8)
FIELD(EVT0, SID, 32, 32)
FIELD(EVT1, STALL, 31, 1)
FIELD(EVT1, S2, 39, 1)

/* Two-level tables, ATS, StreamIDs of 16 and PASIDs of 20 bits, 48 of address */
static const struct iommu_hw_info_arm_smmuv3 hw_info = {
    .idr = {
        [0] = 0x0C48141B,       /* stall model 0; CD2L ATS ASID16 COHACC */
        [1] = 0x02730510,
        [3] = 0x00001500,       /* BBML 2, RIL, FWB */
        [5] = 0x00400075,       /* 64 stalls; 4, 16 and 64 KiB granules */
    },
    .iidr = 0x0000043B,
    .aidr = 1,
};

/* Check and normalise the words of a nested STE. Return: 0 or -EIO. */
static int check_ste(uint64_t ste[2])
{
    uint64_t config = FIELD_GET(ste[0], STE0, CONFIG);

    if (!FIELD_GET(ste[0], STE0, V)) {
        ste[0] = ste[1] = 0;
        return 0;
    }
    if ((ste[0] & ~STE0_ALLOWED) || (ste[1] & ~STE1_ALLOWED)) {
        return -EIO;
    }
    if (config != STE_CONFIG_ABORT && config != STE_CONFIG_BYPASS &&
        config != STE_CONFIG_S1) {
        return -EIO;
    }
    /* Full ATS or none; there is no split stage for a guest. */
    return FIELD_GET(ste[1], STE1, EATS) > 1 ? -EIO : 0;
}

/*
 * The driver's own argument checks, then the entry's. EIO is kept for a bad
 * entry: that is what a guest can cause, all else is its monitor's mistake.
 */
static int viommu_nested_init(EmulNested *nested, uint32_t flags,
                              const EmulUserData *data)
{
    struct iommu_hwpt_arm_smmuv3 s1;
    int ret;

    if (flags) {
        return -EOPNOTSUPP;
    }
    if (data->type != IOMMU_HWPT_DATA_ARM_SMMUV3) {
        return -EINVAL;
    }
    ret = emul_user_data_copy(&s1, sizeof(s1), sizeof(s1), data);
    if (ret < 0) {
        return ret;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(s1.ste); i++) {
        nested->ste[i] = GUINT64_FROM_LE(s1.ste[i]);
    }
    return check_ste(nested->ste);
}

/* A stage 1 needs a StreamID for its events and invalidations. */
static int attach(EmulDevice *device, uint32_t pasid, const EmulPt *pt)
{
    const EmulNested *nested = (const EmulNested *)pt;
    bool has_vdevice;

    (void)pasid;
    if (!pt || pt->obj.type != EMUL_NESTED) {
        return 0;
    }
    has_vdevice = device->vdevice &&
                  device->vdevice->viommu == nested->viommu;
    return FIELD_GET(nested->ste[0], STE0, CONFIG) == STE_CONFIG_S1 &&
           !has_vdevice ? -ENOENT : 0;
}

static void attached(EmulDevice *device, const EmulViommu *old)
{
    const EmulViommu *viommu = emul_device_viommu(device);

    (void)old;
    device->has_vsid = viommu && device->vdevice &&
                       device->vdevice->viommu == viommu;
    if (device->has_vsid) {
        device->vsid = (uint32_t)device->vdevice->virt_id;
    }
}

int emul_smmuv3_check_command(const uint64_t cmd[2], uint64_t *sid)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(command_rules); i++) {
        const CommandRule *rule = &command_rules[i];

        if (FIELD_GET(cmd[0], CMD0, OPCODE) != rule->opcode) {
            continue;
        }
        if ((cmd[0] & ~rule->allowed[0]) || (cmd[1] & ~rule->allowed[1])) {
            return -EIO;
        }
        *sid = rule->has_sid ? FIELD_GET(cmd[0], CMD0, SID) : UINT64_MAX;
        return 0;
    }
    return -EIO;
}

/* A stream that is named must be a vDEVICE's; nothing else can be wrong. */
static int run_command(const EmulViommu *viommu,
                       const struct iommu_viommu_arm_smmuv3_invalidate *entry)
{
    const uint64_t cmd[2] = {
        GUINT64_FROM_LE(entry->cmd[0]), GUINT64_FROM_LE(entry->cmd[1]),
    };
    uint64_t sid;
    int ret = emul_smmuv3_check_command(cmd, &sid);

    if (ret == 0 && sid != UINT64_MAX &&
        !g_hash_table_contains(viommu->vdevices, &sid)) {
        ret = -EIO;
    }
    return ret;
}

/*
 * Copies the whole array before it looks at the first command, so an array that
 * cannot be copied has no effect. Stops at the first command that fails.
 */
static int viommu_invalidate(EmulViommu *viommu,
                             const struct iommu_hwpt_invalidate *cmd,
                             uint32_t *done)
{
    const struct iommu_viommu_arm_smmuv3_invalidate *entries;
    void *copy;
    int ret;

    if (cmd->data_type != IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3) {
        return -EINVAL;
    }
    ret = emul_copy_entries(cmd, sizeof(*entries), &copy);
    if (ret < 0) {
        return ret;
    }
    entries = copy;
    while (*done < cmd->entry_num && ret == 0) {
        ret = run_command(viommu, &entries[*done]);
        *done += ret == 0;
    }
    g_free(copy);
    return ret;
}

bool emul_smmuv3_forwards(const uint64_t event[4])
{
    if (FIELD_GET(event[1], EVT1, STALL) || FIELD_GET(event[1], EVT1, S2)) {
        return false;
    }
    switch (FIELD_GET(event[0], EVT0, ID)) {
    case 0x04:      /* C_BAD_STE */
    case 0x06:      /* F_STREAM_DISABLED */
    case 0x08:      /* C_BAD_SUBSTREAMID */
    case 0x0A:      /* C_BAD_CD */
    case 0x10:      /* F_TRANSLATION */
    case 0x11:      /* F_ADDR_SIZE */
    case 0x12:      /* F_ACCESS */
    case 0x13:      /* F_PERMISSION */
        return true;
    default:
        return false;
    }
}

void emul_smmuv3_set_sid(void *event, uint32_t sid)
{
    struct iommu_vevent_arm_smmuv3 *record = event;
    uint64_t word = GUINT64_FROM_LE(record->evt[0]);

    record->evt[0] = GUINT64_TO_LE(FIELD_SET(word, EVT0, SID, sid));
}

const EmulDriver emul_smmuv3_driver = {
    .hw_info_type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3,
    .hw_info = &hw_info,
    .hw_info_len = sizeof(hw_info),
    .paging_flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
    /* 48 bits by IDR5.OAS */
    .geometry = { .last = (UINT64_C(1) << 48) - 1, .align = 4096 },
    .viommu_type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
    .veventq_type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
    .event_size = sizeof(struct iommu_vevent_arm_smmuv3),
    .user_pasid_table = true,
    .viommu_nested_init = viommu_nested_init,
    .attach = attach,
    .attached = attached,
    .viommu_invalidate = viommu_invalidate,
};
