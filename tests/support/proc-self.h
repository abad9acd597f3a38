/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What /proc/self says of this process: for tests that leave nothing behind,
 * and for those that need another thread to be asleep.
 *
 * Threads: any.
 * Locks:   none.
 */
#ifndef TESTS_SUPPORT_PROC_SELF_H
#define TESTS_SUPPORT_PROC_SELF_H

#include <stdbool.h>
#include <sys/types.h>

/* Open file descriptors, without the one that counts them. */
unsigned proc_self_fds(void);

/* Threads. One that was joined may be listed for a moment longer. */
unsigned proc_self_threads(void);

/*
 * Threads that stay when all others have ended: the main one, liburcu's once
 * something was deferred, and ThreadSanitizer's.
 */
unsigned proc_self_lasting_threads(void);

/**
 * proc_self_wait_threads() - wait until there are @count threads
 *
 * Aborts the test, with the number, if that takes longer than 10 s.
 */
void proc_self_wait_threads(unsigned count);

/* Whether thread @tid is in interruptible sleep now: in poll(), for one. */
bool proc_self_is_asleep(pid_t tid);

#endif
