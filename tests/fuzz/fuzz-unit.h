/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FuzzUnit: a vIOMMU on the emulated host with all that can happen to it as
 * actions that a fuzzer's input chooses: a guest that has its memory and
 * registers under control, devices that come, go and ask, a host that fails, a
 * memory map that changes. What a model adds is a FuzzModel.
 *
 * Checked after each input: the books of events and page requests balance, the
 * host has answered each group once, no object and no group is left, no memory
 * outside of the guest's was touched, the log was not flooded, no action took
 * more host calls or turns than it may, and a reset restores every register.
 *
 * What is costly to make - host, context, vIOMMUs - serves all inputs.
 *
 * Threads: the one that runs the input is home of the AioContext.
 * Locks:   none.
 */
#ifndef TESTS_FUZZ_FUZZ_UNIT_H
#define TESTS_FUZZ_FUZZ_UNIT_H

#include "fuzz-input.h"

#include "fixture-parts.h"
#include "hw/iommu/viommu-internal.h"

/* Guest physical layout: pages of RAM, by the map that is in force. */
#define FUZZ_PAGES 64
#define FUZZ_PAGE_BYTES UINT64_C(4096)
#define FUZZ_RAM_BYTES (FUZZ_PAGES * FUZZ_PAGE_BYTES)
#define FUZZ_PAGE(n) (GUEST_RAM + (n) * FUZZ_PAGE_BYTES)

/* The most registers that a model names. */
#define FUZZ_OFFSETS_MAX 96

/* Sets of properties. */
#define FUZZ_VARIANTS 8

/* Devices are in slots, which have their IDs. */
#define FUZZ_SLOTS 4

/* Groups of emulated devices that can be under way, and pages of each. */
#define FUZZ_GROUPS 64
#define FUZZ_GROUP_PAGES 8

/* Groups of host devices that one input can raise. */
#define FUZZ_TAGS 4096

/* How a group of the host's ends: answered once, or refused when raised. */
enum { FUZZ_TAG_OPEN, FUZZ_TAG_ANSWERED, FUZZ_TAG_NEVER };

typedef struct FuzzUnit FuzzUnit;
typedef void FuzzAction(FuzzUnit *u);

/**
 * struct FuzzModel - what differs between the models
 * @iommu: of host devices
 * @mmio_size: of its region
 * @ids: of the devices in the slots
 * @offsets, @offset_count: of the registers that there are
 * @create: the vIOMMU, with properties @variant, 0 to FUZZ_VARIANTS - 1
 * @actions, @action_count: of its guest
 * @viommus: by variant, made when needed; private
 * @reset: what a new one's registers are; private
 */
typedef struct FuzzModel {
    HardwareIommu iommu;
    uint64_t mmio_size;
    uint32_t ids[FUZZ_SLOTS];
    const uint32_t *offsets;
    size_t offset_count;
    Viommu *(*create)(const ViommuConfig *config, unsigned variant);
    FuzzAction *const *actions;
    size_t action_count;
    Viommu *viommus[FUZZ_VARIANTS];
    uint32_t reset[FUZZ_VARIANTS][FUZZ_OFFSETS_MAX];
} FuzzModel;

/**
 * struct FuzzGroup - a group of an emulated device
 * @device: who asked; NULL while it is free
 */
typedef struct FuzzGroup {
    SvaGroup group;             /* first */
    SvaDevice *device;
    Pgfault pages[FUZZ_GROUP_PAGES];
} FuzzGroup;

/**
 * struct FuzzSlot - at most one device
 * @vfio: open, maybe not plugged
 * @plugged: it, or @sva
 * @groups: that @sva has under way
 */
typedef struct FuzzSlot {
    uint32_t id;
    VfioDevice *vfio;
    SvaDevice *sva;
    bool plugged;
    unsigned groups;
} FuzzSlot;

/**
 * struct FuzzUnit - see above
 * @ram: FUZZ_PAGES pages, between pages that nobody may touch
 * @saved: what the pages that the map leaves out hold
 * @mapped: which pages the map has, by page of GPA: page of @ram, or -1
 * @events, @pages, @hardware: what had been counted before
 * @tags, @codes: per group raised on the host: how it ended, with what code
 * @variant: of the properties
 */
struct FuzzUnit {
    FuzzInput in;
    FuzzModel *model;
    unsigned variant;
    HostIommu *host;
    AioContext *ctx;
    GuestMem *mem;
    CountingSink *irq;
    Viommu *viommu;
    ViommuStats events;
    ViommuPageStats pages;
    HardwareStats hardware;
    uint8_t *ram;
    uint8_t *saved;
    int mapped[FUZZ_PAGES];
    FuzzSlot slots[FUZZ_SLOTS];
    FuzzGroup groups[FUZZ_GROUPS];
    uint8_t tags[FUZZ_TAGS];
    uint8_t codes[FUZZ_TAGS];
    unsigned tag_count;
    uint64_t calls;             /* of the host, in this action */
    bool writes_fail;           /* some were to */
};

/* Once, before the first input: registers the thread with RCU, too. */
void fuzz_unit_init(void);

/*
 * Run an input: its first byte chooses the properties, actions follow until it
 * ends, then the checks.
 */
void fuzz_unit_run(FuzzModel *model, const uint8_t *data, size_t size);

/* The same in parts: before the actions, an action begins, the checks. */
FuzzUnit *fuzz_unit_begin(FuzzModel *model, const FuzzInput *in,
                          unsigned variant);
void fuzz_unit_step(FuzzUnit *u);
void fuzz_unit_end(FuzzUnit *u);

/* ---- For a model's actions ---- */

/* A register access by the guest. */
uint64_t fuzz_read(FuzzUnit *u, uint64_t offset, unsigned size);
void fuzz_write(FuzzUnit *u, uint64_t offset, unsigned size, uint64_t value);

/* What is due at the context. */
void fuzz_turn(FuzzUnit *u);

/* An address: mostly of a page of guest RAM, sometimes near the edges. */
uint64_t fuzz_gpa(FuzzUnit *u);

/* A number of a kind that the input chooses; @old is one to begin from. */
uint64_t fuzz_value(FuzzUnit *u, uint64_t old);

/* The ID of a slot, or any. */
uint32_t fuzz_id(FuzzUnit *u);

/* A PASID or PAGE_REQUEST_NO_PASID, mostly one of few. */
uint32_t fuzz_pasid(FuzzUnit *u);

/* The guest's memory, as the map has it; outside of it nothing happens. */
void fuzz_store(FuzzUnit *u, uint64_t gpa, const uint64_t *words,
                size_t count);
uint64_t fuzz_load(FuzzUnit *u, uint64_t gpa);

/* Change some bits of @count words, if the input says so. */
void fuzz_flip(FuzzUnit *u, uint64_t *words, size_t count);

/* ---- fuzz-memory.c ---- */

/* All of it, in one piece. */
void fuzz_map_init(FuzzUnit *u);

/* Another map, of some that there are; not if the host does not take it. */
void fuzz_map_set(FuzzUnit *u, unsigned which);

/* What the map leaves out is what it was. */
void fuzz_check_unmapped(FuzzUnit *u);

/* ---- fuzz-outside.c ---- */

void fuzz_outside_act(FuzzUnit *u, unsigned which);

/* Plug one in, if the host lets us. Unplug it; also close it. */
void fuzz_slot_plug(FuzzUnit *u, FuzzSlot *slot, bool sva);
void fuzz_slot_unplug(FuzzUnit *u, FuzzSlot *slot);
void fuzz_slot_close(FuzzUnit *u, FuzzSlot *slot);

/*
 * Ask for pages. The caller fills FuzzGroup::group and @pages of what
 * fuzz_group_get() gave, which is NULL if there is no more.
 * Return: false if there is no credit.
 */
FuzzGroup *fuzz_group_get(FuzzUnit *u);
bool fuzz_sva_request(FuzzSlot *slot, FuzzGroup *group);

/* The same of a host's device, with those pages. Return: the tag, or -1. */
int fuzz_host_request(FuzzUnit *u, FuzzSlot *slot, uint32_t pasid,
                      uint32_t index, const Pgfault *pages, unsigned count);

#endif
