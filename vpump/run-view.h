/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RunView: the lines of a run as it goes on, once a second. On a terminal that
 * is wide enough they are redrawn in place, else they scroll.
 *
 * Threads: one thread. Messages that other threads report while a view is open
 *          are let through above the lines.
 * Locks:   none.
 */
#ifndef VPUMP_RUN_VIEW_H
#define VPUMP_RUN_VIEW_H

#include "machine.h"

#include <stdio.h>

typedef struct RunView RunView;

/**
 * run_view_new() - take the first samples
 * @machine, @out: borrowed until run_view_free()
 *
 * Context: No other thread reports yet.
 */
RunView *run_view_new(const Machine *machine, FILE *out);

/* Context: No other thread reports any more. NULL is ignored. */
void run_view_free(RunView *view);

/* Print what happened since the last update. */
void run_view_update(RunView *view);

#endif
