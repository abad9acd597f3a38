/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fault queues of the preloaded library: page requests come by the control
 * socket, answers are written by the program, and the socket tells of them.
 */
#include "preload-machine.h"
#include "../unit/test-emul-fault.h"

#include <sys/uio.h>

typedef struct FaultTest {
    FaultMachine m;
    int control;
} FaultTest;

static void setup(FaultTest *t)
{
    *t = (FaultTest) { .m.host = preload_machine_open() };
    t->m.device_fd = open(VTD_PATH, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(t->m.device_fd, >=, 0);
    fault_machine_bind(&t->m);
    t->control = control_connect();
}

static void teardown(FaultTest *t)
{
    close(t->control);
    fault_machine_unbind(&t->m);
    host_iommu_free(t->m.host);
}

static void raise_group(FaultTest *t, unsigned grpid)
{
    g_autofree char *command = g_strdup_printf("page %u 0 %u 1 0x%x000 1",
                                               t->m.dev_id, grpid, grpid);

    control_expect(t->control, command, "ok queued");
}

static void expect_stat(FaultTest *t, const char *stat)
{
    g_autofree char *answer = control_ask(t->control, "stats");
    g_autofree char *padded = g_strconcat(answer, " ", NULL);
    g_autofree char *word = g_strconcat(" ", stat, " ", NULL);

    if (!strstr(padded, word)) {
        g_error("no '%s' in '%s'", stat, answer);
    }
}

static void test_answered(void)
{
    struct iommu_hwpt_pgfault records[2];
    struct iommu_hwpt_page_response responses[2] = {
        { .code = SUCCESS }, { .code = INVALID },
    };
    FaultTest t;

    setup(&t);
    g_assert_cmpint(poll_now(t.m.fd), ==, POLLOUT);
    raise_group(&t, 7);
    raise_group(&t, 9);
    g_assert_cmpint(poll_now(t.m.fd), ==, POLLIN | POLLRDNORM | POLLOUT);
    g_assert_cmpint(read(t.m.fd, records, sizeof(records)), ==,
                    sizeof(records));
    g_assert_cmpuint(records[0].grpid, ==, 7);
    g_assert_cmphex(records[1].addr, ==, 0x9000);
    expect_stat(&t, "open=2");
    for (unsigned i = 0; i < 2; i++) {
        responses[i].cookie = records[i].cookie;
    }
    g_assert_cmpint(write(t.m.fd, responses, sizeof(responses)), ==,
                    sizeof(responses));
    expect_stat(&t, "answered=2");
    expect_stat(&t, "success=1");
    expect_stat(&t, "invalid=1");
    expect_stat(&t, "open=0");
    teardown(&t);
}

static void test_vectors_and_copies(void)
{
    struct iommu_hwpt_pgfault records[2];
    struct iommu_hwpt_page_response responses[2] = { 0 };
    struct iovec in[] = { { &records[0], sizeof(records[0]) },
                          { &records[1], sizeof(records[1]) } };
    struct iovec out[] = { { &responses[0], sizeof(responses[0]) },
                           { &responses[1], sizeof(responses[1]) } };
    FaultTest t;
    int copy;

    setup(&t);
    copy = dup(t.m.fd);
    close(t.m.fd);
    t.m.fd = copy;
    raise_group(&t, 1);
    raise_group(&t, 2);
    g_assert_cmpint(readv(copy, in, 2), ==, sizeof(records));
    responses[0].cookie = records[0].cookie;
    responses[1].cookie = records[1].cookie;
    g_assert_cmpint(writev(copy, out, 2), ==, sizeof(responses));
    /* Both cookies are gone. */
    g_assert_cmpint(write(copy, responses, sizeof(responses)), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    expect_stat(&t, "success=2");
    teardown(&t);
}

static void test_detach_answers(void)
{
    FaultTest t;

    setup(&t);
    raise_group(&t, 1);
    g_assert_cmpint(device_detach(t.m.host, t.m.device_fd), ==, 0);
    expect_stat(&t, "automatic=1");
    expect_stat(&t, "invalid=1");
    g_assert_cmpint(poll_now(t.m.fd), ==, POLLOUT);
    teardown(&t);
}

int main(int argc, char **argv)
{
    preload_test_init(&argc, &argv);
    g_test_add_func("/preload/fault/groups-are-answered", test_answered);
    g_test_add_func("/preload/fault/vectors-and-copies-work",
                    test_vectors_and_copies);
    g_test_add_func("/preload/fault/detach-answers-what-is-open",
                    test_detach_answers);
    return g_test_run();
}
