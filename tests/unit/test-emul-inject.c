/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The controls: failing calls, short reads, accounting.
 */
#include "test-emul.h"

#include <limits.h>

typedef struct FailCase {
    const char *name;
    EmulFailure failure;
    const char *results;        /* of six IOAS_ALLOC: '.' done, 'x' failed */
    uint64_t counted;
} FailCase;

static const FailCase fail_cases[] = {
    { "off", { EMUL_CALL_ANY, 0, 0, 0, EIO }, "......", 0 },
    { "first-only", { EMUL_CALL_ANY, 0, 1, 1, EIO }, "x.....", 6 },
    { "third-only", { EMUL_CALL_IOCTL, 0, 3, 1, EIO }, "..x...", 6 },
    { "second-and-third", { EMUL_CALL_IOCTL, 0, 2, 2, EIO }, ".xx...", 6 },
    { "from-the-fourth", { EMUL_CALL_IOCTL, 0, 4, 0, EIO }, "...xxx", 6 },
    { "never-reached", { EMUL_CALL_IOCTL, 0, UINT64_MAX, 0, EIO }, "......",
      6 },
    { "this-request", { EMUL_CALL_IOCTL, IOMMU_IOAS_ALLOC, 6, 1, ENOMEM },
      ".....x", 6 },
    { "other-request", { EMUL_CALL_IOCTL, IOMMU_DESTROY, 1, 0, EIO },
      "......", 0 },
    { "other-call", { EMUL_CALL_READ, 0, 1, 0, EIO }, "......", 0 },
};

static void test_fail(gconstpointer data)
{
    const FailCase *c = data;
    HostIommu *host = emul_new(NULL);
    unsigned done = 0;
    uint32_t id;

    emul_set_failure(host, &c->failure);
    for (int i = 0; i < 6; i++) {
        bool fails = c->results[i] == 'x';

        g_assert_cmpint(ioas_alloc(host, &id), ==,
                        fails ? -c->failure.err : 0);
        done += !fails;
    }
    g_assert_cmpuint(emul_get_calls_counted(host), ==, c->counted);
    /* What failed had no effect. */
    g_assert_cmpuint(emul_get_stats(host).objects, ==, done);
    host_iommu_free(host);
}

static void test_setting_again_counts_anew(void)
{
    const EmulFailure second = { EMUL_CALL_ANY, 0, 2, 1, EIO };
    const EmulFailure off = { 0 };
    HostIommu *host = emul_new(NULL);
    uint32_t id;

    emul_set_failure(host, &second);
    g_assert_cmpint(ioas_alloc(host, &id), ==, 0);
    emul_set_failure(host, &second);
    g_assert_cmpint(ioas_alloc(host, &id), ==, 0);
    g_assert_cmpint(ioas_alloc(host, &id), ==, -EIO);
    emul_set_failure(host, &off);
    g_assert_cmpint(ioas_alloc(host, &id), ==, 0);
    g_assert_cmpuint(emul_get_calls_counted(host), ==, 0);
    host_iommu_free(host);
}

static void test_fail_read(void)
{
    const EmulFailure failure = { EMUL_CALL_READ, 0, 1, 1, EIO };
    char buf[EVENT_SIZE];
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    report_one(&m, 0);
    emul_set_failure(m.host, &failure);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, -EIO);
    g_assert_cmpint(poll_now(m.fd), ==, POLLIN | POLLRDNORM);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, EVENT_SIZE);
    machine_cleanup(&m);
}

static void test_fail_write(void)
{
    const EmulFailure failure = { EMUL_CALL_WRITE, 0, 1, 1, EIO };
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    emul_set_failure(m.host, &failure);
    g_assert_cmpint(m.host->ops->write(m.host, m.fd, "", 1), ==, -1);
    g_assert_cmpint(errno, ==, EIO);
    machine_cleanup(&m);
}

/* As close() does: the descriptor is gone whatever it returns. */
static void test_failed_close_closes(void)
{
    const EmulFailure failure = { EMUL_CALL_CLOSE, 0, 1, 1, EIO };
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    emul_set_failure(m.host, &failure);
    g_assert_cmpint(m.host->ops->close(m.host, m.fd), ==, -1);
    g_assert_cmpint(errno, ==, EIO);
    g_assert_cmpint(destroy(m.host, m.queue_id), ==, 0);
    m.queue_id = 0;
    machine_cleanup(&m);
}

/* Every step of building a machine, failed in turn: the caller sees it. */
static void test_sweep(void)
{
    EmulFailure failure = { EMUL_CALL_IOCTL, 0, UINT64_MAX, 1, ENOMEM };
    uint64_t calls;
    Machine m;

    machine_init(&m);
    emul_set_failure(m.host, &failure);
    machine_open_queue(&m, 4);
    machine_close_queue(&m);
    calls = emul_get_calls_counted(m.host);
    g_assert_cmpuint(calls, ==, 2);
    for (failure.nth = 1; failure.nth <= calls; failure.nth++) {
        int ret;

        emul_set_failure(m.host, &failure);
        ret = veventq_alloc(m.host, m.viommu_id, 1, 4, &m.queue_id, &m.fd);
        g_assert_cmpint(ret, ==, failure.nth == 1 ? -ENOMEM : 0);
        if (ret == 0) {
            g_assert_cmpint(m.host->ops->close(m.host, m.fd), ==, 0);
            g_assert_cmpint(destroy(m.host, m.queue_id), ==, -ENOMEM);
            g_assert_cmpint(destroy(m.host, m.queue_id), ==, 0);
        }
    }
    m.queue_id = 0;
    machine_cleanup(&m);
}

static void test_read_limit(void)
{
    char buf[4 * EVENT_SIZE];
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    for (int i = 0; i < 4; i++) {
        report_one(&m, i);
    }
    emul_set_read_limit(m.host, EVENT_SIZE + 20);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, EVENT_SIZE);
    emul_set_read_limit(m.host, 20);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, -EINVAL);
    emul_set_read_limit(m.host, 0);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==,
                    3 * EVENT_SIZE);
    machine_cleanup(&m);
}

/* generated = seen + lost + dropped, over several lives of a queue. */
static void test_accounting(void)
{
    char buf[2 * EVENT_SIZE + 8];
    EmulStats stats;
    Machine m;

    machine_init(&m);
    emul_set_first_sequence(m.host, INT_MAX);
    machine_open_queue(&m, 2);
    for (int i = 0; i < 5; i++) {
        report_one(&m, i);
    }
    /* Two seen and, by the header, three lost: nothing dropped. */
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==,
                    2 * EVENT_SIZE + 8);
    machine_close_queue(&m);
    stats = emul_get_stats(m.host);
    g_assert_cmpuint(stats.generated, ==, 5);
    g_assert_cmpuint(stats.dropped, ==, 0);

    machine_open_queue(&m, 2);
    for (int i = 0; i < 5; i++) {
        report_one(&m, i);
    }
    /* One seen; one unread and three lost without anybody knowing. */
    g_assert_cmpint(host_read(m.host, m.fd, buf, EVENT_SIZE), ==, EVENT_SIZE);
    machine_close_queue(&m);
    stats = emul_get_stats(m.host);
    g_assert_cmpuint(stats.generated, ==, 10);
    g_assert_cmpuint(stats.dropped, ==, 4);
    machine_cleanup(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(fail_cases); i++) {
        g_autofree char *path = g_strconcat("/emul/fail/", fail_cases[i].name,
                                            NULL);

        g_test_add_data_func(path, &fail_cases[i], test_fail);
    }
    g_test_add_func("/emul/fail/setting-again-counts-anew",
                    test_setting_again_counts_anew);
    g_test_add_func("/emul/fail/read-leaves-the-events", test_fail_read);
    g_test_add_func("/emul/fail/write", test_fail_write);
    g_test_add_func("/emul/fail/close-closes", test_failed_close_closes);
    g_test_add_func("/emul/fail/sweep", test_sweep);
    g_test_add_func("/emul/read-limit", test_read_limit);
    g_test_add_func("/emul/stats/accounting", test_accounting);
    return g_test_run();
}
