/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "aio-fixture.h"

#include <sched.h>

#include "../../iothread/aio-internal.h"

bool aio_fixture_turn(AioFixture *f, bool may_block)
{
    return f->main ? g_main_context_iteration(f->main, may_block) :
                     aio_poll(f->ctx, may_block);
}

void aio_fixture_turn_until(AioFixture *f, size_t count)
{
    while (f->trace->len < count) {
        aio_fixture_turn(f, false);
    }
}

static void become_home(AioFixture *f)
{
    if (f->main) {
        g_assert_true(g_main_context_acquire(f->main));
    } else {
        aio_context_bind(f->ctx);
    }
}

static void leave_home(AioFixture *f)
{
    if (f->main) {
        g_main_context_release(f->main);
    }
}

static void *home_thread(void *opaque)
{
    AioFixture *f = opaque;

    become_home(f);
    sem_post(&f->at_home);
    while (!f->quit) {
        aio_fixture_turn(f, true);
    }
    leave_home(f);
    return NULL;
}

static void home_quit(void *opaque)
{
    AioFixture *f = opaque;

    f->quit = true;
}

void aio_fixture_start(AioFixture *f)
{
    leave_home(f);
    f->quit = false;
    g_assert_cmpint(sem_init(&f->at_home, 0, 0), ==, 0);
    g_assert_cmpint(pthread_create(&f->thread, NULL, home_thread, f), ==, 0);
    sem_wait(&f->at_home);
}

void aio_fixture_stop(AioFixture *f)
{
    aio_bh_schedule_oneshot(f->ctx, home_quit, f);
    pthread_join(f->thread, NULL);
    sem_destroy(&f->at_home);
    become_home(f);
}

void aio_wait_asleep(AioContext *ctx)
{
    /* Acquire: whatever the loop did before is over. */
    while (atomic_load_explicit(&ctx->state, memory_order_acquire) !=
           AIO_SLEEPING) {
        sched_yield();
    }
}

void trace_add(AioFixture *f, char mark)
{
    g_string_append_c(f->trace, mark);
}

void trace_mark(void *opaque)
{
    const TraceMark *mark = opaque;

    trace_add(mark->f, mark->mark);
}

void trace_expect(AioFixture *f, const char *expected)
{
    g_assert_cmpstr(f->trace->str, ==, expected);
    g_string_truncate(f->trace, 0);
}

unsigned count_entries(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    unsigned count = 0;

    while (g_dir_read_name(dir)) {
        count++;
    }
    g_dir_close(dir);
    return count;
}

void aio_fixture_setup(AioFixture *f, gconstpointer form)
{
    GError *error = NULL;

    f->ctx = aio_context_new(&error);
    g_assert_no_error(error);
    f->trace = g_string_new(NULL);
    if (GPOINTER_TO_INT(form) == AIO_FORM_GSOURCE) {
        GSource *source = aio_get_g_source(f->ctx);

        f->main = g_main_context_new();
        g_source_attach(source, f->main);
        g_source_unref(source);
    }
    become_home(f);
}

void aio_fixture_teardown(AioFixture *f, gconstpointer form)
{
    leave_home(f);
    if (f->main) {
        GSource *source = aio_get_g_source(f->ctx);

        g_source_destroy(source);
        g_source_unref(source);
        g_main_context_unref(f->main);
    }
    aio_context_unref(f->ctx);
    g_string_free(f->trace, TRUE);
}

static void add_form(const char *prefix, const char *path, AioForm form,
                     AioTest *func)
{
    g_autofree char *full = g_strdup_printf("/%s/%s", prefix, path);

    g_test_add(full, AioFixture, GINT_TO_POINTER(form), aio_fixture_setup,
               func, aio_fixture_teardown);
}

void aio_test_add_poll(const char *path, AioTest *func)
{
    add_form("aio", path, AIO_FORM_POLL, func);
}

void aio_test_add(const char *path, AioTest *func)
{
    aio_test_add_poll(path, func);
    add_form("aio-gsource", path, AIO_FORM_GSOURCE, func);
}
