/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RunSample: what one vIOMMU, its guest and its devices have counted by some
 * time, and the verdict whether it balances.
 *
 * Threads: any; pure.
 */
#ifndef VPUMP_RUN_SAMPLE_H
#define VPUMP_RUN_SAMPLE_H

#include "hw/iommu/viommu.h"

/**
 * enum RunKind - what a vIOMMU's devices do, as bits
 * @RUN_EVENTS: report events
 * @RUN_PAGES: ask for pages
 * @RUN_OPERATIONS: complete operations in pages that they ask for
 */
typedef enum RunKind {
    RUN_EVENTS = 1,
    RUN_PAGES = 2,
    RUN_OPERATIONS = 4,
} RunKind;

/**
 * struct RunPages - groups of page requests
 * @raised: by the devices
 * @responded: responses that came back to them, each to an open group
 * @failed: of these, how many were not Success; 0 in a good run
 * @unexpected: responses to groups that were not open, as after a first one
 * @refused: groups that the host did not take at all; 0 in a good run
 * @no_credit: times that a device had to wait for a response first
 * @guest_overflows: times that the guest's driver has found an overflow
 * @guest_bad: requests that it could make nothing of
 * @guest_answered: groups that it has answered, whatever it said
 * @guest_digest: of the requests that it has read (ring-digest.h)
 * @unlike: devices whose requests did not all reach the guest, each once and
 *          as it was raised: looked at once at rest, 0 in a good run
 * @pump: the library's counters
 */
typedef struct RunPages {
    uint64_t raised;
    uint64_t responded;
    uint64_t failed;
    uint64_t unexpected;
    uint64_t refused;
    uint64_t no_credit;
    uint64_t guest_overflows;
    uint64_t guest_bad;
    uint64_t guest_answered;
    uint64_t guest_digest;
    uint64_t unlike;
    ViommuPageStats pump;
} RunPages;

/**
 * struct RunOperations - work in the guest's memory, through its page tables
 * @begun: by the guest
 * @completed: by the devices
 * @verified: the guest found in its memory what it should
 * @corrupt: it found something else
 * @failed: the device said that it could not
 * @changed: it had found what it should, and later something else
 * @damaged: pages that were written to when their translation was gone
 */
typedef struct RunOperations {
    uint64_t begun;
    uint64_t completed;
    uint64_t verified;
    uint64_t corrupt;
    uint64_t failed;
    uint64_t changed;
    uint64_t damaged;
} RunOperations;

/**
 * struct RunSample - one vIOMMU at one time
 * @kinds: of enum RunKind; the rest is 0 where it does not apply
 * @uncounted: its devices are real: nobody knows what they have generated,
 *             raised or heard but by the queues. Both ends of those balance
 * @generated: events that its devices reported and the host took or lost
 * @refused: events that the host did not take at all; 0 in a good run
 * @seen: intact records that the guest's driver has read
 * @corrupt: records that it could not have been given: damaged, from no device
 *           of its, out of order or twice
 * @guest_overflows: times that the driver has found the overflow flag toggled
 * @guest_digest: of the records that it has read (ring-digest.h)
 * @gerrors: times that it has found a global error, or a fault
 * @pump: the library's counters
 */
typedef struct RunSample {
    unsigned kinds;
    bool uncounted;
    uint64_t generated;
    uint64_t refused;
    uint64_t seen;
    uint64_t corrupt;
    uint64_t guest_overflows;
    uint64_t guest_digest;
    uint64_t gerrors;
    ViommuStats pump;
    RunPages pages;
    RunOperations operations;
} RunSample;

/**
 * run_sample_pending() - how much is still under way
 *
 * Events that are not accounted for, and delivered records that were not read;
 * groups that were not responded to, or operations that were not completed,
 * whichever are more, as an operation may wait for a group. 0 if nothing is.
 */
uint64_t run_sample_pending(const RunSample *sample);

/**
 * run_sample_explain() - what does not balance, and by how much
 *
 * Besides what is under way: corrupt records and damaged memory; refused events
 * and groups, without which an empty run would balance; groups answered twice;
 * or in vain; loss that was not shown to the guest, or that it did not notice;
 * global errors and faults. Of a guest at rest, see machine_rest().
 *
 * Return: one line, to be given to g_free(), or NULL if all is well.
 */
char *run_sample_explain(const RunSample *sample);

/**
 * run_sample_explain_stop() - what happened while the guest stopped
 * @before: of a guest at rest
 * @after: of the same, stopped
 *
 * Return: one line, to be given to g_free(), or NULL if it is what should.
 */
char *run_sample_explain_stop(const RunSample *before, const RunSample *after);

#endif
