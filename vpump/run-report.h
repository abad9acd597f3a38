/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a run prints: a line per vIOMMU and second, the table at the end, the
 * JSON report, and the verdict whether the accounting balances.
 *
 * Threads: any; pure.
 */
#ifndef VPUMP_RUN_REPORT_H
#define VPUMP_RUN_REPORT_H

#include "histogram.h"

#include "hw/iommu/viommu.h"

/* Columns of a line besides the id's. */
#define RUN_REPORT_LINE_WIDTH 66

/**
 * struct RunSample - one vIOMMU at one time
 * @generated: events that its devices reported and the host took or lost
 * @refused: events that the host did not take at all; 0 in a good run
 * @seen: intact records that the guest's driver has read
 * @corrupt: records that it could not have been given: damaged, from no device
 *           of its, out of order or twice
 * @guest_overflows: times that the driver has found the overflow flag toggled
 * @gerrors: times that it has found a global error
 * @pump: the library's counters
 */
typedef struct RunSample {
    uint64_t generated;
    uint64_t refused;
    uint64_t seen;
    uint64_t corrupt;
    uint64_t guest_overflows;
    uint64_t gerrors;
    ViommuStats pump;
} RunSample;

/**
 * struct RunResult - one vIOMMU in the end
 * @id, @model, @iothread: names, borrowed
 * @latency: of all records that the guest has read, borrowed
 */
typedef struct RunResult {
    const char *id;
    const char *model;
    const char *iothread;
    RunSample sample;
    const HistogramSnapshot *latency;
} RunResult;

/**
 * run_sample_pending() - how much is still under way
 *
 * Events that are not accounted for, and delivered records that were not read.
 */
uint64_t run_sample_pending(const RunSample *sample);

/**
 * run_sample_explain() - what does not balance, and by how much
 *
 * Besides what is under way: corrupt records; refused events, without which an
 * empty run would balance; loss that was not shown to the guest, or that it did
 * not notice; global errors. Of a guest at rest, see machine_rest().
 *
 * Return: one line, to be given to g_free(), or NULL if all is well.
 */
char *run_sample_explain(const RunSample *sample);

/**
 * run_report_heading() - the line above the lines
 * @id_width: columns for the id
 *
 * Lines and their heading are @id_width + %RUN_REPORT_LINE_WIDTH columns wide,
 * whatever the values, and end in a newline.
 */
void run_report_heading(GString *text, int id_width);

/**
 * run_report_line() - what happened between two samples
 * @interval_ns: the time between them, not 0
 * @latency: of the interval
 */
void run_report_line(GString *text, int id_width, const char *id,
                     const RunSample *before, const RunSample *now,
                     int64_t interval_ns, const HistogramSnapshot *latency);

/**
 * run_report_table() - the whole run
 * @name: of the machine, or NULL
 */
void run_report_table(GString *text, const char *name, double seconds,
                      const RunResult *results, size_t count);

/**
 * run_report_json() - the same for programs
 * @version: of the program
 * @balanced: the verdict on the whole run
 *
 * Return: a JSON object and a newline, to be given to g_free().
 */
char *run_report_json(const char *version, double seconds, bool balanced,
                      const RunResult *results, size_t count);

#endif
