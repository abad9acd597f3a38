/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices behind a vIOMMU that -device can make: those that are passed
 * through from a host, and one that the monitor emulates.
 */
#include "config-internal.h"

static const ConfigType *const link_iommufd_emulated[] = {
    &config_type_iommufd_emulated, &config_type_iommufd_replay, NULL
};
static const ConfigType *const link_iommufd[] = {
    &config_type_iommufd, &config_type_iommufd_emulated, NULL
};
static const ConfigType *const link_viommu[] = {
    &config_type_arm_smmuv3, &config_type_intel_iommu, NULL
};
static const ConfigType *const link_intel_iommu[] = {
    &config_type_intel_iommu, NULL
};

/* What QEMU's vfio-pci is to a real host; bus= is viommu= here. */
static const Property emulated_pci_properties[] = {
    CONFIG_ID_PROPERTY,
    {
        .name = "iommufd", .kind = PROPERTY_LINK,
        .offset = offsetof(PciEntry, iommufd),
        .targets = link_iommufd_emulated, .required = true,
        .accepts = "the id of an iommufd-emulated or iommufd-replay",
        .type_name = "link<iommufd-emulated|iommufd-replay>",
        .description = "the host that it belongs to (required)",
    },
    CONFIG_SID_PROPERTY,
    {
        .name = "viommu", .kind = PROPERTY_LINK,
        .offset = offsetof(EndpointEntry, viommu),
        .targets = link_viommu, .required = true,
        .accepts = "the id of an arm-smmuv3 or intel-iommu",
        .type_name = "link<arm-smmuv3|intel-iommu>",
        .description = "the vIOMMU that it sits behind (required)",
    },
};

/* A device of the kernel's mock driver, or of the emulated host's. */
static const Property iommufd_mock_properties[] = {
    CONFIG_ID_PROPERTY,
    {
        .name = "iommufd", .kind = PROPERTY_LINK,
        .offset = offsetof(PciEntry, iommufd),
        .targets = link_iommufd, .required = true,
        .accepts = "the id of an iommufd or iommufd-emulated",
        .type_name = "link<iommufd|iommufd-emulated>",
        .description = "its host (required)",
    },
    CONFIG_SID_PROPERTY,
    {
        .name = "viommu", .kind = PROPERTY_LINK,
        .offset = offsetof(EndpointEntry, viommu),
        .targets = link_viommu, .required = true,
        .accepts = "the id of an arm-smmuv3 or intel-iommu",
        .type_name = "link<arm-smmuv3|intel-iommu>",
        .description = "the vIOMMU that it sits behind (required)",
    },
};

/* No QEMU device is like it. */
static const Property sva_device_properties[] = {
    {
        .name = "credits", .kind = PROPERTY_UNSIGNED,
        .offset = offsetof(SvaEntry, credits),
        .min = CONFIG_SVA_CREDITS_MIN, .max = CONFIG_SVA_CREDITS_MAX,
        .accepts = "a number from " CONFIG_NUMBER_TEXT(CONFIG_SVA_CREDITS_MIN)
                   " to "
                   CONFIG_NUMBER_TEXT(CONFIG_SVA_CREDITS_MAX),
        .type_name = "uint32",
        .description = "pages that it may have asked for at a time, "
                       CONFIG_RANGE_TEXT(CONFIG_SVA_CREDITS_MIN,
                                         CONFIG_SVA_CREDITS_MAX),
        .default_text = CONFIG_NUMBER_TEXT(CONFIG_SVA_CREDITS_DEFAULT),
    },
    CONFIG_ID_PROPERTY,
    {
        .name = "pasids", .kind = PROPERTY_UNSIGNED,
        .offset = offsetof(SvaEntry, pasids),
        .min = 1, .max = CONFIG_SVA_PASIDS_MAX,
        .accepts = "a number from 1 to "
                   CONFIG_NUMBER_TEXT(CONFIG_SVA_PASIDS_MAX),
        .type_name = "uint32",
        .description = "address spaces that it works in, "
                       CONFIG_RANGE_TEXT(1, CONFIG_SVA_PASIDS_MAX),
        .default_text = CONFIG_NUMBER_TEXT(CONFIG_SVA_PASIDS_DEFAULT),
    },
    {
        .name = "queue-depth", .kind = PROPERTY_UNSIGNED,
        .offset = offsetof(SvaEntry, queue_depth),
        .min = 1, .max = CONFIG_SVA_QUEUE_DEPTH_MAX,
        .accepts = "a number from 1 to "
                   CONFIG_NUMBER_TEXT(CONFIG_SVA_QUEUE_DEPTH_MAX),
        .type_name = "uint32",
        .description = "operations that it has under way at a time, "
                       CONFIG_RANGE_TEXT(1, CONFIG_SVA_QUEUE_DEPTH_MAX),
        .default_text = CONFIG_NUMBER_TEXT(CONFIG_SVA_QUEUE_DEPTH_DEFAULT),
    },
    CONFIG_SID_PROPERTY,
    {
        .name = "viommu", .kind = PROPERTY_LINK,
        .offset = offsetof(EndpointEntry, viommu),
        .targets = link_intel_iommu, .required = true,
        .accepts = "the id of an intel-iommu",
        .type_name = "link<intel-iommu>",
        .description = "the vIOMMU that it sits behind, svm=on (required)",
    },
};

static void endpoint_init(ConfigEntry *entry)
{
    ((EndpointEntry *)entry)->sid = CONFIG_SID_AUTO;
}

static void sva_device_init(ConfigEntry *entry)
{
    SvaEntry *sva = (SvaEntry *)entry;

    endpoint_init(entry);
    sva->pasids = CONFIG_SVA_PASIDS_DEFAULT;
    sva->credits = CONFIG_SVA_CREDITS_DEFAULT;
    sva->queue_depth = CONFIG_SVA_QUEUE_DEPTH_DEFAULT;
}

const ConfigType config_type_emulated_pci = {
    .name = "emulated-pci",
    .bus = "PCI",
    .description = "a host's device: events or page requests",
    .list = CONFIG_DEVICES,
    .role = CONFIG_ROLE_ENDPOINT,
    .entry_size = sizeof(PciEntry),
    .properties = emulated_pci_properties,
    .property_count = G_N_ELEMENTS(emulated_pci_properties),
    .init = endpoint_init,
};

const ConfigType config_type_iommufd_mock = {
    .name = "iommufd-mock",
    .bus = "PCI",
    .description = "a mock device (kernel: CONFIG_IOMMUFD_TEST)",
    .list = CONFIG_DEVICES,
    .role = CONFIG_ROLE_ENDPOINT,
    .entry_size = sizeof(PciEntry),
    .properties = iommufd_mock_properties,
    .property_count = G_N_ELEMENTS(iommufd_mock_properties),
    .init = endpoint_init,
};

const ConfigType config_type_sva_device = {
    .name = "sva-device",
    .bus = "PCI",
    .description = "emulated, works in guest address spaces",
    .list = CONFIG_DEVICES,
    .role = CONFIG_ROLE_ENDPOINT,
    .entry_size = sizeof(SvaEntry),
    .properties = sva_device_properties,
    .property_count = G_N_ELEMENTS(sva_device_properties),
    .init = sva_device_init,
};
