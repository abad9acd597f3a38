/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The environment, read once, when a path of ours is first opened: a program
 * that opens none is told nothing.
 */
#include "preload-internal.h"

#include "base/report.h"

#include <string.h>

/* Variables whose value is what a command takes. */
static const struct {
    const char *variable;
    const char *command;
} settings[] = {
    { "IOMMUFD_EMUL_FAIL", "fail" },
    { "IOMMUFD_EMUL_READ_LIMIT", "read-limit" },
    { "IOMMUFD_EMUL_SEQUENCE", "sequence" },
};

static PreloadConfig config;
static pthread_once_t config_once = PTHREAD_ONCE_INIT;

static void read_setting(const char *variable, const char *command)
{
    const char *value = g_getenv(variable);
    g_autofree char *error = NULL;
    char *line;

    if (!value || !*value) {
        return;
    }
    line = g_strdup_printf("%s %s", command, value);
    error = preload_command_check(line);
    if (error) {
        error_report("%s=%s: %s; /dev/iommu cannot be opened", variable, value,
                     error);
        config.valid = false;
        g_free(line);
    } else {
        g_ptr_array_add(config.commands, line);
    }
}

/* "NAME=smmuv3" or "NAME=vtd" */
static bool read_device(const char *text)
{
    const char *equals = strchr(text, '=');
    PreloadDevice *device;
    EmulIommu iommu;

    if (!equals || equals == text || memchr(text, '/', equals - text)) {
        return false;
    }
    if (!strcmp(equals + 1, "smmuv3")) {
        iommu = EMUL_IOMMU_SMMUV3;
    } else if (!strcmp(equals + 1, "vtd")) {
        iommu = EMUL_IOMMU_VTD;
    } else {
        return false;
    }
    device = g_new0(PreloadDevice, 1);
    device->name = g_strndup(text, equals - text);
    device->iommu = iommu;
    g_ptr_array_add(config.devices, device);
    return true;
}

static void read_devices(void)
{
    const char *value = g_getenv("IOMMUFD_EMUL_VFIO");
    g_auto(GStrv) parts = NULL;

    if (!value || !*value) {
        return;
    }
    parts = g_strsplit(value, ",", -1);
    for (char **part = parts; *part; part++) {
        if (!read_device(*part)) {
            error_report("IOMMUFD_EMUL_VFIO=%s: '%s' is not NAME=smmuv3 or "
                         "NAME=vtd; /dev/iommu cannot be opened", value, *part);
            config.valid = false;
        }
    }
}

/* The program has a name of its own, which GLib may not know. */
static void print_message(ReportLevel level, const char *message, void *opaque)
{
    g_printerr("libiommufd-emul: %s\n", message);
}

static void config_read(void)
{
    report_set_handler(print_message, NULL);
    config.valid = true;
    config.devices = g_ptr_array_new();
    config.commands = g_ptr_array_new();
    config.socket = g_getenv("IOMMUFD_EMUL_SOCKET");
    for (unsigned i = 0; i < G_N_ELEMENTS(settings); i++) {
        read_setting(settings[i].variable, settings[i].command);
    }
    read_devices();
}

const PreloadConfig *preload_config(void)
{
    pthread_once(&config_once, config_read);
    return &config;
}
