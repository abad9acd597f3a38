/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replay: a host whose queues deliver what a recording has (host/record.h),
 * byte for byte, with the recorded sequence numbers, losses and cookies. All
 * other objects are those of an emulated host.
 *
 * Threads: as host-iommu.h says; the calls here on any, one at a time.
 * Locks:   its own, leaves.
 */
#ifndef HOST_REPLAY_H
#define HOST_REPLAY_H

#include "host/emul.h"

/**
 * enum ReplaySpeed - when a record is due
 * @REPLAY_RECORDED: as long after the start as it came after the first one
 * @REPLAY_MAX: at the start
 */
typedef enum ReplaySpeed {
    REPLAY_RECORDED,
    REPLAY_MAX,
} ReplaySpeed;

/**
 * replay_host_new() - a host that plays @path
 * @name: of the host in the recording; NULL if it has only one
 *
 * Return: the host, not started, or NULL and @error set: which hosts there are,
 * or what is wrong with the file.
 */
HostIommu *replay_host_new(const char *path, const char *name,
                           ReplaySpeed speed, GError **error);

/*
 * Why the recording is not all that was delivered, as a message; NULL if it is.
 * What it has is played.
 */
const char *replay_host_get_shortened(HostIommu *host);

/* What kind of host was recorded, as record_host_new() was told. */
const char *replay_host_get_kind(HostIommu *host);

/* When the recording ended, by CLOCK_MONOTONIC of the recorded machine. */
uint64_t replay_host_get_end_ns(HostIommu *host);

/**
 * replay_host_check_devices() - are these the ones of the recording?
 * @virt_ids: StreamIDs or requester IDs of the @count devices to be opened
 *
 * Return: false and @error set, which says what the recording has.
 */
bool replay_host_check_devices(HostIommu *host, const uint32_t *virt_ids,
                               size_t count, GError **error);

/* Of replay_device_open(): the next one, whatever its ID. */
#define REPLAY_ANY_ID UINT64_MAX

/**
 * replay_device_open() - emul_device_open_behind(), of a recorded device
 * @virt_id: of several that had it, in the order of their binds; one that the
 *           recording does not know (any more) works, and nothing comes of it
 */
int replay_device_open(HostIommu *host, uint64_t virt_id, EmulIommu iommu);

/**
 * replay_host_start() - begin; until then all queues are empty
 */
void replay_host_start(HostIommu *host);

/* Deliver nothing more. */
void replay_host_stop(HostIommu *host);

/* Whether all queues that are there have delivered all that they will. */
bool replay_host_is_done(HostIommu *host);

/**
 * struct ReplayStats - what was delivered so far
 * @generated: sequence numbers of events delivered, and of those lost between
 *             and after them
 * @pages: page requests
 * @raised: groups of them
 * @answered: groups answered by a write()
 * @failed: of these, how many were not answered Success
 * @ended: groups that ended with their device's attachment
 * @open: raised = answered + ended + open
 * @left: reads of the recording of which something was not delivered
 */
typedef struct ReplayStats {
    uint64_t generated;
    uint64_t pages;
    uint64_t raised;
    uint64_t answered;
    uint64_t failed;
    uint64_t ended;
    uint64_t open;
    uint64_t left;
} ReplayStats;

ReplayStats replay_host_get_stats(HostIommu *host);

/**
 * replay_device_get_stats() - the part of a bound device
 * @dev_id: its object ID
 *
 * Events count for the device that their vIOMMU was allocated for; @left is 0.
 */
ReplayStats replay_device_get_stats(HostIommu *host, uint32_t dev_id);

/* The emulated host with its objects, for its statistics. */
HostIommu *replay_host_get_emul(HostIommu *host);

#endif
