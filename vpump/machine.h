/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Machine: the objects of a run: iothreads, emulated hosts, vIOMMUs with their
 * guests, devices and what these report.
 *
 * Threads: one thread, registered with RCU, that may block.
 * Locks:   none; it has the stand-in for a monitor's big lock, which the loads
 *          of SVA devices take.
 */
#ifndef VPUMP_MACHINE_H
#define VPUMP_MACHINE_H

#include "config.h"
#include "run-report.h"

typedef struct Machine Machine;

/**
 * machine_new() - make everything that @config names, and open all files
 * @config: complete; borrowed until machine_free()
 *
 * Return: the machine, which nobody drives yet, or NULL and @error set; then
 * nothing of it is left.
 */
Machine *machine_new(const Config *config, GError **error);

/**
 * machine_get_contexts() - one for each thread that there is before the start,
 * besides main and liburcu's
 *
 * Return: AioContext pointers, borrowed, to be given to g_ptr_array_unref().
 */
GPtrArray *machine_get_contexts(const Machine *machine);

/**
 * machine_start() - the guests run, the recorder records; nothing is opened
 *
 * Return: false and @error set: only machine_free() can follow.
 */
bool machine_start(Machine *machine, GError **error);

/**
 * machine_take_apart() - guests stop and disable, devices are unplugged,
 * vIOMMUs freed
 * @problems: what did not go as it should is added, as strings; NULL to not
 *            look
 *
 * Nothing but machine_free() can be done with what is left.
 */
void machine_take_apart(Machine *machine, GPtrArray *problems);

/**
 * machine_free() - taken apart if it was not, then hosts are closed and
 * iothreads stopped
 *
 * NULL is ignored.
 */
void machine_free(Machine *machine);

/* There are recordings to be played, and all have come to their end. */
bool machine_is_played(const Machine *machine);

/* The devices begin to report. Return: false and @error set, and none does. */
bool machine_start_load(Machine *machine, GError **error);

/* When it returns, nothing is reported any more. */
void machine_stop_load(Machine *machine);

/**
 * machine_rest() - let the guests have a last look at their queues
 *
 * An overflow that no record follows raises no interrupt: a guest finds it
 * when it looks next. After this it has, its event thread is gone, and what
 * results say is exact.
 *
 * Context: The load has stopped.
 */
void machine_rest(Machine *machine);

size_t machine_get_viommu_count(const Machine *machine);

/**
 * machine_get_result() - what one vIOMMU has done so far
 * @index: below machine_get_viommu_count()
 * @latencies: overwritten; the result borrows them
 *
 * Exact once all is settled and machine_rest() was called.
 */
RunResult machine_get_result(const Machine *machine, size_t index,
                             RunLatencies *latencies);

/**
 * machine_get_devices() - what the devices behind one vIOMMU have done so far
 *
 * Return: RunDevice items, to be given to g_array_unref().
 */
GArray *machine_get_devices(const Machine *machine, size_t index);

/*
 * Events, page requests and operations of all vIOMMUs that are not accounted
 * for yet; 0 when settled.
 */
uint64_t machine_count_pending(const Machine *machine);

/**
 * machine_check_hosts() - do the hosts count as many events and page requests
 * as their devices?
 *
 * Return: false if not, and @error set to the first difference.
 */
bool machine_check_hosts(const Machine *machine, GError **error);

#endif
