/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arm SMMUv3, Non-secure, one interface: the model of QEMU's arm-smmuv3 with
 * accel=on, whose stage 1 the host's SMMU runs. Source: Arm IHI 0070 G.b.
 *
 * Threads, Locks: as hw/iommu/viommu.h says.
 */
#ifndef HW_ARM_SMMUV3_H
#define HW_ARM_SMMUV3_H

#include "hw/iommu/viommu.h"

/* Two pages of 64 KiB. */
#define SMMUV3_MMIO_SIZE 0x20000

/* Wired interrupt lines, as QEMU numbers them. */
enum {
    SMMUV3_IRQ_EVENTQ,
    SMMUV3_IRQ_PRIQ,
    SMMUV3_IRQ_CMD_SYNC,
    SMMUV3_IRQ_GERROR,
    SMMUV3_IRQ_COUNT,
};

/**
 * struct Smmuv3Properties - what the ID registers show
 * @ats: IDR0.ATS, with CMD_ATC_INV
 * @ril: IDR3.RIL, range invalidation
 * @msi: IDR0.MSI, message-signalled interrupts
 * @pri: IDR0.PRI, page requests of emulated devices; needs @ats
 * @pps: IDR3.PPS, what an overflow answers keeps its PASID; needs @pri
 * @oas_bits: output address size: 44 or 48
 * @ssid_bits: IDR1.SSIDSIZE, PASID bits, 0 to 20
 * @log2_eventq: IDR1.EVENTQS, 0 to 19
 * @log2_cmdq: IDR1.CMDQS, 0 to 19
 * @log2_priq: IDR1.PRIQS, 0 to 19; of no effect without @pri
 */
typedef struct Smmuv3Properties {
    bool ats;
    bool ril;
    bool msi;
    bool pri;
    bool pps;
    unsigned oas_bits;
    unsigned ssid_bits;
    unsigned log2_eventq;
    unsigned log2_cmdq;
    unsigned log2_priq;
} Smmuv3Properties;

#define SMMUV3_PROPERTIES_DEFAULT                                            \
    ((Smmuv3Properties){ .ril = true, .msi = true, .oas_bits = 44,           \
                         .log2_eventq = 19, .log2_cmdq = 19, .log2_priq = 19 })

/**
 * smmuv3_new() - an SMMUv3 in its reset state, without devices
 * @properties: NULL for the defaults
 *
 * Return: to be given to viommu_free(), or NULL and @error set, naming the
 * property, its value and what is accepted.
 */
Viommu *smmuv3_new(const ViommuConfig *config,
                   const Smmuv3Properties *properties, GError **error);

#endif
