/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stress-reader-latency in two parts: the device map alone, and page requests
 * of a VT-d unit.
 *
 * Threads: the test's.
 */
#ifndef TESTS_STRESS_LATENCY_H
#define TESTS_STRESS_LATENCY_H

#include "histogram.h"

#include <stdint.h>

/* For the operator: how long it took, from @histogram. */
void latency_report(const char *what, const char *when,
                    const Histogram *histogram);

/* delivery-latency.c */

/* Page requests reach the guest while a removal waits for a reader. */
void test_deliveries_while_removal_waits(void);

/* @requests: round trips, with and without a storm each */
void delivery_latency_measure(unsigned requests);

#endif
