/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * StormHandler: the guest's page request handler. As its StormMix says, it
 * answers some groups late, some twice, some never, and some that nobody has
 * asked for; lets its queue become full; and resets the unit.
 *
 * Threads: a vCPU's. While that is quiet, the test's.
 * Locks:   the guest's, while it submits.
 */
#ifndef TESTS_STRESS_STORM_HANDLER_H
#define TESTS_STRESS_STORM_HANDLER_H

#include <glib.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

struct StormUnit;

/**
 * struct StormHandler - what the guest knows of its page requests
 * @bell: rung by each interrupt
 * @batch: answers to be submitted now
 * @late: put off
 * @resets_at: Gate::steps of the next reset
 * @settling: from now on every answer is given
 */
typedef struct StormHandler {
    sem_t bell;
    GArray *batch;
    GArray *late;
    uint64_t resets_at;
    bool settling;
    GRand *rand;
} StormHandler;

void storm_handler_init(struct StormUnit *unit, guint32 seed);
void storm_handler_destroy(struct StormUnit *unit);

/* A GateThread's step: sleeps until the bell rings. */
void storm_handler_step(void *opaque);

/* Ring it. Any thread. */
void storm_handler_kick(struct StormUnit *unit);

/**
 * storm_handler_finish() - read and answer until nothing is open, not even what
 * was put off
 *
 * Context: all is quiet.
 */
void storm_handler_finish(struct StormUnit *unit);

/**
 * storm_note_code() - a group of @index was answered
 *
 * The guest says Success to even ones and Response Failure to odd ones, of
 * which the host makes an Invalid Request. What else comes is the IOMMU's own
 * answer, and counted; an answer to somebody else's group it must not be.
 */
void storm_note_code(struct StormUnit *unit, uint32_t index, uint32_t code);

#endif
