/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /dev/iommu and VFIO devices of the preloaded library, as open files: what
 * opens them, their copies, and how long what is behind them lives.
 */
#include "preload-machine.h"
#include "proc-self.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* As they are for a program built with _FORTIFY_SOURCE. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);

#define NO_SUCH_REQUEST _IO(IOMMUFD_TYPE, 0x7f)

static int ioas_alloc_on(int fd)
{
    struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };

    return ioctl(fd, IOMMU_IOAS_ALLOC, &cmd) < 0 ? -errno
                                                 : (int)cmd.out_ioas_id;
}

static void test_every_open(void)
{
    const int fds[] = {
        open("/dev/iommu", O_RDWR),
        open64("/dev/iommu", O_RDWR | O_CLOEXEC),
        openat(AT_FDCWD, "/dev/iommu", O_RDWR),
        openat64(-1, "/dev/iommu", O_RDWR),
        __open_2("/dev/iommu", O_RDWR),
        __open64_2("/dev/iommu", O_RDWR),
        __openat_2(AT_FDCWD, "/dev/iommu", O_RDWR),
        __openat64_2(AT_FDCWD, "/dev/iommu", O_RDWR),
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++) {
        g_assert_cmpint(fds[i], >=, 0);
        /* Each is an iommufd of its own, whose first object is 1. */
        g_assert_cmpint(ioas_alloc_on(fds[i]), ==, 1);
        g_assert_cmpint(fcntl(fds[i], F_GETFD), ==, i == 1 ? FD_CLOEXEC : 0);
        g_assert_cmpint(fcntl(fds[i], F_GETFL) & O_ACCMODE, ==, O_RDWR);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++) {
        g_assert_cmpint(close(fds[i]), ==, 0);
        g_assert_cmpint(ioas_alloc_on(fds[i]), ==, -EBADF);
    }
}

static void test_lowest_number(void)
{
    int lowest = dup(0);
    int fd;

    close(lowest);
    fd = open("/dev/iommu", O_RDWR);
    g_assert_cmpint(fd, ==, lowest);
    close(fd);
}

static void test_errors_as_kernel(void)
{
    int fd = open("/dev/iommu", O_RDWR);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN };
    uint32_t word = 0;

    g_assert_cmpint(read(fd, &word, 4), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    g_assert_cmpint(write(fd, &word, 4), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    g_assert_cmpint(ioctl(fd, NO_SUCH_REQUEST, &word), ==, -1);
    g_assert_cmpint(errno, ==, ENOTTY);
    g_assert_cmpint(ioctl(fd, IOMMU_IOAS_ALLOC, NULL), ==, -1);
    g_assert_cmpint(errno, ==, EFAULT);
    g_assert_cmpint(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), ==, -1);
    g_assert_cmpint(errno, ==, EPERM);
    g_assert_cmpint(poll_now(fd), ==, POLLIN | POLLOUT | POLLRDNORM);
    g_assert_true(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) ==
                  MAP_FAILED);
    close(epoll);
    close(fd);
}

static void test_copies(void)
{
    int fd = open("/dev/iommu", O_RDWR);
    const int copies[] = {
        dup(fd),
        dup2(fd, 300),
        dup3(fd, 301, O_CLOEXEC),
        fcntl(fd, F_DUPFD, 302),
        fcntl(fd, F_DUPFD_CLOEXEC, 303),
    };

    g_assert_cmpint(dup2(fd, fd), ==, fd);
    g_assert_cmpint(dup3(fd, fd, 0), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    for (int i = 0; i < (int)G_N_ELEMENTS(copies); i++) {
        g_assert_cmpint(copies[i], >=, 0);
        g_assert_cmpint(ioas_alloc_on(copies[i]), ==, i + 1);
    }
    g_assert_cmpint(close(fd), ==, 0);
    for (int i = 0; i < (int)G_N_ELEMENTS(copies); i++) {
        g_assert_cmpint(ioas_alloc_on(copies[i]), ==, i + 6);
        g_assert_cmpint(close(copies[i]), ==, 0);
        g_assert_cmpint(close(copies[i]), ==, -1);
        g_assert_cmpint(errno, ==, EBADF);
    }
}

/* dup2() and close_range() take ours out; what is put in its place works. */
static void test_replaced(void)
{
    int fd = open("/dev/iommu", O_RDWR);
    int null = open("/dev/null", O_RDWR);
    int high;

    g_assert_cmpint(dup2(null, fd), ==, fd);
    g_assert_cmpint(ioas_alloc_on(fd), ==, -ENOTTY);
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    close(fd);

    /* A failed dup2() changes nothing. */
    fd = open("/dev/iommu", O_RDWR);
    g_assert_cmpint(dup2(999, fd), ==, -1);
    g_assert_cmpint(errno, ==, EBADF);
    g_assert_cmpint(ioas_alloc_on(fd), ==, 1);

    high = fcntl(fd, F_DUPFD, 401);
    g_assert_cmpint(dup2(null, high - 1), ==, high - 1);
    g_assert_cmpint(dup2(null, high + 1), ==, high + 1);
    g_assert_cmpint(close_range(high - 1, ~0u, 0), ==, 0);
    for (int i = high - 1; i <= high + 1; i++) {
        g_assert_cmpint(fcntl(i, F_GETFD), ==, -1);
    }
    g_assert_cmpint(ioas_alloc_on(fd), ==, 2);
    close(null);
    close(fd);
}

static void test_queue_outlives(void)
{
    Machine m;
    char buf[EVENT_SIZE];
    unsigned before = proc_self_fds();
    int control;

    preload_machine_init(&m);
    machine_open_queue(&m, 4);
    control = control_connect();
    host_iommu_free(m.host);
    /* It takes events and is read, and the device is still bound. */
    control_event(control, &m, 7);
    g_assert_cmpint(poll_now(m.fd), ==, POLLIN | POLLRDNORM);
    g_assert_cmpint(read(m.fd, buf, sizeof(buf)), ==, sizeof(buf));
    g_assert_cmpint(close(m.fd), ==, 0);
    control_expect(control, "page 1 0 0 1 0 1", "ok refused");
    g_assert_cmpint(close(m.device_fd), ==, 0);
    control_expect(control, "stats", "error no /dev/iommu is open");
    close(control);
    /* The listening socket and its thread's end of this connection stay. */
    g_assert_cmpuint(proc_self_fds(), <=, before + 2);
}

static void test_vfio_device(void)
{
    HostIommu *host = preload_machine_open();
    int copy = dup(host->fd);
    int fd = open(SMMUV3_PATH, O_RDWR);
    int second = open(SMMUV3_PATH, O_RDWR);
    struct vfio_device_bind_iommufd bind = {
        .argsz = sizeof(bind), .iommufd = copy,
    };
    uint32_t word = 64;
    uint32_t id;

    g_assert_cmpint(device_detach(host, fd), ==, -EINVAL);  /* not bound */
    bind.iommufd = 999;
    g_assert_cmpint(host_call(host, fd, VFIO_DEVICE_BIND_IOMMUFD, &bind), ==,
                    -EBADF);
    bind.iommufd = 0;
    g_assert_cmpint(host_call(host, fd, VFIO_DEVICE_BIND_IOMMUFD, &bind), ==,
                    -EBADFD);
    bind.iommufd = copy;
    g_assert_cmpint(host_call(host, fd, VFIO_DEVICE_BIND_IOMMUFD, &bind), ==,
                    0);
    g_assert_cmpint(device_bind(host, fd, &id), ==, -EINVAL);
    g_assert_cmpint(device_bind(host, second, &id), ==, -EINVAL);
    g_assert_cmpint(host_call(host, fd, _IO(VFIO_TYPE, 107), &word), ==,
                    -ENOTTY);
    close(fd);
    g_assert_cmpint(device_bind(host, second, &id), ==, 0);
    close(second);
    close(copy);
    host_iommu_free(host);
    g_assert_cmpint(open("/dev/vfio/devices/vfio9", O_RDWR), ==, -1);
    g_assert_cmpint(errno, ==, ENOENT);
}

/* A child has a copy of all of it, and can begin anew. */
static void test_fork(void)
{
    int fd;
    int status;
    pid_t child;

#ifdef WITH_TSAN
    g_test_skip("ThreadSanitizer: no control thread after fork()");
    return;
#endif
    fd = open("/dev/iommu", O_RDWR);
    g_assert_cmpint(ioas_alloc_on(fd), ==, 1);
    child = fork();
    if (child == 0) {
        int own = open("/dev/iommu", O_RDWR);

        if (ioas_alloc_on(own) != 1 || ioas_alloc_on(fd) != 2 ||
            close(own) < 0 || close(fd) < 0) {
            _exit(1);
        }
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpint(ioas_alloc_on(fd), ==, 2);
    close(fd);
}

int main(int argc, char **argv)
{
    preload_test_init(&argc, &argv);
    g_test_add_func("/preload/iommufd/every-open-finds-it", test_every_open);
    g_test_add_func("/preload/iommufd/has-the-lowest-number",
                    test_lowest_number);
    g_test_add_func("/preload/iommufd/calls-fail-as-the-kernels",
                    test_errors_as_kernel);
    g_test_add_func("/preload/iommufd/copies-are-one-file", test_copies);
    g_test_add_func("/preload/iommufd/dup2-and-close_range-take-it-out",
                    test_replaced);
    g_test_add_func("/preload/iommufd/queue-and-device-outlive-it",
                    test_queue_outlives);
    g_test_add_func("/preload/iommufd/child-has-a-copy", test_fork);
    g_test_add_func("/preload/vfio/bound-once-by-any-copy", test_vfio_device);
    return g_test_run();
}
