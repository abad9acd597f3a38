/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of a machine, for the files that make them and count what they do.
 *
 * Threads, Locks: machine.h.
 */
#ifndef VPUMP_MACHINE_INTERNAL_H
#define VPUMP_MACHINE_INTERNAL_H

#include "guest-smmuv3.h"
#include "machine.h"
#include "workload-events.h"

typedef struct MachineIothread {
    const IothreadEntry *entry;
    IOThread *iothread;
} MachineIothread;

typedef struct MachineHost {
    const IommufdEntry *entry;
    HostIommu *host;
} MachineHost;

/* Fields are NULL until they are made. */
typedef struct MachineViommu {
    const Smmuv3Entry *entry;
    GuestRam *ram;
    IrqSink *irq;
    Viommu *viommu;
    GuestSmmuv3 *guest;
    WorkloadEvents *load;
} MachineViommu;

typedef struct MachineDevice {
    const PciEntry *entry;
    MachineViommu *viommu;
    VfioDevice *vfio;
    bool plugged;               /* into the vIOMMU */
} MachineDevice;

struct Machine {
    const Config *config;
    GPtrArray *iothreads;       /* MachineIothread */
    GPtrArray *hosts;           /* MachineHost */
    GPtrArray *viommus;         /* MachineViommu */
    GPtrArray *devices;         /* MachineDevice */
};

/**
 * machine_collect_devices() - what the workload needs to know of the devices
 * behind one vIOMMU
 * @host: set to theirs, if there is a device
 *
 * Return: WorkloadDevice items, to be given to g_array_unref().
 */
GArray *machine_collect_devices(const Machine *machine,
                                const MachineViommu *part, HostIommu **host);

#endif
