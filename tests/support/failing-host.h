/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FailingHost: a HostIommu over another one, one call of which fails on demand:
 * the Nth call, by an errno and without being made; the Nth read or write, by
 * being too short; or, on a real kernel, whichever call makes the Nth
 * allocation of all calls, by its fault injection (fail-nth, CONFIG_FAILSLAB).
 * All such hosts count together. It also counts the calls of one request, and
 * aborts if an object is left when it is freed.
 *
 * Besides hosts, functions of the C library and of GLib can fail
 * (failing-functions.c).
 *
 * Threads: calls on any; armed, disarmed and asked on the test's.
 * Locks:   while allocations are counted a lock of its own, so that calls come
 *          one after the other; none else.
 */
#ifndef TESTS_SUPPORT_FAILING_HOST_H
#define TESTS_SUPPORT_FAILING_HOST_H

#include "host/host-iommu.h"

#include <stdbool.h>

/**
 * failing_host_new() - a host that fails when it is told to
 * @inner: given
 * @request: the ioctl to count
 */
HostIommu *failing_host_new(HostIommu *inner, unsigned long request);

/**
 * failing_host_lay_over() - have calls of @host fail where they are made
 * @host: stays what it is, hardware and all; its ops become failing ones
 *
 * For a host that makes other calls of a FailingHost for those that are made of
 * it (mock devices): failing_host_fail_call_over() fails the latter.
 */
void failing_host_lay_over(HostIommu *host);

/* The queue that was allocated last of such a host. Return: its fd. */
int failing_host_last_queue(void);

/**
 * failing_host_end_queue() - from now on, no read of it gives anything
 * @fd: of such a host; -1: that was all
 * @err: 0: they give nothing, and no error
 */
void failing_host_end_queue(int fd, int err);

typedef HostIommu *FailingHostOpenFunc(const char *path, GError **error);

/**
 * failing_host_open() - one over what @func gives, the opening of which may
 * meet the kernel's Nth allocation too
 *
 * Return: NULL and @error set if that was NULL.
 */
HostIommu *failing_host_open(FailingHostOpenFunc *func, const char *path,
                             GError **error);

/* How many of them succeeded. */
uint64_t failing_host_counted(HostIommu *host);

/**
 * failing_host_fail_call() - from now on, the @nth call fails with @err
 *
 * IOMMU_DESTROY, VFIO's detach and close are not counted: no kernel refuses
 * them for want of something.
 */
void failing_host_fail_call(uint64_t nth, int err);

/* The same, of hosts that failing_host_lay_over() was called for. */
void failing_host_fail_call_over(uint64_t nth, int err);

/* What a read or write of a queue gives in place of what it was asked for. */
typedef enum FailingShort {
    FAILING_SHORT_NONE,         /* nothing, and no error */
    FAILING_SHORT_CUT,          /* what fits into less than the buffer */
} FailingShort;

/* From now on, the @nth read or write is short, of such hosts. */
void failing_host_fail_short(uint64_t nth, FailingShort how);

/* From now on, the @nth call of a wrapped function fails, each in its way. */
void failing_host_fail_function(uint64_t nth);

/* From now on, every second sleep of any thread is interrupted. */
void failing_host_interrupt_sleeps(void);

/**
 * failing_host_fail_allocation() - from now on, the kernel's @nth fails
 *
 * Context: failing_host_can_fail_allocations().
 */
void failing_host_fail_allocation(uint64_t nth);

/* No call fails any more. Return: whether one has been made to. */
bool failing_host_stop(void);

/* Between one of the above and failing_host_stop(). */
bool failing_host_is_armed(void);

/**
 * failing_host_can_fail_allocations() - set the kernel's fault injection up
 *
 * Return: false if this is no kernel for it, or the process may not.
 */
bool failing_host_can_fail_allocations(void);

/* ---- For failing-functions.c ---- */

/**
 * failing_host_is_the_one() - the function that is called from @site: does it
 * fail?
 */
bool failing_host_is_the_one(const void *site);

/* The same for a function that sleeps. */
bool failing_host_is_interrupted(const void *site);

/**
 * failing_host_write_sites() - where a call was made to fail
 * @path: to which a line is added for each: the place of the instruction behind
 *        the call in the program's file, hexadecimal
 */
void failing_host_write_sites(const char *path);

#endif
