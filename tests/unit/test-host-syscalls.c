/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Without a kernel that has iommufd: the messages, and that the calls reach
 * the kernel at all.
 */
#include "base/error.h"
#include "host/host-iommu.h"
#include "host/iommufd-abi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Whatever is asked whether it is an iommufd says yes. */
static bool all_are_iommufds;

/* In place of libc's, for host-syscalls.c too. */
int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (all_are_iommufds && request == IOMMU_DESTROY) {
        errno = ENOENT;
        return -1;
    }
    return syscall(SYS_ioctl, fd, request, arg);
}

typedef struct OpenCase {
    const char *name;
    const char *path;
    const char *message;
} OpenCase;

static const OpenCase open_cases[] = {
    { "missing", "/nonexistent/iommu",
      "cannot open /nonexistent/iommu (is the kernel built with "
      "CONFIG_IOMMUFD and the iommufd module loaded?): "
      "No such file or directory" },
    { "directory", "/", "cannot open /: Is a directory" },
    { "other-device", "/dev/null",
      "/dev/null is no iommufd (give the path of the kernel's, /dev/iommu as "
      "a rule): Inappropriate ioctl for device" },
};

static void test_open_fails(gconstpointer data)
{
    const OpenCase *c = data;
    GError *error = NULL;

    g_assert_null(host_syscalls_new(c->path, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==, c->message);
    g_error_free(error);
}

static void test_calls_reach_the_kernel(void)
{
    HostIommu *host;
    char buf[4] = "";
    int fds[2];

    all_are_iommufds = true;
    host = host_syscalls_new("/dev/null", NULL);
    all_are_iommufds = false;
    g_assert_nonnull(host);
    g_assert_cmpint(fcntl(host->fd, F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint(host->ops->ioctl(host, host->fd, _IO(';', 0x80), buf), ==,
                    -1);
    g_assert_cmpint(errno, ==, ENOTTY);
    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_cmpint(host->ops->write(host, fds[1], "abc", 4), ==, 4);
    g_assert_cmpint(host->ops->read(host, fds[0], buf, 4), ==, 4);
    g_assert_cmpstr(buf, ==, "abc");
    g_assert_cmpint(host->ops->close(host, fds[1]), ==, 0);
    g_assert_cmpint(host->ops->read(host, fds[0], buf, 4), ==, 0);
    g_assert_cmpint(host->ops->close(host, fds[0]), ==, 0);
    g_assert_cmpint(host->ops->close(host, -1), ==, -1);
    host_iommu_free(host);
    host_iommu_free(NULL);
}

static void test_fd_is_looked_at(void)
{
    g_autofree char *message = NULL;
    GError *error = NULL;
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    message = g_strdup_printf("fd %d is no iommufd (open /dev/iommu for "
                              "reading and writing, and pass that): "
                              "Inappropriate ioctl for device", fds[0]);
    g_assert_null(host_syscalls_new_from_fd(fds[0], &error));
    g_assert_cmpstr(error->message, ==, message);
    g_clear_error(&error);
    close(fds[1]);
    g_assert_cmpint(close(fds[0]), ==, 0);
    g_assert_null(host_syscalls_new_from_fd(fds[0], &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(open_cases); i++) {
        g_autofree char *path = g_strconcat("/host-syscalls/open-fails/",
                                            open_cases[i].name, NULL);

        g_test_add_data_func(path, &open_cases[i], test_open_fails);
    }
    g_test_add_func("/host-syscalls/calls-reach-the-kernel",
                    test_calls_reach_the_kernel);
    g_test_add_func("/host-syscalls/fd-is-looked-at", test_fd_is_looked_at);
    return g_test_run();
}
