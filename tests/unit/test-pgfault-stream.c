/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/iommu/pgfault-stream.h"

#include <glib.h>
#include <string.h>

enum { P = 1, L = 2, N = 4 };   /* PASID valid, last page, answer needs PASID */
enum { RECORDS = 8, ITEMS = 8, RECORD = 40 };

/* What of a record matters to the stream. */
typedef struct Rec {
    uint32_t flags;
    uint32_t cookie;
    uint32_t dev_id;
    uint32_t grpid;
    uint32_t pasid;
} Rec;

typedef struct Item {
    PgfaultKind kind;
    size_t first;               /* number of the record */
    size_t count;
} Item;

/* Expected items end with the first PGFAULT_END, which is none of them. */
typedef struct Case {
    const char *path;
    unsigned count;
    unsigned extra;             /* bytes after the records */
    Rec records[RECORDS];
    Item items[ITEMS];
} Case;

#define GROUP(first, count) { PGFAULT_GROUP, (first), (count) }
#define BAD(first, count) { PGFAULT_MALFORMED, (first), (count) }
#define CUT { PGFAULT_TRUNCATED, 0, 0 }

static const Case cases[] = {
    {
        "nothing-read", 0, 0, { { 0 } }, { { 0 } },
    }, {
        "one-page", 1, 0, { { L, 1, 7, 5, 0 } }, { GROUP(0, 1) },
    }, {
        "one-page-with-pasid", 1, 0, { { P | L, 1, 7, 5, 9 } },
        { GROUP(0, 1) },
    }, {
        "cookie-0", 1, 0, { { L, 0, 7, 5, 0 } }, { GROUP(0, 1) },
    }, {
        "three-pages", 3, 0,
        { { P, 1, 7, 5, 9 }, { P, 1, 7, 5, 9 }, { P | L, 1, 7, 5, 9 } },
        { GROUP(0, 3) },
    }, {
        "three-groups", 4, 0,
        { { L, 1, 7, 5, 0 }, { 0, 2, 8, 5, 0 }, { L, 2, 8, 5, 0 },
          { P | L, 3, 7, 6, 9 } },
        { GROUP(0, 1), GROUP(1, 2), GROUP(3, 1) },
    }, {
        "same-cookie-again-is-another-group", 2, 0,
        { { L, 1, 7, 5, 0 }, { L, 1, 7, 6, 0 } },
        { GROUP(0, 1), GROUP(1, 1) },
    }, {
        "internal-flag-in-any-member", 2, 0,
        { { P, 1, 7, 5, 9 }, { P | L | N, 1, 7, 5, 9 } }, { GROUP(0, 2) },
    }, {
        "pasid-not-valid-does-not-matter", 2, 0,
        { { 0, 1, 7, 5, 9 }, { L, 1, 7, 5, 4 } }, { GROUP(0, 2) },
    }, {
        "no-last-page", 2, 0, { { 0, 1, 7, 5, 0 }, { 0, 1, 7, 5, 0 } },
        { BAD(0, 2) },
    }, {
        "no-last-page-then-others", 4, 0,
        { { 0, 1, 7, 5, 0 }, { 0, 2, 8, 6, 0 }, { L, 2, 8, 6, 0 },
          { L, 3, 7, 7, 0 } },
        { BAD(0, 1), BAD(1, 2), GROUP(3, 1) },
    }, {
        "no-last-page-in-three-groups", 4, 0,
        { { 0, 1, 7, 5, 0 }, { 0, 2, 8, 6, 0 }, { L, 3, 8, 7, 0 },
          { L, 4, 7, 8, 0 } },
        { BAD(0, 1), BAD(1, 1), BAD(2, 1), GROUP(3, 1) },
    }, {
        "interleaved", 5, 0,
        { { 0, 1, 7, 5, 0 }, { 0, 2, 8, 6, 0 }, { 0, 1, 7, 5, 0 },
          { L, 2, 8, 6, 0 }, { L, 3, 8, 7, 0 } },
        { BAD(0, 1), BAD(1, 1), BAD(2, 1), BAD(3, 1), GROUP(4, 1) },
    }, {
        "device-changes", 3, 0,
        { { 0, 1, 7, 5, 0 }, { L, 1, 8, 5, 0 }, { L, 2, 8, 6, 0 } },
        { BAD(0, 2), GROUP(2, 1) },
    }, {
        "group-index-changes", 3, 0,
        { { 0, 1, 7, 5, 0 }, { L, 1, 7, 6, 0 }, { L, 2, 8, 6, 0 } },
        { BAD(0, 2), GROUP(2, 1) },
    }, {
        "pasid-changes", 3, 0,
        { { P, 1, 7, 5, 9 }, { P | L, 1, 7, 5, 4 }, { L, 2, 8, 6, 0 } },
        { BAD(0, 2), GROUP(2, 1) },
    }, {
        "pasid-becomes-invalid", 3, 0,
        { { P, 1, 7, 5, 9 }, { L, 1, 7, 5, 9 }, { L, 2, 8, 6, 0 } },
        { BAD(0, 2), GROUP(2, 1) },
    }, {
        "pasid-becomes-valid", 3, 0,
        { { 0, 1, 7, 5, 0 }, { P | L, 1, 7, 5, 0 }, { L, 2, 8, 6, 0 } },
        { BAD(0, 2), GROUP(2, 1) },
    }, {
        "changes-and-comes-back", 4, 0,
        { { 0, 1, 7, 5, 0 }, { 0, 1, 8, 5, 0 }, { L, 1, 7, 5, 0 },
          { L, 2, 8, 6, 0 } },
        { BAD(0, 3), GROUP(3, 1) },
    }, {
        "unknown-flag", 2, 0, { { L | 8, 1, 7, 5, 0 }, { L, 2, 8, 6, 0 } },
        { BAD(0, 1), GROUP(1, 1) },
    }, {
        "unknown-high-flag", 2, 0,
        { { L | 1u << 31, 1, 7, 5, 0 }, { L, 2, 8, 6, 0 } },
        { BAD(0, 1), GROUP(1, 1) },
    }, {
        "unknown-flag-in-the-middle", 4, 0,
        { { 0, 1, 7, 5, 0 }, { 8, 1, 7, 5, 0 }, { L, 1, 7, 5, 0 },
          { L, 2, 8, 6, 0 } },
        { BAD(0, 3), GROUP(3, 1) },
    }, {
        "cut-after-a-group", 1, 39, { { L, 1, 7, 5, 0 } },
        { GROUP(0, 1), CUT },
    }, {
        "cut-inside-a-group", 1, 1, { { 0, 1, 7, 5, 0 } },
        { BAD(0, 1), CUT },
    }, {
        "cut-in-the-first-record", 0, 39, { { 0 } }, { CUT },
    },
};

/* Word by word as the kernel has it; address and permissions by number. */
static void put_record(uint8_t *to, const Rec *rec, uint32_t number)
{
    const uint64_t addr = UINT64_C(0xabcd000000000000) + number * 4096;
    uint32_t words[10] = {
        rec->flags, rec->dev_id, rec->pasid, rec->grpid, number & 15,
        0, 0, 0, 0, rec->cookie,
    };

    memcpy(&words[6], &addr, sizeof(addr));
    memcpy(to, words, sizeof(words));
}

/* In memory of its exact size, at an odd address. */
static uint8_t *build(const Rec *records, unsigned count, unsigned extra)
{
    uint8_t *buf = g_malloc0(1 + count * RECORD + extra);

    for (unsigned i = 0; i < count; i++) {
        put_record(buf + 1 + i * RECORD, &records[i], i);
    }
    return buf;
}

static void assert_pages(const PgfaultGroup *group, size_t first)
{
    for (size_t i = 0; i < group->count; i++) {
        Pgfault page = pgfault_group_page(group, i);

        g_assert_cmphex(page.addr, ==,
                        UINT64_C(0xabcd000000000000) + (first + i) * 4096);
        g_assert_cmphex(page.perm, ==, (first + i) & 15);
    }
}

static void assert_item(const Item *want, const Rec *records,
                        const uint8_t *buf, PgfaultKind kind,
                        const PgfaultGroup *group)
{
    const Rec *rec = &records[want->first];

    g_assert_cmpint(kind, ==, want->kind);
    g_assert_cmpuint(group->count, ==, want->count);
    if (want->count == 0) {
        g_assert_null(group->first);
        g_assert_cmpuint(group->cookie, ==, 0);
        return;
    }
    g_assert_true(group->first == buf + want->first * RECORD);
    g_assert_cmpuint(group->cookie, ==, rec->cookie);
    g_assert_cmpuint(group->dev_id, ==, rec->dev_id);
    g_assert_cmpuint(group->grpid, ==, rec->grpid);
    g_assert_cmpint(group->pasid_valid, ==, (rec->flags & P) != 0);
    g_assert_cmpuint(group->pasid, ==, rec->flags & P ? rec->pasid : 0);
    assert_pages(group, want->first);
}

static void test_case(gconstpointer data)
{
    const Case *c = data;
    g_autofree uint8_t *buf = build(c->records, c->count, c->extra);
    const Item *want = c->items;
    PgfaultStream stream;
    PgfaultGroup group;
    PgfaultKind kind;

    pgfault_stream_feed(&stream, buf + 1, c->count * RECORD + c->extra);
    while ((kind = pgfault_stream_next(&stream, &group)) != PGFAULT_END) {
        assert_item(want, c->records, buf + 1, kind, &group);
        want++;
    }
    g_assert_cmpint(want->kind, ==, PGFAULT_END);
    g_assert_cmpint(pgfault_stream_next(&stream, &group), ==, PGFAULT_END);
    g_assert_null(group.first);
}

static void test_no_buffer(void)
{
    PgfaultStream stream;
    PgfaultGroup group = { .count = 1 };

    pgfault_stream_feed(&stream, NULL, 0);
    g_assert_cmpint(pgfault_stream_next(&stream, &group), ==, PGFAULT_END);
    g_assert_cmpuint(group.count, ==, 0);
}

/* A read that ended badly, or was not taken to its end, leaves no trace. */
static void test_reads_are_apart(void)
{
    static const Rec bad[] = { { 0, 1, 7, 5, 0 }, { 0, 2, 7, 5, 0 } };
    static const Rec good[] = { { L, 3, 7, 5, 0 } };
    g_autofree uint8_t *first = build(bad, 2, 0);
    g_autofree uint8_t *second = build(good, 1, 0);
    PgfaultStream stream;
    PgfaultGroup group;

    for (unsigned taken = 0; taken <= 3; taken++) {
        pgfault_stream_feed(&stream, first + 1, 2 * RECORD);
        for (unsigned i = 0; i < taken; i++) {
            g_assert_cmpint(pgfault_stream_next(&stream, &group), ==,
                            i < 2 ? PGFAULT_MALFORMED : PGFAULT_END);
        }
        pgfault_stream_feed(&stream, second + 1, RECORD);
        g_assert_cmpint(pgfault_stream_next(&stream, &group), ==,
                        PGFAULT_GROUP);
        g_assert_cmpuint(group.cookie, ==, 3);
    }
}

/*
 * The model goes by records, not by items: it cuts the read into stretches
 * that end with LAST_PAGE, and each of those into runs of a cookie. A stretch
 * is a group if it is one run, with its LAST_PAGE, of records all alike.
 */
static bool alike(const Rec *a, const Rec *b)
{
    return a->cookie == b->cookie && a->dev_id == b->dev_id &&
           a->grpid == b->grpid && (a->flags & P) == (b->flags & P) &&
           (!(a->flags & P) || a->pasid == b->pasid);
}

static unsigned stretch_end(const Rec *records, unsigned count, unsigned from)
{
    while (from < count && !(records[from].flags & L)) {
        from++;
    }
    return MIN(from + 1, count);
}

static bool stretch_is_group(const Rec *records, unsigned from, unsigned end)
{
    for (unsigned i = from; i < end; i++) {
        if (!alike(&records[from], &records[i]) || records[i].flags >= 8) {
            return false;
        }
    }
    return records[end - 1].flags & L;
}

static unsigned model(const Rec *records, unsigned count, Item *items)
{
    unsigned n = 0;

    for (unsigned from = 0, end; from < count; from = end) {
        end = stretch_end(records, count, from);
        if (stretch_is_group(records, from, end)) {
            items[n++] = (Item) GROUP(from, end - from);
            continue;
        }
        for (unsigned i = from; i < end; i++) {
            if (i == from || records[i].cookie != records[i - 1].cookie) {
                items[n++] = (Item) BAD(i, 0);
            }
            items[n - 1].count++;
        }
    }
    return n;
}

static Rec random_record(const Rec *before)
{
    Rec rec = *before;

    if (before->flags & L) {
        rec = (Rec) {
            .flags = g_test_rand_int_range(0, 2) ? P : 0,
            .cookie = g_test_rand_int_range(0, 4),
            .dev_id = g_test_rand_int_range(1, 3),
            .grpid = g_test_rand_int_range(0, 3),
            .pasid = g_test_rand_int_range(0, 3),
        };
    }
    rec.flags = (rec.flags & P) | (g_test_rand_int_range(0, 3) ? 0 : L);
    switch (g_test_rand_int_range(0, 40)) {
    case 0: rec.flags ^= P; break;
    case 1: rec.flags |= N; break;
    case 2: rec.flags |= UINT32_C(8) << g_test_rand_int_range(0, 29); break;
    case 3: rec.cookie++; break;
    case 4: rec.dev_id++; break;
    case 5: rec.grpid++; break;
    case 6: rec.pasid++; break;
    }
    return rec;
}

static void random_run(void)
{
    enum { MOST = 40 };
    const unsigned count = g_test_rand_int_range(0, MOST + 1);
    const unsigned extra = g_test_rand_int_range(0, 4) ? 0 :
                           g_test_rand_int_range(1, RECORD);
    Rec records[MOST] = { 0 }, before = { .flags = L };
    Item want[MOST + 1];
    g_autofree uint8_t *buf = NULL;
    unsigned n;
    PgfaultStream stream;
    PgfaultGroup group;

    for (unsigned i = 0; i < count; i++) {
        before = records[i] = random_record(&before);
    }
    n = model(records, count, want);
    if (extra) {
        want[n++] = (Item) CUT;
    }
    buf = build(records, count, extra);
    pgfault_stream_feed(&stream, buf + 1, count * RECORD + extra);
    for (unsigned i = 0; i < n; i++) {
        PgfaultKind kind = pgfault_stream_next(&stream, &group);

        assert_item(&want[i], records, buf + 1, kind, &group);
    }
    g_assert_cmpint(pgfault_stream_next(&stream, &group), ==, PGFAULT_END);
}

static void test_random(void)
{
    const unsigned runs = g_test_quick() ? 20000 : 200000;

    for (unsigned i = 0; i < runs; i++) {
        random_run();
    }
}

/* Any bytes: every whole record is in one item, in order; no read past it. */
static void test_junk(void)
{
    for (unsigned run = 0; run < 2000; run++) {
        const size_t len = g_test_rand_int_range(0, 12 * RECORD);
        g_autofree uint8_t *buf = g_malloc(MAX(len, 1));
        size_t records = 0;
        PgfaultKind kind, last = PGFAULT_END;
        PgfaultStream stream;
        PgfaultGroup group;

        for (size_t i = 0; i < len; i++) {
            buf[i] = g_test_rand_int();
        }
        pgfault_stream_feed(&stream, buf, len);
        while ((kind = pgfault_stream_next(&stream, &group)) != PGFAULT_END) {
            g_assert_cmpint(last, !=, PGFAULT_TRUNCATED);
            g_assert_true(kind == PGFAULT_TRUNCATED ||
                          group.first == buf + records * RECORD);
            records += group.count;
            last = kind;
        }
        g_assert_cmpuint(records, ==, len / RECORD);
        g_assert_cmpint(last == PGFAULT_TRUNCATED, ==, len % RECORD != 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path =
            g_strconcat("/pgfault-stream/", cases[i].path, NULL);

        g_test_add_data_func(path, &cases[i], test_case);
    }
    g_test_add_func("/pgfault-stream/no-buffer", test_no_buffer);
    g_test_add_func("/pgfault-stream/reads-are-apart", test_reads_are_apart);
    g_test_add_func("/pgfault-stream/random", test_random);
    g_test_add_func("/pgfault-stream/junk", test_junk);
    return g_test_run();
}
