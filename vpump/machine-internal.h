/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of a machine. What differs between models of vIOMMU, and between
 * kinds of device, is behind a table for each; machine.c and machine-result.c
 * ask no part what it is.
 *
 * Threads, Locks: machine.h.
 */
#ifndef VPUMP_MACHINE_INTERNAL_H
#define VPUMP_MACHINE_INTERNAL_H

#include "guest-smmuv3.h"
#include "guest-vtd.h"
#include "machine.h"
#include "workload-events.h"
#include "workload-pages.h"

#include "base/lock.h"
#include "host/record.h"
#include "host/replay.h"

typedef struct MachineDevice MachineDevice;
typedef struct MachineViommu MachineViommu;

/**
 * struct MachineModel - a model of vIOMMU, and the guest that drives it
 * @type: what makes it
 * @part_size: of the structure that begins with a MachineViommu
 * @irq_lines, @doorbell: of the sink of eventfds that it raises
 * @ram_bytes: of its guest, with all devices that @config has for it
 * @make: the vIOMMU in its reset state; NULL and @error set on failure
 * @start_guest: with all devices plugged in. Return: false and @error set
 * @start_load: the devices begin. Return: false and @error set, and none does
 *              or stop_load() is still to come
 * @stop_load: they begin nothing any more; may be called at any time
 * @rest: nothing is under way: the guest looks at its queues a last time, and
 *        ends its threads
 * @stop_guest: to rest, if it has not come there yet, and disabled
 * @free: the vIOMMU is gone: its guest and its load go
 * @add_sample: what the guest has counted
 * @get_latency: of events, overwritten; NULL if there are none to be seen
 *
 * None of them but @make and @ram_bytes needs more than a @part; its fields are
 * NULL until they are made.
 */
typedef struct MachineModel {
    const ConfigType *type;
    size_t part_size;
    unsigned irq_lines;
    uint64_t doorbell;
    uint64_t (*ram_bytes)(const Config *config, const ViommuEntry *entry);
    Viommu *(*make)(const ViommuConfig *config, const ViommuEntry *entry,
                    GError **error);
    bool (*start_guest)(MachineViommu *part, GError **error);
    bool (*start_load)(MachineViommu *part, GError **error);
    void (*stop_load)(MachineViommu *part);
    void (*rest)(MachineViommu *part);
    void (*stop_guest)(MachineViommu *part);
    void (*free)(MachineViommu *part);
    void (*add_sample)(const MachineViommu *part, RunSample *sample);
    void (*get_latency)(const MachineViommu *part, HistogramSnapshot *latency);
} MachineModel;

/**
 * struct MachineHostType - a kind of host
 * @type: what makes it
 * @make: opened, with no device. Return: NULL and @error set on failure
 */
typedef struct MachineHostType {
    const ConfigType *type;
    HostIommu *(*make)(const Config *config, const ConfigEntry *entry,
                       GError **error);
} MachineHostType;

/**
 * struct MachineKind - a kind of device, behind one model
 * @type, @viommu_type: what makes it, and what it sits behind
 * @has_host: it begins with a MachinePci
 * @replay: of a host that plays a recording
 * @real: it is hardware: it has no load, and nobody counts what it does
 * @part_size: of the structure that begins with a MachineDevice
 * @make: and plug into its vIOMMU. Return: false and @error set; @free comes
 * @free: the reverse, from whatever step it came to
 * @get_context: of the thread that is the device; NULL if there is none
 * @add_sample: what it has done
 * @add_roundtrip: of its page requests; NULL if it makes none
 * @get_result: the same for itself; the names are filled in already
 * @describe: for the guest of a VT-d, before it is made: an entry of @type
 * @start_load: at most @rate groups or operations per second; behind a VT-d.
 *              Return: false and @error set
 * @stop_load: nothing begins any more; may be called at any time
 * @rest: nothing is under way: its load's threads end; likewise
 */
typedef struct MachineKind {
    const ConfigType *type;
    const ConfigType *viommu_type;
    bool has_host;
    bool replay;
    bool real;
    size_t part_size;
    bool (*make)(Machine *machine, MachineDevice *device, GError **error);
    void (*free)(MachineDevice *device);
    AioContext *(*get_context)(const MachineDevice *device);
    void (*add_sample)(const MachineDevice *device, RunSample *sample);
    void (*add_roundtrip)(const MachineDevice *device,
                          HistogramSnapshot *roundtrip);
    void (*get_result)(const MachineDevice *device, RunDevice *result);
    void (*describe)(const EndpointEntry *entry, const VtdEntry *vtd,
                     GuestVtdDevice *device);
    bool (*start_load)(MachineDevice *device, uint64_t rate, GError **error);
    void (*stop_load)(MachineDevice *device);
    void (*rest)(MachineDevice *device);
} MachineKind;

typedef struct MachineIothread {
    const IothreadEntry *entry;
    IOThread *iothread;
} MachineIothread;

/**
 * struct MachineHost - a host
 * @replay: it plays a recording
 * @played: and had played all of it when it was stopped
 * @pages: what those of its devices do that ask for pages, @page_devices
 */
typedef struct MachineHost {
    const ConfigEntry *entry;
    HostIommu *host;
    bool replay;
    bool played;
    WorkloadPages *pages;
    size_t page_devices;
} MachineHost;

/* Base of every model's own. @devices: MachineDevice, borrowed. */
struct MachineViommu {
    const MachineModel *model;
    const ViommuEntry *entry;
    Machine *machine;
    GPtrArray *devices;
    GuestRam *ram;
    IrqSink *irq;
    Viommu *viommu;
};

/* Base of every kind's own. @index: among those of its vIOMMU. */
struct MachineDevice {
    const MachineKind *kind;
    const EndpointEntry *entry;
    MachineViommu *viommu;
    size_t index;
};

/* A device of a host's, behind any model. */
typedef struct MachinePci {
    MachineDevice base;
    MachineHost *host;
    VfioDevice *vfio;
    bool plugged;               /* into the vIOMMU */
    bool loaded;                /* it is in MachineHost::pages */
    size_t pages_index;         /* there */
} MachinePci;

struct Machine {
    const Config *config;
    Lock big_lock;              /* stands in for a monitor's */
    Recorder *recorder;         /* with -record, until it is taken apart */
    GPtrArray *iothreads;       /* MachineIothread */
    GPtrArray *hosts;           /* MachineHost */
    GPtrArray *viommus;         /* MachineViommu */
    GPtrArray *devices;         /* MachineDevice */
};

extern const MachineModel machine_model_smmuv3;
extern const MachineModel machine_model_vtd;

extern const MachineKind machine_kind_pci_events;
extern const MachineKind machine_kind_pci_pages;
extern const MachineKind machine_kind_mock_events;
extern const MachineKind machine_kind_mock_pages;
extern const MachineKind machine_kind_replay_events;
extern const MachineKind machine_kind_replay_pages;
extern const MachineKind machine_kind_sva;
extern const MachineKind machine_kind_vfio_events;
extern const MachineKind machine_kind_vfio_pages;

/* The host that @entry asks for. Return: NULL and @error set on failure. */
HostIommu *machine_host_open(const Config *config, const ConfigEntry *entry,
                             GError **error);

/* The kind of a recorded host: whether devices of it do what we tell them. */
#define MACHINE_HOST_SIMULATED "simulated"
#define MACHINE_HOST_REAL "real"

/* ---- machine-pci.c: of devices of any host ---- */

/**
 * machine_pci_plug() - bind an open device, and plug it into its vIOMMU
 * @fd: given
 */
bool machine_pci_plug(Machine *machine, MachineDevice *device,
                      MachineHost *host, int fd, GError **error);
void machine_pci_free(MachineDevice *device);

/* What the guest has of one that asks for pages. */
void machine_pci_describe_pages(const EndpointEntry *entry,
                                const VtdEntry *vtd, GuestVtdDevice *device);

/* ---- machine-replay.c: hosts that play a recording ---- */

/* Return: NULL and @error set, also if devices and recording do not fit. */
HostIommu *machine_replay_open(const Config *config, const ReplayEntry *entry,
                               GError **error);

/* What guests of its devices may expect. */
GuestRecords machine_replay_records(const MachineHost *part);

void machine_replay_stop(MachineHost *part);

/* All of it is played, or its end came before. Else false and @error set. */
bool machine_replay_check(const MachineHost *part, GError **error);

/* ---- The rest ---- */

/* What the devices behind an SMMUv3 report; NULL before the start. */
const WorkloadEvents *machine_smmuv3_get_load(const MachineViommu *part);

/**
 * machine_vtd_get_spaces() - those of the PASIDs of a device behind a VT-d
 * @count: set to how many there are
 *
 * Return: an array, that of PASID 1 first, to be given to g_free().
 */
GuestAddressSpace **machine_vtd_get_spaces(const MachineDevice *device,
                                           uint32_t *count);

/*
 * Of each vIOMMU what its guest, devices and pump have counted, to be given to
 * g_free().
 */
RunSample *machine_get_samples(const Machine *machine);

/* What happened since @before, while the guests stopped: added as strings. */
void machine_check_stopped(const Machine *machine, const RunSample *before,
                           GPtrArray *problems);

/* What is left on the hosts without devices: likewise. */
void machine_check_empty(const Machine *machine, GPtrArray *problems);

/* The page requests that the guest has read from a device behind a VT-d. */
PageDigestSum machine_vtd_get_pages(const MachineDevice *device);

/* The find functions: config_complete() has seen that there is one. */

/* @replay: of a host that plays a recording */
const MachineKind *machine_find_kind(const ConfigType *type,
                                     const ConfigType *viommu_type,
                                     bool replay);
MachineHost *machine_find_host(const Machine *machine, const char *id);

/* The host of the devices behind @part, or NULL if none has one. */
MachineHost *machine_host_of(const MachineViommu *part);

#endif
