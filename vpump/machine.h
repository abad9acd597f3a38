/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Machine: the objects of a run: iothreads, emulated hosts, vIOMMUs with their
 * guests, devices and what these report.
 *
 * Threads: one thread, registered with RCU, that may block.
 * Locks:   none.
 */
#ifndef VPUMP_MACHINE_H
#define VPUMP_MACHINE_H

#include "config.h"
#include "run-report.h"

typedef struct Machine Machine;

/**
 * machine_new() - make everything that @config names, and start the guests
 * @config: complete; borrowed until machine_free()
 *
 * Return: the machine, without load, or NULL and @error set; then nothing of
 * it is left.
 */
Machine *machine_new(const Config *config, GError **error);

/**
 * machine_free() - guests stop and disable, devices are unplugged, vIOMMUs
 * freed, hosts closed, iothreads stopped, in this order
 *
 * NULL is ignored.
 */
void machine_free(Machine *machine);

/* The devices begin to report. Return: false and @error set, and none does. */
bool machine_start_load(Machine *machine, GError **error);

/* When it returns, nothing is reported any more. */
void machine_stop_load(Machine *machine);

size_t machine_get_viommu_count(const Machine *machine);

/**
 * machine_get_result() - what one vIOMMU has done so far
 * @index: below machine_get_viommu_count()
 * @latency: overwritten; the result borrows it
 *
 * Exact once the load has stopped and all is settled.
 */
RunResult machine_get_result(const Machine *machine, size_t index,
                             HistogramSnapshot *latency);

/* Is every event of every vIOMMU accounted for? */
bool machine_is_settled(const Machine *machine);

/**
 * machine_check_hosts() - do the hosts count as many events as the devices?
 *
 * Return: false if not, and @error set to the first difference.
 */
bool machine_check_hosts(const Machine *machine, GError **error);

#endif
