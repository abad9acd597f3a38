/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices behind a vIOMMU that -device can make: those that are passed
 * through from a host, and one that the monitor emulates.
 */
#include "config-internal.h"

#include "base/error.h"
#include "host/vfio-pci.h"

static const ConfigType *const link_iommufd_emulated[] = {
    &config_type_iommufd_emulated, &config_type_iommufd_replay, NULL
};
static const ConfigType *const link_iommufd_kernel[] = {
    &config_type_iommufd, NULL
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

/* bus= of QEMU's vfio-pci. */
#define VIOMMU_PROPERTY                                                       \
    {                                                                         \
        .name = "viommu", .kind = PROPERTY_LINK,                              \
        .offset = offsetof(EndpointEntry, viommu),                            \
        .targets = link_viommu, .required = true,                             \
        .accepts = "the id of an arm-smmuv3 or intel-iommu",                  \
        .type_name = "link<arm-smmuv3|intel-iommu>",                          \
        .description = "the vIOMMU that it sits behind (required)",           \
    }

/* What QEMU's vfio-pci is to a real host. */
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
    VIOMMU_PROPERTY,
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
    VIOMMU_PROPERTY,
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

/* QEMU's names; bus= is viommu= here, and the rest is its guest's business. */
static const Property vfio_pci_properties[] = {
    {
        .name = "fd", .kind = PROPERTY_STRING,
        .offset = offsetof(VfioPciEntry, fd),
        .accepts = CONFIG_FD_ACCEPTS, .type_name = "string",
        .description = "number of its open /dev/vfio/devices/vfioN",
    },
    {
        .name = "host", .kind = PROPERTY_STRING,
        .offset = offsetof(VfioPciEntry, host),
        .accepts = "a PCI address, as 0000:3b:00.0", .type_name = "string",
        .description = "its PCI address, [DOMAIN:]BUS:DEVICE.FUNCTION",
    },
    CONFIG_ID_PROPERTY,
    {
        .name = "iommufd", .kind = PROPERTY_LINK,
        .offset = offsetof(PciEntry, iommufd),
        .targets = link_iommufd_kernel, .required = true,
        .accepts = "the id of an iommufd",
        .type_name = "link<iommufd>",
        .description = "the host that it is bound to (required)",
    },
    CONFIG_SID_PROPERTY,
    {
        .name = "sysfsdev", .kind = PROPERTY_STRING,
        .offset = offsetof(VfioPciEntry, sysfsdev),
        .accepts = "the path of a folder in sysfs", .type_name = "string",
        .description = "its folder in sysfs",
    },
    VIOMMU_PROPERTY,
};

/* The names of all three begin the message, wherever one is wrong. */
static bool vfio_pci_check(const ConfigEntry *entry, GError **error)
{
    const VfioPciEntry *vfio = (const VfioPciEntry *)entry;
    unsigned given = !!vfio->fd + !!vfio->host + !!vfio->sysfsdev;

    if (given != 1) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    given == 0 ? "'fd', 'host' or 'sysfsdev' is missing\n%s"
                               : "'fd', 'host' and 'sysfsdev' exclude each "
                                 "other\n%s",
                    "give one of them, as host=0000:3b:00.0");
        return false;
    }
    if (vfio->fd) {
        return config_check_fd("vfio-pci.fd", vfio->fd, error);
    }
    if (vfio->host) {
        g_autofree char *address = vfio_pci_address(vfio->host);

        if (!address) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                        "Property 'vfio-pci.host' doesn't take value '%s'\n"
                        "host takes [DOMAIN:]BUS:DEVICE.FUNCTION, as "
                        "0000:3b:00.0", vfio->host);
            return false;
        }
    }
    return true;
}

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

static const char vfio_pci_notes[] =
"It takes a host whose IOMMU does what the vIOMMU shows:\n"
"  arm-smmuv3   an Arm SMMUv3 with nested translation (both stages, S2FWB or\n"
"               CANWBS), Linux 6.13; its events (vEVENTQ), Linux 6.15\n"
"  intel-iommu  Intel VT-d in scalable mode with nested translation, Linux\n"
"               6.7; page requests (svm=on), Linux 6.11, not for a virtual\n"
"               function; no events: the kernel has no vEVENTQ there\n"
"  an AMD IOMMU cannot be used\n"
"The device is bound to vfio-pci, or a driver like it, in a kernel with\n"
"CONFIG_VFIO_DEVICE_CDEV. It has no load: what it does it does by itself, and\n"
"nobody but the queues counts. Without such a machine at hand this was tested\n"
"up to the refusals, and on mock devices (iommufd-mock), which go further.\n";

const ConfigType config_type_vfio_pci = {
    .name = "vfio-pci",
    .bus = "PCI",
    .description = "a real device of the kernel's",
    .list = CONFIG_DEVICES,
    .role = CONFIG_ROLE_ENDPOINT,
    .entry_size = sizeof(VfioPciEntry),
    .properties = vfio_pci_properties,
    .property_count = G_N_ELEMENTS(vfio_pci_properties),
    .notes = vfio_pci_notes,
    .init = endpoint_init,
    .check = vfio_pci_check,
};
