/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a run prints: a line per vIOMMU and second, the table at the end, and
 * the JSON report.
 *
 * Threads: any; pure.
 */
#ifndef VPUMP_RUN_REPORT_H
#define VPUMP_RUN_REPORT_H

#include "histogram.h"
#include "run-sample.h"

#include <glib.h>

/* Columns of a line besides the id's. */
#define RUN_REPORT_LINE_WIDTH 74

/**
 * struct RunLatencies - how long it took
 * @event: from the report to the guest's eyes, of the records that it has read
 * @roundtrip: from the request to the response, of the groups responded to
 */
typedef struct RunLatencies {
    HistogramSnapshot event;
    HistogramSnapshot roundtrip;
} RunLatencies;

/**
 * struct RunDevice - one device in the end
 * @id, @kind: names, borrowed
 * @completed_operations: events reported, groups responded to, or operations
 *                        in the guest's memory
 * @in_memory: it is the last of these
 * @verified: of which the guest has checked what they left in its memory
 */
typedef struct RunDevice {
    const char *id;
    const char *kind;
    uint64_t completed_operations;
    bool in_memory;
    uint64_t verified;
} RunDevice;

/**
 * struct RunResult - one vIOMMU in the end
 * @id, @model, @iothread: names, borrowed
 * @latencies: borrowed
 * @devices: @device_count of them, borrowed; only the JSON report has them
 */
typedef struct RunResult {
    const char *id;
    const char *model;
    const char *iothread;
    RunSample sample;
    const RunLatencies *latencies;
    const RunDevice *devices;
    size_t device_count;
} RunResult;

/**
 * run_report_latency() - the one that a line shows
 * @kinds: as RunSample has them
 *
 * Return: the round trip of a vIOMMU whose devices ask for pages, else that of
 * events.
 */
const HistogramSnapshot *run_report_latency(unsigned kinds,
                                            const RunLatencies *latencies);

/**
 * run_report_heading() - the line above the lines
 * @id_width: columns for the id
 *
 * "requests/s" are answered groups of page requests, "ops/s" completed
 * operations. Lines and their heading are @id_width + %RUN_REPORT_LINE_WIDTH
 * columns wide, whatever the values, and end in a newline.
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
 * @sandbox: it had confined itself
 * @problems: strings, what is wrong with the run; without any, it balances
 *
 * Return: a JSON object and a newline, to be given to g_free().
 */
char *run_report_json(const char *version, bool sandbox, double seconds,
                      const GPtrArray *problems, const RunResult *results,
                      size_t count);

#endif
