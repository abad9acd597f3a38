/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aio-fixture.h"

/* A pipe whose read end is watched. */
typedef struct Pipe {
    AioFixture *f;
    int fds[2];
    char mark;
    struct Pipe *other;
} Pipe;

static void handler_remove(AioFixture *f, int fd)
{
    g_assert_cmpint(
        aio_set_fd_handler(f->ctx, fd, NULL, NULL, NULL, NULL, NULL), ==, 0);
}

static void handler_set(AioFixture *f, int fd, IOHandler *io_read,
                        IOHandler *io_write, void *opaque)
{
    g_assert_cmpint(aio_set_fd_handler(f->ctx, fd, io_read, io_write, NULL,
                                       NULL, opaque), ==, 0);
}

static void pipe_make_readable(Pipe *p)
{
    g_assert_cmpint(write(p->fds[1], "x", 1), ==, 1);
}

static void pipe_drain(Pipe *p)
{
    char byte;

    g_assert_cmpint(read(p->fds[0], &byte, 1), ==, 1);
}

static void pipe_open(Pipe *p, AioFixture *f, char mark)
{
    *p = (Pipe){ .f = f, .mark = mark };
    g_assert_cmpint(pipe(p->fds), ==, 0);
}

static void pipe_close(Pipe *p)
{
    handler_remove(p->f, p->fds[0]);
    close(p->fds[0]);
    close(p->fds[1]);
}

/* io_read: consumes and traces */
static void pipe_read(void *opaque)
{
    Pipe *p = opaque;

    pipe_drain(p);
    trace_add(p->f, p->mark);
}

static void test_read(AioFixture *f, gconstpointer form)
{
    Pipe p;

    pipe_open(&p, f, 'r');
    handler_set(f, p.fds[0], pipe_read, NULL, &p);
    aio_fixture_turn(f, false);
    trace_expect(f, "");
    pipe_make_readable(&p);
    pipe_make_readable(&p);
    aio_fixture_turn(f, true);
    trace_expect(f, "r");
    aio_fixture_turn(f, true);
    aio_fixture_turn(f, false);
    trace_expect(f, "r");
    pipe_close(&p);
}

static void test_write(AioFixture *f, gconstpointer form)
{
    Pipe p;

    pipe_open(&p, f, 'w');
    handler_set(f, p.fds[1], NULL, trace_mark, TRACE_MARK(f, 'w'));
    aio_fixture_turn(f, true);
    aio_fixture_turn(f, true);
    trace_expect(f, "ww");
    handler_remove(f, p.fds[1]);
    pipe_close(&p);
}

static void socket_read(void *opaque)
{
    Pipe *p = opaque;

    trace_add(p->f, 'r');
}

static void socket_write(void *opaque)
{
    Pipe *p = opaque;

    trace_add(p->f, 'w');
}

static void socket_open(Pipe *p, AioFixture *f)
{
    *p = (Pipe){ .f = f };
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, p->fds), ==, 0);
}

static void test_read_and_write(AioFixture *f, gconstpointer form)
{
    Pipe s;

    socket_open(&s, f);
    handler_set(f, s.fds[0], socket_read, socket_write, &s);
    aio_fixture_turn(f, true);
    trace_expect(f, "w");
    pipe_make_readable(&s);
    aio_fixture_turn(f, true);
    trace_expect(f, "rw");
    pipe_close(&s);
}

static void test_hangup_goes_to_read(AioFixture *f, gconstpointer form)
{
    Pipe p;

    pipe_open(&p, f, 'r');
    handler_set(f, p.fds[0], trace_mark, NULL, TRACE_MARK(f, 'r'));
    close(p.fds[1]);
    aio_fixture_turn(f, true);
    trace_expect(f, "r");
    handler_remove(f, p.fds[0]);
    close(p.fds[0]);
}

/* A full pipe is not writable; without readers it has an error. */
static void test_error_goes_to_write(AioFixture *f, gconstpointer form)
{
    Pipe p;

    pipe_open(&p, f, 'w');
    g_assert_cmpint(fcntl(p.fds[1], F_SETFL, O_NONBLOCK), ==, 0);
    while (write(p.fds[1], "x", 1) == 1) {
    }
    handler_set(f, p.fds[1], NULL, trace_mark, TRACE_MARK(f, 'w'));
    aio_fixture_turn(f, false);
    trace_expect(f, "");
    close(p.fds[0]);
    aio_fixture_turn(f, true);
    trace_expect(f, "w");
    handler_remove(f, p.fds[1]);
    close(p.fds[1]);
}

static void test_hangup_goes_to_both(AioFixture *f, gconstpointer form)
{
    Pipe s;

    socket_open(&s, f);
    handler_set(f, s.fds[0], socket_read, socket_write, &s);
    close(s.fds[1]);
    aio_fixture_turn(f, true);
    trace_expect(f, "rw");
    handler_remove(f, s.fds[0]);
    close(s.fds[0]);
}

static void remove_self(void *opaque)
{
    Pipe *p = opaque;

    handler_remove(p->f, p->fds[0]);
    trace_add(p->f, 'x');
}

static void test_remove_in_own_callback(AioFixture *f, gconstpointer form)
{
    Pipe p;

    pipe_open(&p, f, 'x');
    handler_set(f, p.fds[0], remove_self, NULL, &p);
    pipe_make_readable(&p);
    aio_fixture_turn(f, true);
    aio_fixture_turn(f, false);
    trace_expect(f, "x");
    pipe_close(&p);
}

static void test_read_removes_write(AioFixture *f, gconstpointer form)
{
    Pipe s;

    socket_open(&s, f);
    handler_set(f, s.fds[0], remove_self, socket_write, &s);
    pipe_make_readable(&s);
    aio_fixture_turn(f, true);
    trace_expect(f, "x");
    pipe_close(&s);
}

static void replace_self(void *opaque)
{
    Pipe *p = opaque;

    trace_add(p->f, 'x');
    handler_set(p->f, p->fds[0], NULL, socket_write, p);
}

/* Nothing seen for the old callbacks counts for the new ones. */
static void test_read_replaces_write(AioFixture *f, gconstpointer form)
{
    Pipe s;

    socket_open(&s, f);
    handler_set(f, s.fds[0], replace_self, remove_self, &s);
    pipe_make_readable(&s);
    aio_fixture_turn(f, true);
    trace_expect(f, "x");
    aio_fixture_turn(f, true);
    trace_expect(f, "w");
    pipe_close(&s);
}

static void remove_other(void *opaque)
{
    Pipe *p = opaque;

    handler_remove(p->f, p->other->fds[0]);
    trace_add(p->f, 'x');
}

static void pipes_open_pair(Pipe *a, Pipe *b, AioFixture *f)
{
    pipe_open(a, f, 'a');
    pipe_open(b, f, 'b');
    a->other = b;
    b->other = a;
    pipe_make_readable(a);
    pipe_make_readable(b);
}

/* Both are ready in one turn: whichever comes first keeps the other out. */
static void test_remove_a_ready_one(AioFixture *f, gconstpointer form)
{
    Pipe a, b;

    pipes_open_pair(&a, &b, f);
    handler_set(f, a.fds[0], remove_other, NULL, &a);
    handler_set(f, b.fds[0], remove_other, NULL, &b);
    aio_fixture_turn(f, true);
    trace_expect(f, "x");
    pipe_close(&a);
    pipe_close(&b);
}

static void replace_other(void *opaque)
{
    Pipe *p = opaque;

    handler_set(p->f, p->other->fds[0], pipe_read, NULL, p->other);
    handler_set(p->f, p->fds[0], pipe_read, NULL, p);
    trace_add(p->f, 'x');
}

static void test_replace_a_ready_one(AioFixture *f, gconstpointer form)
{
    Pipe a, b;

    pipes_open_pair(&a, &b, f);
    handler_set(f, a.fds[0], replace_other, NULL, &a);
    handler_set(f, b.fds[0], replace_other, NULL, &b);
    aio_fixture_turn(f, true);
    trace_expect(f, "x");
    aio_fixture_turn(f, true);
    g_assert_cmpuint(f->trace->len, ==, 2);
    pipe_close(&a);
    pipe_close(&b);
}

static void never(void *opaque)
{
    g_assert_not_reached();
}

/* The other fd is closed and its number is another file's at once. */
static void reuse_other(void *opaque)
{
    Pipe *p = opaque;
    Pipe *other = p->other;
    int number = other->fds[0];

    pipe_drain(p);
    handler_remove(p->f, number);
    close(number);
    close(other->fds[1]);
    g_assert_cmpint(pipe(other->fds), ==, 0);
    g_assert_cmpint(other->fds[0], ==, number);
    handler_set(p->f, number, never, NULL, NULL);
    trace_add(p->f, 'x');
}

static void test_fd_number_reused(AioFixture *f, gconstpointer form)
{
    Pipe a, b;

    pipes_open_pair(&a, &b, f);
    handler_set(f, a.fds[0], reuse_other, NULL, &a);
    handler_set(f, b.fds[0], reuse_other, NULL, &b);
    aio_fixture_turn(f, true);
    aio_fixture_turn(f, false);
    trace_expect(f, "x");
    pipe_close(&a);
    pipe_close(&b);
}

static void test_replace_changes_events(AioFixture *f, gconstpointer form)
{
    Pipe s;

    socket_open(&s, f);
    handler_set(f, s.fds[0], socket_read, NULL, &s);
    aio_fixture_turn(f, false);
    trace_expect(f, "");
    handler_set(f, s.fds[0], NULL, socket_write, &s);
    aio_fixture_turn(f, true);
    trace_expect(f, "w");
    handler_set(f, s.fds[0], socket_read, NULL, &s);
    aio_fixture_turn(f, false);
    trace_expect(f, "");
    pipe_close(&s);
}

/* What came while nobody watched is seen when somebody does again. */
static void test_pause_and_resume(AioFixture *f, gconstpointer form)
{
    Pipe p;

    pipe_open(&p, f, 'r');
    handler_set(f, p.fds[0], pipe_read, NULL, &p);
    handler_remove(f, p.fds[0]);
    pipe_make_readable(&p);
    aio_fixture_turn(f, false);
    trace_expect(f, "");
    handler_set(f, p.fds[0], pipe_read, NULL, &p);
    aio_fixture_turn(f, true);
    trace_expect(f, "r");
    pipe_close(&p);
}

static void test_removing_nothing_succeeds(AioFixture *f, gconstpointer form)
{
    handler_remove(f, STDIN_FILENO);
}

static void test_refused_by_epoll(AioFixture *f, gconstpointer form)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(aio_set_fd_handler(f->ctx, fd, never, NULL, NULL, NULL,
                                       NULL), ==, -EPERM);
    close(fd);
    g_assert_cmpint(aio_set_fd_handler(f->ctx, fd, never, NULL, NULL, NULL,
                                       NULL), ==, -EBADF);
}

static void nested_read(void *opaque)
{
    Pipe *p = opaque;

    pipe_drain(p);
    trace_add(p->f, '(');
    aio_fixture_turn(p->f, false);
    trace_add(p->f, ')');
}

/* What the outer turn found is dispatched by the inner one, and only there. */
static void test_nested_dispatches_once(AioFixture *f, gconstpointer form)
{
    Pipe a, b;

    pipes_open_pair(&a, &b, f);
    handler_set(f, a.fds[0], nested_read, NULL, &a);
    handler_set(f, b.fds[0], nested_read, NULL, &b);
    aio_fixture_turn(f, true);
    trace_expect(f, "(())");
    pipe_close(&a);
    pipe_close(&b);
}

static void remove_both(void *opaque)
{
    Pipe *p = opaque;

    handler_remove(p->f, p->fds[0]);
    handler_remove(p->f, p->other->fds[0]);
    trace_add(p->f, 'x');
}

static void turn_until_removed(void *opaque)
{
    Pipe *p = opaque;

    trace_add(p->f, '(');
    handler_set(p->f, p->fds[0], remove_both, NULL, p);
    handler_set(p->f, p->other->fds[0], remove_both, NULL, p->other);
    aio_fixture_turn(p->f, true);
    trace_add(p->f, ')');
}

/* The outer turn is inside a handler that the inner turn removes. */
static void test_removed_in_nested_turn(AioFixture *f, gconstpointer form)
{
    Pipe a, b;

    pipes_open_pair(&a, &b, f);
    handler_set(f, a.fds[0], turn_until_removed, NULL, &a);
    handler_set(f, b.fds[0], turn_until_removed, NULL, &b);
    aio_fixture_turn(f, true);
    trace_expect(f, "(x)");
    pipe_close(&a);
    pipe_close(&b);
}

enum { MANY = 200 };

/* More than one epoll_wait() returns. */
static void test_many_fds(AioFixture *f, gconstpointer form)
{
    static Pipe pipes[MANY];

    for (int i = 0; i < MANY; i++) {
        pipe_open(&pipes[i], f, 'r');
        pipe_make_readable(&pipes[i]);
        handler_set(f, pipes[i].fds[0], pipe_read, NULL, &pipes[i]);
    }
    aio_fixture_turn_until(f, MANY);
    aio_fixture_turn(f, false);
    g_assert_cmpuint(f->trace->len, ==, MANY);
    for (int i = 0; i < MANY; i++) {
        pipe_close(&pipes[i]);
    }
}

static void remove_opaque(void *opaque)
{
    Pipe *p = opaque;

    handler_remove(p->f, p->fds[0]);
}

static short pipe_write_end_events(const Pipe *p)
{
    struct pollfd pfd = { .fd = p->fds[1] };

    g_assert_cmpint(poll(&pfd, 1, 0), >=, 0);
    return pfd.revents;
}

/* The write end tells when the last reference to the read end is gone. */
static void test_close_after_removal_is_at_once(AioFixture *f,
                                                gconstpointer form)
{
    Pipe p;

    pipe_open(&p, f, 'r');
    handler_set(f, p.fds[0], pipe_read, NULL, &p);
    aio_fixture_start(f);
    aio_wait_bh_oneshot(f->ctx, remove_opaque, &p);
    aio_wait_asleep(f->ctx);
    g_assert_cmpint(pipe_write_end_events(&p), ==, 0);
    close(p.fds[0]);
    g_assert_cmpint(pipe_write_end_events(&p), ==, POLLERR);
    close(p.fds[1]);
    aio_fixture_stop(f);
}

static void *set_in_wrong_thread(void *opaque)
{
    AioFixture *f = opaque;

    handler_set(f, STDIN_FILENO, never, NULL, NULL);
    return NULL;
}

static void fail_wrong_thread(AioFixture *f)
{
    pthread_t thread;

    pthread_create(&thread, NULL, set_in_wrong_thread, f);
    pthread_join(thread, NULL);
}

static void fail_closed_before_removal(AioFixture *f)
{
    int fd = eventfd(0, 0);

    handler_set(f, fd, never, NULL, NULL);
    close(fd);
    handler_remove(f, fd);
}

static void run_failure(void (*func)(AioFixture *f), gconstpointer form,
                        const char *message)
{
    if (g_test_subprocess()) {
        AioFixture f = { 0 };

        aio_fixture_setup(&f, form);
        func(&f);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(message);
}

static void test_wrong_thread(gconstpointer form)
{
    run_failure(fail_wrong_thread, form, "*aio_in_home_thread*");
}

static void test_closed_before_removal(gconstpointer form)
{
    run_failure(fail_closed_before_removal, form, "*ret == 0*");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        AioTest *func;
    } tests[] = {
        { "fd/read", test_read },
        { "fd/write", test_write },
        { "fd/read-and-write", test_read_and_write },
        { "fd/hangup-goes-to-read", test_hangup_goes_to_read },
        { "fd/error-goes-to-write", test_error_goes_to_write },
        { "fd/hangup-goes-to-both", test_hangup_goes_to_both },
        { "fd/remove-in-own-callback", test_remove_in_own_callback },
        { "fd/read-removes-write", test_read_removes_write },
        { "fd/read-replaces-write", test_read_replaces_write },
        { "fd/remove-a-ready-one", test_remove_a_ready_one },
        { "fd/replace-a-ready-one", test_replace_a_ready_one },
        { "fd/fd-number-reused", test_fd_number_reused },
        { "fd/replace-changes-events", test_replace_changes_events },
        { "fd/pause-and-resume", test_pause_and_resume },
        { "fd/removing-nothing-succeeds", test_removing_nothing_succeeds },
        { "fd/refused-by-epoll", test_refused_by_epoll },
        { "fd/nested-dispatches-once", test_nested_dispatches_once },
        { "fd/removed-in-nested-turn", test_removed_in_nested_turn },
        { "fd/many-fds", test_many_fds },
        { "fd/close-after-removal-is-at-once",
          test_close_after_removal_is_at_once },
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        aio_test_add(tests[i].path, tests[i].func);
    }
    g_test_add_data_func("/aio/fd/wrong-thread-aborts",
                         GINT_TO_POINTER(AIO_FORM_POLL), test_wrong_thread);
    g_test_add_data_func("/aio-gsource/fd/wrong-thread-aborts",
                         GINT_TO_POINTER(AIO_FORM_GSOURCE), test_wrong_thread);
    g_test_add_data_func("/aio/fd/closed-before-removal-aborts",
                         GINT_TO_POINTER(AIO_FORM_POLL),
                         test_closed_before_removal);
    return g_test_run();
}
