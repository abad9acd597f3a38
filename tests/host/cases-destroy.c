/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IOMMU_DESTROY: order, twice, and what holds a queue. Each on a vEVENTQ and on
 * a fault queue.
 */
#include "conformance.h"
#include "sleeper.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEPTH = 4, VEVENT_SIZE = 12 };

/* A rig, and a queue that nothing else names. */
typedef struct Queue {
    Rig rig;
    uint32_t id;
    int fd;
} Queue;

typedef bool QueueUp(Conformance *c, Queue *q);

static bool veventq_up(Conformance *c, Queue *q)
{
    return rig_up(c, &q->rig, false) &&
           need(c, "vEVENTQ", veventq_alloc(c, q->rig.viommu_id, DEPTH,
                                            &q->id, &q->fd));
}

static bool fault_up(Conformance *c, Queue *q)
{
    return rig_up(c, &q->rig, false) &&
           need(c, "fault queue", fault_alloc(c, &q->id, &q->fd));
}

static void close_queue(Conformance *c, Queue *q)
{
    need(c, "close", close_fd(c, q->fd));
    q->fd = -1;
}

static void check_destroy(Conformance *c, Queue *q, const char *what, int err)
{
    check_errno(c, what, destroy(c, q->id), err);
}

static void fd_open(Conformance *c, QueueUp *up)
{
    Queue q;

    if (!up(c, &q)) {
        return;
    }
    check_destroy(c, &q, "open", EBUSY);
    check_destroy(c, &q, "open, again", EBUSY);
    close_queue(c, &q);
    check_destroy(c, &q, "closed", 0);
    check_destroy(c, &q, "gone", ENOENT);
    rig_down(c, &q.rig);
}

static void a_dup(Conformance *c, QueueUp *up)
{
    Queue q;
    int copy;

    if (!up(c, &q)) {
        return;
    }
    copy = dup(q.fd);
    close_queue(c, &q);
    check_destroy(c, &q, "with a dup()", EBUSY);
    need(c, "close", close(copy));
    check_destroy(c, &q, "without", 0);
    rig_down(c, &q.rig);
}

/* It lives until the parent closes the pipe. */
static pid_t fork_holder(Conformance *c, int until[2])
{
    char byte;
    pid_t child;

    need(c, "pipe", pipe(until));
    child = fork();
    if (child == 0) {
        close(until[1]);
        _exit(read(until[0], &byte, 1) == 0 ? 0 : 1);
    }
    need(c, "fork", child);
    return child;
}

static void a_forked_child(Conformance *c, QueueUp *up)
{
    int until[2];
    pid_t child;
    Queue q;

    if (!up(c, &q)) {
        return;
    }
    child = fork_holder(c, until);
    close_queue(c, &q);
    check_destroy(c, &q, "with a forked child", EBUSY);
    close(until[0]);
    close(until[1]);
    need(c, "wait", waitpid(child, NULL, 0));
    check_destroy(c, &q, "without", 0);
    rig_down(c, &q.rig);
}

/* Return: what sendmsg() does. */
static ssize_t send_fd(int socket, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    char byte = 0;
    struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
    return sendmsg(socket, &msg, 0);
}

static void in_flight(Conformance *c, QueueUp *up)
{
    int sockets[2];
    Queue q;

    if (!up(c, &q)) {
        return;
    }
    need(c, "sockets", socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    need(c, "send", send_fd(sockets[0], q.fd));
    close_queue(c, &q);
    check_destroy(c, &q, "with a copy in flight", EBUSY);
    close(sockets[0]);
    close(sockets[1]);
    check_destroy(c, &q, "without", 0);
    rig_down(c, &q.rig);
}

/* An epoll set holds nothing, and forgets what is closed. */
static void in_an_epoll_set(Conformance *c, QueueUp *up)
{
    struct epoll_event event;
    int epoll_fd;
    Queue q;

    if (!up(c, &q)) {
        return;
    }
    epoll_fd = epoll_on(q.fd);
    check_destroy(c, &q, "open", EBUSY);
    close_queue(c, &q);
    check_destroy(c, &q, "closed, in an epoll set", 0);
    check_value(c, "ready", epoll_wait(epoll_fd, &event, 1, 0), 0);
    close(epoll_fd);
    rig_down(c, &q.rig);
}

static void asleep_in_poll(Conformance *c, QueueUp *up)
{
    Sleeper s;
    Queue q;

    if (!up(c, &q)) {
        return;
    }
    sleeper_start(&s, q.fd, -1);
    close_queue(c, &q);
    check_destroy(c, &q, "closed, thread asleep in poll()", EBUSY);
    check_destroy(c, &q, "again", EBUSY);
    sleeper_wake_and_join(&s);
    check_destroy(c, &q, "thread out", 0);
    rig_down(c, &q.rig);
}

static void asleep_in_epoll(Conformance *c, QueueUp *up)
{
    int epoll_fd;
    Sleeper s;
    Queue q;

    if (!up(c, &q)) {
        return;
    }
    epoll_fd = epoll_on(q.fd);
    sleeper_start(&s, q.fd, epoll_fd);
    close_queue(c, &q);
    check_destroy(c, &q, "closed, thread asleep in epoll_wait()", 0);
    sleeper_wake_and_join(&s);
    close(epoll_fd);
    rig_down(c, &q.rig);
}

static void sleeper_that_is_woken_first(Conformance *c, QueueUp *up)
{
    Sleeper s;
    Queue q;

    if (!up(c, &q)) {
        return;
    }
    sleeper_start(&s, q.fd, -1);
    check_destroy(c, &q, "open, thread asleep in poll()", EBUSY);
    sleeper_wake_and_join(&s);
    close_queue(c, &q);
    check_destroy(c, &q, "thread out, closed", 0);
    rig_down(c, &q.rig);
}

/* A failed destroy changes nothing. */
static void goes_on_working(Conformance *c)
{
    char buf[64];
    Queue q;

    if (!veventq_up(c, &q)) {
        return;
    }
    check_destroy(c, &q, "open", EBUSY);
    check_errno(c, "event", trigger_vevent(c, q.rig.dev_id), 0);
    check_value(c, "read", host_read(c, q.fd, buf, sizeof(buf)), VEVENT_SIZE);
    close_queue(c, &q);
    check_destroy(c, &q, "closed", 0);
    check_errno(c, "event", trigger_vevent(c, q.rig.dev_id), EOPNOTSUPP);
    rig_down(c, &q.rig);
}

static void unread_events(Conformance *c)
{
    Queue q;

    if (!veventq_up(c, &q)) {
        return;
    }
    for (int i = 0; i < DEPTH + 2; i++) {
        need(c, "event", trigger_vevent(c, q.rig.dev_id));
    }
    close_queue(c, &q);
    check_errno(c, "event after the close", trigger_vevent(c, q.rig.dev_id),
                0);
    check_destroy(c, &q, "with unread and lost events", 0);
    rig_down(c, &q.rig);
}

/* The closed queue takes events still; one wakes the thread that holds it. */
static void event_wakes_the_holder(Conformance *c)
{
    Sleeper s;
    Queue q;

    if (!veventq_up(c, &q)) {
        return;
    }
    sleeper_start(&s, q.fd, -1);
    close_queue(c, &q);
    check_destroy(c, &q, "thread asleep in poll()", EBUSY);
    if (check_errno(c, "event", trigger_vevent(c, q.rig.dev_id), 0)) {
        sleeper_join(&s);
    } else {
        sleeper_wake_and_join(&s);
    }
    check_value(c, "its poll() says POLLNVAL", s.revents == POLLNVAL, 1);
    check_destroy(c, &q, "thread out", 0);
    rig_down(c, &q.rig);
}

/* Faults still queue up; the detach answers them. */
static void fault_queue_in_use(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    need(c, "close", close_fd(c, rig.fault_fd));
    rig.fault_fd = -1;
    check_errno(c, "closed, in use", destroy(c, rig.fault_id), EBUSY);
    check_errno(c, "fault", trigger_iopf(c, rig.dev_id, 0, 1, 0x1000), 0);
    check_errno(c, "HWPT", destroy(c, rig.hwpt_id), EBUSY);
    check_errno(c, "detach", mock_replace(c, rig.stdev_id, rig.ioas_id), 0);
    check_errno(c, "still named by the HWPT", destroy(c, rig.fault_id),
                EBUSY);
    check_errno(c, "HWPT", destroy(c, rig.hwpt_id), 0);
    check_errno(c, "fault queue", destroy(c, rig.fault_id), 0);
    rig.hwpt_id = rig.fault_id = 0;
    rig_down(c, &rig);
}

/* Everything in the wrong order first: what is in use stays as it is. */
static void whole_rig(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    check_errno(c, "IOAS", destroy(c, rig.ioas_id), EBUSY);
    check_errno(c, "parent", destroy(c, rig.parent_id), EBUSY);
    check_errno(c, "vIOMMU", destroy(c, rig.viommu_id), EBUSY);
    check_errno(c, "fault queue", destroy(c, rig.fault_id), EBUSY);
    check_errno(c, "HWPT", destroy(c, rig.hwpt_id), EBUSY);
    check_errno(c, "device's object", destroy(c, rig.dev_id), EBUSY);
    /* Nothing holds it, not even the attachment that went through it. */
    check_errno(c, "vDEVICE", destroy(c, rig.vdevice_id), 0);
    rig.vdevice_id = 0;
    check_errno(c, "fault", trigger_iopf(c, rig.dev_id, 0, 1, 0x1000), 0);
    check_errno(c, "device", destroy(c, rig.stdev_id), 0);
    rig.stdev_id = 0;
    rig_down(c, &rig);
}

static void twice(Conformance *c)
{
    uint32_t ids[6];
    Rig rig;

    if (!rig_up(c, &rig, false)) {
        return;
    }
    memcpy(ids, (uint32_t[]) { rig.stdev_id, rig.hwpt_id, rig.viommu_id,
                               rig.parent_id, rig.ioas_id, rig.vdevice_id },
           sizeof(ids));
    rig_down(c, &rig);
    for (int i = 0; i < 6; i++) {
        check_errno(c, "again", destroy(c, ids[i]), ENOENT);
    }
}

#define BOTH(name)                                              \
    static void name##_veventq(Conformance *c)                  \
    {                                                           \
        name(c, veventq_up);                                    \
    }                                                           \
                                                                \
    static void name##_fault(Conformance *c)                    \
    {                                                           \
        name(c, fault_up);                                      \
    }

BOTH(fd_open)
BOTH(a_dup)
BOTH(a_forked_child)
BOTH(in_flight)
BOTH(in_an_epoll_set)
BOTH(asleep_in_poll)
BOTH(asleep_in_epoll)
BOTH(sleeper_that_is_woken_first)

const ConformanceCase conformance_destroy[] = {
    { "destroy/vEVENTQ/fd-open", fd_open_veventq },
    { "destroy/vEVENTQ/held-by-a-dup", a_dup_veventq },
    { "destroy/vEVENTQ/held-by-a-forked-child", a_forked_child_veventq },
    { "destroy/vEVENTQ/held-by-a-copy-in-flight", in_flight_veventq },
    { "destroy/vEVENTQ/not-held-by-an-epoll-set", in_an_epoll_set_veventq },
    { "destroy/vEVENTQ/held-by-a-thread-in-poll", asleep_in_poll_veventq },
    { "destroy/vEVENTQ/not-held-by-one-in-epoll_wait",
      asleep_in_epoll_veventq },
    { "destroy/vEVENTQ/thread-woken-first",
      sleeper_that_is_woken_first_veventq },
    { "destroy/vEVENTQ/goes-on-working-when-it-fails", goes_on_working },
    { "destroy/vEVENTQ/drops-unread-events", unread_events },
    { "destroy/vEVENTQ/event-wakes-the-thread-that-holds-it",
      event_wakes_the_holder },
    { "destroy/fault-queue/fd-open", fd_open_fault },
    { "destroy/fault-queue/held-by-a-dup", a_dup_fault },
    { "destroy/fault-queue/held-by-a-forked-child", a_forked_child_fault },
    { "destroy/fault-queue/held-by-a-copy-in-flight", in_flight_fault },
    { "destroy/fault-queue/not-held-by-an-epoll-set", in_an_epoll_set_fault },
    { "destroy/fault-queue/held-by-a-thread-in-poll", asleep_in_poll_fault },
    { "destroy/fault-queue/not-held-by-one-in-epoll_wait",
      asleep_in_epoll_fault },
    { "destroy/fault-queue/thread-woken-first",
      sleeper_that_is_woken_first_fault },
    { "destroy/fault-queue/held-by-its-HWPT", fault_queue_in_use },
    { "destroy/whole-rig-in-the-wrong-order", whole_rig },
    { "destroy/twice-is-ENOENT", twice },
    { NULL, NULL },
};
