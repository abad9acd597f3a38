/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EventSource: a host with one vEVENTQ, or more, whose events the main thread
 * makes; the same for all competitors. It can hold readers back while it is
 * filled, and times how long they take to empty it, on their own clock.
 *
 * The kinds: the emulated host, whose read() is a function; the same whose
 * vEVENTQ was replaced by a pipe, so that a system call is paid for; and the
 * kernel's mock driver.
 *
 * Threads: the host's calls on any. The rest on the main thread.
 * Locks:   the host's. A read spins while readers are held.
 */
#ifndef BENCH_EVENT_SOURCE_H
#define BENCH_EVENT_SOURCE_H

#include "host/hardware.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum SourceKind {
    SOURCE_EMULATED,
    SOURCE_PIPE,
    SOURCE_KERNEL,
} SourceKind;

typedef struct EventSource EventSource;

/* A device that has events: the host's name of it, and the guest's. */
typedef struct SourceDevice {
    uint32_t dev_id;
    uint32_t virt_id;
} SourceDevice;

/* "emulated", "pipe", "kernel" */
const char *source_kind_name(SourceKind kind);

/* Return: NULL and @error set: there is no such host here. */
EventSource *event_source_new(SourceKind kind, GError **error);

/* Context: all of its host's objects are gone. */
void event_source_free(EventSource *source);

/* With HardwareOps. Borrowed. */
HostIommu *event_source_host(EventSource *source);

/**
 * event_source_report() - an event of @device
 * @tag: comes out in the record's third word (InputAddr)
 *
 * Return: false if it was lost.
 */
bool event_source_report(EventSource *source, const SourceDevice *device,
                         uint64_t tag);

/**
 * event_source_fill() - @count events of @devices in turn, tags from @tag on
 *
 * Return: how many were queued; the rest was lost.
 */
uint64_t event_source_fill(EventSource *source, const SourceDevice *devices,
                           size_t num_devices, uint64_t count, uint64_t tag);

/* From now on reads spin, until event_source_release(). */
void event_source_hold(EventSource *source);

/**
 * event_source_is_waited_for() - whether a reader is held right now
 *
 * One that was in a read when readers began to be held is not, and may sleep.
 */
bool event_source_is_waited_for(EventSource *source);

/**
 * event_source_on_reader() - have @func called by a reader that is held, so
 * that what it touches is in that CPU's caches; wait until it has returned
 *
 * Context: event_source_is_waited_for().
 */
void event_source_on_reader(EventSource *source, void (*func)(void *opaque),
                            void *opaque);

/**
 * event_source_release() - let readers go, and time them
 * @records: from the start of the first read to the start of the read after
 *           which so many have been read; there are more than that
 */
void event_source_release(EventSource *source, uint64_t records);

/* Return: ns; or -1: it is not over yet. */
int64_t event_source_took(EventSource *source);

/* Both, spinning. Return: ns; or -1: it took more than a minute. */
int64_t event_source_time(EventSource *source, uint64_t records);

/**
 * event_source_set_handicap() - for the test of the guard
 * @percent: while readers are timed, each of their turns, from the end of one
 *           read to the end of the next, takes so much longer; 100 halves speed
 *
 * Context: no reader is timed.
 */
void event_source_set_handicap(EventSource *source, unsigned percent);

#endif
