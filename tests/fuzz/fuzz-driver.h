/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver that does all it does as the specification says, but for one rule;
 * and what it knows of what it must see. While no rule is broken every event
 * and every group comes to the guest, in its device's order and with its data,
 * and each group's answer comes back to who asked.
 *
 * Threads, Locks: as fuzz-unit.h.
 */
#ifndef TESTS_FUZZ_FUZZ_DRIVER_H
#define TESTS_FUZZ_FUZZ_DRIVER_H

#include "fuzz-unit.h"

/* Groups that are open or under way, and pages of each. */
#define DRIVER_GROUPS 32
#define DRIVER_INDICES 8

typedef struct Driver Driver;

/**
 * struct DriverGroup - a group, from the request to the answer
 * @state: of it, as far as the driver knows
 * @slot: who asked
 * @number: of requests in their order
 * @seen: pages that the guest has read
 * @sva, @tag: of emulated, and of host devices
 */
typedef struct DriverGroup {
    enum { GROUP_FREE, GROUP_ASKED, GROUP_SHOWN } state;
    FuzzSlot *slot;
    uint32_t pasid;
    uint32_t index;
    unsigned count;
    unsigned seen;
    unsigned number;
    FuzzGroup *sva;
    int tag;
} DriverGroup;

/* A page request, as a queue's entry says it. */
typedef struct DriverEntry {
    uint32_t id;
    uint32_t pasid;
    uint32_t index;
    uint64_t addr;
    bool read;
    bool write;
    bool last;
} DriverEntry;

/**
 * struct DriverOps - what differs between the models
 * @start: from reset, or from anything: a valid driver's initialisation
 * @steps, @step_count: valid ones, which check what they see
 * @drain: the guest reads all there is, and checks it
 * @answer: the guest's response to a group
 * @breaks, @break_count: a rule broken, and what the specification says of it
 */
typedef struct DriverOps {
    FuzzModel *model;
    void (*start)(Driver *d);
    void (*const *steps)(Driver *d);
    size_t step_count;
    void (*drain)(Driver *d);
    void (*answer)(Driver *d, DriverGroup *group, uint32_t code);
    void (*const *breaks)(Driver *d);
    size_t break_count;
} DriverOps;

/* PASIDs of a VT-d unit's device; the first is RID_PASID. */
#define DRIVER_PASIDS_MAX 4

/* What may be in a host's event queue at a time. */
#define DRIVER_EVENTS 2048

/**
 * struct Driver - see above
 * @events, @event_first, @event_count: reported and not read yet, a ring: their
 *                                      InputAddr
 * @lost: an event was lost since software last acknowledged it
 * @next: numbers events and groups
 * @place: the first word of the STE that each slot's device goes by
 * @log2_cmdq, @cmd_prod, @log2_eventq, @log2_priq: of an SMMUv3's queues
 * @two_level: its stream table
 * @pgtt: what each slot's PASID entries say; 0: not present
 * @iq_bytes, @iq_tail, @prq_bytes: of a VT-d unit's
 */
struct Driver {
    FuzzUnit *u;
    const DriverOps *ops;
    uint64_t events[DRIVER_EVENTS];
    unsigned event_first;
    unsigned event_count;
    bool lost;
    unsigned next;
    DriverGroup groups[DRIVER_GROUPS];
    uint64_t place[FUZZ_SLOTS];
    unsigned log2_cmdq;
    uint32_t cmd_prod;
    unsigned log2_eventq;
    unsigned log2_priq;
    bool two_level;
    uint8_t pgtt[FUZZ_SLOTS][DRIVER_PASIDS_MAX];
    uint32_t iq_bytes;
    uint32_t iq_tail;
    uint32_t prq_bytes;
};

extern const DriverOps driver_smmuv3;
extern const DriverOps driver_vtd;

/* A number of the input's. */
unsigned driver_below(Driver *d, unsigned n);
FuzzSlot *driver_slot(Driver *d);

/* Plug or unplug, whatever the slot is not. */
void driver_plug(Driver *d, FuzzSlot *slot, bool sva);
void driver_unplug(Driver *d, FuzzSlot *slot);

/* Have @slot ask, if it has an index free. Return: the group, or NULL. */
DriverGroup *driver_request(Driver *d, FuzzSlot *slot, uint32_t pasid,
                            unsigned count);

/* The guest has read an entry: it is the next one of who asked. */
void driver_entry(Driver *d, const DriverEntry *entry);

/* A group that the guest has seen and not answered, by the input; or NULL. */
DriverGroup *driver_shown(Driver *d);

/* Assert that the group came back with @code, and forget it. */
void driver_answered(Driver *d, DriverGroup *group, uint32_t code);

/* The same of all groups of @slot, or of one PASID, that there are. */
void driver_ended(Driver *d, const FuzzSlot *slot, uint32_t pasid,
                  uint32_t code);
#define DRIVER_ALL_PASIDS (UINT32_MAX - 1)

/* Assert that no group is under way that the guest has not seen. */
void driver_all_shown(Driver *d);

/* Take the device out of all its groups' way: answer them all, Success. */
void driver_answer_all(Driver *d);

#endif
