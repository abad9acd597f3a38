/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A sweep of failures over a step: on the kernel (--host kernel) its own fault
 * injection has the Nth allocation fail that the host calls of a step make, on
 * whatever thread; on the emulated host's mock devices (--host mock) the Nth
 * host call fails by an errno, the Nth read or write is short, or the Nth call
 * fails of a function that gives memory, threads or descriptors. N goes up
 * until a step has nothing left to fail, by 1 or, where each try is slow, by
 * --every COUNT. Last, all sleeps are interrupted. --sites FILE notes where
 * calls have failed, for call-sites.py.
 *
 * Threads: the test's.
 * Locks:   none.
 */
#ifndef TESTS_HOST_FAIL_SWEEP_H
#define TESTS_HOST_FAIL_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

/* What a step does that may fail, for fail_sweep_add(). */
enum {
    FAIL_HOST_CALLS = 1 << 0,
    FAIL_TRANSFERS = 1 << 1,    /* reads and writes of queues */
    FAIL_FUNCTIONS = 1 << 2,    /* without it: it must call none, as teardown */
    FAIL_NOT_IN_KERNEL = 1 << 3, /* what fails there is nobody's to see */
};

typedef enum FailKind {
    FAIL_ALLOCATION,            /* of the kernel */
    FAIL_CALL,                  /* of the host, by an errno: below the mock
                                   devices, */
    FAIL_CALL_OVER,             /* or as it was made */
    FAIL_NO_BYTES,              /* read or written */
    FAIL_CUT_BYTES,             /* fewer than there are */
    FAIL_FUNCTION,
    FAIL_SLEEP,                 /* all of them, in one try */
} FailKind;

/**
 * struct FailTry - what shall fail
 * @step: as given to fail_sweep_add()
 * @err: of FAIL_CALL
 */
typedef struct FailTry {
    const void *step;
    FailKind kind;
    int err;
    uint64_t nth;
} FailTry;

/**
 * FailTryFunc - make what is there before, try the step, free all
 * @refused: set: did it fail as a whole?
 *
 * The step is what comes between fail_try_begin() and failing_host_stop().
 * Return: what the latter did.
 */
typedef bool FailTryFunc(const FailTry *fail, bool *refused);

void fail_try_begin(const FailTry *fail);

/* "mock" or "kernel". */
const char *fail_sweep_host(void);

/* A test for each way to fail. @step stays the caller's. */
void fail_sweep_add(const char *path, unsigned what, FailTryFunc *func,
                    const void *step);

/* main() of a program whose steps @add adds. */
int fail_sweep_main(int argc, char **argv, void (*add)(void));

#endif
