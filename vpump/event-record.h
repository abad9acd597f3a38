/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EventRecord: what the built-in workload puts into an SMMUv3 event record
 * (F_TRANSLATION) so that the guest can tell a good one from a damaged one.
 *
 * The time stands in InputAddr, the counter in the IPA field, which a stage 1
 * fault leaves free, and a check pattern over all in the bits that the
 * implementation defines. Every other bit has one legal value. The host
 * replaces the StreamID by the one that the guest gave the device: a workload
 * that uses the same one gets its record through unchanged.
 *
 * Threads: any; pure.
 */
#ifndef VPUMP_EVENT_RECORD_H
#define VPUMP_EVENT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

enum { EVENT_RECORD_WORDS = 4 };

/* EventRecord::counter has so many bits: 200 days at a million per second. */
#define EVENT_RECORD_COUNTER_BITS 44

/**
 * struct EventRecord - the contents
 * @sid: StreamID
 * @counter: of the device's events, from 0
 * @time_ns: CLOCK_MONOTONIC when the device reported it
 */
typedef struct EventRecord {
    uint32_t sid;
    uint64_t counter;
    uint64_t time_ns;
} EventRecord;

void event_record_encode(const EventRecord *record, uint64_t *words);

/**
 * event_record_decode() - take a record apart
 *
 * Return: false if no event_record_encode() made these words.
 */
bool event_record_decode(const uint64_t *words, EventRecord *record);

#endif
