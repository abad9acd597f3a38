/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leaves out what happens inside a host call, which is the kernel's side, from
 * what call-count.h counts.
 *
 * Threads: quiet_host_begin() before the host is used; its calls on any.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_QUIET_HOST_H
#define TESTS_SUPPORT_QUIET_HOST_H

#include "host/host-iommu.h"

/* From now on @host's calls do not count. One kind of host at a time. */
void quiet_host_begin(HostIommu *host);

#endif
