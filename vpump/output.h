/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Output: where a run prints its lines, table and report, and whether all of
 * it got there.
 *
 * Threads: the main thread.
 * Locks:   none.
 */
#ifndef VPUMP_OUTPUT_H
#define VPUMP_OUTPUT_H

#include <glib.h>
#include <stdbool.h>
#include <stdio.h>

/**
 * struct Output - the streams of a run
 * @text: for lines and table
 * @report_name: as -report has it, borrowed; NULL for none, "-" for stdout
 * @report_fd: the report's file, -1 for stdout or none
 */
typedef struct Output {
    FILE *text;
    const char *report_name;
    int report_fd;
} Output;

/**
 * output_reserve_standard_fds() - put /dev/null where 0, 1 or 2 is closed
 *
 * So that no descriptor of ours becomes one of them. Reading and writing fails
 * there as it does on a closed one.
 *
 * Context: first thing in main().
 */
void output_reserve_standard_fds(void);

/**
 * output_open() - find out whether the report can be written
 * @report_name: borrowed until output_close(); NULL for none
 *
 * A file that is there already keeps what it holds until there is a new report.
 * A FIFO that nobody reads is refused, as opening it could take for ever.
 *
 * Return: false and @error set if it cannot; nothing is to be closed then.
 */
bool output_open(Output *output, const char *report_name, GError **error);

/* Does the run want a report? */
bool output_wants_report(const Output *output);

/* Replace what the file holds. Return: false and @error set if that fails. */
bool output_write_report(Output *output, const char *text, GError **error);

/* Return: false and @error set if not all got to the report's file. */
bool output_close(Output *output, GError **error);

/**
 * output_flush_stdout() - has all that was printed got out?
 *
 * Return: false and @error set if something failed, now or earlier.
 */
bool output_flush_stdout(GError **error);

#endif
