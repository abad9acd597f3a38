/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The emulated host under several threads: who holds a vEVENTQ against
 * IOMMU_DESTROY, as measured on Linux 7.3, and that no event is lost or told
 * twice.
 *
 * A thread counts as asleep when the kernel says so, never after some time.
 */
#include "test-emul.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned rounds(unsigned quick)
{
    return g_test_quick() ? quick : 20000;
}

/* A thread that sleeps once in poll() or epoll_wait(), and how to wake it. */
typedef struct Sleeper {
    pthread_t thread;
    int fd;                     /* what it watches */
    int epoll_fd;               /* has @fd and @wake_fd in it; -1: poll() */
    int wake_fd;                /* eventfd */
    atomic_int tid;             /* [atomic] 0 until it is about to sleep */
    int revents;                /* of @fd; after the join */
} Sleeper;

/*
 * By the bare system call: ThreadSanitizer takes a close() of an fd that
 * another thread polls for a race, and here that is what is tested.
 */
static void *sleeper_run(void *opaque)
{
    Sleeper *s = opaque;
    struct pollfd fds[2] = {
        { .fd = s->fd, .events = POLLIN },
        { .fd = s->wake_fd, .events = POLLIN },
    };
    struct epoll_event event;

    /* Release: pairs with the acquire in wait_asleep(). */
    atomic_store_explicit(&s->tid, (int)syscall(SYS_gettid),
                          memory_order_release);
    if (s->epoll_fd >= 0) {
        syscall(SYS_epoll_pwait, s->epoll_fd, &event, 1, -1, NULL, 8);
    } else {
        syscall(SYS_ppoll, fds, 2, NULL, NULL, 8);
    }
    s->revents = fds[0].revents;
    return NULL;
}

static bool is_asleep(int tid)
{
    g_autofree char *path = g_strdup_printf("/proc/self/task/%d/stat", tid);
    g_autofree char *text = NULL;
    const char *state;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    state = strrchr(text, ')');     /* the name may hold anything */
    g_assert_nonnull(state);
    return state[2] == 'S';
}

static void wait_asleep(Sleeper *s)
{
    int tid;

    /* Acquire: pairs with the release in sleeper_run(). */
    while (!(tid = atomic_load_explicit(&s->tid, memory_order_acquire))) {
        sched_yield();
    }
    while (!is_asleep(tid)) {
        sched_yield();
    }
}

static void sleeper_start(Sleeper *s, int fd, int epoll_fd)
{
    *s = (Sleeper) {
        .fd = fd, .epoll_fd = epoll_fd, .wake_fd = eventfd(0, EFD_CLOEXEC),
    };
    if (epoll_fd >= 0) {
        struct epoll_event event = { .events = EPOLLIN };

        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->wake_fd, &event);
    }
    pthread_create(&s->thread, NULL, sleeper_run, s);
    wait_asleep(s);
}

static void sleeper_wake_and_join(Sleeper *s)
{
    eventfd_write(s->wake_fd, 1);
    pthread_join(s->thread, NULL);
    close(s->wake_fd);
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

static int epoll_on(int fd)
{
    struct epoll_event event = { .events = EPOLLIN };
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    g_assert_cmpint(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), ==, 0);
    return epoll_fd;
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
    pthread_join(s.thread, NULL);
    /* It looked the number up again: nothing there. */
    g_assert_cmpint(s.revents, ==, POLLNVAL);
    close(s.wake_fd);
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

/* The thread that polls is the one that closes: it never fails. */
static void test_owner_tears_down(gconstpointer data)
{
    bool by_epoll = GPOINTER_TO_INT(data);
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
        machine_close_queue(&m);
    }
    machine_cleanup(&m);
}

/* ---- Reports and reads at once ---- */

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

/* One thread creates and destroys while another reports: nothing dangles. */
static void test_report_against_teardown(void)
{
    uint64_t generated = 0;
    Reporter reporter = { .num = 200000 };
    bool refused = false;
    Machine m;

    machine_init(&m);
    machine_open_queue(&m, 4);
    reporter.machine = &m;
    pthread_create(&reporter.thread, NULL, reporter_run, &reporter);
    /* REFUSED would abort the reporter: only attachments of the same kind. */
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
    refused = report_one(&m, 0) == EMUL_REPORT_REFUSED;
    g_assert_true(refused);
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

/* A read of many chunks holds the queue like an open file. */
static void *large_read_run(void *opaque)
{
    const size_t size = (size_t)IOMMU_VEVENTQ_DEPTH_MAX * EVENT_SIZE;
    g_autofree char *buf = g_malloc(size);
    Reporter *r = opaque;
    ssize_t len = host_read(r->machine->host, r->machine->fd, buf, size);

    /* Closed before it began, or read to the end. */
    g_assert_true(len == -EBADF || len == (ssize_t)size);
    r->queued = len > 0;
    return NULL;
}

static void test_close_during_read(void)
{
    unsigned whole = 0;
    Machine m;

    machine_init(&m);
    for (int i = 0; i < 4; i++) {
        Reporter reader = { .machine = &m };
        int ret;

        machine_open_queue(&m, IOMMU_VEVENTQ_DEPTH_MAX);
        for (uint32_t j = 0; j < IOMMU_VEVENTQ_DEPTH_MAX; j++) {
            report_one(&m, j);
        }
        pthread_create(&reader.thread, NULL, large_read_run, &reader);
        sched_yield();
        close_fd(&m);
        do {
            ret = destroy_queue(&m);
        } while (ret == -EBUSY);
        g_assert_cmpint(ret, ==, 0);
        pthread_join(reader.thread, NULL);
        whole += (unsigned)reader.queued;
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
    g_test_add_data_func("/emul/threads/two-reporters-deep-queue",
                         GUINT_TO_POINTER(65536),
                         test_two_reporters_one_reader);
    g_test_add_data_func("/emul/threads/two-reporters-overflowing-queue",
                         GUINT_TO_POINTER(4), test_two_reporters_one_reader);
    g_test_add_func("/emul/threads/two-readers-each-event-once",
                    test_two_readers);
    g_test_add_func("/emul/threads/report-against-attach",
                    test_report_against_teardown);
    g_test_add_func("/emul/threads/report-against-queue-life",
                    test_report_against_queue_life);
    return g_test_run();
}
