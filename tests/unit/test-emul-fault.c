/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fault queue objects: allocation, who holds them, and the way of a fault by
 * device and PASID, as measured on Linux 7.3 or read in it.
 */
#include "sleeper.h"
#include "test-emul-fault.h"

#include <sys/epoll.h>
#include <unistd.h>

static EmulReport raise_on(FaultMachine *m, uint32_t pasid)
{
    const EmulPageRequest request = {
        .dev_id = m->dev_id, .pasid = pasid, .grpid = 1, .last = true,
        .tag = pasid,
    };

    return emul_request_page(m->host, &request);
}

static void close_fd(FaultMachine *m)
{
    g_assert_cmpint(m->host->ops->close(m->host, m->fd), ==, 0);
    m->fd = -1;
}

/* ---- Allocation ---- */

static void test_alloc(void)
{
    struct iommu_fault_alloc cmd = { .size = sizeof(cmd), .flags = 1 };
    uint32_t id;
    FaultMachine m;
    int fd;

    fault_machine_init(&m);
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_FAULT_QUEUE_ALLOC,
                              &cmd), ==, -EOPNOTSUPP);
    cmd.flags = 0;
    cmd.size = sizeof(cmd) - 1;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_FAULT_QUEUE_ALLOC,
                              &cmd), ==, -EINVAL);
    /* Any number of them. */
    g_assert_cmpint(fault_alloc(m.host, &id, &fd), ==, 0);
    g_assert_cmpuint(id, !=, m.fault_id);
    g_assert_cmpint(poll_now(fd), ==, POLLOUT);
    g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    g_assert_cmpint(destroy(m.host, id), ==, -ENOENT);
    fault_machine_cleanup(&m);
}

static void test_hwpt_alloc_errors(void)
{
    uint64_t objects;
    uint32_t id;
    FaultMachine m;

    fault_machine_init(&m);
    objects = emul_get_stats(m.host).objects;
    g_assert_cmpint(vtd_alloc(m.host, m.dev_id, m.parent_id, 99, &id), ==,
                    -ENOENT);
    g_assert_cmpint(vtd_alloc(m.host, m.dev_id, m.parent_id, m.ioas_id, &id),
                    ==, -ENOENT);
    /* Not a nest parent; no parent at all. */
    g_assert_cmpint(vtd_alloc(m.host, m.dev_id, m.nested_id, m.fault_id, &id),
                    ==, -EINVAL);
    g_assert_cmpint(vtd_alloc(m.host, m.dev_id, m.ioas_id, m.fault_id, &id),
                    ==, -EOPNOTSUPP);
    g_assert_cmpint(hwpt_alloc(m.host, m.dev_id, m.ioas_id,
                               IOMMU_HWPT_ALLOC_NEST_PARENT |
                               IOMMU_HWPT_FAULT_ID_VALID, &id), ==,
                    -EOPNOTSUPP);
    g_assert_cmpuint(emul_get_stats(m.host).objects, ==, objects);
    fault_machine_cleanup(&m);
}

/* ---- Who holds it ---- */

static void test_hwpt_names_it(void)
{
    FaultMachine m;

    fault_machine_init(&m);
    close_fd(&m);
    g_assert_cmpint(destroy(m.host, m.nested_id), ==, -EBUSY);  /* attached */
    g_assert_cmpint(destroy(m.host, m.fault_id), ==, -EBUSY);
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpint(destroy(m.host, m.fault_id), ==, -EBUSY);
    fault_machine_cleanup(&m);
}

static void test_fd_open(void)
{
    uint32_t id;
    FaultMachine m;
    int copy;
    int fd;

    fault_machine_init(&m);
    g_assert_cmpint(fault_alloc(m.host, &id, &fd), ==, 0);
    g_assert_cmpint(destroy(m.host, id), ==, -EBUSY);
    copy = dup(fd);
    g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
    g_assert_cmpint(destroy(m.host, id), ==, -EBUSY);
    close(copy);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    fault_machine_cleanup(&m);
}

/* A failed destroy changes nothing. */
static void test_works_on_after_a_failed_destroy(void)
{
    char buf[FAULT_SIZE];
    FaultMachine m;

    fault_machine_init(&m);
    g_assert_cmpint(destroy(m.host, m.fault_id), ==, -EBUSY);
    g_assert_cmpint(raise_on(&m, 0), ==, EMUL_REPORT_QUEUED);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, FAULT_SIZE);
    g_assert_cmpint(fault_answer(&m, 1, SUCCESS), ==, RESPONSE_SIZE);
    fault_machine_cleanup(&m);
}

/* In an epoll set and closed without EPOLL_CTL_DEL: no reference. */
static void test_epoll_holds_nothing(void)
{
    struct epoll_event event = { .events = EPOLLIN };
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    uint32_t id;
    FaultMachine m;
    int fd;

    fault_machine_init(&m);
    g_assert_cmpint(fault_alloc(m.host, &id, &fd), ==, 0);
    g_assert_cmpint(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), ==, 0);
    g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    close(epoll_fd);
    fault_machine_cleanup(&m);
}

/* EBUSY from a thread in poll() lasts until it is out. */
static void test_thread_in_poll(void)
{
    FaultMachine m;
    uint32_t id;
    Sleeper s;
    int fd;

    fault_machine_init(&m);
    g_assert_cmpint(fault_alloc(m.host, &id, &fd), ==, 0);
    sleeper_start(&s, fd, -1);
    g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
    g_assert_cmpint(destroy(m.host, id), ==, -EBUSY);
    g_assert_cmpint(destroy(m.host, id), ==, -EBUSY);
    sleeper_wake_and_join(&s);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    fault_machine_cleanup(&m);
}

/* Faults still queue up when nobody can read them; the detach answers them. */
static void test_fd_closed_while_attached(void)
{
    FaultMachine m;

    fault_machine_init(&m);
    close_fd(&m);
    for (uint32_t i = 0; i < 3; i++) {
        g_assert_cmpint(fault_raise(&m, i, true), ==, EMUL_REPORT_QUEUED);
    }
    g_assert_cmpuint(emul_get_page_stats(m.host).open, ==, 3);
    g_assert_cmpuint(m.answers, ==, 0);
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpuint(m.answers, ==, 3);
    fault_machine_cleanup(&m);
}

static void test_device_closed(void)
{
    char buf[2 * FAULT_SIZE];
    FaultMachine m;

    fault_machine_init(&m);
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 9, m.nested_id), ==, 0);
    fault_raise(&m, 1, true);
    raise_on(&m, 9);
    fault_raise(&m, 3, true);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, 80);
    g_assert_cmpint(m.host->ops->close(m.host, m.device_fd), ==, 0);
    g_assert_cmpuint(m.answers, ==, 3);
    g_assert_cmpint(poll_now(m.fd), ==, POLLOUT);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, 0);
    g_assert_cmpint(fault_answer(&m, 1, SUCCESS), ==, -EINVAL);
    g_assert_cmpint(fault_raise(&m, 4, true), ==, EMUL_REPORT_REFUSED);
    g_assert_cmpint(destroy(m.host, m.nested_id), ==, 0);
    close_fd(&m);
    g_assert_cmpint(destroy(m.host, m.fault_id), ==, 0);
    host_iommu_free(m.host);
}

/* A queue that is used again starts as a new one. */
static void test_next_life(void)
{
    char buf[FAULT_SIZE];
    FaultMachine m;

    fault_machine_init(&m);
    for (int i = 0; i < 3; i++) {
        fault_raise(&m, 1, true);
        g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, 40);
        g_assert_cmpint(fault_answer(&m, 0, SUCCESS), ==, -EINVAL);
        fault_raise(&m, 2, false);
        g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
        g_assert_cmpint(destroy(m.host, m.nested_id), ==, 0);
        close_fd(&m);
        g_assert_cmpint(destroy(m.host, m.fault_id), ==, 0);
        g_assert_cmpint(fault_alloc(m.host, &m.fault_id, &m.fd), ==, 0);
        g_assert_cmpint(vtd_alloc(m.host, m.dev_id, m.parent_id, m.fault_id,
                                  &m.nested_id), ==, 0);
        fault_attach(&m, m.nested_id);
        fault_raise(&m, 7, true);
        g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, 40);
        g_assert_cmpint(fault_answer(&m, 1, SUCCESS), ==, RESPONSE_SIZE);
    }
    fault_machine_cleanup(&m);
}

/* ---- The way of a fault ---- */

static void test_refused_without_a_fault_queue(void)
{
    FaultMachine m;

    fault_machine_init(&m);
    fault_attach(&m, m.parent_id);
    g_assert_cmpint(fault_raise(&m, 1, true), ==, EMUL_REPORT_REFUSED);
    g_assert_cmpint(fault_raise(&m, 1, false), ==, EMUL_REPORT_REFUSED);
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpint(fault_raise(&m, 1, true), ==, EMUL_REPORT_REFUSED);
    m.dev_id += 100;
    g_assert_cmpint(fault_raise(&m, 1, true), ==, EMUL_REPORT_REFUSED);
    g_assert_cmpuint(emul_get_page_stats(m.host).pages, ==, 0);
    g_assert_cmpuint(m.answers, ==, 0);
    fault_machine_cleanup(&m);
}

/* One queue for several PASIDs: the end of one is not the end of the others. */
static void test_pasids_share_a_queue(void)
{
    struct iommu_hwpt_pgfault records[3];
    FaultMachine m;

    fault_machine_init(&m);
    g_assert_cmpint(raise_on(&m, 5), ==, EMUL_REPORT_REFUSED);
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 5, m.nested_id), ==, 0);
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 0xfffff, m.nested_id),
                    ==, 0);
    g_assert_cmpint(raise_on(&m, 5), ==, EMUL_REPORT_QUEUED);
    g_assert_cmpint(raise_on(&m, 0), ==, EMUL_REPORT_QUEUED);
    g_assert_cmpint(raise_on(&m, 0xfffff), ==, EMUL_REPORT_QUEUED);
    g_assert_cmpint(pasid_detach(m.host, m.device_fd, 5), ==, 0);
    g_assert_cmpuint(m.answers, ==, 1);
    g_assert_cmpuint(m.answer.pasid, ==, 5);
    g_assert_cmpint(raise_on(&m, 5), ==, EMUL_REPORT_REFUSED);
    g_assert_cmpint(host_read(m.host, m.fd, records, sizeof(records)), ==, 80);
    g_assert_cmpuint(records[0].pasid, ==, 0);
    g_assert_cmpuint(records[1].pasid, ==, 0xfffff);
    /* Detaching the device leaves the PASIDs. */
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    g_assert_cmpuint(m.answers, ==, 2);
    g_assert_cmpint(fault_answer(&m, 2, SUCCESS), ==, RESPONSE_SIZE);
    g_assert_cmpint(pasid_detach(m.host, m.device_fd, 0xfffff), ==, 0);
    g_assert_cmpint(pasid_detach(m.host, m.device_fd, 0xfffff), ==, 0);
    fault_machine_cleanup(&m);
}

static void test_pasid_attach_errors(void)
{
    struct vfio_device_attach_iommufd_pt cmd = {
        .argsz = 12, .flags = VFIO_DEVICE_ATTACH_PASID, .pasid = 5,
    };
    uint32_t plain_id;
    uint32_t id;
    FaultMachine m;

    fault_machine_init(&m);
    cmd.pt_id = m.nested_id;
    g_assert_cmpint(host_call(m.host, m.device_fd,
                              VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd), ==,
                    -EINVAL);
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 0, m.nested_id), ==,
                    -EINVAL);
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 1 << 20, m.nested_id),
                    ==, -EINVAL);
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 5, m.fault_id), ==,
                    -EINVAL);
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 5, 99), ==, -ENOENT);
    /* All HWPTs of the device must be compatible with PASIDs. */
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 5, m.ioas_id), ==,
                    -EINVAL);
    g_assert_cmpint(hwpt_alloc(m.host, m.dev_id, m.ioas_id, 0, &plain_id), ==,
                    0);
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 5, plain_id), ==,
                    -EINVAL);
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 5, m.nested_id), ==, 0);
    id = plain_id;
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, -EINVAL);
    g_assert_cmpint(pasid_detach(m.host, m.device_fd, 5), ==, 0);
    g_assert_cmpint(device_attach(m.host, m.device_fd, &id), ==, 0);
    g_assert_cmpint(pasid_attach(m.host, m.device_fd, 5, m.nested_id), ==,
                    -EINVAL);
    fault_attach(&m, m.parent_id);
    g_assert_cmpint(destroy(m.host, plain_id), ==, 0);
    fault_machine_cleanup(&m);
}

/* The SMMUv3's guest has the PASID table: all go the way of the device. */
static void test_smmuv3_pasids_need_no_attach(void)
{
    const struct iommu_hwpt_arm_smmuv3 ste = {
        .ste = { GUINT64_TO_LE(STE_S1), 0 },
    };
    struct iommu_hwpt_alloc cmd = {
        .size = sizeof(cmd),
        .flags = IOMMU_HWPT_FAULT_ID_VALID,
        .data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
        .data_len = sizeof(ste),
        .data_uptr = (uintptr_t)&ste,
    };
    EmulPageRequest request = { .pasid = 77, .grpid = 1, .last = true };
    char buf[FAULT_SIZE];
    Machine m;
    int fd;

    machine_init(&m);
    g_assert_cmpint(fault_alloc(m.host, &cmd.fault_id, &fd), ==, 0);
    cmd.dev_id = m.dev_id;
    cmd.pt_id = m.viommu_id;
    g_assert_cmpint(host_call(m.host, m.host->fd, IOMMU_HWPT_ALLOC, &cmd), ==,
                    0);
    request.dev_id = m.dev_id;
    g_assert_cmpint(emul_request_page(m.host, &request), ==,
                    EMUL_REPORT_REFUSED);
    g_assert_cmpint(device_attach(m.host, m.device_fd,
                                  &(uint32_t) { cmd.out_hwpt_id }), ==, 0);
    g_assert_cmpint(emul_request_page(m.host, &request), ==,
                    EMUL_REPORT_QUEUED);
    g_assert_cmpint(host_read(m.host, fd, buf, sizeof(buf)), ==, FAULT_SIZE);
    g_assert_cmpint(device_attach(m.host, m.device_fd,
                                  &(uint32_t) { m.nested_id }), ==, 0);
    g_assert_cmpuint(emul_get_page_stats(m.host).automatic, ==, 1);
    g_assert_cmpint(destroy(m.host, cmd.out_hwpt_id), ==, 0);
    g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
    g_assert_cmpint(destroy(m.host, cmd.fault_id), ==, 0);
    machine_cleanup(&m);
}

/* ---- Controls ---- */

static void test_fail_write(void)
{
    const EmulFailure failure = { EMUL_CALL_WRITE, 0, 2, 1, EIO };
    char buf[2 * FAULT_SIZE];
    FaultMachine m;

    fault_machine_init(&m);
    fault_raise(&m, 1, true);
    fault_raise(&m, 2, true);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, 80);
    emul_set_failure(m.host, &failure);
    g_assert_cmpint(fault_answer(&m, 1, SUCCESS), ==, RESPONSE_SIZE);
    g_assert_cmpint(fault_answer(&m, 2, SUCCESS), ==, -EIO);
    g_assert_cmpuint(m.answers, ==, 1);
    g_assert_cmpint(fault_answer(&m, 2, SUCCESS), ==, RESPONSE_SIZE);
    g_assert_cmpuint(emul_get_calls_counted(m.host), ==, 3);
    fault_machine_cleanup(&m);
}

static void test_fail_alloc(void)
{
    const EmulFailure failure = {
        EMUL_CALL_IOCTL, IOMMU_FAULT_QUEUE_ALLOC, 1, 1, EMFILE,
    };
    FaultMachine m;
    uint32_t id;
    int fd;

    fault_machine_init(&m);
    emul_set_failure(m.host, &failure);
    g_assert_cmpint(fault_alloc(m.host, &id, &fd), ==, -EMFILE);
    g_assert_cmpint(fault_alloc(m.host, &id, &fd), ==, 0);
    g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
    g_assert_cmpint(destroy(m.host, id), ==, 0);
    fault_machine_cleanup(&m);
}

static void test_read_limit(void)
{
    char buf[3 * FAULT_SIZE];
    FaultMachine m;

    fault_machine_init(&m);
    fault_raise(&m, 1, true);
    fault_raise(&m, 2, true);
    emul_set_read_limit(m.host, FAULT_SIZE + 20);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, FAULT_SIZE);
    emul_set_read_limit(m.host, 20);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, -EINVAL);
    emul_set_read_limit(m.host, 0);
    fault_machine_cleanup(&m);
}

static void test_statistics(void)
{
    char buf[2 * FAULT_SIZE];
    EmulPageStats stats;
    FaultMachine m;

    fault_machine_init(&m);
    fault_raise(&m, 1, false);
    fault_raise(&m, 1, true);
    fault_raise(&m, 2, true);
    fault_raise(&m, 3, false);      /* never complete: not a group yet */
    stats = emul_get_page_stats(m.host);
    g_assert_cmpuint(stats.pages, ==, 4);
    g_assert_cmpuint(stats.raised, ==, 2);
    g_assert_cmpuint(stats.open, ==, 2);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, 80);
    g_assert_cmpint(fault_answer(&m, 1, SUCCESS), ==, RESPONSE_SIZE);
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    stats = emul_get_page_stats(m.host);
    g_assert_cmpuint(stats.answered, ==, 1);
    g_assert_cmpuint(stats.automatic, ==, 1);
    g_assert_cmpuint(stats.open, ==, 0);
    fault_machine_cleanup(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/emul/fault/alloc", test_alloc);
    g_test_add_func("/emul/fault/hwpt-alloc-errors-leave-nothing",
                    test_hwpt_alloc_errors);
    g_test_add_func("/emul/fault/busy/hwpt-names-it", test_hwpt_names_it);
    g_test_add_func("/emul/fault/busy/fd-open-or-copied", test_fd_open);
    g_test_add_func("/emul/fault/busy/works-on-after-a-failed-destroy",
                    test_works_on_after_a_failed_destroy);
    g_test_add_func("/emul/fault/busy/epoll-holds-nothing",
                    test_epoll_holds_nothing);
    g_test_add_func("/emul/fault/busy/thread-in-poll", test_thread_in_poll);
    g_test_add_func("/emul/fault/fd-closed-while-attached",
                    test_fd_closed_while_attached);
    g_test_add_func("/emul/fault/device-closed", test_device_closed);
    g_test_add_func("/emul/fault/next-life-starts-anew", test_next_life);
    g_test_add_func("/emul/fault/refused-without-a-fault-queue",
                    test_refused_without_a_fault_queue);
    g_test_add_func("/emul/fault/pasid/share-a-queue",
                    test_pasids_share_a_queue);
    g_test_add_func("/emul/fault/pasid/attach-errors",
                    test_pasid_attach_errors);
    g_test_add_func("/emul/fault/pasid/smmuv3-needs-no-attach",
                    test_smmuv3_pasids_need_no_attach);
    g_test_add_func("/emul/fault/fail/write-answers-nothing",
                    test_fail_write);
    g_test_add_func("/emul/fault/fail/alloc", test_fail_alloc);
    g_test_add_func("/emul/fault/read-limit", test_read_limit);
    g_test_add_func("/emul/fault/statistics", test_statistics);
    return g_test_run();
}
