/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls of the cases: a structure of the right size each.
 */
#include "conformance.h"

#include <errno.h>

static void out(uint32_t *where, int ret, uint32_t value)
{
    if (where && ret >= 0) {
        *where = value;
    }
}

int host_ioctl(Conformance *c, unsigned long request, void *arg)
{
    return c->host->ops->ioctl(c->host, c->host->fd, request, arg);
}

ssize_t host_read(Conformance *c, int fd, void *buf, size_t count)
{
    return c->host->ops->read(c->host, fd, buf, count);
}

ssize_t host_write(Conformance *c, int fd, const void *buf, size_t count)
{
    return c->host->ops->write(c->host, fd, buf, count);
}

int close_fd(Conformance *c, int fd)
{
    return c->host->ops->close(c->host, fd);
}

int destroy(Conformance *c, uint32_t id)
{
    struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

    return host_ioctl(c, IOMMU_DESTROY, &cmd);
}

int ioas_alloc(Conformance *c, uint32_t *id)
{
    struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
    int ret = host_ioctl(c, IOMMU_IOAS_ALLOC, &cmd);

    out(id, ret, cmd.out_ioas_id);
    return ret;
}

int nest_parent_alloc(Conformance *c, uint32_t dev_id, uint32_t ioas_id,
                      uint32_t *id)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
        .dev_id = dev_id,
        .pt_id = ioas_id,
    };
    int ret = host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd);

    out(id, ret, cmd.out_hwpt_id);
    return ret;
}

int nested_alloc(Conformance *c, uint32_t dev_id, uint32_t pt_id,
                 uint32_t fault_id, uint32_t *id)
{
    struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .flags = fault_id ? IOMMU_HWPT_FAULT_ID_VALID : 0,
        .dev_id = dev_id,
        .pt_id = pt_id,
        .data_type = IOMMU_HWPT_DATA_SELFTEST,
        .data_len = sizeof(data),
        .data_uptr = (uintptr_t)&data,
        .fault_id = fault_id,
    };
    int ret = host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd);

    out(id, ret, cmd.out_hwpt_id);
    return ret;
}

int viommu_alloc(Conformance *c, uint32_t dev_id, uint32_t hwpt_id,
                 uint32_t *id)
{
    struct iommu_viommu_alloc cmd = {
        .size = sizeof(cmd),
        .type = IOMMU_VIOMMU_TYPE_SELFTEST,
        .dev_id = dev_id,
        .hwpt_id = hwpt_id,
    };
    int ret = host_ioctl(c, IOMMU_VIOMMU_ALLOC, &cmd);

    out(id, ret, cmd.out_viommu_id);
    return ret;
}

int vdevice_alloc(Conformance *c, uint32_t viommu_id, uint32_t dev_id,
                  uint64_t virt_id, uint32_t *id)
{
    struct iommu_vdevice_alloc cmd = {
        .size = sizeof(cmd),
        .viommu_id = viommu_id,
        .dev_id = dev_id,
        .virt_id = virt_id,
    };
    int ret = host_ioctl(c, IOMMU_VDEVICE_ALLOC, &cmd);

    out(id, ret, cmd.out_vdevice_id);
    return ret;
}

int veventq_alloc(Conformance *c, uint32_t viommu_id, uint32_t depth,
                  uint32_t *id, int *fd)
{
    struct iommu_veventq_alloc cmd = {
        .size = sizeof(cmd),
        .viommu_id = viommu_id,
        .type = IOMMU_VEVENTQ_TYPE_SELFTEST,
        .veventq_depth = depth,
    };
    int ret = host_ioctl(c, IOMMU_VEVENTQ_ALLOC, &cmd);

    out(id, ret, cmd.out_veventq_id);
    out((uint32_t *)fd, ret, cmd.out_veventq_fd);
    return ret;
}

int fault_alloc(Conformance *c, uint32_t *id, int *fd)
{
    struct iommu_fault_alloc cmd = { .size = sizeof(cmd) };
    int ret = host_ioctl(c, IOMMU_FAULT_QUEUE_ALLOC, &cmd);

    out(id, ret, cmd.out_fault_id);
    out((uint32_t *)fd, ret, cmd.out_fault_fd);
    return ret;
}

int mock_device(Conformance *c, uint32_t pt_id, uint32_t flags,
                uint32_t *stdev_id, uint32_t *hwpt_id, uint32_t *dev_id)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
        .id = pt_id,
        .mock_domain_flags.dev_flags = flags,
    };
    int ret = host_ioctl(c, IOMMU_TEST_CMD, &cmd);

    out(stdev_id, ret, cmd.mock_domain_flags.out_stdev_id);
    out(hwpt_id, ret, cmd.mock_domain_flags.out_hwpt_id);
    out(dev_id, ret, cmd.mock_domain_flags.out_idev_id);
    return ret;
}

int mock_replace(Conformance *c, uint32_t stdev_id, uint32_t pt_id)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
        .id = stdev_id,
        .mock_domain_replace.pt_id = pt_id,
    };

    return host_ioctl(c, IOMMU_TEST_CMD, &cmd);
}

int mock_pasid_attach(Conformance *c, uint32_t stdev_id, uint32_t pasid,
                      uint32_t pt_id)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_PASID_ATTACH,
        .id = stdev_id,
        .pasid_attach = { .pasid = pasid, .pt_id = pt_id },
    };

    return host_ioctl(c, IOMMU_TEST_CMD, &cmd);
}

int mock_pasid_detach(Conformance *c, uint32_t stdev_id, uint32_t pasid)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_PASID_DETACH,
        .id = stdev_id,
        .pasid_detach.pasid = pasid,
    };

    return host_ioctl(c, IOMMU_TEST_CMD, &cmd);
}

int trigger_vevent(Conformance *c, uint32_t dev_id)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_TRIGGER_VEVENT,
        .trigger_vevent.dev_id = dev_id,
    };

    return host_ioctl(c, IOMMU_TEST_CMD, &cmd);
}

int trigger_iopf(Conformance *c, uint32_t dev_id, uint32_t pasid,
                 uint32_t grpid, uint64_t addr)
{
    struct iommu_test_cmd cmd = {
        .size = sizeof(cmd),
        .op = IOMMU_TEST_OP_TRIGGER_IOPF,
        .trigger_iopf = {
            .dev_id = dev_id,
            .pasid = pasid,
            .grpid = grpid,
            .perm = IOMMU_PGFAULT_PERM_READ | IOMMU_PGFAULT_PERM_WRITE,
            .addr = addr,
        },
    };

    return host_ioctl(c, IOMMU_TEST_CMD, &cmd);
}
