/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forbidden-calls.h"

#include "host/iommufd-abi.h"

#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static void call_execve(void)
{
    char *argv[] = { NULL };

    execve("/nonexistent", argv, argv);
}

static void call_open_to_write(void)
{
    open("/dev/null", O_WRONLY);
}

static void call_open_to_create(void)
{
    open("/nonexistent/file", O_RDONLY | O_CREAT, 0600);
}

static void call_openat2(void)
{
    syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0);
}

static void call_unlink(void)
{
    unlink("/nonexistent");
}

static void call_rename(void)
{
    rename("/nonexistent", "/nonexistent");
}

static void call_chmod(void)
{
    chmod("/nonexistent", 0);
}

static void call_socket(void)
{
    socket(AF_UNIX, SOCK_STREAM, 0);
}

static void call_socketpair_of_no_unix(void)
{
    int fds[2];

    socketpair(AF_INET, SOCK_STREAM, 0, fds);
}

static void call_sendto_somebody(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };

    sendto(-1, "", 0, 0, (struct sockaddr *)&address, sizeof(address));
}

static void call_sendmsg(void)
{
    struct msghdr message = { 0 };

    sendmsg(-1, &message, 0);
}

static void call_ptrace(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void call_process_vm_writev(void)
{
    process_vm_writev(getpid(), NULL, 0, NULL, 0, 0);
}

static void call_mmap_exec(void)
{
    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
         0);
}

static void call_mprotect_exec(void)
{
    mprotect(NULL, 0, PROT_READ | PROT_EXEC);
}

static void call_memfd_create(void)
{
    memfd_create("m", 0);
}

static void call_kill(void)
{
    kill(getppid(), 0);
}

static void call_tgkill_of_another(void)
{
    syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static void call_ioctl_of_another_type(void)
{
    int count;

    ioctl(0, FIONREAD, &count);
}

/* The right type and number, but of a request with an argument's size. */
static void call_ioctl_of_another_size(void)
{
    ioctl(0, _IOW(IOMMUFD_TYPE, 0x80, int), NULL);
}

static void call_fork(void)
{
    if (syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) == 0) {
        _exit(0);
    }
}

/* Would need a stack, had the kernel not refused it before. */
static void call_clone_into_namespace(void)
{
    syscall(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
            CLONE_THREAD | CLONE_NEWUSER, NULL, NULL, NULL, NULL);
}

static void call_setuid(void)
{
    syscall(SYS_setuid, getuid());
}

static void call_capset(void)
{
    syscall(SYS_capset, NULL, NULL);
}

static void call_mount(void)
{
    mount(NULL, "/nonexistent", NULL, MS_REMOUNT, NULL);
}

static void call_unshare(void)
{
    unshare(0);
}

static void call_bpf(void)
{
    syscall(SYS_bpf, 0, NULL, 0);
}

static void call_perf_event_open(void)
{
    syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0);
}

static void call_io_uring_setup(void)
{
    syscall(SYS_io_uring_setup, 0, NULL);
}

static void call_userfaultfd(void)
{
    syscall(SYS_userfaultfd, 0);
}

static void call_keyctl(void)
{
    syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}

static void call_seccomp(void)
{
    syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, NULL);
}

static void call_prctl(void)
{
    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static void call_personality(void)
{
    personality(0xffffffff);
}

static void call_setrlimit(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_CORE, &limit);
    setrlimit(RLIMIT_CORE, &limit);
}

static void call_fcntl_setown(void)
{
    fcntl(0, F_SETOWN, getppid());
}

/* It interrupts CPUs, of guests too: see base/rcu.h. */
static void call_membarrier(void)
{
    syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
}

const ForbiddenCall forbidden_calls[] = {
    { "execve", call_execve, false },
    { "open to write", call_open_to_write, false },
    { "open to create", call_open_to_create, false },
    { "openat2", call_openat2, false },
    { "unlink", call_unlink, false },
    { "rename", call_rename, false },
    { "chmod", call_chmod, true },
    { "socket", call_socket, true },
    { "socketpair", call_socketpair_of_no_unix, false },
    { "sendto", call_sendto_somebody, false },
    { "sendmsg", call_sendmsg, false },
    { "ptrace", call_ptrace, false },
    { "process_vm_writev", call_process_vm_writev, true },
    { "mmap PROT_EXEC", call_mmap_exec, false },
    { "mprotect PROT_EXEC", call_mprotect_exec, false },
    { "memfd_create", call_memfd_create, false },
    { "kill", call_kill, false },
    { "tgkill of another", call_tgkill_of_another, false },
    { "ioctl of another type", call_ioctl_of_another_type, false },
    { "ioctl of another size", call_ioctl_of_another_size, false },
    { "fork", call_fork, false },
    { "clone into a namespace", call_clone_into_namespace, false },
    { "setuid", call_setuid, true },
    { "capset", call_capset, true },
    { "mount", call_mount, true },
    { "unshare", call_unshare, true },
    { "bpf", call_bpf, true },
    { "perf_event_open", call_perf_event_open, true },
    { "io_uring_setup", call_io_uring_setup, true },
    { "userfaultfd", call_userfaultfd, true },
    { "keyctl", call_keyctl, true },
    { "seccomp", call_seccomp, false },
    { "prctl", call_prctl, false },
    { "personality", call_personality, false },
    { "setrlimit", call_setrlimit, false },
    { "fcntl F_SETOWN", call_fcntl_setown, false },
    { "membarrier", call_membarrier, false },
    { NULL, NULL, false },
};
