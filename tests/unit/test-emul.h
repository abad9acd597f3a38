/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the emulated host share: one device behind one vIOMMU, and
 * calls that answer 0 or -errno.
 */
#ifndef TEST_EMUL_H
#define TEST_EMUL_H

#include "host/emul.h"
#include "host/iommufd-abi.h"
#include "host/vfio-abi.h"

#include <errno.h>
#include <poll.h>

#define VSID 0x4321u

/* V=1, Config=5 (stage 1): an attach needs a vDEVICE. */
#define STE_S1     UINT64_C(0x0b)
#define STE_BYPASS UINT64_C(0x09)
#define STE_ABORT  UINT64_C(0x01)

enum { EVENT_SIZE = 40 };

/* Everything that a vEVENTQ needs to get events, in the order it is made. */
typedef struct Machine {
    HostIommu *host;
    int device_fd;
    uint32_t dev_id;
    uint32_t ioas_id;
    uint32_t parent_id;
    uint32_t viommu_id;
    uint32_t vdevice_id;
    uint32_t nested_id;
    uint32_t queue_id;          /* 0 until machine_open_queue() */
    int fd;
} Machine;

static inline int host_call(HostIommu *host, int fd, unsigned long request,
                            void *arg)
{
    return host->ops->ioctl(host, fd, request, arg) < 0 ? -errno : 0;
}

static inline int destroy(HostIommu *host, uint32_t id)
{
    struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

    return host_call(host, host->fd, IOMMU_DESTROY, &cmd);
}

static inline int ioas_alloc(HostIommu *host, uint32_t *id)
{
    struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
    int ret = host_call(host, host->fd, IOMMU_IOAS_ALLOC, &cmd);

    *id = cmd.out_ioas_id;
    return ret;
}

static inline int hwpt_alloc(HostIommu *host, uint32_t dev_id, uint32_t pt_id,
                             uint32_t flags, uint32_t *id)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd), .flags = flags, .dev_id = dev_id, .pt_id = pt_id,
    };
    int ret = host_call(host, host->fd, IOMMU_HWPT_ALLOC, &cmd);

    *id = cmd.out_hwpt_id;
    return ret;
}

static inline int nested_alloc(HostIommu *host, uint32_t dev_id,
                               uint32_t viommu_id, uint64_t ste0,
                               uint64_t ste1, uint32_t *id)
{
    struct iommu_hwpt_arm_smmuv3 data = {
        .ste = { GUINT64_TO_LE(ste0), GUINT64_TO_LE(ste1) },
    };
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .dev_id = dev_id,
        .pt_id = viommu_id,
        .data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
        .data_len = sizeof(data),
        .data_uptr = (uintptr_t)&data,
    };
    int ret = host_call(host, host->fd, IOMMU_HWPT_ALLOC, &cmd);

    *id = cmd.out_hwpt_id;
    return ret;
}

static inline int viommu_alloc(HostIommu *host, uint32_t dev_id,
                               uint32_t hwpt_id, uint32_t *id)
{
    struct iommu_viommu_alloc cmd = {
        .size = sizeof(cmd), .type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
        .dev_id = dev_id, .hwpt_id = hwpt_id,
    };
    int ret = host_call(host, host->fd, IOMMU_VIOMMU_ALLOC, &cmd);

    *id = cmd.out_viommu_id;
    return ret;
}

static inline int vdevice_alloc(HostIommu *host, uint32_t viommu_id,
                                uint32_t dev_id, uint64_t virt_id,
                                uint32_t *id)
{
    struct iommu_vdevice_alloc cmd = {
        .size = sizeof(cmd), .viommu_id = viommu_id, .dev_id = dev_id,
        .virt_id = virt_id,
    };
    int ret = host_call(host, host->fd, IOMMU_VDEVICE_ALLOC, &cmd);

    *id = cmd.out_vdevice_id;
    return ret;
}

static inline int veventq_alloc(HostIommu *host, uint32_t viommu_id,
                                uint32_t type, uint32_t depth, uint32_t *id,
                                int *fd)
{
    struct iommu_veventq_alloc cmd = {
        .size = sizeof(cmd), .viommu_id = viommu_id, .type = type,
        .veventq_depth = depth,
    };
    int ret = host_call(host, host->fd, IOMMU_VEVENTQ_ALLOC, &cmd);

    *id = cmd.out_veventq_id;
    *fd = (int)cmd.out_veventq_fd;
    return ret;
}

static inline int device_bind(HostIommu *host, int fd, uint32_t *dev_id)
{
    struct vfio_device_bind_iommufd cmd = {
        .argsz = sizeof(cmd), .iommufd = host->fd,
    };
    int ret = host_call(host, fd, VFIO_DEVICE_BIND_IOMMUFD, &cmd);

    *dev_id = cmd.out_devid;
    return ret;
}

static inline int device_attach(HostIommu *host, int fd, uint32_t *pt_id)
{
    struct vfio_device_attach_iommufd_pt cmd = {
        .argsz = sizeof(cmd), .pt_id = *pt_id,
    };
    int ret = host_call(host, fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);

    *pt_id = cmd.pt_id;
    return ret;
}

static inline int device_detach(HostIommu *host, int fd)
{
    struct vfio_device_detach_iommufd_pt cmd = { .argsz = sizeof(cmd) };

    return host_call(host, fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

static inline ssize_t host_read(HostIommu *host, int fd, void *buf,
                                size_t count)
{
    ssize_t ret = host->ops->read(host, fd, buf, count);

    return ret < 0 ? -errno : ret;
}

/* What poll() says at once; 0 if nothing. */
static inline short poll_now(int fd)
{
    struct pollfd pfd = {
        .fd = fd, .events = POLLIN | POLLRDNORM | POLLOUT | POLLPRI,
    };

    return poll(&pfd, 1, 0) > 0 ? pfd.revents : 0;
}

/* An F_TRANSLATION of some other StreamID, numbered in word 2. */
static inline EmulReport report_one(Machine *m, uint64_t number)
{
    const uint64_t event[4] = { UINT64_C(0x9999) << 32 | 0x10, 0, number, 0 };

    return emul_report_event(m->host, m->dev_id, event);
}

static inline void machine_open_queue(Machine *m, uint32_t depth)
{
    int ret = veventq_alloc(m->host, m->viommu_id,
                            IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, depth, &m->queue_id,
                            &m->fd);

    g_assert_cmpint(ret, ==, 0);
}

static inline void machine_close_queue(Machine *m)
{
    g_assert_cmpint(m->host->ops->close(m->host, m->fd), ==, 0);
    g_assert_cmpint(destroy(m->host, m->queue_id), ==, 0);
    m->queue_id = 0;
}

/* From the bind up to and with the attach. */
static inline void machine_bind(Machine *m)
{
    uint32_t pt_id;

    g_assert_cmpint(device_bind(m->host, m->device_fd, &m->dev_id), ==, 0);
    g_assert_cmpint(ioas_alloc(m->host, &m->ioas_id), ==, 0);
    g_assert_cmpint(hwpt_alloc(m->host, m->dev_id, m->ioas_id,
                               IOMMU_HWPT_ALLOC_NEST_PARENT, &m->parent_id),
                    ==, 0);
    g_assert_cmpint(viommu_alloc(m->host, m->dev_id, m->parent_id,
                                 &m->viommu_id), ==, 0);
    g_assert_cmpint(vdevice_alloc(m->host, m->viommu_id, m->dev_id, VSID,
                                  &m->vdevice_id), ==, 0);
    g_assert_cmpint(nested_alloc(m->host, m->dev_id, m->viommu_id, STE_S1, 0,
                                 &m->nested_id), ==, 0);
    pt_id = m->nested_id;
    g_assert_cmpint(device_attach(m->host, m->device_fd, &pt_id), ==, 0);
}

/* Up to and with the attach; no queue. */
static inline void machine_init(Machine *m)
{
    *m = (Machine) { .host = emul_new(NULL) };
    g_assert_nonnull(m->host);
    m->device_fd = emul_device_open(m->host);
    machine_bind(m);
}

/* All that machine_bind() and machine_open_queue() made goes, in order. */
static inline void machine_unbind(Machine *m)
{
    if (m->queue_id) {
        machine_close_queue(m);
    }
    g_assert_cmpint(device_detach(m->host, m->device_fd), ==, 0);
    g_assert_cmpint(destroy(m->host, m->nested_id), ==, 0);
    g_assert_cmpint(destroy(m->host, m->vdevice_id), ==, 0);
    g_assert_cmpint(destroy(m->host, m->viommu_id), ==, 0);
    g_assert_cmpint(destroy(m->host, m->parent_id), ==, 0);
    g_assert_cmpint(destroy(m->host, m->ioas_id), ==, 0);
    g_assert_cmpint(m->host->ops->close(m->host, m->device_fd), ==, 0);
}

/* And nothing is left. */
static inline void machine_cleanup(Machine *m)
{
    machine_unbind(m);
    g_assert_cmpuint(emul_get_stats(m->host).objects, ==, 0);
    host_iommu_free(m->host);
}

#endif
