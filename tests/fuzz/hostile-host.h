/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A host with one queue whose every answer the fuzzer makes up: bytes, lengths
 * that fit and that do not, errors of any kind, in any order. The queue's fd is
 * the reading end of a pipe, ready while told so.
 *
 * Checked here: the fd is closed once, nothing is called on it afterwards, and
 * the object is destroyed after that, once.
 *
 * Threads: one.
 */
#ifndef TESTS_FUZZ_HOSTILE_HOST_H
#define TESTS_FUZZ_HOSTILE_HOST_H

#include "fuzz-input.h"
#include "hw/iommu/queue-reader.h"

typedef struct HostileHost HostileHost;

/**
 * struct HostileHostOps - the target
 * @fill: make up to @count bytes that are well-formed. Return: how many.
 * @gave: a read gave these bytes, and the reader has not seen them yet
 * @refused: a read fails with @err; NULL: no matter
 * @wrote: the reader wants to write these. Return: bytes taken, or -1 and errno
 *         set; NULL: never called
 */
typedef struct HostileHostOps {
    size_t (*fill)(void *opaque, uint8_t *buf, size_t count);
    void (*gave)(void *opaque, const uint8_t *buf, size_t len);
    void (*refused)(void *opaque, int err);
    ssize_t (*wrote)(void *opaque, const uint8_t *buf, size_t len);
} HostileHostOps;

struct HostileHost {
    HostIommu parent;
    const HostileHostOps *ops;
    void *opaque;
    FuzzInput *in;
    int fd;
    int other_end;              /* -1: hung up */
    bool ready;
    int last_errno;             /* of every read once the input is used up; 0:
                                   they give nothing */
    size_t asked;               /* bytes, by the last read */
    unsigned reads;
    unsigned closed;
    unsigned destroyed;
    unsigned destroy_failed;    /* of these */
    unsigned destroy_told;      /* of these, by the target */
};

/* @in, @ops, @opaque: borrowed for its life. Return: its queue. */
HostQueue hostile_host_init(HostileHost *host, FuzzInput *in,
                            const HostileHostOps *ops, void *opaque);

/*
 * Context: the queue is closed and destroyed, and it was told if that failed
 * (asserted).
 */
void hostile_host_finish(HostileHost *host);

/* Is there something to be read, as far as polling knows? */
void hostile_host_set_ready(HostileHost *host, bool ready);

/* The other end goes away: EPOLLHUP. */
void hostile_host_hang_up(HostileHost *host);

/**
 * hostile_host_takes_message() - does @message say that the object is left?
 *
 * It says so once, and only if it is true (asserted). Any other message is
 * the target's.
 */
bool hostile_host_takes_message(HostileHost *host, const char *message);

/* An errno that a read or a write may fail with, chosen by the input. */
int hostile_host_errno(HostileHost *host);

/* The same, or 0, for what it goes on saying at the end. */
int hostile_host_last_errno(HostileHost *host);

#endif
