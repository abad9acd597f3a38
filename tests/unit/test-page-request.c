/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-page-request.h"

#include "tests/support/call-count.h"

static void test_answered_once(void)
{
    g_autoptr(Fixture) f = fixture_new(4);
    const PageRequestKey key = { 1, 2, 3 };
    PageRequest got = { 0 };

    open_host(f, 1, 2, 3, 7);
    assert_counts(f, 1, 0, 3);
    g_assert_true(page_request_answer(f->table, &key, 0, &got));
    g_assert_cmpuint(got.cookie, ==, 7);
    g_assert_cmpuint(got.dev_id, ==, 101);
    g_assert_null(got.emulated);
    assert_counts(f, 0, 1, 3);
    g_assert_false(page_request_answer(f->table, &key, 0, &got));
    g_assert_cmpint(flush(f), ==, 0);
    g_assert_false(page_request_answer(f->table, &key, 0, &got));
    g_assert_cmpint(flush(f), ==, 0);
    assert_counts(f, 0, 0, 4);
    g_assert_cmpuint(f->fake.calls, ==, 1);
    g_assert_cmpuint(f->fake.taken_count, ==, 1);
    assert_taken(f, 0, 7, 0);
    g_assert_cmpuint(f->dropped_count, ==, 0);
}

/* Each key differs from the open one in one part. */
static void test_unknown_key(void)
{
    g_autoptr(Fixture) f = fixture_new(4);

    g_assert_false(answer(f, 1, 2, 3, 0));
    open_emulated(f, 1, 2, 3, 7);
    g_assert_false(answer(f, 2, 2, 3, 0));
    g_assert_false(answer(f, 1, 3, 3, 0));
    g_assert_false(answer(f, 1, NO_PASID, 3, 0));
    g_assert_false(answer(f, 1, 2, 4, 0));
    assert_counts(f, 1, 0, 3);
    g_assert_true(answer(f, 1, 2, 3, 0));
}

/* No PASID is not PASID 0, and a device is not an index or a PASID. */
static void test_similar_keys(void)
{
    g_autoptr(Fixture) f = fixture_new(8);
    PageRequest got;

    open_emulated(f, 0, 0, 0, 1);
    open_emulated(f, 0, NO_PASID, 0, 2);
    open_emulated(f, 1, 0, 0, 3);
    open_emulated(f, 0, 1, 0, 4);
    open_emulated(f, 0, 0, 1, 5);
    g_assert_true(page_request_answer(
        f->table, &(PageRequestKey){ 0, NO_PASID, 0 }, 0, &got));
    g_assert_cmpuint(GPOINTER_TO_UINT(got.emulated), ==, 2);
    g_assert_true(page_request_answer(
        f->table, &(PageRequestKey){ 0, 0, 0 }, 0, &got));
    g_assert_cmpuint(GPOINTER_TO_UINT(got.emulated), ==, 1);
    assert_counts(f, 3, 0, 5);
}

static void test_emulated_not_written(void)
{
    g_autoptr(Fixture) f = fixture_new(4);

    open_emulated(f, 1, 2, 3, 7);
    g_assert_true(answer(f, 1, 2, 3, 0));
    assert_counts(f, 0, 0, 4);
    g_assert_cmpint(flush(f), ==, 0);
    g_assert_cmpuint(f->fake.calls, ==, 0);
}

static void test_codes(void)
{
    static const uint32_t codes[] = {
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 256,
        UINT32_MAX,
    };
    g_autoptr(Fixture) f = fixture_new(G_N_ELEMENTS(codes));

    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++) {
        open_host(f, 1, 2, i, i + 1);
        g_assert_true(answer(f, 1, 2, i, codes[i]));
    }
    g_assert_cmpint(flush(f), ==, 0);
    g_assert_cmpuint(f->fake.taken_count, ==, G_N_ELEMENTS(codes));
    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++) {
        assert_taken(f, i, i + 1, codes[i] == 0 ? 0 : 1);
    }
    g_assert_cmpuint(f->refused_count, ==, 0);
}

/* Answers that are not written take room as well. */
static void test_full(void)
{
    g_autoptr(Fixture) f = fixture_new(2);
    PageRequest third = host_group(f, 1, 2, 5, 9);

    open_host(f, 1, 2, 3, 7);
    open_host(f, 1, 2, 4, 8);
    g_assert_cmpint(page_request_open(f->table, &third), ==,
                    PAGE_REQUEST_FULL);
    g_assert_false(page_request_respond(f->table, &third, 0));
    g_assert_true(answer(f, 1, 2, 3, 0));
    g_assert_cmpint(page_request_open(f->table, &third), ==,
                    PAGE_REQUEST_FULL);
    assert_counts(f, 1, 1, 0);
    g_assert_cmpint(flush(f), ==, 0);
    g_assert_cmpint(page_request_open(f->table, &third), ==,
                    PAGE_REQUEST_OPENED);
    g_assert_cmpuint(f->dropped_count, ==, 0);
}

/* The older one hears of it; the guest's first answer is the newer's. */
static void test_key_used_again(void)
{
    g_autoptr(Fixture) f = fixture_new(3);
    PageRequest newer = host_group(f, 1, 2, 3, 8);
    PageRequest newest = emulated_group(1, 2, 3, 9);

    open_host(f, 1, 2, 3, 7);
    g_assert_cmpint(page_request_open(f->table, &newer), ==,
                    PAGE_REQUEST_REOPENED);
    g_assert_cmpuint(f->dropped_count, ==, 1);
    g_assert_cmpuint(f->dropped[0].cookie, ==, 7);
    g_assert_cmpint(f->how, ==, PAGE_REQUEST_REPLACED);
    assert_counts(f, 1, 1, 1);
    g_assert_cmpint(page_request_open(f->table, &newest), ==,
                    PAGE_REQUEST_REOPENED);
    g_assert_cmpuint(f->dropped[1].cookie, ==, 8);
    assert_counts(f, 1, 2, 0);
    g_assert_cmpint(page_request_open(f->table, &newer), ==,
                    PAGE_REQUEST_FULL);
    g_assert_cmpuint(f->dropped_count, ==, 2);
    g_assert_true(answer(f, 1, 2, 3, 0));
    g_assert_false(answer(f, 1, 2, 3, 0));
    g_assert_cmpint(flush(f), ==, 0);
    g_assert_cmpuint(f->fake.taken_count, ==, 2);
    assert_taken(f, 0, 7, 1);
    assert_taken(f, 1, 8, 1);
}

static void test_respond(void)
{
    g_autoptr(Fixture) f = fixture_new(3);
    PageRequest retry = host_group(f, 1, 2, 3, 7);
    PageRequest invalid = host_group(f, 1, 2, 3, 8);

    g_assert_true(page_request_respond(f->table, &retry, 0));
    g_assert_true(page_request_respond(f->table, &invalid, 15));
    assert_counts(f, 0, 2, 1);
    g_assert_false(answer(f, 1, 2, 3, 0));
    g_assert_cmpint(flush(f), ==, 0);
    assert_taken(f, 0, 7, 0);
    assert_taken(f, 1, 8, 1);
}

/* Three devices, with and without PASID, host's and emulated. */
static Fixture *drop_fixture(void)
{
    Fixture *f = fixture_new(16);

    open_host(f, 1, 2, 0, 10);
    open_host(f, 1, 3, 0, 11);
    open_host(f, 1, NO_PASID, 0, 12);
    open_host(f, 1, 2, 1, 13);
    open_emulated(f, 2, 2, 0, 20);
    open_emulated(f, 2, 3, 0, 21);
    open_host(f, 3, 2, 0, 30);
    open_host(f, 1, 2, 2, 14);
    g_assert_true(answer(f, 1, 2, 2, 0));   /* waits to be written */
    assert_counts(f, 7, 1, 8);
    return f;
}

typedef struct DropCase {
    const char *path;
    uint32_t virt_id;           /* 0: all */
    bool whole;                 /* the device, not one PASID */
    uint32_t pasid;
    PageRequestDrop how;
    uint32_t dropped[8];        /* in order; ends with 0 */
    uint32_t written[8][2];     /* by the next flush; ends with 0 */
} DropCase;

static const DropCase drop_cases[] = {
    { "device", 1, true, 0, INVALID, { 10, 13, 11, 12 },
      { { 14, 0 }, { 10, 1 }, { 13, 1 }, { 11, 1 }, { 12, 1 } } },
    { "device-forget", 1, true, 0, FORGET, { 10, 13, 11, 12 }, { { 0 } } },
    { "emulated-device", 2, true, 0, INVALID, { 20, 21 }, { { 14, 0 } } },
    { "emulated-device-forget", 2, true, 0, FORGET, { 20, 21 },
      { { 14, 0 } } },
    { "device-without-groups", 4, true, 0, FORGET, { 0 }, { { 14, 0 } } },
    { "pasid", 1, false, 2, INVALID, { 10, 13 },
      { { 14, 0 }, { 10, 1 }, { 13, 1 } } },
    { "pasid-forget", 1, false, 2, FORGET, { 10, 13 }, { { 0 } } },
    { "other-pasid-forget", 1, false, 3, FORGET, { 11 }, { { 14, 0 } } },
    { "no-pasid", 1, false, NO_PASID, INVALID, { 12 },
      { { 14, 0 }, { 12, 1 } } },
    { "pasid-without-groups", 1, false, 9, FORGET, { 0 }, { { 14, 0 } } },
    { "all", 0, true, 0, INVALID, { 10, 13, 11, 12, 20, 21, 30 },
      { { 14, 0 }, { 10, 1 }, { 13, 1 }, { 11, 1 }, { 12, 1 }, { 30, 1 } } },
    { "all-forget", 0, true, 0, FORGET, { 10, 13, 11, 12, 20, 21, 30 },
      { { 0 } } },
};

static uint32_t drop(Fixture *f, const DropCase *c)
{
    const DeviceEntry entry = device(c->virt_id);

    if (c->virt_id == 0) {
        return page_request_drop_all(f->table, c->how);
    }
    return c->whole ? page_request_drop_device(f->table, &entry, c->how)
                    : page_request_drop_pasid(f->table, &entry, c->pasid,
                                              c->how);
}

static void test_drop(gconstpointer data)
{
    const DropCase *c = data;
    g_autoptr(Fixture) f = drop_fixture();
    unsigned dropped = 0, written = 0;

    while (dropped < 8 && c->dropped[dropped]) {
        dropped++;
    }
    while (written < 8 && c->written[written][0]) {
        written++;
    }
    g_assert_cmpuint(drop(f, c), ==, dropped);
    g_assert_cmpuint(f->dropped_count, ==, dropped);
    for (unsigned i = 0; i < dropped; i++) {
        g_assert_cmpuint(f->dropped[i].cookie, ==, c->dropped[i]);
        g_assert_cmpint(f->how, ==, c->how);
        g_assert_false(page_request_answer(f->table, &f->dropped[i].key, 0,
                                           NULL));
    }
    assert_counts(f, 7 - dropped, written, 9 + dropped - written);
    g_assert_cmpuint(drop(f, c), ==, 0);
    g_assert_cmpint(flush(f), ==, 0);
    g_assert_cmpuint(f->fake.taken_count, ==, written);
    for (unsigned i = 0; i < written; i++) {
        assert_taken(f, i, c->written[i][0], c->written[i][1]);
    }
}

/* The kernel gives a detached group's number to another: it is not hit. */
static void test_cookie_reused_after_detach(void)
{
    g_autoptr(Fixture) f = fixture_new(4);
    const DeviceEntry first = device(1);

    open_host(f, 1, 2, 3, 7);
    open_host(f, 1, 2, 4, 8);
    g_assert_true(answer(f, 1, 2, 3, 0));
    f->fake.steps[0].err = EAGAIN;
    g_assert_cmpint(flush(f), ==, -EAGAIN);
    g_assert_cmpuint(page_request_drop_device(f->table, &first, FORGET), ==,
                     1);
    /* Detached. The numbers come back with groups of another device. */
    open_host(f, 2, 2, 3, 7);
    open_host(f, 2, 2, 4, 8);
    g_assert_false(answer(f, 1, 2, 4, 0));
    g_assert_cmpint(flush(f), ==, 0);
    g_assert_cmpuint(f->fake.taken_count, ==, 0);
    g_assert_true(f->fake.out[7] && f->fake.out[8]);
    assert_counts(f, 2, 0, 2);
}

/* A callback that answers and drops others, while a drop goes on. */
static void on_dropped_meddle(void *opaque, const PageRequest *request,
                              PageRequestDrop how)
{
    Fixture *f = opaque;
    const DeviceEntry entry = device(1);

    on_dropped(f, request, how);
    if (f->dropped_count == 1) {
        g_assert_true(answer(f, 1, 2, 1, 0));
        g_assert_cmpuint(page_request_drop_pasid(f->table, &entry, 3, INVALID),
                         ==, 1);
    }
}

/* What it answers in a drop that forgets is forgotten with the rest. */
static void test_callback_changes_the_table(gconstpointer data)
{
    static const PageRequestOps meddling = { .dropped = on_dropped_meddle };
    const bool emulated = GPOINTER_TO_UINT(data);
    g_autoptr(Fixture) f = fixture_new(8);
    const DeviceEntry entry = device(1);

    page_request_table_free(f->table);
    f->table = page_request_table_new(8, &meddling, f);
    for (uint32_t index = 0; index < 4; index++) {
        (emulated ? open_emulated : open_host)(f, 1, index < 3 ? 2 : 3, index,
                                               index + 10);
    }
    g_assert_cmpuint(page_request_drop_device(f->table, &entry,
                                              emulated ? INVALID : FORGET),
                     ==, 2);
    g_assert_cmpuint(f->dropped_count, ==, 3);
    g_assert_cmpuint(f->dropped[0].cookie, ==, 10);
    g_assert_cmpuint(f->dropped[1].cookie, ==, 13);
    g_assert_cmpuint(f->dropped[2].cookie, ==, 12);
    assert_counts(f, 0, 0, 8);
}

/* Everything that the table is for, with nothing allocated. */
static void test_no_allocation(void)
{
    enum { GROUPS = 1000 };
    g_autoptr(Fixture) f = fixture_new(GROUPS);
    const DeviceEntry entry = device(1);
    CallCount count;

    call_count_start(NULL);
    for (uint32_t round = 0; round < 3; round++) {
        f->fake.taken_count = f->dropped_count = 0;
        for (uint32_t i = 0; i < GROUPS; i++) {
            open_host(f, i % 10, i % 7, i, i);
        }
        for (uint32_t i = 0; i < GROUPS; i += 2) {
            g_assert_true(answer(f, i % 10, i % 7, i, 0));
        }
        page_request_drop_pasid(f->table, &entry, 1, INVALID);
        page_request_drop_device(f->table, &entry, INVALID);
        g_assert_cmpint(flush(f), ==, 0);
        page_request_drop_all(f->table, FORGET);
        assert_counts(f, 0, 0, GROUPS);
    }
    count = call_count_stop();
    g_assert_cmpuint(count.allocations, ==, 0);
    g_assert_cmpuint(count.frees, ==, 0);
}

static void add_drops(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(drop_cases); i++) {
        g_autofree char *path =
            g_strconcat("/page-request/drop/", drop_cases[i].path, NULL);

        g_test_add_data_func(path, &drop_cases[i], test_drop);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        GTestFunc func;
    } tests[] = {
        { "/page-request/answered-once", test_answered_once },
        { "/page-request/unknown-key", test_unknown_key },
        { "/page-request/similar-keys", test_similar_keys },
        { "/page-request/emulated-not-written", test_emulated_not_written },
        { "/page-request/codes", test_codes },
        { "/page-request/full", test_full },
        { "/page-request/key-used-again", test_key_used_again },
        { "/page-request/respond", test_respond },
        { "/page-request/cookie-reused-after-detach",
          test_cookie_reused_after_detach },
        { "/page-request/no-allocation", test_no_allocation },
    };

    call_count_init();
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add_func(tests[i].path, tests[i].func);
    }
    g_test_add_data_func("/page-request/callback-changes-the-table/emulated",
                         GUINT_TO_POINTER(true),
                         test_callback_changes_the_table);
    g_test_add_data_func("/page-request/callback-changes-the-table/host",
                         GUINT_TO_POINTER(false),
                         test_callback_changes_the_table);
    add_drops();
    return g_test_run();
}
