/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw/iommu/vevent-stream.h"
#include "tests/support/vevent-follow.h"

#include <glib.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

/* A read is written as the host wrote it: words in its byte order. */
#define E(seq, payload) 0, (seq), (payload)     /* an event of 4 bytes */
#define L(seq) 1, (seq)                         /* a LOST_EVENTS header */

enum { RECORD = 4, READS = 4, WORDS = 12, ITEMS = 8 };

/* @cut bytes are missing at the end of the @words. */
typedef struct Read {
    uint32_t words[WORDS];
    unsigned count;
    unsigned cut;
} Read;

typedef struct Item {
    VeventKind kind;
    uint32_t sequence;
    uint32_t lost;
    uint32_t payload;
} Item;

/* Expected items end with the first VEVENT_END, which is none of them. */
typedef struct Case {
    const char *path;
    Read reads[READS];
    Item items[ITEMS];
} Case;

#define READ(...)                                                 \
    {                                                             \
        .words = { __VA_ARGS__ },                                 \
        .count = sizeof((uint32_t[]){ __VA_ARGS__ }) / 4          \
    }
#define READ_CUT(bytes, ...)                                      \
    {                                                             \
        .words = { __VA_ARGS__ },                                 \
        .count = sizeof((uint32_t[]){ __VA_ARGS__ }) / 4,         \
        .cut = (bytes)                                            \
    }

#define EVENT(seq, missing, data) { VEVENT_EVENT, (seq), (missing), (data) }
#define LOST(seq, missing) { VEVENT_LOST, (seq), (missing), 0 }
#define BAD { VEVENT_MALFORMED, 0, 0, 0 }

static const Case cases[] = {
    {
        "nothing-read",
        { { .count = 0 } },
        { { 0 } },
    }, {
        "in-order",
        { READ(E(0, 7), E(1, 8)), READ(E(2, 9)) },
        { EVENT(0, 0, 7), EVENT(1, 0, 8), EVENT(2, 0, 9) },
    }, {
        "first-number-not-zero",
        { READ(E(3, 7)) },
        { EVENT(3, 3, 7) },
    }, {
        "lost-at-tail",
        { READ(E(0, 7), E(1, 8)), READ(E(2, 7), E(3, 8), L(6)) },
        { EVENT(0, 0, 7), EVENT(1, 0, 8), EVENT(2, 0, 7), EVENT(3, 0, 8),
          LOST(6, 3) },
    }, {
        "event-after-lost-header-is-no-gap",
        { READ(E(0, 7), L(6)), READ(E(7, 8)) },
        { EVENT(0, 0, 7), LOST(6, 6), EVENT(7, 0, 8) },
    }, {
        "lost-number-moved-on",
        { READ(E(0, 7), E(1, 7)), READ(E(2, 7), L(1001)) },
        { EVENT(0, 0, 7), EVENT(1, 0, 7), EVENT(2, 0, 7), LOST(1001, 999) },
    }, {
        "header-vanished-gap-only",
        { READ(E(0, 7)), READ(E(1, 8), E(5, 9)) },
        { EVENT(0, 0, 7), EVENT(1, 0, 8), EVENT(5, 3, 9) },
    }, {
        "gap-and-lost-tail",
        { READ(E(0, 7)), READ(E(15, 8), E(17, 9), L(19)) },
        { EVENT(0, 0, 7), EVENT(15, 14, 8), EVENT(17, 1, 9), LOST(19, 2) },
    }, {
        "header-stayed-for-the-next-read",
        { READ(E(0, 7)), READ(L(2)) },
        { EVENT(0, 0, 7), LOST(2, 2) },
    }, {
        "lost-header-alone-on-a-new-queue",
        { READ(L(0)), READ(E(1, 7)) },
        { LOST(0, 1), EVENT(1, 0, 7) },
    }, {
        "lost-header-after-lost-header",
        { READ(L(4)), READ(L(9)), READ(E(12, 7)) },
        { LOST(4, 5), LOST(9, 5), EVENT(12, 2, 7) },
    }, {
        "lost-header-again-counts-nothing",
        { READ(L(4)), READ(L(4)) },
        { LOST(4, 5), LOST(4, 0) },
    }, {
        "wrap",
        { READ(L(INT_MAX - 1)), READ(E(INT_MAX, 7), E(0, 8)) },
        { LOST(INT_MAX - 1, INT_MAX), EVENT(INT_MAX, 0, 7), EVENT(0, 0, 8) },
    }, {
        "gap-across-wrap",
        { READ(E(INT_MAX - 2, 7)), READ(E(3, 8)) },
        { EVENT(INT_MAX - 2, INT_MAX - 2, 7), EVENT(3, 5, 8) },
    }, {
        "gap-up-to-wrap",
        { READ(E(INT_MAX - 2, 7), E(0, 8)) },
        { EVENT(INT_MAX - 2, INT_MAX - 2, 7), EVENT(0, 2, 8) },
    }, {
        "lost-tail-up-to-wrap",
        { READ(E(INT_MAX - 2, 7), L(INT_MAX)), READ(E(0, 8)) },
        { EVENT(INT_MAX - 2, INT_MAX - 2, 7), LOST(INT_MAX, 2),
          EVENT(0, 0, 8) },
    }, {
        "lost-tail-across-wrap",
        { READ(E(INT_MAX, 7), L(0)), READ(E(1, 8)) },
        { EVENT(INT_MAX, INT_MAX, 7), LOST(0, 1), EVENT(1, 0, 8) },
    }, {
        "gap-and-lost-tail-across-wrap",
        { READ(E(INT_MAX - 3, 7)), READ(E(INT_MAX, 8), L(2)) },
        { EVENT(INT_MAX - 3, INT_MAX - 3, 7), EVENT(INT_MAX, 2, 8),
          LOST(2, 3) },
    }, {
        "all-but-one-lost",
        { READ(E(0, 7)), READ(E(0, 8)) },
        { EVENT(0, 0, 7), EVENT(0, INT_MAX, 8) },
    }, {
        "cut-header",
        { READ_CUT(1, E(0, 7), L(4)), READ(E(2, 8)) },
        { EVENT(0, 0, 7), BAD, EVENT(2, 1, 8) },
    }, {
        "cut-record",
        { READ_CUT(1, E(0, 7), E(1, 8)), READ(E(2, 9)) },
        { EVENT(0, 0, 7), BAD, EVENT(2, 1, 9) },
    }, {
        "header-without-record",
        { READ(E(0, 7), 0, 1), READ(E(2, 9)) },
        { EVENT(0, 0, 7), BAD, EVENT(2, 1, 9) },
    }, {
        "unknown-flag",
        { READ(2, 0, 7, E(1, 8)), READ(E(2, 9)) },
        { BAD, EVENT(2, 2, 9) },
    }, {
        "unknown-flag-beside-lost",
        { READ(0x80000001, 4), READ(E(5, 9)) },
        { BAD, EVENT(5, 5, 9) },
    }, {
        "event-number-above-int-max",
        { READ(E(0x80000000, 7), E(0, 8)), READ(E(1, 9)) },
        { BAD, EVENT(1, 1, 9) },
    }, {
        "lost-number-above-int-max",
        { READ(L(0xffffffff)), READ(E(0, 9)) },
        { BAD, EVENT(0, 0, 9) },
    }, {
        "event-after-lost-header-in-one-read",
        { READ(L(4), E(5, 7), E(6, 8)), READ(E(7, 9)) },
        { LOST(4, 5), EVENT(5, 0, 7), EVENT(6, 0, 8), EVENT(7, 0, 9) },
    }, {
        "lost-header-after-lost-header-in-one-read",
        { READ(L(4), L(6)), READ(L(8)) },
        { LOST(4, 5), LOST(6, 2), LOST(8, 2) },
    }, {
        "one-byte-after-lost-header",
        { READ_CUT(3, L(4), 0), READ(E(5, 9)) },
        { LOST(4, 5), BAD, EVENT(5, 0, 9) },
    },
};

static void assert_item(const Item *want, VeventKind kind, const Vevent *event)
{
    g_assert_cmpint(kind, ==, want->kind);
    g_assert_cmpuint(event->sequence, ==, want->sequence);
    g_assert_cmpuint(event->lost, ==, want->lost);
    if (kind == VEVENT_EVENT) {
        uint32_t payload;

        memcpy(&payload, event->data, sizeof(payload));
        g_assert_cmpuint(payload, ==, want->payload);
    } else {
        g_assert_null(event->data);
    }
}

/* Take the event that follows @event at once. Return: false if none does. */
static bool follow(VeventStream *stream, size_t record_size, Vevent *event)
{
    const uint8_t *data = vevent_follow(stream, record_size);

    *event = (Vevent){
        .data = data, .sequence = (event->sequence + 1) & INT_MAX,
    };
    return data;
}

/* Take what follows @event, as long as it can be. Return: what to want. */
static const Item *check_run(const Item *want, VeventStream *stream,
                             Vevent event)
{
    while (follow(stream, RECORD, &event)) {
        assert_item(want, VEVENT_EVENT, &event);
        want++;
    }
    g_assert_null(vevent_follow(stream, RECORD));
    return want;
}

/* Each read is in memory of its exact size, at an odd address. */
static void run_case(const Case *c, bool runs)
{
    const Item *want = c->items;
    VeventStream stream;

    vevent_stream_init(&stream, RECORD);
    for (unsigned i = 0; i < READS; i++) {
        size_t len = c->reads[i].count * 4 - c->reads[i].cut;
        g_autofree uint8_t *buf = g_malloc(len + 1);
        bool in_run = false;
        VeventKind kind;
        Vevent event;

        memcpy(buf + 1, c->reads[i].words, len);
        vevent_stream_feed(&stream, buf + 1, len);
        while ((kind = vevent_stream_next(&stream, &event)) != VEVENT_END) {
            assert_item(want, kind, &event);
            /* Nothing that a run could have had comes one by one. */
            g_assert_false(runs && in_run && kind == VEVENT_EVENT &&
                           event.lost == 0 && event.sequence != INT_MAX);
            want++;
            in_run = runs && kind == VEVENT_EVENT;
            if (in_run) {
                want = check_run(want, &stream, event);
            }
        }
        g_assert_cmpint(vevent_stream_next(&stream, &event), ==, VEVENT_END);
        g_assert_null(event.data);
    }
    g_assert_cmpint(want->kind, ==, VEVENT_END);
}

static void test_case(gconstpointer data)
{
    run_case(data, false);
    run_case(data, true);
}

static void test_no_buffer(void)
{
    VeventStream stream;
    Vevent event = { .lost = 1 };

    vevent_stream_init(&stream, RECORD);
    g_assert_cmpint(vevent_stream_next(&stream, &event), ==, VEVENT_END);
    vevent_stream_feed(&stream, NULL, 0);
    g_assert_cmpint(vevent_stream_next(&stream, &event), ==, VEVENT_END);
    g_assert_cmpuint(event.lost, ==, 0);
}

/* Two events and a tail, cut at every byte. */
static void test_every_cut(void)
{
    enum { PAYLOAD = 32 };
    uint8_t whole[2 * (8 + PAYLOAD) + 8] = { 0 };
    const uint32_t second[2] = { 0, 1 }, tail[2] = { L(3) };

    memcpy(whole + 8 + PAYLOAD, second, 8);
    memcpy(whole + 2 * (8 + PAYLOAD), tail, 8);
    for (size_t len = 0; len <= sizeof(whole); len++) {
        g_autofree uint8_t *buf = g_memdup2(whole, MAX(len, 1));
        unsigned seen[VEVENT_MALFORMED + 1] = { 0 };
        VeventStream stream;
        VeventKind kind;
        Vevent event;

        vevent_stream_init(&stream, PAYLOAD);
        vevent_stream_feed(&stream, buf, len);
        while ((kind = vevent_stream_next(&stream, &event)) != VEVENT_END) {
            seen[kind]++;
        }
        g_assert_cmpuint(seen[VEVENT_EVENT], ==, MIN(len / (8 + PAYLOAD), 2));
        g_assert_cmpuint(seen[VEVENT_LOST], ==, len == sizeof(whole));
        g_assert_cmpuint(seen[VEVENT_MALFORMED], ==,
                         len % (8 + PAYLOAD) != 0 && len < sizeof(whole));
    }
}

/*
 * A model of the kernel's queue with numbers of 64 bits that never wrap; an
 * event carries its own as payload. The stream under test sees 31 bits of
 * each.
 */
enum {
    MODEL_EVENT = 8 + sizeof(uint64_t),
    QUEUE_MAX = 16,
    READ_MAX = QUEUE_MAX * MODEL_EVENT + 8,
};

typedef struct Model {
    uint64_t queue[QUEUE_MAX];
    unsigned depth;
    unsigned used;
    bool lost_tail;
    uint64_t next;              /* number of the next event triggered */
    uint64_t accounted;         /* numbers below were seen or lost */
} Model;

static void model_trigger(Model *model)
{
    if (model->used < model->depth) {
        model->queue[model->used++] = model->next;
        model->lost_tail = false;
    } else {
        model->lost_tail = true;
    }
    model->next++;
}

static size_t put_header(uint8_t *to, uint32_t flags, uint64_t number)
{
    const uint32_t header[2] = { flags, number % (UINT64_C(1) << 31) };

    memcpy(to, header, sizeof(header));
    return sizeof(header);
}

/* Fill @buf as a read of @room bytes would. Return: bytes. */
static size_t model_read(Model *model, uint8_t *buf, size_t room)
{
    size_t len = 0;
    unsigned taken = 0;

    while (taken < model->used && room - len >= MODEL_EVENT) {
        uint64_t number = model->queue[taken++];

        len += put_header(buf + len, 0, number);
        memcpy(buf + len, &number, sizeof(number));
        len += sizeof(number);
    }
    model->used -= taken;
    memmove(model->queue, model->queue + taken,
            model->used * sizeof(model->queue[0]));
    if (model->used == 0 && model->lost_tail && room - len >= 8) {
        len += put_header(buf + len, 1, model->next - 1);
        model->lost_tail = false;
    }
    return len;
}

/* The item accounts for all numbers up to its own, for no other. */
static void model_check(Model *model, VeventKind kind, const Vevent *event)
{
    uint64_t number = model->next - 1;      /* of a LOST header: the newest */
    uint64_t lost = number - model->accounted + 1;

    if (kind == VEVENT_EVENT) {
        memcpy(&number, event->data, sizeof(number));
        lost = number - model->accounted;
    }
    g_assert_cmpuint(event->lost, ==, lost);
    g_assert_cmpuint(event->sequence, ==, number % (UINT64_C(1) << 31));
    model->accounted = number + 1;
}

/* One read of @room bytes, of which the stream is not given the last @cut. */
static void model_step(Model *model, VeventStream *stream, size_t room,
                       size_t cut)
{
    uint8_t buf[READ_MAX];
    size_t len = model_read(model, buf, room);
    bool malformed = false;
    VeventKind kind;
    Vevent event;

    vevent_stream_feed(stream, buf, len - MIN(len, cut));
    while ((kind = vevent_stream_next(stream, &event)) != VEVENT_END) {
        g_assert_false(malformed);
        malformed = kind == VEVENT_MALFORMED;
        if (!malformed) {
            model_check(model, kind, &event);
        }
        while (kind == VEVENT_EVENT && g_test_rand_bit() &&
               follow(stream, sizeof(uint64_t), &event)) {
            model_check(model, kind, &event);
        }
    }
}

/* A stream that expects @start next, the model as well. */
static void random_begin(Model *model, VeventStream *stream, uint64_t start)
{
    uint8_t buf[8];
    Vevent event;

    vevent_stream_init(stream, sizeof(uint64_t));
    if (start > 0) {
        put_header(buf, 1, start - 1);
        vevent_stream_feed(stream, buf, sizeof(buf));
        g_assert_cmpint(vevent_stream_next(stream, &event), ==, VEVENT_LOST);
        g_assert_cmpuint(event.lost, ==, start % (UINT64_C(1) << 31));
    }
    *model = (Model) {
        .depth = g_test_rand_int_range(1, QUEUE_MAX + 1),
        .next = start,
        .accounted = start,
    };
}

/*
 * Random bursts and reads, some cut short: what is cut shows as lost later,
 * and in the end each number was accounted for once, exactly.
 */
static void random_run(uint64_t start)
{
    VeventStream stream;
    Model model;

    random_begin(&model, &stream, start);
    for (unsigned i = 0; i < 300; i++) {
        unsigned burst = g_test_rand_int_range(0, 20);
        bool cut = g_test_rand_int_range(0, 8) == 0;

        for (unsigned j = 0; j < burst; j++) {
            model_trigger(&model);
        }
        model_step(&model, &stream, g_test_rand_int_range(0, READ_MAX + 1),
                   cut ? g_test_rand_int_range(1, 3 * MODEL_EVENT) : 0);
    }
    model_step(&model, &stream, READ_MAX, 0);
    model_trigger(&model);
    model_step(&model, &stream, READ_MAX, 0);
    g_assert_cmpuint(model.accounted, ==, model.next);
}

static void test_random_loss(void)
{
    const unsigned runs = g_test_quick() ? 300 : 3000;

    for (unsigned i = 0; i < runs; i++) {
        uint64_t start = (uint32_t)g_test_rand_int();

        switch (i % 4) {
        case 0:
            start = 0;
            break;
        case 1: /* the runs cross the wrap, at different distances */
            start = (UINT64_C(1) << 31) - g_test_rand_int_range(0, 3000);
            break;
        }
        random_run(start);
    }
}

/*
 * Every history of HISTORY items whose numbers are within NEAR of the one that
 * is expected at first, be it 0, at the wrap or anywhere: after it, what the
 * stream has counted is what numbers of 64 bits that never wrap come to. A
 * number behind what is expected is the one of 2^31 later.
 */
enum { HISTORY = 4, NEAR = 3, CHOICES = 2 * (2 * NEAR + 1) };

/* The next number from @from on that has the low 31 bits of @sequence. */
static uint64_t number_from(uint64_t from, uint64_t sequence)
{
    const uint64_t numbers = UINT64_C(1) << 31;
    uint64_t number = from / numbers * numbers + sequence % numbers;

    return number < from ? number + numbers : number;
}

static void history_step(VeventStream *stream, uint64_t *expected, bool lost,
                         uint64_t sequence)
{
    uint8_t buf[8 + RECORD] = { 0 };
    size_t len = put_header(buf, lost, sequence) + (lost ? 0 : RECORD);
    uint64_t next;
    Vevent event;
    VeventKind kind;

    vevent_stream_feed(stream, buf, len);
    kind = vevent_stream_next(stream, &event);
    g_assert_true(kind == (lost ? VEVENT_LOST : VEVENT_EVENT));
    /* A LOST header counts its own number, too. */
    next = number_from(*expected, sequence + lost);
    g_assert_true(event.lost == next - *expected);
    *expected = lost ? next : next + 1;
}

static void history_run(uint64_t start, unsigned history)
{
    VeventStream stream;
    uint64_t expected = 0;

    vevent_stream_init(&stream, RECORD);
    /* Unless it is 0, by a header which says that all before are lost. */
    if (start > 0) {
        history_step(&stream, &expected, true, start - 1);
    }
    for (unsigned i = 0; i < HISTORY; i++) {
        unsigned choice = history % CHOICES;

        history_step(&stream, &expected, choice % 2,
                     start + choice / 2 + (UINT64_C(1) << 31) - NEAR);
        history /= CHOICES;
    }
}

static void test_every_history(void)
{
    const uint64_t starts[] = {
        0, 1, 2, UINT64_C(1) << 30, INT_MAX - 2u, INT_MAX - 1u, INT_MAX,
    };
    unsigned histories = 1;

    for (unsigned i = 0; i < HISTORY; i++) {
        histories *= CHOICES;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
        for (unsigned history = 0; history < histories; history++) {
            history_run(starts[i], history);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path =
            g_strconcat("/vevent-stream/", cases[i].path, NULL);

        g_test_add_data_func(path, &cases[i], test_case);
    }
    g_test_add_func("/vevent-stream/no-buffer", test_no_buffer);
    g_test_add_func("/vevent-stream/every-cut", test_every_cut);
    g_test_add_func("/vevent-stream/every-history", test_every_history);
    g_test_add_func("/vevent-stream/random-loss", test_random_loss);
    return g_test_run();
}
