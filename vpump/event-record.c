/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decoding encodes what it found and compares all 32 bytes, so there is one
 * description of the format, and no bit of it that is not looked at.
 */
#include "event-record.h"

#include "base/bits.h"

#include <string.h>

/* Arm IHI 0070, 7.3 */
FIELD(EVT0, ID, 0, 8)
FIELD(EVT0, SID, 32, 32)
FIELD(EVT1, RNW, 35, 1)
FIELD(EVT1, CLASS, 40, 2)
FIELD(EVT1, IMPDEF, 48, 16)
FIELD(EVT3, IPA, 12, EVENT_RECORD_COUNTER_BITS)

enum {
    EVT_F_TRANSLATION = 0x10,
    EVT_CLASS_IN = 2,
};

/* 16 bits to which every bit of the contents counts. */
static uint64_t check_pattern(const EventRecord *record)
{
    uint64_t x = record->sid * UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 29 ^ record->counter) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 32 ^ record->time_ns) * UINT64_C(0x94d049bb133111eb);
    return (x ^ x >> 31) >> 48;
}

void event_record_encode(const EventRecord *record, uint64_t *words)
{
    words[0] = FIELD_SET(EVT_F_TRANSLATION, EVT0, SID, record->sid);
    words[1] = FIELD_SET(FIELD_MASK(EVT1, RNW), EVT1, CLASS, EVT_CLASS_IN);
    words[1] = FIELD_SET(words[1], EVT1, IMPDEF, check_pattern(record));
    words[2] = record->time_ns;
    words[3] = FIELD_SET(0, EVT3, IPA, record->counter);
}

bool event_record_decode(const uint64_t *words, EventRecord *record)
{
    uint64_t expected[EVENT_RECORD_WORDS];

    record->sid = FIELD_GET(words[0], EVT0, SID);
    record->counter = FIELD_GET(words[3], EVT3, IPA);
    record->time_ns = words[2];
    event_record_encode(record, expected);
    return memcmp(words, expected, sizeof(expected)) == 0;
}
