/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conformance: when a queue is readable, and when it is writable.
 */
#include "queue-checks.h"
#include "sleeper.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

/* ---- vEVENTQ, by poll() ---- */

static void veventq_empty(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    check_poll(c, v.queue.fd, "none");
    check_vevents(c, v.queue.fd, 64, "0");
    check_poll(c, v.queue.fd, "none");
    veventq_rig_down(c, &v);
}

static void veventq_level(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 1);
    check_poll(c, v.queue.fd, "IN RDNORM");
    check_poll(c, v.queue.fd, "IN RDNORM");
    check_vevents(c, v.queue.fd, 64, "12 [0]");
    check_poll(c, v.queue.fd, "none");
    veventq_rig_down(c, &v);
}

static void veventq_partial_read(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 4)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 2);
    check_vevents(c, v.queue.fd, 12, "12 [0]");
    check_poll(c, v.queue.fd, "IN RDNORM");
    check_vevents(c, v.queue.fd, 12, "12 [1]");
    check_poll(c, v.queue.fd, "none");
    veventq_rig_down(c, &v);
}

static void veventq_failed_read(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 4)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 1);
    check_vevents(c, v.queue.fd, 0, "EINVAL");
    check_poll(c, v.queue.fd, "IN RDNORM");
    check_vevents(c, v.queue.fd, 11, "EINVAL");
    check_poll(c, v.queue.fd, "IN RDNORM");
    veventq_rig_down(c, &v);
}

static void veventq_lone_header(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 5);
    check_vevents(c, v.queue.fd, 24, "24 [0 1]");
    check_poll(c, v.queue.fd, "IN RDNORM");
    check_vevents(c, v.queue.fd, 7, "EINVAL");
    check_poll(c, v.queue.fd, "IN RDNORM");
    check_vevents(c, v.queue.fd, 8, "8 [L4]");
    check_poll(c, v.queue.fd, "none");
    veventq_rig_down(c, &v);
}

static void veventq_after_drain(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    for (unsigned i = 0; i < 3; i++) {
        trigger_vevents(c, v.rig.dev_id, 3);
        check_poll(c, v.queue.fd, "IN RDNORM");
        check_vevents(c, v.queue.fd, 64, i == 0 ? "32 [0 1 L2]" :
                                         i == 1 ? "32 [3 4 L5]" :
                                                  "32 [6 7 L8]");
        check_poll(c, v.queue.fd, "none");
    }
    veventq_rig_down(c, &v);
}

static void veventq_new(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    trigger_vevents(c, v.rig.dev_id, 3);
    queue_down(c, &v.queue);
    if (!veventq_up(c, v.rig.viommu_id, 2, &v.queue)) {
        rig_down(c, &v.rig);
        return;
    }
    check_poll(c, v.queue.fd, "none");
    veventq_rig_down(c, &v);
}

/* Those of the other vIOMMU are none of its business. */
static void veventq_other(Conformance *c)
{
    VeventqRig a;
    VeventqRig b;

    if (!veventq_rig_up(c, &a, 2)) {
        return;
    }
    if (veventq_rig_up(c, &b, 2)) {
        trigger_vevents(c, b.rig.dev_id, 1);
        check_poll(c, a.queue.fd, "none");
        check_poll(c, b.queue.fd, "IN RDNORM");
        veventq_rig_down(c, &b);
    }
    veventq_rig_down(c, &a);
}

/* ---- By select() and epoll ---- */

static bool check_select(Conformance *c, int fd, const char *expected)
{
    struct timeval now = { 0 };
    fd_set readable;
    fd_set writable;
    fd_set except;
    int ret;

    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_ZERO(&except);
    FD_SET(fd, &readable);
    FD_SET(fd, &writable);
    FD_SET(fd, &except);
    ret = select(fd + 1, &readable, &writable, &except, &now);
    if (!need(c, "select", ret)) {
        return false;
    }
    return check_text(c, "select",
                      ret == 0 ? "none" :
                      FD_ISSET(fd, &except) ? "except" :
                      !FD_ISSET(fd, &writable) ? "read" :
                      FD_ISSET(fd, &readable) ? "read write" : "write",
                      expected);
}

static void veventq_select(Conformance *c)
{
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    check_select(c, v.queue.fd, "none");
    trigger_vevents(c, v.rig.dev_id, 3);
    check_select(c, v.queue.fd, "read");
    check_select(c, v.queue.fd, "read");
    check_vevents(c, v.queue.fd, 24, "24 [0 1]");
    check_select(c, v.queue.fd, "read");
    check_vevents(c, v.queue.fd, 8, "8 [L2]");
    check_select(c, v.queue.fd, "none");
    veventq_rig_down(c, &v);
}

/* An epoll set with one fd in it; -1 if that failed. */
static int epoll_of(Conformance *c, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events };
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    if (!need(c, "epoll_create1", epoll_fd)) {
        return -1;
    }
    if (!need(c, "epoll_ctl", epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd,
                                        &event))) {
        close(epoll_fd);
        return -1;
    }
    return epoll_fd;
}

static bool check_epoll(Conformance *c, int epoll_fd, const char *expected)
{
    struct epoll_event event = { 0 };
    int ret = epoll_wait(epoll_fd, &event, 1, 0);
    g_autofree char *text = NULL;

    if (!need(c, "epoll_wait", ret)) {
        return false;
    }
    text = ret == 0 ? g_strdup("none") :
           g_strdup_printf("%s%s%s", event.events & EPOLLIN ? "IN" : "",
                           event.events & EPOLLOUT ? "OUT" : "",
                           event.events & ~(EPOLLIN | EPOLLOUT) ? "more" : "");
    return check_text(c, "epoll", text, expected);
}

static void veventq_epoll(Conformance *c)
{
    VeventqRig v;
    int epoll_fd;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    epoll_fd = epoll_of(c, v.queue.fd, EPOLLIN | EPOLLOUT);
    check_epoll(c, epoll_fd, "none");
    trigger_vevents(c, v.rig.dev_id, 1);
    check_epoll(c, epoll_fd, "IN");
    check_epoll(c, epoll_fd, "IN");
    check_vevents(c, v.queue.fd, 64, "12 [0]");
    check_epoll(c, epoll_fd, "none");
    close(epoll_fd);
    veventq_rig_down(c, &v);
}

static void veventq_epoll_lone_header(Conformance *c)
{
    VeventqRig v;
    int epoll_fd;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    epoll_fd = epoll_of(c, v.queue.fd, EPOLLIN | EPOLLOUT);
    trigger_vevents(c, v.rig.dev_id, 3);
    check_vevents(c, v.queue.fd, 24, "24 [0 1]");
    check_epoll(c, epoll_fd, "IN");
    check_epoll(c, epoll_fd, "IN");
    check_vevents(c, v.queue.fd, 64, "8 [L2]");
    check_epoll(c, epoll_fd, "none");
    close(epoll_fd);
    veventq_rig_down(c, &v);
}

/* From empty: the one step that every host reports. */
static void veventq_epoll_edge(Conformance *c)
{
    VeventqRig v;
    int epoll_fd;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    epoll_fd = epoll_of(c, v.queue.fd, EPOLLIN | EPOLLET);
    trigger_vevents(c, v.rig.dev_id, 1);
    check_epoll(c, epoll_fd, "IN");
    check_epoll(c, epoll_fd, "none");
    check_vevents(c, v.queue.fd, 64, "12 [0]");
    trigger_vevents(c, v.rig.dev_id, 1);
    check_epoll(c, epoll_fd, "IN");
    close(epoll_fd);
    veventq_rig_down(c, &v);
}

/* ---- Sleepers ---- */

static void check_woken(Conformance *c, Sleeper *sleeper)
{
    sleeper_join(sleeper);
    check_value(c, "sleeper's revents", (uint64_t)sleeper->revents, POLLIN);
}

static void veventq_wakes(Conformance *c)
{
    Sleeper sleeper;
    VeventqRig v;

    if (!veventq_rig_up(c, &v, 2)) {
        return;
    }
    sleeper_start(&sleeper, v.queue.fd, -1);
    trigger_vevents(c, v.rig.dev_id, 1);
    check_woken(c, &sleeper);
    check_vevents(c, v.queue.fd, 64, "12 [0]");
    veventq_rig_down(c, &v);
}

static void fault_wakes(Conformance *c)
{
    Sleeper sleeper;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    sleeper_start(&sleeper, rig.fault_fd, -1);
    trigger_faults(c, rig.dev_id, 0, 1, 1);
    check_woken(c, &sleeper);
    check_faults(c, rig.fault_fd, 40, "40 [c1/g1]");
    rig_down(c, &rig);
}

/* ---- Fault queue ---- */

static void fault_empty(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    check_poll(c, rig.fault_fd, "OUT");
    check_faults(c, rig.fault_fd, 400, "0");
    check_poll(c, rig.fault_fd, "OUT");
    rig_down(c, &rig);
}

static void fault_unread(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 1, 2);
    check_poll(c, rig.fault_fd, "IN RDNORM OUT");
    check_poll(c, rig.fault_fd, "IN RDNORM OUT");
    check_faults(c, rig.fault_fd, 40, "40 [c1/g1]");
    check_poll(c, rig.fault_fd, "IN RDNORM OUT");
    rig_down(c, &rig);
}

static void fault_unanswered(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 1, 2);
    check_faults(c, rig.fault_fd, 80, "80 [c1/g1 c2/g2]");
    check_poll(c, rig.fault_fd, "OUT");
    check_answers(c, rig.fault_fd, "8", ANSWERS(GOOD(1)));
    check_poll(c, rig.fault_fd, "OUT");
    trigger_faults(c, rig.dev_id, 0, 3, 1);
    check_poll(c, rig.fault_fd, "IN RDNORM OUT");
    rig_down(c, &rig);
}

static void fault_failed_read(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 1, 1);
    check_faults(c, rig.fault_fd, 0, "EINVAL");
    check_poll(c, rig.fault_fd, "IN RDNORM OUT");
    check_faults(c, rig.fault_fd, 41, "ESPIPE");
    check_poll(c, rig.fault_fd, "IN RDNORM OUT");
    check_answers(c, rig.fault_fd, "EINVAL", ANSWERS(GOOD(1)));
    check_poll(c, rig.fault_fd, "IN RDNORM OUT");
    rig_down(c, &rig);
}

static void fault_detached(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    trigger_faults(c, rig.dev_id, 0, 1, 2);
    check_errno(c, "detach", mock_replace(c, rig.stdev_id, rig.parent_id), 0);
    check_poll(c, rig.fault_fd, "OUT");
    check_errno(c, "attach", mock_replace(c, rig.stdev_id, rig.hwpt_id), 0);
    check_poll(c, rig.fault_fd, "OUT");
    trigger_faults(c, rig.dev_id, 0, 3, 1);
    check_poll(c, rig.fault_fd, "IN RDNORM OUT");
    rig_down(c, &rig);
}

static void fault_select(Conformance *c)
{
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    check_select(c, rig.fault_fd, "write");
    trigger_faults(c, rig.dev_id, 0, 1, 1);
    check_select(c, rig.fault_fd, "read write");
    check_faults(c, rig.fault_fd, 40, "40 [c1/g1]");
    check_select(c, rig.fault_fd, "write");
    rig_down(c, &rig);
}

static void fault_epoll(Conformance *c)
{
    int epoll_fd;
    Rig rig;

    if (!rig_up(c, &rig, true)) {
        return;
    }
    epoll_fd = epoll_of(c, rig.fault_fd, EPOLLIN | EPOLLOUT);
    check_epoll(c, epoll_fd, "OUT");
    trigger_faults(c, rig.dev_id, 0, 1, 1);
    check_epoll(c, epoll_fd, "INOUT");
    check_epoll(c, epoll_fd, "INOUT");
    check_faults(c, rig.fault_fd, 40, "40 [c1/g1]");
    check_epoll(c, epoll_fd, "OUT");
    close(epoll_fd);
    rig_down(c, &rig);
}

const ConformanceCase conformance_ready[] = {
    { "ready/veventq/empty-is-never-ready", veventq_empty },
    { "ready/veventq/event-is-IN-until-it-is-read", veventq_level },
    { "ready/veventq/partial-read-leaves-it-readable", veventq_partial_read },
    { "ready/veventq/failed-read-leaves-it-readable", veventq_failed_read },
    { "ready/veventq/lost-header-alone-is-readable", veventq_lone_header },
    { "ready/veventq/drained-and-filled-again", veventq_after_drain },
    { "ready/veventq/new-queue-is-not-ready", veventq_new },
    { "ready/veventq/is-its-own-events-only", veventq_other },
    { "ready/veventq/select-says-the-same", veventq_select },
    { "ready/veventq/epoll-is-level-triggered", veventq_epoll },
    { "ready/veventq/epoll-sees-a-lost-header-alone",
      veventq_epoll_lone_header },
    { "ready/veventq/epoll-edge-is-empty-to-not-empty", veventq_epoll_edge },
    { "ready/veventq/event-wakes-a-sleeper", veventq_wakes },
    { "ready/fault/empty-is-writable", fault_empty },
    { "ready/fault/unread-group-is-IN", fault_unread },
    { "ready/fault/unanswered-group-is-not-IN", fault_unanswered },
    { "ready/fault/failed-read-or-write-changes-nothing",
      fault_failed_read },
    { "ready/fault/detach-takes-IN-away", fault_detached },
    { "ready/fault/select-says-the-same", fault_select },
    { "ready/fault/epoll-is-level-triggered", fault_epoll },
    { "ready/fault/group-wakes-a-sleeper", fault_wakes },
    { NULL, NULL },
};
