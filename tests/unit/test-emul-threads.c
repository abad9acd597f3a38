/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Several threads on one emulated host: no event is lost or told twice, and
 * nothing dangles.
 */
#include "test-emul.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

typedef struct Reporter {
    pthread_t thread;
    Machine *machine;
    uint64_t who;               /* top half of every number */
    uint64_t queued;            /* after the join */
    uint64_t lost;
    uint32_t num;
} Reporter;

static void *reporter_run(void *opaque)
{
    Reporter *r = opaque;

    for (uint32_t i = 0; i < r->num; i++) {
        switch (report_one(r->machine, r->who << 32 | i)) {
        case EMUL_REPORT_QUEUED:
            r->queued++;
            break;
        case EMUL_REPORT_LOST:
            r->lost++;
            break;
        default:
            g_assert_not_reached();
        }
    }
    return NULL;
}

/* What a reader has seen so far. */
typedef struct Tally {
    uint64_t next;              /* the number that must come, or a higher one */
    uint64_t events;
    uint64_t lost;
    int64_t last[2];            /* per reporter: its numbers only go up */
} Tally;

static void tally(Tally *t, const char *buf, size_t len)
{
    while (len > 0) {
        struct iommufd_vevent_header header;
        struct iommu_vevent_arm_smmuv3 event;
        uint64_t number;

        memcpy(&header, buf, sizeof(header));
        g_assert_cmpuint(header.sequence, >=, t->next);
        t->lost += header.sequence - t->next;
        t->next = header.sequence + 1;
        if (header.flags) {
            t->lost++;
            g_assert_cmpuint(len, ==, sizeof(header));
            break;
        }
        memcpy(&event, buf + sizeof(header), sizeof(event));
        number = GUINT64_FROM_LE(event.evt[2]);
        g_assert_cmpint((int64_t)(uint32_t)number, >, t->last[number >> 32]);
        t->last[number >> 32] = (uint32_t)number;
        t->events++;
        buf += EVENT_SIZE;
        len -= EVENT_SIZE;
    }
}

/* @data: depth. Every sequence once, in order; both sides count the same. */
static void test_two_reporters_one_reader(gconstpointer data)
{
    const uint32_t num = 200000;
    Reporter reporters[2];
    Tally t = { .last = { -1, -1 } };
    char buf[16 * EVENT_SIZE + 8];
    ssize_t len;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, GPOINTER_TO_UINT(data));
    for (int i = 0; i < 2; i++) {
        reporters[i] = (Reporter) { .machine = &m, .who = i, .num = num };
        pthread_create(&reporters[i].thread, NULL, reporter_run,
                       &reporters[i]);
    }
    while (t.next < 2 * num) {
        struct pollfd pfd = { .fd = m.fd, .events = POLLIN };

        g_assert_cmpint(poll(&pfd, 1, -1), ==, 1);
        len = host_read(m.host, m.fd, buf, sizeof(buf));
        g_assert_cmpint(len, >, 0);
        tally(&t, buf, (size_t)len);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(reporters[i].thread, NULL);
    }
    g_assert_cmpuint(t.events, ==, reporters[0].queued + reporters[1].queued);
    g_assert_cmpuint(t.lost, ==, reporters[0].lost + reporters[1].lost);
    g_assert_cmpuint(emul_get_stats(m.host).generated, ==, 2 * num);
    g_assert_cmpint(poll_now(m.fd), ==, 0);
    machine_cleanup(&m);
    /* All that was generated is accounted for. */
    g_assert_cmpuint(t.events + t.lost, ==, 2 * num);
}

typedef struct Reader {
    pthread_t thread;
    Machine *machine;
    atomic_uchar *seen;         /* [atomic] times, by sequence */
    atomic_uint *left;          /* [atomic] */
} Reader;

static void *reader_run(void *opaque)
{
    Reader *r = opaque;
    char buf[3 * EVENT_SIZE];

    while (atomic_load(r->left) > 0) {
        ssize_t len = host_read(r->machine->host, r->machine->fd, buf,
                                sizeof(buf));

        g_assert_cmpint(len, >=, 0);
        for (ssize_t i = 0; i < len; i += EVENT_SIZE) {
            struct iommufd_vevent_header header;

            memcpy(&header, buf + i, sizeof(header));
            atomic_fetch_add(&r->seen[header.sequence], 1);
            atomic_fetch_sub(r->left, 1);
        }
    }
    return NULL;
}

static void test_two_readers(void)
{
    enum { NUM = 100000 };
    g_autofree atomic_uchar *seen = g_new0(atomic_uchar, NUM);
    atomic_uint left = NUM;
    Reader readers[2];
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, NUM);
    for (int i = 0; i < 2; i++) {
        readers[i] = (Reader) { .machine = &m, .seen = seen, .left = &left };
        pthread_create(&readers[i].thread, NULL, reader_run, &readers[i]);
    }
    for (int i = 0; i < NUM; i++) {
        report_one(&m, i);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(readers[i].thread, NULL);
    }
    for (int i = 0; i < NUM; i++) {
        g_assert_cmpuint(atomic_load(&seen[i]), ==, 1);
    }
    machine_cleanup(&m);
}

/*
 * Moved between two HWPTs of one vIOMMU a device's events are never refused:
 * reporter_run() asserts it.
 */
static void test_report_against_attach(void)
{
    Reporter reporter = { .num = 200000 };
    uint64_t generated;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    reporter.machine = &m;
    pthread_create(&reporter.thread, NULL, reporter_run, &reporter);
    for (int i = 0; i < 2000; i++) {
        uint32_t pt_id;
        uint32_t other;

        g_assert_cmpint(nested_alloc(m.host, m.dev_id, m.viommu_id, STE_BYPASS,
                                     0, &other), ==, 0);
        pt_id = other;
        g_assert_cmpint(device_attach(m.host, m.device_fd, &pt_id), ==, 0);
        pt_id = m.nested_id;
        g_assert_cmpint(device_attach(m.host, m.device_fd, &pt_id), ==, 0);
        g_assert_cmpint(destroy(m.host, other), ==, 0);
    }
    pthread_join(reporter.thread, NULL);
    g_assert_cmpuint(reporter.queued, ==, 4);
    /* After detach no event comes, and its number is not used up. */
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    generated = emul_get_stats(m.host).generated;
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_REFUSED);
    g_assert_cmpuint(emul_get_stats(m.host).generated, ==, generated);
    machine_cleanup(&m);
}

/* A reporter that does not mind being refused. */
static void *careless_run(void *opaque)
{
    Reporter *r = opaque;

    for (uint32_t i = 0; i < r->num; i++) {
        r->queued += report_one(r->machine, i) != EMUL_REPORT_REFUSED;
    }
    return NULL;
}

static void test_report_against_queue_life(void)
{
    Reporter reporter = { .num = 300000 };
    EmulStats stats;
    Machine m;

    machine_init(&m);
    reporter.machine = &m;
    pthread_create(&reporter.thread, NULL, careless_run, &reporter);
    for (int i = 0; i < 3000; i++) {
        machine_open_queue(&m, 16);
        machine_close_queue(&m);
    }
    pthread_join(reporter.thread, NULL);
    stats = emul_get_stats(m.host);
    g_assert_cmpuint(stats.generated, ==, reporter.queued);
    g_assert_cmpuint(stats.dropped, ==, reporter.queued);
    machine_cleanup(&m);
}

/* Reports until told to stop, and counts its calls. */
typedef struct Endless {
    pthread_t thread;
    const Machine *machine;
    atomic_uint calls;          /* [atomic] finished */
    atomic_bool stop;           /* [atomic] */
} Endless;

static void *endless_run(void *opaque)
{
    Endless *e = opaque;
    Machine m = *e->machine;

    while (!atomic_load(&e->stop)) {
        report_one(&m, 0);
        atomic_fetch_add(&e->calls, 1);
        sched_yield();
    }
    return NULL;
}

/* Until @num more calls than now are over. */
static void endless_wait(Endless *e, unsigned num)
{
    unsigned from = atomic_load(&e->calls);

    while (atomic_load(&e->calls) - from < num) {
        sched_yield();
    }
}

static void test_no_event_after_detach(void)
{
    uint64_t generated;
    uint32_t pt_id;
    Endless e = { 0 };
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 16);
    e.machine = &m;
    pthread_create(&e.thread, NULL, endless_run, &e);
    for (int i = 0; i < 2000; i++) {
        endless_wait(&e, 2);
        g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
        generated = emul_get_stats(m.host).generated;
        endless_wait(&e, 2);
        g_assert_cmpuint(emul_get_stats(m.host).generated, ==, generated);
        pt_id = m.nested_id;
        g_assert_cmpint(device_attach(m.host, m.device_fd, &pt_id), ==, 0);
    }
    atomic_store(&e.stop, true);
    pthread_join(e.thread, NULL);
    machine_cleanup(&m);
}

typedef struct Destroyer {
    pthread_t thread;
    HostIommu *host;
    uint32_t id;
    unsigned destroyed;         /* after the join */
    atomic_bool stop;           /* [atomic] */
} Destroyer;

static void *destroyer_run(void *opaque)
{
    Destroyer *d = opaque;

    while (!atomic_load(&d->stop)) {
        d->destroyed += destroy(d->host, d->id) == 0;
        sched_yield();
    }
    return NULL;
}

/* Each life of a queue ends once, whoever ends it; never while it is open. */
static void test_two_destroyers(void)
{
    const unsigned num = 5000;
    Destroyer d = { 0 };
    unsigned destroyed = 0;
    Machine m;
    int ret;

    machine_init(&m);
    machine_open_queue(&m, 16);
    machine_close_queue(&m);
    d.host = m.host;
    d.id = m.nested_id + 1;     /* the ID that every queue gets */
    pthread_create(&d.thread, NULL, destroyer_run, &d);
    for (unsigned i = 0; i < num; i++) {
        do {
            /* EEXIST while the other is half way through the last one. */
            ret = veventq_alloc(m.host, m.viommu_id,
                                IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, 16,
                                &m.queue_id, &m.fd);
        } while (ret == -EEXIST);
        g_assert_cmpint(ret, ==, 0);
        g_assert_cmpuint(m.queue_id, ==, d.id);
        g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_QUEUED);
        g_assert_cmpint(m.host->ops->close(m.host, m.fd), ==, 0);
        ret = destroy(m.host, d.id);
        g_assert_true(ret == 0 || ret == -ENOENT);
        destroyed += ret == 0;
    }
    atomic_store(&d.stop, true);
    pthread_join(d.thread, NULL);
    g_assert_cmpuint(destroyed + d.destroyed, ==, num);
    m.queue_id = 0;
    machine_cleanup(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/emul/threads/two-reporters-deep-queue",
                         GUINT_TO_POINTER(65536),
                         test_two_reporters_one_reader);
    g_test_add_data_func("/emul/threads/two-reporters-overflowing-queue",
                         GUINT_TO_POINTER(4), test_two_reporters_one_reader);
    g_test_add_func("/emul/threads/two-readers-each-event-once",
                    test_two_readers);
    g_test_add_func("/emul/threads/report-against-attach",
                    test_report_against_attach);
    g_test_add_func("/emul/threads/report-against-queue-life",
                    test_report_against_queue_life);
    g_test_add_func("/emul/threads/no-event-after-detach",
                    test_no_event_after_detach);
    g_test_add_func("/emul/threads/two-destroyers", test_two_destroyers);
    return g_test_run();
}
