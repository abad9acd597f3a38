/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-page-request.h"

/*
 * A flush of cookies 1 to count; those in @unknown are not out. What the
 * kernel then has taken, all others, must be all but those and @waiting.
 */
typedef struct FlushCase {
    const char *path;
    unsigned count;
    uint32_t unknown[4];
    Step steps[STEPS];
    bool for_ever;
    int ret;
    unsigned calls;
    unsigned waiting;           /* the last ones */
} FlushCase;

static const FlushCase flush_cases[] = {
    { .path = "nothing" },
    { .path = "one", .count = 1, .calls = 1 },
    { .path = "one-write", .count = 300, .calls = 1 },
    { .path = "two-batches", .count = PAGE_REQUEST_BATCH + 1, .calls = 2 },
    { .path = "first-refused", .count = 5, .unknown = { 1 }, .calls = 2 },
    { .path = "middle-refused", .count = 5, .unknown = { 3 }, .calls = 3 },
    { .path = "last-refused", .count = 5, .unknown = { 5 }, .calls = 2 },
    { .path = "two-refused-apart", .count = 6, .unknown = { 2, 5 },
      .calls = 5 },
    { .path = "two-refused-together", .count = 6, .unknown = { 3, 4 },
      .calls = 4 },
    { .path = "all-refused", .count = 3, .unknown = { 1, 2, 3 }, .calls = 3 },
    { .path = "short-write-refuses-nothing", .count = 5,
      .steps = { { .most = 2 } }, .calls = 2 },
    { .path = "one-at-a-time", .count = 4,
      .steps = { { .most = 1 }, { .most = 1 }, { .most = 1 } }, .calls = 4 },
    { .path = "short-write-before-refused", .count = 5, .unknown = { 3 },
      .steps = { { .most = 1 } }, .calls = 4 },
    { .path = "EINTR", .count = 5,
      .steps = { { .err = EINTR }, { .err = EINTR } }, .calls = 3 },
    { .path = "EINTR-after-short-write", .count = 5,
      .steps = { { .most = 2 }, { .err = EINTR } }, .calls = 3 },
    { .path = "EINTR-for-ever", .count = 5,
      .steps = { [0 ... STEPS - 1] = { .err = EINTR } }, .for_ever = true,
      .ret = -EINTR, .calls = 16, .waiting = 5 },
    { .path = "EAGAIN", .count = 5, .steps = { { .err = EAGAIN } },
      .ret = -EAGAIN, .calls = 1, .waiting = 5 },
    { .path = "EIO", .count = 5, .steps = { { .err = EIO } },
      .ret = -EIO, .calls = 1, .waiting = 5 },
    { .path = "EIO-after-short-write", .count = 5,
      .steps = { { .most = 2 }, { .err = EIO } },
      .ret = -EIO, .calls = 2, .waiting = 3 },
    { .path = "EIO-after-refused", .count = 5, .unknown = { 1 },
      .steps = { { 0 }, { .err = EIO } },
      .ret = -EIO, .calls = 2, .waiting = 4 },
    { .path = "EBADF", .count = 5, .steps = { { .err = EBADF } },
      .ret = -EBADF, .calls = 1, .waiting = 5 },
    { .path = "takes-nothing", .count = 5, .steps = { { .zero = true } },
      .ret = -EIO, .calls = 1, .waiting = 5 },
    { .path = "takes-half-an-answer", .count = 5, .steps = { { .ret = 7 } },
      .ret = -EIO, .calls = 1, .waiting = 5 },
};

static bool is_unknown(const FlushCase *c, uint32_t cookie)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(c->unknown); i++) {
        if (c->unknown[i] == cookie) {
            return true;
        }
    }
    return false;
}

/* Cookie n is answered with code n % 2. */
static void answer_cookies(Fixture *f, const FlushCase *c)
{
    for (uint32_t cookie = 1; cookie <= c->count; cookie++) {
        open_host(f, cookie % 3, cookie % 5, cookie, cookie);
        f->fake.out[cookie] = !is_unknown(c, cookie);
        g_assert_true(answer(f, cookie % 3, cookie % 5, cookie, cookie % 2));
    }
}

static void assert_flushed(Fixture *f, const FlushCase *c, unsigned waiting)
{
    unsigned taken = 0, refused = 0;

    for (uint32_t cookie = 1; cookie <= c->count - waiting; cookie++) {
        if (is_unknown(c, cookie)) {
            g_assert_cmpuint(f->refused[refused++], ==, cookie);
        } else {
            assert_taken(f, taken++, cookie, cookie % 2);
        }
    }
    g_assert_cmpuint(f->fake.taken_count, ==, taken);
    g_assert_cmpuint(f->refused_count, ==, refused);
    g_assert_cmpuint(page_request_unwritten(f->table), ==, waiting);
}

static void test_flush(gconstpointer data)
{
    const FlushCase *c = data;
    g_autoptr(Fixture) f = fixture_new(1024);

    memcpy(f->fake.steps, c->steps, sizeof(c->steps));
    f->fake.last_for_ever = c->for_ever;
    answer_cookies(f, c);
    g_assert_cmpint(flush(f), ==, c->ret);
    g_assert_cmpuint(f->fake.calls, ==, c->calls);
    g_assert_cmpuint(f->fake.first_count, ==,
                     MIN(c->count, PAGE_REQUEST_BATCH));
    assert_flushed(f, c, c->waiting);
    /* What waited goes out when the host has recovered. */
    f->fake.last_for_ever = false;
    f->fake.calls = STEPS;
    g_assert_cmpint(flush(f), ==, 0);
    assert_flushed(f, c, 0);
}

/* A host that says it took more than there was is taken at what there was. */
static void test_host_takes_too_much(void)
{
    g_autoptr(Fixture) f = fixture_new(4);

    open_host(f, 1, 2, 3, 7);
    g_assert_true(answer(f, 1, 2, 3, 0));
    f->fake.steps[0].ret = 4096;
    g_assert_cmpint(flush(f), ==, 0);
    assert_counts(f, 0, 0, 4);
}

/* Nor do answers that were not in the write count as taken. */
static void test_host_takes_more_than_a_batch(void)
{
    const FlushCase c = { .count = PAGE_REQUEST_BATCH + 2 };
    g_autoptr(Fixture) f = fixture_new(1024);

    answer_cookies(f, &c);
    f->fake.steps[0].ret = 8 * c.count;
    g_assert_cmpint(flush(f), ==, 0);
    g_assert_cmpuint(f->fake.taken_count, ==, 2);
    assert_taken(f, 0, c.count - 1, (c.count - 1) % 2);
    assert_taken(f, 1, c.count, c.count % 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(flush_cases); i++) {
        g_autofree char *path =
            g_strconcat("/page-request/flush/", flush_cases[i].path, NULL);

        g_test_add_data_func(path, &flush_cases[i], test_flush);
    }
    g_test_add_func("/page-request/flush/takes-too-much",
                    test_host_takes_too_much);
    g_test_add_func("/page-request/flush/takes-more-than-a-batch",
                    test_host_takes_more_than_a_batch);
    return g_test_run();
}
