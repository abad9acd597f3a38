/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The vIOMMUs that -device can make. Names, types and meanings are QEMU's where
 * QEMU has the property; defaults are not, where QEMU's would leave nothing to
 * run: intel-iommu has there off what first-stage translation and shared
 * virtual memory need.
 */
#include "config-internal.h"

#include "base/error.h"

const ConfigType *const config_link_iothread[] = { &config_type_iothread,
                                                   NULL };

/*
 * QEMU's arm-smmuv3 with accel=on, and iothread= beside it. Properties that say
 * auto take on/off or a number too: QEMU had those first, and took auto later.
 */
static const Property arm_smmuv3_properties[] = {
    {
        .name = "accel", .kind = PROPERTY_BOOL,
        .offset = offsetof(Smmuv3Entry, accel), .min = true, .max = true,
        .accepts = "'on': stage 1 is always run by the host",
        .type_name = "bool",
        .description = "stage 1 is run by the host through iommufd",
        .default_text = "on",
    },
    {
        .name = "ats", .kind = PROPERTY_BOOL, .max = true,
        .offset = offsetof(Smmuv3Entry, properties.ats), .takes_auto = true,
        .accepts = "'on', 'off' or 'auto'", .type_name = "OnOffAuto",
        .description = "ATS in IDR0", .default_text = "auto: off",
    },
    {
        .name = "eventq-log2size", .kind = PROPERTY_UNSIGNED, .max = 19,
        .offset = offsetof(Smmuv3Entry, properties.log2_eventq),
        .accepts = "a number from 0 to 19", .type_name = "uint8",
        .description = "entries of the event queue, log2 (IDR1.EVENTQS)",
        .default_text = CONFIG_NUMBER_TEXT(CONFIG_LOG2_EVENTQ_DEFAULT),
    },
    CONFIG_ID_PROPERTY,
    CONFIG_IOTHREAD_PROPERTY,
    {
        .name = "msi", .kind = PROPERTY_BOOL, .max = true,
        .offset = offsetof(Smmuv3Entry, properties.msi),
        .accepts = "'on' or 'off'", .type_name = "bool",
        .description = "message-signalled interrupts (IDR0.MSI), else wired",
        .default_text = "on",
    },
    {
        .name = "oas", .kind = PROPERTY_UNSIGNED,
        .offset = offsetof(Smmuv3Entry, properties.oas_bits),
        .min = 44, .max = 48, .step = 4, .takes_auto = true,
        .accepts = "44, 48 or 'auto'", .type_name = "OasMode",
        .description = "output address bits (IDR5.OAS)",
        .default_text = "auto: 44",
    },
    {
        .name = "pri", .kind = PROPERTY_BOOL, .max = true,
        .offset = offsetof(Smmuv3Entry, properties.pri),
        .accepts = "'on' or 'off'", .type_name = "bool",
        .description = "PRI queue (IDR0.PRI), which no device here uses",
        .default_text = "off",
    },
    {
        .name = "priq-log2size", .kind = PROPERTY_UNSIGNED, .max = 19,
        .offset = offsetof(Smmuv3Entry, properties.log2_priq),
        .accepts = "a number from 0 to 19", .type_name = "uint8",
        .description = "entries of the PRI queue, log2 (IDR1.PRIQS)",
        .default_text = "19",
    },
    {
        .name = "ril", .kind = PROPERTY_BOOL, .max = true,
        .offset = offsetof(Smmuv3Entry, properties.ril), .takes_auto = true,
        .accepts = "'on', 'off' or 'auto'", .type_name = "OnOffAuto",
        .description = "range invalidation (IDR3.RIL)",
        .default_text = "auto: on",
    },
    {
        .name = "ssidsize", .kind = PROPERTY_UNSIGNED, .max = 20,
        .offset = offsetof(Smmuv3Entry, properties.ssid_bits),
        .takes_auto = true, .accepts = "a number from 0 to 20, or 'auto'",
        .type_name = "SsidSizeMode",
        .description = "PASID bits (IDR1.SSIDSIZE)",
        .default_text = "auto: 0",
    },
};

static void arm_smmuv3_init(ConfigEntry *entry)
{
    Smmuv3Entry *smmu = (Smmuv3Entry *)entry;

    smmu->accel = true;
    smmu->properties = SMMUV3_PROPERTIES_DEFAULT;
    smmu->properties.log2_eventq = CONFIG_LOG2_EVENTQ_DEFAULT;
    smmu->viommu.next_sid = CONFIG_SID_FIRST;
}

/* As QEMU words it for others. */
static bool arm_smmuv3_check(const ConfigEntry *entry, GError **error)
{
    const Smmuv3Properties *properties =
        &((const Smmuv3Entry *)entry)->properties;

    if (properties->pri && !properties->ats) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                            "Need to set ats for pri\n"
                            "give ats=on, or pri=off");
        return false;
    }
    return true;
}

/*
 * QEMU's of release 11.1, and the x- spellings of those before. There is no
 * legacy mode and no second-stage translation here, so some have one value.
 */
static const Property intel_iommu_properties[] = {
    {
        .name = "aw-bits", .kind = PROPERTY_UNSIGNED,
        .offset = offsetof(VtdEntry, aw_bits), .min = 48, .max = 48,
        .step = 1, .accepts = "48", .type_name = "uint8",
        .description = "address width (CAP.SAGAW)", .default_text = "48",
    },
    {
        .name = "caching-mode", .kind = PROPERTY_BOOL, .max = true,
        .offset = offsetof(VtdEntry, properties.caching_mode),
        .accepts = "'on' or 'off'", .type_name = "bool",
        .description = "the guest says what it makes present (CAP.CM)",
        .default_text = "on; off in QEMU",
    },
    {
        .name = "device-iotlb", .kind = PROPERTY_BOOL, .max = true,
        .offset = offsetof(VtdEntry, device_iotlb),
        .accepts = "'on' or 'off'", .type_name = "bool",
        .description = "ATS (ECAP.DT)", .default_text = "on; off in QEMU",
    },
    {
        .name = "fs1gp", .kind = PROPERTY_BOOL, .max = true,
        .offset = offsetof(VtdEntry, properties.fs1gp),
        .accepts = "'on' or 'off'", .type_name = "bool",
        .description = "1 GiB first-stage pages (CAP.FS1GP)",
        .default_text = "on",
    },
    {
        .name = "fsts", .kind = PROPERTY_BOOL,
        .offset = offsetof(VtdEntry, fsts), .min = true, .max = true,
        .accepts = "'on': translation is always first-stage",
        .type_name = "bool",
        .description = "first-stage translation (ECAP.FSTS)",
        .default_text = "on; off in QEMU",
    },
    CONFIG_ID_PROPERTY,
    CONFIG_IOTHREAD_PROPERTY,
    {
        .name = "pasid-bits", .kind = PROPERTY_UNSIGNED, .max = 20,
        .offset = offsetof(VtdEntry, properties.pasid_bits),
        .accepts = "a number from 0 to 20", .type_name = "uint8",
        .description = "PASID bits (ECAP.PSS); 0 for no PASIDs",
        .default_text = "20; 0 in QEMU",
    },
    {
        .name = "pt", .kind = PROPERTY_BOOL, .max = true,
        .offset = offsetof(VtdEntry, properties.pt),
        .accepts = "'on' or 'off'", .type_name = "bool",
        .description = "pass-through entries (ECAP.PT)", .default_text = "on",
    },
    {
        .name = "scalable-mode", .kind = PROPERTY_BOOL,
        .offset = offsetof(VtdEntry, scalable_mode), .min = true, .max = true,
        .accepts = "'on': there is no legacy mode", .type_name = "bool",
        .description = "scalable-mode tables (ECAP.SMTS)",
        .default_text = "on; off in QEMU",
    },
    {
        .name = "svm", .kind = PROPERTY_BOOL, .max = true,
        .offset = offsetof(VtdEntry, properties.svm),
        .accepts = "'on' or 'off'", .type_name = "bool",
        .description = "shared virtual memory: page requests (ECAP.PRS)",
        .default_text = "on; off in QEMU",
    },
    {
        .name = "x-flts", .kind = PROPERTY_BOOL, .alias_of = "fsts",
        .offset = offsetof(VtdEntry, fsts), .min = true, .max = true,
        .accepts = "'on': translation is always first-stage",
        .type_name = "bool", .description = "older name of fsts",
    },
    {
        .name = "x-pasid-mode", .kind = PROPERTY_BOOL, .max = true,
        .alias_of = "pasid-bits", .offset = offsetof(VtdEntry, pasid_mode),
        .accepts = "'on' or 'off'", .type_name = "bool",
        .description = "older form of pasid-bits: off is 0",
    },
    {
        .name = "x-scalable-mode", .kind = PROPERTY_BOOL,
        .alias_of = "scalable-mode",
        .offset = offsetof(VtdEntry, scalable_mode), .min = true, .max = true,
        .accepts = "'on': there is no legacy mode", .type_name = "bool",
        .description = "older name of scalable-mode",
    },
};

static void intel_iommu_init(ConfigEntry *entry)
{
    VtdEntry *vtd = (VtdEntry *)entry;

    vtd->scalable_mode = true;
    vtd->fsts = true;
    vtd->device_iotlb = true;
    vtd->pasid_mode = true;
    vtd->aw_bits = 48;
    vtd->properties = VTD_PROPERTIES_DEFAULT;
    vtd->viommu.next_sid = CONFIG_SID_FIRST;
}

/* In QEMU's words. What fsts needs has only one value. */
static bool intel_iommu_check(const ConfigEntry *entry, GError **error)
{
    const VtdEntry *vtd = (const VtdEntry *)entry;

    if (!vtd->properties.svm) {
        return true;
    }
    if (!vtd->device_iotlb) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                            "Need to set device IOTLB for svm\n"
                            "give device-iotlb=on, or svm=off");
        return false;
    }
    if (!vtd->pasid_mode || vtd->properties.pasid_bits == 0) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                            "Need to set PASID support for svm\n"
                            "give pasid-bits=20, or svm=off");
        return false;
    }
    return true;
}

const ConfigType config_type_arm_smmuv3 = {
    .name = "arm-smmuv3",
    .description = "Arm SMMUv3 with a built-in guest driver",
    .list = CONFIG_DEVICES,
    .role = CONFIG_ROLE_VIOMMU,
    .entry_size = sizeof(Smmuv3Entry),
    .properties = arm_smmuv3_properties,
    .property_count = G_N_ELEMENTS(arm_smmuv3_properties),
    .init = arm_smmuv3_init,
    .check = arm_smmuv3_check,
};

const ConfigType config_type_intel_iommu = {
    .name = "intel-iommu",
    .description = "Intel VT-d with a built-in guest driver",
    .list = CONFIG_DEVICES,
    .role = CONFIG_ROLE_VIOMMU,
    .entry_size = sizeof(VtdEntry),
    .properties = intel_iommu_properties,
    .property_count = G_N_ELEMENTS(intel_iommu_properties),
    .init = intel_iommu_init,
    .check = intel_iommu_check,
};
