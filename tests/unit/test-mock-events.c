/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events of the dressed mock driver: what is read is what was reported, each
 * count of bytes is answered as an SMMUv3's queue answers it, and what the
 * kernel loses is lost.
 */
#include "test-mock.h"

#include "base/thread.h"

#include <poll.h>
#include <stdatomic.h>
#include <string.h>

/* F_TRANSLATION, as emul-smmuv3.c forwards it. */
#define EVENT_ID 0x10

typedef struct Queue {
    MockRig rig;
    uint32_t id;
    int fd;
} Queue;

/* What a read gave. */
typedef struct Seen {
    ssize_t ret;
    uint32_t count;
    uint32_t sequence[8];
    bool lost[8];
    uint64_t words[8][4];
} Seen;

static void queue_open(Queue *q, uint32_t depth)
{
    GError *error = NULL;

    iommufd_veventq_alloc(q->rig.host, q->rig.viommu_id,
                          IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, depth, &q->id, &q->fd,
                          &error);
    g_assert_no_error(error);
}

static void queue_close(Queue *q)
{
    q->rig.host->ops->close(q->rig.host, q->fd);
    g_assert_cmpint(mock_destroy_id(q->rig.host, q->id), ==, 0);
}

static void queue_up(Queue *q, uint32_t depth)
{
    mock_rig_up(&q->rig, HARDWARE_SMMUV3);
    queue_open(q, depth);
}

static void queue_down(Queue *q)
{
    queue_close(q);
    mock_rig_down(&q->rig);
}

static HardwareReport report_of(Queue *q, uint64_t what)
{
    /* The StreamID is for the driver to fill in. */
    const uint64_t words[4] = {
        EVENT_ID | UINT64_C(0xffff) << 32, what, ~what, what * 3,
    };

    return q->rig.host->hardware->report_event(q->rig.host, q->rig.dev_id,
                                               words);
}

static Seen read_queue(Queue *q, size_t count)
{
    struct iommufd_vevent_header header;
    Seen seen = { 0 };
    char buf[512];
    ssize_t at = 0;

    memset(buf, 0x5a, sizeof(buf));
    seen.ret = q->rig.host->ops->read(q->rig.host, q->fd, buf, count);
    if (seen.ret < 0) {
        seen.ret = -errno;
    }
    while (at < seen.ret) {
        memcpy(&header, buf + at, sizeof(header));
        at += sizeof(header);
        seen.sequence[seen.count] = header.sequence;
        seen.lost[seen.count] = header.flags & IOMMU_VEVENTQ_FLAG_LOST_EVENTS;
        if (!seen.lost[seen.count]) {
            memcpy(seen.words[seen.count], buf + at, 32);
            at += 32;
        }
        seen.count++;
    }
    g_assert_cmpint(at, ==, MAX(seen.ret, 0));
    return seen;
}

static void expect_event(const Seen *seen, uint32_t index, uint32_t sequence,
                         uint64_t what)
{
    const uint64_t *words = seen->words[index];

    g_assert_cmpuint(index, <, seen->count);
    g_assert_false(seen->lost[index]);
    g_assert_cmpuint(seen->sequence[index], ==, sequence);
    g_assert_cmphex(GUINT64_FROM_LE(words[0]), ==,
                    EVENT_ID | (uint64_t)MOCK_SID << 32);
    g_assert_cmphex(GUINT64_FROM_LE(words[1]), ==, what);
    g_assert_cmphex(GUINT64_FROM_LE(words[2]), ==, ~what);
    g_assert_cmphex(GUINT64_FROM_LE(words[3]), ==, what * 3);
}

static void expect_lost(const Seen *seen, uint32_t index, uint32_t sequence)
{
    g_assert_cmpuint(index, <, seen->count);
    g_assert_true(seen->lost[index]);
    g_assert_cmpuint(seen->sequence[index], ==, sequence);
}

static void test_record_is_what_was_reported(void)
{
    Queue q;
    Seen seen;

    queue_up(&q, 8);
    for (uint64_t i = 0; i < 3; i++) {
        g_assert_cmpint(report_of(&q, 100 + i), ==, HARDWARE_QUEUED);
    }
    seen = read_queue(&q, 400);
    g_assert_cmpint(seen.ret, ==, 3 * 40);
    for (uint32_t i = 0; i < 3; i++) {
        expect_event(&seen, i, i, 100 + i);
    }
    g_assert_cmpint(read_queue(&q, 400).ret, ==, 0);
    queue_down(&q);
}

/* Also round the end of the ring, and read in parts. */
static void test_order_survives_the_ring(void)
{
    uint64_t next = 0, reported = 0;
    Queue q;
    Seen seen;

    queue_up(&q, 3);
    for (int round = 0; round < 20; round++) {
        while (report_of(&q, reported) == HARDWARE_QUEUED) {
            reported++;
        }
        seen = read_queue(&q, 40 * (1 + round % 3) + 7);
        g_assert_cmpuint(seen.count, ==, 1 + round % 3);
        for (uint32_t i = 0; i < seen.count; i++) {
            g_assert_cmphex(GUINT64_FROM_LE(seen.words[i][1]), ==, next++);
        }
    }
    queue_down(&q);
}

typedef struct SizeCase {
    const char *name;
    unsigned events;            /* of a depth of 2 */
    size_t count;
    int ret;
} SizeCase;

/* As measured for 12 bytes: docs/iommufd-uapi.md. */
static const SizeCase size_cases[] = {
    { "empty-is-0", 0, 400, 0 },
    { "empty-with-room-for-a-header-is-0", 0, 8, 0 },
    { "empty-without-is-EINVAL", 0, 7, -EINVAL },
    { "nothing-is-EINVAL", 1, 0, -EINVAL },
    { "less-than-a-header-is-EINVAL", 1, 7, -EINVAL },
    { "less-than-an-event-is-EINVAL", 1, 39, -EINVAL },
    { "one-event-fits", 1, 40, 40 },
    { "whole-events-only", 2, 79, 40 },
    { "two-fit", 2, 80, 80 },
    { "a-lost-header-needs-8", 3, 87, 80 },
    { "a-lost-header-comes-along", 3, 88, 88 },
    { "a-lost-header-waits-behind-events", 3, 48, 40 },
};

static void test_size(gconstpointer data)
{
    const SizeCase *c = data;
    Queue q;

    queue_up(&q, 2);
    for (unsigned i = 0; i < c->events; i++) {
        report_of(&q, i);
    }
    g_assert_cmpint(read_queue(&q, c->count).ret, ==, c->ret);
    /* What was not read is still there, and still what it was. */
    for (unsigned i = MAX(c->ret, 0) / 40; i < MIN(c->events, 2); i++) {
        Seen seen = read_queue(&q, 40);

        expect_event(&seen, 0, i, i);
    }
    queue_down(&q);
}

static void test_lost_at_the_tail(void)
{
    static const HardwareReport expected[] = {
        HARDWARE_QUEUED, HARDWARE_QUEUED, HARDWARE_LOST, HARDWARE_LOST,
    };
    HardwareStats stats;
    Queue q;
    Seen seen;

    queue_up(&q, 2);
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_cmpint(report_of(&q, i), ==, expected[i]);
    }
    seen = read_queue(&q, 400);
    g_assert_cmpuint(seen.count, ==, 3);
    expect_event(&seen, 0, 0, 0);
    expect_event(&seen, 1, 1, 1);
    expect_lost(&seen, 2, 3);
    g_assert_cmpint(report_of(&q, 9), ==, HARDWARE_QUEUED);
    seen = read_queue(&q, 400);
    expect_event(&seen, 0, 4, 9);
    queue_close(&q);
    stats = q.rig.host->hardware->get_stats(q.rig.host);
    g_assert_cmpuint(stats.generated, ==, 5);
    g_assert_cmpuint(stats.dropped, ==, 0);
    mock_rig_down(&q.rig);
}

/* The event after them is not taken for the first that was lost. */
static void test_lost_in_the_middle(void)
{
    Queue q;
    Seen seen;

    queue_up(&q, 2);
    for (uint64_t i = 0; i < 5; i++) {
        report_of(&q, i);
    }
    seen = read_queue(&q, 40);
    expect_event(&seen, 0, 0, 0);
    g_assert_cmpint(report_of(&q, 5), ==, HARDWARE_QUEUED);
    seen = read_queue(&q, 400);
    g_assert_cmpuint(seen.count, ==, 2);
    expect_event(&seen, 0, 1, 1);
    expect_event(&seen, 1, 5, 5);
    queue_down(&q);
}

static void test_dropped_with_the_queue(void)
{
    Queue q;
    Seen seen;

    queue_up(&q, 2);
    for (uint64_t i = 0; i < 5; i++) {
        report_of(&q, i);
    }
    read_queue(&q, 40);
    queue_close(&q);
    g_assert_cmpuint(q.rig.host->hardware->get_stats(q.rig.host).dropped, ==,
                     4);
    /* A new one begins anew. */
    queue_open(&q, 1);
    report_of(&q, 7);
    seen = read_queue(&q, 40);
    expect_event(&seen, 0, 0, 7);
    queue_down(&q);
}

static void test_destroy_is_EBUSY_while_the_fd_is_open(void)
{
    Queue q;
    Seen seen;

    queue_up(&q, 2);
    g_assert_cmpint(mock_destroy_id(q.rig.host, q.id), ==, -EBUSY);
    g_assert_cmpuint(q.rig.host->hardware->get_stats(q.rig.host).busy, ==, 1);
    /* It goes on, and so does what is known of it. */
    g_assert_cmpint(report_of(&q, 1), ==, HARDWARE_QUEUED);
    seen = read_queue(&q, 40);
    expect_event(&seen, 0, 0, 1);
    g_assert_cmpint(mock_destroy_id(q.rig.host, q.rig.viommu_id), ==, -EBUSY);
    queue_down(&q);
}

static void test_fd_is_the_kernels(void)
{
    struct pollfd fd = { .events = POLLIN };
    Queue q;

    queue_up(&q, 2);
    fd.fd = q.fd;
    g_assert_cmpint(poll(&fd, 1, 0), ==, 0);
    report_of(&q, 1);
    g_assert_cmpint(poll(&fd, 1, 0), ==, 1);
    read_queue(&q, 40);
    g_assert_cmpint(poll(&fd, 1, 0), ==, 0);
    queue_down(&q);
}

static void test_second_queue_is_EEXIST(void)
{
    struct iommu_veventq_alloc cmd = {
        .size = sizeof(cmd), .type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
        .veventq_depth = 4,
    };
    Queue q;
    Seen seen;

    queue_up(&q, 2);
    cmd.viommu_id = q.rig.viommu_id;
    report_of(&q, 5);
    g_assert_cmpint(q.rig.host->ops->ioctl(q.rig.host, q.rig.host->fd,
                                           IOMMU_VEVENTQ_ALLOC, &cmd), ==, -1);
    g_assert_cmpint(errno, ==, EEXIST);
    seen = read_queue(&q, 40);
    expect_event(&seen, 0, 0, 5);
    queue_down(&q);
}

static void test_refused(void)
{
    const uint64_t stalled[4] = { EVENT_ID, UINT64_C(1) << 31, 0, 0 };
    const HardwareOps *hardware;
    Queue q;

    queue_up(&q, 2);
    hardware = q.rig.host->hardware;
    g_assert_cmpint(hardware->report_event(q.rig.host, q.rig.dev_id, stalled),
                    ==, HARDWARE_REFUSED);
    q.rig.dev_id += 1000;
    g_assert_cmpint(report_of(&q, 1), ==, HARDWARE_REFUSED);
    q.rig.dev_id -= 1000;
    vfio_device_detach(q.rig.vfio);
    g_assert_cmpint(report_of(&q, 1), ==, HARDWARE_REFUSED);
    vfio_device_attach(q.rig.vfio, q.rig.hwpt_id, NULL);
    queue_close(&q);
    g_assert_cmpint(report_of(&q, 1), ==, HARDWARE_REFUSED);
    g_assert_cmpuint(hardware->get_stats(q.rig.host).generated, ==, 0);
    mock_rig_down(&q.rig);
}

/* ---- Reporters and a reader at once ---- */

enum { THREADS = 2, REPORTS = 20000 };

typedef struct Reporter {
    Queue *queue;
    uint64_t first;
    uint64_t queued;
    uint64_t lost;
    pthread_t thread;
} Reporter;

static void *reporter_thread(void *opaque)
{
    Reporter *self = opaque;

    for (uint64_t i = 0; i < REPORTS; i++) {
        HardwareReport report = report_of(self->queue, self->first + i);

        g_assert_cmpint(report, !=, HARDWARE_REFUSED);
        self->queued += report == HARDWARE_QUEUED;
        self->lost += report == HARDWARE_LOST;
    }
    return NULL;
}

/* Each of its own reporter's, in its order. */
static uint64_t take(const Seen *seen, uint64_t next[THREADS])
{
    uint64_t events = 0;

    for (uint32_t i = 0; i < seen->count; i++) {
        uint64_t what = GUINT64_FROM_LE(seen->words[i][1]);

        if (!seen->lost[i]) {
            g_assert_cmpuint(what / REPORTS, <, THREADS);
            g_assert_cmpuint(what, >=, next[what / REPORTS]);
            g_assert_cmphex(GUINT64_FROM_LE(seen->words[i][3]), ==, what * 3);
            next[what / REPORTS] = what + 1;
            events++;
        }
    }
    return events;
}

static void test_reports_and_reads_at_once(void)
{
    uint64_t seen = 0, queued = 0, lost = 0, next[THREADS] = { 0, REPORTS };
    Reporter reporters[THREADS];
    Queue q;

    queue_up(&q, 16);
    for (int i = 0; i < THREADS; i++) {
        reporters[i] = (Reporter){ .queue = &q, .first = i * REPORTS };
        g_assert_cmpint(thread_create(&reporters[i].thread, reporter_thread,
                                      &reporters[i]), ==, 0);
    }
    /* Whatever the schedule: some while they run, the rest after. */
    for (int i = 0; i < 1000; i++) {
        Seen part = read_queue(&q, 8 * 40 - 1);

        seen += take(&part, next);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(reporters[i].thread, NULL);
        queued += reporters[i].queued;
        lost += reporters[i].lost;
    }
    for (Seen part = read_queue(&q, 8 * 40 - 1); part.ret > 0;
         part = read_queue(&q, 8 * 40 - 1)) {
        seen += take(&part, next);
    }
    g_assert_cmpuint(queued + lost, ==, THREADS * REPORTS);
    g_assert_cmpuint(seen, ==, queued);
    queue_down(&q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mock/events/record-is-what-was-reported",
                    test_record_is_what_was_reported);
    g_test_add_func("/mock/events/order-survives-the-ring",
                    test_order_survives_the_ring);
    for (unsigned i = 0; i < G_N_ELEMENTS(size_cases); i++) {
        g_autofree char *path = g_strconcat("/mock/events/read/",
                                            size_cases[i].name, NULL);

        g_test_add_data_func(path, &size_cases[i], test_size);
    }
    g_test_add_func("/mock/events/lost-at-the-tail", test_lost_at_the_tail);
    g_test_add_func("/mock/events/lost-in-the-middle",
                    test_lost_in_the_middle);
    g_test_add_func("/mock/events/dropped-with-the-queue",
                    test_dropped_with_the_queue);
    g_test_add_func("/mock/events/destroy-is-EBUSY-while-the-fd-is-open",
                    test_destroy_is_EBUSY_while_the_fd_is_open);
    g_test_add_func("/mock/events/fd-is-the-host's-below",
                    test_fd_is_the_kernels);
    g_test_add_func("/mock/events/second-queue-is-EEXIST",
                    test_second_queue_is_EEXIST);
    g_test_add_func("/mock/events/refused", test_refused);
    g_test_add_func("/mock/events/reports-and-reads-at-once",
                    test_reports_and_reads_at_once);
    return g_test_run();
}
