/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What -object can make, and the list of all types. Names, types and meanings
 * are QEMU's where QEMU has the property.
 */
#include "config-internal.h"

#include "base/error.h"

#include <string.h>

/* QOM's type int is signed; none of ours is negative. */
#define INT64_ACCEPTS "a number from 0 to 9223372036854775807"

/* QEMU's names and meanings; its other properties have no counterpart here. */
static const Property iothread_properties[] = {
    CONFIG_ID_PROPERTY,
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
        .default_text = CONFIG_NUMBER_TEXT(IOTHREAD_POLL_MAX_NS_DEFAULT),
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

#define PATH_ACCEPTS "the path of a character device, as /dev/iommu"

/*
 * QEMU's iommufd has no path. Its fd may also be a name that a monitor gave;
 * here is none.
 */
static const Property iommufd_properties[] = {
    {
        .name = "fd", .kind = PROPERTY_STRING,
        .offset = offsetof(IommufdEntry, fd),
        .accepts = CONFIG_FD_ACCEPTS, .type_name = "string",
        .description = "number of an open iommufd, inherited; it stays open",
    },
    CONFIG_ID_PROPERTY,
    {
        .name = "path", .kind = PROPERTY_STRING,
        .offset = offsetof(IommufdEntry, path),
        .accepts = PATH_ACCEPTS, .type_name = "string",
        .description = "the character device",
        .default_text = "/dev/iommu",
    },
};

bool config_check_fd(const char *name, const char *text, GError **error)
{
    if (property_parse_fd(text) < 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "Property '%s' doesn't take value '%s'\n"
                    "fd takes " CONFIG_FD_ACCEPTS, name, text);
        return false;
    }
    return true;
}

static bool iommufd_check(const ConfigEntry *entry, GError **error)
{
    const IommufdEntry *iommufd = (const IommufdEntry *)entry;

    if (iommufd->path && !*iommufd->path) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                            "Property 'iommufd.path' doesn't take value ''\n"
                            "path takes " PATH_ACCEPTS);
        return false;
    }
    if (!iommufd->fd) {
        return true;
    }
    if (iommufd->path) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                            "'fd' and 'path' exclude each other\n"
                            "fd is a device that is open already: leave path "
                            "out");
        return false;
    }
    return config_check_fd("iommufd.fd", iommufd->fd, error);
}

/* The emulated host has nothing to be set. */
static const Property iommufd_emulated_properties[] = {
    CONFIG_ID_PROPERTY,
};

#define SPEED_ACCEPTS "'recorded' or 'max'"

static const Property iommufd_replay_properties[] = {
    {
        .name = "file", .kind = PROPERTY_STRING,
        .offset = offsetof(ReplayEntry, file),
        .accepts = "the name of a file", .type_name = "string",
        .description = "the recording, as -record makes it (required)",
    },
    {
        .name = "host", .kind = PROPERTY_STRING,
        .offset = offsetof(ReplayEntry, host),
        .accepts = "the id of a recorded host", .type_name = "string",
        .description = "which of the recorded hosts",
        .default_text = "the only one",
    },
    CONFIG_ID_PROPERTY,
    {
        .name = "speed", .kind = PROPERTY_STRING,
        .offset = offsetof(ReplayEntry, speed),
        .accepts = SPEED_ACCEPTS, .type_name = "ReplaySpeed",
        .description = "recorded: at its own pace; max: all at once",
        .default_text = "recorded",
    },
};

bool config_replay_is_max(const ReplayEntry *entry)
{
    return entry->speed && strcmp(entry->speed, "max") == 0;
}

static bool iommufd_replay_check(const ConfigEntry *entry, GError **error)
{
    const ReplayEntry *replay = (const ReplayEntry *)entry;

    if (!replay->file || !replay->file[0]) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                            "Parameter 'file' is missing\n"
                            "file takes the name of a recording, as -record "
                            "makes it");
        return false;
    }
    if (replay->speed && !config_replay_is_max(replay) &&
        strcmp(replay->speed, "recorded") != 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "Property 'iommufd-replay.speed' doesn't take value '%s'\n"
                    "speed takes " SPEED_ACCEPTS, replay->speed);
        return false;
    }
    return true;
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

const ConfigType config_type_iommufd = {
    .name = "iommufd",
    .description = "the kernel's /dev/iommu",
    .list = CONFIG_OBJECTS,
    .entry_size = sizeof(IommufdEntry),
    .properties = iommufd_properties,
    .property_count = G_N_ELEMENTS(iommufd_properties),
    .check = iommufd_check,
};

const ConfigType config_type_iommufd_emulated = {
    .name = "iommufd-emulated",
    .description = "/dev/iommu, emulated in this process",
    .list = CONFIG_OBJECTS,
    .entry_size = sizeof(ConfigEntry),
    .properties = iommufd_emulated_properties,
    .property_count = G_N_ELEMENTS(iommufd_emulated_properties),
};

const ConfigType config_type_iommufd_replay = {
    .name = "iommufd-replay",
    .description = "/dev/iommu, played from a recording",
    .list = CONFIG_OBJECTS,
    .entry_size = sizeof(ReplayEntry),
    .properties = iommufd_replay_properties,
    .property_count = G_N_ELEMENTS(iommufd_replay_properties),
    .check = iommufd_replay_check,
};

/* In the order of help texts. */
const ConfigType *const config_types[] = {
    &config_type_iommufd,
    &config_type_iommufd_emulated,
    &config_type_iommufd_replay,
    &config_type_iothread,
    &config_type_arm_smmuv3,
    &config_type_emulated_pci,
    &config_type_intel_iommu,
    &config_type_iommufd_mock,
    &config_type_sva_device,
    &config_type_vfio_pci,
    NULL,
};
