/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vpump-process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_US (40 * G_USEC_PER_SEC)

static void test_signal_ends_in_order(void)
{
    static const int signals[] = { SIGINT, SIGTERM };

    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
        int out;
        GPid pid = vpump_start_endless(&out);

        kill(pid, signals[i]);
        g_assert_cmpint(vpump_finish(pid, out), ==, 0);
    }
}

/* Stopped meanwhile, so that both are there when it goes on. */
static void test_second_signal_ends_at_once(void)
{
    int out;
    GPid pid = vpump_start_endless(&out);

    kill(pid, SIGSTOP);
    kill(pid, SIGINT);
    kill(pid, SIGTERM);
    kill(pid, SIGCONT);
    g_assert_cmpint(vpump_finish(pid, out), ==, 130);
}

/* A pipe that takes nothing more. */
static void make_full_pipe(int fds[2])
{
    char block[4096] = { 0 };

    g_assert_cmpint(pipe2(fds, O_CLOEXEC | O_NONBLOCK), ==, 0);
    while (write(fds[1], block, sizeof(block)) > 0) {
    }
    while (write(fds[1], block, 1) > 0) {
    }
    g_assert_cmpint(fcntl(fds[1], F_SETFL, O_WRONLY), ==, 0);
}

/* Runs in the child. */
static void use_as_stdout(gpointer opaque)
{
    dup2(GPOINTER_TO_INT(opaque), STDOUT_FILENO);
}

/*
 * Until the main thread is in write(1, ...). Return: false if we may not look,
 * as in some containers.
 */
static bool wait_until_writing(GPid pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/syscall", (int)pid);
    g_autofree char *writing = g_strdup_printf("%d 0x1 ", SYS_write);
    gint64 deadline = g_get_monotonic_time() + DEADLINE_US;

    do {
        g_autofree char *text = NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL)) {
            return false;
        }
        if (g_str_has_prefix(text, writing)) {
            return true;
        }
        g_usleep(0);
    } while (g_get_monotonic_time() < deadline);
    g_assert_not_reached();
}

/* The first signal changes nothing for a blocked write(); the second must. */
static void test_second_signal_ends_a_blocked_write(void)
{
    static const char *const words[] = { "-duration", "0.05", NULL };
    int fds[2];
    GPid pid;

#ifdef WITH_TSAN
    g_test_skip("ThreadSanitizer holds a handler back until write() returns");
    return;
#endif
    make_full_pipe(fds);
    pid = vpump_start(words, use_as_stdout, GINT_TO_POINTER(fds[1]), NULL);
    if (wait_until_writing(pid)) {
        kill(pid, SIGINT);
        kill(pid, SIGTERM);
        g_assert_cmpint(vpump_finish(pid, -1), ==, 130);
    } else {
        g_test_skip("/proc/PID/syscall cannot be read here");
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    close(fds[0]);
    close(fds[1]);
}

/* The value of @name in the status of a thread. */
static uint64_t status_mask(const char *task, const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/status", task);
    g_autofree char *text = NULL;
    const char *found;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    found = strstr(text, name);
    g_assert_nonnull(found);
    return strtoull(found + strlen(name), NULL, 16);
}

/* Also the one that liburcu makes, whose name is the program's. */
static void test_only_the_main_thread_takes_signals(void)
{
    const uint64_t both = UINT64_C(1) << (SIGINT - 1) |
                          UINT64_C(1) << (SIGTERM - 1);
    int out;
    GPid pid = vpump_start_endless(&out);
    g_autofree char *tasks = g_strdup_printf("/proc/%d/task", (int)pid);
    GDir *dir = g_dir_open(tasks, 0, NULL);
    const char *tid;
    int threads = 0;

    while ((tid = g_dir_read_name(dir))) {
        g_autofree char *task = g_build_filename(tasks, tid, NULL);
        uint64_t blocked = status_mask(task, "SigBlk:") & both;

        g_assert_cmphex(blocked, ==, atoi(tid) == pid ? 0 : both);
        threads++;
    }
    g_dir_close(dir);
    g_assert_cmpint(threads, >=, 13);
    kill(pid, SIGINT);
    g_assert_cmpint(vpump_finish(pid, out), ==, 0);
}

/* Names of all threads, each followed by a newline. */
static char *thread_names(GPid pid)
{
    g_autofree char *tasks = g_strdup_printf("/proc/%d/task", (int)pid);
    GDir *dir = g_dir_open(tasks, 0, NULL);
    GString *names = g_string_new("\n");
    const char *tid;

    while ((tid = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(tasks, tid, "comm", NULL);
        g_autofree char *comm = NULL;

        g_assert_true(g_file_get_contents(path, &comm, NULL, NULL));
        g_string_append(names, comm);
    }
    g_dir_close(dir);
    return g_string_free(names, FALSE);
}

static bool has_thread(GPid pid, const char *name)
{
    g_autofree char *names = thread_names(pid);

    return strstr(names, name) != NULL;
}

static void test_threads_have_names(void)
{
    static const char *const expected[] = {
        "\nbox\n", "\nIO smmu0-iothre\n", "\nIO vtd0-iothrea\n",
        "\nguest smmu0\n", "\nguest vtd1\n", "\nload smmu0-dev3\n",
        "\nload vtd0-dev0\n", "\nload vtd1-dev0\n", "\nsva vtd1-dev3\n",
    };
    static const char *const words[] = { "-name", "a,process=box", "-duration",
                                         "0", "-load", "100", NULL };
    int out;
    GPid pid = vpump_start(words, NULL, NULL, &out);
    char byte;

    g_assert_cmpint(read(out, &byte, 1), ==, 1);
    /* A thread gives itself its name, maybe after the heading is printed. */
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        while (!has_thread(pid, expected[i])) {
            sched_yield();
        }
    }
    kill(pid, SIGINT);
    g_assert_cmpint(vpump_finish(pid, out), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/end-signal/ends-in-order", test_signal_ends_in_order);
    g_test_add_func("/end-signal/second-ends-at-once",
                    test_second_signal_ends_at_once);
    g_test_add_func("/end-signal/second-ends-a-blocked-write",
                    test_second_signal_ends_a_blocked_write);
    g_test_add_func("/end-signal/only-the-main-thread-takes-signals",
                    test_only_the_main_thread_takes_signals);
    g_test_add_func("/end-signal/threads-have-names", test_threads_have_names);
    return g_test_run();
}
