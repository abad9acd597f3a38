/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PingPong: what a page request's round trip costs if nothing is done on the
 * way. The main thread, which spins, has a thread on BENCH_CPU_PUMP run, and
 * that says so; twice, as a round trip needs the pump for the request, and
 * again for the response.
 *
 * Threads: the main thread.
 * Locks:   none.
 */
#ifndef BENCH_PING_PONG_H
#define BENCH_PING_PONG_H

#include "histogram.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct PingPong PingPong;

/* @spin: the thread never sleeps; else in a read() of an eventfd. */
PingPong *ping_pong_new(bool spin);
void ping_pong_free(PingPong *pair);

/**
 * ping_pong_trips() - one after the other, as page_world_trips()
 * @histogram: where they go; NULL: nowhere
 */
void ping_pong_trips(PingPong *pair, uint64_t count, int64_t pause_ns,
                     Histogram *histogram);

#endif
