/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proc-self.h"

#include <dirent.h>
#include <fcntl.h>
#include <glib.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned entries(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    unsigned count = 0;

    g_assert_nonnull(dir);
    while ((entry = readdir(dir))) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

unsigned proc_self_fds(void)
{
    return entries("/proc/self/fd") - 1;
}

unsigned proc_self_threads(void)
{
    return entries("/proc/self/task");
}

unsigned proc_self_lasting_threads(void)
{
#ifdef WITH_TSAN
    return 3;
#else
    return 2;
#endif
}

void proc_self_wait_threads(unsigned count)
{
    gint64 deadline = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

    while (proc_self_threads() != count) {
        if (g_get_monotonic_time() > deadline) {
            g_error("%u threads, not %u", proc_self_threads(), count);
        }
        sched_yield();
    }
}

bool proc_self_is_asleep(pid_t tid)
{
    char path[64];
    char stat[512];
    const char *state;
    ssize_t len;
    int fd;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    len = read(fd, stat, sizeof(stat) - 1);
    close(fd);
    stat[MAX(len, 0)] = '\0';
    /* "TID (name) S ...": the name may hold anything, brackets too. */
    state = strrchr(stat, ')');
    return state && state[1] == ' ' && state[2] == 'S';
}
