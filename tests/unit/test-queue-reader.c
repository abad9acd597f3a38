/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an owner of a reader can do that an event pump does not: be refused and
 * ask for more, replace the buffer, close in the middle of a turn, and take
 * early what busy polling has read. The rest is test-event-pump's.
 */
#include "hw/iommu/queue-reader.h"

#include "base/rcu.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/iommufd-abi.h"

#define QUEUE_ID 7
#define BUF_SIZE 64

typedef struct Owner {
    HostIommu host;
    AioContext *ctx;
    QueueReader reader;
    const QueueReaderOps *ops;
    int fd;
    /* The host's script. */
    size_t first;               /* bytes of the first record; 0: none left */
    unsigned more;              /* like it, behind it */
    unsigned good;              /* reads before err's turn comes */
    int err;                    /* errno of reads, ... */
    unsigned err_times;         /* ... this often */
    size_t lie;                 /* reads say that they gave so much more */
    int destroy_err;
    unsigned reads;
    unsigned closed;
    unsigned destroyed;
    void *last_buf;
    /* The owner's. */
    size_t room;
    size_t taken;
    unsigned takes;
    unsigned refusals;
    bool grow;                  /* refused: ask for one byte more */
    unsigned close_in_take;     /* in the nth; 0: in none */
    char *failure;
    char buf[BUF_SIZE];
    char other_buf[BUF_SIZE];
} Owner;

static Owner *owner_of(HostIommu *host)
{
    return caa_container_of(host, Owner, host);
}

/* One record per read, EINVAL if it does not fit. */
static ssize_t host_read(HostIommu *host, int fd, void *buf, size_t count)
{
    Owner *o = owner_of(host);
    size_t len = o->first;

    o->reads++;
    o->last_buf = buf;
    if (o->good > 0) {
        o->good--;
    } else if (o->err_times > 0) {
        o->err_times--;
        errno = o->err;
        return -1;
    }
    if (len > count) {
        errno = EINVAL;
        return -1;
    }
    o->first = o->more > 0 ? o->first : 0;
    o->more -= o->more > 0;
    memset(buf, 'x', len);
    return len + o->lie;
}

static int host_ioctl(HostIommu *host, int fd, unsigned long request,
                      void *arg)
{
    Owner *o = owner_of(host);
    const struct iommu_destroy *cmd = arg;

    g_assert_cmpuint(request, ==, IOMMU_DESTROY);
    g_assert_cmpuint(cmd->id, ==, QUEUE_ID);
    g_assert_cmpuint(o->closed, ==, 1);
    o->destroyed++;
    errno = o->destroy_err;
    return o->destroy_err ? -1 : 0;
}

static int host_close(HostIommu *host, int fd)
{
    owner_of(host)->closed++;
    return close(fd);
}

static const HostIommuOps host_ops = {
    .ioctl = host_ioctl,
    .read = host_read,
    .close = host_close,
};

static size_t owner_room(void *opaque)
{
    return ((Owner *)opaque)->room;
}

static bool owner_take(void *opaque, size_t len)
{
    Owner *o = opaque;

    o->takes++;
    o->taken += len;
    if (o->takes == o->close_in_take) {
        queue_reader_close(&o->reader);
    }
    return true;
}

static int owner_refused(void *opaque, int err)
{
    Owner *o = opaque;

    o->refusals++;
    if (err != EINVAL || !o->grow) {
        return err;
    }
    o->room++;
    return 0;
}

static void owner_failed(void *opaque, const char *message)
{
    Owner *o = opaque;

    g_assert_null(o->failure);
    o->failure = g_strdup(message);
}

static const QueueReaderOps plain_ops = {
    .name = "test queue",
    .revival = "the test ends",
    .turn_reads = 1,
    .room = owner_room,
    .take = owner_take,
    .failed = owner_failed,
};

static const QueueReaderOps greedy_ops = {
    .name = "test queue",
    .revival = "the test ends",
    .turn_reads = 4,
    .room = owner_room,
    .take = owner_take,
    .failed = owner_failed,
};

static const QueueReaderOps refusable_ops = {
    .name = "test queue",
    .revival = "the test ends",
    .turn_reads = 1,
    .room = owner_room,
    .take = owner_take,
    .refused = owner_refused,
    .failed = owner_failed,
};

static void setup(Owner *o, gconstpointer ops)
{
    g_autoptr(GError) error = NULL;
    HostQueue queue = { .host = &o->host, .id = QUEUE_ID };

    o->ctx = aio_context_new(&error);
    g_assert_no_error(error);
    aio_context_bind(o->ctx);
    o->host.ops = &host_ops;
    o->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    queue.fd = o->fd;
    o->room = BUF_SIZE;
    queue_reader_init(&o->reader, o->ctx, &queue, o->buf, ops, o);
}

static void teardown(Owner *o, gconstpointer ops)
{
    queue_reader_destroy(&o->reader);
    g_assert_cmpuint(o->closed, ==, 1);
    g_assert_cmpuint(o->destroyed, ==, 1);
    aio_context_unref(o->ctx);
    g_free(o->failure);
}

static void set_ready(Owner *o, bool ready)
{
    uint64_t value = 1;

    g_assert_cmpint(ready ? write(o->fd, &value, sizeof(value))
                          : read(o->fd, &value, sizeof(value)), ==,
                    sizeof(value));
}

static void test_says_whether_something_was_taken(Owner *o, gconstpointer ops)
{
    g_assert_false(queue_reader_run(&o->reader));
    o->first = 3;
    g_assert_true(queue_reader_run(&o->reader));
    g_assert_cmpuint(o->taken, ==, 3);
    o->room = 0;
    o->first = 3;
    g_assert_false(queue_reader_run(&o->reader));
    g_assert_cmpuint(o->taken, ==, 3);
}

/* Refused once for each byte that is missing, all in one turn. */
/* Else its handler would be called for nothing. */
static void test_without_room_it_listens_no_more(Owner *o, gconstpointer ops)
{
    queue_reader_run(&o->reader);
    o->room = 0;
    queue_reader_run(&o->reader);
    o->first = 3;
    set_ready(o, true);
    g_assert_false(aio_poll(o->ctx, false));
    o->room = 3;
    g_assert_true(queue_reader_run(&o->reader));
    g_assert_cmpuint(o->taken, ==, 3);
}

static void test_refused_tries_with_the_room_there_is_then(Owner *o,
                                                           gconstpointer ops)
{
    o->room = 10;
    o->first = 13;
    o->grow = true;
    g_assert_true(queue_reader_run(&o->reader));
    g_assert_cmpuint(o->taken, ==, 13);
    g_assert_cmpuint(o->reads, ==, 4);
    g_assert_cmpuint(o->refusals, ==, 3);
}

static void test_refused_and_no_more_room_pauses(Owner *o, gconstpointer ops)
{
    o->room = 10;
    o->first = 11;
    o->err = EINVAL;
    g_assert_false(queue_reader_run(&o->reader));
    set_ready(o, true);
    /* Watched: what it refuses is an error, then. */
    g_assert_true(aio_poll(o->ctx, false));
    g_assert_cmpuint(o->refusals, ==, 2);
    o->room = 0;
    g_assert_true(aio_poll(o->ctx, false));
    /* Paused: ready, and no turn. */
    g_assert_false(aio_poll(o->ctx, false));
    g_assert_null(o->failure);
}

static void test_what_is_refused_for_good_closes(Owner *o, gconstpointer ops)
{
    o->first = BUF_SIZE + 1;
    queue_reader_run(&o->reader);
    set_ready(o, true);
    while (aio_poll(o->ctx, false)) {
        g_assert_cmpuint(o->reads, <=, 17);
    }
    g_assert_false(queue_reader_is_open(&o->reader));
    g_assert_nonnull(strstr(o->failure, "test queue 7: read() fails"));
    g_assert_nonnull(strstr(o->failure, "; closed until the test ends"));
    /* The object is there still: it may be in use. */
    g_assert_cmpuint(o->closed, ==, 1);
    g_assert_cmpuint(o->destroyed, ==, 0);
    g_assert_false(queue_reader_run(&o->reader));
}

static void test_without_refused_it_is_a_failure(Owner *o, gconstpointer ops)
{
    o->room = 10;
    o->first = 11;
    queue_reader_run(&o->reader);
    set_ready(o, true);
    while (aio_poll(o->ctx, false)) {
        g_assert_cmpuint(o->reads, <=, 17);
    }
    g_assert_nonnull(o->failure);
}

/* The buffer has no more than was asked for: nothing of it is taken. */
static void test_more_than_was_asked_for_is_a_failure(Owner *o,
                                                      gconstpointer ops)
{
    queue_reader_run(&o->reader);
    set_ready(o, true);
    o->lie = 1;
    for (unsigned i = 1; i < 16; i++) {
        o->first = BUF_SIZE;
        g_assert_true(aio_poll(o->ctx, false));
        g_assert_null(o->failure);
    }
    o->first = BUF_SIZE;
    g_assert_true(aio_poll(o->ctx, false));
    g_assert_cmpuint(o->takes, ==, 0);
    g_assert_nonnull(strstr(o->failure, g_strerror(EIO)));
}

static size_t room_in_other_buf(void *opaque)
{
    Owner *o = opaque;

    o->reader.buf = o->other_buf;
    return o->room;
}

static const QueueReaderOps moving_ops = {
    .name = "test queue",
    .turn_reads = 1,
    .room = room_in_other_buf,
    .take = owner_take,
    .failed = owner_failed,
};

static void test_buffer_replaced_in_room(Owner *o, gconstpointer ops)
{
    o->first = 5;
    g_assert_true(queue_reader_run(&o->reader));
    g_assert_true(o->last_buf == o->other_buf);
    g_assert_cmpint(o->other_buf[4], ==, 'x');
}

static void test_closed_in_take(Owner *o, gconstpointer ops)
{
    queue_reader_run(&o->reader);
    set_ready(o, true);
    o->first = 5;
    o->close_in_take = 1;
    g_assert_true(aio_poll(o->ctx, false));
    g_assert_cmpuint(o->taken, ==, 5);
    g_assert_false(aio_poll(o->ctx, false));
    g_assert_false(queue_reader_run(&o->reader));
    g_assert_cmpuint(o->closed, ==, 1);
}

/* ---- Reads of a turn ---- */

/* One turn, with @first and @more records ready. */
static void greedy_turn(Owner *o, size_t first, unsigned more)
{
    queue_reader_run(&o->reader);
    o->reads = 0;
    o->first = first;
    o->more = more;
    set_ready(o, true);
    g_assert_true(aio_poll(o->ctx, false));
}

static void test_turn_has_a_budget(Owner *o, gconstpointer ops)
{
    greedy_turn(o, BUF_SIZE, 9);
    g_assert_cmpuint(o->reads, ==, 4);
    g_assert_cmpuint(o->takes, ==, 4);
}

static void test_turn_ends_with_half_a_read(Owner *o, gconstpointer ops)
{
    greedy_turn(o, BUF_SIZE / 2, 9);
    g_assert_cmpuint(o->reads, ==, 1);
    o->first = BUF_SIZE / 2 + 1;
    g_assert_true(aio_poll(o->ctx, false));
    g_assert_cmpuint(o->reads, ==, 5);
}

/* Only the first is to a fd that said that there is something. */
static void test_read_in_vain_in_a_turn_is_no_failure(Owner *o,
                                                      gconstpointer ops)
{
    for (unsigned i = 0; i < 100; i++) {
        o->good = 2 + i % 3;            /* the first one is not in the turn */
        o->err = EIO;
        o->err_times = i % 2;           /* else it gives nothing */
        greedy_turn(o, BUF_SIZE, i % 3);
        g_assert_cmpuint(o->reads, ==, 2 + i % 3);
        set_ready(o, false);
        o->err_times = 0;
    }
    g_assert_null(o->failure);
    g_assert_cmpuint(o->reader.failures, ==, 0);
}

static bool take_two(void *opaque, size_t len)
{
    Owner *o = opaque;

    owner_take(o, len);
    o->room = o->takes < 2 ? BUF_SIZE : 0;
    return true;
}

static const QueueReaderOps two_ops = {
    .name = "test queue",
    .revival = "the test ends",
    .turn_reads = 4,
    .room = owner_room,
    .take = take_two,
    .failed = owner_failed,
};

static void test_turn_ends_without_room(Owner *o, gconstpointer ops)
{
    greedy_turn(o, BUF_SIZE, 9);
    g_assert_cmpuint(o->reads, ==, 2);
    g_assert_false(aio_poll(o->ctx, false));
}

static void test_closed_in_a_later_take(Owner *o, gconstpointer ops)
{
    o->close_in_take = 2;
    greedy_turn(o, BUF_SIZE, 9);
    g_assert_cmpuint(o->reads, ==, 2);
    g_assert_false(aio_poll(o->ctx, false));
    g_assert_cmpuint(o->closed, ==, 1);
}

/* ---- Patience ---- */

/* Not by the sum of both: each kind has its own patience. */
static void test_try_again_is_no_failure(Owner *o, gconstpointer ops)
{
    queue_reader_run(&o->reader);
    set_ready(o, true);
    o->err = EAGAIN;
    o->err_times = 100;
    while (o->err_times > 0) {
        g_assert_true(aio_poll(o->ctx, false));
    }
    o->err = EIO;
    o->err_times = 15;
    while (o->err_times > 0) {
        g_assert_true(aio_poll(o->ctx, false));
    }
    g_assert_null(o->failure);
    o->first = 1;
    g_assert_true(aio_poll(o->ctx, false));
    g_assert_cmpuint(o->taken, ==, 1);
}

/* Nor do those before a read that gave something count. */
static void test_patience_begins_anew(Owner *o, gconstpointer ops)
{
    queue_reader_run(&o->reader);
    set_ready(o, true);
    for (unsigned i = 1; i <= 3; i++) {
        o->err = EINTR;
        o->err_times = 4095;
        while (o->err_times > 0) {
            g_assert_true(aio_poll(o->ctx, false));
        }
        o->first = 1;
        g_assert_true(aio_poll(o->ctx, false));
        g_assert_cmpuint(o->taken, ==, i);
    }
    g_assert_null(o->failure);
}

static void bh_settle(void *opaque)
{
    Owner *o = opaque;
    unsigned takes = o->takes;

    g_assert_cmpint(o->reader.filled, ==, 6);
    queue_reader_settle(&o->reader);
    g_assert_cmpuint(o->takes, ==, takes + 1);
    queue_reader_settle(&o->reader);
    g_assert_cmpuint(o->takes, ==, takes + 1);
}

static void bh_run(void *opaque)
{
    Owner *o = opaque;

    /* One turn takes what was read, and reads nothing. */
    g_assert_cmpint(o->reader.filled, ==, 6);
    g_assert_true(queue_reader_run(&o->reader));
    g_assert_cmpint(o->reader.filled, ==, 0);
}

static void bh_unwatch(void *opaque)
{
    Owner *o = opaque;

    queue_reader_unwatch(&o->reader);
    g_assert_cmpint(o->reader.filled, ==, 6);
}

/*
 * A hit of busy polling, and before its handler comes, a bottom half: that is
 * the order within a turn.
 */
static void poll_hit_then(Owner *o, AioBHFunc *func)
{
    /* So long that no stall makes it stop polling. */
    aio_set_poll_params(o->ctx, G_MAXINT64 / 2, 0, 0);
    queue_reader_run(&o->reader);
    set_ready(o, true);
    /* Dispatched twice: it polls from now on. */
    aio_poll(o->ctx, true);
    aio_poll(o->ctx, true);
    set_ready(o, false);
    aio_poll(o->ctx, false);
    o->first = 6;
    o->taken = 0;
    aio_bh_schedule_oneshot(o->ctx, func, o);
    aio_poll(o->ctx, true);
}

static void test_settle_takes_what_polling_read(Owner *o, gconstpointer ops)
{
    poll_hit_then(o, bh_settle);
    g_assert_cmpuint(o->taken, ==, 6);
    g_assert_cmpuint(o->takes, ==, 1);
    g_assert_null(o->failure);
}

static void test_run_takes_what_polling_read(Owner *o, gconstpointer ops)
{
    poll_hit_then(o, bh_run);
    g_assert_cmpuint(o->taken, ==, 6);
}

static void test_unwatch_leaves_what_polling_read(Owner *o, gconstpointer ops)
{
    poll_hit_then(o, bh_unwatch);
    g_assert_cmpuint(o->takes, ==, 0);
    g_assert_cmpint(o->reader.filled, ==, 6);
    queue_reader_settle(&o->reader);
    g_assert_cmpuint(o->taken, ==, 6);
}

static void test_fill_asks_nobody(Owner *o, gconstpointer ops)
{
    o->room = 0;
    o->first = 5;
    g_assert_cmpint(queue_reader_fill(&o->reader, 4), ==, -EINVAL);
    g_assert_cmpint(queue_reader_fill(&o->reader, 5), ==, 5);
    g_assert_cmpint(queue_reader_fill(&o->reader, 5), ==, 0);
    g_assert_cmpuint(o->takes + o->refusals, ==, 0);
}

static void test_close_and_destroy_once(Owner *o, gconstpointer ops)
{
    queue_reader_run(&o->reader);
    queue_reader_close(&o->reader);
    queue_reader_close(&o->reader);
    queue_reader_destroy(&o->reader);
    queue_reader_destroy(&o->reader);
}

static void test_destroy_that_fails_is_reported(Owner *o, gconstpointer ops)
{
    o->destroy_err = EBUSY;
    queue_reader_destroy(&o->reader);
    g_assert_nonnull(strstr(o->failure, "object 7"));
}

#define ADD(path, ops, func) \
    g_test_add("/queue-reader/" path, Owner, &(ops), setup, func, teardown)

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    ADD("says-whether-something-was-taken", plain_ops,
        test_says_whether_something_was_taken);
    ADD("without-room-it-listens-no-more", plain_ops,
        test_without_room_it_listens_no_more);
    ADD("refused-tries-with-the-room-there-is-then", refusable_ops,
        test_refused_tries_with_the_room_there_is_then);
    ADD("refused-and-no-more-room-pauses", refusable_ops,
        test_refused_and_no_more_room_pauses);
    ADD("what-is-refused-for-good-closes", refusable_ops,
        test_what_is_refused_for_good_closes);
    ADD("without-refused-it-is-a-failure", plain_ops,
        test_without_refused_it_is_a_failure);
    ADD("more-than-was-asked-for-is-a-failure", plain_ops,
        test_more_than_was_asked_for_is_a_failure);
    ADD("buffer-replaced-in-room", moving_ops, test_buffer_replaced_in_room);
    ADD("closed-in-take", plain_ops, test_closed_in_take);
    ADD("turn/has-a-budget", greedy_ops, test_turn_has_a_budget);
    ADD("turn/ends-with-half-a-read", greedy_ops,
        test_turn_ends_with_half_a_read);
    ADD("turn/read-in-vain-is-no-failure", greedy_ops,
        test_read_in_vain_in_a_turn_is_no_failure);
    ADD("turn/ends-without-room", two_ops, test_turn_ends_without_room);
    ADD("turn/closed-in-a-later-take", greedy_ops,
        test_closed_in_a_later_take);
    ADD("try-again-is-no-failure", plain_ops, test_try_again_is_no_failure);
    ADD("patience-begins-anew", plain_ops, test_patience_begins_anew);
    ADD("settle-takes-what-polling-read", plain_ops,
        test_settle_takes_what_polling_read);
    ADD("run-takes-what-polling-read", plain_ops,
        test_run_takes_what_polling_read);
    ADD("unwatch-leaves-what-polling-read", plain_ops,
        test_unwatch_leaves_what_polling_read);
    ADD("fill-asks-nobody", plain_ops, test_fill_asks_nobody);
    ADD("close-and-destroy-once", plain_ops, test_close_and_destroy_once);
    ADD("destroy-that-fails-is-reported", plain_ops,
        test_destroy_that_fails_is_reported);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
