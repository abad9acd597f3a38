/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CookieWatch: looks at what is read from and written to the fault queues of a
 * host, and at what ends their groups there: a cookie that is written belongs
 * to a group that was read, was not answered before, and was not ended by an
 * attach, a detach, or the end of the queue. The kernel gives a number out again
 * at once, so a late answer would be a stranger's; it can tell nobody.
 *
 * Threads: any, as the host's.
 * Locks:   one for all hosts, held over the watch's own books only.
 */
#ifndef TESTS_STRESS_COOKIE_WATCH_H
#define TESTS_STRESS_COOKIE_WATCH_H

#include "host/host-iommu.h"

/**
 * cookie_watch_start() - from now on until the host is freed
 *
 * What is wrong ends the test, with the cookie in the message.
 *
 * Context: before the host's first queue or device.
 */
void cookie_watch_start(HostIommu *host);

/* Cookies that were read and written, of all hosts so far. */
uint64_t cookie_watch_written(void);

#endif
