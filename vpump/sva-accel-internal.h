/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the device share: its state, and that of an operation.
 *
 *   free -- doorbell --> ready --> (runs) --> done, and free again
 *                          ^         |
 *                          |         +--> asked: waits for a page
 *                          |         +--> starved: waits for credits
 *                          +--- response, credits
 *
 * Threads: [thread] is the device's, in callbacks of its context.
 * Locks:   sva-accel.h.
 */
#ifndef VPUMP_SVA_ACCEL_INTERNAL_H
#define VPUMP_SVA_ACCEL_INTERNAL_H

#include "sva-accel.h"

#include "base/counter.h"
#include "base/lock.h"

typedef enum SvaOperationState {
    SVA_OPERATION_FREE,
    SVA_OPERATION_READY,        /* in a list, or running */
    SVA_OPERATION_ASKED,
    SVA_OPERATION_STARVED,
} SvaOperationState;

/**
 * struct SvaOperation - that of one slot. [thread] but for @state and @next
 * @state, @next: of a list. [dev_lock]
 * @group, @pages: what it asks for; the library's while it is asked
 * @asked_ns: when it was
 * @fetched: the fields below are those of the descriptor
 * @done: bytes
 */
typedef struct SvaOperation {
    SvaOperationState state;
    struct SvaOperation *next;
    SvaGroup group;
    Pgfault pages[SVA_ACCEL_GROUP_PAGES];
    int64_t asked_ns;
    bool fetched;
    uint32_t pasid;
    uint32_t length;
    uint32_t done;
    uint64_t src;
    uint64_t dst;
    uint64_t key;
} SvaOperation;

/* First in, first out. */
typedef struct SvaOperationList {
    SvaOperation *first;
    SvaOperation *last;
} SvaOperationList;

/* [thread] writes, anybody reads. */
typedef struct SvaAccelCounters {
    Counter completed;
    Counter failed;
    Counter raised;
    Counter success;
    Counter invalid;
    Counter stray;
} SvaAccelCounters;

struct SvaAccel {
    SvaAccelConfig config;      /* [const] id is ours */
    SvaDevice *sva;             /* [const] once plugged in */
    AioContext *ctx;            /* [const] */
    AioBH *work;                /* [const] */
    int irq_fd;                 /* [const] */
    pthread_t thread;
    Lock dev_lock;
    uint64_t descriptors GUARDED_BY(&dev_lock); /* registers */
    uint64_t completions GUARDED_BY(&dev_lock);
    SvaOperationList ready GUARDED_BY(&dev_lock);
    SvaOperationList starved;   /* [thread] */
    SvaOperation *operations;   /* config.depth of them */
    uint64_t ring_count;        /* [thread] slots put in the ring so far */
    bool raise;                 /* [thread] the interrupt is due */
    bool closing;               /* [thread] nothing runs any more */
    bool stop;                  /* [thread] */
    Histogram *roundtrip;       /* [thread] records */
    SvaAccelCounters counters;
};

/**
 * enum SvaOutcome - how far an operation has come
 * @SVA_OUTCOME_DONE, @SVA_OUTCOME_BAD, @SVA_OUTCOME_FAULT: to its end, as
 *                    SVA_ACCEL_STATUS_* has it
 * @SVA_OUTCOME_MISSING: its group says which pages are to be asked for
 */
typedef enum SvaOutcome {
    SVA_OUTCOME_DONE = SVA_ACCEL_STATUS_DONE,
    SVA_OUTCOME_BAD = SVA_ACCEL_STATUS_BAD,
    SVA_OUTCOME_FAULT = SVA_ACCEL_STATUS_FAULT,
    SVA_OUTCOME_MISSING,
} SvaOutcome;

/* sva-operation.c */

/**
 * sva_operation_run() - until it ends or a page is missing
 * @descriptor: where its descriptor is, if it was not fetched yet
 *
 * Context: device's thread, no lock needed.
 */
SvaOutcome sva_operation_run(SvaAccel *accel, SvaOperation *operation,
                             uint64_t descriptor);

#endif
