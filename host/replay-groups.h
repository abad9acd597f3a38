/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The groups of one recorded fault queue, and which of them are open. All that
 * they need is made before the first is due: afterwards nothing is allocated.
 *
 * Threads, Locks: those of the queue that it is part of.
 */
#ifndef HOST_REPLAY_GROUPS_H
#define HOST_REPLAY_GROUPS_H

#include "recording-format.h"

#include <glib.h>
#include <stdbool.h>

#define REPLAY_NO_PASID UINT32_MAX
#define REPLAY_ALL_PASIDS (UINT32_MAX - 1)

/* Of an item that is no group. */
#define REPLAY_NO_SLOT UINT32_MAX

/* An item of the queue: which places it takes while it is open. */
typedef struct ReplayGroup {
    uint32_t cookie_slot;       /* or REPLAY_NO_SLOT */
    uint32_t key_slot;
    uint32_t device;            /* its number; RECORD_NO_DEVICE */
} ReplayGroup;

typedef struct ReplayGroups {
    GArray *items;              /* ReplayGroup */
    GHashTable *by_cookie;      /* cookie to its slot, plus one */
    GArray *cookies;            /* by slot: the group that has it */
    GHashTable *by_key;         /* what a guest knows a group by to its slot */
    GArray *keys;               /* by slot: is such a group open? */
} ReplayGroups;

void replay_groups_init(ReplayGroups *groups);
void replay_groups_clear(ReplayGroups *groups);

/**
 * replay_groups_add() - the next item of the queue
 * @first: its first page, or NULL if it is no group
 * @device: the number of the device that it is from, or RECORD_NO_DEVICE
 */
void replay_groups_add(ReplayGroups *groups,
                       const struct iommu_hwpt_pgfault *first,
                       uint32_t device);

const ReplayGroup *replay_groups_get(const ReplayGroups *groups, size_t item);

/* An earlier one with its cookie, or one that looks like it, is open. */
bool replay_groups_is_held(const ReplayGroups *groups, size_t item);

/* Return: false if it is no group. */
bool replay_groups_open(ReplayGroups *groups, size_t item);

/**
 * replay_groups_answer() - the open group with @cookie ends
 * @device: set to the number of its device
 *
 * Return: false if there is none.
 */
bool replay_groups_answer(ReplayGroups *groups, uint32_t cookie,
                          uint32_t *device);

/* Those of a device, and of a PASID of it. Return: how many there were. */
unsigned replay_groups_end(ReplayGroups *groups, uint32_t device,
                           uint32_t pasid);

#endif
