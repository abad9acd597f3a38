/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "drain.h"

#include "bench.h"

#include <stdlib.h>

#define FILL (DRAIN_EVENTS + DRAIN_BEHIND)

/* What did not come in a minute does not come. */
#define TIME_OUT_NS INT64_C(60000000000)

/* Drains until caches, and what adapts itself, are warm. */
#define WARM_UP 4

static void check_entry(void *opaque, const uint64_t entry[4])
{
    Drain *drain = opaque;

    g_assert_cmpuint(entry[2], ==, drain->expected);
    drain->expected++;
}

static void read_all(Drain *drain)
{
    int64_t end = bench_now_ns() + TIME_OUT_NS;

    while (drain->expected < drain->tag) {
        g_assert_cmpint(bench_now_ns(), <, end);
        peer_consume(drain->peer, check_entry, drain);
    }
}

void drain_init(Drain *drain, Peer *peer)
{
    *drain = (Drain){ .peer = peer };
}

int64_t drain_once(Drain *drain)
{
    EventSource *source = drain->peer->config.source;
    uint64_t queued;
    int64_t ns;

    event_source_hold(source);
    queued = event_source_fill(source, &drain->peer->device, 1, FILL,
                               drain->tag);
    g_assert_cmpuint(queued, ==, FILL);
    drain->tag += FILL;
    ns = event_source_time(source, DRAIN_EVENTS);
    g_assert_cmpint(ns, >, 0);
    read_all(drain);
    return ns;
}

static int compare_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int64_t drain_median(Drain *drain, unsigned count)
{
    g_autofree int64_t *ns = g_new(int64_t, count);

    for (unsigned i = 0; i < WARM_UP; i++) {
        drain_once(drain);
    }
    for (unsigned i = 0; i < count; i++) {
        ns[i] = drain_once(drain);
    }
    qsort(ns, count, sizeof(*ns), compare_ns);
    return ns[count / 2];
}
