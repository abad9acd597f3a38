/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the Arm SMMUv3 driver of Linux 7.3 makes of nested stream table entries,
 * invalidation commands and event records.
 */
#include "emul-internal.h"
#include "emul-smmuv3.h"

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

/* Two-level tables, ATS, 16-bit StreamIDs and PASIDs, 48 bits of address. */
const struct iommu_hw_info_arm_smmuv3 emul_smmuv3_hw_info = {
    .idr = {
        [0] = 0x0C48141B,       /* stall model 0; CD2L ATS ASID16 COHACC */
        [1] = 0x02730410,
        [3] = 0x00001500,       /* BBML 2, RIL, FWB */
        [5] = 0x00400075,       /* 64 stalls; 4, 16 and 64 KiB granules */
    },
    .iidr = 0x0000043B,
    .aidr = 1,
};

int emul_smmuv3_check_ste(uint64_t ste[2])
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

bool emul_smmuv3_ste_translates(const uint64_t ste[2])
{
    return FIELD_GET(ste[0], STE0, CONFIG) == STE_CONFIG_S1;
}

int emul_smmuv3_check_command(const uint64_t cmd[2], bool *has_sid,
                              uint32_t *sid)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(command_rules); i++) {
        const CommandRule *rule = &command_rules[i];

        if (FIELD_GET(cmd[0], CMD0, OPCODE) != rule->opcode) {
            continue;
        }
        if ((cmd[0] & ~rule->allowed[0]) || (cmd[1] & ~rule->allowed[1])) {
            return -EIO;
        }
        *has_sid = rule->has_sid;
        *sid = (uint32_t)FIELD_GET(cmd[0], CMD0, SID);
        return 0;
    }
    return -EIO;
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

uint64_t emul_smmuv3_set_sid(uint64_t word, uint32_t sid)
{
    return FIELD_SET(word, EVT0, SID, sid);
}
