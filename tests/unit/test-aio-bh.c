/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <unistd.h>

#include "../../iothread/aio-internal.h"
#include "aio-fixture.h"

enum { BHS = 3 };

/* Bottom halves that trace a, b, c; each calls @func besides, if it is set. */
typedef struct Trio {
    AioFixture *f;
    AioBH *bh[BHS];
    void (*func[BHS])(struct Trio *trio);
    struct Member {
        struct Trio *trio;
        unsigned index;
    } member[BHS];
} Trio;

static void trio_run(void *opaque)
{
    struct Member *member = opaque;
    Trio *trio = member->trio;

    trace_add(trio->f, 'a' + member->index);
    if (trio->func[member->index]) {
        trio->func[member->index](trio);
    }
}

static void trio_new(Trio *trio, AioFixture *f)
{
    *trio = (Trio){ .f = f };
    for (unsigned i = 0; i < BHS; i++) {
        trio->member[i] = (struct Member){ .trio = trio, .index = i };
        trio->bh[i] = aio_bh_new(f->ctx, trio_run, &trio->member[i]);
    }
}

static void trio_schedule(Trio *trio)
{
    for (unsigned i = 0; i < BHS; i++) {
        aio_bh_schedule(trio->bh[i]);
    }
}

static void trio_delete(Trio *trio)
{
    for (unsigned i = 0; i < BHS; i++) {
        if (trio->bh[i]) {
            aio_bh_delete(trio->bh[i]);
        }
    }
}

static void test_not_scheduled_does_not_run(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    aio_fixture_turn(f, false);
    trace_expect(f, "");
    trio_delete(&trio);
}

static void test_fifo(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    aio_bh_schedule(trio.bh[1]);
    aio_bh_schedule(trio.bh[2]);
    aio_bh_schedule(trio.bh[0]);
    aio_fixture_turn(f, true);
    trace_expect(f, "bca");
    trio_delete(&trio);
}

static void test_coalesced(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio_schedule(&trio);
    trio_schedule(&trio);
    aio_fixture_turn(f, true);
    aio_fixture_turn(f, false);
    trace_expect(f, "abc");
    trio_delete(&trio);
}

static void test_cancel(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio_schedule(&trio);
    aio_bh_cancel(trio.bh[1]);
    aio_fixture_turn(f, true);
    trace_expect(f, "ac");
    trio_delete(&trio);
}

static void test_cancelled_keeps_its_place(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio_schedule(&trio);
    aio_bh_cancel(trio.bh[0]);
    aio_bh_schedule(trio.bh[0]);
    aio_fixture_turn(f, true);
    trace_expect(f, "abc");
    trio_delete(&trio);
}

static void test_runs_again_after_cancel(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    aio_bh_schedule(trio.bh[0]);
    aio_bh_cancel(trio.bh[0]);
    aio_fixture_turn(f, false);
    trace_expect(f, "");
    aio_bh_schedule(trio.bh[0]);
    aio_fixture_turn(f, true);
    trace_expect(f, "a");
    trio_delete(&trio);
}

static void delete_a(Trio *trio)
{
    aio_bh_delete(trio->bh[0]);
    trio->bh[0] = NULL;
}

static void delete_b(Trio *trio)
{
    aio_bh_delete(trio->bh[1]);
    trio->bh[1] = NULL;
}

static void test_delete_in_own_callback(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio.func[0] = delete_a;
    trio_schedule(&trio);
    aio_fixture_turn(f, true);
    aio_fixture_turn(f, false);
    trace_expect(f, "abc");
    g_assert_cmpuint(atomic_load(&f->ctx->bh.alive), ==, 2);
    trio_delete(&trio);
}

static void test_delete_another_in_callback(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio.func[0] = delete_b;
    trio_schedule(&trio);
    aio_fixture_turn(f, true);
    trace_expect(f, "ac");
    trio_delete(&trio);
}

static void delete_a_and_turn(Trio *trio)
{
    delete_a(trio);
    aio_fixture_turn(trio->f, false);
    trace_add(trio->f, 'A');
}

/* The callback goes on after its bottom half was freed by a nested turn. */
static void test_freed_in_nested_turn(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio.func[0] = delete_a_and_turn;
    aio_bh_schedule(trio.bh[0]);
    aio_fixture_turn(f, true);
    trace_expect(f, "aA");
    g_assert_cmpuint(atomic_load(&f->ctx->bh.alive), ==, 2);
    trio_delete(&trio);
}

static void schedule_all(Trio *trio)
{
    trio_schedule(trio);
}

static void test_scheduled_inside_runs_next_turn(AioFixture *f,
                                                 gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio.func[0] = schedule_all;
    aio_bh_schedule(trio.bh[0]);
    aio_fixture_turn(f, true);
    trace_expect(f, "a");
    aio_fixture_turn(f, true);
    trace_expect(f, "abc");
    trio.func[0] = NULL;
    trio_delete(&trio);
}

static void schedule_c_and_turn(Trio *trio)
{
    aio_bh_schedule(trio->bh[2]);
    aio_fixture_turn(trio->f, true);
    trace_add(trio->f, 'A');
}

/* b is left of the outer slice; c is new. The outer turn finds nothing. */
static void test_nested_runs_the_outer_slice_first(AioFixture *f,
                                                   gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio.func[0] = schedule_c_and_turn;
    aio_bh_schedule(trio.bh[0]);
    aio_bh_schedule(trio.bh[1]);
    aio_fixture_turn(f, true);
    trace_expect(f, "abcA");
    trio_delete(&trio);
}

static void turn_blocking(Trio *trio)
{
    aio_fixture_turn(trio->f, true);
    trace_add(trio->f, 'A');
}

static void test_nested_does_not_block_on_a_slice(AioFixture *f,
                                                  gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio.func[0] = turn_blocking;
    trio_schedule(&trio);
    aio_fixture_turn(f, true);
    trace_expect(f, "abcA");
    trio_delete(&trio);
}

static void test_oneshots_keep_the_order(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    aio_bh_schedule_oneshot(f->ctx, trace_mark, TRACE_MARK(f, '1'));
    aio_bh_schedule(trio.bh[0]);
    aio_bh_schedule_oneshot(f->ctx, trace_mark, TRACE_MARK(f, '2'));
    aio_bh_schedule(trio.bh[1]);
    aio_fixture_turn(f, true);
    aio_fixture_turn(f, false);
    trace_expect(f, "1a2b");
    trio_delete(&trio);
}

static void schedule_a(Trio *trio)
{
    aio_bh_schedule(trio->bh[0]);
}

/* A bottom half that always re-arms leaves fds and timers their turn. */
static void test_rearming_starves_nobody(AioFixture *f, gconstpointer form)
{
    AioTimer *timer = aio_timer_new(f->ctx, trace_mark, TRACE_MARK(f, 't'));
    Trio trio;
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
    aio_set_fd_handler(f->ctx, fds[0], trace_mark, NULL, NULL, NULL,
                       TRACE_MARK(f, 'r'));
    aio_timer_mod(timer, 1);
    trio_new(&trio, f);
    trio.func[0] = schedule_a;
    aio_bh_schedule(trio.bh[0]);
    aio_fixture_turn(f, true);
    trace_expect(f, "art");

    aio_set_fd_handler(f->ctx, fds[0], NULL, NULL, NULL, NULL, NULL);
    close(fds[0]);
    close(fds[1]);
    aio_timer_free(timer);
    trio_delete(&trio);
}

/*
 * A thread preempted between the exchange and the store of its enqueue: those
 * behind wait, the loop neither spins nor loses anybody. First in the queue, or
 * with one before it.
 */
static void check_gap(AioFixture *f, unsigned first)
{
    AioBHQueue *queue = &f->ctx->bh;
    struct cds_wfcq_node *last;
    Trio trio;
    AioBH *bh;

    trio_new(&trio, f);
    if (first > 0) {
        aio_bh_schedule(trio.bh[0]);
    }
    bh = trio.bh[first];
    atomic_store(&bh->flags, AIO_BH_PENDING | AIO_BH_SCHEDULED);
    cds_wfcq_node_init(&bh->node);
    last = uatomic_xchg(&queue->incoming_tail.p, &bh->node);
    aio_bh_schedule(trio.bh[first + 1]);

    g_assert_false(aio_poll(f->ctx, false));
    g_assert_false(aio_bh_left_over(f->ctx));
    trace_expect(f, "");

    CMM_STORE_SHARED(last->next, &bh->node);
    aio_notify(f->ctx);
    g_assert_true(aio_poll(f->ctx, true));
    trace_expect(f, first ? "abc" : "ab");
    trio_delete(&trio);
}

static void test_gap(AioFixture *f, gconstpointer form)
{
    check_gap(f, 0);
    check_gap(f, 1);
}

static void test_wait_on_the_home_thread(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio_schedule(&trio);
    aio_wait_bh_oneshot(f->ctx, trace_mark, TRACE_MARK(f, 'w'));
    trace_expect(f, "abcw");
    trio_delete(&trio);
}

static void wait_inside(Trio *trio)
{
    aio_wait_bh_oneshot(trio->f->ctx, trace_mark, TRACE_MARK(trio->f, 'w'));
    trace_add(trio->f, 'A');
}

static void test_wait_in_a_callback(AioFixture *f, gconstpointer form)
{
    Trio trio;

    trio_new(&trio, f);
    trio.func[0] = wait_inside;
    trio.func[1] = wait_inside;
    aio_bh_schedule(trio.bh[0]);
    aio_bh_schedule(trio.bh[1]);
    aio_fixture_turn(f, true);
    /* b began last and waits for its own w behind a's. */
    trace_expect(f, "abwwAA");
    trio_delete(&trio);
}

static void ignore(void *opaque)
{
}

static void fail_delete_twice(AioFixture *f)
{
    AioBH *bh = aio_bh_new(f->ctx, ignore, NULL);

    aio_bh_delete(bh);
    aio_bh_delete(bh);
}

#ifdef LOCK_DEBUG
static void fail_wait_under_ring_lock(AioFixture *f)
{
    Lock ring_lock = LOCK_INITIALIZER(LOCK_RANK_RING);

    lock_acquire(&ring_lock);
    aio_wait_bh_oneshot(f->ctx, ignore, NULL);
    lock_release(&ring_lock);
}
#endif

typedef struct Failure {
    const char *path;
    void (*func)(AioFixture *f);
    const char *message;
} Failure;

static const Failure failures[] = {
    { "/aio/bh/delete-twice-aborts", fail_delete_twice, "*AIO_BH_DELETED*" },
#ifdef LOCK_DEBUG
    { "/aio/bh/wait-under-ring-lock-aborts", fail_wait_under_ring_lock,
      "*ranks_held*" },
#endif
};

static void test_failure(gconstpointer data)
{
    const Failure *failure = data;

    if (g_test_subprocess()) {
        AioFixture f = { 0 };

        aio_fixture_setup(&f, GINT_TO_POINTER(AIO_FORM_POLL));
        failure->func(&f);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(failure->message);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        AioTest *func;
    } tests[] = {
        { "bh/not-scheduled-does-not-run", test_not_scheduled_does_not_run },
        { "bh/fifo", test_fifo },
        { "bh/coalesced", test_coalesced },
        { "bh/cancel", test_cancel },
        { "bh/cancelled-keeps-its-place", test_cancelled_keeps_its_place },
        { "bh/runs-again-after-cancel", test_runs_again_after_cancel },
        { "bh/delete-in-own-callback", test_delete_in_own_callback },
        { "bh/delete-another-in-callback", test_delete_another_in_callback },
        { "bh/freed-in-nested-turn", test_freed_in_nested_turn },
        { "bh/scheduled-inside-runs-next-turn",
          test_scheduled_inside_runs_next_turn },
        { "bh/nested-runs-the-outer-slice-first",
          test_nested_runs_the_outer_slice_first },
        { "bh/nested-does-not-block-on-a-slice",
          test_nested_does_not_block_on_a_slice },
        { "bh/oneshots-keep-the-order", test_oneshots_keep_the_order },
        { "bh/rearming-starves-nobody", test_rearming_starves_nobody },
        { "bh/wait-on-the-home-thread", test_wait_on_the_home_thread },
        { "bh/wait-in-a-callback", test_wait_in_a_callback },
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        aio_test_add(tests[i].path, tests[i].func);
    }
    aio_test_add_poll("bh/gap", test_gap);
    for (size_t i = 0; i < G_N_ELEMENTS(failures); i++) {
        g_test_add_data_func(failures[i].path, &failures[i], test_failure);
    }
    return g_test_run();
}
