/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program as a child process. Its path is in the environment, as VPUMP.
 *
 * Threads: the test's.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_VPUMP_PROCESS_H
#define TESTS_SUPPORT_VPUMP_PROCESS_H

#include <glib.h>
#include <stdbool.h>

/**
 * struct Outcome - what a run left
 * @out, @err: what it printed
 * @status: its exit status
 */
typedef struct Outcome {
    char *out;
    char *err;
    int status;
} Outcome;

/**
 * vpump_run() - run it to its end
 * @words: arguments; NULL ends
 *
 * Return: to be given to outcome_clear().
 */
Outcome vpump_run(const char *const *words);

/* The same with @setup(@opaque) in the child, before the program. */
Outcome vpump_run_with(const char *const *words, GSpawnChildSetupFunc setup,
                       void *opaque);

void outcome_clear(Outcome *outcome);

/**
 * vpump_start() - start it
 * @out: set to the read end of its stdout, or NULL: the test's
 *
 * Return: to be given to vpump_finish().
 */
GPid vpump_start(const char *const *words, GSpawnChildSetupFunc setup,
                 void *opaque, int *out);

/* As above, and wait until it has printed something, so it is running. */
GPid vpump_start_endless(int *out);

/**
 * vpump_finish() - reap it
 * @out: read to its end first, and closed; -1 for none
 *
 * Return: its exit status.
 */
int vpump_finish(GPid pid, int out);

/* Does @text hold a report, and does that say that the run balanced? */
bool report_is_balanced(const char *text);

#endif
