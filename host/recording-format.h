/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A recording as it is in the file: docs/recording.md. All numbers are
 * little-endian. A header, then records, each with its own length and
 * checksums, each at a multiple of 8 bytes; the last one is RECORD_END.
 *
 * Threads: any; declarations only.
 */
#ifndef HOST_RECORDING_FORMAT_H
#define HOST_RECORDING_FORMAT_H

#include "host/iommufd-abi.h"

#define RECORDING_MAGIC "VPUMPREC"
#define RECORDING_VERSION 1u

/* Longer payloads are not written, and not believed. */
#define RECORD_LENGTH_MAX (UINT32_C(1) << 26)

typedef struct RecordingHeader {
    uint8_t magic[8];           /* RECORDING_MAGIC, without the NUL */
    uint32_t version;
    uint32_t header_bytes;      /* where the first record is */
    uint64_t realtime_ns;       /* CLOCK_REALTIME at time 0 of the records */
    uint64_t monotonic_ns;      /* CLOCK_MONOTONIC at the same moment */
    uint8_t reserved[28];       /* 0 */
    uint32_t crc;               /* of all before, in every version */
} RecordingHeader;
ABI_SIZE(RecordingHeader, 64);
ABI_OFFSET(RecordingHeader, crc, 60);

/**
 * enum RecordType - what a record says, and what its payload is
 * @RECORD_HOST: a host is there; its name and kind, each with a NUL
 * @RECORD_DEVICE: a device was bound; RecordDevice
 * @RECORD_DEVICE_ID: what the guest calls it; RecordDeviceId, name and NUL
 * @RECORD_QUEUE: a queue was allocated; RecordQueue
 * @RECORD_USER: a fault queue was given to a HWPT; RecordUser
 * @RECORD_READ: what a read() of a queue gave
 * @RECORD_QUEUE_END: a queue was destroyed; no payload
 * @RECORD_GAP: from here on reads were not recorded; RecordGap
 * @RECORD_END: nothing comes after; no payload
 */
typedef enum RecordType {
    RECORD_HOST = 1,
    RECORD_DEVICE,
    RECORD_DEVICE_ID,
    RECORD_QUEUE,
    RECORD_USER,
    RECORD_READ,
    RECORD_QUEUE_END,
    RECORD_GAP,
    RECORD_END,
} RecordType;

/* @subject is the number of a host, device or queue, each from 0. */
typedef struct RecordHeader {
    uint32_t length;            /* of the payload, without its padding */
    uint16_t type;              /* enum RecordType */
    uint16_t reserved;          /* 0 */
    uint64_t time_ns;           /* since time 0; never less than before, and
                                 * never above INT64_MAX */
    uint32_t subject;
    uint32_t serial;            /* of the record in the file, from 0 */
    uint32_t payload_crc;       /* with the padding, which is 0 */
    uint32_t header_crc;        /* of all before */
} RecordHeader;
ABI_SIZE(RecordHeader, 32);
ABI_OFFSET(RecordHeader, time_ns, 8);
ABI_OFFSET(RecordHeader, header_crc, 28);

/* Subject: the device. */
typedef struct RecordDevice {
    uint32_t host;
    uint32_t dev_id;            /* as records of fault queues have it */
} RecordDevice;
ABI_SIZE(RecordDevice, 8);

/* Subject: the device. */
typedef struct RecordDeviceId {
    uint64_t virt_id;           /* StreamID or requester ID */
} RecordDeviceId;
ABI_SIZE(RecordDeviceId, 8);

typedef enum RecordQueueKind {
    RECORD_VEVENTQ = 1,
    RECORD_FAULT_QUEUE = 2,
} RecordQueueKind;

#define RECORD_NO_DEVICE UINT32_MAX

/* Subject: the queue. */
typedef struct RecordQueue {
    uint32_t host;
    uint32_t kind;              /* enum RecordQueueKind */
    uint32_t device;            /* that its vIOMMU was allocated for */
    uint32_t type;              /* of a vEVENTQ, as allocated */
    uint32_t depth;
    uint32_t record_size;       /* of an event, without its header */
} RecordQueue;
ABI_SIZE(RecordQueue, 24);

/* Subject: the queue. */
typedef struct RecordUser {
    uint32_t device;
    uint32_t reserved;          /* 0 */
} RecordUser;
ABI_SIZE(RecordUser, 8);

typedef struct RecordGap {
    uint64_t reads;             /* that are not in the file */
    uint64_t bytes;
} RecordGap;
ABI_SIZE(RecordGap, 16);

/* Bytes of a record in the file. */
static inline size_t record_bytes(uint32_t length)
{
    return sizeof(RecordHeader) + (((size_t)length + 7) & ~(size_t)7);
}

#endif
