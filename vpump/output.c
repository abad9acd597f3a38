/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void output_reserve_standard_fds(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            /* The other direction: what is printed must not vanish unseen. */
            int mode = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

            /* The lowest that is free, so it is this one. */
            if (open("/dev/null", mode) != fd) {
                _exit(EXIT_FAILURE);
            }
        }
    }
}

static bool fail_report(const Output *output, int err, GError **error)
{
    error_set_errno(error, err, "-report %s: cannot be written",
                    output->report_name);
    return false;
}

/* Non-blocking for the sake of a FIFO, and only until it is open. */
static int open_report(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                  0666);
    int flags;

    if (fd >= 0) {
        flags = fcntl(fd, F_GETFL);
        fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    }
    return fd;
}

bool output_open(Output *output, const char *report_name, GError **error)
{
    *output = (Output){
        .text = stdout, .report_name = report_name, .report_fd = -1,
    };
    if (!report_name) {
        return true;
    }
    if (strcmp(report_name, "-") == 0) {
        output->text = stderr;
        return true;
    }
    output->report_fd = open_report(report_name);
    if (output->report_fd >= 0) {
        return true;
    }
    if (errno == ENXIO) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_INVALID,
                    "-report %s: cannot be written: nobody reads it\n"
                    "a FIFO needs a reader before the run", report_name);
        return false;
    }
    return fail_report(output, errno, error);
}

bool output_wants_report(const Output *output)
{
    return output->report_name != NULL;
}

static int write_all(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t written = write(fd, text, left);

        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        if (written > 0) {
            text += written;
            left -= written;
        }
    }
    return 0;
}

/*
 * What does not fit into the stream's buffer is written at once, and only then
 * is it known why that fails.
 */
static bool put_report(const char *text, GError **error)
{
    if (fputs(text, stdout) != EOF) {
        return true;            /* output_flush_stdout() tells of the rest */
    }
    error_set_errno(error, errno, "stdout: cannot be written");
    clearerr(stdout);           /* told */
    return false;
}

bool output_write_report(Output *output, const char *text, GError **error)
{
    struct stat stat;
    int ret;

    if (output->report_fd < 0) {
        return put_report(text, error);
    }
    if (fstat(output->report_fd, &stat) == 0 && S_ISREG(stat.st_mode) &&
        ftruncate(output->report_fd, 0) < 0) {
        return fail_report(output, errno, error);
    }
    ret = write_all(output->report_fd, text);
    return ret == 0 || fail_report(output, -ret, error);
}

/* Some file systems say only now that there was no space. */
bool output_close(Output *output, GError **error)
{
    int fd = output->report_fd;

    output->report_fd = -1;
    return fd < 0 || close(fd) == 0 || fail_report(output, errno, error);
}

bool output_flush_stdout(GError **error)
{
    bool failed;

    errno = EIO;                /* if an earlier write failed */
    failed = ferror(stdout);
    if (fflush(stdout) == 0 && !failed) {
        return true;
    }
    error_set_errno(error, errno, "stdout: cannot be written");
    return false;
}
