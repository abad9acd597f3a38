/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's mock IOMMU driver, dressed: a HostIommu over another one, whose
 * devices are made by the test ioctl (host/mock-abi.h) and look as if they were
 * behind an Arm SMMUv3 or an Intel VT-d unit. So what is above runs on real
 * vEVENTQs and fault queues without hardware. The fds handed out are those of
 * the host below: readiness, EBUSY and loss are its own.
 *
 * Translated are the types of vIOMMU, vEVENTQ, nested HWPT, invalidation and
 * hardware info, what VFIO does to a device, and what is read from a vEVENTQ.
 * What has nothing to do with such a device passes through unchanged.
 *
 * Threads: as host/host-iommu.h. On one thread, the home thread of a vIOMMU,
 *          are a fault queue's reads and writes, and whatever ends groups of
 *          it: attach, detach, close of the device. So an answer that is
 *          written never meets a detach that ends its group. Events and page
 *          requests come from any thread: a device's lock makes each of them
 *          come before or after an attach or detach of it, so that a request
 *          is either refused or answered once; the lock of a vIOMMU's events
 *          does so for its queue's life and reads.
 * Locks:   LOCK_RANK_MOCK_DEVICE, LOCK_RANK_MOCK_EVENTS, each held across one
 *          ioctl of the host below, as the kernel holds its own; and a leaf.
 */
#ifndef HOST_MOCK_H
#define HOST_MOCK_H

#include "host/hardware.h"

/**
 * mock_host_new() - dress the mock driver of @inner
 * @inner: given on success; its HardwareOps, if any, are for other devices
 *
 * Devices are opened by HardwareOps.device_open().
 *
 * Return: the host, or NULL and @error set: its iommufd has no test ioctl.
 */
HostIommu *mock_host_new(HostIommu *inner, GError **error);

#endif
