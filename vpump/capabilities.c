/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * That no thread was forgotten is looked up in the end: every thread of the
 * process is asked what it has. The C library has no calls for all this.
 */
#include "capabilities.h"

#include "base/error.h"
#include "base/rcu.h"
#include "instrumented.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Both halves of the 64 bits. */
typedef struct CapabilitySets {
    struct __user_cap_data_struct half[_LINUX_CAPABILITY_U32S_3];
} CapabilitySets;

/* What threads report: the first errno. [atomic] */
static atomic_int first_error;

static void note_error(int err)
{
    int none = 0;

    atomic_compare_exchange_strong(&first_error, &none, err);
}

/* Of the calling thread. In this order: the first step needs CAP_SETPCAP. */
static void drop_own(void)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    const CapabilitySets none = { 0 };

    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none.half) < 0) {
        note_error(errno);
    }
}

static void drop_bh(void *opaque)
{
    drop_own();
}

static void drop_deferred(RcuDeferred *deferred)
{
    drop_own();
    g_free(deferred);
}

/* Thread @tid, which may have ended since. */
static bool has_some(pid_t tid)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3, .pid = tid,
    };
    CapabilitySets sets = { 0 };

    if (syscall(SYS_capget, &header, sets.half) < 0) {
        return errno != ESRCH;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sets.half); i++) {
        if (sets.half[i].effective | sets.half[i].permitted |
            sets.half[i].inheritable) {
            return true;
        }
    }
    return false;
}

static bool check_threads(GError **error)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/task", 0, error);
    const char *name;

    if (!dir) {
        return false;
    }
    while ((name = g_dir_read_name(dir))) {
        if (has_some(atoi(name))) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                        "thread %s keeps capabilities, and is none of vpump's",
                        name);
            return false;
        }
    }
    return true;
}

bool capabilities_drop(AioContext *const *contexts, size_t count,
                       GError **error)
{
    atomic_store(&first_error, 0);
    for (size_t i = 0; i < count; i++) {
        aio_wait_bh_oneshot(contexts[i], drop_bh, NULL);
    }
    rcu_defer(g_new0(RcuDeferred, 1), drop_deferred);
    rcu_defer_drain();
    drop_own();
    if (atomic_load(&first_error) != 0) {
        error_set_errno(error, atomic_load(&first_error),
                        "capabilities cannot be dropped");
        return false;
    }
    /* A sanitizer's own thread cannot be asked to. */
    return INSTRUMENTED || check_threads(error);
}
