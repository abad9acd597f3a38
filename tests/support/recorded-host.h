/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A recording in a file of its own, and devices of a host that is recorded or
 * replayed.
 *
 * Threads: the test's own.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_RECORDED_HOST_H
#define TESTS_SUPPORT_RECORDED_HOST_H

#include "host/record.h"
#include "host/replay.h"
#include "host/vfio-device.h"

/* A name for a file that is not there yet; recording_file_free() removes it. */
char *recording_file_new(void);
void recording_file_free(char *path);

/* What these ask for must work. */
HostIommu *test_emul_new(void);
Recorder *test_recorder_new(const char *path);
void test_recorder_close(Recorder *recorder);

/* Of a recording that is whole. */
HostIommu *test_replay_new(const char *path, ReplaySpeed speed);

/* Open and bind a device of @outer, which records or replays @virt_id. */
VfioDevice *recorded_device_open(HostIommu *inner, HostIommu *outer,
                                 uint32_t virt_id, EmulIommu iommu);
VfioDevice *replayed_device_open(HostIommu *host, uint32_t virt_id,
                                 EmulIommu iommu);

/**
 * struct RecordedRig - a device, its vIOMMU and their queues, without a model
 * @inner: the emulated host, for emul_report_event() and emul_request_page()
 * @host: what is recorded, or replayed
 */
typedef struct RecordedRig {
    HostIommu *inner;
    HostIommu *host;
    VfioDevice *device;
    uint32_t ioas_id, parent_id, viommu_id, vdevice_id, hwpt_id;
    uint32_t queue_id;
    int queue_fd;
} RecordedRig;

/* An SMMUv3's device with sid @virt_id, its vEVENTQ of @depth. */
void recorded_rig_events(RecordedRig *rig, uint32_t virt_id, uint32_t depth);

/* A VT-d's, attached with PASID 1 to a HWPT with a fault queue. */
void recorded_rig_pages(RecordedRig *rig, uint32_t virt_id);

/* All of it; not the hosts. */
void recorded_rig_down(RecordedRig *rig);

#endif
