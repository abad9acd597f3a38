/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads: what two of them may do to the same object at the same time. How
 * often a race is won is not noted, only what must never be.
 */
#include "conformance.h"
#include "sleeper.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    ROUNDS = 500,
    EVENTS = 2000,
    DEPTH = 8,
    VEVENT_SIZE = 12,
    /*
     * On a machine that others use, something may look at /proc/PID/fd, which
     * holds a file for a moment: EBUSY, which passes by itself.
     */
    ALLOWED = 2,
};

/* Reports events for a device until told to stop, and counts the answers. */
typedef struct Reporter {
    Conformance c;              /* the host only */
    uint32_t dev_id;
    atomic_bool stop;
    atomic_uint reported;
    unsigned refused;           /* no queue, or not attached to it */
    unsigned wrong;             /* any other answer */
    pthread_t thread;
} Reporter;

static void *reporter_run(void *opaque)
{
    Reporter *r = opaque;

    while (!atomic_load(&r->stop)) {
        if (trigger_vevent(&r->c, r->dev_id) == 0) {
            atomic_fetch_add(&r->reported, 1);
        } else if (errno == EOPNOTSUPP || errno == ENOENT) {
            r->refused++;
            sched_yield();
        } else {
            r->wrong++;
        }
    }
    return NULL;
}

static void reporter_start(Reporter *r, Conformance *c, uint32_t dev_id)
{
    *r = (Reporter) { .c.host = c->host, .dev_id = dev_id };
    pthread_create(&r->thread, NULL, reporter_run, r);
}

static void reporter_stop(Reporter *r)
{
    atomic_store(&r->stop, true);
    pthread_join(r->thread, NULL);
}

/* Return: 1 if IOMMU_DESTROY said EBUSY, which passes, else 0. */
static unsigned close_and_destroy(Conformance *c, uint32_t id, int fd)
{
    unsigned busy = 0;
    int ret;

    need(c, "close", close_fd(c, fd));
    while ((ret = destroy(c, id)) < 0 && errno == EBUSY) {
        busy = 1;
        sched_yield();
    }
    need(c, "destroy", ret);
    return busy;
}

/* Waits for an event, as the thread that owns the queue does, and reads it. */
static void wait_and_read(Conformance *c, int fd, bool by_epoll)
{
    struct pollfd pfd = { .fd = fd, .events = POLLIN };
    char buf[(DEPTH + 1) * VEVENT_SIZE];
    struct epoll_event event;
    int epoll_fd;

    if (by_epoll) {
        epoll_fd = epoll_on(fd);
        need(c, "epoll_wait", epoll_wait(epoll_fd, &event, 1, -1));
        need(c, "unwatch", epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL));
        need(c, "close", close(epoll_fd));
    } else {
        need(c, "poll", poll(&pfd, 1, -1));
    }
    need(c, "read", host_read(c, fd, buf, sizeof(buf)));
}

/* The thread that polls is the one that closes, while events arrive. */
static void owner_tears_down(Conformance *c, bool by_epoll)
{
    unsigned busy = 0;
    uint32_t queue_id;
    Reporter r;
    Rig rig;
    int fd;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    reporter_start(&r, c, rig.dev_id);
    for (int i = 0; i < ROUNDS && !c->failed; i++) {
        if (need(c, "vEVENTQ", veventq_alloc(c, rig.viommu_id, DEPTH,
                                             &queue_id, &fd))) {
            wait_and_read(c, fd, by_epoll);
            busy += close_and_destroy(c, queue_id, fd);
        }
    }
    reporter_stop(&r);
    check_none(c, "EBUSY", busy > ALLOWED ? busy : 0);
    check_none(c, "wrong answers", r.wrong);
    rig_down(c, &rig);
}

static void owner_polls(Conformance *c)
{
    owner_tears_down(c, false);
}

static void owner_epolls(Conformance *c)
{
    owner_tears_down(c, true);
}

/* Another thread slept in poll(): woken, waited for, and then the teardown. */
static void sleeper_is_out(Conformance *c)
{
    unsigned busy = 0;
    uint32_t queue_id;
    Sleeper s;
    Rig rig;
    int fd;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    for (int i = 0; i < ROUNDS / 5 && !c->failed; i++) {
        if (need(c, "vEVENTQ", veventq_alloc(c, rig.viommu_id, DEPTH,
                                             &queue_id, &fd))) {
            sleeper_start(&s, fd, -1);
            sleeper_wake_and_join(&s);
            busy += close_and_destroy(c, queue_id, fd);
        }
    }
    check_none(c, "EBUSY", busy > ALLOWED ? busy : 0);
    rig_down(c, &rig);
}

/* The other way round: in each round the sleeper holds the queue. */
static void sleeper_is_in(Conformance *c)
{
    unsigned not_busy = 0;
    uint32_t queue_id;
    Sleeper s;
    Rig rig;
    int fd;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    for (int i = 0; i < ROUNDS / 5 && !c->failed; i++) {
        if (!need(c, "vEVENTQ", veventq_alloc(c, rig.viommu_id, DEPTH,
                                              &queue_id, &fd))) {
            break;
        }
        sleeper_start(&s, fd, -1);
        need(c, "close", close_fd(c, fd));
        not_busy += destroy(c, queue_id) == 0 || errno != EBUSY;
        sleeper_wake_and_join(&s);
        need(c, "destroy", destroy(c, queue_id));
    }
    check_none(c, "not EBUSY", not_busy);
    rig_down(c, &rig);
}

/* Events of two threads: each is read, or within a gap, once. */
static void every_event_has_a_number(Conformance *c)
{
    struct {
        struct iommufd_vevent_header header;
        struct iommu_viommu_event_selftest event;
    } record;
    unsigned delivered = 0, lost = 0, backwards = 0;
    int64_t last = -1;
    uint32_t queue_id;
    Reporter r[2];
    Rig rig;
    int fd;

    if (!rig_up(c, &rig, false) ||
        !need(c, "vEVENTQ", veventq_alloc(c, rig.viommu_id, DEPTH, &queue_id,
                                          &fd))) {
        return;
    }
    reporter_start(&r[0], c, rig.dev_id);
    reporter_start(&r[1], c, rig.dev_id);
    for (bool stopped = false; ;) {
        ssize_t len = host_read(c, fd, &record, sizeof(record));

        if (len <= 0 && stopped) {
            break;
        }
        if (len > 0) {
            backwards += (int64_t)record.header.sequence <= last;
            lost += (unsigned)(record.header.sequence - last) -
                    (record.header.flags == 0);
            delivered += record.header.flags == 0;
            last = record.header.sequence;
        }
        if (!stopped && delivered >= EVENTS) {
            reporter_stop(&r[0]);
            reporter_stop(&r[1]);
            stopped = true;
        }
    }
    check_none(c, "numbers that go back", backwards);
    check_none(c, "wrong answers", r[0].wrong + r[1].wrong);
    check_value(c, "delivered and lost is all that was reported",
                delivered + lost == atomic_load(&r[0].reported) +
                                    atomic_load(&r[1].reported), 1);
    need(c, "close", close_fd(c, fd));
    need(c, "destroy", destroy(c, queue_id));
    rig_down(c, &rig);
}

/* Attach and detach under events: refused while it is not nested, no more. */
static void replaced_under_events(Conformance *c)
{
    uint32_t queue_id;
    Reporter r;
    Rig rig;
    int fd;

    if (!rig_up(c, &rig, false) ||
        !need(c, "vEVENTQ", veventq_alloc(c, rig.viommu_id, DEPTH, &queue_id,
                                          &fd))) {
        return;
    }
    reporter_start(&r, c, rig.dev_id);
    for (int i = 0; i < ROUNDS && !c->failed; i++) {
        need(c, "away", mock_replace(c, rig.stdev_id, rig.ioas_id));
        need(c, "back", mock_replace(c, rig.stdev_id, rig.hwpt_id));
    }
    reporter_stop(&r);
    check_none(c, "wrong answers", r.wrong);
    need(c, "close", close_fd(c, fd));
    need(c, "destroy", destroy(c, queue_id));
    rig_down(c, &rig);
}

/* A step of one thread that another one does at the same time. */
typedef struct Step {
    Conformance c;              /* the host only */
    atomic_int *gate;
    int (*act)(struct Step *step);
    uint32_t id;
    uint32_t out_id;
    int out_fd;
    int err;                    /* what it gave */
    pthread_t thread;
} Step;

static void *step_run(void *opaque)
{
    Step *step = opaque;

    atomic_fetch_add(step->gate, 1);
    while (atomic_load(step->gate) < 2) {
        sched_yield();
    }
    step->err = step->act(step) < 0 ? errno : 0;
    return NULL;
}

static void at_once(Conformance *c, Step step[2], int (*act)(Step *),
                    uint32_t id)
{
    atomic_int gate = 0;

    for (int i = 0; i < 2; i++) {
        step[i] = (Step) {
            .c.host = c->host, .gate = &gate, .act = act, .id = id,
        };
        pthread_create(&step[i].thread, NULL, step_run, &step[i]);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(step[i].thread, NULL);
    }
}

/* Not one success and one @err. */
static bool not_one_each(const Step step[2], int err)
{
    return (step[0].err != 0 || step[1].err != err) &&
           (step[0].err != err || step[1].err != 0);
}

static int act_destroy(Step *step)
{
    return destroy(&step->c, step->id);
}

static int act_ioas(Step *step)
{
    return ioas_alloc(&step->c, &step->out_id);
}

static int act_veventq(Step *step)
{
    return veventq_alloc(&step->c, step->id, DEPTH, &step->out_id,
                         &step->out_fd);
}

static void destroy_at_once(Conformance *c)
{
    unsigned wrong = 0;
    Step step[2];
    uint32_t id;

    for (int i = 0; i < ROUNDS && need(c, "IOAS", ioas_alloc(c, &id)); i++) {
        at_once(c, step, act_destroy, id);
        wrong += not_one_each(step, ENOENT);
    }
    check_none(c, "not one 0 and one ENOENT", wrong);
}

static void alloc_at_once(Conformance *c)
{
    unsigned wrong = 0;
    Step step[2];

    for (int i = 0; i < ROUNDS && !c->failed; i++) {
        at_once(c, step, act_ioas, 0);
        wrong += step[0].out_id + step[1].out_id != 3;
        for (int j = 0; j < 2; j++) {
            if (need(c, "IOAS", -step[j].err)) {
                need(c, "destroy", destroy(c, step[j].out_id));
            }
        }
    }
    check_none(c, "not ID 1 and 2", wrong);
}

static void veventq_at_once(Conformance *c)
{
    unsigned wrong = 0;
    Step step[2];
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    for (int i = 0; i < ROUNDS && !c->failed; i++) {
        at_once(c, step, act_veventq, rig.viommu_id);
        wrong += not_one_each(step, EEXIST);
        for (int j = 0; j < 2; j++) {
            if (step[j].err == 0) {
                close_and_destroy(c, step[j].out_id, step[j].out_fd);
            }
        }
    }
    check_none(c, "not one 0 and one EEXIST", wrong);
    rig_down(c, &rig);
}

const ConformanceCase conformance_races[] = {
    { "races/owner-polls-and-tears-down-under-events", owner_polls },
    { "races/owner-epolls-and-tears-down-under-events", owner_epolls },
    { "races/thread-in-poll-always-holds-the-queue", sleeper_is_in },
    { "races/thread-that-was-in-poll-does-not", sleeper_is_out },
    { "races/every-event-is-read-or-lost", every_event_has_a_number },
    { "races/attach-and-detach-under-events", replaced_under_events },
    { "races/two-destroys-of-an-object", destroy_at_once },
    { "races/two-allocations", alloc_at_once },
    { "races/two-vEVENTQs-of-a-type", veventq_at_once },
    { NULL, NULL },
};
