/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls that must kill a confined process. Whether they fail by
 * themselves does not matter: a process that is not confined goes on.
 *
 * Threads: any.
 */
#ifndef TESTS_SUPPORT_FORBIDDEN_CALLS_H
#define TESTS_SUPPORT_FORBIDDEN_CALLS_H

#include <stdbool.h>

/**
 * struct ForbiddenCall - one of them
 * @name: for messages; NULL ends
 * @always: in a build with a sanitizer, too
 */
typedef struct ForbiddenCall {
    const char *name;
    void (*call)(void);
    bool always;
} ForbiddenCall;

extern const ForbiddenCall forbidden_calls[];

#endif
