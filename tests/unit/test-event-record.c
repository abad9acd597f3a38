/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "event-record.h"

#include <glib.h>
#include <string.h>

static EventRecord random_record(GRand *rand)
{
    return (EventRecord){
        .sid = g_rand_int(rand),
        .counter = ((uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand)) >>
                   (64 - EVENT_RECORD_COUNTER_BITS),
        .time_ns = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand),
    };
}

static void test_round_trip(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);

    for (int i = 0; i < 1000; i++) {
        EventRecord record = random_record(rand);
        uint64_t words[EVENT_RECORD_WORDS];
        EventRecord decoded;

        event_record_encode(&record, words);
        g_assert_true(event_record_decode(words, &decoded));
        g_assert_cmpuint(decoded.sid, ==, record.sid);
        g_assert_cmpuint(decoded.counter, ==, record.counter);
        g_assert_cmpuint(decoded.time_ns, ==, record.time_ns);
    }
}

/* An F_TRANSLATION of stage 1 that does not stall: what hosts forward. */
static void test_is_a_legal_record(void)
{
    EventRecord record = { .sid = 0x1234, .counter = 1, .time_ns = 77 };
    uint64_t words[EVENT_RECORD_WORDS];

    event_record_encode(&record, words);
    g_assert_cmphex(words[0], ==, UINT64_C(0x0000123400000010));
    g_assert_cmphex(words[1] & UINT64_C(0xffffffffffff), ==,
                    UINT64_C(0x020800000000));
    g_assert_cmphex(words[2], ==, 77);
    g_assert_cmphex(words[3], ==, 0x1000);
}

/* One flipped bit anywhere is found: no two contents differ in one bit. */
static void test_every_flipped_bit_is_found(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    int missed = 0;

    for (int i = 0; i < 100; i++) {
        EventRecord record = random_record(rand);
        EventRecord decoded;

        for (int bit = 0; bit < 256; bit++) {
            uint64_t words[EVENT_RECORD_WORDS];

            event_record_encode(&record, words);
            words[bit / 64] ^= UINT64_C(1) << bit % 64;
            missed += event_record_decode(words, &decoded);
        }
    }
    /* 16 bits of check: one in 65536 may slip through, of 14000 flips. */
    g_assert_cmpint(missed, <=, 2);
}

/* Words of two good records make no third one. */
static void test_mixed_records_are_found(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(4);
    int missed = 0;

    for (int i = 0; i < 1000; i++) {
        EventRecord a = random_record(rand);
        EventRecord b = random_record(rand);
        uint64_t words[2][EVENT_RECORD_WORDS];
        EventRecord decoded;

        event_record_encode(&a, words[0]);
        event_record_encode(&b, words[1]);
        for (unsigned mix = 1; mix < 15; mix++) {
            uint64_t torn[EVENT_RECORD_WORDS];

            for (int word = 0; word < EVENT_RECORD_WORDS; word++) {
                torn[word] = words[mix >> word & 1][word];
            }
            missed += event_record_decode(torn, &decoded);
        }
    }
    g_assert_cmpint(missed, <=, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/event-record/round-trip", test_round_trip);
    g_test_add_func("/event-record/is-a-legal-record", test_is_a_legal_record);
    g_test_add_func("/event-record/every-flipped-bit-is-found",
                    test_every_flipped_bit_is_found);
    g_test_add_func("/event-record/mixed-records-are-found",
                    test_mixed_records_are_found);
    return g_test_run();
}
