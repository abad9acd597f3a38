/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues of the preloaded library: poll() and epoll see them, copies read the
 * same queue, and whoever holds the file keeps IOMMU_DESTROY out.
 */
#include "preload-machine.h"

#include "proc-self.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <sys/wait.h>

typedef struct QueueTest {
    Machine m;
    int control;
} QueueTest;

static void setup(QueueTest *t)
{
    preload_machine_init(&t->m);
    machine_open_queue(&t->m, 16);
    t->control = control_connect();
}

static void teardown(QueueTest *t)
{
    close(t->control);
    preload_machine_cleanup(&t->m);
}

/* Reads one event by @fd; its number, or -errno. */
static int read_one(int fd)
{
    struct {
        struct iommufd_vevent_header header;
        struct iommu_vevent_arm_smmuv3 event;
    } record;
    ssize_t ret = read(fd, &record, sizeof(record));

    if (ret < 0) {
        return -errno;
    }
    g_assert_cmpint(ret, ==, sizeof(record));
    /* The StreamID is that of the vDEVICE. */
    g_assert_cmphex(GUINT64_FROM_LE(record.event.evt[0]) >> 32, ==, VSID);
    return (int)GUINT64_FROM_LE(record.event.evt[2]);
}

static void test_readiness(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN };
    struct timeval no_time = { 0 };
    fd_set set;
    QueueTest t;

    setup(&t);
    g_assert_cmpint(epoll_ctl(epoll, EPOLL_CTL_ADD, t.m.fd, &event), ==, 0);
    g_assert_cmpint(poll_now(t.m.fd), ==, 0);
    g_assert_cmpint(epoll_wait(epoll, &event, 1, 0), ==, 0);
    control_event(t.control, &t.m, 5);
    g_assert_cmpint(poll_now(t.m.fd), ==, POLLIN | POLLRDNORM);
    g_assert_cmpint(epoll_wait(epoll, &event, 1, 0), ==, 1);
    FD_ZERO(&set);
    FD_SET(t.m.fd, &set);
    g_assert_cmpint(select(t.m.fd + 1, &set, NULL, NULL, &no_time), ==, 1);
    g_assert_cmpint(read_one(t.m.fd), ==, 5);
    g_assert_cmpint(poll_now(t.m.fd), ==, 0);
    g_assert_cmpint(epoll_wait(epoll, &event, 1, 0), ==, 0);
    /* The epoll set holds no file. */
    machine_close_queue(&t.m);
    close(epoll);
    teardown(&t);
}

static void test_sizes_of_reads(void)
{
    char buf[3][EVENT_SIZE];
    struct iovec iov[] = { { buf[0], EVENT_SIZE }, { buf[1], EVENT_SIZE },
                           { buf[2], EVENT_SIZE } };
    QueueTest t;

    setup(&t);
    g_assert_cmpint(read(t.m.fd, buf, sizeof(buf)), ==, 0);
    g_assert_cmpint(read(t.m.fd, buf, 7), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    control_event(t.control, &t.m, 1);
    control_event(t.control, &t.m, 2);
    g_assert_cmpint(read(t.m.fd, buf, EVENT_SIZE - 1), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    g_assert_cmpint(readv(t.m.fd, iov, 3), ==, 2 * EVENT_SIZE);
    g_assert_cmpint(write(t.m.fd, buf, 8), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    g_assert_cmpint(pread(t.m.fd, buf, sizeof(buf), 0), ==, -1);
    g_assert_cmpint(errno, ==, ESPIPE);
    teardown(&t);
}

/* As the kernel's, of which the pipe beneath knows nothing. */
static void test_flags(void)
{
    QueueTest t;

    setup(&t);
    g_assert_cmpint(fcntl(t.m.fd, F_GETFL), ==, O_RDWR);
    g_assert_cmpint(fcntl(t.m.fd, F_SETFL, O_NONBLOCK), ==, 0);
    g_assert_cmpint(fcntl(t.m.fd, F_GETFL), ==, O_RDWR | O_NONBLOCK);
    g_assert_cmpint(fcntl(t.m.fd, F_SETFL, 0), ==, 0);
    g_assert_cmpint(fcntl(t.m.fd, F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint(read(t.m.fd, NULL, 0), ==, -1);
    g_assert_cmpint(errno, ==, EINVAL);
    teardown(&t);
}

static void test_copies_read_the_same(void)
{
    QueueTest t;
    int copy;

    setup(&t);
    copy = dup(t.m.fd);
    control_event(t.control, &t.m, 1);
    control_event(t.control, &t.m, 2);
    control_event(t.control, &t.m, 3);
    g_assert_cmpint(read_one(copy), ==, 1);
    g_assert_cmpint(read_one(t.m.fd), ==, 2);
    close(t.m.fd);
    g_assert_cmpint(read_one(copy), ==, 3);
    g_assert_cmpint(poll_now(copy), ==, 0);
    control_event(t.control, &t.m, 4);
    g_assert_cmpint(poll_now(copy), ==, POLLIN | POLLRDNORM);
    g_assert_cmpint(read_one(copy), ==, 4);
    t.m.fd = copy;
    teardown(&t);
}

static void test_busy_while_held(void)
{
    QueueTest t;
    int copy;

    setup(&t);
    copy = fcntl(t.m.fd, F_DUPFD_CLOEXEC, 0);
    g_assert_cmpint(destroy(t.m.host, t.m.queue_id), ==, -EBUSY);
    close(t.m.fd);
    g_assert_cmpint(destroy(t.m.host, t.m.queue_id), ==, -EBUSY);
    /* dup2() over the last copy closes it. */
    g_assert_cmpint(dup2(t.control, copy), ==, copy);
    g_assert_cmpint(destroy(t.m.host, t.m.queue_id), ==, 0);
    close(copy);
    t.m.queue_id = 0;
    teardown(&t);
}

/* As any file, a child's copy keeps it; the child ends when it is told to. */
static void test_busy_while_a_child_lives(void)
{
    int pipe_fds[2];
    char byte;
    QueueTest t;
    pid_t child;
    int status;

    setup(&t);
    g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC), ==, 0);
    child = fork();
    if (child == 0) {
        close(pipe_fds[1]);
        _exit(read(pipe_fds[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(t.m.fd);
    g_assert_cmpint(destroy(t.m.host, t.m.queue_id), ==, -EBUSY);
    close(pipe_fds[1]);
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpint(destroy(t.m.host, t.m.queue_id), ==, 0);
    close(pipe_fds[0]);
    t.m.queue_id = 0;
    teardown(&t);
}

typedef struct Poller {
    pthread_t thread;
    int fd;
    int wake_fd;
    atomic_int tid;             /* [atomic] 0 until it is about to sleep */
} Poller;

static void *poller_run(void *opaque)
{
    Poller *poller = opaque;
    struct pollfd fds[] = {
        { .fd = poller->fd, .events = POLLIN },
        { .fd = poller->wake_fd, .events = POLLIN },
    };

    /* Release: pairs with the acquire in poller_start(). */
    atomic_store_explicit(&poller->tid, gettid(), memory_order_release);
    /* POLLNVAL of the closed one, as of the kernel's, and the other. */
    g_assert_cmpint(poll(fds, 2, -1), ==, 2);
    return NULL;
}

static void poller_start(Poller *poller)
{
    int tid;

    g_assert_cmpint(pthread_create(&poller->thread, NULL, poller_run, poller),
                    ==, 0);
    /* Acquire: pairs with the release in poller_run(). */
    while (!(tid = atomic_load_explicit(&poller->tid, memory_order_acquire)) ||
           !proc_self_is_asleep(tid)) {
        sched_yield();
    }
}

static void test_busy_while_a_thread_polls(void)
{
    int pipe_fds[2];
    Poller poller = { 0 };
    QueueTest t;

    setup(&t);
    g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC), ==, 0);
    poller.fd = t.m.fd;
    poller.wake_fd = pipe_fds[0];
    poller_start(&poller);
    close(t.m.fd);
    g_assert_cmpint(destroy(t.m.host, t.m.queue_id), ==, -EBUSY);
    close(pipe_fds[1]);
    pthread_join(poller.thread, NULL);
    g_assert_cmpint(destroy(t.m.host, t.m.queue_id), ==, 0);
    close(pipe_fds[0]);
    t.m.queue_id = 0;
    teardown(&t);
}

enum { RACE_EVENTS = 2000 };

typedef struct Reader {
    pthread_t thread;
    atomic_int fd;              /* [atomic] a number that is open now */
    unsigned seen;              /* after the join */
} Reader;

/* Reads by whatever number is current, and may find that it is not any more. */
static void *reader_run(void *opaque)
{
    Reader *reader = opaque;
    int last = 0;

    while (last < RACE_EVENTS) {
        /* Relaxed: a number on its own. */
        int fd = atomic_load_explicit(&reader->fd, memory_order_relaxed);
        char buf[EVENT_SIZE];
        ssize_t ret = read(fd, buf, sizeof(buf));

        if (ret == sizeof(buf)) {   /* else it may be the lost tail's */
            uint64_t word;

            memcpy(&word, buf + 8 + 2 * sizeof(word), sizeof(word));
            g_assert_cmpint((int)GUINT64_FROM_LE(word), ==, ++last);
            reader->seen++;
        } else if (ret < 0) {
            g_assert_cmpint(errno, ==, EBADF);
        }
    }
    return NULL;
}

/* Copies come and go under a reader: each event is read once. */
static void test_copies_under_a_reader(void)
{
    Reader reader = { 0 };
    QueueTest t;

#ifdef WITH_TSAN
    g_test_skip("ThreadSanitizer: a close() under a read() is a race to it; "
                "test-preload-threads has the locks");
    return;
#endif
    setup(&t);
    atomic_store_explicit(&reader.fd, t.m.fd, memory_order_relaxed);
    g_assert_cmpint(pthread_create(&reader.thread, NULL, reader_run, &reader),
                    ==, 0);
    for (int i = 1; i <= RACE_EVENTS; i++) {
        g_autofree char *answer = NULL;
        g_autofree char *command = g_strdup_printf(
            "event %u 0x10 0 %d 0", t.m.dev_id, i);
        int copy = dup2(t.m.fd, 500 + i % 2);

        g_assert_cmpint(copy, ==, 500 + i % 2);
        atomic_store_explicit(&reader.fd, copy, memory_order_relaxed);
        g_assert_cmpint(close(t.m.fd), ==, 0);
        t.m.fd = copy;
        /* A full queue uses up a number for each try, and is read meanwhile. */
        do {
            g_free(answer);
            answer = control_ask(t.control, command);
        } while (!strcmp(answer, "ok lost"));
        g_assert_cmpstr(answer, ==, "ok queued");
    }
    pthread_join(reader.thread, NULL);
    g_assert_cmpuint(reader.seen, ==, RACE_EVENTS);
    teardown(&t);
}

int main(int argc, char **argv)
{
    preload_test_init(&argc, &argv);
    g_test_add_func("/preload/queue/poll-select-and-epoll-see-it",
                    test_readiness);
    g_test_add_func("/preload/queue/reads-whole-events", test_sizes_of_reads);
    g_test_add_func("/preload/queue/flags-as-the-kernels", test_flags);
    g_test_add_func("/preload/queue/copies-read-the-same",
                    test_copies_read_the_same);
    g_test_add_func("/preload/queue/EBUSY-while-a-copy-is-open",
                    test_busy_while_held);
    g_test_add_func("/preload/queue/EBUSY-while-a-child-has-it",
                    test_busy_while_a_child_lives);
    g_test_add_func("/preload/queue/EBUSY-while-a-thread-polls",
                    test_busy_while_a_thread_polls);
    g_test_add_func("/preload/queue/copies-come-and-go-under-a-reader",
                    test_copies_under_a_reader);
    return g_test_run();
}
