/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two tables: what is allowed, and, for builds whose runtime would not live
 * with that, what is forbidden. Only values can be looked at, nothing that an
 * argument points to.
 */
#include "sandbox.h"

#include "base/error.h"
#include "capabilities.h"
#include "instrumented.h"

#include "host/iommufd-abi.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/**
 * struct Rule - one system call
 * @call: SCMP_SYS(); one that this machine does not have is no error
 * @action: what becomes of it
 * @count: of the conditions on @args that all must hold
 */
typedef struct Rule {
    int call;
    uint32_t action;
    unsigned count;
    struct scmp_arg_cmp args[2];
} Rule;

#define RULE_IF(name, action, ...)                                            \
    { SCMP_SYS(name), (action),                                               \
      sizeof((struct scmp_arg_cmp[]){ __VA_ARGS__ }) /                        \
          sizeof(struct scmp_arg_cmp), { __VA_ARGS__ } }
#define RULE(name, action) { SCMP_SYS(name), (action), 0, { { 0 } } }
#define ALLOW(name) RULE(name, SCMP_ACT_ALLOW)
#define KILL(name) RULE(name, SCMP_ACT_KILL_PROCESS)
#define ALLOW_IF(name, ...) RULE_IF(name, SCMP_ACT_ALLOW, __VA_ARGS__)
#define REFUSE_IF(name, ...)                                                  \
    RULE_IF(name, SCMP_ACT_ERRNO(EACCES), __VA_ARGS__)

#define IS(arg, value) { arg, SCMP_CMP_EQ, value, 0 }
#define MASKED(arg, mask, value) { arg, SCMP_CMP_MASKED_EQ, mask, value }
/* An int: what is in the upper half of its register does not count. */
#define IS_INT(arg, value) MASKED(arg, UINT32_MAX, (uint32_t)(value))

/* All of iommufd's requests, the mock driver's and VFIO's are _IO(';', n). */
#define REQUEST_MASK (UINT32_MAX & ~UINT64_C(0xff))
#define IOMMUFD_REQUESTS _IO(IOMMUFD_TYPE, 0)

/* Of open(): any of these would change something. */
#define OPEN_CHANGES (O_ACCMODE | O_CREAT | O_TRUNC)

/* A thread has all of these, and none of those. */
#define THREAD_FLAGS                                                          \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define THREAD_MASK                                                           \
    (THREAD_FLAGS | CLONE_VFORK | CLONE_PTRACE | CLONE_NEWNS |                \
     CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |          \
     CLONE_NEWPID | CLONE_NEWNET)

static const Rule allowed[] = {
    /* Queues, interrupts, recordings, what is printed. */
    ALLOW(read), ALLOW(write), ALLOW(pread64), ALLOW(pwrite64), ALLOW(writev),
    ALLOW(lseek), ALLOW(close), ALLOW(fstat), ALLOW(ftruncate),
    ALLOW_IF(newfstatat, MASKED(3, AT_EMPTY_PATH, AT_EMPTY_PATH)),
    ALLOW_IF(fcntl, IS_INT(1, F_GETFD)), ALLOW_IF(fcntl, IS_INT(1, F_GETFL)),
    ALLOW_IF(fcntl, IS_INT(1, F_SETFL)),
    ALLOW_IF(fcntl, IS_INT(1, F_GET_SEALS)),
    /* The host; and how wide a terminal is. */
    ALLOW_IF(ioctl, MASKED(1, REQUEST_MASK, IOMMUFD_REQUESTS)),
    ALLOW_IF(ioctl, IS_INT(1, TCGETS)), ALLOW_IF(ioctl, IS_INT(1, TIOCGWINSZ)),
    /* The emulated host's queues. */
    ALLOW(pipe2), ALLOW_IF(socketpair, IS_INT(0, AF_UNIX)),
    ALLOW_IF(sendto, IS(4, 0)), ALLOW(recvfrom),
    ALLOW(timerfd_create), ALLOW(timerfd_settime),
    /* Event loops. */
    ALLOW(eventfd2), ALLOW(epoll_create1), ALLOW(epoll_ctl),
    ALLOW(epoll_wait), ALLOW(epoll_pwait), ALLOW(epoll_pwait2),
    ALLOW(poll), ALLOW(ppoll),
    ALLOW(clock_gettime), ALLOW(clock_nanosleep), ALLOW(nanosleep),
    /* Memory, none of it executable. */
    ALLOW(brk), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise),
    ALLOW_IF(mmap, MASKED(2, PROT_EXEC, 0)),
    ALLOW_IF(mprotect, MASKED(2, PROT_EXEC, 0)),
    /* Threads. What clone3() makes cannot be seen: clone() is used then. */
    RULE(clone3, SCMP_ACT_ERRNO(ENOSYS)),
    ALLOW_IF(clone, MASKED(0, THREAD_MASK, THREAD_FLAGS)),
    ALLOW_IF(prctl, IS_INT(0, PR_SET_NAME)),
    ALLOW(set_robust_list), ALLOW(rseq), ALLOW(futex),
    ALLOW(sched_yield), ALLOW(sched_getaffinity), ALLOW(gettid), ALLOW(exit),
    /* Signals, and the end. */
    ALLOW(rt_sigaction), ALLOW(rt_sigprocmask), ALLOW(rt_sigreturn),
    ALLOW(sigaltstack), ALLOW(restart_syscall), ALLOW(exit_group),
    /* The C library and GLib. */
    ALLOW(getpid), ALLOW(getppid), ALLOW(getrandom), ALLOW(sysinfo),
    ALLOW_IF(prlimit64, IS_INT(0, 0), IS(2, 0)),
    REFUSE_IF(open, MASKED(1, OPEN_CHANGES, O_RDONLY)),
    REFUSE_IF(openat, MASKED(2, OPEN_CHANGES, O_RDONLY)),
};

static const Rule forbidden[] = {
    KILL(socket), KILL(bind), KILL(listen), KILL(accept), KILL(accept4),
    KILL(connect), KILL(mount), KILL(umount2), KILL(pivot_root), KILL(chroot),
    KILL(unshare), KILL(setns), KILL(setuid), KILL(setgid), KILL(setreuid),
    KILL(setregid), KILL(setresuid), KILL(setresgid), KILL(setgroups),
    KILL(capset), KILL(bpf), KILL(perf_event_open), KILL(userfaultfd),
    KILL(io_uring_setup), KILL(keyctl), KILL(add_key), KILL(request_key),
    KILL(init_module), KILL(finit_module), KILL(delete_module),
    KILL(kexec_load), KILL(kexec_file_load), KILL(reboot), KILL(swapon),
    KILL(process_vm_writev), KILL(mknod), KILL(mknodat), KILL(chown),
    KILL(fchown), KILL(fchownat), KILL(chmod), KILL(fchmod), KILL(fchmodat),
};

static int add_rules(scmp_filter_ctx filter, const Rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int ret = seccomp_rule_add_array(filter, rules[i].action,
                                         rules[i].call, rules[i].count,
                                         rules[i].args);

        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/* To itself, as abort() does; the number is known only now. */
static int add_own_signals(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp own = IS(0, getpid());

    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                  &own);
}

/*
 * By a binary tree: as a list, calls at its end would cost dozens of
 * instructions. All threads that there are get the filter, or none.
 */
static int set_up(scmp_filter_ctx filter)
{
    int ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

    if (ret < 0) {
        return ret;
    }
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
    seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (INSTRUMENTED) {
        return add_rules(filter, forbidden, G_N_ELEMENTS(forbidden));
    }
    ret = add_rules(filter, allowed, G_N_ELEMENTS(allowed));
    return ret < 0 ? ret : add_own_signals(filter);
}

static int load_filter(void)
{
    scmp_filter_ctx filter = seccomp_init(INSTRUMENTED ? SCMP_ACT_ALLOW
                                                       : SCMP_ACT_KILL_PROCESS);
    int ret;

    if (!filter) {
        return -ENOSYS;         /* it has asked the kernel for that action */
    }
    ret = set_up(filter);
    if (ret == 0) {
        ret = seccomp_load(filter);
    }
    seccomp_release(filter);
    return ret;
}

bool sandbox_enter(AioContext *const *contexts, size_t count, GError **error)
{
    g_autoptr(GError) reason = NULL;
    int ret;

    if (!capabilities_drop(contexts, count, &reason)) {
        g_set_error(error, reason->domain, reason->code,
                    "-sandbox on: %s\n-sandbox off runs without",
                    reason->message);
        return false;
    }
    /* libseccomp does it, too, but for the threads only as a side effect. */
    ret = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : load_filter();
    if (ret < 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "-sandbox on: this kernel takes no filter of system calls "
                    "(CONFIG_SECCOMP_FILTER, Linux 4.14): %s\n"
                    "-sandbox off runs without", g_strerror(-ret));
        return false;
    }
    return true;
}
