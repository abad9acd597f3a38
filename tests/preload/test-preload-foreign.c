/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is not ours is what it was: files, pipes, sockets and errors, through
 * each of the calls that the preloaded library stands in front of.
 */
#include "preload-machine.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

int __open_2(const char *path, int flags);
ssize_t __read_chk(int fd, void *buf, size_t count, size_t room);

/* A file that is gone from its folder already. */
static int temporary_file(void)
{
    g_autofree char *name = NULL;
    int fd = g_file_open_tmp(NULL, &name, NULL);

    g_assert_cmpint(fd, >=, 0);
    unlink(name);
    return fd;
}

static void test_files(void)
{
    char first[3], second[3];
    struct iovec in[] = { { first, 3 }, { second, 3 } };
    struct iovec out[] = { { (char *)"abc", 3 }, { (char *)"def", 3 } };
    int fd = temporary_file();
    int copy;

    g_assert_cmpint(writev(fd, out, 2), ==, 6);
    g_assert_cmpint(write(fd, "ghi", 3), ==, 3);
    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    g_assert_cmpint(readv(fd, in, 2), ==, 6);
    g_assert_cmpmem(second, 3, "def", 3);
    g_assert_cmpint(__read_chk(fd, first, 3, sizeof(first)), ==, 3);
    g_assert_cmpmem(first, 3, "ghi", 3);
    g_assert_cmpint(read(fd, first, 3), ==, 0);
    /* Copies share the offset. */
    copy = dup(fd);
    g_assert_cmpint(lseek(copy, 1, SEEK_SET), ==, 1);
    g_assert_cmpint(read(fd, first, 2), ==, 2);
    g_assert_cmpmem(first, 2, "bc", 2);
    g_assert_cmpint(fcntl(fd, F_SETFL, O_APPEND), ==, 0);
    g_assert_cmpint(fcntl(copy, F_GETFL) & O_APPEND, ==, O_APPEND);
    g_assert_cmpint(close(fd), ==, 0);
    g_assert_cmpint(close(copy), ==, 0);
}

static void test_modes(void)
{
    g_autofree char *folder = g_dir_make_tmp(NULL, NULL);
    g_autofree char *path = g_build_filename(folder, "file", NULL);
    mode_t old = umask(0);
    struct stat st;
    int dir = open(folder, O_RDONLY | O_DIRECTORY);
    int fd = openat(dir, "file", O_RDWR | O_CREAT | O_EXCL, 0640);

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0640);
    close(fd);
    g_assert_cmpint(open(path, O_RDWR | O_CREAT | O_EXCL, 0600), ==, -1);
    g_assert_cmpint(errno, ==, EEXIST);
    fd = open(folder, O_RDWR | O_TMPFILE, 0604);
    if (fd >= 0) {              /* not every file system has it */
        g_assert_cmpint(fstat(fd, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0604);
        close(fd);
    }
    g_assert_cmpint(__open_2("/does/not/exist", O_RDONLY), ==, -1);
    g_assert_cmpint(errno, ==, ENOENT);
    umask(old);
    close(dir);
    unlink(path);
    rmdir(folder);
}

static void test_pipes(void)
{
    int fds[2];
    int count = 0;
    char byte;

    g_assert_cmpint(pipe2(fds, O_NONBLOCK | O_CLOEXEC), ==, 0);
    g_assert_cmpint(read(fds[0], &byte, 1), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
    g_assert_cmpint(write(fds[1], "ab", 2), ==, 2);
    g_assert_cmpint(ioctl(fds[0], FIONREAD, &count), ==, 0);
    g_assert_cmpint(count, ==, 2);
    g_assert_cmpint(read(fds[0], &byte, 1), ==, 1);
    close(fds[0]);
    signal(SIGPIPE, SIG_IGN);
    g_assert_cmpint(write(fds[1], "c", 1), ==, -1);
    g_assert_cmpint(errno, ==, EPIPE);
    close(fds[1]);
}

static void test_sockets(void)
{
    int fds[2];
    char byte;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    g_assert_cmpint(write(fds[0], "x", 1), ==, 1);
    g_assert_cmpint(dup2(fds[1], 310), ==, 310);
    close(fds[1]);
    g_assert_cmpint(read(310, &byte, 1), ==, 1);
    g_assert_cmpint(shutdown(310, SHUT_RDWR), ==, 0);
    g_assert_cmpint(read(fds[0], &byte, 1), ==, 0);
    g_assert_cmpint(close_range(310, 310, 0), ==, 0);
    g_assert_cmpint(close(310), ==, -1);
    g_assert_cmpint(errno, ==, EBADF);
    close(fds[0]);
}

static void test_bad_numbers(void)
{
    static const int numbers[] = { -1, 999, 1 << 20, INT_MAX };
    /* By a pointer, of which no compiler knows that NULL is forbidden. */
    int (*volatile any_open)(const char *path, int flags, ...) = open;
    char byte = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        int fd = numbers[i];

        g_assert_cmpint(read(fd, &byte, 1), ==, -1);
        g_assert_cmpint(errno, ==, EBADF);
        g_assert_cmpint(write(fd, &byte, 1), ==, -1);
        g_assert_cmpint(ioctl(fd, FIONREAD, &byte), ==, -1);
        g_assert_cmpint(dup(fd), ==, -1);
        g_assert_cmpint(dup2(fd, 3), ==, -1);
        g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1);
        g_assert_cmpint(close(fd), ==, -1);
        g_assert_cmpint(errno, ==, EBADF);
    }
    g_assert_cmpint(close_range(5, 4, 0), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    g_assert_cmpint(any_open(NULL, O_RDONLY), ==, -1);
    g_assert_cmpint(errno, ==, EFAULT);
    g_assert_cmpint(open("/dev/iommu/x", O_RDONLY), ==, -1);
}

int main(int argc, char **argv)
{
    preload_test_init(&argc, &argv);
    g_test_add_func("/preload/foreign/files-are-what-they-were", test_files);
    g_test_add_func("/preload/foreign/modes-get-through", test_modes);
    g_test_add_func("/preload/foreign/pipes-are-what-they-were", test_pipes);
    g_test_add_func("/preload/foreign/sockets-are-what-they-were",
                    test_sockets);
    g_test_add_func("/preload/foreign/bad-numbers-are-EBADF",
                    test_bad_numbers);
    return g_test_run();
}
