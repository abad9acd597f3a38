/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program under libiommufd-emul.so, which PRELOAD names: what it does on a
 * kernel's iommufd, where there is none, and confined.
 */
#include "instrumented.h"
#include "vpump-process.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *const words[] = {
    "-duration", "0.5", "-load", "1000", "-report", "-", "-quiet",
    "-object", "iommufd,id=h",
    "-device", "arm-smmuv3,id=s",
    "-device", "iommufd-mock,id=d0,viommu=s,iommufd=h",
    "-device", "intel-iommu,id=v",
    "-device", "iommufd-mock,id=d1,viommu=v,iommufd=h", NULL
};

/* Runs in the child. */
static void preload(gpointer socket)
{
    setenv("LD_PRELOAD", getenv("PRELOAD"), 1);
    if (socket) {
        setenv("IOMMUFD_EMUL_SOCKET", socket, 1);
    }
}

static void test_confined_run_balances(void)
{
    Outcome outcome;

    if (INSTRUMENTED || prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
        g_test_skip("takes seccomp, and a build without sanitizer");
        return;
    }
    outcome = vpump_run_with(words, preload, NULL);
    g_assert_cmpstr(outcome.err, ==, "");
    g_assert_cmpint(outcome.status, ==, 0);
    g_assert_true(report_is_balanced(outcome.out));
    g_assert_nonnull(strstr(outcome.out, "\"sandbox\" : true"));
    outcome_clear(&outcome);
}

/* That of the control socket, as root: it keeps what root may do. */
static void test_thread_of_a_stranger_is_refused(void)
{
    Outcome outcome;

    if (INSTRUMENTED || geteuid() != 0 ||
        prctl(PR_CAPBSET_READ, CAP_SETPCAP, 0, 0, 0) != 1) {
        g_test_skip("takes root, and a build without sanitizer");
        return;
    }
    outcome = vpump_run_with(words, preload, (char *)"%p.socket");
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_true(g_pattern_match_simple(
        "vpump: -sandbox on: thread * keeps capabilities, and is none of "
        "vpump's\n-sandbox off runs without\n", outcome.err));
    outcome_clear(&outcome);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/preload/vpump/confined-run-balances",
                    test_confined_run_balances);
    g_test_add_func("/preload/vpump/thread-of-a-stranger-is-refused",
                    test_thread_of_a_stranger_is_refused);
    return g_test_run();
}
