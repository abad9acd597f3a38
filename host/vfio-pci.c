/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nothing is looked at before it is needed: a device that has a vfio-dev folder
 * is not asked for its driver. Only when that is missing the driver says why.
 */
#include "host/vfio-pci.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A device on the way to its file. */
typedef struct Device {
    const char *id;
    const char *sysfs;
    const char *dev;
    const char *folder;         /* in sysfs */
    const char *address;        /* as drivers_probe takes it */
} Device;

char *vfio_pci_address(const char *text)
{
    unsigned domain = 0, bus, slot, function;
    int end = 0;

    /* %x takes signs, blanks and 0x, too. */
    if (text[strspn(text, "0123456789abcdefABCDEF:.")] != '\0') {
        return NULL;
    }
    if (sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function,
               &end) != 4 || text[end] != '\0') {
        domain = 0;
        end = 0;
        if (sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &function, &end) != 3 ||
            text[end] != '\0') {
            return NULL;
        }
    }
    if (slot > 0x1f || function > 7) {
        return NULL;
    }
    return g_strdup_printf("%04x:%02x:%02x.%x", domain, bus, slot, function);
}

/* Name of the driver that has the device, or NULL. */
static char *driver_of(const Device *device)
{
    g_autofree char *link = g_build_filename(device->folder, "driver", NULL);
    g_autofree char *target = g_file_read_link(link, NULL);

    return target ? g_path_get_basename(target) : NULL;
}

/* The first vfioN in the device's vfio-dev folder, or NULL. */
static char *vfio_dev_of(const Device *device)
{
    g_autofree char *path = g_build_filename(device->folder, "vfio-dev", NULL);
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *entry;
    char *found = NULL;

    if (!dir) {
        return NULL;
    }
    while (!found && (entry = g_dir_read_name(dir))) {
        if (g_str_has_prefix(entry, "vfio")) {
            found = g_strdup(entry);
        }
    }
    g_dir_close(dir);
    return found;
}

/* There is no vfio-dev folder: why, and what helps? */
static void explain_no_vfio_dev(const Device *device, GError **error)
{
    g_autofree char *driver = driver_of(device);
    g_autofree char *bound =
        driver ? g_strdup_printf("is bound to driver '%s', not to vfio-pci",
                                 driver)
               : g_strdup("is bound to no driver");
    g_autofree char *unbind =
        driver ? g_strdup_printf("echo %s > %s/driver/unbind; ",
                                 device->address, device->folder)
               : g_strdup("");

    if (driver && strstr(driver, "vfio")) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "%s: device %s has driver '%s', but no vfio-dev folder\n"
                    "the kernel must be built with CONFIG_VFIO_DEVICE_CDEV "
                    "(Linux 6.6 or later)", device->id, device->address,
                    driver);
        return;
    }
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                "%s: device %s %s\n"
                "as root: modprobe vfio-pci; echo vfio-pci > "
                "%s/driver_override; %secho %s > %s/bus/pci/drivers_probe",
                device->id, device->address, bound, device->folder, unbind,
                device->address, device->sysfs);
}

/* What the operator can do about a failed open(). */
static const char *open_hint(int err)
{
    switch (err) {
    case EACCES:
    case EPERM:
        return "give this user read and write access to it, as by chown or a "
               "udev rule";
    case EBUSY:
        return "another process has it: end that first";
    case ENOENT:
        return "the device is there, but not its file: is this a container "
               "without it, or udev not running?";
    case ENODEV:
    case ENXIO:
        return "the device is going away, or its driver is being changed";
    default:
        return "see the kernel's log";
    }
}

static int open_cdev(const Device *device, const char *vfio_dev,
                     GError **error)
{
    g_autofree char *path = g_build_filename(device->dev, "vfio", "devices",
                                             vfio_dev, NULL);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        int err = errno;

        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "%s: cannot open %s of device %s: %s\n%s", device->id,
                    path, device->address, g_strerror(err), open_hint(err));
    }
    return fd;
}

static int open_device(const Device *device, GError **error)
{
    g_autofree char *vfio_dev = vfio_dev_of(device);

    if (!vfio_dev) {
        explain_no_vfio_dev(device, error);
        return -1;
    }
    return open_cdev(device, vfio_dev, error);
}

static int open_by_address(Device *device, const char *host, GError **error)
{
    g_autofree char *address = vfio_pci_address(host);
    g_autofree char *folder = NULL;

    if (!address) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s: '%s' is no PCI address\n"
                    "host takes [DOMAIN:]BUS:DEVICE.FUNCTION, as 0000:3b:00.0",
                    device->id, host);
        return -1;
    }
    folder = g_build_filename(device->sysfs, "bus", "pci", "devices", address,
                              NULL);
    if (!g_file_test(folder, G_FILE_TEST_IS_DIR)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_NOT_FOUND,
                    "%s: there is no PCI device %s\n"
                    "lspci -D lists those that there are", device->id,
                    address);
        return -1;
    }
    device->folder = folder;
    device->address = address;
    return open_device(device, error);
}

static int open_by_sysfsdev(Device *device, const char *sysfsdev,
                            GError **error)
{
    g_autofree char *address = g_path_get_basename(sysfsdev);

    if (!g_file_test(sysfsdev, G_FILE_TEST_IS_DIR)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_NOT_FOUND,
                    "%s: there is no device at %s\n"
                    "sysfsdev takes the folder of one, as "
                    "/sys/bus/pci/devices/0000:3b:00.0", device->id, sysfsdev);
        return -1;
    }
    device->folder = sysfsdev;
    device->address = address;
    return open_device(device, error);
}

/* Whether VFIO is behind it, the bind will say. */
static int check_fd(const char *id, int fd, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "%s: fd %d is no VFIO device\n"
                    "fd takes the number of an open /dev/vfio/devices/vfioN",
                    id, fd);
        return -1;
    }
    return fd;
}

int vfio_pci_open(const char *id, const VfioPciName *name,
                  const VfioPciRoots *roots, GError **error)
{
    Device device = {
        .id = id,
        .sysfs = roots && roots->sysfs ? roots->sysfs : "/sys",
        .dev = roots && roots->dev ? roots->dev : "/dev",
    };

    if (name->host) {
        return open_by_address(&device, name->host, error);
    }
    return name->sysfsdev ? open_by_sysfsdev(&device, name->sysfsdev, error)
                          : check_fd(id, name->fd, error);
}
