/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices of the emulated host: bind, attach, close, and where events go.
 */
#include "test-emul.h"

#include <string.h>
#include <unistd.h>

static void test_bind(void)
{
    HostIommu *host = emul_new(NULL);
    struct vfio_device_bind_iommufd cmd = {
        .argsz = sizeof(cmd) - 1, .iommufd = host->fd,
    };
    uint32_t dev_id;
    int fd = emul_device_open(host);

    g_assert_cmpint(host_call(host, fd, VFIO_DEVICE_BIND_IOMMUFD, &cmd), ==,
                    -EINVAL);
    cmd.argsz = sizeof(cmd);
    cmd.flags = 1;
    g_assert_cmpint(host_call(host, fd, VFIO_DEVICE_BIND_IOMMUFD, &cmd), ==,
                    -EINVAL);
    cmd.flags = 0;
    cmd.iommufd = fd;
    g_assert_cmpint(host_call(host, fd, VFIO_DEVICE_BIND_IOMMUFD, &cmd), ==,
                    -EBADF);
    g_assert_cmpint(host_call(host, fd, VFIO_DEVICE_BIND_IOMMUFD, NULL), ==,
                    -EFAULT);
    g_assert_cmpint(device_bind(host, fd, &dev_id), ==, 0);
    g_assert_cmpuint(dev_id, ==, 1);
    g_assert_cmpint(device_bind(host, fd, &dev_id), ==, -EINVAL);
    g_assert_cmpint(host_call(host, fd, _IO(VFIO_TYPE, 100), &cmd), ==,
                    -ENOTTY);
    g_assert_cmpint(host->ops->close(host, fd), ==, 0);
    g_assert_cmpuint(emul_get_stats(host).objects, ==, 0);
    host_iommu_free(host);
}

static void test_unbound_device(void)
{
    HostIommu *host = emul_new(NULL);
    int fd = emul_device_open(host);
    uint32_t id;

    g_assert_cmpint(ioas_alloc(host, &id), ==, 0);
    g_assert_cmpint(device_attach(host, fd, &id), ==, -EINVAL);
    g_assert_cmpint(device_detach(host, fd), ==, -EINVAL);
    g_assert_cmpint(host->ops->close(host, fd), ==, 0);
    host_iommu_free(host);
}

static void test_attach_errors(void)
{
    struct vfio_device_attach_iommufd_pt cmd = { .argsz = sizeof(cmd) };
    uint32_t viommu_id;
    uint32_t nested_id;
    uint32_t id = 99;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, -ENOENT);
    id = m.viommu_id;
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, -EINVAL);
    id = m.dev_id;
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, -EINVAL);
    cmd.flags = 2;
    g_assert_cmpint(host_call(m.host, m.device_fd,
                              VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd), ==,
                    -EINVAL);
    cmd.flags = VFIO_DEVICE_ATTACH_PASID;
    g_assert_cmpint(host_call(m.host, m.device_fd,
                              VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd), ==,
                    -EOPNOTSUPP);
    /* A stage 1 on a vIOMMU where the device has no vDEVICE. */
    g_assert_cmpint(viommu_alloc(m.host, m.dev_id, m.parent_id, &viommu_id),
                    ==, 0);
    g_assert_cmpint(nested_alloc(m.host, m.dev_id, viommu_id, STE_S1, 0,
                                 &nested_id), ==, 0);
    id = nested_id;
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, -ENOENT);
    /* After all that it is where it was. */
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_QUEUED);
    g_assert_cmpint(destroy(m.host, nested_id), ==, 0);
    g_assert_cmpint(destroy(m.host, viommu_id), ==, 0);
    machine_cleanup(&m);
}

static void test_detach_twice(void)
{
    Machine m;

    machine_init(&m);
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    machine_cleanup(&m);
}

static void test_move_lets_go_of_the_old(void)
{
    uint32_t id;
    Machine m;

    machine_init(&m);
    id = m.parent_id;
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, 0);
    g_assert_cmpuint(id, ==, m.parent_id);
    g_assert_cmpint(destroy(m.host, m.nested_id), ==, 0);
    g_assert_cmpint(destroy(m.host, m.parent_id), ==, -EBUSY);
    g_assert_cmpint(nested_alloc(m.host, m.dev_id, m.viommu_id, STE_S1, 0,
                                 &m.nested_id), ==, 0);
    machine_cleanup(&m);
}

/* One automatic HWPT per IOAS, gone with the last device on it. */
static void test_attach_to_ioas(void)
{
    uint32_t other_dev;
    uint32_t auto_id;
    uint32_t id;
    int other_fd;
    Machine m;

    machine_init(&m);
    other_fd = emul_device_open(m.host);
    g_assert_cmpint(device_bind(m.host, other_fd, &other_dev), ==, 0);
    auto_id = m.ioas_id;
    g_assert_cmpint(device_attach(m.host, m.device_fd, &auto_id), ==, 0);
    g_assert_cmpuint(auto_id, !=, m.ioas_id);
    id = m.ioas_id;
    g_assert_cmpint(device_attach(m.host, other_fd, &id), ==, 0);
    g_assert_cmpuint(id, ==, auto_id);
    id = m.ioas_id;             /* again: no effect */
    g_assert_cmpint(device_attach(m.host, other_fd, &id), ==, 0);
    g_assert_cmpuint(id, ==, auto_id);
    g_assert_cmpint(viommu_alloc(m.host, m.dev_id, auto_id, &id), ==, -EINVAL);
    g_assert_cmpint(destroy(m.host, auto_id), ==, -EBUSY);
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpint(destroy(m.host, auto_id), ==, -EBUSY);
    g_assert_cmpint(m.host->ops->close(m.host, other_fd), ==, 0);
    g_assert_cmpint(destroy(m.host, auto_id), ==, -ENOENT);
    machine_cleanup(&m);
}

/* The vDEVICE goes with the device, and its ID is never seen again. */
static void test_close_buries_the_vdevice(void)
{
    uint32_t ids[3];
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    g_assert_cmpint(m.host->ops->close(m.host, m.device_fd), ==, 0);
    g_assert_cmpint(destroy(m.host, m.dev_id), ==, -ENOENT);
    g_assert_cmpint(destroy(m.host, m.vdevice_id), ==, -ENOENT);
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_REFUSED);
    /* Detached: */
    g_assert_cmpint(destroy(m.host, m.nested_id), ==, 0);
    machine_close_queue(&m);
    g_assert_cmpint(destroy(m.host, m.viommu_id), ==, 0);
    /* The device's ID is free, the vDEVICE's is not. */
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(ioas_alloc(m.host, &ids[i]), ==, 0);
        g_assert_cmpuint(ids[i], !=, m.vdevice_id);
    }
    g_assert_cmpuint(ids[0], ==, m.dev_id);
    host_iommu_free(m.host);
}

/* ---- Events ---- */

static uint32_t read_sid(Machine *m)
{
    struct {
        struct iommufd_vevent_header header;
        struct iommu_vevent_arm_smmuv3 event;
    } record;

    g_assert_cmpint(host_read(m->host, m->fd, &record, sizeof(record)), ==,
                    EVENT_SIZE);
    return (uint32_t)(GUINT64_FROM_LE(record.event.evt[0]) >> 32);
}

typedef struct EventCase {
    const char *name;
    uint64_t word0;
    uint64_t word1;
    EmulReport report;
} EventCase;

static const EventCase event_cases[] = {
    { "F_UUT", 0x01, 0, EMUL_REPORT_REFUSED },
    { "C_BAD_STREAMID", 0x02, 0, EMUL_REPORT_REFUSED },
    { "F_STE_FETCH", 0x03, 0, EMUL_REPORT_REFUSED },
    { "C_BAD_STE", 0x04, 0, EMUL_REPORT_QUEUED },
    { "F_STREAM_DISABLED", 0x06, 0, EMUL_REPORT_QUEUED },
    { "C_BAD_SUBSTREAMID", 0x08, 0, EMUL_REPORT_QUEUED },
    { "F_CD_FETCH", 0x09, 0, EMUL_REPORT_REFUSED },
    { "C_BAD_CD", 0x0a, 0, EMUL_REPORT_QUEUED },
    { "F_WALK_EABT", 0x0b, 0, EMUL_REPORT_REFUSED },
    { "F_TRANSLATION", 0x10, 0, EMUL_REPORT_QUEUED },
    { "F_ADDR_SIZE", 0x11, 0, EMUL_REPORT_QUEUED },
    { "F_ACCESS", 0x12, 0, EMUL_REPORT_QUEUED },
    { "F_PERMISSION", 0x13, 0, EMUL_REPORT_QUEUED },
    { "E_PAGE_REQUEST", 0x24, 0, EMUL_REPORT_REFUSED },
    { "stalled", 0x10, UINT64_C(1) << 31, EMUL_REPORT_REFUSED },
    { "stage-2", 0x10, UINT64_C(1) << 39, EMUL_REPORT_REFUSED },
};

static void test_event_type(gconstpointer data)
{
    const EventCase *c = data;
    const uint64_t event[4] = { c->word0, c->word1, 0, 0 };
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 1);
    g_assert_cmpint(emul_report_event(m.host, m.dev_id, event), ==, c->report);
    if (c->report == EMUL_REPORT_QUEUED) {
        g_assert_cmpint(emul_report_event(m.host, m.dev_id, event), ==,
                        EMUL_REPORT_LOST);
    }
    machine_cleanup(&m);
}

static void test_refused_without(void)
{
    uint32_t id;
    Machine m;

    machine_init(&m);
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_REFUSED);    /* queue */
    g_assert_cmpint(veventq_alloc(m.host, m.viommu_id, 77, 4, &m.queue_id,
                                  &m.fd), ==, 0);
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_REFUSED);    /* type */
    machine_close_queue(&m);
    machine_open_queue(&m, 4);
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_QUEUED);
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_REFUSED);    /* HWPT */
    id = m.parent_id;
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, 0);
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_REFUSED);    /* nested */
    id = m.nested_id;
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, 0);
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_QUEUED);
    /* No such device at all */
    g_assert_cmpint(emul_report_event(m.host, 99, (uint64_t[4]) { 0x10 }), ==,
                    EMUL_REPORT_REFUSED);
    g_assert_cmpint(emul_report_event(m.host, UINT32_MAX,
                                      (uint64_t[4]) { 0x10 }), ==,
                    EMUL_REPORT_REFUSED);
    g_assert_cmpuint(emul_get_stats(m.host).generated, ==, 2);
    machine_cleanup(&m);
}

/* The StreamID is the one at the time of the attach. */
static void test_stream_id_is_of_the_attach(void)
{
    uint32_t bypass_id;
    uint32_t id;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    g_assert_cmpint(destroy(m.host, m.vdevice_id), ==, 0);
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_QUEUED);
    g_assert_cmpuint(read_sid(&m), ==, VSID);
    g_assert_cmpint(vdevice_alloc(m.host, m.viommu_id, m.dev_id, 5,
                                  &m.vdevice_id), ==, 0);
    id = m.nested_id;           /* the same HWPT again: no effect */
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, 0);
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_QUEUED);
    g_assert_cmpuint(read_sid(&m), ==, VSID);
    /* Another one, bypass: events of its vDEVICE come all the same. */
    g_assert_cmpint(nested_alloc(m.host, m.dev_id, m.viommu_id, STE_BYPASS, 0,
                                 &bypass_id), ==, 0);
    id = bypass_id;
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, 0);
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_QUEUED);
    g_assert_cmpuint(read_sid(&m), ==, 5);
    /* Attached without a vDEVICE: none, even if one is made later. */
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpint(destroy(m.host, m.vdevice_id), ==, 0);
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, 0);
    g_assert_cmpint(vdevice_alloc(m.host, m.viommu_id, m.dev_id, 6,
                                  &m.vdevice_id), ==, 0);
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_REFUSED);
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpint(destroy(m.host, bypass_id), ==, 0);
    machine_cleanup(&m);
}

/* ---- Hardware info ---- */

static void test_hw_info(void)
{
    struct {
        struct iommu_hw_info_arm_smmuv3 info;
        uint32_t tail;
    } buf;
    struct iommu_hw_info cmd = {
        .size = sizeof(cmd), .data_len = sizeof(buf),
        .data_uptr = (uintptr_t)&buf, .in_data_type = 77,
    };
    Machine m;

    memset(&buf, 0xff, sizeof(buf));
    machine_init(&m);
    cmd.dev_id = m.dev_id;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_GET_HW_INFO, &cmd), ==,
                    0);
    g_assert_cmpuint(cmd.data_len, ==, sizeof(buf.info));
    g_assert_cmpuint(cmd.out_data_type, ==, IOMMU_HW_INFO_TYPE_ARM_SMMUV3);
    g_assert_cmphex(buf.info.idr[0] >> 24 & 3, ==, 0);  /* stall model */
    g_assert_cmpuint(buf.info.aidr, ==, 1);
    g_assert_cmpuint(buf.tail, ==, 0);
    /* A short buffer gets what fits; then the errors. */
    buf.info.idr[0] = 0x55;
    cmd.data_len = 8;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_GET_HW_INFO, &cmd), ==,
                    0);
    g_assert_cmpuint(cmd.data_len, ==, sizeof(buf.info));
    g_assert_cmphex(buf.info.idr[0], ==, 0x55);
    cmd.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
    cmd.in_data_type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_GET_HW_INFO, &cmd), ==,
                    -EOPNOTSUPP);
    cmd.flags = 2;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_GET_HW_INFO, &cmd), ==,
                    -EOPNOTSUPP);
    cmd.flags = 0;
    cmd.dev_id = m.ioas_id;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_GET_HW_INFO, &cmd), ==,
                    -ENOENT);
    machine_cleanup(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/emul/device/bind", test_bind);
    g_test_add_func("/emul/device/unbound-is-EINVAL", test_unbound_device);
    g_test_add_func("/emul/device/attach-errors-change-nothing",
                    test_attach_errors);
    g_test_add_func("/emul/device/detach-twice", test_detach_twice);
    g_test_add_func("/emul/device/move-lets-go-of-the-old",
                    test_move_lets_go_of_the_old);
    g_test_add_func("/emul/device/attach-to-ioas", test_attach_to_ioas);
    g_test_add_func("/emul/device/close-buries-the-vdevice",
                    test_close_buries_the_vdevice);
    for (unsigned i = 0; i < G_N_ELEMENTS(event_cases); i++) {
        g_autofree char *path = g_strconcat("/emul/event/",
                                            event_cases[i].name, NULL);

        g_test_add_data_func(path, &event_cases[i], test_event_type);
    }
    g_test_add_func("/emul/event/refused-without", test_refused_without);
    g_test_add_func("/emul/event/stream-id-is-of-the-attach",
                    test_stream_id_is_of_the_attach);
    g_test_add_func("/emul/device/hw-info", test_hw_info);
    return g_test_run();
}
