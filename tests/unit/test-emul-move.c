/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A descriptor of the emulated host that gets another number: the file is the
 * same, the old number is nothing.
 */
#include "test-emul-fault.h"

#include <fcntl.h>
#include <unistd.h>

/* A copy of @fd, as the caller of emul_move_fd() makes it. */
static int move_to_copy(HostIommu *host, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    g_assert_cmpint(copy, >=, 0);
    g_assert_true(emul_move_fd(host, fd, copy));
    close(fd);
    return copy;
}

static void test_veventq(void)
{
    char buf[EVENT_SIZE];
    Machine m;
    int old;

    machine_init(&m);
    machine_open_queue(&m, 4);
    old = m.fd;
    report_one(&m, 1);
    m.fd = move_to_copy(m.host, old);
    g_assert_cmpint(host_read(m.host, old, buf, sizeof(buf)), ==, -EBADF);
    g_assert_cmpint(poll_now(m.fd), ==, POLLIN | POLLRDNORM);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, EVENT_SIZE);
    /* Readiness goes, and comes, by the new number. */
    g_assert_cmpint(poll_now(m.fd), ==, 0);
    report_one(&m, 2);
    g_assert_cmpint(poll_now(m.fd), ==, POLLIN | POLLRDNORM);
    g_assert_cmpint(destroy(m.host, m.queue_id), ==, -EBUSY);
    machine_cleanup(&m);
}

static void test_fault_queue(void)
{
    struct iommu_hwpt_pgfault record;
    FaultMachine m;
    int old;

    fault_machine_init(&m);
    old = m.fd;
    fault_raise(&m, 1, true);
    m.fd = move_to_copy(m.host, old);
    g_assert_cmpint(host_read(m.host, m.fd, &record, sizeof(record)), ==,
                    sizeof(record));
    g_assert_cmpint(poll_now(m.fd), ==, POLLOUT);
    g_assert_cmpint(host_write(m.host, old, &record, 8), ==, -EBADF);
    g_assert_cmpint(fault_answer(&m, record.cookie, SUCCESS), ==, 8);
    fault_machine_cleanup(&m);
}

static void test_device_and_host(void)
{
    Machine m;
    int old;

    machine_init(&m);
    m.device_fd = move_to_copy(m.host, m.device_fd);
    old = m.host->fd;
    g_assert_cmpint(move_to_copy(m.host, old), ==, m.host->fd);
    g_assert_cmpint(m.host->fd, !=, old);
    g_assert_cmpint(m.host->ops->close(m.host, m.host->fd), ==, -1);
    machine_cleanup(&m);
}

/* The queue and the device go on; host_iommu_free() has nothing to close. */
static void test_host_without_fd(void)
{
    char buf[EVENT_SIZE];
    Machine m;
    int old;

    machine_init(&m);
    machine_open_queue(&m, 4);
    old = m.host->fd;
    g_assert_true(emul_move_fd(m.host, old, -1));
    g_assert_cmpint(fcntl(old, F_GETFD), >=, 0);
    report_one(&m, 1);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, EVENT_SIZE);
    m.host->ops->close(m.host, m.fd);
    m.host->ops->close(m.host, m.device_fd);
    host_iommu_free(m.host);
    g_assert_cmpint(close(old), ==, 0);
}

static void test_too_high(void)
{
    HostIommu *host = emul_new(NULL);
    int fd = host->fd;
    uint32_t id;

    g_assert_false(emul_move_fd(host, fd, INT_MAX));
    g_assert_cmpint(host->fd, ==, fd);
    g_assert_cmpint(ioas_alloc(host, &id), ==, 0);
    host_iommu_free(host);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/emul/move-fd/veventq-goes-on", test_veventq);
    g_test_add_func("/emul/move-fd/fault-queue-goes-on", test_fault_queue);
    g_test_add_func("/emul/move-fd/device-and-host-go-on",
                    test_device_and_host);
    g_test_add_func("/emul/move-fd/host-needs-none", test_host_without_fd);
    g_test_add_func("/emul/move-fd/too-high-changes-nothing", test_too_high);
    return g_test_run();
}
