/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing answers to a fault queue, whatever write() says.
 */
#include "test-fault-pump.h"

/* @count groups that were answered in place of the guest. */
static void put_answers(Fixture *f, unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        const PageRequest request = { .dev_id = DEV_ID, .cookie = i };

        g_assert_true(page_request_respond(f->table, &request,
                                           PAGE_RESPONSE_SUCCESS));
    }
}

static void assert_answered(Fixture *f, unsigned count)
{
    g_assert_cmpuint(f->host.answered, ==, count);
    g_assert_cmpuint(page_request_unwritten(f->table), ==, 0);
}

static void test_flush_writes_all_in_batches(Fixture *f, gconstpointer data)
{
    g_assert_true(fault_pump_flush(f->pump, f->table));
    g_assert_cmpuint(f->host.writes, ==, 0);
    put_answers(f, 2 * PAGE_REQUEST_BATCH + 1);
    g_assert_true(fault_pump_flush(f->pump, f->table));
    assert_answered(f, 2 * PAGE_REQUEST_BATCH + 1);
    g_assert_cmpuint(f->host.writes, ==, 3);
}

static void test_short_writes_go_on(Fixture *f, gconstpointer data)
{
    f->host.most_answers = 3;
    put_answers(f, 10);
    g_assert_true(fault_pump_flush(f->pump, f->table));
    assert_answered(f, 10);
    g_assert_cmpuint(f->host.writes, ==, 4);
}

static void test_refused_cookie_is_left_out(Fixture *f, gconstpointer data)
{
    f->host.unknown_cookie = 4;
    put_answers(f, 10);
    g_assert_true(fault_pump_flush(f->pump, f->table));
    assert_answered(f, 9);
    g_assert_cmpuint(f->refused, ==, 1);
    g_assert_cmpuint(f->host.closed, ==, 0);
}

static void test_interrupted_flush_is_for_later(Fixture *f, gconstpointer data)
{
    f->host.write_err = EINTR;
    f->host.write_errs = 100;
    put_answers(f, 10);
    g_assert_false(fault_pump_flush(f->pump, f->table));
    g_assert_cmpuint(page_request_unwritten(f->table), ==, 10);
    while (!fault_pump_flush(f->pump, f->table)) {
        continue;
    }
    assert_answered(f, 10);
    g_assert_cmpuint(f->host.closed, ==, 0);
}

/* Not for ever: that were a spin. And counted anew after each success. */
static void test_lasting_interrupts_give_up(Fixture *f, gconstpointer data)
{
    unsigned tries = 0;

    f->host.write_err = EAGAIN;
    for (unsigned i = 0; i < 3; i++) {
        put_answers(f, 1);
        f->host.write_errs = 3000;
        while (!fault_pump_flush(f->pump, f->table)) {
            continue;
        }
    }
    assert_answered(f, 3);
    put_answers(f, 1);
    f->host.write_errs = UINT32_MAX;
    while (!fault_pump_flush(f->pump, f->table)) {
        g_assert_cmpuint(++tries, <, 10000);
    }
    g_assert_cmpuint(f->host.closed, ==, 1);
    assert_answered(f, 3);
}

/* The answers are forgotten, the fd closed; the object goes at the end only. */
static void test_broken_fd_forgets_answers(Fixture *f, gconstpointer data)
{
    fault_pump_run(f->pump);
    set_ready(f, true);
    f->host.write_err = EBADF;
    f->host.write_errs = UINT32_MAX;
    put_answers(f, 10);
    g_assert_true(fault_pump_flush(f->pump, f->table));
    assert_answered(f, 0);
    g_assert_cmpuint(f->host.writes, ==, 1);
    g_assert_cmpuint(f->host.closed, ==, 1);
    g_assert_cmpuint(f->host.destroyed, ==, 0);
    g_assert_true(g_str_has_prefix(f->sink.failure,
                                   "fault queue 42: write() fails: "));
    /* No more is read, nor written, and nobody is told again. */
    g_assert_false(aio_poll(f->ctx, false));
    g_assert_false(fault_pump_run(f->pump));
    put_answers(f, 10);
    g_assert_true(fault_pump_flush(f->pump, f->table));
    assert_answered(f, 0);
    g_assert_cmpuint(f->host.writes, ==, 1);
}

static void test_breaks_while_it_is_read(Fixture *f, gconstpointer data)
{
    fault_pump_run(f->pump);
    set_ready(f, true);
    push_group(f, 1, 1);
    put_answers(f, 1);
    f->host.write_err = EIO;
    f->host.write_errs = 1;
    f->sink.flush = f->pump;
    f->sink.table = f->table;
    turns(f, 1);
    assert_counts(f, 1);
    g_assert_true(f->sink.seen_last);
    g_assert_cmpuint(f->host.closed, ==, 1);
    g_assert_false(aio_poll(f->ctx, false));
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    ADD("flush/writes-all-in-batches", test_flush_writes_all_in_batches);
    ADD("flush/short-writes-go-on", test_short_writes_go_on);
    ADD("flush/refused-cookie-is-left-out", test_refused_cookie_is_left_out);
    ADD("flush/interrupted-is-for-later", test_interrupted_flush_is_for_later);
    ADD("flush/lasting-interrupts-give-up", test_lasting_interrupts_give_up);
    ADD("flush/broken-fd-forgets-answers", test_broken_fd_forgets_answers);
    ADD("flush/breaks-while-it-is-read", test_breaks_while_it_is_read);
    ret = g_test_run();
    rcu_unregister_thread();
    return ret;
}
