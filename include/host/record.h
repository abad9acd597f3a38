/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recording: a Recorder writes to a file what the queues of hosts delivered,
 * and record_host_new() makes a HostIommu of another one that tells it. The
 * file: docs/recording.md. Playing it: host/replay.h.
 *
 * Threads: the recorder's calls on one thread; the host's on any, as
 *          host-iommu.h says. A thread of the recorder's writes the file.
 * Locks:   Recorder::lock and RecordHost::lock, leaves. A read() of a queue
 *          holds the first while its bytes are copied; it never waits for the
 *          file.
 */
#ifndef HOST_RECORD_H
#define HOST_RECORD_H

#include "host/host-iommu.h"

#include <stdbool.h>

typedef struct Recorder Recorder;

/* What fits between the queues and the file. */
#define RECORDER_BUFFER_BYTES (UINT32_C(64) << 20)

/**
 * recorder_new() - begin to record for @path, which may be new
 * @buffer_bytes: a power of two, RECORDER_BUFFER_BYTES but for tests
 *
 * What is in the file stays until recorder_start(); until then the buffer has
 * to do.
 *
 * Return: the recorder, or NULL and @error set, naming @path. Of a FIFO that is
 * an error if nobody reads it.
 */
Recorder *recorder_new(const char *path, size_t buffer_bytes, GError **error);

/**
 * recorder_start() - overwrite the file
 *
 * Return: false and @error set, naming the path: it is not started.
 */
bool recorder_start(Recorder *recorder, GError **error);

/**
 * recorder_close() - write what is left, and free it
 *
 * If it was not started, nothing is written.
 *
 * If a file is too slow for what is to be recorded, the buffer fills; then the
 * recording ends there, and says so. A file that cannot be written to ends it
 * too. Either is reported when it happens.
 *
 * Context: After every host of it was freed. NULL is ignored.
 * Return: false if the recording is not complete, and @error set to the reason.
 */
bool recorder_close(Recorder *recorder, GError **error);

/**
 * record_host_new() - a host that does what @inner does, and is recorded
 * @inner: given on success: freed with the new one
 * @name: of the host, for the replay
 * @kind: what it is, for the reader: "iommufd", "iommufd-emulated"
 *
 * It has the HardwareOps of @inner. Other functions, such as those of
 * host/emul.h, go on to take @inner, which is borrowed until the new host is
 * freed.
 *
 * Context: Before the first queue or device of @inner.
 */
HostIommu *record_host_new(HostIommu *inner, Recorder *recorder,
                           const char *name, const char *kind);

/**
 * record_host_identify() - what the guest calls a device
 * @host: of record_host_new()
 * @dev_id: of a bound device
 * @virt_id: StreamID or requester ID
 * @name: for the reader
 *
 * A replay finds the device by it. The host itself hears of it only where
 * there is a vDEVICE; without this and without one the order counts.
 */
void record_host_identify(HostIommu *host, uint32_t dev_id, uint64_t virt_id,
                          const char *name);

#endif
