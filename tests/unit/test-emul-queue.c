/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading, loss and readiness of a vEVENTQ, as measured on Linux 7.3, written
 * as scripts of blank-separated steps:
 *
 *   +N            report N events
 *   C=RESULT      read() of C bytes, where C is a number of bytes or Ne+M, N
 *                 events and M bytes; RESULT is an errno, or the sequences in
 *                 brackets with L before a LOST_EVENTS header
 *   poll=in|none  what poll() says
 *   reopen        close, destroy, allocate again with the same depth
 */
#include "test-emul.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>

typedef struct Script {
    const char *path;
    uint32_t depth;
    uint32_t first_sequence;
    const char *steps;
} Script;

static const Script scripts[] = {
    /* Reading */
    { "read/empty-is-zero-at-once", 8, 0,
      "8=[] 40=[] 1000=[] poll=none" },
    { "read/below-a-header-is-EINVAL", 8, 0,
      "0=EINVAL 1=EINVAL 7=EINVAL +1 0=EINVAL 7=EINVAL 40=[0]" },
    { "read/too-small-for-the-event-leaves-it", 8, 0,
      "+1 8=EINVAL 11=EINVAL 39=EINVAL poll=in 40=[0] 40=[] poll=none" },
    { "read/whole-events-only", 8, 0,
      "+3 40=[0] 79=[1] poll=in 1000=[2] 8=[]" },
    { "read/remainder-stays-unused", 4, 0,
      "+4 2e+8=[0,1] poll=in 200=[2,3] poll=none" },
    { "read/first-sequence-is-zero-again", 4, 0,
      "+2 80=[0,1] +1 reopen +1 80=[0]" },
    { "read/wraps-around-in-the-ring", 3, 0,
      "+2 1e+0=[0] +2 9e+0=[1,2,3] +3 2e+0=[4,5] +2 9e+0=[6,7,8]" },

    /* Sequence wrap */
    { "wrap/after-INT_MAX-comes-zero", 8, INT_MAX - 1,
      "+4 9e+0=[2147483646,2147483647,0,1]" },
    { "wrap/lost-tail-at-INT_MAX", 1, INT_MAX - 1,
      "+2 9e+8=[2147483646,L2147483647] +1 9e+0=[0]" },
    { "wrap/lost-tail-across-zero", 1, INT_MAX - 1,
      "+4 9e+8=[2147483646,L1] +1 9e+0=[2]" },
    { "wrap/gap-across-zero", 2, INT_MAX - 1,
      "+5 1e+0=[2147483646] +1 9e+0=[2147483647,3]" },

    /* Loss */
    { "loss/header-at-the-tail-has-the-last-number", 2, 0,
      "+2 9e+0=[0,1] +5 9e+8=[2,3,L6] 9e+0=[] +1 9e+0=[7]" },
    { "loss/gap-replaces-the-header", 2, 0,
      "+5 1e+0=[0] +1 9e+0=[1,5] 9e+0=[]" },
    { "loss/header-waits-for-room", 2, 0,
      "+5 2e+0=[0,1] poll=in 7=EINVAL poll=in 8=[L4] 8=[] poll=none "
      "+5 2e+7=[5,6] poll=in +1 9e+0=[10] +3 2e+8=[11,12,L13]" },
    { "loss/new-loss-new-header", 2, 0,
      "+3 1e+0=[0] +3 9e+8=[1,3,L5]" },
    { "loss/lost-tail-moves-on", 1, 0,
      "+2 1e+0=[0] 9e+8=[L1] +1000 9e+8=[2,L1001] +1 9e+0=[1002]" },
    { "loss/depth-is-unread-events", 3, 0,
      "+3 1e+0=[0] +1 9e+8=[1,2,3] +4 9e+8=[4,5,6,L7]" },

    /* Readiness */
    { "poll/level-triggered", 8, 0,
      "poll=none +2 poll=in poll=in 1e+0=[0] poll=in 1e+0=[1] poll=none" },
    { "poll/only-a-lost-header", 1, 0,
      "+3 1e+0=[0] poll=in poll=in 8=[L2] poll=none +1 poll=in" },
};

static const struct {
    const char *name;
    int err;
} errno_names[] = { { "EINVAL", EINVAL }, { "EBADF", EBADF } };

/* "[0,1,L4]", checking all that the script does not show. */
static char *decode(const char *buf, size_t len)
{
    GString *text = g_string_new("[");

    while (len > 0) {
        struct iommufd_vevent_header header;
        struct iommu_vevent_arm_smmuv3 event;
        bool lost;

        g_assert_cmpuint(len, >=, sizeof(header));
        memcpy(&header, buf, sizeof(header));
        buf += sizeof(header);
        len -= sizeof(header);
        lost = header.flags == IOMMU_VEVENTQ_FLAG_LOST_EVENTS;
        g_string_append_printf(text, "%s%s%u", text->len > 1 ? "," : "",
                               lost ? "L" : "", header.sequence);
        if (lost) {
            g_assert_cmpuint(len, ==, 0);   /* always last */
            break;
        }
        g_assert_cmpuint(header.flags, ==, 0);
        g_assert_cmpuint(len, >=, sizeof(event));
        memcpy(&event, buf, sizeof(event));
        buf += sizeof(event);
        len -= sizeof(event);
        g_assert_cmphex(GUINT64_FROM_LE(event.evt[0]), ==,
                        (uint64_t)VSID << 32 | 0x10);
    }
    g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}

static char *read_text(Machine *m, size_t count)
{
    g_autofree char *buf = g_malloc0(count + 1);
    ssize_t ret = host_read(m->host, m->fd, buf, count);

    for (unsigned i = 0; i < G_N_ELEMENTS(errno_names); i++) {
        if (ret == -errno_names[i].err) {
            return g_strdup(errno_names[i].name);
        }
    }
    g_assert_cmpint(ret, >=, 0);
    return decode(buf, (size_t)ret);
}

static void run_step(Machine *m, const Script *script, const char *step)
{
    g_auto(GStrv) sides = g_strsplit(step, "=", 2);
    g_autofree char *got = NULL;
    size_t count;
    char *end;

    if (step[0] == '+') {
        for (unsigned long i = strtoul(step + 1, NULL, 10); i > 0; i--) {
            g_assert_cmpint(report_one(m, i), !=, EMUL_REPORT_REFUSED);
        }
        return;
    }
    if (g_str_equal(step, "reopen")) {
        machine_close_queue(m);
        machine_open_queue(m, script->depth);
        return;
    }
    if (g_str_equal(sides[0], "poll")) {
        short want = g_str_equal(sides[1], "in") ? POLLIN | POLLRDNORM : 0;

        g_assert_cmpint(poll_now(m->fd), ==, want);
        return;
    }
    count = strtoul(sides[0], &end, 10);
    if (g_str_has_prefix(end, "e+")) {
        count = count * EVENT_SIZE + strtoul(end + 2, NULL, 10);
    }
    got = read_text(m, count);
    if (!g_str_equal(got, sides[1])) {
        g_test_message("step %s: got %s", step, got);
        g_test_fail();
    }
}

static void test_script(gconstpointer data)
{
    const Script *script = data;
    g_auto(GStrv) steps = g_strsplit(script->steps, " ", -1);
    Machine m;

    machine_init(&m);
    emul_set_first_sequence(m.host, script->first_sequence);
    machine_open_queue(&m, script->depth);
    for (unsigned i = 0; steps[i]; i++) {
        run_step(&m, script, steps[i]);
    }
    machine_cleanup(&m);
}

static void test_largest_depth_in_one_read(void)
{
    const uint32_t depth = IOMMU_VEVENTQ_DEPTH_MAX;
    const size_t size = (size_t)depth * EVENT_SIZE + 8;
    g_autofree char *buf = g_malloc(size + 4096);
    struct iommufd_vevent_header header;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, depth);
    for (uint32_t i = 0; i < depth + 7; i++) {
        g_assert_cmpint(report_one(&m, i), ==,
                        i < depth ? EMUL_REPORT_QUEUED : EMUL_REPORT_LOST);
    }
    g_assert_cmpint(host_read(m.host, m.fd, buf, size + 4096), ==, size);
    for (uint32_t i = 0; i < depth; i++) {
        memcpy(&header, buf + (size_t)i * EVENT_SIZE, sizeof(header));
        g_assert_cmpuint(header.sequence, ==, i);
    }
    memcpy(&header, buf + (size_t)depth * EVENT_SIZE, sizeof(header));
    g_assert_cmpuint(header.flags, ==, IOMMU_VEVENTQ_FLAG_LOST_EVENTS);
    g_assert_cmpuint(header.sequence, ==, depth + 6);
    machine_cleanup(&m);
}

/* Word 0 gets the vDEVICE's StreamID, the rest arrives as it was. */
static void test_record_is_the_event(void)
{
    const uint64_t event[4] = {
        UINT64_C(0xdead) << 32 | 0x5a << 12 | 1 << 11 | 0x13,
        UINT64_C(0x123) << 48 | UINT64_C(7) << 33, UINT64_MAX, 42,
    };
    struct {
        struct iommufd_vevent_header header;
        struct iommu_vevent_arm_smmuv3 event;
    } record;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 1);
    g_assert_cmpint(emul_report_event(m.host, m.dev_id, event), ==,
                    EMUL_REPORT_QUEUED);
    g_assert_cmpint(host_read(m.host, m.fd, &record, sizeof(record)), ==,
                    EVENT_SIZE);
    g_assert_cmphex(GUINT64_FROM_LE(record.event.evt[0]), ==,
                    (uint64_t)VSID << 32 | (event[0] & UINT32_MAX));
    for (int i = 1; i < 4; i++) {
        g_assert_cmphex(GUINT64_FROM_LE(record.event.evt[i]), ==, event[i]);
    }
    machine_cleanup(&m);
}

static void test_fd_flags(void)
{
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 1);
    g_assert_cmpint(fcntl(m.fd, F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint(fcntl(m.fd, F_GETFL) & O_NONBLOCK, ==, O_NONBLOCK);
    machine_cleanup(&m);
}

/* What a queue fd, and what is none, answers to the wrong call. */
static void test_wrong_calls(void)
{
    char buf[64];
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 1);
    g_assert_cmpint(m.host->ops->write(m.host, m.fd, buf, 8), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    g_assert_cmpint(host_call(m.host, m.fd, IOMMU_DESTROY, buf), ==, -ENOTTY);
    g_assert_cmpint(host_read(m.host, m.host->fd, buf, 64), ==, -EINVAL);
    g_assert_cmpint(host_read(m.host, m.device_fd, buf, 64), ==, -EINVAL);
    g_assert_cmpint(host_read(m.host, -1, buf, 64), ==, -EBADF);
    g_assert_cmpint(m.host->ops->close(m.host, -1), ==, -1);
    g_assert_cmpint(errno, ==, EBADF);
    machine_cleanup(&m);
}

static void test_read_after_close_is_EBADF(void)
{
    char buf[64];
    Machine m;
    int fd;

    machine_init(&m);
    machine_open_queue(&m, 1);
    fd = m.fd;
    machine_close_queue(&m);
    g_assert_cmpint(host_read(m.host, fd, buf, sizeof(buf)), ==, -EBADF);
    g_assert_cmpint(m.host->ops->close(m.host, fd), ==, -1);
    g_assert_cmpint(errno, ==, EBADF);
    machine_cleanup(&m);
}

static int epoll_now(int epoll_fd)
{
    struct epoll_event event;
    int ret = epoll_wait(epoll_fd, &event, 1, 0);

    if (ret == 1) {
        g_assert_cmphex(event.events, ==, EPOLLIN);
    }
    return ret;
}

static int epoll_on(int fd, uint32_t events)
{
    struct epoll_event event = { .events = events };
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    g_assert_cmpint(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), ==, 0);
    return epoll_fd;
}

static void test_epoll_level(void)
{
    char buf[EVENT_SIZE];
    int epoll_fd;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 1);
    epoll_fd = epoll_on(m.fd, EPOLLIN);
    g_assert_cmpint(epoll_now(epoll_fd), ==, 0);
    report_one(&m, 0);
    g_assert_cmpint(epoll_now(epoll_fd), ==, 1);
    g_assert_cmpint(epoll_now(epoll_fd), ==, 1);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, EVENT_SIZE);
    g_assert_cmpint(epoll_now(epoll_fd), ==, 0);
    /* Only a LOST_EVENTS header */
    report_one(&m, 1);
    report_one(&m, 2);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, EVENT_SIZE);
    g_assert_cmpint(epoll_now(epoll_fd), ==, 1);
    g_assert_cmpint(epoll_now(epoll_fd), ==, 1);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, 8);
    g_assert_cmpint(epoll_now(epoll_fd), ==, 0);
    close(epoll_fd);
    machine_cleanup(&m);
}

/*
 * One byte in a pipe can tell of the edge from empty only; the kernel reports
 * every event. docs/iommufd-uapi.md says so.
 */
static void test_epoll_edge(void)
{
    char buf[EVENT_SIZE];
    int epoll_fd;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 2);
    epoll_fd = epoll_on(m.fd, EPOLLIN | EPOLLET);
    report_one(&m, 0);
    g_assert_cmpint(epoll_now(epoll_fd), ==, 1);
    g_assert_cmpint(epoll_now(epoll_fd), ==, 0);
    report_one(&m, 1);
    g_assert_cmpint(epoll_now(epoll_fd), ==, 0);
    /* A partial read gives no new report: as the kernel. */
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, EVENT_SIZE);
    g_assert_cmpint(epoll_now(epoll_fd), ==, 0);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, EVENT_SIZE);
    report_one(&m, 2);
    g_assert_cmpint(epoll_now(epoll_fd), ==, 1);
    close(epoll_fd);
    machine_cleanup(&m);
}

static void test_select(void)
{
    struct timeval now = { 0 };
    fd_set set;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 1);
    report_one(&m, 0);
    FD_ZERO(&set);
    FD_SET(m.fd, &set);
    g_assert_cmpint(select(m.fd + 1, &set, NULL, NULL, &now), ==, 1);
    machine_cleanup(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(scripts); i++) {
        g_autofree char *path = g_strdup_printf("/emul/veventq/%s",
                                                scripts[i].path);

        g_test_add_data_func(path, &scripts[i], test_script);
    }
    g_test_add_func("/emul/veventq/read/largest-depth-in-one-read",
                    test_largest_depth_in_one_read);
    g_test_add_func("/emul/veventq/read/record-is-the-event",
                    test_record_is_the_event);
    g_test_add_func("/emul/veventq/fd/flags", test_fd_flags);
    g_test_add_func("/emul/veventq/fd/wrong-calls", test_wrong_calls);
    g_test_add_func("/emul/veventq/fd/read-after-close-is-EBADF",
                    test_read_after_close_is_EBADF);
    g_test_add_func("/emul/veventq/poll/epoll-level", test_epoll_level);
    g_test_add_func("/emul/veventq/poll/epoll-edge-from-empty-only",
                    test_epoll_edge);
    g_test_add_func("/emul/veventq/poll/select", test_select);
    return g_test_run();
}
