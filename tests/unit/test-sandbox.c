/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a confined process cannot do, and what it still can. Each case is a
 * child of its own, and each call that must kill it is also made by one that
 * is not confined, and survives.
 */
#include "forbidden-calls.h"
#include "instrumented.h"
#include "sandbox.h"
#include "vpump-process.h"

#include "base/rcu.h"
#include "host/iommufd-abi.h"
#include "iothread/iothread.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* How a child ends that came to its end. */
#define SURVIVED 42

/* ---- Children ---- */

static bool kernel_has_seccomp(void)
{
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
}

static bool skip_without_seccomp(void)
{
    if (!kernel_has_seccomp()) {
        g_test_skip("this kernel has no seccomp");
        return true;
    }
    return false;
}

static void enter(AioContext *const *contexts, size_t count)
{
    GError *error = NULL;

    sandbox_enter(contexts, count, &error);
    g_assert_no_error(error);
}

/* Return: how a child ended that has run @body(@opaque). */
static int run_child(void (*body)(void *opaque), void *opaque)
{
    pid_t pid = fork();
    int status;

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        const struct rlimit no_core = { 0, 0 };

        setrlimit(RLIMIT_CORE, &no_core);
        /* There GLib says "Bail out!" when an assertion fails. */
        dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
        rcu_register_thread();
        body(opaque);
        _exit(SURVIVED);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static bool has_survived(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == SURVIVED;
}

static bool was_killed(int status, int signal_number)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == signal_number;
}

typedef struct Forbidden {
    void (*call)(void);
    bool confined;
} Forbidden;

static void child_call(void *opaque)
{
    const Forbidden *forbid = opaque;

    if (forbid->confined) {
        enter(NULL, 0);
    }
    forbid->call();
}

static void test_forbidden_call_kills(void)
{
    if (skip_without_seccomp()) {
        return;
    }
    for (const ForbiddenCall *call = forbidden_calls; call->name; call++) {
        Forbidden forbid = { call->call, true };

        if (INSTRUMENTED && !call->always) {
            continue;
        }
        g_test_message("%s", call->name);
        g_assert_true(was_killed(run_child(child_call, &forbid), SIGSYS));
    }
}

/* Or the test above would show nothing. */
static void test_unconfined_survives(void)
{
    for (const ForbiddenCall *call = forbidden_calls; call->name; call++) {
        Forbidden forbid = { call->call, false };

        g_test_message("%s", call->name);
        g_assert_true(has_survived(run_child(child_call, &forbid)));
    }
}

/* What this process' status says of @name, a number of @base, or @missing. */
static uint64_t own_status(const char *name, unsigned base, uint64_t missing)
{
    g_autofree char *status = NULL;
    const char *line;

    g_assert_true(g_file_get_contents("/proc/self/status", &status, NULL,
                                      NULL));
    line = strstr(status, name);
    return line ? g_ascii_strtoull(line + strlen(name), NULL, base) : missing;
}

/* A container's root may not have it. */
static bool may_drop_bounding_set(void)
{
    return own_status("\nCapEff:\t", 16, 0) >> CAP_SETPCAP & 1;
}

/* ---- Threads ---- */

static void call_socket(void)
{
    socket(AF_UNIX, SOCK_STREAM, 0);
}

static void socket_bh(void *opaque)
{
    call_socket();
}

static void child_iothread(void *opaque)
{
    const IOThreadProperties properties = IOTHREAD_PROPERTIES_DEFAULT;
    IOThread *iothread = iothread_new("io", &properties, NULL);
    AioContext *ctx = iothread_get_aio_context(iothread);

    enter(&ctx, 1);
    aio_wait_bh_oneshot(ctx, socket_bh, NULL);
}

static void socket_deferred(RcuDeferred *deferred)
{
    call_socket();
    g_free(deferred);
}

static void child_rcu_thread(void *opaque)
{
    enter(NULL, 0);
    rcu_defer(g_new0(RcuDeferred, 1), socket_deferred);
    rcu_defer_drain();
}

static void *socket_thread(void *opaque)
{
    call_socket();
    return NULL;
}

static void child_later_thread(void *opaque)
{
    pthread_t thread;

    enter(NULL, 0);
    pthread_create(&thread, NULL, socket_thread, NULL);
    pthread_join(thread, NULL);
}

static void test_every_thread_is_confined(void)
{
    static void (*const bodies[])(void *opaque) = {
        child_iothread, child_rcu_thread, child_later_thread,
    };

    if (skip_without_seccomp()) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bodies); i++) {
        g_assert_true(was_killed(run_child(bodies[i], NULL), SIGSYS));
    }
}

/* One that sandbox_enter() was not told of keeps its rights: noticed. */
static void child_forgotten_thread(void *opaque)
{
    const IOThreadProperties properties = IOTHREAD_PROPERTIES_DEFAULT;
    GError *error = NULL;

    iothread_new("io", &properties, NULL);
    g_assert_false(sandbox_enter(NULL, 0, &error));
    g_assert_nonnull(strstr(error->message, "keeps capabilities"));
}

static void test_forgotten_thread_is_noticed(void)
{
    if (own_status("\nCapEff:\t", 16, 0) == 0 || INSTRUMENTED) {
        g_test_skip("takes root, and a build without sanitizer");
        return;
    }
    g_assert_true(has_survived(run_child(child_forgotten_thread, NULL)));
}

/* ---- What goes on ---- */

static void *nothing_thread(void *opaque)
{
    return opaque;
}

static void child_usual(void *opaque)
{
    pthread_t thread;
    int fd, fds[2];
    void *memory;

    enter(NULL, 0);
    fd = eventfd(0, EFD_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ioctl(fd, IOMMU_DESTROY, NULL), <, 0);
    g_assert_cmpint(errno, ==, ENOTTY);
    g_assert_cmpint(close(fd), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    g_assert_cmpint(send(fds[0], "x", 1, MSG_NOSIGNAL), ==, 1);
    g_assert_cmpint(pthread_create(&thread, NULL, nothing_thread, NULL), ==, 0);
    g_assert_cmpint(pthread_join(thread, NULL), ==, 0);
    memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(memory != MAP_FAILED);
    g_assert_cmpint(mprotect(memory, 4096, PROT_READ), ==, 0);
    g_assert_cmpint(prctl(PR_SET_NAME, "x", 0, 0, 0), ==, 0);
    free(malloc(64 * 1024 * 1024));
    free(calloc(1, 64));
}

/* Not for lack of rights: it is the filter that answers, for anybody. */
static void child_open_to_read(void *opaque)
{
    enter(NULL, 0);
    g_assert_cmpint(open("/", O_RDONLY), <, 0);
    g_assert_cmpint(errno, ==, EACCES);
}

static void test_usual_calls_go_on(void)
{
    if (skip_without_seccomp()) {
        return;
    }
    g_assert_true(has_survived(run_child(child_usual, NULL)));
    if (!INSTRUMENTED) {
        g_assert_true(has_survived(run_child(child_open_to_read, NULL)));
    }
}

/* As an assertion does; GLib wants to read files for its message. */
static void child_assert(void *opaque)
{
    enter(NULL, 0);
    g_assert_cmpint(*(int *)opaque, ==, 1);
}

static void child_abort(void *opaque)
{
    enter(NULL, 0);
    abort();
}

static void child_free_twice(void *opaque)
{
    void *volatile memory = malloc(64 * 1024);

    enter(NULL, 0);
    free(memory);
    free(memory);
}

static void test_abort_is_no_sigsys(void)
{
    int zero = 0;

    if (skip_without_seccomp()) {
        return;
    }
    g_assert_true(was_killed(run_child(child_abort, NULL), SIGABRT));
    g_assert_true(was_killed(run_child(child_assert, &zero), SIGABRT));
    if (!INSTRUMENTED) {
        g_assert_true(was_killed(run_child(child_free_twice, NULL), SIGABRT));
    }
}

/* ---- The program ---- */

/* Each thread of process @pid has the line @line in its status. */
static bool all_threads_have(GPid pid, const char *line)
{
    g_autofree char *tasks = g_strdup_printf("/proc/%d/task", pid);
    g_autoptr(GDir) dir = g_dir_open(tasks, 0, NULL);
    unsigned count = 0;
    bool all = true;
    const char *tid;

    g_assert_nonnull(dir);
    while ((tid = g_dir_read_name(dir))) {
        g_autofree char *path = g_strdup_printf("%s/%s/status", tasks, tid);
        g_autofree char *status = NULL;

        g_assert_true(g_file_get_contents(path, &status, NULL, NULL));
        all &= strstr(status, line) != NULL;
        count++;
    }
    /* Of the default machine: iothreads, guests, devices and their loads. */
    g_assert_cmpuint(count, >, 10);
    return all;
}

/* All have @more filters than this process, which may have some, too. */
static bool all_threads_have_filters(GPid pid, unsigned more)
{
    uint64_t own = own_status("\nSeccomp_filters:\t", 10, UINT64_MAX);
    g_autofree char *line = g_strdup_printf(
        "\nSeccomp_filters:\t%" PRIu64 "\n", own + more);

    /* Before Linux 5.9 they are not counted. */
    return own == UINT64_MAX || all_threads_have(pid, line);
}

static void test_program_is_confined(void)
{
    GPid pid;
    int out;

    if (skip_without_seccomp()) {
        return;
    }
    pid = vpump_start_endless(&out);
    g_assert_true(all_threads_have(pid, "\nNoNewPrivs:\t1\n"));
    g_assert_true(all_threads_have(pid, "\nSeccomp:\t2\n"));
    g_assert_true(all_threads_have_filters(pid, 1));
    if (!INSTRUMENTED) {
        g_assert_true(all_threads_have(pid, "\nCapInh:\t0000000000000000\n"));
        g_assert_true(all_threads_have(pid, "\nCapPrm:\t0000000000000000\n"));
        g_assert_true(all_threads_have(pid, "\nCapEff:\t0000000000000000\n"));
        g_assert_true(all_threads_have(pid, "\nCapAmb:\t0000000000000000\n"));
        if (may_drop_bounding_set()) {
            g_assert_true(
                all_threads_have(pid, "\nCapBnd:\t0000000000000000\n"));
        }
    }
    kill(pid, SIGINT);
    g_assert_cmpint(vpump_finish(pid, out), ==, 0);
}

static void test_program_unconfined(void)
{
    static const char *const words[] = {
        "-sandbox", "off", "-duration", "0", NULL
    };
    GPid pid;
    int out;
    char byte;

    pid = vpump_start(words, NULL, NULL, &out);
    g_assert_cmpint(read(out, &byte, 1), ==, 1);
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0) {
        g_assert_false(all_threads_have(pid, "\nNoNewPrivs:\t1\n"));
    }
    g_assert_true(all_threads_have_filters(pid, 0));
    kill(pid, SIGINT);
    g_assert_cmpint(vpump_finish(pid, out), ==, 0);
}

/* Both kinds of queues, on the kernel's own host. */
static void test_program_on_the_kernel(void)
{
    static const char *const words[] = {
        "-duration", "2", "-report", "-", "-quiet",
        "-object", "iommufd,id=h",
        "-device", "arm-smmuv3,id=s",
        "-device", "iommufd-mock,id=d0,viommu=s,iommufd=h",
        "-device", "intel-iommu,id=v",
        "-device", "iommufd-mock,id=d1,viommu=v,iommufd=h", NULL
    };
    Outcome outcome;

    if (!g_getenv("VPUMP_TEST_IOMMUFD")) {
        g_test_skip("for scripts/test-kernel");
        return;
    }
    if (skip_without_seccomp()) {
        return;
    }
    outcome = vpump_run(words);
    g_assert_cmpstr(outcome.err, ==, "");
    g_assert_cmpint(outcome.status, ==, 0);
    g_assert_true(report_is_balanced(outcome.out));
    outcome_clear(&outcome);
}

/* Runs in the child: from here on it has a kernel without seccomp. */
static void forbid_seccomp(gpointer opaque)
{
    const struct scmp_arg_cmp set_seccomp = {
        0, SCMP_CMP_EQ, PR_SET_SECCOMP, 0
    };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0);
    seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
                           &set_seccomp);
    seccomp_load(filter);
}

static void test_kernel_without_seccomp(void)
{
    static const char *const on[] = { "-duration", "0.1", "-quiet", NULL };
    static const char *const off[] = { "-duration", "0.1", "-quiet",
                                       "-sandbox", "off", NULL };
    Outcome outcome;

    if (skip_without_seccomp()) {
        return;
    }
    outcome = vpump_run_with(on, forbid_seccomp, NULL);
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_true(g_str_has_prefix(
        outcome.err, "vpump: -sandbox on: this kernel takes no filter of "
                     "system calls (CONFIG_SECCOMP_FILTER, Linux 4.14): "));
    g_assert_true(g_str_has_suffix(outcome.err,
                                   "\n-sandbox off runs without\n"));
    outcome_clear(&outcome);
    outcome = vpump_run_with(off, forbid_seccomp, NULL);
    g_assert_cmpint(outcome.status, ==, 0);
    outcome_clear(&outcome);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sandbox/forbidden-call-kills", test_forbidden_call_kills);
    g_test_add_func("/sandbox/unconfined-survives", test_unconfined_survives);
    g_test_add_func("/sandbox/every-thread-is-confined",
                    test_every_thread_is_confined);
    g_test_add_func("/sandbox/forgotten-thread-is-noticed",
                    test_forgotten_thread_is_noticed);
    g_test_add_func("/sandbox/usual-calls-go-on", test_usual_calls_go_on);
    g_test_add_func("/sandbox/abort-is-no-sigsys", test_abort_is_no_sigsys);
    g_test_add_func("/sandbox/program/is-confined", test_program_is_confined);
    g_test_add_func("/sandbox/program/unconfined", test_program_unconfined);
    g_test_add_func("/sandbox/program/on-the-kernel",
                    test_program_on_the_kernel);
    g_test_add_func("/sandbox/program/kernel-without-seccomp",
                    test_kernel_without_seccomp);
    return g_test_run();
}
