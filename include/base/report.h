/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages for the operator, one line each, to stderr unless a handler is set:
 * "PROGRAM: MESSAGE", "PROGRAM: warning: MESSAGE", "PROGRAM: info: MESSAGE".
 * What is no text in it, or a control character other than the end of a line,
 * becomes U+FFFD or '?': messages show what users have written.
 *
 * Threads: any. Not on the data path: formats and allocates.
 * Locks:   a leaf of its own, so that lines do not mix. (GLib's logger is not
 *          used: it races with itself, see docs/testing.md.)
 */
#ifndef BASE_REPORT_H
#define BASE_REPORT_H

#include <glib.h>

typedef enum ReportLevel {
    REPORT_ERROR,
    REPORT_WARNING,
    REPORT_INFO,
} ReportLevel;

void error_report(const char *format, ...) G_GNUC_PRINTF(1, 2);
void warn_report(const char *format, ...) G_GNUC_PRINTF(1, 2);
void info_report(const char *format, ...) G_GNUC_PRINTF(1, 2);

/**
 * error_report_err() - report @error's message and free it
 * @error: given
 */
void error_report_err(GError *error);

/**
 * typedef ReportHandler - takes messages in place of stderr
 *
 * Context: The reporting thread, under the report lock: must not report.
 */
typedef void ReportHandler(ReportLevel level, const char *message,
                           void *opaque);

/* Print a message as it is printed without a handler, a handler's too. */
void report_print(ReportLevel level, const char *message);

/**
 * report_set_handler() - send messages to @handler; NULL for stderr again
 *
 * Context: While no other thread reports.
 */
void report_set_handler(ReportHandler *handler, void *opaque);

#endif
