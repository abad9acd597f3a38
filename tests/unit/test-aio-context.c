/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../iothread/aio-internal.h"
#include "aio-fixture.h"
#include "base/error.h"

static void ignore(void *opaque)
{
}

static void test_nothing_to_do_is_no_progress(AioFixture *f,
                                              gconstpointer form)
{
    g_assert_false(aio_fixture_turn(f, false));
}

/* Returns though it may block, and says that no callback ran. */
static void test_notify_is_not_progress(AioFixture *f, gconstpointer form)
{
    aio_notify(f->ctx);
    g_assert_false(aio_poll(f->ctx, true));
}

static void test_callbacks_are_progress(AioFixture *f, gconstpointer form)
{
    AioBH *bh = aio_bh_new(f->ctx, ignore, NULL);
    AioTimer *timer = aio_timer_new(f->ctx, ignore, NULL);

    aio_bh_schedule(bh);
    g_assert_true(aio_poll(f->ctx, true));
    aio_timer_mod(timer, 1);
    g_assert_true(aio_poll(f->ctx, true));
    aio_bh_schedule(bh);
    aio_bh_cancel(bh);
    g_assert_false(aio_poll(f->ctx, true));
    aio_bh_delete(bh);
    aio_timer_free(timer);
}

/* A notification is for one turn, in which everything before it is seen. */
static void test_notify_counts_once(AioFixture *f, gconstpointer form)
{
    aio_notify(f->ctx);
    aio_notify(f->ctx);
    aio_fixture_turn(f, true);
    g_assert_cmpint(atomic_load(&f->ctx->state), !=, AIO_NOTIFIED);
}

typedef struct Letter {
    AioContext *ctx;
    int text;
} Letter;

static void *letter_send(void *opaque)
{
    Letter *letter = opaque;

    letter->text = 42;
    aio_notify(letter->ctx);
    return NULL;
}

/*
 * Not atomic, not locked: aio_notify() alone makes the text visible, to the
 * turn after it. (To a loop asleep the eventfd would, too.)
 */
static void test_notify_publishes(AioFixture *f, gconstpointer form)
{
    /* Not on the stack: clang's ThreadSanitizer does not see fields there. */
    static Letter letter;
    pthread_t thread;

    letter.ctx = f->ctx;
    pthread_create(&thread, NULL, letter_send, &letter);
    while (atomic_load_explicit(&f->ctx->state, memory_order_relaxed) !=
           AIO_NOTIFIED) {
        sched_yield();
    }
    g_assert_false(aio_poll(f->ctx, true));
    g_assert_cmpint(letter.text, ==, 42);
    pthread_join(thread, NULL);
}

enum { PINGS = 100000 };

/* Two contexts; the bottom half of one schedules that of the other. */
typedef struct Player {
    AioFixture f;
    AioBH *bh;
    struct Player *other;
    unsigned hits;
    bool first;                 /* who begins; the other one has the last hit */
    sem_t *over;
} Player;

static void player_hit(void *opaque)
{
    Player *player = opaque;

    if (++player->hits == PINGS) {
        sem_post(player->over);
    }
    if (player->hits < PINGS || player->first) {
        aio_bh_schedule(player->other->bh);
    }
}

static void players_new(Player players[2], gconstpointer form, sem_t *over)
{
    sem_init(over, 0, 0);
    for (int i = 0; i < 2; i++) {
        players[i] = (Player){
            .other = &players[1 - i], .first = i == 0, .over = over
        };
        aio_fixture_setup(&players[i].f, form);
        players[i].bh = aio_bh_new(players[i].f.ctx, player_hit, &players[i]);
        aio_fixture_start(&players[i].f);
    }
}

static void players_free(Player players[2], gconstpointer form, sem_t *over)
{
    for (int i = 0; i < 2; i++) {
        aio_fixture_stop(&players[i].f);
    }
    for (int i = 0; i < 2; i++) {
        aio_bh_delete(players[i].bh);
        aio_fixture_teardown(&players[i].f, form);
    }
    sem_destroy(over);
}

/* One lost wake-up, and it never ends. */
static void test_ping_pong(gconstpointer form)
{
    Player players[2];
    sem_t over;

    players_new(players, form, &over);
    aio_bh_schedule(players[0].bh);
    sem_wait(&over);
    sem_wait(&over);
    players_free(players, form, &over);
    g_assert_cmpuint(players[0].hits, ==, PINGS);
    g_assert_cmpuint(players[1].hits, ==, PINGS);
}

/*
 * Once it was woken the loop can sleep again. If it could not, it would turn
 * some hundred times until the timer is due; a busy machine makes that fewer,
 * never more.
 */
static void test_sleeps_again(AioFixture *f, gconstpointer form)
{
    AioTimer *timer;
    unsigned turns = 0;

    aio_fixture_start(f);
    aio_wait_asleep(f->ctx);
    aio_notify(f->ctx);
    aio_fixture_stop(f);

    timer = aio_timer_new(f->ctx, trace_mark, TRACE_MARK(f, 't'));
    aio_timer_mod(timer, aio_clock_ns() + 5000000);
    while (f->trace->len == 0) {
        aio_fixture_turn(f, true);
        turns++;
    }
    g_assert_cmpuint(turns, <=, 10);
    aio_timer_free(timer);
}

/* Scheduled at every distance from the moment when the loop falls asleep. */
static void test_notify_races_with_falling_asleep(AioFixture *f,
                                                  gconstpointer form)
{
    AioBH *bh = aio_bh_new(f->ctx, ignore, NULL);

    aio_fixture_start(f);
    for (unsigned i = 0; i < PINGS / 10; i++) {
        if (i % 2) {
            aio_wait_asleep(f->ctx);
        }
        for (volatile unsigned spin = 0; spin < i % 64; spin++) {
        }
        aio_bh_schedule(bh);
        while (atomic_load(&bh->flags) & AIO_BH_PENDING) {
            sched_yield();
        }
    }
    aio_fixture_stop(f);
    aio_bh_delete(bh);
}

static void *is_home(void *opaque)
{
    return GINT_TO_POINTER(aio_in_home_thread(opaque));
}

static bool is_home_to_another_thread(AioContext *ctx)
{
    pthread_t thread;
    void *home;

    pthread_create(&thread, NULL, is_home, ctx);
    pthread_join(thread, &home);
    return GPOINTER_TO_INT(home);
}

static void test_home_thread(AioFixture *f, gconstpointer form)
{
    g_assert_true(aio_in_home_thread(f->ctx));
    g_assert_false(is_home_to_another_thread(f->ctx));
}

static void assert_home(void *opaque)
{
    AioFixture *f = opaque;

    g_assert_true(aio_in_home_thread(f->ctx));
}

static void test_home_moves(AioFixture *f, gconstpointer form)
{
    aio_fixture_start(f);
    g_assert_false(aio_in_home_thread(f->ctx));
    aio_wait_bh_oneshot(f->ctx, assert_home, f);
    aio_fixture_stop(f);
    g_assert_true(aio_in_home_thread(f->ctx));
}

static void test_new_context_has_no_home(void)
{
    AioContext *ctx = aio_context_new(NULL);

    g_assert_false(aio_in_home_thread(ctx));
    aio_context_unref(ctx);
}

/* Without its GMainContext a context can be bound and polled. */
static void test_bind_after_gsource(void)
{
    AioContext *ctx = aio_context_new(NULL);
    GMainContext *main = g_main_context_new();
    GSource *source = aio_get_g_source(ctx);

    g_source_attach(source, main);
    g_assert_false(aio_in_home_thread(ctx));
    g_main_context_unref(main);
    g_source_unref(source);

    aio_context_bind(ctx);
    g_assert_true(aio_in_home_thread(ctx));
    aio_bh_schedule_oneshot(ctx, ignore, NULL);
    g_assert_true(aio_poll(ctx, true));
    aio_context_unref(ctx);
}

static void test_references(void)
{
    AioContext *ctx = aio_context_new(NULL);

    g_assert_true(aio_context_ref(ctx) == ctx);
    aio_context_unref(ctx);
    aio_notify(ctx);
    aio_context_unref(ctx);
}

static void test_source_has_a_name(void)
{
    AioContext *ctx = aio_context_new(NULL);
    GSource *source = aio_get_g_source(ctx);

    g_assert_cmpstr(g_source_get_name(source), ==, "aio-context");
    g_source_unref(source);
    aio_context_unref(ctx);
}

static gboolean other_source(gpointer opaque)
{
    trace_add(opaque, 'o');
    return G_SOURCE_CONTINUE;
}

/* A more urgent source comes first for some turns; nothing gets lost. */
static void test_starved_source_keeps_its_news(AioFixture *f,
                                               gconstpointer form)
{
    GSource *source = g_idle_source_new();

    g_source_set_priority(source, G_PRIORITY_HIGH);
    g_source_set_callback(source, other_source, f, NULL);
    g_source_attach(source, f->main);
    aio_fixture_turn(f, true);
    aio_bh_schedule_oneshot(f->ctx, trace_mark, TRACE_MARK(f, 'b'));
    aio_fixture_turn(f, true);
    aio_fixture_turn(f, true);
    trace_expect(f, "ooo");
    g_source_destroy(source);
    g_source_unref(source);
    aio_fixture_turn(f, true);
    trace_expect(f, "b");
}

static void call_aio_poll(void *opaque)
{
    AioFixture *f = opaque;

    aio_bh_schedule_oneshot(f->ctx, trace_mark, TRACE_MARK(f, 'b'));
    g_assert_true(aio_poll(f->ctx, true));
    trace_add(f, ')');
}

static void test_aio_poll_inside_gsource(AioFixture *f, gconstpointer form)
{
    aio_bh_schedule_oneshot(f->ctx, call_aio_poll, f);
    aio_fixture_turn(f, true);
    trace_expect(f, "b)");
}

/* Fails for want of the first or second fd, and leaves none behind. */
static void test_no_fds_left(void)
{
    struct rlimit limit, low;
    int lowest_free = dup(STDIN_FILENO);

    close(lowest_free);
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < 2; i++) {
        GError *error = NULL;
        unsigned before = count_entries("/proc/self/fd");

        low = limit;
        low.rlim_cur = lowest_free + i;
        setrlimit(RLIMIT_NOFILE, &low);
        g_assert_null(aio_context_new(&error));
        setrlimit(RLIMIT_NOFILE, &limit);
        g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_RESOURCE);
        g_error_free(error);
        g_assert_cmpuint(count_entries("/proc/self/fd"), ==, before);
    }
}

static void leave_handler(AioFixture *f)
{
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    aio_set_fd_handler(f->ctx, fds[0], ignore, NULL, NULL, NULL, NULL);
}

static void leave_timer(AioFixture *f)
{
    aio_timer_new(f->ctx, ignore, NULL);
}

static void leave_bh(AioFixture *f)
{
    aio_bh_new(f->ctx, ignore, NULL);
}

static void leave_oneshot(AioFixture *f)
{
    aio_bh_schedule_oneshot(f->ctx, ignore, NULL);
}

typedef struct Leftover {
    const char *path;
    void (*leave)(AioFixture *f);
    const char *message;
} Leftover;

static const Leftover leftovers[] = {
    { "/aio/context/leftover/fd-handler", leave_handler,
      "*freed with 1 fd handlers, 0 timers and 0 bottom halves left*" },
    { "/aio/context/leftover/timer", leave_timer,
      "*freed with 0 fd handlers, 1 timers and 0 bottom halves left*" },
    { "/aio/context/leftover/bh", leave_bh,
      "*freed with 0 fd handlers, 0 timers and 1 bottom halves left*" },
    { "/aio/context/leftover/oneshot", leave_oneshot,
      "*freed with 0 fd handlers, 0 timers and 1 bottom halves left*" },
};

static void test_leftover(gconstpointer data)
{
    const Leftover *leftover = data;

    if (g_test_subprocess()) {
        AioFixture f = { 0 };

        aio_fixture_setup(&f, GINT_TO_POINTER(AIO_FORM_POLL));
        leftover->leave(&f);
        aio_context_unref(f.ctx);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(leftover->message);
}

static void add_gsource(const char *path, AioTest *func)
{
    g_test_add(path, AioFixture, GINT_TO_POINTER(AIO_FORM_GSOURCE),
               aio_fixture_setup, func, aio_fixture_teardown);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    aio_test_add("context/nothing-to-do-is-no-progress",
                 test_nothing_to_do_is_no_progress);
    aio_test_add("context/notify-is-not-progress",
                 test_notify_is_not_progress);
    aio_test_add("context/callbacks-are-progress",
                 test_callbacks_are_progress);
    aio_test_add("context/notify-counts-once", test_notify_counts_once);
    aio_test_add("context/notify-races-with-falling-asleep",
                 test_notify_races_with_falling_asleep);
    aio_test_add("context/notify-publishes", test_notify_publishes);
    aio_test_add("context/sleeps-again", test_sleeps_again);
    aio_test_add("context/home-thread", test_home_thread);
    aio_test_add("context/home-moves", test_home_moves);
    add_gsource("/aio-gsource/context/starved-source-keeps-its-news",
                test_starved_source_keeps_its_news);
    add_gsource("/aio-gsource/context/aio-poll-inside",
                test_aio_poll_inside_gsource);
    g_test_add_data_func("/aio/context/ping-pong",
                         GINT_TO_POINTER(AIO_FORM_POLL), test_ping_pong);
    g_test_add_data_func("/aio-gsource/context/ping-pong",
                         GINT_TO_POINTER(AIO_FORM_GSOURCE), test_ping_pong);
    g_test_add_func("/aio/context/new-context-has-no-home",
                    test_new_context_has_no_home);
    g_test_add_func("/aio/context/bind-after-gsource",
                    test_bind_after_gsource);
    g_test_add_func("/aio/context/references", test_references);
    g_test_add_func("/aio/context/source-has-a-name", test_source_has_a_name);
    g_test_add_func("/aio/context/no-fds-left", test_no_fds_left);
    for (size_t i = 0; i < G_N_ELEMENTS(leftovers); i++) {
        g_test_add_data_func(leftovers[i].path, &leftovers[i], test_leftover);
    }
    return g_test_run();
}
