/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who holds a vEVENTQ against IOMMU_DESTROY, as measured on Linux 7.3.
 */
#include "sleeper.h"
#include "test-emul.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned rounds(unsigned quick)
{
    return g_test_quick() ? quick : 20000;
}

static void close_fd(Machine *m)
{
    g_assert_cmpint(m->host->ops->close(m->host, m->fd), ==, 0);
}

static int destroy_queue(Machine *m)
{
    return destroy(m->host, m->queue_id);
}

static void test_fd_open(void)
{
    char buf[64];
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    g_assert_cmpint(destroy_queue(&m), ==, -EBUSY);
    /* A failed destroy changes nothing. */
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_QUEUED);
    g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==, EVENT_SIZE);
    close_fd(&m);
    g_assert_cmpint(destroy_queue(&m), ==, 0);
    g_assert_cmpint(destroy_queue(&m), ==, -ENOENT);
    m.queue_id = 0;
    g_assert_cmpuint(emul_get_stats(m.host).busy, ==, 1);
    machine_cleanup(&m);
}

static void test_unread_events_are_dropped(void)
{
    EmulStats stats;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 2);
    for (int i = 0; i < 5; i++) {
        report_one(&m, i);
    }
    machine_close_queue(&m);
    stats = emul_get_stats(m.host);
    g_assert_cmpuint(stats.generated, ==, 5);
    g_assert_cmpuint(stats.dropped, ==, 5);
    machine_cleanup(&m);
}

static void test_dup(void)
{
    Machine m;
    int copy;

    machine_init(&m);
    machine_open_queue(&m, 4);
    copy = dup(m.fd);
    close_fd(&m);
    g_assert_cmpint(destroy_queue(&m), ==, -EBUSY);
    g_assert_cmpint(destroy_queue(&m), ==, -EBUSY);
    close(copy);
    g_assert_cmpint(destroy_queue(&m), ==, 0);
    m.queue_id = 0;
    machine_cleanup(&m);
}

static void test_forked_child(void)
{
    int until[2];
    pid_t child;
    Machine m;
    char byte;

    machine_init(&m);
    machine_open_queue(&m, 4);
    g_assert_cmpint(pipe2(until, O_CLOEXEC), ==, 0);
    child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        close(until[1]);
        /* Ends when the parent closes its end. */
        _exit(read(until[0], &byte, 1) == 0 ? 0 : 1);
    }
    close_fd(&m);
    g_assert_cmpint(destroy_queue(&m), ==, -EBUSY);
    close(until[0]);
    close(until[1]);
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
    g_assert_cmpint(destroy_queue(&m), ==, 0);
    m.queue_id = 0;
    machine_cleanup(&m);
}

static void test_in_flight_in_a_socket(void)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    char byte = 0;
    struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
    };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    int sockets[2];
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &m.fd, sizeof(int));
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), ==, 0);
    g_assert_cmpint(sendmsg(sockets[0], &msg, 0), ==, 1);
    close_fd(&m);
    g_assert_cmpint(destroy_queue(&m), ==, -EBUSY);
    close(sockets[0]);
    close(sockets[1]);
    g_assert_cmpint(destroy_queue(&m), ==, 0);
    m.queue_id = 0;
    machine_cleanup(&m);
}

static void test_epoll_set_without_del(void)
{
    int epoll_fd;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    epoll_fd = epoll_on(m.fd);
    machine_close_queue(&m);
    close(epoll_fd);
    machine_cleanup(&m);
}

/* The teardown that must not be written: it fails in every round. */
static void test_asleep_in_poll_is_EBUSY(void)
{
    Sleeper s;
    Machine m;

    machine_init(&m);
    for (unsigned i = 0; i < rounds(200); i++) {
        machine_open_queue(&m, 4);
        sleeper_start(&s, m.fd, -1);
        close_fd(&m);
        g_assert_cmpint(destroy_queue(&m), ==, -EBUSY);
        g_assert_cmpint(destroy_queue(&m), ==, -EBUSY);
        sleeper_wake_and_join(&s);
        g_assert_cmpint(destroy_queue(&m), ==, 0);
    }
    m.queue_id = 0;
    machine_cleanup(&m);
}

static void test_wake_wait_close_destroy(void)
{
    Sleeper s;
    Machine m;

    machine_init(&m);
    for (unsigned i = 0; i < rounds(200); i++) {
        machine_open_queue(&m, 4);
        sleeper_start(&s, m.fd, -1);
        sleeper_wake_and_join(&s);
        machine_close_queue(&m);
    }
    g_assert_cmpuint(emul_get_stats(m.host).busy, ==, 0);
    machine_cleanup(&m);
}

/* The closed queue still takes events, and one of them wakes the sleeper. */
static void test_event_wakes_sleeper_on_closed_queue(void)
{
    Sleeper s;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    sleeper_start(&s, m.fd, -1);
    close_fd(&m);
    g_assert_cmpint(destroy_queue(&m), ==, -EBUSY);
    g_assert_cmpint(report_one(&m, 0), ==, EMUL_REPORT_QUEUED);
    sleeper_join(&s);
    /* It looked the number up again: nothing there. */
    g_assert_cmpint(s.revents, ==, POLLNVAL);
    g_assert_cmpint(destroy_queue(&m), ==, 0);
    m.queue_id = 0;
    machine_cleanup(&m);
}

/* Nobody is left who could be told; above all the process does not die. */
static void test_event_after_close(void)
{
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    close_fd(&m);
    for (int i = 0; i < 6; i++) {
        g_assert_cmpint(report_one(&m, i), ==,
                        i < 4 ? EMUL_REPORT_QUEUED : EMUL_REPORT_LOST);
    }
    g_assert_cmpint(destroy_queue(&m), ==, 0);
    g_assert_cmpint(report_one(&m, 6), ==, EMUL_REPORT_REFUSED);
    m.queue_id = 0;
    machine_cleanup(&m);
}

/* Unlike poll(), epoll_wait() holds nothing; @data: with EPOLL_CTL_DEL. */
static void test_asleep_in_epoll(gconstpointer data)
{
    bool del = GPOINTER_TO_INT(data);
    int epoll_fd;
    Sleeper s;
    Machine m;

    machine_init(&m);
    for (unsigned i = 0; i < rounds(200); i++) {
        machine_open_queue(&m, 4);
        epoll_fd = epoll_on(m.fd);
        sleeper_start(&s, m.fd, epoll_fd);
        if (del) {
            epoll_ctl(epoll_fd, EPOLL_CTL_DEL, m.fd, NULL);
        }
        machine_close_queue(&m);
        sleeper_wake_and_join(&s);
        close(epoll_fd);
    }
    machine_cleanup(&m);
}

/*
 * Close and destroy. Others on this machine may look at /proc/PID/fd, which
 * holds a file for a moment: that is EBUSY too, and passes by itself.
 * Return: 1 if it was, else 0.
 */
static unsigned close_queue_on_shared_machine(Machine *m)
{
    unsigned busy = 0;
    int ret;

    g_assert_cmpint(m->host->ops->close(m->host, m->fd), ==, 0);
    while ((ret = destroy(m->host, m->queue_id)) == -EBUSY) {
        busy++;
        sched_yield();
    }
    g_assert_cmpint(ret, ==, 0);
    m->queue_id = 0;
    return busy > 0;
}

/*
 * The thread that polls is the one that closes: it never fails. (Where another
 * thread polls, at least one round in a hundred does.)
 */
static void test_owner_tears_down(gconstpointer data)
{
    bool by_epoll = GPOINTER_TO_INT(data);
    unsigned busy = 0;
    struct epoll_event event;
    char buf[EVENT_SIZE];
    int epoll_fd;
    Machine m;

    machine_init(&m);
    for (unsigned i = 0; i < 20000; i++) {
        machine_open_queue(&m, 4);
        report_one(&m, i);
        if (by_epoll) {
            epoll_fd = epoll_on(m.fd);
            g_assert_cmpint(epoll_wait(epoll_fd, &event, 1, -1), ==, 1);
            epoll_ctl(epoll_fd, EPOLL_CTL_DEL, m.fd, NULL);
            close(epoll_fd);
        } else {
            g_assert_cmpint(poll_now(m.fd), ==, POLLIN | POLLRDNORM);
        }
        g_assert_cmpint(host_read(m.host, m.fd, buf, sizeof(buf)), ==,
                        EVENT_SIZE);
        busy += close_queue_on_shared_machine(&m);
    }
    g_assert_cmpuint(busy, <, 20);
    machine_cleanup(&m);
}

/* A read of many chunks holds the queue like an open file. */
static void *large_read_run(void *opaque)
{
    const size_t size = (size_t)IOMMU_VEVENTQ_DEPTH_MAX * EVENT_SIZE;
    g_autofree char *buf = g_malloc(size);
    const Machine *m = opaque;
    ssize_t len = host_read(m->host, m->fd, buf, size);

    /* Closed before it began, or read to the end. */
    g_assert_true(len == -EBADF || len == (ssize_t)size);
    return GINT_TO_POINTER(len > 0);
}

static void test_close_during_read(void)
{
    unsigned whole = 0;
    Machine m;

    machine_init(&m);
    for (int i = 0; i < 4; i++) {
        pthread_t reader;
        void *read_all;
        int ret;

        machine_open_queue(&m, IOMMU_VEVENTQ_DEPTH_MAX);
        for (uint32_t j = 0; j < IOMMU_VEVENTQ_DEPTH_MAX; j++) {
            report_one(&m, j);
        }
        pthread_create(&reader, NULL, large_read_run, &m);
        sched_yield();
        close_fd(&m);
        do {
            ret = destroy_queue(&m);
        } while (ret == -EBUSY);
        g_assert_cmpint(ret, ==, 0);
        pthread_join(reader, &read_all);
        whole += read_all != NULL;
    }
    g_assert_cmpuint(emul_get_stats(m.host).dropped, ==,
                     (uint64_t)(4 - whole) * IOMMU_VEVENTQ_DEPTH_MAX);
    m.queue_id = 0;
    machine_cleanup(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/emul/destroy/fd-open-is-EBUSY", test_fd_open);
    g_test_add_func("/emul/destroy/unread-events-are-dropped",
                    test_unread_events_are_dropped);
    g_test_add_func("/emul/destroy/dup-is-EBUSY", test_dup);
    g_test_add_func("/emul/destroy/forked-child-is-EBUSY", test_forked_child);
    g_test_add_func("/emul/destroy/in-flight-in-a-socket-is-EBUSY",
                    test_in_flight_in_a_socket);
    g_test_add_func("/emul/destroy/in-an-epoll-set-is-no-holder",
                    test_epoll_set_without_del);
    g_test_add_func("/emul/destroy/asleep-in-poll-is-EBUSY-every-time",
                    test_asleep_in_poll_is_EBUSY);
    g_test_add_func("/emul/destroy/wake-wait-close-destroy",
                    test_wake_wait_close_destroy);
    g_test_add_func("/emul/destroy/event-wakes-sleeper-on-closed-queue",
                    test_event_wakes_sleeper_on_closed_queue);
    g_test_add_func("/emul/destroy/event-after-close-is-harmless",
                    test_event_after_close);
    g_test_add_data_func("/emul/destroy/asleep-in-epoll-with-del",
                         GINT_TO_POINTER(true), test_asleep_in_epoll);
    g_test_add_data_func("/emul/destroy/asleep-in-epoll-without-del",
                         GINT_TO_POINTER(false), test_asleep_in_epoll);
    g_test_add_data_func("/emul/destroy/owner-tears-down-poll",
                         GINT_TO_POINTER(false), test_owner_tears_down);
    g_test_add_data_func("/emul/destroy/owner-tears-down-epoll",
                         GINT_TO_POINTER(true), test_owner_tears_down);
    g_test_add_func("/emul/destroy/close-during-read", test_close_during_read);
    return g_test_run();
}
