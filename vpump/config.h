/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Config: what a run shall be, as plain data: the program's settings, and the
 * objects and devices to be made. Nothing here opens, starts or allocates
 * anything but memory.
 *
 * Threads: filled on one thread; constant, and readable on any, from
 *          config_complete() on.
 */
#ifndef VPUMP_CONFIG_H
#define VPUMP_CONFIG_H

#include "property.h"

#include "hw/arm/smmuv3.h"
#include "hw/i386/vtd.h"
#include "iothread/iothread.h"

/* Config::load: as fast as the host takes events, or credits allow. */
#define CONFIG_LOAD_MAX UINT64_MAX
#define CONFIG_LOAD_DEFAULT 100000
#define CONFIG_DURATION_S_DEFAULT 10

/*
 * QEMU shows 19. This is long enough for the default load to survive a third
 * of a second without a processor, and short enough that latency under the
 * highest load is not the queue's length.
 */
#define CONFIG_LOG2_EVENTQ_DEFAULT 15

/* EndpointEntry::sid until config_complete() has chosen one. */
#define CONFIG_SID_AUTO (-1)

/* Chosen ones: function 0 of each PCI slot, slot 0 being the host bridge's. */
#define CONFIG_SID_FIRST 8
#define CONFIG_SID_STEP 8

/*
 * Of an sva-device. An operation takes up to 4 credits, for one group of page
 * requests; there are 512 indices of groups.
 */
#define CONFIG_SVA_PASIDS_DEFAULT 4
#define CONFIG_SVA_PASIDS_MAX 64
#define CONFIG_SVA_CREDITS_DEFAULT 64
#define CONFIG_SVA_CREDITS_MIN 1
#define CONFIG_SVA_CREDITS_MAX 2048
#define CONFIG_SVA_QUEUE_DEPTH_DEFAULT 32
#define CONFIG_SVA_QUEUE_DEPTH_MAX 512

/**
 * enum ConfigList - where ids are unique, and which option fills it
 * @CONFIG_OBJECTS: -object, implied key "qom-type"
 * @CONFIG_DEVICES: -device, implied key "driver"
 */
typedef enum ConfigList {
    CONFIG_OBJECTS,
    CONFIG_DEVICES,
} ConfigList;

/**
 * enum ConfigRole - what part it plays; says what its entry begins with
 * @CONFIG_ROLE_OBJECT: ConfigEntry
 * @CONFIG_ROLE_VIOMMU: ViommuEntry
 * @CONFIG_ROLE_ENDPOINT: EndpointEntry
 */
typedef enum ConfigRole {
    CONFIG_ROLE_OBJECT,
    CONFIG_ROLE_VIOMMU,
    CONFIG_ROLE_ENDPOINT,
} ConfigRole;

typedef struct ConfigEntry ConfigEntry;

/**
 * struct ConfigType - something that -object or -device can make
 * @name: qom-type or driver
 * @bus: what it plugs into, for help; NULL for nothing
 * @description: for help
 * @list: which option makes it
 * @role: what part it plays
 * @entry_size: of the structure that begins with a ConfigEntry
 * @properties: @property_count rows, by name
 * @init: fill the defaults in; may be NULL
 * @notes: what else help says of it, lines; NULL for nothing
 * @check: do its properties go together? Before any link is looked at; may be
 *         NULL. @error does not name the option: the caller does
 */
typedef struct ConfigType {
    const char *name;
    const char *bus;
    const char *description;
    ConfigList list;
    ConfigRole role;
    size_t entry_size;
    const Property *properties;
    size_t property_count;
    const char *notes;
    void (*init)(ConfigEntry *entry);
    bool (*check)(const ConfigEntry *entry, GError **error);
} ConfigType;

/**
 * struct ConfigEntry - base of what one -object or -device asks for
 * @id: by which others name it
 * @origin: option and argument, for messages; "default machine" without one
 */
struct ConfigEntry {
    const ConfigType *type;
    char *id;
    char *origin;
};

typedef struct IothreadEntry {
    ConfigEntry base;
    IOThreadProperties properties;
} IothreadEntry;

/**
 * struct IommufdEntry - an iommufd
 * @path: of the character device, or NULL for the usual one
 * @fd: number of an open one, as text, or NULL
 */
typedef struct IommufdEntry {
    ConfigEntry base;
    char *path;
    char *fd;
} IommufdEntry;

/**
 * struct ReplayEntry - an iommufd-replay
 * @file: the recording
 * @host: which of its hosts; NULL for the only one
 * @speed: "recorded" or "max"; NULL for the first
 */
typedef struct ReplayEntry {
    ConfigEntry base;
    char *file;
    char *host;
    char *speed;
} ReplayEntry;

/**
 * struct ViommuEntry - base of every vIOMMU
 * @iothread: the id of one, never NULL after config_complete()
 * @next_sid: where config_complete() goes on looking for a free sid
 */
typedef struct ViommuEntry {
    ConfigEntry base;
    char *iothread;
    int64_t next_sid;
} ViommuEntry;

typedef struct Smmuv3Entry {
    ViommuEntry viommu;
    bool accel;
    Smmuv3Properties properties;
} Smmuv3Entry;

/**
 * struct VtdEntry - an intel-iommu
 * @pasid_mode: false means what @properties.pasid_bits 0 does: no PASIDs
 */
typedef struct VtdEntry {
    ViommuEntry viommu;
    bool scalable_mode;
    bool fsts;
    bool device_iotlb;
    bool pasid_mode;
    unsigned aw_bits;
    VtdProperties properties;
} VtdEntry;

/**
 * struct EndpointEntry - base of every device behind a vIOMMU
 * @viommu: the id of one
 * @sid: the guest's name for it, StreamID or requester ID; or CONFIG_SID_AUTO
 */
typedef struct EndpointEntry {
    ConfigEntry base;
    char *viommu;
    int64_t sid;
} EndpointEntry;

/* A device of a host. @iommufd: the id of that. */
typedef struct PciEntry {
    EndpointEntry endpoint;
    char *iommufd;
} PciEntry;

/**
 * struct VfioPciEntry - a vfio-pci: one of the three
 * @host: its PCI address, or NULL
 * @sysfsdev: its folder in sysfs, or NULL
 * @fd: number of its open character device, as text, or NULL
 */
typedef struct VfioPciEntry {
    PciEntry pci;
    char *host;
    char *sysfsdev;
    char *fd;
} VfioPciEntry;

/**
 * struct SvaEntry - an sva-device
 * @pasids: address spaces that it works in
 * @credits: pages that it may have asked for at a time
 * @queue_depth: operations that it has under way at a time
 */
typedef struct SvaEntry {
    EndpointEntry endpoint;
    unsigned pasids;
    unsigned credits;
    unsigned queue_depth;
} SvaEntry;

extern const ConfigType config_type_iothread;
extern const ConfigType config_type_iommufd;
extern const ConfigType config_type_iommufd_emulated;
extern const ConfigType config_type_iommufd_replay;
extern const ConfigType config_type_arm_smmuv3;
extern const ConfigType config_type_intel_iommu;
extern const ConfigType config_type_emulated_pci;
extern const ConfigType config_type_iommufd_mock;
extern const ConfigType config_type_sva_device;
extern const ConfigType config_type_vfio_pci;

/* Every type, those of one list together and by name; NULL ends. */
extern const ConfigType *const config_types[];

/**
 * struct Config - one run
 * @name: of the machine, for output; NULL for none
 * @process: name for the process; NULL to leave it
 * @report: file for the JSON report, "-" for stdout, NULL for none
 * @record: file for a recording of what the hosts deliver; NULL for none
 * @duration_ns: 0 for until interrupted, or all recordings are played
 * @duration_given: it was asked for
 * @load: events, groups of page requests or operations per second and vIOMMU,
 *        or %CONFIG_LOAD_MAX
 * @quiet: no lines and no table
 * @sandbox: confine the process before guests run
 * @lists: ConfigEntry pointers, owned, indexed by enum ConfigList
 * @warnings: strings, owned: what was accepted but should be written otherwise,
 *            or is of little use
 */
typedef struct Config {
    char *name;
    char *process;
    char *report;
    char *record;
    int64_t duration_ns;
    bool duration_given;
    uint64_t load;
    bool quiet;
    bool sandbox;
    GPtrArray *lists[2];
    GPtrArray *warnings;
} Config;

Config *config_new(void);
void config_free(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)

const ConfigType *config_type_find(ConfigList list, const char *name);

/**
 * config_add() - append an entry with the type's defaults
 * @id, @origin: copied
 *
 * Return: the entry, owned by @config, or NULL and @error set if @list has one
 * of this id.
 */
ConfigEntry *config_add(Config *config, const ConfigType *type, const char *id,
                        const char *origin, GError **error);

/* Whether it is to be played as fast as it goes. */
bool config_replay_is_max(const ReplayEntry *entry);

/* The first entry of @type, or NULL. */
const ConfigEntry *config_find_type(const Config *config,
                                    const ConfigType *type);

/* Return: borrowed, or NULL. */
ConfigEntry *config_find(const Config *config, ConfigList list, const char *id);

/* The host's id if @entry is a device of one, else NULL. */
const char *config_iommufd_of(const ConfigEntry *entry);

/* The first device of host @iommufd, or NULL. */
const ConfigEntry *config_first_device_of(const Config *config,
                                          const char *iommufd);

/* The vIOMMU of a complete entry. */
ViommuEntry *config_viommu_of(const Config *config,
                              const EndpointEntry *endpoint);

/**
 * config_complete() - make what was left out, then check what belongs together
 *
 * Without devices it adds the default machine; a vIOMMU without iothread gets
 * one named "<id>-iothread", a device behind it without sid the next free one.
 * Every id that one entry names must exist and have the right type.
 *
 * Return: false and @error set, beginning with the option at fault.
 */
bool config_complete(Config *config, GError **error);

#endif
