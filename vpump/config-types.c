/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What -object and -device can make: a table of properties for each. Names,
 * types and meanings are QEMU's where QEMU has the property.
 */
#include "config.h"

#define STRING_OF(x) #x
#define NUMBER_TEXT(x) STRING_OF(x)

/* QOM's type int is signed; none of ours is negative. */
#define INT64_ACCEPTS "a number from 0 to 9223372036854775807"

/* Both need an id, and it means the same. */
#define ID_PROPERTY                                                           \
    {                                                                         \
        .name = "id", .kind = PROPERTY_ID,                                    \
        .offset = offsetof(ConfigEntry, id), .type_name = "string",           \
        .accepts = "an identifier",                                           \
        .description = "name for other options and the report (required)",    \
    }

/* QEMU's names and meanings; its other properties have no counterpart here. */
static const Property iothread_properties[] = {
    ID_PROPERTY,
    {
        .name = "poll-grow", .kind = PROPERTY_INT,
        .offset = offsetof(IothreadEntry, properties.poll_grow),
        .max = INT64_MAX, .accepts = INT64_ACCEPTS, .type_name = "int",
        .description = "multiplier of the polling time; 0 acts as 2",
        .default_text = "0",
    },
    {
        .name = "poll-max-ns", .kind = PROPERTY_INT,
        .offset = offsetof(IothreadEntry, properties.poll_max_ns),
        .max = INT64_MAX, .accepts = INT64_ACCEPTS, .type_name = "int",
        .description = "longest busy polling per turn, ns; 0 for none",
        .default_text = NUMBER_TEXT(IOTHREAD_POLL_MAX_NS_DEFAULT),
    },
    {
        .name = "poll-shrink", .kind = PROPERTY_INT,
        .offset = offsetof(IothreadEntry, properties.poll_shrink),
        .max = INT64_MAX, .accepts = INT64_ACCEPTS, .type_name = "int",
        .description = "divisor of the polling time; 0 drops it at once",
        .default_text = "0",
    },
};

static void iothread_init(ConfigEntry *entry)
{
    IothreadEntry *iothread = (IothreadEntry *)entry;

    iothread->properties = IOTHREAD_PROPERTIES_DEFAULT;
}

/* QEMU's iommufd has an fd; the emulated host has nothing to be set. */
static const Property iommufd_emulated_properties[] = {
    ID_PROPERTY,
};

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
        .default_text = NUMBER_TEXT(CONFIG_LOG2_EVENTQ_DEFAULT),
    },
    ID_PROPERTY,
    {
        .name = "iothread", .kind = PROPERTY_LINK,
        .offset = offsetof(Smmuv3Entry, iothread),
        .accepts = "the id of an iothread", .type_name = "link<iothread>",
        .description = "who pumps its events",
        .default_text = "one of its own, <id>-iothread",
    },
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
    smmu->next_sid = CONFIG_SID_FIRST;
}

/* What QEMU's vfio-pci is to a real host; bus= is viommu= here. */
static const Property emulated_pci_properties[] = {
    ID_PROPERTY,
    {
        .name = "iommufd", .kind = PROPERTY_LINK,
        .offset = offsetof(PciEntry, iommufd),
        .accepts = "the id of an iommufd-emulated",
        .type_name = "link<iommufd-emulated>",
        .description = "the host that it belongs to (required)",
    },
    {
        .name = "sid", .kind = PROPERTY_INT,
        .offset = offsetof(PciEntry, sid), .max = UINT16_MAX,
        .accepts = "a number from 0 to 65535", .type_name = "uint16",
        .description = "StreamID, the guest's name for it",
        .default_text = "the next multiple of 8 that is free",
    },
    {
        .name = "viommu", .kind = PROPERTY_LINK,
        .offset = offsetof(PciEntry, viommu),
        .accepts = "the id of an arm-smmuv3", .type_name = "link<arm-smmuv3>",
        .description = "the vIOMMU that it sits behind (required)",
    },
};

static void emulated_pci_init(ConfigEntry *entry)
{
    ((PciEntry *)entry)->sid = CONFIG_SID_AUTO;
}

const ConfigType config_type_iothread = {
    .name = "iothread",
    .description = "a thread that runs an event loop",
    .list = CONFIG_OBJECTS,
    .entry_size = sizeof(IothreadEntry),
    .properties = iothread_properties,
    .property_count = G_N_ELEMENTS(iothread_properties),
    .init = iothread_init,
};

const ConfigType config_type_iommufd_emulated = {
    .name = "iommufd-emulated",
    .description = "/dev/iommu, emulated in this process",
    .list = CONFIG_OBJECTS,
    .entry_size = sizeof(IommufdEntry),
    .properties = iommufd_emulated_properties,
    .property_count = G_N_ELEMENTS(iommufd_emulated_properties),
};

const ConfigType config_type_arm_smmuv3 = {
    .name = "arm-smmuv3",
    .description = "Arm SMMUv3 with a built-in guest driver",
    .list = CONFIG_DEVICES,
    .entry_size = sizeof(Smmuv3Entry),
    .properties = arm_smmuv3_properties,
    .property_count = G_N_ELEMENTS(arm_smmuv3_properties),
    .init = arm_smmuv3_init,
};

const ConfigType config_type_emulated_pci = {
    .name = "emulated-pci",
    .bus = "PCI",
    .description = "an emulated device that reports events",
    .list = CONFIG_DEVICES,
    .entry_size = sizeof(PciEntry),
    .properties = emulated_pci_properties,
    .property_count = G_N_ELEMENTS(emulated_pci_properties),
    .init = emulated_pci_init,
};

/* In the order of help texts. */
const ConfigType *const config_types[] = {
    &config_type_iommufd_emulated,
    &config_type_iothread,
    &config_type_arm_smmuv3,
    &config_type_emulated_pci,
    NULL,
};
