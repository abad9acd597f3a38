/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recording: a recorded file, read and checked as a whole before any of it is
 * used. Nothing in it is believed: lengths, numbers and order are checked
 * besides the checksums.
 *
 * Threads: any, once open: constant.
 */
#ifndef HOST_RECORDING_H
#define HOST_RECORDING_H

#include "recording-format.h"

#include <glib.h>
#include <stdbool.h>

/* @name, @kind: borrowed from the file. */
typedef struct RecordingHost {
    const char *name;
    const char *kind;
} RecordingHost;

/**
 * struct RecordingDevice - a device from its bind on
 * @identified: @virt_id is known
 * @virt_id: what the guest calls it
 */
typedef struct RecordingDevice {
    uint32_t host;
    uint32_t dev_id;
    bool identified;
    uint64_t virt_id;
} RecordingDevice;

/**
 * struct RecordingRead - what one read() gave
 * @devices: bound so far: a dev_id is that of the latest of them that has it
 */
typedef struct RecordingRead {
    uint64_t time_ns;
    const uint8_t *bytes;
    uint32_t len;
    uint32_t devices;
} RecordingRead;

/**
 * struct RecordingQueue - a queue's life
 * @device: RECORD_NO_DEVICE if it is not known
 * @users: numbers of devices, of a fault queue
 * @reads: RecordingRead items
 */
typedef struct RecordingQueue {
    uint32_t host;
    RecordQueueKind kind;
    uint32_t device;
    uint32_t type;
    uint32_t record_size;
    GArray *users;
    GArray *reads;
} RecordingQueue;

/**
 * struct Recording - all of it
 * @hosts, @devices: RecordingHost and RecordingDevice items
 * @queues: RecordingQueue pointers
 * @monotonic_ns: the recording machine's clock at time 0
 * @first_read_ns, @last_ns: times of the first read and the last record
 * @shortened: why this is not all that was delivered; NULL if it is
 */
typedef struct Recording {
    GMappedFile *file;
    GArray *hosts;
    GArray *devices;
    GPtrArray *queues;
    uint64_t monotonic_ns;
    uint64_t first_read_ns;
    uint64_t last_ns;
    char *shortened;
} Recording;

/**
 * recording_open() - read @path
 *
 * A file that ends too early is read up to there, one with a gap up to the
 * gap; @shortened then says so. Any other damage is an error.
 *
 * Return: the recording, or NULL and @error set, naming @path, and what is
 * wrong where.
 */
Recording *recording_open(const char *path, GError **error);

/* NULL is ignored. */
void recording_free(Recording *recording);

#endif
