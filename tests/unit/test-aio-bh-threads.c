/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../iothread/aio-internal.h"
#include "aio-fixture.h"

enum { THREADS = 4, ROUNDS = 20000 };

/* A thread that schedules ROUNDS numbered one-shots. */
typedef struct Sender {
    AioFixture *f;
    pthread_t thread;
    unsigned *received;         /* home thread: of all senders */
    unsigned next;              /* home thread: the number expected */
    AioBH *bh;
    atomic_uint *work;
} Sender;

typedef struct Message {
    Sender *sender;
    unsigned number;
} Message;

static void message_receive(void *opaque)
{
    Message *message = opaque;
    Sender *sender = message->sender;

    g_assert_cmpuint(message->number, ==, sender->next);
    sender->next++;
    ++*sender->received;
    g_free(message);
}

static void *send_messages(void *opaque)
{
    Sender *sender = opaque;

    for (unsigned i = 0; i < ROUNDS; i++) {
        Message *message = g_new(Message, 1);

        *message = (Message){ .sender = sender, .number = i };
        aio_bh_schedule_oneshot(sender->f->ctx, message_receive, message);
    }
    return NULL;
}

static void test_fifo_per_thread(AioFixture *f, gconstpointer form)
{
    Sender senders[THREADS];
    unsigned received = 0;

    for (unsigned i = 0; i < THREADS; i++) {
        senders[i] = (Sender){ .f = f, .received = &received };
        pthread_create(&senders[i].thread, NULL, send_messages, &senders[i]);
    }
    while (received < THREADS * ROUNDS) {
        aio_fixture_turn(f, true);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(senders[i].thread, NULL);
        g_assert_cmpuint(senders[i].next, ==, ROUNDS);
    }
}

static void work_collect(void *opaque)
{
    Sender *sender = opaque;

    *sender->received +=
        atomic_exchange_explicit(sender->work, 0, memory_order_relaxed);
}

/* Relaxed: that the callback sees it is what the bottom half promises. */
static void *send_work(void *opaque)
{
    Sender *sender = opaque;

    for (unsigned i = 0; i < ROUNDS; i++) {
        atomic_fetch_add_explicit(sender->work, 1, memory_order_relaxed);
        aio_bh_schedule(sender->bh);
    }
    return NULL;
}

/* One bottom half, many threads: each schedule is followed by a run. */
static void test_shared_loses_nothing(AioFixture *f, gconstpointer form)
{
    Sender senders[THREADS];
    atomic_uint work = 0;
    unsigned received = 0;
    AioBH *bh = aio_bh_new(f->ctx, work_collect, &senders[0]);

    for (unsigned i = 0; i < THREADS; i++) {
        senders[i] = (Sender){
            .f = f, .received = &received, .bh = bh, .work = &work
        };
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_create(&senders[i].thread, NULL, send_work, &senders[i]);
    }
    while (received < THREADS * ROUNDS) {
        aio_fixture_turn(f, true);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(senders[i].thread, NULL);
    }
    aio_bh_delete(bh);
}

static void count_up(void *opaque)
{
    ++*(unsigned *)opaque;
}

/* Made, scheduled and deleted here while the home thread runs them. */
static void test_delete(AioFixture *f, gconstpointer form)
{
    unsigned runs = 0;

    aio_fixture_start(f);
    for (unsigned i = 0; i < ROUNDS; i++) {
        AioBH *bh = aio_bh_new(f->ctx, count_up, &runs);

        aio_bh_schedule(bh);
        if (i % 2) {
            aio_bh_cancel(bh);
            aio_bh_schedule(bh);
        }
        aio_bh_delete(bh);
    }
    aio_fixture_stop(f);
    g_assert_cmpuint(runs, <=, ROUNDS);
    g_assert_cmpuint(atomic_load(&f->ctx->bh.alive), ==, 0);
}

static void test_wait(AioFixture *f, gconstpointer form)
{
    unsigned runs = 0;
    unsigned before = 0;

    aio_fixture_start(f);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        aio_bh_schedule_oneshot(f->ctx, count_up, &before);
        aio_wait_bh_oneshot(f->ctx, count_up, &runs);
        g_assert_cmpuint(runs, ==, i);
        g_assert_cmpuint(before, ==, i);
    }
    aio_fixture_stop(f);
}

typedef struct Waiter {
    AioFixture *f;
    unsigned *runs;
    pthread_t thread;
} Waiter;

static void *wait_often(void *opaque)
{
    Waiter *waiter = opaque;

    for (unsigned i = 0; i < ROUNDS / THREADS; i++) {
        aio_wait_bh_oneshot(waiter->f->ctx, count_up, waiter->runs);
    }
    return NULL;
}

static void test_many_wait(AioFixture *f, gconstpointer form)
{
    Waiter waiters[THREADS];
    unsigned runs = 0;

    aio_fixture_start(f);
    for (unsigned i = 0; i < THREADS; i++) {
        waiters[i] = (Waiter){ .f = f, .runs = &runs };
        pthread_create(&waiters[i].thread, NULL, wait_often, &waiters[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(waiters[i].thread, NULL);
    }
    aio_fixture_stop(f);
    g_assert_cmpuint(runs, ==, ROUNDS / THREADS * THREADS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    aio_test_add("bh-threads/fifo-per-thread", test_fifo_per_thread);
    aio_test_add("bh-threads/shared-loses-nothing", test_shared_loses_nothing);
    aio_test_add("bh-threads/delete", test_delete);
    aio_test_add("bh-threads/wait", test_wait);
    aio_test_add("bh-threads/many-wait", test_many_wait);
    return g_test_run();
}
