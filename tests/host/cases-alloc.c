/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocation: sizes of structures, flags, reserved fields and types.
 */
#include "conformance.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * What a valid command looks like, and how to undo what it did. Offsets are in
 * the structure, 0 where there is no such field.
 */
typedef struct Request {
    unsigned long number;
    size_t size;
    size_t min_size;            /* to the end of the last mandatory field */
    size_t out_id;
    size_t out_fd;
} Request;

enum { ROOM = 256 };            /* for a structure and a tail */

static uint32_t field(const char *cmd, size_t offset)
{
    uint32_t value;

    memcpy(&value, cmd + offset, sizeof(value));
    return value;
}

/* @cmd as @size bytes, then @junk in the last of them. */
static int try_size(Conformance *c, const Request *request, const void *cmd,
                    uint32_t size, char junk)
{
    char buf[ROOM] = { 0 };
    int ret;

    memcpy(buf, cmd, request->size);
    memcpy(buf, &size, sizeof(size));
    if (junk) {
        buf[size - 1] = junk;
    }
    ret = host_ioctl(c, request->number, buf);
    if (ret == 0 && request->out_fd) {
        need(c, "close", close_fd(c, (int)field(buf, request->out_fd)));
    }
    if (ret == 0 && request->out_id) {
        need(c, "undo", destroy(c, field(buf, request->out_id)));
    }
    return ret;
}

static void check_sizes(Conformance *c, const Request *request,
                        const void *cmd)
{
    uint32_t size = request->size;
    uint32_t min_size = request->min_size;

    check_errno(c, "no size", try_size(c, request, cmd, 0, 0), EINVAL);
    check_errno(c, "too short", try_size(c, request, cmd, min_size - 1, 0),
                EINVAL);
    check_errno(c, "shortest", try_size(c, request, cmd, min_size, 0), 0);
    check_errno(c, "whole", try_size(c, request, cmd, size, 0), 0);
    check_errno(c, "longer", try_size(c, request, cmd, size + 8, 0), 0);
    check_errno(c, "longer, junk at the end",
                try_size(c, request, cmd, size + 8, 1), E2BIG);
    check_errno(c, "NULL", host_ioctl(c, request->number, NULL), EFAULT);
}

static void sizes_ioas(Conformance *c)
{
    static const Request request = {
        .number = IOMMU_IOAS_ALLOC,
        .size = sizeof(struct iommu_ioas_alloc),
        .min_size = 12,
        .out_id = offsetof(struct iommu_ioas_alloc, out_ioas_id),
    };
    struct iommu_ioas_alloc cmd = { 0 };

    check_sizes(c, &request, &cmd);
}

/* Of IDs that are not there: it is the size that is looked at first. */
static void sizes_destroy(Conformance *c)
{
    static const Request request = {
        .number = IOMMU_DESTROY,
        .size = sizeof(struct iommu_destroy),
    };
    struct iommu_destroy cmd = { .id = 77 };

    check_errno(c, "too short", try_size(c, &request, &cmd, 7, 0), EINVAL);
    check_errno(c, "whole", try_size(c, &request, &cmd, 8, 0), ENOENT);
    check_errno(c, "longer", try_size(c, &request, &cmd, 16, 0), ENOENT);
    check_errno(c, "longer, junk at the end",
                try_size(c, &request, &cmd, 16, 1), E2BIG);
    check_errno(c, "NULL", host_ioctl(c, IOMMU_DESTROY, NULL), EFAULT);
}

static void sizes_parent(Conformance *c)
{
    static const Request request = {
        .number = IOMMU_HWPT_ALLOC,
        .size = sizeof(struct iommu_hwpt_alloc),
        .min_size = 24,
        .out_id = offsetof(struct iommu_hwpt_alloc, out_hwpt_id),
    };
    struct iommu_hwpt_alloc cmd = { .flags = IOMMU_HWPT_ALLOC_NEST_PARENT };
    Rig rig;

    if (rig_up(c, &rig, false)) {
        cmd.dev_id = rig.dev_id;
        cmd.pt_id = rig.ioas_id;
        check_sizes(c, &request, &cmd);
        rig_down(c, &rig);
    }
}

static void sizes_viommu(Conformance *c)
{
    static const Request request = {
        .number = IOMMU_VIOMMU_ALLOC,
        .size = sizeof(struct iommu_viommu_alloc),
        .min_size = 24,
        .out_id = offsetof(struct iommu_viommu_alloc, out_viommu_id),
    };
    struct iommu_viommu_alloc cmd = { .type = IOMMU_VIOMMU_TYPE_SELFTEST };
    Rig rig;

    if (rig_up(c, &rig, false)) {
        cmd.dev_id = rig.dev_id;
        cmd.hwpt_id = rig.parent_id;
        check_sizes(c, &request, &cmd);
        rig_down(c, &rig);
    }
}

static void sizes_vdevice(Conformance *c)
{
    static const Request request = {
        .number = IOMMU_VDEVICE_ALLOC,
        .size = sizeof(struct iommu_vdevice_alloc),
        .min_size = 24,
        .out_id = offsetof(struct iommu_vdevice_alloc, out_vdevice_id),
    };
    struct iommu_vdevice_alloc cmd = { .virt_id = 1 };
    Rig rig;

    if (rig_up(c, &rig, false)) {
        need(c, "destroy", destroy(c, rig.vdevice_id));
        rig.vdevice_id = 0;
        cmd.dev_id = rig.dev_id;
        cmd.viommu_id = rig.viommu_id;
        check_sizes(c, &request, &cmd);
        rig_down(c, &rig);
    }
}

static void sizes_veventq(Conformance *c)
{
    static const Request request = {
        .number = IOMMU_VEVENTQ_ALLOC,
        .size = sizeof(struct iommu_veventq_alloc),
        .min_size = 28,
        .out_id = offsetof(struct iommu_veventq_alloc, out_veventq_id),
        .out_fd = offsetof(struct iommu_veventq_alloc, out_veventq_fd),
    };
    struct iommu_veventq_alloc cmd = {
        .type = IOMMU_VEVENTQ_TYPE_SELFTEST, .veventq_depth = 4,
    };
    Rig rig;

    if (rig_up(c, &rig, false)) {
        cmd.viommu_id = rig.viommu_id;
        check_sizes(c, &request, &cmd);
        rig_down(c, &rig);
    }
}

static void sizes_fault_queue(Conformance *c)
{
    static const Request request = {
        .number = IOMMU_FAULT_QUEUE_ALLOC,
        .size = sizeof(struct iommu_fault_alloc),
        .min_size = 16,
        .out_id = offsetof(struct iommu_fault_alloc, out_fault_id),
        .out_fd = offsetof(struct iommu_fault_alloc, out_fault_fd),
    };
    struct iommu_fault_alloc cmd = { 0 };

    check_sizes(c, &request, &cmd);
}

static void sizes_hw_info(Conformance *c)
{
    static const Request request = {
        .number = IOMMU_GET_HW_INFO,
        .size = sizeof(struct iommu_hw_info),
        .min_size = 32,
    };
    struct iommu_hw_info cmd = { 0 };
    Rig rig;

    if (rig_up(c, &rig, false)) {
        cmd.dev_id = rig.dev_id;
        check_sizes(c, &request, &cmd);
        rig_down(c, &rig);
    }
}

static void sizes_invalidate(Conformance *c)
{
    static const Request request = {
        .number = IOMMU_HWPT_INVALIDATE,
        .size = sizeof(struct iommu_hwpt_invalidate),
        .min_size = 32,
    };
    struct iommu_hwpt_invalidate cmd = {
        .data_type = IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
    };
    Rig rig;

    if (rig_up(c, &rig, false)) {
        cmd.hwpt_id = rig.hwpt_id;
        check_sizes(c, &request, &cmd);
        rig_down(c, &rig);
    }
}

static void sizes_test_cmd(Conformance *c)
{
    static const Request request = {
        .number = IOMMU_TEST_CMD,
        .size = sizeof(struct iommu_test_cmd),
        .min_size = 68,
        .out_id = offsetof(struct iommu_test_cmd, mock_domain.out_stdev_id),
    };
    struct iommu_test_cmd cmd = { .op = IOMMU_TEST_OP_MOCK_DOMAIN };
    uint32_t ioas_id;

    if (need(c, "IOAS", ioas_alloc(c, &ioas_id))) {
        cmd.id = ioas_id;
        check_sizes(c, &request, &cmd);
        need(c, "destroy", destroy(c, ioas_id));
    }
}

/* The number is taken whole: its type, direction and size count. */
static void unknown_requests(Conformance *c)
{
    struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };

    check_errno(c, "number 0xa1", host_ioctl(c, _IO(IOMMUFD_TYPE, 0xa1), &cmd),
                ENOTTY);
    check_errno(c, "number 0xff", host_ioctl(c, _IO(IOMMUFD_TYPE, 0xff), &cmd),
                ENOTTY);
    check_errno(c, "another type", host_ioctl(c, _IO('x', 0x81), &cmd),
                ENOTTY);
    check_errno(c, "with a direction",
                host_ioctl(c, _IOWR(IOMMUFD_TYPE, 0x81, uint32_t), &cmd),
                ENOTTY);
}

static void flags_and_reserved(Conformance *c)
{
    struct iommu_ioas_alloc ioas = { .size = sizeof(ioas), .flags = 1 };
    struct iommu_fault_alloc fault = { .size = sizeof(fault), .flags = 1 };
    struct iommu_veventq_alloc queue = {
        .size = sizeof(queue),
        .flags = 1,
        .type = IOMMU_VEVENTQ_TYPE_SELFTEST,
        .veventq_depth = 1,
    };
    Rig rig;

    check_errno(c, "IOAS flags", host_ioctl(c, IOMMU_IOAS_ALLOC, &ioas),
                EOPNOTSUPP);
    check_errno(c, "fault queue flags",
                host_ioctl(c, IOMMU_FAULT_QUEUE_ALLOC, &fault), EOPNOTSUPP);
    if (rig_up(c, &rig, false)) {
        queue.viommu_id = rig.viommu_id;
        check_errno(c, "vEVENTQ flags",
                    host_ioctl(c, IOMMU_VEVENTQ_ALLOC, &queue), EOPNOTSUPP);
        queue.flags = 0;
        queue.__reserved = 1;
        check_errno(c, "vEVENTQ reserved",
                    host_ioctl(c, IOMMU_VEVENTQ_ALLOC, &queue), EOPNOTSUPP);
        rig_down(c, &rig);
    }
}

static void flags_of_a_hwpt(Conformance *c)
{
    struct iommu_hwpt_alloc cmd = { .size = sizeof(cmd) };
    uint32_t id;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    cmd.dev_id = rig.dev_id;
    cmd.pt_id = rig.ioas_id;
    cmd.flags = 1u << 31;
    check_errno(c, "unknown flag", host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd),
                EOPNOTSUPP);
    cmd.flags = IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_FAULT_ID_VALID;
    cmd.fault_id = rig.fault_id;
    check_errno(c, "parent with a fault queue",
                host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd), EOPNOTSUPP);
    cmd.flags = 0;
    cmd.__reserved = 1;
    check_errno(c, "reserved", host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd),
                EOPNOTSUPP);
    cmd.__reserved = 0;
    cmd.__reserved2 = 1;
    if (check_errno(c, "reserved2", host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd),
                    0)) {
        need(c, "undo", destroy(c, cmd.out_hwpt_id));
    }
    check_errno(c, "nested, unknown fault queue",
                nested_alloc(c, rig.dev_id, rig.viommu_id, rig.ioas_id, &id),
                ENOENT);
    rig_down(c, &rig);
}

static int hwpt_alloc_data(Conformance *c, const Rig *rig, uint32_t type,
                           const void *data, uint32_t len)
{
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .dev_id = rig->dev_id,
        .pt_id = rig->viommu_id,
        .data_type = type,
        .data_len = len,
        .data_uptr = (uintptr_t)data,
    };
    int ret = host_ioctl(c, IOMMU_HWPT_ALLOC, &cmd);

    if (ret == 0) {
        need(c, "undo", destroy(c, cmd.out_hwpt_id));
    }
    return ret;
}

static void data_of_a_hwpt(Conformance *c)
{
    const uint32_t data[4] = { IOMMU_TEST_IOTLB_DEFAULT };
    const uint32_t selftest = IOMMU_HWPT_DATA_SELFTEST;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    check_errno(c, "no type, but data", hwpt_alloc_data(c, &rig, 0, data, 8),
                EINVAL);
    check_errno(c, "a type, but no data",
                hwpt_alloc_data(c, &rig, selftest, data, 0), EINVAL);
    check_errno(c, "neither", hwpt_alloc_data(c, &rig, 0, NULL, 0),
                EOPNOTSUPP);
    check_errno(c, "another type", hwpt_alloc_data(c, &rig, 77, data, 8),
                EOPNOTSUPP);
    check_errno(c, "3 bytes", hwpt_alloc_data(c, &rig, selftest, data, 3),
                EINVAL);
    check_errno(c, "4 bytes", hwpt_alloc_data(c, &rig, selftest, data, 4), 0);
    check_errno(c, "8 bytes", hwpt_alloc_data(c, &rig, selftest, data, 8), 0);
    /* Unlike a command, a driver's data must not be longer. */
    check_errno(c, "16 bytes", hwpt_alloc_data(c, &rig, selftest, data, 16),
                EINVAL);
    check_errno(c, "NULL", hwpt_alloc_data(c, &rig, selftest, NULL, 8),
                EFAULT);
    rig_down(c, &rig);
}

static int viommu_try(Conformance *c, struct iommu_viommu_alloc cmd)
{
    int ret;

    cmd.size = sizeof(cmd);
    ret = host_ioctl(c, IOMMU_VIOMMU_ALLOC, &cmd);
    if (ret == 0) {
        need(c, "undo", destroy(c, cmd.out_viommu_id));
    }
    return ret;
}

static void types_of_a_viommu(Conformance *c)
{
    struct iommu_viommu_alloc cmd = { .type = IOMMU_VIOMMU_TYPE_DEFAULT };
    struct iommu_viommu_selftest data = { .in_data = 0x5a };
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    cmd.dev_id = rig.dev_id;
    cmd.hwpt_id = rig.parent_id;
    check_errno(c, "default type", viommu_try(c, cmd), EOPNOTSUPP);
    cmd.type = 77;
    check_errno(c, "unknown type", viommu_try(c, cmd), EOPNOTSUPP);
    cmd.type = IOMMU_VIOMMU_TYPE_SELFTEST;
    cmd.flags = 1;
    check_errno(c, "flags", viommu_try(c, cmd), EOPNOTSUPP);
    cmd.flags = 0;
    cmd.__reserved = 1;
    check_errno(c, "reserved", viommu_try(c, cmd), 0);
    cmd.__reserved = 0;
    cmd.data_uptr = (uintptr_t)&data;
    cmd.data_len = sizeof(data);
    check_errno(c, "data", viommu_try(c, cmd), 0);
    check_value(c, "comes back", data.out_data, data.in_data);
    cmd.data_len = 4;
    check_errno(c, "too little data", viommu_try(c, cmd), EINVAL);
    cmd.data_len = sizeof(data);
    cmd.data_uptr = 0;
    check_errno(c, "data at NULL", viommu_try(c, cmd), EFAULT);
    cmd.data_len = 0;
    cmd.hwpt_id = rig.hwpt_id;
    check_errno(c, "on a nested HWPT", viommu_try(c, cmd), ENOENT);
    cmd.hwpt_id = rig.ioas_id;
    check_errno(c, "on an IOAS", viommu_try(c, cmd), ENOENT);
    rig_down(c, &rig);
}

/* Only what was made as a nest parent is one. */
static void parents(Conformance *c)
{
    struct iommu_hwpt_alloc plain = { .size = sizeof(plain) };
    uint32_t stdev_id, hwpt_id, dev_id, id, ioas_id;

    need(c, "IOAS", ioas_alloc(c, &ioas_id));
    if (!need(c, "device", mock_device(c, ioas_id, 0, &stdev_id, &hwpt_id,
                                       &dev_id))) {
        return;
    }
    plain.dev_id = dev_id;
    plain.pt_id = ioas_id;
    need(c, "HWPT", host_ioctl(c, IOMMU_HWPT_ALLOC, &plain));
    check_errno(c, "vIOMMU on a HWPT",
                viommu_alloc(c, dev_id, plain.out_hwpt_id, &id), EINVAL);
    check_errno(c, "nested on a HWPT",
                nested_alloc(c, dev_id, plain.out_hwpt_id, 0, &id), EINVAL);
    check_errno(c, "vIOMMU on an automatic HWPT",
                viommu_alloc(c, dev_id, hwpt_id, &id), EINVAL);
    check_errno(c, "nested on an automatic HWPT",
                nested_alloc(c, dev_id, hwpt_id, 0, &id), EINVAL);
    need(c, "destroy", destroy(c, plain.out_hwpt_id));
    need(c, "destroy", destroy(c, stdev_id));
    need(c, "destroy", destroy(c, ioas_id));
}

static int queue_try(Conformance *c, uint32_t viommu_id, uint32_t type,
                     uint32_t depth)
{
    struct iommu_veventq_alloc cmd = {
        .size = sizeof(cmd),
        .viommu_id = viommu_id,
        .type = type,
        .veventq_depth = depth,
    };
    int ret = host_ioctl(c, IOMMU_VEVENTQ_ALLOC, &cmd);

    if (ret == 0) {
        need(c, "close", close_fd(c, (int)cmd.out_veventq_fd));
        need(c, "undo", destroy(c, cmd.out_veventq_id));
    }
    return ret;
}

static void depth_and_type_of_a_veventq(Conformance *c)
{
    const uint32_t selftest = IOMMU_VEVENTQ_TYPE_SELFTEST;
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    check_errno(c, "depth 0", queue_try(c, rig.viommu_id, selftest, 0),
                EINVAL);
    check_errno(c, "1", queue_try(c, rig.viommu_id, selftest, 1), 0);
    check_errno(c, "524288", queue_try(c, rig.viommu_id, selftest,
                                       IOMMU_VEVENTQ_DEPTH_MAX), 0);
    check_errno(c, "524289", queue_try(c, rig.viommu_id, selftest,
                                       IOMMU_VEVENTQ_DEPTH_MAX + 1), EINVAL);
    check_errno(c, "default type",
                queue_try(c, rig.viommu_id, IOMMU_VEVENTQ_TYPE_DEFAULT, 4),
                EOPNOTSUPP);
    check_errno(c, "a type that nobody reports",
                queue_try(c, rig.viommu_id, 77, 4), 0);
    rig_down(c, &rig);
}

/* Refused for lack of a descriptor: nothing is left, and a retry works. */
static void no_descriptor_left(Conformance *c)
{
    struct rlimit old, tight;
    uint32_t fault_id, id;
    int fd, ret, err;

    need(c, "limit", getrlimit(RLIMIT_NOFILE, &old));
    fd = dup(c->host->fd);
    close(fd);
    tight = (struct rlimit) { .rlim_cur = fd, .rlim_max = old.rlim_max };
    need(c, "limit", setrlimit(RLIMIT_NOFILE, &tight));
    ret = fault_alloc(c, &fault_id, &fd);
    err = errno;
    need(c, "limit", setrlimit(RLIMIT_NOFILE, &old));
    errno = err;
    check_errno(c, "fault queue", ret, EMFILE);
    check_errno(c, "IOAS", ioas_alloc(c, &id), 0);
    check_value(c, "ID", id, 1);
    if (check_errno(c, "again", fault_alloc(c, &fault_id, &fd), 0)) {
        need(c, "close", close_fd(c, fd));
        need(c, "destroy", destroy(c, fault_id));
    }
    need(c, "destroy", destroy(c, id));
}

const ConformanceCase conformance_alloc[] = {
    { "alloc/unknown-requests-are-ENOTTY", unknown_requests },
    { "alloc/sizes/IOAS", sizes_ioas },
    { "alloc/sizes/destroy", sizes_destroy },
    { "alloc/sizes/nest-parent", sizes_parent },
    { "alloc/sizes/vIOMMU", sizes_viommu },
    { "alloc/sizes/vDEVICE", sizes_vdevice },
    { "alloc/sizes/vEVENTQ", sizes_veventq },
    { "alloc/sizes/fault-queue", sizes_fault_queue },
    { "alloc/sizes/hw-info", sizes_hw_info },
    { "alloc/sizes/invalidate", sizes_invalidate },
    { "alloc/sizes/test-command", sizes_test_cmd },
    { "alloc/flags-and-reserved-fields-are-EOPNOTSUPP", flags_and_reserved },
    { "alloc/HWPT/flags", flags_of_a_hwpt },
    { "alloc/HWPT/data", data_of_a_hwpt },
    { "alloc/HWPT/only-a-nest-parent-is-a-parent", parents },
    { "alloc/vIOMMU/types-and-data", types_of_a_viommu },
    { "alloc/vEVENTQ/depth-and-type", depth_and_type_of_a_veventq },
    { "alloc/no-descriptor-left-is-EMFILE", no_descriptor_left },
    { NULL, NULL },
};
