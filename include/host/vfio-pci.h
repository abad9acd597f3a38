/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the name of a PCI device to its VFIO character device:
 *
 *   0000:3b:00.0 -> /sys/bus/pci/devices/0000:3b:00.0/vfio-dev/vfio7
 *                -> /dev/vfio/devices/vfio7
 *
 * and, where one of these is missing, to what the operator has to do.
 *
 * Threads: any.
 * Locks:   none; file system calls, so it may block.
 */
#ifndef HOST_VFIO_PCI_H
#define HOST_VFIO_PCI_H

#include <glib.h>
#include <stdbool.h>

/**
 * struct VfioPciName - which device: one of the three
 * @host: PCI address, "DDDD:BB:DD.F" or "BB:DD.F"; or NULL
 * @sysfsdev: its folder in sysfs; or NULL
 * @fd: its VFIO character device, open already; or -1
 */
typedef struct VfioPciName {
    const char *host;
    const char *sysfsdev;
    int fd;
} VfioPciName;

/**
 * struct VfioPciRoots - where the two file systems are
 * @sysfs: NULL for /sys
 * @dev: NULL for /dev
 */
typedef struct VfioPciRoots {
    const char *sysfs;
    const char *dev;
} VfioPciRoots;

/**
 * vfio_pci_address() - the address as sysfs writes it
 *
 * Return: "dddd:bb:dd.f", lower case, to be given to g_free(), or NULL if
 * @text is none.
 */
char *vfio_pci_address(const char *text);

/**
 * vfio_pci_open() - open a device's VFIO character device
 * @id: for messages
 * @roots: NULL for the usual ones
 *
 * Any driver of the VFIO family will do, vfio-pci is only what a message
 * advises.
 *
 * Return: the fd, for vfio_device_bind() on a kernel's host: @name->fd itself
 * if that is what was given. Or -1 and @error set: what is missing, and on a
 * second line what to do.
 */
int vfio_pci_open(const char *id, const VfioPciName *name,
                  const VfioPciRoots *roots, GError **error);

#endif
