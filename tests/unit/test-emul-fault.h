/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of fault queues share: a VT-d device on a nested HWPT with a
 * fault queue, and a count of the answers that the hardware gets.
 */
#ifndef TEST_EMUL_FAULT_H
#define TEST_EMUL_FAULT_H

#include "test-emul.h"

#include <stdatomic.h>

enum { FAULT_SIZE = 40, RESPONSE_SIZE = 8 };

#define SUCCESS IOMMUFD_PAGE_RESP_SUCCESS
#define INVALID IOMMUFD_PAGE_RESP_INVALID

typedef struct FaultMachine {
    HostIommu *host;
    int device_fd;
    uint32_t dev_id;
    uint32_t ioas_id;
    uint32_t parent_id;
    uint32_t fault_id;
    int fd;
    uint32_t nested_id;
    EmulPageAnswer answer;      /* the last one */
    unsigned answers;
} FaultMachine;

static inline int fault_alloc(HostIommu *host, uint32_t *id, int *fd)
{
    struct iommu_fault_alloc cmd = { .size = sizeof(cmd) };
    int ret = host_call(host, host->fd, IOMMU_FAULT_QUEUE_ALLOC, &cmd);

    *id = cmd.out_fault_id;
    *fd = (int)cmd.out_fault_fd;
    return ret;
}

/* A VT-d first-stage table; @fault_id 0: without a fault queue. */
static inline int vtd_alloc(HostIommu *host, uint32_t dev_id, uint32_t pt_id,
                            uint32_t fault_id, uint32_t *id)
{
    const struct iommu_hwpt_vtd_s1 s1 = { .addr_width = 48 };
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .flags = IOMMU_HWPT_ALLOC_PASID |
                 (fault_id ? IOMMU_HWPT_FAULT_ID_VALID : 0),
        .dev_id = dev_id,
        .pt_id = pt_id,
        .data_type = IOMMU_HWPT_DATA_VTD_S1,
        .data_len = sizeof(s1),
        .data_uptr = (uintptr_t)&s1,
        .fault_id = fault_id,
    };
    int ret = host_call(host, host->fd, IOMMU_HWPT_ALLOC, &cmd);

    *id = cmd.out_hwpt_id;
    return ret;
}

static inline int pasid_attach(HostIommu *host, int fd, uint32_t pasid,
                               uint32_t pt_id)
{
    struct vfio_device_attach_iommufd_pt cmd = {
        .argsz = sizeof(cmd), .flags = VFIO_DEVICE_ATTACH_PASID,
        .pt_id = pt_id, .pasid = pasid,
    };

    return host_call(host, fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);
}

static inline int pasid_detach(HostIommu *host, int fd, uint32_t pasid)
{
    struct vfio_device_detach_iommufd_pt cmd = {
        .argsz = sizeof(cmd), .flags = VFIO_DEVICE_DETACH_PASID,
        .pasid = pasid,
    };

    return host_call(host, fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

static inline ssize_t host_write(HostIommu *host, int fd, const void *buf,
                                 size_t count)
{
    ssize_t ret = host->ops->write(host, fd, buf, count);

    return ret < 0 ? -errno : ret;
}

static inline ssize_t fault_answer(FaultMachine *m, uint32_t cookie,
                                   uint32_t code)
{
    const struct iommu_hwpt_page_response response = { cookie, code };

    return host_write(m->host, m->fd, &response, sizeof(response));
}

/* One page of a group, of the device itself. */
static inline EmulReport fault_raise(FaultMachine *m, uint32_t grpid,
                                     bool last)
{
    const EmulPageRequest request = {
        .dev_id = m->dev_id, .grpid = grpid, .last = last, .tag = grpid,
        .perm = IOMMU_PGFAULT_PERM_READ, .addr = (uint64_t)grpid << 12,
    };

    return emul_request_page(m->host, &request);
}

static inline void fault_answered(const EmulPageAnswer *answer, void *opaque)
{
    FaultMachine *m = opaque;

    m->answer = *answer;
    m->answers++;
}

static inline void fault_attach(FaultMachine *m, uint32_t pt_id)
{
    g_assert_cmpint(device_attach(m->host, m->device_fd, &pt_id), ==, 0);
}

/* From the bind up to and with the attach. */
static inline void fault_machine_bind(FaultMachine *m)
{
    g_assert_cmpint(device_bind(m->host, m->device_fd, &m->dev_id), ==, 0);
    g_assert_cmpint(ioas_alloc(m->host, &m->ioas_id), ==, 0);
    g_assert_cmpint(hwpt_alloc(m->host, m->dev_id, m->ioas_id,
                               IOMMU_HWPT_ALLOC_NEST_PARENT |
                               IOMMU_HWPT_ALLOC_PASID, &m->parent_id), ==, 0);
    g_assert_cmpint(fault_alloc(m->host, &m->fault_id, &m->fd), ==, 0);
    g_assert_cmpint(vtd_alloc(m->host, m->dev_id, m->parent_id, m->fault_id,
                              &m->nested_id), ==, 0);
    fault_attach(m, m->nested_id);
}

static inline void fault_machine_init(FaultMachine *m)
{
    *m = (FaultMachine) { .host = emul_new(NULL) };
    emul_set_answer_func(m->host, fault_answered, m);
    m->device_fd = emul_device_open_behind(m->host, EMUL_IOMMU_VTD);
    fault_machine_bind(m);
}

/* All that fault_machine_bind() made goes, in order. */
static inline void fault_machine_unbind(FaultMachine *m)
{
    g_assert_cmpint(device_detach(m->host, m->device_fd), ==, 0);
    g_assert_cmpint(destroy(m->host, m->nested_id), ==, 0);
    if (m->fd >= 0) {
        g_assert_cmpint(m->host->ops->close(m->host, m->fd), ==, 0);
    }
    g_assert_cmpint(destroy(m->host, m->fault_id), ==, 0);
    g_assert_cmpint(destroy(m->host, m->parent_id), ==, 0);
    g_assert_cmpint(destroy(m->host, m->ioas_id), ==, 0);
    g_assert_cmpint(m->host->ops->close(m->host, m->device_fd), ==, 0);
}

/* And each group has been answered, nothing is left. */
static inline void fault_machine_cleanup(FaultMachine *m)
{
    EmulPageStats stats;

    fault_machine_unbind(m);
    stats = emul_get_page_stats(m->host);
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpuint(stats.raised, ==, stats.answered + stats.automatic);
    g_assert_cmpuint(emul_get_stats(m->host).objects, ==, 0);
    host_iommu_free(m->host);
}

#endif
