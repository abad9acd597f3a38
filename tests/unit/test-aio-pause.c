/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aio_pause_fd_handler(), in both forms of the context.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "aio-fixture.h"

/* One end of a socket pair; what is written to the other makes it ready. */
typedef struct Watched {
    AioFixture *f;
    int fds[2];
    char mark;
    struct Watched *to_pause;
} Watched;

static void set(Watched *w, IOHandler *io_read)
{
    g_assert_cmpint(aio_set_fd_handler(w->f->ctx, w->fds[0], io_read, NULL,
                                       NULL, NULL, w), ==, 0);
}

static void pause_it(Watched *w, bool paused)
{
    aio_pause_fd_handler(w->f->ctx, w->fds[0], paused);
}

static void make_ready(Watched *w)
{
    g_assert_cmpint(write(w->fds[1], "x", 1), ==, 1);
}

static void watched_open(Watched *w, AioFixture *f, char mark,
                         IOHandler *io_read)
{
    *w = (Watched){ .f = f, .mark = mark };
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, w->fds), ==, 0);
    set(w, io_read);
}

static void watched_close(Watched *w)
{
    set(w, NULL);
    close(w->fds[0]);
    close(w->fds[1]);
}

/* io_read: traces, pauses somebody, consumes nothing */
static void read_and_pause(void *opaque)
{
    Watched *w = opaque;

    trace_add(w->f, w->mark);
    if (w->to_pause) {
        pause_it(w->to_pause, true);
    }
}

static void read_and_remove(void *opaque)
{
    Watched *w = opaque;

    trace_add(w->f, w->mark);
    set(w, NULL);
}

static void turns(AioFixture *f, unsigned count)
{
    while (count-- > 0) {
        aio_fixture_turn(f, false);
    }
}

static void test_in_own_callback(AioFixture *f, gconstpointer form)
{
    Watched w;

    watched_open(&w, f, 'w', read_and_pause);
    w.to_pause = &w;
    make_ready(&w);
    turns(f, 3);
    trace_expect(f, "w");
    pause_it(&w, true);         /* again: no effect */
    turns(f, 1);
    trace_expect(f, "");
    pause_it(&w, false);        /* what came before is not lost */
    turns(f, 3);
    trace_expect(f, "w");
    watched_close(&w);
}

static void test_set_again_ends_the_pause(AioFixture *f, gconstpointer form)
{
    Watched w;

    watched_open(&w, f, 'w', read_and_pause);
    make_ready(&w);
    pause_it(&w, true);
    set(&w, read_and_pause);
    turns(f, 2);
    trace_expect(f, "ww");
    watched_close(&w);
}

/* What was found ready before the pause is not called any more. */
static void test_a_ready_one(AioFixture *f, gconstpointer form)
{
    Watched a;
    Watched b;

    watched_open(&a, f, 'x', read_and_pause);
    watched_open(&b, f, 'x', read_and_pause);
    a.to_pause = &b;
    b.to_pause = &a;
    make_ready(&a);
    make_ready(&b);
    turns(f, 1);
    trace_expect(f, "x");
    watched_close(&a);
    watched_close(&b);
}

static void test_removed_while_paused(AioFixture *f, gconstpointer form)
{
    Watched w;

    watched_open(&w, f, 'w', read_and_pause);
    make_ready(&w);
    pause_it(&w, true);
    set(&w, NULL);
    turns(f, 1);
    set(&w, read_and_pause);
    turns(f, 1);
    trace_expect(f, "w");
    watched_close(&w);
}

/* It cannot be switched off, so it is called, and may go. */
static void test_hang_up_is_told(AioFixture *f, gconstpointer form)
{
    Watched w;

    watched_open(&w, f, 'h', read_and_remove);
    pause_it(&w, true);
    close(w.fds[1]);
    turns(f, 3);
    trace_expect(f, "h");
    close(w.fds[0]);
}

static bool poll_hit(void *opaque)
{
    trace_add(((Watched *)opaque)->f, '?');
    return true;
}

/* A paused handler is not polled, nor does it keep others from being. */
static void test_paused_is_out_of_busy_polling(AioFixture *f,
                                               gconstpointer form)
{
    Watched polled;
    Watched plain;

    if (GPOINTER_TO_INT(form) == AIO_FORM_GSOURCE) {
        return;                 /* there is no busy polling in that form */
    }
    aio_set_poll_params(f->ctx, INT64_C(1000000000), 0, 0);
    watched_open(&plain, f, 'p', read_and_pause);
    watched_open(&polled, f, 'w', NULL);
    aio_set_fd_handler(f->ctx, polled.fds[0], read_and_pause, NULL, poll_hit,
                       read_and_pause, &polled);
    pause_it(&plain, true);
    make_ready(&polled);
    aio_poll(f->ctx, true);     /* joins the poll set and learns */
    trace_expect(f, "w");
    aio_poll(f->ctx, true);     /* plain, were it not paused, forbade it */
    trace_expect(f, "?w");
    pause_it(&polled, true);
    pause_it(&plain, false);
    make_ready(&plain);
    aio_poll(f->ctx, true);
    trace_expect(f, "p");
    watched_close(&polled);
    watched_close(&plain);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    aio_test_add("pause/in-own-callback", test_in_own_callback);
    aio_test_add("pause/set-again-ends-it", test_set_again_ends_the_pause);
    aio_test_add("pause/a-ready-one", test_a_ready_one);
    aio_test_add("pause/removed-while-paused", test_removed_while_paused);
    aio_test_add("pause/hang-up-is-told", test_hang_up_is_told);
    aio_test_add("pause/out-of-busy-polling",
                 test_paused_is_out_of_busy_polling);
    return g_test_run();
}
