/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps what is reported to the operator, for tests that expect messages.
 *
 * Threads: started, stopped and read while nobody reports.
 * Locks:   the report lock, inside.
 */
#ifndef TESTS_SUPPORT_MESSAGE_LOG_H
#define TESTS_SUPPORT_MESSAGE_LOG_H

/* From now on messages are kept, and not printed. Forgets older ones. */
void message_log_start(void);

/* Print them again. What was kept is forgotten. */
void message_log_stop(void);

/* How many there are; also while others report. */
unsigned message_log_count(void);

/* How many contain @part. */
unsigned message_log_matching(const char *part);

/* The message at @index, borrowed until the log is started or stopped. */
const char *message_log_get(unsigned index);

#endif
