/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What figures were taken on: the machine, and how well its clock tells time.
 *
 * Threads: any.
 * Locks:   none.
 */
#ifndef BENCH_MACHINE_FACTS_H
#define BENCH_MACHINE_FACTS_H

#include <json-glib/json-glib.h>

/**
 * machine_facts_add() - as a JSON object
 *
 * {"cpu" (the model), "cpus" (online), "kernel", "compiler", "version" (of
 *  vpump), "clocksource", "clock_ns": what a reading of CLOCK_MONOTONIC costs,
 *  "clock_step_ns": the least by which two that differ do}
 */
void machine_facts_add(JsonBuilder *json);

#endif
