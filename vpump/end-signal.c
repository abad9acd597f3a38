/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "end-signal.h"

#include "base/error.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* As a shell reports a process that SIGINT ended. */
#define STATUS_INTERRUPTED 130

/* For the handler, which has no argument to find them by. */
static int end_fd = -1;         /* [const] once the handler is installed */
static atomic_uint signal_count; /* [atomic] handlers may nest */

/* A signal handler, so it does no more than this. */
static void on_signal(int signal_number)
{
    const uint64_t one = 1;
    int saved_errno = errno;

    if (atomic_fetch_add(&signal_count, 1) > 0) {
        _exit(STATUS_INTERRUPTED);
    }
    if (write(end_fd, &one, sizeof(one)) != sizeof(one)) {
        _exit(STATUS_INTERRUPTED);
    }
    errno = saved_errno;
}

bool end_signal_init(GError **error)
{
    const struct sigaction action = {
        .sa_handler = on_signal,
        .sa_flags = SA_RESTART,
    };
    sigset_t set;

    end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (end_fd < 0) {
        error_set_errno(error, errno, "eventfd for signals");
        return false;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* Whoever started us may have had them blocked. */
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return true;
}

int end_signal_get_fd(void)
{
    return end_fd;
}
