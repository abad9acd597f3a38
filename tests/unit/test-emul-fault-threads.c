/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two devices raise, a reader reads and answers (some too late), the main
 * thread moves, detaches and destroys: each group is answered exactly once.
 */
#include "test-emul-fault.h"

#include <pthread.h>

enum { GROUPS = 40000, CREDITS = 64 };

typedef struct Raiser {
    pthread_t thread;
    HostIommu *host;
    uint32_t dev_id;
    atomic_uint raised;         /* [atomic] groups taken */
    atomic_uint answered;       /* [atomic] */
    atomic_uchar answers[GROUPS];   /* [atomic] by group; at most 1 */
} Raiser;

typedef struct Answerer {
    pthread_t thread;
    HostIommu *host;
    int fd;
    atomic_bool stop;           /* [atomic] */
    uint64_t taken;             /* after the join: write() said so */
} Answerer;

typedef struct Counter {
    Raiser *raisers[2];
} Counter;

static void count_answer(const EmulPageAnswer *answer, void *opaque)
{
    Counter *counter = opaque;
    Raiser *r = counter->raisers[answer->tag >> 32];
    uint32_t group = (uint32_t)answer->tag;

    g_assert_cmpuint(atomic_fetch_add(&r->answers[group], 1), ==, 0);
    g_assert_true(!answer->automatic || answer->code == INVALID);
    g_assert_cmpuint(answer->dev_id, ==, r->dev_id);
    atomic_fetch_add(&r->answered, 1);
}

/* Groups of one to three pages, with no more open than there are credits. */
static void *raiser_run(void *opaque)
{
    Raiser *r = opaque;
    EmulPageRequest request = { .dev_id = r->dev_id };

    for (uint32_t i = 0; i < GROUPS; i++) {
        uint32_t pages = 1 + i % 3;

        while (atomic_load(&r->raised) - atomic_load(&r->answered) >=
               CREDITS) {
            sched_yield();
        }
        request.grpid = i % CREDITS;
        request.tag = (uint64_t)(r->dev_id > 1) << 32 | i;
        for (uint32_t k = 1; k <= pages; k++) {
            EmulReport report;

            request.last = k == pages;
            /* Before: its answer may come while the call returns. */
            atomic_fetch_add(&r->raised, request.last);
            report = emul_request_page(r->host, &request);
            if (report == EMUL_REPORT_REFUSED && request.last) {
                atomic_fetch_sub(&r->raised, 1);
            }
        }
    }
    return NULL;
}

static void *answerer_run(void *opaque)
{
    enum { RECORDS = 96 };
    struct iommu_hwpt_page_response responses[RECORDS];
    struct iommu_hwpt_pgfault records[RECORDS];
    Answerer *a = opaque;

    while (!atomic_load(&a->stop)) {
        ssize_t ret = host_read(a->host, a->fd, records, sizeof(records));
        unsigned num = 0;
        unsigned done = 0;

        g_assert_cmpint(ret, >=, 0);
        for (ssize_t i = 0; i < ret / FAULT_SIZE; i++) {
            if (records[i].flags & IOMMU_PGFAULT_FLAGS_LAST_PAGE) {
                responses[num].cookie = records[i].cookie;
                responses[num++].code = i % 2 ? SUCCESS : INVALID;
            }
        }
        /* After a refused one, whose device has been detached, go on. */
        while (done < num) {
            ret = host_write(a->host, a->fd, &responses[done],
                             (num - done) * RESPONSE_SIZE);
            g_assert_true(ret > 0 || ret == -EINVAL);
            if (ret > 0) {
                done += (unsigned)ret / RESPONSE_SIZE;
                a->taken += (unsigned)ret / RESPONSE_SIZE;
            } else {
                done++;
            }
        }
        if (num == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static bool is_done(Raiser *r)
{
    return atomic_load(&r->raised) == atomic_load(&r->answered);
}

static void test_answered_exactly_once(void)
{
    Raiser *raisers[2] = { g_new0(Raiser, 1), g_new0(Raiser, 1) };
    Counter counter = { { raisers[0], raisers[1] } };
    Answerer answerer = { 0 };
    uint64_t raised = 0;
    EmulPageStats stats;
    uint32_t second_pt;
    FaultMachine m;
    int second_fd;

    fault_machine_init(&m);
    emul_set_answer_func(m.host, count_answer, &counter);
    raisers[0]->host = raisers[1]->host = answerer.host = m.host;
    raisers[0]->dev_id = m.dev_id;
    g_assert_cmpuint(m.dev_id, ==, 1);
    second_fd = emul_device_open_behind(m.host, EMUL_IOMMU_VTD);
    g_assert_cmpint(device_bind(m.host, second_fd, &raisers[1]->dev_id), ==,
                    0);
    second_pt = m.nested_id;
    g_assert_cmpint(device_attach(m.host, second_fd, &second_pt), ==, 0);
    answerer.fd = m.fd;
    pthread_create(&answerer.thread, NULL, answerer_run, &answerer);
    for (int i = 0; i < 2; i++) {
        pthread_create(&raisers[i]->thread, NULL, raiser_run, raisers[i]);
    }
    /* One device comes and goes, the other is not disturbed. */
    for (int i = 0; i < 1000; i++) {
        g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
        fault_attach(&m, i % 2 ? m.parent_id : m.nested_id);
        sched_yield();
        fault_attach(&m, m.nested_id);
        sched_yield();
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(raisers[i]->thread, NULL);
    }
    while (!is_done(raisers[0]) || !is_done(raisers[1])) {
        sched_yield();
    }
    atomic_store(&answerer.stop, true);
    pthread_join(answerer.thread, NULL);
    g_assert_cmpuint(atomic_load(&raisers[1]->answered), ==, GROUPS);
    for (int i = 0; i < 2; i++) {
        raised += atomic_load(&raisers[i]->raised);
    }
    stats = emul_get_page_stats(m.host);
    g_assert_cmpuint(stats.raised, ==, raised);
    g_assert_cmpuint(stats.answered, ==, answerer.taken);
    g_assert_cmpuint(stats.open, ==, 0);
    g_assert_cmpint(m.host->ops->close(m.host, second_fd), ==, 0);
    fault_machine_cleanup(&m);
    g_free(raisers[0]);
    g_free(raisers[1]);
}

/* Queues come and go under a device that does not look. */
static void test_raise_against_queue_life(void)
{
    Raiser *raiser = g_new0(Raiser, 1);
    Counter counter = { { raiser, raiser } };
    FaultMachine m;

    fault_machine_init(&m);
    emul_set_answer_func(m.host, count_answer, &counter);
    raiser->host = m.host;
    raiser->dev_id = m.dev_id;
    pthread_create(&raiser->thread, NULL, raiser_run, raiser);
    for (int i = 0; i < 1000; i++) {
        sched_yield();
        g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
        /* All that was raised has been answered when detach returns. */
        g_assert_cmpuint(emul_get_page_stats(m.host).open, ==, 0);
        g_assert_cmpint(destroy(m.host, m.nested_id), ==, 0);
        g_assert_cmpint(m.host->ops->close(m.host, m.fd), ==, 0);
        g_assert_cmpint(destroy(m.host, m.fault_id), ==, 0);
        g_assert_cmpint(fault_alloc(m.host, &m.fault_id, &m.fd), ==, 0);
        g_assert_cmpint(vtd_alloc(m.host, m.dev_id, m.parent_id, m.fault_id,
                                  &m.nested_id), ==, 0);
        fault_attach(&m, m.nested_id);
    }
    g_assert_cmpint(device_detach(m.host, m.device_fd), ==, 0);
    pthread_join(raiser->thread, NULL);
    g_assert_true(is_done(raiser));
    g_assert_cmpuint(emul_get_stats(m.host).busy, ==, 0);
    fault_machine_cleanup(&m);
    g_free(raiser);
}

/* Two writers race for the same cookies: each is taken from one of them. */
typedef struct Writer {
    pthread_t thread;
    HostIommu *host;
    int fd;
    unsigned taken;             /* after the join */
} Writer;

static void *writer_run(void *opaque)
{
    Writer *w = opaque;

    for (uint32_t cookie = 1; cookie <= GROUPS; cookie++) {
        const struct iommu_hwpt_page_response response = { cookie, SUCCESS };

        w->taken += host_write(w->host, w->fd, &response,
                               sizeof(response)) == RESPONSE_SIZE;
    }
    return NULL;
}

static void test_two_writers(void)
{
    g_autofree char *buf = g_malloc(GROUPS * FAULT_SIZE);
    Raiser *raiser = g_new0(Raiser, 1);
    Counter counter = { { raiser, raiser } };
    Writer writers[2];
    FaultMachine m;

    fault_machine_init(&m);
    emul_set_answer_func(m.host, count_answer, &counter);
    raiser->dev_id = m.dev_id;
    for (uint32_t i = 0; i < GROUPS; i++) {
        fault_raise(&m, i, true);
    }
    g_assert_cmpint(host_read(m.host, m.fd, buf, GROUPS * FAULT_SIZE), ==,
                    GROUPS * FAULT_SIZE);
    for (int i = 0; i < 2; i++) {
        writers[i] = (Writer) { .host = m.host, .fd = m.fd };
        pthread_create(&writers[i].thread, NULL, writer_run, &writers[i]);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(writers[i].thread, NULL);
    }
    g_assert_cmpuint(writers[0].taken + writers[1].taken, ==, GROUPS);
    g_assert_cmpuint(atomic_load(&raiser->answered), ==, GROUPS);
    fault_machine_cleanup(&m);
    g_free(raiser);
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
        int ret = destroy(d->host, d->id);

        g_assert_true(ret == 0 || ret == -EBUSY || ret == -ENOENT);
        d->destroyed += ret == 0;
    }
    return NULL;
}

/* Each life of a queue ends once, whoever ends it; never while it is open. */
static void test_two_destroyers(void)
{
    const unsigned num = 5000;
    unsigned destroyed = 0;
    Destroyer d = { 0 };
    FaultMachine m;
    uint32_t id;
    int ret;
    int fd;

    fault_machine_init(&m);
    d.host = m.host;
    d.id = m.nested_id + 1;     /* the ID that every queue gets */
    pthread_create(&d.thread, NULL, destroyer_run, &d);
    for (unsigned i = 0; i < num; i++) {
        do {
            /* The last one's ID may still be taken. */
            g_assert_cmpint(fault_alloc(m.host, &id, &fd), ==, 0);
            if (id != d.id) {
                g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
                g_assert_cmpint(destroy(m.host, id), ==, 0);
            }
        } while (id != d.id);
        g_assert_cmpint(m.host->ops->close(m.host, fd), ==, 0);
        ret = destroy(m.host, id);
        g_assert_true(ret == 0 || ret == -ENOENT);
        destroyed += ret == 0;
    }
    atomic_store(&d.stop, true);
    pthread_join(d.thread, NULL);
    g_assert_cmpuint(destroyed + d.destroyed, ==, num);
    fault_machine_cleanup(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/emul/fault/threads/answered-exactly-once",
                    test_answered_exactly_once);
    g_test_add_func("/emul/fault/threads/raise-against-queue-life",
                    test_raise_against_queue_life);
    g_test_add_func("/emul/fault/threads/two-writers", test_two_writers);
    g_test_add_func("/emul/fault/threads/two-destroyers",
                    test_two_destroyers);
    return g_test_run();
}
