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
#include "iothread/iothread.h"

/* Config::load: as fast as the host takes events. */
#define CONFIG_LOAD_MAX UINT64_MAX
#define CONFIG_LOAD_DEFAULT 100000
#define CONFIG_DURATION_S_DEFAULT 10

/*
 * QEMU shows 19. This is long enough for the default load to survive a third
 * of a second without a processor, and short enough that latency under the
 * highest load is not the queue's length.
 */
#define CONFIG_LOG2_EVENTQ_DEFAULT 15

/* PciEntry::sid until config_complete() has chosen one. */
#define CONFIG_SID_AUTO (-1)

/* Chosen ones: function 0 of each PCI slot, slot 0 being the host bridge's. */
#define CONFIG_SID_FIRST 8
#define CONFIG_SID_STEP 8

/**
 * enum ConfigList - where ids are unique, and which option fills it
 * @CONFIG_OBJECTS: -object, implied key "qom-type"
 * @CONFIG_DEVICES: -device, implied key "driver"
 */
typedef enum ConfigList {
    CONFIG_OBJECTS,
    CONFIG_DEVICES,
} ConfigList;

typedef struct ConfigEntry ConfigEntry;

/**
 * struct ConfigType - something that -object or -device can make
 * @name: qom-type or driver
 * @bus: what it plugs into, for help; NULL for nothing
 * @description: for help
 * @list: which option makes it
 * @entry_size: of the structure that begins with a ConfigEntry
 * @properties: @property_count rows, by name
 * @init: fill the defaults in
 */
typedef struct ConfigType {
    const char *name;
    const char *bus;
    const char *description;
    ConfigList list;
    size_t entry_size;
    const Property *properties;
    size_t property_count;
    void (*init)(ConfigEntry *entry);
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

typedef struct IommufdEntry {
    ConfigEntry base;
} IommufdEntry;

/**
 * struct Smmuv3Entry - an arm-smmuv3
 * @iothread: the id of one, never NULL after config_complete()
 * @next_sid: where config_complete() goes on looking for a free StreamID
 */
typedef struct Smmuv3Entry {
    ConfigEntry base;
    bool accel;
    char *iothread;
    Smmuv3Properties properties;
    int64_t next_sid;
} Smmuv3Entry;

/* @viommu, @iommufd: ids; @sid: StreamID, or CONFIG_SID_AUTO. */
typedef struct PciEntry {
    ConfigEntry base;
    char *viommu;
    char *iommufd;
    int64_t sid;
} PciEntry;

extern const ConfigType config_type_iothread;
extern const ConfigType config_type_iommufd_emulated;
extern const ConfigType config_type_arm_smmuv3;
extern const ConfigType config_type_emulated_pci;

/* Every type, those of one list together and by name; NULL ends. */
extern const ConfigType *const config_types[];

/**
 * struct Config - one run
 * @name: of the machine, for output; NULL for none
 * @process: name for the process; NULL to leave it
 * @report: file for the JSON report, "-" for stdout, NULL for none
 * @duration_ns: 0 for until interrupted
 * @load: events per second and vIOMMU, or %CONFIG_LOAD_MAX
 * @quiet: no lines and no table
 * @lists: ConfigEntry pointers, owned, indexed by enum ConfigList
 * @warnings: strings, owned: what was accepted but should be written otherwise
 */
typedef struct Config {
    char *name;
    char *process;
    char *report;
    int64_t duration_ns;
    uint64_t load;
    bool quiet;
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

/* Return: borrowed, or NULL. */
ConfigEntry *config_find(const Config *config, ConfigList list, const char *id);

/**
 * config_complete() - make what was left out, then check what belongs together
 *
 * Without devices it adds the default machine; an arm-smmuv3 without iothread
 * gets one named "<id>-iothread", an emulated-pci without sid the next free
 * one. Then every id that one entry names must exist and have the right type.
 *
 * Return: false and @error set, beginning with the option at fault.
 */
bool config_complete(Config *config, GError **error);

#endif
